"""Zaber stages over the ASCII protocol: frames with device, axis, number and checksum; here two axes on one chain.

A host's frame is ``/device axis number words:checksum``, a reply ``@device axis number OK|RJ BUSY|IDLE warning data``.
Every frame carries a new number, so a late answer is recognised by it and skipped. Positions are microsteps on the
wire. Sources: traffic of the manufacturer's own client library and an open implementation of the protocol.
"""

import itertools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.errors import MoveError, RefusedError, WrongInstrumentError
from halidescope.drivers.instrument import LONGEST_TALK, number, shown
from halidescope.drivers.roles import Identity, Line
from halidescope.drivers.stage import TwoAxisStage

REPLY = re.compile(
    r"@(?P<device>\d\d) (?P<axis>\d)(?: (?P<id>\d\d))? (?P<flag>OK|RJ) (?P<status>IDLE|BUSY) (?P<warning>--|[A-Z]{2})"
    r" (?P<data>[^:]*)(?::(?P<checksum>[0-9A-F]{2}))?"
)
REASONS = {
    "BADCOMMAND": "unknown command or setting",
    "BADDATA": "value out of range",
    "BADAXIS": "no such axis",
    "STATUSBUSY": "not allowed while it moves",
    "DEVICEONLY": "not allowed for a single axis",
    "FULL": "no room for more",
    "LOCKSTEP": "the axis is locked to another",
    "PARKED": "the axis is parked",
    "DRIVERDISABLED": "its driver is off, so it cannot move; enable the driver",
}
WARNINGS = {
    "FD": "driver disabled by a fault",
    "FO": "driver disabled",
    "FQ": "encoder error",
    "FS": "stalled and stopped",
    "FT": "excessive twist",
    "FB": "stream bounds exceeded",
    "FE": "limit error",
    "FF": "critical system error",
    "FH": "emergency stop",
    "WR": "it has no reference position",
    "WH": "it has not been homed",
    "NI": "a movement was interrupted",
}
UNREFERENCED = ("WR", "WH")
DRIVER_OFF = ("FD", "FO")
VELOCITY_FACTOR = 1.6384    # velocity unit of the wire per microstep/s


@dataclass(frozen=True)
class Reply:
    """One reply: who answers which number, whether it was accepted, and what it says."""

    device: int
    axis: int
    id: int | None
    accepted: bool
    busy: bool
    warning: str
    data: str


def checksum(text: str) -> str:
    """Two hexadecimal digits that make the sum of all bytes zero."""
    return f"{-sum(text.encode('ascii')) & 0xFF:02X}"


def parse_reply(line: str) -> Reply:
    """A reply line, its checksum verified if it carries one.

    Raises
    ------
    ValueError
        The line is no reply, or its checksum does not match.
    """
    found = REPLY.fullmatch(line)
    if found is None or not line.isascii():
        raise ValueError(f"{shown(line)} is no reply")
    if found["checksum"] and checksum(line[1:].rpartition(":")[0]) != found["checksum"]:
        raise ValueError(f"the checksum of {shown(line)} does not match")
    return Reply(
        int(found["device"]), int(found["axis"]), int(found["id"]) if found["id"] else None,
        found["flag"] == "OK", found["status"] == "BUSY", found["warning"], found["data"],
    )  # fmt: skip


class ZaberStage(TwoAxisStage):
    """Two Zaber axes on one chain, or a two-axis controller.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    axes : two pairs of int, optional
        Device and axis numbers of x and of y. By default devices 1 and 2, or axes 1 and 2 if device 1 has both.
    full_step_um : float
        Travel of one full step of the motor in µm, from the stage's data sheet: lead of the screw divided by the steps
        of a turn. The wire does not tell it; into how many microsteps it is divided, it does.
    home : bool
        Home axes that have no reference when connecting. They then move to the end of their travel.
    """

    model: ClassVar[str] = "zaber-ascii"
    terminations: ClassVar[tuple[str, str]] = ("\n", "\n")
    line_trigger: ClassVar[bool] = True

    def __init__(
        self, adapter: str | Adapter, name: str = "Zaber stage", *, axes: Sequence[Sequence[int]] | None = None,
        full_step_um: float = 10.0, home: bool = False, tolerance_um: float = 0.5, **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, tolerance_um=tolerance_um, **kwargs)
        if not 0 < full_step_um < float("inf"):
            raise ValueError(f"full_step_um = {full_step_um:g} is no length; allowed: more than 0 µm")
        self.full_step_um = full_step_um
        self._microstep_um: tuple[float, float] | None = None
        self.home_when_needed = home
        self._axes_given = axes
        self._axes: tuple[tuple[int, int], tuple[int, int]] = ((1, 1), (2, 1))
        if axes is not None:
            (x_device, x_axis), (y_device, y_axis) = axes
            self._axes = ((x_device, x_axis), (y_device, y_axis))
        self._numbers = itertools.cycle(range(1, 100))
        self._triggering: int | None = None    # device whose output gives pulses now

    # --- the line --------------------------------------------------------------------------------------------------

    def exchange(self, device: int, axis: int, words: str) -> Reply:
        """Send words to an axis (0: to the device) and return the reply; a rejection raises RefusedError."""
        number_sent = next(self._numbers)
        body = f"{device} {axis} {number_sent:02d}{' ' if words else ''}{words}"
        frame = f"/{body}:{checksum(body)}"
        with self.transaction(frame):
            self.write(frame)
            reply = self._answer_to(frame, number_sent)
            if (reply.device, reply.axis) != (device, axis):
                raise self.bad_reply(frame, f"a reply of device {reply.device}, axis {reply.axis}", "its own reply")
        if not reply.accepted:
            reason = REASONS.get(reply.data.strip(), "see the manufacturer's protocol manual")
            raise RefusedError(
                self.device,
                f"device {device} axis {axis} refused {shown(words)}: {reply.data.strip()}, {reason}"
                f"{self._warned(reply.warning)}",
            )
        return reply

    def _answer_to(self, frame: str, number_sent: int) -> Reply:
        """The reply to a number; alerts, information and replies to earlier numbers are skipped."""
        end = time.monotonic() + LONGEST_TALK * self.timeout_s
        while time.monotonic() < end:
            line = self.read().rstrip("\r")
            if line[:1] in ("!", "#"):
                continue
            try:
                reply = parse_reply(line)
            except ValueError as error:
                raise self.bad_reply(frame, line, str(error)) from error
            if reply.id == number_sent:
                return reply
        raise self.bad_reply(frame, "other replies without end", f"the reply to number {number_sent}")

    @staticmethod
    def _warned(warning: str) -> str:
        return "" if warning == "--" else f"; warning {warning}, {WARNINGS.get(warning, 'see the manual')}"

    def fence(self) -> None:
        """Throw away what has arrived; replies that come later are recognised by their numbers."""
        self.adapter.flush_read_buffer()

    def get(self, device: int, axis: int, setting: str) -> float:
        """The value of a setting; anything but one finite number raises BadReplyError."""
        with self.lock:
            reply = self.exchange(device, axis, f"get {setting}")
            try:
                return number(reply.data.strip())
            except ValueError as error:
                raise self.bad_reply(f"get {setting}", reply.data, "a number") from error

    def _both(self, setting: str) -> tuple[float, float]:
        (x_device, x_axis), (y_device, y_axis) = self._axes
        with self.lock:
            return self.get(x_device, x_axis, setting), self.get(y_device, y_axis, setting)

    # --- who it is -------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask both devices for model number, serial number and firmware."""
        self._microstep_um = None
        if self._axes_given is None:
            two = self.get(1, 0, "system.axiscount") >= 2
            self._axes = ((1, 1), (1, 2)) if two else ((1, 1), (2, 1))
        devices = dict.fromkeys(device for device, _ in self._axes)
        told = {
            setting: [f"{self.get(device, 0, setting):g}" for device in devices]
            for setting in ("deviceid", "version")
        }
        serials = [f"{self.get(device, 0, 'system.serial'):.0f}" for device in devices]
        if "0" in told["deviceid"]:
            raise WrongInstrumentError(self.device, "a device of the chain has no model number; check the model")
        return Identity("Zaber", "+".join(told["deviceid"]), "+".join(serials), "+".join(told["version"]))

    @property
    def microstep_um(self) -> tuple[float, float]:
        """Get the lengths of a microstep of x and of y in µm, read once per connection."""
        if self._microstep_um is None:
            resolutions = self._both("resolution")
            if min(resolutions) <= 0:
                raise self.bad_reply("get resolution", str(resolutions), "a positive number of microsteps a step")
            self._microstep_um = (self.full_step_um / resolutions[0], self.full_step_um / resolutions[1])
        return self._microstep_um

    def make_ready(self) -> None:
        """Enable drivers that are off, and home the axes that have no reference if that was asked for."""
        with self.lock:
            for device, axis in self._axes:
                if self.exchange(device, axis, "").warning in DRIVER_OFF:
                    self.exchange(device, axis, "driver enable")
        if self.home_when_needed and not self.referenced:
            self.home()

    # --- what it shows ---------------------------------------------------------------------------------------------

    def read_limits_um(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Ask for the travel of both axes."""
        (x_min, y_min), (x_max, y_max) = self._both("limit.min"), self._both("limit.max")
        x_step, y_step = self.microstep_um
        return (x_min * x_step, x_max * x_step), (y_min * y_step, y_max * y_step)

    def read_velocity_um_s(self) -> tuple[float, float]:
        """Ask for the highest velocities of moves."""
        x, y = self._both("maxspeed")
        x_step, y_step = self.microstep_um
        return x / VELOCITY_FACTOR * x_step, y / VELOCITY_FACTOR * y_step

    @property
    def position_um(self) -> tuple[float, float]:
        """Measure the position, (x, y) in µm."""
        x, y = self._both("pos")
        x_step, y_step = self.microstep_um
        return x * x_step, y * y_step

    @property
    def moving(self) -> bool:
        """Get whether an axis is busy; a fault flag raises MoveError."""
        with self.lock:
            replies = [self.exchange(device, axis, "") for device, axis in self._axes]
        for (device, axis), reply in zip(self._axes, replies, strict=True):
            if reply.warning.startswith("F"):
                raise MoveError(
                    self.device,
                    f"device {device} axis {axis} reports a fault{self._warned(reply.warning)}; "
                    f"look whether something blocks it, then move again",
                )
        return any(reply.busy for reply in replies)

    @property
    def referenced(self) -> bool:
        """Get whether both axes know where they are."""
        with self.lock:
            return not any(
                self.exchange(device, axis, "").warning in UNREFERENCED for device, axis in self._axes
            )

    # --- what it does ----------------------------------------------------------------------------------------------

    def home(self) -> None:
        """Send both axes to their home switches and wait; they travel up to their whole range."""
        with self.lock:
            for device, axis in self._axes:
                self.exchange(device, axis, "home")
        end = time.monotonic() + 600.0
        while self.moving:
            if time.monotonic() > end:
                self.stop()
                raise RefusedError(self.device, "homing took longer than 600 s and was stopped; look what blocks it")
            time.sleep(0.01)

    def _steps(self, lengths: Sequence[float]) -> tuple[int, int]:
        (x, y), (x_step, y_step) = lengths, self.microstep_um
        return round(x / x_step), round(y / y_step)

    def command_move(self, x_um: float, y_um: float) -> None:
        """Begin a move of both axes; axes without reference are refused."""
        if not self.referenced:
            raise RefusedError(self.device, "an axis does not know where it is; call home(), or connect with home=True")
        with self.lock:
            for (device, axis), target in zip(self._axes, self._steps((x_um, y_um)), strict=True):
                self.exchange(device, axis, f"move abs {target}")

    def command_velocity(self, x_um_s: float, y_um_s: float) -> None:
        """Set the highest velocities of moves."""
        with self.lock:
            speeds = self._steps((x_um_s * VELOCITY_FACTOR, y_um_s * VELOCITY_FACTOR))
            for (device, axis), speed in zip(self._axes, speeds, strict=True):
                self.exchange(device, axis, f"set maxspeed {max(1, speed)}")

    def stop(self) -> None:
        """Stop all axes now, along their deceleration ramps."""
        with self.lock:
            for device, axis in self._axes:
                self.exchange(device, axis, "stop")

    def begin_line(self, line: Line) -> None:
        """Move at constant velocity; output 1 of the faster axis' device toggles at every pixel."""
        lengths = [abs(stop - start) for start, stop in zip(line.start_um, line.stop_um, strict=True)]
        fast = lengths.index(max(lengths))
        device, axis = self._axes[fast]
        self._triggering = device
        self.exchange(device, 0, f"trigger dist 1 {axis} {max(1, self._steps(lengths)[fast] // line.pixels)}")
        self.exchange(device, 0, "trigger 1 action a io do 1 toggle")
        self.exchange(device, 0, "trigger dist 1 enable")
        super().begin_line(line)

    def end_line(self) -> None:
        """Put the velocity back and stop the pulses."""
        super().end_line()
        if (device := self._triggering) is not None:
            self._triggering = None
            self.exchange(device, 0, "trigger dist 1 disable")
