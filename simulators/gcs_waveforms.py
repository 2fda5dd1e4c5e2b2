"""Wave forms of the simulated E-727: curves in wave tables, a table as a path, GCS arrays, distance triggers.

Source: PI E-727 User Manual E727T0005 p69-74 and p108; PIPython for the GCS array. Plain functions over numbers; the
commands are in :mod:`halidescope.simulators.gcs_waves`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halidescope.simulators.gcs_errors import GcsError, GcsRefusedError, number
from halidescope.simulators.motion import LAG_S, Axis

TABLES = ("1", "2", "3", "4")
MOST_POINTS, MOST_RISES = 262_144, 50_000


@dataclass(frozen=True)
class WavePath:
    """A wave table run a number of times; ``cycles`` 0 runs for ever."""

    start_s: float
    values_um: NDArray[np.float64]
    point_s: float
    cycles: int

    @property
    def end_s(self) -> float:
        """When the last cycle is over."""
        return self.start_s + len(self.values_um) * self.point_s * self.cycles if self.cycles else math.inf

    @property
    def last_s(self) -> float:
        """When the last point of the last cycle is reached."""
        return self.end_s - self.point_s

    @property
    def final_um(self) -> float:
        """The last point."""
        return float(self.values_um[-1])

    def position_um(self, at_s: float) -> float:
        """Straight from point to point, within each cycle."""
        place = max(0.0, at_s - self.start_s) / self.point_s % len(self.values_um)
        return float(np.interp(place, np.arange(len(self.values_um)), self.values_um))


def curve(points: int, rounding: int) -> NDArray[np.float64]:
    """From 0 to 1 in so many points, with parabolic ends of ``rounding`` points (manual p108)."""
    if not 0 <= 2 * rounding < points:
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    time = np.arange(points, dtype=np.float64)
    last = points - 1.0
    if not rounding:
        return time / last if last else np.ones(points)
    speed = 1.0 / (last - rounding)
    rising = speed * time**2 / (2.0 * rounding)
    falling = 1.0 - speed * (last - time) ** 2 / (2.0 * rounding)
    return np.where(time < rounding, rising, np.where(time > last - rounding, falling, speed * (time - rounding / 2.0)))


def gcs_array(columns: dict[str, NDArray[np.float64]], sample_s: float) -> list[str]:
    """Header and rows of a GCS array."""
    rows = np.stack(list(columns.values()), axis=1)
    names = [f"# NAME{index} = {name}" for index, name in enumerate(columns)]
    return [
        "# REM E-727", "# VERSION = 1", "# TYPE = 1", "# SEPARATOR = 32", f"# DIM = {len(columns)}",
        f"# SAMPLE_TIME = {sample_s:.6f}", f"# NDATA = {len(rows)}", *names, "# END_HEADER",
        *(" ".join(f"{value:.6f}" for value in row) for row in rows),
    ]


def distance_rises(axis: Axis, now: float, step: float, window: tuple[float, float]) -> list[float]:
    """When an axis that has just set out passes the places of a distance trigger."""
    here, target = axis.position_um(now), axis.target_um
    begin, end = window
    direction = math.copysign(1.0, target - here)
    if begin == end:
        begin, end = here + direction * step, target
    elif math.copysign(1.0, end - begin) != direction:
        return []
    count = int(abs(end - begin) / step + 1e-9) + 1
    places = [begin + direction * step * index for index in range(min(count, MOST_RISES))]
    passed = [place for place in places if 0.0 <= (place - here) * direction <= abs(target - here) + 1e-9]
    return [now + abs(place - here) / axis.velocity_um_s + LAG_S for place in passed]


def segment_of(kind: str, values: list[float]) -> NDArray[np.float64]:
    """A LIN or RAMP segment: the curve in its place, still before and after it."""
    counts = {"LIN": 6, "RAMP": 7}
    if kind not in counts:
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    if len(values) != counts[kind]:
        raise GcsRefusedError(GcsError.WRONG_NUMBER_OF_PARAMETERS)
    size, points = whole_number(values[0], 1, MOST_POINTS), whole_number(values[3], 1, MOST_POINTS)
    amplitude, offset = values[1], values[2]
    first, rounding = point_index(values[4]), whole_number(values[5], 0, MOST_POINTS)
    if first + points > size:
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    if kind == "LIN":
        shape, after = curve(points, rounding), 1.0
    else:
        centre = whole_number(values[6], 1, points - 1)
        shape = np.concatenate([curve(centre, rounding), 1.0 - curve(points - centre, rounding)])
        after = 0.0
    whole = np.concatenate([np.zeros(first), shape, np.full(size - first - points, after)])
    return offset + amplitude * whole


def whole_number(value: float, lower: int, upper: int) -> int:
    """An integer within limits; refused otherwise."""
    if value != int(value) or not lower <= value <= upper:
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    return int(value)


def point_index(value: float) -> int:
    """Index of a point that counts from 1; 0 is the first one too."""
    return max(0, whole_number(value, 0, MOST_POINTS) - 1)


def known_names(names: list[str], allowed: tuple[str, ...]) -> list[str]:
    """The names, if all are allowed."""
    if any(name not in allowed for name in names):
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    return names


def slice_of(arguments: list[str], tables: list[str]) -> tuple[int, int, list[str]]:
    """First point, number of points, tables."""
    if not arguments:
        return 0, MOST_POINTS, tables
    if len(arguments) < 2:
        raise GcsRefusedError(GcsError.PARAMETER_MISSING)
    chosen = known_names(arguments[2:], TABLES) or tables
    if not chosen:
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    return point_index(number(arguments[0])), whole_number(number(arguments[1]), 1, MOST_POINTS), chosen
