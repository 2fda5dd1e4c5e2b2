"""Sums over channels for :mod:`halidescope.analysis.gaussian_kernels`, in loops that the compiler vectorises.

Each works in the precision of the axis that it gets, float32 or float64, and reads integers or doubles as they are.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.fast_exp import exp_of
from halidescope.analysis.vectors import wide

Array = NDArray[np.float64]
Real = NDArray[np.floating]       # float32 or float64, all of one call alike
Counts = NDArray[np.generic]
FAST = {"reassoc", "contract", "nsz", "arcp"}
LENGTH = 16           # channels in a block of the first stage
EVEN, LOW, HALF, WORD = np.uint64(0x0000FFFF0000FFFF), np.uint64(0xFFFFFFFF), np.uint64(16), np.uint64(32)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def block_means(y: Counts, dark: Real, length: int, out: Real) -> float:
    """Means of y over whole blocks of 16 channels or 1 (``length``) less ``dark``'s; their sum, NaN if anything is."""
    wide()
    kind = out.dtype.type
    zero, factor = kind(0.0), kind(1.0 / length)
    if length == LENGTH and y.itemsize == 2:   # four counts in a word, added in pairs: 0.10 µs a spectrum, not 0.52
        words = y[: out.size * LENGTH].view(np.uint64)
        for block in range(out.size):
            w0, w1, w2, w3 = words[4 * block], words[4 * block + 1], words[4 * block + 2], words[4 * block + 3]
            both = (w0 & EVEN) + ((w0 >> HALF) & EVEN) + (w1 & EVEN) + ((w1 >> HALF) & EVEN)
            both += (w2 & EVEN) + ((w2 >> HALF) & EVEN) + (w3 & EVEN) + ((w3 >> HALF) & EVEN)
            out[block] = kind(np.int64((both & LOW) + (both >> WORD))) * factor - dark[block]
    elif length == LENGTH:
        for block in range(out.size):
            start = block * LENGTH
            part = zero
            for i in range(LENGTH):
                part += kind(y[start + i])
            out[block] = part * factor - dark[block]
    else:
        for block in range(out.size):
            out[block] = kind(y[block]) - dark[block]
    total = zero
    for block in range(out.size):
        total += out[block]
    for j in range(out.size * length, y.size):
        total += zero * kind(y[j])
    return float(total)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def sums(
    u: Real, y: Counts, dark: Real, base: Real, low: int, high: int, p: Array, per_count: float, floor: float,
    each: float, bell: Real, gram: Array, right: Array,
) -> float:  # fmt: skip
    """Normal equations of one linearisation at (amplitude, centre, sigma, offset); returns Σ residual².

    variance = max(max(model, 0) · ``per_count`` + base, floor) / ``each``. The steps of centre and sigma are in
    units of sigma / amplitude, so that no sum carries that factor. ``bell`` gets the exponentials, the end of ``right``
    (5,) their sum. Two loops, because one would wait: an exponential and a division in one chain of 130 cycles keep too
    few channels in flight (measured: 0.51 against 0.33 µs for 864 channels).
    """
    wide()
    kind = u.dtype.type      # literals are double: one of them would make everything double
    amplitude, centre, inverse, offset = kind(p[0]), kind(p[1]), kind(1.0 / p[2]), kind(p[3])
    scale, least, zero, one, half = kind(per_count), kind(floor), kind(0.0), kind(1.0), kind(-0.5)
    s00 = s01 = s02 = s03 = s12 = s13 = s22 = s23 = s33 = squares = zero
    r0 = r1 = r2 = r3 = zero
    light = zero
    for j in range(np.uint64(low), np.uint64(high)):   # unsigned: an index that may be negative stops vectorisation
        z = (u[j] - centre) * inverse
        g = exp_of(half * z * z)
        bell[j] = g
        light += g
    for j in range(np.uint64(low), np.uint64(high)):
        z = (u[j] - centre) * inverse
        g = bell[j]
        model = amplitude * g + offset
        residual = (kind(y[j]) - dark[j]) - model
        w = one / max(max(model, zero) * scale + base[j], least)
        squares += residual * residual
        gz = g * z
        gzz = gz * z
        wg = w * g
        wgz = w * gz
        wgzz = w * gzz
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
    gram[0, 0], gram[1, 0], gram[2, 0], gram[3, 0] = each * s00, each * s01, each * s02, each * s03
    gram[1, 1], gram[2, 1], gram[3, 1] = gram[2, 0], each * s12, each * s13
    gram[2, 2], gram[3, 2], gram[3, 3] = each * s22, each * s23, each * s33
    right[0], right[1], right[2], right[3], right[4] = each * r0, each * r1, each * r2, each * r3, light
    return float(squares)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def add_background(
    y: Real, base: Real, first: int, last: int, offset: float, per_count: float, floor: float, each: float,
    gram: Array, right: Array,
) -> float:  # fmt: skip
    """Add means over ``each`` channels, but ``first`` to ``last``, where only the offset acts; Σ residual² of them."""
    wide()
    kind = y.dtype.type
    level, own, least, one, zero = kind(max(offset, 0.0) * per_count), kind(offset), kind(floor), kind(1.0), kind(0.0)
    total = other = squares = zero
    for j in range(y.size):
        residual = y[j] - own
        w = one / max(level + base[j], least)
        if first <= j < last:     # all blocks are gone through: parts of unequal length would not fill the vectors
            residual = w = zero
        total += w
        other += w * residual
        squares += residual * residual
    gram[3, 3] += each * total
    right[3] += each * other
    return float(squares)


@njit(cache=True, nogil=True, error_model="numpy")
def add_tail(
    y: Counts, dark: Real, base: Real, first: int, offset: float, per_count: float, floor: float, gram: Array,
    right: Array,
) -> float:  # fmt: skip
    """:func:`add_background` for the last channels, which do not fill a block."""
    level = max(offset, 0.0) * per_count
    squares = 0.0
    for j in range(first, y.size):
        residual = float(y[j]) - dark[j] - offset
        w = 1.0 / max(level + base[j], floor)
        gram[3, 3] += w
        right[3] += w * residual
        squares += residual * residual
    return float(squares)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def residual_squares(u: Real, y: Counts, dark: Real, bell: Real, low: int, high: int, before: Array, p: Array) -> float:
    """Σ residual² at ``p``, where ``bell`` are the exponentials a small step ``before``.

    The exponent moves by less than 0.01, so that its exponential is a cubic to 1e-9.
    """
    wide()
    kind = u.dtype.type
    amplitude, centre, inverse, offset = kind(p[0]), kind(p[1]), kind(1.0 / p[2]), kind(p[3])
    old_centre, old_inverse = kind(before[1]), kind(1.0 / before[2])
    one, half, sixth, total = kind(1.0), kind(0.5), kind(1.0 / 6.0), kind(0.0)
    for j in range(np.uint64(low), np.uint64(high)):
        z = (u[j] - centre) * inverse
        old = (u[j] - old_centre) * old_inverse
        e = half * (old - z) * (old + z)
        g = bell[j] * (one + e * (one + e * (half + e * sixth)))
        residual = (kind(y[j]) - dark[j]) - amplitude * g - offset
        total += residual * residual
    return float(total)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def squares_about(y: Counts, dark: Real, low: int, high: int, level: float) -> float:
    """Σ (y − dark − level)²."""
    wide()
    kind = dark.dtype.type
    own, total = kind(level), kind(0.0)
    for j in range(np.uint64(low), np.uint64(high)):
        residual = (kind(y[j]) - dark[j]) - own
        total += residual * residual
    return float(total)


@njit(cache=True, nogil=True, fastmath=FAST)
def reached(u: Real, edge: float) -> int:
    """How many of ``u``, which rise, are below ``edge``; counting has no branches to mispredict."""
    wide()
    own = u.dtype.type(edge)
    count = 0
    for j in range(u.size):
        count += u[j] < own
    return count
