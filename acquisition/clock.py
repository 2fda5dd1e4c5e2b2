"""The microscope's clock, handed to everything that measures time.

Real microscopes run at speed 1. A simulated microscope may run faster; intervals, exposures and time stamps stay in the
microscope's own seconds, and only this module knows how long that is on the wall.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

SLEPT_S = 1.0    # of difference between the computer's counters that is a sleep and no jitter


def asleep_s() -> float:
    """How long this computer has slept since it was started, s.

    Linux's ``perf_counter`` stands still meanwhile; Windows' goes on, and macOS' is not told of: 0 there.
    """
    if sys.platform != "linux":
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def utc_zero_s() -> float:
    """Real time (UTC, s since 1970) at which the computer's counter, sleep included, showed zero.

    Taken once, it makes real times that nobody who sets the computer's clock can shift against each other.
    """
    return time.time() - time.perf_counter() - asleep_s()


class Clock:
    """Seconds of the microscope since the clock was made.

    Parameters
    ----------
    speed : float
        Microscope seconds per second of real time; 1 for real hardware.
    sleep : callable
        Waits real seconds; an event's ``wait`` makes the waiting interruptible.
    asleep : callable
        How long the computer has slept until now, s.
    """

    def __init__(
        self, speed: float = 1.0, *, sleep: Callable[[float], object] = time.sleep,
        asleep: Callable[[], float] = asleep_s,
    ) -> None:
        if not speed > 0:
            raise ValueError(f"clock speed must be positive, got {speed}")
        self.speed = speed
        self._sleep = sleep
        self._asleep = asleep
        self._was_asleep_s = asleep()
        self._origin = time.perf_counter() + self._was_asleep_s
        self._origin_wall = datetime.now(UTC)

    def now_s(self) -> float:
        """Seconds of the microscope since this clock was made; never goes back."""
        return self.reading_s(time.perf_counter())

    def slept_s(self) -> float:
        """How long the computer slept since this was asked last, real s; the clock goes forward by that now."""
        asleep_s = self._asleep()
        slept_s = asleep_s - self._was_asleep_s
        if slept_s < SLEPT_S:
            return 0.0
        self._was_asleep_s = asleep_s
        return slept_s

    def reading_s(self, perf_counter_s: float) -> float:
        """What this clock showed when ``time.perf_counter()`` was ``perf_counter_s``; drivers note real instants so."""
        return (perf_counter_s + self._was_asleep_s - self._origin) * self.speed

    def wall(self, at_s: float | None = None) -> datetime:
        """Date and time (UTC) of a reading of this clock, now by default, in the microscope's own time."""
        return self._origin_wall + timedelta(seconds=self.now_s() if at_s is None else at_s)

    def utc_s(self, at_s: float) -> float:
        """Real time of a reading of this clock, seconds since 1970 (UTC); outlives this clock and its process."""
        return self._origin_wall.timestamp() + at_s / self.speed

    def at_utc_s(self, utc_s: float) -> float:
        """What this clock showed, or would have shown, at a real time; negative before it was made."""
        return (utc_s - self._origin_wall.timestamp()) * self.speed

    def real_s(self, duration_s: float) -> float:
        """How many real seconds a duration of the microscope takes."""
        return duration_s / self.speed

    def sleep_until(self, at_s: float) -> None:
        """Wait until the clock shows ``at_s``; returns at once if that is past."""
        remaining = self.real_s(at_s - self.now_s())
        if remaining > 0:
            self._sleep(remaining)
