"""Pictures of a simulation as files: PNG figures of films and curves, a GIF of a run.

The figures are :mod:`halidescope.analysis.kmc.figures`; here they become files.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure

from halidescope.analysis.kmc.config import Sweep
from halidescope.analysis.kmc.figures import (
    animation,
    band_gap_figure,
    halo_figure,
    lattice_figure,
    species_figure,
    start_of,
    sweep_figure,
)
from halidescope.analysis.kmc.run import KmcResult

DPI = 110
FRAMES_PER_S = 10


def figures_of(result: KmcResult) -> dict[str, Figure]:
    """All figures of one simulation, by the name of their file."""
    start, end = start_of(result), result.trajectories[0].lattice
    return {
        "lattice": lattice_figure(start, end),
        "halo": halo_figure([start, end], ["start", "end"]),
        "band-gap": band_gap_figure(result),
        "species": species_figure(result),
    }


def write_pictures(folder: Path, results: Sequence[KmcResult], sweep: Sweep | None = None) -> list[Path]:
    """Write all figures of a simulation, or a sweep's and E_g of every value, and give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    if sweep is None:
        figures = figures_of(results[0])
    else:
        figures = {f"band-gap-{number}": band_gap_figure(result) for number, result in enumerate(results, start=1)}
        figures["sweep"] = sweep_figure(sweep.key, sweep.values, results)
    written = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=DPI)
        written.append(path)
    return written


def write_animation(path: Path, result: KmcResult) -> None:
    """Write a GIF of the first replica, which must have frames; the file appears when it is complete."""
    label = "step" if result.config.run.scheme == "paper" else "events"
    film = animation(result.trajectories[0], start_of(result), label=label)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    film.save(part, writer=PillowWriter(fps=FRAMES_PER_S), dpi=DPI)
    os.replace(part, path)
