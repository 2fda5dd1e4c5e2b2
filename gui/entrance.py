"""The ways into a microscope: a file, the wizard, a running engine, the demo; and measurements that were cut off."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QStandardPaths

from halidescope.acquisition.microscope import load_microscope
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.states import Status
from halidescope.acquisition.storage import finish_elsewhere
from halidescope.gui.connection_wizard import ConnectionWizard
from halidescope.gui.demo_session import DemoSession
from halidescope.gui.demo_tour import demo_steps
from halidescope.gui.lane import Lane
from halidescope.gui.left_behind import CutOff, find_cut_off
from halidescope.gui.link import attached, launched, status_of
from halidescope.gui.welcome import WelcomePage, short

if TYPE_CHECKING:
    from halidescope.gui.window import MainWindow

log = logging.getLogger(__name__)


class Entrance(QObject):
    """Gets an engine for a window; owns the welcome page and the simulated microscope."""

    def __init__(self, window: "MainWindow") -> None:
        super().__init__(window)
        self._window = window
        self._lane = Lane("halidescope-ask", self)
        self._resume: CutOff | None = None     # wanted as soon as its microscope is connected
        self.engine_is_ours = False
        self.demo = DemoSession(self)
        self.page = WelcomePage(window)
        self.page.hide()
        self._running: Path | None = None      # session file of an engine that can be followed
        for name, words, sentence, act, key in (
            ("last", "Connect the last microscope", "", self._open_last, ""),
            ("follow", "Follow the running engine", "", self._follow_running, "Ctrl+T"),
            ("file", "Open a microscope file…", "a file that says which instruments there are and where",
             window.choose_microscope, "Ctrl+O"),
            ("wizard", "Connect instruments…", "choose laser, stage and spectrometer, test them, keep them as a file",
             self.open_wizard, "Ctrl+N"),
            ("scan", "Open saved scans…", "look at what was measured, with the same views; no instruments needed",
             window.choose_scan, "Ctrl+Shift+O"),
            ("demo", "Start the demo", "a simulated microscope and a guided tour of five steps; nothing of it is real",
             self.start_demo, "Ctrl+Shift+D"),
            ("plan", "Plan without a microscope", "write recipes; what they cost needs a microscope file",
             self.leave_page, ""),
        ):  # fmt: skip
            self.page.add_way(name, words, sentence, act, key)
        self.page.resume_asked.connect(self.resume)
        self.page.finish_asked.connect(self.finish)
        self.page.view_asked.connect(window.show_scan)

    # the page

    def welcome(self) -> None:
        """Show the ways in, and what was left behind."""
        last = self.last
        self.page.set_way("last", sentence=f"last time: {short(last)}" if last else "", shown=last is not None)
        self.page.set_way("follow", sentence="it goes on measuring without a window", shown=self._running is not None)
        self.look_for_cut_off()
        if not self._window.docking.covered:
            self._window.cover(self.page)
        self.page.focus_first()

    def leave_page(self) -> None:
        """Go to the docks."""
        if self._window.docking.covered:
            self._window.uncover()

    @property
    def last(self) -> Path | None:
        """The microscope file of last time, if it is there still."""
        text = str(self._window.settings.value("microscope", ""))
        return Path(text) if text and Path(text).is_file() else None

    def _open_last(self) -> None:
        if self.last is not None:
            self.open_microscope(self.last)

    # getting an engine

    def open_microscope(self, path: Path, session: Path | None = None) -> None:
        """Start an engine for a microscope file and follow it."""
        window = self._window
        try:
            window.microscope = load_microscope(path)
        except ProblemError as error:
            window.say(str(error))
            return
        window.settings.setValue("microscope", str(path))
        window.strip.show_nothing(f"connecting to {path.name} …")
        self.engine_is_ours = not window.feed.connected
        window.follow(lambda: launched(path, session))

    def attach(self, session: Path | None = None) -> None:
        """Follow an engine that runs already."""
        self._window.strip.show_nothing("attaching to the running engine …")
        self._window.follow(lambda: attached(session))

    def offer_attach(self, session: Path) -> None:
        """Offer to follow the engine that left this session file, if it still answers."""
        window = self._window

        def offer(status: Status) -> None:
            self._running = session
            if not window.feed.connected:
                what = f"{status.measurement} is {status.state}" if status.measurement else "it is idle"
                window.notice.say(
                    f"an engine runs already: {what}", actions=[("follow it", lambda: self.attach(session))]
                )
                self.page.set_way("follow", sentence=what)

        def nobody(error: BaseException) -> None:
            log.info("no engine to follow: %s", error)
            if not window.feed.connected:
                self.welcome()

        self._lane.ask(lambda: status_of(session), offer, nobody)

    def _follow_running(self) -> None:
        self.attach(self._running)

    def open_wizard(self) -> None:
        """Connect instruments step by step, and keep them as a microscope file."""
        for wizard in self._window.findChildren(ConnectionWizard):
            if wizard.isVisible():
                wizard.activateWindow()
                return
        wizard = ConnectionWizard(self._window.data_folder, self._window)
        wizard.saved.connect(self.open_microscope)
        wizard.show()
        self.wizard = wizard

    def start_demo(self) -> None:
        """Start the simulated microscope, and the tour."""
        window = self._window
        if window.feed.connected or self.demo.running:
            window.say("this window follows an engine already; close it and start the demo in another")
            return
        self.leave_page()
        self.engine_is_ours = True
        window.strip.show_nothing("starting the simulated microscope …")
        window.follow(self.demo.opener(), then=lambda: window.tour.begin(demo_steps(window)))

    def not_opened(self) -> None:
        """An engine could not be got."""
        self.engine_is_ours = False
        if self.demo.running:
            self.demo.close()

    def opened(self) -> None:
        """There is an engine: go on with what waited for it."""
        self.leave_page()
        waiting, self._resume = self._resume, None
        if waiting is not None:
            self._start_again(waiting)
        else:
            self.look_for_cut_off()

    # what was cut off

    def look_for_cut_off(self) -> None:
        """Look for measurements that were cut off, in a lane; what is found is shown where the person is."""
        window = self._window
        status = window.status
        running = [Path(status.file)] if status is not None and status.state.busy and status.file else []
        folders = [window.data_folder]
        self._lane.ask(lambda: find_cut_off(folders, except_for=running), self._show_cut_off, _raise)

    def _show_cut_off(self, found: list[CutOff]) -> None:
        self.page.show_left_behind(found)
        window = self._window
        if found and window.feed.connected and not window.docking.covered:
            one = found[0]
            more = f" ({len(found) - 1} more: File > Welcome page)" if len(found) > 1 else ""
            window.notice.say(
                one.sentence + more,
                actions=[("resume", lambda: self.resume(one)), ("finish its file", lambda: self.finish(one)),
                         ("look at it", lambda: window.show_scan(one.journal))],
            )

    def resume(self, one: CutOff) -> None:
        """Measure what is missing; connect the last microscope first, if none is connected."""
        if self._window.feed.connected:
            self._start_again(one)
        elif self.last is not None:
            self._resume = one
            self.open_microscope(self.last)
        else:
            self._window.say(f"open the microscope file that {one.out.name} was measured with first (Ctrl+O)")
            self._resume = one

    def _start_again(self, one: CutOff) -> None:
        self.leave_page()
        self._window.feed.start(one.recipe, one.out, resume=True)

    def finish(self, one: CutOff) -> None:
        """Write what there is as a finished file, in a lane."""

        def done(damaged: list[int]) -> None:
            note = f"; {len(damaged)} damaged spectra are masked, the journal is kept" if damaged else ""
            self._window.say(f"{one.out} is written{note}")
            self.look_for_cut_off()

        def failed(error: BaseException) -> None:
            if not isinstance(error, ProblemError):
                raise error
            self._window.say(str(error))

        self._lane.ask(lambda: finish_elsewhere(one.journal, one.out), done, failed)

    def close(self) -> None:
        """Ask nobody any more."""
        for wizard in self._window.findChildren(ConnectionWizard):
            wizard.reject()
        self._lane.close()


def _raise(error: BaseException) -> None:
    raise error


def documents() -> Path:
    """Where a person's documents are kept; the home folder of somebody who has no such place."""
    place = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
    return place if place.is_dir() else Path.home()


