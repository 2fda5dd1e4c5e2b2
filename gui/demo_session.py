"""The simulated microscope that a window starts: in a process of its own, ended with its window."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QObject

from halidescope.gui.link import Opened, launched
from halidescope.gui.simulated import SimulatorProcess

SPEED = 60.0
FILM = 1.5


class DemoSession(QObject):
    """Starts simulated instruments and an engine for them; stops the instruments when it is closed.

    Parameters
    ----------
    speed : float
        Microscope seconds per second.
    """

    def __init__(self, parent: QObject | None = None, *, speed: float = SPEED) -> None:
        super().__init__(parent)
        self._speed = speed
        self._simulator: SimulatorProcess | None = None
        self._folder: Path | None = None

    @property
    def running(self) -> bool:
        """True from the start until :meth:`close`."""
        return self._folder is not None

    def opener(self) -> Callable[[], Opened]:
        """What starts everything; takes seconds, so it is called in a lane."""
        folder = self._folder = Path(tempfile.mkdtemp(prefix="halidescope-demo-"))

        def start() -> Opened:
            simulator = SimulatorProcess(folder / "microscope.toml", speed=self._speed, film=FILM)
            simulator.__enter__()
            self._simulator = simulator
            return launched(simulator.microscope_file, folder / "session.json")

        return start

    def close(self) -> None:
        """End the simulated instruments; the engine that used them has been ended before."""
        if self._simulator is not None:
            self._simulator.__exit__(None, None, None)
            self._simulator = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
