"""How a simulated axis moves: a velocity ramp, followed with a first-order lag, or a path that a controller lays out.

One axis, in closed form as a function of time, so that any moment can be asked for in any order. Units µm and s.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

LAG_S = 0.002           # time constant of the closed loop
ARRIVED_UM = 0.002      # closer than this to its target an axis counts as at rest


class Path(Protocol):
    """A way laid out in advance; an endless one ends at infinity."""

    @property
    def end_s(self) -> float:
        """When it is over."""

    @property
    def final_um(self) -> float:
        """Where it ends."""

    def position_um(self, at_s: float) -> float:
        """Where the axis is at a time between the path's beginning and its end."""


@dataclass(frozen=True)
class KnotPath:
    """Straight ways between knots, shape (knots,) each; the first knot is where the axis is when it sets out."""

    times_s: tuple[float, ...]
    positions_um: tuple[float, ...]

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.times_s[-1]

    @property
    def final_um(self) -> float:
        """Where it ends."""
        return self.positions_um[-1]

    def position_um(self, at_s: float) -> float:
        """Where the axis is at a time."""
        return float(np.interp(at_s, self.times_s, self.positions_um))


@dataclass
class Axis:
    """One closed-loop axis; every method is told the time."""

    lower_um: float = 0.0
    upper_um: float = 200.0
    velocity_um_s: float = 5000.0
    servo: bool = False
    target_um: float = 0.0
    window_um: float = 0.02        # on-target window
    settling_s: float = 0.005      # time inside the window before the axis is on target
    stalled: bool = False
    path: Path | None = None       # followed until its end, or until something else is asked for
    _start_s: float = -math.inf    # when the present move began
    _start_um: float = 0.0         # where the sensor was then
    _reference_um: float = 0.0     # where the ramp began

    def position_um(self, at_s: float) -> float:
        """Where the axis is at a time not before the present move began."""
        if self.stalled:
            return self._start_um
        if self.path is not None:
            return self.path.position_um(at_s) if at_s < self.path.end_s else self.path.final_um
        elapsed = at_s - self._start_s
        way = self.target_um - self._reference_um
        ramp_s = abs(way) / self.velocity_um_s
        if elapsed >= ramp_s:
            return self._settle(self._lagging(ramp_s), elapsed - ramp_s)
        return self._lagging(elapsed)

    def rest_s(self) -> float:
        """When the axis is at rest; the past if it already is."""
        return self._reaches_s(ARRIVED_UM) if self.path is None else self.path.end_s

    def on_target(self, at_s: float) -> bool:
        """True when the axis has stayed inside the window for the settling time."""
        if not self.servo:
            return False
        if self.stalled:
            return abs(self._start_um - self.target_um) <= self.window_um and at_s >= self._start_s + self.settling_s
        return at_s >= self.settled_s()

    def settled_s(self) -> float:
        """When the present move is over for the controller, if nothing holds the axis back; may be in the past."""
        arrived_s = self._reaches_s(self.window_um) if self.path is None else self.path.end_s
        return arrived_s + self.settling_s

    def move(self, target_um: float, at_s: float) -> None:
        """Head for a target from wherever the axis is."""
        self._begin(at_s)
        self.target_um = target_um

    def follow(self, path: Path, at_s: float) -> None:
        """Set out on a path."""
        self._begin(at_s)
        self.path, self.target_um = path, path.final_um

    def stop(self, at_s: float) -> None:
        """Hold the place where the axis is."""
        self._begin(at_s)
        self.target_um = self._start_um

    def change_velocity(self, velocity_um_s: float, at_s: float) -> None:
        """Go on to the same target with another velocity."""
        self._begin(at_s)
        self.velocity_um_s = velocity_um_s

    def stall(self, stalled: bool, at_s: float) -> None:
        """Get stuck, or come loose and go on to the target."""
        if stalled != self.stalled:
            self._begin(at_s)
            self.stalled = stalled

    def _begin(self, at_s: float) -> None:
        here = self.position_um(at_s)
        self.path = None
        self._start_um = self._reference_um = here
        self._start_s = at_s

    def _lagging(self, elapsed_s: float) -> float:
        """First-order answer to the ramp."""
        slope = math.copysign(self.velocity_um_s, self.target_um - self._reference_um)
        if self.target_um == self._reference_um:
            slope = 0.0
        lag = slope * LAG_S
        fading = math.exp(-elapsed_s / LAG_S) if elapsed_s < 1.0 else 0.0
        return self._reference_um + slope * elapsed_s - lag + (self._start_um - self._reference_um + lag) * fading

    def _settle(self, from_um: float, elapsed_s: float) -> float:
        rest = (from_um - self.target_um) * math.exp(-elapsed_s / LAG_S)
        return self.target_um + rest if abs(rest) > ARRIVED_UM * 0.01 else self.target_um

    def _reaches_s(self, distance_um: float) -> float:
        """When the axis comes within a distance of its target for good."""
        ramp_s = abs(self.target_um - self._reference_um) / self.velocity_um_s
        off = abs(self._lagging(ramp_s) - self.target_um)
        return self._start_s + ramp_s + (LAG_S * math.log(off / distance_um) if off > distance_um else 0.0)
