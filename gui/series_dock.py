"""How the film changes with time: wavelength × time, shares with fit and confidence band, the fit's numbers."""

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSplitter, QVBoxLayout, QWidget

from halidescope.gui.plots import PL_RANGE_NM, ColourBar, Plot, recolour
from halidescope.gui.run_data import RunData
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import DARK, Theme, phase_pen, phase_ranks, value_font
from halidescope.gui.values import plus_minus

LONGEST_LABEL = 14     # letters of a phase's name in the legend
MAX_POINTS = 600   # dots drawn per phase; more cannot be told apart on a screen
NO_BREAK = "\N{NO-BREAK SPACE}"
SYMBOLS = ("o", "t", "s", "d", "+", "x")
NUMBERS = (
    ("phi", "φ", ""), ("average_rate_per_s", "⟨k⟩", "1/s"), ("k1_per_s", "k₁", "1/s"), ("k2_per_s", "k₂", "1/s"),
)  # fmt: skip


class SeriesPanel(QWidget):
    """Colour map, shares and numbers of one time series."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = DARK
        self._ranks: list[float] = []
        self._span_s = 0.0

        self.map_plot = Plot(left=("time", "s"), bottom=("wavelength", "nm"))
        self.map_plot.setXRange(*PL_RANGE_NM, padding=0)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.map_plot.addItem(self.image)
        self.bar = ColourBar(self.image, self.map_plot)

        self.share_plot = Plot(left=("share of emission", "%"), bottom=("time", "s"))
        self.share_plot.setYRange(-5, 119, padding=0)   # room for the legend on top
        self.legend = self.share_plot.addLegend(offset=(-4, 1), colCount=3, labelTextSize="8.5pt")
        self.share_curves: list[pg.PlotDataItem] = []
        self.low = pg.PlotDataItem()
        self.high = pg.PlotDataItem()
        self.band = pg.FillBetweenItem(self.low, self.high)
        self.fit = pg.PlotDataItem()
        for item in (self.band, self.low, self.high, self.fit):
            self.share_plot.addItem(item)
        self.band.setZValue(-1)
        self.fit.setZValue(1)

        self.numbers = Sentence("no fit yet", self)
        self.numbers.setFont(value_font(10.5))
        self.numbers.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.note = Sentence("", self)
        self.note.setProperty("faint", True)
        split = QSplitter(Qt.Orientation.Horizontal, self)
        split.addWidget(self.map_plot)
        split.addWidget(self.share_plot)
        split.setChildrenCollapsible(False)
        split.setSizes([400, 400])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.setSpacing(2)
        layout.addWidget(split, 1)
        layout.addWidget(self.numbers)
        layout.addWidget(self.note)
        self.set_theme(DARK)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self._theme = theme
        self.map_plot.set_theme(theme)
        self.map_plot.getPlotItem().getViewBox().setBackgroundColor(theme.missing)
        self.share_plot.set_theme(theme)
        self.bar.set_theme(theme)
        self.fit.setPen(pg.mkPen(theme.text, width=2))
        nothing = pg.mkPen(None)
        self.low.setPen(nothing)
        self.high.setPen(nothing)
        shade = QColor(theme.text)
        shade.setAlpha(60)
        self.band.setBrush(pg.mkBrush(shade))
        recolour(self.legend, theme)
        for curve, rank in zip(self.share_curves, self._ranks, strict=True):
            curve.setSymbolBrush(phase_pen(theme, rank).color())

    def set_phases(self, labels: tuple[str, ...], data: RunData) -> None:
        """Say which phases there are."""
        for curve in self.share_curves:
            self.share_plot.removeItem(curve)
        self.legend.clear()
        self._ranks = phase_ranks(data.wavelength_nm, data.references) if len(data.references) else []
        self.share_curves = []
        for label, rank, symbol in zip(labels, self._ranks, SYMBOLS, strict=False):
            colour = phase_pen(self._theme, rank).color()
            curve = pg.PlotDataItem(pen=None, symbol=symbol, symbolSize=4, symbolPen=None, symbolBrush=colour)
            self.share_plot.addItem(curve)
            self.legend.addItem(curve, label if len(label) <= LONGEST_LABEL else f"{label[:LONGEST_LABEL - 1]}…")
            self.share_curves.append(curve)
        if self.share_curves:
            self.legend.addItem(self.fit, "fit, 95 % band")

    def show_stack(self, data: RunData) -> None:
        """Show the colour map as far as it goes."""
        stack = data.stack
        if stack is None or stack.rows == 0:
            return
        image = stack.image()
        if data.dark is not None:
            image -= stack.binned(data.dark).astype(np.float32)
        low, high = stack.wavelength_range_nm
        finite = image[np.isfinite(image)]
        top = float(finite.max()) if len(finite) else 1.0
        bottom = float(finite.min()) if len(finite) else 0.0
        top = max(top, bottom + 1.0)
        self.bar.show(image, "counts above dark" if data.dark is not None else "counts with dark", bottom, top)
        self.image.setRect(QRectF(low, stack.start_s, high - low, stack.rows * stack.bin_s))
        if low > PL_RANGE_NM[1] or high < PL_RANGE_NM[0]:
            self.map_plot.setXRange(low, high, padding=0)
        self._follow(stack.end_s)

    def _follow(self, end_s: float) -> None:
        if end_s > self._span_s or end_s < self._span_s / 3:
            self._span_s = max(end_s * 1.25, 1.0)
            self.map_plot.setYRange(0, self._span_s, padding=0)
            self.share_plot.setXRange(0, self._span_s, padding=0)

    def show_results(self, data: RunData) -> None:
        """Show shares, fit, band and numbers."""
        time_s, shares = data.share_series()
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
        words = [
            f"{symbol} {plus_minus(results.numbers[name], unit)}".replace(" ", NO_BREAK)
            for name, symbol, unit in NUMBERS if name in results.numbers
        ]
        self.numbers.setText("    ".join(words) if words else "no fit yet")
        self.note.setText(" ".join(part for part in (results.note, results.reference_note) if part))

    def clear(self) -> None:
        """Show nothing."""
        self.image.clear()
        for curve in (*self.share_curves, self.fit, self.low, self.high):
            curve.setData([], [])
        self.numbers.setText("no fit yet")
        self.note.setText("")
        self._span_s = 0.0
