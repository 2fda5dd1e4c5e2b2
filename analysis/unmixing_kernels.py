"""Compiled loops of :mod:`halidescope.analysis.unmixing` for equal weights: one pass over the counts.

A spectrum is read once and reduced to its sums with an orthonormal basis of the references; everything after that works
on these few numbers. What depends on the counts being Poisson is in :mod:`~halidescope.analysis.poisson_kernels`.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.flags import Flag
from halidescope.analysis.vectors import LINE, prefetch, wide

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
Flags = NDArray[np.int64]

ROUNDING = 1e-9   # of the sum of squares: a smaller residual is rounding of the sums
LANES = 3         # references summed in one go
ROWS = 4          # spectra summed in one go: a reference that is loaded once serves all of them
CHUNK = 256       # channels between two looks ahead: so many lines are on their way at once
FAST = {"reassoc", "contract", "nsz"}   # reorder sums, but keep NaN and infinity
SATURATED, NOT_FINITE, NO_SIGNAL = int(Flag.SATURATED), int(Flag.NOT_FINITE), int(Flag.NO_SIGNAL)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def sums(rows: Counts, row: int, darks: Array, basis: Array, first: int, out: Array) -> None:
    """Sums of (y − d) · basis over all channels for references ``first`` … ``first`` + 2, and Σ (y − d)².

    Four spectra at once from ``row``, into ``out`` (4, 3 m + 1); the last is repeated where there are no four. The
    next four are fetched meanwhile (0.22 instead of 0.30 µs a spectrum where memory sets 0.13). Indices are unsigned:
    one that may be negative, and a view of every row with its count of references, cost as much as a tenth of the sums.
    """
    wide()
    channels = np.uint64(rows.shape[1])
    one, last = np.uint64(1), np.uint64(rows.shape[0] - 1)
    i0 = np.uint64(row)
    i1, i2, i3 = min(i0 + one, last), min(i0 + one + one, last), min(i0 + one + one + one, last)
    each = np.uint64(1 if darks.shape[0] > 1 else 0)
    d0, d1, d2, d3 = i0 * each, i1 * each, i2 * each, i3 * each
    f, g, h = np.uint64(first), np.uint64(first) + one, np.uint64(first) + one + one
    ahead, line = (i0 + np.uint64(ROWS)) * channels, np.uint64(LINE // rows.itemsize)
    p0 = p1 = p2 = p3 = 0.0
    q0 = q1 = q2 = q3 = 0.0
    r0 = r1 = r2 = r3 = 0.0
    s0 = s1 = s2 = s3 = 0.0
    for start in range(np.uint64(0), channels, np.uint64(CHUNK)):
        end = min(start + np.uint64(CHUNK), channels)
        if first == 0 and i3 < last:
            for k in range(start, end, line):
                prefetch(rows, ahead + k)
                prefetch(rows, ahead + channels + k)
                prefetch(rows, ahead + channels + channels + k)
                prefetch(rows, ahead + channels + channels + channels + k)
        for j in range(start, end):
            a, b, c = basis[f, j], basis[g, j], basis[h, j]
            v = float(rows[i0, j]) - darks[d0, j]
            p0 += v * a
            q0 += v * b
            r0 += v * c
            s0 += v * v
            v = float(rows[i1, j]) - darks[d1, j]
            p1 += v * a
            q1 += v * b
            r1 += v * c
            s1 += v * v
            v = float(rows[i2, j]) - darks[d2, j]
            p2 += v * a
            q2 += v * b
            r2 += v * c
            s2 += v * v
            v = float(rows[i3, j]) - darks[d3, j]
            p3 += v * a
            q3 += v * b
            r3 += v * c
            s3 += v * v
    end = np.uint64(out.shape[1] - 1)
    out[0, f], out[0, g], out[0, h], out[0, end] = p0, q0, r0, s0
    out[1, f], out[1, g], out[1, h], out[1, end] = p1, q1, r1, s1
    out[2, f], out[2, g], out[2, h], out[2, end] = p2, q2, r2, s2
    out[3, f], out[3, g], out[3, h], out[3, end] = p3, q3, r3, s3


@njit(cache=True, nogil=True)
def reaches(y: Counts, limit: float) -> bool:
    """Is any channel at or above ``limit``?"""
    wide()
    found = 0
    for j in range(y.size):
        found |= int(y[j] >= limit)
    return found > 0


@njit(cache=True, nogil=True)
def mark_saturated(rows: Counts, limit: float, flags: Flags) -> None:
    """Set SATURATED for rows that reach ``limit``."""
    for row in range(rows.shape[0]):
        if reaches(rows[row], limit):
            flags[row] |= SATURATED


@njit(cache=True, nogil=True, error_model="numpy")
def least_squares_rows(
    rows: Counts, darks: Array, left: Array, reduced: Array, inverses: Array, gram_inverse: Array, nonnegative: bool,
    amplitudes: Array, covariance: Array, squares: Array,
) -> None:  # fmt: skip
    """Equal-weight solutions for every row of ``rows`` (n, channels).

    ``left`` (3 m, channels) holds an orthonormal basis of the references, padded with zero rows, ``reduced`` (k, k)
    the references in it; ``inverses`` (2^k, k, k) the pseudo-inverses of ``reduced`` for every support (bit i of the
    first index: reference i is used), ``gram_inverse`` (k, k) the covariance at unit variance. ``squares`` gets the
    residual's sum of squares; NaN amplitudes where the sums are not finite.
    """
    n, k = rows.shape[0], reduced.shape[0]
    free = 1.0 / max(rows.shape[1] - k, 1)
    trial = np.empty(k)
    found = np.empty((ROWS, left.shape[0] + 1))
    each = 1 if darks.shape[0] > 1 else 0
    for row in range(0, n, ROWS):
        for first in range(0, left.shape[0], LANES):
            sums(rows, row, darks, left, first, found)
        for at in range(row, min(row + ROWS, n)):
            if k == 3:   # the commonest numbers are compiled for themselves: loops of known length vanish
                outside = project(3, found, at - row, inverses, amplitudes, at)
            elif k == 2:
                outside = project(2, found, at - row, inverses, amplitudes, at)
            else:
                outside = project(k, found, at - row, inverses, amplitudes, at)
            lowest = 0.0
            for i in range(k):
                lowest = min(lowest, amplitudes[at, i])
            if nonnegative and lowest < 0.0:
                outside += best_support(found[at - row], reduced, inverses, trial, amplitudes[at])
            total = found[at - row, left.shape[0]]
            if not outside > ROUNDING * total:
                for i in range(k):
                    trial[i] = 0.0
                    for m in range(k):
                        trial[i] += reduced[i, m] * amplitudes[at, m]
                outside = residual_squares(rows[at], darks[at * each], left, trial)
            squares[at] = outside
            variance = max(outside, 0.0) * free
            for i in range(k):
                for m in range(k):
                    covariance[at, i, m] = variance * gram_inverse[i, m]
            if not math.isfinite(total):
                amplitudes[at, :] = np.nan


@njit(forceinline=True)
def project(k: int, found: Array, slot: int, inverses: Array, amplitudes: Array, at: int) -> float:
    """Row ``at`` of the amplitudes, all references free; returns the squares outside of the references' space.

    Row ``slot`` of ``found`` holds the projections on the orthonormal basis and, last, the data's sum of squares.
    """
    outside = found[slot, found.shape[1] - 1]
    full = (1 << k) - 1
    for i in range(k):
        outside -= found[slot, i] * found[slot, i]
        value = 0.0
        for m in range(k):
            value += inverses[full, i, m] * found[slot, m]
        amplitudes[at, i] = value
    return outside


@njit(cache=True, nogil=True)
def best_support(wanted: Array, reduced: Array, inverses: Array, trial: Array, amplitudes: Array) -> float:
    """Exact non-negative solution by enumeration of the supports, where the one with all references free is negative.

    Returns what is left of the projections' squares.
    """
    k = reduced.shape[0]
    best = 0.0
    for i in range(k):
        best += wanted[i] * wanted[i]
        amplitudes[i] = 0.0
    for support in range((1 << k) - 2, 0, -1):
        feasible = True
        for i in range(k):
            value = 0.0
            for m in range(k):
                value += inverses[support, i, m] * wanted[m]
            trial[i] = value
            feasible = feasible and value >= 0.0
        if not feasible:
            continue
        misfit = 0.0
        for m in range(k):
            difference = wanted[m]
            for i in range(k):
                difference -= reduced[m, i] * trial[i]
            misfit += difference * difference
        if misfit < best:
            best = misfit
            for i in range(k):
                amplitudes[i] = trial[i]
    return best


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


@njit(cache=True, nogil=True, error_model="numpy")
def finish_rows(
    channels: int, amplitudes: Array, covariance: Array, squares: Array, amplitudes_se: Array, shares: Array,
    shares_se: Array, residual_rms: Array, flags: Flags,
) -> None:  # fmt: skip
    """Everything that follows from amplitudes, their covariance and the residual's sum of ``squares``."""
    n, k = amplitudes.shape
    for row in range(n):
        residual_rms[row] = math.sqrt(max(squares[row], 0.0) / channels)
        if k == 3:   # rows by their number: a view of each, counted and let go, took half of the time
            usable = errors_of(3, row, amplitudes, covariance, amplitudes_se)
        elif k == 2:
            usable = errors_of(2, row, amplitudes, covariance, amplitudes_se)
        else:
            usable = errors_of(k, row, amplitudes, covariance, amplitudes_se)
        if not (usable and math.isfinite(squares[row])):
            flags[row] |= NOT_FINITE
            residual_rms[row] = np.nan
            amplitudes[row, :] = amplitudes_se[row, :] = shares[row, :] = shares_se[row, :] = np.nan
            covariance[row, :, :] = np.nan
            continue
        if not row_shares(row, amplitudes, covariance, shares, shares_se):
            flags[row] |= NO_SIGNAL


@njit(cache=True, nogil=True, error_model="numpy")
def share_rows(amplitudes: Array, covariance: Array, shares: Array, errors: Array) -> None:
    """Shares and their standard errors of every row, NaN where ΣA is not positive."""
    for row in range(amplitudes.shape[0]):
        row_shares(row, amplitudes, covariance, shares, errors)


@njit(forceinline=True, error_model="numpy")
def row_shares(row: int, amplitudes: Array, covariance: Array, shares: Array, errors: Array) -> bool:
    """Shares of one row; False, and NaN, where ΣA is not positive."""
    k = amplitudes.shape[1]
    if k == 3:
        positive = shares_of(3, row, amplitudes, covariance, shares, errors)
    elif k == 2:
        positive = shares_of(2, row, amplitudes, covariance, shares, errors)
    else:
        positive = shares_of(k, row, amplitudes, covariance, shares, errors)
    if not positive:
        for i in range(k):
            shares[row, i] = errors[row, i] = np.nan
    return positive


@njit(forceinline=True)
def errors_of(k: int, row: int, amplitudes: Array, covariance: Array, errors: Array) -> bool:
    """Standard errors of one row; False where something is not finite."""
    total = 0.0
    for i in range(k):
        errors[row, i] = math.sqrt(max(covariance[row, i, i], 0.0))
        total += amplitudes[row, i] + covariance[row, i, i]
    return math.isfinite(total)


@njit(forceinline=True, error_model="numpy")
def shares_of(k: int, row: int, amplitudes: Array, covariance: Array, shares: Array, errors: Array) -> bool:
    """Shares and their standard errors; False where ΣA is not positive.

    ∂share_i/∂A_j = (δ_ij − share_i) / ΣA, so variance_i · (ΣA)² = C_ii − 2 share_i Σ_b C_ib + share_i² Σ_ab C_ab.
    """
    total = 0.0
    everything = 0.0
    for i in range(k):
        total += amplitudes[row, i]
        for m in range(k):
            everything += covariance[row, i, m]
    inverse = 1.0 / total
    for i in range(k):
        share = amplitudes[row, i] * inverse
        along = 0.0
        for m in range(k):
            along += covariance[row, i, m]
        variance = covariance[row, i, i] - 2.0 * share * along + share * share * everything
        shares[row, i] = share
        errors[row, i] = math.sqrt(max(variance, 0.0)) * inverse
    return total > 0.0
