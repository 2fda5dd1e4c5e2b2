"""Verbs about models: ``kmc``."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from halidescope.acquisition.problems import BadFileError, RefusedRunError
from halidescope.acquisition.toml_files import read_toml
from halidescope.gui.terminal import ShareBar, complain, say_json

if TYPE_CHECKING:  # numba loads only when something is simulated
    from halidescope.analysis.kmc.config import KmcConfig, Sweep
    from halidescope.analysis.kmc.run import KmcResult

ANIMATED_FRAMES = 60
INTERRUPTED = 130        # the shell's code for Ctrl-C


def kmc(
    config: Path = typer.Argument(help="Configuration (TOML); every key has a default, the paper's."),
    out: Path | None = typer.Option(None, help="Write everything here (NeXus/HDF5: .nxs, .h5)."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
    pictures: Path | None = typer.Option(None, help="Write figures into this folder (PNG)."),
    animation: Path | None = typer.Option(None, help="Write a film of the first replica (GIF)."),
) -> None:
    """Kinetic Monte Carlo of halide migration: one run, an ensemble (run.replicas) or a sweep (table [sweep])."""
    from halidescope.acquisition.kmc_file import check_free, write_kmc

    wanted, swept = _read(config)
    if out is not None:
        check_free(out)
    if animation is not None:
        _check_animation(animation)
        if wanted.run.frames == 0:
            wanted = wanted.replace(run__frames=ANIMATED_FRAMES)
    if pictures is not None and pictures.exists() and not pictures.is_dir():
        raise RefusedRunError(f"pictures {pictures}: is a file; name a folder")
    started = datetime.now().astimezone()
    results = _simulate(wanted, swept)
    if out is not None:
        write_kmc(out, results, started=started, sweep=None if swept is None else (swept.key, swept.values))
    if pictures is not None or animation is not None:
        from halidescope.gui.kmc_pictures import write_animation, write_pictures  # matplotlib, only when asked for

        if pictures is not None:
            write_pictures(pictures, results, swept)
        if animation is not None:
            write_animation(animation, results[0])
    _say(results, swept, as_json)


def _read(path: Path) -> "tuple[KmcConfig, Sweep | None]":
    from halidescope.analysis.kmc.config import read_tables

    tables = read_toml(path, "configuration")
    try:
        return read_tables(tables)
    except ValueError as error:
        raise BadFileError(f"configuration {path}: {error}") from error


def _check_animation(path: Path) -> None:
    if path.suffix.lower() != ".gif":
        raise RefusedRunError(f"animation {path}: ending '{path.suffix}' is not known; use .gif")
    if path.exists():
        raise RefusedRunError(f"animation {path} exists and is never overwritten; choose another name")
    if not path.absolute().parent.is_dir():
        raise RefusedRunError(f"animation {path}: folder {path.absolute().parent} does not exist; make it first")


def _simulate(config: "KmcConfig", swept: "Sweep | None") -> "list[KmcResult]":
    from halidescope.analysis.kmc.run import run, sweep

    try:
        with ShareBar("simulating") as bar:
            if swept is None:
                return [run(config, bar.show)]
            return [result for _, result in sweep(config, swept.key, swept.values, bar.show)]
    except KeyboardInterrupt:
        complain("interrupted; nothing was written")
        raise typer.Exit(INTERRUPTED) from None
    except (ValueError, ArithmeticError) as error:       # a film too small for its ions, or one in which nothing moves
        raise RefusedRunError(f"configuration: {error}") from error


def _say(results: "Sequence[KmcResult]", swept: "Sweep | None", as_json: bool) -> None:
    summaries = [result.summary() for result in results]
    if swept is None:
        if as_json:
            say_json(summaries[0])
            return
        for name, value in summaries[0].items():
            typer.echo(f"{name:<22} {'–' if value is None else value}")
        return
    if as_json:
        pairs = zip(swept.values, summaries, strict=True)
        say_json({"sweep": swept.key, "runs": [{"value": value} | summary for value, summary in pairs]})
        return
    typer.echo(f"{swept.key:<24} E_g start (eV)   E_g end (eV)   scatter   iodides lost")
    for value, one in zip(swept.values, summaries, strict=True):
        scatter = one["band_gap_end_sd_ev"]
        typer.echo(
            f"{value:<24g} {one['band_gap_start_ev']:<16.4f} {one['band_gap_end_ev']:<14.4f} "
            f"{'–' if scatter is None else format(scatter, '.4f'):<9} {one['iodide_lost']:.1f}"
        )


VERBS = (kmc,)
