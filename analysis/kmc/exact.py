"""One film on the exact clock: the arrays a run lives on, and the choice of method while it goes.

Null events and class lists are two ways to the same process, so the change from one to the other at any moment leaves
its statistics as they are. Times are seconds of the model, set by the attempt rate; a film measured over minutes is out
of reach of any atomistic clock, which is why the comparison with data fits a time scale.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halidescope.analysis.kmc import classes, even, nullevent
from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.lattice import VACANCY, count_species, initial_film, vacancy_records
from halidescope.analysis.kmc.rates import Heating, RateTable
from halidescope.analysis.kmc.records import EventLog, Tracer, new_tracer
from halidescope.analysis.kmc.streams import stream

CHUNK = 1 << 17
"""Trials between two looks at the share of accepted ones."""
TO_LISTS, TO_TRIALS = 0.025, 0.05
"""Accepted shares below which class lists and above which null events are faster; apart, so as not to flip often."""

METHODS = ("automatic", "null-event", "class-lists")


@dataclass
class Counts:
    """What has happened so far."""

    hops_bromide: int
    hops_iodide: int
    escapes: int
    trials: int
    events: int


class ExactFilm:
    """A film of halides and vacancies that hops on the exact clock.

    Parameters
    ----------
    config : KmcConfig
        What is simulated.
    seed, replica : int
        Which stream of random numbers; the same two give the same run.
    tracer : bool
        Follow every ion and vacancy.
    log : EventLog, optional
        Where to write down events.
    method : str
        "automatic", or one of the two methods always (for checks).
    lattice : ndarray of int8 (size³,), optional
        Film to start from, changed in place; a random one of the configured composition by default.
    """

    def __init__(
        self,
        config: KmcConfig,
        seed: int,
        replica: int = 0,
        *,
        tracer: bool = False,
        log: EventLog | None = None,
        method: str = "automatic",
        lattice: NDArray[np.int8] | None = None,
    ) -> None:
        if method not in METHODS:
            raise ValueError(f"method = '{method}': must be one of {', '.join(METHODS)}")
        self.size = config.lattice.size
        self.stream = stream(seed, replica)
        self.lattice = initial_film(config, seed, replica) if lattice is None else np.asarray(lattice, np.int8).ravel()
        self.log = log
        self._method = method
        self._heating = Heating(config)
        self._rates: RateTable
        self._rates, self._rates_until = self._heating.interval(0.0)
        records = vacancy_records(self.lattice, self.size)
        self._vacancies = np.concatenate([records, np.zeros(nullevent.BLOCK, np.uint32)])
        self._count = np.array([records.size])
        self.tracer: Tracer | None = new_tracer(self.lattice, self._vacancies.size) if tracer else None
        self._starts = np.zeros(self._heating.bins + 1, np.int64)
        self._clock = np.zeros(1)
        self._tally = np.zeros(5, np.int64)
        self._lists: classes.ClassLists | None = None
        self._sort_by_bin()
        if method == "class-lists":
            self._enter_lists()

    @property
    def time_s(self) -> float:
        """Time on the exact clock, s."""
        return float(self._clock[0])

    @property
    def counts(self) -> Counts:
        """Numbers of hops, escapes, trials and events so far."""
        return Counts(*(int(value) for value in self._tally))

    @property
    def method(self) -> str:
        """The method in use now."""
        return "null-event" if self._lists is None else "class-lists"

    @property
    def vacancies(self) -> int:
        """Number of vacancies now."""
        return int(self._count[0])

    def advance(
        self, until_s: float = math.inf, max_events: int | None = None, look: Callable[[], object] = lambda: None
    ) -> None:
        """Let the film evolve until a time of its clock or for a number of events, whichever comes first.

        ``look`` is called every some ten milliseconds; what it raises stops the film where it is.
        """
        goal = 2**62 if max_events is None else int(self._tally[4]) + max_events
        if math.isinf(until_s) and max_events is None:
            raise ValueError("advance needs until_s or max_events: the film never stops by itself")
        while self._clock[0] < until_s and self._tally[4] < goal:
            if self._clock[0] >= self._rates_until:
                self._rates, self._rates_until = self._heating.interval(self.time_s)
            done = int(self._tally[4])
            self._run_chunk(min(until_s, self._rates_until), goal - done)
            look()
            still = self._tally[4] == done and math.isinf(until_s)
            if math.isinf(self._clock[0]) or (still and not self.species_counts()[:VACANCY].any()):
                raise ArithmeticError("nothing in this film can move: it has no vacancy beside an ion; give run.time_s")

    def _run_chunk(self, until_s: float, events: int) -> None:
        trials, done = int(self._tally[3]), int(self._tally[4])
        if self._lists is None and self._rates.stride == 0 and self.tracer is None and self.log is None:
            rates = self._rates.rate[0, :3].astype(float)      # the same everywhere, so nothing escapes either
            result = even.advance(
                self.lattice, self.size, self._vacancies, self.vacancies, rates, self._clock, until_s, self._tally,
                events, CHUNK, self.stream,
            )
        elif self._lists is None:
            result = nullevent.advance(
                self.lattice, self.size, self._vacancies, self._starts, self._rates, self._clock, until_s, self._tally,
                events, CHUNK, self.stream, self.tracer, self.log,
            )
            self._count[0] = self._starts[-1]
        else:
            result = classes.advance(
                self.lattice, self.size, self._vacancies, self._count, self._lists, self._rates, self._clock, until_s,
                self._tally, min(events, CHUNK), self.stream, self.tracer, self.log,
            )
        if result == nullevent.FULL:
            self._grow()
        elif self._method == "automatic":
            self._reconsider(int(self._tally[3]) - trials, int(self._tally[4]) - done)

    def _reconsider(self, trials: int, events: int) -> None:
        """Change the method where the other one is faster."""
        if self._lists is None:
            if trials >= CHUNK and events < TO_LISTS * trials and self.lattice.size <= classes.LARGEST_LATTICE:
                self._enter_lists()
        else:
            per_bin = np.bincount(self._bins_of(self.vacancies), minlength=self._heating.bins)
            trial_rate = 6 * float(per_bin @ self._rates.bound)
            if classes.total_rate(self._lists, self._rates) > TO_TRIALS * trial_rate:
                self._lists = None
                self._sort_by_bin()

    def _enter_lists(self) -> None:
        self._lists = classes.build(self.lattice, self.size, self._vacancies, self.vacancies, self._rates)

    def _bins_of(self, count: int) -> NDArray[np.uint8]:
        records = self._vacancies[:count].astype(np.int64)
        columns = ((records >> 20) * self.size + ((records >> 10) & 1023)) * self._rates.stride
        return self._rates.bin[columns]

    def _sort_by_bin(self) -> None:
        """Order the vacancy records by bin, as the null-event kernel wants them."""
        count = self.vacancies
        bins = self._bins_of(count)
        order = np.argsort(bins, kind="stable")
        self._vacancies[:count] = self._vacancies[:count][order]
        if self.tracer is not None:
            moved = self.tracer.vacancy_displacement
            moved[:count] = moved[:count][order]
        self._starts[1:] = np.cumsum(np.bincount(bins, minlength=self._heating.bins))

    def _grow(self) -> None:
        """Make room for the vacancies that escapes leave."""
        room = max(self._vacancies.size // 2, nullevent.BLOCK)
        self._vacancies = np.concatenate([self._vacancies, np.zeros(room, np.uint32)])
        if self.tracer is not None:
            moved = self.tracer.vacancy_displacement
            self.tracer = self.tracer._replace(
                vacancy_displacement=np.concatenate([moved, np.zeros((room, 3), np.int32)])
            )
        if self._lists is not None:
            self._enter_lists()

    def species_counts(self, columns: slice | None = None) -> NDArray[np.int64]:
        """Numbers of bromides, iodides and vacancies, (3,), on the lattice or in a square of its columns."""
        read = columns if columns is not None else slice(0, self.size)
        counts = np.zeros(3, np.int64)
        count_species(self.lattice, self.size, read.start, read.stop, counts)
        return counts
