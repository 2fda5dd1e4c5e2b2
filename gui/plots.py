"""What all plots have in common: axes with units, theme colours, and ranges that stand still.

A range that follows every spectrum costs three times the painting and cannot be read; ranges here move only when the
data leave them, or use less than a third of them.
"""

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QContextMenuEvent, QFocusEvent, QGuiApplication, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QLabel, QMenu

from halidescope.analysis.rounding import RAISED
from halidescope.gui.exporting import ask_picture
from halidescope.gui.plot_text import plot_text
from halidescope.gui.theme import DARK, Theme, px

SMALLEST_PLAIN, LARGEST_PLAIN = -3, 5      # decimal exponents of numbers that an axis writes out
NOTHING = " "      # said by an empty plot where another one says why
PL_RANGE_NM = (450.0, 750.0)   # where mixed-halide films emit; the whole axis is a wheel's turn away


class Plot(pg.PlotWidget):
    """A plot with labelled axes and a fixed range.

    Parameters
    ----------
    left, bottom : tuple of (str, str)
        Label and unit of the axes; an empty unit for pure numbers.
    """

    def __init__(self, *, left: tuple[str, str], bottom: tuple[str, str]) -> None:
        super().__init__(enableMenu=False)      # pyqtgraph's own menus are not used, and take long to build
        self._labels = {"left": left, "bottom": bottom}
        self._hidden: set[str] = set()      # axes that another plot names
        self._names: dict[object, str] = {}
        self.bar: ColourBar | None = None
        self._accent = DARK.accent
        item = self.getPlotItem()
        item.hideButtons()
        item.disableAutoRange()
        item.layout.setContentsMargins(1, 8, 12, 1)     # for the halves of the outermost numbers
        for side in ("left", "bottom"):
            item.getAxis(side).enableAutoSIPrefix(False)
            item.getAxis(side).tickStrings = tick_words
        item.getAxis("left").setWidth(px(62))
        self._empty = _EmptyWords(self)

    def copy_data(self) -> None:
        """Put the plot's data on the clipboard, as text that a spreadsheet reads."""
        QGuiApplication.clipboard().setText(plot_text(self, self.words("bottom"), self.words("left"), self._names))

    def words(self, side: str) -> str:
        """What an axis means, with its unit, also if it is not shown."""
        label, unit = self._labels[side]
        return f"{label} ({unit})" if unit else label

    def name_data(self, name: str, *items: object) -> None:
        """Say what items are, for whoever copies their data; an empty name leaves them out, as decoration."""
        self._names.update(dict.fromkeys(items, name))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Ctrl+C copies the data."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_data()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Show where the keyboard is."""
        super().focusInEvent(event)
        self.getPlotItem().getViewBox().setBorder(pg.mkPen(self._accent, width=1))

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """The keyboard is elsewhere."""
        super().focusOutEvent(event)
        self.getPlotItem().getViewBox().setBorder(None)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        """What can be had of a plot."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Copy data (Ctrl+C)").triggered.connect(lambda: self.copy_data())
        words = str(self._labels["left"][0]) or "plot"
        menu.addAction("Save picture…").triggered.connect(lambda: ask_picture(self, words))
        menu.popup(event.globalPos())
        self.menu = menu

    @property
    def empty_words(self) -> str:
        """What the plot says while nothing is in it."""
        return self._empty.text()

    def say_empty(self, words: str) -> None:
        """Say in an empty plot how something comes into it, instead of axes that measure nothing; no words: it does."""
        if words == self._empty.text():
            return
        self._empty.setText(words)
        self._empty.setVisible(bool(words))
        for side in self._labels:
            self.getPlotItem().getAxis(side).setStyle(showValues=not words and side not in self._hidden)
        for beside in (self.bar, self.getPlotItem().legend):
            if beside is not None:
                beside.setVisible(not words)

    def hide_bottom(self) -> None:
        """Give the bottom axis no words: another plot beneath shares it."""
        self._hidden.add("bottom")
        axis = self.getPlotItem().getAxis("bottom")
        axis.setStyle(showValues=False)
        axis.showLabel(False)
        axis.setHeight(6)

    def name_axis(self, side: str, label: str, unit: str, theme: Theme) -> None:
        """Give an axis another label."""
        if self._labels[side] == (label, unit):
            return
        self._labels[side] = (label, unit)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self.setBackground(theme.plot)
        self._accent = theme.accent
        for side in ("left", "bottom"):
            axis = self.getPlotItem().getAxis(side)
            axis.setPen(pg.mkPen(theme.line))
            axis.setTextPen(pg.mkPen(theme.text))
        for side in self._labels.keys() - self._hidden:
            axis = self.getPlotItem().getAxis(side)
            axis.setLabel(self.words(side), color=theme.text)
            axis.resizeEvent()      # else words of another length are not in the middle


class _EmptyWords(QLabel):
    """Words over an empty plot, that no mouse notices."""

    def __init__(self, plot: Plot) -> None:
        super().__init__(plot)
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setMargin(6)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()
        self._box = plot.getPlotItem().getViewBox()
        self._box.sigResized.connect(lambda _: self.setGeometry(self._box.sceneBoundingRect().toRect()))


def tick_words(values: Sequence[float], scale: float, spacing: float) -> list[str]:
    """Numbers of an axis: as they are, or as multiples of one power of ten where they would be long.

    >>> tick_words([2.76e6, 2.762e6], 1.0, 2e3)
    ['2.760×10⁶', '2.762×10⁶']
    """
    step = spacing * scale
    largest = max((abs(value * scale) for value in values), default=0.0)
    power = math.floor(math.log10(largest)) if largest > 0 else 0
    if SMALLEST_PLAIN <= power <= LARGEST_PLAIN:
        power = 0
    places = max(0, math.ceil(power - math.log10(step) - 1e-9)) if step > 0 else 0
    factor = f"×10{str(power).translate(RAISED)}" if power else ""
    return [f"{value * scale / 10.0**power + 0.0:.{places}f}{factor if value else ''}" for value in values]


def recolour(legend: pg.LegendItem, theme: Theme) -> None:
    """Give a legend's words the theme's colour; the legend itself does that for future words only."""
    legend.setLabelTextColor(theme.text)
    for _, label in legend.items:
        label.setText(label.text, color=theme.text)


class SteadyRange:
    """A range that moves only when it must."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def follow(self, low: float, high: float) -> bool:
        """Move the range if the data leave it or use less than a third; True if it moved."""
        if not (np.isfinite(low) and np.isfinite(high)):
            return False
        wide = self.high - self.low
        if low >= self.low and high <= self.high and high - low > wide / 3:
            return False
        margin = 0.15 * max(high - low, 1e-9)
        self.low, self.high = low - margin / 2, high + margin
        return True


class ColourBar(pg.ColorBarItem):
    """A colour bar to the right of an image, its label beside its numbers."""

    def __init__(self, image: pg.ImageItem, plot: Plot) -> None:
        super().__init__(interactive=False, width=14)
        self._label = ""
        self._image, self._plot = image, plot
        self.axis.tickStrings = tick_words
        plot.bar = self
        self.setImageItem(image, insert_in=plot.getPlotItem())

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours and its map for images."""
        self.setColorMap(pg.colormap.get(theme.image_map))
        self.axis.setTextPen(pg.mkPen(theme.text))
        for side in ("left", "right", "top", "bottom"):      # its frame
            self.getAxis(side).setPen(pg.mkPen(theme.line))
        self.axis.setLabel(self._label, color=theme.text)
        self.axis.setWidth(px(74))      # six digits and the label

    def show(self, image: NDArray[np.floating], label: str, low: float, high: float) -> None:
        """Show an image; name what the colours mean, and the values of the first and the last.

        The levels are set after the image: an empty image item remembers older ones, and prefers them to new ones.
        """
        self._image.setImage(image, autoLevels=False)
        self._image.setLevels((low, high))
        if label != self._label:
            self._label = label
            self.axis.setLabel(label)
            self.axis.resizeEvent()      # else words of another length are not in the middle
            self._plot.name_data(label, self._image)
        self.setLevels((low, high), update_items=False)
