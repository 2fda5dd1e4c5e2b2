"""Recipes of one measurement at one spot: what a person asks it to be, validated and frozen.

A recipe knows its own points and times and nothing of instruments; :mod:`halidescope.acquisition.plan` holds it against
a microscope. Maps are in :mod:`halidescope.acquisition.map_recipes`, recipes made of several of these in
:mod:`halidescope.acquisition.recipes`.
"""

from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from halidescope.acquisition.recipe_base import Coordinate, Point, Power, ProbeRecipe, require_few


class TimeSeries(ProbeRecipe):
    """Spectrum after spectrum of one spot under constant light."""

    kind: Literal["time-series"] = "time-series"
    duration_s: float = Field(gt=0, allow_inf_nan=False, description="how long the light stays on, s")
    spacing: Literal["even", "log"] = Field(
        "even", description="spectra evenly spaced in time, or ever farther apart, a constant number per decade of time"
    )
    interval_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="even spacing: time between the starts of two spectra, s; 0: as fast as exposures allow",
    )
    spectra_per_decade: int = Field(
        20, ge=1, le=1000, description="log spacing: spectra per decade of time, where exposures allow that many"
    )
    position_um: tuple[Coordinate, Coordinate] = Field((100.0, 100.0), description="the spot, x and y of the stage, µm")
    stop_at_rate_error: float | None = Field(
        None, gt=0, lt=1, description="stop when the average rate <k> is known to this relative standard error"
    )
    stop_at_plateau: float | None = Field(
        None, gt=0, lt=1, description="stop when the share changes by less than this in plateau_s"
    )
    plateau_s: float = Field(60.0, gt=0, allow_inf_nan=False, description="time over which a plateau is judged, s")
    stop_not_before_s: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="time before which neither plateau nor rate end the series, s"
    )

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        if self.spacing == "even":
            require_few(self.duration_s / self.step_s, "lower duration_s or raise interval_s")
        return self

    @property
    def step_s(self) -> float:
        """Shortest time between the starts of two spectra, in s."""
        return max(self.interval_s, self.exposure_s) if self.spacing == "even" else self.exposure_s

    def points(self) -> Iterator[Point]:
        """Spectra that fit wholly into the duration."""
        x_um, y_um = self.position_um
        for k, due_s in enumerate(self._due_s()):
            yield Point(index=k, x_um=x_um, y_um=y_um, due_s=due_s)

    def _due_s(self) -> Iterator[float]:
        last_s = self.duration_s - self.exposure_s
        if self.spacing == "even":
            for k in range(max(1, int(np.floor(last_s / self.step_s + 1e-9)) + 1)):
                yield k * self.step_s
            return
        due_s, ratio = 0.0, 10.0 ** (1.0 / self.spectra_per_decade)
        yield due_s
        while (due_s := max(due_s + self.step_s, due_s * ratio)) <= last_s * (1 + 1e-12):
            yield due_s

    @property
    def title(self) -> str:
        return f"time series {self.duration_s:g} s at {self.sample_power_uw:g} µW"


class DarkRecovery(ProbeRecipe):
    """How a spot recovers in the dark: a brief look at it every now and then, on an absolute schedule.

    Spectrum k is due at t0 + k × interval, whatever became of those before. t0 is the moment at which the light of the
    preceding exposure was switched off; without one, the moment at which the first look's light came on.
    """

    kind: Literal["dark-recovery"] = "dark-recovery"
    duration_s: float = Field(gt=0, allow_inf_nan=False, description="how long the recovery is followed, s")
    interval_s: float = Field(
        300.0, gt=0, allow_inf_nan=False, description="time between two spectra, s; longer than an exposure"
    )
    position_um: tuple[Coordinate, Coordinate] = Field((100.0, 100.0), description="the spot, x and y of the stage, µm")
    exposure_power_uw: Power | None = Field(
        None, description="power at the sample of an exposure before the recovery, µW; none: no exposure"
    )
    exposure_duration_s: float = Field(
        500.0, gt=0, allow_inf_nan=False, description="how long that exposure lasts, s"
    )

    @model_validator(mode="after")
    def _leave_time_to_recover(self) -> Self:
        if self.interval_s <= self.exposure_s:
            raise ValueError(f"interval_s = {self.interval_s:g} must be longer than exposure_s = {self.exposure_s:g} s")
        require_few(self.duration_s / self.interval_s, "lower duration_s or raise interval_s")
        return self

    def points(self) -> Iterator[Point]:
        """Spectra due up to the end of the duration, the first at t0."""
        x_um, y_um = self.position_um
        for k in range(int(np.floor(self.duration_s / self.interval_s + 1e-9)) + 1):
            yield Point(index=k, x_um=x_um, y_um=y_um, due_s=k * self.interval_s)

    @property
    def title(self) -> str:
        return f"dark recovery {self.duration_s:g} s, every {self.interval_s:g} s at {self.sample_power_uw:g} µW"


class Background(ProbeRecipe):
    """Spectra to be subtracted or looked at: of the detector in the dark, or of a bare place under the probe."""

    kind: Literal["background"] = "background"
    sample_power_uw: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="laser power at the sample, µW; 0: dark, emission proven off"
    )
    spectra: int = Field(20, ge=1, le=100_000, description="how many")
    position_um: tuple[Coordinate, Coordinate] = Field(
        (100.0, 100.0), description="where, x and y of the stage, µm; in the dark too, for stray light of the room"
    )

    def points(self) -> Iterator[Point]:
        """One after another, at the same place."""
        x_um, y_um = self.position_um
        for k in range(self.spectra):
            yield Point(index=k, x_um=x_um, y_um=y_um, due_s=k * self.exposure_s)

    @property
    def title(self) -> str:
        how = f"at {self.sample_power_uw:g} µW" if self.sample_power_uw > 0 else "in the dark"
        return f"background, {self.spectra} spectra {how}"
