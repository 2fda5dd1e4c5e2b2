"""Recipes: what a person asks a measurement to be, validated and frozen.

A recipe knows its own points and times and nothing of instruments; :mod:`halidescope.acquisition.plan` holds it against
a microscope. Every field has a unit in its name, a range, a default where one makes sense, and a description, so that
forms, help texts and error messages come from here.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from halidescope.acquisition.problems import BadFileError, sentence_of

Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Point(BaseModel):
    """One spectrum to be taken: which, where, and for a time series when (seconds after the light came on)."""

    model_config = ConfigDict(frozen=True)

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

    sample_power_uw: float = Field(gt=0, allow_inf_nan=False, description="laser power at the sample, µW")
    exposure_s: float = Field(0.2, gt=0, allow_inf_nan=False, description="exposure of one spectrum, s")
    dark_spectra: int = Field(10, ge=0, le=1000, description="spectra taken with the laser dark before the measurement")
    sample: Sample = Sample()
    analysis: AnalysisRequest = AnalysisRequest()

    def points(self) -> Iterator[Point]:
        """Every spectrum of the measurement, in the order of taking."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """What this is, for people."""
        raise NotImplementedError


class TimeSeries(Recipe):
    """Spectrum after spectrum of one spot under constant light."""

    kind: Literal["time-series"] = "time-series"
    duration_s: float = Field(gt=0, allow_inf_nan=False, description="how long the light stays on, s")
    interval_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="time between the starts of two spectra, s; 0: as fast as exposures allow",
    )
    position_um: tuple[Coordinate, Coordinate] = Field((100.0, 100.0), description="the spot, x and y of the stage, µm")

    @property
    def step_s(self) -> float:
        """Time between the starts of two spectra, in s."""
        return max(self.interval_s, self.exposure_s)

    def points(self) -> Iterator[Point]:
        """Spectra that fit wholly into the duration."""
        count = max(1, int(np.floor((self.duration_s - self.exposure_s) / self.step_s + 1e-9)) + 1)
        x_um, y_um = self.position_um
        for k in range(count):
            yield Point(index=k, x_um=x_um, y_um=y_um, due_s=k * self.step_s)

    @property
    def title(self) -> str:
        return f"time series {self.duration_s:g} s at {self.sample_power_uw:g} µW"


class RasterMap(Recipe):
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


AnyRecipe = Annotated[TimeSeries | RasterMap, Field(discriminator="kind")]
RECIPES: TypeAdapter[TimeSeries | RasterMap] = TypeAdapter(AnyRecipe)


def parse_recipe(values: dict[str, object], *, source: str = "recipe") -> TimeSeries | RasterMap:
    """A recipe from plain values; raises :class:`BadFileError`: one sentence with field and allowed values."""
    try:
        return RECIPES.validate_python(values)
    except ValidationError as error:
        raise BadFileError(sentence_of(error, source)) from error


def load_recipe(path: Path) -> TimeSeries | RasterMap:
    """Read a recipe file (TOML).

    Raises
    ------
    BadFileError
        The file is missing, is not TOML, or holds an unknown or impossible value.
    """
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise BadFileError(f"recipe {path}: cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadFileError(f"recipe {path}: not valid TOML: {error}") from error
    return parse_recipe(values, source=f"recipe {path}")
