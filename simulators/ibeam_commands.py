"""The command language of a simulated iBeam smart: words that may be cut short, echo, prompt and system messages.

Every answer is an empty line, the answer's lines and ``[OK]``, with the prompt on ``CMD> `` in its place. A refused
command has a line ``%SYS-<level>-<number>, text`` and still ends with ``[OK]``; level I is no error. ``talk verbose``
adds such a line to every command, ``talk quiet`` silences identity queries. What the head does is in
:mod:`halidescope.simulators.ibeam`.
"""

import math
import re
from collections.abc import Callable

from halidescope.simulators.ibeam import LIGHT_UP_S, MAX_CURRENT_MA, MAX_POWER_MW, NORMAL, IBeamHead, PowerChannel
from halidescope.simulators.wire import PromptSession

LONGEST_LINE = 128
PROMPT = b"CMD> "
NUMBER = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
TALKS = ("quiet", "usual", "verbose", "gabby")
VALUE, CHANNEL = "<value>", "<channel>"     # places of a number in a command's pattern
LASER_FACTS = ("SN: iBEAM-SMART-405-S-12419", "iBPs-001A01-05")

Lines = list[str]
Act = Callable[..., Lines]


class IBeamMessageError(Exception):
    """A command was refused with a system message."""

    def __init__(self, level: str, number: int, text: str) -> None:
        super().__init__(f"%SYS-{level}-{number:03d}, {text}")


class IBeamLaser(IBeamHead):
    """The head as a device on the wire."""

    def session(self) -> "IBeamSession":
        """A parser for a new connection."""
        return IBeamSession(self)


class IBeamSession(PromptSession):
    """Lines in, one answer each out; an empty line has an answer too."""

    def __init__(self, head: IBeamHead) -> None:
        self._head = head
        self._line = bytearray()
        self._after_cr = False
        self._patterns = [(pattern.split(), act) for pattern, act in _commands(head).items()]

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; CR, LF or both end a line, and a line too long for the buffer is cut there."""
        replies = []
        with self._head.bench.lock:
            for byte in data:
                ends = byte in b"\r\n" and not (byte == 0x0A and self._after_cr)
                self._after_cr = byte == 0x0D
                if byte not in b"\r\n":
                    self._line.append(byte)
                if ends or len(self._line) >= LONGEST_LINE:
                    replies.append(self._reply(bytes(self._line)))
                    self._line.clear()
        return replies

    def _reply(self, line: bytes) -> bytes:
        head = self._head
        echo = line if head.echo else b""
        words = line.decode("ascii", errors="replace").lower().split()
        try:
            lines = self._run(words) if words else []
        except IBeamMessageError as message:
            lines = [str(message)]
        body = "".join(f"{text}\r\n" for text in ["", *lines]).encode("ascii", errors="replace")
        return echo + body + (PROMPT if head.prompt else b"[OK]\r\n")

    def _run(self, words: list[str]) -> Lines:
        fits = [(pattern, act) for pattern, act in self._patterns if _fits(words, pattern)]
        exact = [(pattern, act) for pattern, act in fits if all(map(_same, words, pattern))]
        if len(fits) > 1:
            fits = exact
        if len(fits) != 1:
            raise IBeamMessageError("E", 1, "command not found" if not fits else "command is ambiguous")
        pattern, act = fits[0]
        numbers = [word for word, place in zip(words, pattern, strict=True) if place in (VALUE, CHANNEL)]
        lines = act(*numbers)
        if not lines and self._head.talk in ("verbose", "gabby"):
            return ["%SYS-I-000, command executed"]
        return lines


def _fits(words: list[str], pattern: list[str]) -> bool:
    """Each word is the beginning of the pattern's word, or a number where one belongs."""
    return len(words) == len(pattern) and all(
        bool(NUMBER.fullmatch(word)) if place == VALUE else word.isdigit() if place == CHANNEL else
        place.startswith(word)
        for word, place in zip(words, pattern, strict=True)
    )


def _same(word: str, place: str) -> bool:
    return place in (VALUE, CHANNEL) or word == place


def _on_off(value: bool) -> Lines:
    return ["ON" if value else "OFF"]


def _commands(head: IBeamHead) -> dict[str, Act]:
    """Every command and query, in full; words of the user may be shorter."""

    def channel(number: str) -> PowerChannel:
        if int(number) not in head.channels:
            raise IBeamMessageError("E", 8, "no such channel")
        return head.channels[int(number)]

    def set_power(unit_mw: float) -> Act:
        def run(number: str, value: str) -> Lines:
            power_mw = float(value) * unit_mw
            if not math.isfinite(power_mw) or power_mw > MAX_POWER_MW * (1.0 + 1e-9):
                raise IBeamMessageError("W", 47, "power out of range, command ignored")
            channel(number).power_mw = power_mw
            head.emission.follow()
            return []
        return run

    def set_normal_power(unit_mw: float) -> Act:
        return lambda value: set_power(unit_mw)(str(NORMAL), value)

    def enable(enabled: bool) -> Act:
        def run(number: str) -> Lines:
            chosen = list(head.channels.values()) if number == "0" else [channel(number)]
            for one in chosen:
                one.enabled = enabled
            head.emission.follow()
            return []
        return run

    def gate(external: bool) -> Act:
        def run() -> Lines:
            head.external = external
            head.emission.follow()
            return []
        return run

    def laser_on() -> Lines:
        if head.interlock_open:
            raise IBeamMessageError("E", 21, "interlock is open")
        if head.latched:
            raise IBeamMessageError("F", 33, "diode temperature out of range")
        head.emission.start(LIGHT_UP_S)
        return []

    def laser_off() -> Lines:
        head.darken()
        return []

    def setting(name: str, value: object) -> Act:
        def run() -> Lines:
            setattr(head, name, value)
            return []
        return run

    def restart() -> Lines:
        head.restart()
        return []

    def identity(fact: str) -> Act:
        return lambda: [] if head.talk == "quiet" else [fact]

    def levels() -> Lines:
        return [f"CH{number}, PWR: {one.power_mw:.3f} mW" for number, one in head.channels.items()]

    def uptime() -> Lines:
        seconds = int(head.bench.clock.now_s())
        lit = int(head.emission.hours * 3600.0)
        return [f"PowerUP: {1204 + seconds // 3600} h + {seconds % 3600} s",
                f"LaserON: {318 + lit // 3600} h + {lit % 3600} s"]

    serial, version = LASER_FACTS
    limits = [f"{name}: {value:.1f} mA" for name, value in (("Imax", MAX_CURRENT_MA), ("Ith", 24.0))]
    satellite = [
        "SatelliteID: 0", "Model: iBEAM-SMART-405-S", "Wavelength: 405 nm", f"Pmax: {MAX_POWER_MW:.1f} mW",
        f"Imax: {MAX_CURRENT_MA:.1f} mA",
    ]
    table: dict[str, Act] = {
        "laser on": laser_on,
        "laser off": laser_off,
        "status laser": lambda: _on_off(head.emission.on),
        f"status channel {CHANNEL}": lambda number: _on_off(channel(number).enabled),
        "status uptime": uptime,
        f"enable {CHANNEL}": enable(True),
        f"disable {CHANNEL}": enable(False),
        "enable external": gate(True),
        "disable external": gate(False),
        f"channel {CHANNEL} power {VALUE}": set_power(1.0),
        f"channel {CHANNEL} power {VALUE} micro": set_power(1e-3),
        f"channel {CHANNEL} power {VALUE} milli": set_power(1.0),
        f"channel power {VALUE}": set_normal_power(1.0),
        f"channel power {VALUE} micro": set_normal_power(1e-3),
        f"channel power {VALUE} milli": set_normal_power(1.0),
        "show serial": identity(serial),
        "serial": identity(serial),
        "version": identity(version),
        "show power": lambda: [f"PIC  = {round(head.emission.measured_mw() * 1000.0):06d} uW  "],
        "show level power": levels,
        "show satellite": lambda: [*satellite, "DigitalOut: OFF"],
        "show current": lambda: [f"LDC  = {head.current_ma:.1f} mA"],
        "show temperature": lambda: [f"TEMP = {head.diode_c:.0f} C"],
        "show temperature system": lambda: ["TEMP = 29 C"],
        "show limit": lambda: list(limits),
        "show data": lambda: [serial, version, *satellite, *limits, *levels()],
        "echo on": setting("echo", True),
        "echo off": setting("echo", False),
        "prompt on": setting("prompt", True),
        "prompt off": setting("prompt", False),
        "reset system": restart,
    }
    return table | {f"talk {word}": setting("talk", word) for word in TALKS}
