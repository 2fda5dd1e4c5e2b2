"""Compiled loops of :mod:`halidescope.analysis.unmixing` for Poisson noise: Fisher scoring on sums over blocks.

The sums are kept per block of channels, and the variance is taken as constant within a block: the estimate stays
unbiased (the weights never see single counts), and blocks are chosen so short that no precision is lost. A spectrum is
read once; the scoring passes see 128 blocks and not 2048 channels.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.block_sums import GROUP, SPAN, block_sums, pair_sums
from halidescope.analysis.lanes import WIDTH, load, sum_of
from halidescope.analysis.linear import SINGULAR, invert_sized
from halidescope.analysis.poisson_three import FLOOR, PASSES, SETTLED, score_rows
from halidescope.analysis.unmixing_kernels import FAST, LANES, ROUNDING, residual_squares
from halidescope.analysis.vectors import wide

Array = NDArray[np.float64]
Counts = NDArray[np.generic]



@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def weighted_sums(weights: Array, projected: Array, pairs: Array, right: Array, gram: Array) -> None:
    """Normal equations from the sums over blocks, for any number of references."""
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


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def row_sums(values: Array, out: Array) -> None:
    """Sums of the first ``out.size`` rows."""
    wide()
    for i in range(out.size):
        total = 0.0
        for block in range(values.shape[1]):
            total += values[i, block]
        out[i] = total


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def weights_of(amplitudes: Array, means: Array, base: Array, gain: float, weights: Array) -> None:
    """Inverse variances of all blocks from the model; ``base`` is the variance that does not depend on the light."""
    wide()
    blocks = weights.size
    per_count = 1.0 / gain
    for block in range(blocks):
        weights[block] = amplitudes[0] * means[0, block]
    for i in range(1, amplitudes.size):
        a = amplitudes[i]
        for block in range(blocks):
            weights[block] += a * means[i, block]
    total = 0.0
    for block in range(blocks):
        variance = max(weights[block], 0.0) * per_count + base[block]
        weights[block] = variance
        total += variance
    floor = FLOOR * total / blocks
    if not floor > 0.0:
        floor = per_count
    for block in range(blocks):
        weights[block] = 1.0 / max(weights[block], floor)


@njit(forceinline=True, error_model="numpy")
def solve(k: int, gram: Array, right: Array, support: int, factor: Array, solution: Array) -> bool:
    """Minimum of ``x G x / 2 − b x`` with only the x of ``support`` (bit i: x_i) free, by L D Lᵀ.

    False, and NaN, where G is singular to rounding.
    """
    for i in range(k):
        solution[i] = 0.0
        if not support >> i & 1:
            continue
        total = right[i]
        pivot = gram[i, i]
        for j in range(i):
            if support >> j & 1:
                below = gram[i, j]
                for m in range(j):
                    if support >> m & 1:
                        below -= factor[i, m] * factor[m, j]
                factor[j, i] = below                    # D Lᵀ above the diagonal, L below it, 1 / D on it
                factor[i, j] = below * factor[j, j]
                pivot -= factor[i, j] * below
                total -= factor[i, j] * solution[j]
        if not pivot > SINGULAR * gram[i, i]:
            for j in range(k):
                solution[j] = np.nan
            return False
        factor[i, i] = 1.0 / pivot
        solution[i] = total
    for i in range(k - 1, -1, -1):
        if support >> i & 1:
            total = solution[i] * factor[i, i]
            for m in range(i + 1, k):
                if support >> m & 1:
                    total -= factor[m, i] * solution[m]
            solution[i] = total
    return True


@njit(forceinline=True)
def solve_bounded(gram: Array, right: Array, nonnegative: bool, factor: Array, trial: Array, best: Array) -> None:
    """Exact minimum of ``x G x / 2 − b x``, not negative where asked for.

    All x free is tried first: where that solution is feasible it is the minimum and nothing else is looked at.
    """
    k = right.size
    feasible = solve(k, gram, right, (1 << k) - 1, factor, best)
    for i in range(k):
        feasible = feasible and best[i] >= 0.0
    if nonnegative and not feasible:
        best_of_supports(gram, right, factor, trial, best)


@njit(cache=True, nogil=True, error_model="numpy")
def best_of_supports(gram: Array, right: Array, factor: Array, trial: Array, best: Array) -> None:
    """The non-negative minimum by enumeration of all supports but the full one."""
    k = right.size
    best_gain = 0.0
    for i in range(k):
        best[i] = 0.0
    for support in range((1 << k) - 2, 0, -1):
        if not solve(k, gram, right, support, factor, trial):
            continue
        gain = 0.0
        feasible = True
        for i in range(k):
            feasible = feasible and trial[i] >= 0.0
            gain += right[i] * trial[i]
        if feasible and gain > best_gain:
            best_gain = gain
            for i in range(k):
                best[i] = trial[i]


@njit(forceinline=True, error_model="numpy")
def score(
    projected: Array, base: Array, pairs: Array, means: Array, gain: float, nonnegative: bool, total: float,
    flat: Array, flat_right: Array, weights: Array, gram: Array, factor: Array, right: Array, spare: Array,
    best: Array, a: Array, covariance: Array,
) -> float:  # fmt: skip
    """Fisher scoring of one spectrum from its sums over blocks; returns the residual's sum of squares.

    ``flat`` (k, k) are the sums of ``pairs``; ``total`` is Σ (counts − dark)². ``weights``, ``flat_right`` and
    what follows to ``best`` are room to work in (arrays of their own: every view would be counted, row after row).
    Fills ``a`` and ``covariance``.
    """
    k = a.size
    row_sums(projected, flat_right)
    solve_bounded(flat, flat_right, nonnegative, factor, spare, a)
    before = 1.0   # the first change is judged as if one standard error had gone before it
    for _ in range(PASSES):
        weights_of(a, means, base, gain, weights)
        weighted_sums(weights, projected, pairs, right, gram)
        solve_bounded(gram, right, nonnegative, factor, spare, best)
        change = 0.0
        for i in range(k):
            change = max(change, (best[i] - a[i]) ** 2 * gram[i, i])
            a[i] = best[i]
        if not change * change > SETTLED * before:   # the next change, if they go on to shrink as they did
            break
        before = change
    invert_sized(k, gram, factor, covariance)
    rest = total
    for i in range(k):
        rest -= 2.0 * a[i] * flat_right[i]
        for m in range(k):
            rest += a[i] * a[m] * flat[i, m]
    if not math.isfinite(total):
        for i in range(k):
            a[i] = np.nan
    return rest


@njit(cache=True, nogil=True, error_model="numpy")
def poisson_rows(
    rows: Array, fixed: Array, basis: Array, length: int, pairs: Array, means: Array, gain: float, nonnegative: bool,
    amplitudes: Array, covariance: Array, squares: Array,
) -> None:  # fmt: skip
    """Fisher scoring for every row of ``rows`` (n, channels), dark-corrected, with squares summed by the caller.

    variance = model / gain + ``fixed``, (1, blocks) or (n, blocks). ``basis`` (3 m, channels) holds k references padded
    with zero rows, ``pairs`` (3 m, 3 m, blocks) the sums of F_i F_m and ``means`` (3 m, blocks) the means of F_i over
    blocks of ``length`` channels. ``squares`` (n,) holds each row's sum of squares and gets that of its
    residual. Results: ``amplitudes`` (n, k) and their ``covariance`` (n, k, k).
    """
    k = amplitudes.shape[1]
    projected = np.zeros((1, basis.shape[0], means.shape[1]))
    none, flat, flat_right, right = np.zeros(basis.shape[1]), np.empty((k, k)), np.empty(k), np.empty(k)
    weights = np.ones(means.shape[1])
    gram, factor, spare, best = np.empty((k, k)), np.empty((k, k)), np.empty(k), np.empty(k)
    weighted_sums(weights, projected[0], pairs, flat_right, flat)
    for row in range(rows.shape[0]):
        for first in range(0, basis.shape[0], LANES):
            block_sums(rows[row], basis, first, length, projected[0])
        total = squares[row]
        if k <= LANES:
            score_rows(
                projected, 1, row, fixed, pairs, means, gain, nonnegative, flat, weights, amplitudes, covariance,
                squares,
            )  # fmt: skip
        else:
            squares[row] = score(
                projected[0], fixed[row if fixed.shape[0] > 1 else 0], pairs, means, gain, nonnegative, total, flat,
                flat_right, weights, gram, factor, right, spare, best, amplitudes[row], covariance[row],
            )  # fmt: skip
        if not squares[row] > ROUNDING * total:
            squares[row] = residual_squares(rows[row], none, basis, amplitudes[row])


@njit(cache=True, nogil=True, error_model="numpy")
def poisson_counts(
    rows: Counts, dark: Array, dark_beside: Array, fixed: Array, basis: Array, beside: Array, length: int, pairs: Array,
    means: Array, gain: float, nonnegative: bool, amplitudes: Array, covariance: Array, squares: Array,
) -> None:  # fmt: skip
    """As :func:`poisson_rows` for detector counts with one ``dark`` (channels,) for all rows.

    ``beside`` (3 m, …) and ``dark_beside`` are references and dark in the order of
    :func:`~halidescope.analysis.references.side_by_side`.
    """
    k, blocks, n, channels = amplitudes.shape[1], means.shape[1], rows.shape[0], rows.shape[1]
    span = WIDTH * length                       # channels whose sums are taken at once
    whole, last = channels // span, channels % span
    padded = whole + (1 if last else 0)
    projected, parts = np.zeros((GROUP, beside.shape[0], padded * WIDTH)), np.empty((GROUP, WIDTH))
    totals = np.empty(GROUP)
    rest = np.zeros((GROUP, span), dtype=rows.dtype)     # the channels after the last whole span, and no counts
    flat, flat_right, right = np.empty((k, k)), np.empty(k), np.empty(k)
    weights = np.ones(blocks)
    gram, factor, spare, best = np.empty((k, k)), np.empty((k, k)), np.empty(k), np.empty(k)
    weighted_sums(weights, projected[0], pairs, flat_right, flat)
    for top in range(0, n, GROUP):
        count = min(GROUP, n - top)
        parts[:] = 0.0
        for slot in range(count):
            for j in range(last):
                rest[slot, j] = rows[top + slot, whole * span + j]
        for start in range(0, padded, SPAN):
            stop = min(start + SPAN, whole)
            for slot in range(0, count, 2):
                i, j = top + slot, min(top + slot + 1, n - 1)
                for first in range(0, beside.shape[0], LANES):
                    pair_sums(
                        rows, i * channels + start * span, j * channels + start * span, GROUP * channels, start, stop,
                        length, dark_beside, beside, first, slot, projected, parts,
                    )  # fmt: skip
        if last:
            for slot in range(0, count, 2):
                for first in range(0, beside.shape[0], LANES):
                    pair_sums(
                        rest, slot * span, (slot + 1) * span, 0, whole, padded, length, dark_beside, beside, first,
                        slot, projected, parts,
                    )  # fmt: skip
        for slot in range(count):
            totals[slot] = squares[top + slot] = sum_of(load(parts, np.uint64(slot * WIDTH)))
        if k <= LANES:
            score_rows(
                projected, count, top, fixed, pairs, means, gain, nonnegative, flat, weights, amplitudes, covariance,
                squares,
            )  # fmt: skip
        else:
            for slot in range(count):
                row = top + slot
                squares[row] = score(
                    projected[slot], fixed[row if fixed.shape[0] > 1 else 0], pairs, means, gain, nonnegative,
                    totals[slot], flat, flat_right, weights, gram, factor, right, spare, best, amplitudes[row],
                    covariance[row],
                )  # fmt: skip
        for slot in range(count):
            if not squares[top + slot] > ROUNDING * totals[slot]:
                squares[top + slot] = residual_squares(rows[top + slot], dark, basis, amplitudes[top + slot])
