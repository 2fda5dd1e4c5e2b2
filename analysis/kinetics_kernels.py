"""Compiled loops of :mod:`halidescope.analysis.kinetics`: variable projection for one or two exponentials.

Time is dimensionless here (0 … 1). For given rates the amplitudes are a linear problem and are eliminated; the rates
move by Gauss-Newton steps on what is left (L. Kaufman, BIT 15, 1975, 49), damped as by Levenberg and Marquardt.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

CLOSEST = 1.05     # k1 / k2 at least: closer rates are one rate within any error, and their covariance is singular
MOST_STEPS = 100
STARTS = 4


@njit(cache=True, nogil=True)
def project(
    time: Array, values: Array, weights: Array, rates: Array, amplitudes: Array, gram: Array, slope: Array
) -> float:
    """Best amplitudes at two rates; fills the 4 × 4 Gram matrix of (e1, e2, ∂1, ∂2) and the slopes; returns χ².

    ∂i = ∂model/∂k_i = −a_i t e^(−k_i t).
    """
    g11 = g12 = g22 = c1 = c2 = 0.0
    for j in range(time.size):
        w = weights[j]
        if w == 0.0:
            continue
        e1 = np.exp(-rates[0] * time[j])
        e2 = np.exp(-rates[1] * time[j])
        g11 += w * e1 * e1
        g12 += w * e1 * e2
        g22 += w * e2 * e2
        c1 += w * e1 * values[j]
        c2 += w * e2 * values[j]
    determinant = g11 * g22 - g12 * g12
    if determinant > 1e-13 * g11 * g22:
        amplitudes[0] = (g22 * c1 - g12 * c2) / determinant
        amplitudes[1] = (g11 * c2 - g12 * c1) / determinant
    else:   # one of the two is not visible in these samples
        amplitudes[0] = 0.0
        amplitudes[1] = c2 / g22 if g22 > 0.0 else 0.0
    for a in range(4):
        for b in range(4):
            gram[a, b] = 0.0
    slope[0] = slope[1] = 0.0
    row = np.empty(4)
    squares = 0.0
    for j in range(time.size):
        w = weights[j]
        if w == 0.0:
            continue
        row[0] = np.exp(-rates[0] * time[j])
        row[1] = np.exp(-rates[1] * time[j])
        residual = values[j] - amplitudes[0] * row[0] - amplitudes[1] * row[1]
        row[2] = -amplitudes[0] * time[j] * row[0]
        row[3] = -amplitudes[1] * time[j] * row[1]
        squares += w * residual * residual
        for a in range(4):
            for b in range(a + 1):
                gram[a, b] += w * row[a] * row[b]
        slope[0] += w * row[2] * residual
        slope[1] += w * row[3] * residual
    for a in range(4):
        for b in range(a):
            gram[b, a] = gram[a, b]
    return squares


@njit(cache=True, nogil=True)
def reduced_step(gram: Array, slope: Array, damping: float, step: Array) -> None:
    """Damped Gauss-Newton step of the two rates with the amplitudes eliminated (Schur complement)."""
    g11, g12, g22 = gram[0, 0], gram[0, 1], gram[1, 1]
    determinant = g11 * g22 - g12 * g12
    schur = np.empty((2, 2))
    for a in range(2):
        for b in range(2):
            schur[a, b] = gram[2 + a, 2 + b]
            if determinant > 1e-13 * g11 * g22:
                p0, p1 = gram[2 + a, 0], gram[2 + a, 1]
                q0, q1 = gram[2 + b, 0], gram[2 + b, 1]
                schur[a, b] -= (p0 * (g22 * q0 - g12 * q1) + p1 * (g11 * q1 - g12 * q0)) / determinant
    s11 = schur[0, 0] + damping * gram[2, 2]
    s22 = schur[1, 1] + damping * gram[3, 3]
    determinant = s11 * s22 - schur[0, 1] * schur[1, 0]
    if determinant > 1e-15 * abs(s11 * s22):
        step[0] = (s22 * slope[0] - schur[0, 1] * slope[1]) / determinant
        step[1] = (s11 * slope[1] - schur[1, 0] * slope[0]) / determinant
    else:
        step[0] = slope[0] / s11 if s11 > 0.0 else 0.0
        step[1] = slope[1] / s22 if s22 > 0.0 else 0.0


@njit(cache=True, nogil=True)
def bounded(rate: float, step: float, fastest: float) -> float:
    """A rate after its step: not more than four times away, not negative, not above ``fastest``."""
    wanted = rate + step
    return min(max(wanted, 0.0 if rate < 1e-3 else 0.25 * rate), max(4.0 * rate, 0.1), fastest)


@njit(cache=True, nogil=True)
def polish(
    time: Array, values: Array, weights: Array, fastest: float, rates: Array, amplitudes: Array, gram: Array
) -> tuple[float, bool]:
    """Settle two rates from their start, in place, fast one first; returns χ² and whether it settled."""
    slope = np.empty(2)
    step = np.empty(2)
    trial = np.empty(2)
    trial_amplitudes = np.empty(2)
    trial_gram = np.empty((4, 4))
    trial_slope = np.empty(2)
    total = 0.0
    for j in range(time.size):
        total += weights[j] * values[j] * values[j]
    best = project(time, values, weights, rates, amplitudes, gram, slope)
    damping = 1e-3
    for _ in range(MOST_STEPS):
        if best <= 1e-28 * total:
            return best, True
        reduced_step(gram, slope, damping, step)
        trial[0] = bounded(rates[0], step[0], fastest)
        trial[1] = bounded(rates[1], step[1], fastest)
        if trial[0] < trial[1]:
            trial[0], trial[1] = trial[1], trial[0]
        if trial[0] < CLOSEST * trial[1]:
            middle = np.sqrt(trial[0] * trial[1])
            trial[0] = min(middle * np.sqrt(CLOSEST), fastest)
            trial[1] = trial[0] / CLOSEST
        squares = project(time, values, weights, trial, trial_amplitudes, trial_gram, trial_slope)
        moved = max(abs(trial[0] - rates[0]) / (rates[0] + 1e-3), abs(trial[1] - rates[1]) / (rates[1] + 1e-3))
        if squares <= best:
            settled = moved < 1e-8 or best - squares < 1e-14 * best
            best = squares
            for a in range(2):
                rates[a], amplitudes[a], slope[a] = trial[a], trial_amplitudes[a], trial_slope[a]
            for a in range(4):
                for b in range(4):
                    gram[a, b] = trial_gram[a, b]
            damping = max(0.1 * damping, 1e-12)
            if settled:
                return best, True
        else:
            if moved < 1e-8 or damping > 1e12:
                return best, True   # no downhill left within rounding
            damping *= 10.0
    return best, False


@njit(cache=True, nogil=True)
def polish_one(
    time: Array, values: Array, weights: Array, fastest: float, start: float
) -> tuple[float, float, float, float]:
    """Settle one exponential: rate, amplitude, χ², inverse variance of the rate with the amplitude eliminated."""
    rate = start
    amplitude = information = 0.0
    best = np.inf
    candidate = start
    damping = 1e-3
    step = 0.0
    for _ in range(MOST_STEPS):
        g = c = h = d = 0.0
        for j in range(time.size):
            e = np.exp(-candidate * time[j])
            g += weights[j] * e * e
            c += weights[j] * e * values[j]
            h += weights[j] * time[j] * e * e
            d += weights[j] * time[j] * time[j] * e * e
        if not g > 0.0:
            break
        a = c / g
        squares = slope = 0.0
        for j in range(time.size):
            e = np.exp(-candidate * time[j])
            residual = values[j] - a * e
            squares += weights[j] * residual * residual
            slope -= weights[j] * residual * a * time[j] * e
        if squares <= best:
            settled = best - squares < 1e-14 * best or abs(candidate - rate) < 1e-9 * (rate + 1e-3)
            first = best == np.inf
            best, rate, amplitude = squares, candidate, a
            information = a * a * (d - h * h / g)
            if settled and not first:
                break
            damping = max(0.1 * damping, 1e-12)
            step = slope / (information + damping * a * a * d) if a != 0.0 and d > 0.0 else 0.0
        else:
            damping *= 10.0
            step *= 0.1
            if damping > 1e12:
                break
        candidate = bounded(rate, step, fastest)
    return rate, amplitude, best, information


@njit(cache=True, nogil=True)
def fit_traces(
    time: Array,
    values: Array,
    weights: Array,
    grid: Array,
    rates: Array,
    amplitudes: Array,
    grams: Array,
    squares: Array,
    settled: NDArray[np.bool_],
    single: Array,
) -> None:
    """Two exponentials and one exponential for every row of ``values`` (n, m).

    ``weights`` is (n, m), 0 where a sample is missing. ``grid`` holds the rates to start from, ascending, the first
    may be 0. Results: ``rates`` and ``amplitudes`` (n, 2), ``grams`` (n, 4, 4) in the order (k1, k2, a1, a2),
    ``squares`` (n,), ``settled`` (n,), ``single`` (n, 4): rate, amplitude, χ², information of the rate.
    """
    size = grid.size
    fastest = grid[size - 1]
    shapes = np.empty((size, time.size))
    for i in range(size):
        for j in range(time.size):
            shapes[i, j] = np.exp(-grid[i] * time[j])
    overlaps = np.empty((size, size))
    right = np.empty(size)
    gains = np.empty((size, size))
    trial = np.empty(2)
    trial_amplitudes = np.empty(2)
    trial_gram = np.empty((4, 4))
    for row in range(values.shape[0]):
        w = weights[row]
        y = values[row]
        for i in range(size):
            total = 0.0
            for j in range(time.size):
                total += w[j] * shapes[i, j] * y[j]
            right[i] = total
        same = row > 0
        for j in range(time.size):
            same = same and w[j] == weights[row - 1, j]
        if not same:
            for i in range(size):
                for m in range(i + 1):
                    total = 0.0
                    for j in range(time.size):
                        total += w[j] * shapes[i, j] * shapes[m, j]
                    overlaps[i, m] = total
                    overlaps[m, i] = total
        best_single = -1.0
        start_single = grid[0]
        for i in range(size):
            gain = right[i] * right[i] / overlaps[i, i] if overlaps[i, i] > 0.0 else 0.0
            if gain > best_single:
                best_single = gain
                start_single = grid[i]
            gains[i, i] = gain
            for m in range(i):
                determinant = overlaps[i, i] * overlaps[m, m] - overlaps[i, m] ** 2
                gain = 0.0
                if determinant > 1e-12 * overlaps[i, i] * overlaps[m, m]:
                    gain = (
                        overlaps[m, m] * right[i] ** 2
                        - 2.0 * overlaps[i, m] * right[i] * right[m]
                        + overlaps[i, i] * right[m] ** 2
                    ) / determinant
                gains[i, m] = gain
                gains[m, i] = gain
        best = np.inf
        for _ in range(STARTS):
            top = 0.0
            at_i = -1
            at_m = -1
            for i in range(1, size):
                for m in range(i):
                    if gains[i, m] > top:
                        top = gains[i, m]
                        at_i = i
                        at_m = m
            if at_i < 0:
                break
            # the neighbourhood of a start leads to the same minimum: look elsewhere next time
            for i in range(max(0, at_i - 3), min(size, at_i + 4)):
                for m in range(max(0, at_m - 3), min(size, at_m + 4)):
                    gains[i, m] = -1.0
            trial[0] = grid[at_i]
            trial[1] = grid[at_m]
            found, quiet = polish(time, y, w, fastest, trial, trial_amplitudes, trial_gram)
            if found < best:
                best = found
                settled[row] = quiet
                for a in range(2):
                    rates[row, a], amplitudes[row, a] = trial[a], trial_amplitudes[a]
                for a in range(4):
                    for b in range(4):
                        grams[row, (a + 2) % 4, (b + 2) % 4] = trial_gram[a, b]
        squares[row] = best
        rate, amplitude, found, information = polish_one(time, y, w, fastest, start_single)
        single[row, 0] = rate
        single[row, 1] = amplitude
        single[row, 2] = found
        single[row, 3] = information
