"""Compiled loops of :mod:`halidescope.analysis.peaks`: damped Fisher scoring of one spectrum after the other.

Shapes and their parameters are in :mod:`~halidescope.analysis.line_shapes`.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.line_shapes import HEIGHT, PLACE, TWO, WIDTH, shape_at
from halidescope.analysis.peaks_starts import start_from_boxes, start_from_moments

Array = NDArray[np.float64]
Counts = NDArray[np.generic]

MOST_STEPS = 200
PATIENCE = 20   # steps after which what hardly rises above the noise is given up: dark pixels would take all of them
HOPELESS = 4.0  # standard errors of the height
FLOOR = 0.01   # smallest variance of a channel, in mean variances


@njit(cache=True, nogil=True)
def normal_equations(
    code: int, x: Array, y: Array, weights: Array, p: Array, slope: Array, gram: Array, right: Array
) -> float:
    """Gram matrix, right-hand side and χ² of one linearisation."""
    m = p.size
    for a in range(m):
        right[a] = 0.0
        for b in range(m):
            gram[a, b] = 0.0
    squares = 0.0
    for j in range(x.size):
        w = weights[j]
        if w == 0.0:
            continue
        residual = y[j] - shape_at(code, x[j], p, slope)
        squares += w * residual * residual
        for a in range(m):
            weighted = w * slope[a]
            right[a] += weighted * residual
            for b in range(a + 1):
                gram[a, b] += weighted * slope[b]
    for a in range(m):
        for b in range(a):
            gram[b, a] = gram[a, b]
    return squares


@njit(cache=True, nogil=True)
def squares_of(code: int, x: Array, y: Array, weights: Array, p: Array, slope: Array) -> float:
    """χ² at ``p``."""
    squares = 0.0
    for j in range(x.size):
        if weights[j] != 0.0:
            residual = y[j] - shape_at(code, x[j], p, slope)
            squares += weights[j] * residual * residual
    return squares


@njit(cache=True, nogil=True)
def poisson_weights(
    code: int, x: Array, y: Array, background: Array, gain: float, read_variance: Array, p: Array, slope: Array,
    weights: Array,
) -> None:  # fmt: skip
    """Inverse variances from the model: variance = (model + background) / gain + read_variance."""
    mean = 0.0
    for j in range(x.size):
        variance = max(shape_at(code, x[j], p, slope) + background[j], 0.0) / gain + read_variance[j]
        weights[j] = variance
        mean += variance
    floor = FLOOR * mean / x.size
    if not floor > 0.0:
        floor = 1.0 / gain
    for j in range(x.size):
        weights[j] = 0.0 if np.isnan(y[j]) else 1.0 / max(weights[j], floor)


@njit(cache=True, nogil=True)
def solve_damped(gram: Array, right: Array, damping: float, factor: Array, step: Array) -> bool:
    """Solve (G + damping · diag G) step = right by Cholesky; False where that is not positive definite."""
    m = right.size
    for i in range(m):
        for j in range(i + 1):
            total = gram[i, j] * (1.0 + damping) if i == j else gram[i, j]
            for q in range(j):
                total -= factor[i, q] * factor[j, q]
            if i == j:
                if not total > 1e-15 * gram[i, i]:
                    return False
                factor[i, i] = math.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    for i in range(m):
        total = right[i]
        for q in range(i):
            total -= factor[i, q] * step[q]
        step[i] = total / factor[i, i]
    for i in range(m - 1, -1, -1):
        total = step[i]
        for q in range(i + 1, m):
            total -= factor[q, i] * step[q]
        step[i] = total / factor[i, i]
    return True


@njit(cache=True, nogil=True)
def moved_by(p: Array, trial: Array, kinds: NDArray[np.int64]) -> float:
    """Largest step of any parameter, in heights and widths of the peak itself."""
    height = 1e-300
    width = np.inf
    for i in range(p.size):
        if kinds[i] == HEIGHT:
            height = max(height, abs(p[i]))
        elif kinds[i] == WIDTH:
            width = min(width, p[i])
    most = 0.0
    for i in range(p.size):
        most = max(most, abs(trial[i] - p[i]) / (height if kinds[i] == HEIGHT else width))
    return most


@njit(cache=True, nogil=True)
def fit_rows(
    code: int, kinds: NDArray[np.int64], x: Array, rows: Array, background: Array, gain: float, read_variance: Array,
    poisson: bool, by_boxes: bool, parameters: Array, grams: Array, squares: Array,
    settled: NDArray[np.bool_], started: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Fit every row of ``rows`` (n, channels), NaN where a channel is left out; ``x`` ascending.

    Weights come from the model where ``poisson``, else they are 1; they are held while a step is judged and renewed
    after it. ``by_boxes`` says where to start from (:mod:`~halidescope.analysis.peaks_starts`). Results:
    ``parameters`` (n, m), ``grams`` (n, m, m), ``squares`` the plain sum of squared residuals, ``settled``,
    ``started``.
    """
    n, channels = rows.shape
    m = parameters.shape[1]
    weights, slope, gram, right = np.empty(channels), np.empty(m), np.empty((m, m)), np.empty(m)
    factor, step, trial = np.empty((m, m)), np.empty(m), np.empty(m)
    height_only = np.zeros(m)
    height_only[0] = 1.0
    finest = (x[channels - 1] - x[0]) / (20.0 * channels)
    sums = np.empty(channels + 1)
    for row in range(n):
        y = rows[row]
        p = parameters[row]
        settled[row] = False
        if by_boxes:
            started[row] = start_from_boxes(code, x, y, sums, p)
        else:
            started[row] = start_from_moments(code, x, y, p)
        if not started[row]:
            continue
        base = background[row] if background.shape[0] > 1 else background[0]
        for j in range(channels):
            weights[j] = 0.0 if np.isnan(y[j]) else 1.0
        damping = 1e-3
        for number in range(MOST_STEPS):
            if poisson:
                poisson_weights(code, x, y, base, gain, read_variance, p, slope, weights)
            before = normal_equations(code, x, y, weights, p, slope, gram, right)
            if number >= PATIENCE and code != TWO:
                scatter = 1.0 if poisson else before / max(channels - m, 1)
                if not solve_damped(gram, height_only, 0.0, factor, step):
                    break
                if p[0] * p[0] < HOPELESS**2 * scatter * step[0]:
                    break
            accepted = False
            while damping < 1e10:
                if solve_damped(gram, right, damping, factor, step):
                    for i in range(m):
                        trial[i] = p[i] + step[i]
                        if kinds[i] == WIDTH:   # widths stay positive and move by a factor of two at most
                            trial[i] = min(max(trial[i], 0.5 * p[i], finest), 2.0 * p[i])
                        elif kinds[i] == PLACE:
                            trial[i] = min(max(trial[i], x[0]), x[channels - 1])
                    if squares_of(code, x, y, weights, trial, slope) <= before * (1.0 + 1e-13):
                        accepted = True
                        break
                damping *= 10.0
            if not accepted:
                # no downhill within rounding: the minimum, if the gradient says so too
                settled[row] = flat_here(gram, right, before)
                break
            moved = moved_by(p, trial, kinds)
            for i in range(m):
                p[i] = trial[i]
            damping = max(0.1 * damping, 1e-9)
            if moved < 1e-8:
                settled[row] = True
                break
        if poisson:
            poisson_weights(code, x, y, base, gain, read_variance, p, slope, weights)
        normal_equations(code, x, y, weights, p, slope, gram, right)
        for i in range(m):
            for j in range(m):
                grams[row, i, j] = gram[i, j]
        for j in range(channels):
            weights[j] = 0.0 if np.isnan(y[j]) else 1.0
        squares[row] = squares_of(code, x, y, weights, p, slope)


@njit(cache=True, nogil=True)
def flat_here(gram: Array, right: Array, squares: float) -> bool:
    """Would the best undamped step of every single parameter save less than 1e-6 of χ²?"""
    most = 0.0
    for i in range(right.size):
        if gram[i, i] > 0.0:
            most = max(most, right[i] * right[i] / gram[i, i])
    return most <= 1e-6 * squares


@njit(cache=True, nogil=True, error_model="numpy")
def correct_rows(rows: Counts, darks: Array, reverse: bool, values: Array, good: NDArray[np.int64]) -> None:
    """Write rows − darks into ``values`` (n, channels), NaN where not finite, backwards if ``reverse``.

    ``good`` (n,) counts the finite ones.
    """
    channels = values.shape[1]
    for row in range(rows.shape[0]):
        dark = darks[row if darks.shape[0] > 1 else 0]
        good[row] = channels
        for j in range(channels):
            source = channels - 1 - j if reverse else j
            value = float(rows[row, source]) - dark[source]
            if not math.isfinite(value):
                value = np.nan
                good[row] -= 1
            values[row, j] = value


@njit(cache=True, nogil=True)
def misfits(
    code: int, x: Array, rows: Array, background: Array, gain: float, read_variance: Array, poisson: bool,
    parameters: Array, out: Array,
) -> None:  # fmt: skip
    """How badly curves fit rows (n, channels): Σ residual², or −2 ln of the Poisson likelihood.

    Read noise is counted as if it were light of the same variance.
    """
    slope = np.empty(parameters.shape[1])
    for row in range(rows.shape[0]):
        base = background[row] if background.shape[0] > 1 else background[0]
        total = 0.0
        for j in range(x.size):
            y = rows[row, j]
            if np.isnan(y):
                continue
            model = shape_at(code, x[j], parameters[row], slope)
            if poisson:
                more = base[j] + gain * read_variance[j]
                expected = max(gain * (model + more), 1e-9)
                total += 2.0 * (expected - gain * (y + more) * math.log(expected))
            else:
                total += (y - model) ** 2
        out[row] = total
