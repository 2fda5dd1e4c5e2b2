"""The command language of a simulated OBIS head: SCPI headers, handshake, prompt, errors.

Headers are matched node by node in their long or short form, in any case; a number after the first node chooses the
unit behind a remote (none, 0 or 1: this head). With handshaking on, a command answers ``OK``, a query its value and
then ``OK``, a refused line ``ERR<number>`` alone; with handshaking off, only values are sent. What the head does is in
:mod:`halidescope.simulators.obis`.
"""

import re
from collections.abc import Callable
from itertools import product
from typing import TypeVar

from halidescope.simulators.obis import HIGHEST_MW, LOWEST_MW, RATED_MW, ObisError, ObisHead, ObisRefusedError, Source
from halidescope.simulators.wire import PromptSession, lines_of

Entry = TypeVar("Entry")
LONGEST_LINE = 256
PROMPT = b"OBIS> "          # the manual's text is not known to us
IDENTITY = "Coherent, Inc - OBIS 405nm 100mW LX - V2.2.1 - Dec 03 2018"
HEADER = re.compile(r":?(?P<first>\*?[A-Z]+)(?P<unit>\d*)(?P<rest>(?::[A-Z]+)*)(?P<query>\??)", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,3})?", re.ASCII)
INTERNAL = {"CWP": Source.CONSTANT_POWER, "CWC": Source.CONSTANT_CURRENT}
EXTERNAL = {
    "DIG": Source.DIGITAL, "DIGITAL": Source.DIGITAL, "ANAL": Source.ANALOG, "ANALOG": Source.ANALOG,
    "MIX": Source.MIXED, "MIXED": Source.MIXED, "DIGSO": Source.DIGITAL_SAFE, "MIXSO": Source.MIXED_SAFE,
}
TEXTS = {
    ObisError.UNKNOWN_COMMAND: "Unrecognized command/query", ObisError.SYNTAX: "Syntax error",
    ObisError.PARAMETER_MISSING: "Parameter missing", ObisError.EXECUTION: "Execution error",
    ObisError.INVALID_PARAMETER: "Invalid parameter", ObisError.SETTINGS_CONFLICT: "Settings conflict",
    ObisError.DEVICE_UNAVAILABLE: "Device unavailable", ObisError.QUEUE_OVERFLOW: "Queue overflow",
}


class ObisLaser(ObisHead):
    """The head as a device on the wire."""

    def session(self) -> "ObisSession":
        """A parser for a new connection."""
        return ObisSession(self)


class ObisSession(PromptSession):
    """Lines in; answers as handshake and prompt have it."""

    def __init__(self, head: ObisHead) -> None:
        self._head = head
        self._buffer = bytearray()
        self._queries = _every_spelling(_queries(head))
        self._commands = _every_spelling(_commands(head))

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; a line ends with CR, LF or both, and empty lines are ignored."""
        self._buffer += data
        lines = lines_of(self._buffer, ends=b"\r\n", longest=LONGEST_LINE)
        with self._head.bench.lock:
            replies = [self._reply(line) for line in lines if line.strip()]
        return [reply for reply in replies if reply]

    def _reply(self, line: bytes) -> bytes:
        head = self._head
        words = [word.decode("ascii", errors="replace") for word in line.upper().split()]
        try:
            value = self._run(words[0], words[1:])
        except ObisRefusedError as refusal:
            head.remember(refusal.code)
            lines = [f"ERR{int(refusal.code)}"] if head.handshake else []
        else:
            lines = ([] if value is None else [value]) + (["OK"] if head.handshake else [])
        return "".join(f"{text}\r\n" for text in lines).encode("ascii") + (PROMPT if head.prompt else b"")

    def _run(self, header: str, arguments: list[str]) -> str | None:
        match = HEADER.fullmatch(header)
        if not match:
            raise ObisRefusedError(ObisError.SYNTAX)
        path = match["first"] + match["rest"]
        if match["query"]:
            if path not in self._queries:
                raise ObisRefusedError(ObisError.UNKNOWN_COMMAND)
            _check_unit(match["unit"])
            if arguments:
                raise ObisRefusedError(ObisError.SYNTAX)
            return self._queries[path]()
        if path not in self._commands:
            raise ObisRefusedError(ObisError.UNKNOWN_COMMAND)
        _check_unit(match["unit"])
        act, count = self._commands[path]
        if len(arguments) != count:
            raise ObisRefusedError(ObisError.PARAMETER_MISSING if len(arguments) < count else ObisError.SYNTAX)
        act(*arguments)
        return None


def _check_unit(unit: str) -> None:
    if unit and int(unit) > 1:
        raise ObisRefusedError(ObisError.DEVICE_UNAVAILABLE)


def _every_spelling(table: dict[str, Entry]) -> dict[str, Entry]:
    """Long and short form of every node: ``SYSTem:CDRH`` is also ``SYST:CDRH``."""
    spelled: dict[str, Entry] = {}
    for path, entry in table.items():
        forms = [{node.upper(), re.sub("[a-z]", "", node)} for node in path.split(":")]
        spelled |= {":".join(nodes): entry for nodes in product(*forms)}
    return spelled


def _on_off(value: bool) -> str:
    return "ON" if value else "OFF"


def _watts(power_mw: float) -> str:
    return f"{power_mw / 1000.0:.5f}"


def _queries(head: ObisHead) -> dict[str, Callable[[], str]]:
    def next_error() -> str:
        if not head.errors:
            return '0,"No error"'
        code = head.errors.popleft()
        return f'{int(code)},"{TEXTS[code]}"'

    return {
        "*IDN": lambda: IDENTITY,
        "*TST": lambda: "0",
        "SYSTem:INFormation:MODel": lambda: "OBIS 405nm 100mW C LX",
        "SYSTem:INFormation:SNUMber": lambda: "405100213",
        "SYSTem:INFormation:PNUMber": lambda: "1236443",
        "SYSTem:INFormation:FVERsion": lambda: "V2.2.1",
        "SYSTem:INFormation:PVERsion": lambda: "P1.0",
        "SYSTem:INFormation:WAVelength": lambda: "405",
        "SYSTem:INFormation:POWer": lambda: _watts(RATED_MW),
        "SYSTem:HOURs": lambda: f"{412.6 + head.bench.clock.now_s() / 3600.0:.2f}",
        "SYSTem:DIODe:HOURs": lambda: f"{96.3 + head.emission.hours:.2f}",
        "SYSTem:CYCLes": lambda: str(head.cycles),
        "SYSTem:COMMunicate:HANDshaking": lambda: _on_off(head.handshake),
        "SYSTem:COMMunicate:PROMpt": lambda: _on_off(head.prompt),
        "SYSTem:AUTostart": lambda: _on_off(head.autostart),
        "SYSTem:CDRH": lambda: _on_off(head.cdrh),
        "SYSTem:LOCK": lambda: _on_off(not head.interlock_open),
        "SYSTem:STATus": lambda: f"{int(head.status):08X}",
        "SYSTem:FAULt": lambda: f"{int(head.fault):08X}",
        "SYSTem:ERRor:COUNt": lambda: str(len(head.errors)),
        "SYSTem:ERRor:NEXT": next_error,
        "SOURce:AM:STATe": lambda: _on_off(head.emission.on),
        "SOURce:AM:SOURce": lambda: head.source.value,
        "SOURce:POWer:LEVel": lambda: _watts(head.emission.measured_mw()),
        "SOURce:POWer:LEVel:IMMediate:AMPLitude": lambda: _watts(head.setpoint_mw),
        "SOURce:POWer:LIMit:LOW": lambda: _watts(LOWEST_MW),
        "SOURce:POWer:LIMit:HIGH": lambda: _watts(HIGHEST_MW),
        "SOURce:POWer:NOMinal": lambda: _watts(RATED_MW),
        "SOURce:POWer:CURRent": lambda: f"{head.current_a:.3f}",
        "SOURce:TEMPerature:APRobe": lambda: _on_off(head.cooled),
        "SOURce:TEMPerature:BASeplate": lambda: "27.4C",
        "SOURce:TEMPerature:DIODe": lambda: "48.0C" if head.overheated else "25.0C",
        "SOURce:TEMPerature:INTernal": lambda: "31.2C",
    }


def _commands(head: ObisHead) -> dict[str, tuple[Callable[..., None], int]]:
    def switch(act: Callable[[bool], None], *, dark: bool = False) -> tuple[Callable[[str], None], int]:
        def run(text: str) -> None:
            if text not in ("ON", "OFF"):
                raise ObisRefusedError(ObisError.INVALID_PARAMETER)
            if dark and head.emission.on:
                raise ObisRefusedError(ObisError.EXECUTION)
            act(text == "ON")
        return run, 1

    def attribute(name: str, *, dark: bool = False) -> tuple[Callable[[str], None], int]:
        return switch(lambda on: setattr(head, name, on), dark=dark)

    def source(allowed: dict[str, Source]) -> tuple[Callable[[str], None], int]:
        def run(text: str) -> None:
            if text not in allowed:
                raise ObisRefusedError(ObisError.INVALID_PARAMETER)
            if head.emission.on:
                raise ObisRefusedError(ObisError.EXECUTION)
            head.source = allowed[text]
        return run, 1

    def set_power(text: str) -> None:
        if not NUMBER.fullmatch(text):
            raise ObisRefusedError(ObisError.INVALID_PARAMETER)
        power_mw = float(text) * 1000.0
        if not LOWEST_MW * (1.0 - 1e-9) <= power_mw <= HIGHEST_MW * (1.0 + 1e-9):
            raise ObisRefusedError(ObisError.INVALID_PARAMETER)
        head.setpoint_mw = power_mw
        head.emission.follow()

    return {
        "*RST": (head.restart, 0),
        "SYSTem:COMMunicate:HANDshaking": attribute("handshake"),
        "SYSTem:COMMunicate:PROMpt": attribute("prompt"),
        "SYSTem:AUTostart": attribute("autostart"),
        "SYSTem:CDRH": attribute("cdrh", dark=True),
        "SYSTem:ERRor:CLEar": (head.errors.clear, 0),
        "SOURce:AM:STATe": switch(lambda on: head.light() if on else head.darken()),
        "SOURce:AM:INTernal": source(INTERNAL),
        "SOURce:AM:EXTernal": source(EXTERNAL),
        "SOURce:POWer:LEVel:IMMediate:AMPLitude": (set_power, 1),
        "SOURce:TEMPerature:APRobe": switch(head.cool),
    }
