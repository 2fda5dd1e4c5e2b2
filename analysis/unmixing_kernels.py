"""Compiled loops of :mod:`halidescope.analysis.unmixing` for equal weights: one pass over the counts.

A spectrum is read once and reduced to its sums with an orthonormal basis of the references; everything after that works
on these few numbers. What depends on the counts being Poisson is in :mod:`~halidescope.analysis.poisson_kernels`.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.flags import Flag
from halidescope.analysis.vectors import wide

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
Flags = NDArray[np.int64]

ROUNDING = 1e-9   # of the sum of squares: a smaller residual is rounding of the sums
LANES = 3         # references summed in one go
ROWS = 4          # spectra summed in one go: a reference that is loaded once serves all of them
FAST = {"reassoc", "contract", "nsz"}   # reorder sums, but keep NaN and infinity
SATURATED, NOT_FINITE, NO_SIGNAL = int(Flag.SATURATED), int(Flag.NOT_FINITE), int(Flag.NO_SIGNAL)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def sums(
    y0: Counts, y1: Counts, y2: Counts, y3: Counts, d0: Array, d1: Array, d2: Array, d3: Array, basis: Array,
    first: int, out: Array,
) -> None:  # fmt: skip
    """Sums of (y − d) · basis over all channels for references ``first`` … ``first`` + 2, and Σ (y − d)².

    Four spectra at once, into ``out`` (4, 3 m + 1).
    """
    wide()
    f, g, h = basis[first], basis[first + 1], basis[first + 2]
    p0 = p1 = p2 = p3 = 0.0
    q0 = q1 = q2 = q3 = 0.0
    r0 = r1 = r2 = r3 = 0.0
    s0 = s1 = s2 = s3 = 0.0
    for j in range(y0.size):
        a, b, c = f[j], g[j], h[j]
        v = float(y0[j]) - d0[j]
        p0 += v * a
        q0 += v * b
        r0 += v * c
        s0 += v * v
        v = float(y1[j]) - d1[j]
        p1 += v * a
        q1 += v * b
        r1 += v * c
        s1 += v * v
        v = float(y2[j]) - d2[j]
        p2 += v * a
        q2 += v * b
        r2 += v * c
        s2 += v * v
        v = float(y3[j]) - d3[j]
        p3 += v * a
        q3 += v * b
        r3 += v * c
        s3 += v * v
    last = out.shape[1] - 1
    out[0, first], out[0, first + 1], out[0, first + 2], out[0, last] = p0, q0, r0, s0
    out[1, first], out[1, first + 1], out[1, first + 2], out[1, last] = p1, q1, r1, s1
    out[2, first], out[2, first + 1], out[2, first + 2], out[2, last] = p2, q2, r2, s2
    out[3, first], out[3, first + 1], out[3, first + 2], out[3, last] = p3, q3, r3, s3


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
        i1, i2, i3 = min(row + 1, n - 1), min(row + 2, n - 1), min(row + 3, n - 1)
        d0, d1, d2, d3 = darks[row * each], darks[i1 * each], darks[i2 * each], darks[i3 * each]
        for first in range(0, left.shape[0], LANES):
            sums(rows[row], rows[i1], rows[i2], rows[i3], d0, d1, d2, d3, left, first, found)
        for at in range(row, min(row + ROWS, n)):
            wanted, a = found[at - row], amplitudes[at]
            if k == 3:   # the commonest numbers are compiled for themselves: loops of known length vanish
                outside = project(3, wanted, inverses, a)
            elif k == 2:
                outside = project(2, wanted, inverses, a)
            else:
                outside = project(k, wanted, inverses, a)
            lowest = 0.0
            for i in range(k):
                lowest = min(lowest, a[i])
            if nonnegative and lowest < 0.0:
                outside += best_support(wanted, reduced, inverses, trial, a)
            total = wanted[left.shape[0]]
            if not outside > ROUNDING * total:
                for i in range(k):
                    trial[i] = 0.0
                    for m in range(k):
                        trial[i] += reduced[i, m] * a[m]
                outside = residual_squares(rows[at], darks[at * each], left, trial)
            squares[at] = outside
            if k == 3:
                scaled(3, max(outside, 0.0) * free, gram_inverse, covariance[at])
            else:
                scaled(k, max(outside, 0.0) * free, gram_inverse, covariance[at])
            if not math.isfinite(total):
                a[:] = np.nan


@njit(forceinline=True)
def project(k: int, wanted: Array, inverses: Array, amplitudes: Array) -> float:
    """Amplitudes with all references free; returns the squares that lie outside of the references' space.

    ``wanted`` holds the projections on the orthonormal basis and, last, the data's sum of squares.
    """
    outside = wanted[wanted.size - 1]
    full = (1 << k) - 1
    for i in range(k):
        outside -= wanted[i] * wanted[i]
        value = 0.0
        for m in range(k):
            value += inverses[full, i, m] * wanted[m]
        amplitudes[i] = value
    return outside


@njit(forceinline=True)
def scaled(k: int, factor: float, matrix: Array, out: Array) -> None:
    """Write ``factor`` · ``matrix`` (k, k)."""
    for i in range(k):
        for m in range(k):
            out[i, m] = factor * matrix[i, m]


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
        a, c, e = amplitudes[row], covariance[row], amplitudes_se[row]
        residual_rms[row] = math.sqrt(max(squares[row], 0.0) / channels)
        if k == 3:
            usable = errors_of(3, a, c, e)
        elif k == 2:
            usable = errors_of(2, a, c, e)
        else:
            usable = errors_of(k, a, c, e)
        if not (usable and math.isfinite(squares[row])):
            flags[row] |= NOT_FINITE
            residual_rms[row] = np.nan
            a[:] = e[:] = shares[row, :] = shares_se[row, :] = c[:, :] = np.nan
            continue
        if not row_shares(a, c, shares[row], shares_se[row]):
            flags[row] |= NO_SIGNAL


@njit(cache=True, nogil=True, error_model="numpy")
def share_rows(amplitudes: Array, covariance: Array, shares: Array, errors: Array) -> None:
    """Shares and their standard errors of every row, NaN where ΣA is not positive."""
    for row in range(amplitudes.shape[0]):
        row_shares(amplitudes[row], covariance[row], shares[row], errors[row])


@njit(forceinline=True, error_model="numpy")
def row_shares(amplitudes: Array, covariance: Array, shares: Array, errors: Array) -> bool:
    """Shares of one row; False, and NaN, where ΣA is not positive."""
    k = amplitudes.size
    if k == 3:
        positive = shares_of(3, amplitudes, covariance, shares, errors)
    elif k == 2:
        positive = shares_of(2, amplitudes, covariance, shares, errors)
    else:
        positive = shares_of(k, amplitudes, covariance, shares, errors)
    if not positive:
        shares[:] = errors[:] = np.nan
    return positive


@njit(forceinline=True)
def errors_of(k: int, amplitudes: Array, covariance: Array, errors: Array) -> bool:
    """Standard errors; False where something is not finite."""
    total = 0.0
    for i in range(k):
        errors[i] = math.sqrt(max(covariance[i, i], 0.0))
        total += amplitudes[i] + covariance[i, i]
    return math.isfinite(total)


@njit(forceinline=True, error_model="numpy")
def shares_of(k: int, amplitudes: Array, covariance: Array, shares: Array, errors: Array) -> bool:
    """Shares and their standard errors; False where ΣA is not positive.

    ∂share_i/∂A_j = (δ_ij − share_i) / ΣA, so variance_i · (ΣA)² = C_ii − 2 share_i Σ_b C_ib + share_i² Σ_ab C_ab.
    """
    total = 0.0
    everything = 0.0
    for i in range(k):
        total += amplitudes[i]
        for m in range(k):
            everything += covariance[i, m]
    inverse = 1.0 / total
    for i in range(k):
        share = amplitudes[i] * inverse
        along = 0.0
        for m in range(k):
            along += covariance[i, m]
        variance = covariance[i, i] - 2.0 * share * along + share * share * everything
        shares[i] = share
        errors[i] = math.sqrt(max(variance, 0.0)) * inverse
    return total > 0.0
