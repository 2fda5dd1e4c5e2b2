"""Figures of a measurement, drawn the same way in report and notebook: arrays in, a matplotlib Figure out.

Green is bromide-rich and solid, red is iodide-rich and dashed; images use perceptually uniform maps; every axis has its
unit. Nothing is fitted here, and nothing is written to a file.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import ArrayLike, NDArray

GROWING = "#1a9850"  # bromide-rich
PRISTINE = "#d73027"  # iodide-rich
IMAGE_MAP = "viridis"
SPECTRA_SHOWN = 6


def time_series_figure(
    wavelength_nm: ArrayLike,
    time_s: ArrayLike,
    spectra: ArrayLike,
    share: ArrayLike,
    share_se: ArrayLike,
    *,
    labels: tuple[str, str] = ("pristine", "Br-rich"),
    fit: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    colours: tuple[str, str] = (PRISTINE, GROWING),
) -> Figure:
    """Spectra against time, spectra at chosen times, and the two shares with their fit (as the paper's Figure 2).

    Parameters
    ----------
    wavelength_nm : array_like, shape (channels,)
    time_s : array_like, shape (n,)
        Mid-exposure times since the light came on.
    spectra : array_like, shape (n, channels)
        Dark-subtracted counts.
    share, share_se : array_like, shape (n,)
        Share of the growing phase in the emission, 0 to 1, and its standard error.
    labels : tuple of str
        Names of the shrinking and of the growing phase.
    fit : tuple of array_like, each of shape (n,), optional
        Fitted growing share at ``time_s`` and the limits of its 95 % band.
    colours : tuple of str
        Colours of the shrinking and of the growing phase.
    """
    wavelength = np.asarray(wavelength_nm, dtype=float)
    time = np.asarray(time_s, dtype=float)
    counts = np.asarray(spectra, dtype=float)
    growing = np.asarray(share, dtype=float)
    error = np.asarray(share_se, dtype=float)
    seen = emitting_window(wavelength, counts)
    figure = Figure(figsize=(13, 4), layout="constrained")
    image, lines, shares = figure.subplots(1, 3)

    mesh = image.pcolormesh(wavelength[seen], time, counts[:, seen], cmap=IMAGE_MAP, shading="nearest", rasterized=True)
    figure.colorbar(mesh, ax=image, label="intensity (counts)")
    image.set(xlabel="wavelength (nm)", ylabel="time (s)", title="spectra against time")

    chosen = evenly_changed(growing, SPECTRA_SHOWN)
    for k, shade in zip(chosen, colormaps[IMAGE_MAP](np.linspace(0.0, 0.9, len(chosen))), strict=True):
        lines.plot(wavelength[seen], counts[k, seen], color=shade, lw=1, label=f"{time[k]:.0f} s")
    lines.set(xlabel="wavelength (nm)", ylabel="intensity (counts)", title="spectra at chosen times")
    lines.legend(frameon=False, fontsize="small")

    shrinking = 1.0 - growing
    for values, colour, marker, label in (
        (growing, colours[1], "o", labels[1]),
        (shrinking, colours[0], "s", labels[0]),
    ):
        shares.errorbar(
            time, 100 * values, 100 * error, fmt=marker, ms=2, lw=0.5, color=colour, alpha=0.35, label=label
        )
    if fit is not None:
        value, low, high = (100 * np.asarray(part, dtype=float) for part in fit)
        shares.plot(time, value, color="black", lw=1.2, label="biexponential fit")
        shares.fill_between(time, low, high, color="black", alpha=0.2, lw=0, label="95 % band")
        shares.plot(time, 100 - value, color="black", lw=1.2, ls="--")
    shares.set(xlabel="time (s)", ylabel="share of the emission (%)", ylim=(-5, 105), title="linear unmixing")
    shares.legend(frameon=False, fontsize="small")
    return figure


def map_figure(
    x_um: ArrayLike,
    y_um: ArrayLike,
    wavelength_nm: ArrayLike,
    spectra: ArrayLike,
    share: ArrayLike,
    centre_um: tuple[float, float],
    radius_um: float,
    *,
    share_se: ArrayLike | None = None,
    label: str = "Br-rich",
    profile_fit: tuple[ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """Share of the grown phase, intensity, the profile through the exposed spot, spectra across it (paper's Figure 4).

    Parameters
    ----------
    x_um, y_um : array_like, shape (nx,), (ny,)
    wavelength_nm : array_like, shape (channels,)
    spectra : array_like, shape (ny, nx, channels)
        Dark-subtracted counts; NaN where nothing was measured.
    share : array_like, shape (ny, nx)
        NaN where nothing was measured.
    centre_um : tuple of float
        Centre of the exposed spot; the profile runs along x through it.
    radius_um : float
        1/e radius of the halo, drawn as a circle; NaN if it is not known.
    share_se : array_like, shape (ny, nx), optional
        Standard errors of the shares, drawn on the profile.
    label : str
        Name of the grown phase.
    profile_fit : tuple of array_like, optional
        Positions in µm and fitted shares along the profile.
    """
    x = np.asarray(x_um, dtype=float)
    y = np.asarray(y_um, dtype=float)
    cube = np.asarray(spectra, dtype=float)
    grown = np.ma.masked_invalid(np.asarray(share, dtype=float))
    figure = Figure(figsize=(11, 8.4), layout="constrained")
    (left, middle), (profile, lines) = figure.subplots(2, 2)
    draw_map(figure, left, x, y, 100 * grown, f"{label} share of the emission (%)")
    draw_map(figure, middle, x, y, np.ma.masked_invalid(cube.sum(axis=-1)), "intensity (counts)", colour_map="magma")
    row = int(np.argmin(np.abs(y - centre_um[1])))
    left.axhline(y[row], color="white", lw=0.6, ls=":")
    if np.isfinite(radius_um):
        left.add_patch(Circle(centre_um, radius_um, fill=False, color="white", lw=0.8))

    error = None if share_se is None else 100 * np.asarray(share_se, dtype=float)[row]
    profile.errorbar(x, 100 * grown[row], error, fmt="o", ms=3, lw=0.7, color=GROWING, label=f"y = {y[row]:g} µm")
    if profile_fit is not None:
        at, fitted = (np.asarray(part, dtype=float) for part in profile_fit)
        profile.plot(at, 100 * fitted, color="black", lw=1.2, label="Gaussian halo")
    profile.set(xlabel="x (µm)", ylabel=f"{label} share (%)", title="profile through the spot")
    profile.legend(frameon=False, fontsize="small")

    wavelength = np.asarray(wavelength_nm, dtype=float)
    start = int(np.argmin(np.abs(x - centre_um[0])))
    places = evenly_changed(-np.ma.filled(grown[row], 0.0)[start:], 5) + start
    seen = emitting_window(wavelength, cube[row, places])
    for column, shade in zip(places, colormaps[IMAGE_MAP](np.linspace(0.9, 0.0, len(places))), strict=True):
        lines.plot(wavelength[seen], cube[row, column, seen], color=shade, lw=1,
                   label=f"{abs(x[column] - centre_um[0]):.0f} µm")  # fmt: skip
    lines.set(xlabel="wavelength (nm)", ylabel="intensity (counts)", title="spectra at distances from the spot")
    lines.legend(frameon=False, fontsize="small")
    return figure


def draw_map(
    figure: Figure,
    axes: Axes,
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
    values: NDArray[np.float64],
    label: str,
    *,
    colour_map: str = IMAGE_MAP,
) -> None:
    """One map with equal axes in µm and a colour bar; missing pixels stay grey."""
    axes.set_facecolor("0.6")
    mesh = axes.pcolormesh(x_um, y_um, values, cmap=colour_map, shading="nearest", rasterized=True)
    figure.colorbar(mesh, ax=axes, label=label)
    axes.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal")


def spectra_figure(
    wavelength_nm: ArrayLike, spectra: Sequence[ArrayLike], labels: Sequence[str], *, ylabel: str = "intensity (norm.)"
) -> Figure:
    """A few spectra on one axis, such as the endmembers of an unmixing."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    wavelength = np.asarray(wavelength_nm, dtype=float)
    rows = [np.asarray(row, dtype=float) for row in spectra]
    seen = emitting_window(wavelength, np.vstack(rows))
    styles = ((PRISTINE, "--"), (GROWING, "-"))
    for k, (row, label) in enumerate(zip(rows, labels, strict=True)):
        colour, style = styles[k] if k < len(styles) else (f"C{k}", "-.")
        axes.plot(wavelength[seen], row[seen], color=colour, ls=style, lw=1.2, label=label)
    axes.set(xlabel="wavelength (nm)", ylabel=ylabel)
    axes.legend(frameon=False, fontsize="small")
    return figure


def emitting_window(wavelength_nm: NDArray[np.float64], spectra: NDArray[np.float64], margin_nm: float = 15.0) -> slice:
    """The channels in which any spectrum rises above 2 % of the highest, with a margin: what is worth drawing."""
    envelope = np.nanmax(np.atleast_2d(spectra), axis=0)
    bright = np.flatnonzero(envelope > 0.02 * np.nanmax(envelope))
    if bright.size == 0:
        return slice(0, len(wavelength_nm))
    low, high = wavelength_nm[bright[0]] - margin_nm, wavelength_nm[bright[-1]] + margin_nm
    return slice(int(np.searchsorted(wavelength_nm, low)), int(np.searchsorted(wavelength_nm, high)) + 1)


def evenly_changed(share: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Indices of spectra between which about the same part of the change happened, first and last included."""
    travelled = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(np.nan_to_num(np.maximum.accumulate(share)))))])
    if not travelled[-1] > 0:
        return np.unique(np.linspace(0, len(share) - 1, count).astype(np.intp))
    return np.unique(np.searchsorted(travelled, np.linspace(0.0, travelled[-1], count)).clip(0, len(share) - 1))
