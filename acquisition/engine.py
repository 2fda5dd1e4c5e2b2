"""The engine: one owner of the instruments, one thread, one measurement at a time.

Its life is in :mod:`halidescope.acquisition.states`; what happens during a measurement in
:mod:`halidescope.acquisition.measurement`, what waits in :mod:`halidescope.acquisition.waiting`, what a person may do
by hand in :mod:`halidescope.acquisition.manual`; the instruments come and go in
:mod:`halidescope.acquisition.connection`; commands come through :mod:`halidescope.acquisition.door`.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from halidescope.acquisition.analyst_process import AnalystProcess
from halidescope.acquisition.awake import ASK_S, Awake
from halidescope.acquisition.chain import Chain
from halidescope.acquisition.clock import Clock
from halidescope.acquisition.connection import Connection, Connector
from halidescope.acquisition.door import Door, StartCommand
from halidescope.acquisition.dose import DoseLedger
from halidescope.acquisition.endmembers import endmember_problems
from halidescope.acquisition.events import EventLog
from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.film_book import Film
from halidescope.acquisition.holding import Holding
from halidescope.acquisition.instruments import Instruments, connect_role
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.manual import Manual
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.plan import Plan, limits_of, make_plan, preflight_words
from halidescope.acquisition.problems import ProblemError, RefusedRunError, ScanFileError
from halidescope.acquisition.recipes import parse_recipe, parts_of
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.ring import RingWriter
from halidescope.acquisition.safety import Beam
from halidescope.acquisition.states import RunState, Status
from halidescope.acquisition.waiting import ItemState, QueueItem, Waiting, queue_path
from halidescope.drivers.errors import InstrumentError

IDLE_S = 1.0       # real seconds between two looks at idle instruments
SLACK_S = 2.0      # real seconds without a sign of life, beyond an announced exposure or wait, that are a hang
REQUEST_S = 2.6    # real seconds from a request to the next sign of life: longer than the longest wait for its answer


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
    films : Path, optional
        Folder of the films' books; without it a film is remembered as long as the engine lives.
    holding : Holding, optional
        The right to talk with the instruments; taken while they are connected.
    """

    def __init__(
        self, microscope: MicroscopeFile, *, guard: Guard, ring: RingWriter | None = None,
        connector: Connector = connect_role, films: Path | None = None,
        holding: Holding | None = None,
    ) -> None:
        self.microscope = microscope
        self.door = Door()
        self.clock = Clock(microscope.speed, sleep=self.door.sleep)
        self.events = EventLog(self.clock)
        self.ledger = DoseLedger(microscope.optics.waist_um)
        self.film = Film(films, microscope)
        self.ring = ring
        self.guard = guard
        self.runs = 0
        self.can_ask = False       # whether anybody can reach the door from outside, to answer a question
        self.connection = Connection(self, connector, holding)
        self.waiting = Waiting(queue_path(films, microscope), lambda problem: self.events.note(problem, "warning"))
        if self.waiting.held:
            self.events.note(f"queue: {self.waiting.waiting()} wait, {self.waiting.reason}", "warning")
        self.manual = Manual(self)
        self.analyst = AnalystProcess(lambda problem: self.events.note(problem, "warning"))
        self._status = Status(simulated=microscope.simulated, speed=microscope.speed)
        self.on_status: Callable[[Status], None] | None = None
        self._ident = threading.get_ident()      # of the thread whose signs of life count
        self.expected_by = time.monotonic() + SLACK_S
        self.began_s = 0.0

    @property
    def instruments(self) -> Instruments | None:
        """The connected instruments, if they are."""
        return self.connection.instruments

    @property
    def beam(self) -> Beam | None:
        """The light of the connected laser."""
        return self.connection.beam

    @property
    def facts(self) -> InstrumentFacts:
        """What the instruments said last."""
        return self.connection.facts

    # what others may ask, from any thread

    def status(self) -> Status:
        """The present moment, complete."""
        status, now_s = self._status, self.clock.now_s()
        dose = self.ledger.here(now_s)
        return msgspec.structs.replace(
            status, elapsed_s=now_s - self.began_s if status.state.busy else status.elapsed_s,
            events=len(self.events), connected=self.instruments is not None, film=self.film.name,
            question=self.door.question, dose_here_j_cm2=dose, photons_here_per_um2=dose * self.ledger.photons_per_um2,
            queue_waiting=self.waiting.waiting(), queue_held=self.waiting.held, queue_reason=self.waiting.reason,
        )

    def results(self, first: int) -> OnlineResults:
        """The online analysis of the running or last measurement."""
        return self.analyst.results(first)

    def enqueue(self, recipe: dict[str, object], out: str, *, resume: bool = False) -> QueueItem:
        """Put a measurement into the queue, if its files and the limits allow it as far as they are known.

        Raises
        ------
        ProblemError
            Why it will not be possible.
        """
        parsed = parse_recipe(recipe)
        plan = make_plan(parsed, self.microscope, Path(out), limits=self.connection.limits, resume=resume)
        if plan.violations:
            raise RefusedRunError("; ".join(plan.violations))
        item = self.waiting.add(
            recipe, out, title=plan.title, kind=plan.kind, duration_s=plan.duration_s, resume=resume
        )
        self.door.knock()
        return item

    def hold(self, on: bool) -> None:
        """Do not begin the next measurement of the queue, or let it go on."""
        self.waiting.hold(on)
        self.door.knock()

    def skip(self) -> None:
        """End the running measurement of the queue, dark, its file finished, and go on with the next."""
        if not self._status.state.busy or self._status.queue_item is None:
            raise ProblemError("engine: no measurement of the queue runs; abort ends one that was started by hand")
        self.door.skip()
        if self.beam is not None:
            self.beam.dark_now()

    def answer(self, question: int, choice: str) -> None:
        """Answer the question that the status shows."""
        self.door.answer(question, choice)

    def stop_stage(self) -> None:
        """Stop the stage now, while no measurement moves it; a move that is under way fails with where it stands."""
        if self._status.state.busy:
            raise ProblemError("engine: a measurement moves the stage; abort it instead")
        instruments = self.instruments
        if instruments is None:
            raise ProblemError("engine: the instruments are not connected; connect them first")
        instruments.stage.stop()

    def abort(self, reason: str = "aborted on request") -> None:
        """End the measurement: dark at once, then the file. Raises NotDarkError if darkness cannot be proven."""
        if self._status.live:
            self.dark_now()
            return
        if not self._status.state.busy:
            raise ProblemError("engine: nothing runs that could be aborted")
        self.door.abort(reason)
        if self.beam is not None:
            self.beam.dark_now()

    def end_light(self, reason: str) -> None:
        """Switch emission off and prove it, because of something that the engine noticed; raises NotDarkError."""
        self.waiting.hold(True, reason)
        self.door.abort(reason)
        if self.beam is not None:
            self.beam.dark_now()
        self.events.note(f"{reason}: emission proven off", "error")

    def dark_now(self) -> None:
        """Switch emission off and prove it, whatever runs. Raises NotDarkError."""
        if self.waiting.waiting():      # first, so that no measurement is taken from the queue after the next line
            self.waiting.hold(True, "darkness was asked for")
        self.door.abort("darkness was asked for")      # void if nothing runs: a start clears it
        beam = self.connection.light
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
        if (question := self.door.question) is not None:
            raise ProblemError(f"engine: waits for an answer: {question.text}; choose {' or '.join(question.choices)}")
        self.door.resume()

    # the engine's own thread

    def publish(self, **changes: object) -> None:
        """Change the status; the caller is the engine's thread."""
        beam = self.connection.light
        if beam is not None:
            changes |= {
                "emission": beam.on, "sample_power_uw": beam.sample_power_uw if beam.on else 0.0,
                "irradiance_w_cm2": beam.irradiance_w_cm2,
            }
        self._status = msgspec.structs.replace(self._status, **changes)
        if self.on_status is not None:
            self.on_status(self.status())

    def tell_dark(self) -> None:
        """Change the status: emission is proven off; any thread."""
        self._status = msgspec.structs.replace(self._status, emission=False, sample_power_uw=0.0)

    def expect(self, real_s: float) -> None:
        """Sign of life: the next one comes within ``real_s`` seconds of real time."""
        self.expected_by = time.monotonic() + real_s + SLACK_S

    def alive(self) -> None:
        """Sign of life before every request to an instrument; what was announced before stays.

        Raises DarknessAskedError while light comes on that was forbidden meanwhile.
        """
        if threading.get_ident() == self._ident:
            self.expected_by = max(self.expected_by, time.monotonic() + REQUEST_S)
            if (slept_s := self.clock.slept_s()) > 0:
                self._woke(slept_s)
            if self.beam is not None:
                self.beam.look()

    def _woke(self, slept_s: float) -> None:
        """The computer slept: whatever was lit stayed so, unseen, and is counted up to now."""
        said = f"the computer slept for {slept_s:.0f} s"
        if self.beam is not None and self.beam.on:
            self.end_light(f"{said} with the laser lit; switch its sleep off, and look at the dose of that spot")
        else:
            self.events.note(said, "warning")

    def run(self) -> None:
        """Serve until asked to quit, then leave everything dark and closed."""
        self._ident = threading.get_ident()
        next_look = 0.0
        self.change_film("")
        self.analyst.start()
        try:
            while not self.door.quitting:
                self.door.look()
                self.expect(IDLE_S)
                self.serve_orders()
                if (command := self.door.next_start()) is not None:
                    self.door.clear()
                    self._take_up(command)
                    next_look = 0.0
                elif self.next_waits and self.door.occupy():
                    self._take_next()
                    next_look = 0.0
                elif self.manual.live_wanted:
                    self.manual.show()
                else:
                    if time.monotonic() >= next_look:
                        self.connection.look_around()
                        next_look = time.monotonic() + IDLE_S
                    self.door.sleep(IDLE_S)
        finally:
            self.door.shut()
            self.connection.close()
            self.rest()
            self.ledger.keep(None)
            self.film.close()
            self.analyst.close()

    def change_film(self, name: str, *, remounted: bool = False) -> None:
        """Another film is under the objective, or the same was taken off and put back; the engine's thread, idle."""
        self.manual.end_live()
        self.ledger.keep(None)
        try:
            spots = self.film.change(name, anew=remounted)
        except ScanFileError as error:
            self.events.note(str(error), "error")
            spots = []
        self.ledger.change_film(spots)
        if name or spots:
            most = max((spot.dose_j_cm2 for spot in spots), default=0.0)
            what = f"film '{name}'" if name else "film without a name"
            self.events.note(f"{what}: {len(spots)} spots have had light before, up to {most:.4g} J/cm²")
        self.rest()

    def rest(self) -> None:
        """No measurement runs: the film's book is up to date, and light from now on is written down there."""
        self.ledger.keep(None)      # a window may ask for the dose while the film changes its page
        try:
            page = self.film.rest(self.ledger.spots(), self.clock.utc_s)
        except ScanFileError as error:
            self.events.note(str(error), "error")
            return
        self.ledger.keep(page)
        self.guard.journal(self.film.idle)

    def serve_orders(self) -> None:
        """Do what was ordered meanwhile; the caller is the engine's thread, and no measurement runs."""
        while (order := self.door.next_order()) is not None:
            try:
                order.done.set_result(order.call())
            except (ProblemError, InstrumentError) as error:
                order.done.set_exception(error)
            except BaseException as error:
                order.done.set_exception(error)
                raise

    @property
    def next_waits(self) -> bool:
        """True if a measurement of the queue may begin."""
        return not self.waiting.held and self.waiting.waiting() > 0

    def _take_next(self) -> None:
        """Run the next measurement of the queue."""
        self.door.clear()
        taken = self.waiting.take()
        if taken is None:      # held or removed meanwhile
            self.door.free()
            return
        item, recipe = taken
        self._take_up(StartCommand(recipe, item.out, item.resume), item.id)

    def _take_up(self, command: StartCommand, item: int | None = None) -> None:
        """Accept a measurement and run it, or say why not; ``item`` is its number in the queue."""
        self.serve_orders()      # those that came before the door was closed for them
        self.manual.end_live()
        try:
            try:
                chain = self._accept(command, item)
            except (ProblemError, InstrumentError) as error:
                self.events.note(f"not started: {error}", "error")
                self._over(item, ItemState.REFUSED, f"not started: {error}")
                command.accepted.set_exception(error)
                return
            self.expect(ASK_S)
            with Awake() as awake:
                command.accepted.set_result(None)      # from here on an abort finds a measurement
                state, reason = chain.run(awake.told)
            self.rest()
            skipped = self.door.skip_wanted and state is RunState.ABORTED
            self._over(item, ItemState.SKIPPED if skipped else ItemState(state.value), reason)
            self.publish(state=state, reason=reason, elapsed_s=self.clock.now_s() - self.began_s, remaining_s=0.0)
        finally:
            self.publish(queue_item=None)
            self.door.free()

    def _over(self, item: int | None, became: ItemState, reason: str) -> None:
        """Tell the queue what became of a measurement; it holds if somebody has to look first."""
        if item is not None:
            self.waiting.ended(item, became, reason)
        if not became.good and self.waiting.waiting() and not self.waiting.held:
            self.waiting.hold(True, f"the one before was {became}: {reason}" if reason else f"the one before {became}")
            self.events.note(f"queue: holds, {self.waiting.reason}", "warning")

    def _accept(self, command: StartCommand, item: int | None) -> Chain:
        recipe = parse_recipe(command.recipe)
        out = Path(command.out)
        early = make_plan(recipe, self.microscope, out, resume=command.resume)
        if early.violations:
            raise RefusedRunError("; ".join(early.violations))
        self.connection.connect()
        assert self.instruments is not None
        assert self.beam is not None
        plan = make_plan(
            recipe, self.microscope, out, limits=limits_of(self.instruments), resume=command.resume
        )
        if plan.violations:
            raise RefusedRunError("; ".join(plan.violations))
        parts = parts_of(recipe)
        if any(part.sample_power_uw > 0 for part in parts):
            self.beam.require_ready()
        if problems := endmember_problems(recipe, self.instruments.spectrometer.wavelength_nm):
            raise RefusedRunError("; ".join(problems))
        film = recipe.sample.name
        if film and film != self.film.name:
            self.change_film(film)
        chain = Chain(self, recipe, out, resume=command.resume)
        self.events.note(preflight_words(plan, out))
        self.beam.allow()
        self.began_s = self.clock.now_s()
        self._status = msgspec.structs.replace(self._status, done=0, done_before=0, reason="", queue_item=item)
        first = chain.parts[0]
        self.begin(first.plan, first.out, first.number, len(chain.parts), first.done)
        return chain

    def begin(self, plan: Plan, out: Path, part: int, parts: int, done: int) -> None:
        """A part of a recipe begins, or goes on, with some spectra done; the caller is the engine's thread."""
        was = self._status
        if (was.file, was.part, was.state) == (str(out), part, RunState.PREPARING):
            return      # announced when it was accepted
        self.runs += 1
        try:
            self.film.measuring(self.ledger.spots(), journal_path(out))
        except ScanFileError as error:
            self.events.note(str(error), "error")
        self.publish(
            state=RunState.PREPARING, run=self.runs, reason="", measurement=plan.title, kind=plan.kind, file=str(out),
            done=done,
            total=plan.spectra, part=part, parts=parts, done_before=was.done_before + was.done,
            remaining_s=plan.duration_s, elapsed_s=self.clock.now_s() - self.began_s,
        )
