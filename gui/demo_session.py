"""The simulated microscope that a window starts: in a process of its own, ended with its window."""

import shutil
import tempfile
import threading
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
            return launched(simulator.microscope_file, folder / "session.json", bound=True)

        return start

    def close(self) -> None:
        """End the simulated instruments, beside the window; the engine that used them has been ended before."""
        simulator, folder = self._simulator, self._folder
        self._simulator = self._folder = None
        if folder is None:
            return

        def end() -> None:
            if simulator is not None:
                simulator.__exit__(None, None, None)
            shutil.rmtree(folder, ignore_errors=True)

        threading.Thread(target=end, name="halidescope-demo-end").start()
