"""How each kind of recipe goes through its points: when the light is on, what a late point means, what is left out."""

import math
import time
from pathlib import Path

from halidescope.acquisition.measurement import Measurement
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.problems import ProblemError, ScanFileError
from halidescope.acquisition.recipes import Background, DarkRecovery, Point, RasterMap, TimeSeries
from halidescope.acquisition.records import SpectrumRecord
from halidescope.acquisition.resume import Past, schedule_shift_s
from halidescope.acquisition.states import RunState
from halidescope.acquisition.stopping import Stopping

STALL_S = 0.5          # real seconds that a busy computer may stall without costing a spectrum
DELAY_S = 0.02         # real seconds that asking for a spectrum and getting it may take, on top of its exposure
TIME_IS_OVER = "the duration is over"
REHEARSAL_S = 300.0    # real seconds; the first analysis ever compiles itself
LOOK_S = 0.2           # real seconds between two looks whether a series has seen enough
OVERRUN = 0.05         # of a series' duration that the light may stay on longer to make up for late spectra


class MapMeasurement(Measurement[RasterMap]):
    """Point after point, as fast as stage and spectrometer allow, lit all the time."""

    def _illuminate(self) -> None:
        with self._light():
            self._look_again()
            while self._more():
                self.look()
                if self._door.pause_wanted:
                    self._pause()
                self._take(self._left[0])
                self._left.popleft()

    def _remaining_s(self, last: SpectrumRecord) -> float:
        taken = self._rows - (self._past.rows if self._past else 0)
        assert self.beam.lit_at_s is not None
        busy_s = self._clock.now_s() - self.beam.lit_at_s
        return (len(self._left) - 1) * max(busy_s / taken, last.exposure_s)


class SeriesMeasurement(Measurement[TimeSeries]):
    """One spot under constant light for the recipe's duration, or until its dose cap, a plateau or a well-known rate.

    A late spectrum is taken at once and never shifts those after it. Only darkness (a pause, a cut-off) shifts the
    schedule, by its length.
    """

    _next_look = 0.0

    def _await_analysis(self) -> None:
        self._stopping = Stopping(self._recipe)
        if not self._stopping.wanted:
            return
        analyst = self.engine.analyst
        analyst.rehearse()
        give_up = time.monotonic() + REHEARSAL_S
        while not analyst.rehearsed.is_set():
            if time.monotonic() > give_up:
                raise ProblemError(
                    f"online analysis: not ready within {REHEARSAL_S:g} s, so nothing would end the series; start it "
                    "again, or without stop_at_plateau and stop_at_rate_error"
                )
            self.engine.expect(LOOK_S)
            self._door.sleep(LOOK_S)
            self.look()

    def _illuminate(self) -> None:
        why = ""
        with self._light():
            self._look_again()
            if self._past and self._past.records:
                self._go_on(self._past)
            while self._left and not (why := self._await(self._left[0])):
                self._take(self._left[0])
                self._left.popleft()
            if not why:
                self._hold()
        if why == TIME_IS_OVER and self._recipe.interval_s == 0 and self._recipe.spacing == "even":
            # as fast as exposures allow: the plan counted none of the instruments' own delays, so nothing is missing
            self.note(f"{self._done} spectra, as fast as instruments allowed, of {self._plan.spectra} without delays")
        elif why:
            self._leave_out(self._left, why)
        if why:
            self._left.clear()

    def _go_on(self, past: Past) -> None:
        """Shift the schedule by the time since the last spectrum's end, in which nothing was measured."""
        last = past.records[-1]
        shift_s = schedule_shift_s(past, {point.index: point.due_s for point in self._plan.points})
        self._paused_s = shift_s + self._lit_s - (last.start_s + last.exposure_s)

    def _await(self, point: Point) -> str:
        """Wait until the point is due, pausing if asked to; why it will never be, if so."""
        series = self._recipe
        assert point.due_s is not None
        while True:
            self.look()
            if self._door.pause_wanted:
                self._pause()
            lit_s = self._lit_s - self._paused_s
            needed_s = max(point.due_s - lit_s, 0.0) + self.exposure_s + DELAY_S * self._clock.speed
            if self._capped_in_s() < needed_s:
                return f"one more would exceed the dose cap of {series.dose_cap_j_cm2:g} J/cm²"
            even = series.spacing == "even" and series.interval_s > 0
            grace_s = 0.0
            if even or series.spacing == "log":
                grace_s = max(series.step_s, OVERRUN * series.duration_s, STALL_S * self._clock.speed)
            if point.index > 0 and lit_s > series.duration_s + grace_s:
                return TIME_IS_OVER
            if why := self._seen_enough():
                return why
            if lit_s >= point.due_s:
                return ""
            assert self._zero_s is not None
            self._wait_until(self._zero_s + self._planned_s(point.due_s))

    def _seen_enough(self) -> str:
        """Why the online results allow to end; empty if they do not."""
        if not self._stopping.wanted or time.monotonic() < self._next_look:
            return ""
        self._next_look = time.monotonic() + LOOK_S
        return self._stopping.why(self.engine.analyst.results(self._stopping.seen))

    def _capped_in_s(self) -> float:
        """How long the light may stay on here before the dose cap is reached, s."""
        cap = self._recipe.dose_cap_j_cm2
        if cap is None:
            return math.inf
        return (cap - self.engine.ledger.here(self._clock.now_s())) / self.beam.irradiance_w_cm2

    def _hold(self) -> None:
        """A series keeps its light on for its whole duration, its dose cap allowing."""
        assert self._zero_s is not None
        while self._clock.now_s() < (end_s := self._zero_s + self._planned_s(self._recipe.duration_s)):
            self.look()
            if self._door.pause_wanted:
                self._pause()
            if (left_s := self._capped_in_s()) <= 0:
                self.note("light off before the duration is over: the dose cap is reached", "warning")
                return
            self._wait_until(min(end_s, self._clock.now_s() + left_s))

    def _remaining_s(self, last: SpectrumRecord) -> float:
        return max(0.0, self._planned_s(self._recipe.duration_s) - last.start_s - last.exposure_s)


class RecoveryMeasurement(Measurement[DarkRecovery]):
    """A brief look every now and then, emission proven off between.

    The schedule is absolute: nothing shifts it. A point whose successor is due already is left out, with the reason.
    """

    def _illuminate(self) -> None:
        if self._recipe.exposure_power_uw is not None and self._before is not None:
            self._set_zero(self._end_of_light(self._before), 0.0)
        if self._past is not None:
            with self._light():
                self._look_again()
        while self._left:
            point = self._left[0]
            if self._await(point):
                with self._light():
                    self._take(point)
            else:
                self._leave_out([point], "its successor was due already (a pause, a cut-off or a slow instrument)")
            self._left.popleft()

    def _end_of_light(self, exposure: Path) -> float:
        """When the exposure before went dark, on this engine's clock."""
        file = NexusFile(exposure)
        file.close()
        if file.ending is None or file.ending.dark_utc_s is None:
            raise ScanFileError(f"{exposure}: does not tell when its light went off; measure the exposure again")
        return self._clock.at_utc_s(file.ending.dark_utc_s)

    def _await(self, point: Point) -> bool:
        """Wait in the dark until the point is due; False if its time is over."""
        assert point.due_s is not None
        self.engine.publish(state=RunState.RUNNING)
        while True:
            self.look()
            if self._door.pause_wanted:
                self._pause()
            if self._zero_s is None:       # the first look's light sets it
                return True
            if self._lit_s >= point.due_s:
                return self._lit_s < point.due_s + self._recipe.interval_s
            self._wait_until(self._zero_s + point.due_s)

    def _planned_s(self, due_s: float) -> float:
        return due_s

    def _remaining_s(self, last: SpectrumRecord) -> float:
        return max(0.0, self._recipe.duration_s - last.start_s)


class BackgroundMeasurement(Measurement[Background]):
    """Spectrum after spectrum at one place, in the dark or lit all the time."""

    def _illuminate(self) -> None:
        if self._recipe.sample_power_uw > 0:
            with self._light():
                self._look_again()
                self._take_all()
            return
        self._set_zero(self._clock.now_s(), 0.0)
        self.engine.publish(state=RunState.RUNNING)
        self._take_all()

    def _take_all(self) -> None:
        while self._left:
            self.look()
            if self._door.pause_wanted:
                self._pause()
            self._take(self._left[0])
            self._left.popleft()

    def _planned_s(self, due_s: float) -> float:
        return math.nan        # as fast as they come

    def _remaining_s(self, last: SpectrumRecord) -> float:
        return (len(self._left) - 1) * last.exposure_s
