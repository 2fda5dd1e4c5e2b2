"""The engine: one owner of the instruments, one thread, one measurement at a time.

Its life is in :mod:`halidescope.acquisition.states`; what happens during a measurement in
:mod:`halidescope.acquisition.measurement`; commands come through :mod:`halidescope.acquisition.door`.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from halidescope.acquisition.analyst import choose_endmembers
from halidescope.acquisition.analyst_process import AnalystProcess
from halidescope.acquisition.awake import Awake
from halidescope.acquisition.chain import Chain
from halidescope.acquisition.clock import Clock
from halidescope.acquisition.door import Door, StartCommand
from halidescope.acquisition.dose import DoseLedger
from halidescope.acquisition.events import EventLog
from halidescope.acquisition.instruments import Instruments, Role, SignOfLife, connect, connect_role
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.plan import Plan, limits_of, make_plan
from halidescope.acquisition.problems import ProblemError, RefusedRunError
from halidescope.acquisition.recipes import parse_recipe, parts_of
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.ring import RingWriter
from halidescope.acquisition.safety import Beam
from halidescope.acquisition.states import RunState, Status
from halidescope.drivers.errors import InstrumentError

IDLE_S = 1.0       # real seconds between two looks at idle instruments
SLACK_S = 2.0      # real seconds without a sign of life, beyond an announced exposure or wait, that are a hang


class Guard(Protocol):
    """Whoever watches over the engine; told before light goes on and after it is proven off."""

    def lit(self, lit: bool) -> None:
        """The light is about to go on, or is proven off."""

    def journal(self, path: Path | None) -> None:
        """The journal of the running measurement."""


class Engine:
    """Runs measurements on the instruments of one microscope file.

    :meth:`run` is the engine's thread. :meth:`status`, :meth:`results`, :meth:`dark_now` and the door may be used from
    any thread.

    Parameters
    ----------
    connector : callable
        Connects the instrument of a role of the microscope file; given a sign of life to call before every request.
    """

    def __init__(
        self, microscope: MicroscopeFile, *, guard: Guard, ring: RingWriter | None = None,
        connector: Callable[[MicroscopeFile, Role, SignOfLife], Any] = connect_role,
    ) -> None:
        self.microscope = microscope
        self.door = Door()
        self.clock = Clock(microscope.speed, sleep=self.door.sleep)
        self.events = EventLog(self.clock)
        self.ledger = DoseLedger(microscope.optics.waist_um)
        self.ring = ring
        self.guard = guard
        self.runs = 0
        self.can_ask = False       # whether anybody can reach the door from outside, to answer a question
        self.instruments: Instruments | None = None
        self.beam: Beam | None = None
        self.analyst = AnalystProcess(lambda problem: self.events.note(problem, "warning"))
        self._connector = connector
        self._status = Status(simulated=microscope.simulated, speed=microscope.speed)
        self.on_status: Callable[[Status], None] | None = None
        self._ident = threading.get_ident()      # of the thread whose signs of life count
        self.expected_by = time.monotonic() + SLACK_S
        self.began_s = 0.0

    # what others may ask, from any thread

    def status(self) -> Status:
        """The present moment, complete."""
        status = self._status
        elapsed_s = self.clock.now_s() - self.began_s if status.state.busy else status.elapsed_s
        return msgspec.structs.replace(status, elapsed_s=elapsed_s, events=len(self.events))

    def results(self, first: int) -> OnlineResults:
        """The online analysis of the running or last measurement."""
        return self.analyst.results(first)

    def abort(self, reason: str = "aborted on request") -> None:
        """End the measurement: dark at once, then the file. Raises NotDarkError if darkness cannot be proven."""
        if not self._status.state.busy:
            raise ProblemError("engine: nothing runs that could be aborted")
        self.door.abort(reason)
        if self.beam is not None:
            self.beam.dark_now()

    def dark_now(self) -> None:
        """Switch emission off and prove it, whatever runs. Raises NotDarkError."""
        self.door.abort("darkness was asked for")      # void if nothing runs: a start clears it
        beam = self.beam
        if beam is not None:
            beam.dark_now()
        self.events.note("dark now: emission proven off" if beam else "dark now: no laser is connected")

    def pause(self) -> None:
        """Beam off after the present exposure."""
        if self._status.state is not RunState.RUNNING:
            raise ProblemError(f"engine: is {self._status.state}, only a running measurement can pause")
        self.door.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        if self._status.state is not RunState.PAUSED and not self.door.pause_wanted:
            raise ProblemError(f"engine: is {self._status.state}, nothing waits to be resumed")
        self.door.resume()

    # the engine's own thread

    def publish(self, **changes: object) -> None:
        """Change the status; the caller is the engine's thread."""
        beam = self.beam
        if beam is not None:
            changes |= {
                "emission": beam.on, "sample_power_uw": beam.sample_power_uw if beam.on else 0.0,
                "irradiance_w_cm2": beam.irradiance_w_cm2,
            }
        self._status = msgspec.structs.replace(self._status, **changes)
        if self.on_status is not None:
            self.on_status(self.status())

    def expect(self, real_s: float) -> None:
        """Sign of life: the next one comes within ``real_s`` seconds of real time."""
        self.expected_by = time.monotonic() + real_s + SLACK_S

    def alive(self) -> None:
        """Sign of life before every request to an instrument; what was announced before stays."""
        if threading.get_ident() == self._ident:
            self.expected_by = max(self.expected_by, time.monotonic() + SLACK_S)

    def connect_one(self, role: Role) -> Any:
        """A new connection to one instrument. Raises InstrumentError, BadFileError."""
        return self._connector(self.microscope, role, self.alive)

    def run(self) -> None:
        """Serve until asked to quit, then leave everything dark and closed."""
        self._ident = threading.get_ident()
        next_look = 0.0
        self.analyst.start()
        try:
            while not self.door.quitting:
                self.door.look()
                self.expect(IDLE_S)
                command = self.door.next_start()
                if command is not None:
                    self._take_up(command)
                    next_look = 0.0
                    continue
                if time.monotonic() >= next_look:
                    self._look_around()
                    next_look = time.monotonic() + IDLE_S
                self.door.sleep(IDLE_S)
        finally:
            self.door.shut()
            self.disconnect()
            self.analyst.close()

    def _take_up(self, command: StartCommand) -> None:
        """Accept a measurement and run it, or say why not."""
        self.door.clear()
        try:
            try:
                chain = self._accept(command)
            except (ProblemError, InstrumentError) as error:
                self.events.note(f"not started: {error}", "error")
                command.accepted.set_exception(error)
                return
            with Awake(self.events.note):
                command.accepted.set_result(None)
                state, reason = chain.run()
            self.publish(state=state, reason=reason, elapsed_s=self.clock.now_s() - self.began_s, remaining_s=0.0)
        finally:
            self.door.free()

    def _accept(self, command: StartCommand) -> Chain:
        recipe = parse_recipe(command.recipe)
        out = Path(command.out)
        early = make_plan(recipe, self.microscope, out, resume=command.resume)
        if early.violations:
            raise RefusedRunError("; ".join(early.violations))
        self.connect()
        assert self.instruments is not None
        assert self.beam is not None
        plan = make_plan(
            recipe, self.microscope, out, limits=limits_of(self.instruments), resume=command.resume
        )
        if plan.violations:
            raise RefusedRunError("; ".join(plan.violations))
        self.beam.require_ready()
        for part in parts_of(recipe):      # raises if a reference is no good
            choose_endmembers(part, self.instruments.spectrometer.wavelength_nm)
        chain = Chain(self, recipe, out, resume=command.resume)
        self.beam.allow()
        self.began_s = self.clock.now_s()
        self._status = msgspec.structs.replace(self._status, done=0, done_before=0, reason="")
        first = chain.parts[0]
        self.begin(first.plan, first.out, first.number, len(chain.parts), first.done)
        return chain

    def begin(self, plan: Plan, out: Path, part: int, parts: int, done: int) -> None:
        """A part of a recipe begins, or goes on, with some spectra done; the caller is the engine's thread."""
        was = self._status
        if (was.file, was.part, was.state) == (str(out), part, RunState.PREPARING):
            return      # announced when it was accepted
        self.runs += 1
        self.publish(
            state=RunState.PREPARING, run=self.runs, reason="", measurement=plan.title, kind=plan.kind, file=str(out),
            done=done,
            total=plan.spectra, part=part, parts=parts, done_before=was.done_before + was.done,
            remaining_s=plan.duration_s, elapsed_s=self.clock.now_s() - self.began_s,
        )

    def connect(self) -> None:
        """Connect the instruments, if they are not or if the connection of last time is dead."""
        if self._answering():
            return
        self.disconnect()
        self.expect(60.0)
        self.instruments = connect(self.microscope, self.connect_one)
        self.beam = Beam(
            self.microscope, self.instruments.laser, self.clock, self.ledger,
            reconnect=lambda: self.connect_one("laser"), announce=self.guard.lit,
        )
        who = ", ".join(f"{role} {one['model']} {one['serial']}" for role, one in self.instruments.identities().items())
        self.events.note(f"connected: {who}")
        if self.ring is not None:
            self.ring.set_axis(self.instruments.spectrometer.wavelength_nm)

    def _answering(self) -> bool:
        """Whether all three instruments are connected and still answer."""
        if self.instruments is None or self.beam is None:
            return False
        self.instruments.laser = self.beam.laser       # the beam may have had to connect it anew
        self.expect(0.0)
        try:
            answers = (
                self.instruments.laser.emission, self.instruments.stage.position_um,
                self.instruments.spectrometer.exposure_s,
            )
        except InstrumentError as error:
            self.events.note(f"connecting again: {error}", "warning")
            return False
        return all(answer is not None for answer in answers)

    def disconnect(self) -> None:
        """Leave the laser dark and close the ports."""
        if self.instruments is None or self.beam is None:
            return
        try:
            self.beam.darken()
        except InstrumentError as error:
            self.events.note(str(error), "error")
        self.instruments.laser = self.beam.laser
        try:
            self.instruments.close()
        except InstrumentError as error:
            self.events.note(f"while closing: {error}", "warning")
        self.instruments = self.beam = None

    def _look_around(self) -> None:
        """Show what idle instruments say."""
        if self.instruments is None or self.beam is None:
            return
        laser = self.beam.laser
        try:
            changes = {
                "laser_state": laser.state.value, "interlock_closed": laser.interlock_closed,
                "position_um": self.instruments.stage.position_um,
            }
            if laser.emission:
                self.events.note("emission was on outside a measurement; switched off", "warning")
                self.beam.darken()
        except InstrumentError as error:
            self.events.note(f"connection given up while idle: {error}", "warning")
            self.disconnect()
            self.publish(laser_state="", interlock_closed=None, position_um=None)
            return
        self.publish(**changes)
