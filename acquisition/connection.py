"""The engine's instruments: connected, asked whether they are still there, given back dark.

Everything here runs in the engine's thread, but for what the beam says when it is dark at last.
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from halidescope.acquisition.facts import InstrumentFacts, facts_of
from halidescope.acquisition.holding import Holding
from halidescope.acquisition.instruments import Instruments, Role, SignOfLife, connect
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.plan import Limits, limits_of
from halidescope.acquisition.safety import Beam
from halidescope.drivers.errors import InstrumentError

if TYPE_CHECKING:
    from halidescope.acquisition.engine import Engine

CONNECT_S = 60.0      # real seconds that connecting three instruments may take

Connector = Callable[[MicroscopeFile, Role, SignOfLife], Any]


class Connection:
    """Connects the instruments of an engine's microscope file, and lets go of them.

    Attributes
    ----------
    instruments, beam : Instruments, Beam
        None while nothing is connected.
    facts : InstrumentFacts
        What the instruments said last.
    limits : Limits
        Of the instruments when they were last connected.
    """

    def __init__(self, engine: "Engine", connector: Connector, holding: Holding | None) -> None:
        self._engine, self._connector, self._holding = engine, connector, holding
        self.instruments: Instruments | None = None
        self.beam: Beam | None = None
        self._lost: Beam | None = None         # of a former connection, not proven dark
        self.facts = InstrumentFacts(connected=False, simulated=engine.microscope.simulated)
        self.limits: Limits | None = None

    @property
    def light(self) -> Beam | None:
        """The beam that may be lit: of this connection, or of a former one that could not be proven dark."""
        return self.beam or self._lost

    def connect_one(self, role: Role) -> Any:
        """A new connection to one instrument. Raises InstrumentError, BadFileError."""
        return self._connector(self._engine.microscope, role, self._engine.alive)

    def connect(self) -> None:
        """Connect the instruments, if they are not or if the connection of last time is dead."""
        if self._answering():
            return
        self.disconnect()
        engine = self._engine
        engine.expect(CONNECT_S)
        if self._holding is not None:
            self._holding.take()
        if self._lost is not None:      # whoever connects switches off, and proves it
            self._lost.give_up()
        try:
            instruments = connect(engine.microscope, self.connect_one)
        except BaseException:
            self._give_back()
            if self._lost is not None:
                self._lost.insist()
            raise
        self._lost = None
        beam = Beam(
            engine.microscope, instruments.laser, engine.clock, engine.ledger,
            reconnect=lambda: self.connect_one("laser"), announce=engine.guard.lit, told=self._dark_at_last,
            alive=engine.alive,
        )
        engine.guard.lit(False)
        with ExitStack() as unless_complete:
            unless_complete.callback(self._give_back)
            unless_complete.callback(instruments.close)
            self.limits = limits_of(instruments)
            engine.ledger.wavelength_nm = instruments.laser.wavelength_nm
            engine.ledger.moving_to(engine.clock.now_s(), *instruments.stage.position_um)
            if engine.ring is not None:
                engine.ring.set_axis(instruments.spectrometer.wavelength_nm)
            self._ask(instruments)
            unless_complete.pop_all()
        self.instruments, self.beam = instruments, beam     # last: whoever sees them finds the rest
        who = ", ".join(f"{role} {one['model']} {one['serial']}" for role, one in instruments.identities().items())
        engine.events.note(f"connected: {who}")

    def _ask(self, instruments: Instruments) -> InstrumentFacts:
        """What the instruments say now; raises InstrumentError."""
        self.facts = facts_of(instruments, self._engine.microscope, self._engine.clock.wall().isoformat())
        return self.facts

    def _answering(self) -> bool:
        """Whether all three instruments are connected and still answer."""
        if self.instruments is None or self.beam is None:
            return False
        self.instruments.laser = self.beam.laser       # the beam may have had to connect it anew
        self._engine.expect(0.0)
        try:
            answers = (
                self.instruments.laser.emission, self.instruments.stage.position_um,
                self.instruments.spectrometer.exposure_s,
            )
        except InstrumentError as error:
            self._engine.events.note(f"connecting again: {error}", "warning")
            return False
        return all(answer is not None for answer in answers)

    def look_around(self) -> None:
        """Show what idle instruments say; a laser that emits then is switched off."""
        if self.instruments is None or self.beam is None:
            return
        self.instruments.laser = self.beam.laser       # the beam may have had to connect it anew
        try:
            facts = self._ask(self.instruments)
            if facts.laser is not None and facts.laser.emission:
                self._engine.events.note("emission was on outside a measurement; switched off", "warning")
                self.beam.darken()
        except InstrumentError as error:
            self._engine.events.note(f"connection given up while idle: {error}", "warning")
            self.disconnect()
            return
        if facts.laser is not None and facts.stage is not None:
            self._engine.publish(
                laser_state=facts.laser.state, interlock_closed=facts.laser.interlock_closed,
                position_um=facts.stage.position_um,
            )

    def disconnect(self) -> None:
        """Leave the laser dark and close the ports."""
        if self.instruments is None or self.beam is None:
            return
        engine = self._engine
        try:
            self.beam.darken()
            self.beam.retire()
        except InstrumentError as error:
            engine.events.note(str(error), "error")
            self._lost = self.beam
        self.instruments.laser = self.beam.laser
        try:
            self.instruments.close()
        except InstrumentError as error:
            engine.events.note(f"while closing: {error}", "warning")
        self.instruments = self.beam = None
        self._give_back()
        engine.manual.end_live()
        self.facts = msgspec.structs.replace(self.facts, connected=False)
        engine.publish(laser_state="", interlock_closed=None, position_um=None, emission=False, sample_power_uw=0.0)

    def close(self) -> None:
        """Disconnect for good; what is not proven dark then is left to the watchdog, which hears so in the farewell."""
        self.disconnect()
        if self._lost is not None:
            self._lost.give_up()

    def _dark_at_last(self, sentence: str) -> None:
        """What could not be proven dark is; called by a thread of the beam's own."""
        self._engine.events.note(sentence, "warning")
        self._engine.tell_dark()
        lost = self._lost
        if lost is not None:
            with suppress(InstrumentError):      # nobody needs this connection
                lost.laser.close()

    def _give_back(self) -> None:
        if self._holding is not None:
            self._holding.give_back()
