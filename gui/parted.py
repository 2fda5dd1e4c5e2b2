"""Two things side by side, or one above the other, with a handle between them; neither can be pushed away."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSplitter, QWidget

BESIDE, ABOVE = Qt.Orientation.Horizontal, Qt.Orientation.Vertical


def parted(parent: QWidget, first: QWidget, second: QWidget, sizes: tuple[int, int], how: Qt.Orientation) -> QSplitter:
    """Put two widgets into a splitter; ``sizes`` are their first sizes in pixels, shared out as there is room."""
    split = QSplitter(how, parent)
    split.addWidget(first)
    split.addWidget(second)
    split.setChildrenCollapsible(False)
    split.setSizes(list(sizes))
    return split
