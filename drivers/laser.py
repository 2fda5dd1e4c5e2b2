"""What all laser heads have in common: light is waited for and measured, darkness is proven, limits come first.

How a head is asked and told is in the modules of the families; this base class knows no protocol.
"""

import time
from collections.abc import Callable
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.errors import (
    BadReplyError,
    ConnectionLostError,
    InstrumentError,
    InterlockError,
    LaserFaultError,
    LimitError,
    NotDarkError,
    RefusedError,
)
from halidescope.drivers.instrument import WireInstrument
from halidescope.drivers.roles import LaserState

POLL_S = 0.005
PROGRESS_S = 0.2


class LaserHead(WireInstrument):
    """Base of the laser drivers.

    :meth:`start` switches emission off if the head is found emitting, and verifies it; :attr:`found_emitting` says so.
    Subclasses give the properties of :class:`halidescope.drivers.roles.Laser` and the four steps that are marked so.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    on_wait_s, dark_wait_s : float
        How long emission may take to come on, and to be gone.
    progress : callable, optional
        Told the state and the seconds waited, about five times a second while :meth:`turn_on` waits.
    """

    role: ClassVar[str] = "laser"

    def __init__(
        self, adapter: str | Adapter, name: str = "Laser", *, on_wait_s: float = 10.0, dark_wait_s: float = 2.0,
        progress: Callable[[LaserState, float], None] | None = None, **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        self.on_wait_s = on_wait_s
        self.dark_wait_s = dark_wait_s
        self.progress = progress
        self.found_emitting = False
        self._lit_between_s: tuple[float, float] | None = None
        self._dark_between_s: tuple[float, float] | None = None
        self._wanted_mw: float | None = None

    @property
    def emission(self) -> bool:
        """Get whether the head emits, or is about to."""
        raise NotImplementedError

    @property
    def interlock_closed(self) -> bool:
        """Get whether the interlock loop is closed."""
        raise NotImplementedError

    @property
    def power_mw(self) -> float:
        """Measure the power that the head emits now, in mW."""
        raise NotImplementedError

    @property
    def power_setpoint_mw(self) -> float:
        """Get the head's power set-point in mW."""
        raise NotImplementedError

    @property
    def fault(self) -> str | None:
        """Get the latched fault in words, or None."""
        raise NotImplementedError

    @property
    def state(self) -> LaserState:
        """Get what the head is doing."""
        raise NotImplementedError

    @property
    def power_limits_mw(self) -> tuple[float, float]:
        """Get the lowest and highest set-point in mW."""
        raise NotImplementedError

    @property
    def lit_between_s(self) -> tuple[float, float] | None:
        """Get when the light came on at the last switch-on: (still dark, lit), readings of ``time.perf_counter()``.

        None before the first switch-on, and if it was at zero power.
        """
        return self._lit_between_s

    @property
    def dark_between_s(self) -> tuple[float, float] | None:
        """Get when the light went, at the first switch-off after it was on: (command sent, answered).

        Readings of ``time.perf_counter()``; None while it is on, and if it was found dark.
        """
        return self._dark_between_s

    # --- steps of the families -------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Step: wait until the head takes the next command; most take it at once."""

    def command_on(self) -> None:
        """Step: tell the head to emit, in the way that its key switch and start-up logic ask for."""
        raise NotImplementedError

    def command_off(self) -> None:
        """Step: tell the head to stop emitting."""
        raise NotImplementedError

    def command_power(self, power_mw: float) -> tuple[float, float]:
        """Step: send a set-point in mW; returns what the head then says and how far off that may be, in mW."""
        raise NotImplementedError

    def starting_up(self, waited_s: float) -> bool:
        """Step: True while the head may still be dark after ``waited_s`` s; raises RefusedError if it waits in vain."""
        return waited_s <= self.on_wait_s

    # --- what it does ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Identify the head, make sure that it is dark, and read its limits."""
        super().start()
        self.found_emitting = self.emission
        if self.found_emitting:
            self.turn_off()     # first of all: nothing else that fails leaves a lit head behind
        _ = self.power_limits_mw

    def restore(self) -> None:
        """Set the power that was set before the line was lost; the head is dark."""
        if self._wanted_mw is not None:
            self.set_power(self._wanted_mw)

    def set_power(self, power_mw: float) -> None:
        """Set the head's power in mW and compare with what the head then says.

        Raises
        ------
        LimitError
            Outside the head's limits; nothing was sent.
        RefusedError
            The head did not take the value.
        """
        lowest, highest = self.power_limits_mw
        if not lowest <= power_mw <= highest:
            raise LimitError(
                self.device,
                f"power = {power_mw:g} mW asked, allowed {lowest:g} to {highest:g} mW; ask for less at the sample",
            )
        with self.lock:
            kept_mw, tolerance_mw = self.command_power(power_mw)
            if abs(kept_mw - power_mw) > tolerance_mw * 1.001:
                raise RefusedError(
                    self.device,
                    f"power = {power_mw:g} mW was accepted but the head says {kept_mw:g} mW; "
                    f"wait until it has started, then set it again",
                )
            self._wanted_mw = power_mw

    def turn_on(self) -> None:
        """Switch emission on and return when light is there: the head reports emission and measures power.

        Heads light up some tens of ms after they say that they emit, so the measured power is polled too, as long as
        the set-point is above zero; :attr:`lit_between_s` then tells when the light came.

        Raises
        ------
        InterlockError, LaserFaultError
            Emission is forbidden, or was lost while starting.
        RefusedError
            The key was not turned in time, or no light came. The head is left switched off.
        """
        self._check_permitted()
        self._lit_between_s = self._dark_between_s = None
        setpoint_mw = self.power_setpoint_mw
        self.rest()
        dark_at_s = time.perf_counter()
        try:
            self.command_on()
            start = time.monotonic()
            self._await(lambda: self.emission, start, "it reports no emission")
            if setpoint_mw > 0:
                self._await_light(dark_at_s, start, setpoint_mw)
        except BaseException:
            self.turn_off()
            raise

    def _check_permitted(self) -> None:
        if not self.interlock_closed:
            raise InterlockError(self.device, "interlock is open; close the loop and clear the fault")
        if fault := self.fault:
            raise LaserFaultError(self.device, f"{fault}; mend the cause, clear the fault, then switch on again")

    def _await(self, condition: Callable[[], bool], start: float, problem: str) -> None:
        told_s = 0.0
        while not condition():
            self._check_permitted()
            waited_s = time.monotonic() - start
            if self.progress is not None and waited_s - told_s >= PROGRESS_S:
                told_s = waited_s
                self.progress(self.state, waited_s)
            if not self.starting_up(waited_s):
                raise RefusedError(
                    self.device,
                    f"{problem} {self.on_wait_s:g} s after it was switched on, now switched off again; "
                    f"check state, set-point, autostart and modulation of the head",
                )
            time.sleep(POLL_S)

    def _await_light(self, dark_at_s: float, start: float, setpoint_mw: float) -> None:
        clearly_mw = min(self._darkness_mw(), 0.5 * setpoint_mw)

        def lit() -> bool:
            nonlocal dark_at_s
            self.rest()
            asked_s = time.perf_counter()
            if self.power_mw <= clearly_mw:
                dark_at_s = asked_s
                return False
            self._lit_between_s = (dark_at_s, time.perf_counter())
            return True

        self._await(lit, start, f"no light is measured at a set-point of {setpoint_mw:g} mW")

    def turn_off(self) -> None:
        """Switch emission off and verify it by reading back emission and power.

        Raises
        ------
        NotDarkError
            The head still says that it emits.
        ConnectionLostError
            The head could not be asked.
        """
        try:
            self._go_dark()
        except ConnectionLostError:
            if not self.can_reopen:
                raise
            self.reopen()    # the line may be all that was lost; dark must stay reachable
            self._go_dark()

    def _go_dark(self) -> None:
        refusal: InstrumentError | None = None
        asked_s = time.perf_counter()
        for _ in range(2):     # a lost or garbled answer gets a second chance before this counts as failed
            try:
                self.command_off()
                break
            except (ConnectionLostError, BadReplyError, RefusedError) as error:
                refusal = error
        answered_s = time.perf_counter()
        end = time.monotonic() + self.dark_wait_s
        while not self._dark():
            if time.monotonic() > end:
                said = f" ({refusal.problem})" if refusal else ""
                raise NotDarkError(
                    self.device,
                    f"emission was switched off but the head still reports light after {self.dark_wait_s:g} s{said}; "
                    f"turn the key, open the interlock or cut its power now",
                )
            time.sleep(POLL_S)
        self._dark_between_s = self._dark_between_s or (asked_s, answered_s)

    def _dark(self) -> bool:
        return not self.emission and bool(self.power_mw <= self._darkness_mw())

    def _darkness_mw(self) -> float:
        """Measured power up to which the head counts as dark, in mW: its photodiode has an offset."""
        return max(0.001 * self.power_limits_mw[1], 0.05)

    def shutdown(self) -> None:
        """Switch emission off, verify it, and close the port whatever happens."""
        try:
            self.turn_off()
        finally:
            super().shutdown()
