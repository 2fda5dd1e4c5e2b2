"""A simulated Hübner Cobolt 06-MLD laser head, and its 5 V (legacy) dialect.

Sources: Cobolt 04 Series Owner's Manual D0105-A p11-12, 21-28; pycobolt and the CoboltOfficial adapter of Micro-Manager
(both by the manufacturer). Exactly one reply line per command line; powers on the wire are watts.
"""

import re
from collections.abc import Callable
from enum import IntEnum

from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.wire import PromptSession, lines_of

MODEL = "cobolt-06-mld"
MAX_POWER_MW = 100.0
MAX_CURRENT_MA = 110.0
THRESHOLD_MA = 27.0
SLOPE_MW_PER_MA = 1.25
WARM_UP_S = 0.05            # a diode head lights fast; the manual's minutes are for DPSS heads
LONGEST_LINE = 256
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
ILLEGAL = "Syntax error: illegal command"
OUT_OF_RANGE = "Syntax error: Value is out of range."
NOT_IN_AUTOSTART = "Syntax error: not allowed in autostart mode."


class Mode(IntEnum):
    """Answer of ``gam?``."""

    CONSTANT_CURRENT = 0
    CONSTANT_POWER = 1
    MODULATION = 2


class State(IntEnum):
    """Answer of ``gom?``."""

    OFF = 0
    WAITING_FOR_KEY = 1
    RUNNING = 2
    ON_OFF_MODULATION = 3
    MODULATION = 4
    FAULT = 5
    ABORTED = 6


class Fault(IntEnum):
    """Answer of ``f?``."""

    NONE = 0
    TEMPERATURE = 1
    INTERLOCK = 3
    CONSTANT_POWER_TIMEOUT = 4


class CoboltHead:
    """State of the head; outlives connections.

    Parameters
    ----------
    bench : Bench
        The world that the head lights.
    faults : FaultBoard
        Opens the interlock or overheats the head on demand.
    keyed : bool
        A CDRH unit with a key switch: autostart is enabled, and emission needs the key turned OFF then ON after
        ``@cob1``. Without it an OEM unit: no key, autostart disabled.
    """

    role = "laser"
    model = MODEL
    single_client = False

    def __init__(self, bench: Bench, faults: FaultBoard, *, keyed: bool = False) -> None:
        self.bench = bench
        faults.offer("interlock-open", self.set_interlock)
        faults.offer("laser-fault", self.set_overheated)
        self.keyed = keyed
        self.key_on = True
        self.autostart = keyed
        self.direct_control = False
        self.mode = Mode.CONSTANT_POWER
        self.setpoint_mw = 0.0
        self.current_ma = 0.0
        self.modulation_mw = 0.0
        self.modulation = {"digital": False, "analogue": False}
        self.on = False
        self.armed = False          # waits for the key's edge
        self.aborted = False
        self.paused = False
        self.interlock_open = False
        self.overheated = False
        self.fault = Fault.NONE
        self._lit_s = 0.0           # when the present warm-up ends

    def session(self) -> "CoboltSession":
        """A parser for a new connection."""
        return CoboltSession(self)

    @property
    def state(self) -> State:
        """Operating state as ``gom?`` tells it."""
        if self.fault is not Fault.NONE:
            return State.FAULT
        if self.armed:
            return State.WAITING_FOR_KEY
        if self.aborted:
            return State.ABORTED
        if not self.on:
            return State.OFF
        if self.mode is not Mode.MODULATION:
            return State.RUNNING
        return State.ON_OFF_MODULATION if self.modulation["digital"] else State.MODULATION

    @property
    def output_mw(self) -> float:
        """What the head emits once it is lit, in mW."""
        if not self.on or self.paused:
            return 0.0
        if self.mode is Mode.CONSTANT_POWER:
            return self.setpoint_mw
        if self.mode is Mode.CONSTANT_CURRENT:
            return min(max(0.0, (self.current_ma - THRESHOLD_MA) * SLOPE_MW_PER_MA), MAX_POWER_MW)
        return 0.0      # modulated, and nothing is connected to the modulation inputs

    def drive_current_ma(self) -> float:
        """Diode current now, in mA."""
        power = self.bench.head_mw
        return THRESHOLD_MA + power / SLOPE_MW_PER_MA if power else 0.0

    def light(self) -> None:
        """Start emission unless a fault forbids it; the light follows the warm-up."""
        if self.fault is Fault.NONE and not self.on:
            self.on, self.armed, self.aborted, self.paused = True, False, False, False
            self._lit_s = self.bench.clock.now_s() + WARM_UP_S
            self.bench.shine(self.output_mw, after_s=WARM_UP_S)

    def darken(self) -> None:
        """Stop emission at once."""
        self.on = self.armed = False
        self.bench.shine(0.0)

    def follow(self) -> None:
        """Bring the light to a changed set-point, mode or pause."""
        if self.on:
            self.bench.shine(self.output_mw, after_s=self._lit_s - self.bench.clock.now_s())

    def abort(self) -> None:
        """End the start-up sequence, and emission."""
        self.darken()
        self.aborted = True

    def start_sequence(self) -> None:
        """``@cob1``: autostart is enabled from now on; a keyed head only waits for the key."""
        self.autostart = True
        if self.keyed:
            if not self.on:
                self.armed = self.fault is Fault.NONE
        else:
            self.light()

    def turn_key(self, on: bool) -> None:
        """Turn the key switch; OFF to ON starts an armed head, OFF darkens and resets a keyed one."""
        edge = on and not self.key_on
        self.key_on = on
        if not self.keyed:
            return
        if not on:
            was_armed = self.armed or self.on
            self.darken()
            self.armed = was_armed or self.fault is not Fault.NONE
            self.latch_or_clear()
        elif edge and self.armed:
            self.light()

    def trip(self, fault: Fault) -> None:
        """Latch a fault: dark at once (manual: within 20 ms)."""
        self.fault = fault
        self.darken()

    def latch_or_clear(self) -> None:
        """``cf``: forget the fault, unless its cause is still there."""
        self.fault = Fault.NONE
        if self.interlock_open:
            self.trip(Fault.INTERLOCK)
        elif self.overheated:
            self.trip(Fault.TEMPERATURE)

    def set_interlock(self, is_open: bool) -> None:
        """Open or close the interlock loop."""
        self.interlock_open = is_open
        if is_open:
            self.trip(Fault.INTERLOCK)

    def set_overheated(self, overheated: bool) -> None:
        """Let the head get too hot, or cool down."""
        self.overheated = overheated
        if overheated:
            self.trip(Fault.TEMPERATURE)


class CoboltSession(PromptSession):
    """Lines in, one reply line each out."""

    def __init__(self, head: CoboltHead) -> None:
        self._head = head
        self._buffer = bytearray()
        self._answers = _answers(head)
        self._actions = _actions(head)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; a line ends with CR, LF or both, and empty lines are ignored."""
        self._buffer += data
        lines = lines_of(self._buffer, ends=b"\r\n", longest=LONGEST_LINE)
        with self._head.bench.lock:
            return [self._reply(line) for line in lines if line.strip()]

    def _reply(self, line: bytes) -> bytes:
        words = [word.decode("ascii", errors="replace") for word in line.split()]
        return (self._answer(words[0], words[1:]) + "\r\n").encode("ascii", errors="replace")

    def _answer(self, word: str, arguments: list[str]) -> str:
        if not arguments and word in self._answers:
            return self._answers[word]()
        if word not in self._actions:
            return ILLEGAL
        action, count = self._actions[word]
        if len(arguments) != count:
            return ILLEGAL
        try:
            values = [decimal(argument) for argument in arguments]
        except ValueError:
            return ILLEGAL
        return action(*values)


def decimal(text: str) -> float:
    """A number with a decimal point as the head reads it; raises ValueError for anything else."""
    if not DECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} is not a decimal number")
    return float(text)


def _watts(power_mw: float) -> str:
    """At least four decimals, more where the value has them."""
    text = f"{power_mw / 1000.0:.6f}"
    return text[:6] + text[6:].rstrip("0")


def _answers(head: CoboltHead) -> dict[str, Callable[[], str]]:
    """Queries: word to answer."""

    def measured_mw() -> float:
        power = head.bench.head_mw
        return max(0.0, power * (1.0 + head.bench.random.normal(0.0, 1e-3))) if power else 0.0

    answers: dict[str, Callable[[], str]] = {
        "?": lambda: "OK",
        "sn?": lambda: "26101",
        "gfv?": lambda: "1004.006",
        "glm?": lambda: "0405-06-01-0100-100",
        "gcn?": lambda: "Cobolt 06-MLD",
        "gfd?": lambda: "2016-03-01",
        "gfbd?": lambda: "2016-02-26",
        "hrs?": lambda: f"{828.98 + head.bench.clock.now_s() / 3600.0:.2f}",
        "l?": lambda: str(int(head.on)),
        "@cobas?": lambda: str(int(head.autostart)),
        "@cobasdr?": lambda: str(int(head.direct_control)),
        "p?": lambda: _watts(head.setpoint_mw),
        "pa?": lambda: _watts(measured_mw()),
        "glp?": lambda: f"{head.setpoint_mw:.3f}",
        "gmlp?": lambda: f"{MAX_POWER_MW:.6f}",
        "glc?": lambda: f"{head.current_ma:.2f}",
        "i?": lambda: f"{head.drive_current_ma():.2f}",
        "gmlc?": lambda: f"{MAX_CURRENT_MA:.2f}",
        "gam?": lambda: str(int(head.mode)),
        "gom?": lambda: str(int(head.state)),
        "gkses?": lambda: str(int(head.keyed)),
        "@cobasks?": lambda: str(int(head.key_on)),
        "ilk?": lambda: str(int(head.interlock_open)),
        "f?": lambda: str(int(head.fault)),
        "leds?": lambda: str(1 | head.on << 1 | (head.bench.head_mw > 0.0) << 2 | (head.fault is not Fault.NONE) << 3),
        "rbpt?": lambda: "25.1",
        "rtect?": lambda: "45.0" if head.overheated else "25.0",
        "gdmes?": lambda: str(int(head.modulation["digital"])),
        "games?": lambda: str(int(head.modulation["analogue"])),
        "glmp?": lambda: f"{head.modulation_mw:.3f}",
    }
    answers |= {"gsn?": answers["sn?"], "ver?": answers["gfv?"], "gas?": answers["@cobas?"], "rlc?": answers["i?"]}
    return answers


def _actions(head: CoboltHead) -> dict[str, tuple[Callable[..., str], int]]:
    """Commands: word to what it does with its arguments, and how many it takes."""

    def turn_on() -> str:
        if head.autostart:
            return NOT_IN_AUTOSTART
        head.light()
        return "OK"

    def done(act: Callable[[], None]) -> Callable[[], str]:
        def run() -> str:
            act()
            return "OK"
        return run

    def bounded(attribute: str, factor: float, upper: float) -> Callable[[float], str]:
        def set_value(value: float) -> str:
            if not 0.0 <= value * factor <= upper * (1.0 + 1e-9):
                return OUT_OF_RANGE
            setattr(head, attribute, value * factor)
            head.follow()
            return "OK"
        return set_value

    def switch(setter: Callable[[bool], None]) -> Callable[[float], str]:
        def set_flag(value: float) -> str:
            if value not in (0.0, 1.0):
                return OUT_OF_RANGE
            setter(bool(value))
            head.follow()
            return "OK"
        return set_flag

    def mode(chosen: Mode) -> Callable[[], None]:
        def enter() -> None:
            head.mode = chosen
            head.follow()
        return enter

    def pause(paused: bool) -> Callable[[], None]:
        def act() -> None:
            head.paused = paused
            head.follow()
        return act

    actions: dict[str, tuple[Callable[..., str], int]] = {
        "l1": (turn_on, 0),
        "l0": (done(head.darken), 0),
        "@cob1": (done(head.start_sequence), 0),
        "@cob0": (done(head.darken), 0),
        "abort": (done(head.abort), 0),
        "restart": (done(head.start_sequence), 0),
        "l0r": (done(pause(True)), 0),
        "l1r": (done(pause(False)), 0),
        "cf": (done(head.latch_or_clear), 0),
        "cp": (done(mode(Mode.CONSTANT_POWER)), 0),
        "ci": (done(mode(Mode.CONSTANT_CURRENT)), 0),
        "em": (done(mode(Mode.MODULATION)), 0),
        "p": (bounded("setpoint_mw", 1000.0, MAX_POWER_MW), 1),
        "slp": (bounded("setpoint_mw", 1.0, MAX_POWER_MW), 1),
        "slc": (bounded("current_ma", 1.0, MAX_CURRENT_MA), 1),
        "slmp": (bounded("modulation_mw", 1.0, MAX_POWER_MW), 1),
        "@cobas": (switch(lambda on: setattr(head, "autostart", on)), 1),
        "@cobasdr": (switch(lambda on: setattr(head, "direct_control", on)), 1),
        "sdmes": (switch(lambda on: head.modulation.__setitem__("digital", on)), 1),
        "sames": (switch(lambda on: head.modulation.__setitem__("analogue", on)), 1),
    }
    actions |= {"ecp": actions["cp"], "ecc": actions["ci"], "@cobasp": actions["p"]}
    return actions
