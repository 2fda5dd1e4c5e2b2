"""How far a film slid: a short line of points, measured before and again, is cross-correlated. Numbers only.

What is measured again, and what becomes of the answer, is in :mod:`halidescope.acquisition.second_look`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

BANDS = 16        # of a spectrum, so that colours count as well as brightness
FEWEST = 5        # points of a line
PER_STEP = 10     # trial distances from one point to the next
NOISY = 5.0       # times the noise that may be left over; more, and the film itself is another …
EXPLAINED = 0.25  # … unless that is less than this part of what a film that stayed leaves over: points are coarse, too
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
    """Fit ``now(x) = a then(x − d)`` for distance d, |d| up to half the line, and a gain a of every band.

    Light changes a film's colour, much the same all along a line; the gains take that up. The weights are those of shot
    noise and of the quietest band's. The error is a jackknife's, over the points: a place that changed by itself pulls
    at the distance, and leaving it out shows how much.

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
    from scipy.interpolate import CubicSpline  # at use: every engine starts with this module, few need it

    if np.ptp(then) == 0 or np.ptp(now) == 0 or then.sum() <= 0 or now.sum() <= 0:
        return None
    floor = _quietest(np.diff(then, axis=0)) + _quietest(np.diff(now, axis=0))
    reach = 0.5 * float(at_um[-1] - at_um[0])
    trials = np.linspace(-reach, reach, PER_STEP * (len(at_um) - 1) + 1)
    came_from = at_um - trials[:, None]
    there = (came_from >= at_um[0]) & (came_from <= at_um[-1])
    expected = CubicSpline(at_um, then, axis=0)(came_from)
    weights = there[..., None] / (np.maximum(now + expected, 0.0) + floor)
    products = weights * np.stack([expected**2, expected * now, np.broadcast_to(now**2, expected.shape)])
    sums, compared = products.sum(axis=2), there.sum(axis=1)
    left_over = _left_over(sums, compared)
    distance = _lowest(trials, left_over)
    without = np.array([
        _lowest(trials, _left_over(sums - products[:, :, k], compared - there[:, k])) for k in range(len(at_um))
    ])
    nearest = int(np.argmin(np.abs(trials - distance)))
    seen = there[nearest]
    correlation = _correlation(expected[nearest, seen], now[seen], weights[nearest, seen])
    enough = correlation >= CERTAIN / np.sqrt(now[seen].size)
    changed = left_over[nearest] > max(NOISY, EXPLAINED * left_over[len(trials) // 2])     # the middle one: no distance
    if not enough or changed or abs(distance) > reach - (trials[1] - trials[0]):
        return None
    se = np.sqrt((len(at_um) - 1) * np.mean((without - without.mean()) ** 2))
    return Slide(distance, float(se), correlation)


def _quietest(steps: NDArray[np.float64]) -> float:
    """Variance of the quietest band, from its differences between neighbours; the detector's, where it is dark."""
    return max(0.5 * float(steps.var(axis=0).min()), 1.0)


def _left_over(products: NDArray[np.float64], points: NDArray[np.intp]) -> NDArray[np.float64]:
    """χ² per degree of freedom at every trial distance, each band with its best gain.

    Parameters
    ----------
    products : ndarray, shape (3, trials, bands)
        Weighted sums over the points: expected², expected × now, now².
    points : ndarray, shape (trials,)
        How many points were compared.
    """
    expected, crossed, now = products
    many = products.shape[2]
    chi2 = (now - crossed**2 / np.maximum(expected, np.finfo(float).tiny)).sum(axis=1)
    return np.where(points > 1, chi2 / np.maximum((points - 1) * many - 1, 1), np.inf)


def _lowest(trials: NDArray[np.float64], left_over: NDArray[np.float64]) -> float:
    """Where a curve is lowest, between trials by a parabola through three."""
    k = int(np.argmin(left_over))
    if not 0 < k < len(trials) - 1:
        return float(trials[k])
    before, here, after = left_over[k - 1 : k + 2]
    bend = before - 2.0 * here + after
    if not (np.isfinite(bend) and bend > 0):
        return float(trials[k])
    return float(trials[k] + 0.5 * (before - after) / bend * (trials[1] - trials[0]))


def _correlation(then: NDArray[np.float64], now: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Of what varies along the line."""
    varies_then, varies_now = (
        np.sqrt(weights) * (values - np.average(values, axis=0, weights=weights)) for values in (then, now)
    )
    norm = np.sqrt((varies_then**2).sum() * (varies_now**2).sum())
    return float((varies_then * varies_now).sum() / norm) if norm > 0 else 0.0
