"""First exciton from an absorption spectrum: the minimum of the second derivative."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import savgol_coeffs, savgol_filter

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
    Golay, Anal. Chem. 36, 1627, 1964) over ``window_ev``; the minimum is that of a parabola through the lowest point
    and its neighbours half a window away. The noise is estimated from the spectrum itself.

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
    first, last = max(at - reach, half), min(at + reach + 1, grid.size - half)
    parabola = np.polyfit(grid[first:last] - grid[at], second[first:last], 2)
    # noise of the points as measured, from third differences (a smooth curve has none); interpolated ones are quieter
    noise = 1.4826 * float(np.median(np.abs(np.diff(values, 3)))) / np.sqrt(20.0)
    # the minimum moves by −b/2a; b is a linear filter of the points, a is large against its error
    kernel = savgol_coeffs(points, 3, deriv=2, delta=step, use="dot")
    design = np.linalg.pinv(np.vander(grid[first:last] - grid[at], 3))
    response = _on_measured(np.convolve(design[1], kernel), grid[first - half : last + half], energy)
    level = _on_measured(np.convolve(design[2], kernel), grid[first - half : last + half], energy)
    curvature = float(parabola[0])
    position = float(grid[at] - parabola[1] / (2 * curvature)) if curvature > 0 else float(grid[at])
    spread = noise * float(np.sqrt(level @ level))
    return Exciton(
        energy_ev=position,
        energy_ev_se=noise * float(np.sqrt(response @ response)) / (2 * abs(curvature)) if curvature else np.nan,
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
