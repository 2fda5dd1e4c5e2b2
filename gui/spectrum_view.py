"""One spectrum with its unmixed parts and, beneath, what the parts leave over. Used live, in maps and offline."""

import numpy as np
import pyqtgraph as pg
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from halidescope.gui.parted import ABOVE, parted
from halidescope.gui.plots import NOTHING, PL_RANGE_NM, Plot, SteadyRange, recolour
from halidescope.gui.theme import DARK, Theme, phase_pen, phase_ranks, points, px


class SpectrumView(QWidget):
    """Spectrum, unmixed parts, their sum, and the residual strip.

    Everything is shown in counts; whether the dark spectrum is subtracted is said by :meth:`set_counts_label`.

    Parameters
    ----------
    what : str
        What the curve is called.
    empty : str
        How a spectrum comes into it.
    """

    def __init__(self, parent: QWidget | None = None, *, what: str = "spectrum", empty: str = "") -> None:
        super().__init__(parent)
        self._theme = DARK
        self._what = what
        self._empty = empty
        self._wavelength_nm: NDArray[np.float64] = np.empty(0)
        self._window = slice(0, 0)
        self._ranks: list[float] = []
        self._range = SteadyRange(-50.0, 1000.0)
        self._residual_range = SteadyRange(-50.0, 50.0)

        self.caption = QLabel(what, self)
        self.caption.setTextFormat(Qt.TextFormat.PlainText)
        self.plot = Plot(left=("counts", ""), bottom=("wavelength", "nm"))
        self.residual_plot = Plot(left=("residual", ""), bottom=("wavelength", "nm"))
        self.plot.hide_bottom()
        self.residual_plot.setXLink(self.plot)
        self.plot.setXRange(*PL_RANGE_NM, padding=0)
        self.legend = self.plot.addLegend(offset=(-8, 1), labelTextSize=f"{points(8.5)}pt", verSpacing=-6)
        self.curve = pg.PlotDataItem()
        self.sum_curve = pg.PlotDataItem()
        self.part_curves: list[pg.PlotDataItem] = []
        self.reference_curves: list[pg.PlotDataItem] = []
        self._references: NDArray[np.float64] = np.empty((0, 0))
        self._references_shown = False
        self.residual_curve = pg.PlotDataItem()
        self.plot.addItem(self.curve)
        self.plot.addItem(self.sum_curve)
        self.residual_plot.addItem(self.residual_curve)
        self.plot.name_data(what, self.curve)
        self.plot.name_data("sum of parts", self.sum_curve)
        self.zero = pg.InfiniteLine(0.0, angle=0)
        self.residual_plot.addItem(self.zero)

        self.residual_plot.setMinimumHeight(px(96))    # its label fits, however low the dock
        self.residual_plot.getPlotItem().getAxis("left").setTickDensity(0.4)

        split = parted(self, self.plot, self.residual_plot, (300, 110), ABOVE)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(2)
        layout.addWidget(self.caption)
        layout.addWidget(split, 1)
        self._say_empty(empty)
        self.set_theme(DARK)

    @property
    def theme(self) -> Theme:
        """The theme that is worn."""
        return self._theme

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self._theme = theme
        self.plot.set_theme(theme)
        self.residual_plot.set_theme(theme)
        self.curve.setPen(pg.mkPen(theme.data, width=1))
        self.sum_curve.setPen(pg.mkPen(theme.accent, width=1))
        self.residual_curve.setPen(pg.mkPen(theme.data, width=1))
        for curve, rank in zip(self.part_curves, self._ranks, strict=True):
            curve.setPen(phase_pen(theme, rank))
        for curve, rank in zip(self.reference_curves, self._ranks, strict=True):
            curve.setPen(phase_pen(theme, rank, width=1.0))
        self.zero.setPen(pg.mkPen(theme.faint, width=1))
        recolour(self.legend, theme)

    def set_axis(self, wavelength_nm: ArrayLike) -> None:
        """Set the wavelengths, in nm, shape (channels,)."""
        self._wavelength_nm = np.asarray(wavelength_nm, dtype=float)
        shown = np.flatnonzero((self._wavelength_nm >= PL_RANGE_NM[0]) & (self._wavelength_nm <= PL_RANGE_NM[1]))
        if len(shown):
            self._window = slice(int(shown[0]), int(shown[-1]) + 1)
        else:
            self._window = slice(0, len(self._wavelength_nm))
            self.plot.setXRange(self._wavelength_nm[0], self._wavelength_nm[-1], padding=0)

    def set_phases(self, labels: tuple[str, ...], references: NDArray[np.float64]) -> None:
        """Say which parts there are: names, and endmembers of shape (k, channels)."""
        for curve in (*self.part_curves, *self.reference_curves):
            self.plot.removeItem(curve)
        self._references = references
        self.legend.clear()
        self._ranks = phase_ranks(self._wavelength_nm, references) if len(references) else []
        self.part_curves = []
        self.reference_curves = [pg.PlotDataItem(pen=phase_pen(self._theme, rank, width=1.0)) for rank in self._ranks]
        for label, curve in zip(labels, self.reference_curves, strict=False):
            self.plot.addItem(curve)
            self.plot.name_data(f"reference of {label}", curve)
        for label, rank in zip(labels, self._ranks, strict=False):
            curve = pg.PlotDataItem(pen=phase_pen(self._theme, rank))
            self.plot.addItem(curve)
            self.plot.name_data(label, curve)
            self.legend.addItem(curve, label)
            self.part_curves.append(curve)
        if self.part_curves:
            self.legend.addItem(self.sum_curve, "sum of parts")
        self.legend.addItem(self.curve, self._what)

    def show_spectrum(self, counts: ArrayLike) -> None:
        """Show a spectrum, shape (channels,)."""
        values = np.asarray(counts, dtype=float)
        self._say_empty("")
        self.curve.setData(self._wavelength_nm, values)
        self._follow()
        self._scale_references(values)

    def _say_empty(self, words: str) -> None:
        self.plot.say_empty(words)
        self.residual_plot.say_empty(NOTHING if words else "")

    def _follow(self) -> None:
        """Keep the spectrum and its parts in sight; a part of a reference that does not fit can be higher than both."""
        shown = [values for curve in (self.curve, *self.part_curves) if (values := curve.getData()[1]) is not None]
        visible = [values[self._window] for values in shown if len(values[self._window])]
        if visible:
            low, high = min(float(one.min()) for one in visible), max(float(one.max()) for one in visible)
            if self._range.follow(min(0.0, low), high):
                self.plot.setYRange(self._range.low, self._range.high, padding=0)

    def show_references(self, shown: bool) -> None:
        """Show the endmembers too, or not."""
        self._references_shown = shown
        counts = self.curve.getData()[1]
        self._scale_references(np.zeros(0) if counts is None else np.asarray(counts, dtype=float))

    def _scale_references(self, counts: NDArray[np.float64]) -> None:
        """Every endmember as high as the spectrum."""
        if not self.reference_curves:
            return
        top = float(counts[self._window].max()) if len(counts) and self._references_shown else 0.0
        for curve, reference in zip(self.reference_curves, self._references, strict=True):
            if top > 0 and len(reference) == len(self._wavelength_nm):
                curve.setData(self._wavelength_nm, reference * (top / reference.max()))
            elif curve.getData()[0] is not None and len(curve.getData()[0]):
                curve.setData([], [])

    def show_parts(self, parts: NDArray[np.float64] | None, residual: ArrayLike | None) -> None:
        """Show the unmixed parts, shape (k, channels), and what they leave over; None takes them away."""
        if parts is None or residual is None:
            for curve in (*self.part_curves, self.sum_curve, self.residual_curve):
                curve.setData([], [])
            return
        for curve, part in zip(self.part_curves, parts, strict=False):
            curve.setData(self._wavelength_nm, part)
        self._follow()
        self.sum_curve.setData(self._wavelength_nm, parts.sum(axis=0))
        left = np.asarray(residual, dtype=float)
        self.residual_curve.setData(self._wavelength_nm, left)
        visible = left[self._window]
        if len(visible) and self._residual_range.follow(float(visible.min()), float(visible.max())):
            reach = max(abs(self._residual_range.low), abs(self._residual_range.high))
            self._residual_range.low, self._residual_range.high = -reach, reach
            self.residual_plot.setYRange(-reach, reach, padding=0)

    def set_counts_label(self, *, dark_subtracted: bool) -> None:
        """Say on the axis what the counts are."""
        label = "counts above dark" if dark_subtracted else "counts with dark"
        self.plot.name_axis("left", label, "", self._theme)

    def clear(self) -> None:
        """Show nothing."""
        self._say_empty(self._empty)
        self.curve.setData([], [])
        self.show_parts(None, None)
