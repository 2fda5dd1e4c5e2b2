"""A simulated ASI Tiger rack: a communication card and one card for the stage, behind one port.

Sources: Micro-Manager's ASITiger adapter, asitiger and TigerASI. Commands that name axes find their card; those that
name none (the scan module, TTL, build of a card) are meant for a card and carry its address, 1 here, in front. What the
stage does is in :mod:`halidescope.simulators.asi`, the commands in :mod:`halidescope.simulators.asi_commands`.
"""

from halidescope.simulators.asi_commands import Arguments, AsiError, AsiRefusedError, AsiSession, Ms2000

COMMUNICATION, STAGE = "0", "1"
VERSIONS = {COMMUNICATION: ":A v3.21 ", STAGE: ":A v3.39 "}
RACK = (
    "TIGER_COMM", "Motor Axes: X Y", "Axis Types: x x", "Axis Addr: 1 1", "Hex Addr: 31 31", "Axis Props: 10 10",
)
CARD = (
    "STD_XY", "Motor Axes: X Y", "CMDS: XYFTR", "BootLdr V:0", "Hdwr REV.E", "SCAN MODULE", "RING BUFFER", "IN0_INT",
)
OF_A_CARD = frozenset({"SCAN", "SCANR", "SCANV", "TTL"})


class Tiger(Ms2000):
    """The rack as a device on the wire."""

    def session(self) -> "TigerSession":
        """A parser for a new connection."""
        return TigerSession(self)


class TigerSession(AsiSession):
    """Lines in, one reply each out."""

    def __init__(self, controller: Tiger) -> None:
        super().__init__(controller)
        self._card = COMMUNICATION
        self.commands |= {"V": self._version, "BU": self._build}

    def check(self, card: str, word: str) -> None:
        """Refuse a command that nobody knows, or that is for a card that is not there, or for none."""
        super().check(card, word)
        self._card = card or COMMUNICATION
        if word in OF_A_CARD and self._card != STAGE:
            raise AsiRefusedError(AsiError.UNKNOWN_COMMAND)     # the communication card has no such command

    def _version(self, arguments: Arguments) -> str:
        return VERSIONS[self._card]

    def _build(self, arguments: Arguments) -> str:
        lines = CARD if self._card == STAGE else RACK
        return "\r".join(lines) + " " if arguments else f":A {lines[0]} "
