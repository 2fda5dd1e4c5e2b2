"""The simulated light path: laser head to film, film to spectrometer.

Powers at the head are mW, at the film µW. What the film's state becomes is in :mod:`halidescope.simulators.film`, what
the detector makes of the light in :mod:`halidescope.simulators.detector`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halidescope.simulators.film import FilmLaw

HC_EV_NM = 1239.841984   # Planck constant × speed of light


@dataclass(frozen=True)
class Optics:
    """Path transmission, focus and collection.

    Attributes
    ----------
    sample_uw_per_head_mw : float
        µW at the sample per mW of the head.
    waist_um : float
        1/e² radius of the beam at the film.
    photons_per_uw_s : float
        Photoelectrons in the whole emission band per µW at the sample and second of exposure, the same for every phase
        (equal quantum yields); with it 120 µW for 0.2 s on the pristine x = 1.5 film peak near 25,000.
    """

    sample_uw_per_head_mw: float = 4.0
    waist_um: float = 1.0
    photons_per_uw_s: float = 1.15e5

    def sample_uw(self, head_mw: float) -> float:
        """Power at the sample in µW."""
        return head_mw * self.sample_uw_per_head_mw

    def bands(self, wavelength_nm: NDArray[np.float64], law: FilmLaw) -> NDArray[np.float64]:
        """Mean photoelectrons per pixel, µW and second: pristine and converted phase, shape (2, pixels)."""
        return self.photons_per_uw_s * np.stack(
            [
                _band(wavelength_nm, law.pristine_nm, law.pristine_fwhm_ev),
                _band(wavelength_nm, law.converted_nm, law.converted_fwhm_ev),
            ]
        )


def _band(wavelength_nm: NDArray[np.float64], peak_nm: float, fwhm_ev: float) -> NDArray[np.float64]:
    """Share of a band's photons in each pixel: Gaussian in energy, turned to wavelength with ``|dE/dλ| = hc/λ²``."""
    sigma_ev = fwhm_ev / math.sqrt(8.0 * math.log(2.0))
    offset_ev = HC_EV_NM / wavelength_nm - HC_EV_NM / peak_nm
    per_ev = np.exp(-0.5 * (offset_ev / sigma_ev) ** 2) / (sigma_ev * math.sqrt(2.0 * math.pi))
    return per_ev * HC_EV_NM / wavelength_nm**2 * np.gradient(wavelength_nm)
