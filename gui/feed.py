"""The only place of the window that knows the engine's door and ring: data and answers come out as signals.

Spectra are polled from the shared-memory ring 30 times a second, in the window's thread: that never waits. Everything
that goes through the door may wait, and has lanes of its own: one for status and results, one for orders, one for what
is done by hand, one for *dark now*, which must not queue behind anything, and one for files.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Qt, QTimer, Signal

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.ring import LIVE_RUN
from halidescope.acquisition.waiting import QueueItem
from halidescope.drivers.errors import InstrumentError
from halidescope.gui.lane import Lane
from halidescope.gui.link import Engine, Opened, Opening, Ring
from halidescope.gui.moment import Known, Moment, measurement_of, moment_of
from halidescope.gui.run_data import read_whole

RING_PERIOD_MS = 33
STATUS_PERIOD_MS = 200
LOST_AFTER = 3   # polls in a row without an answer
FACTS_EVERY = 4  # polls between two looks at the instruments' facts, which change once a second at most
MISTAKES = (ProblemError, InstrumentError, OSError, EOFError)    # what an engine or a file can have against an order


class SessionFeed(QObject):
    """Polls a session and hands on what is new.

    Signals
    -------
    opened(str), closed()
        There is a session, of this microscope file; there is none any more.
    started(str)
        The engine has accepted a measurement; the file it will become.
    status(Status)
        Five times a second.
    axis(ndarray), spectra(list)
        Wavelengths in nm, when a measurement's first spectra come; spectra since the last time, in order.
    live(list)
        Spectra of a live view, which nobody keeps.
    facts(InstrumentFacts), queue(tuple)
        What the instruments are and allow, about once a second; the queue, when it has changed.
    dose_map(DoseMap), dark_taken(DarkTaken), moved(tuple), queued(int, str)
        Answers to what was asked for by hand; the number and file of a measurement that was queued.
    loaded(Scan, RunData)
        A measurement's file or journal, asked for with :meth:`load`, and what views need of it.
    results(OnlineResults), events(list)
        Rows and events that were not handed on before.
    refused(str), not_dark(str)
        A command that was not done, as a sentence; the second means that the laser may still be lit.
    lost(str)
        The engine does not answer; polling goes on, ``found()`` follows if it comes back.
    darkening(), dark()
        Darkness was asked for here; the engine says that the laser is verified dark, after :meth:`dark_now`.
    """

    opened = Signal(str)
    closed = Signal()
    status = Signal(object)
    axis = Signal(object)
    spectra = Signal(object)
    results = Signal(object)
    events = Signal(object)
    started = Signal(str)
    refused = Signal(str)
    not_dark = Signal(str)
    lost = Signal(str)
    found = Signal()
    dark = Signal()
    darkening = Signal()
    live = Signal(object)
    facts = Signal(object)
    queue = Signal(object)
    queued = Signal(int, str)
    dose_map = Signal(object)
    dark_taken = Signal(object)
    moved = Signal(object)
    loaded = Signal(object, object)
    unreadable = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._watch = Lane("halidescope-watch", self)
        self._orders = Lane("halidescope-orders", self)
        self._urgent = Lane("halidescope-dark", self)
        self._hands = Lane("halidescope-hands", self)
        self._files = Lane("halidescope-files", self)
        self._open: Opened | None = None
        self._opening: Opening | None = None
        self._ring: Ring | None = None
        self._sequence = 0
        self._run = -1         # the measurement that the status speaks of
        self._channels = 0     # of the axis that was handed on last
        self._asked = False
        self._unanswered = 0
        self._measurement = (-1, "")       # number and file; a file that was never written is proposed again
        self._results = 0
        self._last = OnlineResults()
        self._events = 0
        self._polls = 0
        self._queue: tuple[QueueItem, ...] = ()
        self._ring_timer = QTimer(self)
        self._ring_timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._ring_timer.setInterval(RING_PERIOD_MS)
        self._ring_timer.timeout.connect(self._poll_ring)
        self._status_timer = QTimer(self)
        self._status_timer.setInterval(STATUS_PERIOD_MS)
        self._status_timer.timeout.connect(self._poll_door)

    @property
    def connected(self) -> bool:
        """True if there is a session."""
        return self._open is not None

    def open(self, opener: Callable[[], Opened]) -> None:
        """Get a session from ``opener``, which may take seconds, and follow it."""
        self._opening = Opening(opener)
        self._orders.ask(self._opening.get, self._take, self._not_opened)

    def _not_opened(self, error: BaseException) -> None:
        self._opening = None
        self._refuse(error)
        self.closed.emit()

    def _take(self, opened: Opened) -> None:
        self._open, self._opening = opened, None
        self._measurement = (-1, "")
        self._results, self._events, self._unanswered, self._polls = 0, 0, 0, 0
        self._queue = ()
        self.opened.emit(opened.microscope)
        self._status_timer.start()
        self._ring_timer.start()
        self._poll_door()

    def start(self, recipe: dict[str, Any], out: Path, *, resume: bool = False) -> None:
        """Begin a measurement, or complete one that was cut off; a refusal comes as :attr:`refused`."""
        self._command(lambda session: session.start(recipe, out, resume=resume), lambda _: self.started.emit(str(out)))

    def enqueue(self, recipe: dict[str, Any], out: Path) -> None:
        """Put a measurement at the end of the queue; its number comes as :attr:`queued`."""
        self._command(lambda session: session.enqueue(recipe, out), lambda number: self.queued.emit(number, str(out)))

    def move(self, item: int, place: int) -> None:
        """Give a waiting measurement another place."""
        self._command(lambda session: session.move(item, place))

    def remove(self, item: int, then: Callable[[object], object] = lambda _: None) -> None:
        """Take a measurement out of the queue."""
        self._command(lambda session: session.remove(item), then)

    def hold(self, on: bool) -> None:
        """Let the queue hold, or go on."""
        self._command(lambda session: session.hold(on))

    def skip(self) -> None:
        """End the running measurement of the queue and go on with the next; not behind other orders."""
        if self._open is not None:
            self._urgent.ask(self._open.urgent.skip, lambda _: None, self._refuse)

    def answer(self, question: int, choice: str) -> None:
        """Answer the question that the status shows."""
        self._command(lambda session: session.answer(question, choice))

    def take_command(self) -> None:
        """Have the command, also if another window has it."""
        self._command(lambda session: session.take_command())

    def pause(self) -> None:
        """Hold the measurement, the laser dark."""
        self._command(lambda session: session.pause())

    def resume(self) -> None:
        """Go on after a pause."""
        self._command(lambda session: session.resume())

    def abort(self) -> None:
        """End the measurement: dark at once, then the file."""
        self.darkening.emit()
        if self._open is not None:
            self._urgent.ask(self._open.urgent.abort, lambda _: None, self._refuse)

    def quit_engine(self, then: Callable[[], object]) -> None:
        """Abort what runs, and end the engine's process; ``then`` is called when it is done, or has failed."""

        def failed(error: BaseException) -> None:
            self._refuse(error)
            then()

        self._command(lambda session: session.quit(), lambda _: then(), failed)

    def dark_now(self) -> None:
        """Switch the laser off now, past everything that waits."""
        self.darkening.emit()
        if self._open is None:
            self.not_dark.emit("no engine is connected, so this window reaches no laser; if one is lit, turn its key")
            return
        self._urgent.ask(self._open.urgent.dark_now, lambda _: self.dark.emit(), self._still_lit)

    def _still_lit(self, error: BaseException) -> None:
        if not isinstance(error, MISTAKES):
            raise error
        self.not_dark.emit(f"{error}; the laser may still be lit: turn its key")

    # by hand

    def connect_instruments(self) -> None:
        """Connect the instruments, if they are not."""
        self._by_hand(lambda engine: engine.connect())

    def disconnect_instruments(self) -> None:
        """Let go of the instruments, so that other programs can use them."""
        self._by_hand(lambda engine: engine.disconnect())

    def move_stage(self, x_um: float, y_um: float) -> None:
        """Move the stage; where it stands then comes as :attr:`moved`."""
        self._by_hand(lambda engine: engine.manual_move(x_um, y_um), self.moved.emit)

    def stop_stage(self) -> None:
        """Stop the stage, past the move that is under way."""
        self._command(lambda session: session.stop_stage())

    def live_on(
        self, sample_power_uw: float | None, exposure_s: float, averages: int, dose_cap_j_cm2: float, max_s: float
    ) -> None:
        """Begin a live view, or change the one that is on."""
        self._by_hand(lambda engine: engine.live(
            sample_power_uw, exposure_s, averages=averages, dose_cap_j_cm2=dose_cap_j_cm2, max_s=max_s
        ))

    def live_off(self) -> None:
        """End the live view."""
        self._by_hand(lambda engine: engine.live_off())

    def clear_fault(self) -> None:
        """Clear the laser's latched fault."""
        self._by_hand(lambda engine: engine.clear_fault())

    def take_dark(self, exposure_s: float, count: int) -> None:
        """Average dark spectra; they come as :attr:`dark_taken`."""
        self._by_hand(lambda engine: engine.take_dark(exposure_s, count), self.dark_taken.emit)

    def ask_dose_map(
        self, origin_um: tuple[float, float], size_um: tuple[float, float], shape: tuple[int, int]
    ) -> None:
        """How much light the film has had; it comes as :attr:`dose_map`."""
        if self._open is not None:
            engine = self._open.watch
            self._watch.ask(lambda: engine.dose_map(origin_um, size_um, shape), self.dose_map.emit, self._no_dose_map)

    def _no_dose_map(self, error: BaseException) -> None:
        if not isinstance(error, MISTAKES):
            raise error        # an engine that does not answer is noticed by the status

    def _by_hand(self, call: Callable[[Engine], object], then: Callable[[Any], object] = lambda _: None) -> None:
        if self._open is None:
            self.refused.emit("no engine is connected; open a microscope file first")
            return
        engine = self._open.by_hand
        self._hands.ask(lambda: call(engine), then, self._refuse)

    def load(self, path: Path) -> None:
        """Read a measurement's file, or its journal while it runs."""
        self._files.ask(lambda: read_whole(path), lambda read: self.loaded.emit(*read), self._not_read)

    def _not_read(self, error: BaseException) -> None:
        if not isinstance(error, ProblemError):
            raise error
        self.unreadable.emit(str(error))

    def _command(
        self,
        call: Callable[[Engine], object],
        then: Callable[[Any], object] = lambda _: None,
        otherwise: Callable[[BaseException], object] | None = None,
    ) -> None:
        if self._open is None:
            self.refused.emit("no engine is connected; open a microscope file first")
            return
        orders = self._open.orders
        self._orders.ask(lambda: call(orders), then, otherwise or self._refuse)

    def _refuse(self, error: BaseException) -> None:
        """Say what an engine or a file has against it; anything else is a mistake of ours and goes up."""
        if isinstance(error, MISTAKES):
            self.refused.emit(str(error) or type(error).__name__)
            return
        raise error

    def _poll_ring(self) -> None:
        if self._ring is None:
            return
        fresh, _ = self._ring.since(self._sequence)   # what came too late for the ring is in the file
        # a measurement that the status does not speak of yet has to wait for it in the ring
        fresh = [spectrum for spectrum in fresh if spectrum.run <= self._run]
        if not fresh:
            return
        self._sequence = fresh[-1].sequence + 1
        if live := [spectrum for spectrum in fresh if spectrum.run == LIVE_RUN]:
            self.live.emit(live)
        fresh = [spectrum for spectrum in fresh if spectrum.run == self._run != LIVE_RUN]
        if fresh:
            self.spectra.emit(fresh)

    def _poll_door(self) -> None:
        if self._open is None or self._asked:
            return
        self._asked = True
        engine = self._open.watch
        known = Known(
            self._measurement, self._results, self._last, self._events, lacks_ring=self._ring is None,
            wants_facts=self._polls % FACTS_EVERY == 0, queue=self._queue,
        )
        self._polls += 1
        self._watch.ask(lambda: moment_of(engine, known), self._answered, self._silent)

    def _answered(self, moment: Moment) -> None:
        self._asked = False
        if self._unanswered >= LOST_AFTER:
            self.found.emit()
        self._unanswered = 0
        if moment.ring is not None:
            self._ring, self._sequence, self._run = moment.ring, 0, -1
        if (now := measurement_of(moment.status)) != self._measurement:
            self._measurement, self._results = now, 0
        self.status.emit(moment.status)
        if self._ring is not None:
            axis = self._ring.wavelength_nm      # empty until a spectrometer is connected
            if moment.status.run != self._run or len(axis) != self._channels:
                self._run, self._channels = moment.status.run, len(axis)
                self.axis.emit(np.asarray(axis, dtype=float))
        if moment.facts is not None:
            self.facts.emit(moment.facts)
        if moment.queue != self._queue:
            self._queue = moment.queue
            self.queue.emit(moment.queue)
        if moment.events:
            self._events += len(moment.events)
            self.events.emit(list(moment.events))
        if moment.results is not None:
            self._results = moment.results.first + len(moment.results.index)
            self._last = moment.results
            self.results.emit(moment.results)

    def _silent(self, error: BaseException) -> None:
        self._asked = False
        if not isinstance(error, MISTAKES):
            raise error
        self._unanswered += 1
        if self._unanswered == LOST_AFTER:
            self.lost.emit(f"the engine does not answer ({error}); the laser's state is not known here")

    def close(self, after_opening: Callable[[], object] = lambda: None) -> None:
        """Let go of the session; the engine and its measurement go on.

        One that is only being opened has no window then: it is ended beside, as soon as it is there, and
        ``after_opening`` is done behind that, in the same thread.
        """
        self._ring_timer.stop()
        self._status_timer.stop()
        session, opening = self._open, self._opening
        lasts: list[Callable[[], object] | None] = [None] * 4
        if session is not None:
            lasts = [engine.close for engine in session.ways]
        elif opening is not None:
            lasts[1] = lambda: opening.give_up(after_opening)
        for lane, last in zip((self._watch, self._orders, self._urgent, self._hands), lasts, strict=True):
            lane.close(last)
        self._files.close()
        if self._ring is not None:
            self._ring.close()
        if session is not None:
            self._open = None
            self.closed.emit()
