"""What the main window does with what comes from an engine: status, spectra, questions, the end, a lost connection."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from halidescope.acquisition.client import default_name
from halidescope.acquisition.dose import DoseMap
from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.microscope import load_microscope
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.records import Event
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.states import RunState, Status
from halidescope.acquisition.waiting import ItemState, QueueItem
from halidescope.gui.moment import measurement_of
from halidescope.gui.panels import MAP_KINDS
from halidescope.gui.preflight import limits_of_facts
from halidescope.gui.run_data import RunData

if TYPE_CHECKING:
    from halidescope.gui.window import MainWindow

log = logging.getLogger(__name__)


class Following(QObject):
    """Connects a feed's signals to a window's panels.

    Attributes
    ----------
    status : Status or None
        The engine's last word.
    asked : dict
        What this window asked to measure, as plain values, by the file it was to become.
    then : callable
        Called once, when the engine that is being opened is there.
    """

    def __init__(self, window: "MainWindow") -> None:
        super().__init__(window)
        self._window = window
        self.status: Status | None = None
        self.asked: dict[str, dict[str, Any]] = {}
        self.then: Callable[[], object] = _nothing
        self._loading = ""
        self._about: tuple[str, Mapping[str, Any]] = ("", {})      # file and header of what the views show
        self._items: tuple[QueueItem, ...] = ()
        self._question = 0
        self._commander = ""
        feed, views = window.feed, window.views
        feed.opened.connect(self._opened)
        feed.closed.connect(self._closed)
        feed.status.connect(self._show_status)
        feed.facts.connect(self._show_facts)
        feed.queue.connect(self._show_queue)
        feed.axis.connect(views.set_axis)
        feed.spectra.connect(self._show_spectra)
        feed.live.connect(self._show_live)
        feed.results.connect(views.add_results)
        feed.results.connect(lambda _: window.kmc.refresh(views.data))
        feed.events.connect(self._show_events)
        feed.loaded.connect(self._loaded)
        feed.unreadable.connect(self._not_loaded)
        feed.refused.connect(self._refused)
        feed.not_dark.connect(partial(window.say, alarm=True))
        feed.dark.connect(lambda: window.say("dark: the laser's emission is off, and proven off"))
        feed.lost.connect(self._lost)
        feed.found.connect(lambda: window.notice.say("the engine answers again"))
        feed.started.connect(self._started)
        feed.queued.connect(lambda _, out: window.propose_file(taken=Path(out)))
        feed.dose_map.connect(self._show_dose)
        feed.dark_taken.connect(window.instruments.spectrometer.show_dark)
        feed.moved.connect(window.instruments.stage.arrived)
        views.map.side.keep.show()
        views.map.diffusivity_kept.connect(lambda number: window.keep_diffusivity(*self._about, number))

    def _opened(self, microscope: str) -> None:
        window = self._window
        window.notice.hide()
        window.measure.set_connected(True)
        window.instruments.set_connected(True)
        if window.microscope is None and microscope:
            try:
                window.microscope = load_microscope(Path(microscope))
            except ProblemError as error:
                window.say(f"no plan can be made before a start: {error}")
        window.judge()
        window.entrance.opened()
        then, self.then = self.then, _nothing
        then()

    def _closed(self) -> None:
        window = self._window
        window.strip.show_nothing("no microscope")
        window.measure.set_connected(False)
        window.instruments.set_connected(False)
        window.entrance.not_opened()

    def _lost(self, sentence: str) -> None:
        window = self._window
        window.strip.show_nothing("engine lost")
        window.instruments.set_unknown()
        window.film.set_unknown()
        window.notice.say(
            f"{sentence}. This window goes on asking. If it stays away: turn the laser's key, then start a new engine; "
            "what was measured is safe in its journal.", alarm=True,
        )

    def _refused(self, sentence: str) -> None:
        self._window.instruments.refused()
        self._window.say(sentence)
        if self._watches:
            self._window.notice.say(sentence, actions=[("take the command", self._window.feed.take_command)])

    @property
    def _watches(self) -> bool:
        """True while somebody else commands."""
        return self._commander not in ("", default_name())

    # one moment of the engine

    def _show_status(self, status: Status) -> None:
        window = self._window
        before, self.status = self.status, status
        if before is None or measurement_of(before) != measurement_of(status):
            self._loading = ""
            window.views.begin(status.kind)
            if status.kind not in MAP_KINDS:
                window.kmc.clear()
            if status.kind in MAP_KINDS or (status.kind and not window.kmc.seen):
                window.docking["Map" if status.kind in MAP_KINDS else "Series"].raise_()
        if status.file and not self._loading and (status.done or status.state.ended):
            self._loading = status.file
            window.feed.load(Path(status.file))
        if finished := _finished_series(before, status):
            window.trends.add_finished(Path(finished))
        if status.state.ended and before is not None and before.state.busy:
            self._ended(status)
        for panel in (window.strip, window.instruments, window.film, window.measure, window.queue, window.tour):
            panel.show_status(status)
        self._show_question(status)
        self._show_commander(status)
        window.setProperty("simulated", status.simulated)       # pictures of its views say so
        marks = [Path(status.file).stem] if status.file else []
        window.setWindowTitle(" · ".join(["Halidescope", *marks, *(["SIMULATED"] if status.simulated else [])]))

    def _show_question(self, status: Status) -> None:
        """Something that only a person can decide, with a button for every choice."""
        question = status.question
        if question is not None and question.id != self._question:
            self._question = question.id
            self._window.notice.say(
                f"The engine asks, dark meanwhile: {question.text}", alarm=True,
                actions=[
                    (choice, partial(self._window.feed.answer, question.id, choice)) for choice in question.choices
                ],
            )

    def _show_commander(self, status: Status) -> None:
        """Somebody else commands: say so once, and offer to take over."""
        if status.commander != self._commander:
            self._commander = status.commander
            if self._watches:
                self._window.notice.say(
                    f"{status.commander} has the command; this window watches. Dark now and abort work all the same.",
                    actions=[("take the command", self._window.feed.take_command)],
                )

    def _ended(self, status: Status) -> None:
        window = self._window
        if status.state is RunState.FAILED:
            window.say(status.reason or "the measurement failed; see the log", alarm=True)
        elif status.state is RunState.ABORTED:
            window.say(f"aborted: {status.reason}" if status.reason else "aborted")
        if window.views.data.seen < status.done:
            window.feed.load(Path(status.file))

    def _show_facts(self, facts: InstrumentFacts) -> None:
        window = self._window
        window.instruments.show_facts(facts)
        window.film.show_facts(facts)
        limits = limits_of_facts(facts)
        if limits is not None and limits != window.preflight.limits:
            window.preflight.limits = limits
            window.judge()

    def _show_dose(self, found: DoseMap) -> None:
        self._window.film.show_dose(found)
        self._window.preflight.dose = found

    def _show_events(self, events: Sequence[Event]) -> None:
        self._window.log.add_events(events)
        self._window.instruments.add_events(events)

    # data

    def _loaded(self, scan: Scan, data: RunData) -> None:
        if scan.source.removesuffix(".journal") == self._loading:     # else another measurement has begun meanwhile
            self._about = scan.source, scan.metadata
            self._window.views.load(data)
            self._window.kmc.refresh(self._window.views.data)

    def _not_loaded(self, sentence: str) -> None:
        if self.status is not None and self.status.state.busy:
            self._loading = ""      # the journal may be on its way
            return
        self._window.say(sentence)

    def _show_spectra(self, spectra: list[Any]) -> None:
        if len(self._window.views.data.wavelength_nm):
            self._window.views.add_spectra(spectra)
            self._show_saturation(spectra[-1])

    def _show_live(self, spectra: list[Any]) -> None:
        self._window.views.show_live(spectra[-1])
        self._show_saturation(spectra[-1])

    def _show_saturation(self, newest: Any) -> None:
        self._window.instruments.spectrometer.show_spectrum(
            newest.exposure_s, float(newest.counts.max()), saturated=newest.saturated
        )

    # orders

    def _started(self, out: str) -> None:
        self._window.notice.hide()
        self._window.propose_file(taken=Path(out))

    @property
    def queued_files(self) -> set[Path]:
        """Files that waiting measurements will become."""
        return {Path(item.out) for item in self._items if item.state in (ItemState.WAITING, ItemState.RUNNING)}

    def _show_queue(self, items: tuple[QueueItem, ...]) -> None:
        self._items = items
        self._window.queue.show_items(items)
        waiting = len(self._window.queue.waiting)
        self._window.docking["Queue"].setWindowTitle(f"Queue ({waiting})" if waiting else "Queue")

    def remove_queued(self, number: int) -> None:
        """Take a measurement out of the queue; one that waited and that this window had asked for can be put back."""
        window = self._window
        item = next((one for one in self._items if one.id == number), None)
        if item is None:
            return
        values = self.asked.get(item.out) if item.state is ItemState.WAITING else None

        def removed(_: object) -> None:
            if values is not None:
                window.notice.say(
                    f"'{item.title}' is out of the queue",
                    actions=[("undo", lambda: window.feed.enqueue(values, Path(item.out)))],
                )

        window.feed.remove(number, removed)


def _finished_series(before: Status | None, now: Status) -> str:
    """File of a series that has, or may have, been finished since the last look; empty if there is none."""
    another = before is None or measurement_of(before) != measurement_of(now)
    if another and before is not None and before.state.busy and before.kind == "time-series":
        return before.file          # of a queue, whose next has begun between two looks
    fresh = another or (before is not None and before.state.busy)
    return now.file if fresh and now.state is RunState.FINISHED and now.kind == "time-series" else ""


def _nothing() -> None:
    """Nothing waits."""
