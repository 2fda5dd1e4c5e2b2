"""Trends: final share and rate against power and temperature, Arrhenius plot, D(T); a click leaves a point out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.results import Number
from halidescope.analysis.arrhenius import Arrhenius
from halidescope.gui.asking import SAVED_SCANS, ask_files
from halidescope.gui.lane import Lane
from halidescope.gui.number_field import NumberField
from halidescope.gui.parted import BESIDE, parted
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import DARK, Theme, value_font
from halidescope.gui.trend_plot import PlotRow, TrendPlot
from halidescope.gui.trend_points import (
    ROOM_K,
    TrendPoint,
    arrhenius_of,
    energy_words,
    finished_points,
    positive,
    read_points,
    typed_number,
)
from halidescope.gui.values import plus_minus

COLUMNS = ("file", "power (µW)", "T (K)", "φ", "⟨k⟩ (1/s)", "D (m²/s)")
TEMPERATURE, DIFFUSIVITY = 2, 5     # what a person may type
NO_SERIES = "no point yet: a time series of this window comes by itself when it is finished, others by Add files…"
SATURATED = "saturated spectra: leave this one out, or measure it with a shorter exposure"
NO_D = "no D yet: a map's Profile tab puts one here, or type it into the table"


class TrendsPanel(QWidget):
    """A table of measurements and their plots.

    Signals
    -------
    said(str)
        A sentence for the person.
    undoable(str)
        The same about something that :meth:`undo` takes back.
    """

    said = Signal(str)
    undoable = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = DARK
        self.points: list[TrendPoint] = []
        self._back: list[Callable[[], object]] = []     # the last steps, each as what takes it back
        self._lane = Lane("halidescope-trends", self)
        self.table = QTableWidget(0, len(COLUMNS), self)
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        self.table.setAccessibleName("measurements")
        self.table.setToolTip(
            "T: of the sample as its file says, else of the room, plus the laser's steady rise, unless you type it. D: "
            "from a map's Profile tab, or typed, e.g. 2e-13 or 2e-13 ± 1e-14."
        )
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.cellChanged.connect(self._typed)
        self.add = QPushButton("Add files…", self)
        self.add.setToolTip("time series, or a power series as a whole; those of this window come by themselves")
        self.remove = QPushButton("Remove", self)
        self.remove.setToolTip("take the selected measurements out of the table; their files stay")
        self.room = NumberField("room", "K", ROOM_K, (1.0, 1000.0), "temperature of the film in the dark", self)
        self.add.clicked.connect(self._choose)
        self.remove.clicked.connect(self._remove)
        self.leave_out = QPushButton("Leave out", self)
        self.leave_out.setToolTip(
            "leave the selected measurements out of the fits, or take them in again (Space, or a click on a point)"
        )
        self.leave_out.clicked.connect(self._toggle_selected)
        self.back = QPushButton("Undo", self)
        self.back.setToolTip("take back what was left out, removed or typed last (Ctrl+Z)")
        self.back.setEnabled(False)
        self.back.clicked.connect(self.undo)
        for key, widget, act in (
            ("Space", self.table, self.leave_out.click), ("Del", self.table, self.remove.click),
            ("Ctrl+Z", self, self.undo),
        ):  # fmt: skip
            shortcut = QShortcut(QKeySequence(key), widget)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)
        self.room.changed.connect(self._show)
        grid = QGridLayout()
        for place, button in enumerate((self.add, self.leave_out, self.back, self.remove)):
            grid.addWidget(button, *divmod(place, 2))
        dark = QHBoxLayout()
        dark.addWidget(QLabel("film in the dark", self))
        dark.addWidget(self.room, 1)
        left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table, 1)
        column.addLayout(grid)
        column.addLayout(dark)
        self.phi = TrendPlot(left=("final share φ", ""), bottom=("power", "µW"), empty=NO_SERIES)
        self.rate = TrendPlot(left=("⟨k⟩", "1/s"), bottom=("power", "µW"), empty=NO_SERIES)
        self.phi_heat = TrendPlot(left=("final share φ", ""), bottom=("temperature", "K"), empty=NO_SERIES)
        self.rate_heat = TrendPlot(left=("⟨k⟩", "1/s"), bottom=("temperature", "K"), empty=NO_SERIES)
        self.arrhenius = TrendPlot(left=("ln ⟨k⟩", "k in 1/s"), bottom=("1000 / T", "1/K"), empty=NO_SERIES)
        self.diffusion = TrendPlot(left=("D", "10⁻¹³ m²/s"), bottom=("temperature", "K"), empty=NO_D)
        against_power, against_heat = QSplitter(self), QSplitter(self)
        for pages, plots in ((against_power, (self.phi, self.rate)), (against_heat, (self.phi_heat, self.rate_heat))):
            for plot in plots:
                pages.addWidget(plot)
        self.tabs = QTabWidget(self)
        self.tabs.setDocumentMode(True)
        for page, words in (
            (against_power, "Power"), (against_heat, "Temperature"), (self.arrhenius, "Arrhenius"),
            (self.diffusion, "D(T)"),
        ):  # fmt: skip
            self.tabs.addTab(page, words)
        self.words = Sentence("", self)
        self.words.setFont(value_font())
        right = QWidget(self)
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.words)
        split = parted(self, left, right, (380, 480), BESIDE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.addWidget(split)
        for plot in self._plots:
            plot.clicked.connect(self.toggle)
        self.set_theme(DARK)

    @property
    def _plots(self) -> tuple[TrendPlot, ...]:
        return self.phi, self.rate, self.phi_heat, self.rate_heat, self.arrhenius, self.diffusion

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self._theme = theme
        for plot in self._plots:
            plot.set_theme(theme)
        self._show()

    # points come and go

    def add_points(self, points: Sequence[TrendPoint]) -> None:
        """Add measurements; one that is there already is replaced."""
        for point in points:
            self.points = [one for one in self.points if one.source != point.source] + [point]
        self._show()

    def add_files(self, paths: Sequence[Path]) -> None:
        """Read files in a lane and add what they hold."""
        self._lane.ask(lambda: read_points(paths), self._read, self._not_read)

    def add_finished(self, path: Path) -> None:
        """Read a series that has just ended in a lane; it is a point if it was finished and a fit was found."""
        self._lane.ask(lambda: finished_points(path), self._read, self._not_read)

    def _read(self, found: tuple[list[TrendPoint], list[str]]) -> None:
        points, without = found
        self.add_points(points)
        if without:
            self.said.emit(
                f"no fitted time series in {', '.join(without)}: if it is a series, open it, analyse it again, store "
                "that, and add its file here"
            )

    def _not_read(self, error: BaseException) -> None:
        if not isinstance(error, ProblemError):
            raise error
        self.said.emit(str(error))

    def _choose(self) -> None:
        ask_files(self, "Time series, or lists of them", SAVED_SCANS, self.add_files, many=True)

    @property
    def _selected(self) -> list[int]:
        return sorted(index.row() for index in self.table.selectionModel().selectedRows())

    def _remove(self) -> None:
        gone = [(row, self.points[row]) for row in self._selected]
        if not gone:
            self.said.emit("nothing is removed: select a measurement of the table first")
            return
        self.points = [point for point in self.points if all(point is not one for _, one in gone)]

        def put_back() -> None:
            for row, point in gone:
                self.points.insert(min(row, len(self.points)), point)

        names = ", ".join(Path(point.source).name for _, point in gone)
        self._done(put_back, f"out of the trends: {names}; the file stays")

    def _toggle_selected(self) -> None:
        rows = self._selected
        if not rows:
            self.said.emit("nothing is left out: select a measurement of the table, or click a point")
        for row in rows:
            self.toggle(row)

    def undo(self) -> None:
        """Take back the last thing that a person did to the points."""
        if self._back:
            self._back.pop()()
            self._show()

    def _done(self, take_back: Callable[[], object], words: str = "") -> None:
        self._back.append(take_back)
        self._show()
        if words:
            self.undoable.emit(words)

    def show_diffusion(self) -> None:
        """Bring D(T) to the front."""
        self.tabs.setCurrentWidget(self.diffusion)

    def toggle(self, number: int) -> None:
        """Leave a point out of the fits, or take it in again."""
        self._change(number, excluded=not self.points[number].excluded)

    def _change(self, row: int, **values: object) -> None:
        """Change a point, if it is a change."""
        old = self.points[row]
        new = replace(old, **values)  # type: ignore[arg-type]
        if new == old:
            self._show()
            return
        self.points[row] = new

        def take_back() -> None:
            self.points = [old if one.source == old.source else one for one in self.points]

        self._done(take_back)

    def _typed(self, row: int, column: int) -> None:
        item = self.table.item(row, column)
        text = "" if item is None else item.text().strip()
        try:
            if column == TEMPERATURE:
                self._change(row, temperature_k=positive(text) if text else None)
            elif column == DIFFUSIVITY and text != _words(self.points[row].diffusivity_m2_s, ""):
                self._change(row, diffusivity_m2_s=typed_number(text) if text else None)
        except ValueError:
            allowed = "a temperature above 0 K" if column == TEMPERATURE else "D above 0 m²/s, or D ± its error"
            self.said.emit(f"'{text}' is not {allowed}; the value before it is kept")
            self._show()

    # showing

    def _show(self) -> None:
        room = self.room.value
        if room is None:
            self.words.setText(self.room.reason)
            return
        self.back.setEnabled(bool(self._back))
        self._fill_table(room)
        power = [point.power_uw for point in self.points]
        heat = [point.temperature(room) for point in self.points]
        self._points(self.phi, "phi", power, 1.0)
        self._points(self.rate, "rate_per_s", power, 1.0)
        self._points(self.phi_heat, "phi", heat, 1.0)
        self._points(self.rate_heat, "rate_per_s", heat, 1.0)
        self._points(self.diffusion, "diffusivity_m2_s", heat, 1e13)
        self.arrhenius.show_points([
            PlotRow(number, 1000.0 / heat[number], math.log(k.value), (k.se or 0.0) / k.value, point.excluded)
            for number, point in enumerate(self.points)
            if (k := point.rate_per_s) is not None and k.value > 0
        ], self._theme)
        self._lines(room, heat)

    def _points(self, plot: TrendPlot, name: str, x: Sequence[float], factor: float) -> None:
        plot.show_points([
            PlotRow(number, x[number], factor * value.value, factor * (value.se or 0.0), point.excluded)
            for number, point in enumerate(self.points) if (value := getattr(point, name)) is not None
        ], self._theme)

    def _lines(self, room: float, heat: Sequence[float]) -> None:
        if not self.points:
            self.words.setText("")
        rate = arrhenius_of(self.points, room)
        spread = arrhenius_of(self.points, room, "diffusivity_m2_s")
        words = []
        span = np.linspace(min(heat) - 2, max(heat) + 2, 60) if heat else np.empty(0)
        if isinstance(rate, Arrhenius):
            self.arrhenius.show_line(1000.0 / span, np.log(rate.evaluate(span)), self._theme)
            words.append(f"⟨k⟩: {energy_words(rate)}")
        else:
            self.arrhenius.show_line(np.empty(0), np.empty(0), self._theme)
            words.append(f"⟨k⟩: no line ({rate})")
        if isinstance(spread, Arrhenius):
            self.diffusion.show_line(span, 1e13 * spread.evaluate(span), self._theme)
            words.append(f"D: {energy_words(spread)}")
        else:
            self.diffusion.show_line(np.empty(0), np.empty(0), self._theme)
        if self.points:
            if any(point.saturated and not point.excluded for point in self.points):
                words.append(f"⚠ {SATURATED}")
            out = sum(point.excluded for point in self.points)
            words += [f"{out} left out"] if out else []
            if any(point.temperature_k is None for point in self.points):
                words.append("T: dark film and calculated heating, taken as exact; enter what was measured")
            self.words.setText("; ".join(words))

    def _fill_table(self, room: float) -> None:
        self.table.blockSignals(True)
        self.table.setRowCount(len(self.points))
        for row, point in enumerate(self.points):
            mark = "⚠ " if point.saturated else ""
            texts = (
                mark + Path(point.source).stem, f"{point.power_uw:g}", f"{point.temperature(room):.1f}",
                _words(point.phi), _words(point.rate_per_s), _words(point.diffusivity_m2_s, ""),
            )
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column not in (TEMPERATURE, DIFFUSIVITY):
                    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                font = item.font()
                font.setStrikeOut(point.excluded)
                item.setFont(font)
                item.setToolTip(point.source + (f"\n{SATURATED}" if point.saturated else ""))
                self.table.setItem(row, column, item)
        self.table.resizeColumnsToContents()
        self.table.blockSignals(False)

    def stop(self) -> None:
        """Read no more."""
        self._lane.close()


def _words(number: Number | None, nothing: str = "–") -> str:
    return nothing if number is None else plus_minus(number)
