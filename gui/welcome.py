"""What one sees before a microscope is connected: every way in, each with a sentence, and measurements left behind."""

from collections.abc import Callable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from halidescope.gui.left_behind import CutOff
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import px, value_font

WIDTH = 760


class WelcomePage(QScrollArea):
    """A page of ways in; each is a button with its key and a sentence.

    Signals
    -------
    resume_asked(CutOff), finish_asked(CutOff), view_asked(Path)
        What a person wants of a measurement that was cut off.
    """

    resume_asked = Signal(object)
    finish_asked = Signal(object)
    view_asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        body = QWidget(self)
        outer = QHBoxLayout(body)
        column = QWidget(body)
        column.setMaximumWidth(px(WIDTH))
        outer.addStretch(1)
        outer.addWidget(column, 6)
        outer.addStretch(1)
        self._layout = QVBoxLayout(column)
        self._layout.setContentsMargins(16, 24, 16, 24)
        self._layout.setSpacing(10)
        title = QLabel("Halidescope", column)
        title.setFont(value_font(22, bold=True))
        purpose = Sentence(
            "Photoluminescence microscopy of films that change under the light that looks at them. "
            "Nothing is lit before a measurement starts; Esc twice is dark, always.", column,
        )
        self._layout.addWidget(title)
        self._layout.addWidget(purpose)
        self._left = QVBoxLayout()
        self._layout.addLayout(self._left)
        self._ways = QVBoxLayout()
        self._layout.addLayout(self._ways)
        self._layout.addStretch(1)
        self.buttons: dict[str, QPushButton] = {}
        self._sentences: dict[str, Sentence] = {}
        self._column = column
        self.setWidget(body)

    def add_way(self, name: str, words: str, sentence: str, act: Callable[[], object], key: str = "") -> None:
        """Add a way in."""
        row = QHBoxLayout()
        button = QPushButton(words, self._column)
        button.setMinimumWidth(px(236))
        button.setMinimumHeight(px(34))
        button.clicked.connect(lambda _=False: act())
        text = Sentence(sentence + (f"  ({key})" if key else ""), self._column)
        text.setProperty("faint", True)
        row.addWidget(button)
        row.addWidget(text, 1)
        self._ways.addLayout(row)
        self.buttons[name] = button
        self._sentences[name] = text

    def set_way(self, name: str, *, sentence: str, shown: bool = True) -> None:
        """Change the sentence of a way, or hide it."""
        self._sentences[name].setText(sentence)
        for widget in (self.buttons[name], self._sentences[name]):
            widget.setVisible(shown)

    def show_left_behind(self, found: Sequence[CutOff]) -> None:
        """Show the measurements that were cut off, each with what can be done about it."""
        while (item := self._left.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.setParent(None)
                widget.deleteLater()
        for one in found:
            self._left.addWidget(self._card(one))

    def _card(self, one: CutOff) -> QFrame:
        card = QFrame(self._column)
        card.setProperty("card", True)
        layout = QVBoxLayout(card)
        words = Sentence(one.sentence, card)
        row = QHBoxLayout()
        for name, text, tip, act in (
            ("resume", "Resume", "connect the microscope it was measured with, and measure what is missing",
             lambda: self.resume_asked.emit(one)),
            ("finish", "Finish its file", "write what there is as a finished file; nothing is measured",
             lambda: self.finish_asked.emit(one)),
            ("view", "Look at it", "show what there is; nothing is changed", lambda: self.view_asked.emit(one.journal)),
        ):
            button = QPushButton(text, card)
            button.setObjectName(f"{name}:{one.journal.name}")
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, act=act: act())
            row.addWidget(button)
        row.addStretch(1)
        layout.addWidget(words)
        layout.addLayout(row)
        return card

    def focus_first(self) -> None:
        """Give the keyboard to the first way that is shown."""
        for button in self.buttons.values():
            if button.isVisibleTo(self):
                button.setFocus(Qt.FocusReason.OtherFocusReason)
                return


def short(path: Path) -> str:
    """A path without the home folder's part."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)
