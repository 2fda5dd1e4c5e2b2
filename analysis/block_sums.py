"""Sums of counts · references over blocks of channels, for :mod:`halidescope.analysis.poisson_kernels`.

Detector integers are read four to a word, eight blocks side by side; other numbers are corrected into doubles first.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.lanes import WIDTH, count, load, load_words, minus, store, times_plus, zeros
from halidescope.analysis.unmixing_kernels import FAST
from halidescope.analysis.vectors import LINE, prefetch

Array = NDArray[np.float64]
Counts = NDArray[np.generic]
Place = np.uint64      # an index: one that may be negative costs a tenth

LONG = 16         # channels in a block where the references are smooth enough for it
QUAD = 4          # detector counts in one 64-bit word
GROUP = 8         # spectra whose sums are taken side by side, part after part of their channels, and
SPAN = 4          # times eight blocks in such a part: its references (16 kB) stay in the first cache for the group
ONE, TWO, THREE = np.uint64(QUAD * WIDTH), np.uint64(2 * QUAD * WIDTH), np.uint64(3 * QUAD * WIDTH)


@njit(forceinline=True)
def count_sums(
    x: Any, y: Any, which: int, at: Place, dark: Array, basis: Array, f: Place, across: Place, p0: Any, q0: Any,
    r0: Any, s0: Any, p1: Any, q1: Any, r1: Any, s1: Any,
) -> tuple[Any, ...]:  # fmt: skip
    """Add one count of each of eight words of two spectra, ``x`` and ``y``, to their sums with three references."""
    at += np.uint64(which * WIDTH)
    a, b, c = load(basis, f + at), load(basis, f + across + at), load(basis, f + across + across + at)
    d = load(dark, at)
    v = minus(count(x, np.uint64(which)), d)
    p0, q0, r0, s0 = times_plus(v, a, p0), times_plus(v, b, q0), times_plus(v, c, r0), times_plus(v, v, s0)
    v = minus(count(y, np.uint64(which)), d)
    p1, q1, r1, s1 = times_plus(v, a, p1), times_plus(v, b, q1), times_plus(v, c, r1), times_plus(v, v, s1)
    return p0, q0, r0, s0, p1, q1, r1, s1


@njit(forceinline=True)
def word_sums(
    x: Any, y: Any, at: Place, dark: Array, basis: Array, f: Place, across: Place, sums: tuple[Any, ...]
) -> tuple[Any, ...]:
    """:func:`count_sums` of all four counts; in a loop the arrays would be counted, and the registers lost."""
    sums = count_sums(x, y, 0, at, dark, basis, f, across, *sums)
    sums = count_sums(x, y, 1, at, dark, basis, f, across, *sums)
    sums = count_sums(x, y, 2, at, dark, basis, f, across, *sums)
    return count_sums(x, y, 3, at, dark, basis, f, across, *sums)


@njit(cache=True, nogil=True, error_model="numpy")
def pair_sums(
    counts: Counts, i: int, j: int, ahead: int, start: int, stop: int, length: int, dark: Array, basis: Array,
    first: int, slot: int, out: Array, squares: Array,
) -> None:  # fmt: skip
    """Sums of (counts − dark) · basis over the blocks 8 ``start`` to 8 ``stop`` of two spectra, three references each.

    The spectra's counts begin at ``i`` and ``j``, counted flat. ``dark`` and each of the references ``first`` …
    ``first`` + 2 of ``basis`` (3 m, …) are in the order of :func:`~halidescope.analysis.references.side_by_side` for
    blocks of ``length`` channels, 4, 8 or 16. Sums go to rows ``slot`` and ``slot`` + 1 of ``out`` (GROUP, 3 m, blocks
    padded to a multiple of 8), Σ (counts − dark)² is added to those of ``squares`` (GROUP, 8), eight parts each. What
    is ``ahead`` of the counts is fetched meanwhile.
    """
    width, span = np.uint64(WIDTH), np.uint64(WIDTH * length)
    x0, y0, begin = np.uint64(i), np.uint64(j), np.uint64(start) * span
    across = np.uint64(dark.size)
    f = np.uint64(first) * across
    blocks = np.uint64(out.shape[2])
    to0 = (np.uint64(slot) * np.uint64(out.shape[1]) + np.uint64(first)) * blocks + np.uint64(start) * width
    to1 = to0 + np.uint64(out.shape[1]) * blocks
    own0 = np.uint64(slot) * width
    own1 = own0 + width
    s0, s1 = load(squares, own0), load(squares, own1)
    for past in range(np.uint64(0), np.uint64(stop - start) * span, span):
        for line in range(past + np.uint64(ahead), past + np.uint64(ahead) + span, np.uint64(LINE // counts.itemsize)):
            prefetch(counts, x0 + line)
            prefetch(counts, y0 + line)
        p0 = q0 = r0 = p1 = q1 = r1 = zeros()
        at = begin + past
        sums = p0, q0, r0, s0, p1, q1, r1, s1
        if length == LONG:
            x, y = load_words(counts, x0 + past, 4), load_words(counts, y0 + past, 4)
            sums = word_sums(x[0], y[0], at, dark, basis, f, across, sums)
            sums = word_sums(x[1], y[1], at + ONE, dark, basis, f, across, sums)
            sums = word_sums(x[2], y[2], at + TWO, dark, basis, f, across, sums)
            sums = word_sums(x[3], y[3], at + THREE, dark, basis, f, across, sums)
        elif length == 2 * QUAD:
            v, w = load_words(counts, x0 + past, 2), load_words(counts, y0 + past, 2)
            sums = word_sums(v[0], w[0], at, dark, basis, f, across, sums)
            sums = word_sums(v[1], w[1], at + ONE, dark, basis, f, across, sums)
        else:
            t, u = load_words(counts, x0 + past, 1), load_words(counts, y0 + past, 1)
            sums = word_sums(t[0], u[0], at, dark, basis, f, across, sums)
        p0, q0, r0, s0, p1, q1, r1, s1 = sums
        store(out, to0, p0)
        store(out, to0 + blocks, q0)
        store(out, to0 + blocks + blocks, r0)
        store(out, to1, p1)
        store(out, to1 + blocks, q1)
        store(out, to1 + blocks + blocks, r1)
        to0 += width
        to1 += width
    if first == 0:
        store(squares, own0, s0)
        store(squares, own1, s1)


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
