"""The pixel that a person points at in a map, by cursor, click or arrow keys."""

from collections.abc import Callable

from pyqtgraph.GraphicsScene.mouseEvents import MouseClickEvent
from qtpy.QtCore import QEvent, QObject, QPointF, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent

from halidescope.gui.map_grid import Grid
from halidescope.gui.map_image import MapImage
from halidescope.gui.stage_box import ARROWS

HOVER_PERIOD_MS = 50     # between two spectra under a moving cursor


class MapPointer(QObject):
    """Emits ``pointed(int)`` with the index of the pixel under the cursor, or else of the one that is kept.

    Parameters
    ----------
    plot : MapImage
    grid : callable
        The pixels of the map that is shown, or None.
    """

    pointed = Signal(int)

    def __init__(self, plot: MapImage, grid: Callable[[], Grid | None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._plot, self._grid = plot, grid
        self.picked: int | None = None
        self._hovered: int | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(HOVER_PERIOD_MS)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._point)
        plot.scene().sigMouseClicked.connect(self._clicked)
        plot.scene().sigMouseMoved.connect(self._moved)
        plot.installEventFilter(self)

    def pick(self, index: int) -> None:
        """Keep a pixel, by its index in the map."""
        self.picked, self._hovered = index, None
        self._plot.outline(self._plot.mark, self._grid(), index)
        self.pointed.emit(index)

    def show_again(self) -> None:
        """Something has come to the map: tell of the kept pixel again, unless the cursor is on another."""
        if self._hovered is None:
            self._point()

    def forget(self) -> None:
        """Keep none."""
        self.picked = self._hovered = None
        self._plot.outline(self._plot.mark, None, None)

    def stop(self) -> None:
        """Tell no more."""
        self._timer.stop()

    def _point(self) -> None:
        index = self._hovered if self._hovered is not None else self.picked
        if index is not None:
            self.pointed.emit(index)

    def _clicked(self, event: MouseClickEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            index = self._plot.pixel_at(event.scenePos(), self._grid())
            if index is not None:
                self.pick(index)

    def _moved(self, scene: QPointF) -> None:
        self._hovered = self._plot.pixel_at(scene, self._grid())
        if not self._timer.isActive():
            self._timer.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Arrow keys go to the neighbouring pixel; a cursor that leaves gives the picked pixel back."""
        if event.type() == QEvent.Type.Leave:
            self._hovered = None
            self._point()
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = ARROWS.get(Qt.Key(event.key()))
            grid = self._grid()     # only for keys: other events come even when PyQt6 takes the panel apart
            if step is not None and self.picked is not None and grid is not None:
                row, column = divmod(self.picked, grid.shape[1])
                row, column = row + step[1], column + step[0]
                if 0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]:
                    self.pick(row * grid.shape[1] + column)
                return True
        return False
