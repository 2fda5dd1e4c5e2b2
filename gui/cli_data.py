"""Verbs about measured files: ``convert``; ``analyse`` is in :mod:`halidescope.gui.cli_analyse`."""

from pathlib import Path

import typer


def convert(
    file: Path = typer.Argument(help="Measured file (.nxs) or the journal of one that was cut off (.nxs.journal)."),
    out: Path = typer.Option(..., help="File to write: .nxs, .csv, .npz or .hspy."),
) -> None:
    """Write a measurement in another format; a journal becomes the finished file that it lacks."""
    from halidescope.acquisition.convert import convert as convert_file

    convert_file(file, out)
    typer.echo(f"wrote {out}")


VERBS = (convert,)
