"""Spectra over photon energy: axis, Jacobian and variance, and the medium in which the wavelengths were given."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.composition import HC_EV_NM, Medium, air_index, energy_ev

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class EnergySpectra:
    """Spectra per eV over ascending energy.

    Attributes
    ----------
    energy_ev : (channels,)
        Vacuum photon energies.
    signal, variance : (…, channels)
        Density per eV and its variance (the variance takes the *square* of the Jacobian).
    jacobian : (channels,)
        What the density per nm was multiplied by, nm/eV.
    medium : {"vacuum", "air"}
        In which the wavelengths were given; taking one for the other moves energies by about 0.03 %.
    """

    energy_ev: Numbers
    signal: Numbers
    variance: Numbers
    jacobian: Numbers
    medium: Medium


def to_energy(
    wavelength_nm: ArrayLike, signal: ArrayLike, variance: ArrayLike | None = None, *, medium: Medium
) -> EnergySpectra:
    """Turn a density per nm into a density per eV: S(E) = S(λ) |dλ/dE| (J. Mooney, P. Kambhampati, J. Phys. Chem. Lett.
    2013, 4, 3316).

    Parameters
    ----------
    wavelength_nm : (channels,)
        Ascending or descending.
    signal, variance : (…, channels)
        Per nm; counts per *channel* are to be divided by :func:`channel_width_nm` first.
    medium : {"vacuum", "air"}
        No default: spectrometers are usually calibrated in air.

    Raises
    ------
    ValueError
        Lengths that do not match; as :func:`~halidescope.analysis.composition.energy_ev`.
    """
    wavelength = np.asarray(wavelength_nm, dtype=np.float64)
    values = np.asarray(signal, dtype=np.float64)
    if wavelength.ndim != 1 or values.shape[-1:] != wavelength.shape:
        raise ValueError(f"{wavelength.size} wavelengths for spectra of shape {values.shape}")
    energy = np.asarray(energy_ev(wavelength, medium))
    jacobian = wavelength**2 / HC_EV_NM
    if medium == "air":
        # E = hc/(n λ), so |dE/dλ| = E (1/λ + n′/n)
        index = np.asarray(air_index(wavelength))
        step = 1e-3
        slope = (np.asarray(air_index(wavelength + step)) - np.asarray(air_index(wavelength - step))) / (2 * step)
        jacobian = 1.0 / (energy * (1.0 / wavelength + slope / index))
    order = np.argsort(energy)
    noise = np.zeros_like(values) if variance is None else np.asarray(variance, dtype=np.float64)
    return EnergySpectra(
        energy_ev=energy[order],
        signal=(values * jacobian)[..., order],
        variance=(noise * jacobian**2)[..., order],
        jacobian=jacobian[order],
        medium=medium,
    )


def channel_width_nm(wavelength_nm: ArrayLike) -> Numbers:
    """Width of every channel in nm (channels,): half the distance between its two neighbours, two channels at least."""
    wavelength = np.asarray(wavelength_nm, dtype=np.float64)
    if wavelength.ndim != 1 or wavelength.size < 2:
        raise ValueError("at least two wavelengths are needed to know the width of a channel")
    return np.abs(np.gradient(wavelength))


def moments(energy_ev: ArrayLike, signal: ArrayLike, variance: ArrayLike | None = None) -> "Moments":
    """Area, centroid and width of background-free spectra (…, channels) over a given window of energies.

    Errors by linear propagation of ``variance``; without it they are zero. NaN where the area is not positive.
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    values = np.asarray(signal, dtype=np.float64)
    noise = np.zeros_like(values) if variance is None else np.asarray(variance, dtype=np.float64)
    widths = np.abs(np.gradient(energy))
    weighted = values * widths
    area = weighted.sum(axis=-1)
    positive = np.where(area > 0, area, np.nan)
    centroid = (weighted @ energy) / positive
    distance = energy - centroid[..., None]
    second = (weighted * distance**2).sum(axis=-1) / positive
    slope = widths * distance / positive[..., None]
    width_slope = widths * (distance**2 - second[..., None]) / positive[..., None]
    width = np.sqrt(np.where(second > 0, second, np.nan))
    return Moments(
        area=area,
        area_se=np.sqrt((noise * widths**2).sum(axis=-1)),
        centroid_ev=centroid,
        centroid_ev_se=np.sqrt((noise * slope**2).sum(axis=-1)),
        width_ev=width,
        width_ev_se=np.sqrt((noise * width_slope**2).sum(axis=-1)) / (2 * width),
    )


@dataclass(frozen=True)
class Moments:
    """Area (signal × eV), centroid and standard deviation of spectra (…), each with its standard error."""

    area: Numbers
    area_se: Numbers
    centroid_ev: Numbers
    centroid_ev_se: Numbers
    width_ev: Numbers
    width_ev_se: Numbers
