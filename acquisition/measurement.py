"""One measurement, from the first dark spectrum to the finished file.

preparing → running ⇄ paused → finishing → finished | aborted | failed. Whatever ends it, the order is: emission off and
proven, then the online analysis's last word, then the file.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING

import h5py
import numpy as np

from halidescope.acquisition.journal import JournalWriter, journal_path
from halidescope.acquisition.plan import Plan
from halidescope.acquisition.problems import ProblemError, ScanFileError
from halidescope.acquisition.recipes import Point, RasterMap, TimeSeries
from halidescope.acquisition.records import DarkRecord, Ending, Flag, Header, SpectrumRecord
from halidescope.acquisition.ring import RingSpectrum
from halidescope.acquisition.safety import DarknessAskedError
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import finish
from halidescope.drivers.errors import InstrumentError
from halidescope.drivers.roles import Spectrum

if TYPE_CHECKING:
    from halidescope.acquisition.engine import Engine

BEAM_CHECK_S = 0.5     # real seconds between two questions whether the laser still emits what it should
FINISH_S = 600.0       # real seconds that writing the file may take
STALL_S = 0.5          # real seconds that a busy computer may stall without costing a spectrum
OVERRUN = 0.05         # of a series' duration that the light may stay on longer to make up for late spectra


class AbortedError(Exception):
    """Somebody ended the measurement; the text says why."""


class Measurement:
    """Runs once, in the engine's thread."""

    def __init__(
        self, engine: "Engine", recipe: TimeSeries | RasterMap, plan: Plan, out: Path
    ) -> None:
        assert engine.instruments is not None
        assert engine.beam is not None
        self._engine, self._recipe, self._plan, self._out = engine, recipe, plan, out
        self._instruments, self._beam = engine.instruments, engine.beam
        self._clock, self._door, self._events = engine.clock, engine.door, engine.events
        self._first_event = len(engine.events)
        self._noted: set[int] = set()     # events that are in the journal
        self._journal: JournalWriter | None = None
        self._started_at = engine.clock.wall()
        self._zero_s = 0.0               # when the light first came on
        self._paused_s = 0.0             # dark time since then, by which the schedule is shifted
        self._done = 0
        self._commanded: tuple[float, float] | None = None
        self._position = (float("nan"), float("nan"))
        self._measured_uw = 0.0
        self._next_check = 0.0
        self._after_pause = False
        self._dark_level = 0.0

    def run(self) -> None:
        """Measure; on return the laser is dark and the state is finished, aborted or failed."""
        state, reason = RunState.FINISHED, ""
        try:
            self._prepare()
            self._illuminate()
        except AbortedError as error:
            state, reason = RunState.ABORTED, str(error)
        except DarknessAskedError:
            state, reason = RunState.ABORTED, self._door.abort_reason or "darkness was asked for"
        except (InstrumentError, ProblemError) as error:
            # darkness asked for from outside makes a laser report "off" where the engine expects "on"
            asked = self._door.abort_reason
            state, reason = (RunState.ABORTED, asked) if asked else (RunState.FAILED, _told(error))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must end dark, with a file and a word, like any other
            state, reason = RunState.FAILED, f"unexpected {type(error).__name__}: {error}; please report this"
        self._end(state, reason)

    # preparing

    def _prepare(self) -> None:
        """All that can be done in the dark: identities, interlock, exposure, dark spectra, first position, power."""
        recipe, spectrometer = self._recipe, self._instruments.spectrometer
        self._sign_of_life(60.0)
        self._beam.darken()
        self._beam.require_ready()
        wavelength_nm = spectrometer.wavelength_nm
        exposure_real_s = self._clock.real_s(recipe.exposure_s)
        self._sign_of_life(3 * exposure_real_s)
        spectrometer.set_exposure(recipe.exposure_s)
        first = self._acquire()       # tells the type of the counts; dark like those that follow
        self._journal = JournalWriter(journal_path(self._out), self._header(wavelength_nm, first.counts.dtype))
        self._engine.guard.journal(journal_path(self._out))
        self._note(f"{self._plan.title}: preparing")
        darks = []
        for k in range(recipe.dark_spectra):
            self._look()
            start_s = self._clock.now_s()
            counts = self._acquire().counts
            self._journal.append_dark(DarkRecord(k, start_s, recipe.exposure_s, counts))
            darks.append(counts)
        if self._beam.laser.emission:
            raise ProblemError(f"{self._beam.laser.device}: emits during the dark spectra; check the laser's control")
        dark = np.array(darks, first.counts.dtype).reshape(-1, len(wavelength_nm))
        self._dark_level = float(dark.mean()) if len(dark) else 0.0
        self._engine.analyst.begin(journal_path(self._out))
        self._move(self._plan.points[0])
        self._look()
        self._beam.set_power(recipe.sample_power_uw)

    def _header(self, wavelength_nm: np.ndarray, dtype: np.dtype) -> Header:
        recipe, microscope = self._recipe, self._engine.microscope
        axes = (
            {"y": recipe.y_um.tolist(), "x": recipe.x_um.tolist()} if isinstance(recipe, RasterMap)
            else {"time": [point.due_s or 0.0 for point in self._plan.points]}
        )
        laser = self._beam.laser
        return Header(
            kind=recipe.kind, title=recipe.title, recipe=recipe.model_dump(mode="json"), plan_hash=self._plan.plan_hash,
            microscope=microscope.toml_text(), identities=self._instruments.identities(), axes=axes,
            wavelength_nm=wavelength_nm.tolist(), count_type=dtype.newbyteorder("<").str,
            calibration={
                "laser_wavelength_nm": laser.wavelength_nm, "waist_um": microscope.optics.waist_um,
                "sample_uw_per_head_mw": microscope.laser.sample_uw_per_head_mw,
                "saturation_counts": float(self._instruments.spectrometer.saturation_counts),
            },
            versions={
                "halidescope": version("halidescope"), "python": python_version(), "numpy": np.__version__,
                "h5py": h5py.__version__,
            },
            started_at=self._started_at.isoformat(), simulated=microscope.simulated, speed=microscope.speed,
        )

    # running

    def _illuminate(self) -> None:
        """Every spectrum of the recipe, lit; dark and proven on leaving."""
        with self._beam.lit():
            assert self._beam.lit_at_s is not None
            assert self._journal is not None
            self._zero_s = self._beam.lit_at_s
            self._journal.set_light_on(self._zero_s, self._beam.lit_at_se_s)
            self._note(f"light on: {self._beam.sample_power_uw:g} µW, {self._beam.irradiance_w_cm2:.3g} W/cm² peak")
            self._engine.publish(state=RunState.RUNNING)
            for point in self._plan.points:
                if not self._await(point):
                    self._note_left_out()
                    break
                self._take(point)
            self._hold()

    def _await(self, point: Point) -> bool:
        """Wait until the point is due, pausing if asked to; False if the series' time is over.

        A late point is taken at once and never shifts those after it. Only a pause shifts the schedule, by its length.
        """
        while True:
            self._look()
            if self._door.pause_wanted:
                self._pause()
            if point.due_s is None or not isinstance(self._recipe, TimeSeries):
                return True
            series, lit_s = self._recipe, self._clock.now_s() - self._zero_s - self._paused_s
            grace_s = 0.0
            if series.interval_s > 0:
                grace_s = max(series.step_s, OVERRUN * series.duration_s, STALL_S * self._clock.speed)
            if point.index > 0 and lit_s > series.duration_s + grace_s:
                return False
            if lit_s >= point.due_s:
                return True
            self._wait_until(self._zero_s + self._paused_s + point.due_s)

    def _note_left_out(self) -> None:
        taken, planned = self._done, self._plan.spectra
        if isinstance(self._recipe, TimeSeries) and self._recipe.interval_s == 0:
            self._note(f"{taken} spectra as fast as instruments allowed; without any delay there would be {planned}")
        else:
            self._note(f"{planned - taken} spectra left out: the duration is over", "warning")

    def _hold(self) -> None:
        """A series keeps its light on for its whole duration."""
        if not isinstance(self._recipe, TimeSeries):
            return
        while self._clock.now_s() < (end_s := self._zero_s + self._paused_s + self._recipe.duration_s):
            self._look()
            if self._door.pause_wanted:
                self._pause()
            self._wait_until(end_s)

    def _wait_until(self, at_s: float) -> None:
        """Sleep, at most until the next look at the beam is due; wishes end it early."""
        at_s = min(at_s, self._clock.now_s() + BEAM_CHECK_S * self._clock.speed)
        self._sign_of_life(BEAM_CHECK_S)
        self._clock.sleep_until(at_s)
        self._check_beam()

    def _pause(self) -> None:
        """Dark until resumed or aborted."""
        began_s = self._clock.now_s()
        with self._beam.interrupted():
            self._note("paused: emission proven off")
            self._engine.publish(state=RunState.PAUSED)
            while self._door.pause_wanted:
                self._sign_of_life(1.0)
                self._door.sleep(0.5)
                self._look()
            self._beam.require_ready()
        self._paused_s += self._clock.now_s() - began_s
        self._after_pause = True
        self._note("resumed: light on")
        self._engine.publish(state=RunState.RUNNING)

    def _take(self, point: Point) -> None:
        """Move, expose, keep: one spectrum."""
        assert self._journal is not None
        self._move(point)
        self._check_beam()
        recipe = self._recipe
        start_s = self._clock.now_s() - self._zero_s
        spectrum = self._acquire()
        arrival_s = self._clock.now_s() - self._zero_s
        if self._door.abort_reason is not None:
            self._look()      # the light may have gone during the exposure: not a spectrum to keep
        due_s = float("nan") if point.due_s is None else point.due_s + self._paused_s
        flags = Flag.SATURATED if spectrum.saturated else Flag.NONE
        flags |= Flag.LATE if start_s - due_s > recipe.exposure_s else Flag.NONE
        flags |= Flag.AFTER_PAUSE if self._after_pause else Flag.NONE
        self._after_pause = False
        dose = self._engine.ledger.here(self._clock.now_s())
        # the exposure lay somewhere between request and arrival; how much room it had is how well its time is known
        room_s = max(0.0, arrival_s - start_s - spectrum.exposure_s)
        time_s, time_se_s = start_s + 0.5 * (room_s + spectrum.exposure_s), room_s / math.sqrt(12.0)
        self._journal.append(SpectrumRecord(
            self._done, point.index, due_s, start_s, time_s, time_se_s, point.x_um, point.y_um, *self._position,
            self._beam.sample_power_uw, self._measured_uw, spectrum.exposure_s, dose, flags, spectrum.counts,
        ))
        self._show(point, time_s, dose, spectrum)
        self._done += 1
        left = self._plan.spectra - self._done
        remaining_s = (
            max(0.0, recipe.duration_s + self._paused_s - start_s - recipe.exposure_s)
            if isinstance(recipe, TimeSeries) else left * (start_s - self._paused_s + recipe.exposure_s) / self._done
        )
        self._engine.publish(
            done=self._done, remaining_s=remaining_s, position_um=self._position, dose_j_cm2=dose
        )

    def _show(self, point: Point, time_s: float, dose: float, spectrum: Spectrum) -> None:
        """To whoever watches."""
        ring = self._engine.ring
        if ring is not None:
            ring.write(RingSpectrum(
                ring.next_sequence, self._engine.runs, point.index, time_s, *self._position, self._beam.sample_power_uw,
                spectrum.exposure_s, dose, self._dark_level, spectrum.saturated, spectrum.counts.astype(np.uint32),
            ))

    # the instruments

    def _move(self, point: Point) -> None:
        """Go to the point's place, if the stage is not there already."""
        place = (point.x_um, point.y_um)
        if place == self._commanded:
            return
        self._sign_of_life(5.0)
        self._engine.ledger.moving_to(self._clock.now_s(), *place)
        self._position = self._instruments.stage.move_to(*place)
        self._commanded = place

    def _acquire(self) -> Spectrum:
        self._sign_of_life(self._clock.real_s(self._recipe.exposure_s))
        return self._instruments.spectrometer.acquire()

    def _check_beam(self) -> None:
        """Now and then: does the laser still emit, and how much; raises if it does not."""
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + BEAM_CHECK_S
        self._sign_of_life(0.0)
        self._beam.require_lit()
        self._measured_uw = self._engine.microscope.sample_uw(self._beam.laser.power_mw)

    def _look(self) -> None:
        """Raise if somebody wants the end."""
        self._door.look()
        if self._door.abort_reason is not None:
            raise AbortedError(self._door.abort_reason)

    def _sign_of_life(self, next_in_real_s: float) -> None:
        self._engine.expect(next_in_real_s)

    def _note(self, text: str, level: str = "info") -> None:
        """An event, in the engine's list and in the journal."""
        event = self._events.note(text, level)
        if self._journal is not None:
            self._journal.append_event(event)
            self._noted.add(event.sequence)

    # the end

    def _end(self, state: RunState, reason: str) -> None:
        """Dark is proven (or the attempt failed loudly): now the file, whatever happened before."""
        self._engine.publish(state=RunState.FINISHING, reason=reason)
        self._sign_of_life(FINISH_S)
        if state is not RunState.FINISHED:
            self._events.note(f"{state}: {reason}", "warning" if state is RunState.ABORTED else "error")
        if self._journal is not None:
            try:
                self._close_file(state, reason)
            except ScanFileError as error:
                self._events.note(str(error), "error")
                reason = f"{reason}; {error}" if reason else str(error)
                state = RunState.FAILED
            finally:
                self._engine.guard.journal(None)
        self._engine.publish(
            state=state, reason=reason, elapsed_s=self._clock.now_s() - self._engine.began_s, remaining_s=0.0
        )

    def _close_file(self, state: RunState, reason: str) -> None:
        journal = self._journal
        assert journal is not None
        with _closing(journal):
            results = self._engine.analyst.finish(self._done)
            if self._done:
                journal.set_results(results)
            self._note("emission proven off" if not self._beam.on else "EMISSION COULD NOT BE PROVEN OFF")
            for event in self._events.since(self._first_event):      # what other threads noted meanwhile
                if event.sequence not in self._noted:
                    journal.append_event(event)
            journal.end(Ending(state=state.value, reason=reason, ended_at=self._clock.wall().isoformat()))
        damaged = finish(self._out)
        if damaged:
            self._events.note(f"{len(damaged)} damaged rows are masked in {self._out}; its journal is kept", "warning")
        self._events.note(f"saved {self._out}")


@contextmanager
def _closing(journal: JournalWriter) -> Iterator[None]:
    try:
        yield
    finally:
        journal.close()


def _told(error: BaseException) -> str:
    """An error with those that it came upon, so that a failed switch-off does not hide what led to it."""
    texts, seen = [str(error)], error.__context__
    while seen is not None:
        if isinstance(seen, (InstrumentError, ProblemError)) and str(seen) not in texts and seen is not error.__cause__:
            texts.append(f"after {seen}")
        seen = seen.__context__
    return "; ".join(texts)
