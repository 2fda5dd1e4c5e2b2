"""Another map of the same field beside a map: its pixels left of a line that can be dragged."""

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from halidescope.gui.map_grid import Grid
from halidescope.gui.map_quantities import MapImages, Quantity
from halidescope.gui.run_data import RunData


class Beside(QObject):
    """The other map.

    Parameters
    ----------
    divider : InfiniteLine
        The line; shown only while maps are compared.
    """

    def __init__(self, divider: pg.InfiniteLine, parent: QObject) -> None:
        super().__init__(parent)
        self.images = MapImages(self)
        self.name = ""          # of the other map; empty: nothing is compared
        self._divider = divider

    def begin(self, grid: Grid | None, other: RunData, name: str) -> str:
        """Compare with another map; returns why that cannot be, or nothing."""
        if grid is None or other.grid is None:
            return f"{name} is not a map" if other.grid is None else "there is no map to compare with"
        if not grid.same_as(other.grid):
            shape, x_um, y_um = other.grid.shape, other.grid.x_um, other.grid.y_um
            return f"{name} has other pixels: {shape[1]} × {shape[0]} from x {x_um[0]:g} µm, " \
                   f"y {y_um[0]:g} µm; compare maps of one field"
        self.images.set_data(other, another=True)
        self.name = name
        half_um = grid.step_um[0] / 2
        self._divider.setBounds((float(grid.x_um[0]) - half_um, float(grid.x_um[-1]) + half_um))
        self._divider.setValue(float(grid.x_um.mean()))
        self._divider.show()
        self._divider.setToolTip(f"left: {name}, right: the map itself")
        return ""

    def end(self) -> None:
        """Compare no more."""
        self.name = ""
        self._divider.hide()

    def put(self, grid: Grid, image: NDArray[np.float64], quantity: Quantity) -> NDArray[np.float64]:
        """The image with the other map's columns left of the line, as far as the other has this quantity."""
        if not self.name or quantity.name.partition(":")[2] not in ("", *self.images.data.labels):
            return image
        left = np.asarray(grid.x_um) < self._divider.value()
        return np.where(left[None, :], self.images.image(quantity), image)
