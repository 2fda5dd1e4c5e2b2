"""One line for what a person must know now: a refusal, a lost engine, a mistake of the program. Never in the way."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget


class Notice(QWidget):
    """A sentence beneath the status strip, until it is dismissed or replaced."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel("", self)
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.action = QPushButton("", self)
        self.action.hide()
        self.dismiss = QPushButton("dismiss", self)
        self.dismiss.clicked.connect(self.hide)
        self._act = lambda: None
        self.action.clicked.connect(lambda: self._act())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 4)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.action)
        layout.addWidget(self.dismiss)
        self.hide()

    def say(self, sentence: str, *, alarm: bool = False, action: str = "", act: object = None) -> None:
        """Show a sentence, and optionally a button that does something about it."""
        self.text.setText(sentence)
        self.text.setProperty("alarm", alarm)
        self.text.style().unpolish(self.text)
        self.text.style().polish(self.text)
        self.action.setText(action)
        self.action.setVisible(bool(action))
        self._act = act if callable(act) else (lambda: None)
        self.show()
