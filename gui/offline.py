"""Saved scans, ours or another program's, in the views of a running measurement: seen, analysed again, exported."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent, QKeySequence
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMainWindow, QSplitter, QTabWidget, QVBoxLayout, QWidget

from halidescope.acquisition.convert import WRITERS, convert
from halidescope.acquisition.description import description_of, edit_description, why_not_changed
from halidescope.acquisition.importers import supported
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.results import Number
from halidescope.acquisition.results_file import results_path
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.stored_analysis import StoredAnalysis
from halidescope.acquisition.transport import header_of
from halidescope.gui.app import make_application
from halidescope.gui.asking import ask_files, ask_target
from halidescope.gui.dark_corner import DarkCorner
from halidescope.gui.description_form import DescriptionForm, Edited
from halidescope.gui.exporting import ENDINGS, save_picture
from halidescope.gui.kmc_dock import KmcPanel
from halidescope.gui.lane import Lane
from halidescope.gui.notice import Notice
from halidescope.gui.open_windows import add_windows_menu
from halidescope.gui.panels import Views
from halidescope.gui.reanalysis import Asked, analyse_again, results_of, words_of
from halidescope.gui.reanalysis_dialog import ReanalysisDialog
from halidescope.gui.run_data import read_whole
from halidescope.gui.scan_report import scan_report
from halidescope.gui.status_strip import StatusStrip
from halidescope.gui.stored_runs import ReadScan, RunChooser, read_scan, store_run
from halidescope.gui.theme import DARK, Theme, apply_theme, value_font
from halidescope.gui.values import dose

NEED_A_SCAN = ("picture", "data", "report", "description", "again")      # actions


def name_filter() -> str:
    """What can be opened, for file dialogs."""
    endings = sorted({ending for many in supported().values() for ending in many})
    return f"Scans ({' '.join(f'*{ending}' for ending in endings)});;All files (*)"


class ScanWindow(QMainWindow):
    """One saved scan, or the journal of one that still runs or was cut off."""

    def __init__(self, path: Path, theme: Theme = DARK, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, parent is not None)
        self.path = path
        self.theme = theme
        self.problem = ""
        self.scan: Scan | None = None
        self.analysis: StoredAnalysis | None = None      # that is shown; None: that of while it was measured
        self.stored: tuple[StoredAnalysis, ...] = ()
        self.views = Views(self)
        self.views.set_theme(theme)
        self.kmc = KmcPanel(self)
        self.kmc.set_theme(theme)
        self.kmc.hide()         # until it is put beside a series
        self.views.said.connect(self._say)
        self._strip: StatusStrip | None = None
        self._keep: Callable[[str, Mapping[str, Any], Number], object] | None = None
        self.views.map.diffusivity_kept.connect(self._keep_diffusivity)
        self.files = Lane("halidescope-file", self)
        self.setWindowTitle(f"{path.name} · Halidescope")
        self.about = QLabel(f"reading {path} …", self)
        self.about.setFont(value_font(10.5))
        self.about.setWordWrap(True)
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.simulated = QLabel("SIMULATED", self)
        self.simulated.setProperty("mark", True)
        self.simulated.hide()
        self.notice = Notice(self)
        self.runs = RunChooser(self)
        self.runs.chosen.connect(self.show_analysis)
        self.runs.store_asked.connect(self.store)
        self.head = QHBoxLayout()
        self.head.setContentsMargins(8, 4, 8, 4)
        self.head.addWidget(self.about, 1)
        self.head.addWidget(self.simulated)
        self.split = QSplitter(Qt.Orientation.Vertical, self)
        self.split.setChildrenCollapsible(False)
        body = QWidget(self)
        layout = QVBoxLayout(body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self.head)
        layout.addWidget(self.runs)
        layout.addWidget(self.notice)
        layout.addWidget(self.split, 1)
        self.setCentralWidget(body)
        self._build_menus()
        self.resize(1280, 900)
        self.files.ask(lambda: read_scan(path), self._show, self._fail)

    def _build_menus(self) -> None:
        keys = QKeySequence.StandardKey
        file = self.menuBar().addMenu("&File")
        self.actions_by_name = {}
        for name, words, key, act in (
            ("open", "&Open more…", keys.Open, self.choose_more),
            ("picture", "Save &picture…", keys.Save, self._choose_picture),
            ("data", "Save &data as…", "Ctrl+Shift+S", self._choose_data),
            ("report", "Save &report…", "Ctrl+P", self._choose_report),
            ("description", "&Description…", "Ctrl+I", self.ask_description),
            ("close", "&Close", keys.Close, self.close),
        ):
            action = file.addAction(words)
            action.setShortcut(QKeySequence(key))
            action.triggered.connect(lambda _=False, act=act: act())
            self.actions_by_name[name] = action
        again = self.menuBar().addMenu("&Analysis").addAction("Analyse &again…")
        again.setShortcut(QKeySequence("Ctrl+R"))
        again.triggered.connect(lambda: self.ask_again())
        self.actions_by_name["again"] = again
        for name in NEED_A_SCAN:
            self.actions_by_name[name].setEnabled(False)
        self.windows_menu = add_windows_menu(self)

    def _show(self, read: ReadScan) -> None:
        scan, self.stored = read.scan, read.runs
        self.scan = scan
        self.views.load(read.data)
        self.runs.offer(read.runs, online=scan.results is not None)
        if read.problem:
            self._say(read.problem)
        is_map = self.views.data.grid is not None
        for panel in ([self.views.map] if is_map else [self.views.live, self._series(scan)]):
            self.split.addWidget(panel)
        if not is_map and self.views.data.newest_index is not None:
            self.views.live.show_kept(self.views.data, self.views.data.newest_index)
        self._tell_about(scan)
        for name in NEED_A_SCAN:
            self.actions_by_name[name].setEnabled(True)

    def _tell_about(self, scan: Scan) -> None:
        about = scan.metadata
        sample = about["sample"].get("name") or "unnamed film"
        valid = scan.valid
        known = scan.dose_j_cm2[valid]
        greatest = dose(float(known.max())) if len(known) and known.max() >= 0 else "not known"
        self.about.setText(
            f"{about['title']} · {sample} · {int(valid.sum())} of {valid.size} spectra · {about['state']} · "
            f"greatest dose {greatest}" + (f" · {about['reason']}" if about["reason"] else "")
        )
        self.simulated.setVisible(scan.simulated)
        self.setProperty("simulated", scan.simulated)
        if scan.simulated:
            self.setWindowTitle(f"{self.path.name} · SIMULATED · Halidescope")

    def _series(self, scan: Scan) -> QTabWidget:
        """The series, and behind it the simulation, which is asked when somebody looks."""
        tabs = QTabWidget(self)
        tabs.addTab(self.views.series, "Series")
        tabs.addTab(self.kmc, "KMC")
        tabs.currentChanged.connect(lambda index: self.kmc.set_seen(tabs.widget(index) is self.kmc))
        composition = scan.metadata["sample"].get("composition")
        if composition:
            self.kmc.composition.setValue(composition)
        self.kmc.refresh(self.views.data)
        return tabs

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, ProblemError):
            raise error
        self.problem = str(error)
        self.about.setText(self.problem)

    def _say(self, sentence: str) -> None:
        self.notice.say(sentence)

    def _not_done(self, error: BaseException) -> None:
        if not isinstance(error, ProblemError):
            raise error
        self._say(str(error))

    # more files

    def choose_more(self) -> None:
        """Ask for other scans; each gets a window of its own, as this one."""
        ask_files(
            self, "Saved scans", name_filter(), lambda paths: [self.open_beside(path) for path in paths],
            folder=str(self.path.parent), many=True,
        )

    def open_beside(self, path: Path) -> "ScanWindow":
        """Show another scan in a window that closes with this one."""
        window = ScanWindow(path, self.theme, self)
        if self._keep is not None:
            window.offer_trends(self._keep)
        if self._strip is not None:
            window.offer_dark(self._strip)
        window.show()
        return window

    def offer_dark(self, strip: StatusStrip) -> None:
        """Have *Dark now* here too: this window lies over the main one."""
        self._strip = strip
        self.dark = DarkCorner(strip, self)
        self.head.addWidget(self.dark)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self.theme = theme
        self.views.set_theme(theme)
        self.kmc.set_theme(theme)
        for window in self.findChildren(ScanWindow):
            window.set_theme(theme)

    def offer_trends(self, keep: Callable[[str, Mapping[str, Any], Number], object]) -> None:
        """Let a map's diffusivity be put among the trends by ``keep``, called with file, header and D in m²/s."""
        self._keep = keep
        self.views.map.side.keep.show()

    def _keep_diffusivity(self, number: Number) -> None:
        if self._keep is not None and self.scan is not None:
            self._keep(self.scan.source, self.scan.metadata, number)
            self._say("the diffusivity is in the Trends view of the main window")

    # another analysis

    def ask_again(self) -> None:
        """Ask with what to analyse again."""
        if self.scan is None:
            return
        dialog = ReanalysisDialog(self.scan.metadata["sample"].get("composition"), self)
        dialog.asked.connect(self.analyse)
        dialog.show()
        self.dialog = dialog

    def analyse(self, asked: Asked) -> None:
        """Analyse again, in the lane; the views then show the new results, the file stays as it is."""
        scan = self.scan
        if scan is None:
            return
        self._say("analysing …")
        self.files.ask(lambda: analyse_again(scan, asked), self._analysed, self._not_done)

    def _analysed(self, run: StoredAnalysis) -> None:
        assert self.scan is not None
        self.runs.offer(self.stored, online=self.scan.results is not None, new=run)
        self.show_analysis(run)
        self.notice.say(self.notice.text.text(), actions=[("Store beside the data", lambda: self.store(run))])

    def show_analysis(self, run: StoredAnalysis | None) -> None:
        """Show an analysis, of now or stored; None: that of while the scan was measured."""
        assert self.scan is not None
        try:
            results = self.scan.results if run is None else results_of(self.scan, run)
        except ProblemError as error:      # numbers there are, for the report; nothing for the views
            self.analysis = run
            self._say(" ".join((str(error), words_of(run) if run is not None else "")))
            return
        self.analysis = run
        if results is None:
            return
        self.views.add_results(results)
        self.kmc.refresh(self.views.data)
        if self.views.data.newest_index is not None and self.views.data.grid is None:
            self.views.live.show_kept(self.views.data, self.views.data.newest_index)
        self._say(" ".join(part for part in (results.reference_note, words_of(run) if run is not None else "") if part))

    def store(self, run: StoredAnalysis) -> None:
        """Store an analysis beside the data, in the lane."""
        scan = self.scan
        if scan is None:
            return

        def done(runs: tuple[StoredAnalysis, ...]) -> None:
            self.stored = runs
            self.runs.offer(runs, online=scan.results is not None)
            self.analysis = self.runs.shown
            self._say(f"stored as analysis {runs[-1].number} in {results_path(Path(scan.source))}")

        self.files.ask(lambda: store_run(scan, run), done, self._not_done)

    # what the file says

    def ask_description(self) -> None:
        """Show what the file says about operator, sample, optics and circumstances, to be changed."""
        if self.scan is None:
            return
        if reason := why_not_changed(Path(self.scan.source)):
            self._say(reason)
            return
        header = header_of(self.scan)
        form = DescriptionForm(description_of(header), header.history, str(header.details.get("operator", "")), self)
        form.edited.connect(self.describe)
        form.show()
        self.form = form

    def describe(self, edited: Edited) -> None:
        """Change what the file says, in the lane, and show it."""
        assert self.scan is not None
        path = Path(self.scan.source)

        def change() -> tuple[int, Scan]:
            made = edit_description(path, edited.changes, by=edited.by, why=edited.why)
            return len(made), read_whole(path)[0]

        def done(found: tuple[int, Scan]) -> None:
            count, self.scan = found
            self._tell_about(self.scan)
            self._say(f"{path} is described anew, {count} entries changed; the spectra are as they were")

        self.files.ask(change, done, self._not_done)

    # out of the program

    def _choose(self, title: str, endings: list[str], act: Callable[[Path], object]) -> None:
        wanted = " ".join(f"*{ending}" for ending in endings)
        proposal = str(self.path.with_suffix(endings[0]))
        ask_target(self, title, wanted, proposal, act, suffix=endings[0][1:])

    def _choose_picture(self) -> None:
        self._choose("Picture of the views", list(ENDINGS), self.save_picture)

    def _choose_data(self) -> None:
        self._choose("Spectra and what belongs to them", [*WRITERS, ".nxs"], self.save_data)

    def _choose_report(self) -> None:
        self._choose("Report", [".html"], self.save_report)

    def save_picture(self, path: Path) -> None:
        """Write what is seen as PNG, SVG or PDF."""
        try:
            save_picture(self.split, path, simulated=self.scan is not None and self.scan.simulated)
        except ProblemError as error:
            self._say(str(error))
            return
        self._say(f"{path} is written")

    def save_data(self, path: Path) -> None:
        """Write the measurement in another format, in the lane."""
        source = Path(self.scan.source) if self.scan is not None else self.path
        self.files.ask(lambda: convert(source, path), lambda _: self._say(f"{path} is written"), self._not_done)

    def save_report(self, path: Path) -> None:
        """Write a page with numbers and figures, in the lane."""
        scan, analysis = self.scan, self.analysis
        if scan is None:
            return
        self._say("writing the report …")
        self.files.ask(
            lambda: scan_report(scan, analysis).write(path), lambda _: self._say(f"{path} is written"), self._not_done
        )

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Stop painting and let go of the file."""
        for window in self.findChildren(ScanWindow):
            window.close()
        self.views.stop()
        self.kmc.close_process()
        self.files.close()
        event.accept()


def view_file(path: Path) -> int:
    """Show a saved scan until its window is closed; returns the exit code."""
    application = make_application()
    apply_theme(application, DARK)
    window = ScanWindow(path)
    window.show()
    return application.exec()
