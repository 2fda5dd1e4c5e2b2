"""The one simulated world: beam, stage, trigger line, film and detector on one clock, behind one lock.

Instruments change the world (light, motion) and read it (position, exposures). The film is advanced lazily: nothing
happens until somebody looks, and then everything since the last look happens exactly, with constant light and the
actual position in every piece of time. Protocols are elsewhere.
"""

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halidescope.simulators.clock import WorldClock
from halidescope.simulators.detector import Detector
from halidescope.simulators.film import ROOM_K, Film, FilmLaw
from halidescope.simulators.motion import Axis
from halidescope.simulators.optics import Optics

MOTION_STEP_S = 0.001       # shortest piece of time while the stage moves in the light
MOTION_STEP_UM = 0.25       # longer pieces move it less than this
EXPOSURE_STEP_S = 0.5       # longest piece of an exposure; the share changes little in between
STRAY_ELECTRONS = 3e5       # what the fault "saturated" adds to every pixel
MOST_TRIGGERS = 200_000     # older ones are forgotten, and older exposures


@dataclass(eq=False)
class Exposure:
    """One opening of the detector, from ``start_s`` to ``end_s``; the bench fills it as time passes.

    Light becomes photoelectrons in steps: Poisson numbers of parts of an exposure add up to that of the whole.
    """

    start_s: float
    end_s: float
    light_uw_s: dict[FilmLaw, NDArray[np.float64]] = field(default_factory=dict)   # (pristine, converted)
    drawn_uw_s: dict[FilmLaw, NDArray[np.float64]] = field(default_factory=dict)   # as much of it as is photoelectrons
    dark_from_s: float = 0.0
    photoelectrons: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))     # drawn so far
    noise: NDArray[np.float64] | None = None            # of the read-out, once drawn


class Bench:
    """Everything between the laser head's power and the detector's counts.

    Parameters
    ----------
    clock : WorldClock
        Time of the world.
    film : Film
        What lies under the objective first.
    optics : Optics
        Path transmission, focus and collection.
    detector : Detector
        Of the spectrometer.
    seed : int, optional
        Of the noise; the same seed and the same history give the same counts.

    Notes
    -----
    Hold :attr:`lock` around every use that must be seen as one moment.
    """

    def __init__(
        self, clock: WorldClock, film: Film, *, optics: Optics | None = None, detector: Detector | None = None,
        seed: int | None = None,
    ) -> None:
        self.clock = clock
        self.film = film
        self.optics = optics or Optics()
        self.detector = detector or Detector()
        self.random = np.random.default_rng(seed)
        self.axes = {"1": Axis(), "2": Axis(), "3": Axis()}
        self.lock = threading.RLock()
        self.stray_light = False
        self.dark_electrons_per_s: Callable[[], float] = lambda: 0.0     # of the detector, per pixel
        self.scans_waiting: Callable[[], int] = lambda: 0       # of the spectrometer, for a trigger
        self.watchers: list[Callable[[str], None]] = []     # told of every "exposure", "move" and "trigger"
        self._time_s = clock.now_s()
        self._head_mw = 0.0
        self._slipped_um = (0.0, 0.0)
        self._coming: list[tuple[float, float]] = []     # (when, head mW), in order of time
        self._exposures: list[Exposure] = []
        self._bands: dict[FilmLaw, NDArray[np.float64]] = {}
        self._triggers_s: list[float] = []
        self._read_out_s: deque[tuple[float, float]] = deque(maxlen=MOST_TRIGGERS)

    def happened(self, event: str) -> None:
        """Tell the watchers of an "exposure" or a "move" that is about to begin, or a "trigger" that was announced."""
        for watcher in self.watchers:
            watcher(event)

    # light

    def shine(self, head_mw: float, after_s: float = 0.0) -> None:
        """Let the head emit ``head_mw`` (0 is dark) from ``after_s`` on; forgets what was to come."""
        with self.lock:
            now = self.advance()
            self._coming = [(now + after_s, head_mw)]
            if after_s <= 0.0:
                self._switch(now)

    @property
    def head_mw(self) -> float:
        """What the head emits now, in mW."""
        with self.lock:
            self.advance()
            return self._head_mw

    # stage

    def position_um(self, at_s: float | None = None) -> tuple[float, float]:
        """Where the stage is, now or at a time not in the past."""
        with self.lock:
            at = self.advance() if at_s is None else at_s
            return self.axes["1"].position_um(at), self.axes["2"].position_um(at)

    # trigger line, from the stage's output to the spectrometer's input

    def announce_triggers(self, rises_s: list[float]) -> None:
        """The stage's trigger output will rise at these times, in ascending order, instead of what was announced."""
        with self.lock:
            self.cancel_triggers(self.advance())
            self._triggers_s = [*self._triggers_s, *rises_s][-MOST_TRIGGERS:]
            self.happened("trigger")

    def cancel_triggers(self, after_s: float) -> None:
        """No trigger comes after this time any more."""
        with self.lock:
            self._triggers_s = [rise for rise in self._triggers_s if rise <= after_s]

    def triggers_s(self) -> list[float]:
        """When the trigger line has risen so far."""
        with self.lock:
            now = self.advance()
            return [rise for rise in self._triggers_s if rise <= now]

    def next_trigger_s(self, after_s: float) -> float | None:
        """The first rise at or after a time, as far as it is known."""
        with self.lock:
            return next((rise for rise in self._triggers_s if rise >= after_s), None)

    # film

    def mount(self, film: Film) -> None:
        """Put another film under the objective."""
        with self.lock:
            self.advance()
            self.film = film
            self._slipped_um = (0.0, 0.0)

    def slip(self, x_um: float, y_um: float) -> None:
        """Let the film slide on the stage: what lay at a place of the travel then lies so much further on."""
        with self.lock:
            self.advance()
            self._slipped_um = (self._slipped_um[0] + x_um, self._slipped_um[1] + y_um)

    def _on_film_um(self, x_um: float, y_um: float) -> tuple[float, float]:
        """The film's own coordinates of a place of the stage's travel."""
        return x_um - self._slipped_um[0], y_um - self._slipped_um[1]

    def temperature_k(self, x_um: float, y_um: float) -> float:
        """Temperature of the film now: the rise follows the focus, ``exp(−2 r²/w0²)`` (paper, laser heating)."""
        with self.lock:
            x, y = self._on_film_um(*self.position_um())
            distance2 = (x - x_um) ** 2 + (y - y_um) ** 2
            rise = self.film.law.temperature_k(self.optics.sample_uw(self._head_mw)) - ROOM_K
            return ROOM_K + rise * math.exp(-2.0 * distance2 / self.optics.waist_um**2)

    # detector

    def expose(self, duration_s: float, start_s: float | None = None) -> Exposure:
        """Open the detector for ``duration_s``, now or from a given time on, but not before the last look at the world.

        The world catches up with that when somebody looks next.
        """
        with self.lock:
            start = max(self._time_s, self.clock.now_s() if start_s is None else start_s)
            exposure = Exposure(start, start + duration_s)
            self._exposures.append(exposure)
            return exposure

    def discard(self, exposure: Exposure) -> None:
        """Forget an exposure that was aborted."""
        with self.lock:
            if exposure in self._exposures:
                self._exposures.remove(exposure)

    def develop(self, exposure: Exposure) -> None:
        """Draw the photoelectrons that have come so far, and the read noise: less is left to do when somebody waits."""
        with self.lock:
            # no further than needed: the answer waits for this
            self._pass(min(self.clock.now_s(), exposure.end_s))
            if exposure.noise is None or exposure.photoelectrons is None:
                exposure.noise = self.detector.read_noise(self.random)
                exposure.photoelectrons = np.zeros(self.detector.pixels, dtype=np.int64)
                exposure.dark_from_s = exposure.start_s
            dark_to_s = min(self._time_s, exposure.end_s)
            mean = np.full(self.detector.pixels, self.dark_electrons_per_s() * (dark_to_s - exposure.dark_from_s))
            for law, light in exposure.light_uw_s.items():
                if law not in self._bands:
                    self._bands[law] = self.optics.bands(self.detector.wavelength_nm, law)
                mean += (light - exposure.drawn_uw_s.get(law, 0.0)) @ self._bands[law]
            exposure.drawn_uw_s = dict(exposure.light_uw_s)
            exposure.dark_from_s = dark_to_s
            if mean.any():
                exposure.photoelectrons = exposure.photoelectrons + self.random.poisson(mean)

    def read_out(self, exposure: Exposure) -> NDArray[np.unsignedinteger]:
        """Counts of an exposure that is over, shape (pixels,)."""
        with self.lock:
            self.develop(exposure)
            self.discard(exposure)
            self._read_out_s.append((exposure.start_s, exposure.end_s))
            assert exposure.noise is not None
            photoelectrons = exposure.photoelectrons
            if self.stray_light:
                photoelectrons = photoelectrons + self.random.poisson(STRAY_ELECTRONS, self.detector.pixels)
            return self.detector.counts(exposure.noise, photoelectrons)

    def exposures_s(self) -> list[tuple[float, float]]:
        """When the exposures that have been read out began and ended."""
        with self.lock:
            return list(self._read_out_s)

    # time

    def advance(self) -> float:
        """Let the world catch up with the clock; returns the time."""
        with self.lock:
            now = self.clock.now_s()
            self._pass(now)
            self._switch(now)
            return now

    def _pass(self, now: float) -> None:
        while self._time_s < now:
            self._pass_piece(self._end_of_piece(now))

    def _end_of_piece(self, now: float) -> float:
        """End of the next piece of time with constant light, a stage that hardly moves and no shutter that moves."""
        time = self._time_s
        ends = [now]
        ends += [when for when, _ in self._coming if when > time]
        ends += [edge for exposure in self._exposures for edge in (exposure.start_s, exposure.end_s) if edge > time]
        if self._exposures:
            ends.append(time + EXPOSURE_STEP_S)
        rest = max(self.axes["1"].rest_s(), self.axes["2"].rest_s())
        if rest > time and self._head_mw > 0.0:
            ends.append(min(rest, time + self._motion_step_s(time, rest)))
        return min(ends)

    def _motion_step_s(self, time: float, rest: float) -> float:
        """Piece of time in which the moving stage goes a small part of the focus."""
        x, y = self.position_um(time)
        step = MOTION_STEP_S
        while time + step < rest and step < EXPOSURE_STEP_S:
            later_x, later_y = self.position_um(time + 2.0 * step)
            if math.hypot(later_x - x, later_y - y) > MOTION_STEP_UM:
                break
            step *= 2.0
        return step

    def _pass_piece(self, end_s: float) -> None:
        start, duration = self._time_s, end_s - self._time_s
        self._switch(start)
        power_uw = self.optics.sample_uw(self._head_mw)
        middle = start + 0.5 * duration
        x, y = self._on_film_um(self.axes["1"].position_um(middle), self.axes["2"].position_um(middle))
        open_now = [exposure for exposure in self._exposures if exposure.start_s <= start < exposure.end_s]
        watched = bool(open_now) and power_uw > 0.0
        before = self.film.share_converted(x, y) if watched else 0.0
        self.film.advance(duration, x, y, power_uw)
        if watched:
            share = 0.5 * (before + self.film.share_converted(x, y))
            light = power_uw * duration * np.array([1.0 - share, share])
            for exposure in open_now:
                exposure.light_uw_s[self.film.law] = exposure.light_uw_s.get(self.film.law, 0.0) + light
        self._time_s = end_s

    def _switch(self, at_s: float) -> None:
        """Apply the changes of light that are due."""
        while self._coming and self._coming[0][0] <= at_s:
            self._head_mw = self._coming.pop(0)[1]
