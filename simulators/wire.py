"""What a simulated instrument is to the servers: a device with state, and a session per connection.

A session is a pure parser: bytes in, whole replies out, in any split or join. What comes by itself later (a spectrum
after its exposure) is asked for with :meth:`Session.due_s` and :meth:`Session.collect`. No sockets here.
"""

from typing import Protocol, runtime_checkable


class Session(Protocol):
    """One connection to a device."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they arrive; returns the replies that they complete, one entry a reply."""

    def due_s(self) -> float | None:
        """Microscope time at which :meth:`collect` has something to do; None if nothing is on the way."""

    def collect(self) -> list[bytes]:
        """Do what is due; returns the replies that are ready now."""

    def close(self) -> None:
        """The connection is gone."""


class PromptSession:
    """A session whose every reply comes at once."""

    def due_s(self) -> float | None:
        """Nothing is ever on the way."""
        return None

    def collect(self) -> list[bytes]:
        """Nothing to collect."""
        return []

    def close(self) -> None:
        """Nothing to let go of."""


class Device(Protocol):
    """One simulated instrument."""

    role: str
    model: str
    single_client: bool

    def session(self) -> Session:
        """A parser for a new connection."""


@runtime_checkable
class KeySwitch(Protocol):
    """A laser head that a person can turn a key of."""

    def turn_key(self, on: bool) -> None:
        """Turn the key switch on or off."""


def lines_of(buffer: bytearray, *, ends: bytes, longest: int) -> list[bytes]:
    """Cut complete lines out of a buffer; any byte of ``ends`` ends one, and empty lines are left out.

    A line longer than ``longest`` is cut there, as an instrument's line buffer does.
    """
    lines = []
    start = 0
    for index, byte in enumerate(buffer):
        if byte in ends:
            if index > start:
                lines.append(bytes(buffer[start:index]))
            start = index + 1
        elif index - start + 1 >= longest:
            lines.append(bytes(buffer[start:index + 1]))
            start = index + 1
    del buffer[:start]
    return lines
