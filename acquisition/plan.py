"""A recipe held against a microscope: what it will take, and whether it may start.

Everything is computed before anything moves or lights. What the instruments allow is known once they are connected
(:func:`limits_of`); without them only the files are judged.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from halidescope.acquisition.instruments import Instruments
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.recipes import Point, RasterMap, TimeSeries
from halidescope.acquisition.safety import power_problems

MOVE_S = 0.02              # assumed for a step and its settling, in the plan only
PIXELS, COUNT_BYTES = 2068, 2   # assumed without a connected spectrometer: the largest supported one of 16 bit
DISK_FACTOR = 3.0          # journal, finished file and its view, side by side


@dataclass(frozen=True)
class Limits:
    """What the connected instruments allow; names as their error messages give them."""

    laser: str
    head_mw: tuple[float, float]
    stage: str
    travel_um: tuple[tuple[float, float], tuple[float, float]]
    spectrometer: str
    exposure_s: tuple[float, float]
    pixels: int


def limits_of(instruments: Instruments) -> Limits:
    """Ask connected instruments for their limits."""
    return Limits(
        laser=instruments.laser.device, head_mw=instruments.laser.power_limits_mw,
        stage=instruments.stage.device, travel_um=instruments.stage.limits_um,
        spectrometer=instruments.spectrometer.device, exposure_s=instruments.spectrometer.exposure_limits_s,
        pixels=instruments.spectrometer.pixels,
    )


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement will be; ``violations`` are sentences, empty if it may start."""

    title: str
    kind: str
    spectra: int
    duration_s: float
    bytes: int
    peak_dose_j_cm2: float
    peak_irradiance_w_cm2: float
    violations: list[str]
    plan_hash: str
    points: list[Point]

    def summary(self) -> dict[str, object]:
        """Everything but the single points, ready for JSON."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "points"}


def make_plan(
    recipe: TimeSeries | RasterMap, microscope: MicroscopeFile, out: Path | None = None, *, limits: Limits | None = None
) -> Plan:
    """Hold a recipe against a microscope.

    Parameters
    ----------
    out : Path, optional
        The file it shall become; judged for being free and for room on its disk.
    limits : Limits, optional
        Of the connected instruments.
    """
    points = list(recipe.points())
    irradiance = microscope.peak_irradiance_w_cm2(recipe.sample_power_uw)
    dark_s = recipe.dark_spectra * recipe.exposure_s
    if isinstance(recipe, TimeSeries):
        measuring_s, dose = recipe.duration_s, irradiance * recipe.duration_s
    else:
        measuring_s = len(points) * (recipe.exposure_s + MOVE_S)
        dose = irradiance * (recipe.exposure_s + MOVE_S) * _overlap(recipe.step_um / microscope.optics.waist_um)
    size = (len(points) + recipe.dark_spectra) * (limits.pixels if limits else PIXELS) * COUNT_BYTES
    violations = _travel(recipe, points, limits) + _exposure(recipe, limits)
    violations += power_problems(microscope, recipe.sample_power_uw, (limits.laser, limits.head_mw) if limits else None)
    violations += _room(out, size) if out is not None else []
    return Plan(
        title=recipe.title, kind=recipe.kind, spectra=len(points), duration_s=dark_s + measuring_s, bytes=size,
        peak_dose_j_cm2=dose, peak_irradiance_w_cm2=irradiance, violations=violations,
        plan_hash=plan_hash(recipe, microscope), points=points,
    )


def plan_hash(recipe: TimeSeries | RasterMap, microscope: MicroscopeFile) -> str:
    """SHA-256 over what decides the measurement: the recipe, the path transmission and the focus."""
    what = {
        "recipe": recipe.model_dump(mode="json", exclude={"sample", "analysis"}),
        "sample_uw_per_head_mw": microscope.laser.sample_uw_per_head_mw, "waist_um": microscope.optics.waist_um,
    }
    return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()


def _overlap(step_waists: float) -> float:
    """Dose inside an endless square grid in units of one spot's own: ``(Σ_k exp(-2 (k step/w0)²))²``."""
    k = np.arange(-np.ceil(3.0 / step_waists), np.ceil(3.0 / step_waists) + 1)
    return float(np.exp(-2.0 * (k * step_waists) ** 2).sum() ** 2)


def _travel(recipe: TimeSeries | RasterMap, points: list[Point], limits: Limits | None) -> list[str]:
    if limits is None:
        return []
    mend = "size_um or another origin_um" if isinstance(recipe, RasterMap) else "position_um inside the travel"
    problems = []
    for axis, asked, (low, high) in zip(
        "xy", ([p.x_um for p in points], [p.y_um for p in points]), limits.travel_um, strict=True
    ):
        outside = [value for value in asked if not low <= value <= high]
        if outside:
            worst = max(outside, key=lambda value: max(low - value, value - high))
            size = "a smaller " if isinstance(recipe, RasterMap) else "a "
            problems.append(
                f"{limits.stage}: {axis} = {worst:.1f} µm asked, allowed {low:.1f} to {high:.1f} µm; "
                f"{recipe.title} needs {size}{mend}"
            )
    return problems


def _exposure(recipe: TimeSeries | RasterMap, limits: Limits | None) -> list[str]:
    if limits is None or limits.exposure_s[0] <= recipe.exposure_s <= limits.exposure_s[1]:
        return []
    return [
        f"{limits.spectrometer}: exposure of {recipe.exposure_s:g} s asked, allowed {limits.exposure_s[0]:g} to "
        f"{limits.exposure_s[1]:g} s; change exposure_s"
    ]


def _room(out: Path, size: int) -> list[str]:
    if out.exists():
        return [f"output file {out} exists and is never overwritten; choose another name"]
    if journal_path(out).exists():
        return [f"journal {journal_path(out)} of an earlier measurement exists; move it or choose another name"]
    if not out.parent.is_dir():
        return [f"output folder {out.parent} does not exist; make it or choose another"]
    free = shutil.disk_usage(out.parent).free
    needed = int(DISK_FACTOR * size) + 10_000_000
    if free < needed:
        return [f"disk of {out.parent}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free; make room"]
    return []
