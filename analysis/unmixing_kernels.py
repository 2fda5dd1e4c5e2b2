"""Compiled loops of :mod:`halidescope.analysis.unmixing` for equal weights: one pass over the counts.

A spectrum is read once and reduced to its sums with an orthonormal basis of the references; everything after that works
on these few numbers. What depends on the counts being Poisson is in :mod:`~halidescope.analysis.poisson_kernels`.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.flags import Flag
from halidescope.analysis.lanes import WIDTH, load, minus, sum_of, times_plus, zeros
from halidescope.analysis.vectors import LINE, prefetch, wide

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
Flags = NDArray[np.int64]

ROUNDING = 1e-9   # of the sum of squares: a smaller residual is rounding of the sums
LANES = 3         # references summed in one go
BATCH = 64        # spectra that are summed before anything else is done with the sums
ROWS = 4          # spectra summed in one go: a reference that is loaded once serves all of them
STRIDE = 32       # channels between two looks ahead: a line of counts
FAST = {"reassoc", "contract", "nsz"}   # reorder sums, but keep NaN and infinity
SATURATED, NOT_FINITE, NO_SIGNAL = int(Flag.SATURATED), int(Flag.NOT_FINITE), int(Flag.NO_SIGNAL)


@njit(cache=True, nogil=True, error_model="numpy")
def sums(rows: Counts, row: int, dark: Array, basis: Array, first: int, slot: int, out: Array) -> None:
    """Sums of (y − d) · basis over all channels for references ``first`` … ``first`` + 2, and Σ (y − d)².

    Four spectra at once from ``row``, into ``out`` (…, 3 m + 1) from ``slot`` on; the last is repeated where there are
    no four. The next four are fetched meanwhile, a line at a time. Indices are unsigned: one that may be negative costs
    a tenth.
    """
    channels, one, last = np.uint64(rows.shape[1]), np.uint64(1), np.uint64(rows.shape[0] - 1)
    n0 = np.uint64(row)
    n1, n2, n3 = min(n0 + one, last), min(n0 + one + one, last), min(n0 + one + one + one, last)
    ahead = (n0 + np.uint64(ROWS)) * channels
    i0, i1, i2, i3 = n0 * channels, n1 * channels, n2 * channels, n3 * channels
    f, g, h = np.uint64(first), np.uint64(first) + one, np.uint64(first) + one + one
    fa, fb, fc = f * channels, g * channels, h * channels
    line = np.uint64(LINE // rows.itemsize)
    p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = r0 = r1 = r2 = r3 = s0 = s1 = s2 = s3 = zeros()
    whole = channels // np.uint64(STRIDE) * np.uint64(STRIDE)
    for start in range(np.uint64(0), whole, np.uint64(STRIDE)):
        for k in range(start, start + np.uint64(STRIDE), line):
            prefetch(rows, ahead + k)
            prefetch(rows, ahead + channels + k)
            prefetch(rows, ahead + channels + channels + k)
            prefetch(rows, ahead + channels + channels + channels + k)
        for j in range(start, start + np.uint64(STRIDE), np.uint64(WIDTH)):
            a, b, c, d = load(basis, fa + j), load(basis, fb + j), load(basis, fc + j), load(dark, j)
            v = minus(load(rows, i0 + j), d)
            p0, q0, r0, s0 = times_plus(v, a, p0), times_plus(v, b, q0), times_plus(v, c, r0), times_plus(v, v, s0)
            v = minus(load(rows, i1 + j), d)
            p1, q1, r1, s1 = times_plus(v, a, p1), times_plus(v, b, q1), times_plus(v, c, r1), times_plus(v, v, s1)
            v = minus(load(rows, i2 + j), d)
            p2, q2, r2, s2 = times_plus(v, a, p2), times_plus(v, b, q2), times_plus(v, c, r2), times_plus(v, v, s2)
            v = minus(load(rows, i3 + j), d)
            p3, q3, r3, s3 = times_plus(v, a, p3), times_plus(v, b, q3), times_plus(v, c, r3), times_plus(v, v, s3)
    end = np.uint64(out.shape[1] - 1)
    t0 = np.uint64(slot)
    t1, t2, t3 = t0 + one, t0 + one + one, t0 + one + one + one
    out[t0, f], out[t0, g], out[t0, h], out[t0, end] = sum_of(p0), sum_of(q0), sum_of(r0), sum_of(s0)
    out[t1, f], out[t1, g], out[t1, h], out[t1, end] = sum_of(p1), sum_of(q1), sum_of(r1), sum_of(s1)
    out[t2, f], out[t2, g], out[t2, h], out[t2, end] = sum_of(p2), sum_of(q2), sum_of(r2), sum_of(s2)
    out[t3, f], out[t3, g], out[t3, h], out[t3, end] = sum_of(p3), sum_of(q3), sum_of(r3), sum_of(s3)
    if whole < channels:
        for more in range(ROWS):
            add_rest(rows, min(row + more, rows.shape[0] - 1), dark, basis, first, whole, out, slot + more)


@njit(cache=True, nogil=True, error_model="numpy")
def add_rest(
    rows: Counts, row: int, dark: Array, basis: Array, first: int, start: np.uint64, out: Array, slot: int
) -> None:
    """Add the channels from ``start`` on, fewer than :data:`STRIDE`, to the sums of one spectrum in ``out[slot]``."""
    for j in range(start, rows.shape[1]):
        value = float(rows[row, j]) - dark[j]
        for i in range(first, first + LANES):
            out[slot, i] += value * basis[i, j]
        out[slot, out.shape[1] - 1] += value * value


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
    rows: Counts, dark: Array, left: Array, reduced: Array, inverses: Array, gram_inverse: Array, nonnegative: bool,
    amplitudes: Array, covariance: Array, squares: Array,
) -> None:  # fmt: skip
    """Equal-weight solutions for every row of ``rows`` (n, channels) less one ``dark`` (channels,).

    ``left`` (3 m, channels) holds an orthonormal basis of the references, padded with zero rows, ``reduced`` (k, k)
    the references in it; ``inverses`` (2^k, k, k) the pseudo-inverses of ``reduced`` for every support (bit i of the
    first index: reference i is used), ``gram_inverse`` (k, k) the covariance at unit variance. ``squares`` gets the
    residual's sum of squares; NaN amplitudes where the sums are not finite.
    """
    n, k = rows.shape[0], reduced.shape[0]
    free = 1.0 / max(rows.shape[1] - k, 1)
    trial = np.empty(k)
    found = np.empty((BATCH, left.shape[0] + 1))
    for top in range(0, n, BATCH):
        count = min(BATCH, n - top)
        for slot in range(0, count, ROWS):
            for first in range(0, left.shape[0], LANES):
                sums(rows, top + slot, dark, left, first, slot, found)
        if k == 3:   # the commonest numbers are compiled for themselves: loops of known length vanish
            project(3, found, top, count, inverses, gram_inverse, free, amplitudes, covariance, squares)
        elif k == 2:
            project(2, found, top, count, inverses, gram_inverse, free, amplitudes, covariance, squares)
        else:
            project(k, found, top, count, inverses, gram_inverse, free, amplitudes, covariance, squares)
        for slot in range(np.uint64(count)):
            at, whole, low = np.uint64(top) + slot, found[slot, left.shape[0]], 0.0
            for i in range(k):
                low = min(low, amplitudes[at, i])
            held = nonnegative and low < 0.0
            if squares[at] > ROUNDING * whole and not held:
                continue
            if held:
                squares[at] += best_support(found[slot], reduced, inverses, trial, amplitudes[at])
            if not squares[at] > ROUNDING * whole:
                for i in range(k):
                    trial[i] = 0.0
                    for m in range(k):
                        trial[i] += reduced[i, m] * amplitudes[at, m]
                squares[at] = residual_squares(rows[at], dark, left, trial)
            for i in range(k):
                for m in range(k):
                    covariance[at, i, m] = max(squares[at], 0.0) * free * gram_inverse[i, m]
            if not math.isfinite(whole):
                amplitudes[at, :] = np.nan


@njit(forceinline=True)
def project(
    k: int, found: Array, top: int, count: int, inverses: Array, gram_inverse: Array, free: float, amplitudes: Array,
    covariance: Array, squares: Array,
) -> None:  # fmt: skip
    """Amplitudes, covariance and residual of ``count`` rows from ``top``, all references free.

    ``found`` (…, 3 m + 1) holds each row's projections on the orthonormal basis and, last, the data's sum of squares.
    Many rows a call: with every call the arrays are counted, which costs more than a row's numbers, and most where two
    threads do it to the same array.
    """
    full, last = np.uint64((1 << k) - 1), np.uint64(found.shape[1] - 1)
    for slot in range(np.uint64(count)):
        at = np.uint64(top) + slot
        outside = found[slot, last]
        for i in range(np.uint64(k)):
            outside -= found[slot, i] * found[slot, i]
            value = 0.0
            for m in range(np.uint64(k)):
                value += inverses[full, i, m] * found[slot, m]
            amplitudes[at, i] = value
        squares[at] = outside
        variance = max(outside, 0.0) * free
        for i in range(np.uint64(k)):
            for m in range(np.uint64(k)):
                covariance[at, i, m] = variance * gram_inverse[i, m]


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
    if k == 3:   # the commonest numbers are compiled for themselves: everything stays in registers
        finish_three(amplitudes, covariance, amplitudes_se, shares, shares_se, flags)
    else:
        for row in range(n):
            usable = errors_of(k, row, amplitudes, covariance, amplitudes_se)
            positive = shares_of(k, row, amplitudes, covariance, shares, shares_se)
            flags[row] |= (0 if usable else NOT_FINITE) | (0 if positive else NO_SIGNAL)
    per_channel = 1.0 / channels
    for row in range(np.uint64(n)):
        residual_rms[row] = math.sqrt(max(squares[row], 0.0) * per_channel)
        if flags[row] & NOT_FINITE or not math.isfinite(squares[row]):
            flags[row] = flags[row] & ~NO_SIGNAL | NOT_FINITE
            residual_rms[row] = np.nan
            amplitudes[row, :] = amplitudes_se[row, :] = shares[row, :] = shares_se[row, :] = np.nan
            covariance[row, :, :] = np.nan
        elif flags[row] & NO_SIGNAL:
            shares[row, :] = shares_se[row, :] = np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def share_rows(amplitudes: Array, covariance: Array, shares: Array, errors: Array) -> None:
    """Shares and their standard errors of every row, NaN where ΣA is not positive."""
    for row in range(amplitudes.shape[0]):
        if not shares_of(amplitudes.shape[1], row, amplitudes, covariance, shares, errors):
            shares[row, :] = errors[row, :] = np.nan


@njit(forceinline=True, error_model="numpy")
def finish_three(
    amplitudes: Array, covariance: Array, errors: Array, shares: Array, shares_se: Array, flags: Flags
) -> None:
    """:func:`errors_of` and :func:`shares_of` of all rows for three references."""
    for row in range(np.uint64(amplitudes.shape[0])):
        a, b, c = amplitudes[row, 0], amplitudes[row, 1], amplitudes[row, 2]
        aa, bb, cc = covariance[row, 0, 0], covariance[row, 1, 1], covariance[row, 2, 2]
        ab, ac, bc = covariance[row, 1, 0], covariance[row, 2, 0], covariance[row, 2, 1]
        along_a, along_b, along_c = aa + ab + ac, ab + bb + bc, ac + bc + cc
        total, everything = a + b + c, along_a + along_b + along_c
        inverse = 1.0 / total
        x, y, z = a * inverse, b * inverse, c * inverse
        errors[row, 0], errors[row, 1] = math.sqrt(max(aa, 0.0)), math.sqrt(max(bb, 0.0))
        errors[row, 2] = math.sqrt(max(cc, 0.0))
        shares[row, 0], shares[row, 1], shares[row, 2] = x, y, z
        shares_se[row, 0] = math.sqrt(max(aa - 2.0 * x * along_a + x * x * everything, 0.0)) * inverse
        shares_se[row, 1] = math.sqrt(max(bb - 2.0 * y * along_b + y * y * everything, 0.0)) * inverse
        shares_se[row, 2] = math.sqrt(max(cc - 2.0 * z * along_c + z * z * everything, 0.0)) * inverse
        if not math.isfinite(total + aa + bb + cc):
            flags[row] |= NOT_FINITE
        elif not total > 0.0:
            flags[row] |= NO_SIGNAL


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
