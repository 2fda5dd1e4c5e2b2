"""The strip that is always there: is the laser lit, how strong, what it has done to this spot, and *Dark now*."""

from qtpy.QtCore import QElapsedTimer, QEvent, QObject, Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent, QWindow
from qtpy.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from halidescope.acquisition.states import RunState, Status
from halidescope.gui.theme import value_font
from halidescope.gui.values import dose, duration, irradiance

TWICE_WITHIN_MS = 1500


class StatusStrip(QWidget):
    """Paints a :class:`Status`; emits :attr:`dark_asked` for the button, and for Esc twice."""

    dark_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.emission = self._value("emission", "What the laser head says of itself.")
        self.power = self._value("power", "Power at the sample, and peak irradiance 2P/(π w0²).")
        self.interlock = self._value("interlock", "The laser's interlock loop.")
        self.dose = self._value("dose", "Peak dose accumulated at the present spot, waiting included.")
        # room for the longest dose at once: while it rises, nothing beside it moves and no digit is cut off
        self.dose.setMinimumWidth(self.dose.fontMetrics().horizontalAdvance("dose here 88.88 MJ/cm²"))
        self.progress_text = self._value("progress", "What runs, spectra taken and planned, time left.")
        self.simulated = QLabel("SIMULATED", self)
        self.simulated.setProperty("mark", True)
        self.simulated.setFont(value_font(10.0, bold=True))
        self.simulated.setToolTip("Nothing of this microscope exists; every number is made by a model.")
        self.simulated.hide()
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.dark_button = QPushButton("DARK NOW", self)
        self.dark_button.setObjectName("darkNow")
        self.dark_button.setToolTip("Laser off at once, whatever runs (Esc twice).")
        self.dark_button.setAccessibleName("Dark now")
        self.dark_button.pressed.connect(self.dark_asked)       # not when it is let go

        run = QVBoxLayout()
        run.setSpacing(2)
        run.addWidget(self.progress_text)
        run.addWidget(self.bar)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(10)
        for widget, stretch in ((self.emission, 0), (self.power, 0), (self.interlock, 0), (self.dose, 0)):
            layout.addWidget(widget, stretch)
            layout.addWidget(_upright(self))
        layout.addLayout(run, 1)
        layout.addWidget(self.simulated)
        layout.addWidget(self.dark_button)
        self._since_escape = QElapsedTimer()
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusWindowChanged.connect(self._watch_window)
        self._watch_window(application.focusWindow())
        self.show_nothing("no microscope")

    def _value(self, name: str, tip: str) -> QLabel:
        label = QLabel(self)
        label.setObjectName(name)
        label.setFont(value_font(10.5))
        label.setToolTip(tip)
        label.setTextFormat(Qt.TextFormat.PlainText)
        return label

    def _escape_pressed(self) -> None:
        if self._since_escape.isValid() and self._since_escape.elapsed() < TWICE_WITHIN_MS:
            self._since_escape.invalidate()
            self.dark_asked.emit()
        else:
            self._since_escape.start()

    def _watch_window(self, window: QWindow | None) -> None:
        """Listen to every window that gets the keyboard: a shortcut would take Esc from questions and open lists."""
        if window is not None:
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Count Esc, and see clicks on *Dark now* past an open list; whoever is meant gets them all the same."""
        kind = event.type()
        if kind == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            if event.key() == Qt.Key.Key_Escape:
                self._escape_pressed()
        elif kind == QEvent.Type.MouseButtonPress and isinstance(event, QMouseEvent) and self._past_a_list(event):
            self.dark_asked.emit()      # the list takes the click for itself, and closes
        return False

    def _past_a_list(self, event: QMouseEvent) -> bool:
        """True on *Dark now* beside a list or menu that is open."""
        place = event.globalPosition().toPoint()
        button, popup = self.dark_button, QApplication.activePopupWidget()
        if popup is None or popup.geometry().contains(place):
            return False
        return button.isVisible() and button.rect().contains(button.mapFromGlobal(place))

    def show_nothing(self, why: str) -> None:
        """Nothing is known of the laser; say so."""
        _mark(self.emission, "○ LASER UNKNOWN")
        for label, words in (
            (self.power, "– µW"), (self.interlock, "interlock unknown"), (self.dose, "dose here unknown"),
        ):  # fmt: skip
            _mark(label, words)
        _mark(self.progress_text, why)
        self.bar.setRange(0, 1)
        self.bar.setValue(0)

    def show_status(self, status: Status) -> None:
        """Show one moment of the engine."""
        if status.emission:
            _mark(self.emission, "◉ EMISSION", lit=True)
            _mark(self.power, f"{status.sample_power_uw:.4g} µW · {irradiance(status.irradiance_w_cm2)}", lit=True)
        else:
            _mark(self.emission, "○ dark")
            _mark(self.power, "0 µW")
        if status.laser_state and status.laser_state not in ("on", "off"):
            self.emission.setText(f"{self.emission.text()} ({status.laser_state})")
        interlock = {True: "interlock closed", False: "INTERLOCK OPEN", None: "interlock unknown"}
        _mark(self.interlock, interlock[status.interlock_closed], alarm=status.interlock_closed is False)
        _mark(self.dose, f"dose here {dose(status.dose_j_cm2)}")
        _mark(self.progress_text, progress_words(status), alarm=status.state is RunState.FAILED)
        self.progress_text.setToolTip(status.reason or status.file)
        self.bar.setRange(0, max(status.total, 1))
        self.bar.setValue(min(status.done, max(status.total, 1)))
        self.simulated.setText("SIMULATED" if status.speed == 1 else f"SIMULATED ×{status.speed:g}")
        self.simulated.setVisible(status.simulated)


def progress_words(status: Status) -> str:
    """What runs, how far, and how long still."""
    if status.state is RunState.IDLE:
        return "nothing runs"
    words = f"{status.measurement or status.kind}: {status.state}"
    if status.total:
        words = f"{status.measurement or status.kind}  {status.done}/{status.total}"
        if status.state is RunState.RUNNING and status.remaining_s is not None:
            return f"{words} · {duration(status.remaining_s)} left"
        words = f"{words} · {status.state}"
    return words


def _mark(label: QLabel, words: str, *, lit: bool = False, alarm: bool = False) -> None:
    """Set words, and the property that the style sheet colours; polishing only when it changes."""
    if label.text() != words:
        label.setText(words)
    for name, value in (("lit", lit), ("alarm", alarm)):
        if bool(label.property(name)) != value:
            label.setProperty(name, value)
            label.style().unpolish(label)
            label.style().polish(label)


def _upright(parent: QWidget) -> QFrame:
    line = QFrame(parent)
    line.setFrameShape(QFrame.Shape.VLine)
    return line
