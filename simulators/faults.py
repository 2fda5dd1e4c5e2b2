"""Breaking things on purpose: which faults there are, when they begin, and what they do to replies on the wire.

A fault acts from its injection on, or after ``after`` more events of its kind, until it is cleared. Those of the
instruments act through hooks or are asked for by name; those of the line act here, on whole replies. Delays are real
seconds: a slow line does not get faster with the simulation.
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
    delay_s: float | None = None    # of a slow or late reply, real seconds
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
        self._offered = {name for name, event in EVENTS.items() if event == "reply"}

    def offer(self, name: str, act: Callable[[bool], None] | None = None) -> None:
        """An instrument can have this fault.

        ``act(True)`` breaks something when the fault begins, ``act(False)`` mends it when it is cleared; without it the
        instrument asks :meth:`active`.
        """
        self._offered.add(name)
        if act is not None:
            self._hooks[name] = act

    def inject(
        self, name: object, after: int = 0, *, role: str | None = None, delay_s: float | None = None
    ) -> None:
        """Begin a fault now, or after so many events of its kind.

        ``role`` keeps a fault of the line to one instrument, ``delay_s`` is how late a slow or late reply is in real
        seconds. Raises ValueError if nothing here can have the fault.
        """
        if not isinstance(name, str) or name not in self._offered:
            allowed = ", ".join(fault for fault in EVENTS if fault in self._offered)
            raise ValueError(f"nothing here can have the fault {name!r}; choose one of {allowed}")
        fault = self._faults[name] = Fault(name, after, role, delay_s)
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
        acting: dict[str, Fault] = {}
        for fault in list(self._faults.values()):
            if EVENTS[fault.name] != "reply" or fault.role not in (None, role):
                continue
            if fault.waits > 0:
                fault.waits -= 1
                continue
            acting[fault.name] = fault
            if fault.name in ONCE:
                del self._faults[fault.name]
        if "connection-drop" in acting:
            return Delivery(b"", drop=True)
        delay_s = 0.0
        for name, usual_s in (("slow-reply", SLOW_S), ("late-reply", LATE_S)):
            if name in acting:
                asked = acting[name].delay_s
                delay_s = max(delay_s, usual_s if asked is None else asked)
        return Delivery(GARBAGE if "garbage-reply" in acting else reply, delay_s)

    def _begin(self, fault: Fault) -> None:
        fault.acting = True
        if fault.name in self._hooks:
            self._hooks[fault.name](True)
