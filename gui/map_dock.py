"""The map: a quantity of every pixel with colour bar and µm axes, and the spectrum of the pixel that is clicked."""

import numpy as np
import pyqtgraph as pg
from pyqtgraph.GraphicsScene.mouseEvents import MouseClickEvent
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from halidescope.gui.live_dock import share_words
from halidescope.gui.plots import ColourBar, Plot
from halidescope.gui.run_data import RunData
from halidescope.gui.sentence import Sentence
from halidescope.gui.spectrum_view import SpectrumView
from halidescope.gui.theme import DARK, Theme, value_font

INTENSITY = ("intensity", "intensity")


class MapPanel(QWidget):
    """Image of a map, linked to the spectrum of one pixel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = DARK
        self._data = RunData()
        self.picked: int | None = None

        self.quantity = QComboBox(self)
        self.quantity.setAccessibleName("quantity of the map")
        self.quantity.setToolTip("what the colours mean; shares are shares of emission, not of volume")
        self.quantity.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.quantity.addItem(*INTENSITY)
        self.quantity.currentIndexChanged.connect(lambda _: self.show_map(self._data))
        self.missing = QLabel("", self)
        self.missing.setProperty("faint", True)
        self.plot = Plot(left=("y", "µm"), bottom=("x", "µm"))
        self.plot.setAspectLocked(True)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.image)
        self.bar = ColourBar(self.image, self.plot)
        self.mark = pg.PlotCurveItem()
        self.present = pg.PlotCurveItem()
        self.plot.addItem(self.mark)
        self.plot.addItem(self.present)
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self.view = SpectrumView(self, what="pixel")
        self.view.caption.setText("click a pixel to see its spectrum")
        self.shares = Sentence("", self)
        self.shares.setFont(value_font())

        head = QHBoxLayout()
        head.setContentsMargins(6, 0, 6, 0)
        head.addWidget(QLabel("show", self))
        head.addWidget(self.quantity)
        head.addWidget(self.missing, 1)
        left = QWidget(self)
        left_layout = QVBoxLayout(left)
        left_layout.setContentsMargins(0, 0, 0, 0)
        left_layout.addLayout(head)
        left_layout.addWidget(self.plot, 1)
        right = QWidget(self)
        right_layout = QVBoxLayout(right)
        right_layout.setContentsMargins(0, 0, 0, 0)
        right_layout.addWidget(self.view, 1)
        right_layout.addWidget(self.shares)
        split = QSplitter(Qt.Orientation.Horizontal, self)
        split.addWidget(left)
        split.addWidget(right)
        split.setChildrenCollapsible(False)
        split.setSizes([460, 400])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(split, 1)
        self.set_theme(DARK)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self._theme = theme
        self.plot.set_theme(theme)
        self.plot.getPlotItem().getViewBox().setBackgroundColor(theme.missing)
        self.view.set_theme(theme)
        self.bar.set_theme(theme)
        self.mark.setPen(pg.mkPen(theme.text, width=2))
        self.present.setPen(pg.mkPen(theme.warning, width=2))

    def set_phases(self, labels: tuple[str, ...], data: RunData) -> None:
        """Offer the shares of these phases; the growing one is shown first."""
        self.view.set_phases(labels, data.references)
        shares = [(f"share of {label}", label) for label in reversed(labels)]
        self._offer([*shares, INTENSITY, ("residual of unmixing", "residual")])

    def _offer(self, quantities: list[tuple[str, str]]) -> None:
        self.quantity.blockSignals(True)
        self.quantity.clear()
        for words, name in quantities:
            self.quantity.addItem(words, name)
        self.quantity.blockSignals(False)

    def set_grid(self, data: RunData) -> None:
        """Show the whole field from the start, all of it missing."""
        self._data = data
        grid = data.grid
        if grid is None:
            return
        dx, dy = grid.step_um
        self.plot.setRange(
            QRectF(grid.x_um[0] - dx / 2, grid.y_um[0] - dy / 2, len(grid.x_um) * dx, len(grid.y_um) * dy), padding=0.02
        )

    def show_map(self, data: RunData) -> None:
        """Paint the chosen quantity; pixels without data keep the colour of *missing*."""
        self._data = data
        grid = data.grid
        if grid is None:
            return
        chosen = self.quantity.currentData()
        image = data.image(chosen)
        if chosen not in ("intensity", "residual"):
            image = 100.0 * image
        finite = image[np.isfinite(image)]
        lacking = image.size - len(finite)
        self.missing.setText(f"{lacking} of {image.size} pixels missing (grey)" if lacking else "all pixels measured")
        if not len(finite):
            self.image.clear()
            return
        low, high = float(finite.min()), float(finite.max())
        high = max(high, low + 1e-6 * max(abs(low), 1.0))
        unit = "counts" if chosen in ("intensity", "residual") else "%"
        self.bar.show(image, f"{self.quantity.currentText()} ({unit})", low, high)
        dx, dy = grid.step_um
        self.image.setRect(
            QRectF(grid.x_um[0] - dx / 2, grid.y_um[0] - dy / 2, len(grid.x_um) * dx, len(grid.y_um) * dy)
        )
        self._outline(self.present, data.newest_index if lacking else None)
        if self.picked is not None:
            self.pick(self.picked)

    def _outline(self, curve: pg.PlotCurveItem, index: int | None) -> None:
        grid = self._data.grid
        if grid is None or index is None:
            curve.setData([], [])
            return
        row, column = divmod(index, grid.shape[1])
        dx, dy = grid.step_um
        x, y = grid.x_um[column], grid.y_um[row]
        curve.setData(x + dx / 2 * np.array([-1, 1, 1, -1, -1]), y + dy / 2 * np.array([-1, -1, 1, 1, -1]))

    def _clicked(self, event: MouseClickEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or self._data.grid is None:
            return
        place: QPointF = self.plot.getPlotItem().getViewBox().mapSceneToView(event.scenePos())
        index = self._data.grid.pixel_at(place.x(), place.y())
        if index is not None:
            self.pick(index)

    def pick(self, index: int) -> None:
        """Show the spectrum of a pixel, by its index in the map."""
        self.picked = index
        grid, data = self._data.grid, self._data
        if grid is None:
            return
        self._outline(self.mark, index)
        row, column = divmod(index, grid.shape[1])
        where = f"pixel x {grid.x_um[column]:g} µm, y {grid.y_um[row]:g} µm"
        counts = data.counts(index)
        if counts is None:
            self.view.clear()
            self.view.caption.setText(f"{where}: not measured")
            self.shares.setText("")
            return
        self.view.set_axis(data.wavelength_nm)
        self.view.set_counts_label(dark_subtracted=data.dark is not None)
        self.view.show_spectrum(counts)
        parts = data.parts(index) if data.dark is not None else None
        self.view.show_parts(parts, None if parts is None else counts - parts.sum(axis=0))
        self.view.caption.setText(where)
        self.shares.setText(share_words(data, index))

    def clear(self) -> None:
        """Show nothing; only the intensity is known of any map."""
        self.picked = None
        self._offer([INTENSITY])
        self.image.clear()
        self._outline(self.mark, None)
        self._outline(self.present, None)
        self.view.clear()
        self.shares.setText("")
        self.missing.setText("")
        self.view.caption.setText("click a pixel to see its spectrum")
