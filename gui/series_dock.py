"""How the film changes with time: spectra × time, shares with fit and confidence band, residuals, peak shift, numbers.

One cursor is in all plots: dragged, or moved by the arrow keys, it names a moment, and :attr:`SeriesPanel.time_picked`
tells it to whoever shows that moment's spectrum. What is laid over the shares is
:mod:`halidescope.gui.series_overlay`, what lies beneath them :mod:`halidescope.gui.series_beneath`.
"""

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QEvent, QObject, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.results import Number
from halidescope.analysis.composition import HC_EV_NM
from halidescope.gui.asking import SAVED_SCANS, ask_files
from halidescope.gui.parted import ABOVE, BESIDE, parted
from halidescope.gui.plots import NOTHING, PL_RANGE_NM, ColourBar, Plot, recolour, tick_words
from halidescope.gui.run_data import RunData
from halidescope.gui.sentence import Sentence
from halidescope.gui.series_beneath import BENEATH, Beneath, over_energy
from halidescope.gui.series_overlay import LONGEST_LABEL, MAX_POINTS, Overlay
from halidescope.gui.theme import DARK, Theme, phase_pen, phase_ranks, points, px, value_font
from halidescope.gui.values import NO_BREAK, plus_minus

EMPTY = "no series yet: choose a time series among the recipes under Measure, and start it (F5)"
NO_SHARES = "no shares yet: they come as the spectra are analysed"
LEGEND_PX = 26     # of the shares' plot, above 100 %
SYMBOLS = ("o", "t", "s", "d", "+", "x")
NUMBERS = (
    ("phi", "φ", ""), ("average_rate_per_s", "⟨k⟩", "1/s"), ("k1_per_s", "k₁", "1/s"), ("k2_per_s", "k₂", "1/s"),
)  # fmt: skip
UNKNOWN = Number(math.nan)     # what a fit does not determine


class SeriesPanel(QWidget):
    """Colour map, shares, what is left over, and numbers of one time series.

    Signals
    -------
    time_picked(float)
        A moment in s.
    compare_asked(Path)
        A person chose another series to be laid over this one.
    """

    time_picked = Signal(float)
    compare_asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = DARK
        self._ranks: list[float] = []
        self._span_s = 0.0
        self._data = RunData()
        self.picked_s: float | None = None
        self.beneath = Beneath(self)
        self.beneath.ready.connect(lambda: self._show_lower())
        self._build_map()
        self._build_curves()
        self.numbers = Sentence("no fit yet", self)
        self.numbers.setFont(value_font(10.5))
        self.numbers.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.note = Sentence("", self)
        self.note.setProperty("faint", True)
        left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.map_plot, 1)
        chosen = QHBoxLayout()
        for words, combo in (("colour map over", self.axis), ("below the shares", self.below)):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(14)
            chosen.addWidget(QLabel(words, self))
            chosen.addWidget(combo)
        chosen.addStretch(1)
        self.compare = QPushButton("Compare…", self)
        self.compare.setToolTip("lay the growing share of other series, and its fit, over this one")
        self.compare.clicked.connect(lambda: self._toggle_compare())
        self.overlay = Overlay(self.share_plot, self.legend)
        chosen.addWidget(self.compare)
        curves = parted(self, self.share_plot, self.lower_plot, (260, 130), ABOVE)
        split = parted(self, left, curves, (400, 400), BESIDE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(2)
        layout.addWidget(split, 1)
        layout.addLayout(chosen)
        layout.addWidget(self.numbers)
        layout.addWidget(self.note)
        self.set_theme(DARK)

    def _build_map(self) -> None:
        self.map_plot = Plot(left=("time", "s"), bottom=("wavelength", "nm"))
        self.map_plot.setXRange(*PL_RANGE_NM, padding=0)
        self.map_plot.say_empty(EMPTY)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.map_plot.addItem(self.image)
        self.bar = ColourBar(self.image, self.map_plot)
        self.axis = QComboBox(self)
        self.axis.setAccessibleName("axis of the colour map")
        self.axis.addItems(["wavelength", "photon energy"])
        self.axis.currentIndexChanged.connect(lambda _: self._turn_axis())

    def _build_curves(self) -> None:
        self.share_plot = Plot(left=("share", "%"), bottom=("time", "s"))
        self.share_plot.getPlotItem().getAxis("left").tickStrings = _share_words
        self.share_plot.getPlotItem().getViewBox().sigResized.connect(lambda _: self._make_room())
        self.legend = self.share_plot.addLegend(offset=(-4, 1), colCount=3, labelTextSize=f"{points(8.5)}pt")
        self.share_curves: list[pg.PlotDataItem] = []
        self.signs: list[pg.PlotDataItem] = []      # of the curves, in the legend
        self.low = pg.PlotDataItem()
        self.high = pg.PlotDataItem()
        self.band = pg.FillBetweenItem(self.low, self.high)
        self.fit = pg.PlotDataItem()
        for item in (self.band, self.low, self.high, self.fit):
            self.share_plot.addItem(item)
        self.share_plot.name_data("fit", self.fit)
        self.share_plot.name_data("95 % band, from", self.low)
        self.share_plot.name_data("95 % band, to", self.high)
        self.band.setZValue(-1)
        self.fit.setZValue(1)
        self.lower_plot = Plot(left=("Δ share", "%"), bottom=("time", "s"))
        self.lower_plot.setMinimumHeight(px(104))     # its label
        self.lower_plot.setXLink(self.share_plot)
        self.lower_plot.getPlotItem().enableAutoRange("y")
        self.lower_points = pg.PlotDataItem(pen=None, symbol="o", symbolSize=3, symbolPen=None)
        self.zero = pg.InfiniteLine(0.0, angle=0)
        for item in (self.lower_points, self.zero):
            self.lower_plot.addItem(item)
        self.share_plot.hide_bottom()
        self.share_plot.say_empty(NO_SHARES)
        self.below = QComboBox(self)
        self.below.setAccessibleName("what is below the shares")
        for words, name, _, _ in BENEATH:
            self.below.addItem(words, name)
        self.below.currentIndexChanged.connect(lambda _: self._show_lower())
        self.cursors = [pg.InfiniteLine(0.0, angle=angle, movable=True) for angle in (0, 90, 90)]
        plots = (self.map_plot, self.share_plot, self.lower_plot)
        for plot, cursor in zip(plots, self.cursors, strict=True):
            cursor.setZValue(15)
            cursor.hide()
            cursor.sigDragged.connect(lambda line: self.pick(float(line.value())))
            plot.addItem(cursor)
            plot.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            plot.installEventFilter(self)
            plot.scene().sigMouseClicked.connect(lambda event, plot=plot: self._clicked(plot, event))

    def _make_room(self) -> None:
        """Keep the legend above 100 %, however low the plot."""
        high = max(self.share_plot.getPlotItem().getViewBox().height(), 2.0 * px(LEGEND_PX))
        self.share_plot.setYRange(-5, -5 + 107 / (1 - px(LEGEND_PX) / high), padding=0)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self._theme = theme
        self.map_plot.set_theme(theme)
        self.map_plot.getPlotItem().getViewBox().setBackgroundColor(theme.missing)
        self.share_plot.set_theme(theme)
        self.lower_plot.set_theme(theme)
        self.bar.set_theme(theme)
        self.fit.setPen(pg.mkPen(theme.text, width=2))
        self.zero.setPen(pg.mkPen(theme.faint, width=1))
        self.lower_points.setSymbolBrush(pg.mkBrush(theme.data))
        for cursor in self.cursors:
            cursor.setPen(pg.mkPen(theme.accent, width=1))
            cursor.setHoverPen(pg.mkPen(theme.accent, width=3))
        nothing = pg.mkPen(None)
        self.low.setPen(nothing)
        self.high.setPen(nothing)
        shade = QColor(theme.text)
        shade.setAlpha(60)
        self.band.setBrush(pg.mkBrush(shade))
        recolour(self.legend, theme)
        for curves in (self.share_curves, self.signs):
            for curve, rank in zip(curves, self._ranks, strict=True):
                curve.setSymbolBrush(phase_pen(theme, rank).color())

    def set_phases(self, labels: tuple[str, ...], data: RunData) -> None:
        """Say which phases there are."""
        for curve in self.share_curves:
            self.share_plot.removeItem(curve)
        self.end_comparing()
        self.legend.clear()
        self._ranks = phase_ranks(data.wavelength_nm, data.references) if len(data.references) else []
        self.share_curves, self.signs = [], []
        for label, rank, symbol in zip(labels, self._ranks, SYMBOLS, strict=False):
            colour = phase_pen(self._theme, rank).color()
            curve = pg.PlotDataItem(pen=None, symbol=symbol, symbolSize=5, symbolPen=None, symbolBrush=colour)
            self.share_plot.addItem(curve)
            self.share_plot.name_data(label, curve)
            # a larger one in the legend: shapes are for who cannot tell the colours
            sign = pg.PlotDataItem(
                [0.0], [0.0], pen=None, symbol=symbol, symbolSize=10, symbolPen=None, symbolBrush=colour
            )
            self.signs.append(sign)
            self.legend.addItem(sign, label if len(label) <= LONGEST_LABEL else f"{label[:LONGEST_LABEL - 1]}…")
            self.share_curves.append(curve)
        if self.share_curves:
            self.legend.addItem(self.fit, "fit, 95 % band")

    # other series

    def _toggle_compare(self) -> None:
        if self.overlay.others:
            self.end_comparing()
            return
        ask_files(
            self, "Series to be laid over this one", SAVED_SCANS,
            lambda paths: [self.compare_asked.emit(path) for path in paths], many=True,
        )

    def compare_with(self, data: RunData, name: str) -> str:
        """Lay another series' growing share and fit over this one's; returns why not, or nothing."""
        why = self.overlay.add(data, name)
        if not why:
            self.compare.setText("Compare ×")
            self._follow(max(float(data.share_series()[0][-1]), self._span_s / 1.25))
        return why

    def end_comparing(self) -> None:
        """Take the other series away."""
        self.overlay.end()
        self.compare.setText("Compare…")

    # the colour map

    def show_stack(self, data: RunData) -> None:
        """Show the colour map as far as it goes."""
        self._data = data
        stack = data.stack
        if stack is None or stack.rows == 0:
            return
        self.map_plot.say_empty("")
        image = stack.image()
        if data.dark is not None:
            image -= stack.binned(data.dark).astype(np.float32)
        low, high = stack.wavelength_range_nm
        if self.axis.currentIndex() == 1:
            image, low, high = over_energy(image, low, high)
        finite = image[np.isfinite(image)]
        top = float(finite.max()) if len(finite) else 1.0
        bottom = float(finite.min()) if len(finite) else 0.0
        top = max(top, bottom + 1.0)
        self.bar.show(image, "counts above dark" if data.dark is not None else "counts with dark", bottom, top)
        self.image.setRect(QRectF(low, stack.start_s, high - low, stack.rows * stack.bin_s))
        if self.axis.currentIndex() == 0 and (low > PL_RANGE_NM[1] or high < PL_RANGE_NM[0]):
            self.map_plot.setXRange(low, high, padding=0)
        self._follow(stack.end_s)

    def _turn_axis(self) -> None:
        energy = self.axis.currentIndex() == 1
        self.map_plot.name_axis(
            "bottom", *(("photon energy", "eV") if energy else ("wavelength", "nm")), self._theme
        )
        edges = [HC_EV_NM / edge for edge in reversed(PL_RANGE_NM)] if energy else list(PL_RANGE_NM)
        self.map_plot.setXRange(*edges, padding=0)
        self.show_stack(self._data)

    def _follow(self, end_s: float) -> None:
        if end_s > self._span_s or end_s < self._span_s / 3:
            self._span_s = max(end_s * 1.25, 1.0)
            self.map_plot.setYRange(0, self._span_s, padding=0)
            self.share_plot.setXRange(0, self._span_s, padding=0)

    # the curves

    def show_results(self, data: RunData) -> None:
        """Show shares, fit, band, what is left over, and numbers."""
        self._data = data
        time_s, shares = data.share_series()
        self.share_plot.say_empty("" if len(time_s) else NO_SHARES)
        stride = max(1, -(-len(time_s) // MAX_POINTS))
        for column, curve in enumerate(self.share_curves):
            if column < shares.shape[1]:
                curve.setData(time_s[::stride], 100 * shares[::stride, column])
        results = data.results
        fit_time = np.asarray(results.fit_time_s, dtype=float)
        curves = ((self.fit, results.fit_share), (self.low, results.fit_low), (self.high, results.fit_high))
        for curve, values in curves:
            curve.setData(fit_time, 100 * np.asarray(values, dtype=float))
        if len(time_s):
            self._follow(float(time_s[-1]))
        self._show_lower()
        words = [
            f"{symbol} {plus_minus(results.numbers.get(name, UNKNOWN), unit)}".replace(" ", NO_BREAK)
            for name, symbol, unit in NUMBERS if results.numbers
        ]
        self.numbers.setText("    ".join(words) if words else "no fit yet")
        self.note.setText(" ".join(part for part in (results.note, results.reference_note) if part))

    def _show_lower(self) -> None:
        name = self.below.currentData()
        label, unit = self.beneath.label(name)
        x, y = self.beneath.series(name, self._data, MAX_POINTS)
        good = np.isfinite(x) & np.isfinite(y)
        x, y = x[good], y[good]
        stride = max(1, -(-len(x) // MAX_POINTS))
        self.lower_plot.name_axis("left", label, unit, self._theme)
        self.zero.setVisible(name != "intensity")
        self.lower_plot.say_empty("" if len(x) else NOTHING)
        self.lower_points.setData(x[::stride], y[::stride])

    # the cursor

    def pick(self, time_s: float) -> None:
        """Put the cursor on the spectrum nearest to a moment, in every plot."""
        index = self._data.nearest_in_time(time_s)
        place = None if index is None else self._data.place(index)
        if place is None:
            return
        self.picked_s = place[2]
        for cursor in self.cursors:
            cursor.setValue(self.picked_s)
            cursor.show()
        self.time_picked.emit(self.picked_s)

    def unpick(self) -> None:
        """Take the cursor away."""
        self.picked_s = None
        for cursor in self.cursors:
            cursor.hide()

    def _clicked(self, plot: Plot, event: object) -> None:
        place = plot.getPlotItem().getViewBox().mapSceneToView(event.scenePos())    # type: ignore[attr-defined]
        self.pick(place.y() if plot is self.map_plot else place.x())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Arrow keys go to the neighbouring spectrum."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
            if step is not None and self.picked_s is not None:
                times = np.sort(self._data.times_and_totals()[0])
                times = times[np.isfinite(times)]
                at = int(np.searchsorted(times, self.picked_s)) + step
                if 0 <= at < len(times):
                    self.pick(float(times[at]))
                return True
        return False

    def clear(self) -> None:
        """Show nothing."""
        self._data = RunData()
        self.beneath.forget()
        self.unpick()
        self.end_comparing()
        self.image.clear()
        self.map_plot.say_empty(EMPTY)
        self.share_plot.say_empty(NO_SHARES)
        for curve in (*self.share_curves, self.fit, self.low, self.high, self.lower_points):
            curve.setData([], [])
        self.numbers.setText("no fit yet")
        self.note.setText("")
        self._span_s = 0.0

    def stop(self) -> None:
        """Compute no more."""
        self.beneath.stop()


def _share_words(values: Sequence[float], scale: float, spacing: float) -> list[str]:
    """Per cent, up to a hundred: what is above is room for the legend."""
    words = tick_words(values, scale, spacing)
    return [word if value <= 100 else "" for value, word in zip(values, words, strict=True)]
