"""The commonest peak fit, a Gaussian on an offset, made fast: vectorised sums, first on blocks, then on all channels.

Same estimator as :mod:`~halidescope.analysis.peaks_kernels`; a spectrum that does not settle here is left to that.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.fast_exp import exp_below_zero
from halidescope.analysis.line_shapes import GAUSSIAN
from halidescope.analysis.peaks_kernels import FLOOR, solve_damped, start_from_moments

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
FAST = {"reassoc", "contract", "nsz", "arcp"}
LENGTH = 16         # channels in a block of the first stage
MOST_STEPS = 20
SETTLED = 1e-6      # squared last step, in squared standard errors: the next would be a thousand times smaller


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def sums(
    x: Array, y: Array, base: Array, p: Array, gain: float, floor: float, poisson: bool, bell: Array, weight: Array,
    gram: Array, right: Array,
) -> float:  # fmt: skip
    """Normal equations of one linearisation at (amplitude, centre, sigma, offset); returns Σ residual².

    variance = max(max(model, 0) / gain + base, floor) where ``poisson``, else 1. exp is
    :func:`exp_below_zero`.
    """
    amplitude, centre, offset = p[0], p[1], p[3]
    inverse = 1.0 / p[2]
    for j in range(x.size):
        z = (x[j] - centre) * inverse
        bell[j] = exp_below_zero(-0.5 * z * z)
    if poisson:
        for j in range(x.size):
            weight[j] = 1.0 / max(max(amplitude * bell[j] + offset, 0.0) / gain + base[j], floor)
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
        s00 += wg * g
        s01 += wgz * g
        s02 += wgzz * g
        s03 += wg
        s12 += wgzz * g * z
        s13 += wgz
        s22 += wgzz * g * z * z
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
def block_means(y: Array, length: int, out: Array) -> float:
    """Means over whole blocks of ``length`` channels; returns their sum, NaN if anything is."""
    total = 0.0
    for block in range(out.size):
        value = 0.0
        for j in range(block * length, (block + 1) * length):
            value += y[j]
        out[block] = value / length
        total += value
    return total


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def residual_squares(y: Array, bell: Array, amplitude: float, offset: float) -> float:
    """Sum of squared residuals, the shape given."""
    total = 0.0
    for j in range(y.size):
        residual = y[j] - amplitude * bell[j] - offset
        total += residual * residual
    return total


@njit(cache=True, nogil=True)
def settle(
    x: Array, y: Array, base: Array, gain: float, poisson: bool, noise: float, p: Array, work: Array,
    gram: Array, right: Array, factor: Array, step: Array,
) -> bool:  # fmt: skip
    """Scoring steps until they are far below the standard errors; False when they do not become so.

    ``noise`` scales the errors where weights are 1: 0 takes the variance from the residual.
    """
    n = x.size
    mean = 0.0
    for j in range(n):
        mean += base[j] / n
    for _ in range(MOST_STEPS):
        level = max(p[0], 0.0) * p[2] * 2.5066 / (x[n - 1] - x[0]) + max(p[3], 0.0)
        floor = FLOOR * (mean + level / gain)
        if not floor > 0.0:
            floor = 1.0 / gain
        squares = sums(x, y, base, p, gain, floor, poisson, work[0, :n], work[1, :n], gram, right)
        if not solve_damped(gram, right, 1e-12, factor, step):
            return False
        variance = 1.0 if poisson else squares / max(n - 4, 1)
        if noise > 0.0:
            variance *= noise
        # long steps are shortened: the linearisation holds within a fraction of the width
        shrink = min(1.0, 0.7 * p[2] / (abs(step[1]) + 1e-300), 0.4 * p[2] / (abs(step[2]) + 1e-300))
        change = 0.0
        for i in range(4):
            change = max(change, step[i] * step[i] * gram[i, i])
            p[i] += shrink * step[i]
        if not (p[2] > 0.0 and x[0] < p[1] < x[n - 1]):
            return False
        tiny = abs(step[1]) < 1e-9 * p[2] and abs(step[2]) < 1e-9 * p[2]
        if shrink == 1.0 and (change < SETTLED * variance or tiny):
            return True   # the Gram matrix is that of a thousandth of an error before: near enough
    return False


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def correct_rows(rows: Counts, darks: Array, reverse: bool, values: Array, good: NDArray[np.int64]) -> None:
    """Write rows − darks into ``values`` (n, channels), NaN where not finite, backwards if ``reverse``.

    ``good`` (n,) counts the finite ones.
    """
    channels = values.shape[1]
    for row in range(rows.shape[0]):
        y, out = rows[row], values[row]
        dark = darks[row] if darks.shape[0] > 1 else darks[0]
        total = 0.0
        if reverse:
            for j in range(channels):
                value = float(y[j]) - dark[j]
                out[channels - 1 - j] = value
                total += 0.0 * value
        else:
            for j in range(channels):
                value = float(y[j]) - dark[j]
                out[j] = value
                total += 0.0 * value
        good[row] = channels
        if total != 0.0:   # 0 · infinity and 0 · NaN are NaN: look closer
            for j in range(channels):
                if not math.isfinite(out[j]):
                    out[j] = np.nan
                    good[row] -= 1


@njit(cache=True, nogil=True)
def fit_gaussians(
    x: Array, rows: Array, background: Array, gain: float, read_variance: Array, poisson: bool, parameters: Array,
    grams: Array, squares: Array, settled: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Fit all rows (n, channels); ``settled`` False marks those to be done again by the careful way.

    Needs ``x`` ascending. Results as in :func:`~halidescope.analysis.peaks_kernels.fit_rows`.
    """
    n, channels = rows.shape
    length = LENGTH if channels >= 32 * LENGTH else 1
    blocks = channels // length
    coarse_x, coarse_y, coarse_base = np.empty(blocks), np.empty(blocks), np.empty(blocks)
    base = np.empty(channels)
    work = np.empty((2, channels))
    gram, right = np.empty((4, 4)), np.empty(4)
    code = GAUSSIAN + 0 * length   # a run-time number: a constant would compile the moments a second time
    factor, step = np.empty((4, 4)), np.empty(4)
    block_means(x, length, coarse_x)
    for row in range(n):
        settled[row] = False
        y = rows[row]
        total = block_means(y, length, coarse_y)
        for j in range(blocks * length, channels):
            total += y[j]
        if math.isnan(total):
            continue
        if row == 0 or background.shape[0] > 1:
            dark = background[row] if background.shape[0] > 1 else background[0]
            for j in range(channels):
                base[j] = dark[j] / gain + read_variance[j]
            block_means(base, length, coarse_base)
        p = parameters[row]
        if not start_from_moments(code, coarse_x, coarse_y, p):
            continue
        # in blocks of 16 the errors are 4 times smaller than the sums believe; a hundredth of them is near enough
        if length > 1 and not settle(
            coarse_x, coarse_y, coarse_base, gain, poisson, 30.0, p, work, gram, right, factor, step
        ):
            continue
        if length > 1:   # a mean over a block is flatter and wider than the band by the block's own variance
            block_width = (x[channels - 1] - x[0]) / blocks
            narrow = p[2] * p[2] - block_width * block_width / 12.0
            if narrow > 0.0:
                p[0] *= p[2] / math.sqrt(narrow)
                p[2] = math.sqrt(narrow)
        if not settle(x, y, base, gain, poisson, 0.0, p, work, gram, right, factor, step):
            continue
        settled[row] = True
        squares[row] = residual_squares(y, work[0], p[0], p[3])
        for i in range(4):
            for m in range(i + 1):
                grams[row, i, m] = grams[row, m, i] = gram[i, m]
