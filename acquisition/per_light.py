"""Exposure and power taken out of emission: counts per second and per microwatt at the sample.

Spectra are fitted in counts, whose noise is known; what is divided is the result. Shares and peak energies do not
change.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.analysis_file import CorrectionsTable
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.scan import Scan


@dataclass(frozen=True)
class PerLight:
    """What counts of every point are divided by.

    Attributes
    ----------
    scale : ndarray, shape points
        Seconds, microwatts, their product, or 1.
    unit : str
        Of counts divided by it, as in files: ``counts/s/uW``.
    words : str
        The same for people: ``counts s⁻¹ µW⁻¹``.
    ending : str
        The same at the end of a number's name: ``counts_per_s_uw``.
    """

    scale: NDArray[np.float64]
    unit: str = "counts"
    words: str = "counts"
    ending: str = "counts"

    @property
    def asked(self) -> bool:
        """Is anything divided?"""
        return self.unit != "counts"


def per_light(scan: Scan, asked: CorrectionsTable) -> PerLight:
    """What ``normalise`` in an analysis file asks for.

    Raises
    ------
    ScanFileError
        Exposure or power of a measured point is not known, or not positive.
    """
    scale, unit, words, names = np.ones(scan.valid.shape), "counts", "counts", []
    for what, known, given, step, symbol, name in (
        ("exposure", scan.exposure_s, asked.exposure_s, "/s", " s⁻¹", "s"),
        ("power", scan.sample_power_uw, asked.sample_power_uw, "/uW", " µW⁻¹", "uw"),
    ):
        if what not in asked.normalise:
            continue
        values = known if given is None else np.full(scan.valid.shape, given)
        sound = np.isfinite(values) & (values > 0)
        if lacking := int((scan.valid & ~sound).sum()):
            key = "exposure_s" if what == "exposure" else "sample_power_uw"
            raise ScanFileError(
                f"{scan.source}: {what} of {lacking} of {int(scan.valid.sum())} spectra is not known, so they cannot "
                f"be normalised to it; set {key} under [corrections], or leave {what!r} out of normalise"
            )
        scale *= np.where(sound, values, np.nan)
        unit, words = unit + step, words + symbol
        names.append(name)
    return PerLight(scale, unit, words, "_".join(["counts", *(["per", *names] if names else [])]))
