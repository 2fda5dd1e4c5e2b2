"""What a saved scan's detector was like: dark, gain, noise, saturation and response, from its file and what overrules
it.

Non-linearity and cosmic rays change the counts themselves and are dealt with here too; both are reported.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.analysis_file import CorrectionsTable
from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.per_light import PerLight, per_light
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.scan import Scan
from halidescope.analysis.corrections import linearise, noise_floor
from halidescope.analysis.cosmic import CosmicRays, find_cosmic_rays, without_cosmic_rays
from halidescope.analysis.detector import Detector

Numbers = NDArray[np.float64]
FULL_SCALES = (4095.0, 16383.0, 65535.0, 262143.0)     # of 12, 14, 16 and 18 bits


@dataclass(frozen=True)
class Conditions:
    """Spectra ready for the fits, and what was known and done.

    Attributes
    ----------
    counts : ndarray, shape points + (channels,)
        Raw counts, or those that corrections made of them.
    detector : Detector
        For these counts; its dark is 0 where it was subtracted already.
    cosmic : CosmicRays or None
        Every hit found, whether replaced or not; None if they were not looked for.
    replaced : bool
    notes : tuple of str
    light : PerLight
        What emission is divided by in the results.
    """

    counts: NDArray[np.generic]
    detector: Detector
    cosmic: CosmicRays | None
    replaced: bool
    notes: tuple[str, ...]
    light: PerLight


def conditions_of(scan: Scan, asked: CorrectionsTable) -> Conditions:
    """Counts and detector of a scan.

    Raises
    ------
    BadFileError
        The response file cannot be used.
    ScanFileError
        Counts beyond the validity of the linearity polynomial; exposures or powers that are not known.
    """
    light = per_light(scan, asked)
    notes: list[str] = []
    dark, dark_se = scan.dark.mean, np.nan_to_num(scan.dark.mean_se, nan=0.0)
    if asked.dark_counts is not None:
        dark, dark_se = np.full(len(scan.wavelength_nm), asked.dark_counts), np.zeros(len(scan.wavelength_nm))
    elif not scan.dark.count:
        notes.append("No dark spectra: a dark level of 0 counts is taken; set dark_counts if it was not subtracted.")
    text = str(scan.metadata.get("microscope") or "")
    if asked.electrons_per_count is not None:
        gain = asked.electrons_per_count
    elif text:
        gain = parse_microscope(text, source=f"microscope of {scan.source}").spectrometer.electrons_per_count
    else:
        gain = 1.0
        notes.append("The gain of the detector is not known: 1 electron per count is taken, and errors follow it.")
    if asked.read_noise_counts is not None:
        read_noise = asked.read_noise_counts
    elif scan.dark.count >= 2:
        read_noise = read_noise_counts(scan)
    else:
        read_noise = noise_floor(scan.spectra[scan.valid], dark)
        notes.append(
            f"The read noise is not known: {read_noise:.3g} counts are taken, from the dimmest channels; set "
            "read_noise_counts if you know it."
        )
    saturation = asked.saturation_counts
    if saturation is None:
        told = dict(scan.metadata.get("calibration") or {}).get("saturation_counts")
        saturation = None if told is None else float(told)
        if told is None and (full := _full_scale(scan.spectra)):
            saturation = full
            notes.append(
                f"The saturation is not known: {full:.0f} counts, a detector's full scale and the greatest value here, "
                "are taken for it, and channels that reach it are left out; set saturation_counts if you know it."
            )
    response = read_response(Path(asked.response), scan.wavelength_nm) if asked.response else 1.0
    counts = scan.spectra
    cosmic, replaced = None, False
    if asked.cosmic_rays != "ignore" and counts.ndim <= 3:
        cosmic = find_cosmic_rays(counts, dark=dark, gain=gain, read_noise=max(read_noise, 0.3))
        replaced = asked.cosmic_rays == "replace" and cosmic.channel.size > 0
        if cosmic.channel.size:
            spectra = np.unique(cosmic.spectrum).size
            done = "replaced by the level beside them" if replaced else "left as they are"
            notes.append(f"{cosmic.channel.size} channels in {spectra} spectra were hit by cosmic rays and {done}.")
        if replaced:
            counts = without_cosmic_rays(counts, cosmic)
    if asked.linearity:
        try:
            net = linearise(counts - dark, asked.linearity, valid_to=asked.linearity_valid_to).signal
        except ValueError as error:
            raise ScanFileError(f"{scan.source}: linearity: {error}") from error
        if saturation is not None:
            net = np.where(counts >= saturation, np.inf, net)       # stays recognisable as saturated
        counts, dark = net, np.zeros(len(dark))
        saturation = None if saturation is None else float(np.finfo(np.float64).max)
        notes.append("Counts were corrected for the detector's non-linearity.")
    detector = Detector(
        dark=dark, dark_se=dark_se, gain=gain, read_noise=read_noise, saturation=saturation, response=response
    )
    if light.asked:
        notes.append(f"Emission is given in {light.words}.")
    return Conditions(counts, detector, cosmic, replaced, tuple(notes), light)


def _full_scale(spectra: NDArray[np.generic]) -> float | None:
    """The greatest count if it is the last one of a converter: then it says nothing of the light."""
    greatest = float(np.max(spectra, initial=0, where=np.isfinite(spectra)))
    return greatest if greatest in FULL_SCALES else None


def read_noise_counts(scan: Scan) -> float:
    """Standard deviation of one dark spectrum in counts, the median over channels; 0 if fewer than two were taken."""
    if scan.dark.count < 2:
        return 0.0
    return float(np.median(scan.dark.spectra.std(axis=0, ddof=1, dtype=np.float64)))


def read_response(path: Path, wavelength_nm: Numbers) -> Numbers:
    """Relative efficiency on the scan's axis from a CSV of two columns (wavelength in nm, efficiency), its maximum 1.

    Raises
    ------
    BadFileError
        The file cannot be read, holds something else, or does not cover the axis.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row and not row[0].lstrip().startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(f"response {path}: cannot be read ({error}); check the path") from error
    try:
        table = np.array([[float(cell) for cell in row[:2]] for row in rows if _is_number(row[0])], dtype=np.float64)
    except (ValueError, IndexError) as error:
        raise BadFileError(f"response {path}: {error}; needed are two columns, nm and efficiency") from error
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] != 2 or not (table[:, 1] > 0).all():
        raise BadFileError(f"response {path}: needed are two columns, nm and a positive efficiency, two rows at least")
    table = table[np.argsort(table[:, 0])]
    if table[0, 0] > wavelength_nm.min() or table[-1, 0] < wavelength_nm.max():
        raise BadFileError(
            f"response {path}: covers {table[0, 0]:.0f} to {table[-1, 0]:.0f} nm, the spectra "
            f"{wavelength_nm.min():.0f} to {wavelength_nm.max():.0f} nm"
        )
    efficiency = np.interp(wavelength_nm, table[:, 0], table[:, 1])
    return efficiency / efficiency.max()


def _is_number(cell: str) -> bool:
    """False for the words of a header line."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
