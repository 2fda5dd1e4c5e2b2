"""What the simulated measurements say: every file analysed by the house's own offline analysis."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.analysis_file import AnalysisFile, parse_analysis
from halidescope.acquisition.batch import Analysis, analyse_scan, load_endmembers
from halidescope.acquisition.pictures import peak_track
from halidescope.acquisition.results import Number
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.storage import open_scan
from halidescope.analysis.arrhenius import Arrhenius, fit_arrhenius
from halidescope.analysis.figures import PeakTrack
from halidescope.analysis.flags import Flag
from halidescope.gui.reproduction.measuring import GROWN, LABELS, Measured

Numbers = NDArray[np.float64]
MOVABLE = 2.0     # the segregated phase of this film emits near, not at, the iodide film's wavelength
VACUUM = '[corrections]\nmedium = "vacuum"\n'     # the simulated spectrometer's wavelengths


@dataclass
class Evaluated:
    """Analyses of everything measured; files stay open until :meth:`close`.

    Attributes
    ----------
    films : dict
        Composition → scan and its analysis without endmembers.
    series, maps : dict
        Film → power → scan and analysis; power → scan and analysis.
    rates, diffusion : dict
        Film → fit of ⟨k⟩ over temperature; of D over temperature.
    """

    measured: Measured
    films: dict[float, tuple[Scan, Analysis]] = field(default_factory=dict)
    irradiance: dict[float, Number] = field(default_factory=dict)
    series: dict[float, dict[float, tuple[Scan, Analysis]]] = field(default_factory=dict)
    maps: dict[float, tuple[Scan, Analysis]] = field(default_factory=dict)
    rates: dict[float, Arrhenius] = field(default_factory=dict)
    diffusivity: dict[float, Number] = field(default_factory=dict)
    diffusion: Arrhenius | None = None
    segregation: tuple[Scan, Analysis] | None = None
    recovery: tuple[Scan, Analysis] | None = None
    light_track: PeakTrack | None = None
    dark_track: PeakTrack | None = None

    def close(self) -> None:
        """Close all files."""
        several = [self.films.values(), self.maps.values(), *(one.values() for one in self.series.values())]
        for scan, _ in [pair for pairs in several for pair in pairs]:
            scan.close()
        for pair in (self.segregation, self.recovery):
            if pair is not None:
                pair[0].close()


def evaluate(measured: Measured, map_film: float, say: Callable[[str], None]) -> Evaluated:
    """Analyse all files and fit what needs several of them."""
    found = Evaluated(measured)
    say("analysis")
    plain = parse_analysis(VACUUM)
    for x, path in measured.films.items():
        scan = open_scan(path)
        found.films[x] = (scan, analyse_scan(scan, settings=plain))
    for power_uw, path in measured.irradiance.items():
        with open_scan(path) as scan:
            found.irradiance[power_uw] = _irradiance(scan)
    for x, files in measured.series.items():
        endmembers = load_endmembers(measured.references(x), ("pristine", LABELS[GROWN[x]]))
        settings = _settings(x)
        found.series[x] = {}
        for power_uw, path in files.items():
            scan = open_scan(path)
            found.series[x][power_uw] = (scan, analyse_scan(scan, endmembers, settings))
        if len(files) > 2:
            kelvin = np.array([measured.laws[x][power]["temperature_k"] for power in files])
            numbers = [average_rate(analysis) for _, analysis in found.series[x].values()]
            found.rates[x] = fit_arrhenius(
                kelvin, np.array([n.value for n in numbers]), np.array([n.se or np.nan for n in numbers])
            )
    _evaluate_maps(found, map_film)
    endmembers = load_endmembers(measured.references(MOVABLE), ("pristine", LABELS[GROWN[MOVABLE]]))
    assert measured.segregation is not None
    assert measured.recovery is not None
    light, dark = open_scan(measured.segregation), open_scan(measured.recovery)
    found.segregation = (light, analyse_scan(light, endmembers, _settings(MOVABLE)))
    found.recovery = (dark, analyse_scan(dark, endmembers, _settings(MOVABLE)))
    found.light_track, found.dark_track = peak_track(*found.segregation), peak_track(*found.recovery)
    return found


def average_rate(analysis: Analysis) -> Number:
    """⟨k⟩, with movable endmembers where those were asked for."""
    return analysis.numbers.get("free_average_rate_per_s") or analysis.numbers["average_rate_per_s"]


def yield_of(analysis: Analysis) -> Number:
    """φ, with movable endmembers where those were asked for."""
    return analysis.numbers.get("free_phi") or analysis.numbers["phi"]


def weighted_mean(values: Numbers, errors: Numbers) -> Number:
    """Mean of values with standard errors, its own error not smaller than their scatter says."""
    good = np.isfinite(values) & (errors > 0)
    weights = errors[good] ** -2
    mean = float(weights @ values[good] / weights.sum())
    se = float(weights.sum() ** -0.5)
    if good.sum() > 2:
        se *= max(1.0, float(np.sqrt(weights @ (values[good] - mean) ** 2 / (good.sum() - 1))))
    return Number(mean, se)


def film_peak_ev(analysis: Analysis) -> Number:
    """Peak energy of a pristine film: mean over its spots."""
    assert analysis.peaks is not None
    peaks = analysis.peaks.peaks
    sound = np.asarray(peaks.converged) & (np.asarray(peaks.flags) == 0)
    return weighted_mean(np.asarray(peaks.centre)[sound], np.asarray(peaks.centre_se)[sound])


def film_width_ev(analysis: Analysis) -> Number:
    """Full width at half maximum of a pristine film's band."""
    assert analysis.peaks is not None
    peaks, factor = analysis.peaks.peaks, float(np.sqrt(8 * np.log(2)))
    sound = np.asarray(peaks.converged) & (np.asarray(peaks.flags) == 0)
    sigma = weighted_mean(np.asarray(peaks.sigma)[sound], np.asarray(peaks.sigma_se)[sound])
    return Number(factor * sigma.value, factor * (sigma.se or 0.0))


def iodine_at(scan: Scan, analysis: Analysis, nearest_um: float, farthest_um: float) -> Number:
    """Mean iodine content of a map between two distances from the halo's centre."""
    assert analysis.peaks is not None
    found = analysis.peaks
    x, y = np.meshgrid(scan.axes["x"], scan.axes["y"])
    centre = analysis.numbers["halo_centre_x_um"].value, analysis.numbers["halo_centre_y_um"].value
    distance = np.hypot(x - centre[0], y - centre[1])
    sound = scan.valid & np.asarray(found.peaks.converged) & ((found.composition.flags & Flag.OUTSIDE) == 0)
    inside = sound & (distance >= nearest_um) & (distance <= farthest_um)
    return weighted_mean(found.composition.x[inside], found.composition.x_se[inside])


def _settings(x: float) -> AnalysisFile:
    return parse_analysis(VACUUM + ("[unmixing]\nshift = true\nbroadening = true\n" if x == MOVABLE else ""))


def _irradiance(scan: Scan) -> Number:
    """W/cm² from the dose and the time that the file records: the slope of one over the other."""
    time_s, dose = scan.time_s[scan.valid], scan.dose_j_cm2[scan.valid]
    line, covariance = np.polyfit(time_s, dose, 1, cov=True)
    return Number(float(line[0]), float(np.sqrt(covariance[0, 0])))


def _evaluate_maps(found: Evaluated, film: float) -> None:
    """D at every power from the halo's radius and the ⟨k⟩ of the exposure that made it; D over temperature."""
    measured = found.measured
    endmembers = load_endmembers(measured.references(film), ("pristine", LABELS[GROWN[film]]))
    for power_uw, path in measured.maps.items():
        rate = average_rate(found.series[film][power_uw][1])
        scan = open_scan(path)
        settings = parse_analysis(VACUUM + f"[map]\ndiffusion_time_s = {1.0 / rate.value!r}\n")
        analysis = analyse_scan(scan, endmembers, settings)
        found.maps[power_uw] = (scan, analysis)
        radius = analysis.numbers["halo_radius_um"]
        value = radius.value**2 * rate.value / 4 * 1e-12
        relative = np.hypot(2 * (radius.se or 0.0) / radius.value, (rate.se or 0.0) / rate.value)
        found.diffusivity[power_uw] = Number(value, float(value * relative))
    if len(measured.maps) > 2:
        kelvin = np.array([measured.laws[film][power]["temperature_k"] for power in measured.maps])
        numbers = list(found.diffusivity.values())
        found.diffusion = fit_arrhenius(
            kelvin, np.array([n.value for n in numbers]), np.array([n.se or np.nan for n in numbers])
        )
