"""Verbs about models: ``kmc``."""

import tomllib
from pathlib import Path

import numpy as np
import typer

from halidescope.acquisition.problems import BadFileError, RefusedRunError
from halidescope.gui.terminal import say_json


def kmc(
    config: Path = typer.Argument(help="Configuration (TOML); every key has a default, the paper's."),
    out: Path | None = typer.Option(None, help="Write the trajectories here (.npz)."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Kinetic Monte Carlo of halide migration: one run or an ensemble."""
    from halidescope.analysis.kmc.config import KmcConfig  # numba loads only when something is simulated
    from halidescope.analysis.kmc.run import run

    try:
        with config.open("rb") as file:
            wanted = KmcConfig.from_mapping(tomllib.load(file))
    except OSError as error:
        raise BadFileError(f"configuration {config}: cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadFileError(f"configuration {config}: not valid TOML: {error}") from error
    except ValueError as error:
        raise BadFileError(f"configuration {config}: {error}") from error
    if out is not None and out.exists():
        raise RefusedRunError(f"output file {out} exists and is never overwritten; choose another name")
    if out is not None and out.suffix != ".npz":
        raise RefusedRunError(f"output file {out}: ending {out.suffix!r} is not known; use .npz")
    result = run(wanted)
    if out is not None:
        np.savez_compressed(
            out,
            allow_pickle=False,
            progress=result.progress,
            band_gap_ev=result.band_gap_ev,
            configuration=np.array(config.read_text(encoding="utf-8")),
        )
    summary = result.summary()
    if as_json:
        say_json(summary)
        return
    for name, value in summary.items():
        typer.echo(f"{name:<22} {'–' if value is None else value}")


VERBS = (kmc,)
