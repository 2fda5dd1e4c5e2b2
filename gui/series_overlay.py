"""Other series laid over the shares of one: dots of the growing share, and the fit, in a colour of their own."""

import numpy as np
import pyqtgraph as pg

from halidescope.gui.map_tools import COLOURS
from halidescope.gui.plots import Plot
from halidescope.gui.run_data import RunData

LONGEST_LABEL = 11     # letters of a name in the legend
MAX_POINTS = 600       # dots drawn per phase; more cannot be told apart on a screen


class Overlay:
    """Puts them there, and takes them away.

    Parameters
    ----------
    plot, legend : Plot, LegendItem
        Of the shares.
    """

    def __init__(self, plot: Plot, legend: pg.LegendItem) -> None:
        self._plot, self._legend = plot, legend
        self.others: list[tuple[pg.PlotDataItem, pg.PlotDataItem]] = []     # dots and fit

    def add(self, data: RunData, name: str) -> str:
        """Lay another series' growing share and fit over this one's; returns why not, or nothing."""
        time_s, shares = data.share_series()
        if data.grid is not None:
            return f"{name} is not a time series"
        if not shares.size:
            return f"{name} holds no shares: analyse it first"
        pen = pg.mkPen(COLOURS[len(self.others) % len(COLOURS)], width=2)
        stride = max(1, -(-len(time_s) // MAX_POINTS))
        dots = pg.PlotDataItem(
            time_s[::stride], 100 * shares[::stride, -1], pen=None, symbol="x", symbolSize=5, symbolPen=None,
            symbolBrush=pen.color(),
        )
        results = data.results
        fit = pg.PlotDataItem(
            np.asarray(results.fit_time_s, dtype=float), 100 * np.asarray(results.fit_share, dtype=float), pen=pen
        )
        for curve, words in ((dots, name), (fit, f"fit of {name}")):
            self._plot.addItem(curve)
            self._plot.name_data(words, curve)
        self._legend.addItem(dots, name if len(name) <= LONGEST_LABEL else f"…{name[1 - LONGEST_LABEL:]}")
        self.others.append((dots, fit))
        return ""

    def end(self) -> None:
        """Take the other series away."""
        for dots, fit in self.others:
            self._legend.removeItem(dots)
            self._plot.removeItem(dots)
            self._plot.removeItem(fit)
        self.others = []
