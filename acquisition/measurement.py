"""One measurement, from the first dark spectrum to the finished file.

preparing → running ⇄ paused → finishing → finished | aborted | failed. Whatever ends it, the order is: emission off and
proven, then the online analysis's last word, then the file. In which order and when the points are taken, each kind of
recipe says in :mod:`halidescope.acquisition.courses`; journal, events and file are kept by
:mod:`halidescope.acquisition.keeping`.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from halidescope.acquisition.auto_exposure import ExposureSearch, place_of_search
from halidescope.acquisition.header import make_header
from halidescope.acquisition.keeping import Keeper
from halidescope.acquisition.light_watch import LightWatch
from halidescope.acquisition.mending import Mender, SkippedError
from halidescope.acquisition.plan import Plan
from halidescope.acquisition.problems import ProblemError, unexpected
from halidescope.acquisition.recipes import Point, SingleRecipe
from halidescope.acquisition.records import DarkRecord, Flag, SpectrumRecord
from halidescope.acquisition.resume import Past, retakes
from halidescope.acquisition.ring import RingSpectrum
from halidescope.acquisition.safety import BEAM_CHECK_S, DarknessAskedError
from halidescope.acquisition.second_look import look_again
from halidescope.acquisition.states import RunState
from halidescope.drivers.errors import InstrumentError, NotDarkError
from halidescope.drivers.roles import Spectrum

if TYPE_CHECKING:
    from halidescope.acquisition.engine import Engine

FINISH_S = 600.0       # real seconds that writing the file may take

R = TypeVar("R", bound=SingleRecipe)


class AbortedError(Exception):
    """Somebody ended the measurement; the text says why."""


class Measurement(Generic[R]):
    """Runs once, in the engine's thread.

    ``past`` is what is there of it already, ``before`` the file of the part that was measured before this one.
    """

    _open_ended = False      # True if there may be more points than the plan names

    def __init__(
        self, engine: "Engine", recipe: R, plan: Plan, out: Path, *, past: Past | None = None,
        before: Path | None = None,
    ) -> None:
        assert engine.instruments is not None
        assert engine.beam is not None
        self.engine = engine
        self._recipe, self._plan = recipe, plan
        self._past, self._before = past, before
        self.instruments = engine.instruments
        self.beam = engine.beam
        self._clock, self._door, self._events = engine.clock, engine.door, engine.events
        self.keeper = Keeper(engine, plan, out, past)
        self._sought_at: Point | None = None     # where the exposure was sought, before there was a page
        self._started_at = engine.clock.wall()
        self._zero_s: float | None = None      # of all times; when the light first came on
        self._paused_s = 0.0             # dark time since then, by which the schedule is shifted
        done = past.done if past else frozenset()
        self._lost = past.lost if past else {}     # whose time was over when a fault cost them
        there = done | self._lost.keys()
        self._left = deque(point for point in plan.points if point.index not in there)
        self._done = len(done)
        self._rows = past.rows if past else 0      # of the journal, the next spectrum's number
        self._commanded: tuple[float, float] | None = None
        self._position = (float("nan"), float("nan"))
        self.watch = LightWatch(self)
        self._after_pause = past is not None
        self._dark, self._dark_sum = np.empty(0), 0.0     # mean dark spectrum, counts, and their sum
        self._exposure_s: float | None = None    # set at the spectrometer
        self._mender = Mender(self)

    def run(self) -> tuple[RunState, str]:
        """Measure; on return the laser is dark and the file written. Returns how it ended, and why."""
        state, reason = RunState.FINISHED, ""
        try:
            if self._left or self._open_ended:
                self._prepare()
                self._illuminate()
            else:
                self.keeper.reopen()      # killed while finishing
        except AbortedError as error:
            state, reason = RunState.ABORTED, str(error)
        except DarknessAskedError:
            state, reason = RunState.ABORTED, self._door.abort_reason or "darkness was asked for"
        except NotDarkError as error:
            asked = self._door.abort_reason
            state, reason = RunState.FAILED, f"{asked}; {_told(error)}" if asked else _told(error)
        except (InstrumentError, ProblemError) as error:     # a laser made dark from outside is "off" unexpectedly
            asked = self._door.abort_reason
            state, reason = (RunState.ABORTED, asked) if asked else (RunState.FAILED, _told(error))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must end dark, with a file and a word, like any other
            state, reason = RunState.FAILED, unexpected(error)
        self.engine.publish(state=RunState.FINISHING, reason=reason)
        self.engine.expect(FINISH_S)
        return self.keeper.finish(
            state, reason, done=self._done, rows=self._rows, left=[point.index for point in self._left],
            tell_doubt=self.tell_doubt,
        )

    def _illuminate(self) -> None:
        """Take every point that is left, lit as the recipe wants it; dark and proven on leaving."""
        raise NotImplementedError

    # preparing

    def _prepare(self) -> None:
        """All that can be done in the dark: identities, interlock, exposure, dark spectra, first position, power."""
        recipe, persist = self._recipe, self._mender.persist
        self.engine.expect(60.0)
        self.beam.darken()
        if recipe.sample_power_uw > 0:
            self.beam.require_ready()
        wavelength_nm = self.instruments.spectrometer.wavelength_nm
        exposure_s = self._find_exposure()
        persist(lambda: self.set_exposure(exposure_s), "exposure")
        # tells the type of the counts; dark like those that follow
        first = persist(self.acquire, "first spectrum")
        self.keeper.open(make_header(
            recipe, self._plan, self.engine.microscope, self.instruments, wavelength_nm=wavelength_nm,
            count_type=first.counts.dtype, started_at=self._started_at,
        ))
        if self._sought_at is not None:
            self.engine.ledger.write_down(self._sought_at.x_um, self._sought_at.y_um)
        self._take_darks(first.counts)
        if self.beam.laser.emission:
            raise ProblemError(f"{self.beam.laser.device}: emits during the dark spectra; check the laser's control")
        self.keeper.analyse()
        self._await_analysis()
        self.look()
        if recipe.sample_power_uw > 0:
            persist(lambda: self.beam.set_power(recipe.sample_power_uw), "power")
        again = self._past.reference if self._past else None
        place = self._left[0] if again is None else _place_of(again)
        persist(lambda: self._move(place), "first position", at=place)

    def _await_analysis(self) -> None:
        """Still dark: wait for the online analysis, if the measurement's course depends on it."""

    def _find_exposure(self) -> float:
        """The recipe's exposure, that of before a cut-off, or one that is sought now, s."""
        if self._past is not None:
            taken = [dark.exposure_s for dark in self._past.darks] + [one.exposure_s for one in self._past.records]
            return taken[0] if taken else self._recipe.exposure_s
        if self._recipe.auto_exposure.target is None or self._recipe.sample_power_uw == 0:
            return self._recipe.exposure_s
        place = place_of_search(self._recipe, self._left[0])
        self._mender.persist(lambda: self.beam.set_power(self._recipe.sample_power_uw), "power")
        self._mender.persist(lambda: self._move(place), "place of auto-exposure", at=place)
        self._sought_at = place
        search = ExposureSearch(self, self._recipe, place)
        return self._mender.persist(search.run, "auto-exposure", at=place)

    def _take_darks(self, like: np.ndarray) -> None:
        """As many dark spectra as are asked for and not there yet."""
        recipe = self._recipe
        darks = [dark.counts for dark in self._past.darks] if self._past else []
        for k in range(len(darks), recipe.dark_spectra):
            self.look()
            start_s = self._clock.now_s()
            counts = self._mender.persist(self.acquire, f"dark spectrum {k}").counts
            self.keeper.journal.append_dark(DarkRecord(k, start_s, self.exposure_s, counts))
            darks.append(counts)
        dark = np.array(darks, like.dtype).reshape(-1, len(like))
        self._dark = dark.mean(axis=0, dtype=np.float64) if len(dark) else np.zeros(len(like))
        self._dark_sum = float(self._dark.sum())

    # running

    @contextmanager
    def _light(self) -> Iterator[None]:
        """Light inside, dark and proven outside; the first one sets the zero of all times."""
        with self.beam.dark_after():
            self._mender.persist(self._switch_on, "light")
            assert self.beam.lit_at_s is not None
            self._set_zero(self.beam.lit_at_s, self.beam.lit_at_se_s)
            yield
        self.tell_doubt()

    def _switch_on(self) -> None:
        if not self.beam.on:      # it is, when something else had to be mended first
            self.engine.expect(0.0)
            self.beam.relight()

    def _set_zero(self, at_s: float, se_s: float) -> None:
        """Fix the zero of all times, if it is not yet: now, or where a measurement that was cut off had it."""
        if self._zero_s is not None:
            return
        then = self._past.header.light_on_utc_s if self._past else None
        if then is not None:
            self._zero_s = self._clock.at_utc_s(then)
        else:
            self._zero_s = at_s
            self.keeper.journal.set_light_on(at_s, se_s, self._clock.utc_s(at_s))
        if self.beam.on:
            self.note(f"light on: {self.beam.sample_power_uw:g} µW, {self.beam.irradiance_w_cm2:.3g} W/cm² peak")
        self.engine.publish(state=RunState.RUNNING)

    @property
    def _lit_s(self) -> float:
        """Time since the zero, s."""
        assert self._zero_s is not None
        return self._clock.now_s() - self._zero_s

    def _look_again(self) -> None:
        """While lit, after a cut-off: points that have a spectrum show how far stage and film drifted."""
        if self._past is not None:
            look_again(self, self._past, self._dark)

    def repeat(self, then: SpectrumRecord, sequence: int) -> SpectrumRecord | None:
        """A point that has its spectrum is measured again, and kept beside it; None, with a word, if it cannot be."""
        place = _place_of(then)
        try:
            now, _ = self._mender.persist(
                lambda: self._spectrum(place, then.index, sequence), f"point {then.index} again", at=place,
                skippable=True,
            )
        except SkippedError as error:
            self.note(f"point {then.index} could not be looked at again: {error}", "warning")
            return None
        self.keeper.journal.append_repeat(now)
        return now

    def _wait_until(self, at_s: float) -> None:
        """Sleep, at most until the next look at the beam is due; wishes end it early."""
        at_s = min(at_s, self._clock.now_s() + BEAM_CHECK_S * self._clock.speed)
        self.engine.expect(BEAM_CHECK_S)
        self._clock.sleep_until(at_s)
        self._mender.persist(self.watch.check, "while waiting")

    def _pause(self) -> None:
        """Dark until resumed or aborted."""
        began_s, before_s = self._clock.now_s(), self._paused_s
        was_lit = self.beam.on
        self.beam.darken()
        self.tell_doubt()
        self._stay_dark()
        if was_lit:
            self._mender.persist(self._switch_on, "light")
        self._paused_s = before_s + self._clock.now_s() - began_s
        self._after_pause = True
        self.note("resumed: light on" if self.beam.on else "resumed")
        self.engine.publish(state=RunState.RUNNING)

    def _stay_dark(self) -> None:
        self.note("paused: emission proven off")
        self.engine.publish(state=RunState.PAUSED)
        while self._door.pause_wanted:
            self.engine.expect(1.0)
            self._door.sleep(0.5)
            self.look()
        self._mender.persist(self.watch.require_ready, "after the pause")

    def _take(self, point: Point) -> None:
        """Move, expose, keep: one spectrum, or the reason why it was left out."""
        try:
            record, spectrum = self._mender.persist(
                lambda: self._spectrum(point, point.index, self._rows), f"point {point.index}", at=point, skippable=True
            )
        except SkippedError as error:
            self._leave_out([point], str(error))
            return
        self._keep(record, spectrum)

    def _keep(self, record: SpectrumRecord, spectrum: Spectrum) -> None:
        """Into the journal, and to whoever watches."""
        if self._after_pause:
            record = replace(record, flags=record.flags | Flag.AFTER_PAUSE)
            self._after_pause = False
        self.keeper.journal.append(record)
        self.watch.kept(record)
        self._show(record, spectrum)
        self._rows += 1
        self._done += 1
        self.engine.publish(
            done=self._done, remaining_s=self._remaining_s(record), position_um=self._position,
            dose_j_cm2=record.dose_j_cm2,
        )

    def _spectrum(self, point: Point, index: int, sequence: int) -> tuple[SpectrumRecord, Spectrum]:
        """Move and expose: one spectrum, not yet kept."""
        self._move(point)
        self.watch.check()
        start_s = self._lit_s
        spectrum = self.acquire()
        arrival_s = self._lit_s
        if self._door.abort_reason is not None:
            self.look()      # the light may have gone during the exposure: not a spectrum to keep
        if self.beam.on:
            self.watch.saw(spectrum.counts, self._dark_sum)
        due_s = float("nan") if point.due_s is None else self._planned_s(point.due_s)
        flags = Flag.SATURATED if spectrum.saturated else Flag.NONE
        flags |= Flag.LATE if start_s - due_s > self.exposure_s else Flag.NONE
        dose = self.engine.ledger.here(self._clock.now_s())
        # the exposure lay somewhere between request and arrival; how much room it had is how well its time is known
        room_s = max(0.0, arrival_s - start_s - spectrum.exposure_s)
        time_s, time_se_s = start_s + 0.5 * (room_s + spectrum.exposure_s), room_s / math.sqrt(12.0)
        return SpectrumRecord(
            sequence, index, due_s, start_s, time_s, time_se_s, point.x_um, point.y_um, *self._position,
            self.beam.sample_power_uw if self.beam.on else 0.0, self.watch.measured_uw if self.beam.on else 0.0,
            spectrum.exposure_s, dose, flags, spectrum.counts,
        ), spectrum

    def _planned_s(self, due_s: float) -> float:
        """When a point is due, s since the zero; pauses shift it."""
        return due_s + self._paused_s

    def _remaining_s(self, last: SpectrumRecord) -> float:
        """How long the rest will take, s."""
        raise NotImplementedError

    def doubt(self, records: list[SpectrumRecord]) -> bool:
        """Spectra that may have had no light, marked so: put that down; True if their points are taken again."""
        for record in records:
            self.keeper.journal.amend(record)
        if not retakes(self._recipe.kind):
            return False
        self._left.extend(_place_of(record) for record in records)
        self._done -= len(records)
        return True

    def _leave_out(self, points: Iterable[Point], reason: str) -> None:
        """Register points that will not be measured, with the reason."""
        self.keeper.leave_out([point.index for point in points], reason)

    def note(self, text: str, level: str = "info") -> None:
        """An event, in the engine's list and in the journal."""
        self.keeper.note(text, level)

    def _show(self, record: SpectrumRecord, spectrum: Spectrum) -> None:
        """To whoever watches."""
        if (ring := self.engine.ring) is not None:
            ring.write(RingSpectrum(
                ring.next_sequence, self.engine.runs, record.index, record.time_s, *self._position,
                record.sample_power_uw, spectrum.exposure_s, record.dose_j_cm2, float(self._dark.mean()),
                spectrum.saturated, spectrum.counts.astype(np.uint32),
            ))

    # the instruments

    def _move(self, point: Point) -> None:
        """Go to the point's place, if the stage is not there already."""
        place = (point.x_um, point.y_um)
        if place == self._commanded:
            return
        self.engine.expect(0.0)
        self._commanded = None
        self.engine.ledger.moving_to(self._clock.now_s(), *place)
        self._position = self.instruments.stage.move_to(*place)
        self.engine.ledger.arrived(self._clock.now_s())
        self._commanded = place

    def stands_at(self, position_um: tuple[float, float]) -> None:
        """A move ended elsewhere."""
        self._position = position_um
        self.engine.ledger.stands_at(self._clock.now_s(), *position_um)

    def restore(self, at: Point | None) -> None:
        """In the dark, after something was mended: what had been set, and the stage in place."""
        if self._exposure_s is not None:
            self.set_exposure(self._exposure_s)
        if self.beam.sample_power_uw > 0:
            self.beam.set_power(self.beam.sample_power_uw)
        place = self._commanded if at is None else (at.x_um, at.y_um)
        self._commanded = None       # where the stage is, is to be proven
        if place is not None:
            self._move(Point(index=0, x_um=place[0], y_um=place[1]))

    def dark_time(self, duration_s: float) -> None:
        """Light that was there was gone for so long, and is back."""
        if self._zero_s is not None:
            self._paused_s += duration_s
        self._after_pause = True
        self.watch.soon()

    def set_exposure(self, exposure_s: float) -> None:
        """Set the exposure at the spectrometer, s."""
        self.engine.expect(3 * self._clock.real_s(exposure_s))
        self.instruments.spectrometer.set_exposure(exposure_s)
        self._exposure_s = self.instruments.spectrometer.exposure_s      # as it was rounded

    @property
    def exposure_s(self) -> float:
        """Exposure of one spectrum, s."""
        return self._recipe.exposure_s if self._exposure_s is None else self._exposure_s

    def acquire(self) -> Spectrum:
        """Expose once."""
        self.engine.expect(self._clock.real_s(self.exposure_s))
        return self.instruments.spectrometer.acquire()

    def _more(self) -> bool:
        """Whether points of a map are left; the last ones are believed when the light has been proven after them."""
        if not self._left:
            self._mender.persist(self.watch.prove, "the last points")
        return bool(self._left)

    def tell_doubt(self) -> None:
        """In the dark: was the light on until it was switched off? If not, say what is booked in doubt."""
        doubt = self.beam.take_doubt()
        self.watch.dark(in_doubt=doubt > 0)
        if doubt > 0:
            self.note(f"light: {doubt:.4g} J/cm² of what is booked since it was last seen are in doubt", "warning")

    def look(self) -> None:
        """Raise if somebody wants the end."""
        self._door.look()
        if self._door.abort_reason is not None:
            raise AbortedError(self._door.abort_reason)

def _place_of(record: SpectrumRecord) -> Point:
    """A point that is measured already, without its time."""
    return Point(index=record.index, x_um=record.x_commanded_um, y_um=record.y_commanded_um)


def _told(error: BaseException) -> str:
    """An error with those that it came upon, so that a failed switch-off does not hide what led to it."""
    texts, seen = [str(error)], error.__context__
    while seen is not None:
        if isinstance(seen, (InstrumentError, ProblemError)) and str(seen) not in texts and seen is not error.__cause__:
            texts.append(f"after {seen}")
        seen = seen.__context__
    return "; ".join(texts)
