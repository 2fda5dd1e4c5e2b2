"""The main window: strip on top, docks around, and the wiring between feed, views and panels.

Getting an engine is :mod:`halidescope.gui.entrance`, the places of the docks :mod:`halidescope.gui.docking`, what the
window shows of a running engine :mod:`halidescope.gui.following`.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from qtpy.QtCore import QSettings, Qt
from qtpy.QtGui import QCloseEvent, QShowEvent
from qtpy.QtWidgets import QApplication, QMainWindow, QMessageBox, QToolBar, QVBoxLayout, QWidget

from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.problems import sentence_of
from halidescope.acquisition.recipes import RECIPES, Recipe
from halidescope.acquisition.results import Number
from halidescope.acquisition.states import Status
from halidescope.gui.asking import ask_files
from halidescope.gui.docking import Docking
from halidescope.gui.entrance import Entrance, documents
from halidescope.gui.feed import SessionFeed
from halidescope.gui.film_dock import FilmPanel
from halidescope.gui.following import Following
from halidescope.gui.instruments_dock import InstrumentsPanel
from halidescope.gui.kmc_dock import KmcPanel
from halidescope.gui.link import Opened
from halidescope.gui.log_dock import LogPanel, OwnMessages
from halidescope.gui.measure_dock import MeasurePanel
from halidescope.gui.menus import build_menus
from halidescope.gui.notice import Notice
from halidescope.gui.panels import Views
from halidescope.gui.preflight import Preflight
from halidescope.gui.queue_dock import QueuePanel
from halidescope.gui.recipe_library import RecipeLibrary
from halidescope.gui.status_strip import StatusStrip
from halidescope.gui.theme import THEMES, Theme, apply_theme
from halidescope.gui.tour import Tour
from halidescope.gui.trend_points import diffusion_point
from halidescope.gui.trends_dock import TrendsPanel

if TYPE_CHECKING:
    from halidescope.gui.offline import ScanWindow

log = logging.getLogger(__name__)


class MainWindow(QMainWindow):
    """Everything of one microscope.

    Parameters
    ----------
    settings : QSettings
        Where docks, theme, last microscope file and data folder are remembered.
    """

    def __init__(self, settings: QSettings) -> None:
        super().__init__()
        self.settings = settings
        self.microscope: MicroscopeFile | None = None
        self.feed = SessionFeed(self)
        self.views = Views(self)
        self.kmc = KmcPanel(self)
        self.strip = StatusStrip(self)
        self.notice = Notice(self)
        self.tour = Tour(self)
        self.measure = MeasurePanel(RecipeLibrary(self.data_folder / "recipes"), self)
        self.queue = QueuePanel(self)
        self.instruments = InstrumentsPanel(self)
        self.film = FilmPanel(self)
        self.trends = TrendsPanel(self)
        self.log = LogPanel(self)
        self.messages = OwnMessages(self)
        self.preflight = Preflight(self)
        self._scans: list[ScanWindow] = []
        self._leaving = False
        self.setWindowTitle("Halidescope")
        self._build_header()
        self._empty = QWidget(self)
        self._empty.setMaximumSize(0, 0)
        self.setCentralWidget(self._empty)
        views = self.views
        self.docking = Docking(self, {
            "Measure": self.measure, "Queue": self.queue, "Live": views.live, "Series": views.series,
            "Map": views.map, "Trends": self.trends, "KMC": self.kmc, "Film": self.film,
            "Instruments": self.instruments, "Log": self.log,
        })
        self.docking["KMC"].visibilityChanged.connect(self.kmc.set_seen)
        self.entrance = Entrance(self)
        self.following = Following(self)
        self.theme_actions = build_menus(self)
        self._wire()
        self.set_theme(THEMES.get(str(settings.value("theme", "dark")), THEMES["dark"]))
        self.docking.recall(settings)
        self._recall_recipe()
        self.propose_file()
        self.judge()

    @property
    def status(self) -> Status | None:
        """The engine's last word."""
        return self.following.status

    @property
    def data_folder(self) -> Path:
        """Where measurements are proposed to go: where the last one went, if that is there still."""
        last = self.settings.value("folder")
        return Path(str(last)) if last is not None and Path(str(last)).is_dir() else documents()

    def _build_header(self) -> None:
        header = QWidget(self)
        layout = QVBoxLayout(header)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in (self.strip, self.notice, self.tour):
            layout.addWidget(widget)
        bar = QToolBar("status", self)
        bar.setObjectName("statusBarStrip")
        bar.setMovable(False)
        bar.setFloatable(False)
        bar.addWidget(header)
        bar.toggleViewAction().setEnabled(False)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, bar)

    def _wire(self) -> None:
        feed, measure, queue, hands = self.feed, self.measure, self.queue, self.instruments
        self.strip.dark_asked.connect(feed.dark_now)
        self.messages.logged.connect(self.log.add_own)
        measure.recipe_changed.connect(lambda _: self.judge())
        self.preflight.judged.connect(lambda words, refused: measure.set_preflight(words, refused=refused))
        self.preflight.places.connect(self.film.show_plan)
        self.views.said.connect(self.say)
        self.trends.said.connect(self.say)
        self.trends.undoable.connect(lambda words: self.notice.say(words, actions=[("undo", self.trends.undo)]))
        measure.library.said.connect(self._library_said)
        measure.start_asked.connect(partial(self._begin, feed.start))
        measure.queue_asked.connect(partial(self._begin, feed.enqueue))
        measure.pause_asked.connect(feed.pause)
        measure.resume_asked.connect(feed.resume)
        measure.name_wanted.connect(self.propose_file)
        measure.not_begun.connect(self.say)
        measure.skip_asked.connect(feed.skip)
        measure.abort_asked.connect(feed.abort)
        queue.move_asked.connect(feed.move)
        queue.remove_asked.connect(self.following.remove_queued)
        queue.hold_asked.connect(feed.hold)
        queue.skip_asked.connect(feed.skip)
        hands.connect_asked.connect(feed.connect_instruments)
        hands.disconnect_asked.connect(feed.disconnect_instruments)
        hands.live_asked.connect(feed.live_on)
        hands.laser.off_asked.connect(feed.live_off)
        hands.laser.clear_asked.connect(feed.clear_fault)
        feed.darkening.connect(hands.laser.darken)
        hands.stage.move_asked.connect(feed.move_stage)
        hands.stage.stop_asked.connect(feed.stop_stage)
        hands.spectrometer.dark_asked.connect(feed.take_dark)
        self.film.dose_map_asked.connect(feed.ask_dose_map)
        self.film.move_asked.connect(self._go_on_film)

    # getting an engine: the ways themselves are the entrance's

    def open_microscope(self, path: Path, session: Path | None = None) -> None:
        """Start an engine for a microscope file and follow it."""
        self.entrance.open_microscope(path, session)

    def attach(self, session: Path | None = None) -> None:
        """Follow an engine that runs already."""
        self.entrance.attach(session)

    def offer_attach(self, session: Path) -> None:
        """Offer to follow the engine that left this session file, if it still answers."""
        self.entrance.offer_attach(session)

    def welcome(self) -> None:
        """Show the ways in."""
        self.entrance.welcome()

    def follow(self, opener: Callable[[], Opened], then: Callable[[], object] = lambda: None) -> None:
        """Follow the engine that ``opener`` gives."""
        if self.feed.connected:
            self.say("this window follows an engine already; close it and open another")
            return
        self.following.then = then
        self.feed.open(opener)

    def cover(self, page: QWidget) -> None:
        """Put a page in place of the docks."""
        self.docking.cover(True)
        self.takeCentralWidget()
        self.setCentralWidget(page)
        page.show()

    def uncover(self) -> None:
        """Bring the docks back; the page is kept."""
        page = self.takeCentralWidget()
        if page is not None:
            page.hide()
            page.setParent(self)
        self.setCentralWidget(self._empty)
        self._empty.show()
        self.docking.cover(False)

    # what a person asks for

    def judge(self) -> None:
        """Work out what the shown recipe costs."""
        recipe = self.measure.form.recipe()
        self.preflight.judge(recipe, self.microscope, Path(self.measure.file.text().strip()))

    def _begin(self, how: Callable[[dict[str, Any], Path], object], recipe: Recipe, path: Path) -> None:
        self.settings.setValue("folder", str(path.parent))
        self.settings.setValue("recipe", recipe.model_dump_json())
        values = recipe.model_dump(mode="json")
        self.following.asked[str(path)] = values
        how(values, path)

    def propose_file(self, taken: Path | None = None) -> None:
        """Propose the next free name in the folder used last; ``taken`` is about to become a file."""
        kind, number = self.measure.kind.currentData(), 1
        queued = self.following.queued_files
        while not free(path := self.data_folder / f"{kind}-{number:03d}.nxs") or path == taken or path in queued:
            number += 1
        self.measure.propose(path)

    def _go_on_film(self, x_um: float, y_um: float) -> None:
        if not self.instruments.stage.ask(x_um, y_um):
            self.say(f"the stage was not moved to x {x_um:.1f} µm, y {y_um:.1f} µm: it is beyond its travel, or a "
                     "measurement has it, or it is not connected")

    def _library_said(self, sentence: str, words: str, act: Callable[[], object] | None) -> None:
        self.notice.say(sentence, actions=[(words, act)] if act is not None else [])

    def choose_microscope(self) -> None:
        """Ask for a microscope file, and connect."""
        ask_files(
            self, "Microscope file", "Microscope (*.toml)", lambda paths: self.open_microscope(paths[0]),
            folder=str(self.data_folder),
        )

    def choose_scan(self) -> None:
        """Ask for saved scans, and show each in a window of its own."""
        from halidescope.gui.offline import name_filter

        ask_files(
            self, "Saved scans", name_filter(), self._show_scans, folder=str(self.data_folder), many=True,
        )

    def _show_scans(self, paths: list[Path]) -> None:
        for path in paths:
            self.show_scan(path)

    def show_scan(self, path: Path) -> None:
        """Show a saved scan in a window of its own."""
        from halidescope.gui.offline import ScanWindow  # a window of its own; it knows this one's parts

        window = ScanWindow(path, THEMES[str(self.settings.value("theme", "dark"))], self)
        window.show()
        window.offer_trends(self.keep_diffusivity)
        window.offer_dark(self.strip)
        self._scans.append(window)
        window.destroyed.connect(lambda: self._scans.remove(window))

    def keep_diffusivity(self, source: str, metadata: Mapping[str, Any], number: Number) -> None:
        """Put a map's diffusivity, in m²/s, among the trends, and show them."""
        point = diffusion_point(source, metadata, number) if metadata else None
        if point is None:
            self.say("this map's file does not say with what power and spot it was taken: type D into the Trends view")
            return
        self.trends.add_points([point])
        self.docking["Trends"].show()
        self.docking["Trends"].raise_()
        self.trends.show_diffusion()

    def say(self, sentence: str, *, alarm: bool = False) -> None:
        """Show a sentence beneath the strip; it is in the log too."""
        self.notice.say(sentence, alarm=alarm)
        self.log.add_own("error" if alarm else "info", sentence)

    # looks and leaving

    def set_theme(self, theme: Theme) -> None:
        """Dress everything, and remember it."""
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        apply_theme(application, theme)
        self.views.set_theme(theme)
        self.film.set_theme(theme)
        self.trends.set_theme(theme)
        self.kmc.set_theme(theme)
        for window in self._scans:
            window.set_theme(theme)
        self.theme_actions[theme.name].setChecked(True)
        self.settings.setValue("theme", theme.name)

    def _recall_recipe(self) -> None:
        """Show the recipe that was started last; one of another version is forgotten."""
        text = self.settings.value("recipe")
        if text is not None:
            try:
                self.measure.set_recipe(RECIPES.validate_json(str(text)))
            except ValidationError as error:
                log.info("remembered recipe not shown: %s", sentence_of(error, "settings"))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Only now the docks have a size that can be shared out, unless they were remembered."""
        super().showEvent(event)
        if not self.docking.remembered:
            self.docking.remembered = True
            self.docking.proportion()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Ask what shall become of a running measurement, then leave; an idle engine of ours ends with its window."""
        busy = self.status is not None and self.status.state.busy
        if self._leaving or not (busy or (self.entrance.engine_is_ours and self.feed.connected)):
            self._leave()
            event.accept()
            return
        event.ignore()
        if busy:
            self._ask_what_becomes()
        else:
            self.strip.show_nothing("ending the engine …")
            self.feed.quit_engine(self._close_for_good)

    def _ask_what_becomes(self) -> None:
        assert self.status is not None
        for asked in self.findChildren(QMessageBox):
            asked.activateWindow()
            return
        box = QMessageBox(self)
        box.setWindowTitle("A measurement runs")
        box.setText(f"{self.status.measurement or 'A measurement'} is running.")
        if self.entrance.demo.running:
            box.setInformativeText("The simulated microscope ends with this window, and the measurement with it.")
        else:
            box.setInformativeText(
                "It goes on without this window, with the laser lit, and a new window can follow it."
            )
            keep = box.addButton("Keep measuring", QMessageBox.ButtonRole.AcceptRole)
            keep.clicked.connect(self._close_for_good)
        dark = box.addButton("Abort and go dark", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Stay here", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.setEscapeButton(stay)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dark.clicked.connect(lambda: self.feed.quit_engine(self._close_for_good))
        box.setModal(False)     # Dark now stays within reach of the mouse
        box.show()
        self.question = box

    def _close_for_good(self) -> None:
        self._leaving = True
        self.close()

    def _leave(self) -> None:
        if self.docking.covered:
            self.uncover()      # else an empty window would be remembered
        self.docking.remember(self.settings)
        for window in list(self._scans):      # they end with this window: let them close their files first
            window.close()
        self.tour.stop()
        self.preflight.close()
        self.views.stop()
        self.film.stop()
        self.trends.stop()
        self.kmc.close_process()
        self.messages.close()
        self.feed.close(after_opening=self.entrance.demo.end)
        self.entrance.close()


def free(path: Path) -> bool:
    """True if neither a measurement nor its journal has this name."""
    return not any(path.with_name(path.name + tail).exists() for tail in ("", ".journal", ".part"))
