"""The two dialects of Cobolt 06-MLD heads: which words ask for the same thing, and in which unit.

Words that both understand are not here. Source: the manufacturer's open clients (pycobolt, Micro-Manager device
adapter).
"""

from collections.abc import Callable
from dataclasses import dataclass

from halidescope.drivers.instrument import number, whole
from halidescope.drivers.roles import LaserState

STATE_NUMBERS = {
    0: LaserState.OFF,
    1: LaserState.WAITING_FOR_KEY,
    2: LaserState.ON,
    3: LaserState.ON,      # on/off modulation
    4: LaserState.ON,      # modulation
    5: LaserState.FAULT,
    6: LaserState.OFF,     # start sequence aborted
}
# parts of the words of the 12 V dialect, the first that fits counts
STATE_WORDS = {
    "waitingforkey": LaserState.WAITING_FOR_KEY,
    "waitingfortemp": LaserState.WARMING,
    "laseron": LaserState.ON,
    "fault": LaserState.FAULT,
    "error": LaserState.FAULT,
    "standby": LaserState.OFF,
    "aborted": LaserState.OFF,
    "laseroff": LaserState.OFF,
    "off": LaserState.OFF,
}


def state_number(text: str) -> LaserState:
    """An operating state, 0 to 6."""
    return STATE_NUMBERS[whole(text)]


def state_word(text: str) -> LaserState:
    """An operating state in words, such as AutostartStandby."""
    for part, state in STATE_WORDS.items():
        if part in text.lower():
            return state
    raise ValueError(f"{text!r} is no known state")


def positive(text: str) -> float:
    """A power, not negative and not beyond any diode laser's."""
    power = number(text)
    if not 0 <= power < 1e4:
        raise ValueError("no diode laser has such a power")
    return power


@dataclass(frozen=True)
class Dialect:
    """One dialect.

    Attributes
    ----------
    name : str
    mw : float
        Milliwatts in the wire's unit of power.
    power, setpoint, set_setpoint, highest : str
        Words for the power now, the set-point, setting it, and the highest set-point.
    highest_mw : float
        Milliwatts in the unit of ``highest``.
    digits : int
        Decimals that a set-point is sent with.
    state : str
        Word for the operating state.
    parse_state : callable
    clear : str
        Word that clears a fault.
    direct_on : bool
        True if heads without a key are switched on by ``l1``, without the start sequence.
    """

    name: str
    mw: float
    power: str
    setpoint: str
    set_setpoint: str
    highest: str
    highest_mw: float
    digits: int
    state: str
    parse_state: Callable[[str], LaserState]
    clear: str
    direct_on: bool


FIVE_VOLT = Dialect(
    "5 V", 1e3, "pa?", "p?", "p", "gmlp?", 1.0, 6, "gom?", state_number, "cf", True
)
TWELVE_VOLT = Dialect(
    "12 V", 1.0, "laser:power:reading?", "laser:cp:power:setpoint?", "laser:cp:power:setpoint",
    "laser:cp:power:setpoint? max", 1.0, 3, "state?", state_word, "fault:clear", False,
)  # fmt: skip


def dialect_of(firmware: str) -> Dialect:
    """The dialect that a head with this firmware speaks."""
    return TWELVE_VOLT if "CAP-1004" in firmware or "/1004." in firmware else FIVE_VOLT
