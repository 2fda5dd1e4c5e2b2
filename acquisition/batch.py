"""Offline analysis of one saved scan: corrections, shares, peaks and what its kind allows, with errors and notes.

The estimators are in :mod:`halidescope.analysis`; here scans are opened, axes matched, detector constants looked up and
results made plain for JSON. Many files are in :mod:`halidescope.acquisition.many`.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.analysis_file import AnalysisFile
from halidescope.acquisition.conditions import Conditions, conditions_of, read_noise_counts
from halidescope.acquisition.movable import free_kinetics, moved_by
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.references import Endmembers, endmembers_for, load_endmembers, same_axis
from halidescope.acquisition.replay import replay_or_why_not
from halidescope.acquisition.results import Number, OnlineResults, numbers_of
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.series_words import notes_of, said_of
from halidescope.analysis.composition import Medium, energy_ev
from halidescope.analysis.cosmic import CosmicRays
from halidescope.analysis.diffusion import Profile, fit_profile
from halidescope.analysis.figures import RadialProfile
from halidescope.analysis.flags import Flag, TooFewPointsError
from halidescope.analysis.global_diffusion import radial_average
from halidescope.analysis.halo import HaloResult, analyse_halo
from halidescope.analysis.iodine import PeakMap, peak_map
from halidescope.analysis.nuisance import NuisanceUnmixing, unmix_with_nuisance
from halidescope.analysis.references import unit_sum
from halidescope.analysis.residuals import ResidualTest, check_residuals
from halidescope.analysis.robust import scatter
from halidescope.analysis.series import SeriesResult, analyse_series
from halidescope.analysis.unmixing import Unmixing
from halidescope.analysis.yields import WeightedShares, weighted_shares

__all__ = ["SHARES_NOTE", "Analysis", "Endmembers", "analyse_scan", "load_endmembers", "read_noise_counts"]

DEFAULTS = AnalysisFile()
SHARES_NOTE = (
    "Shares are shares of the emission, not volume fractions: carriers funnel to iodide-rich regions and quantum "
    "yields differ."
)
FEWEST_CHANNELS = 64     # of the test of whiteness
PAIRS = 4                # of noisier endmembers, for what their noise does to movable ones
NOTHING = Flag.NO_SIGNAL | Flag.NOT_CONVERGED     # a fit with one of these has no numbers
ROUNDING = 0.3           # counts; integers are no better known


@dataclass(frozen=True)
class Analysis:
    """What was found in one file; arrays have the shape of the scan's points.

    Attributes
    ----------
    numbers : dict
        Every single result with its total standard error (statistical and from the references), units in the names.
    result : SeriesResult, HaloResult or None
        The estimator's own object; None for kinds that have no fit.
    endmembers, unmixing, residuals, weighted, nuisance
        None where there are no endmembers, or where it was not asked for.
    peaks : PeakMap or None
    radial : RadialProfile or None
        Mean share over rings around the halo, of a map.
    profile : Profile or None
        The paper's diffusion profile through the halo's centre, where a diffusion time was given.
    cosmic : CosmicRays or None
    online : OnlineResults or None
        The online analysis, computed anew from the file.
    notes : tuple of str
        What a reader of the numbers must know.
    """

    source: str
    kind: str
    spectra: int
    simulated: bool
    labels: tuple[str, ...]
    numbers: dict[str, Number]
    notes: tuple[str, ...]
    medium: Medium = "air"
    result: SeriesResult | HaloResult | None = None
    endmembers: Endmembers | None = None
    unmixing: Unmixing | None = None
    residuals: ResidualTest | None = None
    weighted: WeightedShares | None = None
    nuisance: NuisanceUnmixing | None = None
    peaks: PeakMap | None = None
    radial: RadialProfile | None = None
    profile: Profile | None = None
    cosmic: CosmicRays | None = None
    online: OnlineResults | None = None
    conditions: Conditions | None = field(default=None, repr=False)

    def plain(self) -> dict[str, object]:
        """For JSON: ``name`` and ``name_se`` beside each other; null for what is not determined."""
        values: dict[str, object] = {
            "file": self.source,
            "kind": self.kind,
            "spectra": self.spectra,
            "simulated": self.simulated,
            "wavelengths_in": self.medium,
            "endmembers": list(self.labels),
            "notes": list(self.notes),
        }
        for name, number in self.numbers.items():
            values |= number.plain(name)
        if isinstance(self.result, SeriesResult):
            values |= said_of(self.result)
        return values


def analyse_scan(
    scan: Scan, endmembers: Endmembers | None = None, settings: AnalysisFile = DEFAULTS, *, online: bool = False
) -> Analysis:
    """Correct, unmix, fit peaks, and fit what the scan's kind allows: kinetics of a series, the halo of a map.

    Parameters
    ----------
    endmembers : Endmembers, optional
        Instead of those that ``settings`` or the scan's own recipe name.
    online : bool
        Compute the online analysis anew as well.

    Raises
    ------
    BadFileError
        The references are on another wavelength axis, or cannot be used.
    ScanFileError
        The scan holds too little, or something that cannot be fitted; the sentence says what.
    """
    found = conditions_of(scan, settings.corrections)
    medium = settings.corrections.medium
    if endmembers is None:
        endmembers = endmembers_for(scan, settings.references, found.detector, medium)
    if endmembers is not None:
        same_axis(scan.wavelength_nm, endmembers.wavelength_nm, scan.source, f"references {endmembers.sources[0]}")
    analysis = Analysis(
        scan.source, scan.kind, int(scan.valid.sum()), scan.simulated, (), {},
        (*found.notes, *_damage(scan)), medium=medium, cosmic=found.cosmic, conditions=found,
    )  # fmt: skip
    if not scan.valid.any():
        raise ScanFileError(f"{scan.source}: holds no valid spectrum; nothing can be analysed")
    try:
        if not settings.peaks.skip:
            analysis = _with_peaks(analysis, scan, found, settings)
        if endmembers is None:
            return replace(analysis, notes=(
                *analysis.notes, "No endmembers: neither references nor the film's composition are given, so there "
                "are no shares; give --references or an analysis file.",
            ))  # fmt: skip
        analysis = replace(
            analysis, labels=endmembers.labels, endmembers=endmembers,
            notes=(SHARES_NOTE, *([endmembers.warning] if endmembers.warning else []), *analysis.notes),
        )  # fmt: skip
        if scan.kind == "raster-map":
            analysis = _map(analysis, scan, found, endmembers, settings)
        elif scan.kind == "time-series" and len(endmembers.labels) > 1:
            analysis = _series(analysis, scan, found, endmembers, settings)
        else:
            analysis = replace(analysis, unmixing=found.detector.unmix(found.counts, endmembers.spectra))
            if scan.kind == "dark-recovery":
                analysis = _recovery(analysis, scan)
        analysis = _besides(analysis, scan, found, endmembers, settings)
    except ValueError as error:
        raise ScanFileError(f"{scan.source}: cannot be analysed: {error}") from error
    if online:
        again, why_not = replay_or_why_not(scan)
        analysis = replace(analysis, online=again, notes=(*analysis.notes, *([why_not] if why_not else [])))
    return analysis


def _with_peaks(analysis: Analysis, scan: Scan, found: Conditions, settings: AnalysisFile) -> Analysis:
    low, high = settings.peaks.between_nm
    inside = (scan.wavelength_nm >= low) & (scan.wavelength_nm <= high)
    if inside.sum() < 10:
        return replace(analysis, notes=(
            *analysis.notes, f"No peaks: the spectra have {int(inside.sum())} channels from {low:g} to {high:g} nm.",
        ))  # fmt: skip
    peaks = peak_map(
        scan.wavelength_nm, np.where(scan.valid[..., None], found.counts, np.nan), medium=analysis.medium,
        detector=found.detector, model=settings.peaks.model, between_nm=(low, high),
    )  # fmt: skip
    fitted = peaks.peaks.converged & (peaks.peaks.flags == 0)
    notes = list(analysis.notes)
    if failed := int((scan.valid & ~fitted).sum()):
        notes.append(f"{failed} of {int(scan.valid.sum())} spectra have no sound peak; they are flagged.")
    if outside := int((fitted & ((peaks.composition.flags & Flag.OUTSIDE) != 0)).sum()):
        notes.append(f"{outside} peak energies belong to no composition from 0 to 3; they are flagged, not clipped.")
    numbers = dict(analysis.numbers)
    if fitted.any() and scan.kind != "raster-map":
        centre, error = np.asarray(peaks.peaks.centre)[fitted], np.asarray(peaks.peaks.centre_se)[fitted]
        for name, k in (("first_peak_ev", 0), ("last_peak_ev", -1)):
            numbers[name] = Number(float(centre[k]), float(error[k]))
    return replace(analysis, peaks=peaks, numbers=numbers, notes=tuple(notes))


def _series(
    analysis: Analysis, scan: Scan, found: Conditions, endmembers: Endmembers, settings: AnalysisFile
) -> Analysis:
    rows = scan.valid & np.isfinite(scan.time_s)
    try:
        series = analyse_series(
            scan.time_s[rows],
            found.counts[rows],
            endmembers.spectra,
            references_se=endmembers.spectra_se,
            detector=found.detector,
            time_se_s=np.nan_to_num(scan.time_se_s[rows]),
            zero_se_s=float(scan.metadata.get("light_on_se_s") or 0.0),
            phi_time_s=settings.kinetics.phi_time_s,
        )
    except TooFewPointsError as error:
        return _shares_alone(analysis, scan, found, endmembers, f"No kinetics: {error}")
    notes, last_s = notes_of(series), float(series.time_s.max())
    if series.phi_time_s > last_s:
        notes.append(f"φ is extrapolated to {series.phi_time_s:g} s: the last spectrum is of {last_s:.3g} s.")
    return replace(
        analysis, numbers={**numbers_of(series), **analysis.numbers}, notes=(*analysis.notes, *notes),
        result=series, unmixing=_spread(series.unmixing, rows) if not rows.all() else series.unmixing,
    )  # fmt: skip


def _shares_alone(
    analysis: Analysis, scan: Scan, found: Conditions, endmembers: Endmembers, why: str
) -> Analysis:
    """Shares where there is too little for the fit that a scan's kind has, and the reason."""
    unmixed = found.detector.unmix(found.counts, endmembers.spectra)
    good = int((scan.valid & unmixed.valid).sum())
    note = f"{why} ({good} of {int(scan.valid.sum())} spectra have shares)."
    return replace(analysis, unmixing=unmixed, notes=(*analysis.notes, note))


def _recovery(analysis: Analysis, scan: Scan) -> Analysis:
    """Shares of the last endmember at the first and the last look; a recovery is too sparse for two exponentials."""
    assert analysis.unmixing is not None
    good = np.flatnonzero(scan.valid & analysis.unmixing.valid)
    numbers = dict(analysis.numbers)
    if good.size:
        for name, k in (("first_share", good[0]), ("last_share", good[-1])):
            numbers[name] = Number(
                float(analysis.unmixing.shares[k, -1]), float(analysis.unmixing.shares_se[k, -1])
            )
    return replace(analysis, numbers=numbers)


def _map(
    analysis: Analysis, scan: Scan, found: Conditions, endmembers: Endmembers, settings: AnalysisFile
) -> Analysis:
    if len(endmembers.labels) < 2:
        return replace(analysis, unmixing=found.detector.unmix(found.counts, endmembers.spectra))
    x_um, y_um = scan.axes["x"], scan.axes["y"]
    try:
        halo = analyse_halo(
            x_um, y_um, found.counts, endmembers.spectra, valid=scan.valid, references_se=endmembers.spectra_se,
            detector=found.detector,
        )  # fmt: skip
    except TooFewPointsError as error:
        return _shares_alone(analysis, scan, found, endmembers, f"No halo: {error}")
    numbers = {
        "halo_radius_um": Number(halo.radius_um, halo.radius_um_se),
        "halo_centre_x_um": Number(halo.centre_um[0], halo.centre_um_se[0]),
        "halo_centre_y_um": Number(halo.centre_um[1], halo.centre_um_se[1]),
        "halo_amplitude": Number(halo.amplitude, halo.amplitude_se),
        "halo_offset": Number(halo.offset, halo.offset_se),
    }
    notes = [*analysis.notes, "The halo radius is that at which the share falls to 1/e, √(4 D t)."]
    if halo.halo.flags & Flag.NO_SIGNAL:
        notes.append("There is no halo: the share is the same everywhere within its errors.")
    elif halo.halo.flags & Flag.NOT_CONVERGED:
        notes.append("The fit of the halo did not settle: this map does not determine it.")
    elif halo.halo.flags & Flag.OUTSIDE:
        notes.append("The halo's centre lies outside the map: its numbers are extrapolated.")
    unsound = bool(halo.halo.flags & NOTHING)
    if unsound:
        numbers = dict.fromkeys(numbers, Number(math.nan))
    share = np.where(scan.valid & halo.unmixing.valid, halo.unmixing.shares[..., -1], np.nan)
    step = settings.map.radial_step_um or float(np.median(np.diff(x_um))) if x_um.size > 1 else 1.0
    radial = RadialProfile(*radial_average(x_um, y_um, share, halo.centre_um, step))
    profile = None
    if settings.map.diffusion_time_s is not None and not unsound:
        row = int(np.argmin(np.abs(y_um - halo.centre_um[1])))
        light = found.light.scale[row]
        counts, errors = halo.unmixing.amplitudes[row, :, -1] / light, halo.unmixing.amplitudes_se[row, :, -1] / light
        good = np.isfinite(counts) & (errors > 0) & scan.valid[row]
        time_s = settings.map.diffusion_time_s
        try:
            profile = fit_profile(x_um[good], counts[good], time_s, errors[good], offset=True)
        except TooFewPointsError as error:
            notes.append(f"No diffusion profile: {error}.")
        else:
            numbers["diffusivity_m2_s"] = Number(float(profile.diffusivity_m2_s), float(profile.diffusivity_m2_s_se))
            if profile.flags:
                told = ", ".join(str(flag.name).lower().replace("_", " ") for flag in Flag(profile.flags))
                notes.append(f"The diffusion profile through the spot is flagged: {told}.")
            if profile.flags & NOTHING:
                numbers["diffusivity_m2_s"], profile = Number(math.nan), None
        numbers["halo_diffusivity_m2_s"] = Number(
            halo.halo.diffusivity_m2_s(time_s),
            float(2 * halo.halo.diffusivity_m2_s(time_s) * halo.radius_um_se / halo.radius_um),
        )
    return replace(
        analysis, numbers={**numbers, **analysis.numbers}, notes=tuple(notes), result=halo, unmixing=halo.unmixing,
        radial=radial, profile=profile,
    )  # fmt: skip


def _besides(
    analysis: Analysis, scan: Scan, found: Conditions, endmembers: Endmembers, settings: AnalysisFile
) -> Analysis:
    """Test of the residuals, shares weighted by yields, shifts and broadening of the endmembers."""
    unmixed = analysis.unmixing
    assert unmixed is not None
    shapes = unit_sum(endmembers.spectra, found.detector.response)
    numbers, notes = dict(analysis.numbers), list(analysis.notes)
    if found.light.asked and (emission := _emission(scan, found, unmixed)) is not None:
        numbers[f"mean_emission_{found.light.ending}"] = emission
    residuals = weighted = nuisance = None
    detector = found.detector
    if settings.unmixing.whiteness and len(scan.wavelength_nm) >= FEWEST_CHANNELS:
        residuals = check_residuals(
            found.counts, shapes, unmixed, dark=detector.dark, gain=detector.gain,
            read_noise=max(detector.read_noise, ROUNDING),
            references_se=endmembers.spectra_se * (shapes.sum(axis=1) / endmembers.spectra.sum(axis=1))[:, None],
        )  # fmt: skip
        sound = scan.valid & unmixed.valid
        misfit = int((sound & ((residuals.flags & Flag.MISFIT) != 0)).sum())
        if sound.any():
            count, chi2 = int(sound.sum()), residuals.reduced_chi2[sound]
            middle = float(np.median(chi2))
            # of a median; the scatter by the median too, so that one wild spectrum does not make it
            spread = scatter(chi2 - middle) * np.sqrt(np.pi / 2 / count)
            numbers["median_reduced_chi2"] = Number(middle, float(spread) or None)
            chance = (misfit + 0.5) / (count + 1)
            numbers["misfit_share"] = Number(misfit / count, float(np.sqrt(chance * (1 - chance) / count)))
        if misfit:
            notes.append(
                f"The endmembers do not describe {misfit} of {int(sound.sum())} spectra: their residuals are not noise."
            )
    if settings.references.relative_yields:
        errors = settings.references.relative_yields_se or 0.0
        weighted = weighted_shares(unmixed, settings.references.relative_yields, errors)
        notes.append("Weighted shares are divided by the relative yields given; funnelling may remain in them.")
    if settings.unmixing.shift or settings.unmixing.broadening:
        energy = np.asarray(energy_ev(scan.wavelength_nm, analysis.medium))

        def movable(references: NDArray[np.float64]) -> NuisanceUnmixing:
            return unmix_with_nuisance(
                found.counts, references, energy, shift=settings.unmixing.shift,
                broadening=settings.unmixing.broadening, dark=detector.dark, gain=detector.gain,
                read_noise=max(detector.read_noise, ROUNDING), saturation=detector.saturation,
            )  # fmt: skip

        nuisance = movable(shapes)
        numbers |= moved_by(nuisance, scan.valid, endmembers.labels)
        if isinstance(analysis.result, SeriesResult):
            errors = endmembers.spectra_se * (shapes.sum(axis=1) / endmembers.spectra.sum(axis=1))[:, None]
            rng = np.random.default_rng(0)
            noise = [errors * rng.standard_normal(shapes.shape) for _ in range(PAIRS)] if errors.any() else []
            drawn = [movable(shapes + sign * one) for one in noise for sign in (1, -1)]
            numbers |= free_kinetics(nuisance, drawn, scan, analysis.result.phi_time_s)
            notes.append("Numbers named free_… come from shares with movable endmembers.")
    return replace(
        analysis, residuals=residuals, weighted=weighted, nuisance=nuisance, numbers=numbers, notes=tuple(notes)
    )


def _emission(scan: Scan, found: Conditions, unmixed: Unmixing) -> Number | None:
    """Mean over the scan of the emission of all endmembers, per second or microwatt where that is asked for."""
    good = scan.valid & unmixed.valid
    if not good.any():
        return None
    light = found.light.scale[good]
    total, variance = unmixed.amplitudes[good].sum(axis=-1), unmixed.covariance[good].sum(axis=(-2, -1))
    return Number(float(np.mean(total / light)), float(np.sqrt(np.sum(variance / light**2)) / good.sum()))


def _spread(unmixing: Unmixing, rows: NDArray[np.bool_]) -> Unmixing:
    """Results of some rows at their places among all; the others are NaN and flagged as not measured."""

    def placed(values: NDArray[Any]) -> NDArray[Any]:
        whole = np.full((rows.size, *values.shape[1:]), np.nan)
        whole[rows] = values
        return whole

    flags = np.full(rows.size, int(Flag.NOT_FINITE))
    flags[rows] = unmixing.flags
    names = ("amplitudes", "amplitudes_se", "shares", "shares_se", "covariance", "residual_rms")
    return Unmixing(**{name: placed(getattr(unmixing, name)) for name in names}, flags=flags)


def _damage(scan: Scan) -> list[str]:
    notes = []
    if scan.damaged:
        notes.append(f"{len(scan.damaged)} damaged spectra are left out.")
    if missing := int((~scan.valid).sum()) - len(scan.damaged):
        notes.append(f"{missing} planned spectra were not taken ({scan.metadata['state']}).")
    if saturated := int(scan.saturated.sum()):
        notes.append(f"{saturated} spectra have saturated channels, which are left out.")
    return notes
