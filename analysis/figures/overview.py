"""Any scan before it is analysed: where or when there was light, and the mean spectrum with its scatter."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.figures import style
from halidescope.analysis.figures.series import draw_stack


def map_overview(x_um: ArrayLike, y_um: ArrayLike, wavelength_nm: ArrayLike, spectra: ArrayLike) -> Figure:
    """Intensity of a map and its mean spectrum.

    Parameters
    ----------
    x_um, y_um : array_like, shape (nx,), (ny,)
    wavelength_nm : array_like, shape (channels,)
    spectra : array_like, shape (ny, nx, channels)
        Dark-subtracted counts; NaN where nothing was measured.
    """
    cube = np.asarray(spectra, dtype=float)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    style.draw_map(
        figure, left, x_um, y_um, cube.sum(axis=-1), "intensity (counts)", colour_map=style.INTENSITY_MAP
    )
    left.set_title("intensity")
    return _with_mean(figure, left, right, wavelength_nm, cube.reshape(-1, cube.shape[-1]))


def stack_overview(
    wavelength_nm: ArrayLike, time_s: ArrayLike, spectra: ArrayLike, *, numbered: bool = False
) -> Figure:
    """Spectra against time and their mean; with ``numbered`` the times are numbers of spectra.

    Parameters
    ----------
    wavelength_nm : array_like, shape (channels,)
    time_s : array_like, shape (n,)
    spectra : array_like, shape (n, channels)
        Dark-subtracted counts.
    """
    rows = np.asarray(spectra, dtype=float)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_stack(figure, left, wavelength_nm, time_s, rows)
    if numbered:
        left.set(ylabel="number of the spectrum", title="spectra in their order")
    return _with_mean(figure, left, right, wavelength_nm, rows)


def _with_mean(
    figure: Figure, left: Axes, right: Axes, wavelength_nm: ArrayLike, rows: NDArray[np.float64]
) -> Figure:
    wavelength = np.asarray(wavelength_nm, dtype=float)
    measured = rows[np.isfinite(rows).all(axis=1)]
    right.set(xlabel="wavelength (nm)", ylabel="intensity (counts)", title="mean spectrum")
    if len(measured):
        mean, scatter = measured.mean(axis=0), measured.std(axis=0)
        seen = style.emitting_window(wavelength, mean)
        right.fill_between(
            wavelength[seen], (mean - scatter)[seen], (mean + scatter)[seen], color="0.5", alpha=0.3, lw=0,
            label="scatter",
        )  # fmt: skip
        right.plot(wavelength[seen], mean[seen], color="black", lw=1, label="mean")
        style.legend(right)
    style.panel_letters(left, right)
    return figure
