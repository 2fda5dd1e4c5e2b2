"""Measurements that the simulated microscope cannot make, simulated here: absorption, decays, micrographs.

Forward models with noise; what is recovered from them is recovered by the house's own estimators.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.results import Number
from halidescope.analysis.absorption import first_exciton
from halidescope.analysis.composition import HC_EV_NM
from halidescope.analysis.lifetimes import fit_decay
from halidescope.analysis.sizes import fit_lognormal

Numbers = NDArray[np.float64]
EXCITON_SIGMA_EV = 0.035
NOISE = 2e-4               # of the absorbance, of a good spectrophotometer at one reading a nm
EDGE_NM, EDGE_SD_NM = 12.4, 5.8
MICROGRAPHS = 300          # crystals counted


@dataclass(frozen=True)
class Absorption:
    """A simulated absorption spectrum and the exciton found in it."""

    wavelength_nm: Numbers
    absorbance: Numbers
    exciton_ev: Number


def absorption_of(exciton_ev: float, seed: int) -> Absorption:
    """An exciton line on a band edge (R. J. Elliott, Phys. Rev. 1957, 108, 1384, in its simplest form) with noise.

    The edge lies 40 meV above the line and rises as the square root of the excess, smeared like the line.
    """
    rng = np.random.default_rng(seed)
    wavelength = np.arange(400.0, 800.0, 1.0)
    energy = HC_EV_NM / wavelength
    line = 0.08 * np.exp(-0.5 * ((energy - exciton_ev) / EXCITON_SIGMA_EV) ** 2)
    excess = energy - exciton_ev - 0.12
    edge = 0.06 * np.sqrt(np.logaddexp(0.0, excess / 0.03) * 0.03)
    absorbance = line + edge + rng.normal(0.0, NOISE, wavelength.size)
    found = first_exciton(energy, absorbance, between_ev=(1.65, 2.75))
    return Absorption(wavelength, absorbance, Number(found.energy_ev, found.energy_ev_se))


def lifetime_from_decay(lifetime_ns: float, seed: int) -> Number:
    """τ from a time-resolved decay after pulsed excitation, response 0.25 ns wide (FWHM 0.6 ns), 2×10⁵ photons."""
    rng = np.random.default_rng(seed)
    time = np.arange(0.0, 100.0, 0.1)
    response = np.exp(-0.5 * ((time - 5.0) / 0.25) ** 2)
    fine = np.convolve(response / response.sum(), np.exp(-time / lifetime_ns))[: time.size]
    counts = rng.poisson(2e5 * fine / fine.sum() + 3.0)
    found = fit_decay(time, counts, response)
    return Number(float(found.lifetime_ns[0]), float(found.lifetime_ns_se[0]))


def edges_from_micrographs(seed: int) -> tuple[Number, Number]:
    """Mean and standard deviation of crystal edges in nm, from a log-normal sample of the stated mean and deviation."""
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(np.log1p((EDGE_SD_NM / EDGE_NM) ** 2))
    lengths = rng.lognormal(np.log(EDGE_NM) - sigma**2 / 2, sigma, MICROGRAPHS)
    found = fit_lognormal(lengths)
    return Number(found.mean, found.mean_se), Number(found.deviation, found.deviation_se)
