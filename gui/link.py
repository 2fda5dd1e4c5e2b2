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
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.states import Status
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
    def start(self, recipe: dict[str, Any], out: Path) -> object: ...
    def pause(self) -> object: ...
    def resume(self) -> object: ...
    def abort(self) -> object: ...
    def dark_now(self) -> object: ...
    def quit(self) -> object: ...
    def ring(self) -> Ring: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Opened:
    """Three ways to one engine, because each answers one question at a time.

    Attributes
    ----------
    watch : Engine
        For status, results and events.
    orders : Engine
        For start, pause and resume; starting connects instruments, and takes seconds.
    urgent : Engine
        For *dark now* and abort, which wait for nothing.
    microscope : str
        Path of the engine's microscope file, if it has one.
    """

    watch: Engine
    orders: Engine
    urgent: Engine
    microscope: str = ""


def launched(microscope_path: Path, session: Path | None) -> Opened:
    """Start an engine for a microscope file; takes seconds."""
    return _thrice(EngineClient.launch(microscope_path, session=session))


def attached(session: Path | None) -> Opened:
    """Reach an engine that runs already."""
    return _thrice(EngineClient.attach(session))


def status_of(session: Path) -> Status:
    """What the engine of a session file is doing; raises :class:`ProblemError` if it has ended."""
    with EngineClient.attach(session) as client:
        return client.status()


def _thrice(client: EngineClient) -> Opened:
    session = client.session
    return Opened(
        watch=EngineClient(session), orders=client, urgent=EngineClient(session), microscope=session.microscope
    )
