"""A map through time: the pixels of one in the order of taking, or one map of a field after another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QPushButton, QSlider, QWidget

from halidescope.gui.map_quantities import MapImages
from halidescope.gui.run_data import RunData
from halidescope.gui.values import duration

PLAY_PERIOD_MS = 40
PLAY_STRIDE = 4
PLAY_STEPS = 200         # of the slider, from the first pixel to the last
FRAME_EVERY = 10         # periods that a map of a series is shown
ORDER_TIP = "show only the pixels taken until this moment of the map"


@dataclass(frozen=True)
class Frame:
    """One map of a series."""

    name: str
    images: MapImages


class MapTime(QObject):
    """Play button and slider of a map, and the maps that they go through.

    Signals
    -------
    changed()
        Another moment, or another map, is to be shown.
    """

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.frames: list[Frame] = []
        self.play = QPushButton("▶", parent)
        self.play.setToolTip("play the map in the order of taking, or the series of maps")
        self.play.setProperty("tool", True)
        self.play.setAccessibleName("play through time")
        self.play.clicked.connect(lambda: self._play())
        self.slider = QSlider(Qt.Orientation.Horizontal, parent)
        self.slider.setMinimumWidth(40)
        self.slider.valueChanged.connect(lambda _: self.changed.emit())
        self._timer = QTimer(self)
        self._timer.setInterval(PLAY_PERIOD_MS)
        self._timer.timeout.connect(self._play_on)
        self._to_one_map()

    def _to_one_map(self) -> None:
        self.slider.blockSignals(True)
        self.slider.setRange(0, PLAY_STEPS)
        self.slider.setValue(PLAY_STEPS)
        self.slider.blockSignals(False)
        self.slider.setAccessibleName("show pixels taken until")
        self.slider.setToolTip(ORDER_TIP)

    def set_frames(self, maps: list[tuple[str, RunData]]) -> None:
        """Go through these maps, in this order; the first is shown."""
        self.end_frames()
        for name, data in maps:
            images = MapImages(self)
            images.set_data(data)
            images.ready.connect(self.changed)
            self.frames.append(Frame(name, images))
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self.frames) - 1)
        self.slider.setValue(0)
        self.slider.blockSignals(False)
        self.slider.setAccessibleName("map of the series")
        self.slider.setToolTip("the maps of the series, in the order of taking")
        self.changed.emit()

    def end_frames(self) -> None:
        """Back to one map; tells nobody."""
        self.stop()
        for frame in self.frames:
            frame.images.stop()
            frame.images.deleteLater()
        self.frames = []
        self._to_one_map()

    @property
    def frame(self) -> Frame | None:
        """The map of the series that is shown; None without a series."""
        return self.frames[min(self.slider.value(), len(self.frames) - 1)] if self.frames else None

    @property
    def words(self) -> str:
        """Which map of the series is shown; empty without a series."""
        frame = self.frame
        return "" if frame is None else f"{self.slider.value() + 1} of {len(self.frames)}: {frame.name}"

    def until(self, image: NDArray[np.float64], data: RunData) -> NDArray[np.float64]:
        """Of one map, only what was taken until the slider's moment."""
        step = self.slider.value()
        if self.frames:
            return image
        taken = data.image("time")
        if step == PLAY_STEPS or np.isnan(taken).all():
            self.slider.setToolTip(ORDER_TIP)
            return image
        first, last = float(np.nanmin(taken)), float(np.nanmax(taken))
        moment = first + (last - first) * step / PLAY_STEPS
        self.slider.setToolTip(f"pixels taken until {duration(moment)} after light on")
        return np.where(taken <= moment, image, np.nan)

    def _play(self) -> None:
        if self._timer.isActive():
            self.stop()
            return
        if self.slider.value() == self.slider.maximum():
            self.slider.setValue(0)
        self.play.setText("■")
        self._timer.setInterval(PLAY_PERIOD_MS * (FRAME_EVERY if self.frames else 1))
        self._timer.start()

    def _play_on(self) -> None:
        self.slider.setValue(self.slider.value() + (1 if self.frames else PLAY_STRIDE))
        if self.slider.value() == self.slider.maximum():
            self.stop()

    def stop(self) -> None:
        """Stand still."""
        self._timer.stop()
        self.play.setText("▶")


def maps_of_field(shown: RunData, maps: Sequence[tuple[str, RunData]]) -> tuple[list[tuple[str, RunData]], list[str]]:
    """Those of ``maps``, with names, that have the shown map's pixels and phases; and what is wrong with others."""
    grid = shown.grid
    assert grid is not None
    of_field = [(name, data) for name, data in maps if data.grid is not None and grid.same_as(data.grid)]
    # a quantity that one of them lacks could not be shown
    fitting = [(name, data) for name, data in of_field if data.labels == shown.labels]
    elsewhere = [name for name, data in maps if data.grid is None or not grid.same_as(data.grid)]
    of_others = [name for name, data in of_field if data.labels != shown.labels]
    why = [f"not maps of this field: {', '.join(elsewhere)}"] if elsewhere else []
    why += [f"of other phases: {', '.join(of_others)}"] if of_others else []
    if len(fitting) < 2:
        why.append("choose at least two maps of this field")
    return fitting, why
