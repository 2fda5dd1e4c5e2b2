"""Compiled loops of :mod:`halidescope.analysis.unmixing`: one spectrum at a time, nothing allocated per channel."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

FLOOR = 0.01   # smallest variance that a channel may have, in mean variances: empty channels must not rule the fit
PASSES = 12    # scoring passes at most; two or three settle, more are needed only where an amplitude starts at zero


@njit(cache=True, nogil=True)
def solve_support(gram: Array, right: Array, members: Indices, size: int, factor: Array, solution: Array) -> bool:
    """Cholesky solution of the normal equations on the first ``size`` members; False if not positive definite."""
    for i in range(size):
        for j in range(i + 1):
            total = gram[members[i], members[j]]
            for m in range(j):
                total -= factor[i, m] * factor[j, m]
            if i == j:
                if not total > 1e-14 * gram[members[i], members[i]]:
                    return False
                factor[i, i] = np.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    for i in range(size):
        total = right[members[i]]
        for m in range(i):
            total -= factor[i, m] * solution[m]
        solution[i] = total / factor[i, i]
    for i in range(size - 1, -1, -1):
        total = solution[i]
        for m in range(i + 1, size):
            total -= factor[m, i] * solution[m]
        solution[i] = total / factor[i, i]
    return True


@njit(cache=True, nogil=True)
def solve_nonnegative(
    gram: Array, right: Array, members: Indices, factor: Array, solution: Array, best: Array
) -> None:
    """Exact non-negative minimum of ``x G x / 2 - b x`` by enumeration of the supports, largest first; into ``best``.

    The full support is tried first: when its solution is feasible it is the minimum and nothing else is looked at.
    """
    k = right.size
    best[:] = 0.0
    best_gain = 0.0
    full = (1 << k) - 1
    for support in range(full, 0, -1):
        size = 0
        for i in range(k):
            if support >> i & 1:
                members[size] = i
                size += 1
        if not solve_support(gram, right, members, size, factor, solution):
            continue
        gain = 0.0
        feasible = True
        for m in range(size):
            if solution[m] < 0.0:
                feasible = False
                break
            gain += right[members[m]] * solution[m]
        if feasible and gain > best_gain:
            best_gain = gain
            best[:] = 0.0
            for m in range(size):
                best[members[m]] = solution[m]
            if support == full:
                return


@njit(cache=True, nogil=True)
def weigh(
    data: Array,
    references: Array,
    background: Array,
    gain: float,
    read_variance: Array,
    amplitudes: Array,
    gram: Array,
    right: Array,
) -> None:
    """Normal equations of one spectrum with the variance of the model at ``amplitudes``.

    variance = (model + background) / gain + read_variance, counts²; ``background`` is the part of the dark that is
    itself Poisson.
    """
    k, channels = references.shape
    mean = 0.0
    for j in range(channels):
        model = background[j]
        for i in range(k):
            model += amplitudes[i] * references[i, j]
        mean += max(model, 0.0) / gain + read_variance[j]
    floor = FLOOR * mean / channels
    if not floor > 0.0:
        floor = 1.0 / gain
    gram[:] = 0.0
    right[:] = 0.0
    for j in range(channels):
        if np.isnan(data[j]):
            continue
        model = background[j]
        for i in range(k):
            model += amplitudes[i] * references[i, j]
        weight = 1.0 / max(max(model, 0.0) / gain + read_variance[j], floor)
        for i in range(k):
            weighted = weight * references[i, j]
            right[i] += weighted * data[j]
            for m in range(i + 1):
                gram[i, m] += weighted * references[m, j]
    for i in range(k):
        for m in range(i):
            gram[m, i] = gram[i, m]


@njit(cache=True, nogil=True)
def score_poisson(
    data: Array,
    references: Array,
    background: Array,
    gain: float,
    read_variance: Array,
    nonnegative: bool,
    amplitudes: Array,
    grams: Array,
) -> None:
    """Fisher scoring for every row of ``data`` (n, channels), already dark-corrected, NaN where a channel is left out.

    ``amplitudes`` (n, k) holds the starts and gets the results, ``grams`` (n, k, k) the inverse covariances.
    ``background`` is (1, channels) or (n, channels).
    """
    n = data.shape[0]
    k = references.shape[0]
    gram = np.empty((k, k))
    right = np.empty(k)
    factor = np.empty((k, k))
    solution = np.empty(k)
    best = np.empty(k)
    members = np.empty(k, dtype=np.int64)
    for row in range(n):
        base = background[row] if background.shape[0] > 1 else background[0]
        for _ in range(PASSES):
            weigh(data[row], references, base, gain, read_variance, amplitudes[row], gram, right)
            if nonnegative:
                solve_nonnegative(gram, right, members, factor, solution, best)
            else:
                for i in range(k):
                    members[i] = i
                if solve_support(gram, right, members, k, factor, solution):
                    best[:] = solution
                else:
                    best[:] = np.nan
            change = 0.0
            scale = 0.0
            for i in range(k):
                change = max(change, abs(best[i] - amplitudes[row, i]))
                scale = max(scale, abs(best[i]))
                amplitudes[row, i] = best[i]
            if not change > 1e-7 * scale:
                break
        weigh(data[row], references, base, gain, read_variance, amplitudes[row], gram, right)
        grams[row] = gram
