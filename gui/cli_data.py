"""Verbs about measured files: ``analyse``, ``convert`` and ``describe``."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from halidescope.acquisition.problems import ScanFileError
from halidescope.gui.terminal import complain, say_json

if TYPE_CHECKING:
    from halidescope.acquisition.batch import Analysis


def analyse(
    files: list[Path] = typer.Argument(help="Measured files (.nxs or .nxs.journal)."),
    references: list[Path] = typer.Option(
        ..., help="Measured endmember; give it once for each, the phase that grows last."
    ),
    labels: list[str] = typer.Option([], help="Name of an endmember, in the same order."),
    out: Path | None = typer.Option(None, help="Folder for one JSON file of results per measurement."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object per file."),
) -> None:
    """Unmix measured files and fit kinetics (time series) or the halo (maps), with standard errors.

    A file that cannot be analysed is reported and the others go on; the exit code is then 1.
    """
    from halidescope.acquisition.batch import analyse_scan, load_endmembers  # numba loads only when needed
    from halidescope.acquisition.listing import parts_in
    from halidescope.acquisition.storage import open_scan

    endmembers = load_endmembers(references, labels)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    failed = 0
    files = [part for file in files for part in parts_in(file)]
    for file in files:
        try:
            with open_scan(file) as scan:
                found = analyse_scan(scan, endmembers)
        except ScanFileError as error:
            complain(str(error))
            failed += 1
            continue
        if out is not None:
            text = msgspec.json.format(msgspec.json.encode(found.plain()), indent=2)
            (out / f"{file.name}.json").write_bytes(text + b"\n")
        if as_json:
            say_json(found.plain())
        else:
            _say(found)
    if failed:
        raise ScanFileError(f"{failed} of {len(files)} files could not be analysed; see above")


def _say(found: "Analysis") -> None:
    from halidescope.gui.values import plus_minus

    kind = f"{found.kind}, simulated" if found.simulated else found.kind
    typer.echo(f"{found.source} ({kind}, {found.spectra} spectra)")
    for name, number in found.numbers.items():
        typer.echo(f"  {name:<24} {plus_minus(number)}")
    for note in found.notes:
        typer.echo(f"  {note}")


def convert(
    file: Path = typer.Argument(help="Measured file, journal of one that was cut off, or another program's file."),
    out: Path = typer.Option(
        ..., help="File to write: .nxs, .csv, .npz, .hspy, .zspy; of a map .ome.tif, .maps.csv; .zip to publish it."
    ),
) -> None:
    """Write a measurement in another format; a journal becomes the finished file that it lacks.

    Reads NeXus, journals, SPE, SIF, Ocean and LabSpec text, WDF and others; CSV and NPY with a layout file beside them.
    """
    from halidescope.acquisition.convert import convert as convert_file

    convert_file(file, out)
    typer.echo(f"wrote {out}")


def describe(
    file: Path = typer.Argument(help="Measured file (.nxs)."),
    changes: list[str] = typer.Option([], "--set", help="Change: sample.substrate=sapphire; empty: remove."),
    by: str = typer.Option("", help="Who changes it; needed with --set."),
    why: str = typer.Option("", help="Why, for the history."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Show what a measured file says about sample, operator, optics and circumstances, or change it, with a history."""
    from halidescope.acquisition.description import description_of, edit_description
    from halidescope.acquisition.problems import BadFileError
    from halidescope.acquisition.storage import open_scan
    from halidescope.acquisition.transport import header_of

    if changes:
        pairs = dict(change.partition("=")[::2] for change in changes)
        if wrong := [change for change in changes if "=" not in change]:
            raise BadFileError(f"--set {wrong[0]}: write it as entry=value, e.g. sample.substrate=sapphire")
        edit_description(file, pairs, by=by, why=why)
    with open_scan(file) as scan:
        header = header_of(scan)
    shown = {**description_of(header), "history": header.history}
    if as_json:
        say_json(shown)
        return
    for key, value in shown.items():
        if isinstance(value, dict):
            for name, entry in value.items():
                typer.echo(f"{key + '.' + name:<28} {entry}")
        elif key != "history":
            typer.echo(f"{key:<28} {value}")
    for entry in header.history:
        typer.echo(f"  {entry['at']} {entry['by']}: {entry['key']} {entry['from']!r} → {entry['to']!r} {entry['why']}")


VERBS = (analyse, convert, describe)
