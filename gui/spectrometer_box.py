"""The spectrometer: exposure and averages of the live view, dark spectra, how near saturation, the cooler."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QGroupBox, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.manual import DarkTaken
from halidescope.acquisition.states import Status
from halidescope.gui.number_field import NumberField
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import px, set_look
from halidescope.gui.value_rows import value_rows

TAKING = "taking dark spectra …"
NEARLY_FULL = 0.9     # of the saturation level: the bar warns


class SpectrometerBox(QGroupBox):
    """Emits ``dark_asked(exposure, count)``; the live view's exposure and averages are read by whoever starts it."""

    dark_asked = Signal(float, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("spectrometer", parent)
        self._full = 0
        self._ready = False
        self._busy = False
        form, self.labels = value_rows(self, ("exposure", "axis", "detector"))
        self.bar = QProgressBar(self)
        self.bar.setRange(0, 1000)
        self.bar.setFixedHeight(px(16))
        self.bar.setFormat("no spectrum yet")
        self.bar.setToolTip(
            "brightest channel of the newest spectrum, in counts and as a share of the saturation level; when it is "
            "saturated: a shorter exposure, or less power"
        )
        self.bar.setAccessibleName("saturation")
        self.exposure = NumberField("live exposure", "s", 0.2, (1e-6, 60.0), "of live view and dark spectra", self)
        self.averages = NumberField("averages", "", 1, (1, 1000), "spectra in one of the live view", self, whole=True)
        self.count = NumberField("dark spectra", "", 10, (1, 1000), "how many are averaged", self, whole=True)
        settings = QFormLayout()
        settings.setVerticalSpacing(2)
        for field in (self.exposure, self.averages, self.count):
            settings.addRow(field.name, field)
            field.changed.connect(self._enable)
        self.take = QPushButton("Take dark", self)
        self.take.setToolTip("average dark spectra, the laser proven off")
        self.take.clicked.connect(self._take)
        self.result = Sentence("", self)
        buttons = QHBoxLayout()
        buttons.addWidget(self.take)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 4)
        layout.setSpacing(3)
        layout.addWidget(self.bar)
        layout.addLayout(form)
        layout.addLayout(settings)
        layout.addLayout(buttons)
        layout.addWidget(self.result)
        self.set_unknown()

    def show_facts(self, facts: InstrumentFacts) -> None:
        """Show what the spectrometer is and allows."""
        one = facts.spectrometer
        self._ready = facts.connected and one is not None
        if one is not None:
            self._full = one.saturation_counts
            self.exposure.set_limits(*one.exposure_limits_s)
            self.labels["axis"].setText(f"{one.wavelength_nm[0]:.1f} to {one.wavelength_nm[1]:.1f} nm")
            self.labels["axis"].setToolTip(f"{one.device}\n{one.pixels} channels up to {one.saturation_counts}")
            self.labels["detector"].setText(detector_words(facts))
        self._enable()

    def show_status(self, status: Status) -> None:
        """Dark spectra are taken by hand only while nothing else runs."""
        busy = status.state.busy or status.live
        if busy != self._busy:
            self._busy = busy
            self._enable()

    def show_spectrum(self, exposure_s: float, maximum: float, *, saturated: bool) -> None:
        """Show what the newest spectrum says."""
        words = f"{exposure_s:g} s"
        if self.labels["exposure"].text() != words:
            self.labels["exposure"].setText(words)
        if self._full:
            share = min(1.0, maximum / self._full)
            self.bar.setValue(round(1000 * share))
            words = f"{maximum:.0f} counts, {100 * share:.0f} %"
            self.bar.setFormat(f"SATURATED: {words}" if saturated else words)
            set_look(self.bar, "full", saturated or share > NEARLY_FULL)

    def show_dark(self, taken: DarkTaken) -> None:
        """Show the dark spectra that were taken."""
        noise = "" if taken.noise is None else f", noise of one {taken.noise:.3g} counts"
        self.result.setText(f"dark: {taken.count} of {taken.exposure_s:g} s, level {taken.level:.1f} counts{noise}")
        self._enable()

    def set_unknown(self) -> None:
        """Nothing is known of the spectrometer."""
        self._ready = False
        for label in self.labels.values():
            label.setText("unknown")
        self.bar.setValue(0)
        self.bar.setFormat("no spectrum yet")
        self._enable()

    def refused(self) -> None:
        """What was asked for was not done; the reason is said elsewhere."""
        if self.result.text() == TAKING:
            self.result.setText("")
        self._enable()

    def _enable(self) -> None:
        self.take.setEnabled(self._ready and not self._busy and not self.exposure.reason and not self.count.reason)

    def _take(self) -> None:
        exposure, count = self.exposure.value, self.count.value
        if exposure is not None and count is not None:
            self.result.setText(TAKING)
            self.dark_asked.emit(exposure, int(count))


def detector_words(facts: InstrumentFacts) -> str:
    """Temperature and cooler of the detector, in a few words."""
    one = facts.spectrometer
    if one is None or one.detector_temperature_c is None:
        return "no cooler"
    words = f"{one.detector_temperature_c:.1f} °C"
    if not one.cooler_on:
        return f"{words}, cooler off"
    aim = "" if one.cooler_setpoint_c is None else f" of {one.cooler_setpoint_c:g} °C"
    return f"{words}{aim}, {'stable' if one.cooler_stable else 'cooling: wait'}"
