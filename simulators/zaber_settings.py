"""Settings of simulated Zaber devices: what ``get`` tells and ``set`` changes, of an axis or of a device.

Source: the traffic of Zaber's own client library (zaber-motion). Positions are microsteps, speeds 1.6384 times
microsteps per second.
"""

from collections.abc import Callable
from dataclasses import dataclass

from halidescope.simulators.zaber import (
    BUILD,
    CONTROLLER_ID,
    FASTEST_UM_S,
    FIRMWARE,
    MICROSTEP_UM,
    PERIPHERAL_ID,
    RESOLUTION,
    SPEED_UNIT,
    Reason,
    ZaberAxis,
    ZaberDevice,
    ZaberRejectedError,
)

PACKET_BYTES = 80
WORD_BYTES = 50


def _microsteps(position_um: float) -> int:
    return round(position_um / MICROSTEP_UM)


def native_speed(speed_um_s: float) -> int:
    """A speed in the unit of the wire."""
    return round(speed_um_s / MICROSTEP_UM * SPEED_UNIT)


def um_s_of(native: int) -> float:
    """A speed of the wire in µm/s."""
    return native / SPEED_UNIT * MICROSTEP_UM


@dataclass(frozen=True)
class AxisSetting:
    """A setting that every axis has; asked of a device, it is told for each."""

    read: Callable[[ZaberAxis], object]
    write: Callable[[ZaberAxis, int], None] | None = None


@dataclass(frozen=True)
class DeviceSetting:
    """A setting of a device; its axes cannot be asked for it."""

    read: Callable[[ZaberDevice], object]
    write: Callable[[ZaberDevice, int], None] | None = None


def _between(lower: float, upper: float, act: Callable[[ZaberAxis, int], None]) -> Callable[[ZaberAxis, int], None]:
    def write(axis: ZaberAxis, value: int) -> None:
        if not lower <= value <= upper:
            raise ZaberRejectedError(Reason.BAD_DATA)
        act(axis, value)
    return write


def _limit(attribute: str) -> AxisSetting:
    def write(axis: ZaberAxis, value: int) -> None:
        position_um = value * MICROSTEP_UM
        if not axis.travel_um[0] <= position_um <= axis.travel_um[1]:
            raise ZaberRejectedError(Reason.BAD_DATA)
        setattr(axis.axis, attribute, position_um)
    return AxisSetting(lambda axis: _microsteps(getattr(axis.axis, attribute)), write)


def _constant(value: object) -> DeviceSetting:
    return DeviceSetting(lambda device: value)


def _switch(attribute: str) -> DeviceSetting:
    def write(device: ZaberDevice, value: int) -> None:
        if value not in (0, 1):
            raise ZaberRejectedError(Reason.BAD_DATA)
        setattr(device, attribute, bool(value))
    return DeviceSetting(lambda device: int(getattr(device, attribute)), write)


AXIS_SETTINGS: dict[str, AxisSetting] = {
    "pos": AxisSetting(lambda axis: _microsteps(axis.position_um())),
    "encoder.pos": AxisSetting(lambda axis: _microsteps(axis.position_um())),
    "limit.min": _limit("lower_um"),
    "limit.max": _limit("upper_um"),
    "maxspeed": AxisSetting(
        lambda axis: native_speed(axis.speed_um_s),
        _between(1, native_speed(FASTEST_UM_S), lambda axis, value: setattr(axis, "speed_um_s", um_s_of(value))),
    ),
    "accel": AxisSetting(
        lambda axis: axis.accel, _between(0, 32767, lambda axis, value: setattr(axis, "accel", value))
    ),
    "resolution": AxisSetting(lambda axis: RESOLUTION),
    "driver.enabled": AxisSetting(lambda axis: int(axis.axis.servo)),
}
PERIPHERAL_SETTINGS: dict[str, AxisSetting] = {      # of a controller that stages are plugged into
    "peripheralid": AxisSetting(lambda axis: PERIPHERAL_ID),
    "peripheral.serial": AxisSetting(lambda axis: 70_500 + axis.number),
}
DEVICE_SETTINGS: dict[str, DeviceSetting] = {
    "deviceid": DeviceSetting(lambda device: device.device_id),
    "device.hw.modified": _constant(0),
    "version": _constant(FIRMWARE),
    "version.build": _constant(BUILD),
    "system.serial": DeviceSetting(lambda device: device.serial),
    "system.axiscount": DeviceSetting(lambda device: len(device.axes)),
    "system.access": _constant(1),
    "system.voltage": _constant("48.0"),
    "comm.address": DeviceSetting(lambda device: device.address),
    "comm.alert": _switch("alert"),
    "comm.checksum": _switch("checksum"),
    "comm.packet.size.max": _constant(PACKET_BYTES),
    "comm.word.size.max": _constant(WORD_BYTES),
    "comm.command.packets.max": _constant(1),
    "get.settings.max": _constant(10),
}


def setting_of(device: ZaberDevice, axis: int, name: str) -> AxisSetting | DeviceSetting:
    """A setting by its name; rejected if there is none, or if it is the device's and an axis was asked."""
    if name in AXIS_SETTINGS:
        return AXIS_SETTINGS[name]
    if name in PERIPHERAL_SETTINGS and device.device_id == CONTROLLER_ID:
        return PERIPHERAL_SETTINGS[name]
    if name not in DEVICE_SETTINGS:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    if axis:
        raise ZaberRejectedError(Reason.DEVICE_ONLY)
    return DEVICE_SETTINGS[name]
