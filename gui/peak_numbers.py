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
SEARCH_NM = 25.0         # how far from where it was a followed band may go; films' bands lie 70 nm apart
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


def brightest_peaks(
    wavelength_nm: Numbers, counts: NDArray[np.floating], near_nm: float | None = None
) -> PeakNumbers:
    """Fit the brightest band of every spectrum with a Gaussian over energy.

    Parameters
    ----------
    wavelength_nm : ndarray, shape (channels,)
    counts : ndarray, shape (n, channels)
        Above dark.
    near_nm : float, optional
        Follow the band that is here: only what is brightest within ``SEARCH_NM`` of it, in nm. A spectrum that only
        rises towards an edge of that, as the flank of another band does, holds no such band.
    """
    data = np.array(counts, dtype=np.float64)
    axis = np.asarray(wavelength_nm, dtype=np.float64)
    heights = smoothed(data)
    lost = np.zeros(len(data), dtype=bool)
    if near_nm is not None:
        inside = np.flatnonzero(np.abs(axis - near_nm) <= SEARCH_NM)
        if not len(inside):
            nothing = np.full(len(data), np.nan)
            return PeakNumbers(*(nothing.copy() for _ in range(6)))
        highest = inside[np.argmax(heights[:, inside], axis=1)]
        lost = (highest == inside[0]) | (highest == inside[-1])
    else:
        highest = np.argmax(heights, axis=1)
    brightest = axis[highest]
    data[np.abs(axis - brightest[:, None]) > HALF_WIDTH_NM] = np.nan
    seen = np.flatnonzero(np.isfinite(data).any(axis=0))
    cut = slice(int(seen[0]), int(seen[-1]) + 1)
    found = fit_peaks(HC_EV_NM / axis[cut], data[:, cut])
    wrong = lost | ((found.flags & UNUSABLE) != 0)
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
