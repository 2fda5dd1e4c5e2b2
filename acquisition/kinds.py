"""Which course each kind of recipe takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from halidescope.acquisition.adaptive import AdaptiveMeasurement
from halidescope.acquisition.courses import (
    BackgroundMeasurement,
    MapMeasurement,
    RecoveryMeasurement,
    SeriesMeasurement,
)
from halidescope.acquisition.lines import LineMapMeasurement
from halidescope.acquisition.measurement import Measurement
from halidescope.acquisition.plan import Plan
from halidescope.acquisition.recipes import (
    AdaptiveMap,
    Background,
    DarkRecovery,
    RasterMap,
    SingleRecipe,
    TimeSeries,
)
from halidescope.acquisition.resume import Past

if TYPE_CHECKING:
    from halidescope.acquisition.engine import Engine

KINDS: dict[type, type[Measurement[Any]]] = {
    TimeSeries: SeriesMeasurement, RasterMap: MapMeasurement, AdaptiveMap: AdaptiveMeasurement,
    DarkRecovery: RecoveryMeasurement, Background: BackgroundMeasurement,
}


def make_measurement(
    engine: "Engine", recipe: SingleRecipe, plan: Plan, out: Path, *, past: Past | None = None,
    before: Path | None = None,
) -> Measurement[Any]:
    """The measurement of a recipe."""
    if isinstance(recipe, RasterMap) and recipe.motion == "lines":
        return LineMapMeasurement(engine, recipe, plan, out, past=past, before=before)
    return KINDS[type(recipe)](engine, recipe, plan, out, past=past, before=before)
