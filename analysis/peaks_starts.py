"""Where the fit of a peak starts: moments around the highest block; for weak and narrow ones, the best of all boxes."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.line_shapes import BIGAUSSIAN, EMG, TWO, VOIGT

Array = NDArray[np.float64]

SEEN = 5.5           # standard deviations of a box's mean above which there is something in it
BOX_SIGMAS = 2.8     # width, in sigma, of the box in which a Gaussian stands out most; its mean there is
BOX_HEIGHT = 0.75    # this part of the height
WIDER = 1.5          # from one box to the next


@njit(cache=True, nogil=True)
def start_from_moments(code: int, x: Array, y: Array, p: Array) -> bool:
    """Start values from block means, the highest block and the area around it; ``x`` ascending. False without data."""
    n = x.size
    blocks = min(48, max(n // 4, 1))
    lowest = np.inf
    highest = -np.inf
    top = 0
    for block in range(blocks):
        first, last = block * n // blocks, (block + 1) * n // blocks
        total = 0.0
        count = 0
        for j in range(first, last):
            if not np.isnan(y[j]):
                total += y[j]
                count += 1
        if count == 0:
            continue
        mean = total / count
        lowest = min(lowest, mean)
        if mean > highest:
            highest = mean
            top = (first + last) // 2
    if not highest > lowest:
        return False
    half = 0.5 * (highest + lowest)
    step = max(n // blocks, 1)
    low = top
    while low - step >= 0 and mean_around(y, low - step, step) > half:
        low -= step
    high = top
    while high + step < n and mean_around(y, high + step, step) > half:
        high += step
    low, high = max(low - step // 2, 0), min(high + step // 2, n - 1)
    weight = centre = 0.0
    for j in range(low, high + 1):
        if not np.isnan(y[j]) and y[j] > lowest:
            weight += y[j] - lowest
            centre += (y[j] - lowest) * x[j]
    height = highest - lowest
    middle = centre / weight if weight > 0.0 else x[top]
    sigma = max(x[high] - x[low], (x[n - 1] - x[0]) / n) / 2.355
    shaped(code, height, middle, sigma, lowest, p)
    return True


@njit(cache=True, nogil=True)
def shaped(code: int, height: float, middle: float, sigma: float, offset: float, p: Array) -> None:
    """Start values of every shape from those of a Gaussian."""
    p[0], p[1], p[2] = height, middle, sigma
    if code == BIGAUSSIAN:
        p[3] = sigma
    elif code == EMG:
        p[0], p[1], p[2], p[3] = 1.3 * height, middle + 0.4 * sigma, 0.8 * sigma, 0.5 * sigma
    elif code == VOIGT:
        p[2], p[3] = 0.7 * sigma, 0.4 * sigma
    elif code == TWO:
        p[0], p[1], p[2] = 0.7 * height, middle - 0.6 * sigma, 0.7 * sigma
        p[3], p[4], p[5] = 0.7 * height, middle + 0.6 * sigma, 0.7 * sigma
    p[p.size - 1] = offset


@njit(cache=True, nogil=True)
def mean_around(y: Array, centre: int, step: int) -> float:
    """Mean over a block of ``step`` channels around ``centre``, NaN left out."""
    total = 0.0
    count = 0
    for j in range(max(centre - step // 2, 0), min(centre + step // 2 + 1, y.size)):
        if not np.isnan(y[j]):
            total += y[j]
            count += 1
    return total / count if count > 0 else -np.inf


@njit(cache=True, nogil=True)
def start_from_boxes(code: int, x: Array, y: Array, sums: Array, p: Array) -> bool:
    """Start values from the box, of any width and place, that stands out most; False where none does.

    Blocks of fixed places and widths average a band of few channels away; a box of its own width at its own place does
    not. ``x`` (n,) ascending, ``sums`` (n + 1,) is overwritten.
    """
    n = x.size
    total = squares = 0.0
    count = 0
    for j in range(n):
        if not np.isnan(y[j]):
            total += y[j]
            squares += y[j] * y[j]
            count += 1
    if count < 3:
        return False
    mean = total / count
    variance = squares / count - mean * mean
    if not variance > 0.0:
        return False
    sums[0] = 0.0
    for j in range(n):
        sums[j + 1] = sums[j] + (0.0 if np.isnan(y[j]) else y[j] - mean)
    best, low, high = 0.0, 0, 0
    width = 1
    while width <= n // 4:
        highest, place = -np.inf, 0
        for j in range(n - width + 1):
            inside = sums[j + width] - sums[j]
            if inside > highest:
                highest = inside
                place = j
        score = highest / math.sqrt(width * variance)
        if score > best:
            best, low, high = score, place, place + width
        width = max(width + 1, int(WIDER * width))
    if not best > SEEN:
        return False
    sigma = (high - low) * (x[n - 1] - x[0]) / (n - 1) / BOX_SIGMAS
    height = (sums[high] - sums[low]) / (high - low) / BOX_HEIGHT
    shaped(code, height, 0.5 * (x[low] + x[high - 1]), sigma, mean, p)
    return True
