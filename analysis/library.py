"""Reference spectra by composition: from a library of measured films, or model bands where there is none.

Between two measured compositions the spectrum is that of the neighbours, each moved to the peak energy
E_PL(x) and mixed by distance in x; outside the library it is refused, not extrapolated.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.composition import peak_energy

Numbers = NDArray[np.float64]
BAND_SIGMA_EV = 0.028
"""Standard deviation of a model band; line widths of 40–80 meV are reported (T. R. da Cunha et al., ACS Appl. Mater.
Interfaces 2025, 17, 14389)."""
EDGE = 1e-6         # part of a band's area below which an axis does not hold it


def model_band(energy_ev: ArrayLike, centre_ev: float, sigma_ev: float = BAND_SIGMA_EV) -> Numbers:
    """A Gaussian over energy as counts per channel (channels,), unit sum.

    Raises
    ------
    ValueError
        The axis does not cover the band.
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    width = np.abs(np.gradient(energy))
    counts = np.exp(-0.5 * ((energy - centre_ev) / sigma_ev) ** 2) * width
    if counts.sum() < EDGE * sigma_ev or not energy.min() < centre_ev < energy.max():
        raise ValueError(
            f"a band at {centre_ev:.3f} eV lies outside the spectrometer's {energy.min():.3f} to {energy.max():.3f} eV"
        )
    return counts / counts.sum()


def library_spectrum(x: float, energy_ev: ArrayLike, library: Mapping[float, ArrayLike]) -> Numbers:
    """Spectrum of composition ``x`` from measured ones, counts per channel (channels,), unit sum.

    Parameters
    ----------
    x : float
        Iodine per formula unit.
    energy_ev : (channels,)
        Of the library's spectra and of the result; rising or falling.
    library : mapping of float to (channels,)
        Composition → dark-free spectrum.

    Raises
    ------
    ValueError
        The library is empty, ``x`` lies outside it, or a spectrum has another length or no area.
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    known = sorted(library)
    if not known or not known[0] <= x <= known[-1]:
        have = ", ".join(f"{value:g}" for value in known) or "nothing"
        raise ValueError(f"x = {x:g} is not within the library, which holds {have}")
    spectra = {}
    for value in known:
        spectrum = np.asarray(library[value], dtype=np.float64)
        if spectrum.shape != energy.shape or not spectrum.sum() > 0:
            raise ValueError(f"the library's spectrum of x = {value:g} has shape {spectrum.shape} or no area")
        spectra[value] = spectrum / spectrum.sum()
    if x in spectra:
        return spectra[x]
    above = next(value for value in known if value > x)
    below = max(value for value in known if value < x)
    share = (x - below) / (above - below)
    order = np.argsort(energy)
    width = np.abs(np.gradient(energy))
    mixed = np.zeros(energy.shape)
    for value, weight in ((below, 1 - share), (above, share)):
        moved = float(peak_energy(x) - peak_energy(value))
        density = (spectra[value] / width)[order]
        mixed += weight * np.interp(energy - moved, energy[order], density, left=0.0, right=0.0) * width
    return mixed / mixed.sum()
