"""Light and its limits: the only place that sets power or switches emission.

Dark is the safe state. :meth:`Beam.lit` is the only way to light, and whatever leaves it leaves the laser off and
verified. The process that watches over a dead engine is :mod:`halidescope.acquisition.watchdog`.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from halidescope.acquisition.clock import Clock
from halidescope.acquisition.dose import DoseLedger
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.problems import RefusedRunError
from halidescope.drivers.errors import (
    ConnectionLostError,
    InstrumentError,
    InterlockError,
    LaserFaultError,
    NotDarkError,
)
from halidescope.drivers.roles import Laser

BEAM_CHECK_S = 0.5     # real seconds between two questions whether the laser still emits what it should
READ_BACK = 1.005      # share by which a set-point that is read back may be beyond a limit
INSIST_S = 1.0         # real seconds between two attempts at light that could not be proven off
TRIES = 3              # to switch off: twice on the open line, then once more on a new one


class DarknessAskedError(Exception):
    """Somebody asked for darkness while the beam was about to be lit."""


def power_problems(
    microscope: MicroscopeFile, sample_uw: float, head: tuple[str, tuple[float, float]] | None
) -> list[str]:
    """Sentences about a power at the sample that must not be used; empty if it may.

    Parameters
    ----------
    head : (device, (lowest_mw, highest_mw)), optional
        The connected head's name and limits; without it only the sample's limit is judged.
    """
    problems = []
    if sample_uw > microscope.laser.max_sample_uw:
        problems.append(
            f"sample power: {sample_uw:g} µW asked, allowed up to {microscope.laser.max_sample_uw:g} µW "
            "(max_sample_uw in the microscope file); lower sample_power_uw"
        )
    if head is not None:
        device, (lowest, highest) = head
        head_mw = microscope.head_mw(sample_uw)
        if not lowest <= head_mw <= highest:
            problems.append(
                f"{device}: {sample_uw:g} µW at the sample needs {head_mw:.4g} mW of the head, allowed {lowest:g} to "
                f"{highest:g} mW; change sample_power_uw or the filters (sample_uw_per_head_mw)"
            )
    return problems


def darken(laser: Laser, reconnect: Callable[[], Laser]) -> Laser:
    """Switch emission off and prove it; on trouble again, then over a new connection.

    Returns
    -------
    Laser
        The laser that is dark: the given one, or the reconnected one.

    Raises
    ------
    NotDarkError
        Emission could not be proven off. Somebody must turn the key.
    """
    problems = []
    for attempt in range(TRIES):
        try:
            if attempt == TRIES - 1:
                with suppress(Exception):     # its end may be lost already
                    laser.close()
                laser = reconnect()
            laser.turn_off()
            if not laser.emission:
                return laser
            problems.append("the head still reports emission")
        except InstrumentError as error:
            problems.append(error.problem)
        except Exception as error:  # noqa: BLE001 - ours or a library's mistake: it must not end the tries
            problems.append(f"unexpected {type(error).__name__}: {error}")
    raise NotDarkError(
        laser.device, f"emission could not be proven off ({'; '.join(dict.fromkeys(problems))}); "
        "turn the key switch off and block the beam"
    )


class Beam:
    """The light at the sample: its power, its switch, its dose.

    Parameters
    ----------
    reconnect : callable
        Makes a new connection to the laser, for when the old one fails while lit.
    announce : callable
        Told ``True`` just before the light goes on and ``False`` once it is proven off; the watchdog listens.
    told : callable, optional
        Gets a sentence when light that could not be proven off at first is proven off at last.
    alive : callable, optional
        Called now and then while another thread is waited for that switches: that is no hang.
    """

    def __init__(
        self, microscope: MicroscopeFile, laser: Laser, clock: Clock, ledger: DoseLedger, *,
        reconnect: Callable[[], Laser], announce: Callable[[bool], None], told: Callable[[str], object] = str,
        alive: Callable[[], object] = object,
    ) -> None:
        self._microscope = microscope
        self.laser = laser
        self._clock = clock
        self._ledger = ledger
        self._reconnect = reconnect
        self._announce = announce
        self._told = told
        self._alive = alive
        self._insisting: threading.Thread | None = None
        self._given_up = threading.Event()
        self._retired = False
        self._switch = threading.RLock()
        self._forbidden = threading.Event()
        self.on = False
        self.sample_power_uw = 0.0          # set-point; reaches the sample only while on
        self.lit_at_s: float | None = None  # when the light last came on
        self.lit_at_se_s = 0.0              # and how well that is known
        self.dark_at_s: float | None = None # when emission was last proven off after light
        self.power_drift = 0.0              # share by which the power meter deviates from the set-point
        self._beyond = False
        self._inside = False
        self._lighting = False
        self._asked_s = 0.0                 # when light was last asked for
        self._gone_by_itself = False        # the head was found dark although it should emit
        self._doubt_j_cm2 = 0.0

    @property
    def irradiance_w_cm2(self) -> float:
        """Peak irradiance at the sample now, 0 when dark."""
        return self._microscope.peak_irradiance_w_cm2(self.sample_power_uw) if self.on else 0.0

    @contextmanager
    def _switching(self) -> Iterator[None]:
        """One thread at a time talks about power and emission."""
        while not self._switch.acquire(timeout=BEAM_CHECK_S):
            self._alive()
        try:
            yield
        finally:
            self._switch.release()

    def set_power(self, sample_uw: float) -> None:
        """Set the power at the sample in µW, while dark or lit.

        Raises
        ------
        RefusedRunError
            Beyond the sample's or the head's limits; nothing is sent.
        LaserFaultError
            The head says that it was set beyond them; it was made dark.
        """
        problems = power_problems(self._microscope, sample_uw, (self.laser.device, self.laser.power_limits_mw))
        if problems:
            raise RefusedRunError("; ".join(problems))
        with self._switching():
            self.laser.set_power(self._microscope.head_mw(sample_uw))
            self._require_kept(self.laser.power_setpoint_mw)
            self.sample_power_uw = sample_uw
            if self.on:
                self._ledger.light(self._clock.now_s(), self.irradiance_w_cm2)

    def _require_kept(self, head_mw: float) -> None:
        """Raise, dark, if what the head says it was set to is beyond a limit."""
        _, highest_mw = self.laser.power_limits_mw
        allowed_mw = min(highest_mw, self._microscope.head_mw(self._microscope.laser.max_sample_uw))
        if head_mw > allowed_mw * READ_BACK:      # heads show few digits
            self.darken()
            raise LaserFaultError(
                self.laser.device, f"its set-point reads {head_mw:.4g} mW after it was set, allowed up to "
                f"{allowed_mw:.4g} mW (head and max_sample_uw); emission is off, have it serviced",
            )

    def require_ready(self) -> None:
        """Raise if interlock or a fault forbid light."""
        if not self.laser.interlock_closed:
            raise InterlockError(self.laser.device, "interlock is open; close the loop, clear its fault, start again")
        fault = self.laser.fault
        if fault is not None:
            raise LaserFaultError(self.laser.device, f"reports a fault: {fault}; mend its cause, clear it, start again")

    def require_lit(self) -> None:
        """Raise, with the reason if the head tells one, if the head no longer emits although it should."""
        asked_s = self._clock.now_s()
        if self.laser.emission:
            self._ledger.proven(asked_s)
        else:
            self._gone_by_itself = True
            self.require_ready()
            raise LaserFaultError(self.laser.device, "stopped emitting by itself; look at its key switch and supply")

    def measure_power(self) -> float:
        """Power at the sample from the head's own power meter, in µW, held against the set-point; while lit.

        Raises
        ------
        LaserFaultError
            Off by more than ``power_drift_stop``, or beyond the sample's limit by more than ``power_drift_note``, at
            two readings in a row: one may fall into the head's own regulation.
        """
        measured_uw = self._microscope.sample_uw(self.laser.power_mw)
        table = self._microscope.laser
        self.power_drift = measured_uw / self.sample_power_uw - 1.0
        beyond = abs(self.power_drift) > table.power_drift_stop
        over = measured_uw > table.max_sample_uw * (1.0 + table.power_drift_note)
        if over and self._beyond:
            raise LaserFaultError(
                self.laser.device,
                f"its power meter says {measured_uw:.4g} µW at the sample, allowed {table.max_sample_uw:g} µW + "
                f"{table.power_drift_note:.0%} (max_sample_uw and power_drift_note in the microscope file); have it "
                "serviced, or measure the path transmission anew",
            )
        if beyond and self._beyond:
            raise LaserFaultError(
                self.laser.device,
                f"its power meter says {measured_uw:.4g} µW at the sample, the set-point is {self.sample_power_uw:g} "
                f"µW, allowed ± {table.power_drift_stop:.0%} (power_drift_stop in the microscope file); let it warm up "
                "or have it serviced",
            )
        self._beyond = beyond or over
        return measured_uw

    @contextmanager
    def lit(self) -> Iterator[None]:
        """Light inside; dark and verified outside, whatever happens inside.

        Raises
        ------
        DarknessAskedError
            :meth:`dark_now` was called meanwhile.
        NotDarkError
            On leaving: emission could not be proven off.
        """
        with self.dark_after():
            self.relight()
            yield

    @contextmanager
    def dark_after(self) -> Iterator[None]:
        """The only place for :meth:`relight`: dark and verified outside, whatever happens inside."""
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
            self.darken()

    def relight(self) -> None:
        """Light, inside :meth:`dark_after` only. Raises DarknessAskedError, InstrumentError."""
        if not self._inside:
            raise RuntimeError("light is switched on only where darkness afterwards is certain")
        with self._switching():
            if self._forbidden.is_set():
                raise DarknessAskedError
            if self._retired:
                raise ConnectionLostError(self.laser.device, "was disconnected; connect it again")
            self._announce(True)
            self.on = self._lighting = True
            self._asked_s = asked_s = self._clock.now_s()
            self._gone_by_itself = False
            self._ledger.light(asked_s, self.irradiance_w_cm2)
            try:
                self.laser.turn_on()
            finally:
                self._lighting = False
            if self._forbidden.is_set():
                raise DarknessAskedError
            between = self.laser.lit_between_s
            dark_s, lit_s = map(self._clock.reading_s, between) if between else (asked_s, self._clock.now_s())
            self.lit_at_s = 0.5 * (dark_s + lit_s)
            self.lit_at_se_s = (lit_s - dark_s) / math.sqrt(12.0)   # of a uniform distribution over the bracket
            self._ledger.correct(max(0.0, self.lit_at_s - asked_s), self.irradiance_w_cm2)
            self._ledger.proven(lit_s)

    def darken(self) -> None:
        """Switch off and prove it; safe to call when dark. Raises NotDarkError, and then goes on trying: see insist."""
        with self._switching():
            if self._retired:
                return
            before = self.laser
            try:
                self.laser = darken(before, self._reconnect)
            except NotDarkError:
                self.insist()
                raise
            now_s = self._clock.now_s()
            if self.on:
                between = self.laser.dark_between_s
                gone_s = now_s if between is None else self._clock.reading_s(sum(between) / 2.0)
                self.dark_at_s = min(max(gone_s, self._asked_s), now_s)
                self.on = False
                self._doubt_j_cm2 += self._ledger.dark(now_s, self.dark_at_s, proven=self._was_lit(before))
            self._announce(False)

    def retire(self) -> None:
        """Dark, proven, and its connection closed: from now on this beam neither lights nor connects anew."""
        with self._switching():
            self._retired = not self.on

    def insist(self) -> None:
        """Light could not be proven off: try again and again, in a thread, until it is or :meth:`give_up`.

        A line that was lost, a hub that restarts, may be back in a minute; nobody else would switch off then.
        """
        if self.on and (self._insisting is None or not self._insisting.is_alive()):
            self._given_up.clear()
            self._insisting = threading.Thread(target=self._insist, name="darkness", daemon=True)
            self._insisting.start()

    def _insist(self) -> None:
        while not self._given_up.wait(INSIST_S):
            with suppress(InstrumentError):
                self.darken()
                self._told(f"{self.laser.device}: emission proven off at last")
                return

    def give_up(self) -> None:
        """No longer try: somebody else makes it dark. Returns when nothing of this beam talks with the laser."""
        self._given_up.set()
        if self._insisting is not None:
            self._insisting.join()

    def _was_lit(self, before: Laser) -> bool:
        """Whether the light was on until it was switched off; asked in the dark: darkness never waits for this."""
        if self._gone_by_itself:
            return False
        if self.laser is not before:
            return self.laser.found_emitting
        try:      # whatever makes a head go dark by itself is latched, or an open loop
            return self.laser.interlock_closed and self.laser.fault is None
        except InstrumentError:
            return False      # its line fails: nobody knows

    def take_doubt(self) -> float:
        """How much light is booked that may not have come, J/cm² summed over the spots, since this was asked last."""
        doubt, self._doubt_j_cm2 = self._doubt_j_cm2, 0.0
        return doubt

    def look(self) -> None:
        """Called before every request: light that was forbidden while it comes on is not waited for."""
        if self._lighting and self._forbidden.is_set():
            self._lighting = False      # the head is switched off next, by more requests
            raise DarknessAskedError

    def reconnect(self) -> None:
        """A new connection to the laser, which is dark on it; only while dark. Raises InstrumentError."""
        with self._switching():
            with suppress(InstrumentError):     # its end is lost already
                self.laser.close()
            self.laser = self._reconnect()

    def dark_now(self) -> None:
        """Forbid light until :meth:`allow`, and switch off; may be called from any thread. Raises NotDarkError."""
        self._forbidden.set()
        # not waiting for the switch, which is held while the head warms up; what goes wrong here shows again below
        with suppress(InstrumentError):
            self.laser.turn_off()
        self.darken()

    def allow(self) -> None:
        """Light may be switched on again: a new measurement begins."""
        self._forbidden.clear()
