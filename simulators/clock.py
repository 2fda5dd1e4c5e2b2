"""The simulated world's clock: monotonic, and as much faster than real time as asked.

Everything in the world is in the microscope's own seconds; only this module and the servers know how long that is on
the wall.
"""

import time
from typing import Protocol


class WorldClock(Protocol):
    """What the simulated world needs of a clock."""

    def now_s(self) -> float:
        """Seconds of the microscope; never goes back."""

    def real_s(self, duration_s: float) -> float:
        """How many real seconds a duration of the microscope takes."""


class SimulationClock:
    """Seconds of the microscope since the clock was made, ``speed`` of them per real second."""

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"simulation speed must be positive, got {speed}; 1 is real time")
        self.speed = speed
        self._origin = time.perf_counter()

    def now_s(self) -> float:
        """Seconds of the microscope since this clock was made; never goes back."""
        return (time.perf_counter() - self._origin) * self.speed

    def real_s(self, duration_s: float) -> float:
        """How many real seconds a duration of the microscope takes."""
        return duration_s / self.speed
