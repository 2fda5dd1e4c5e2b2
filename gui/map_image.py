"""The picture of a map: field, image with colour bar, scale bar, outlined pixels, and a line that can be dragged.

What is shown, and what a click on it means, is decided by :mod:`halidescope.gui.map_dock`.
"""

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtWidgets import QGraphicsRectItem

from halidescope.gui.map_grid import Grid
from halidescope.gui.plots import ColourBar, Plot
from halidescope.gui.theme import Theme

NICE_UM = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


class MapImage(Plot):
    """An image over µm axes; pixels without data have the colour of *missing*."""

    def __init__(self) -> None:
        super().__init__(left=("y", "µm"), bottom=("x", "µm"))
        self.setAspectLocked(True)
        self.backdrop = QGraphicsRectItem()         # the field, in the colour of what is missing
        self.backdrop.setPen(pg.mkPen(None))
        self.backdrop.setZValue(-100)
        self.addItem(self.backdrop)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.addItem(self.image)
        self.colours = ColourBar(self.image, self)
        self.mark = pg.PlotCurveItem()
        self.present = pg.PlotCurveItem()
        self.divider = pg.InfiniteLine(0.0, angle=90, movable=True)
        self.divider.setZValue(20)
        self.divider.hide()
        for item in (self.mark, self.present, self.divider):
            self.addItem(item)
        self.name_data("", self.mark, self.present)
        self.scale_bar = pg.ScaleBar(size=20.0, suffix="µm", offset=(-20, -20))
        self.scale_bar.setParentItem(self.getPlotItem().getViewBox())
        self.scale_bar.anchor((1, 1), (1, 1), offset=(-16, -16))
        self.scale_bar.hide()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        super().set_theme(theme)
        self.backdrop.setBrush(pg.mkBrush(theme.missing))
        self.colours.set_theme(theme)
        self.mark.setPen(pg.mkPen(theme.text, width=2))
        self.present.setPen(pg.mkPen(theme.warning, width=2))
        self.divider.setPen(pg.mkPen(theme.text, width=3))
        self.divider.setHoverPen(pg.mkPen(theme.accent, width=5))
        light = theme.text if theme.name == "red" else "#ffffff"      # on a shade of its own: images are dark or bright
        self.scale_bar.bar.setBrush(pg.mkBrush(light))
        self.scale_bar.bar.setPen(pg.mkPen("#000000"))
        self.scale_bar.text.setColor(light)
        self.scale_bar.text.fill = pg.mkBrush(0, 0, 0, 150)
        self.scale_bar.text.update()

    def show_field(self, grid: Grid) -> None:
        """Show the whole field, all of it missing, with a scale bar of a quarter of it at most."""
        field = field_of(grid)
        self.backdrop.setRect(field)
        self.setRange(field, padding=0.02)
        size = next((nice for nice in reversed(NICE_UM) if nice <= 0.25 * field.width()), NICE_UM[0])
        self.scale_bar.size = size
        self.scale_bar.text.setText(f"{size:g} µm")
        self.scale_bar.updateBar()
        self.scale_bar.show()

    def show_image(self, grid: Grid, image: NDArray[np.float64], label: str, low: float, high: float) -> None:
        """Show values of shape (ny, nx), with what the colours mean and the values of the first and the last."""
        self.colours.show(image, label, low, high)
        self.image.setRect(field_of(grid))

    def outline(self, curve: pg.PlotCurveItem, grid: Grid | None, index: int | None) -> None:
        """Put a frame, :attr:`mark` or :attr:`present`, around a pixel, or take it away."""
        if grid is None or index is None:
            curve.setData([], [])
            return
        row, column = divmod(index, grid.shape[1])
        dx, dy = grid.step_um
        x, y = grid.x_um[column], grid.y_um[row]
        curve.setData(x + dx / 2 * np.array([-1, 1, 1, -1, -1]), y + dy / 2 * np.array([-1, -1, 1, 1, -1]))

    def pixel_at(self, scene: QPointF, grid: Grid | None) -> int | None:
        """Index of the pixel at a place of the scene; None outside."""
        box = self.getPlotItem().getViewBox()
        if grid is None or not box.sceneBoundingRect().contains(scene):
            return None
        place = box.mapSceneToView(scene)
        return grid.pixel_at(place.x(), place.y())


def field_of(grid: Grid) -> QRectF:
    """Outer edges of the outermost pixels, in µm."""
    dx, dy = grid.step_um
    return QRectF(grid.x_um[0] - dx / 2, grid.y_um[0] - dy / 2, len(grid.x_um) * dx, len(grid.y_um) * dy)
