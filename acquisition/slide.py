"""How far a film slid: a short line of points, measured before and again, is cross-correlated. Numbers only.

What is measured again, and what becomes of the answer, is in :mod:`halidescope.acquisition.second_look`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

BANDS = 16        # of a spectrum, so that colours count as well as brightness
FEWEST = 5        # points of a line
PER_STEP = 10     # trial distances from one point to the next
CERTAIN = 4.0     # standard errors by which a correlation must rise above chance; there are some dozen chances


@dataclass(frozen=True)
class Slide:
    """How far the film moved along a line since it was measured first.

    Attributes
    ----------
    distance_um, se_um : float
        Positive if it moved towards larger coordinates, and its standard error.
    correlation : float
        Of what varies along the line, then and now, at that distance.
    """

    distance_um: float
    se_um: float
    correlation: float


def bands(counts: NDArray, dark: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts above the dark in :data:`BANDS` bands of channels, shape (points, bands)."""
    edges = np.linspace(0, counts.shape[-1], BANDS + 1).astype(np.intp)[:-1]
    return np.add.reduceat(np.asarray(counts, np.float64) - dark, edges, axis=-1)


def richest_line(grid: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """The stretch of neighbours along the last-but-one axis that differ most, in units of their noise.

    Parameters
    ----------
    grid : ndarray, shape (lines, places, bands)
        NaN where nothing was measured.
    points : int
        How many at most.

    Returns
    -------
    ndarray, shape (points or fewer,)
        Indices into the flattened grid, line × places + place; empty if no :data:`FEWEST` neighbours are there.
    """
    steps = np.diff(grid, axis=1)
    measured = steps[~np.isnan(steps[..., 0])]
    if len(measured) < FEWEST - 1:
        return np.empty(0, np.int64)
    noise = np.maximum(grid[:, 1:] + grid[:, :-1], 0.0) + _quietest(measured)
    differs = (steps**2 / noise).sum(axis=-1)
    best, found = -1.0, np.empty(0, np.int64)
    for length in range(min(points, grid.shape[1]), FEWEST - 1, -1):      # a shorter one may lie where more happens
        score = np.nan_to_num(sliding_window_view(differs, length - 1, axis=1).sum(axis=-1), nan=-1.0)
        line, first = np.unravel_index(np.argmax(score), score.shape)
        if score[line, first] > best:
            best, found = float(score[line, first]), line * grid.shape[1] + first + np.arange(length)
    return found


def slide(at_um: NDArray[np.float64], then: NDArray[np.float64], now: NDArray[np.float64]) -> Slide | None:
    """Fit ``now(x) = a then(x − d)`` for gain a and distance d, |d| up to half the line.

    The weights are those of shot noise and of the quietest band's; the error is scaled by what the fit leaves over, so
    a detector's gain, read noise and a film that changed a little widen it.

    Parameters
    ----------
    at_um : ndarray, shape (points,)
        Ascending places along the line.
    then, now : ndarray, shape (points, bands)
        Counts above the dark.

    Returns
    -------
    Slide or None
        None if the line is too even, or too changed, to tell.
    """
    from scipy.interpolate import CubicSpline  # at use: every engine starts with this module, few need these
    from scipy.optimize import minimize_scalar

    if np.ptp(then) == 0 or np.ptp(now) == 0 or then.sum() <= 0 or now.sum() <= 0:
        return None
    spline = CubicSpline(at_um, then, axis=0)
    floor = _quietest(np.diff(then, axis=0)) + _quietest(np.diff(now, axis=0))
    reach = 0.5 * float(at_um[-1] - at_um[0])
    trials = np.linspace(-reach, reach, PER_STEP * (len(at_um) - 1) + 1)

    def left_over(distance: float) -> float:
        return _fit(spline, at_um, now, floor, distance)[0]

    best = trials[np.argmin([left_over(trial) for trial in trials])]
    width = trials[1] - trials[0]
    low, high = max(best - width, -reach), min(best + width, reach)
    distance = float(minimize_scalar(left_over, bounds=(low, high), method="bounded", options={"xatol": 1e-4}).x)
    _, se, correlation, count = _fit(spline, at_um, now, floor, distance)
    if correlation < CERTAIN / np.sqrt(count) or abs(distance) > reach - width:
        return None
    return Slide(distance, se, correlation)


def _quietest(steps: NDArray[np.float64]) -> float:
    """Variance of the quietest band, from its differences between neighbours; the detector's, where it is dark."""
    return max(0.5 * float(steps.var(axis=0).min()), 1.0)


def _fit(
    spline: "CubicSpline", at_um: NDArray[np.float64], now: NDArray[np.float64], floor: float, distance: float
) -> tuple[float, float, float, int]:
    """At one distance: χ² per degree of freedom, error of the distance, correlation, numbers compared."""
    there = (at_um - distance >= at_um[0]) & (at_um - distance <= at_um[-1])
    then, slope, seen = spline(at_um[there] - distance), spline(at_um[there] - distance, 1), now[there]
    weights = 1.0 / (np.maximum(seen + then, 0.0) + floor)
    gain = float((weights * then * seen).sum() / (weights * then**2).sum())
    rest = float((weights * (seen - gain * then) ** 2).sum()) / (seen.size - 2)
    design = np.stack([then.ravel(), -gain * slope.ravel()])
    information = (design * weights.ravel()) @ design.T
    variance = information[0, 0] / np.linalg.det(information) * rest
    varies_then, varies_now = (
        np.sqrt(weights) * (values - np.average(values, axis=0, weights=weights)) for values in (then, seen)
    )
    norm = np.sqrt((varies_then**2).sum() * (varies_now**2).sum())
    return rest, float(np.sqrt(variance)), float((varies_then * varies_now).sum() / norm), seen.size
