"""Figure 8: the band gap in the illuminated column during a simulation, and the film before and after."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from halidescope.analysis.figures import IODIDE_RICH, style
from halidescope.analysis.kmc.figures import along, draw_species, species_handles, start_of
from halidescope.analysis.kmc.run import KmcResult


def monte_carlo_figure(
    result: KmcResult, *, stated: Sequence[tuple[float, float]] = (),
    measured: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """Draw a simulation as the paper's Figure 8: E_g of all replicas, and a slice through the beam at start and end.

    Parameters
    ----------
    result : KmcResult
    stated : sequence of (progress, E_g in eV)
        What a text states, as crosses.
    measured : tuple of (progress, E_g, standard error), optional
        From measured spectra, on the axis of the simulation.
    """
    progress, name = along(result)
    middle, low, high = result.band()
    figure = Figure(figsize=(11.5, 4.2), layout="constrained")
    gap, before, after = figure.subplots(1, 3, width_ratios=[1.4, 1, 1])
    gap.plot(progress, middle, color="black", lw=1.2, label="median of the replicas")
    gap.fill_between(progress, low, high, color="black", alpha=0.2, lw=0, label="95 % of the replicas")
    if measured is not None:
        at, energy, error = (np.asarray(part, dtype=float) for part in measured)
        gap.errorbar(at, energy, error, fmt="o", ms=3, lw=0.7, color="C0", label="measured")
    if stated:
        gap.plot(*zip(*stated, strict=True), "x", ms=7, color=IODIDE_RICH, label="stated in the paper")
    gap.set(xlabel=name, ylabel="band gap of the illuminated column (eV)", title="band gap")
    style.legend(gap)
    start = start_of(result)
    middle_row = start.shape[1] // 2
    for axes, film, title in ((before, start, "start"), (after, result.trajectories[0].lattice, "end")):
        draw_species(axes, film[:, middle_row, :], title, spot=False)
        axes.set(xlabel="x (sites)", ylabel="depth (sites)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    after.legend(
        handles=species_handles(), fontsize=style.SMALL, frameon=True, facecolor="0.9", loc="upper left",
        bbox_to_anchor=(1, 1),
    )  # fmt: skip
    style.panel_letters(gap, before, after)
    return figure
