"""Compiled loops of :mod:`halidescope.analysis.cosmic`."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.cosmic_screen import Limits, Words, darks_of, suspicious
from halidescope.analysis.vectors import LINE, prefetch, wide

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
Single = NDArray[np.float32]

NEAR, FAR = 3, 4      # channels on either side that predict the middle one: a hit is at most three channels wide
SPREAD = 1.3          # variance of value − prediction, in variances of the value
BLOCK = 64            # channels that are looked at closer together
MOST_BRIGHTER = 10.0  # than a spectrum beside; larger ratios are taken as this
FAST = {"reassoc", "contract", "nsz", "arcp"}
WIDE = 20             # channels on either side that tell the level of few counts
FLICKER = 0.2         # a line of the light may change by this part from one spectrum to the next


@njit(cache=True, nogil=True)
def prediction(y: Counts, j: int) -> float:
    """Mean of the middle two of four neighbours: one of them may be hit itself.

    Of two pairs, the greater minimum and the lesser maximum are the middle two, whichever pairs are made.
    """
    a, b = float(y[j - FAR]), float(y[j - NEAR])
    c, d = float(y[j + NEAR]), float(y[j + FAR])
    return 0.5 * (max(min(a, b), min(c, d)) + min(max(a, b), max(c, d)))


@njit(cache=True, nogil=True)
def threshold(signal: float, gain: float, read_variance: float, sigmas: float) -> float:
    """Excess that noise reaches with the probability of ``sigmas``, the skewness of few counts included."""
    variance = SPREAD * (max(signal, 0.0) / gain + read_variance)
    return sigmas * math.sqrt(variance) + sigmas * sigmas / (6.0 * gain)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def screen(y: Counts, dark: Single, gain: float, read_variance: float, sigmas: float) -> float:
    """How many channels stick out; the cheap pass over all data."""
    wide()
    searched = y.size - 2 * FAR
    # shifted views: indices that cannot be negative, so that the loop vectorises
    far_left, near_left, middle = y[:searched], y[FAR - NEAR :], y[FAR:]
    near_right, far_right, level_of_dark = y[FAR + NEAR :], y[2 * FAR :], dark[FAR:]
    # single precision is enough to raise a suspicion, and twice as fast
    shift, factor = np.float32(sigmas * sigmas / (6.0 * gain)), np.float32(sigmas * sigmas * SPREAD)
    per_count, read = np.float32(factor / gain), np.float32(factor * read_variance)
    zero, half, one = np.float32(0.0), np.float32(0.5), np.float32(1.0)
    found = zero
    for j in range(searched):
        a, b, c, d = far_left[j], near_left[j], near_right[j], far_right[j]
        level = half * (np.float32(max(min(a, b), min(c, d))) + np.float32(min(max(a, b), max(c, d))))
        excess = max(np.float32(middle[j]) - level - shift, zero)
        found += one if excess * excess > max(level - level_of_dark[j], zero) * per_count + read else zero
    return float(found)


@njit(cache=True, nogil=True)
def scan(
    counts: Counts, words: Words, limits: Limits, neighbours: NDArray[np.int64], dark: Array, gain: float,
    read_variance: float, sigmas: float, grow: float, at_row: NDArray[np.int64], at_channel: NDArray[np.int64],
    excess: Array, level: Array,
) -> int:  # fmt: skip
    """Find hits in all rows of ``counts`` (n, channels); returns how many, of which the first ``at_row.size`` are kept.

    ``words`` are the same counts where they are integers of 16 bits and ``limits`` the noise as
    :mod:`~halidescope.analysis.cosmic_screen` wants it, else no rows at all. ``neighbours`` (n, q) lists rows of the
    same place or time, −1 where there is none: what sticks out there as well is a feature of the light and no hit.
    """
    n, channels = counts.shape
    hit = np.zeros(channels, dtype=np.bool_)
    totals = np.full(n, np.nan)
    single_dark, whole_dark = dark.astype(np.float32), darks_of(dark)
    integers = words.shape[0] > 0
    total = 0
    for row in range(n):
        y = counts[row]
        if integers:
            for line in range((row + 1) * channels, (row + 2) * channels, LINE // 2):
                prefetch(words, line)   # the next spectrum is on its way while this one is screened
            if not suspicious(words[row], whole_dark, NEAR, FAR, limits):
                continue
        elif not screen(y, single_dark, gain, read_variance, 0.99 * sigmas) > 0.0:
            continue
        first, last = channels, 0
        for block in range(FAR, channels - FAR, BLOCK):   # suspicions are rare: blocks say where to look closer
            end = min(block + BLOCK, channels - FAR)
            here = slice(block - FAR, end + FAR)
            if integers:
                if not suspicious(words[row, here], whole_dark[here], NEAR, FAR, limits):
                    continue
            elif not screen(y[here], single_dark[here], gain, read_variance, 0.99 * sigmas) > 0.0:
                continue
            for j in range(block, end):
                beside = prediction(y, j)
                if not float(y[j]) - beside > threshold(beside - dark[j], gain, read_variance, sigmas):
                    continue   # said here, because a call for every channel costs more than all the rest
                if confirmed(counts, totals, neighbours[row], row, j, dark, gain, read_variance, sigmas):
                    hit[j] = True
                    first, last = min(first, j), max(last, j)
        if first > last:
            continue
        j = first
        while j <= last:   # the rim of a hit is fainter than its core
            if hit[j]:
                for side in (j - 1, j + 1):
                    if FAR <= side < channels - FAR and not hit[side]:
                        hit[side] = confirmed(
                            counts, totals, neighbours[row], row, side, dark, gain, read_variance, grow
                        )
                if hit[j + 1]:
                    last = max(last, j + 1)
            j += 1
        for j in range(first - 1, last + 1):
            if hit[j]:
                hit[j] = False
                if total < at_row.size:
                    at_row[total] = row
                    at_channel[total] = j
                    level[total] = prediction(y, j)
                    excess[total] = float(y[j]) - level[total]
                total += 1
    return total


@njit(cache=True, nogil=True)
def around(y: Counts, j: int) -> float:
    """Mean of up to 32 channels around ``j`` without the innermost: a level that few counts do not round to zero."""
    total = 0.0
    count = 0
    for i in range(max(j - WIDE, 0), min(j + WIDE + 1, y.size)):
        if abs(i - j) > FAR:
            total += float(y[i])
            count += 1
    return total / max(count, 1)


@njit(cache=True, nogil=True)
def confirmed(
    counts: Counts, totals: Array, rows: NDArray[np.int64], row: int, j: int, dark: Array, gain: float,
    read_variance: float, sigmas: float,
) -> bool:  # fmt: skip
    """Does channel ``j`` stick out, and not in the neighbouring spectra as well?"""
    y = counts[row]
    level = prediction(y, j)
    excess = float(y[j]) - level
    if not excess > threshold(level - dark[j], gain, read_variance, sigmas):
        return False   # a higher level, below, only asks for more
    signal = max(level, around(y, j)) - dark[j]
    if not excess > threshold(signal, gain, read_variance, sigmas):
        return False
    lowest = np.inf
    for q in rows:
        if q >= 0:
            lowest = min(lowest, float(counts[q, j]) - prediction(counts[q], j))
    if lowest == np.inf or lowest <= 0.0:
        return True
    noise = SPREAD * (max(signal, 0.0) / gain + read_variance)
    if beyond(excess, MOST_BRIGHTER * lowest, MOST_BRIGHTER, noise, gain, sigmas):
        return True   # however much brighter this spectrum is than those beside it
    expected = np.inf
    scale = 1.0
    for q in rows:
        if q < 0:
            continue
        if np.isnan(totals[q]):
            totals[q] = total_of(counts[q], dark)
        if np.isnan(totals[row]):
            totals[row] = total_of(y, dark)
        ratio = totals[row] / totals[q] if totals[q] > 0.0 and totals[row] > 0.0 else 1.0
        ratio = min(max(ratio, 1.0 / MOST_BRIGHTER), MOST_BRIGHTER)
        other = ratio * (float(counts[q, j]) - prediction(counts[q], j))
        if other < expected:
            expected = other
            scale = ratio
    return beyond(excess, expected, scale, noise, gain, sigmas)


@njit(cache=True, nogil=True)
def beyond(excess: float, expected: float, scale: float, noise: float, gain: float, sigmas: float) -> bool:
    """Is the excess more than that of a spectrum beside, ``scale`` times fainter, lets expect? Harder with each."""
    variance = (1.0 + scale) * noise + (1.0 + scale) * expected / gain + (FLICKER * expected) ** 2
    return excess - expected > sigmas * math.sqrt(variance) + sigmas * sigmas / (6.0 * gain)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def total_of(y: Counts, dark: Array) -> float:
    """Signal of a whole spectrum."""
    total = 0.0
    for j in range(y.size):
        total += float(y[j]) - dark[j]
    return total
