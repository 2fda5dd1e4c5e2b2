"""What a kernel writes down on request: tracer displacements and correlations, and a log of events.

Without a request both are None, and the compiler leaves the recording out of the kernel.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.kmc.lattice import DX, DY, DZ, VACANCY
from halidescope.analysis.kmc.streams import Index

LAGS = 20
CORRELATED = 6
"""How many earlier jumps of the same ion a jump is correlated with; three bits each in a 64-bit word."""


class Tracer(NamedTuple):
    """Tagged ions and vacancies.

    ``ion`` (sites,) int32 names the ion on each site, −1 for a vacancy; ``displacement`` (ions, 3) and ``hops`` (ions,)
    count its jumps in lattice steps; ``history`` (ions,) uint64 keeps its last directions; ``cosines`` and ``pairs``
    (2, LAGS) sum over jumps, by species, the cosine with the jump 1, 2, … earlier and the number of such pairs;
    ``vacancy_displacement`` (capacity, 3) follows the vacancy records.
    """

    ion: NDArray[np.int32]
    displacement: NDArray[np.int32]
    hops: NDArray[np.int64]
    history: NDArray[np.uint64]
    cosines: NDArray[np.int64]
    pairs: NDArray[np.int64]
    vacancy_displacement: NDArray[np.int32]


class EventLog(NamedTuple):
    """Events in order: ``used`` (1,) rows are filled of ``time_s`` (n,) and ``code`` (n, 3) direction, species, column.

    The species of an escape is that of the vacancy.
    """

    used: NDArray[np.int64]
    time_s: NDArray[np.float64]
    code: NDArray[np.int32]


def new_tracer(lattice: NDArray[np.int8], capacity: int) -> Tracer:
    """Tag every ion of a lattice; ``capacity`` is the room for vacancies."""
    ions = int(np.count_nonzero(lattice != VACANCY))
    names = np.full(lattice.size, -1, np.int32)
    names[lattice != VACANCY] = np.arange(ions, dtype=np.int32)
    return Tracer(
        names, np.zeros((ions, 3), np.int32), np.zeros(ions, np.int64), np.zeros(ions, np.uint64),
        np.zeros((2, LAGS), np.int64), np.zeros((2, LAGS), np.int64), np.zeros((capacity, 3), np.int32),
    )


def new_log(events: int) -> EventLog:
    """Room for this many events; what comes later is not written."""
    return EventLog(np.zeros(1, np.int64), np.zeros(events), np.zeros((events, 3), np.int32))


@njit(cache=True, nogil=True)
def swap_records(vacancies: NDArray[np.uint32], a: Index, b: Index, tracer: Tracer | None) -> None:
    """Exchange two vacancy records and what belongs to them."""
    vacancies[a], vacancies[b] = vacancies[b], vacancies[a]
    if tracer is not None:
        for axis in range(3):
            kept = tracer.vacancy_displacement[a, axis]
            tracer.vacancy_displacement[a, axis] = tracer.vacancy_displacement[b, axis]
            tracer.vacancy_displacement[b, axis] = kept


@njit(cache=True, nogil=True)
def _write(log: EventLog, time: float, d: Index, species: Index, column: Index) -> None:
    row = log.used[0]
    if row < log.time_s.size:
        log.time_s[row] = time
        log.code[row, 0] = d
        log.code[row, 1] = species
        log.code[row, 2] = column
        log.used[0] = row + 1


@njit(cache=True, nogil=True)
def record_hop(
    tracer: Tracer | None, log: EventLog | None, source: Index, target: Index, v: Index, species: Index, time: float,
    d: Index, column: Index,
) -> None:
    """A vacancy went from ``source`` in direction ``d`` to ``target``; the ion went the other way."""
    if log is not None:
        _write(log, time, d, species, column)
    if tracer is not None:
        ion = tracer.ion[target]
        tracer.ion[target] = -1
        tracer.ion[source] = ion
        back = d ^ 1
        tracer.displacement[ion, 0] += DX[back]
        tracer.displacement[ion, 1] += DY[back]
        tracer.displacement[ion, 2] += DZ[back]
        tracer.vacancy_displacement[v, 0] += DX[d]
        tracer.vacancy_displacement[v, 1] += DY[d]
        tracer.vacancy_displacement[v, 2] += DZ[d]
        history = tracer.history[ion]
        past = history
        for lag in range(min(tracer.hops[ion], LAGS)):
            earlier = np.int64(past & np.uint64(7))
            if earlier == back:
                tracer.cosines[species, lag] += 1
            elif earlier == d:
                tracer.cosines[species, lag] -= 1
            tracer.pairs[species, lag] += 1
            past >>= np.uint64(3)
        tracer.history[ion] = (history << np.uint64(3)) | np.uint64(back)
        tracer.hops[ion] += 1


@njit(cache=True, nogil=True)
def record_escape(
    tracer: Tracer | None, log: EventLog | None, target: Index, v: Index, time: float, d: Index, column: Index,
) -> None:
    """An iodide left the film from ``target``; ``v`` is the record of the vacancy it leaves."""
    if log is not None:
        _write(log, time, d, VACANCY, column)
    if tracer is not None:
        tracer.ion[target] = -1
        for axis in range(3):
            tracer.vacancy_displacement[v, axis] = 0
