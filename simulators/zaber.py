"""Simulated Zaber devices: a chain of two with one axis each, or one controller with two; their motion and flags.

Sources: the traffic of Zaber's own client library (zaber-motion), its warning flags, and zproto for the framing. On the
chain device 1 is x and device 2 is y, of the controller axis 1 is x and axis 2 is y; a microstep is 2 mm (lead) / 200
(steps per turn) / 256 (resolution). The axes have 200 µm between their limits, like the film. An axis has no reference
position until it has been homed; until then absolute moves are refused. The wire is in
:mod:`halidescope.simulators.zaber_wire`.
"""

import math
from collections.abc import Sequence
from enum import StrEnum

from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.motion import Axis

MODEL = "zaber-ascii"
RESOLUTION = 256
MICROSTEP_UM = 2000.0 / 200 / RESOLUTION
SPEED_UNIT = 1.6384             # native velocity is microsteps/s × 1.6384
FASTEST_UM_S = 20_000.0
DEVICE_ID, CONTROLLER_ID, PERIPHERAL_ID = 50952, 30222, 70302
FIRMWARE, BUILD = "7.38", "17000"


class Flag(StrEnum):
    """Warning flags, the gravest first."""

    DRIVER_DISABLED = "FD"
    STALLED = "FS"
    NO_REFERENCE = "WR"
    INTERRUPTED = "NI"


class Reason(StrEnum):
    """Why a command is rejected."""

    BAD_COMMAND = "BADCOMMAND"
    BAD_DATA = "BADDATA"
    BAD_AXIS = "BADAXIS"
    DEVICE_ONLY = "DEVICEONLY"
    DRIVER_DISABLED = "DRIVERDISABLED"


class ZaberRejectedError(Exception):
    """A command was rejected with a reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class ZaberAxis:
    """One axis of a device.

    Parameters
    ----------
    bench : Bench
        The world.
    number : int
        In its device.
    axis : Axis
        The world's axis that it moves.
    """

    def __init__(self, bench: Bench, number: int, axis: Axis) -> None:
        self.bench = bench
        self.number = number
        self.axis = axis
        self.travel_um = (axis.lower_um, axis.upper_um)
        axis.servo = True
        self.speed_um_s = axis.velocity_um_s
        self.accel = 205
        self.referenced = False
        self.interrupted = False
        self.stalled_once = False
        self.trigger_um: float | None = None    # distance between triggers
        self.trigger_from_um: float | None = None   # where the distance trigger was enabled; None while disabled
        self._homing = False

    def busy(self) -> bool:
        """True while the axis moves; one that is stuck has given up."""
        axis, now = self.axis, self.bench.advance()
        moving = axis.servo and not axis.stalled and not axis.on_target(now)
        if self._homing and not moving:
            self._homing = False
            self.referenced = axis.servo and not axis.stalled
        return moving

    def flags(self) -> list[Flag]:
        """Warning flags that are set, the gravest first."""
        self.busy()
        raised = {
            Flag.DRIVER_DISABLED: not self.axis.servo, Flag.STALLED: self.axis.stalled or self.stalled_once,
            Flag.NO_REFERENCE: not self.referenced, Flag.INTERRUPTED: self.interrupted,
        }
        return [flag for flag, is_set in raised.items() if is_set]

    def done_s(self) -> float | None:
        """When the present move will be over; None if there is none, or if it never ends."""
        if not self.busy():
            return None
        done = self.axis.settled_s()
        return done if math.isfinite(done) else None

    def position_um(self) -> float:
        """Where the axis is."""
        return self.axis.position_um(self.bench.advance())

    def move(self, target_um: float, speed_um_s: float | None = None) -> None:
        """Head for a target within the limits."""
        axis = self.axis
        self.bench.happened("move")
        if not axis.servo:
            raise ZaberRejectedError(Reason.DRIVER_DISABLED)
        slack = 0.5 * MICROSTEP_UM
        if not axis.lower_um - slack <= target_um <= axis.upper_um + slack:
            raise ZaberRejectedError(Reason.BAD_DATA)
        self.interrupted = self.busy()
        self.stalled_once = False
        self._homing = False
        now = self.bench.advance()
        axis.change_velocity(speed_um_s or self.speed_um_s, now)
        axis.move(target_um, now)
        self._announce_triggers(now)

    def home(self) -> None:
        """Go to the low end and find the reference there."""
        self.move(self.axis.lower_um)
        self._homing = True

    def stop(self) -> None:
        """Hold where the axis is."""
        now = self.bench.advance()
        if self.busy():
            self.interrupted, self._homing = True, False
            self.axis.stop(now)
            self.bench.cancel_triggers(now)

    def switch_driver(self, on: bool) -> None:
        """Switch the motor's driver; without it the axis loses its reference position."""
        if on != self.axis.servo:
            if not on:
                self.axis.stop(self.bench.advance())
            self.axis.servo = on
            self._homing = self.referenced = False

    def stall(self, stalled: bool) -> None:
        """Get stuck, or come loose; a stalled axis stays where it is and says so until its next move."""
        now = self.bench.advance()
        self.axis.stall(stalled, now)
        if not stalled:
            self.axis.stop(now)
        self.stalled_once = True

    def restart(self) -> None:
        """As after power-up."""
        self.stop()
        self.axis.servo = True
        self.referenced = self.interrupted = self.stalled_once = self._homing = False
        self.trigger_from_um = None

    def _announce_triggers(self, now: float) -> None:
        """The distance trigger fires at every whole distance from where it was enabled, on the commanded way."""
        if self.trigger_um is None or self.trigger_from_um is None:
            return
        start, way = self.axis.position_um(now), self.axis.target_um - self.axis.position_um(now)
        low, high = sorted((start, start + way))
        first = math.floor((low - self.trigger_from_um) / self.trigger_um) + 1
        last = math.floor((high - self.trigger_from_um) / self.trigger_um + 1e-9)
        places = [self.trigger_from_um + index * self.trigger_um for index in range(first, last + 1)]
        self.bench.announce_triggers(sorted(now + abs(place - start) / self.axis.velocity_um_s for place in places))


class ZaberDevice:
    """One device of the chain.

    Parameters
    ----------
    address : int
        On the chain.
    device_id : int
        Number of its model.
    axes : sequence of ZaberAxis
        Numbered from 1.
    """

    def __init__(self, address: int, device_id: int, axes: Sequence[ZaberAxis]) -> None:
        self.address = address
        self.device_id = device_id
        self.axes = tuple(axes)
        self.serial = 90_310 + address
        self.alert = False
        self.checksum = False

    def restart(self) -> None:
        """As after power-up."""
        self.alert = self.checksum = False
        for axis in self.axes:
            axis.restart()


class ZaberChain:
    """All devices behind one port; state outlives connections.

    Parameters
    ----------
    bench : Bench
        The world.
    faults : FaultBoard
        Jams the axes, or disables their drivers.
    two_axis : bool
        One controller with two axes instead of two devices with one.
    """

    role = "stage"
    model = MODEL
    single_client = False

    def __init__(self, bench: Bench, faults: FaultBoard, *, two_axis: bool = False) -> None:
        self.bench = bench
        x, y = bench.axes["1"], bench.axes["2"]
        self.devices = [
            ZaberDevice(1, CONTROLLER_ID, [ZaberAxis(bench, 1, x), ZaberAxis(bench, 2, y)])
        ] if two_axis else [
            ZaberDevice(1, DEVICE_ID, [ZaberAxis(bench, 1, x)]), ZaberDevice(2, DEVICE_ID, [ZaberAxis(bench, 1, y)])
        ]
        faults.offer("stage-stall", self._stall)
        faults.offer("stage-servo-off", lambda begins: self._disable() if begins else None)

    @property
    def axes(self) -> list[ZaberAxis]:
        """Every axis of every device."""
        return [axis for device in self.devices for axis in device.axes]

    def _stall(self, stalled: bool) -> None:
        for axis in self.axes:
            axis.stall(stalled)

    def _disable(self) -> None:
        for axis in self.axes:
            axis.switch_driver(False)


def flags_of(axes: Sequence[ZaberAxis]) -> list[Flag]:
    """Warning flags that any of the axes has, the gravest first."""
    raised = {flag for axis in axes for flag in axis.flags()}
    return [flag for flag in Flag if flag in raised]
