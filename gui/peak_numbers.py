"""Peak energy, width and iodine content of spectra, for views: the brightest band of each, with standard errors.

The fit is :func:`halidescope.analysis.peaks.fit_peaks`; here the band is cut out, so that a second band beside it does
not pull the fit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halidescope.analysis.composition import HC_EV_NM, composition
from halidescope.analysis.flags import Flag
from halidescope.analysis.peaks import fit_peaks

HALF_WIDTH_NM = 22.0     # of what is fitted around the brightest channel: two standard deviations of a typical band
SMOOTH = 15              # channels averaged before the brightest is looked for
FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
UNUSABLE = int(Flag.NOT_FINITE | Flag.TOO_FEW_POINTS | Flag.NO_SIGNAL | Flag.OUTSIDE | Flag.NOT_CONVERGED)
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class PeakNumbers:
    """Of n spectra, each of shape (n,); not-a-number where no band was found.

    ``energy_ev`` is the band's centre, ``fwhm_ev`` its full width at half maximum, ``x`` the iodine per formula unit
    that has this energy, none outside 0 to 3.
    """

    energy_ev: Numbers
    energy_ev_se: Numbers
    fwhm_ev: Numbers
    fwhm_ev_se: Numbers
    x: Numbers
    x_se: Numbers


def brightest_peaks(wavelength_nm: Numbers, counts: NDArray[np.floating]) -> PeakNumbers:
    """Fit the brightest band of every spectrum with a Gaussian over energy.

    Parameters
    ----------
    wavelength_nm : ndarray, shape (channels,)
    counts : ndarray, shape (n, channels)
        Above dark.
    """
    data = np.array(counts, dtype=np.float64)
    axis = np.asarray(wavelength_nm, dtype=np.float64)
    brightest = axis[np.argmax(smoothed(data), axis=1)]
    data[np.abs(axis - brightest[:, None]) > HALF_WIDTH_NM] = np.nan
    seen = np.flatnonzero(np.isfinite(data).any(axis=0))
    cut = slice(int(seen[0]), int(seen[-1]) + 1)
    found = fit_peaks(HC_EV_NM / axis[cut], data[:, cut])
    wrong = (found.flags & UNUSABLE) != 0
    energy, energy_se, sigma, sigma_se = (
        np.where(wrong, np.nan, values) for values in (found.centre, found.centre_se, found.sigma, found.sigma_se)
    )
    content = composition(energy, energy_se)
    return PeakNumbers(
        energy, energy_se, FWHM * sigma, FWHM * sigma_se, np.asarray(content.x), np.asarray(content.x_se)
    )


def smoothed(spectra: Numbers) -> Numbers:
    """Moving mean over channels, shape (n, channels), so that no hot pixel is taken for a band."""
    sums = np.cumsum(np.pad(spectra, ((0, 0), (SMOOTH // 2 + 1, SMOOTH // 2)), mode="edge"), axis=1)
    return (sums[:, SMOOTH:] - sums[:, :-SMOOTH]) / SMOOTH
