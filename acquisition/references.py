"""Endmembers for the analysis of a saved scan, with their standard errors and where they came from.

Measured files, a library by composition, model bands, or extracted from the scan itself; what the online analysis takes
is in :mod:`halidescope.acquisition.endmembers`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.analysis_file import ReferencesTable
from halidescope.acquisition.endmembers import phases_of
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.scan import MeanSpectrum, Scan
from halidescope.analysis.composition import Medium, energy_ev, peak_energy
from halidescope.analysis.detector import Detector
from halidescope.analysis.extraction import extract_endmembers
from halidescope.analysis.library import BAND_SIGMA_EV, library_spectrum, model_band

Numbers = NDArray[np.float64]
AXIS_TOLERANCE_NM = 0.01
MODELLED = (
    f"The endmembers are model bands (σ = {BAND_SIGMA_EV * 1e3:g} meV), not measured: shares are indicative, and their "
    "errors do not contain this."
)


@dataclass(frozen=True)
class Endmembers:
    """References on one wavelength axis; the last is the phase that grows.

    Attributes
    ----------
    wavelength_nm : ndarray, shape (channels,)
    spectra, spectra_se : ndarray, shape (k, channels)
        Dark-subtracted counts (measured), or unit sum, and their standard errors.
    labels, sources : tuple of str
    warning : str
        What a reader of shares must know of them; empty for measured ones.
    """

    wavelength_nm: Numbers
    spectra: Numbers
    spectra_se: Numbers
    labels: tuple[str, ...]
    sources: tuple[str, ...]
    warning: str = ""


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
    means = [_mean(path) for path in paths]
    axis = means[0].wavelength_nm
    for path, mean in zip(paths, means, strict=True):
        same_axis(axis, mean.wavelength_nm, f"reference {path}", f"reference {paths[0]}")
    return Endmembers(
        axis,
        np.array([mean.counts for mean in means]),
        np.array([_errors(mean) for mean in means]),
        tuple(labels) or tuple(Path(path).stem for path in paths),
        tuple(str(path) for path in paths),
    )


def endmembers_for(scan: Scan, asked: ReferencesTable, detector: Detector, medium: Medium) -> Endmembers | None:
    """What an analysis file asks for, else what the scan's recipe named; None if there is neither.

    Raises
    ------
    BadFileError, ScanFileError
        As :func:`load_endmembers`; a library or a model that does not hold a composition; nothing to be extracted.
    """
    energy = np.asarray(energy_ev(scan.wavelength_nm, medium))
    try:
        if asked.files:
            return load_endmembers([Path(name) for name in asked.files], asked.labels)
        if asked.compositions and asked.library:
            return _from_library(scan, asked, energy)
        if asked.compositions:
            return _models(scan.wavelength_nm, asked.compositions, asked.labels, energy)
        if asked.extract:
            return _extracted(scan, asked, detector)
    except ValueError as error:
        raise BadFileError(f"{scan.source}: endmembers: {error}") from error
    return _of_the_recipe(scan, energy)


def model_phases(wavelength_nm: Numbers, x: float, energy: Numbers) -> Endmembers:
    """Model bands of the two phases of a film of composition x, 0 < x < 3; ValueError outside the wavelengths."""
    (pristine, pristine_ev), (grown, grown_ev) = phases_of(x)
    bands = np.array([model_band(energy, centre) for centre in (pristine_ev, grown_ev)])
    return Endmembers(
        wavelength_nm, bands, np.zeros(bands.shape), (pristine, grown),
        (f"model band of x = {x:g}", f"model band at {grown_ev:.3f} eV"), MODELLED,
    )  # fmt: skip


def same_axis(one: Numbers, other: Numbers, name: str, against: str) -> None:
    """Raise BadFileError unless two wavelength axes are the same channels of one calibration."""
    if len(one) != len(other):
        raise BadFileError(f"{name}: {len(one)} channels, {against}: {len(other)}; measure both with one spectrometer")
    if (worst := float(np.max(np.abs(one - other)))) > AXIS_TOLERANCE_NM:
        raise BadFileError(
            f"{name}: wavelengths differ from {against} by up to {worst:.3g} nm, allowed {AXIS_TOLERANCE_NM} nm; "
            "measure both with one calibration"
        )


def _mean(path: Path | str) -> MeanSpectrum:
    with open_any(path) as scan:
        return scan.mean_spectrum()


def _errors(mean: MeanSpectrum) -> Numbers:
    """A file of one spectrum cannot tell its own scatter: counting statistics of that spectrum are the floor."""
    return np.where(np.isfinite(mean.counts_se), mean.counts_se, np.sqrt(np.abs(mean.counts) + 1.0))


def _from_library(scan: Scan, asked: ReferencesTable, energy: Numbers) -> Endmembers:
    spectra, errors, sources = {}, {}, {}
    for text, path in asked.library.items():
        try:
            x = float(text)
        except ValueError:
            raise BadFileError(f"library: {text!r} is no composition; write x as a number, such as \"1.5\"") from None
        mean = _mean(path)
        same_axis(mean.wavelength_nm, scan.wavelength_nm, f"library film {path}", scan.source)
        spectra[x], errors[x], sources[x] = mean.counts, _errors(mean) / mean.counts.sum(), path
    return Endmembers(
        scan.wavelength_nm,
        np.array([library_spectrum(x, energy, spectra) for x in asked.compositions]),
        # between two films: the larger of their errors, the spectra being mixed there
        np.array([
            errors[x] if x in errors else np.max([errors[k] for k in errors], axis=0) for x in asked.compositions
        ]),
        asked.labels or tuple(f"x = {x:g}" for x in asked.compositions),
        tuple(sources.get(x, "between films of the library") for x in asked.compositions),
        "" if all(x in sources for x in asked.compositions) else (
            "Some endmembers lie between the compositions of the library: they are mixed from their neighbours."
        ),
    )  # fmt: skip


def _models(
    wavelength_nm: Numbers, compositions: Sequence[float], labels: Sequence[str], energy: Numbers
) -> Endmembers:
    bands = np.array([model_band(energy, float(peak_energy(x))) for x in compositions])
    return Endmembers(
        wavelength_nm, bands, np.zeros(bands.shape), tuple(labels) or tuple(f"x = {x:g}" for x in compositions),
        tuple(f"model band of x = {x:g}" for x in compositions),
        MODELLED,
    )  # fmt: skip


def _extracted(scan: Scan, asked: ReferencesTable, detector: Detector) -> Endmembers:
    sound = scan.spectra[scan.valid]
    found = extract_endmembers(
        sound, asked.extract, method=asked.method, dark=detector.dark, gain=detector.gain,
        read_noise=detector.read_noise,
    )  # fmt: skip
    return Endmembers(
        scan.wavelength_nm, found.spectra, found.spectra_se,
        asked.labels or tuple(f"extracted {k + 1}" for k in range(asked.extract)),
        tuple(f"extracted from {scan.source} ({asked.method})" for _ in range(asked.extract)), found.warning,
    )  # fmt: skip


def _of_the_recipe(scan: Scan, energy: Numbers) -> Endmembers | None:
    """The measured files that the recipe named, else model bands by the film's composition."""
    recipe = scan.metadata.get("recipe", {})
    asked = recipe.get("analysis", {})
    if files := asked.get("references"):
        missing = [name for name in files if not Path(name).exists()]
        if missing:
            raise ScanFileError(
                f"{scan.source}: its recipe names the reference {missing[0]}, which is not there; give --references"
            )
        return load_endmembers([Path(name) for name in files], asked.get("labels", ()))
    x = recipe.get("sample", {}).get("composition")
    return None if x is None or not 0 < x < 3 else model_phases(scan.wavelength_nm, x, energy)
