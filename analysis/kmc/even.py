"""Null events where the film is equally warm everywhere and nothing escapes: the same process, with less to do.

The total rate never changes then, so the trials of a block are a Poisson process of constant rate: its last arrival is
a gamma deviate, and where a run ends within a block, arrivals before it follow from that (uniform order statistics). No
trial needs a waiting time of its own. Trials are aimed four at a time, so that the processor can look up one vacancy
while it swaps another; two tries of the same vacancy among four are made one after the other.

:mod:`halidescope.analysis.kmc.nullevent` does everything else.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.kmc.lattice import MASK, SHIFT_X, SHIFT_Y, VACANCY, site_of
from halidescope.analysis.kmc.nullevent import BLOCK, EVENTS_UP, IN_CACHE, TIME_UP, TRIALS_UP
from halidescope.analysis.kmc.streams import UNIT, Floats, Index, Words, fill_words, prefetch, uniform

SHIFT = np.array([SHIFT_X, SHIFT_X, SHIFT_Y, SHIFT_Y, 0, 0])
SIGN = np.array([1, -1, 1, -1, 1, -1])


@njit(cache=True, nogil=True)
def gamma(state: Words, shape: float) -> float:
    """Gamma deviate, scale 1, shape at least 1 (G. Marsaglia, W. Tsang, ACM Trans. Math. Softw. 2000, 26, 363)."""
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = math.sqrt(-2.0 * math.log(1.0 - uniform(state))) * math.cos(2.0 * math.pi * uniform(state))
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(1.0 - uniform(state)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v


@njit(cache=True, nogil=True)
def arrivals_before(state: Words, share: float) -> int:
    """How many of a block's trials come before ``share`` of the time of its last one."""
    number = 0
    for _ in range(BLOCK - 1):
        number += uniform(state) < share
    return number


@njit(cache=True, nogil=True)
def arrival_of(state: Words, trial: Index, among: Index) -> float:
    """When the first, second, … of so many trials, spread evenly over a time, comes, as a share of that time."""
    before = gamma(state, float(trial))
    return before / (before + gamma(state, float(among + 1 - trial)))


@njit(cache=True, nogil=True, inline="always")
def _aim(record: np.uint32, d: Index, size: int, strides: NDArray[np.int64]) -> tuple[Index, Index, np.uint32]:
    """Site of a vacancy, site of its neighbour, and the neighbour's packed coordinates."""
    here = np.int64(record)
    moved = ((here >> SHIFT[d]) & MASK) + SIGN[d]
    step = SIGN[d] + size * ((moved < 0) - (moved >= size))
    source = site_of(record, size)
    return source, source + step * strides[d >> 1], np.uint32(here + (step << SHIFT[d]))


@njit(cache=True, nogil=True, inline="always")
def _try(
    lattice: NDArray[np.int8], vacancies: NDArray[np.uint32], v: Index, source: Index, target: Index,
    record: np.uint32, destination: np.uint32, threshold: float, rates: Floats, hops: NDArray[np.int64],
) -> int:
    """One trial, without a branch on acceptance; 1 if the ion hopped."""
    here, there, mine = np.uintp(source), np.uintp(target), np.uintp(v)
    species = lattice[there]
    hop = threshold < rates[np.uintp(species)]
    lattice[here] = species if hop else VACANCY
    lattice[there] = VACANCY if hop else species
    vacancies[mine] = destination if hop else record
    hops[np.uintp(species)] += hop
    return int(hop)


@njit(cache=True, nogil=True)
def advance(
    lattice: NDArray[np.int8], size: int, vacancies: NDArray[np.uint32], count: Index, rates: Floats, clock: Floats,
    until_s: float, counts: NDArray[np.int64], max_events: int, max_trials: int, state: Words,
) -> int:
    """Run trials until the time, the number of events or of trials is reached; returns which.

    ``rates`` (3,) of bromide, iodide and vacancy (0), 1/s; the first ``count`` vacancy records are in use; the rest as
    in :func:`halidescope.analysis.kmc.nullevent.advance`.
    """
    bound = max(rates[0], rates[1])
    slots = 6 * count
    if slots == 0:                             # no vacancy, nothing can ever happen
        clock[0] = until_s
        return TIME_UP
    total = slots * bound
    strides = np.array([size * size, size, 1])
    words = np.empty(BLOCK, np.uint64)
    which = np.empty(BLOCK, np.int64)
    way = np.empty(BLOCK, np.int64)
    threshold = np.empty(BLOCK)
    hops = np.zeros(3, np.int64)
    ahead = lattice.size > IN_CACHE
    events = 0
    trials = 0
    time = clock[0]
    result = TRIALS_UP
    while trials < max_trials:
        span = gamma(state, float(BLOCK)) / total
        made = BLOCK
        if time + span > until_s:
            made = arrivals_before(state, (until_s - time) / span)
            result = TIME_UP
        fill_words(state, words, BLOCK)
        for j in range(made):
            w = (words[j] >> np.uint64(11)) * UNIT * slots
            slot = min(int(w), slots - 1)
            threshold[j] = (w - slot) * bound
            which[j] = slot // 6
            way[j] = slot - 6 * which[j]
        if ahead:
            for j in range(made):
                prefetch(vacancies, which[j])
            for j in range(made):
                prefetch(lattice, _aim(vacancies[np.uintp(which[j])], way[j], size, strides)[1])
        j = 0
        fours = made - 3 if max_events - events >= BLOCK else 0
        while j < fours:
            v0, v1, v2, v3 = which[j], which[j + 1], which[j + 2], which[j + 3]
            if (v0 == v1) | (v0 == v2) | (v0 == v3) | (v1 == v2) | (v1 == v3) | (v2 == v3):
                for i in range(j, j + 4):
                    r = vacancies[np.uintp(which[i])]
                    s, t, e = _aim(r, way[i], size, strides)
                    events += _try(lattice, vacancies, which[i], s, t, r, e, threshold[i], rates, hops)
            else:
                r0, r1 = vacancies[np.uintp(v0)], vacancies[np.uintp(v1)]
                r2, r3 = vacancies[np.uintp(v2)], vacancies[np.uintp(v3)]
                s0, t0, e0 = _aim(r0, way[j], size, strides)
                s1, t1, e1 = _aim(r1, way[j + 1], size, strides)
                s2, t2, e2 = _aim(r2, way[j + 2], size, strides)
                s3, t3, e3 = _aim(r3, way[j + 3], size, strides)
                events += _try(lattice, vacancies, v0, s0, t0, r0, e0, threshold[j], rates, hops)
                events += _try(lattice, vacancies, v1, s1, t1, r1, e1, threshold[j + 1], rates, hops)
                events += _try(lattice, vacancies, v2, s2, t2, r2, e2, threshold[j + 2], rates, hops)
                events += _try(lattice, vacancies, v3, s3, t3, r3, e3, threshold[j + 3], rates, hops)
            j += 4
        while j < made:
            r = vacancies[np.uintp(which[j])]
            s, t, e = _aim(r, way[j], size, strides)
            events += _try(lattice, vacancies, which[j], s, t, r, e, threshold[j], rates, hops)
            j += 1
            if events >= max_events:
                break
        trials += j
        if events >= max_events:               # in the middle of a block: when was its j-th trial?
            if result == TIME_UP:
                time += (until_s - time) * arrival_of(state, j, made)
            else:
                time += span if j == BLOCK else span * arrival_of(state, j, BLOCK - 1)
            result = EVENTS_UP
            break
        if result == TIME_UP:
            time = until_s
            break
        time += span
    clock[0] = time
    counts[0] += hops[0]
    counts[1] += hops[1]
    counts[3] += trials
    counts[4] += events
    return result
