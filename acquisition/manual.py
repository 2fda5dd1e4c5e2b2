"""Manual control of an idle engine: moving the stage, a live view, dark spectra. The same door, the same limits.

Everything here runs in the engine's thread. A live view shows spectra without keeping them; its light counts in the
dose ledger like any other, and ends by itself: at a dose, after a time, when a measurement starts, or when darkness is
asked for.
"""

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from halidescope.acquisition.clock import Clock
from halidescope.acquisition.problems import ProblemError, RefusedRunError, unexpected
from halidescope.acquisition.ring import LIVE_RUN, RingSpectrum
from halidescope.acquisition.safety import BEAM_CHECK_S, Beam, DarknessAskedError, power_problems
from halidescope.drivers.errors import InstrumentError
from halidescope.drivers.roles import Spectrum

if TYPE_CHECKING:
    from halidescope.acquisition.engine import Engine
    from halidescope.acquisition.instruments import Instruments

LIVE_DOSE_J_CM2 = 20_000.0   # peak dose of a live view that nobody said more of: a minute of 5 µW in a 1 µm focus
LIVE_S = 300.0               # microscope seconds after which a forgotten live view ends
LONGEST_S = 10.0             # real seconds that a live spectrum, or all of a dark, may take: commands wait meanwhile


class LiveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A live view: ``sample_power_uw`` None keeps the laser dark, ``averages`` spectra are shown as one."""

    sample_power_uw: float | None
    exposure_s: float
    averages: int = 1
    dose_cap_j_cm2: float = LIVE_DOSE_J_CM2
    max_s: float = LIVE_S


class DarkTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Dark spectra taken by hand, in counts: ``mean`` per pixel, its mean ``level``, and the ``noise`` of one spectrum.

    ``noise`` is the standard deviation from spectrum to spectrum, averaged over the pixels; None for a single spectrum.
    """

    exposure_s: float
    count: int
    mean: list[float]
    level: float
    noise: float | None


class Manual:
    """What a person may do with the instruments while no measurement runs."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._request: LiveRequest | None = None
        self._darks: dict[float, float] = {}     # exposure → mean level, counts
        self._shown = 0

    @property
    def live_wanted(self) -> bool:
        """True if a live view is to be shown."""
        return self._request is not None

    def _ready(self) -> "tuple[Instruments, Beam]":
        """Connected instruments; raises if they are not."""
        instruments, beam = self._engine.instruments, self._engine.beam
        if instruments is None or beam is None:
            raise ProblemError("engine: the instruments are not connected; connect them first")
        return instruments, beam

    # orders

    def move(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Move the stage; returns the position read. Raises InstrumentError: outside the travel, stopped, blocked."""
        instruments, _ = self._ready()
        engine = self._engine
        engine.expect(0.0)
        for value, (lowest, highest) in zip((x_um, y_um), instruments.stage.limits_um, strict=True):
            if not lowest <= value <= highest:
                break        # the driver says it in its words, and sends nothing; so nothing is booked there either
        else:
            engine.ledger.moving_to(engine.clock.now_s(), x_um, y_um)
        try:
            position = instruments.stage.move_to(x_um, y_um)
        except InstrumentError:
            self._stands_elsewhere(instruments)
            raise
        engine.ledger.arrived(engine.clock.now_s())
        engine.publish(position_um=position)
        return position

    def _stands_elsewhere(self, instruments: "Instruments") -> None:
        """A move failed: light falls where the stage stands."""
        try:
            position = instruments.stage.position_um
        except InstrumentError as error:
            self._engine.events.note(f"position not known after a failed move: {error}", "warning")
            return
        self._engine.ledger.stands_at(self._engine.clock.now_s(), *position)
        self._engine.publish(position_um=position)

    def begin_live(self, request: LiveRequest) -> None:
        """Begin a live view, instead of one that is shown.

        Raises
        ------
        ProblemError
            A number that is none, or too long an exposure for a live view.
        RefusedRunError
            Beyond the limits of sample, head or spectrometer.
        InstrumentError
            Interlock or a fault forbid light.
        """
        instruments, beam = self._ready()
        if problem := live_problem(request, self._engine.clock):
            raise ProblemError(problem)
        _require_exposure(instruments, request.exposure_s)
        if request.sample_power_uw is not None:
            head = (instruments.laser.device, instruments.laser.power_limits_mw)
            if problems := power_problems(self._engine.microscope, request.sample_power_uw, head):
                raise RefusedRunError("; ".join(problems))
            beam.require_ready()
        self._request = request

    def end_live(self) -> None:
        """End the live view, dark and proven; nothing happens if there is none."""
        self._request = None

    def clear_fault(self) -> None:
        """Clear the laser's latched fault, after a person has mended its cause; emission stays off."""
        instruments, beam = self._ready()
        beam.darken()
        instruments.laser.clear_fault()
        self._engine.events.note(f"{instruments.laser.device}: fault cleared on request", "warning")

    def take_dark(self, exposure_s: float, count: int) -> DarkTaken:
        """Average dark spectra, the laser proven off; the live view shows their level from then on.

        Raises
        ------
        ProblemError
            A live view is on; or more than a command may take.
        RefusedRunError
            An exposure beyond the spectrometer's limits.
        """
        instruments, beam = self._ready()
        if self._request is not None:
            raise ProblemError("engine: a live view is on; end it before dark spectra are taken")
        real_s = self._engine.clock.real_s(exposure_s)
        if not (0 < exposure_s < math.inf and count >= 1 and count * real_s <= LONGEST_S):
            raise ProblemError(
                f"dark spectra: {count} of {exposure_s:g} s asked, allowed 1 or more that take {LONGEST_S:g} s in all; "
                "take fewer, or measure a background recipe"
            )
        _require_exposure(instruments, exposure_s)
        beam.darken()
        self._engine.expect(3 * real_s)
        instruments.spectrometer.set_exposure(exposure_s)
        taken = []
        for _ in range(count):
            self._engine.expect(real_s)
            taken.append(instruments.spectrometer.acquire().counts)
        counts = np.array(taken, np.float64)
        mean = counts.mean(axis=0)
        noise = float(np.sqrt(counts.var(axis=0, ddof=1).mean())) if count > 1 else None
        self._darks[exposure_s] = float(mean.mean())
        return DarkTaken(
            exposure_s=exposure_s, count=count, mean=mean.tolist(), level=float(mean.mean()), noise=noise
        )

    # the live view

    def show(self) -> None:
        """Show the live view that was asked for until it ends; on return the laser is dark and proven."""
        engine, request = self._engine, self._request
        assert request is not None
        instruments, beam = self._ready()
        power_uw = request.sample_power_uw
        how = "dark" if power_uw is None else f"{power_uw:g} µW"
        engine.door.clear()
        beam.allow()
        level = "info"
        try:
            with ExitStack() as stack:
                beam.darken()
                engine.expect(3 * engine.clock.real_s(request.exposure_s))
                instruments.spectrometer.set_exposure(request.exposure_s)
                if power_uw is not None:
                    beam.set_power(power_uw)
                    engine.expect(0.0)
                    stack.enter_context(beam.lit())
                engine.events.note(f"live view: {how}, {request.exposure_s:g} s")
                why = _Live(engine, instruments, beam, request, self._darks.get(request.exposure_s, 0.0)).run(self)
        except DarknessAskedError:
            why = "darkness was asked for"
        except (ProblemError, InstrumentError) as error:     # a laser made dark from outside is "off" unexpectedly
            asked = engine.door.abort_reason
            why, level = (asked, "info") if asked else (str(error), "error")
        except Exception as error:  # noqa: BLE001 - a mistake of ours must end dark, with a word, and not the engine
            why, level = unexpected(error), "error"
        if self._request is request:
            self._request = None
        if (doubt := beam.take_doubt()) > 0:
            engine.events.note(
                f"live view: the light may have gone by itself before that was noticed; {doubt:.4g} J/cm² of what is "
                "booked are in doubt", "warning",
            )
        proven = "EMISSION COULD NOT BE PROVEN OFF" if beam.on else "emission proven off"
        engine.events.note(f"live view ended: {why}; {proven}", "error" if beam.on else level)
        engine.publish(live=False, live_remaining_s=None)

    def still(self, request: LiveRequest) -> bool:
        """True while this live view is the one that is wanted."""
        return self._request is request

    def next_index(self) -> int:
        """Counts the live spectra of this engine."""
        self._shown += 1
        return self._shown - 1


def live_problem(request: LiveRequest, clock: Clock) -> str:
    """A sentence about numbers that no instrument has to be asked for; empty if there is nothing against them."""
    longest_s = clock.speed * LONGEST_S
    if not (0 < request.exposure_s < math.inf and request.averages >= 1):
        return f"live view: {request.averages} spectra of {request.exposure_s:g} s asked; give an exposure above 0 s"
    if request.exposure_s * request.averages > longest_s:
        return (
            f"live view: {request.averages} × {request.exposure_s:g} s asked, allowed up to {longest_s:g} s in all, so "
            "that commands need not wait; take a shorter exposure or fewer averages"
        )
    if request.sample_power_uw is not None and not 0 < request.sample_power_uw < math.inf:
        return f"live view: {request.sample_power_uw:g} µW asked; give a power above 0 µW, or none for a dark view"
    if not (request.dose_cap_j_cm2 > 0 and 0 < request.max_s < math.inf):
        return (
            f"live view: dose_cap_j_cm2 = {request.dose_cap_j_cm2:g} J/cm² and max_s = {request.max_s:g} s asked; both "
            "must be above 0, so that a forgotten live view ends"
        )
    return ""


def _require_exposure(instruments: "Instruments", exposure_s: float) -> None:
    lowest, highest = instruments.spectrometer.exposure_limits_s
    if not lowest <= exposure_s <= highest:
        raise RefusedRunError(
            f"{instruments.spectrometer.device}: exposure of {exposure_s:g} s asked, allowed {lowest:g} to {highest:g} "
            "s; change exposure_s"
        )


class _Live:
    """One live view from its first spectrum to its last."""

    def __init__(
        self, engine: "Engine", instruments: "Instruments", beam: Beam, request: LiveRequest, dark_level: float
    ) -> None:
        self._engine, self._instruments, self._beam = engine, instruments, beam
        self._request, self._dark_level = request, dark_level
        self._began_s = engine.clock.now_s()
        self._next_check = 0.0

    def run(self, manual: Manual) -> str:
        """Spectrum after spectrum; returns why it ended."""
        request = self._request
        while True:
            self._engine.serve_orders()
            if not manual.still(request):
                return "ended on request"
            if why := self._why_end():
                return why
            spectra = []
            for _ in range(request.averages):
                self._engine.expect(self._engine.clock.real_s(request.exposure_s))
                spectra.append(self._instruments.spectrometer.acquire())
                if self._engine.door.abort_reason is not None:
                    return self._engine.door.abort_reason     # the light may have gone meanwhile: not to be shown
            self._show(spectra, manual.next_index())

    @property
    def _dose_j_cm2(self) -> float:
        """Peak dose of this live view: all of its light, wherever the stage went."""
        lit_s = self._engine.clock.now_s() - (self._beam.lit_at_s or 0.0)
        return self._beam.irradiance_w_cm2 * lit_s if self._beam.on else 0.0

    def _why_end(self) -> str:
        """Why there is not one more spectrum; empty if there is."""
        engine, request = self._engine, self._request
        engine.door.look()
        if engine.door.abort_reason is not None:
            return engine.door.abort_reason
        if engine.door.start_waits or engine.next_waits:
            return "a measurement starts"
        if self._remaining_s() < request.exposure_s * request.averages:
            by_time = engine.clock.now_s() - self._began_s + request.exposure_s * request.averages >= request.max_s
            return f"{request.max_s:g} s are over" if by_time else (
                f"one more spectrum would exceed its dose of {request.dose_cap_j_cm2:g} J/cm²"
            )
        self._check_beam()
        return ""

    def _remaining_s(self) -> float:
        left_s = self._request.max_s - (self._engine.clock.now_s() - self._began_s)
        if self._beam.on:
            left_s = min(left_s, (self._request.dose_cap_j_cm2 - self._dose_j_cm2) / self._beam.irradiance_w_cm2)
        return left_s

    def _check_beam(self) -> None:
        if self._request.sample_power_uw is None or time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + BEAM_CHECK_S
        self._engine.expect(0.0)
        self._beam.require_lit()
        self._beam.measure_power()

    def _show(self, spectra: list[Spectrum], index: int) -> None:
        engine, beam = self._engine, self._beam
        position = self._instruments.stage.position_um
        now_s = engine.clock.now_s()
        counts = np.mean([one.counts for one in spectra], axis=0)
        exposure_s = spectra[0].exposure_s
        dose = engine.ledger.here(now_s)
        if engine.ring is not None:
            engine.ring.write(RingSpectrum(
                engine.ring.next_sequence, LIVE_RUN, index, now_s - self._began_s - 0.5 * exposure_s, *position,
                beam.sample_power_uw if beam.on else 0.0, exposure_s, dose, self._dark_level,
                any(one.saturated for one in spectra), np.rint(counts).astype(np.uint32),
            ))
        engine.publish(
            live=True, position_um=position, dose_j_cm2=dose, live_dose_j_cm2=self._dose_j_cm2,
            live_remaining_s=max(0.0, self._remaining_s()),
        )
