"""The ways from a window to an engine: what the window asks of one, and how one is started or found.

The polling and the signals are in :mod:`halidescope.gui.feed`.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.dose import DoseMap
from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.manual import DarkTaken
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.states import Status
from halidescope.acquisition.waiting import QueueItem
from halidescope.gui.run_data import TakenSpectrum

log = logging.getLogger(__name__)


class Ring(Protocol):
    """Spectra in shared memory; :class:`halidescope.acquisition.ring.RingReader` is one."""

    @property
    def wavelength_nm(self) -> NDArray[np.float64]: ...
    def since(self, sequence: int) -> tuple[Sequence[TakenSpectrum], int]: ...
    def close(self) -> None: ...


class Engine(Protocol):
    """The engine as the window sees it; :class:`halidescope.acquisition.client.EngineClient` is one."""

    def status(self) -> Status: ...
    def results(self, first: int = 0) -> OnlineResults: ...
    def events(self, first: int = 0) -> Sequence[Any]: ...
    def start(self, recipe: dict[str, Any], out: Path, *, resume: bool = False) -> object: ...
    def enqueue(self, recipe: dict[str, Any], out: Path, *, resume: bool = False) -> int: ...
    def queue(self) -> Sequence[QueueItem]: ...
    def move(self, item: int, place: int) -> object: ...
    def remove(self, item: int) -> object: ...
    def hold(self, on: bool) -> object: ...
    def skip(self) -> object: ...
    def answer(self, question: int, choice: str) -> object: ...
    def take_command(self) -> object: ...
    def connect(self) -> object: ...
    def disconnect(self) -> object: ...
    def instruments(self) -> InstrumentFacts: ...
    def manual_move(self, x_um: float, y_um: float) -> tuple[float, float]: ...
    def stop_stage(self) -> object: ...
    def live(
        self, sample_power_uw: float | None, exposure_s: float, *, averages: int = 1, dose_cap_j_cm2: float = ...,
        max_s: float = ...,
    ) -> object: ...
    def live_off(self) -> object: ...
    def clear_fault(self) -> object: ...
    def take_dark(self, exposure_s: float, count: int = 10) -> DarkTaken: ...
    def dose_map(
        self, origin_um: tuple[float, float], size_um: tuple[float, float], shape: tuple[int, int]
    ) -> DoseMap: ...
    def pause(self) -> object: ...
    def resume(self) -> object: ...
    def abort(self) -> object: ...
    def dark_now(self) -> object: ...
    def quit(self) -> object: ...
    def ring(self) -> Ring: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Opened:
    """Four ways to one engine, because each answers one question at a time.

    Attributes
    ----------
    watch : Engine
        For status, results and events.
    orders : Engine
        For start, pause, resume and the queue; starting connects instruments, and takes seconds.
    urgent : Engine
        For *dark now* and abort, which wait for nothing.
    by_hand : Engine
        For what a person does with the instruments: a move or dark spectra take as long as they take.
    microscope : str
        Path of the engine's microscope file, if it has one.
    ours : bool
        The engine was started for this window; one that was found running belongs to somebody else too.
    """

    watch: Engine
    orders: Engine
    urgent: Engine
    by_hand: Engine
    microscope: str = ""
    ours: bool = False

    @property
    def ways(self) -> tuple[Engine, ...]:
        """All of them."""
        return self.watch, self.orders, self.urgent, self.by_hand

    def let_go(self) -> None:
        """Nobody wants it any more: end an engine of ours, which has lit nothing yet, and close all ways."""
        try:
            if self.ours:
                self.orders.quit()
        finally:
            for engine in self.ways:
                engine.close()


class Opening:
    """A way to an engine that takes seconds; both methods are called in the same thread, one after the other."""

    def __init__(self, opener: Callable[[], Opened]) -> None:
        self._opener = opener
        self._got: Opened | None = None

    def get(self) -> Opened:
        """Open it."""
        self._got = self._opener()
        return self._got

    def give_up(self, then: Callable[[], object]) -> None:
        """Nobody waits for it any more; ``then`` is called when it is ended."""
        if self._got is not None:
            try:
                self._got.let_go()
            except ProblemError as error:
                log.warning("the engine that was being opened was not ended: %s", error)
        then()


def launched(microscope_path: Path, session: Path | None, *, bound: bool = False) -> Opened:
    """Start an engine for a microscope file, which ends with this process if it is ``bound``; takes seconds."""
    return _all_ways(EngineClient.launch(microscope_path, session=session, bound=bound), ours=True)


def attached(session: Path | None) -> Opened:
    """Reach an engine that runs already."""
    return _all_ways(EngineClient.attach(session))


def status_of(session: Path) -> Status:
    """What the engine of a session file is doing; raises :class:`ProblemError` if it has ended."""
    with EngineClient.attach(session) as client:
        return client.status()


def _all_ways(client: EngineClient, *, ours: bool = False) -> Opened:
    session = client.session
    return Opened(
        watch=EngineClient(session), orders=client, urgent=EngineClient(session), by_hand=EngineClient(session),
        microscope=session.microscope, ours=ours,
    )
