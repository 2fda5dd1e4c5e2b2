"""The wire of a simulated Zaber chain: frames, checksums, ids, replies, alerts, info lines, settings and commands.

A command is ``/[device [axis [id]]] words[:LRC]``; device 0 is all of them. Every device addressed answers
``@DD A [id] OK|RJ IDLE|BUSY WW data``; an axis that comes to rest sends ``!DD A IDLE WW`` if ``comm.alert`` is set, and
``help`` is followed by ``#`` lines. A message with a wrong checksum, or not begun by ``/``, is ignored. What the
devices do is in :mod:`halidescope.simulators.zaber`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from halidescope.simulators.wire import lines_of
from halidescope.simulators.zaber import (
    BUILD,
    DEVICE_ID,
    FASTEST_UM_S,
    FIRMWARE,
    MICROSTEP_UM,
    RESOLUTION,
    SPEED_UNIT,
    Reason,
    ZaberChain,
    ZaberDevice,
    ZaberRejectedError,
)

LONGEST_LINE = 256
PACKET_BYTES = 80
WORD_BYTES = 50
CHECKED = re.compile(rb"(?P<text>[^:]*):(?P<lrc>[0-9A-Fa-f]{2})", re.ASCII)
INTEGER = re.compile(r"-?\d{1,10}", re.ASCII)
NUMBERED = re.compile(r"\d{1,3}", re.ASCII)
TRIGGER_WORDS = ("when", "action", "enable", "disable")
HELP = ("get setting", "set setting value", "home", "move abs|rel|max|min|vel value", "stop", "warnings [clear]")


def lrc(data: bytes) -> str:
    """Two's complement of the byte sum, two hexadecimal digits."""
    return f"{-sum(data) & 0xFF:02X}"


@dataclass(frozen=True)
class Message:
    """A command, taken apart."""

    device: int
    axis: int
    identity: str | None
    words: list[str]


class Zaber(ZaberChain):
    """The chain as a device on the wire."""

    def session(self) -> "ZaberSession":
        """A parser for a new connection."""
        return ZaberSession(self)


class ZaberSession:
    """Lines in, a reply of every device addressed; alerts come by themselves."""

    def __init__(self, chain: ZaberChain) -> None:
        self._chain = chain
        self._buffer = bytearray()
        self._moving: set[int] = set()      # devices whose coming to rest will be told

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; a line ends with LF, CR or both."""
        self._buffer += data
        lines = lines_of(self._buffer, ends=b"\r\n", longest=LONGEST_LINE)
        with self._chain.bench.lock:
            return [reply for line in lines for reply in self._take(line)]

    def due_s(self) -> float | None:
        """When the first axis that tells so comes to rest."""
        times = [device.done_s() for device in self._chain.devices if device.address in self._moving]
        known = [time for time in times if time is not None]
        if len(known) < len(times):
            return self._chain.bench.clock.now_s()      # one has ended early
        return min(known) if known else None

    def collect(self) -> list[bytes]:
        """Alerts of the axes that have come to rest."""
        alerts = []
        with self._chain.bench.lock:
            for device in self._chain.devices:
                if device.address in self._moving and not device.busy():
                    self._moving.discard(device.address)
                    alerts.append(_frame(device, f"!{device.address:02d} 1 IDLE {_flag(device)}"))
        return alerts

    def close(self) -> None:
        """Nothing to let go of."""

    def _take(self, line: bytes) -> list[bytes]:
        message = parse(line)
        if message is None:
            return []
        chosen = [device for device in self._chain.devices if message.device in (0, device.address)]
        replies = []
        for device in chosen:
            replies.append(self._answer(device, message))
            if device.alert and device.done_s() is not None:
                self._moving.add(device.address)
        return replies

    def _answer(self, device: ZaberDevice, message: Message) -> bytes:
        verdict, info = "OK", [text for text in HELP if message.words == ["help"]]
        try:
            if message.axis > 1:
                raise ZaberRejectedError(Reason.BAD_AXIS)
            data = _run(device, message)
        except ZaberRejectedError as rejection:
            verdict, data, info = "RJ", rejection.reason.value, []
        identity = f" {message.identity}" if message.identity is not None else ""
        status = "BUSY" if device.busy() else "IDLE"
        place = f"{device.address:02d} {message.axis}{identity}"
        frames = [_frame(device, f"@{place} {verdict} {status} {_flag(device)} {data}")]
        return b"".join(frames + [_frame(device, f"#{place} {text}") for text in info])


def parse(line: bytes) -> Message | None:
    """Take a line apart; None if it is no command, or a damaged one."""
    start = line.rfind(b"/")
    if start < 0:
        return None
    text = line[start + 1:]
    if b":" in text:
        match = CHECKED.fullmatch(text.rstrip())
        if not match or lrc(match["text"]) != match["lrc"].decode().upper():
            return None
        text = match["text"]
    words = text.decode("ascii", errors="replace").split()
    numbers: list[str] = []
    while words and len(numbers) < 3 and NUMBERED.fullmatch(words[0]):
        numbers.append(words.pop(0))
    device, axis = (int(numbers[place]) if len(numbers) > place else 0 for place in (0, 1))
    return Message(device, axis, numbers[2].zfill(2) if len(numbers) > 2 else None, words)


def _frame(device: ZaberDevice, text: str) -> bytes:
    check = f":{lrc(text[1:].encode('ascii'))}" if device.checksum else ""
    return f"{text}{check}\r\n".encode("ascii")


def _flag(device: ZaberDevice) -> str:
    flags = device.flags()
    return flags[0].value if flags else "--"


def _integer(text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise ZaberRejectedError(Reason.BAD_DATA)
    return int(text)


def _run(device: ZaberDevice, message: Message) -> str:
    if not message.words:
        return "0"
    word, arguments = message.words[0], message.words[1:]
    if word not in COMMANDS:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    return COMMANDS[word](device, message.axis, arguments)


def _microsteps(position_um: float) -> int:
    return round(position_um / MICROSTEP_UM)


def _native_speed(speed_um_s: float) -> int:
    return round(speed_um_s / MICROSTEP_UM * SPEED_UNIT)


def _um_s(native: int) -> float:
    return native / SPEED_UNIT * MICROSTEP_UM


@dataclass(frozen=True)
class Setting:
    """One setting; ``of_axis`` tells whether it may be asked of an axis."""

    read: Callable[[ZaberDevice], object]
    write: Callable[[ZaberDevice, int], None] | None = None
    of_axis: bool = True


def _between(lower: float, upper: float, act: Callable[[ZaberDevice, int], None]) -> Callable[[ZaberDevice, int], None]:
    def write(device: ZaberDevice, value: int) -> None:
        if not lower <= value <= upper:
            raise ZaberRejectedError(Reason.BAD_DATA)
        act(device, value)
    return write


def _limit(attribute: str) -> Setting:
    def write(device: ZaberDevice, value: int) -> None:
        position_um = value * MICROSTEP_UM
        if not device.travel_um[0] <= position_um <= device.travel_um[1]:
            raise ZaberRejectedError(Reason.BAD_DATA)
        setattr(device.axis, attribute, position_um)
    return Setting(lambda device: _microsteps(getattr(device.axis, attribute)), write)


def _constant(value: object, *, of_axis: bool = False) -> Setting:
    return Setting(lambda device: value, of_axis=of_axis)


def _switch(attribute: str) -> Setting:
    return Setting(
        lambda device: int(getattr(device, attribute)),
        _between(0, 1, lambda device, value: setattr(device, attribute, bool(value))), of_axis=False,
    )


SETTINGS: dict[str, Setting] = {
    "pos": Setting(lambda device: _microsteps(device.position_um())),
    "encoder.pos": Setting(lambda device: _microsteps(device.position_um())),
    "limit.min": _limit("lower_um"),
    "limit.max": _limit("upper_um"),
    "maxspeed": Setting(
        lambda device: _native_speed(device.speed_um_s),
        _between(1, _native_speed(FASTEST_UM_S), lambda device, value: setattr(device, "speed_um_s", _um_s(value))),
    ),
    "accel": Setting(lambda device: device.accel, _between(0, 32767, lambda d, value: setattr(d, "accel", value))),
    "resolution": _constant(RESOLUTION, of_axis=True),
    "driver.enabled": Setting(lambda device: int(device.axis.servo)),
    "deviceid": _constant(DEVICE_ID),
    "device.hw.modified": _constant(0),
    "version": _constant(FIRMWARE),
    "version.build": _constant(BUILD),
    "system.serial": Setting(lambda device: device.serial, of_axis=False),
    "system.axiscount": _constant(1),
    "system.access": _constant(1),
    "system.voltage": _constant("48.0"),
    "comm.address": Setting(lambda device: device.address, of_axis=False),
    "comm.alert": _switch("alert"),
    "comm.checksum": _switch("checksum"),
    "comm.packet.size.max": _constant(PACKET_BYTES),
    "comm.word.size.max": _constant(WORD_BYTES),
    "comm.command.packets.max": _constant(1),
    "get.settings.max": _constant(10),
}


def _get(device: ZaberDevice, axis: int, arguments: list[str]) -> str:
    if len(arguments) != 1 or arguments[0] not in SETTINGS:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    setting = SETTINGS[arguments[0]]
    if axis and not setting.of_axis:
        raise ZaberRejectedError(Reason.DEVICE_ONLY)
    return str(setting.read(device))


def _set(device: ZaberDevice, axis: int, arguments: list[str]) -> str:
    if len(arguments) != 2 or arguments[0] not in SETTINGS:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    setting = SETTINGS[arguments[0]]
    if axis and not setting.of_axis:
        raise ZaberRejectedError(Reason.DEVICE_ONLY)
    if setting.write is None:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    setting.write(device, _integer(arguments[1]))
    return "0"


def _move(device: ZaberDevice, axis: int, arguments: list[str]) -> str:
    kinds = {"abs": 1, "rel": 1, "vel": 1, "max": 0, "min": 0}
    if not arguments or arguments[0] not in kinds or len(arguments) != 1 + kinds[arguments[0]]:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    kind, value = arguments[0], _integer(arguments[1]) if len(arguments) > 1 else 0
    if kind in ("abs", "max") and device.axis.servo and not device.busy() and not device.referenced:
        raise ZaberRejectedError(Reason.BAD_DATA)
    if kind == "abs":
        device.move(value * MICROSTEP_UM)
    elif kind == "rel":
        device.move(device.position_um() + value * MICROSTEP_UM)
    elif kind == "vel" and value == 0:
        device.stop()
    elif kind == "vel":
        if abs(value) > _native_speed(FASTEST_UM_S):
            raise ZaberRejectedError(Reason.BAD_DATA)
        device.move(device.axis.upper_um if value > 0 else device.axis.lower_um, _um_s(abs(value)))
    else:
        device.move(device.axis.upper_um if kind == "max" else device.axis.lower_um)
    return "0"


def _plain(act: Callable[[ZaberDevice], None]) -> Callable[[ZaberDevice, int, list[str]], str]:
    def run(device: ZaberDevice, axis: int, arguments: list[str]) -> str:
        if arguments:
            raise ZaberRejectedError(Reason.BAD_COMMAND)
        act(device)
        return "0"
    return run


def _warnings(device: ZaberDevice, axis: int, arguments: list[str]) -> str:
    flags = device.flags()
    if arguments == ["clear"]:
        device.interrupted = device.stalled_once = False
    elif arguments:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    return " ".join([f"{len(flags):02d}", *(flag.value for flag in flags)])


def _driver(device: ZaberDevice, axis: int, arguments: list[str]) -> str:
    if arguments not in (["enable"], ["disable"]):
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    device.switch_driver(arguments == ["enable"])
    return "0"


def _trigger(device: ZaberDevice, axis: int, arguments: list[str]) -> str:
    """``trigger dist 1 <axis> <microsteps>``, ``trigger dist 1 enable|disable`` and the output's action."""
    if arguments[:1] != ["dist"]:
        if len(arguments) >= 2 and arguments[0] in ("1", "2") and arguments[1] in TRIGGER_WORDS:
            return "0"      # every distance already is a pulse on the output
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    if axis:
        raise ZaberRejectedError(Reason.DEVICE_ONLY)
    if arguments[1:2] != ["1"]:
        raise ZaberRejectedError(Reason.BAD_DATA)
    match arguments[2:]:
        case ["enable"] if device.trigger_um is not None:
            device.trigger_from_um = device.position_um()
        case ["enable"]:
            raise ZaberRejectedError(Reason.BAD_DATA)
        case ["disable"]:
            device.trigger_from_um = None
            device.bench.cancel_triggers(device.bench.advance())
        case ["1", distance] if _integer(distance) > 0:
            device.trigger_um = _integer(distance) * MICROSTEP_UM
        case _:
            raise ZaberRejectedError(Reason.BAD_DATA)
    return "0"


def _system(device: ZaberDevice, axis: int, arguments: list[str]) -> str:
    if arguments != ["reset"]:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    if axis:
        raise ZaberRejectedError(Reason.DEVICE_ONLY)
    device.restart()
    return "0"


COMMANDS: dict[str, Callable[[ZaberDevice, int, list[str]], str]] = {
    "get": _get, "set": _set, "move": _move, "home": _plain(ZaberDevice.home), "stop": _plain(ZaberDevice.stop),
    "estop": _plain(ZaberDevice.stop), "warnings": _warnings, "driver": _driver, "trigger": _trigger,
    "system": _system, "help": _plain(lambda device: None),
}
