"""Saved scans in the same views as a running measurement."""

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMainWindow, QSplitter, QVBoxLayout, QWidget

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.scan import Scan
from halidescope.gui.app import make_application
from halidescope.gui.lane import Lane
from halidescope.gui.panels import Views
from halidescope.gui.run_data import RunData, read_whole
from halidescope.gui.theme import DARK, Theme, apply_theme, value_font
from halidescope.gui.values import dose


class ScanWindow(QMainWindow):
    """One saved scan, or the journal of one that still runs or was cut off."""

    def __init__(self, path: Path, theme: Theme = DARK, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, parent is not None)
        self.path = path
        self.problem = ""
        self.scan: Scan | None = None
        self.views = Views(self)
        self.views.set_theme(theme)
        self.files = Lane("halidescope-file", self)
        self.setWindowTitle(f"{path.name} · Halidescope")
        self.about = QLabel(f"reading {path} …", self)
        self.about.setFont(value_font(10.5))
        self.about.setWordWrap(True)
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.simulated = QLabel("SIMULATED", self)
        self.simulated.setProperty("mark", True)
        self.simulated.hide()
        head = QHBoxLayout()
        head.setContentsMargins(8, 4, 8, 4)
        head.addWidget(self.about, 1)
        head.addWidget(self.simulated)
        self.split = QSplitter(Qt.Orientation.Vertical, self)
        self.split.setChildrenCollapsible(False)
        body = QWidget(self)
        layout = QVBoxLayout(body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addWidget(self.split, 1)
        self.setCentralWidget(body)
        self.resize(1280, 900)
        self.files.ask(lambda: read_whole(path), self._show, self._fail)

    def _show(self, read: tuple[Scan, RunData]) -> None:
        scan, data = read
        self.scan = scan
        self.views.load(data)
        is_map = self.views.data.grid is not None
        for panel in ([self.views.map] if is_map else [self.views.live, self.views.series]):
            self.split.addWidget(panel)
        if not is_map and self.views.data.newest_index is not None:
            self.views.live.show_kept(self.views.data, self.views.data.newest_index)
        about = scan.metadata
        sample = about["sample"].get("name") or "unnamed film"
        valid = scan.valid
        greatest = dose(float(scan.dose_j_cm2[valid].max())) if valid.any() else "none"
        self.about.setText(
            f"{about['title']} · {sample} · {int(valid.sum())} of {valid.size} spectra · {about['state']} · "
            f"greatest dose {greatest}" + (f" · {about['reason']}" if about["reason"] else "")
        )
        self.simulated.setVisible(scan.simulated)
        if scan.simulated:
            self.setWindowTitle(f"{self.path.name} · SIMULATED · Halidescope")

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, ProblemError):
            raise error
        self.problem = str(error)
        self.about.setText(self.problem)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Stop painting and let go of the file."""
        self.views.stop()
        self.files.close()
        event.accept()


def view_file(path: Path) -> int:
    """Show a saved scan until its window is closed; returns the exit code."""
    application = make_application()
    apply_theme(application, DARK)
    window = ScanWindow(path)
    window.show()
    return application.exec()
