"""What stands beside a map: a pixel's spectrum, the profile along a line with its fit, regions with their means."""

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QTabWidget, QVBoxLayout, QWidget

from halidescope.acquisition.results import Number
from halidescope.gui.live_dock import share_words
from halidescope.gui.map_tools import RegionMean
from halidescope.gui.number_field import NumberField
from halidescope.gui.plots import PL_RANGE_NM, Plot
from halidescope.gui.run_data import RunData
from halidescope.gui.sentence import Sentence
from halidescope.gui.spectrum_view import SpectrumView
from halidescope.gui.theme import Theme, value_font
from halidescope.gui.values import plus_minus

HOW = "point at a pixel, click to keep its spectrum"
NO_REGION = "no region: + Region adds one"
SPECTRUM, PROFILE, REGIONS = range(3)     # the tabs


class MapSide(QTabWidget):
    """Three tabs; what is in them is decided by the map.

    Parameters
    ----------
    profile_plot : Plot
        Of the line profile, which belongs to the map's tools.
    """

    def __init__(self, profile_plot: Plot, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMode(True)
        self.view = SpectrumView(self, what="pixel", empty=HOW)
        self.view.caption.setText("")
        self.shares = Sentence("", self)
        self.shares.setFont(value_font())
        self.time = NumberField("diffusion time", "s", 500.0, (1e-3, 1e9), "how long it has spread: 1/⟨k⟩ or τ", self)
        self.fitted = Sentence("", self)
        self.region_words = Sentence(NO_REGION, self)
        self.region_words.setFont(value_font())
        self.region_plot = Plot(left=("mean counts", ""), bottom=("wavelength", "nm"))
        self.region_plot.getPlotItem().enableAutoRange("y")
        self.region_plot.setXRange(*PL_RANGE_NM, padding=0)
        self.region_curves: list[pg.PlotDataItem] = []
        time = QWidget(self)
        row = QHBoxLayout(time)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("diffusion time", self))
        row.addWidget(self.time)
        self.keep = QPushButton("D to Trends", self)
        self.keep.setToolTip("put this map's diffusivity, with its error, into the Trends view")
        self.keep.setEnabled(False)
        self.keep.hide()        # until somebody takes it
        row.addWidget(self.keep)
        self._page("Spectrum", self.view, self.shares)
        self._page("Profile", profile_plot, time, self.fitted)
        self._page("Regions", self.region_plot, self.region_words)

    def _page(self, words: str, *widgets: QWidget) -> None:
        page = QWidget(self)
        column = QVBoxLayout(page)
        column.setContentsMargins(4, 2, 4, 2)
        column.setSpacing(2)
        for place, widget in enumerate(widgets):
            column.addWidget(widget, 0 if place else 1)
        self.addTab(page, words)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self.view.set_theme(theme)
        self.region_plot.set_theme(theme)

    def show_pixel(self, data: RunData, pixel: int, value: str) -> None:
        """Show the spectrum of a pixel, by its index in the map, its shares, and in words the value of its colour."""
        grid = data.grid
        assert grid is not None
        row, column = divmod(pixel, grid.shape[1])
        where = f"pixel x {grid.x_um[column]:g} µm, y {grid.y_um[row]:g} µm"
        point = data.point_of(pixel)
        counts = data.counts(point)
        if counts is None:
            self.view.clear()
            why = "not measured" if data.place(point) is None else "only in its file"
            self.view.caption.setText(f"{where}: {why}")
            self.shares.setText("")
            return
        self.view.set_axis(data.wavelength_nm)
        self.view.set_counts_label(dark_subtracted=data.dark is not None)
        self.view.show_spectrum(counts)
        parts = data.parts(point) if data.dark is not None else None
        self.view.show_parts(parts, None if parts is None else counts - parts.sum(axis=0))
        self.view.caption.setText(where)
        self.shares.setText("   ".join(words for words in (value, share_words(data, point)) if words))

    def show_regions(
        self, wavelength_nm: NDArray[np.float64], means: Sequence[RegionMean], words: str, unit: str
    ) -> None:
        """Show the mean spectrum of every region, and the mean of what the colours mean, in words."""
        for curve in self.region_curves:
            self.region_plot.removeItem(curve)
        self.region_curves = []
        for one in means:
            if one.spectrum is not None:
                curve = pg.PlotDataItem(wavelength_nm, one.spectrum, pen=pg.mkPen(one.colour, width=2))
                self.region_plot.addItem(curve)
                self.region_plot.name_data(one.name, curve)
                self.region_curves.append(curve)
        self.region_words.setText("\n".join(
            f"{one.name}: {one.pixels} pixels, {words} " + (
                plus_minus(Number(one.value, one.value_se), unit) if one.pixels else "not measured"
            ) for one in means
        ) or NO_REGION)
