"""The instruments: connection, laser, stage, spectrometer, each with what it says and what a person may do by hand."""

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.records import Event
from halidescope.acquisition.states import Status
from halidescope.gui.laser_box import LaserBox
from halidescope.gui.sentence import Sentence
from halidescope.gui.spectrometer_box import SpectrometerBox
from halidescope.gui.stage_box import StageBox
from halidescope.gui.theme import px


class InstrumentsPanel(QWidget):
    """Laser, stage and spectrometer beneath the state of their connection.

    Signals
    -------
    connect_asked(), disconnect_asked()
    live_asked(float or None, float, int, float, float)
        Power in µW, exposure in s, averages, dose cap in J/cm², longest time in s.
    """

    connect_asked = Signal()
    disconnect_asked = Signal()
    live_asked = Signal(object, float, int, float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumWidth(px(236))
        self._engine = False
        self._facts: InstrumentFacts | None = None
        self._busy = False
        self._trouble = ""
        self.words = Sentence("no microscope", self)
        self.connect_button = QPushButton("Connect", self)
        self.connect_button.setToolTip("connect laser, stage and spectrometer of the microscope file")
        self.disconnect_button = QPushButton("Disconnect", self)
        self.disconnect_button.setToolTip("let go of the instruments, so that other programs can use them")
        self.connect_button.clicked.connect(self._connect)
        self.disconnect_button.clicked.connect(self.disconnect_asked)
        self.laser = LaserBox(self)
        self.stage = StageBox(self)
        self.spectrometer = SpectrometerBox(self)
        self.laser.light_asked.connect(self._light)
        row = QHBoxLayout()
        row.addWidget(self.connect_button)
        row.addWidget(self.disconnect_button)
        inner = QWidget(self)
        column = QVBoxLayout(inner)
        column.setContentsMargins(6, 2, 6, 6)
        column.addWidget(self.words)
        column.addLayout(row)
        for box in (self.laser, self.stage, self.spectrometer):
            column.addWidget(box)
        column.addStretch(1)
        scroll = QScrollArea(self)
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)
        self.set_connected(False)

    def set_connected(self, connected: bool) -> None:
        """Tell whether there is an engine to ask."""
        self._engine = connected
        if not connected:
            self.set_unknown()
        self._say()

    def show_facts(self, facts: InstrumentFacts) -> None:
        """Show what the instruments are and allow."""
        self._facts = facts
        if facts.connected:
            self._trouble = ""
        for box in (self.laser, self.stage, self.spectrometer):
            box.show_facts(facts)
        self._say()

    def show_status(self, status: Status) -> None:
        """Show one moment."""
        self._busy = status.state.busy
        if self._facts is not None and self._facts.connected != status.connected:
            self._facts = None       # on its way
            for box in (self.laser, self.stage, self.spectrometer):
                if not status.connected:
                    box.set_unknown()
        for box in (self.laser, self.stage, self.spectrometer):
            box.show_status(status)
        self._say()

    def add_events(self, events: Sequence[Event]) -> None:
        """Remember the last trouble: it says why there is no connection."""
        for event in events:
            if event.level != "info":
                self._trouble = event.text

    def refused(self) -> None:
        """Something that was asked for by hand was not done."""
        self.stage.refused()
        self.spectrometer.refused()

    def set_unknown(self) -> None:
        """Nothing is known of the instruments."""
        self._facts = None
        for box in (self.laser, self.stage, self.spectrometer):
            box.set_unknown()
        self._say()

    def _connect(self) -> None:
        self.words.setText("connecting …")
        self.connect_asked.emit()

    def _light(self, power_uw: float | None, dose_cap_j_cm2: float, max_s: float) -> None:
        exposure, averages = self.spectrometer.exposure.value, self.spectrometer.averages.value
        if exposure is not None and averages is not None:
            self.live_asked.emit(power_uw, exposure, int(averages), dose_cap_j_cm2, max_s)

    def _say(self) -> None:
        facts = self._facts
        connected = facts is not None and facts.connected
        if not self._engine:
            words = "No microscope: File > Open microscope file, or Connect instruments."
        elif facts is None:
            words = "asking the instruments …"
        elif connected:
            words = "connected" + (", in a measurement: nothing is moved by hand" if self._busy else "")
        else:
            words = "Not connected: check power, cables and that no other program holds the ports, then press Connect."
            if self._trouble:
                words += f" Last trouble: {self._trouble}"
        self.words.setText(words)
        self.connect_button.setEnabled(self._engine and not connected and not self._busy)
        self.disconnect_button.setEnabled(self._engine and connected and not self._busy)
