"""The main window: strip on top, docks around, and the wiring between feed, views and panels."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import QSettings, QStandardPaths, Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QFileDialog,
    QMainWindow,
    QMessageBox,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.microscope import MicroscopeFile, load_microscope
from halidescope.acquisition.problems import ProblemError, sentence_of
from halidescope.acquisition.recipes import RECIPES, Recipe
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.states import RunState, Status
from halidescope.gui.feed import SessionFeed
from halidescope.gui.instruments_dock import InstrumentsPanel
from halidescope.gui.kmc_dock import KmcPanel
from halidescope.gui.lane import Lane
from halidescope.gui.link import Opened, attached, launched, status_of
from halidescope.gui.measure_dock import MeasurePanel
from halidescope.gui.menus import build_menus
from halidescope.gui.notice import Notice
from halidescope.gui.panels import MAP_KIND, Views
from halidescope.gui.preflight import Preflight
from halidescope.gui.status_strip import StatusStrip
from halidescope.gui.theme import THEMES, Theme, apply_theme

log = logging.getLogger(__name__)

LAYOUT_VERSION = 2      # of the docks; another one forgets what was remembered


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
        self.feed = SessionFeed(self)
        self.views = Views(self)
        self.kmc = KmcPanel(self)
        self.strip = StatusStrip(self)
        self.notice = Notice(self)
        self.measure = MeasurePanel(self)
        self.instruments = InstrumentsPanel(self)
        self.status: Status | None = None
        self._microscope: MicroscopeFile | None = None
        self._asking = Lane("halidescope-ask", self)
        self._loading = ""
        self._leaving = False
        self._engine_is_ours = False
        self.preflight = Preflight(self)
        self.setWindowTitle("Halidescope")
        self._build_header()
        self._build_docks()
        self.theme_actions = build_menus(self)
        self._wire()
        self.set_theme(THEMES.get(str(settings.value("theme", "dark")), THEMES["dark"]))
        self._recall()
        self._recall_recipe()
        self.propose_file()
        self._judge()

    # what the window is made of

    def _build_header(self) -> None:
        header = QWidget(self)
        layout = QVBoxLayout(header)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.strip)
        layout.addWidget(self.notice)
        bar = QToolBar("status", self)
        bar.setObjectName("statusBarStrip")
        bar.setMovable(False)
        bar.setFloatable(False)
        bar.addWidget(header)
        bar.toggleViewAction().setEnabled(False)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, bar)

    def _build_docks(self) -> None:
        self.setDockNestingEnabled(True)
        empty = QWidget(self)
        empty.setMaximumSize(0, 0)
        self.setCentralWidget(empty)
        self.docks: dict[str, QDockWidget] = {}
        for name, panel in (
            ("Measure", self.measure), ("Live", self.views.live), ("Series", self.views.series),
            ("Map", self.views.map), ("KMC", self.kmc), ("Instruments", self.instruments),
        ):  # fmt: skip
            dock = QDockWidget(name, self)
            dock.setObjectName(name)
            dock.setWidget(panel)
            self.docks[name] = dock
        self.docks["KMC"].visibilityChanged.connect(self.kmc.set_seen)
        self.arrange()

    def arrange(self) -> None:
        """Put the docks where they were before anyone moved them."""
        docks = self.docks
        for dock in docks.values():
            dock.setFloating(False)
            self.removeDockWidget(dock)
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, docks["Measure"])
        self.splitDockWidget(docks["Measure"], docks["Live"], Qt.Orientation.Horizontal)
        self.splitDockWidget(docks["Live"], docks["Instruments"], Qt.Orientation.Horizontal)
        self.splitDockWidget(docks["Live"], docks["Series"], Qt.Orientation.Vertical)
        self.tabifyDockWidget(docks["Series"], docks["Map"])
        self.tabifyDockWidget(docks["Map"], docks["KMC"])
        for dock in docks.values():
            dock.show()
        docks["Series"].raise_()
        across = [docks["Measure"], docks["Live"], docks["Instruments"]]
        self.resizeDocks(across, [290, 1000, 240], Qt.Orientation.Horizontal)
        self.resizeDocks([docks["Live"], docks["Series"]], [500, 500], Qt.Orientation.Vertical)

    def _wire(self) -> None:
        feed, measure = self.feed, self.measure
        self.strip.dark_asked.connect(feed.dark_now)
        feed.opened.connect(self._opened)
        feed.status.connect(self._show_status)
        feed.axis.connect(self.views.set_axis)
        feed.spectra.connect(self._show_spectra)
        feed.results.connect(self.views.add_results)
        feed.results.connect(lambda _: self.kmc.refresh(self.views.data))
        feed.events.connect(self.instruments.add_events)
        feed.loaded.connect(self._loaded)
        feed.unreadable.connect(self._not_loaded)
        feed.refused.connect(self.say)
        feed.not_dark.connect(partial(self.say, alarm=True))
        feed.dark.connect(lambda: self.say("dark: the laser's emission is off, and proven off"))
        feed.closed.connect(self._closed)
        feed.lost.connect(self._lost)
        feed.found.connect(lambda: self.notice.say("the engine answers again"))
        feed.started.connect(self._started)
        measure.recipe_changed.connect(lambda _: self._judge())
        self.preflight.judged.connect(lambda words, refused: measure.set_preflight(words, refused=refused))
        measure.start_asked.connect(self._start)
        measure.pause_asked.connect(feed.pause)
        measure.resume_asked.connect(feed.resume)
        measure.abort_asked.connect(feed.abort)

    # getting an engine

    def open_microscope(self, path: Path, session: Path | None = None) -> None:
        """Start an engine for a microscope file and follow it."""
        try:
            self._microscope = load_microscope(path)
        except ProblemError as error:
            self.say(str(error))
            return
        self.settings.setValue("microscope", str(path))
        self.strip.show_nothing(f"connecting to {path.name} …")
        self._engine_is_ours = not self.feed.connected
        self.follow(lambda: launched(path, session))

    def attach(self, session: Path | None = None) -> None:
        """Follow an engine that runs already."""
        self.strip.show_nothing("attaching to the running engine …")
        self.follow(lambda: attached(session))

    def welcome(self) -> None:
        """Say what can be done without a microscope: connect the last one again, open a file, or see the demo."""
        last = Path(str(self.settings.value("microscope", "")))
        if last.is_file():
            self.notice.say(f"last time: {last}", action="connect", act=lambda: self.open_microscope(last))
        else:
            self.notice.say(
                "No microscope is connected. Open a microscope file (Ctrl+O), look at a saved scan (Ctrl+Shift+O), "
                "or start the simulated one with `halidescope demo`."
            )

    def offer_attach(self, session: Path) -> None:
        """Offer to follow the engine that left this session file, if it still answers."""

        def offer(status: Status) -> None:
            if not self.feed.connected:
                what = f"{status.measurement} is {status.state}" if status.measurement else "it is idle"
                self.notice.say(
                    f"an engine runs already: {what}", action="follow it", act=lambda: self.attach(session)
                )

        def nobody(error: BaseException) -> None:
            log.info("no engine to follow: %s", error)
            self.welcome()

        self._asking.ask(lambda: status_of(session), offer, nobody)

    def follow(self, opener: Callable[[], Opened]) -> None:
        """Follow the engine that ``opener`` gives."""
        if self.feed.connected:
            self.say("this window follows an engine already; close it and open another")
            return
        self.feed.open(opener)

    def _opened(self, microscope: str) -> None:
        self.notice.hide()
        self.measure.set_connected(True)
        if self._microscope is None and microscope:
            try:
                self._microscope = load_microscope(Path(microscope))
            except ProblemError as error:
                self.say(f"no plan can be made before a start: {error}")
        self._judge()

    def _closed(self) -> None:
        self.strip.show_nothing("no microscope")
        self.measure.set_connected(False)

    def _lost(self, sentence: str) -> None:
        self.strip.show_nothing("engine lost")
        self.instruments.set_unknown()
        self.notice.say(sentence, alarm=True)

    # what comes from the engine

    def _show_status(self, status: Status) -> None:
        before, self.status = self.status, status
        if before is None or before.file != status.file:
            self._loading = ""
            self.views.begin(status.kind)
            if status.kind != MAP_KIND:
                self.kmc.clear()
            if status.kind == MAP_KIND or (status.kind and not self.kmc.seen):
                self.docks["Map" if status.kind == MAP_KIND else "Series"].raise_()
        if status.file and not self._loading and (status.done or status.state.ended):
            self._loading = status.file
            self.feed.load(Path(status.file))
        if status.state.ended and before is not None and before.state.busy:
            self._ended(status)
        self.strip.show_status(status)
        self.instruments.show_status(status)
        self.measure.show_status(status)
        marks = [Path(status.file).stem] if status.file else []
        self.setWindowTitle(" · ".join(["Halidescope", *marks, *(["SIMULATED"] if status.simulated else [])]))

    def _ended(self, status: Status) -> None:
        if status.state is RunState.FAILED:
            self.say(status.reason or "the measurement failed; see the events", alarm=True)
        elif status.state is RunState.ABORTED:
            self.say(f"aborted: {status.reason}" if status.reason else "aborted")
        if self.views.data.seen < status.done:
            self.feed.load(Path(status.file))

    def _loaded(self, scan: Scan) -> None:
        if scan.source.removesuffix(".journal") == self._loading:     # else another measurement has begun meanwhile
            self.views.load(scan)
            self.kmc.refresh(self.views.data)

    def _not_loaded(self, sentence: str) -> None:
        if self.status is not None and self.status.state.busy:
            self._loading = ""      # the journal may be on its way
            return
        self.say(sentence)

    def _show_spectra(self, spectra: list[Any]) -> None:
        if len(self.views.data.wavelength_nm) == 0:
            return
        self.views.add_spectra(spectra)
        newest, axis = spectra[-1], self.views.data.wavelength_nm
        self.instruments.show_spectrometer(
            newest.exposure_s, len(axis), (float(axis[0]), float(axis[-1])), float(newest.counts.max())
        )

    # what a person asks for

    def _judge(self) -> None:
        self.preflight.judge(self.measure.form.recipe(), self._microscope, Path(self.measure.file.text().strip()))

    def _start(self, recipe: Recipe, path: Path) -> None:
        self.settings.setValue("folder", str(path.parent))
        self.settings.setValue("recipe", recipe.model_dump_json())
        self.feed.start(recipe.model_dump(mode="json"), path)

    def _started(self, out: str) -> None:
        self.notice.hide()
        self.propose_file(taken=Path(out))

    def propose_file(self, taken: Path | None = None) -> None:
        """Propose the next free name in the folder used last; ``taken`` is about to become a file."""
        documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        folder = Path(str(self.settings.value("folder", documents)))
        kind = self.measure.kind.currentData()
        number = 1
        while not free(path := folder / f"{kind}-{number:03d}.nxs") or path == taken:
            number += 1
        self.measure.set_file(path)

    def choose_microscope(self) -> None:
        """Ask for a microscope file, and connect."""
        self._choose("Microscope file", "Microscope (*.toml)", lambda name: self.open_microscope(Path(name)))

    def choose_scan(self) -> None:
        """Ask for a saved scan, and show it in a window of its own."""
        from halidescope.gui.offline import ScanWindow  # a window of its own; it knows this one's parts

        def show(name: str) -> None:
            window = ScanWindow(Path(name), THEMES[str(self.settings.value("theme", "dark"))], self)
            window.show()

        self._choose("Saved scan", "Scans (*.nxs *.journal)", show)

    def _choose(self, title: str, filter_: str, act: Callable[[str], object]) -> None:
        dialog = QFileDialog(self, title, str(self.settings.value("folder", "")), filter_)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(act)
        dialog.open()

    def say(self, sentence: str, *, alarm: bool = False) -> None:
        """Show a sentence beneath the strip."""
        self.notice.say(sentence, alarm=alarm)

    # looks and leaving

    def set_theme(self, theme: Theme) -> None:
        """Dress everything, and remember it."""
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        apply_theme(application, theme)
        self.views.set_theme(theme)
        self.kmc.set_theme(theme)
        self.theme_actions[theme.name].setChecked(True)
        self.settings.setValue("theme", theme.name)

    def _recall(self) -> None:
        geometry, state = self.settings.value("geometry"), self.settings.value("docks")
        if geometry is not None:
            self.restoreGeometry(geometry)
        else:
            self.resize(1600, 1000)
        if state is not None:
            self.restoreState(state, LAYOUT_VERSION)

    def _recall_recipe(self) -> None:
        """Show the recipe that was started last; one of another version is forgotten."""
        text = self.settings.value("recipe")
        if text is not None:
            try:
                self.measure.set_recipe(RECIPES.validate_json(str(text)))
            except ValidationError as error:
                log.info("remembered recipe not shown: %s", sentence_of(error, "settings"))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Ask what shall become of a running measurement, then leave; an idle engine of ours ends with its window."""
        busy = self.status is not None and self.status.state.busy
        if self._leaving or not (busy or (self._engine_is_ours and self.feed.connected)):
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
        box = QMessageBox(self)
        box.setWindowTitle("A measurement runs")
        box.setText(f"{self.status.measurement or 'A measurement'} is running.")
        box.setInformativeText("It goes on without this window, with the laser lit, and a new window can follow it.")
        keep = box.addButton("Keep measuring", QMessageBox.ButtonRole.AcceptRole)
        dark = box.addButton("Abort and go dark", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Stay here", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.setEscapeButton(stay)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        keep.clicked.connect(self._close_for_good)
        dark.clicked.connect(lambda: self.feed.quit_engine(self._close_for_good))
        box.open()
        self.question = box

    def _close_for_good(self) -> None:
        self._leaving = True
        self.close()

    def _leave(self) -> None:
        self.settings.setValue("geometry", self.saveGeometry())
        self.settings.setValue("docks", self.saveState(LAYOUT_VERSION))
        self.preflight.close()
        self.views.stop()
        self._asking.close()
        self.feed.close()
        self.kmc.close_process()


def free(path: Path) -> bool:
    """True if neither a measurement nor its journal has this name."""
    return not any(path.with_name(path.name + tail).exists() for tail in ("", ".journal", ".part"))
