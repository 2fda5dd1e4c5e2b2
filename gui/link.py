"""The ways from a window to an engine: what the window asks of one, and how one is started or found.

The polling and the signals are in :mod:`halidescope.gui.feed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.dose import DoseMap
from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.manual import DarkTaken
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.states import Status
from halidescope.acquisition.waiting import QueueItem
from halidescope.gui.run_data import TakenSpectrum


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
    """

    watch: Engine
    orders: Engine
    urgent: Engine
    by_hand: Engine
    microscope: str = ""

    @property
    def ways(self) -> tuple[Engine, ...]:
        """All of them."""
        return self.watch, self.orders, self.urgent, self.by_hand


def launched(microscope_path: Path, session: Path | None, *, bound: bool = False) -> Opened:
    """Start an engine for a microscope file, which ends with this process if it is ``bound``; takes seconds."""
    return _all_ways(EngineClient.launch(microscope_path, session=session, bound=bound))


def attached(session: Path | None) -> Opened:
    """Reach an engine that runs already."""
    return _all_ways(EngineClient.attach(session))


def status_of(session: Path) -> Status:
    """What the engine of a session file is doing; raises :class:`ProblemError` if it has ended."""
    with EngineClient.attach(session) as client:
        return client.status()


def _all_ways(client: EngineClient) -> Opened:
    session = client.session
    return Opened(
        watch=EngineClient(session), orders=client, urgent=EngineClient(session), by_hand=EngineClient(session),
        microscope=session.microscope,
    )
