"""Compiled loops of :mod:`halidescope.analysis.unmixing`: one pass over the counts, nothing allocated per channel.

A spectrum is read once and reduced to a few sums; everything after that works on the sums. For Poisson noise the sums
are kept per block of channels, and the variance is taken as constant within a block: the estimate stays unbiased (the
weights never see single counts), and blocks are chosen so short that no precision is lost.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.linear import invert

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
Indices = NDArray[np.int64]

FLOOR = 0.01      # smallest variance of a block, in mean variances: empty channels must not rule the fit
PASSES = 12       # scoring passes at most; two settle unless an amplitude leaves zero
SETTLED = 1e-3    # squared change, in squared standard errors; the next would be a hundred times smaller
ROUNDING = 1e-9   # of the sum of squares: a smaller residual is rounding of the sums
LANES = 3         # references summed in one go
LONG = 16         # channels in a block where the references are smooth enough for it
FAST = {"reassoc", "contract", "nsz"}   # reorder sums, but keep NaN and infinity


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def sums(y: Counts, z: Counts, dark_y: Array, dark_z: Array, basis: Array, first: int, out: Array) -> None:
    """Sums of (y − dark) · basis over all channels for references ``first`` … ``first`` + 2, and Σ (y − dark)².

    Two spectra at once, into ``out`` (2, 3 m + 1): a reference that is loaded once serves both.
    """
    f0, f1, f2 = basis[first], basis[first + 1], basis[first + 2]
    s0 = s1 = s2 = s3 = 0.0
    t0 = t1 = t2 = t3 = 0.0
    for j in range(y.size):
        v = float(y[j]) - dark_y[j]
        w = float(z[j]) - dark_z[j]
        s0 += v * f0[j]
        s1 += v * f1[j]
        s2 += v * f2[j]
        s3 += v * v
        t0 += w * f0[j]
        t1 += w * f1[j]
        t2 += w * f2[j]
        t3 += w * w
    last = out.shape[1] - 1
    out[0, first], out[0, first + 1], out[0, first + 2], out[0, last] = s0, s1, s2, s3
    out[1, first], out[1, first + 1], out[1, first + 2], out[1, last] = t0, t1, t2, t3


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def subtract(rows: Counts, darks: Array, values: Array, squares: Array) -> None:
    """Write rows − darks into ``values`` (n, channels), and every row's sum of squares."""
    for row in range(rows.shape[0]):
        dark = darks[row] if darks.shape[0] > 1 else darks[0]
        y, out = rows[row], values[row]
        total = 0.0
        for j in range(y.size):
            v = float(y[j]) - dark[j]
            out[j] = v
            total += v * v
        squares[row] = total


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def long_block_sums(values: Array, basis: Array, first: int, blocks: int, out: Array) -> None:
    """As :func:`block_sums` for ``blocks`` whole blocks of ``LONG`` channels; unrolled by the compiler."""
    f0, f1, f2 = basis[first], basis[first + 1], basis[first + 2]
    for block in range(blocks):
        s0 = s1 = s2 = 0.0
        start = block * LONG
        for i in range(LONG):
            v = values[start + i]
            s0 += v * f0[start + i]
            s1 += v * f1[start + i]
            s2 += v * f2[start + i]
        out[first, block], out[first + 1, block], out[first + 2, block] = s0, s1, s2


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def block_sums(values: Array, basis: Array, first: int, length: int, out: Array) -> None:
    """Sums of values · basis over every block of ``length`` channels for references ``first`` … ``first`` + 2."""
    f0, f1, f2 = basis[first], basis[first + 1], basis[first + 2]
    whole = values.size // LONG if length == LONG else 0
    long_block_sums(values, basis, first, whole, out)
    for block in range(whole, out.shape[1]):
        s0 = s1 = s2 = 0.0
        for j in range(block * length, min((block + 1) * length, values.size)):
            v = values[j]
            s0 += v * f0[j]
            s1 += v * f1[j]
            s2 += v * f2[j]
        out[first, block], out[first + 1, block], out[first + 2, block] = s0, s1, s2


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def weighted_sums(weights: Array, projected: Array, pairs: Array, right: Array, gram: Array) -> None:
    """Normal equations from the sums over blocks."""
    for i in range(right.size):
        total = 0.0
        for block in range(weights.size):
            total += weights[block] * projected[i, block]
        right[i] = total
        for m in range(i + 1):
            total = 0.0
            for block in range(weights.size):
                total += weights[block] * pairs[i, m, block]
            gram[i, m] = gram[m, i] = total


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
    for i in range(k):
        best[i] = 0.0
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
            for i in range(k):
                best[i] = 0.0
            for m in range(size):
                best[members[m]] = solution[m]
            if support == full:
                return


@njit(cache=True, nogil=True)
def least_squares_rows(
    rows: Counts, darks: Array, left: Array, reduced: Array, inverses: Array, nonnegative: bool, amplitudes: Array,
    squares: Array,
) -> None:  # fmt: skip
    """Equal-weight solutions for every row of ``rows`` (n, channels).

    ``left`` (3 m, channels) holds an orthonormal basis of the references, padded with zero rows, ``reduced`` (k, k)
    the references in it; ``inverses`` (2^k, k, k) the pseudo-inverses of ``reduced`` for every support (bit i of the
    first index: reference i is used). ``squares`` gets the residual's sum of squares.
    """
    n, k = rows.shape[0], reduced.shape[0]
    inside = np.empty(k)
    both = np.empty((2, left.shape[0] + 1))
    for row in range(0, n, 2):
        other = min(row + 1, n - 1)
        dark = darks[row] if darks.shape[0] > 1 else darks[0]
        other_dark = darks[other] if darks.shape[0] > 1 else darks[0]
        for first in range(0, left.shape[0], LANES):
            sums(rows[row], rows[other], dark, other_dark, left, first, both)
        for which in range(other - row + 1):
            at = row + which
            squares[at] = best_support(both[which], reduced, inverses, nonnegative, amplitudes[at])
            total = both[which, left.shape[0]]
            if not squares[at] > ROUNDING * total:
                used = darks[at] if darks.shape[0] > 1 else darks[0]
                for i in range(k):
                    inside[i] = 0.0
                    for m in range(k):
                        inside[i] += reduced[i, m] * amplitudes[at, m]
                squares[at] = residual_squares(rows[at], used, left, inside)
            if math.isnan(total):
                for i in range(k):
                    amplitudes[at, i] = np.nan


@njit(cache=True, nogil=True)
def best_support(wanted: Array, reduced: Array, inverses: Array, nonnegative: bool, amplitudes: Array) -> float:
    """Solution of the reduced problem, by enumeration of the supports if bounded; returns the residual's squares.

    ``wanted`` holds the projections on the orthonormal basis and, last, the data's sum of squares.
    """
    k = reduced.shape[0]
    trial = np.empty(k)
    explained = 0.0
    for i in range(k):
        explained += wanted[i] * wanted[i]
        amplitudes[i] = 0.0
    best = explained
    full = (1 << k) - 1
    for support in range(full, 0, -1):
        feasible = True
        for i in range(k):
            value = 0.0
            for m in range(k):
                value += inverses[support, i, m] * wanted[m]
            trial[i] = value
            feasible = feasible and (value >= 0.0 or not nonnegative)
        if not feasible:
            continue
        misfit = 0.0
        for m in range(k):
            difference = wanted[m]
            for i in range(k):
                difference -= reduced[m, i] * trial[i]
            misfit += difference * difference
        if misfit < best or support == full:
            best = misfit
            for i in range(k):
                amplitudes[i] = trial[i]
        if support == full:
            break
    return wanted[wanted.size - 1] - explained + best


@njit(cache=True, nogil=True)
def residual_squares(y: Counts, dark: Array, basis: Array, amplitudes: Array) -> float:
    """Residual's sum of squares channel by channel: where nothing but rounding is left of the sums."""
    total = 0.0
    for j in range(y.size):
        value = float(y[j]) - dark[j]
        for i in range(amplitudes.size):
            value -= amplitudes[i] * basis[i, j]
        total += value * value
    return total


@njit(cache=True, nogil=True)
def solve(
    gram: Array, right: Array, nonnegative: bool, members: Indices, factor: Array, work: Array, best: Array
) -> None:
    """Minimum of ``x G x / 2 − b x``, bounded at zero or not, into ``best``; NaN where singular."""
    if nonnegative:
        solve_nonnegative(gram, right, members, factor, work, best)
        return
    for i in range(right.size):
        members[i] = i
    solved = solve_support(gram, right, members, right.size, factor, work)
    for i in range(right.size):
        best[i] = work[i] if solved else np.nan


@njit(cache=True, nogil=True)
def poisson_rows(
    rows: Array, fixed: Array, basis: Array, k: int, length: int, pairs: Array, means: Array, gain: float,
    nonnegative: bool, amplitudes: Array, covariance: Array, squares: Array,
) -> None:  # fmt: skip
    """Fisher scoring for every row of ``rows`` (n, channels), dark-corrected, with squares summed by the caller.

    variance = model / gain + ``fixed``, (1, blocks) or (n, blocks). ``basis`` (3 m, channels) holds k references padded
    with zero rows, ``pairs`` (k, k, blocks) the sums of F_i F_m and ``means`` (k, blocks) the means of F_i over blocks
    of ``length`` channels. ``squares`` (n,) holds each row's sum of squares and gets that of its residual. Results:
    ``amplitudes`` (n, k) and their ``covariance`` (n, k, k).
    """
    blocks = means.shape[1]
    channels = basis.shape[1]
    projected = np.zeros((basis.shape[0], blocks))
    weights = np.empty(blocks)
    gram, flat = np.empty((k, k)), np.empty((k, k))
    right, flat_right = np.empty(k), np.empty(k)
    factor, work, best = np.empty((k, k)), np.empty(k), np.empty(k)
    members = np.empty(k, dtype=np.int64)
    ones, none = np.ones(blocks), np.zeros(channels)
    weighted_sums(ones, projected, pairs, right, flat)
    for row in range(rows.shape[0]):
        values = rows[row]
        base = fixed[row] if fixed.shape[0] > 1 else fixed[0]
        total = squares[row]
        for first in range(0, basis.shape[0], LANES):
            block_sums(values, basis, first, length, projected)
        a = amplitudes[row]
        weighted_sums(ones, projected, pairs, flat_right, gram)
        solve(flat, flat_right, nonnegative, members, factor, work, a)
        for _ in range(PASSES):
            weights_of(a, means, base, gain, weights)
            weighted_sums(weights, projected, pairs, right, gram)
            solve(gram, right, nonnegative, members, factor, work, best)
            change = 0.0
            for i in range(k):
                change = max(change, (best[i] - a[i]) ** 2 * gram[i, i])
                a[i] = best[i]
            if not change > SETTLED:
                break
        invert(gram, factor, covariance[row])
        rest = total
        for i in range(k):
            rest -= 2.0 * a[i] * flat_right[i]
            for m in range(k):
                rest += a[i] * a[m] * flat[i, m]
        if not rest > ROUNDING * total:
            rest = residual_squares(values, none, basis, a)
        squares[row] = rest
        if math.isnan(total):
            for i in range(k):
                a[i] = np.nan


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def weights_of(amplitudes: Array, means: Array, base: Array, gain: float, weights: Array) -> None:
    """Inverse variances of all blocks from the model; ``base`` is the variance that does not depend on the light."""
    blocks = weights.size
    k = means.shape[0]
    first = amplitudes[0] / gain
    for block in range(blocks):
        weights[block] = first * means[0, block]
    for i in range(1, k):
        scaled = amplitudes[i] / gain
        for block in range(blocks):
            weights[block] += scaled * means[i, block]
    total = 0.0
    for block in range(blocks):
        variance = max(weights[block], 0.0) + base[block]
        weights[block] = variance
        total += variance
    floor = FLOOR * total / blocks
    if not floor > 0.0:
        floor = 1.0 / gain
    for block in range(blocks):
        weights[block] = 1.0 / max(weights[block], floor)


@njit(cache=True, nogil=True, error_model="numpy")
def share_rows(amplitudes: Array, covariance: Array, shares: Array, errors: Array) -> None:
    """Shares and their standard errors; ∂share_i/∂A_j = (δ_ij − share_i) / ΣA."""
    n, k = amplitudes.shape
    for row in range(n):
        total = 0.0
        for i in range(k):
            total += amplitudes[row, i]
        for i in range(k):
            share = amplitudes[row, i] / total if total > 0.0 else np.nan
            shares[row, i] = share
            variance = 0.0
            for a in range(k):
                left = (1.0 if a == i else 0.0) - share
                for b in range(k):
                    right = (1.0 if b == i else 0.0) - share
                    variance += left * right * covariance[row, a, b]
            errors[row, i] = math.sqrt(max(variance, 0.0)) / total if total > 0.0 else np.nan
