"""What happened, in order, for window, file and log alike."""

import threading

from halidescope.acquisition.clock import Clock
from halidescope.acquisition.records import Event


class EventLog:
    """Keeps every event of an engine's life; thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._events: list[Event] = []

    def note(self, text: str, level: str = "info") -> Event:
        """Keep an event that happens now; ``level`` is "info", "warning" or "error"."""
        with self._lock:
            now_s = self._clock.now_s()
            event = Event(
                sequence=len(self._events), time_s=now_s, at=self._clock.wall(now_s).isoformat(), level=level, text=text
            )
            self._events.append(event)
        return event

    def since(self, first: int) -> list[Event]:
        """Events from number ``first`` on."""
        with self._lock:
            return self._events[first:]

    def __len__(self) -> int:
        return len(self._events)
