"""A label for sentences: as high as its words need at the width it has, no more and no less."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QWidget


class Sentence(QLabel):
    """Plain text that wraps; Qt's own label asks for the height of another width, and is cut off in narrow docks."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._fit()

    def setText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show another sentence."""
        if text != self.text():
            super().setText(text)
            self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Follow the width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setMinimumHeight(0)     # else it is taken for a need
        self.setFixedHeight(max(self.heightForWidth(max(self.width(), 1)), self.fontMetrics().height()))
