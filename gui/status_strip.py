"""The strip that is always there: is the laser lit, how strong, what it has done to this spot, and *Dark now*.

Whether it is lit must be seen from across a dark room, by anyone: the word is large, a filled block with a full circle
when lit, an outline with an empty one when dark, broken when unknown, and a bar under the whole strip goes with it.
"""

from qtpy.QtCore import QElapsedTimer, QEvent, QObject, Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent, QWindow
from qtpy.QtWidgets import QApplication, QFrame, QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from halidescope.acquisition.states import RunState, Status
from halidescope.gui.dark_button import DarkButton
from halidescope.gui.theme import set_look, value_font
from halidescope.gui.values import dose, duration, irradiance

TWICE_WITHIN_MS = 1500
LIT_BAR_PX = 4
EMISSION_PT, POWER_PT = 19.0, 12.5      # read from two metres, and from one


class StatusStrip(QWidget):
    """Paints a :class:`Status`.

    Signals
    -------
    dark_asked()
        By the button, or by Esc twice.
    emission_shown(str, str)
        Whether the laser is lit is shown anew: in words, and as lit, dark or unknown.
    """

    dark_asked = Signal()
    emission_shown = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.emission = self._value("emission", "Whether light comes out, as the laser head says itself.")
        self.emission.setFont(value_font(EMISSION_PT, bold=True))
        self.power = self._value(
            "power", "Power at the sample in µW, and peak irradiance 2P/(π w0²) in W/cm²; what keeps a dark head dark."
        )
        self.power.setFont(value_font(POWER_PT, bold=True))
        self.interlock = self._value("interlock", "The laser's interlock loop.")
        self.dose = self._value("dose", "Peak dose that the present spot has had in this session, in J/cm².")
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
        self.dark_button = DarkButton(self)
        self.dark_button.pressed.connect(self.dark_asked)       # not when it is let go

        run = QVBoxLayout()
        run.setSpacing(2)
        run.addWidget(self.progress_text)
        run.addWidget(self.bar)
        self.lit_bar = QFrame(self)
        self.lit_bar.setObjectName("litBar")
        self.lit_bar.setFixedHeight(LIT_BAR_PX)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        layout = QHBoxLayout()
        layout.setContentsMargins(8, 3, 8, 3)
        whole.addLayout(layout)
        whole.addWidget(self.lit_bar)
        layout.setSpacing(10)
        layout.addWidget(self.emission)
        layout.addWidget(self.power)
        layout.addWidget(_upright(self))
        spot = QVBoxLayout()
        spot.setSpacing(0)
        spot.addWidget(self.interlock)
        spot.addWidget(self.dose)
        layout.addLayout(spot)
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
        self._show_emission("? LASER UNKNOWN", "unknown")
        for label, words in (
            (self.power, "– µW"), (self.interlock, "interlock unknown"), (self.dose, "dose here unknown"),
        ):  # fmt: skip
            _mark(label, words)
        _mark(self.progress_text, why)
        self.bar.setRange(0, 1)
        self.bar.setValue(0)

    def _show_emission(self, words: str, state: str) -> None:
        """Say whether the laser is lit; the style sheet does the rest."""
        _mark(self.emission, words)
        if self.emission.property("emission") != state:
            for widget in (self.emission, self.lit_bar):
                set_look(widget, "emission", state)
            self.emission_shown.emit(words, state)

    def show_status(self, status: Status) -> None:
        """Show one moment of the engine."""
        head = status.laser_state
        if status.emission:
            self._show_emission("◉ EMISSION", "lit")
            _mark(self.power, f"{status.sample_power_uw:.4g} µW · {irradiance(status.irradiance_w_cm2)}")
        else:
            self._show_emission("○ dark", "dark")
            _mark(self.power, f"0 µW · {head}" if head and head not in ("on", "off") else "0 µW")
        interlock = {True: "interlock closed", False: "INTERLOCK OPEN", None: "interlock unknown"}
        _mark(self.interlock, interlock[status.interlock_closed], alarm=status.interlock_closed is False)
        _mark(self.dose, f"dose here {dose(status.dose_here_j_cm2)}")
        _mark(self.progress_text, progress_words(status), alarm=status.state is RunState.FAILED)
        self.progress_text.setToolTip(status.reason or status.file)
        self.bar.setRange(0, max(status.total, 1))
        self.bar.setValue(min(status.done, max(status.total, 1)))
        self.simulated.setText("SIMULATED" if status.speed == 1 else f"SIMULATED ×{status.speed:g}")
        self.simulated.setVisible(status.simulated)


def progress_words(status: Status) -> str:
    """What runs, and on a second line how far, and how long still."""
    if status.live:
        left = "" if status.live_remaining_s is None else f" · {duration(status.live_remaining_s)} left"
        return f"live view, not kept{left}"
    if status.state is RunState.IDLE:
        return "nothing runs"
    part = f" (part {status.part} of {status.parts})" if status.parts > 1 else ""
    name = f"{status.measurement or status.kind}{part}"
    if not status.total:
        return f"{name}\n{status.state}"
    left_s = status.remaining_s if status.state is RunState.RUNNING else None
    tail = status.state if left_s is None else f"{duration(left_s)} left"
    return f"{name}\n{status.done}/{status.total} · {tail}"


def _mark(label: QLabel, words: str, *, alarm: bool = False) -> None:
    """Set words, and whether they are an alarm."""
    if label.text() != words:
        label.setText(words)
    set_look(label, "alarm", alarm)


def _upright(parent: QWidget) -> QFrame:
    line = QFrame(parent)
    line.setFrameShape(QFrame.Shape.VLine)
    return line
