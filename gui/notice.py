"""One line for what a person must know now: a refusal, a lost engine, a question of the engine. Never in the way."""

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from halidescope.gui.theme import set_look

Action = tuple[str, Callable[[], object]]


class Notice(QWidget):
    """A sentence beneath the status strip, until it is dismissed or replaced."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel("", self)
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.actions_row = QHBoxLayout()
        self.buttons: list[QPushButton] = []
        self.dismiss = QPushButton("dismiss", self)
        self.dismiss.clicked.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 4)
        layout.addWidget(self.text, 1)
        layout.addLayout(self.actions_row)
        layout.addWidget(self.dismiss)
        self.hide()

    def say(self, sentence: str, *, alarm: bool = False, actions: Sequence[Action] = ()) -> None:
        """Show a sentence, and buttons that do something about it; each takes the notice away first."""
        self.text.setText(sentence)
        set_look(self.text, "alarm", alarm)
        for button in self.buttons:
            self.actions_row.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.buttons = [self._button(words, act) for words, act in actions]
        self.show()

    def _button(self, words: str, act: Callable[[], object]) -> QPushButton:
        button = QPushButton(words, self)

        def pressed() -> None:
            self.hide()
            act()

        button.clicked.connect(pressed)
        self.actions_row.addWidget(button)
        return button
