"""Breaking things on purpose: which faults there are, when they begin, and what they do to replies on the wire.

A fault is active from its injection, or from the ``after``-th event of its kind on, until it is cleared. Those of the
instruments act through hooks; those of the line act here, on whole replies. Delays are real seconds: a slow line does not
get faster with the simulation.
"""

from collections.abc import Callable
from dataclasses import dataclass

SLOW_S = 0.2
LATE_S = 3.0
GARBAGE = b"\xfe\x3f\x00#!\xc1\x7f garbage\r\n"

# what "after" counts, per fault
EVENTS = {
    "interlock-open": "exposure", "laser-fault": "exposure", "stage-stall": "move", "stage-servo-off": "move",
    "spectrometer-silent": "exposure", "spectrum-truncated": "exposure", "spectrum-stale": "exposure",
    "saturated": "exposure", "slow-reply": "reply", "garbage-reply": "reply", "late-reply": "reply",
    "connection-drop": "reply",
}
ONCE = {"garbage-reply", "late-reply", "connection-drop"}     # hit one reply, then are over


@dataclass
class Fault:
    """A fault that was asked for; it lets ``waits`` events pass before it acts."""

    name: str
    waits: int
    role: str | None = None     # only this instrument's replies; None means any
    acting: bool = False


@dataclass(frozen=True)
class Delivery:
    """How one reply leaves."""

    data: bytes
    delay_s: float = 0.0
    drop: bool = False          # close the connection instead


class FaultBoard:
    """All faults of one microscope."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._hooks: dict[str, Callable[[bool], None]] = {}

    def hook(self, name: str, act: Callable[[bool], None]) -> None:
        """Let ``act(True)`` break something when the fault begins and ``act(False)`` mend it when it is cleared."""
        self._hooks[name] = act

    def inject(self, name: str, after: int = 0, role: str | None = None) -> None:
        """Begin a fault now, or after so many events of its kind; raises ValueError for a name that is none."""
        if name not in EVENTS:
            raise ValueError(f"no fault is called {name!r}; choose one of {', '.join(EVENTS)}")
        fault = self._faults[name] = Fault(name, after, role)
        if after == 0:
            self._begin(fault)

    def clear(self) -> None:
        """End every fault; what an instrument has latched stays latched."""
        cleared, self._faults = self._faults, {}
        for fault in cleared.values():
            if fault.acting and fault.name in self._hooks:
                self._hooks[fault.name](False)

    def active(self, name: str) -> bool:
        """True while the fault acts."""
        fault = self._faults.get(name)
        return fault is not None and fault.acting

    def happened(self, event: str) -> None:
        """Count an event that is about to begin; a fault whose events are used up begins with the next one."""
        for fault in list(self._faults.values()):
            if EVENTS[fault.name] != event or fault.acting:
                continue
            if fault.waits > 0:
                fault.waits -= 1
            else:
                self._begin(fault)

    def deliver(self, role: str, reply: bytes) -> Delivery:
        """What the line does to a reply of an instrument."""
        acting = set()
        for fault in list(self._faults.values()):
            if EVENTS[fault.name] != "reply" or fault.role not in (None, role):
                continue
            if fault.waits > 0:
                fault.waits -= 1
                continue
            acting.add(fault.name)
            if fault.name in ONCE:
                del self._faults[fault.name]
        if "connection-drop" in acting:
            return Delivery(b"", drop=True)
        return Delivery(
            GARBAGE if "garbage-reply" in acting else reply,
            LATE_S if "late-reply" in acting else SLOW_S if "slow-reply" in acting else 0.0,
        )

    def _begin(self, fault: Fault) -> None:
        fault.acting = True
        if fault.name in self._hooks:
            self._hooks[fault.name](True)
