"""Verbs about measured files: ``convert`` and ``describe``; ``analyse`` is in :mod:`halidescope.gui.cli_analyse`."""

from pathlib import Path

import typer

from halidescope.gui.terminal import say_json


def convert(
    file: Path = typer.Argument(
        help="Measured file, journal of one that was cut off, another program's file, or stored results."
    ),
    out: Path = typer.Option(
        ..., help="File to write: .nxs, .csv, .npz, .hspy, .zspy; of a map .ome.tif, .maps.csv; .zip to publish it."
    ),
    run: int | None = typer.Option(None, min=1, help="Of stored results, which analysis; default: the newest."),
) -> None:
    """Write a measurement in another format; a journal becomes the finished file that it lacks.

    Reads NeXus, journals, SPE, SIF, Ocean and LabSpec text, WDF and others; CSV and NPY with a layout file beside them.
    """
    from halidescope.acquisition.convert import convert as convert_file

    left_out = convert_file(file, out, run=run)
    typer.echo(f"wrote {out}")
    if left_out:
        typer.echo(f"note: {left_out}", err=True)


def describe(
    file: Path = typer.Argument(help="Measured file (.nxs)."),
    changes: list[str] = typer.Option([], "--set", help="Change: sample.substrate=sapphire; empty: remove."),
    by: str = typer.Option("", help="Who changes it; needed with --set."),
    why: str = typer.Option("", help="Why, for the history."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Show what a measured file says about sample, operator, optics and circumstances, or change it, with a history."""
    from halidescope.acquisition.description import description_of, edit_description, history_words, value_words
    from halidescope.acquisition.importers import open_any
    from halidescope.acquisition.problems import BadFileError
    from halidescope.acquisition.transport import header_of

    if changes:
        pairs = dict(change.partition("=")[::2] for change in changes)
        if wrong := [change for change in changes if "=" not in change]:
            raise BadFileError(f"--set {wrong[0]}: write it as entry=value, e.g. sample.substrate=sapphire")
        edit_description(file, pairs, by=by, why=why)
    with open_any(file) as scan:
        header = header_of(scan)
    shown = {**description_of(header), "history": header.history}
    if as_json:
        say_json(shown)
        return
    for key, value in shown.items():
        if isinstance(value, dict):
            for name, entry in value.items():
                typer.echo(f"{key + '.' + name:<28} {value_words(entry)}")
        elif key != "history":
            typer.echo(f"{key:<28} {value_words(value)}")
    for entry in header.history:
        typer.echo(f"  {history_words(entry)}")


VERBS = (convert, describe)
