"""What all recipes have in common: points, sample, analysis, exposure, limits on light. Validated and frozen.

Every field has a unit in its name, a range, a default where one makes sense, and a description, so that forms, help
texts and error messages come from here. The recipes of one measurement are in
:mod:`halidescope.acquisition.single_recipes` and :mod:`halidescope.acquisition.map_recipes`, those made of several in
:mod:`halidescope.acquisition.recipes`.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

MOST_SPECTRA = 2_000_000     # of one measurement: two days of 0.1 s, 8 GB; more is a slip of the pen

Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Power = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Table(BaseModel):
    """A table of a recipe: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One spectrum to be taken: which, where, and for a time series when (seconds after the light came on)."""

    index: int
    x_um: float
    y_um: float
    due_s: float | None = None


def require_few(spectra: float, mend: str) -> None:
    """Raise ValueError if a measurement would have more spectra than anybody wants; ``mend`` says what to change."""
    if not spectra <= MOST_SPECTRA:
        raise ValueError(f"{spectra:.3g} spectra asked, allowed up to {MOST_SPECTRA:,} in one measurement; {mend}")


class Sample(Table):
    """What lies under the objective, as far as it is known."""

    name: str = Field("", description="name of the film, as in the lab book")
    composition: float | None = Field(None, ge=0, le=3, description="x in CsPbBr(3-x)I(x)")
    batch: str = Field("", description="batch or synthesis that it comes from")
    substrate: str = Field("", description="what the film lies on")
    thickness_nm: float | None = Field(None, gt=0, allow_inf_nan=False, description="thickness of the film, nm")
    notes: str = Field("", description="anything worth knowing in ten years")


class About(Table):
    """Who measures, and under which circumstances; changed afterwards with `halidescope describe`."""

    operator: str = Field("", description="who measures; empty: as in the microscope file")
    temperature_c: float | None = Field(None, ge=-273.15, le=1000, description="temperature of the sample, °C")
    humidity_percent: float | None = Field(None, ge=0, le=100, description="relative humidity, %")
    atmosphere: str = Field("", description="air, nitrogen, vacuum")
    notes: str = Field("", description="about this measurement")
    extra: tuple[str, ...] = Field((), description="anything else, each as 'name: value'")


class AnalysisRequest(Table):
    """What the online analysis shall do with the spectra."""

    references: tuple[str, ...] = Field(
        (), max_length=6, description="measured files whose mean spectra are the endmembers, e.g. of pure films"
    )
    labels: tuple[str, ...] = Field((), max_length=6, description="names of the endmembers, in the same order")


class ChangeEstimate(Table):
    """How fast light changes this film, stated or from a fit, so that what a measurement will alter can be told."""

    rate_per_s: float | None = Field(None, gt=0, description="average rate <k> of the change at at_power_uw, 1/s")
    series: str = Field("", description="a measured time series: its fitted <k> and its power are taken instead")
    at_power_uw: float = Field(120.0, gt=0, description="power at the sample at which the rate holds, µW")
    exponent: float = Field(1.0, ge=0, le=6, description="n in rate ∝ power^n between there and the recipe's power")
    convertible_share: float = Field(0.7, gt=0, le=1, description="share of the film that can change at all")
    limit_share: float = Field(0.02, gt=0, le=1, description="share that the probe may change at a spot")
    beyond: Literal["warn", "refuse"] = Field("warn", description="what happens to a recipe that would change more")

    @property
    def known(self) -> bool:
        """True if there is a rate to estimate with."""
        return self.rate_per_s is not None or bool(self.series)


class AutoExposure(Table):
    """Finding an exposure that fills the detector well, at a stated cost of light."""

    target: float | None = Field(
        None, gt=0, lt=1,
        description="share of the saturation level that the brightest pixel shall reach; none: exposure_s as it is",
    )
    dose_j_cm2: float = Field(200.0, gt=0, description="most light that finding it may give to its spot, J/cm²")
    place: Literal["first point", "spot"] = Field(
        "first point", description="where: at the measurement's first point, or at a spot that is given up for it"
    )
    spot_um: tuple[float, float] = Field((0.0, 0.0), description="that spot, x and y of the stage, µm")


class Recipe(BaseModel):
    """What all measurements have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exposure_s: float = Field(
        0.2, gt=0, allow_inf_nan=False, description="exposure of one spectrum, s; with auto_exposure the longest"
    )
    dark_spectra: int = Field(10, ge=0, le=1000, description="spectra taken with the laser dark before the measurement")
    require_fresh: bool = Field(
        False, description="refuse to start if a spot of this measurement has had light in this session"
    )
    dose_cap_j_cm2: float | None = Field(
        None, gt=0, allow_inf_nan=False,
        description="highest peak dose at any spot, J/cm²: a time series stops there, a map beyond it is refused",
    )
    sample: Sample = Sample()
    about: About = About()
    analysis: AnalysisRequest = AnalysisRequest()
    change: ChangeEstimate = ChangeEstimate()
    auto_exposure: AutoExposure = AutoExposure()

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
