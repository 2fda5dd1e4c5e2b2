"""The command language of a simulated MS-2000: short and long names, axis letters, ``:A`` and ``:N-<code>``.

Positions are tenths of a micrometre, speeds mm/s, soft limits and scan ranges mm. A digit before a command is the
address of a card, as in :mod:`halidescope.simulators.asi_tiger`. What the stage does is in
:mod:`halidescope.simulators.asi`.
"""

import re
from collections.abc import Callable, Iterable
from enum import IntEnum

from halidescope.simulators.asi import FASTEST_MM_S, SLOWEST_MM_S, AsiController, ScanRefusedError
from halidescope.simulators.wire import PromptSession, lines_of

LONGEST_LINE = 256
COMMAND = re.compile(r"(?P<card>[0-9]?|3[0-9])(?P<word>[A-Z]+|[/\\!])(?P<rest>.*)", re.ASCII)
ARGUMENT = re.compile(r"(?P<name>[A-Z])(?:=(?P<value>\S+)|(?P<sign>[?+-]))?", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,2})?", re.ASCII)
SHORT = {
    "MOVE": "M", "MOVREL": "R", "WHERE": "W", "STATUS": "/", "SPEED": "S", "HALT": "\\", "HERE": "H", "HOME": "!",
    "RDSTAT": "RS", "VERSION": "V", "BUILD": "BU", "MOTCTRL": "MC", "SETLOW": "SL", "SETUP": "SU", "SN": "SCAN",
    "NR": "SCANR", "NV": "SCANV", "PCROS": "PC", "WAIT": "WT", "BACKLASH": "B",
    "ACCEL": "AC", "ERROR": "E", "SETHOME": "HM",
    "UNITS": "UM", "Z": "ZERO",
}
VERSION = "Version: USB-9.2p "
BUILD = ("STD_XY", "Motor Axes: X Y", "Axis Types: x x", "Axis Addr: 1 1", "Hex Addr: 31 31", "Axis Props: 10 10")
KEPT = {"PC": 0.000024, "WT": 0.0, "B": 0.0, "AC": 50.0, "E": 0.0001, "MA": 0.0}    # settings without effect here


class AsiError(IntEnum):
    """Numbers of ``:N-``."""

    UNKNOWN_COMMAND = 1
    UNKNOWN_AXIS = 2
    MISSING_PARAMETER = 3
    OUT_OF_RANGE = 4
    FAILED = 5
    WRONG_CARD = 7
    HALTED = 21


class AsiRefusedError(Exception):
    """A command was refused with an error number."""

    def __init__(self, code: AsiError) -> None:
        super().__init__(code.name)
        self.code = code


Arguments = list[tuple[str, str | None]]      # axis letter; a number's text, one of "?+-", or None


class Ms2000(AsiController):
    """The controller as a device on the wire."""

    def session(self) -> "AsiSession":
        """A parser for a new connection."""
        return AsiSession(self)


class AsiSession(PromptSession):
    """Lines in, one reply each out."""

    def __init__(self, controller: AsiController) -> None:
        self._controller = controller
        self._buffer = bytearray()
        self.commands = commands_of(controller)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; a line ends with CR, LF or both, and empty lines are ignored."""
        self._buffer += data
        lines = lines_of(self._buffer, ends=b"\r\n", longest=LONGEST_LINE)
        with self._controller.bench.lock:
            return [self._reply(line) for line in lines if line.strip()]

    def _reply(self, line: bytes) -> bytes:
        try:
            answer = self._run(line.decode("ascii", errors="replace").strip().upper())
        except AsiRefusedError as refusal:
            answer = f":N-{int(refusal.code)}"
        return f"{answer}\r\n".encode("ascii")

    def _run(self, line: str) -> str:
        match = COMMAND.fullmatch(line)
        if not match:
            raise AsiRefusedError(AsiError.UNKNOWN_COMMAND)
        word = SHORT.get(match["word"], match["word"])
        self.check(match["card"][-1:], word)     # 31 is the same card as 1, as its character's code
        return self.commands[word](_arguments(match["rest"]))

    def check(self, card: str, word: str) -> None:
        """Refuse a command that nobody knows, or that is for a card that is not there."""
        if word not in self.commands:
            raise AsiRefusedError(AsiError.UNKNOWN_COMMAND)
        if card not in ("", "0", "1"):
            raise AsiRefusedError(AsiError.WRONG_CARD)


def _arguments(text: str) -> Arguments:
    arguments: Arguments = []
    for word in text.split():
        match = ARGUMENT.fullmatch(word)
        if not match:
            raise AsiRefusedError(AsiError.UNKNOWN_AXIS if word[0].isalpha() else AsiError.OUT_OF_RANGE)
        arguments.append((match["name"], match["value"] or match["sign"]))
    return arguments


def _number(text: str | None) -> float:
    if text is None:
        raise AsiRefusedError(AsiError.MISSING_PARAMETER)
    if not NUMBER.fullmatch(text):
        raise AsiRefusedError(AsiError.OUT_OF_RANGE)
    return float(text)


def _numbers(arguments: Arguments, allowed: Iterable[str], default: float | None = None) -> dict[str, float]:
    """Values by letter; a letter without a value takes the default, if there is one."""
    if not arguments:
        raise AsiRefusedError(AsiError.MISSING_PARAMETER)
    for name, _ in arguments:
        if name not in allowed:
            raise AsiRefusedError(AsiError.UNKNOWN_AXIS)
    return {name: default if text is None and default is not None else _number(text) for name, text in arguments}


def _asks(arguments: Arguments) -> bool:
    return bool(arguments) and all(text == "?" for _, text in arguments)


def commands_of(controller: AsiController) -> dict[str, Callable[[Arguments], str]]:
    """Every command by its short name."""
    axes, scan = controller.axes, controller.scan
    kept = {word: dict.fromkeys(axes, value) for word, value in KEPT.items()}

    def check_axes(names: Iterable[str]) -> None:
        for name in names:
            if name not in axes:
                raise AsiRefusedError(AsiError.UNKNOWN_AXIS)

    def told(values: dict[str, str]) -> str:
        return ":A " + " ".join(f"{name}={value}" for name, value in values.items())

    def move(arguments: Arguments, *, relative: bool = False) -> str:
        tenths = _numbers(arguments, axes, default=0.0)
        from_um = {name: axes[name].target_um if relative else controller.origin_um[name] for name in tenths}
        if not controller.move({name: from_um[name] + value / 10.0 for name, value in tenths.items()}):
            raise AsiRefusedError(AsiError.FAILED)
        return ":A"

    def where(arguments: Arguments) -> str:
        names = [name for name, _ in arguments]
        if not names:
            raise AsiRefusedError(AsiError.MISSING_PARAMETER)
        check_axes(names)
        return ":A " + "".join(f"{controller.position_um(name) * 10.0:.1f} " for name in names)

    def status(arguments: Arguments) -> str:
        return "B" if any(controller.moving(name) for name in axes) else "N"

    def halt(arguments: Arguments) -> str:
        if controller.halt():
            raise AsiRefusedError(AsiError.HALTED)
        return ":A"

    def speed(arguments: Arguments) -> str:
        check_axes(name for name, _ in arguments)
        if _asks(arguments):
            return told({name: f"{axes[name].velocity_um_s / 1000.0:.6f}" for name, _ in arguments})
        now = controller.bench.advance()
        for name, value in _numbers(arguments, axes).items():
            axes[name].change_velocity(min(max(value, SLOWEST_MM_S), FASTEST_MM_S) * 1000.0, now)
        return ":A"

    def here(arguments: Arguments) -> str:
        now = controller.bench.advance()
        for name, tenths in _numbers(arguments, axes, default=0.0).items():
            controller.origin_um[name] = axes[name].position_um(now) - tenths / 10.0
        return ":A"

    def zero(arguments: Arguments) -> str:
        return here([(name, "0") for name in axes])

    def home(arguments: Arguments) -> str:
        names = [name for name, _ in arguments] or list(axes)
        check_axes(names)
        if not controller.move({name: controller.home_um[name] for name in names}):
            raise AsiRefusedError(AsiError.FAILED)
        return ":A"

    def set_home(arguments: Arguments) -> str:
        check_axes(name for name, _ in arguments)
        if _asks(arguments):
            return told({
                name: f"{(controller.home_um[name] - controller.origin_um[name]) / 1000.0:.6f}" for name, _ in arguments
            })
        now = controller.bench.advance()
        for name, text in arguments:
            controller.home_um[name] = (
                axes[name].position_um(now) if text == "+" else controller.origin_um[name] + _number(text) * 1000.0
            )
        return ":A"

    def motors(arguments: Arguments) -> str:
        check_axes(name for name, _ in arguments)
        if _asks(arguments):
            return told({name: str(int(axes[name].servo)) for name, _ in arguments})
        if not arguments or any(text not in ("+", "-") for _, text in arguments):
            raise AsiRefusedError(AsiError.MISSING_PARAMETER)
        for name, text in arguments:
            controller.switch_motors([name], text == "+")
        return ":A"

    def axis_byte(name: str) -> int:
        axis, now = axes[name], controller.bench.advance()
        at, moving = axis.position_um(now), controller.moving(name)
        limits = (at >= axis.upper_um - 0.001) << 6 | (at <= axis.lower_um + 0.001) << 7
        return moving | axis.servo << 1 | moving << 2 | 1 << 3 | limits

    def axis_status(arguments: Arguments) -> str:
        names = [name for name, _ in arguments]
        if not names:
            raise AsiRefusedError(AsiError.MISSING_PARAMETER)
        check_axes(names)
        if _asks(arguments):
            return ":A " + "".join("B" if controller.moving(name) else "N" for name in names)
        return ":A " + " ".join(
            ("B" if controller.moving(name) else "N") if text == "?" else str(axis_byte(name))
            for name, text in arguments
        )

    def limit(attribute: str) -> Callable[[Arguments], str]:
        def run(arguments: Arguments) -> str:
            check_axes(name for name, _ in arguments)
            if _asks(arguments):
                return told({
                    name: f"{(getattr(axes[name], attribute) - controller.origin_um[name]) / 1000.0:.6f}"
                    for name, _ in arguments
                })
            for name, value in _numbers(arguments, axes).items():
                lower, upper = controller.travel_um[name]
                setattr(axes[name], attribute, min(max(controller.origin_um[name] + value * 1000.0, lower), upper))
            return ":A"
        return run

    def keep(word: str) -> Callable[[Arguments], str]:
        def run(arguments: Arguments) -> str:
            check_axes(name for name, _ in arguments)
            if _asks(arguments):
                return ":" + " ".join(f"{name}={kept[word][name]:.6f}" for name, _ in arguments) + " A"
            kept[word] |= _numbers(arguments, axes)
            return ":A"
        return run

    def units(arguments: Arguments) -> str:
        check_axes(name for name, _ in arguments)
        if not _asks(arguments):
            raise AsiRefusedError(AsiError.FAILED)
        return ":" + " ".join(f"{name}=10000.000000" for name, _ in arguments) + " A"

    def ttl(arguments: Arguments) -> str:
        if _asks(arguments):
            return f":A X={controller.ttl_mode}"
        mode = _numbers(arguments, "X")["X"]
        if mode not in (0.0, 1.0):
            raise AsiRefusedError(AsiError.OUT_OF_RANGE)
        controller.ttl_mode = int(mode)
        return ":A"

    def scan_now(arguments: Arguments) -> str:
        if not arguments:
            try:
                controller.start_scan()
            except ScanRefusedError:
                raise AsiRefusedError(AsiError.FAILED) from None
            return ":A"
        values = _numbers(arguments, (*scan.roles, "F"))
        serpentine = values.pop("F", float(scan.serpentine))
        if serpentine not in (0.0, 1.0) or any(value not in (0.0, 1.0, 2.0) for value in values.values()):
            raise AsiRefusedError(AsiError.OUT_OF_RANGE)
        scan.serpentine = bool(serpentine)
        scan.roles |= {name: int(value) for name, value in values.items()}
        return ":A"

    def scan_range(arguments: Arguments) -> str:
        origin = controller.origin_um[next((name for name, role in scan.roles.items() if role == 1), "X")]
        if _asks(arguments):
            told_um = dict(zip("XY", ((end - origin) / 1000.0 for end in scan.fast_um), strict=True))
            facts = told_um | {"R": scan.retrace_percent}
            return told({name: f"{facts[name]:.6f}" for name in _known(arguments, facts)})
        values = _numbers(arguments, "XYR")
        retrace = values.pop("R", scan.retrace_percent)
        if not 0.0 < retrace <= 100.0:
            raise AsiRefusedError(AsiError.OUT_OF_RANGE)
        ends = dict(zip("XY", scan.fast_um, strict=True)) | {k: origin + v * 1000.0 for k, v in values.items()}
        scan.fast_um, scan.retrace_percent = (ends["X"], ends["Y"]), retrace
        return ":A"

    def scan_lines(arguments: Arguments) -> str:
        origin = controller.origin_um[next((name for name, role in scan.roles.items() if role == 2), "Y")]
        if _asks(arguments):
            told_um = dict(zip("XY", ((end - origin) / 1000.0 for end in scan.slow_um), strict=True))
            facts = told_um | {"Z": float(scan.lines), "F": scan.settle_ms}
            return told({name: f"{facts[name]:.6f}" for name in _known(arguments, facts)})
        values = _numbers(arguments, "XYZF")
        lines, settle = values.pop("Z", scan.lines), values.pop("F", scan.settle_ms)
        if lines != int(lines) or not 1 <= lines <= 10_000 or not 0.0 <= settle <= 60_000.0:
            raise AsiRefusedError(AsiError.OUT_OF_RANGE)
        ends = dict(zip("XY", scan.slow_um, strict=True)) | {k: origin + v * 1000.0 for k, v in values.items()}
        scan.slow_um, scan.lines, scan.settle_ms = (ends["X"], ends["Y"]), int(lines), settle
        return ":A"

    return {
        "M": move, "R": lambda arguments: move(arguments, relative=True), "W": where, "/": status, "\\": halt,
        "S": speed, "H": here, "ZERO": zero, "!": home, "HM": set_home, "MC": motors, "RS": axis_status,
        "SL": limit("lower_um"), "SU": limit("upper_um"), **{word: keep(word) for word in KEPT}, "UM": units,
        "TTL": ttl, "SCAN": scan_now, "SCANR": scan_range, "SCANV": scan_lines, "VB": lambda arguments: ":A",
        "V": lambda arguments: f":A {VERSION}",
        "BU": lambda arguments: "\r".join(BUILD) if arguments else ":A STD_XY ",
    }


def _known(arguments: Arguments, facts: dict[str, float]) -> list[str]:
    for name, _ in arguments:
        if name not in facts:
            raise AsiRefusedError(AsiError.UNKNOWN_AXIS)
    return [name for name, _ in arguments]
