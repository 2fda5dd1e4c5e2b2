"""The plot of a trend: a point per measurement with its error, those left out hollow and crossed, and a line."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Signal

from halidescope.gui.plots import Plot
from halidescope.gui.theme import Theme, px

LEAST_SPAN = 0.02     # of a range, as a share of its middle: one point alone is no reason for a magnifying glass
MARGIN = 0.12         # around the outermost points


@dataclass(frozen=True)
class PlotRow:
    """One point of a plot; ``number`` is its place among the measurements."""

    number: int
    x: float
    y: float
    error: float
    excluded: bool


class TrendPlot(Plot):
    """Points with error bars and a line; emits ``clicked(int)`` with the number of a point.

    Parameters
    ----------
    empty : str
        How a point comes into it.
    """

    clicked = Signal(int)

    def __init__(self, *, left: tuple[str, str], bottom: tuple[str, str], empty: str) -> None:
        super().__init__(left=left, bottom=bottom)
        self._empty_words = empty
        self.getPlotItem().getAxis("left").setWidth(px(78))     # five digits and the label
        self.getPlotItem().getAxis("bottom").setTickDensity(0.6)
        self.points = pg.ScatterPlotItem(size=10, hoverable=True, tip=None)
        self.bars = pg.ErrorBarItem(x=np.empty(0), y=np.empty(0), height=np.empty(0), beam=0.0)
        self.line = pg.PlotDataItem()
        for item in (self.line, self.bars, self.points):
            self.addItem(item)
        self.name_data("standard error", self.bars)
        self.name_data("fit", self.line)
        self.points.sigClicked.connect(lambda _, spots, *rest: self.clicked.emit(int(spots[0].data())))
        self.say_empty(empty)

    def show_points(self, rows: Sequence[PlotRow], theme: Theme) -> None:
        """Show points; those that are left out are hollow crosses."""
        self.say_empty("" if rows else self._empty_words)
        self.points.setData([
            {"pos": (row.x, row.y), "data": row.number, "symbol": "x" if row.excluded else "o",
             "brush": pg.mkBrush(None if row.excluded else theme.accent),
             "pen": pg.mkPen(theme.faint if row.excluded else theme.accent, width=2)}
            for row in rows
        ])
        x, y = np.array([row.x for row in rows]), np.array([row.y for row in rows])
        error = np.array([row.error for row in rows])
        self.bars.setData(x=x, y=y, height=2 * error, pen=pg.mkPen(theme.faint))
        if rows:
            self.setXRange(*_range(x, x), padding=0)
            self.setYRange(*_range(y - error, y + error), padding=0)

    def show_line(self, x: NDArray[np.float64], y: NDArray[np.float64], theme: Theme) -> None:
        """Show the fitted line; an empty one takes it away."""
        self.line.setData(x, y)
        self.line.setPen(pg.mkPen(theme.text, width=2))


def _range(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[float, float]:
    """From the smallest to the greatest value, with a margin."""
    least, most = float(low.min()), float(high.max())
    middle = 0.5 * (least + most)
    half = max(0.5 * (most - least) * (1 + 2 * MARGIN), 0.5 * LEAST_SPAN * abs(middle), 1e-12)
    return middle - half, middle + half
