"""Figures of a simulated film and of its comparison with data: lattices, halo, E_g(t), species, posterior.

Arrays and results in, matplotlib figures out; nothing is written to a file. Bromide is green, iodide red, vacancies are
white, as everywhere.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from halidescope.analysis.figures import BROMIDE_RICH, IMAGE_MAP, IODIDE_RICH
from halidescope.analysis.kmc.comparison import Comparison
from halidescope.analysis.kmc.lattice import initial_film
from halidescope.analysis.kmc.observables import halo_profile, iodide_map, layer, region, side
from halidescope.analysis.kmc.run import KmcResult, Trajectory

SPECIES = ("bromide", "iodide", "vacancy")
SPECIES_MAP = ListedColormap([BROMIDE_RICH, IODIDE_RICH, "#ffffff"], name="species")
LAYERS = 3
REPLICAS_DRAWN = 32


def start_of(result: KmcResult) -> NDArray[np.int8]:
    """The film that a result's first replica started from, (size, size, size)."""
    config = result.config
    size = config.lattice.size
    return initial_film(config, config.run.seed, result.trajectories[0].replica).reshape(size, size, size)


def along(result: KmcResult) -> tuple[NDArray[np.float64], str]:
    """What curves are drawn over, (n,), and its name: steps, events, or model time where that limits the run."""
    if result.config.run.time_s is not None:
        return result.trajectories[0].time_s * 1e9, "model time (ns)"
    return result.progress, "step" if result.config.run.scheme == "paper" else "events"


def lattice_figure(start: NDArray[np.int8], end: NDArray[np.int8]) -> Figure:
    """The film before and after: layers from above, a slice through the beam, the iodide share of every column.

    Parameters
    ----------
    start, end : ndarray of int8, shape (size, size, size)
        0 bromide, 1 iodide, 2 vacancy.
    """
    size = end.shape[2]
    heights = np.unique(np.linspace(0, size - 1, LAYERS).round().astype(int))
    figure = Figure(figsize=(2.5 * (len(heights) + 2), 5.6), layout="constrained")
    rows = figure.subplots(2, len(heights) + 2, squeeze=False)
    share = None
    for row, film, when in zip(rows, (start, end), ("start", "end"), strict=True):
        for axes, z in zip(row, heights, strict=False):
            draw_species(axes, layer(film, int(z)), f"{when}, layer z = {z}")
            axes.set(xlabel="x (sites)", ylabel="y (sites)")
        draw_species(row[-2], side(film), f"{when}, slice y = {size // 2}", spot=False)
        row[-2].set(xlabel="x (sites)", ylabel="z (sites)")
        share = row[-1].imshow(iodide_map(film).T, origin="lower", cmap=IMAGE_MAP, vmin=0, vmax=1)
        row[-1].set_title(f"{when}, all layers", fontsize="medium")
        row[-1].set(xlabel="x (sites)", ylabel="y (sites)")
        outline(row[-1], size)
    if share is not None:
        figure.colorbar(share, ax=rows[:, -1].tolist(), label="iodide share of the ions", shrink=0.7)
    figure.legend(handles=species_handles(), loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    return figure


def draw_species(axes: Axes, plane: NDArray[np.int8], title: str, *, spot: bool = True) -> AxesImage:
    """One plane of species codes, first index to the right; ``spot`` outlines the columns that are read."""
    image = axes.imshow(plane.T, origin="lower", cmap=SPECIES_MAP, vmin=-0.5, vmax=2.5, interpolation="nearest")
    axes.set_title(title, fontsize="medium")
    if spot:
        outline(axes, plane.shape[0])
    return image


def outline(axes: Axes, size: int) -> None:
    """The square of columns whose E_g is read."""
    read = region(size)
    width = read.stop - read.start
    axes.add_patch(Rectangle((read.start - 0.5, read.start - 0.5), width, width, fill=False, color="black", lw=1.2))


def species_handles() -> list[Patch]:
    """What the colours mean, for a legend."""
    return [
        Patch(facecolor=colour, edgecolor="0.5", label=name)
        for name, colour in zip(SPECIES, (BROMIDE_RICH, IODIDE_RICH, "#ffffff"), strict=True)
    ]


def halo_figure(films: Sequence[NDArray[np.int8]], labels: Sequence[str]) -> Figure:
    """Iodide share of the ions and vacancy share of the sites around the beam, for a few moments of a film."""
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    ions, holes = figure.subplots(1, 2)
    for k, (film, label) in enumerate(zip(films, labels, strict=True)):
        radius, share, vacancy = halo_profile(film)
        style = ("o--", "s-", "^-.", "d:")[k % 4]
        ions.plot(radius, 100 * share, style, ms=4, color=(IODIDE_RICH, BROMIDE_RICH)[min(k, 1)], label=label)
        holes.plot(radius, 100 * vacancy, style, ms=4, color=("0.6", "black")[min(k, 1)], label=label)
    ions.set(xlabel="distance from the beam (sites)", ylabel="iodide share of the ions (%)")
    holes.set(xlabel="distance from the beam (sites)", ylabel="vacancies (% of the sites)")
    for axes in (ions, holes):
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize="small")
    return figure


def band_gap_figure(result: KmcResult) -> Figure:
    """E_g of the columns under the beam: replicas, their median and the band that holds 95 % of them."""
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    at, name = along(result)
    replicas = len(result.trajectories)
    for gap in result.band_gap_ev[:REPLICAS_DRAWN]:
        axes.plot(at, gap, color="0.6", lw=0.5, alpha=0.7)
    middle, low, high = result.band()
    if replicas > 1:
        axes.fill_between(at, low, high, color=BROMIDE_RICH, alpha=0.25, lw=0, label=f"95 % of {replicas} replicas")
    axes.plot(at, middle, color=BROMIDE_RICH, lw=1.6, label="median" if replicas > 1 else "E_g")
    axes.set(xlabel=name, ylabel="E_g of the exposed columns (eV)", title=f"scheme: {result.config.run.scheme}")
    axes.legend(frameon=False, fontsize="small")
    return figure


def species_figure(result: KmcResult) -> Figure:
    """Numbers of bromides, iodides and vacancies in the film, the mean over the replicas."""
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    at, name = along(result)
    for counts, label, colour, style in zip(
        result.species.T, SPECIES, (BROMIDE_RICH, IODIDE_RICH, "black"), ("-", "--", "-."), strict=True
    ):
        axes.plot(at, counts, style, color=colour, label=label)
    axes.set(xlabel=name, ylabel="number in the film", ylim=(0, None))
    axes.legend(frameon=False, fontsize="small")
    return figure


def sweep_figure(key: str, values: Sequence[float], results: Sequence[KmcResult]) -> Figure:
    """E_g at the end against the value of the swept key: mean and scatter of the replicas."""
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    ends = [result.band_gap_ev[:, -1] for result in results]
    scatter = [end.std(ddof=1) if end.size > 1 else 0.0 for end in ends]
    axes.errorbar(values, [end.mean() for end in ends], scatter, fmt="o-", color=BROMIDE_RICH, ms=4, capsize=3, lw=1)
    axes.set(xlabel=key, ylabel="E_g at the end (eV)", title="mean and scatter of the replicas")
    return figure


def comparison_figure(result: Comparison) -> Figure:
    """The measured curve with the model's posterior band, and the discrepancy against what the model alone makes."""
    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    curve, null = figure.subplots(1, 2, width_ratios=(2, 1))
    curve.errorbar(
        result.time_s, result.value, result.sigma, fmt="o", ms=3, lw=0.7, color="black", label="measured"
    )
    curve.fill_between(
        result.time_s, result.low, result.high, color=BROMIDE_RICH, alpha=0.3, lw=0, label="model, 95 % band"
    )
    curve.plot(result.time_s, result.median, color=BROMIDE_RICH, lw=1.6, label="model, median")
    curve.set(xlabel="time (s)", ylabel=result.label)
    curve.legend(frameon=False, fontsize="small")
    null.hist(result.null, bins=24, color="0.7", label="curves of the model itself")
    null.axvline(result.discrepancy, color=IODIDE_RICH, ls="--", label=f"measured, p = {result.p_value:.2g}")
    null.set(xlabel="discrepancy", ylabel="number")
    null.legend(frameon=False, fontsize="small")
    return figure


def posterior_figure(result: Comparison) -> Figure:
    """What the data say about each parameter: posterior, 90 % interval, and the prior as the width of the axis."""
    figure = Figure(figsize=(11, 2.8), layout="constrained")
    intervals = result.interval(0.9)
    for axes, values, limits, (low, high), name in zip(
        figure.subplots(1, 4), result.samples.T, result.prior_limits, intervals,
        ("E_I (eV)", "E_Br (eV)", "escape probability A", "log₁₀ (s per step)"), strict=True,
    ):  # fmt: skip
        axes.hist(values, bins=np.linspace(limits[0], limits[1], 31), color=BROMIDE_RICH, alpha=0.7)
        for edge in (low, high):
            axes.axvline(edge, color="black", lw=0.9, ls="--")
        axes.set(xlim=tuple(limits), xlabel=name, yticks=[])
    figure.suptitle("posterior (dashed: 90 % interval; axis: prior range)", fontsize="medium")
    return figure


def animation(trajectory: Trajectory, start: NDArray[np.int8], *, label: str = "step") -> FuncAnimation:
    """A film of a replica's pictures: middle layer from above, slice through the beam, E_g as it grows.

    The trajectory must have frames; start and end are added to them.
    """
    if not trajectory.frames:
        raise ValueError("run.frames = 0: an animation needs pictures in between; ask for some")
    films = [start, *trajectory.frames, trajectory.lattice]
    progress = [float(trajectory.progress[0]), *trajectory.frame_progress, float(trajectory.progress[-1])]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    above, slice_axes, curve = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    middle = start.shape[2] // 2
    top = draw_species(above, layer(start, middle), f"from above, z = {middle}")
    cut = draw_species(slice_axes, side(start), "slice through the beam", spot=False)
    (line,) = curve.plot([], [], color=BROMIDE_RICH)
    gap = trajectory.band_gap_ev
    margin = 0.05 * max(float(np.ptp(gap)), 0.01)
    curve.set(
        xlim=(progress[0], max(progress[-1], progress[0] + 1)), ylim=(gap.min() - margin, gap.max() + margin),
        xlabel=label, ylabel="E_g (eV)",
    )  # fmt: skip
    figure.legend(handles=species_handles(), loc="outside lower center", ncols=3, frameon=False, fontsize="small")

    figure.draw_without_rendering()
    figure.set_layout_engine("none")          # laid out once, not for every picture

    def show(number: int) -> tuple[Artist, ...]:
        film = films[number]
        top.set_data(layer(film, middle).T)
        cut.set_data(side(film).T)
        seen = trajectory.progress <= progress[number]
        line.set_data(trajectory.progress[seen], gap[seen])
        curve.set_title(f"{label} {progress[number]:.0f}", fontsize="medium")
        return top, cut, line

    return FuncAnimation(figure, show, frames=len(films), interval=100, blit=False)
