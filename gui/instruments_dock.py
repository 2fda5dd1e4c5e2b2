"""What the instruments are doing, read only, and what has happened: the engine's events."""

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QGroupBox, QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from halidescope.acquisition.records import Event
from halidescope.acquisition.states import Status
from halidescope.gui.theme import value_font
from halidescope.gui.values import irradiance

MAX_EVENTS = 500   # shown; all of them are in the file


class InstrumentsPanel(QWidget):
    """Laser, stage, spectrometer, events."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 6)
        self.laser = self._group(layout, "laser", ("state", "at sample", "irradiance", "interlock"))
        self.stage = self._group(layout, "stage", ("x", "y"))
        self.spectrometer = self._group(layout, "spectrometer", ("exposure", "channels", "axis", "maximum"))
        layout.addWidget(QLabel("events", self))
        self.events = QListWidget(self)
        self.events.setWordWrap(True)
        self.events.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.events.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.events.setAccessibleName("events")
        self.events.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout.addWidget(self.events, 1)

    def _group(self, layout: QVBoxLayout, title: str, rows: tuple[str, ...]) -> dict[str, QLabel]:
        box = QGroupBox(title, self)
        form = QFormLayout(box)
        form.setContentsMargins(8, 2, 8, 4)
        form.setVerticalSpacing(1)
        labels = {}
        for row in rows:
            label = QLabel("unknown", box)
            label.setFont(value_font())
            label.setTextFormat(Qt.TextFormat.PlainText)
            form.addRow(row, label)
            labels[row] = label
        layout.addWidget(box)
        return labels

    def show_status(self, status: Status) -> None:
        """Show laser and stage of one moment."""
        self.laser["state"].setText("emitting" if status.emission else status.laser_state or "not connected")
        self.laser["at sample"].setText(f"{status.sample_power_uw:.4g} µW")
        self.laser["irradiance"].setText(irradiance(status.irradiance_w_cm2))
        self.laser["interlock"].setText({True: "closed", False: "open", None: "unknown"}[status.interlock_closed])
        for k, axis in enumerate("xy"):
            place = status.position_um
            self.stage[axis].setText("unknown" if place is None else f"{place[k]:.3f} µm")

    def show_spectrometer(
        self, exposure_s: float, channels: int, range_nm: tuple[float, float], maximum: float
    ) -> None:
        """Show what the newest spectrum says of the spectrometer."""
        self.spectrometer["exposure"].setText(f"{exposure_s:g} s")
        self.spectrometer["channels"].setText(f"{channels}")
        self.spectrometer["axis"].setText(f"{range_nm[0]:.1f} to {range_nm[1]:.1f} nm")
        self.spectrometer["maximum"].setText(f"{maximum:.0f} counts")

    def add_events(self, events: Sequence[Event]) -> None:
        """Add what happened, newest at the bottom."""
        for event in events:
            mark = {"warning": "⚠ ", "error": "✖ "}.get(event.level, "")
            item = QListWidgetItem(f"{event.at[11:19]}  {mark}{event.text}")
            item.setToolTip(f"{event.at}  {event.level}\n{event.text}")
            self.events.addItem(item)
        while self.events.count() > MAX_EVENTS:
            self.events.takeItem(0)
        self.events.scrollToBottom()

    def set_unknown(self) -> None:
        """Nothing is known of the instruments."""
        for group in (self.laser, self.stage, self.spectrometer):
            for label in group.values():
                label.setText("unknown")
