"""The laser, as far as a window may reach it: what it says of itself, and light for a live view, ramped and bounded.

Light outside a measurement is a live view of the engine: it ends by itself at a dose and after a time, and *dark now*
ends it like any other light.
"""

import time

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFormLayout, QGroupBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.states import Status
from halidescope.gui.number_field import NumberField
from halidescope.gui.sentence import Sentence
from halidescope.gui.value_rows import value_rows
from halidescope.gui.values import dose, duration

RAMP_STEP_S = 0.5           # between two powers of a ramp; each is switched on and measured by the engine
PATIENCE = 10               # steps that a power may take to be there before the ramp is given up
LIVE_DOSE_J_CM2 = 20_000.0  # what the engine allows a live view that nobody said more of
LIVE_S = 300.0


class LaserBox(QGroupBox):
    """State, limits and the light of a live view.

    Signals
    -------
    light_asked(float or None, float, float)
        Power at the sample in µW (None: dark), dose cap in J/cm², longest time in s.
    off_asked(), clear_asked()
        End the live view; clear the latched fault, whose cause a person has mended.
    """

    light_asked = Signal(object, float, float)
    off_asked = Signal()
    clear_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("laser", parent)
        self._status: Status | None = None
        self._ready = False
        self._ramp: tuple[float, float, float, float] | None = None    # from, to, began, lasts
        self._asked_uw: float | None = None      # of a ramp, last
        self._waited = 0
        self._spent_j_cm2 = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(round(1000 * RAMP_STEP_S))
        self._timer.timeout.connect(self._ramp_on)
        form, self.labels = value_rows(self, ("state", "at sample", "limits", "interlock"))
        self.advice = Sentence("", self)
        self.advice.setProperty("reason", True)
        self.advice.hide()
        self.clear = QPushButton("Clear the fault", self)
        self.clear.setToolTip("after its cause is mended; the laser stays dark")
        self.clear.clicked.connect(self.clear_asked)
        self.clear.hide()
        self.power = NumberField("live power", "µW", 5.0, (0.0, 400.0), "at the sample in the live view; 0: dark", self)
        self.ramp = NumberField("ramp", "s", 0.0, (0.0, 600.0), "in this time the power rises; 0: at once", self)
        self.cap = NumberField("dose cap", "J/cm²", LIVE_DOSE_J_CM2, (1e-3, 1e12), "peak dose that ends it", self)
        self.longest = NumberField("time limit", "s", LIVE_S, (1.0, 86_400.0), "after it the live view ends", self)
        settings = QFormLayout()
        settings.setVerticalSpacing(2)
        for field in (self.power, self.ramp, self.cap, self.longest):
            settings.addRow(field.name, field)
            field.changed.connect(self._enable)
            field.entered.connect(self._light)
        self.light = QPushButton("Live view", self)
        self.light.setToolTip("spectra without keeping them; their light counts in the dose (Ctrl+L)")
        self.off = QPushButton("End live", self)
        self.off.setToolTip("end the live view, dark and proven (Ctrl+Shift+L)")
        self.light.clicked.connect(self._light)
        self.off.clicked.connect(self.end)
        buttons = QHBoxLayout()
        buttons.addWidget(self.light)
        buttons.addWidget(self.off)
        self.left = Sentence("", self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 4)
        layout.setSpacing(3)
        layout.addLayout(form)
        layout.addWidget(self.advice)
        layout.addWidget(self.clear)
        layout.addLayout(settings)
        layout.addLayout(buttons)
        layout.addWidget(self.left)
        self.set_unknown()

    def show_facts(self, facts: InstrumentFacts) -> None:
        """Show what the head is and allows."""
        laser = facts.laser
        self._ready = facts.connected and laser is not None
        if laser is not None:
            low, high = laser.sample_limits_uw
            self.power.set_limits(0.0, high)
            self.labels["limits"].setText(f"{low:.3g} to {high:.4g} µW")
            self.labels["limits"].setToolTip(
                f"at the sample, head and file together; the head: {laser.head_limits_mw[0]:g} to "
                f"{laser.head_limits_mw[1]:g} mW at {laser.wavelength_nm:g} nm\n{laser.device}"
            )
            advice = ""
            if laser.fault:
                advice = f"fault: {laser.fault}; mend its cause, then clear it"
            elif not laser.interlock_closed:
                advice = "the interlock is open: close the enclosure"
            elif laser.waits_for_key:
                advice = "turn the key switch"
            elif laser.warming_up:
                advice = "warming up: wait"
            elif "arming" in laser.state:
                advice = "arming delay: light comes in a few seconds"
            self.clear.setVisible(bool(laser.fault) and facts.connected)
            self.advice.setText(advice)
            self.advice.setVisible(bool(advice) and facts.connected)
        self._enable()

    def show_status(self, status: Status) -> None:
        """Show one moment."""
        before, self._status = self._status, status
        self.labels["state"].setText("emitting" if status.emission else status.laser_state or "not connected")
        self.labels["at sample"].setText(f"{status.sample_power_uw:.4g} µW")
        self.labels["interlock"].setText({True: "closed", False: "open", None: "unknown"}[status.interlock_closed])
        if status.live:
            left = "" if status.live_remaining_s is None else f", ends by itself in {duration(status.live_remaining_s)}"
            self.left.setText(f"live view on: {dose(status.live_dose_j_cm2)} given{left}")
        else:
            self.left.setText("")
            if before is not None and before.live and not self._ramp:
                self._spent_j_cm2 = 0.0
        if status.state.busy:
            self._stop_ramp()
        self._enable()

    def set_unknown(self) -> None:
        """Nothing is known of the laser."""
        self._status, self._ready = None, False
        self._stop_ramp()
        for label in self.labels.values():
            label.setText("unknown")
        self.advice.hide()
        self.clear.hide()
        self.left.setText("")
        self._enable()

    def _enable(self) -> None:
        status = self._status
        idle = self._ready and status is not None and not status.state.busy
        valid = not any(field.reason for field in (self.power, self.ramp, self.cap, self.longest))
        self.light.setEnabled(idle and valid)
        self.light.setText("Change" if status is not None and status.live else "Live view")
        self.off.setEnabled(status is not None and status.live)

    def _light(self) -> None:
        power, ramp = self.power.value, self.ramp.value
        if not self.light.isEnabled() or power is None or ramp is None:
            return
        status = self._status
        now_uw = status.sample_power_uw if status is not None and status.live else 0.0
        self._spent_j_cm2 = 0.0
        if ramp > 0 and power > now_uw:
            self._ramp = (now_uw, power, time.monotonic(), ramp)
            self._timer.start()
            self._ramp_on()
        else:
            self._stop_ramp()
            self._ask(power)

    def _ramp_on(self) -> None:
        """One step of a ramp; all steps share one dose cap.

        The next power is asked for only while the light of the last is seen: what made it dark is not overruled.
        """
        if self._ramp is None:
            return
        if self._asked_uw is not None and not self._lit_as_asked():
            self._waited += 1
            if self._waited > PATIENCE:
                self._stop_ramp()
            return
        low, high, began, lasts = self._ramp
        share = min(1.0, (time.monotonic() - began + RAMP_STEP_S) / lasts)
        if self._status is not None:
            self._spent_j_cm2 += self._status.live_dose_j_cm2
        self._ask(low + share * (high - low))
        if share >= 1.0:
            self._stop_ramp()

    def _lit_as_asked(self) -> bool:
        status, asked = self._status, self._asked_uw
        return (
            status is not None and asked is not None and status.live
            and abs(status.sample_power_uw - asked) <= 0.02 * asked
        )

    def _ask(self, power_uw: float) -> None:
        cap, longest = self.cap.value, self.longest.value
        if cap is None or longest is None:
            return
        if cap <= self._spent_j_cm2:
            self.end()
            return
        self._asked_uw, self._waited = power_uw, 0
        self.light_asked.emit(power_uw or None, cap - self._spent_j_cm2, longest)

    def end(self) -> None:
        """End the live view and any ramp."""
        self._stop_ramp()
        self.off_asked.emit()

    def darken(self) -> None:
        """Darkness was asked for: no ramp goes on."""
        self._stop_ramp()

    def _stop_ramp(self) -> None:
        self._ramp = None
        self._asked_uw = None
        self._timer.stop()
