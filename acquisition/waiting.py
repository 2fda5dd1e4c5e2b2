"""The queue of measurements that wait for the engine: what, in which order, and what became of those before.

Nothing here runs anything. After a measurement that failed, was refused or was aborted the queue holds and says why, so
that nothing is lit in a long night that nobody looks after.
"""

import threading
from enum import StrEnum

import msgspec

from halidescope.acquisition.problems import ProblemError

KEPT = 200     # measurements of the past that are still listed


class ItemState(StrEnum):
    """What became of a queued measurement."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    ABORTED = "aborted"
    FAILED = "failed"
    REFUSED = "refused"      # by the limits, when its turn came
    SKIPPED = "skipped"      # ended before its time, its file finished

    @property
    def good(self) -> bool:
        """True if the next may follow without anybody looking."""
        return self in (ItemState.FINISHED, ItemState.SKIPPED)


class QueueItem(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement of the queue; ``duration_s`` is planned, in microscope seconds."""

    id: int
    title: str
    kind: str
    out: str
    state: ItemState = ItemState.WAITING
    reason: str = ""
    duration_s: float = 0.0
    resume: bool = False


class Waiting:
    """The queue; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: list[QueueItem] = []          # past, running, waiting, in this order
        self._recipes: dict[int, dict[str, object]] = {}
        self._next_id = 1
        self.held = False
        self.reason = ""                           # why it holds

    def add(
        self, recipe: dict[str, object], out: str, *, title: str, kind: str, duration_s: float, resume: bool
    ) -> QueueItem:
        """Put a measurement, already judged, at the end.

        Raises
        ------
        ProblemError
            Another one that waits or runs would become the same file.
        """
        with self._lock:
            for item in self._items:
                if item.out == out and item.state in (ItemState.WAITING, ItemState.RUNNING):
                    raise ProblemError(f"queue: {out} will be the file of '{item.title}'; choose another name")
            item = QueueItem(id=self._next_id, title=title, kind=kind, out=out, duration_s=duration_s, resume=resume)
            self._next_id += 1
            self._items.append(item)
            self._recipes[item.id] = recipe
            return item

    def items(self) -> list[QueueItem]:
        """What is over, what runs, what waits, in the order of running."""
        with self._lock:
            return list(self._items)

    def move(self, number: int, place: int) -> None:
        """Give a waiting measurement another place; 0 is the next to run, places beyond the end are the end.

        Raises
        ------
        ProblemError
            It is not in the queue, or does not wait.
        """
        with self._lock:
            item = self._waiting(number, "move")
            if place < 0:
                raise ProblemError(f"queue: place {place} asked, allowed 0 (the next) and more; choose one of these")
            rest = [one for one in self._items if one.state is ItemState.WAITING and one is not item]
            rest.insert(place, item)
            self._items = [one for one in self._items if one.state is not ItemState.WAITING] + rest

    def remove(self, number: int) -> None:
        """Take a measurement that waits, or is over, out of the queue; its files stay.

        Raises
        ------
        ProblemError
            It is not in the queue, or runs.
        """
        with self._lock:
            item = self._item(number)
            if item.state is ItemState.RUNNING:
                raise ProblemError(f"queue: '{item.title}' runs; skip or abort it instead")
            self._items.remove(item)
            self._recipes.pop(number, None)

    def hold(self, on: bool, reason: str = "held on request") -> None:
        """Do not begin the next one, or go on."""
        with self._lock:
            self.held, self.reason = on, reason if on else ""

    def waiting(self) -> int:
        """How many wait."""
        with self._lock:
            return sum(item.state is ItemState.WAITING for item in self._items)

    def take(self) -> tuple[QueueItem, dict[str, object]] | None:
        """The next one, which runs from now on; None if there is none or the queue holds."""
        with self._lock:
            if self.held:
                return None
            for place, item in enumerate(self._items):
                if item.state is ItemState.WAITING:
                    self._items[place] = running = msgspec.structs.replace(item, state=ItemState.RUNNING)
                    return running, self._recipes.pop(item.id)
            return None

    def ended(self, number: int, state: ItemState, reason: str) -> None:
        """Tell what became of the one that ran."""
        with self._lock:
            item = self._item(number)
            self._items[self._items.index(item)] = msgspec.structs.replace(item, state=state, reason=reason)
            past = [one for one in self._items if one.state not in (ItemState.WAITING, ItemState.RUNNING)]
            for old in past[:-KEPT]:
                self._items.remove(old)

    def _item(self, number: int) -> QueueItem:
        for item in self._items:
            if item.id == number:
                return item
        raise ProblemError(f"queue: no measurement {number}; ask for the queue anew")

    def _waiting(self, number: int, what: str) -> QueueItem:
        item = self._item(number)
        if item.state is not ItemState.WAITING:
            raise ProblemError(f"queue: '{item.title}' is {item.state}, only one that waits can {what}")
        return item
