"""The analyses of an opened scan: that of while it was measured, those stored beside its file, and the one of now.

:func:`read_scan` reads a scan with them, for a lane; :class:`RunChooser` is the list in the window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QWidget

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.results_file import store_results
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.stored_analysis import StoredAnalysis
from halidescope.gui.run_data import RunData, read_whole


@dataclass(frozen=True)
class ReadScan:
    """A scan, what views need of it, its stored analyses, and why those cannot be read (empty if they can)."""

    scan: Scan
    data: RunData
    runs: tuple[StoredAnalysis, ...] = ()
    problem: str = ""


def read_scan(path: Path) -> ReadScan:
    """A measurement and its stored analyses; damaged results do not keep the measurement from being seen."""
    scan, data = read_whole(path)
    try:
        return ReadScan(scan, data, tuple(scan.stored_analyses()))
    except ProblemError as error:
        return ReadScan(scan, data, problem=str(error))


def store_run(scan: Scan, run: StoredAnalysis) -> tuple[StoredAnalysis, ...]:
    """Store an analysis beside its scan; all that are stored then, the new one last."""
    store_results(Path(scan.source), run)
    return tuple(scan.stored_analyses())


class RunChooser(QWidget):
    """Which analysis the views show, and a button that stores one that is not stored yet.

    Signals
    -------
    chosen(object)
        A :class:`StoredAnalysis`, or None for the analysis of while it was measured.
    store_asked(object)
        The :class:`StoredAnalysis` of now.
    """

    chosen = Signal(object)
    store_asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QComboBox(self)
        self.list.setAccessibleName("analyses of this scan")
        self.list.setToolTip("the analysis of while it was measured, and those stored beside the file")
        self.list.setPlaceholderText("choose an analysis")
        self.store = QPushButton("Store beside the data", self)
        self.store.setToolTip("adds this analysis, with settings, versions and hashes, to NAME.analysis.nxs")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 2)
        layout.addWidget(QLabel("analysis", self))
        layout.addWidget(self.list, 1)
        layout.addWidget(self.store)
        self._runs: list[StoredAnalysis | None] = []
        self.list.activated.connect(lambda place: self._choose(place))
        self.store.clicked.connect(lambda: self.store_asked.emit(self.shown))
        self.hide()

    @property
    def shown(self) -> StoredAnalysis | None:
        """The analysis that is chosen; None is that of while it was measured, or none."""
        place = self.list.currentIndex()
        return self._runs[place] if 0 <= place < len(self._runs) else None

    def offer(self, stored: Sequence[StoredAnalysis], *, online: bool, new: StoredAnalysis | None = None) -> None:
        """List what there is; ``new``, else the last stored one while one was shown, is then the chosen one."""
        before = self.shown
        self._runs = [*([None] if online else []), *stored, *([new] if new is not None else [])]
        self.list.clear()
        self.list.addItems(["while measuring" if run is None else run.title for run in self._runs])
        if new is not None or before is not None:
            self.list.setCurrentIndex(len(self._runs) - 1)
        else:
            self.list.setCurrentIndex(0 if online else -1)
        self.setVisible(bool(stored) or new is not None)
        self._judge()

    def _choose(self, place: int) -> None:
        self._judge()
        self.chosen.emit(self._runs[place])

    def _judge(self) -> None:
        self.store.setVisible(self.shown is not None and self.shown.number == 0)
