"""All recipes: those made of several measurements, how they fall apart into these, and reading any of them.

The recipes of one measurement are in :mod:`halidescope.acquisition.single_recipes` and
:mod:`halidescope.acquisition.map_recipes`. Every part is a whole measurement
with its own file, dark spectra, time zero and fits; :mod:`halidescope.acquisition.chain` runs them one after another.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeGuard, get_args

import numpy as np
import pydantic.main  # noqa: F401 - first: Qt's import hook trips over pydantic's own lazy order
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from halidescope.acquisition.map_recipes import AdaptiveMap, GridRecipe, RasterMap, Seed
from halidescope.acquisition.problems import BadFileError, sentence_of
from halidescope.acquisition.recipe_base import (
    AnalysisRequest,
    AutoExposure,
    ChangeEstimate,
    Coordinate,
    Length,
    Point,
    Power,
    ProbeRecipe,
    Recipe,
    Sample,
    require_few,
)
from halidescope.acquisition.single_recipes import Background, DarkRecovery, TimeSeries
from halidescope.acquisition.toml_files import read_toml

__all__ = [
    "RECIPES", "AdaptiveMap", "AnalysisRequest", "AnyRecipe", "AutoExposure", "Background", "ChangeEstimate",
    "DarkRecovery", "ExposureAndMaps", "Point", "PowerSeries", "ProbeRecipe", "RasterMap", "Recipe", "Sample",
    "Sequence", "SingleRecipe", "TimeSeries", "is_single", "load_recipe", "main_part", "parse_recipe", "part_paths",
    "parts_of",
]  # fmt: skip

SingleRecipe: TypeAlias = TimeSeries | RasterMap | AdaptiveMap | DarkRecovery | Background     # one file each


class PowerSeries(Recipe):
    """A time series at each of several powers, each on a fresh spot of a square grid, dark between them."""

    kind: Literal["power-series"] = "power-series"
    powers_uw: Annotated[tuple[Power, ...], Field(min_length=1, max_length=1000)] = Field(
        description="laser powers at the sample, µW"
    )
    duration_s: float = Field(gt=0, allow_inf_nan=False, description="how long the light stays on at each power, s")
    interval_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="time between the starts of two spectra, s; 0: as fast as exposures allow",
    )
    pitch_um: Length = Field(
        20.0, description="distance between neighbouring spots, µm; at least four beam waists, so that each is fresh"
    )
    origin_um: tuple[Coordinate, Coordinate] = Field(
        (20.0, 20.0), description="first spot, the one with the smallest x and y of the stage, µm"
    )
    random_order: bool = Field(False, description="take the powers in random order, against drifts")
    seed: Seed = 0

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        step_s = max(self.interval_s, self.exposure_s)
        require_few(len(self.powers_uw) * self.duration_s / step_s, "lower duration_s or raise interval_s")
        return self

    @property
    def order(self) -> tuple[int, ...]:
        """Which of the powers is taken first, second, …"""
        count = len(self.powers_uw)
        if not self.random_order:
            return tuple(range(count))
        return tuple(int(k) for k in np.random.default_rng(self.seed).permutation(count))

    @property
    def spots_um(self) -> tuple[tuple[float, float], ...]:
        """Spot of each power taken, in the order of taking: row after row of the smallest square that holds all."""
        columns = int(np.ceil(np.sqrt(len(self.powers_uw))))
        x_um, y_um = self.origin_um
        return tuple(
            (x_um + (k % columns) * self.pitch_um, y_um + (k // columns) * self.pitch_um)
            for k in range(len(self.powers_uw))
        )

    @property
    def title(self) -> str:
        return f"power series of {len(self.powers_uw)} × {self.duration_s:g} s"


class ExposureAndMaps(GridRecipe):
    """The paper's protocol: a map by a weak probe, an exposure in its middle, and the map again.

    da Cunha et al. 2025, experimental: maps of 200 × 200 µm before and after 500 s of exposure.
    """

    kind: Literal["exposure-and-maps"] = "exposure-and-maps"
    sample_power_uw: Power = Field(description="laser power at the sample for the maps, µW")
    exposure_power_uw: Power = Field(description="laser power at the sample for the exposure, µW")
    exposure_duration_s: float = Field(500.0, gt=0, allow_inf_nan=False, description="how long the exposure lasts, s")
    interval_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="time between two spectra of the exposure, s; 0: as fast as exposures allow",
    )
    position_um: tuple[Coordinate, Coordinate] = Field((100.0, 100.0), description="the exposed spot, x and y, µm")

    @property
    def title(self) -> str:
        return f"map, {self.exposure_duration_s:g} s at {self.exposure_power_uw:g} µW, map"


class Sequence(Recipe):
    """Recipes one after another, dark between them. Each has its own exposure, darks and limits.

    ``sample`` and ``analysis`` hold for every recipe that gives none of its own.
    """

    kind: Literal["sequence"] = "sequence"
    recipes: Annotated[
        tuple[
            Annotated[
                SingleRecipe | PowerSeries | ExposureAndMaps, Field(discriminator="kind")
            ],
            ...,
        ],
        Field(min_length=1, max_length=1000),
    ] = Field(description="the recipes, each a table with its own kind")

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, values: object) -> object:
        """Give the sequence's own settings to those of its recipes that lack them."""
        if not isinstance(values, dict) or not isinstance(values.get("recipes"), list | tuple):
            return values
        common = {
            name: values[name]
            for name in Recipe.model_fields
            if name in values
        }
        recipes = [common | one if isinstance(one, dict) else one for one in values["recipes"]]
        return {**values, "recipes": recipes}

    @property
    def title(self) -> str:
        return f"sequence of {len(self.recipes)}"


AnyRecipe: TypeAlias = SingleRecipe | PowerSeries | ExposureAndMaps | Sequence
KINDS = tuple(str(one.model_fields["kind"].default) for one in get_args(AnyRecipe))     # what a file's key kind may be

RECIPES: TypeAdapter[AnyRecipe] = TypeAdapter(Annotated[AnyRecipe, Field(discriminator="kind")])


def parts_of(recipe: AnyRecipe) -> tuple[SingleRecipe, ...]:
    """The measurements that a recipe is made of, in order; one that is made of nothing else is its own only part."""
    return tuple(_parts(recipe))


def is_single(recipe: AnyRecipe) -> TypeGuard[SingleRecipe]:
    """True if the recipe is one measurement in one file."""
    return parts_of(recipe) == (recipe,)


def part_paths(out: Path, recipe: AnyRecipe) -> tuple[Path, ...]:
    """The files of a recipe's parts: ``out`` itself if it is one measurement, else ``out`` with -1, -2, …"""
    if is_single(recipe):
        return (out,)
    return tuple(out.with_name(f"{out.stem}-{k}{out.suffix}") for k, _ in enumerate(parts_of(recipe), start=1))


def main_part(recipe: AnyRecipe) -> int:
    """The part that the others are there for, counted from 0: the exposure between maps, the recovery after light."""
    return 1 if isinstance(recipe, ExposureAndMaps | DarkRecovery) and not is_single(recipe) else 0


def _parts(recipe: AnyRecipe) -> Iterator[SingleRecipe]:
    match recipe:
        case Sequence():
            for one in recipe.recipes:
                yield from _parts(one)
        case PowerSeries():
            for place, spot in zip(recipe.order, recipe.spots_um, strict=True):
                yield TimeSeries(
                    sample_power_uw=recipe.powers_uw[place],
                    duration_s=recipe.duration_s,
                    interval_s=recipe.interval_s,
                    position_um=spot,
                    **_common(recipe),
                )
        case ExposureAndMaps():
            around = RasterMap(
                sample_power_uw=recipe.sample_power_uw,
                **{name: getattr(recipe, name) for name in GridRecipe.model_fields},
            )
            yield around
            yield _exposure(recipe, recipe.exposure_power_uw)
            yield around
        case DarkRecovery(exposure_power_uw=float(power_uw)):
            yield _exposure(recipe, power_uw)
            yield recipe
        case _:
            yield recipe


def _exposure(recipe: ExposureAndMaps | DarkRecovery, power_uw: float) -> TimeSeries:
    """The light that a recipe's other parts look at the effect of; as fast as exposures allow before a recovery."""
    return TimeSeries(
        sample_power_uw=power_uw,
        duration_s=recipe.exposure_duration_s,
        interval_s=recipe.interval_s if isinstance(recipe, ExposureAndMaps) else 0.0,
        position_um=recipe.position_um,
        **_common(recipe),
    )


def _common(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in Recipe.model_fields}


def parse_recipe(values: dict[str, object], *, source: str = "recipe") -> AnyRecipe:
    """A recipe from plain values; raises :class:`BadFileError`: one sentence with field and allowed values."""
    try:
        return RECIPES.validate_python(values)
    except ValidationError as error:
        raise BadFileError(sentence_of(error, source, KINDS)) from error


def load_recipe(path: Path) -> AnyRecipe:
    """Read a recipe file (TOML).

    Raises
    ------
    BadFileError
        The file is missing, is not TOML, or holds an unknown or impossible value.
    """
    return parse_recipe(read_toml(path, "recipe"), source=f"recipe {path}")
