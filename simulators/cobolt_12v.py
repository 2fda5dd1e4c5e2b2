"""The 12 V dialect of a simulated Cobolt 06-MLD: SCPI-like commands, powers in mW, a few words of the old dialect.

Sources: pycobolt and the CoboltOfficial adapter of Micro-Manager (both by the manufacturer). The head itself is that of
:mod:`halidescope.simulators.cobolt`. Every node of a command may be shortened down to its capitals, in any case. The
texts of ``fault?``, and of ``state?`` for a fault and after an abort, are not known to us.
"""

import re
from collections.abc import Callable

from halidescope.simulators.cobolt import (
    ILLEGAL,
    MAX_POWER_MW,
    OUT_OF_RANGE,
    CoboltHead,
    CoboltSession,
    Fault,
    Mode,
    State,
    decimal,
)

FIRMWARE = "CAP-1004.2.1.0"
MODEL_NUMBER = "0405-06-11-0100-1100"
KEPT_QUERIES = ("?", "gsn?", "sn?", "hrs?", "gkses?", "@cobasks?", "l?", "ilk?", "f?", "rbpt?", "gmlp?")
KEPT_COMMANDS = ("l0", "@cob1", "cf")
MODES = {
    "ConstantPower": Mode.CONSTANT_POWER, "ConstantCurrent": Mode.CONSTANT_CURRENT, "PowerModulation": Mode.MODULATION,
    "CurrentModulation": Mode.MODULATION,
}
RUN_MODES = {name.lower(): name for name in MODES}
STATES = {
    State.OFF: "AutostartStandby", State.WAITING_FOR_KEY: "AutostartWaitingForKeyOn", State.RUNNING: "AutostartLaserOn",
    State.ON_OFF_MODULATION: "AutostartLaserOn", State.MODULATION: "AutostartLaserOn", State.FAULT: "Fault",
    State.ABORTED: "AutostartAborted",
}
FAULTS = {
    Fault.NONE: "NoFault", Fault.TEMPERATURE: "TemperatureFault", Fault.INTERLOCK: "InterlockFault",
    Fault.CONSTANT_POWER_TIMEOUT: "ConstantPowerTimeout",
}


class Cobolt12vHead(CoboltHead):
    """The head with the firmware of the 12 V dialect."""

    run_mode = "ConstantPower"

    def session(self) -> "Cobolt12vSession":
        """A parser for a new connection."""
        return Cobolt12vSession(self)


class Cobolt12vSession(CoboltSession):
    """Lines in, one reply line each out."""

    def __init__(self, head: Cobolt12vHead) -> None:
        super().__init__(head)
        self._head: Cobolt12vHead = head
        self._answers = {word: self._answers[word] for word in KEPT_QUERIES}
        self._answers |= {"gfv?": lambda: FIRMWARE, "glm?": lambda: MODEL_NUMBER}
        self._actions = {word: self._actions[word] for word in KEPT_COMMANDS}
        self._tree: list[tuple[str, Callable[[list[str]], str]]] = [
            ("LASer:RUNMode?", self._fixed(lambda: head.run_mode)),
            ("LASer:RUNMode", self._set_run_mode),
            ("LASer:CP:POWer:SETPoint?", self._tell_setpoint),
            ("LASer:CP:POWer:SETPoint", self._set_power),
            ("LASer:POWer:READing?", self._fixed(self._power)),
            ("LASer:POWer?", self._fixed(self._power)),
            ("LASer:CURRent:READing?", self._fixed(lambda: f"{head.drive_current_ma():.2f}")),
            ("LASer:PAUSe", self._pause),
            ("LASer:PAUSe?", self._fixed(lambda: str(int(head.paused)))),
            ("STATe?", self._fixed(lambda: STATES[head.state])),
            ("FAULt?", self._fixed(lambda: FAULTS[head.fault])),
            ("FAULt:CLEar", self._plain(head.latch_or_clear)),
            ("AUTOstart:ENABled?", self._fixed(lambda: str(int(head.autostart)))),
            ("AUTOstart:ABORt", self._plain(head.abort)),
            ("AUTOstart:RESTart", self._plain(head.start_sequence)),
        ]

    def _answer(self, word: str, arguments: list[str]) -> str:
        for pattern, act in self._tree:
            if _names(word, pattern):
                return act(arguments)
        return super()._answer(word, arguments)

    def _power(self) -> str:
        power = self._head.bench.head_mw
        return f"{max(0.0, power * (1.0 + self._head.bench.random.normal(0.0, 1e-3))):.4f}" if power else "0.0000"

    def _fixed(self, tell: Callable[[], str]) -> Callable[[list[str]], str]:
        return lambda arguments: ILLEGAL if arguments else tell()

    def _plain(self, act: Callable[[], None]) -> Callable[[list[str]], str]:
        def run(arguments: list[str]) -> str:
            if arguments:
                return ILLEGAL
            act()
            return "OK"
        return run

    def _tell_setpoint(self, arguments: list[str]) -> str:
        if not arguments:
            return f"{self._head.setpoint_mw:.4f}"
        limits = {"max": MAX_POWER_MW, "min": 0.0}
        word = arguments[0].lower()
        return f"{limits[word]:.4f}" if len(arguments) == 1 and word in limits else ILLEGAL

    def _set_power(self, arguments: list[str]) -> str:
        if len(arguments) != 1:
            return ILLEGAL
        try:
            power_mw = decimal(arguments[0])
        except ValueError:
            return ILLEGAL
        if not 0.0 <= power_mw <= MAX_POWER_MW:
            return OUT_OF_RANGE
        self._head.setpoint_mw = power_mw
        self._head.follow()
        return "OK"

    def _set_run_mode(self, arguments: list[str]) -> str:
        if len(arguments) != 1:
            return ILLEGAL
        if arguments[0].lower() not in RUN_MODES:
            return OUT_OF_RANGE
        self._head.run_mode = RUN_MODES[arguments[0].lower()]
        self._head.mode = MODES[self._head.run_mode]
        self._head.follow()
        return "OK"

    def _pause(self, arguments: list[str]) -> str:
        if arguments not in (["0"], ["1"]):
            return OUT_OF_RANGE if len(arguments) == 1 else ILLEGAL
        self._head.paused = arguments == ["1"]
        self._head.follow()
        return "OK"


def _names(word: str, pattern: str) -> bool:
    """Whether every node of the word is the pattern's, whole or shortened down to its capitals."""
    nodes, wanted = word.split(":"), pattern.split(":")
    if len(nodes) != len(wanted) or word.endswith("?") != pattern.endswith("?"):
        return False
    for node, full in zip(nodes, wanted, strict=True):
        text, long = node.rstrip("?").lower(), full.rstrip("?")
        if not long.lower().startswith(text) or len(text) < len(re.sub("[a-z]", "", long)):
            return False
    return True
