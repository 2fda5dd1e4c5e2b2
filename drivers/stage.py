"""What all two-axis stages have in common: limits first, a move that is waited for and compared, and lines.

How a controller is asked and told is in the modules of the families; this base class knows no protocol.
"""

import math
import time
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.errors import LimitError, MoveError
from halidescope.drivers.instrument import WireInstrument
from halidescope.drivers.roles import Line

POLL_S = 0.001


class TwoAxisStage(WireInstrument):
    """Base of the stage drivers; positions in µm.

    A line is a move at constant velocity unless the family does better. Subclasses give ``position_um``, the limits,
    the velocities and the steps that are marked so.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    tolerance_um : float
        Distance from the target at which a move still counts as arrived.
    settle_wait_s : float
        Added to the travel time before a move counts as failed.
    """

    role: ClassVar[str] = "stage"
    line_trigger: ClassVar[bool] = False

    def __init__(
        self, adapter: str | Adapter, name: str = "Stage", *, tolerance_um: float = 0.1, settle_wait_s: float = 3.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        if not 0 < tolerance_um < float("inf"):
            raise ValueError(f"tolerance_um = {tolerance_um:g} is no distance; allowed: more than 0 µm")
        self._tolerance_um = tolerance_um
        self.settle_wait_s = settle_wait_s
        self._limits_um: tuple[tuple[float, float], tuple[float, float]] | None = None
        self._velocity_um_s: tuple[float, float] | None = None
        self._line: Line | None = None
        self._line_ends = 0.0
        self._velocity_before: tuple[float, float] | None = None    # what a line has changed
        self._wanted_um_s: tuple[float, float] | None = None

    # --- steps of the families -------------------------------------------------------------------------------------

    @property
    def position_um(self) -> tuple[float, float]:
        """Measure the position, (x, y) in µm."""
        raise NotImplementedError

    @property
    def moving(self) -> bool:
        """Get whether the controller says that it is not yet at rest on its target."""
        raise NotImplementedError

    def make_ready(self) -> None:
        """Step: clear what an earlier client left, and close the servo loops."""

    def read_limits_um(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Step: ask for the travel of x and of y in µm."""
        raise NotImplementedError

    def read_velocity_um_s(self) -> tuple[float, float]:
        """Step: ask for the velocities of x and y in µm/s."""
        raise NotImplementedError

    def command_velocity(self, x_um_s: float, y_um_s: float) -> None:
        """Step: set the velocities of x and y in µm/s; raises RefusedError."""
        raise NotImplementedError

    def command_move(self, x_um: float, y_um: float) -> None:
        """Step: begin a move; raises RefusedError."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop all axes now."""
        raise NotImplementedError

    def why_not(self) -> str:
        """Step: what may keep the stage from its target, as the end of an error message."""
        return "look whether something blocks it"

    # --- what it shows ---------------------------------------------------------------------------------------------

    @property
    def limits_um(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Get the travel of x and of y in µm, ((x_min, x_max), (y_min, y_max)), read once per connection."""
        if self._limits_um is None:
            self._limits_um = self.read_limits_um()
        return self._limits_um

    @property
    def velocity_um_s(self) -> tuple[float, float]:
        """Get the velocities of x and y in µm/s, read once per connection. :meth:`set_velocity` changes them."""
        if self._velocity_um_s is None:
            self._velocity_um_s = self.read_velocity_um_s()
        return self._velocity_um_s

    @property
    def tolerance_um(self) -> float:
        """Get the distance from the target at which a move still counts as arrived, in µm."""
        return self._tolerance_um

    # --- what it does ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Identify the controller, get it ready to move, and read travel and velocity anew. Nothing moves."""
        self._limits_um = self._velocity_um_s = None
        super().start()
        self.make_ready()
        _ = self.limits_um, self.velocity_um_s

    def set_velocity(self, x_um_s: float, y_um_s: float) -> None:
        """Set the velocities of x and y in µm/s."""
        with self.lock:
            self._velocity_um_s = None
            self.command_velocity(x_um_s, y_um_s)
            self._wanted_um_s = (x_um_s, y_um_s)

    def restore(self) -> None:
        """Set the velocity again that was set before the connection was lost; a line that ran then is given up."""
        wanted, self._velocity_before, self._line = self._velocity_before or self._wanted_um_s, None, None
        if wanted is not None:
            self.set_velocity(*wanted)

    def move_to(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Move, wait until the controller says on target, read back and compare.

        Returns
        -------
        tuple of float
            The position read, (x, y) in µm.

        Raises
        ------
        LimitError
            Outside the travel; nothing was sent.
        RefusedError
            The controller refused, for instance because its servo is off.
        MoveError
            The stage did not settle in time, or settled elsewhere.
        """
        self._check_limits(x_um, y_um)
        from_x, from_y = self.position_um
        self.command_move(x_um, y_um)
        end = time.monotonic() + self._longest_move_s(abs(x_um - from_x), abs(y_um - from_y))
        return self._arrive(x_um, y_um, end)

    def _arrive(self, x_um: float, y_um: float, end: float) -> tuple[float, float]:
        while self.moving:
            if time.monotonic() > end:
                self._give_up(x_um, y_um)
            time.sleep(POLL_S)
        x, y = self.position_um
        if math.hypot(x - x_um, y - y_um) > self._tolerance_um:
            raise MoveError(
                self.device,
                f"asked for ({x_um:.3f}, {y_um:.3f}) µm, stands at ({x:.3f}, {y:.3f}) µm, "
                f"allowed {self._tolerance_um:g} µm off; look whether something stopped or blocks it",
            )
        return x, y

    def _check_limits(self, x_um: float, y_um: float) -> None:
        for axis, value, (lowest, highest) in zip("xy", (x_um, y_um), self.limits_um, strict=True):
            if not lowest <= value <= highest:
                raise LimitError(
                    self.device,
                    f"{axis} = {value:.1f} µm asked, allowed {lowest:.1f} to {highest:.1f} µm; "
                    f"choose a position inside the travel",
                )

    def _longest_move_s(self, dx_um: float, dy_um: float) -> float:
        travel_s = [
            distance / velocity if velocity > 0 else 0.0
            for distance, velocity in zip((dx_um, dy_um), self.velocity_um_s, strict=True)
        ]
        return 1.5 * max(travel_s) + self.settle_wait_s

    def _give_up(self, x_um: float, y_um: float) -> None:
        """Stop and raise; called when the stage did not settle in time."""
        self.stop()
        x, y = self.position_um
        hint = self.why_not()
        raise MoveError(
            self.device,
            f"did not settle at ({x_um:.3f}, {y_um:.3f}) µm in time and was stopped at ({x:.3f}, {y:.3f}) µm; {hint}",
        )

    # --- lines -----------------------------------------------------------------------------------------------------

    def start_line(self, line: Line) -> None:
        """Go to the line's start, begin to move along it at constant velocity, and return at once.

        Raises
        ------
        LimitError, RefusedError, MoveError
            The line lies outside the travel, or the stage refuses it or does not reach its start.
        """
        self._check_limits(*line.stop_um)
        with self.lock:
            self.move_to(*line.start_um)
            try:
                self.begin_line(line)
            except BaseException:
                self.end_line()
                raise
            self._line = line
            self._line_ends = time.monotonic() + 1.5 * line.duration_s + self.settle_wait_s

    def begin_line(self, line: Line) -> None:
        """Step: begin to move along the line, from its start; the stage stands there."""
        self._velocity_before = self.velocity_um_s
        now = self.velocity_um_s
        wanted = [
            abs(stop - start) / line.duration_s for start, stop in zip(line.start_um, line.stop_um, strict=True)
        ]
        # an axis that does not move keeps its velocity: zero is none
        self.set_velocity(*(want or have for want, have in zip(wanted, now, strict=True)))
        self.command_move(*line.stop_um)

    def end_line(self) -> None:
        """Step: put everything back as it was before the line."""
        if self._velocity_before is not None:
            before, self._velocity_before = self._velocity_before, None
            self.set_velocity(*before)

    @property
    def line_running(self) -> bool:
        """Get whether the stage is on its way along the line."""
        return self._line is not None and self.moving

    def abandon_line(self) -> None:
        """Stop the stage on its way along a line and put everything back; nothing happens if no line was begun."""
        with self.lock:
            if self._line is not None:
                self._line = None
                try:
                    self.stop()
                finally:
                    self.end_line()

    def finish_line(self) -> tuple[float, float]:
        """Wait for the line's end, put the velocity back, and return the position, compared with the line's stop.

        Raises
        ------
        MoveError
            No line was begun, or the stage did not arrive where the line ends; it was stopped.
        """
        with self.lock:
            if self._line is None:
                raise MoveError(self.device, "no line was begun; call start_line first")
            line, self._line = self._line, None
            try:
                return self._arrive(*line.stop_um, self._line_ends)
            finally:
                self.end_line()
