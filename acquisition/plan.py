"""A recipe held against a microscope: what it will take, and whether it may start.

Everything is computed before anything moves or lights. What the instruments allow is known once they are connected
(:func:`limits_of`); without them only the files are judged.
"""

import hashlib
import math
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np

from halidescope.acquisition.change import ChangeRate, change_rate
from halidescope.acquisition.dose import LASER_NM, photons_per_um2
from halidescope.acquisition.facts import scans_lines
from halidescope.acquisition.instruments import Instruments
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.recipes import (
    AdaptiveMap,
    AnyRecipe,
    Background,
    DarkRecovery,
    Point,
    PowerSeries,
    RasterMap,
    SingleRecipe,
    TimeSeries,
    is_single,
    part_paths,
    parts_of,
)
from halidescope.acquisition.safety import power_problems

MOVE_S = 0.02              # assumed for a step and its settling, in the plan only
TURN_S = 0.06              # assumed for the turn from one continuous line to the next
SWITCH_S = 0.1             # assumed for a shutterless laser's switching on and off around one exposure
FRESH = 4.0                # in beam waists: spots farther apart are not in each other's light (see the dose ledger)
PIXELS, COUNT_BYTES = 2068, 2   # assumed without a connected spectrometer: the largest supported one of 16 bit
# keys of a recipe that may change before a measurement goes on
NOT_DECIDING = dict.fromkeys(("sample", "about", "analysis", "change", "drift_line_points"), True)
SUFFIX = ".nxs"
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
    lines: bool = True       # whether the stage can run along lines


def limits_of(instruments: Instruments) -> Limits:
    """Ask connected instruments for their limits."""
    return Limits(
        laser=instruments.laser.device, head_mw=instruments.laser.power_limits_mw,
        stage=instruments.stage.device, travel_um=instruments.stage.limits_um,
        spectrometer=instruments.spectrometer.device, exposure_s=instruments.spectrometer.exposure_limits_s,
        pixels=instruments.spectrometer.pixels, lines=scans_lines(instruments.stage),
    )


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement will be; ``violations`` are sentences, empty if it may start, ``warnings`` forbid nothing.

    ``expected_change`` is the share of the film that the spot with most light will change by; None without a rate.
    """

    title: str
    kind: str
    spectra: int
    duration_s: float
    bytes: int
    peak_dose_j_cm2: float
    peak_irradiance_w_cm2: float
    expected_change: float | None
    warnings: list[str]
    violations: list[str]
    plan_hash: str
    points: list[Point]

    def summary(self) -> dict[str, object]:
        """Everything but the single points, ready for JSON."""
        known = {name: getattr(self, name) for name in self.__struct_fields__ if name != "points"}
        return known | {"peak_photons_per_um2": self.peak_dose_j_cm2 * photons_per_um2(LASER_NM)}


def make_plan(
    recipe: AnyRecipe, microscope: MicroscopeFile, out: Path | None = None, *, limits: Limits | None = None,
    resume: bool = False,
) -> Plan:
    """Hold a recipe against a microscope.

    Parameters
    ----------
    out : Path, optional
        The file it shall become; judged for being free and for room on its disk.
    limits : Limits, optional
        Of the connected instruments.
    resume : bool
        The file, or a journal of it, may exist: it is to be completed.
    """
    plan = plan_part(recipe, microscope, limits) if is_single(recipe) else _composite(recipe, microscope, limits)
    violations = plan.violations + (_room(out, plan.bytes, recipe, resume) if out is not None else [])
    return msgspec.structs.replace(plan, violations=violations)


def plan_part(recipe: SingleRecipe, microscope: MicroscopeFile, limits: Limits | None = None) -> Plan:
    """The plan of one measurement, whatever comes before or after it; its file is not judged."""
    points = list(recipe.points())
    irradiance = microscope.peak_irradiance_w_cm2(recipe.sample_power_uw)
    dark_s = recipe.dark_spectra * recipe.exposure_s
    spectra = recipe.max_points if isinstance(recipe, AdaptiveMap) else len(points)
    measuring_s, lit_longest_s = _light(recipe, spectra, microscope.optics.waist_um)
    dose = irradiance * lit_longest_s
    cap = recipe.dose_cap_j_cm2
    if cap is not None and isinstance(recipe, TimeSeries):
        dose = min(dose, cap)      # it stops there by itself
    elif cap is not None and isinstance(recipe, AdaptiveMap):     # and leaves out what would exceed it
        dose = max(min(dose, cap), irradiance * (recipe.exposure_s + MOVE_S))
    if recipe.auto_exposure.target is not None and recipe.auto_exposure.place == "first point":
        dose += recipe.auto_exposure.dose_j_cm2
    size = (spectra + recipe.dark_spectra) * (limits.pixels if limits else PIXELS) * COUNT_BYTES
    violations = _travel(recipe, points, limits) + _exposure(recipe, limits)
    violations += _dose(recipe, dose, irradiance * recipe.exposure_s)
    violations += _needs(recipe, limits)
    if recipe.sample_power_uw > 0:
        head = (limits.laser, limits.head_mw) if limits else None
        violations += power_problems(microscope, recipe.sample_power_uw, head)
    lit_s = dose / irradiance if irradiance > 0 else 0.0
    change, warnings, refusals = _change(recipe, change_rate(recipe.change), lit_s)
    violations += refusals
    return Plan(
        title=recipe.title, kind=recipe.kind, spectra=spectra, duration_s=dark_s + measuring_s, bytes=size,
        peak_dose_j_cm2=dose, peak_irradiance_w_cm2=irradiance, expected_change=change,
        warnings=warnings, violations=violations,
        plan_hash=plan_hash(recipe, microscope), points=points,
    )


def _light(recipe: SingleRecipe, spectra: int, waist_um: float) -> tuple[float, float]:
    """How long it takes without its dark spectra, and how long the spot with most light is lit at the peak, s."""
    if isinstance(recipe, Background):
        return spectra * recipe.exposure_s, spectra * recipe.exposure_s
    if isinstance(recipe, TimeSeries):
        return recipe.duration_s, recipe.duration_s
    if isinstance(recipe, DarkRecovery):
        return recipe.duration_s, spectra * (recipe.exposure_s + SWITCH_S)
    lit_s = recipe.exposure_s + MOVE_S
    if isinstance(recipe, AdaptiveMap):
        return min(recipe.duration_s, spectra * lit_s), lit_s * _overlap(recipe.finest_step_um / waist_um) ** 2
    overlap = _overlap(recipe.step_um / waist_um)
    if recipe.motion == "lines":
        # an even line: the integral along it in place of the sum; the turn is lit at its end
        along = math.sqrt(math.pi / 2.0) * waist_um / recipe.step_um
        return spectra * recipe.exposure_s + recipe.shape[0] * TURN_S, recipe.exposure_s * along * overlap + TURN_S
    return spectra * lit_s, lit_s * overlap**2


def _needs(recipe: SingleRecipe, limits: Limits | None) -> list[str]:
    """What else a kind of recipe needs and lacks."""
    problems = []
    by_shares = "refines by" if isinstance(recipe, AdaptiveMap) else ""
    if isinstance(recipe, TimeSeries) and (recipe.stop_at_plateau or recipe.stop_at_rate_error):
        by_shares = "is ended by"
    x = recipe.sample.composition
    if by_shares and not recipe.analysis.references and (x is None or not 0 < x < 3):
        problems.append(
            f"{recipe.title}: {by_shares} shares, so it needs analysis.references, or sample.composition between 0 and "
            "3"
        )
    if limits is not None and isinstance(recipe, RasterMap) and recipe.motion == "lines" and not limits.lines:
        problems.append(f"{limits.stage}: runs no continuous lines; choose motion = 'steps'")
    auto = recipe.auto_exposure
    if limits is not None and auto.target is not None and auto.place == "spot":
        for axis, value, (low, high) in zip("xy", auto.spot_um, limits.travel_um, strict=True):
            if not low <= value <= high:
                problems.append(
                    f"{limits.stage}: {axis} = {value:.1f} µm asked, allowed {low:.1f} to {high:.1f} µm; choose "
                    "another auto_exposure.spot_um"
                )
    return problems


def _composite(recipe: AnyRecipe, microscope: MicroscopeFile, limits: Limits | None) -> Plan:
    """The plan of several: their sums, and the dose that one spot may get from all of them at most."""
    parts = [plan_part(part, microscope, limits) for part in parts_of(recipe)]
    doses = [plan.peak_dose_j_cm2 for plan in parts]
    fresh = isinstance(recipe, PowerSeries)       # each on its own spot
    violations = [problem for plan in parts for problem in plan.violations]
    if isinstance(recipe, PowerSeries) and len(parts) > 1 and recipe.pitch_um < FRESH * microscope.optics.waist_um:
        violations.append(
            f"{recipe.title}: pitch_um = {recipe.pitch_um:g} µm, needed at least "
            f"{FRESH * microscope.optics.waist_um:g} µm ({FRESH:g} beam waists), so that each spot is fresh"
        )
    return Plan(
        title=recipe.title, kind=recipe.kind, spectra=sum(plan.spectra for plan in parts),
        duration_s=sum(plan.duration_s for plan in parts), bytes=sum(plan.bytes for plan in parts),
        peak_dose_j_cm2=max(doses) if fresh else sum(doses),
        peak_irradiance_w_cm2=max(plan.peak_irradiance_w_cm2 for plan in parts),
        expected_change=max((one for plan in parts if (one := plan.expected_change) is not None), default=None),
        warnings=list(dict.fromkeys(warning for plan in parts for warning in plan.warnings)),
        violations=list(dict.fromkeys(violations)), plan_hash=plan_hash(recipe, microscope),
        points=[point for plan in parts for point in plan.points],
    )


def preflight_words(plan: Plan, out: Path) -> str:
    """What was looked at before anything lights, as one sentence with numbers; only of a plan that may start."""
    free = shutil.disk_usage(out.parent).free
    return (
        f"pre-flight: {plan.title}, {plan.spectra} spectra in {timedelta(seconds=round(plan.duration_s))}, "
        f"{plan.bytes / 1e6:.1f} MB of {free / 1e6:.0f} MB free, peak {plan.peak_irradiance_w_cm2:.3g} W/cm² and "
        f"{plan.peak_dose_j_cm2:.3g} J/cm²; instruments answer and are the right ones, no limit is exceeded"
        + (", interlock closed, no fault" if plan.peak_irradiance_w_cm2 > 0 else "")
    )


def plan_hash(recipe: AnyRecipe, microscope: MicroscopeFile) -> str:
    """SHA-256 over what decides the measurement: the recipe, the path transmission and the focus."""
    what = {
        "recipe": recipe.model_dump(mode="json", exclude={**NOT_DECIDING, "recipes": {"__all__": NOT_DECIDING}}),
        "sample_uw_per_head_mw": microscope.laser.sample_uw_per_head_mw, "waist_um": microscope.optics.waist_um,
    }
    return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()


def _overlap(step_waists: float) -> float:
    """Dose in an endless row of spots in units of one spot's own, ``Σ_k exp(-2 (k step/w0)²)``; squared of a grid."""
    k = np.arange(-np.ceil(3.0 / step_waists), np.ceil(3.0 / step_waists) + 1)
    return float(np.exp(-2.0 * (k * step_waists) ** 2).sum())


def _travel(recipe: SingleRecipe, points: list[Point], limits: Limits | None) -> list[str]:
    if limits is None:
        return []
    field = isinstance(recipe, RasterMap | AdaptiveMap)
    mend = "size_um or another origin_um" if field else "position_um inside the travel"
    problems = []
    for axis, asked, (low, high) in zip(
        "xy", ([p.x_um for p in points], [p.y_um for p in points]), limits.travel_um, strict=True
    ):
        outside = [value for value in asked if not low <= value <= high]
        if outside:
            worst = max(outside, key=lambda value: max(low - value, value - high))
            size = "a smaller " if field else "a "
            problems.append(
                f"{limits.stage}: {axis} = {worst:.1f} µm asked, allowed {low:.1f} to {high:.1f} µm; "
                f"{recipe.title} needs {size}{mend}"
            )
    return problems


def _exposure(recipe: SingleRecipe, limits: Limits | None) -> list[str]:
    if limits is None or limits.exposure_s[0] <= recipe.exposure_s <= limits.exposure_s[1]:
        return []
    return [
        f"{limits.spectrometer}: exposure of {recipe.exposure_s:g} s asked, allowed {limits.exposure_s[0]:g} to "
        f"{limits.exposure_s[1]:g} s; change exposure_s"
    ]


def _dose(recipe: SingleRecipe, dose_j_cm2: float, least_j_cm2: float) -> list[str]:
    """What there is to say against the light that a spot gets in all, and by one exposure."""
    if recipe.dose_cap_j_cm2 is None:
        return []
    if isinstance(recipe, TimeSeries) and least_j_cm2 > recipe.dose_cap_j_cm2:      # it would stop before the first
        return [
            f"{recipe.title}: one exposure gives {least_j_cm2:.4g} J/cm², allowed up to {recipe.dose_cap_j_cm2:.4g} "
            "J/cm² (dose_cap_j_cm2), so not one spectrum could be taken; lower sample_power_uw or exposure_s"
        ]
    if dose_j_cm2 <= recipe.dose_cap_j_cm2:
        return []
    mend = ", exposure_s or raise step_um" if isinstance(recipe, RasterMap) else " or exposure_s or raise interval_s"
    return [
        f"{recipe.title}: peak dose of {dose_j_cm2:.4g} J/cm² planned, allowed up to {recipe.dose_cap_j_cm2:.4g} J/cm² "
        f"(dose_cap_j_cm2); lower sample_power_uw{mend}"
    ]


def _change(
    recipe: SingleRecipe, rate: ChangeRate | None, lit_s: float
) -> tuple[float | None, list[str], list[str]]:
    """Share that a spot will change by, and what there is to say against it: warnings, violations."""
    if rate is None:
        return None, [], []
    share = rate.share(recipe.change, recipe.sample_power_uw, lit_s)
    if isinstance(recipe, TimeSeries) or share <= recipe.change.limit_share:     # a series is there to change the film
        return share, [], []
    said = (
        f"{recipe.title}: its light will change {share:.2%} of the film at a spot ({rate.rate_per_s:.3g}/s at "
        f"{rate.power_uw:g} µW), stated limit {recipe.change.limit_share:.2%} (change.limit_share); lower "
        "sample_power_uw or exposure_s"
    )
    return share, *(([said], []) if recipe.change.beyond == "warn" else ([], [said]))


def _room(out: Path, size: int, recipe: AnyRecipe, resume: bool) -> list[str]:
    if out.suffix.lower() != SUFFIX:
        return [f"output file {out}: measurements are written as {SUFFIX}; name it so, and convert it afterwards"]
    for path in [] if resume else dict.fromkeys((out, *part_paths(out, recipe))):
        if path.exists():
            return [f"output file {path} exists and is never overwritten; choose another name"]
        if journal_path(path).exists():
            return [
                f"journal {journal_path(path)} of an earlier measurement exists; complete it (--resume), move it or "
                "choose another name"
            ]
    if not out.parent.is_dir():
        return [f"output folder {out.parent} does not exist; make it or choose another"]
    free = shutil.disk_usage(out.parent).free
    needed = int(DISK_FACTOR * size) + 10_000_000
    if free < needed:
        return [f"disk of {out.parent}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free; make room"]
    return []
