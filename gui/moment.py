"""One look behind the engine's door: everything that a window does not know yet, for a lane."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.states import RunState, Status
from halidescope.acquisition.waiting import QueueItem
from halidescope.gui.link import Engine, Ring


@dataclass(frozen=True)
class Known:
    """What was handed on already."""

    measurement: tuple[int, str]
    results: int
    last: OnlineResults
    events: int
    lacks_ring: bool
    wants_facts: bool
    queue: tuple[QueueItem, ...]


@dataclass(frozen=True)
class Moment:
    """What is new; None where nothing is."""

    status: Status
    results: OnlineResults | None
    events: Sequence[Any]
    ring: Ring | None
    facts: InstrumentFacts | None
    queue: tuple[QueueItem, ...]


def measurement_of(status: Status) -> tuple[int, str]:
    """Number and file of the measurement that a status speaks of."""
    return status.run, status.file


def moment_of(engine: Engine, known: Known) -> Moment:
    """Everything that is new behind the door; runs in the lane's thread."""
    status = engine.status()
    ring = engine.ring() if known.lacks_ring else None
    another = measurement_of(status) != known.measurement
    fresh = None
    if status.state is not RunState.PREPARING:      # until a measurement runs, results are those of the one before
        fresh = engine.results(0 if another else known.results)
        old = known.last
        if not (another or fresh.index or fresh.numbers != old.numbers or fresh.note != old.note):
            fresh = None
        elif measurement_of(engine.status()) != measurement_of(status):
            fresh = None        # the next has begun meanwhile, and these may be its results
    events = engine.events(known.events) if status.events > known.events else ()
    facts = engine.instruments() if known.wants_facts else None
    return Moment(status, fresh, events, ring, facts, tuple(engine.queue()))
