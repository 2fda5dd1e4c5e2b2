"""Finding a measurement's exposure at its first point, or at a spot given up for it, within a stated budget of light.

The search itself is in :mod:`halidescope.acquisition.exposing`. Every look is lit for its exposure only; exposures are
set in the dark. What the looks cost is read from the dose ledger, so retries count too.
"""

from typing import TYPE_CHECKING, Any

from halidescope.acquisition.exposing import Found, Trial, find_exposure
from halidescope.acquisition.plan import SWITCH_S
from halidescope.acquisition.recipes import Point, SingleRecipe

if TYPE_CHECKING:
    from halidescope.acquisition.measurement import Measurement


def place_of_search(recipe: SingleRecipe, first: Point) -> Point:
    """Where the exposure is sought."""
    if recipe.auto_exposure.place == "first point":
        return first
    x_um, y_um = recipe.auto_exposure.spot_um
    return Point(index=-1, x_um=x_um, y_um=y_um)


class ExposureSearch:
    """Looks at one spot until the brightest pixel is where it shall be; the laser is dark before and after.

    Parameters
    ----------
    measurement : Measurement
        Whose instruments, beam and ledger these are; its stage stands at the place.
    recipe : SingleRecipe
        With ``auto_exposure.target``.
    place : Point
    """

    def __init__(self, measurement: "Measurement[Any]", recipe: SingleRecipe, place: Point) -> None:
        self._measurement, self._recipe, self._place = measurement, recipe, place
        self._engine = measurement.engine
        self._before_j_cm2 = self._spot_j_cm2
        self._switching_s = SWITCH_S      # lit time beyond the exposure
        self._level = 0.0

    @property
    def _spot_j_cm2(self) -> float:
        return self._engine.ledger.at(self._place.x_um, self._place.y_um)

    @property
    def spent_j_cm2(self) -> float:
        """Light that the search has given to its spot."""
        return self._spot_j_cm2 - self._before_j_cm2

    def run(self) -> float:
        """Find the exposure in s; says in an event what it found and what it cost."""
        recipe, spectrometer = self._recipe, self._measurement.instruments.spectrometer
        target = recipe.auto_exposure.target
        assert target is not None
        shortest_s, longest_s = spectrometer.exposure_limits_s
        longest_s = min(longest_s, recipe.exposure_s)
        self._measurement.set_exposure(shortest_s)
        self._level = float(self._measurement.acquire().counts.mean())
        found = find_exposure(
            self._look, self._affordable, target_counts=target * spectrometer.saturation_counts - self._level,
            shortest_s=shortest_s, longest_s=longest_s,
        )
        self._tell(found, spectrometer.saturation_counts)
        return found.exposure_s

    def _affordable(self, exposure_s: float) -> bool:
        irradiance = self._engine.microscope.peak_irradiance_w_cm2(self._recipe.sample_power_uw)
        next_j_cm2 = irradiance * (exposure_s + self._switching_s)
        return self.spent_j_cm2 + next_j_cm2 <= self._recipe.auto_exposure.dose_j_cm2

    def _look(self, exposure_s: float) -> Trial:
        measurement, beam = self._measurement, self._measurement.beam
        measurement.look()
        measurement.set_exposure(exposure_s)
        with beam.lit():
            spectrum = measurement.acquire()
        if beam.lit_at_s is not None and beam.dark_at_s is not None:
            self._switching_s = max(self._switching_s, beam.dark_at_s - beam.lit_at_s - spectrum.exposure_s)
        return Trial(spectrum.exposure_s, float(spectrum.counts.max()) - self._level, spectrum.saturated)

    def _tell(self, found: Found, saturation_counts: int) -> None:
        looks, place = len(found.trials), self._place
        words = (
            f"auto-exposure: {found.exposure_s:.4g} s after {looks} looks that gave {self.spent_j_cm2:.4g} J/cm², of "
            f"{self._recipe.auto_exposure.dose_j_cm2:g} allowed, to ({place.x_um:g}, {place.y_um:g}) µm"
        )
        if looks:
            last = found.trials[-1]
            reached = (last.signal_counts + self._level) / saturation_counts
            words += f"; the last, of {last.exposure_s:.4g} s, reached {reached:.0%} of saturation"
        if found.complete:
            self._measurement.note(words)
        else:
            self._measurement.note(f"{words}; the budget ended the search before it was sure", "warning")
