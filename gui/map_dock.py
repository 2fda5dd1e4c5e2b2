"""The map: a quantity of every pixel with colour bar, µm axes and scale bar, and what hides behind each pixel.

A spectrum follows the cursor, and stays with a pixel that is clicked (:mod:`halidescope.gui.map_pointer`). Regions and
line profiles are :mod:`halidescope.gui.map_tools`; what the colours can mean is :mod:`halidescope.gui.map_quantities`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from halidescope.gui.asking import SAVED_SCANS, ask_files
from halidescope.gui.map_beside import Beside
from halidescope.gui.map_image import MapImage
from halidescope.gui.map_pointer import MapPointer
from halidescope.gui.map_quantities import INTENSITY, MapImages, Quantity, quantities, value_words
from halidescope.gui.map_side import MapSide
from halidescope.gui.map_time import MapTime, maps_of_field
from halidescope.gui.map_tools import LineProfile, Regions
from halidescope.gui.parted import BESIDE, parted
from halidescope.gui.peak_fits import NAMES
from halidescope.gui.run_data import RunData
from halidescope.gui.theme import DARK, Theme

BUSY = "fitting {} more"
EMPTY = "no map yet: choose a map among the recipes under Measure, and start it (F5)"


class MapPanel(QWidget):
    """Image of a map, linked to spectra, regions and a profile.

    Signals
    -------
    compare_asked(Path)
        A person chose another map to hold this one against.
    series_asked(list of Path)
        A person chose maps to go through.
    diffusivity_kept(Number)
        A person wants the profile's diffusivity, in m²/s, among the trends.
    """

    compare_asked = Signal(object)
    series_asked = Signal(object)
    diffusivity_kept = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = DARK
        self.images = MapImages(self)
        self._shown: NDArray[np.float64] = np.empty((0, 0))
        self._quantities: list[Quantity] = [INTENSITY]
        self._profile: tuple[NDArray[np.float64], NDArray[np.float64]] = (np.empty(0), np.empty(0))
        self.time = MapTime(self)
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
        split = parted(self, left, self.tabs, (480, 400), BESIDE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 4)
        layout.addWidget(split, 1)
        self.images.ready.connect(lambda: self._show())
        self.beside.images.ready.connect(lambda: self._show())
        self.set_theme(DARK)

    @property
    def _data(self) -> RunData:
        return self._images.data

    @property
    def _images(self) -> MapImages:
        """Of the map that is shown: the measurement's, or one of a series."""
        frame = self.time.frame
        return self.images if frame is None else frame.images

    # what it is made of

    def _build_plot(self) -> None:
        self.plot = MapImage()
        self.plot.say_empty(EMPTY)
        self.image = self.plot.image
        self.beside = Beside(self.plot.divider, self)
        self.plot.divider.sigPositionChanged.connect(lambda _: self._show())
        self.pointer = MapPointer(self.plot, lambda: self._data.grid, self)
        self.pointer.pointed.connect(self._show_pixel)
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
        self._chosen = False        # by the person, who then keeps it
        self.quantity.activated.connect(lambda _: setattr(self, "_chosen", True))
        self.quantity.currentIndexChanged.connect(lambda _: self._show())
        self.range = QComboBox(self)
        self.range.setAccessibleName("range of the colours")
        self.range.setToolTip("from the smallest to the greatest value, or without the outermost 2 % at either end")
        self.range.addItem("full range", 0.0)
        self.range.addItem("2 to 98 %", 2.0)
        self.range.currentIndexChanged.connect(lambda _: self._show())
        self.missing = QLabel("", self)
        self.missing.setProperty("faint", True)
        # its words change while a map runs, which must not make the window wider
        self.missing.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
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
            ("less", "–", "take the newest rectangle away", self.regions.remove_last),
            ("profile", "Profile", "a line to drag, values along it, diffusion fitted to them", self._toggle_profile),
            ("compare", "Compare…", "hold another map of the same field against this one; drag the line between them",
             self._toggle_compare),
            ("series", "Series…", "go through several maps of this field, one after the other", self._toggle_series),
        ):
            button = QPushButton(words, self)
            button.setToolTip(tip)
            button.setProperty("tool", True)
            button.clicked.connect(lambda _=False, act=act: act())
            row.addWidget(button)
            self.buttons[name] = button
        self.buttons["less"].setAccessibleName("remove the newest region")
        self.buttons["profile"].setCheckable(True)
        self.time.changed.connect(lambda: self._show())
        self.buttons["play"], self.until = self.time.play, self.time.slider
        row.addWidget(self.time.play)
        row.addWidget(self.until, 1)
        return row

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self._theme = theme
        self.plot.set_theme(theme)
        self.side.set_theme(theme)
        self.profile.set_theme(theme)

    # the image

    def set_phases(self, labels: tuple[str, ...], data: RunData) -> None:
        """Offer the quantities of these phases; the growing one's share is shown first."""
        self.view.set_phases(labels, data.references)
        self._offer(quantities(labels), keep=self._chosen)

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
        self.plot.say_empty("")
        self.plot.show_field(grid)

    def show_map(self, data: RunData) -> None:
        """Paint the chosen quantity; pixels without data keep the colour of *missing*."""
        self.images.set_data(data)
        self._show()

    def _show(self) -> None:
        images, data = self._images, self._data
        grid = data.grid
        if grid is None:
            return
        quantity = self.shown
        whole = images.image(quantity)
        image = self.time.until(whole, data)
        lacking = int(np.isnan(data.image("time")).sum())
        image = self.beside.put(grid, image, quantity)
        self._shown = image
        # one range of colours for a whole series
        everything = [image, *(one.images.image(quantity) for one in self.time.frames)]
        finite = np.concatenate([one[np.isfinite(one)] for one in everything])
        words = f"{lacking} missing (grey)" if lacking else "all pixels measured"
        words = self.time.words or words
        pending = images.pending if not len(finite) or np.isnan(whole).sum() > lacking else 0
        fitting = pending > 0 and quantity.name in NAMES
        self.missing.setText(BUSY.format(pending) if fitting else words)
        self.missing.setToolTip(f"{lacking} of {image.size} pixels are missing" if lacking else "")
        if not len(finite):
            self.image.clear()
            return
        outer = float(self.range.currentData())
        low, high = (float(edge) for edge in np.percentile(finite, (outer, 100.0 - outer)))
        high = max(high, low + 1e-6 * max(abs(low), 1.0))
        label = quantity.label + (" ▴▾" if outer else "")
        self.plot.show_image(grid, image, label, low, high)
        newest = None if data.newest_index is None else data.place(data.newest_index)
        self.plot.outline(self.plot.present, grid, grid.pixel_at(*newest[:2]) if newest and lacking else None)
        self.pointer.show_again()
        if self.regions.rois:
            self._show_regions()
        if self.profile.roi is not None:
            self._show_profile()

    # one map after another

    def show_series(self, maps: Sequence[tuple[str, RunData]]) -> str:
        """Go through maps of this field, in this order; returns why not with some of them, or nothing."""
        grid = self.images.data.grid
        if grid is None:
            return "there is no map that others could follow"
        fitting, why = maps_of_field(self.images.data, maps)
        if len(fitting) > 1:
            self._end_comparing()
            self.time.set_frames(fitting)
            self.buttons["series"].setText("Series ×")
        return "; ".join(why)

    def _toggle_series(self) -> None:
        if self.time.frames:
            self._end_series()
            self._show()
            return
        ask_files(self, "Maps of this field, this one included", SAVED_SCANS, self.series_asked.emit, many=True)

    def _end_series(self) -> None:
        self.time.end_frames()
        self.buttons["series"].setText("Series…")

    # another map beside it

    def compare_with(self, data: RunData, name: str) -> str:
        """Show another map of the same field left of a line that can be dragged; returns why not, or nothing."""
        self._end_series()
        why = self.beside.begin(self._data.grid, data, name)
        if why:
            return why
        self.buttons["compare"].setText("Compare ×")
        self.buttons["compare"].setToolTip(f"left of the line: {name}; right: this map")
        self._show()
        return ""

    @property
    def comparing(self) -> bool:
        """True while another map is shown beside this one."""
        return bool(self.beside.name)

    def _toggle_compare(self) -> None:
        if self.comparing:
            self._end_comparing()
            self._show()
        else:
            ask_files(
                self, "Map of the same field, to be shown at the left", SAVED_SCANS,
                lambda paths: self.compare_asked.emit(paths[0]),
            )

    def _end_comparing(self) -> None:
        self.beside.end()
        self.buttons["compare"].setText("Compare…")

    # pixels

    @property
    def picked(self) -> int | None:
        """The pixel that a person keeps, by its index in the map."""
        return self.pointer.picked

    def pick(self, index: int) -> None:
        """Keep a pixel, by its index in the map, and show its spectrum."""
        self.pointer.pick(index)

    def _show_pixel(self, index: int) -> None:
        grid, data = self._data.grid, self._data
        if grid is None:
            return
        words = "" if data.counts(data.point_of(index)) is None else value_words(self._images, self.shown, index)
        self.side.show_pixel(data, index, words)

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
        self.pointer.forget()
        self._end_series()
        self._end_comparing()
        self.regions.clear()
        self._show_regions()
        self.profile.hide()
        self._fit_profile()
        self.buttons["profile"].setChecked(False)
        self._chosen = False
        self._offer([INTENSITY])
        self.image.clear()
        self.plot.say_empty(EMPTY)
        self.plot.outline(self.plot.present, None, None)
        self.view.clear()
        self.side.shares.setText("")
        self.missing.setText("")
        self.view.caption.setText("")

    def stop(self) -> None:
        """Compute no more."""
        self.pointer.stop()
        self.time.end_frames()
        self.images.stop()
        self.beside.images.stop()
