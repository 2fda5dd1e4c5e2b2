"""First exciton from an absorption spectrum: the minimum of the second derivative."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import savgol_coeffs, savgol_filter

from halidescope.analysis.robust import scatter

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Exciton:
    """Position of the first exciton in eV with the error that the noise of the absorbance gives it."""

    energy_ev: float
    energy_ev_se: float
    curvature: float
    significance: float


def first_exciton(
    energy_ev: ArrayLike,
    absorbance: ArrayLike,
    *,
    window_ev: float = 0.08,
    between_ev: tuple[float, float] | None = None,
) -> Exciton:
    """Find the deepest minimum of the second derivative of the absorbance over energy.

    The spectrum is put on an even energy grid and differentiated by local cubic polynomials (A. Savitzky, M. J. E.
    Golay, Anal. Chem. 36, 1627, 1964) over ``window_ev``; the minimum is where its slope, by parabolas over half a
    window that slides along, changes sign. The noise is estimated from the spectrum itself. Where the slope keeps its
    sign around the lowest point, that point is given, with a standard error of NaN.

    Parameters
    ----------
    energy_ev, absorbance : (n,)
        In any order; energies all different.
    window_ev : float
        Wider smooths more; about the line width.
    between_ev : (low, high), optional
        Where to search; the whole spectrum without half a window at both ends by default.

    Raises
    ------
    ValueError
        Lengths that differ, values that are not finite, a window of fewer than seven points or wider than the data.
    """
    energy, values = np.asarray(energy_ev, dtype=np.float64), np.asarray(absorbance, dtype=np.float64)
    if energy.ndim != 1 or values.shape != energy.shape or not np.isfinite([energy, values]).all():
        raise ValueError(f"energies {energy.shape}, absorbance {values.shape}: give two equal lists of finite values")
    order = np.argsort(energy)
    energy, values = energy[order], values[order]
    if not (np.diff(energy) > 0).all():
        raise ValueError("energies must all be different")
    step = float(np.median(np.diff(energy)))
    grid = np.arange(energy[0], energy[-1], step)
    even = np.interp(grid, energy, values)
    points = round(window_ev / step) | 1
    if points < 7 or points >= grid.size // 2:
        raise ValueError(f"a window of {window_ev} eV has {points} of {grid.size} points; at least 7, at most half")
    if np.ptp(values) == 0:
        raise ValueError("the absorbance is the same at all energies: there is no exciton in it")
    second = savgol_filter(even, points, 3, deriv=2, delta=step)
    half = points // 2
    low, high = between_ev if between_ev is not None else (grid[0], grid[-1])
    inside = (grid >= max(low, grid[half])) & (grid <= min(high, grid[-half - 1]))
    if not inside.any():
        raise ValueError(
            f"nothing to search between {low:g} and {high:g} eV: the data reach from {grid[0]:g} to {grid[-1]:g} eV"
        )
    at = int(np.flatnonzero(inside)[np.argmin(second[inside])])
    reach = max(half // 2, 2)
    design = np.linalg.pinv(np.vander(step * np.arange(-reach, reach + 1), 3))
    # noise of the points as measured, from third differences (a smooth curve has none); interpolated ones are quieter
    noise = scatter(np.diff(values, 3)) / np.sqrt(20.0)
    kernel = savgol_coeffs(points, 3, deriv=2, delta=step, use="dot")

    def filtered(row: Numbers, centre: int) -> Numbers:
        """A filter of the second derivative around a grid point, as one of the points measured."""
        beside = half + len(row) // 2
        around = grid[centre] + step * np.arange(-beside, beside + 1)
        return _on_measured(np.convolve(row, kernel), around, energy)

    position, error = float(grid[at]), np.nan
    centres = np.arange(max(at - reach, half + reach), min(at + reach + 2, grid.size - half - reach))
    slopes = np.array([design[1] @ second[k - reach : k + reach + 1] for k in centres])
    rising = np.flatnonzero((slopes[:-1] <= 0) & (slopes[1:] > 0))
    if rising.size:
        # between two grid points: not at that of a parabola around one, which jumps with the lowest point
        k = int(rising[np.argmin(np.abs(centres[rising] - at))])
        steepness = (slopes[k + 1] - slopes[k]) / step
        share = -slopes[k] / (slopes[k + 1] - slopes[k])
        position = float(grid[centres[k]] + share * step)
        response = (1 - share) * filtered(design[1], centres[k]) + share * filtered(design[1], centres[k + 1])
        error = noise * float(np.sqrt(response @ response)) / float(steepness)
    level = filtered(design[2], min(max(at, half + reach), grid.size - half - reach - 1))
    spread = noise * float(np.sqrt(level @ level))
    return Exciton(
        energy_ev=position,
        energy_ev_se=error,
        curvature=float(second[at]),
        significance=float(-second[at] / spread) if spread > 0 else np.inf,
    )


def _on_measured(filter_on_grid: Numbers, grid: Numbers, energy: Numbers) -> Numbers:
    """What a filter of values interpolated at ``grid`` does to the values measured at ``energy``."""
    left = np.clip(np.searchsorted(energy, grid, side="right") - 1, 0, energy.size - 2)
    share = (grid - energy[left]) / (energy[left + 1] - energy[left])
    out = np.zeros(energy.size)
    np.add.at(out, left, filter_on_grid * (1 - share))
    np.add.at(out, left + 1, filter_on_grid * share)
    return out
