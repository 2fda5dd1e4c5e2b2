"""The wire of a simulated Zaber chain: frames, checksums, ids, replies, alerts, info lines and commands.

A command is ``/[device [axis [id]]] words[:LRC]``; device 0 is all of them. Every device addressed answers
``@DD A [id] OK|RJ IDLE|BUSY WW data``; an axis that comes to rest sends ``!DD A IDLE WW`` if ``comm.alert`` is set, and
``help`` is followed by ``#`` lines. A message with a wrong checksum, or not begun by ``/``, is ignored. What the
devices do is in :mod:`halidescope.simulators.zaber`, their settings in :mod:`halidescope.simulators.zaber_settings`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from halidescope.simulators.wire import lines_of
from halidescope.simulators.zaber import (
    FASTEST_UM_S,
    MICROSTEP_UM,
    Reason,
    ZaberAxis,
    ZaberChain,
    ZaberDevice,
    ZaberRejectedError,
    flags_of,
)
from halidescope.simulators.zaber_settings import DeviceSetting, native_speed, setting_of, um_s_of

LONGEST_LINE = 256
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
    """The chain on the wire."""

    def session(self) -> "ZaberSession":
        """A parser for a new connection."""
        return ZaberSession(self)


class ZaberSession:
    """Lines in, a reply of every device addressed; alerts come by themselves."""

    def __init__(self, chain: ZaberChain) -> None:
        self._chain = chain
        self._buffer = bytearray()
        self._moving: set[ZaberAxis] = set()      # axes whose coming to rest will be told

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; a line ends with LF, CR or both."""
        self._buffer += data
        lines = lines_of(self._buffer, ends=b"\r\n", longest=LONGEST_LINE)
        with self._chain.bench.lock:
            return [reply for line in lines for reply in self._take(line)]

    def due_s(self) -> float | None:
        """When the first axis that tells so comes to rest."""
        times = [axis.done_s() for axis in self._moving]
        known = [time for time in times if time is not None]
        if len(known) < len(times):
            return self._chain.bench.clock.now_s()      # one has ended early
        return min(known) if known else None

    def collect(self) -> list[bytes]:
        """Alerts of the axes that have come to rest."""
        alerts = []
        with self._chain.bench.lock:
            for device in self._chain.devices:
                for axis in device.axes:
                    if axis in self._moving and not axis.busy():
                        self._moving.discard(axis)
                        text = f"!{device.address:02d} {axis.number} IDLE {_flag([axis])}"
                        alerts.append(_frame(device, text))
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
            if device.alert:
                self._moving |= {axis for axis in device.axes if axis.done_s() is not None}
        return replies

    def _answer(self, device: ZaberDevice, message: Message) -> bytes:
        verdict, info = "OK", [text for text in HELP if message.words == ["help"]]
        axes: Sequence[ZaberAxis] = device.axes
        try:
            if message.axis > len(device.axes):
                raise ZaberRejectedError(Reason.BAD_AXIS)
            if message.axis:
                axes = device.axes[message.axis - 1:message.axis]
            data = _run(device, axes, message)
        except ZaberRejectedError as rejection:
            verdict, data, info = "RJ", rejection.reason.value, []
        identity = f" {message.identity}" if message.identity is not None else ""
        status = "BUSY" if any(axis.busy() for axis in axes) else "IDLE"
        place = f"{device.address:02d} {message.axis}{identity}"
        frames = [_frame(device, f"@{place} {verdict} {status} {_flag(axes)} {data}")]
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


def _flag(axes: Sequence[ZaberAxis]) -> str:
    flags = flags_of(axes)
    return flags[0].value if flags else "--"


def _integer(text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise ZaberRejectedError(Reason.BAD_DATA)
    return int(text)


def _run(device: ZaberDevice, axes: Sequence[ZaberAxis], message: Message) -> str:
    if not message.words:
        return "0"
    word, arguments = message.words[0], message.words[1:]
    if word in AXIS_COMMANDS:
        return AXIS_COMMANDS[word](axes, arguments)
    if word not in COMMANDS:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    return COMMANDS[word](device, axes, message.axis, arguments)


def _get(device: ZaberDevice, axes: Sequence[ZaberAxis], axis: int, arguments: list[str]) -> str:
    if len(arguments) != 1:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    setting = setting_of(device, axis, arguments[0])
    if isinstance(setting, DeviceSetting):
        return str(setting.read(device))
    return " ".join(str(setting.read(each)) for each in axes)


def _set(device: ZaberDevice, axes: Sequence[ZaberAxis], axis: int, arguments: list[str]) -> str:
    if len(arguments) != 2:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    setting = setting_of(device, axis, arguments[0])
    if setting.write is None:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    value = _integer(arguments[1])
    if isinstance(setting, DeviceSetting):
        setting.write(device, value)
    else:
        for each in axes:
            setting.write(each, value)
    return "0"


def _move(axes: Sequence[ZaberAxis], arguments: list[str]) -> str:
    kinds = {"abs": 1, "rel": 1, "vel": 1, "max": 0, "min": 0}
    if not arguments or arguments[0] not in kinds or len(arguments) != 1 + kinds[arguments[0]]:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    kind, value = arguments[0], _integer(arguments[1]) if len(arguments) > 1 else 0
    for axis in axes:
        _move_one(axis, kind, value)
    return "0"


def _move_one(axis: ZaberAxis, kind: str, value: int) -> None:
    if kind in ("abs", "max") and axis.axis.servo and not axis.busy() and not axis.referenced:
        raise ZaberRejectedError(Reason.BAD_DATA)
    if kind == "abs":
        axis.move(value * MICROSTEP_UM)
    elif kind == "rel":
        axis.move(axis.position_um() + value * MICROSTEP_UM)
    elif kind == "vel" and value == 0:
        axis.stop()
    elif kind == "vel":
        if abs(value) > native_speed(FASTEST_UM_S):
            raise ZaberRejectedError(Reason.BAD_DATA)
        axis.move(axis.axis.upper_um if value > 0 else axis.axis.lower_um, um_s_of(abs(value)))
    else:
        axis.move(axis.axis.upper_um if kind == "max" else axis.axis.lower_um)


def _plain(act: Callable[[ZaberAxis], None]) -> Callable[[Sequence[ZaberAxis], list[str]], str]:
    def run(axes: Sequence[ZaberAxis], arguments: list[str]) -> str:
        if arguments:
            raise ZaberRejectedError(Reason.BAD_COMMAND)
        for axis in axes:
            act(axis)
        return "0"
    return run


def _warnings(axes: Sequence[ZaberAxis], arguments: list[str]) -> str:
    flags = flags_of(axes)
    if arguments == ["clear"]:
        for axis in axes:
            axis.interrupted = axis.stalled_once = False
    elif arguments:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    return " ".join([f"{len(flags):02d}", *(flag.value for flag in flags)])


def _driver(axes: Sequence[ZaberAxis], arguments: list[str]) -> str:
    if arguments not in (["enable"], ["disable"]):
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    for axis in axes:
        axis.switch_driver(arguments == ["enable"])
    return "0"


def _trigger(device: ZaberDevice, axes: Sequence[ZaberAxis], axis: int, arguments: list[str]) -> str:
    """``trigger dist 1 <axis> <microsteps>``, ``trigger dist 1 enable|disable`` and the output's action."""
    if arguments[:1] != ["dist"]:
        if len(arguments) >= 2 and arguments[0] in ("1", "2") and arguments[1] in TRIGGER_WORDS:
            return "0"      # every distance already is a pulse on the output
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    if axis:
        raise ZaberRejectedError(Reason.DEVICE_ONLY)
    if arguments[1:2] != ["1"]:
        raise ZaberRejectedError(Reason.BAD_DATA)
    chosen = [each for each in device.axes if each.trigger_um is not None]
    match arguments[2:]:
        case ["enable"] if chosen:
            for each in chosen:
                each.trigger_from_um = each.position_um()
        case ["disable"]:
            for each in device.axes:
                each.trigger_from_um = None
                each.bench.cancel_triggers(each.bench.advance())
        case [number, distance] if number in [str(each.number) for each in device.axes] and _integer(distance) > 0:
            for each in device.axes:    # the trigger follows one axis at a time
                each.trigger_um = _integer(distance) * MICROSTEP_UM if str(each.number) == number else None
                each.trigger_from_um = None
        case _:
            raise ZaberRejectedError(Reason.BAD_DATA)
    return "0"


def _system(device: ZaberDevice, axes: Sequence[ZaberAxis], axis: int, arguments: list[str]) -> str:
    if arguments != ["reset"]:
        raise ZaberRejectedError(Reason.BAD_COMMAND)
    if axis:
        raise ZaberRejectedError(Reason.DEVICE_ONLY)
    device.restart()
    return "0"


AXIS_COMMANDS: dict[str, Callable[[Sequence[ZaberAxis], list[str]], str]] = {
    "move": _move, "home": _plain(ZaberAxis.home), "stop": _plain(ZaberAxis.stop), "estop": _plain(ZaberAxis.stop),
    "warnings": _warnings, "driver": _driver, "help": _plain(lambda axis: None),
}
COMMANDS: dict[str, Callable[[ZaberDevice, Sequence[ZaberAxis], int, list[str]], str]] = {
    "get": _get, "set": _set, "trigger": _trigger, "system": _system,
}
