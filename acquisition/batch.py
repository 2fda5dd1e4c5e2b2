"""Offline analysis of measured files: endmembers from files, then the final series or map analysis of each scan.

The estimators are in :mod:`halidescope.analysis`; here scans are opened, axes matched, detector constants looked up and
results made plain for JSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.results import Number
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.storage import open_scan
from halidescope.analysis.detector import Detector
from halidescope.analysis.halo import HaloResult, analyse_halo
from halidescope.analysis.series import SeriesResult, analyse_series
from halidescope.analysis.series_numbers import NAMES

AXIS_TOLERANCE_NM = 0.01


@dataclass(frozen=True)
class Endmembers:
    """Measured references on one wavelength axis; the last is the phase that grows.

    Attributes
    ----------
    wavelength_nm : ndarray, shape (channels,)
    spectra, spectra_se : ndarray, shape (k, channels)
        Mean dark-subtracted counts and their standard errors.
    labels, sources : tuple of str
    """

    wavelength_nm: NDArray[np.float64]
    spectra: NDArray[np.float64]
    spectra_se: NDArray[np.float64]
    labels: tuple[str, ...]
    sources: tuple[str, ...]


def load_endmembers(paths: Sequence[Path], labels: Sequence[str] = ()) -> Endmembers:
    """Mean spectra of measured files as endmembers.

    Raises
    ------
    BadFileError
        No file, as many labels as files are not given, or the files' wavelength axes differ.
    ScanFileError
        A file cannot be read.
    """
    if not paths:
        raise BadFileError("no reference files: give the measured endmembers, the phase that grows last")
    if labels and len(labels) != len(paths):
        raise BadFileError(f"{len(labels)} labels for {len(paths)} reference files; give one label a file")
    means = []
    for path in paths:
        with open_scan(path) as scan:
            means.append(scan.mean_spectrum())
    axis = means[0].wavelength_nm
    for path, mean in zip(paths, means, strict=True):
        _same_axis(axis, mean.wavelength_nm, f"reference {path}", f"reference {paths[0]}")
    return Endmembers(
        axis,
        np.array([mean.counts for mean in means]),
        # a file of one spectrum cannot tell its own scatter: counting statistics of that spectrum are the floor
        np.array([np.where(np.isfinite(m.counts_se), m.counts_se, np.sqrt(np.abs(m.counts) + 1.0)) for m in means]),
        tuple(labels) or tuple(Path(path).stem for path in paths),
        tuple(str(path) for path in paths),
    )


@dataclass(frozen=True)
class Analysis:
    """What was found in one file.

    ``numbers`` holds every result with its total standard error (statistical and from the references), units in the
    names. ``result`` is the estimator's own object.
    """

    source: str
    kind: str
    spectra: int
    simulated: bool
    labels: tuple[str, ...]
    numbers: dict[str, Number]
    notes: tuple[str, ...]
    result: SeriesResult | HaloResult

    def plain(self) -> dict[str, object]:
        """For JSON: ``name`` and ``name_se`` beside each other."""
        values: dict[str, object] = {
            "file": self.source,
            "kind": self.kind,
            "spectra": self.spectra,
            "simulated": self.simulated,
            "endmembers": list(self.labels),
            "notes": list(self.notes),
        }
        for name, number in self.numbers.items():
            values[name] = number.value
            values[f"{name}_se"] = number.se
        return values


SHARES_NOTE = (
    "Shares are shares of the emission, not volume fractions: carriers funnel to iodide-rich regions and quantum "
    "yields differ."
)


def analyse_scan(scan: Scan, endmembers: Endmembers) -> Analysis:
    """Unmix a scan and fit what its kind allows: kinetics of a time series, the halo of a map.

    Raises
    ------
    BadFileError
        The references are on another wavelength axis.
    ScanFileError
        The scan holds too little, or something that cannot be fitted; the sentence says what.
    """
    _same_axis(scan.wavelength_nm, endmembers.wavelength_nm, scan.source, f"references {endmembers.sources[0]}")
    microscope = parse_microscope(str(scan.metadata["microscope"]), source=f"microscope of {scan.source}")
    detector = Detector(
        dark=scan.dark.mean,
        dark_se=np.nan_to_num(scan.dark.mean_se, nan=0.0),
        gain=microscope.spectrometer.electrons_per_count,
        read_noise=read_noise_counts(scan),
        saturation=float(scan.metadata["calibration"]["saturation_counts"]),
    )
    if scan.kind not in ("raster-map", "time-series"):
        raise ScanFileError(
            f"{scan.source}: a {scan.kind} has no fit here; time series and maps have (the parts of a list one by one)"
        )
    try:
        if scan.kind == "raster-map":
            halo = analyse_halo(
                scan.axes["x"], scan.axes["y"], scan.spectra, endmembers.spectra, valid=scan.valid,
                references_se=endmembers.spectra_se, detector=detector,
            )  # fmt: skip
            return _map_analysis(scan, endmembers, halo)
        rows = scan.valid
        series = analyse_series(
            scan.time_s[rows],
            scan.spectra[rows],
            endmembers.spectra,
            time_se_s=scan.time_se_s[rows],
            zero_se_s=float(scan.metadata["light_on_se_s"]),
            references_se=endmembers.spectra_se,
            detector=detector,
        )
    except ValueError as error:
        raise ScanFileError(f"{scan.source}: cannot be analysed: {error}") from error
    return _series_analysis(scan, endmembers, series)


def read_noise_counts(scan: Scan) -> float:
    """Standard deviation of one dark spectrum in counts, the median over channels; 0 if fewer than two were taken."""
    if scan.dark.count < 2:
        return 0.0
    return float(np.median(scan.dark.spectra.std(axis=0, ddof=1, dtype=np.float64)))


def _series_analysis(scan: Scan, endmembers: Endmembers, series: SeriesResult) -> Analysis:
    numbers = {name: Number(getattr(series, name), getattr(series, f"{name}_se")) for name in NAMES}
    notes = [SHARES_NOTE, *_damage(scan)]
    if not series.kinetics.converged:
        notes.append("The biexponential fit did not converge: too little of the change is in this trace.")
    elif series.kinetics.one_exponential_suffices:
        notes.append("One exponential suffices: the average rate is its rate; k1 and k2 are not determined.")
    return Analysis(
        scan.source, scan.kind, int(scan.valid.sum()), scan.simulated, endmembers.labels, numbers, tuple(notes), series
    )


def _map_analysis(scan: Scan, endmembers: Endmembers, halo: HaloResult) -> Analysis:
    numbers = {
        "halo_radius_um": Number(halo.radius_um, halo.radius_um_se),
        "halo_centre_x_um": Number(halo.centre_um[0], halo.centre_um_se[0]),
        "halo_centre_y_um": Number(halo.centre_um[1], halo.centre_um_se[1]),
        "halo_amplitude": Number(halo.amplitude, halo.amplitude_se),
        "halo_offset": Number(halo.offset, halo.offset_se),
    }
    notes = [SHARES_NOTE, "The halo radius is that at which the share falls to 1/e, √(4 D t).", *_damage(scan)]
    return Analysis(
        scan.source, scan.kind, int(scan.valid.sum()), scan.simulated, endmembers.labels, numbers, tuple(notes), halo
    )


def _damage(scan: Scan) -> list[str]:
    notes = []
    if scan.damaged:
        notes.append(f"{len(scan.damaged)} damaged spectra are left out.")
    if missing := int((~scan.valid).sum()) - len(scan.damaged):
        notes.append(f"{missing} planned spectra were not taken ({scan.metadata['state']}).")
    if saturated := int(scan.saturated.sum()):
        notes.append(f"{saturated} spectra have saturated channels, which are left out.")
    return notes


def _same_axis(one: NDArray[np.float64], other: NDArray[np.float64], name: str, against: str) -> None:
    if len(one) != len(other):
        raise BadFileError(f"{name}: {len(one)} channels, {against}: {len(other)}; measure both with one spectrometer")
    if (worst := float(np.max(np.abs(one - other)))) > AXIS_TOLERANCE_NM:
        raise BadFileError(
            f"{name}: wavelengths differ from {against} by up to {worst:.3g} nm, allowed {AXIS_TOLERANCE_NM} nm; "
            "measure both with one calibration"
        )
