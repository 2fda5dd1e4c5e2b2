"""The exact clock by class lists (n-fold way): for films where most null-event trials would be rejected.

Every slot (a vacancy and one of its six directions) is in the list of its class, the neighbour's species and the bin of
the vacancy's column; a slot towards another vacancy is in none. An event picks a class by its total rate and a slot of
it at random; within a class the rates differ only by the temperature inside one bin, so nearly every pick is accepted.
The price is bookkeeping: the lists, and the vacancy on every site.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.kmc.lattice import IODIDE, SHIFT_X, SHIFT_Y, VACANCY, neighbour, site_of
from halidescope.analysis.kmc.nullevent import EVENTS_UP, FULL, TIME_UP
from halidescope.analysis.kmc.rates import RateTable
from halidescope.analysis.kmc.records import EventLog, Tracer, record_escape, record_hop
from halidescope.analysis.kmc.streams import Floats, Index, Words, exponential, uniform

LARGEST_LATTICE = 1 << 24
"""Sites up to which the lists are used; they need four bytes a site."""


class ClassLists(NamedTuple):
    """``owner`` (sites,) int32 the vacancy on a site or −1; ``members`` (classes, slots) int32; ``length`` (classes,);
    ``place`` and ``label`` (slots,) where a slot is in its list, and its class or −1."""

    owner: NDArray[np.int32]
    members: NDArray[np.int32]
    length: NDArray[np.int64]
    place: NDArray[np.int32]
    label: NDArray[np.int8]


def build(
    lattice: NDArray[np.int8], size: int, vacancies: NDArray[np.uint32], count: int, table: RateTable
) -> ClassLists:
    """Make the lists for the first ``count`` vacancy records."""
    slots, classes = 6 * vacancies.size, table.class_bound.size
    lists = ClassLists(
        np.full(lattice.size, -1, np.int32),
        np.empty((classes, slots), np.int32),
        np.zeros(classes, np.int64),
        np.zeros(slots, np.int32),
        np.full(slots, -1, np.int8),
    )
    _enlist_all(lattice, size, vacancies, count, table, lists)
    return lists


@njit(cache=True, nogil=True)
def _relabel(lists: ClassLists, slot: Index, label: Index) -> None:
    """Move a slot to another list, −1 for none."""
    old = lists.label[slot]
    if old == label:
        return
    if old >= 0:
        last = lists.length[old] - 1
        moved = lists.members[old, last]
        lists.members[old, lists.place[slot]] = moved
        lists.place[moved] = lists.place[slot]
        lists.length[old] = last
    if label >= 0:
        end = lists.length[label]
        lists.members[label, end] = slot
        lists.place[slot] = end
        lists.length[label] = end + 1
    lists.label[slot] = label


@njit(cache=True, nogil=True)
def _label(lattice: NDArray[np.int8], size: int, record: np.uint32, d: Index, table: RateTable) -> Index:
    """Class of the slot of a vacancy in direction ``d``."""
    x, y, z = neighbour(record, d, size)
    species = lattice[(x * size + y) * size + z]
    if species == VACANCY:
        return -1
    return 2 * np.int64(table.bin[site_of(record, size) // size * table.stride]) + species


@njit(cache=True, nogil=True)
def _enlist(
    lattice: NDArray[np.int8], size: int, vacancies: NDArray[np.uint32], v: Index, table: RateTable, lists: ClassLists,
) -> None:
    lists.owner[site_of(vacancies[v], size)] = v
    for d in range(6):
        _relabel(lists, 6 * v + d, _label(lattice, size, vacancies[v], d, table))


@njit(cache=True, nogil=True)
def _enlist_all(
    lattice: NDArray[np.int8], size: int, vacancies: NDArray[np.uint32], count: int, table: RateTable,
    lists: ClassLists,
) -> None:
    for v in range(count):
        _enlist(lattice, size, vacancies, v, table, lists)


@njit(cache=True, nogil=True)
def _tell_neighbours(
    lattice: NDArray[np.int8], size: int, vacancies: NDArray[np.uint32], record: np.uint32, table: RateTable,
    lists: ClassLists,
) -> None:
    """The species on a site changed: relabel the slots of the vacancies around it that point to it."""
    for d in range(6):
        x, y, z = neighbour(record, d, size)
        w = lists.owner[(x * size + y) * size + z]
        if w >= 0:
            _relabel(lists, 6 * w + (d ^ 1), _label(lattice, size, vacancies[w], d ^ 1, table))


@njit(cache=True, nogil=True)
def total_rate(lists: ClassLists, table: RateTable) -> float:
    """Total rate of the classes, 1/s."""
    total = 0.0
    for c in range(lists.length.size):
        total += lists.length[c] * table.class_bound[c // 2, c % 2]
    return total


@njit(cache=True, nogil=True)
def advance(
    lattice: NDArray[np.int8], size: int, vacancies: NDArray[np.uint32], count: NDArray[np.int64], lists: ClassLists,
    table: RateTable, clock: Floats, until_s: float, counts: NDArray[np.int64], max_events: int, state: Words,
    tracer: Tracer | None, log: EventLog | None,
) -> int:
    """Run events until the time or their number is reached; returns which.

    ``count`` (1,) int64 is the number of vacancies, advanced by escapes; the rest as in
    :func:`halidescope.analysis.kmc.nullevent.advance`.
    """
    time = clock[0]
    events = 0
    result = EVENTS_UP
    while events < max_events:
        if count[0] == vacancies.size:
            result = FULL
            break
        total = total_rate(lists, table)
        if total <= 0.0:                       # no ion beside a vacancy, nothing can ever happen
            time = until_s
            result = TIME_UP
            break
        time += exponential(state) / total
        if time > until_s:
            time = until_s
            result = TIME_UP
            break
        counts[3] += 1
        w = uniform(state) * total
        c = 0
        last = lists.length.size - 1
        while c < last and w >= lists.length[c] * table.class_bound[c // 2, c % 2]:
            w -= lists.length[c] * table.class_bound[c // 2, c % 2]
            c += 1
        while lists.length[c] == 0:            # rounding ran past the last class that has members
            c -= 1
            w = 0.0
        bound = table.class_bound[c // 2, c % 2]
        w /= bound
        chosen = min(int(w), lists.length[c] - 1)
        slot = np.int64(lists.members[c, chosen])
        v = slot // 6
        d = slot - 6 * v
        record = vacancies[v]
        x, y, z = neighbour(record, d, size)
        target = (x * size + y) * size + z
        source = site_of(record, size)
        species = lattice[target]
        column = (x * size + y) * table.stride if table.at_ion else source // size * table.stride
        threshold = (w - chosen) * bound
        if threshold >= table.rate[column, species]:
            continue
        destination = np.uint32((x << SHIFT_X) | (y << SHIFT_Y) | z)
        if species == IODIDE and threshold < table.escape[column]:
            n = count[0]
            lattice[target] = VACANCY
            vacancies[n] = destination
            count[0] += 1
            record_escape(tracer, log, target, n, time, d, column)
            _enlist(lattice, size, vacancies, n, table, lists)
            _tell_neighbours(lattice, size, vacancies, destination, table, lists)
            counts[2] += 1
        else:
            lattice[source] = species
            lattice[target] = VACANCY
            vacancies[v] = destination
            record_hop(tracer, log, source, target, v, species, time, d, column)
            lists.owner[source] = -1
            _enlist(lattice, size, vacancies, v, table, lists)
            _tell_neighbours(lattice, size, vacancies, record, table, lists)
            _tell_neighbours(lattice, size, vacancies, destination, table, lists)
            counts[species] += 1
        events += 1
    clock[0] = time
    counts[4] += events
    return result
