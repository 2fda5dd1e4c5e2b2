"""Who commands an engine: one at a time, any number watch. Ending light is everybody's right and is not judged here."""

import threading
from collections import Counter
from collections.abc import Callable

from halidescope.acquisition.problems import ProblemError


class Commander:
    """Keeps who has the command. Whoever commands first has it, until taken over or gone.

    A caller is known by its name; one with several connections is gone when the last of them is closed.

    Parameters
    ----------
    note : callable
        Told in a sentence when the command changes hands.
    """

    def __init__(self, note: Callable[[str], object]) -> None:
        self._note = note
        self._lock = threading.Lock()
        self._here: Counter[str] = Counter()
        self.name = ""       # of the holder; empty: nobody's

    def arrived(self, name: str) -> None:
        """One more connection of a caller."""
        with self._lock:
            self._here[name] += 1

    def left(self, name: str) -> None:
        """A caller's connection is closed; with its last one it gives up the command."""
        with self._lock:
            self._here[name] -= 1
            if self._here[name] > 0:
                return
            del self._here[name]
            gone = self.name == name
            if gone:
                self.name = ""
        if gone:
            self._note(f"{name} has left; nobody has the command")

    def take(self, name: str) -> None:
        """Have the command from now on, whoever had it."""
        with self._lock:
            before, self.name = self.name, name
        if before != name:
            self._note(f"{name} has taken the command" + (f" over from {before}" if before else ""))

    def require(self, name: str) -> None:
        """Raise :class:`ProblemError` if somebody else has the command; take it if nobody has."""
        with self._lock:
            if not self.name:
                self.name = name
            holder = self.name
        if holder != name:
            raise ProblemError(
                f"engine: {holder} has the command, {name} watches; take the command over first (dark now and abort "
                "are always allowed)"
            )
