"""What one does with a map: regions with their mean, and a line with its profile and the diffusion fitted to it.

Pixels are chosen here; the fit is :func:`halidescope.analysis.diffusion.fit_profile`.
"""

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from halidescope.acquisition.results import Number
from halidescope.analysis.diffusion import Profile, fit_profile
from halidescope.gui.map_grid import Grid
from halidescope.gui.plots import Plot
from halidescope.gui.run_data import RunData
from halidescope.gui.theme import Theme
from halidescope.gui.values import plus_minus

COLOURS = ("#e69f00", "#56b4e9", "#cc79a7", "#f0e442", "#0072b2", "#d55e00")     # Okabe and Ito: told apart by all
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class RegionMean:
    """Mean over the pixels of a region; ``value_se`` is the standard error of the mean, from their scatter."""

    name: str
    colour: str
    pixels: int
    value: float
    value_se: float
    spectrum: Numbers | None


class Regions(QObject):
    """Rectangles on a map; emits ``changed()`` when one comes, goes or is moved."""

    changed = Signal()

    def __init__(self, plot: Plot, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._plot = plot
        self.rois: list[pg.RectROI] = []

    def add(self, grid: Grid) -> None:
        """A rectangle of a fifth of the field in its middle, to be moved and sized by its corner."""
        (dx, dy), (ny, nx) = grid.step_um, grid.shape
        width, height = max(dx, 0.2 * nx * dx), max(dy, 0.2 * ny * dy)
        place = [float(grid.x_um.mean()) - width / 2, float(grid.y_um.mean()) - height / 2]
        colour = COLOURS[len(self.rois) % len(COLOURS)]
        roi = pg.RectROI(place, [width, height], pen=pg.mkPen(colour, width=2), hoverPen=pg.mkPen(colour, width=3))
        roi.sigRegionChanged.connect(lambda _: self.changed.emit())
        self._plot.addItem(roi)
        self.rois.append(roi)
        self.changed.emit()

    def remove_last(self) -> None:
        """Take the newest away."""
        if self.rois:
            self._plot.removeItem(self.rois.pop())
            self.changed.emit()

    def clear(self) -> None:
        """Take all away."""
        while self.rois:
            self._plot.removeItem(self.rois.pop())

    def means(self, data: RunData, image: Numbers) -> list[RegionMean]:
        """Mean value and mean spectrum of every region; pixels belong to it if their centre does."""
        grid = data.grid
        if grid is None:
            return []
        found = []
        x, y = np.meshgrid(grid.x_um, grid.y_um)
        for number, roi in enumerate(self.rois):
            low, size = roi.pos(), roi.size()
            inside = (x >= low[0]) & (x <= low[0] + size[0]) & (y >= low[1]) & (y <= low[1] + size[1])
            values = image[inside]
            values = values[np.isfinite(values)]
            pixels = np.flatnonzero(inside.ravel())
            spectra = [counts for index in pixels if (counts := data.counts(data.point_of(int(index)))) is not None]
            count = len(values)
            found.append(RegionMean(
                name=chr(ord("A") + number), colour=COLOURS[number % len(COLOURS)], pixels=count,
                value=float(values.mean()) if count else np.nan,
                value_se=float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan,
                spectrum=np.mean(spectra, axis=0) if spectra else None,
            ))
        return found


class LineProfile(QObject):
    """A line on a map, and the plot of the quantity along it; emits ``changed()`` when it is moved."""

    changed = Signal()

    def __init__(self, plot: Plot, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._plot = plot
        self.roi: pg.LineSegmentROI | None = None
        self.diffusivity: Number | None = None      # m²/s, of the last fit that converged
        self.profile_plot = Plot(left=("value", ""), bottom=("distance along the line", "µm"))
        self.points = pg.PlotDataItem(pen=None, symbol="o", symbolSize=5, symbolPen=None)
        self.curve = pg.PlotDataItem()
        for item in (self.points, self.curve):
            self.profile_plot.addItem(item)
        self.profile_plot.name_data("fit", self.curve)
        self.profile_plot.getPlotItem().enableAutoRange()

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self.profile_plot.set_theme(theme)
        self.points.setSymbolBrush(pg.mkBrush(theme.data))
        self.curve.setPen(pg.mkPen(theme.accent, width=2))
        if self.roi is not None:
            self.roi.setPen(pg.mkPen(theme.accent, width=2))

    def show(self, grid: Grid, theme: Theme) -> None:
        """Put a line through the middle of the field, its ends to be dragged."""
        if self.roi is not None:
            return
        y_um = float(grid.y_um[len(grid.y_um) // 2])
        ends = ([float(grid.x_um[0]), y_um], [float(grid.x_um[-1]), y_um])
        self.roi = pg.LineSegmentROI(ends, pen=pg.mkPen(theme.accent, width=2))
        self.roi.sigRegionChanged.connect(lambda _: self.changed.emit())
        self._plot.addItem(self.roi)
        self.changed.emit()

    def hide(self) -> None:
        """Take the line away."""
        if self.roi is not None:
            self._plot.removeItem(self.roi)
            self.roi = None
        self.diffusivity = None
        self.points.setData([], [])
        self.curve.setData([], [])

    def ends_um(self) -> tuple[Numbers, Numbers]:
        """Both ends in stage coordinates, µm."""
        assert self.roi is not None
        first, last = (self.roi.mapToParent(handle) for handle in self.roi.listPoints())
        return np.array([first.x(), first.y()]), np.array([last.x(), last.y()])

    def along(self, grid: Grid, image: Numbers) -> tuple[Numbers, Numbers]:
        """Distance from the line's beginning in µm and the value of every pixel that the line crosses, once each."""
        first, last = self.ends_um()
        length = float(np.hypot(*(last - first)))
        steps = max(2, int(4 * length / min(grid.step_um)) + 1)
        places = first + np.linspace(0, 1, steps)[:, None] * (last - first)
        pixels = [grid.pixel_at(float(x), float(y)) for x, y in places]
        crossed = [pixel for pixel in dict.fromkeys(pixels) if pixel is not None]
        if not crossed or length == 0:
            return np.empty(0), np.empty(0)
        rows, columns = np.divmod(np.array(crossed), grid.shape[1])
        centres = np.stack([grid.x_um[columns], grid.y_um[rows]], axis=1)
        return (centres - first) @ (last - first) / length, image.ravel()[crossed]

    def draw(self, grid: Grid, image: Numbers, label: tuple[str, str], theme: Theme) -> tuple[Numbers, Numbers]:
        """Draw the profile; returns it."""
        distance, values = self.along(grid, image)
        good = np.isfinite(values)
        self.points.setData(distance[good], values[good])
        self.curve.setData([], [])
        self.profile_plot.name_axis("left", *label, theme)
        return distance, values

    def fit(self, distance_um: Numbers, values: Numbers, time_s: float) -> str:
        """Fit diffusion out of a line through the spot, with a background, and draw it; returns a sentence."""
        self.diffusivity = None
        try:
            found: Profile = fit_profile(distance_um, values, time_s, offset=True)
        except ValueError as error:
            self.curve.setData([], [])
            return f"no fit: {error}"
        if not found.converged:
            self.curve.setData([], [])
            return "no fit: the profile holds no spot that stands out of its surroundings"
        fine = np.linspace(float(distance_um.min()), float(distance_um.max()), 200)
        self.curve.setData(fine, found.evaluate(fine))
        self.diffusivity = Number(found.diffusivity_m2_s, found.diffusivity_m2_s_se)
        diffusivity = plus_minus(self.diffusivity, "m²/s")
        width = plus_minus(Number(found.width_um, found.width_um_se), "µm")
        return f"D = {diffusivity}, √(4 D t) = {width} for t = {time_s:g} s"
