"""The one way in for commands, whoever gives them and in whichever thread.

A start waits for the engine's answer. Pausing, resuming and aborting are wishes that the engine looks at between two
spectra; every wait of a measurement ends at once when a wish arrives.
"""

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from halidescope.acquisition.problems import ProblemError

ANSWER_S = 50.0    # real seconds for the engine to take up a start, connecting included


@dataclass(frozen=True)
class StartCommand:
    """A measurement to be started; ``accepted`` gets None, or the reason why not."""

    recipe: dict[str, object]
    out: str
    resume: bool = False
    accepted: Future[None] = field(default_factory=Future)


class Door:
    """Commands on their way to the engine's thread."""

    def __init__(self) -> None:
        self._starts: queue.SimpleQueue[StartCommand] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._occupied = False
        self.abort_reason: str | None = None
        self.pause_wanted = False
        self.quitting = False

    def sleep(self, real_s: float) -> None:
        """Wait, but no longer than until the next wish; a clock's ``sleep``."""
        self._wake.wait(real_s)

    def look(self) -> None:
        """Forget that somebody knocked; called before the wishes are read, so that none is overlooked."""
        self._wake.clear()

    def start(self, recipe: dict[str, object], out: str, *, resume: bool = False) -> None:
        """Ask for a measurement, or for the rest of one that was cut off, and wait until it is accepted; one at a time.

        Raises
        ------
        ProblemError, InstrumentError
            Why it must not or cannot start.
        """
        command = StartCommand(recipe, out, resume)
        with self._lock:
            if self.quitting:
                raise ProblemError("engine: is about to end; start a new one")
            if self._occupied:
                raise ProblemError("engine: a measurement runs already; wait for its end or abort it")
            self._occupied = True
            self._starts.put(command)
        self._wake.set()
        try:
            command.accepted.result(ANSWER_S)
        except TimeoutError as error:
            command.accepted.cancel()
            raise ProblemError(f"engine: took up no command for {ANSWER_S:g} s; end it and start a new one") from error

    def next_start(self) -> StartCommand | None:
        """A start that nobody has taken up yet."""
        try:
            command = self._starts.get_nowait()
        except queue.Empty:
            return None
        if command.accepted.set_running_or_notify_cancel():
            return command
        self.free()
        return None

    def free(self) -> None:
        """The measurement that was started is over, or was refused: the next may come."""
        with self._lock:
            self._occupied = False

    def shut(self) -> None:
        """The engine has ended: nobody takes up what still waits."""
        while (command := self.next_start()) is not None:
            command.accepted.set_exception(ProblemError("engine: has ended; start a new one"))

    def pause(self) -> None:
        """Beam off after the present exposure, then wait."""
        self.pause_wanted = True
        self._wake.set()

    def resume(self) -> None:
        """Go on."""
        self.pause_wanted = False
        self._wake.set()

    def abort(self, reason: str) -> None:
        """End the measurement; the first reason stays."""
        self.abort_reason = self.abort_reason or reason
        self._wake.set()

    def quit(self) -> None:
        """End the measurement and the engine."""
        with self._lock:
            self.quitting = True
        self.abort("the engine was asked to end")

    def clear(self) -> None:
        """A new measurement begins: wishes of the last one are void."""
        self.pause_wanted = False
        if not self.quitting:
            self.abort_reason = None
