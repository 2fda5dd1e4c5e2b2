"""Recipes of one measurement: what a person asks it to be, validated and frozen.

A recipe knows its own points and times and nothing of instruments; :mod:`halidescope.acquisition.plan` holds it against
a microscope. Every field has a unit in its name, a range, a default where one makes sense, and a description, so that
forms, help texts and error messages come from here. Recipes made of several of these are in
:mod:`halidescope.acquisition.recipes`.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self, TypeAlias

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Power = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One spectrum to be taken: which, where, and for a time series when (seconds after the light came on)."""

    index: int
    x_um: float
    y_um: float
    due_s: float | None = None


class Sample(BaseModel):
    """What lies under the objective, as far as it is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="name of the film, as in the lab book")
    composition: float | None = Field(None, ge=0, le=3, description="x in CsPbBr(3-x)I(x)")
    notes: str = Field("", description="anything worth knowing in ten years")


class AnalysisRequest(BaseModel):
    """What the online analysis shall do with the spectra."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    references: tuple[str, ...] = Field(
        (), max_length=6, description="measured files whose mean spectra are the endmembers, e.g. of pure films"
    )
    labels: tuple[str, ...] = Field((), max_length=6, description="names of the endmembers, in the same order")


class Recipe(BaseModel):
    """What all measurements have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exposure_s: float = Field(0.2, gt=0, allow_inf_nan=False, description="exposure of one spectrum, s")
    dark_spectra: int = Field(10, ge=0, le=1000, description="spectra taken with the laser dark before the measurement")
    require_fresh: bool = Field(
        False, description="refuse to start if a spot of this measurement has had light in this session"
    )
    dose_cap_j_cm2: float | None = Field(
        None, gt=0, allow_inf_nan=False,
        description="highest peak dose at any spot, J/cm²: a time series stops there, a map beyond it is refused",
    )
    sample: Sample = Sample()
    analysis: AnalysisRequest = AnalysisRequest()

    @property
    def title(self) -> str:
        """What this is, for people."""
        raise NotImplementedError


class ProbeRecipe(Recipe):
    """A recipe of one power and one list of points, measured in one go and kept in one file."""

    sample_power_uw: Power = Field(description="laser power at the sample, µW")

    def points(self) -> Iterator[Point]:
        """Every spectrum of the measurement, in the order of taking."""
        raise NotImplementedError


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


class RasterMap(ProbeRecipe):
    """Spectra on a rectangular grid, the probe weak enough not to change what it sees."""

    kind: Literal["raster-map"] = "raster-map"
    origin_um: tuple[Coordinate, Coordinate] = Field(
        (0.0, 0.0), description="corner of the field with the smallest x and y, µm"
    )
    size_um: tuple[Length, Length] = Field((200.0, 200.0), description="width and height of the field, µm")
    step_um: float = Field(4.0, gt=0, allow_inf_nan=False, description="distance between neighbouring points, µm")
    order: Literal["serpentine", "raster"] = Field(
        "serpentine", description="every other line backwards, or all lines forwards"
    )

    @property
    def x_um(self) -> np.ndarray:
        """Columns of the map, in µm, both edges included."""
        return self.origin_um[0] + self.step_um * np.arange(int(np.floor(self.size_um[0] / self.step_um + 1e-9)) + 1)

    @property
    def y_um(self) -> np.ndarray:
        """Rows of the map, in µm, both edges included."""
        return self.origin_um[1] + self.step_um * np.arange(int(np.floor(self.size_um[1] / self.step_um + 1e-9)) + 1)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (ny, nx)."""
        return len(self.y_um), len(self.x_um)

    def points(self) -> Iterator[Point]:
        """Line after line; ``index`` is the place in the map, row × columns + column, whatever the order of taking."""
        xs, ys = self.x_um, self.y_um
        for row, y_um in enumerate(ys):
            backwards = self.order == "serpentine" and row % 2 == 1
            columns = range(len(xs) - 1, -1, -1) if backwards else range(len(xs))
            for column in columns:
                yield Point(index=row * len(xs) + column, x_um=float(xs[column]), y_um=float(y_um))

    @property
    def title(self) -> str:
        ny, nx = self.shape
        return f"map {nx} × {ny} at {self.sample_power_uw:g} µW"


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
        return self

    def points(self) -> Iterator[Point]:
        """Spectra due up to the end of the duration, the first at t0."""
        x_um, y_um = self.position_um
        for k in range(int(np.floor(self.duration_s / self.interval_s + 1e-9)) + 1):
            yield Point(index=k, x_um=x_um, y_um=y_um, due_s=k * self.interval_s)

    @property
    def title(self) -> str:
        return f"dark recovery {self.duration_s:g} s, every {self.interval_s:g} s at {self.sample_power_uw:g} µW"


SingleRecipe: TypeAlias = TimeSeries | RasterMap | DarkRecovery     # one file each
