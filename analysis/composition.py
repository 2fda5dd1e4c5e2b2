"""Composition of CsPbBr(3-x)I(x) from its luminescence, and the energy of a wavelength.

E_PL(x) = 2.42 − 0.2 x² + 0.04 x³ eV, 0 ≤ x ≤ 3, and E_g(x) = 2.46 − 1.78 x² + 1.16 x³ eV, 0 ≤ x ≤ 1, are from T. R. da
Cunha et al., ACS Appl. Mater. Interfaces 2025, 17, 14389. The first holds within 0.02 eV for x ≤ 2; for the pure
iodide it gives 1.70 eV where the film shows 1.80 eV, so x near 3 is underestimated.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import c, e, h

from halidescope.analysis.flags import Flag

Numbers = NDArray[np.float64]
Medium = Literal["vacuum", "air"]

HC_EV_NM = h * c / e * 1e9     # 1239.84 eV nm
RICHEST = 3.0                  # x of the pure iodide
ROUNDING = 1e-9
BLUEST_EV = 2.42
REDDEST_EV = 2.42 - 0.2 * RICHEST**2 + 0.04 * RICHEST**3


@dataclass(frozen=True)
class Composition:
    """Iodine per formula unit with its error; never clipped.

    Attributes
    ----------
    x, x_se : (…)
        NaN where flagged. The error is half of x(E − se) − x(E + se): near x = 0, where the slope of E_PL vanishes, it
        stays finite.
    flags : (…)
        OUTSIDE where the energy belongs to no x in [0, 3]; NOT_FINITE where it is not a number.
    """

    x: Numbers
    x_se: Numbers
    flags: NDArray[np.int64]


def peak_energy(x: ArrayLike) -> Numbers:
    """E_PL in eV of iodine content ``x`` per formula unit (…); ValueError outside [0, 3]."""
    content = _inside("x", x, RICHEST)
    return (2.42 - 0.2 * content**2 + 0.04 * content**3)[()]


def band_gap(x: ArrayLike) -> Numbers:
    """E_g in eV of the iodide (and vacancy) fraction ``x`` of the halide sites (…); ValueError outside [0, 1]."""
    fraction = _inside("x", x, 1.0)
    return (2.46 - 1.78 * fraction**2 + 1.16 * fraction**3)[()]


def iodine_fraction(energy_ev: ArrayLike) -> Numbers:
    """Iodine per formula unit, 0 … 3, of a PL peak energy in eV (…): the inverse of :func:`peak_energy`.

    NaN where no x in [0, 3] has this energy (bluer than 2.42 eV, redder than 1.70 eV); nothing is clipped.
    :func:`composition` gives errors and flags as well.
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    possible = (energy >= REDDEST_EV - ROUNDING) & (energy <= BLUEST_EV + ROUNDING)
    # 0.04 x³ − 0.2 x² + (2.42 − E) = 0: three real roots, the middle one is in [0, 10/3]; trigonometric solution
    # with x = 5/3 + (10/3) cos θ, cos 3θ = 1 − 2 (2.42 − E) / Δ and Δ = E(0) − E(10/3)
    depth = BLUEST_EV - np.clip(energy, REDDEST_EV, BLUEST_EV)
    range_ev = 0.2 * (10 / 3) ** 2 - 0.04 * (10 / 3) ** 3
    angle = np.arccos(1.0 - 2.0 * depth / range_ev) / 3.0
    root = 5.0 / 3.0 + 10.0 / 3.0 * np.cos(angle - 2.0 * np.pi / 3.0)
    # cancellation near x = 0: one Newton step on the cubic itself
    slope = root * (0.12 * root - 0.4)
    excess = depth - 0.2 * root**2 + 0.04 * root**3
    root = np.where(np.abs(slope) > 1e-6, root - excess / np.where(slope == 0, 1.0, slope), root)
    return np.where(possible, np.clip(root, 0.0, RICHEST), np.nan)[()]


def composition(energy_ev: ArrayLike, energy_se: ArrayLike = 0.0) -> Composition:
    """Iodine content of PL peak energies in eV (…) with standard errors (…) or a number, which must not be negative."""
    energy, error = np.broadcast_arrays(np.asarray(energy_ev, float), np.asarray(energy_se, float))
    if (error < 0).any():
        raise ValueError("standard errors of energies must not be negative")
    x = np.asarray(iodine_fraction(energy))
    high = np.asarray(iodine_fraction(np.maximum(energy - error, REDDEST_EV)))
    low = np.asarray(iodine_fraction(np.minimum(energy + error, BLUEST_EV)))
    flags = np.where(np.isnan(x), int(Flag.OUTSIDE), 0)
    flags[~np.isfinite(energy)] = Flag.NOT_FINITE
    return Composition(x[()], np.where(np.isnan(x), np.nan, (high - low) / 2)[()], flags)


def energy_ev(wavelength_nm: ArrayLike, medium: Medium = "vacuum") -> Numbers:
    """Photon energy in eV of wavelengths in nm (…), given in vacuum or in standard air.

    ValueError for a wavelength that is not positive, or another medium.
    """
    wavelength = np.asarray(wavelength_nm, dtype=np.float64)
    if medium not in ("vacuum", "air"):
        raise ValueError(f"medium is {medium!r}, allowed are 'vacuum' and 'air'")
    if not (wavelength > 0).all():
        raise ValueError("wavelengths must be positive, in nm")
    return (HC_EV_NM / (wavelength * (air_index(wavelength) if medium == "air" else 1.0)))[()]


def air_index(wavelength_nm: ArrayLike) -> Numbers:
    """Refractive index of standard air (15 °C, 101325 Pa, 450 ppm CO2) for wavelengths in nm, 230 … 1690 nm.

    P. E. Ciddor, Appl. Opt. 35, 1566 (1996), equation 1. The vacuum wavenumber is approximated by that in air, an
    error below 1e-9 in the index.
    """
    inverse_um2 = (1e3 / np.asarray(wavelength_nm, dtype=np.float64)) ** 2
    return 1.0 + 1e-8 * (5792105.0 / (238.0185 - inverse_um2) + 167917.0 / (57.362 - inverse_um2))


def _inside(name: str, values: ArrayLike, most: float) -> Numbers:
    array = np.asarray(values, dtype=np.float64)
    if not ((array >= -ROUNDING) & (array <= most + ROUNDING)).all():
        raise ValueError(f"{name} must lie in 0 … {most:g}, got {np.min(array):g} … {np.max(array):g}")
    return array
