"""The exact clock by uniformisation: trials at a constant bound of the rate, accepted with rate/bound.

One trial: wait an exponential time of the total bound, pick a vacancy and one of its six neighbours, accept the hop
with the neighbour's rate over the bound of the vacancy's bin. Rejected trials change nothing, so the accepted ones are
the exact continuous-time process, and nothing about neighbours has to be kept. Draws are made in blocks, and on
lattices beyond the cache the memory of a whole block is fetched ahead. Random numbers that a block leaves unused are
dropped, which is allowed because nothing has looked at them.

Where most trials are rejected, :mod:`halidescope.analysis.kmc.classes` takes over.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.kmc.lattice import IODIDE, SHIFT_X, SHIFT_Y, VACANCY, neighbour, site_of
from halidescope.analysis.kmc.rates import RateTable
from halidescope.analysis.kmc.records import EventLog, Tracer, record_escape, record_hop, swap_records
from halidescope.analysis.kmc.streams import Floats, Index, Words, draw_block, prefetch

BLOCK = 128
IN_CACHE = 1 << 20
"""Lattices of fewer sites than this stay in the second-level cache and need no fetching ahead."""

TIME_UP, EVENTS_UP, TRIALS_UP, FULL = 0, 1, 2, 3
"""Why the kernel returned: the time or the number of events or trials is reached, or there is no room for a vacancy."""


@njit(cache=True, nogil=True)
def _weigh(starts: NDArray[np.int64], bound: Floats, edges: Floats) -> float:
    """Cumulate the bins' rates into ``edges`` (bins + 1,); the last is the total."""
    edges[0] = 0.0
    for b in range(bound.size):
        edges[b + 1] = edges[b] + 6.0 * bound[b] * (starts[b + 1] - starts[b])
    return edges[bound.size]


@njit(cache=True, nogil=True, inline="always")
def _choose(w: float, starts: NDArray[np.int64], edges: Floats, inverse_bound: Floats) -> tuple[int, int, float]:
    """Turn a number uniform below the total bound into bin, slot (vacancy and direction) and a fresh uniform number."""
    b = 0
    for i in range(1, inverse_bound.size):
        b += w >= edges[i]
    w = (w - edges[b]) * inverse_bound[b]
    slot = min(int(w), 6 * (starts[b + 1] - starts[b]) - 1)
    return b, slot + 6 * starts[b], w - slot


@njit(cache=True, nogil=True)
def move_to_bin(
    vacancies: NDArray[np.uint32], starts: NDArray[np.int64], position: Index, b: Index, target: Index,
    tracer: Tracer | None,
) -> None:
    """Move a vacancy's record to another bin by swaps at the borders between bins."""
    while b < target:
        last = starts[b + 1] - 1
        swap_records(vacancies, position, last, tracer)
        position = last
        starts[b + 1] -= 1
        b += 1
    while b > target:
        first = starts[b]
        swap_records(vacancies, position, first, tracer)
        position = first
        starts[b] += 1
        b -= 1


@njit(cache=True, nogil=True)
def advance(
    lattice: NDArray[np.int8], size: int, vacancies: NDArray[np.uint32], starts: NDArray[np.int64], table: RateTable,
    clock: Floats, until_s: float, counts: NDArray[np.int64], max_events: int, max_trials: int, state: Words,
    tracer: Tracer | None, log: EventLog | None,
) -> int:
    """Run trials until the time, the number of events or of trials is reached; returns which.

    Parameters
    ----------
    lattice : int8 (size³,)
        Species by site, z fastest.
    vacancies : uint32 (capacity,)
        Packed coordinates, ordered by bin; ``starts`` (bins + 1,) int64 are the borders.
    table : RateTable
        Rates by column, constant during the call.
    clock : float64 (1,)
        Time, s; advanced.
    counts : int64 (5,)
        Hops of bromide, of iodide, escapes, trials, events; advanced.
    tracer, log
        Records of :mod:`halidescope.analysis.kmc.records`, or None.
    """
    words = np.empty(2 * BLOCK, np.uint64)
    pick = np.empty(BLOCK)
    wait = np.empty(BLOCK)
    slots = np.empty(BLOCK, np.int64)
    left = np.empty(BLOCK)
    which = np.empty(BLOCK, np.int64)
    edges = np.empty(table.bound.size + 1)
    inverse_bound = 1.0 / table.bound
    bins = table.bound.size
    ahead = lattice.size > IN_CACHE
    escaping = table.escape.max() > 0.0
    events = 0
    trials = 0
    time = clock[0]
    result = TIME_UP
    running = True
    while running:
        if vacancies.size - starts[bins] < BLOCK:        # each trial of a block may be an escape
            result = FULL
            break
        total = _weigh(starts, table.bound, edges)
        if total <= 0.0:                       # no vacancy, nothing can ever happen
            time = until_s
            break
        inverse = 1.0 / total
        expected = (until_s - time) * total
        count = BLOCK if expected > BLOCK else int(expected) + 4
        count = min(count, BLOCK)
        draw_block(state, words, pick, wait, count)
        for j in range(count):
            which[j], slots[j], left[j] = _choose(pick[j] * total, starts, edges, inverse_bound)
        if ahead:
            for j in range(count):
                prefetch(vacancies, slots[j] // 6)
            for j in range(count):
                v = slots[j] // 6
                record = vacancies[v]
                x, y, z = neighbour(record, slots[j] - 6 * v, size)
                prefetch(lattice, (x * size + y) * size + z)
        stale = False
        for j in range(count):
            time += wait[j] * inverse
            if time > until_s:
                time = until_s
                running = False
                break
            trials += 1
            b, slot, u = which[j], slots[j], left[j]
            if stale:
                b, slot, u = _choose(pick[j] * total, starts, edges, inverse_bound)
            v = slot // 6
            d = slot - 6 * v
            mine = np.uintp(v)                 # unsigned indices spare the check for negative ones
            record = vacancies[mine]
            x, y, z = neighbour(record, d, size)
            target = (x * size + y) * size + z
            source = site_of(record, size)
            here, there = np.uintp(source), np.uintp(target)
            species = lattice[there]
            home = (x * size + y) * table.stride
            column = home
            if not table.at_ion:
                column = int(source // size) * table.stride
            rate = table.rate[np.uintp(column), np.uintp(species)]
            threshold = u * table.bound[b]
            destination = np.uint32((x << SHIFT_X) | (y << SHIFT_Y) | z)
            if escaping and threshold < table.escape[np.uintp(column)] and species == IODIDE:
                n = starts[bins]
                lattice[there] = VACANCY
                vacancies[n] = destination
                record_escape(tracer, log, target, n, time, d, column)
                starts[bins] += 1
                move_to_bin(vacancies, starts, n, bins - 1, table.bin[home], tracer)
                counts[2] += 1
                events += 1
                total = _weigh(starts, table.bound, edges)
                inverse = 1.0 / total
                stale = True
            elif tracer is None and log is None:
                # Written without a branch on acceptance, which the processor could not predict.
                hop = threshold < rate
                lattice[here] = species if hop else VACANCY
                lattice[there] = VACANCY if hop else species
                vacancies[mine] = destination if hop else record
                counts[np.uintp(species)] += hop
                events += hop
                if bins > 1 and table.bin[home] != b and hop:
                    move_to_bin(vacancies, starts, v, b, table.bin[home], tracer)
                    total = _weigh(starts, table.bound, edges)
                    inverse = 1.0 / total
                    stale = True
            elif threshold < rate:
                lattice[here] = species
                lattice[there] = VACANCY
                vacancies[mine] = destination
                counts[np.uintp(species)] += 1
                events += 1
                record_hop(tracer, log, source, target, v, species, time, d, column)
                if bins > 1 and table.bin[home] != b:
                    move_to_bin(vacancies, starts, v, b, table.bin[home], tracer)
                    total = _weigh(starts, table.bound, edges)
                    inverse = 1.0 / total
                    stale = True
            if events >= max_events:
                result = EVENTS_UP
                running = False
                break
        if running and trials >= max_trials:
            result = TRIALS_UP
            break
    clock[0] = time
    counts[3] += trials
    counts[4] += events
    return result
