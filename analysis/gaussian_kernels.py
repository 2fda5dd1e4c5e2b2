"""The commonest peak fit, a Gaussian on an offset, made fast: vectorised sums, first on blocks, then around the band.

Same estimator as :mod:`~halidescope.analysis.peaks_kernels`; a spectrum that does not settle here is left to that.
Blocks of channels bring the parameters to within a fraction of their errors. What remains is one scoring step, or two,
on the single channels where the band is; far from it the model is constant and blocks lose nothing.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.fast_exp import exp_below_zero
from halidescope.analysis.line_shapes import GAUSSIAN
from halidescope.analysis.peaks_kernels import FLOOR, solve_damped, start_from_moments
from halidescope.analysis.vectors import wide

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
FAST = {"reassoc", "contract", "nsz", "arcp"}
LENGTH = 16           # channels in a block of the first stage
REACH = 6.5           # widths from the centre to where the band is nothing (1e-9 of its height)
MOST_STEPS = 20
ROOT_TWO_PI = 2.5066
# A step of scoring is followed by one that is smaller by the step itself (curvature) or by the error (noise), both in
# widths: this is how far the last one may go in widths, and, squared, in standard errors.
BLOCKS_SETTLED, BLOCKS_ERRORS = 1e-2, 1.0
SETTLED, ERRORS = 5e-4, 0.1


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def sums(
    x: Array, y: Array, base: Array, p: Array, gain: float, floor: float, poisson: bool, each: float, bell: Array,
    weight: Array, gram: Array, right: Array,
) -> float:  # fmt: skip
    """Normal equations of one linearisation at (amplitude, centre, sigma, offset); returns Σ residual².

    variance = max(max(model, 0) / gain + base, floor) / ``each`` where ``poisson``, else 1. exp is
    :func:`exp_below_zero`. ``bell`` and ``weight`` are room to work in.
    """
    wide()
    amplitude, centre, offset = p[0], p[1], p[3]
    inverse = 1.0 / p[2]
    per_count = 1.0 / gain
    for j in range(x.size):
        z = (x[j] - centre) * inverse
        bell[j] = exp_below_zero(-0.5 * z * z)
    if poisson:
        for j in range(x.size):
            weight[j] = each / max(max(amplitude * bell[j] + offset, 0.0) * per_count + base[j], floor)
    else:
        for j in range(x.size):
            weight[j] = 1.0
    s00 = s01 = s02 = s03 = s12 = s13 = s22 = s23 = s33 = squares = 0.0
    r0 = r1 = r2 = r3 = 0.0
    for j in range(x.size):
        z = (x[j] - centre) * inverse
        g = bell[j]
        w = weight[j]
        residual = y[j] - amplitude * g - offset
        squares += residual * residual
        wg = w * g
        wgz = wg * z
        wgzz = wgz * z
        gz = g * z
        gzz = gz * z
        s00 += wg * g
        s01 += wg * gz
        s02 += wgz * gz
        s03 += wg
        s12 += wgz * gzz
        s13 += wgz
        s22 += wgzz * gzz
        s23 += wgzz
        s33 += w
        r0 += wg * residual
        r1 += wgz * residual
        r2 += wgzz * residual
        r3 += w * residual
    scale = amplitude * inverse
    gram[0, 0], gram[1, 0], gram[2, 0], gram[3, 0] = s00, scale * s01, scale * s02, s03
    gram[1, 1], gram[2, 1], gram[3, 1] = scale * scale * s02, scale * scale * s12, scale * s13
    gram[2, 2], gram[3, 2], gram[3, 3] = scale * scale * s22, scale * s23, s33
    right[0], right[1], right[2], right[3] = r0, scale * r1, scale * r2, r3
    return squares


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add_background(
    y: Array, base: Array, offset: float, gain: float, floor: float, poisson: bool, each: float, gram: Array,
    right: Array,
) -> float:  # fmt: skip
    """Add means over ``each`` channels on which only the offset acts; returns Σ residual² of the means."""
    level = max(offset, 0.0) / gain
    total = other = squares = 0.0
    for j in range(y.size):
        residual = y[j] - offset
        w = each / max(level + base[j], floor) if poisson else each
        total += w
        other += w * residual
        squares += residual * residual
    gram[3, 3] += total
    right[3] += other
    return squares


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def sums_of_four(y: Array, out: Array) -> None:
    """Sums of every four neighbours."""
    wide()
    for j in range(out.size):
        out[j] = y[4 * j] + y[4 * j + 1] + y[4 * j + 2] + y[4 * j + 3]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def block_means(y: Array, length: int, room: Array, out: Array) -> float:
    """Means over whole blocks of 16 channels or 1 (``length``); returns their sum, NaN if anything is."""
    if length == LENGTH:
        fours = room[: 4 * out.size]
        sums_of_four(y, fours)
        sums_of_four(fours, out)
        factor = 1.0 / length
    else:
        factor = 1.0
        for block in range(out.size):
            out[block] = y[block]
    total = 0.0
    for block in range(out.size):
        out[block] *= factor
        total += out[block]
    return total


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def residual_squares(x: Array, y: Array, bell: Array, before: Array, p: Array) -> float:
    """Σ residual² at ``p``, where ``bell`` are the exponentials a small step ``before``.

    The exponent moves by less than 0.01, so that its exponential is a cubic to 1e-9.
    """
    wide()
    amplitude, centre, inverse, offset = p[0], p[1], 1.0 / p[2], p[3]
    old_centre, old_inverse = before[1], 1.0 / before[2]
    total = 0.0
    for j in range(y.size):
        z = (x[j] - centre) * inverse
        old = (x[j] - old_centre) * old_inverse
        e = 0.5 * (old - z) * (old + z)
        g = bell[j] * (1.0 + e * (1.0 + e * (0.5 + e * (1.0 / 6.0))))
        residual = y[j] - amplitude * g - offset
        total += residual * residual
    return total


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def squares_about(y: Array, level: float) -> float:
    """Σ (y − level)²."""
    total = 0.0
    for j in range(y.size):
        total += (y[j] - level) * (y[j] - level)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def floor_of(x: Array, p: Array, base_mean: float, gain: float) -> float:
    """Smallest variance of a channel: a part of the mean variance, so that empty channels do not rule the fit."""
    level = max(p[0], 0.0) * p[2] * ROOT_TWO_PI / (x[x.size - 1] - x[0]) + max(p[3], 0.0)
    floor = FLOOR * (base_mean + level / gain)
    return floor if floor > 0.0 else 1.0 / gain


@njit(cache=True, nogil=True, error_model="numpy")
def move(x: Array, p: Array, gram: Array, step: Array, variance: float, limit: float, errors: float) -> int:
    """Take a step, shortened if long; 1 when it was small enough to be the last, −1 when it led out of the axis."""
    # the linearisation holds within a fraction of the width
    shrink = min(1.0, 0.7 * p[2] / (abs(step[1]) + 1e-300), 0.4 * p[2] / (abs(step[2]) + 1e-300))
    far = max(abs(step[1]), abs(step[2])) / p[2]
    change = 0.0
    for i in range(4):
        change = max(change, step[i] * step[i] * gram[i, i])
        p[i] += shrink * step[i]
    if not (p[2] > 0.0 and x[0] < p[1] < x[x.size - 1]):
        return -1
    return 1 if far < limit and (change < errors * variance or far < 1e-9) else 0


@njit(cache=True, nogil=True, error_model="numpy")
def settle_on_blocks(
    x: Array, y: Array, base: Array, base_mean: float, gain: float, poisson: bool, each: float, p: Array, work: Array,
    gram: Array, right: Array, factor: Array, step: Array,
) -> bool:  # fmt: skip
    """Scoring steps on means over ``each`` channels until single channels can take over."""
    n = x.size
    for _ in range(MOST_STEPS):
        floor = floor_of(x, p, base_mean, gain)
        low, high = np.searchsorted(x, p[1] - REACH * p[2]), np.searchsorted(x, p[1] + REACH * p[2])
        band = slice(low, high)
        squares = sums(x[band], y[band], base[band], p, gain, floor, poisson, each, work[0], work[1], gram, right)
        own = each if poisson else 1.0
        squares += add_background(y[:low], base[:low], p[3], gain, floor, poisson, own, gram, right)
        squares += add_background(y[high:], base[high:], p[3], gain, floor, poisson, own, gram, right)
        if not solve_damped(gram, right, 1e-12, factor, step):
            return False
        moved = move(x, p, gram, step, 1.0 if poisson else squares / max(n - 4, 1), BLOCKS_SETTLED, BLOCKS_ERRORS)
        if moved != 0:
            break
    else:
        return False
    # a mean over a block is flatter and wider than the band by the block's own variance
    at = min(max(np.searchsorted(x, p[1]), 1), n - 1)
    narrow = p[2] * p[2] - (x[at] - x[at - 1]) ** 2 / 12.0
    if each > 1.0 and narrow > 0.0:
        p[0] *= p[2] / math.sqrt(narrow)
        p[2] = math.sqrt(narrow)
    return moved > 0


@njit(cache=True, nogil=True, error_model="numpy")
def settle(
    x: Array, y: Array, base: Array, coarse_y: Array, coarse_base: Array, base_mean: float, gain: float, poisson: bool,
    length: int, p: Array, work: Array, gram: Array, right: Array, factor: Array, step: Array, before: Array,
) -> float:  # fmt: skip
    """Scoring steps on the channels of the band and the blocks beside it; Σ residual², or −1 if it does not settle."""
    n = x.size
    whole = coarse_y.size * length
    for _ in range(MOST_STEPS):
        first = np.searchsorted(x, p[1] - REACH * p[2]) // length
        last = -(-np.searchsorted(x, p[1] + REACH * p[2]) // length)
        low, high = first * length, min(last * length, n)
        if high >= whole:   # the last channels do not fill a block: they are taken as they are
            high = n
        floor = floor_of(x, p, base_mean, gain)
        band = slice(low, high)
        squares = sums(x[band], y[band], base[band], p, gain, floor, poisson, 1.0, work[0], work[1], gram, right)
        squares += length * add_background(
            coarse_y[:first], coarse_base[:first], p[3], gain, floor, poisson, length, gram, right
        )
        if high < n:
            squares += length * add_background(
                coarse_y[last:], coarse_base[last:], p[3], gain, floor, poisson, length, gram, right
            )
            squares += add_background(y[whole:], base[whole:], p[3], gain, floor, poisson, 1.0, gram, right)
        if not solve_damped(gram, right, 1e-12, factor, step):
            return -1.0
        # the scatter of blocks about the offset, times their length, is that of as many channels
        seen = high - low + first + (0 if high == n else coarse_y.size - last + n - whole)
        before[:] = p
        moved = move(x, p, gram, step, 1.0 if poisson else squares / max(seen - 4, 1), SETTLED, ERRORS)
        if moved < 0:
            return -1.0
        if moved > 0:   # the Gram matrix is that of a fraction of an error before: near enough
            rest = squares_about(y[:low], p[3]) + squares_about(y[high:], p[3])
            return rest + residual_squares(x[band], y[band], work[0], before, p)
    return -1.0


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def correct(y: Counts, dark: Array, reverse: bool, out: Array) -> float:
    """Write y − dark into ``out``, backwards if ``reverse``; returns 0, or NaN where anything is not finite."""
    wide()
    last = y.size - 1
    total = 0.0
    if reverse:
        for j in range(y.size):
            value = float(y[last - j]) - dark[last - j]
            out[j] = value
            total += 0.0 * value
    else:
        for j in range(y.size):
            value = float(y[j]) - dark[j]
            out[j] = value
            total += 0.0 * value
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def correct_rows(rows: Counts, darks: Array, reverse: bool, values: Array, good: NDArray[np.int64]) -> None:
    """Write rows − darks into ``values`` (n, channels), NaN where not finite, backwards if ``reverse``.

    ``good`` (n,) counts the finite ones.
    """
    channels = values.shape[1]
    for row in range(rows.shape[0]):
        out = values[row]
        good[row] = channels
        if correct(rows[row], darks[row if darks.shape[0] > 1 else 0], reverse, out) != 0.0:
            for j in range(channels):
                if not math.isfinite(out[j]):
                    out[j] = np.nan
                    good[row] -= 1


@njit(cache=True, nogil=True, error_model="numpy")
def fit_gaussians(
    x: Array, rows: Counts, darks: Array, reverse: bool, background: Array, gain: float, read_variance: Array,
    poisson: bool, parameters: Array, grams: Array, squares: Array, settled: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Fit all rows (n, channels) less their ``darks``; ``settled`` False marks those to be done by the careful way.

    Needs ``x`` ascending; ``rows`` and ``darks`` run backwards if ``reverse``, ``background`` and ``read_variance`` do
    not. Results as in :func:`~halidescope.analysis.peaks_kernels.fit_rows`.
    """
    n, channels = rows.shape
    length = LENGTH if channels >= 32 * LENGTH else 1
    blocks = channels // length
    coarse_x, coarse_y, coarse_base = np.empty(blocks), np.empty(blocks), np.empty(blocks)
    y, base, work = np.empty(channels), np.empty(channels), np.empty((2, channels))
    gram, right = np.empty((4, 4)), np.empty(4)
    code = GAUSSIAN + 0 * length   # a run-time number: a constant would compile the moments a second time
    factor, step, before = np.empty((4, 4)), np.empty(4), np.empty(4)
    block_means(x, length, base, coarse_x)
    base_mean = 0.0
    for row in range(n):
        settled[row] = False
        if correct(rows[row], darks[row if darks.shape[0] > 1 else 0], reverse, y) != 0.0:
            continue
        block_means(y, length, work[0], coarse_y)
        if row == 0 or background.shape[0] > 1:
            dark = background[row] if background.shape[0] > 1 else background[0]
            for j in range(channels):
                base[j] = dark[j] / gain + read_variance[j]
            base_mean = block_means(base, length, work[0], coarse_base) / blocks
        p = parameters[row]
        if not start_from_moments(code, coarse_x, coarse_y, p):
            continue
        if length > 1 and not settle_on_blocks(
            coarse_x, coarse_y, coarse_base, base_mean, gain, poisson, length, p, work, gram, right, factor, step
        ):
            continue
        rest = settle(
            x, y, base, coarse_y, coarse_base, base_mean, gain, poisson, length, p, work, gram, right, factor, step,
            before,
        )  # fmt: skip
        if rest < 0.0:
            continue
        settled[row] = True
        squares[row] = rest
        for i in range(4):
            for m in range(i + 1):
                grams[row, i, m] = grams[row, m, i] = gram[i, m]
