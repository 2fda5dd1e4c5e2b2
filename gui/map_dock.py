"""The map: a quantity of every pixel with colour bar, µm axes and scale bar, and what hides behind each pixel.

A spectrum follows the cursor, and stays with a pixel that is clicked. Regions and line profiles are
:mod:`halidescope.gui.map_tools`; what the colours can mean is :mod:`halidescope.gui.map_quantities`.
"""

from pathlib import Path

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from pyqtgraph.GraphicsScene.mouseEvents import MouseClickEvent
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGraphicsRectItem,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.results import Number
from halidescope.gui.live_dock import share_words
from halidescope.gui.map_quantities import INTENSITY, MapImages, Quantity, quantities
from halidescope.gui.map_side import HOW, MapSide
from halidescope.gui.map_tools import LineProfile, Regions
from halidescope.gui.peak_fits import NAMES
from halidescope.gui.plots import ColourBar, Plot
from halidescope.gui.run_data import RunData
from halidescope.gui.stage_box import ARROWS
from halidescope.gui.theme import DARK, Theme
from halidescope.gui.values import duration, plus_minus

HOVER_PERIOD_MS = 50     # between two spectra under a moving cursor
PLAY_PERIOD_MS = 40
PLAY_STRIDE = 4
PLAY_STEPS = 200         # of the slider, from the first pixel to the last
NICE_UM = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
BUSY = "the fit of {} pixels goes on"


class MapPanel(QWidget):
    """Image of a map, linked to spectra, regions and a profile.

    Signals
    -------
    compare_asked(Path)
        A person chose another map to hold this one against.
    diffusivity_kept(Number)
        A person wants the profile's diffusivity, in m²/s, among the trends.
    """

    compare_asked = Signal(object)
    diffusivity_kept = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = DARK
        self.images = MapImages(self)
        self.others = MapImages(self)          # of the map this one is compared with
        self._other_name = ""
        self.picked: int | None = None
        self._hovered: int | None = None
        self._shown: NDArray[np.float64] = np.empty((0, 0))
        self._quantities: list[Quantity] = [INTENSITY]
        self._profile: tuple[NDArray[np.float64], NDArray[np.float64]] = (np.empty(0), np.empty(0))
        self._build_plot()
        self.side = MapSide(self.profile.profile_plot, self)
        self.side.time.changed.connect(self._fit_profile)
        self.side.keep.clicked.connect(lambda: self.diffusivity_kept.emit(self.profile.diffusivity))
        self.view, self.tabs = self.side.view, self.side
        head, tools = self._build_head(), self._build_tools()
        left = QWidget(self)
        left_layout = QVBoxLayout(left)
        left_layout.setContentsMargins(0, 0, 0, 0)
        left_layout.setSpacing(2)
        left_layout.addLayout(head)
        left_layout.addWidget(self.plot, 1)
        left_layout.addLayout(tools)
        split = QSplitter(Qt.Orientation.Horizontal, self)
        split.addWidget(left)
        split.addWidget(self.tabs)
        split.setChildrenCollapsible(False)
        split.setSizes([480, 400])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.addWidget(split, 1)
        self._hover_timer = QTimer(self)
        self._hover_timer.setInterval(HOVER_PERIOD_MS)
        self._hover_timer.setSingleShot(True)
        self._hover_timer.timeout.connect(self._show_hovered)
        self._play_timer = QTimer(self)
        self._play_timer.setInterval(PLAY_PERIOD_MS)
        self._play_timer.timeout.connect(self._play_on)
        self.images.ready.connect(lambda: self.show_map(self._data))
        self.others.ready.connect(lambda: self.show_map(self._data))
        self.set_theme(DARK)

    @property
    def _data(self) -> RunData:
        return self.images.data

    # what it is made of

    def _build_plot(self) -> None:
        self.plot = Plot(left=("y", "µm"), bottom=("x", "µm"))
        self.plot.setAspectLocked(True)
        self.backdrop = QGraphicsRectItem()         # the field, in the colour of what is missing
        self.backdrop.setPen(pg.mkPen(None))
        self.backdrop.setZValue(-100)
        self.plot.addItem(self.backdrop)
        self.image = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self.image)
        self.bar = ColourBar(self.image, self.plot)
        self.mark = pg.PlotCurveItem()
        self.present = pg.PlotCurveItem()
        self.divider = pg.InfiniteLine(0.0, angle=90, movable=True)
        self.divider.setZValue(20)
        self.divider.hide()
        self.divider.sigPositionChanged.connect(lambda _: self.show_map(self._data))
        for item in (self.mark, self.present, self.divider):
            self.plot.addItem(item)
        self.scale = pg.ScaleBar(size=20.0, suffix="µm", offset=(-20, -20))
        self.scale.setParentItem(self.plot.getPlotItem().getViewBox())
        self.scale.anchor((1, 1), (1, 1), offset=(-16, -16))
        self.scale.hide()
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self.plot.scene().sigMouseMoved.connect(self._moved)
        self.plot.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.plot.installEventFilter(self)
        self.regions = Regions(self.plot, self)
        self.regions.changed.connect(self._show_regions)
        self.profile = LineProfile(self.plot, self)
        self.profile.changed.connect(self._show_profile)

    def _build_head(self) -> QHBoxLayout:
        self.quantity = QComboBox(self)
        self.quantity.setAccessibleName("quantity of the map")
        self.quantity.setToolTip("what the colours mean; shares are shares of emission, not of volume")
        self.quantity.setMinimumContentsLength(14)
        self.quantity.addItem(INTENSITY.words, INTENSITY.name)
        self.quantity.currentIndexChanged.connect(lambda _: self.show_map(self._data))
        self.range = QComboBox(self)
        self.range.setAccessibleName("range of the colours")
        self.range.setToolTip("from the smallest to the greatest value, or without the outermost 2 % at either end")
        self.range.addItem("full range", 0.0)
        self.range.addItem("2 to 98 %", 2.0)
        self.range.currentIndexChanged.connect(lambda _: self.show_map(self._data))
        self.missing = QLabel("", self)
        self.missing.setProperty("faint", True)
        row = QHBoxLayout()
        row.setContentsMargins(6, 0, 6, 0)
        row.addWidget(self.quantity)
        row.addWidget(self.range)
        row.addWidget(self.missing, 1)
        return row

    def _build_tools(self) -> QHBoxLayout:
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(3)
        for name, words, tip, act in (
            ("region", "+ Region", "add a rectangle; drag it, size it by its corner", self._add_region),
            ("less", "– Region", "take the newest rectangle away", self.regions.remove_last),
            ("profile", "Profile", "a line to drag, values along it, diffusion fitted to them", self._toggle_profile),
            ("compare", "Compare…", "hold another map of the same field against this one; drag the line between them",
             self._toggle_compare),
            ("play", "▶", "play the map in the order of taking", self._play),
        ):
            button = QPushButton(words, self)
            button.setToolTip(tip)
            button.setProperty("tool", True)
            button.clicked.connect(lambda _=False, act=act: act())
            row.addWidget(button)
            self.buttons[name] = button
        self.buttons["profile"].setCheckable(True)
        self.buttons["play"].setAccessibleName("play through time")
        self.until = QSlider(Qt.Orientation.Horizontal, self)
        self.until.setRange(0, PLAY_STEPS)
        self.until.setValue(PLAY_STEPS)
        self.until.setMinimumWidth(40)
        self.until.setAccessibleName("show pixels taken until")
        self.until.setToolTip("show only the pixels taken until this moment of the map")
        self.until.valueChanged.connect(lambda _: self.show_map(self._data))
        row.addWidget(self.until, 1)
        return row

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self._theme = theme
        self.plot.set_theme(theme)
        self.backdrop.setBrush(pg.mkBrush(theme.missing))
        self.side.set_theme(theme)
        self.bar.set_theme(theme)
        self.profile.set_theme(theme)
        self.mark.setPen(pg.mkPen(theme.text, width=2))
        self.present.setPen(pg.mkPen(theme.warning, width=2))
        self.divider.setPen(pg.mkPen(theme.text, width=3))
        self.divider.setHoverPen(pg.mkPen(theme.accent, width=5))
        light = theme.text if theme.name == "red" else "#ffffff"      # on a shade of its own: images are dark or bright
        self.scale.bar.setBrush(pg.mkBrush(light))
        self.scale.bar.setPen(pg.mkPen("#000000"))
        self.scale.text.setColor(light)
        self.scale.text.fill = pg.mkBrush(0, 0, 0, 150)
        self.scale.text.update()

    # the image

    def set_phases(self, labels: tuple[str, ...], data: RunData) -> None:
        """Offer the quantities of these phases; the growing one's share is shown first."""
        self.view.set_phases(labels, data.references)
        self._offer(quantities(labels), keep=len(self._quantities) > 1)

    def _offer(self, found: list[Quantity], *, keep: bool = False) -> None:
        chosen = self.quantity.currentData()
        self._quantities = found
        self.quantity.blockSignals(True)
        self.quantity.clear()
        for one in found:
            self.quantity.addItem(one.words, one.name)
        self.quantity.setCurrentIndex(max(0, self.quantity.findData(chosen)) if keep else 0)
        self.quantity.blockSignals(False)

    @property
    def shown(self) -> Quantity:
        """What the colours mean."""
        return self._quantities[max(0, self.quantity.currentIndex())]

    def set_grid(self, data: RunData) -> None:
        """Show the whole field from the start, all of it missing."""
        self.images.set_data(data)
        grid = data.grid
        if grid is None:
            return
        if not data.labels:
            self._offer(quantities(()), keep=True)
        field = self._field()
        self.backdrop.setRect(field)
        self.plot.setRange(field, padding=0.02)
        size = next((nice for nice in reversed(NICE_UM) if nice <= 0.25 * field.width()), NICE_UM[0])
        self.scale.size = size
        self.scale.text.setText(f"{size:g} µm")
        self.scale.updateBar()
        self.scale.show()

    def _field(self) -> QRectF:
        grid = self._data.grid
        assert grid is not None
        dx, dy = grid.step_um
        return QRectF(grid.x_um[0] - dx / 2, grid.y_um[0] - dy / 2, len(grid.x_um) * dx, len(grid.y_um) * dy)

    def show_map(self, data: RunData) -> None:
        """Paint the chosen quantity; pixels without data keep the colour of *missing*."""
        self.images.set_data(data)
        grid = data.grid
        if grid is None:
            return
        quantity = self.shown
        whole = self.images.image(quantity)
        image = self._until(whole)
        lacking = int(np.isnan(self.images.data.image("time")).sum())
        image = self._beside(image, quantity)
        self._shown = image
        finite = image[np.isfinite(image)]
        words = f"{lacking} of {image.size} pixels missing (grey)" if lacking else "all pixels measured"
        pending = self.images.pending if not len(finite) or np.isnan(whole).sum() > lacking else 0
        fitting = pending > 0 and quantity.name in NAMES
        self.missing.setText(BUSY.format(pending) if fitting else words)
        if not len(finite):
            self.image.clear()
            return
        outer = float(self.range.currentData())
        low, high = (float(edge) for edge in np.percentile(finite, (outer, 100.0 - outer)))
        high = max(high, low + 1e-6 * max(abs(low), 1.0))
        label = quantity.label + (" ▴▾" if outer else "")
        self.bar.show(image, label, low, high)
        self.image.setRect(self._field())
        newest = None if data.newest_index is None else data.place(data.newest_index)
        self._outline(self.present, grid.pixel_at(*newest[:2]) if newest and lacking else None)
        if self.picked is not None and self._hovered is None:
            self._show_pixel(self.picked)
        if self.regions.rois:
            self._show_regions()
        if self.profile.roi is not None:
            self._show_profile()

    def _outline(self, curve: pg.PlotCurveItem, index: int | None) -> None:
        grid = self._data.grid
        if grid is None or index is None:
            curve.setData([], [])
            return
        row, column = divmod(index, grid.shape[1])
        dx, dy = grid.step_um
        x, y = grid.x_um[column], grid.y_um[row]
        curve.setData(x + dx / 2 * np.array([-1, 1, 1, -1, -1]), y + dy / 2 * np.array([-1, -1, 1, 1, -1]))

    # through time

    def _until(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """Only what was taken until the slider's moment."""
        step = self.until.value()
        if step == PLAY_STEPS:
            self.until.setToolTip("show only the pixels taken until this moment of the map")
            return image
        taken = self._data.image("time")
        if np.isnan(taken).all():
            return image
        first, last = float(np.nanmin(taken)), float(np.nanmax(taken))
        moment = first + (last - first) * step / PLAY_STEPS
        self.until.setToolTip(f"pixels taken until {duration(moment)} after light on")
        return np.where(taken <= moment, image, np.nan)

    def _play(self) -> None:
        if self._play_timer.isActive():
            self._stop_playing()
        else:
            if self.until.value() == PLAY_STEPS:
                self.until.setValue(0)
            self.buttons["play"].setText("■")
            self._play_timer.start()

    def _play_on(self) -> None:
        self.until.setValue(self.until.value() + PLAY_STRIDE)
        if self.until.value() == PLAY_STEPS:
            self._stop_playing()

    def _stop_playing(self) -> None:
        self._play_timer.stop()
        self.buttons["play"].setText("▶")

    # another map beside it

    def compare_with(self, data: RunData, name: str) -> str:
        """Show another map of the same field left of a line that can be dragged; returns why not, or nothing."""
        grid, other = self._data.grid, data.grid
        if grid is None or other is None:
            return f"{name} is not a map" if other is None else "there is no map to compare with"
        if not grid.same_as(other):
            return f"{name} has other pixels: {other.shape[1]} × {other.shape[0]} from x {other.x_um[0]:g} µm, " \
                   f"y {other.y_um[0]:g} µm; compare maps of one field"
        self.others.set_data(data, another=True)
        self._other_name = name
        self.divider.setBounds((float(grid.x_um[0]) - grid.step_um[0] / 2, float(grid.x_um[-1]) + grid.step_um[0] / 2))
        self.divider.setValue(float(grid.x_um.mean()))
        self.divider.show()
        self.divider.setToolTip(f"left: {name}, right: the map itself")
        self.buttons["compare"].setText("Compare: end")
        self.buttons["compare"].setToolTip(f"left of the line: {name}; right: this map")
        self.show_map(self._data)
        return ""

    @property
    def comparing(self) -> bool:
        """True while another map is shown beside this one."""
        return bool(self._other_name)

    def _toggle_compare(self) -> None:
        if self.comparing:
            self._end_comparing()
            self.show_map(self._data)
        else:
            dialog = QFileDialog(self, "Map of the same field, to be shown at the left", "", "Scans (*.nxs *.journal)")
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.fileSelected.connect(lambda name: self.compare_asked.emit(Path(name)))
            dialog.open()

    def _end_comparing(self) -> None:
        self._other_name = ""
        self.divider.hide()
        self.buttons["compare"].setText("Compare…")

    def _beside(self, image: NDArray[np.float64], quantity: Quantity) -> NDArray[np.float64]:
        """The other map's columns left of the line; one range of colours for both."""
        grid = self._data.grid
        if not self.comparing or grid is None:
            return image
        if quantity.name.partition(":")[2] not in ("", *self.others.data.labels):
            return image
        left = np.asarray(grid.x_um) < self.divider.value()
        return np.where(left[None, :], self.others.image(quantity), image)

    # pixels

    def _pixel_at(self, scene: QPointF) -> int | None:
        grid = self._data.grid
        box = self.plot.getPlotItem().getViewBox()
        if grid is None or not box.sceneBoundingRect().contains(scene):
            return None
        place = box.mapSceneToView(scene)
        return grid.pixel_at(place.x(), place.y())

    def _clicked(self, event: MouseClickEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            index = self._pixel_at(event.scenePos())
            if index is not None:
                self.pick(index)

    def _moved(self, scene: QPointF) -> None:
        self._hovered = self._pixel_at(scene)
        if not self._hover_timer.isActive():
            self._hover_timer.start()

    def _show_hovered(self) -> None:
        index = self._hovered if self._hovered is not None else self.picked
        if index is not None:
            self._show_pixel(index)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Arrow keys go to the neighbouring pixel; a cursor that leaves gives the picked pixel back."""
        if event.type() == QEvent.Type.Leave:
            self._hovered = None
            self._show_hovered()
        grid = self._data.grid
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and grid is not None:
            step = ARROWS.get(Qt.Key(event.key()))
            if step is not None and self.picked is not None:
                row, column = divmod(self.picked, grid.shape[1])
                row, column = row + step[1], column + step[0]
                if 0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]:
                    self.pick(row * grid.shape[1] + column)
                return True
        return False

    def pick(self, index: int) -> None:
        """Keep a pixel, by its index in the map, and show its spectrum."""
        self.picked, self._hovered = index, None
        self._outline(self.mark, index)
        self._show_pixel(index)

    def _show_pixel(self, index: int) -> None:
        grid, data = self._data.grid, self._data
        if grid is None:
            return
        row, column = divmod(index, grid.shape[1])
        where = f"pixel x {grid.x_um[column]:g} µm, y {grid.y_um[row]:g} µm"
        point = data.point_of(index)
        counts = data.counts(point)
        if counts is None:
            self.view.clear()
            why = "not measured" if data.place(point) is None else "only in its file"
            self.view.caption.setText(f"{where}: {why}")
            self.side.shares.setText("")
            return
        self.view.set_axis(data.wavelength_nm)
        self.view.set_counts_label(dark_subtracted=data.dark is not None)
        self.view.show_spectrum(counts)
        parts = data.parts(point) if data.dark is not None else None
        self.view.show_parts(parts, None if parts is None else counts - parts.sum(axis=0))
        self.view.caption.setText(where)
        value = self._value_words(index)
        self.side.shares.setText("   ".join(words for words in (value, share_words(data, point)) if words))

    def _value_words(self, index: int) -> str:
        """The shown quantity of a pixel, with its error if it has one."""
        quantity = self.shown
        if quantity.name.startswith("share"):
            return ""
        value = float(self.images.image(quantity).flat[index])
        if not np.isfinite(value):
            return f"{quantity.words} not determined"
        if not quantity.error_name:
            return f"{quantity.words} {value:.4g} {quantity.unit}".strip()
        error = self.images.image(Quantity(quantity.error_name, "", "", quantity.factor)).flat[index]
        return f"{quantity.words} {plus_minus(Number(value, float(error)), quantity.unit)}"

    # regions and profile

    def _add_region(self) -> None:
        if self._data.grid is not None:
            self.regions.add(self._data.grid)
            self.tabs.setCurrentIndex(2)

    def _show_regions(self) -> None:
        means = self.regions.means(self._data, self._shown)
        self.side.show_regions(self._data.wavelength_nm, means, self.shown.words, self.shown.unit)

    def _toggle_profile(self) -> None:
        grid = self._data.grid
        if self.profile.roi is None and grid is not None:
            self.profile.show(grid, self._theme)
            self.tabs.setCurrentIndex(1)
        else:
            self.profile.hide()
            self._fit_profile()
        self.buttons["profile"].setChecked(self.profile.roi is not None)

    def _show_profile(self) -> None:
        grid = self._data.grid
        if grid is None or self.profile.roi is None:
            return
        label = (self.shown.words, self.shown.unit)
        self._profile = self.profile.draw(grid, self._shown, label, self._theme)
        self._fit_profile()

    def _fit_profile(self) -> None:
        time_s = self.side.time.value
        words = ""
        if self.profile.roi is not None:
            words = self.side.time.reason if time_s is None else self.profile.fit(*self._profile, time_s)
        self.side.fitted.setText(words)
        self.side.keep.setEnabled(time_s is not None and self.profile.diffusivity is not None)

    def clear(self) -> None:
        """Show nothing; only the intensity is known of any map."""
        self.images.set_data(RunData(), another=True)
        self.picked = self._hovered = None
        self._stop_playing()
        self.until.setValue(PLAY_STEPS)
        self._end_comparing()
        self.regions.clear()
        self._show_regions()
        self.profile.hide()
        self._fit_profile()
        self.buttons["profile"].setChecked(False)
        self._offer([INTENSITY])
        self.image.clear()
        self._outline(self.mark, None)
        self._outline(self.present, None)
        self.view.clear()
        self.side.shares.setText("")
        self.missing.setText("")
        self.view.caption.setText(HOW)

    def stop(self) -> None:
        """Compute no more."""
        self._hover_timer.stop()
        self._play_timer.stop()
        self.images.stop()
        self.others.stop()
