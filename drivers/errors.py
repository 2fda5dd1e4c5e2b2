"""What can go wrong with an instrument, as exceptions that name the device and say what to do.

Every message starts with the device as a person knows it: role, model and resource,
``stage pi-e727 (TCPIP::stage.lab::50000::SOCKET): …``. Nothing here talks to hardware.
"""


class InstrumentError(Exception):
    """Anything an instrument did or refused; ``device`` names it, ``problem`` is the sentence without the name."""

    def __init__(self, device: str, problem: str) -> None:
        super().__init__(f"{device}: {problem}")
        self.device = device
        self.problem = problem


class ConnectionLostError(InstrumentError):
    """Nobody answers on the line, or the line is gone."""


class WrongInstrumentError(InstrumentError):
    """Something answers, but it is not the model (or not the serial number) that was asked for."""


class RefusedError(InstrumentError):
    """The instrument understood and said no."""


class BadReplyError(InstrumentError):
    """An answer that the protocol does not allow: garbage, truncated, stale or out of turn."""


class LimitError(InstrumentError, ValueError):
    """A value outside what the instrument allows; raised before anything is sent."""


class MoveError(InstrumentError):
    """The stage did not arrive where it was sent."""


class InterlockError(InstrumentError):
    """The laser's interlock is open."""


class LaserFaultError(InstrumentError):
    """The laser reports a fault."""


class NotDarkError(InstrumentError):
    """Emission was switched off and the laser still says that it emits."""
