"""A map along continuous lines: the stage never stops in a line, the spectrometer exposes without a pause.

One exposure is one pixel. The stage's speed is set to the spectrometer's own cadence, which is measured in the dark
before. Where a pixel lay is read from the stage while the next one is exposed, and interpolated to the middle of its
exposure; that, not the plan, is its position in the file.
"""

import math
from collections import deque
from contextlib import closing
from itertools import pairwise
from typing import Any

import numpy as np

from halidescope.acquisition.courses import MapMeasurement
from halidescope.acquisition.facts import scans_lines
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import Point
from halidescope.acquisition.records import Flag, SpectrumRecord
from halidescope.drivers.errors import InstrumentError
from halidescope.drivers.roles import Line, LineScanner, Spectrum

CADENCE = 12       # dark exposures from which the cadence is taken


class LineMapMeasurement(MapMeasurement):
    """Line after line, lit all the time, as long as points of a line are left."""

    _cadence_s = 0.0
    _told = False        # that pixels are not where they should be

    def _prepare(self) -> None:
        _ = self._scanner      # says at once if the stage cannot
        super()._prepare()
        self._cadence_s = self._mender.persist(self._measure_cadence, "cadence of the spectrometer")
        exposed = self.exposure_s / self._cadence_s
        self.note(f"lines: a pixel every {self._cadence_s * 1e3:.3g} ms, {exposed:.1%} of it exposure")

    @property
    def _scanner(self) -> LineScanner:
        stage = self.instruments.stage
        if not scans_lines(stage):
            raise ProblemError(f"{stage.device}: runs no continuous lines; choose motion = 'steps'")
        return stage

    def _measure_cadence(self) -> float:
        """Time from one exposure of a stream to the next, s: the mean, as the stage will run evenly."""
        arrivals = []
        with closing(self.instruments.spectrometer.stream(CADENCE)) as stream:
            for _ in stream:
                self.engine.expect(2.0 * self._clock.real_s(self.exposure_s))
                arrivals.append(self._clock.now_s())
        return max(self.exposure_s, (arrivals[-1] - arrivals[0]) / (len(arrivals) - 1))

    def _illuminate(self) -> None:
        try:
            with self._light():
                self._look_again()
                while self._more():
                    self.look()
                    if self._door.pause_wanted:
                        self._pause()
                    run = self._next_run()
                    if len(run) > 1:
                        self._mender.persist(self._line, f"line from point {run[0].index}")
                    else:
                        self._take(run[0])
                        self._left.popleft()
        finally:
            self._leave_line()

    def _next_run(self) -> list[Point]:
        """Neighbours in one row that are next to be taken."""
        columns, run = self._recipe.shape[1], [self._left[0]]
        for before, point in pairwise(self._left):
            if abs(point.index - before.index) != 1 or point.index // columns != before.index // columns:
                break
            if len(run) > 1 and point.index - before.index != run[1].index - run[0].index:
                break
            run.append(point)
        return run

    def _leave_line(self) -> None:
        """Dark already: the stage may stop wherever it is."""
        try:
            self._scanner.abandon_line()
        except InstrumentError as error:
            self.note(f"the stage could not be stopped on its line: {error}", "warning")

    def _stay_dark(self) -> None:
        self._leave_line()
        super()._stay_dark()

    def restore(self, at: Point | None) -> None:
        self._scanner.abandon_line()
        super().restore(at)

    def _line_of(self, run: list[Point]) -> Line:
        """From half a pixel before the first point to half a pixel beyond the last, as far as the stage goes."""
        half_um = math.copysign(0.5 * self._recipe.step_um, run[-1].x_um - run[0].x_um)
        lowest, highest = self._scanner.limits_um[0]
        start, stop = (min(max(x_um, lowest), highest) for x_um in (run[0].x_um - half_um, run[-1].x_um + half_um))
        return Line((start, run[0].y_um), (stop, run[0].y_um), pixels=len(run), pixel_s=self._cadence_s)

    def _line(self) -> None:
        """The rest of a line; ends early, the stage still on its way, when a pause is asked for."""
        run, stage, ledger = self._next_run(), self._scanner, self.engine.ledger
        stage.abandon_line()       # one that a fault cut off
        line = self._line_of(run)
        self._commanded = None
        ledger.moving_to(self._clock.now_s(), *line.start_um)
        stage.start_line(line)
        ledger.here(self._clock.now_s())      # what was lit so far was lit there
        track = _Track(self._lit_s, line.start_um)
        before_s = self._lit_s
        with closing(self.instruments.spectrometer.stream(len(run))) as stream:
            for point in run:
                self.engine.expect(2.0 * self._clock.real_s(self.exposure_s))
                spectrum = next(stream)
                arrival_s = self._lit_s
                self.look()        # the light may have gone during the exposure: not a spectrum to keep
                asked_s = self._lit_s
                x_um, y_um = stage.position_um
                answered_s = self._lit_s
                track.add(0.5 * (asked_s + answered_s), (x_um, y_um))
                ledger.sweep(self._clock.now_s(), x_um, y_um)
                self._keep(self._record(point, spectrum, before_s, arrival_s, track), spectrum)
                self._left.popleft()
                before_s = arrival_s
                if self._door.pause_wanted:
                    return
                self.watch.check()
        self._position = stage.finish_line()
        ledger.moving_to(self._clock.now_s(), *self._position)

    def _record(
        self, point: Point, spectrum: Spectrum, before_s: float, arrival_s: float, track: "_Track"
    ) -> SpectrumRecord:
        """A pixel: it was exposed between the arrivals of the one before and of its own."""
        room_s = max(0.0, arrival_s - before_s - spectrum.exposure_s)
        time_s = before_s + 0.5 * (room_s + spectrum.exposure_s)
        self._position = track.at(time_s)
        off_um = abs(self._position[0] - point.x_um)
        if off_um > self._recipe.step_um and not self._told:
            self._told = True
            self.note(
                f"point {point.index}: exposed {off_um:.2f} µm from its place, more than a pixel; the computer or the "
                "spectrometer was late. Positions in the file are those read; a longer exposure helps", "warning",
            )
        return SpectrumRecord(
            self._rows, point.index, float("nan"), before_s, time_s, room_s / math.sqrt(12.0), point.x_um, point.y_um,
            *self._position, self.beam.sample_power_uw, self.watch.measured_uw, spectrum.exposure_s,
            self.engine.ledger.at(*self._position), Flag.SATURATED if spectrum.saturated else Flag.NONE,
            spectrum.counts,
        )


class _Track:
    """Where the stage was lately, from readings; straight between them."""

    def __init__(self, at_s: float, position_um: tuple[float, float]) -> None:
        self._readings: deque[tuple[float, float, float]] = deque([(at_s, *position_um)], maxlen=4)

    def add(self, at_s: float, position_um: tuple[float, float]) -> None:
        """One reading."""
        self._readings.append((at_s, *position_um))

    def at(self, at_s: float) -> tuple[float, float]:
        """Position at a time before the last reading, µm."""
        readings: Any = np.array(self._readings)
        return (
            float(np.interp(at_s, readings[:, 0], readings[:, 1])),
            float(np.interp(at_s, readings[:, 0], readings[:, 2])),
        )
