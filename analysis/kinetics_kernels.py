"""Compiled loops of :mod:`halidescope.analysis.kinetics`: variable projection for one or two exponentials.

Time is dimensionless here (0 … 1). For given rates the amplitudes are a linear problem and are eliminated; the rates
move by Gauss-Newton steps on what is left (L. Kaufman, BIT 15, 1975, 49), damped as by Levenberg and Marquardt.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.fast_exp import exp_below_zero

Array = NDArray[np.float64]

CLOSEST = 1.05     # k1 / k2 at least: closer rates are one rate within any error, and their covariance is singular
MOST_STEPS = 100
SETTLED = 1e-6     # last relative step of a rate: the error left is its square
FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def decay(time: Array, rate: float, out: Array) -> None:
    """e^(−rate · time), rate and times not negative."""
    for j in range(time.size):
        out[j] = exp_below_zero(-rate * time[j])


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def moments(time: Array, values: Array, weights: Array, e1: Array, e2: Array, out: Array) -> None:
    """Σ w t^p e_a e_b for p = 0, 1, 2 and (a, b) = (1, 1), (1, 2), (2, 2); Σ w t^p e_a y for p = 0, 1 and a = 1, 2."""
    p0 = p1 = p2 = q0 = q1 = q2 = r0 = r1 = r2 = 0.0
    c0 = c1 = d0 = d1 = 0.0
    for j in range(time.size):
        t = time[j]
        a = e1[j]
        b = e2[j]
        wa = weights[j] * a
        wb = weights[j] * b
        aa = wa * a
        ab = wa * b
        bb = wb * b
        p0 += aa
        p1 += aa * t
        p2 += aa * t * t
        q0 += ab
        q1 += ab * t
        q2 += ab * t * t
        r0 += bb
        r1 += bb * t
        r2 += bb * t * t
        ya = wa * values[j]
        yb = wb * values[j]
        c0 += ya
        c1 += ya * t
        d0 += yb
        d1 += yb * t
    out[0], out[1], out[2] = p0, p1, p2
    out[3], out[4], out[5] = q0, q1, q2
    out[6], out[7], out[8] = r0, r1, r2
    out[9], out[10], out[11], out[12] = c0, c1, d0, d1


@njit(cache=True, nogil=True)
def project(
    time: Array, values: Array, weights: Array, total: float, rates: Array, work: Array, amplitudes: Array, gram: Array,
    slope: Array,
) -> float:  # fmt: skip
    """Best amplitudes at two rates; fills the 4 × 4 Gram matrix of (e1, e2, ∂1, ∂2) and the slopes; returns χ².

    ∂i = ∂model/∂k_i = −a_i t e^(−k_i t). ``total`` is Σ w y²; χ² is exact to its rounding. ``work`` (3, time).
    """
    decay(time, rates[0], work[0])
    decay(time, rates[1], work[1])
    s = work[2]
    moments(time, values, weights, work[0], work[1], s)
    determinant = s[0] * s[6] - s[3] * s[3]
    if determinant > 1e-13 * s[0] * s[6]:
        a = (s[6] * s[9] - s[3] * s[11]) / determinant
        b = (s[0] * s[11] - s[3] * s[9]) / determinant
    else:   # one of the two is not visible in these samples
        a = 0.0
        b = s[11] / s[6] if s[6] > 0.0 else 0.0
    amplitudes[0], amplitudes[1] = a, b
    gram[0, 0], gram[1, 0], gram[1, 1] = s[0], s[3], s[6]
    gram[2, 0], gram[2, 1], gram[3, 0], gram[3, 1] = -a * s[1], -a * s[4], -b * s[4], -b * s[7]
    gram[2, 2], gram[3, 2], gram[3, 3] = a * a * s[2], a * b * s[5], b * b * s[8]
    for i in range(4):
        for m in range(i):
            gram[m, i] = gram[i, m]
    slope[0] = -a * (s[10] - a * s[1] - b * s[4])
    slope[1] = -b * (s[12] - a * s[4] - b * s[7])
    return max(total - a * s[9] - b * s[11], 0.0)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def residual_squares(values: Array, weights: Array, a: float, e1: Array, b: float, e2: Array) -> float:
    """χ² sample by sample."""
    squares = 0.0
    for j in range(values.size):
        residual = values[j] - a * e1[j] - b * e2[j]
        squares += weights[j] * residual * residual
    return squares


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def weighted(a: Array, b: Array, weights: Array) -> float:
    """Σ w a b."""
    total = 0.0
    for j in range(a.size):
        total += weights[j] * a[j] * b[j]
    return total


@njit(cache=True, nogil=True)
def reduced_step(gram: Array, slope: Array, damping: float, step: Array) -> None:
    """Damped Gauss-Newton step of the two rates with the amplitudes eliminated (Schur complement)."""
    g11, g12, g22 = gram[0, 0], gram[0, 1], gram[1, 1]
    s11, s12, s22 = gram[2, 2], gram[2, 3], gram[3, 3]
    determinant = g11 * g22 - g12 * g12
    if determinant > 1e-13 * g11 * g22:
        p0, p1, q0, q1 = gram[2, 0], gram[2, 1], gram[3, 0], gram[3, 1]
        s11 -= (p0 * (g22 * p0 - g12 * p1) + p1 * (g11 * p1 - g12 * p0)) / determinant
        s12 -= (p0 * (g22 * q0 - g12 * q1) + p1 * (g11 * q1 - g12 * q0)) / determinant
        s22 -= (q0 * (g22 * q0 - g12 * q1) + q1 * (g11 * q1 - g12 * q0)) / determinant
    s11 += damping * gram[2, 2]
    s22 += damping * gram[3, 3]
    determinant = s11 * s22 - s12 * s12
    if determinant > 1e-15 * abs(s11 * s22):
        step[0] = (s22 * slope[0] - s12 * slope[1]) / determinant
        step[1] = (s11 * slope[1] - s12 * slope[0]) / determinant
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
    time: Array, values: Array, weights: Array, total: float, fastest: float, work: Array, rates: Array,
    amplitudes: Array, gram: Array,
) -> tuple[float, bool]:  # fmt: skip
    """Settle two rates from their start, in place, fast one first; returns χ² and whether it settled."""
    slope = np.empty(2)
    step = np.empty(2)
    trial = np.empty(2)
    trial_amplitudes = np.empty(2)
    trial_gram = np.empty((4, 4))
    trial_slope = np.empty(2)
    rounding = 1e-14 * total
    best = project(time, values, weights, total, rates, work, amplitudes, gram, slope)
    damping = 1e-3
    settled = False
    for _ in range(MOST_STEPS):
        reduced_step(gram, slope, damping, step)
        trial[0] = bounded(rates[0], step[0], fastest)
        trial[1] = bounded(rates[1], step[1], fastest)
        if trial[0] < trial[1]:
            trial[0], trial[1] = trial[1], trial[0]
        if trial[0] < CLOSEST * trial[1]:
            middle = np.sqrt(trial[0] * trial[1])
            trial[0] = min(middle * np.sqrt(CLOSEST), fastest)
            trial[1] = trial[0] / CLOSEST
        squares = project(time, values, weights, total, trial, work, trial_amplitudes, trial_gram, trial_slope)
        moved = max(abs(trial[0] - rates[0]) / (rates[0] + 1e-3), abs(trial[1] - rates[1]) / (rates[1] + 1e-3))
        if squares <= best + rounding:
            best = squares
            for a in range(2):
                rates[a], amplitudes[a], slope[a] = trial[a], trial_amplitudes[a], trial_slope[a]
            for a in range(4):
                for b in range(4):
                    gram[a, b] = trial_gram[a, b]
            damping = max(0.05 * damping, 1e-14)
            if moved < SETTLED:
                settled = True
                break
        else:
            if moved < SETTLED or damping > 1e12:
                settled = True   # no downhill left within rounding
                break
            damping *= 10.0
    decay(time, rates[0], work[0])
    decay(time, rates[1], work[1])
    return residual_squares(values, weights, amplitudes[0], work[0], amplitudes[1], work[1]), settled


@njit(cache=True, nogil=True)
def polish_one(
    time: Array, values: Array, weights: Array, total: float, fastest: float, work: Array, start: float
) -> tuple[float, float, float, float]:
    """Settle one exponential: rate, amplitude, χ², inverse variance of the rate with the amplitude eliminated."""
    rate = candidate = start
    amplitude = information = 0.0
    best = np.inf
    damping, step = 1e-3, 0.0
    s = work[2]
    for _ in range(MOST_STEPS):
        decay(time, candidate, work[0])
        moments(time, values, weights, work[0], work[0], s)
        if not s[0] > 0.0:
            break
        a = s[9] / s[0]
        squares = max(total - a * s[9], 0.0)
        moved = abs(candidate - rate) / (rate + 1e-3)
        if squares <= best + 1e-14 * total:
            first = best == np.inf
            best, rate, amplitude = squares, candidate, a
            information = a * a * (s[2] - s[1] * s[1] / s[0])
            if moved < SETTLED and not first:
                break
            damping = max(0.05 * damping, 1e-14)
            slope = -a * (s[10] - a * s[1])
            curvature = information + damping * a * a * s[2]
            step = slope / curvature if curvature > 0.0 else 0.0
        else:
            damping *= 10.0
            step *= 0.1
            if damping > 1e12 or moved < SETTLED:
                break
        candidate = bounded(rate, step, fastest)
    decay(time, rate, work[0])
    return rate, amplitude, residual_squares(values, weights, amplitude, work[0], 0.0, work[0]), information


@njit(cache=True, nogil=True)
def is_summit(gains: Array, i: int, m: int) -> bool:
    """No neighbour of a pair of starting rates explains more: only such pairs lead to minima of their own."""
    size = gains.shape[0]
    for a in range(max(i - 1, 0), min(i + 2, size)):
        for b in range(max(m - 1, 0), min(m + 2, size)):
            if a != b and gains[a, b] > gains[i, m]:
                return False
    return True


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
    plain: Array,
) -> None:
    """Two exponentials and one exponential for every row of ``values`` (n, m).

    ``weights`` is (n, m), 0 where a sample is missing. ``grid`` holds the rates to start from, ascending, the first
    may be 0. Results: ``rates`` and ``amplitudes`` (n, 2), ``grams`` (n, 4, 4) in the order (k1, k2, a1, a2),
    ``squares`` (n,), ``settled`` (n,), ``single`` (n, 4): rate, amplitude, χ², information of the rate,
    ``plain`` (n,): sum of squared residuals without weights.
    """
    size = grid.size
    fastest = grid[size - 1]
    shapes = np.empty((size, time.size))
    for i in range(size):
        decay(time, grid[i], shapes[i])
    overlaps, gains = np.empty((size, size)), np.empty((size, size))
    right = np.empty(size)
    work = np.empty((3, max(time.size, 13)))
    trial, trial_amplitudes, trial_gram = np.empty(2), np.empty(2), np.empty((4, 4))
    for row in range(values.shape[0]):
        w, y = weights[row], values[row]
        total = weighted(y, y, w)
        for i in range(size):
            right[i] = weighted(shapes[i], y, w)
        same = row > 0
        for j in range(time.size):
            same = same and w[j] == weights[row - 1, j]
        if not same:
            for i in range(size):
                for m in range(i + 1):
                    overlaps[i, m] = overlaps[m, i] = weighted(shapes[i], shapes[m], w)
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
                gains[i, m] = gains[m, i] = gain
        best = np.inf
        for i in range(1, size):
            for m in range(i):
                if not is_summit(gains, i, m):
                    continue
                trial[0], trial[1] = grid[i], grid[m]
                found, quiet = polish(time, y, w, total, fastest, work, trial, trial_amplitudes, trial_gram)
                if found < best:
                    best = found
                    settled[row] = quiet
                    for a in range(2):
                        rates[row, a], amplitudes[row, a] = trial[a], trial_amplitudes[a]
                    for a in range(4):
                        for b in range(4):
                            grams[row, (a + 2) % 4, (b + 2) % 4] = trial_gram[a, b]
        squares[row] = best
        decay(time, rates[row, 0], work[0])
        decay(time, rates[row, 1], work[1])
        total_plain = 0.0
        for j in range(time.size):
            if w[j] > 0.0:
                residual = y[j] - amplitudes[row, 0] * work[0, j] - amplitudes[row, 1] * work[1, j]
                total_plain += residual * residual
        plain[row] = total_plain
        rate, amplitude, found, information = polish_one(time, y, w, total, fastest, work, start_single)
        single[row, 0], single[row, 1], single[row, 2], single[row, 3] = rate, amplitude, found, information
