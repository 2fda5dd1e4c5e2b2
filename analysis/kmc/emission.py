"""Measured curves of the exposed spot, ready for the comparison: Br-rich shares, or the energy of the emission.

Where two bands overlap and exchange weight there is no single peak to follow; the centre of mass of the emission moves
smoothly, and is the peak where there is one band. It can be compared as a peak energy.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.composition import HC_EV_NM
from halidescope.analysis.kmc.inference import POINTS, Measured

Floats = NDArray[np.float64]

EMISSION_NM = (450.0, 750.0)
"""Where mixed-halide films emit; beyond, baseline noise would pull at the centre of mass."""


def from_shares(time_s: ArrayLike, share: ArrayLike, share_se: ArrayLike) -> Measured:
    """Br-rich shares (n,) with their standard errors; points that are not finite, or before light, are left out."""
    return _usable(np.asarray(time_s, dtype=float), np.asarray(share, dtype=float), np.asarray(share_se, dtype=float),
                   "bromide-share")


def from_spectra(time_s: ArrayLike, wavelength_nm: ArrayLike, counts: ArrayLike) -> Measured:
    """Energy of the emission of dark-subtracted spectra (n, channels), averaged to at most ``POINTS`` groups.

    The standard error is the scatter of neighbouring groups: the median size of their second differences, which a
    smooth change leaves alone, over √6 and a Gaussian's 0.6745.

    Raises
    ------
    ValueError
        Fewer than five spectra, or no light in them.
    """
    time, spectra = np.asarray(time_s, dtype=float), np.asarray(counts, dtype=float)
    if time.size < 5:
        raise ValueError(f"{time.size} spectra so far; a comparison needs at least 5")
    order = np.argsort(time, kind="stable")
    groups = np.array_split(order, min(POINTS, time.size))
    means = np.stack([spectra[group].mean(axis=0) for group in groups])
    energy = centre_of_mass_ev(wavelength_nm, means)
    curvature = energy[2:] - 2 * energy[1:-1] + energy[:-2]
    error = max(float(np.median(np.abs(curvature))) / 0.6745 / np.sqrt(6), 1e-5)
    at = np.array([time[group].mean() for group in groups])
    return _usable(at, energy, np.full(at.size, error), "peak-energy")


def centre_of_mass_ev(wavelength_nm: ArrayLike, counts: ArrayLike) -> Floats:
    """Mean photon energy of spectra (…, channels) of counts per channel, eV (…); NaN where there is no light."""
    wavelength = np.asarray(wavelength_nm, dtype=float)
    seen = (wavelength >= EMISSION_NM[0]) & (wavelength <= EMISSION_NM[1])
    spectra = np.asarray(counts, dtype=float)[..., seen]
    total = spectra.sum(axis=-1)
    weighted = spectra @ (HC_EV_NM / wavelength[seen])
    return np.divide(weighted, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def _usable(time: Floats, value: Floats, sigma: Floats, kind: str) -> Measured:
    good = np.isfinite(time) & np.isfinite(value) & np.isfinite(sigma) & (sigma > 0) & (time >= 0)
    time, first = np.unique(time[good], return_index=True)
    if time.size < 5:
        raise ValueError(f"{time.size} usable points so far; a comparison needs at least 5")
    return Measured(time, value[good][first], sigma[good][first], kind)   # type: ignore[arg-type]
