"""The guided tour through the simulated microscope: five steps, each a sentence, a thing to do, a frame around where.

A step that asks for something goes on by itself when the engine says that it has happened; every step can be skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from halidescope.acquisition.states import RunState, Status
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import value_font

MARGIN = 3     # px between a thing and the frame around it


@dataclass(frozen=True)
class Step:
    """One step of the tour.

    Attributes
    ----------
    words : str
        What to see or to do.
    target : callable
        The widget that it is about.
    prepare : callable
        Done when the step begins.
    done : callable
        Whether a status says that it has happened; a step without one goes on by *Next*.
    """

    words: str
    target: Callable[[], QWidget]
    prepare: Callable[[], object] = lambda: None
    done: Callable[[Status], bool] | None = None


class Tour(QWidget):
    """A line beneath the strip with the present step, and the frame.

    Signals
    -------
    ended()
        Left, or through.
    """

    ended = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._steps: tuple[Step, ...] = ()
        self.at = -1
        self.number = QLabel("", self)
        self.number.setFont(value_font(10.5, bold=True))
        self.words = Sentence("", self)
        self.back = QPushButton("Back", self)
        self.next = QPushButton("Next", self)
        self.leave = QPushButton("Leave the tour", self)
        self.back.clicked.connect(lambda: self.go(self.at - 1))
        self.next.clicked.connect(lambda: self.go(self.at + 1))
        self.leave.clicked.connect(self.stop)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 4)
        layout.addWidget(self.number)
        layout.addWidget(self.words, 1)
        for button in (self.back, self.next, self.leave):
            layout.addWidget(button)
        self.frame = Frame(self.window())
        self.hide()

    @property
    def running(self) -> bool:
        """True while a step is shown."""
        return self.at >= 0

    def begin(self, steps: tuple[Step, ...]) -> None:
        """Show the first of these steps."""
        self._steps = steps
        self.show()
        self.go(0)

    def go(self, number: int) -> None:
        """Show a step; beyond the last the tour is over."""
        if number >= len(self._steps):
            self.stop()
            return
        self.at = max(0, number)
        step = self._steps[self.at]
        step.prepare()
        self.number.setText(f"Tour {self.at + 1}/{len(self._steps)}")
        self.words.setText(step.words)
        self.back.setEnabled(self.at > 0)
        self.next.setText("Finish" if self.at == len(self._steps) - 1 else "Next")
        self.frame.surround(step.target())

    def show_status(self, status: Status) -> None:
        """Go on if what the step waits for has happened."""
        if not self.running:
            return
        done = self._steps[self.at].done
        if done is not None and done(status):
            if self.at == len(self._steps) - 1:
                self.next.setFocus(Qt.FocusReason.OtherFocusReason)
            else:
                self.go(self.at + 1)

    def stop(self) -> None:
        """Leave the tour; what runs goes on."""
        if self.running:
            self.at = -1
            self.frame.surround(None)
            self.hide()
            self.ended.emit()


class Frame(QFrame):
    """A frame around a widget, over everything, that no mouse notices."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setObjectName("tourFrame")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._target: QWidget | None = None
        self.hide()

    def surround(self, target: QWidget | None) -> None:
        """Go around a widget and follow it; None hides the frame."""
        for widget in (self._target, self._over):
            if widget is not None:
                widget.removeEventFilter(self)
        self._target = target
        if target is None:
            self.hide()
            return
        target.installEventFilter(self)
        self._over.installEventFilter(self)
        self._fit()
        self.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Follow the target's size and place."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.Show, QEvent.Type.LayoutRequest):
            self._fit()
        return False

    def _fit(self) -> None:
        target, window = self._target, self._over
        if target is None:
            return
        if target.window() is not window:      # its dock floats
            self.hide()
            return
        place = target.mapTo(window, target.rect().topLeft())
        around = target.rect().translated(place).adjusted(-MARGIN, -MARGIN, MARGIN, MARGIN)
        self.setGeometry(around.intersected(window.rect()))
        self.raise_()


def ran(state: RunState, kind: str) -> Callable[[Status], bool]:
    """Whether a measurement of a kind is in a state."""
    return lambda status: status.state is state and status.kind == kind
