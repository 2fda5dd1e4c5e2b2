"""Fisher scoring for up to three references, everything small in registers, for many spectra a call.

The same as in :mod:`halidescope.analysis.poisson_kernels` for any number. References that are missing are zeros, and
their diagonal elements ones. No array is passed on, or looked at in part, in the loop over spectra: it would be counted
each time, which takes as long as a pass, and longer where two threads count the same array.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.linear import SINGULAR
from halidescope.analysis.unmixing_kernels import FAST
from halidescope.analysis.vectors import wide

Array = NDArray[np.float64]
Place = int | np.uint64      # an index: one that may be negative costs a tenth
Three = tuple[float, float, float]
Six = tuple[float, float, float, float, float, float]     # 00, 10, 11, 20, 21, 22 of a symmetric matrix

FLOOR = 0.01      # smallest variance of a block, in mean variances: empty channels must not rule the fit
PASSES = 12       # scoring passes at most; two settle unless an amplitude leaves zero
SETTLED = 1e-3    # squared change that is still to come, in squared standard errors


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def sums_of(projected: Array, slot: Place, blocks: Place) -> Three:
    """Sums over the blocks of row ``slot``, (…, 3, blocks)."""
    wide()
    r0 = r1 = r2 = 0.0
    for block in range(blocks):
        r0 += projected[slot, np.uint64(0), block]
        r1 += projected[slot, np.uint64(1), block]
        r2 += projected[slot, np.uint64(2), block]
    return r0, r1, r2


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def step(
    a: Three, means: Array, fixed: Array, own: Place, gain: float, weights: Array, projected: Array,
    slot: Place, pairs: Array,
) -> tuple[Three, Six]:  # fmt: skip
    """Right side and Gram matrix of the normal equations, weighted by the model's inverse variances."""
    wide()
    blocks = np.uint64(weights.size)
    zero, one, two = np.uint64(0), np.uint64(1), np.uint64(2)
    per_count = 1.0 / gain
    a0, a1, a2 = a
    total = 0.0
    for block in range(blocks):
        model = a0 * means[zero, block] + a1 * means[one, block] + a2 * means[two, block]
        variance = max(model, 0.0) * per_count + fixed[own, block]
        weights[block] = variance
        total += variance
    floor = FLOOR * total / weights.size
    if not floor > 0.0:
        floor = per_count
    # weights in units of the greatest are divided in single precision: 1e-7 of a weight moves nothing by more than that
    # part of its error, and two passes take 0.12 µs less
    unit = 1.0 / floor
    r0 = r1 = r2 = s00 = s10 = s11 = s20 = s21 = s22 = 0.0
    for block in range(blocks):
        w = float(np.float32(1.0) / np.float32(max(weights[block] * unit, 1.0)))
        r0 += w * projected[slot, zero, block]
        r1 += w * projected[slot, one, block]
        r2 += w * projected[slot, two, block]
        s00 += w * pairs[zero, zero, block]
        s10 += w * pairs[one, zero, block]
        s11 += w * pairs[one, one, block]
        s20 += w * pairs[two, zero, block]
        s21 += w * pairs[two, one, block]
        s22 += w * pairs[two, two, block]
    return (unit * r0, unit * r1, unit * r2), (unit * s00, unit * s10, unit * s11, unit * s20, unit * s21, unit * s22)


@njit(forceinline=True, error_model="numpy")
def solve(gram: Six, right: Three) -> Three:
    """All free; NaN where singular to rounding."""
    s00, s10, s11, s20, s21, s22 = gram
    inverse = 1.0 / s00
    a, b = s10 * inverse, s20 * inverse
    second = s11 - a * s10
    between = s21 - b * s10
    inverse_second = 1.0 / second
    c = between * inverse_second
    third = s22 - b * s20 - c * between
    y1 = right[1] - a * right[0]
    z = (right[2] - b * right[0] - c * y1) / third
    y = y1 * inverse_second - c * z
    x = right[0] * inverse - a * y - b * z
    if not (s00 > 0.0 and second > SINGULAR * s11 and third > SINGULAR * s22):
        x = y = z = np.nan
    return x, y, z


@njit(forceinline=True, error_model="numpy")
def pair(s00: float, s10: float, s11: float, r0: float, r1: float) -> Three:
    """Two free: their values and what they gain; gain 0 where one is negative or they cannot be told apart."""
    pivot = s11 - s10 * s10 / s00
    y = (r1 - s10 / s00 * r0) / pivot
    x = (r0 - s10 * y) / s00
    feasible = s00 > 0.0 and pivot > SINGULAR * s11 and x >= 0.0 and y >= 0.0
    return x, y, r0 * x + r1 * y if feasible else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def bounded(gram: Six, right: Three) -> Three:
    """The non-negative minimum where not all can be free, by looking at every pair and every single one."""
    s00, s10, s11, s20, s21, s22 = gram
    r0, r1, r2 = right
    best, x, y, z = 0.0, 0.0, 0.0, 0.0
    u, v, gain = pair(s00, s10, s11, r0, r1)
    if gain > best:
        best, x, y, z = gain, u, v, 0.0
    u, v, gain = pair(s00, s20, s22, r0, r2)
    if gain > best:
        best, x, y, z = gain, u, 0.0, v
    u, v, gain = pair(s11, s21, s22, r1, r2)
    if gain > best:
        best, x, y, z = gain, 0.0, u, v
    if r0 > 0.0 and r0 * r0 / s00 > best:
        best, x, y, z = r0 * r0 / s00, r0 / s00, 0.0, 0.0
    if r1 > 0.0 and r1 * r1 / s11 > best:
        best, x, y, z = r1 * r1 / s11, 0.0, r1 / s11, 0.0
    if r2 > 0.0 and r2 * r2 / s22 > best:
        best, x, y, z = r2 * r2 / s22, 0.0, 0.0, r2 / s22
    return x, y, z


@njit(forceinline=True, error_model="numpy")
def minimum(gram: Six, right: Three, nonnegative: bool) -> Three:
    """Exact minimum of ``x G x / 2 − b x``, not negative where asked for."""
    x, y, z = solve(gram, right)
    if nonnegative and not (x >= 0.0 and y >= 0.0 and z >= 0.0):
        x, y, z = bounded(gram, right)
    return x, y, z


@njit(forceinline=True)
def padded(k: int, gram: Six) -> Six:
    """With ones for references that are missing: theirs stay zero, the others as they are."""
    s00, s10, s11, s20, s21, s22 = gram
    return s00, s10, s11 if k > 1 else 1.0, s20, s21, s22 if k > 2 else 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def score_rows(
    projected: Array, count: int, top: int, fixed: Array, pairs: Array, means: Array, gain: float, nonnegative: bool,
    flat: Array, weights: Array, amplitudes: Array, covariance: Array, squares: Array,
) -> None:  # fmt: skip
    """Fisher scoring of ``count`` spectra, rows from ``top`` on of all results, from their sums over blocks.

    ``projected`` (…, 3, blocks or more) are Σ (counts − dark) · F over blocks; ``flat`` (k, k) are the sums of
    ``pairs``, ``weights`` (blocks,) is room to work in; ``squares`` holds Σ (counts − dark)² and gets the residual's.
    """
    k = amplitudes.shape[1]
    f00, f10, f11 = flat[0, 0], flat[1, 0] if k > 1 else 0.0, flat[1, 1] if k > 1 else 1.0
    f20, f21, f22 = flat[2, 0] if k > 2 else 0.0, flat[2, 1] if k > 2 else 0.0, flat[2, 2] if k > 2 else 1.0
    for index in range(np.uint64(count)):
        row = np.uint64(top) + index
        own = row if fixed.shape[0] > 1 else np.uint64(0)
        b0, b1, b2 = sums_of(projected, index, np.uint64(weights.size))
        x, y, z = minimum((f00, f10, f11, f20, f21, f22), (b0, b1, b2), nonnegative)
        before = 1.0   # the first change is judged as if one standard error had gone before it
        gram = f00, f10, f11, f20, f21, f22
        for _ in range(PASSES):
            right, gram = step((x, y, z), means, fixed, own, gain, weights, projected, index, pairs)
            gram = padded(k, gram)
            u, v, w = minimum(gram, right, nonnegative)
            change = max(max((u - x) ** 2 * gram[0], (v - y) ** 2 * gram[2]), (w - z) ** 2 * gram[5])
            x, y, z = u, v, w
            if not change * change > SETTLED * before:   # the next change, if they go on to shrink as they did
                break
            before = change
        s00, s10, s11, s20, s21, s22 = gram
        a, b = s10 / s00, s20 / s00
        second = s11 - a * s10
        c = (s21 - b * s10) / second
        third = s22 - b * s20 - c * (s21 - b * s10)
        if not (s00 > 0.0 and second > SINGULAR * s11 and third > SINGULAR * s22):
            second = np.nan
        i0, i1, i2 = 1.0 / s00 + 0.0 * second, 1.0 / second, 1.0 / third + 0.0 * second
        d = a * c - b
        total = squares[row]
        outside = total - 2.0 * (x * b0 + y * b1 + z * b2) + x * x * f00 + y * y * f11 + z * z * f22
        squares[row] = outside + 2.0 * (x * y * f10 + x * z * f20 + y * z * f21)
        if not math.isfinite(total):
            x = y = z = np.nan
        amplitudes[row, 0] = x
        covariance[row, 0, 0] = i0 + a * a * i1 + d * d * i2
        if k > 1:
            amplitudes[row, 1] = y
            covariance[row, 1, 0] = covariance[row, 0, 1] = -a * i1 - c * d * i2
            covariance[row, 1, 1] = i1 + c * c * i2
        if k > 2:
            amplitudes[row, 2] = z
            covariance[row, 2, 0] = covariance[row, 0, 2] = d * i2
            covariance[row, 2, 1] = covariance[row, 1, 2] = -c * i2
            covariance[row, 2, 2] = i2
