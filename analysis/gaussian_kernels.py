"""The commonest peak fit, a Gaussian on an offset, made fast: vectorised sums, first on blocks, then around the band.

Same estimator as :mod:`~halidescope.analysis.peaks_kernels`; a spectrum that does not settle here is left to that.
Blocks of channels bring the parameters to within a tenth of their errors. What remains is one scoring step, or two, on
the single channels where the band is; far from it the model is constant and blocks lose nothing.

A detector's integers are read where they are and fitted in single precision, twice as many numbers in a vector: its
rounding (1e-7 of the height) is far below that of the integers themselves. Everything else is fitted in double. The
kernels are the same; the arrays they get say which it is.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.gaussian_sums import (
    LENGTH,
    Array,
    Counts,
    Real,
    add_background,
    add_tail,
    block_means,
    reached,
    residual_squares,
    squares_about,
    sums,
)
from halidescope.analysis.peaks_kernels import FLOOR

MOST_STEPS = 20
ROOT_TWO_PI = 2.5066
ROUNDING = 1e-6       # a step below this part of the width is as good as none
# A step of scoring that goes far (in widths) is followed by one of far · step. Steps end where far, the square of what
# is still to come and that of the step itself (in standard errors: the Gram matrix is that of before) are below these.
BLOCKS_SETTLED = 3e-2, 0.1, np.inf
SETTLED, SETTLED_SINGLE = (5e-4, 1e-6, 0.25), (2e-3, 1e-6, 0.25)
# Widths from the centre to where the band is nothing: 1e-9 of its height, in single precision 1e-7.
REACH, REACH_SINGLE = 6.5, 5.6
TINY, TINY_SINGLE = 1e-12, 1e-5   # of a diagonal element: what elimination leaves of it is rounding


@njit(cache=True, nogil=True, error_model="numpy")
def start(u: Real, y: Real, p: Array) -> bool:
    """Start values from means of groups, the highest group and the area around it. False without any light."""
    n = u.size
    each = max(n // 32, 1)
    lowest, highest = np.inf, -np.inf
    top = 0
    for first in range(0, n - each + 1, each):
        total = 0.0
        for j in range(first, first + each):
            total += y[j]
        if total > highest:
            highest = total
            top = first
        lowest = min(lowest, total)
    if not highest > lowest:
        return False
    lowest /= each
    highest /= each
    half = 0.5 * (highest + lowest)
    low, high = top, top + each      # spread by groups for as long as these are above half of the height
    while low >= each:
        total = 0.0
        for j in range(low - each, low):
            total += y[j]
        if not total > half * each:
            break
        low -= each
    while high + each <= n:
        total = 0.0
        for j in range(high, high + each):
            total += y[j]
        if not total > half * each:
            break
        high += each
    weight = centre = 0.0
    for j in range(low, high):
        above = max(y[j] - lowest, 0.0)
        weight += above
        centre += above * u[j]
    p[0], p[1], p[2], p[3] = highest - lowest, centre / weight, (u[high - 1] - u[low] + 2.0 / n) / 2.355, lowest
    return True


@njit(forceinline=True, error_model="numpy")
def floor_of(p: Array, share: float, base_mean: float, per_count: float) -> float:
    """Smallest variance of a channel: a part of the mean variance, so that empty channels do not rule the fit.

    ``share`` is the mean of the exponentials over all channels.
    """
    if per_count == 0.0:
        return 1.0
    floor = FLOOR * (base_mean + (max(p[0], 0.0) * share + max(p[3], 0.0)) * per_count)
    return floor if floor > 0.0 else per_count


@njit(forceinline=True, error_model="numpy")
def solve(gram: Array, right: Array, tiny: float, step: Array) -> bool:
    """Solve G step = right for the four by L D Lᵀ, all in registers; False where a pivot is ``tiny``: singular."""
    d0 = gram[0, 0]
    a, b, c = gram[1, 0] / d0, gram[2, 0] / d0, gram[3, 0] / d0
    d1 = gram[1, 1] - a * gram[1, 0]
    e, f = gram[2, 1] - b * gram[1, 0], gram[3, 1] - c * gram[1, 0]
    le, lf = e / d1, f / d1
    d2 = gram[2, 2] - b * gram[2, 0] - le * e
    h = gram[3, 2] - c * gram[2, 0] - lf * e
    lh = h / d2
    d3 = gram[3, 3] - c * gram[3, 0] - lf * f - lh * h
    s0 = right[0]
    s1 = right[1] - a * s0
    s2 = right[2] - b * s0 - le * s1
    s3 = right[3] - c * s0 - lf * s1 - lh * s2
    s3 = s3 / d3
    s2 = s2 / d2 - lh * s3
    s1 = s1 / d1 - le * s2 - lf * s3
    s0 = s0 / d0 - a * s1 - b * s2 - c * s3
    step[0], step[1], step[2], step[3] = s0, s1, s2, s3
    return d0 > 0.0 and d1 > tiny * gram[1, 1] and d2 > tiny * gram[2, 2] and d3 > tiny * gram[3, 3]


@njit(forceinline=True, error_model="numpy")
def move(p: Array, gram: Array, step: Array, variance: float, limits: tuple[float, float, float]) -> int:
    """Take a step, shortened if long; 1 when it was small enough to be the last, −1 when it led out of the axis."""
    change = 0.0
    for i in range(4):
        change = max(change, step[i] * step[i] * gram[i, i])
    width = p[2] / p[0]
    aside, wider = step[1] * width, step[2] * width
    # the linearisation holds within a fraction of the width
    shrink = min(1.0, 0.7 * p[2] / (abs(aside) + 1e-300), 0.4 * p[2] / (abs(wider) + 1e-300))
    far = max(abs(aside), abs(wider)) / p[2]
    p[0] += shrink * step[0]
    p[1] += shrink * aside
    p[2] += shrink * wider
    p[3] += shrink * step[3]
    if not (p[2] > 0.0 and -1.0 < p[1] < 1.0):
        return -1
    most_far, to_come, most_change = limits
    small = far * far * change < to_come * variance and change < most_change * variance
    return 1 if far < most_far and (small or far < ROUNDING) else 0


@njit(cache=True, nogil=True, error_model="numpy")
def settle_on_blocks(
    u: Real, y: Real, none: Real, base: Real, base_mean: float, per_count: float, each: float, p: Array, bell: Real,
    gram: Array, right: Array, step: Array,
) -> bool:  # fmt: skip
    """Scoring steps on means over ``each`` channels until single channels can take over."""
    n = u.size
    tiny = TINY_SINGLE if u.itemsize == 4 else TINY
    moved = 0
    share = 0.5 * ROOT_TWO_PI * p[2]   # if channels were evenly spaced; the sums then say what it is
    for _ in range(MOST_STEPS):
        floor = floor_of(p, share, base_mean, per_count)
        squares = sums(u, y, none, base, 0, n, p, per_count, floor, each, bell, gram, right)
        share = right[4] / n
        if not solve(gram, right, tiny, step):
            return False
        variance = 1.0 if per_count > 0.0 else each * squares / max(n - 4, 1)
        moved = move(p, gram, step, variance, BLOCKS_SETTLED)
        if moved != 0:
            break
    if moved <= 0:
        return False
    # a mean over a block is flatter and wider than the band by the block's own variance
    at = min(max(reached(u, p[1]), 1), n - 1)
    narrow = p[2] * p[2] - (u[at] - u[at - 1]) ** 2 / 12.0
    if each > 1.0 and narrow > 0.0:
        p[0] *= p[2] / math.sqrt(narrow)
        p[2] = math.sqrt(narrow)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def settle(
    u: Real, y: Counts, dark: Real, base: Real, coarse_u: Real, coarse_y: Real, coarse_base: Real, base_mean: float,
    per_count: float, length: int, p: Array, bell: Real, gram: Array, right: Array, step: Array, before: Array,
) -> float:  # fmt: skip
    """Scoring steps on the channels of the band and the blocks beside it; Σ residual², or −1 if it does not settle."""
    n, blocks = u.size, coarse_u.size
    single = u.itemsize == 4
    reach, limits, tiny = (REACH_SINGLE, SETTLED_SINGLE, TINY_SINGLE) if single else (REACH, SETTLED, TINY)
    share = 0.5 * ROOT_TWO_PI * p[2] if length == 1 else right[4] / blocks
    for _ in range(MOST_STEPS):
        first = max(reached(coarse_u, p[1] - reach * p[2]) - 1, 0)
        last = min(reached(coarse_u, p[1] + reach * p[2]) + 1, blocks)
        low, high = first * length, last * length if last < blocks else n
        floor = floor_of(p, share, base_mean, per_count)
        squares = sums(u, y, dark, base, low, high, p, per_count, floor, 1.0, bell, gram, right)
        squares += length * add_background(
            coarse_y, coarse_base, first, last, p[3], per_count, floor, length, gram, right
        )
        if high < n:
            squares += add_tail(y, dark, base, blocks * length, p[3], per_count, floor, gram, right)
        share = right[4] / n
        if not solve(gram, right, tiny, step):
            return -1.0
        for i in range(4):
            before[i] = p[i]
        # the scatter of blocks about the offset, times their length, is that of as many channels
        seen = high - low + blocks - (last - first)
        moved = move(p, gram, step, 1.0 if per_count > 0.0 else squares / max(seen - 4, 1), limits)
        if moved < 0:
            return -1.0
        if moved > 0:   # the Gram matrix is that of a fraction of an error before: near enough
            rest = squares_about(y, dark, 0, low, p[3]) + squares_about(y, dark, high, n, p[3])
            return rest + residual_squares(u, y, dark, bell, low, high, before, p)
    return -1.0


@njit(cache=True, nogil=True, error_model="numpy")
def fit_gaussians(
    middle: float, scale: float, u: Real, rows: Counts, darks: Real, base: Real, per_count: float, parameters: Array,
    grams: Array, squares: Array, settled: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Fit all rows (n, channels) less their ``darks``; ``settled`` False marks those to be done by the careful way.

    The energies are ``middle`` + ``scale`` · u, where ``u`` rises from −1 to 1: with energies that fall, ``scale`` is
    negative, and spectra are read in the order in which they are stored. variance = max(model, 0) · ``per_count`` +
    ``base`` (1, channels) or (n, channels); all are equal where ``per_count`` is 0. ``u``, ``darks`` and ``base`` are
    of one type, float32 for integers. Results as in :func:`~halidescope.analysis.peaks_kernels.fit_rows`.
    """
    n, channels = rows.shape
    length = LENGTH if channels >= 32 * LENGTH else 1
    blocks = channels // length
    kind = u.dtype
    coarse_u, coarse_y, coarse_base = np.empty(blocks, kind), np.empty(blocks, kind), np.empty(blocks, kind)
    coarse_dark, none, bell = np.empty(blocks, kind), np.zeros(blocks, kind), np.empty(channels, kind)
    gram, right, step, p, before = np.empty((4, 4)), np.empty(5), np.empty(4), np.empty(4), np.empty(4)
    slope = np.empty(4)   # derivatives by the results' parameters over those by the kernels'
    block_means(u, none, length, coarse_u)
    base_mean = 0.0
    for row in range(n):
        settled[row] = False
        y = rows[row]
        dark = darks[row if darks.shape[0] > 1 else 0]
        own = base[row if base.shape[0] > 1 else 0]
        if row == 0 or darks.shape[0] > 1:
            block_means(dark, none, length, coarse_dark)
        if row == 0 or base.shape[0] > 1:
            base_mean = block_means(own, none, length, coarse_base) / blocks
        if not math.isfinite(block_means(y, coarse_dark, length, coarse_y)):
            continue
        if not start(coarse_u, coarse_y, p):
            continue
        if length > 1 and not settle_on_blocks(
            coarse_u, coarse_y, none, coarse_base, base_mean, per_count, length, p, bell, gram, right, step
        ):
            continue
        rest = settle(
            u, y, dark, own, coarse_u, coarse_y, coarse_base, base_mean, per_count, length, p, bell, gram, right,
            step, before,
        )  # fmt: skip
        if not rest >= 0.0:
            continue
        settled[row] = True
        squares[row] = rest
        parameters[row, 0], parameters[row, 3] = p[0], p[3]
        parameters[row, 1], parameters[row, 2] = middle + scale * p[1], abs(scale) * p[2]
        slope[0] = slope[3] = 1.0
        slope[1], slope[2] = before[0] / (before[2] * scale), before[0] / (before[2] * abs(scale))
        for i in range(4):
            for m in range(i + 1):
                grams[row, i, m] = grams[row, m, i] = slope[i] * slope[m] * gram[i, m]
