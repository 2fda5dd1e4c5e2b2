"""The queue of measurements that wait for the engine: what, in which order, and what became of those before.

Nothing here runs anything. After a measurement that failed, was refused or was aborted the queue holds and says why, so
that nothing is lit in a long night that nobody looks after.

What waits and what runs is kept in a file, so that it outlives its engine: the next one offers it again, held.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import msgspec

from halidescope.acquisition.film_book import stage_of
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import parse_recipe, part_paths

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


class KeptItem(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement in the queue's file; ``running`` if it had begun."""

    item: QueueItem
    recipe: dict[str, object]
    running: bool


def queue_path(folder: Path | None, microscope: MicroscopeFile) -> Path | None:
    """The queue's file of a microscope, in the folder of its films' books; None if none are kept."""
    digest = hashlib.sha256(stage_of(microscope).encode()).hexdigest()[:8]
    return None if folder is None else folder / f"queue-{digest}.json"


class Waiting:
    """The queue; may be used from any thread.

    Parameters
    ----------
    path : Path, optional
        The queue's file; what an engine before left there waits again, and the queue holds.
    tell : callable, optional
        Told, in a sentence, when the file cannot be read or written; the queue goes on without.
    """

    def __init__(self, path: Path | None = None, tell: Callable[[str], object] | None = None) -> None:
        self._path, self._tell = path, tell
        self._lock = threading.Lock()
        self._items: list[QueueItem] = []          # past, running, waiting, in this order
        self._recipes: dict[int, dict[str, object]] = {}
        self._next_id = 1
        self.held = False
        self.reason = ""                           # why it holds
        self._load()

    def _load(self) -> None:
        """Offer again what an engine before left."""
        if self._path is None or not self._path.exists():
            return
        try:
            left = msgspec.json.decode(self._path.read_bytes(), type=list[KeptItem])
        except (OSError, msgspec.MsgspecError) as error:
            self._complain(f"queue {self._path}: cannot be read ({error}); what waited there has to be put in again")
            return
        for one in left:
            resume = one.item.resume or (one.running and _begun(one))
            item = msgspec.structs.replace(one.item, id=self._next_id, state=ItemState.WAITING, resume=resume)
            self._next_id += 1
            self._items.append(item)
            self._recipes[item.id] = one.recipe
        if left:
            self.held, self.reason = True, "left by an engine that ended before; look at it, then let it go on"

    def _save(self) -> None:
        """Write down what waits and what runs, whole or not at all."""
        if self._path is None:
            return
        kept = [
            KeptItem(item=item, recipe=self._recipes[item.id], running=item.state is ItemState.RUNNING)
            for item in self._items if item.id in self._recipes
        ]
        part = self._path.with_name(self._path.name + ".part")
        try:
            if not kept:
                self._path.unlink(missing_ok=True)
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.json.encode(kept))
            os.replace(part, self._path)
        except OSError as error:
            self._complain(f"queue {self._path}: cannot be written ({error.strerror}); it ends with this engine")

    def _complain(self, problem: str) -> None:
        if self._tell is not None:
            self._tell(problem)

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
            self._save()
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
            self._save()

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
            self._save()

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
                    self._save()
                    return running, self._recipes[item.id]
            return None

    def ended(self, number: int, state: ItemState, reason: str) -> None:
        """Tell what became of the one that ran."""
        with self._lock:
            item = self._item(number)
            self._items[self._items.index(item)] = msgspec.structs.replace(item, state=state, reason=reason)
            past = [one for one in self._items if one.state not in (ItemState.WAITING, ItemState.RUNNING)]
            for old in past[:-KEPT]:
                self._items.remove(old)
            self._recipes.pop(number, None)
            self._save()

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


def _begun(one: KeptItem) -> bool:
    """Whether something of it is there, so that it can be completed."""
    try:
        outs = part_paths(Path(one.item.out), parse_recipe(one.recipe))
    except ProblemError:      # of another version; said when its turn comes
        return False
    return any(out.exists() or journal_path(out).exists() for out in outs)
