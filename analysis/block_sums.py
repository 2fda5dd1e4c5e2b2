"""Sums of counts · references over blocks of channels, for :mod:`halidescope.analysis.poisson_kernels`.

Detector integers are read four to a word; other numbers are corrected into doubles first.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.unmixing_kernels import FAST
from halidescope.analysis.vectors import LINE, prefetch, wide

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
Words = NDArray[np.uint64]

LONG = 16         # channels in a block where the references are smooth enough for it
QUAD = 4          # detector counts in one 64-bit word
GROUP = 8         # spectra whose sums are taken side by side, part after part of their channels, and
SPAN = 256        # words in such a part: its references (32 kB) stay in the first cache for the whole group
PAD = 8           # numbers after every row of quads: rows 4096 bytes apart would share the few lines of a cache set
LOW = np.uint64(0xFFFF)
ONE, TWO, THREE = np.uint64(16), np.uint64(32), np.uint64(48)   # bits before the second, third, fourth count


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def quad_sums(
    words: Words, row: int, start: int, stop: int, dark: Array, basis: Array, first: int, out: Array
) -> float:
    """Sums of (counts − dark) · basis over every four channels for references ``first`` … ``first`` + 2.

    ``words`` (n, channels / 4) hold four counts each (little-endian); those of ``row`` from ``start`` to ``stop`` are
    done, into the first numbers of ``out`` (3 m, SPAN + PAD). ``basis`` (3 m, 4, channels / 4 + PAD) and
    ``dark`` (4, channels / 4 + PAD) are ordered so that the four counts of neighbouring words meet neighbouring
    numbers: this is what makes sums over blocks vectorise. One spectrum a call: in a loop over two the compiler adds
    each in its own order, and a spectrum's last bits would depend on its neighbours. Returns Σ (counts − dark)².
    """
    wide()
    if first == 0:   # the same part of the same slot in the next group: it is on its way while this group is summed
        ahead = (row + GROUP) * words.shape[1]
        for line in range(start, stop, LINE // 8):
            prefetch(words, ahead + line)
    i, t0 = np.uint64(row), np.uint64(start)      # unsigned: a loop over indices that may be negative is no vector
    f, g, h = np.uint64(first), np.uint64(first + 1), np.uint64(first + 2)
    zero, one, two, three = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
    total = 0.0
    for s in range(np.uint64(stop - start)):
        t = t0 + s
        word = words[i, t]
        a = float(word & LOW) - dark[zero, t]
        b = float((word >> ONE) & LOW) - dark[one, t]
        c = float((word >> TWO) & LOW) - dark[two, t]
        d = float(word >> THREE) - dark[three, t]
        out[f, s] = a * basis[f, zero, t] + b * basis[f, one, t] + c * basis[f, two, t] + d * basis[f, three, t]
        out[g, s] = a * basis[g, zero, t] + b * basis[g, one, t] + c * basis[g, two, t] + d * basis[g, three, t]
        out[h, s] = a * basis[h, zero, t] + b * basis[h, one, t] + c * basis[h, two, t] + d * basis[h, three, t]
        total += a * a + b * b + c * c + d * d
    return total


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def gather(quads: Array, each: int, slot: int, start: int, stop: int, out: Array) -> None:
    """Sums of ``each`` (1, 2 or 4) neighbouring quads, blocks of 4, 8 or 16 channels: ``start`` to ``stop`` of ``out``.

    ``out`` is (GROUP, 3 m, blocks).
    """
    wide()
    for i in range(quads.shape[0]):
        source, target = quads[i], out[slot, i, start:stop]
        if each == 4:
            for b in range(target.size):
                target[b] = source[4 * b] + source[4 * b + 1] + source[4 * b + 2] + source[4 * b + 3]
        elif each == 2:
            for b in range(target.size):
                target[b] = source[2 * b] + source[2 * b + 1]
        else:
            for b in range(target.size):
                target[b] = source[b]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def subtract(rows: Counts, darks: Array, values: Array, squares: Array) -> None:
    """Write rows − darks into ``values`` (n, channels), and every row's sum of squares."""
    for row in range(rows.shape[0]):
        dark = darks[row] if darks.shape[0] > 1 else darks[0]
        y, out = rows[row], values[row]
        total = 0.0
        for j in range(y.size):
            v = float(y[j]) - dark[j]
            out[j] = v
            total += v * v
        squares[row] = total


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def long_block_sums(values: Array, basis: Array, first: int, blocks: int, out: Array) -> None:
    """As :func:`block_sums` for ``blocks`` whole blocks of ``LONG`` channels; unrolled by the compiler."""
    f0, f1, f2 = basis[first], basis[first + 1], basis[first + 2]
    for block in range(blocks):
        s0 = s1 = s2 = 0.0
        start = block * LONG
        for i in range(LONG):
            v = values[start + i]
            s0 += v * f0[start + i]
            s1 += v * f1[start + i]
            s2 += v * f2[start + i]
        out[first, block], out[first + 1, block], out[first + 2, block] = s0, s1, s2


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def block_sums(values: Array, basis: Array, first: int, length: int, out: Array) -> None:
    """Sums of values · basis over every block of ``length`` channels for references ``first`` … ``first`` + 2."""
    f0, f1, f2 = basis[first], basis[first + 1], basis[first + 2]
    whole = values.size // LONG if length == LONG else 0
    long_block_sums(values, basis, first, whole, out)
    for block in range(whole, out.shape[1]):
        s0 = s1 = s2 = 0.0
        for j in range(block * length, min((block + 1) * length, values.size)):
            v = values[j]
            s0 += v * f0[j]
            s1 += v * f1[j]
            s2 += v * f2[j]
        out[first, block], out[first + 1, block], out[first + 2, block] = s0, s1, s2
