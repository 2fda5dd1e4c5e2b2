"""The paper's figures from scans: each function takes scans with their analyses and draws one figure.

Without an analysis the scan is analysed first, with its own recipe's endmembers. The drawing is in
:mod:`halidescope.analysis.figures`; reports, windows and notebooks call these.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from halidescope.acquisition.batch import Analysis, analyse_scan
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.scan import Scan
from halidescope.analysis import carriers
from halidescope.analysis.absorption import first_exciton
from halidescope.analysis.arrhenius import Arrhenius
from halidescope.analysis.composition import HC_EV_NM, Medium, energy_ev
from halidescope.analysis.figures import (
    FilmSpectra,
    PeakTrack,
    PowerPoint,
    composition_figure,
    films_figure,
    heat_and_carriers_figure,
    map_figure,
    power_figure,
    segregation_figure,
    time_series_figure,
)
from halidescope.analysis.flags import Flag
from halidescope.analysis.halo import HaloResult
from halidescope.analysis.heat import temperature_rise
from halidescope.analysis.iodine import highest_band, peak_map
from halidescope.analysis.rounding import scientific
from halidescope.analysis.series import SeriesResult

Numbers = NDArray[np.float64]
EMISSION_NM = (470.0, 760.0)


def figure_1b(
    films: Sequence[tuple[float, Scan]], absorption: Sequence[tuple[float, ArrayLike, ArrayLike]] = (), *,
    medium: Medium = "air",
) -> Figure:
    """Luminescence of films with peaks, and absorption with first excitons.

    Parameters
    ----------
    films : sequence of (x, Scan)
        Scans of pristine films; their mean spectra are drawn, peaks over energy turned to vacuum wavelengths.
    absorption : sequence of (x, wavelength_nm, absorbance)
        From any spectrophotometer, vacuum wavelengths.
    medium : {"air", "vacuum"}
        In which the scans' wavelengths are given.
    """
    absorbed = {x: (np.asarray(nm, dtype=float), np.asarray(values, dtype=float)) for x, nm, values in absorption}
    drawn = []
    for x, scan in films:
        mean = scan.mean_spectrum()
        found = peak_map(
            scan.wavelength_nm, scan.spectra[scan.valid] - scan.dark.mean, medium=medium, between_nm=EMISSION_NM
        )
        centres, errors = np.atleast_1d(found.peaks.centre), np.atleast_1d(found.peaks.centre_se)
        good = np.isfinite(centres) & (errors > 0)
        if not good.any():
            raise ScanFileError(f"{scan.source}: has no peak between {EMISSION_NM[0]:g} and {EMISSION_NM[1]:g} nm")
        weights = errors[good] ** -2
        peak, peak_se = float(weights @ centres[good] / weights.sum()), float(weights.sum() ** -0.5)
        more: dict[str, object] = {}
        if x in absorbed:
            nm, values = absorbed[x]
            exciton = first_exciton(np.asarray(energy_ev(nm)), values)
            more = {
                "absorption_nm": nm, "absorbance": values, "exciton_nm": HC_EV_NM / exciton.energy_ev,
                "exciton_nm_se": HC_EV_NM / exciton.energy_ev**2 * exciton.energy_ev_se,
            }  # fmt: skip
        drawn.append(FilmSpectra(
            x, scan.wavelength_nm, mean.counts, HC_EV_NM / peak, HC_EV_NM / peak**2 * peak_se, **more,  # type: ignore[arg-type]
        ))  # fmt: skip
    return films_figure(drawn)


def figure_2(scan: Scan, analysis: Analysis | None = None) -> Figure:
    """A time series under constant light: spectra, shares, fit and numbers."""
    analysis = analysis or analyse_scan(scan)
    result = analysis.result
    if not isinstance(result, SeriesResult):
        raise ScanFileError(f"{scan.source}: a {scan.kind} has no kinetics to draw; give a time series with endmembers")
    band = result.kinetics.band(result.time_s)
    rows = scan.valid & np.isfinite(scan.time_s)
    numbers = [
        f"φ = {analysis.numbers['phi'].words('%', 100.0)}",
        f"⟨k⟩ = {analysis.numbers['average_rate_per_s'].words('s⁻¹')}",
    ]
    return time_series_figure(
        scan.wavelength_nm, result.time_s, net_counts(scan, analysis)[rows], result.share,
        result.unmixing.shares_se[..., -1], labels=(analysis.labels[0], analysis.labels[-1]),
        fit=(result.kinetics.evaluate(result.time_s), band.low, band.high), numbers=numbers,
        grown_is_bromide=grown_is_bromide(analysis), unit=unit_of(analysis),
    )  # fmt: skip


def figure_3(
    series: Sequence[tuple[Scan, Analysis]], temperature_k: Sequence[float], arrhenius: Arrhenius | None = None
) -> Figure:
    """Shares of a power series, yield and average rate over power, Arrhenius plot over laser-induced temperature.

    Parameters
    ----------
    series : sequence of (Scan, Analysis)
        Time series at different powers.
    temperature_k : sequence of float
        Of the film at each power, from :func:`halidescope.analysis.heat.temperature_rise` or a thermometer.
    """
    points, traces = [], []
    for (scan, analysis), kelvin in sorted(
        zip(series, temperature_k, strict=True), key=lambda one: float(np.nanmax(one[0][0].sample_power_uw))
    ):
        result = analysis.result
        if not isinstance(result, SeriesResult):
            raise ScanFileError(f"{scan.source}: a {scan.kind} is not part of a power series")
        power = float(np.nanmean(scan.sample_power_uw[scan.valid]))
        points.append(PowerPoint(
            power, result.phi, result.phi_se, result.average_rate_per_s, result.average_rate_per_s_se, kelvin
        ))  # fmt: skip
        traces.append((f"{power:.0f} µW", (result.time_s, result.share, result.kinetics.evaluate(result.time_s))))
    return power_figure(points, arrhenius, traces=traces, grown=series[0][1].labels[-1])


def figure_4(scan: Scan, analysis: Analysis | None = None) -> Figure:
    """The map around an exposed spot: shares, intensity, residual test, profile, spectra."""
    analysis = analysis or analyse_scan(scan)
    halo = _halo(scan, analysis)
    share = np.where(scan.valid & halo.unmixing.valid, halo.unmixing.shares[..., -1], np.nan)
    x = np.linspace(scan.axes["x"][0], scan.axes["x"][-1], 400)
    row = scan.axes["y"][np.argmin(np.abs(scan.axes["y"] - halo.centre_um[1]))]
    known = not halo.halo.flags & Flag.NO_SIGNAL
    whiteness = None if analysis.residuals is None else np.where(scan.valid, analysis.residuals.whiteness_z, np.nan)
    return map_figure(
        scan.axes["x"], scan.axes["y"], scan.wavelength_nm, net_counts(scan, analysis), share, halo.centre_um,
        halo.radius_um if known else float("nan"), share_se=halo.unmixing.shares_se[..., -1], label=analysis.labels[-1],
        profile_fit=(x, halo.halo.evaluate(x, np.full_like(x, row))) if known else None, whiteness=whiteness,
        unit=unit_of(analysis),
    )  # fmt: skip


def figure_5(scan: Scan, analysis: Analysis | None = None) -> Figure:
    """Iodine content of every pixel from its peak energy, and the diffusion profile through the spot."""
    analysis = analysis or analyse_scan(scan)
    halo = _halo(scan, analysis)
    if analysis.peaks is None:
        raise ScanFileError(f"{scan.source}: was analysed without peaks, so there is no iodine content to draw")
    found = analysis.peaks
    sound = scan.valid & np.asarray(found.peaks.converged) & (np.asarray(found.peaks.flags) == 0)
    content = np.where(sound, found.composition.x, np.nan)
    row = int(np.argmin(np.abs(scan.axes["y"] - halo.centre_um[1])))
    light = 1.0 if analysis.conditions is None else analysis.conditions.light.scale[row]
    amplitudes = np.where(scan.valid[row], halo.unmixing.amplitudes[row, :, -1] / light, np.nan)
    x = scan.metadata.get("recipe", {}).get("sample", {}).get("composition")
    return composition_figure(
        scan.axes["x"], scan.axes["y"], content, np.where(sound, found.composition.x_se, np.nan), halo.centre_um,
        flagged=sound & ((found.composition.flags & Flag.OUTSIDE) != 0), film_x=x, profile=analysis.profile,
        profile_points=(scan.axes["x"], amplitudes, halo.unmixing.amplitudes_se[row, :, -1] / light),
        unit=unit_of(analysis),
    )  # fmt: skip


def figure_7(
    light: tuple[Scan, Analysis], recovery: tuple[Scan, Analysis] | None = None, *, dark_from_s: float = 0.0
) -> Figure:
    """Segregation of one spot under light, and its recovery in the dark.

    Parameters
    ----------
    light, recovery : (Scan, Analysis)
        The time series and the dark recovery of the same spot.
    dark_from_s : float
        When the light went off, on the recovery's clock; that of a recovery with an exposure of its own starts there.
    """
    scan, analysis = light
    result = analysis.result
    if not isinstance(result, SeriesResult):
        raise ScanFileError(f"{scan.source}: a {scan.kind} has no kinetics to draw; give a time series with endmembers")
    rows = scan.valid & np.isfinite(scan.time_s)
    track = peak_track(scan, analysis)
    band = result.kinetics.band(track.time_s)
    power = float(np.nanmean(scan.sample_power_uw[scan.valid]))
    dark = None if recovery is None else peak_track(*recovery, shift_s=-dark_from_s)
    timed = recovery is None or dark_from_s or recovery[0].metadata.get("recipe", {}).get("exposure_power_uw")
    return segregation_figure(
        scan.wavelength_nm, result.time_s, net_counts(scan, analysis)[rows], track, dark,
        fit=(result.kinetics.evaluate(track.time_s), band.low, band.high),
        labels=(analysis.labels[0], analysis.labels[-1]), power_words=f"{power:.0f} µW", unit=unit_of(analysis),
        grown_is_bromide=grown_is_bromide(analysis), dark_since="" if timed else "the first look",
    )  # fmt: skip


def figure_9(power_uw: float, waist_um: float = 1.0, *, ambient_k: float = 293.0) -> Figure:
    """Temperature and carriers for a power at the sample and a 1/e² radius, with the constants of their modules."""
    rise = temperature_rise(power_uw * 1e-6, waist_um * 1e-6)
    generated = float(carriers.generation(power_uw * 1e-6, waist_um * 1e-6))
    density = float(carriers.steady_state(generated))
    words = [
        f"{power_uw:g} µW: n = {scientific(density)} cm⁻³",
        f"L_D = {float(carriers.diffusion_length_nm(density)):.0f} nm",
    ]
    return heat_and_carriers_figure(
        rise, carriers.transient(generated, np.linspace(0.0, 40e-9, 201)),
        carriers.profile(generated, waist_um * 1e-6), ambient_k=ambient_k, words=words,
    )  # fmt: skip


def peak_track(scan: Scan, analysis: Analysis, *, shift_s: float = 0.0) -> PeakTrack:
    """Wavelength (vacuum) of the highest band, and share of the last endmember, against time; sound spectra only."""
    if analysis.unmixing is None or analysis.conditions is None:
        raise ScanFileError(f"{scan.source}: was analysed without endmembers, so there is no track to draw")
    low, high = EMISSION_NM
    rows = np.flatnonzero(scan.valid & np.isfinite(scan.time_s) & analysis.unmixing.valid)
    top = highest_band(
        scan.wavelength_nm, analysis.conditions.counts[rows], medium=analysis.medium,
        detector=analysis.conditions.detector, between_nm=(low, high),
    )  # fmt: skip
    sound = np.isfinite(top.peak_ev) & (top.peak_ev_se > 0)
    good, centre, error = rows[sound], top.peak_ev[sound], top.peak_ev_se[sound]
    return PeakTrack(
        scan.time_s[good] + shift_s, HC_EV_NM / centre, HC_EV_NM / centre**2 * error,
        analysis.unmixing.shares[good, -1], analysis.unmixing.shares_se[good, -1],
    )  # fmt: skip


def grown_is_bromide(analysis: Analysis) -> bool:
    """True if the phase that grows emits bluer than the first endmember."""
    assert analysis.endmembers is not None
    return bluer_is_last(analysis.endmembers.wavelength_nm, analysis.endmembers.spectra)


def bluer_is_last(wavelength_nm: Numbers, endmembers: Numbers) -> bool:
    """True if the last endmember (of (k, channels)) emits bluer than the first."""
    spectra = np.maximum(endmembers, 0.0)
    centres = spectra @ wavelength_nm / spectra.sum(axis=1)
    return bool(centres[-1] < centres[0])


def net_counts(scan: Scan, analysis: Analysis) -> Numbers:
    """Light above the dark as it was analysed, shape points + (channels,); NaN where nothing was measured.

    In counts, or divided by exposure and power where the analysis is.
    """
    found = analysis.conditions
    assert found is not None
    counts = (found.counts - np.asarray(found.detector.dark)) / found.light.scale[..., None]
    return np.where(scan.valid[..., None], counts, np.nan)


def unit_of(analysis: Analysis) -> str:
    """Of :func:`net_counts`, for people."""
    return "counts" if analysis.conditions is None else analysis.conditions.light.words


def _halo(scan: Scan, analysis: Analysis) -> HaloResult:
    if not isinstance(analysis.result, HaloResult):
        raise ScanFileError(f"{scan.source}: a {scan.kind} has no halo to draw; give a map with two endmembers")
    return analysis.result
