"""Compiled loop of :mod:`halidescope.analysis.kinetics` over traces: one and two exponentials from many starts.

Time is dimensionless here (0 … 1). A grid of rates is common to all traces: what every pair of its rates explains of a
trace is known from one sum for each rate. Only pairs that explain more than their neighbours are starts, so that each
leads to a minimum of its own, and the best of these is the result.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.linear import invert_sized
from halidescope.analysis.varpro import (
    A1,
    A2,
    CLOSEST,
    FAST,
    FIRST_SUM,
    FOUND,
    K1,
    K2,
    PLAIN,
    QUIET,
    SQUARES,
    SUMS,
    decay,
    dot,
    dot_and_moment,
    one_sums,
    polish,
    polish_one,
)

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

# columns of the result
RATES, AMPLITUDES, CHI2, RMS, SETTLED, AT_BOUND, SINGLE, SCATTER, GOOD, CONSTANT = 0, 2, 4, 5, 6, 7, 8, 12, 13, 14
AVERAGE, AVERAGE_SE, HIDDEN = 15, 16, 17
COLUMNS = 18
PARAMETERS = 4
FEWEST = 5      # samples, one more than parameters
FARTHEST_BACK = 300.0   # lifetimes from time 0 to the first sample, beyond which amplitudes at time 0 mean nothing
LITTLE = 40.0   # variances of a sample that the second exponential explains: below, it may be the noise


@njit(cache=True, nogil=True, error_model="numpy")
def overlap(shapes: Array, weights: Array, w: Array, part: Array, rest: Array, inverse: Array) -> None:
    """For all pairs of rates how much of one lies in the other, and the inverse of what is left.

    ``part[i, m]`` = o_im / o_ii, ``rest[i, m]`` = 1 / (o_mm − o_im² / o_ii) with o = Σ w e e, 0 where nothing is left,
    ``inverse[i]`` = 1 / o_ii.
    """
    size, length = shapes.shape
    for i in range(size):
        for j in range(length):
            w[j] = weights[j] * shapes[i, j]
        for m in range(size):
            part[i, m] = dot(w, shapes[m])
    for i in range(size):
        inverse[i] = 1.0 / part[i, i] if part[i, i] > 0.0 else 0.0
    for i in range(size):
        for m in range(i):
            left = part[m, m] - part[i, m] * part[i, m] * inverse[i]
            rest[i, m] = 1.0 / left if left > 1e-12 * part[m, m] else 0.0
    for i in range(size):
        for m in range(i):
            part[i, m] *= inverse[i]


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def explain(shapes: Array, values: Array, part: Array, rest: Array, inverse: Array, right: Array, gains: Array) -> int:
    """χ² that every pair of rates (i > m) explains, in ``gains``; the best single rate is returned."""
    size = shapes.shape[0]
    single, most = 0, -1.0
    for i in range(size):
        right[i] = dot(shapes[i], values)
        gain = right[i] * right[i] * inverse[i]
        if gain > most:
            single, most = i, gain
        for m in range(i):
            left = right[m] - part[i, m] * right[i]
            gains[i, m] = gain + left * left * rest[i, m] if rest[i, m] > 0.0 else 0.0
    return single


@njit(cache=True, nogil=True, error_model="numpy")
def crest(left: float, top: float, right: float) -> float:
    """Height of the parabola through three points whose middle is the highest."""
    bend = 2.0 * top - left - right
    return top + 0.125 * (left - right) ** 2 / bend if bend > 0.0 else top


@njit(cache=True, nogil=True, error_model="numpy")
def choose_starts(gains: Array, heights: Array, places: Indices, starts: Indices) -> int:
    """Pairs to start from, in ``starts`` (2 size, 2); how many they are is returned.

    The best fit with one rate held, as a function of that rate, has all the minima that matter; this is looked at once
    with the fast rate held and once with the slow one. A maximum over the pairs themselves would do worse: on the
    grid a narrow ridge that runs aslant is a chain of islands.
    """
    size = gains.shape[0]
    count = 0
    for held in range(2):
        first, last = (1, size) if held == 0 else (0, size - 1)     # i > m
        for i in range(first, last):
            low, high = (0, i) if held == 0 else (i + 1, size)
            place, most = low, -1.0
            for m in range(low, high):
                gain = gains[i, m] if held == 0 else gains[m, i]
                if gain > most:
                    place, most = m, gain
            if low < place < high - 1:
                if held == 0:
                    most = crest(gains[i, place - 1], most, gains[i, place + 1])
                else:
                    most = crest(gains[place - 1, i], most, gains[place + 1, i])
            heights[i], places[i] = most, place
        for i in range(first, last):
            if (i == first or heights[i] > heights[i - 1]) and (i == last - 1 or heights[i] >= heights[i + 1]):
                fast, slow = (i, places[i]) if held == 0 else (places[i], i)
                new = True
                for n in range(count):
                    new = new and not (abs(starts[n, 0] - fast) <= 1 and abs(starts[n, 1] - slow) <= 1)
                if new:
                    starts[count, 0], starts[count, 1] = fast, slow
                    count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def second_rates(
    time: Array, y: Array, w: Array, shapes: Array, inverse: Array, single: Array, amplitude: float, s: Array,
    rest: Array, tangent: Array, gains: Array, starts: Indices,
) -> int:  # fmt: skip
    """Rates of the grid, in ``starts`` (size,), with which a small second exponential may help a good single one.

    ``single`` is the exponential of the one-exponential fit. What a second rate explains in first order, the first free
    to follow: its part across ``single`` and t · ``single``, against the residuals. Noise gives it several maxima.
    """
    size = shapes.shape[0]
    for j in range(time.size):
        rest[j] = w[j] * (y[j] - amplitude * single[j])
        tangent[j] = w[j] * single[j]
    one_sums(time, w, rest, single, s)
    p0, p1, p2 = s[0], s[1], s[2]
    determinant = p0 * p2 - p1 * p1
    for i in range(size):
        x0, x1 = dot_and_moment(time, tangent, shapes[i])
        left = 1.0 / inverse[i] if inverse[i] > 0.0 else 0.0
        across = left - ((p2 * x0 - 2.0 * p1 * x1) * x0 + p0 * x1 * x1) / determinant if determinant > 0.0 else 0.0
        gains[i] = dot(rest, shapes[i]) ** 2 / across if across > 1e-9 * left else -1.0
    count = 0
    for i in range(size):
        if (i == 0 or gains[i] > gains[i - 1]) and (i == size - 1 or gains[i] >= gains[i + 1]):
            starts[count] = i
            count += 1
    return count


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def take(
    traces: Array, row: int, rising: bool, weights: Array, own: int, y: Array, w: Array, values: Array, old: Array
) -> tuple[int, float, bool]:
    """Falling form, weights and their product of one row; good samples, Σ w y², and whether ``old`` are its weights."""
    total = 0.0
    good = others = 0
    for j in range(y.size):
        sample, weight = traces[row, j], weights[own, j]
        sound = np.isfinite(sample) and weight > 0.0
        sample = (1.0 - sample if rising else sample) if sound else 0.0
        weight = weight if sound else 0.0
        y[j], w[j], values[j] = sample, weight, weight * sample
        good += 1 if sound else 0
        others += 1 if weight != old[j] else 0
        total += weight * sample * sample
    return good, total, others == 0


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def about_mean(y: Array, w: Array) -> float:
    """χ² of the best constant."""
    weight = value = squares = 0.0
    for j in range(y.size):
        weight += w[j]
        value += w[j] * y[j]
    mean = value / weight
    for j in range(y.size):
        squares += w[j] * (y[j] - mean) ** 2
    return squares


@njit(cache=True, nogil=True)
def fit_traces(
    time: Array, traces: Array, rising: bool, weights: Array, grid: Array, out: Array, covariances: Array
) -> None:
    """Two exponentials and one exponential for every row of ``traces`` (n, m); what is not finite is left out.

    ``weights`` is (n, m), or (1, m) for all. ``grid`` holds the rates to start from, ascending, the first may be 0.
    Results: ``out`` (n, COLUMNS), the columns named above, SINGLE being rate, amplitude, χ² and information of the
    rate, CONSTANT the χ² of a constant; ``covariances`` (n, 4, 4) of (k1, k2, a1, a2) for errors as the weights say.
    """
    size, length = grid.size, time.size
    fastest = grid[size - 1]
    # all memory is taken here: nothing is allocated or counted in the loop over rows
    shapes = np.empty((size, length))
    for i in range(size):
        decay(time, grid[i], shapes[i])
    part, rest, gains = np.empty((size, size)), np.empty((size, size)), np.empty((size, size))
    inverse, right, heights = np.empty(size), np.empty(size), np.empty(size)
    places, starts = np.empty(size, dtype=np.int64), np.empty((2 * size, 2), dtype=np.int64)
    y, w, old, values = np.empty(length), np.empty(length), np.full(length, -1.0), np.empty(length)
    e1, e2, f1, f2 = np.empty(length), np.empty(length), np.empty(length), np.empty(length)
    single = np.empty(length)
    s, q = np.empty(SUMS), np.empty(SUMS)
    found, best = np.empty(FOUND), np.empty(FOUND)
    gram, factor = np.empty((4, 4)), np.empty((4, 4))
    for row in range(traces.shape[0]):
        own = row if weights.shape[0] > 1 else 0
        good, total, same = take(traces, row, rising, weights, own, y, w, values, old)
        out[row, GOOD] = good
        if good < FEWEST:
            continue
        if not same:
            overlap(shapes, w, f1, part, rest, inverse)
            for j in range(length):
                old[j] = w[j]
        n = explain(shapes, values, part, rest, inverse, right, gains)
        for j in range(length):
            single[j] = shapes[n, j]
        k, a, squares, information = polish_one(time, y, w, values, total, fastest, grid[n], single, f1, s)
        out[row, SINGLE], out[row, SINGLE + 1] = k, a
        out[row, SINGLE + 2], out[row, SINGLE + 3] = squares, information
        best[SQUARES] = np.inf
        for n in range(choose_starts(gains, heights, places, starts)):
            i, m = starts[n, 0], starts[n, 1]
            for j in range(length):
                e1[j], e2[j] = shapes[i, j], shapes[m, j]
            polish(time, y, w, values, total, fastest, (grid[i], grid[m]), e1, e2, f1, f2, s, q, found)
            if found[SQUARES] < best[SQUARES]:
                best, found = found, best
        if squares - best[SQUARES] < LITTLE * best[SQUARES] / (good - 4):
            for n in range(second_rates(time, y, w, shapes, inverse, single, a, s, f1, f2, heights, places)):
                fast, slow = max(k, grid[places[n]]), min(k, grid[places[n]])
                fast = min(max(fast, CLOSEST * slow), fastest)
                slow = min(slow, fast / CLOSEST)
                decay(time, fast, e1)
                decay(time, slow, e2)
                polish(time, y, w, values, total, fastest, (fast, slow), e1, e2, f1, f2, s, q, found)
                if found[SQUARES] < best[SQUARES]:
                    best, found = found, best
        record(best, y, w, good, total, fastest, gram, factor, out[row], covariances[row])


@njit(cache=True, nogil=True)
def refit_trace(
    time: Array, trace: Array, rising: bool, weights: Array, fastest: float, start: Array, out: Array,
    covariances: Array,
) -> None:  # fmt: skip
    """As :func:`fit_traces` for the one row of ``trace`` (1, m), from the rates ``start`` (3,) alone.

    They are the two of an earlier fit, the fast one first, and its single one.
    """
    length = time.size
    y, w, old, values = np.empty(length), np.empty(length), np.full(length, -1.0), np.empty(length)
    e1, e2, f1, f2 = np.empty(length), np.empty(length), np.empty(length), np.empty(length)
    s, q = np.empty(SUMS), np.empty(SUMS)
    found, gram, factor = np.empty(FOUND), np.empty((4, 4)), np.empty((4, 4))
    good, total, _ = take(trace, 0, rising, weights, 0, y, w, values, old)
    out[0, GOOD] = good
    if good < FEWEST:
        return
    single = min(start[2], fastest)
    decay(time, single, e1)
    single, a, squares, information = polish_one(time, y, w, values, total, fastest, single, e1, f1, s)
    out[0, SINGLE], out[0, SINGLE + 1] = single, a
    out[0, SINGLE + 2], out[0, SINGLE + 3] = squares, information
    fast = min(start[0], fastest)
    slow = min(start[1], fast / CLOSEST)
    decay(time, fast, e1)
    decay(time, slow, e2)
    polish(time, y, w, values, total, fastest, (fast, slow), e1, e2, f1, f2, s, q, found)
    record(found, y, w, good, total, fastest, gram, factor, out[0], covariances[0])


@njit(cache=True, nogil=True, error_model="numpy")
def record(
    best: Array, y: Array, w: Array, good: int, total: float, fastest: float, gram: Array, factor: Array, out: Array,
    covariance: Array,
) -> None:  # fmt: skip
    """Write what :func:`~halidescope.analysis.varpro.polish` found into one row of the results."""
    out[RATES], out[RATES + 1] = best[K1], best[K2]
    out[AMPLITUDES], out[AMPLITUDES + 1] = best[A1], best[A2]
    out[CHI2], out[SETTLED] = best[SQUARES], best[QUIET]
    out[RMS] = np.sqrt(best[PLAIN] / good)
    bound = best[K2] <= 0.0 or best[K1] >= fastest or best[K1] <= 1.0001 * CLOSEST * best[K2]
    out[AT_BOUND] = 1.0 if bound else 0.0
    out[SCATTER], out[CONSTANT] = total, about_mean(y, w)
    covariance_of(best, gram, factor, covariance)


@njit(cache=True, nogil=True, error_model="numpy")
def covariance_of(best: Array, gram: Array, factor: Array, out: Array) -> None:
    """Inverse Gram matrix of the derivatives by k1, k2, a1, a2 from the sums of a fit; ∂/∂k_i is −a_i t e_i."""
    a, b = best[A1], best[A2]
    s = best[FIRST_SUM:]
    gram[0, 0], gram[1, 0], gram[1, 1] = a * a * s[2], a * b * s[5], b * b * s[8]
    gram[2, 0], gram[2, 1], gram[3, 0], gram[3, 1] = -a * s[1], -b * s[4], -a * s[4], -b * s[7]
    gram[2, 2], gram[3, 2], gram[3, 3] = s[0], s[3], s[6]
    invert_sized(4, gram, factor, out)


@njit(cache=True, nogil=True, error_model="numpy")
def to_time_zero(out: Array, covariances: Array, known: bool, origin: float, span: float) -> None:
    """From dimensionless time to rates per unit of time and amplitudes at time 0, in place; fills AVERAGE to HIDDEN.

    ``origin`` is the time of the first sample, ``span`` that from the first to the last. ``covariances`` get the noise
    of the residual where the errors of the samples were not ``known``.
    """
    half = np.empty((4, 4))
    lift, slope = np.empty(2), np.empty(4)
    for row in range(len(out)):
        one = covariances[row]
        noise = 1.0 if known else out[row, CHI2] / max(out[row, GOOD] - PARAMETERS, 1.0)
        out[row, HIDDEN] = 0.0
        for i in range(2):
            backwards = out[row, RATES + i] * origin / span
            if backwards > FARTHEST_BACK:
                out[row, HIDDEN] = 1.0
            lift[i] = np.exp(min(max(backwards, -FARTHEST_BACK), FARTHEST_BACK))
            out[row, RATES + i] /= span
            out[row, AMPLITUDES + i] *= lift[i]
        for i in range(2):     # J C, J = [[1/span, 0], [k0 · origin/span, lift]]
            for j in range(4):
                half[i, j] = noise * one[i, j] / span
                half[i + 2, j] = out[row, AMPLITUDES + i] * origin * half[i, j] + noise * lift[i] * one[i + 2, j]
        for i in range(4):     # (J C) Jᵀ
            for j in range(2):
                one[i, j] = half[i, j] / span
                one[i, j + 2] = out[row, AMPLITUDES + j] * origin * one[i, j] + lift[j] * half[i, j + 2]
        k1, k2, a, b = out[row, RATES], out[row, RATES + 1], out[row, AMPLITUDES], out[row, AMPLITUDES + 1]
        average = (a * k1 + b * k2) / (a + b)
        slope[0], slope[1] = a / (a + b), b / (a + b)
        slope[2], slope[3] = (k1 - average) / (a + b), (k2 - average) / (a + b)
        variance = 0.0
        for i in range(4):
            for j in range(4):
                variance += slope[i] * one[i, j] * slope[j]
        out[row, AVERAGE] = average
        out[row, AVERAGE_SE] = np.nan if np.isnan(variance) else np.sqrt(max(variance, 0.0))
