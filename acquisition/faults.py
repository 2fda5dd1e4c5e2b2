"""What is done about a fault in mid-run, per class of fault: declared here, changed in the microscope file.

A class of fault goes through its remedies in this order: so many tries again, so many new connections, then one of
*skip* (leave the point out, with the reason; ``--resume`` takes it later), *ask* (stay dark until a person answers) and
*stop* (dark, then the file; ``--resume`` goes on). Who carries it out is :mod:`halidescope.acquisition.mending`.

In the light only a question or an exposure is repeated, whose answer was no good: it takes no longer than one exposure.
Everything else begins with emission off and proven. Never up to a policy: a laser that cannot be proven dark, another
instrument than before, a limit, a disk that takes no more. They stop.
"""

from collections import Counter
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from halidescope.drivers.errors import (
    BadReplyError,
    ConnectionLostError,
    InstrumentError,
    InterlockError,
    LaserFaultError,
    MoveError,
    RefusedError,
)

SKIPPED = "left out after a fault: "     # how the reason of every point begins that a fault cost


class FaultClass(StrEnum):
    """Faults that a policy can be set for; the values are the keys in the microscope file."""

    REPLY = "reply"
    CONNECTION = "connection"
    MOVE = "move"
    REFUSED = "refused"
    INTERLOCK = "interlock"
    LASER_FAULT = "laser_fault"


CLASSES: tuple[tuple[type[InstrumentError], FaultClass], ...] = (
    (BadReplyError, FaultClass.REPLY),
    (ConnectionLostError, FaultClass.CONNECTION),
    (MoveError, FaultClass.MOVE),
    (RefusedError, FaultClass.REFUSED),
    (InterlockError, FaultClass.INTERLOCK),
    (LaserFaultError, FaultClass.LASER_FAULT),
)
DEFAULTS: dict[str, dict[str, Any]] = {
    "reply": {"retries": 2, "reconnections": 1, "then": "skip"},
    "connection": {"retries": 0, "reconnections": 3, "then": "stop"},
    "move": {"retries": 1, "reconnections": 0, "then": "skip"},
    "refused": {"retries": 0, "reconnections": 1, "then": "stop"},
    "interlock": {"retries": 0, "reconnections": 0, "then": "ask"},
    "laser_fault": {"retries": 0, "reconnections": 0, "then": "stop"},
}


class Remedy(StrEnum):
    """What is done next."""

    RETRY = "retry"
    RECONNECT = "reconnect"
    SKIP = "skip"
    ASK = "ask"
    STOP = "stop"


class Policy(BaseModel):
    """What is done about one class of fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retries: int = Field(0, ge=0, le=20, description="how often it is tried again on the same connection")
    reconnections: int = Field(0, ge=0, le=20, description="how often the instrument is connected anew, in the dark")
    then: Literal["skip", "ask", "stop"] = Field("stop", description="what is done when all that did not help")


class FaultsTable(BaseModel):
    """Table ``[faults]`` of the microscope file: one table per class, and what holds for all."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    reply: Policy = Policy(**DEFAULTS["reply"])
    connection: Policy = Policy(**DEFAULTS["connection"])
    move: Policy = Policy(**DEFAULTS["move"])
    refused: Policy = Policy(**DEFAULTS["refused"])
    interlock: Policy = Policy(**DEFAULTS["interlock"])
    laser_fault: Policy = Policy(**DEFAULTS["laser_fault"])
    skips_in_a_row: int = Field(3, ge=0, le=1000, description="points that may be skipped in a row; one more stops")
    ask_within_s: float = Field(3600.0, gt=0, description="real seconds that a question waits, then the run is stopped")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """A class that is given in part keeps its own defaults for the rest."""
        if not isinstance(given, dict):
            return given
        return {
            name: {**DEFAULTS[name], **value} if name in DEFAULTS and isinstance(value, dict) else value
            for name, value in given.items()
        }

    def policy(self, kind: FaultClass) -> Policy:
        """The policy of a class."""
        policy: Policy = getattr(self, kind.value)
        return policy


def class_of(error: InstrumentError) -> FaultClass | None:
    """The class of a fault; None if it always stops."""
    return next((kind for error_type, kind in CLASSES if isinstance(error, error_type)), None)


class Tries:
    """How far one action has got through its remedies, per class of fault."""

    def __init__(self, table: FaultsTable) -> None:
        self._table = table
        self._used: Counter[tuple[FaultClass, Remedy]] = Counter()

    def next(self, kind: FaultClass) -> tuple[Remedy, str]:
        """The next remedy, and its words for an event: ``try 1 of 2``."""
        policy = self._table.policy(kind)
        for remedy, allowed, words in (
            (Remedy.RETRY, policy.retries, "tried again"), (Remedy.RECONNECT, policy.reconnections, "connected anew"),
        ):
            if self._used[kind, remedy] < allowed:
                self._used[kind, remedy] += 1
                return remedy, f"{words}, {self._used[kind, remedy]} of {allowed}"
        return Remedy(policy.then), policy.then

    def forget(self) -> None:
        """A person had a hand in it: all remedies anew."""
        self._used.clear()
