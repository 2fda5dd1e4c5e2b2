"""The simulated microscope that a window starts: in a process of its own, ended with its window."""

import logging
import threading
from collections.abc import Callable

from qtpy.QtCore import QObject

from halidescope.gui.demo_folder import DemoFolder, remove_left_over
from halidescope.gui.link import Opened, launched
from halidescope.gui.simulated import SimulatorProcess

log = logging.getLogger(__name__)

SPEED = 20.0    # the 500 s series of the tour in 25 s: time to read, to watch the film change, and to go dark
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
        self.speed = speed
        self._simulator: SimulatorProcess | None = None
        self._folder: DemoFolder | None = None

    @property
    def running(self) -> bool:
        """True from the start until :meth:`close`."""
        return self._folder is not None

    def opener(self) -> Callable[[], Opened]:
        """What starts everything; takes seconds, so it is called in a lane."""
        folder = self._folder = DemoFolder()

        def start() -> Opened:
            for old in remove_left_over():
                log.info("removed %s, which a demo that was killed had left", old)
            simulator = SimulatorProcess(folder.microscope_file, speed=self.speed, film=FILM)
            simulator.__enter__()
            self._simulator = simulator
            return launched(simulator.microscope_file, folder.session, bound=True)

        return start

    def close(self) -> None:
        """End the simulated instruments, beside the window; the engine that used them has been ended before."""
        given = self._give_up()
        if given[1] is not None:
            threading.Thread(target=_end, args=given, name="halidescope-demo-end").start()

    def end(self) -> None:
        """The same in the caller's thread: the lane that has started them, or everything would be there too late."""
        _end(*self._give_up())

    def _give_up(self) -> tuple[SimulatorProcess | None, DemoFolder | None]:
        given = self._simulator, self._folder
        self._simulator = self._folder = None
        return given


def _end(simulator: SimulatorProcess | None, folder: DemoFolder | None) -> None:
    if simulator is not None:
        simulator.__exit__(None, None, None)
    if folder is not None:
        folder.remove()
