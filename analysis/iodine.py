"""From spectra to the iodine content: peak energies with the Jacobian, moments beside them, composition with flags."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.composition import Composition, Medium, composition, energy_ev
from halidescope.analysis.detector import IDEAL, Detector
from halidescope.analysis.energy_axis import Moments, moments
from halidescope.analysis.missing import with_nan
from halidescope.analysis.peaks import Model, Peaks, fit_peaks

Numbers = NDArray[np.float64]
ROUNDING = 0.3    # counts; integers are no better known
SMOOTH = 9        # channels, to find a maximum


@dataclass(frozen=True)
class PeakMap:
    """Peaks of spectra of any leading shape.

    Attributes
    ----------
    peaks : Peaks
        Fitted to the density over energy, in counts of the brightest channel.
    moments : Moments
        Centroid and width over the same range, background subtracted as fitted.
    composition : Composition
        x of CsPbBr(3-x)I(x) from the peak's centre, flagged outside [0, 3], never clipped.
    energy_ev : (channels,)
        Vacuum photon energies used, ascending.
    medium : {"air", "vacuum"}
        In which the wavelengths were given.
    """

    peaks: Peaks
    moments: Moments
    composition: Composition
    energy_ev: Numbers
    medium: Medium


def peak_map(
    wavelength_nm: ArrayLike,
    spectra: ArrayLike,
    *,
    medium: Medium,
    detector: Detector = IDEAL,
    model: Model = "gaussian",
    between_nm: tuple[float, float] | None = None,
) -> PeakMap:
    """Fit the peak of every spectrum over energy and turn its centre into a composition.

    Counts per channel become a density over energy (each channel divided by its width in eV, relative to the brightest
    one), so that a band symmetric in energy stays symmetric; noise is taken from the model at the brightest channel's
    width, where nearly all light is.

    Parameters
    ----------
    wavelength_nm : (channels,)
        Ascending or descending.
    spectra : (…, channels)
        Raw counts.
    between_nm : (low, high), optional
        Channels used.

    Raises
    ------
    ValueError
        As :func:`~halidescope.analysis.peaks.fit_peaks`; fewer than ten channels in the range.
    """
    wavelength = np.asarray(wavelength_nm, dtype=np.float64)
    data = with_nan(spectra)
    low, high = between_nm if between_nm is not None else (wavelength.min(), wavelength.max())
    inside = np.flatnonzero((wavelength >= low) & (wavelength <= high))
    if inside.size < 10:
        raise ValueError(f"{inside.size} channels between {low:g} and {high:g} nm, a peak needs at least 10")
    energy = np.asarray(energy_ev(wavelength[inside], medium))
    order = np.argsort(energy)
    channels, energy = inside[order], energy[order]
    width = np.gradient(energy)
    dark = np.broadcast_to(np.asarray(detector.dark, dtype=np.float64), wavelength.shape)[channels]
    net = data[..., channels].astype(np.float64) - dark
    bright = int(np.argmax(np.nansum(net.reshape(-1, channels.size), axis=0)))
    response = np.broadcast_to(np.asarray(detector.response, dtype=np.float64), wavelength.shape)[channels]
    relative = width / width[bright] * response / response[bright]
    density = net / relative
    if detector.saturation is not None:
        density = np.where(data[..., channels] >= detector.saturation, np.nan, density)
    peaks = fit_peaks(
        energy, density, model=model, noise="poisson", gain=detector.gain,
        read_noise=max(detector.read_noise, ROUNDING) / relative,
    )  # fmt: skip
    with np.errstate(invalid="ignore"):
        variance = np.maximum(density, 0.0) / detector.gain + (detector.read_noise / relative) ** 2
        found = moments(energy, density - np.asarray(peaks.offset)[..., None], variance)
    return PeakMap(peaks, found, composition(peaks.centre, peaks.centre_se), energy, medium)


@dataclass(frozen=True)
class HighestBand:
    """Peak energy of the highest band of spectra (n,), with standard errors; NaN where there is none."""

    peak_ev: Numbers
    peak_ev_se: Numbers


def highest_band(
    wavelength_nm: ArrayLike,
    spectra: ArrayLike,
    *,
    medium: Medium,
    detector: Detector = IDEAL,
    between_nm: tuple[float, float],
    half_width_ev: float = 0.035,
) -> HighestBand:
    """Where the highest of several overlapping bands peaks: a Gaussian fitted around the maximum alone.

    One Gaussian over two bands ends up between them; the shift of a peak during segregation is that of the band that
    dominates. ``half_width_ev`` is about the σ of a band. Other parameters as for :func:`peak_map`.
    """
    wavelength = np.asarray(wavelength_nm, dtype=np.float64)
    rows = np.asarray(spectra)
    energy = np.asarray(energy_ev(wavelength, medium))
    low, high = between_nm
    inside = (wavelength >= low) & (wavelength <= high)
    dark = np.broadcast_to(np.asarray(detector.dark, dtype=np.float64), wavelength.shape)
    peak, error = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    places: dict[int, list[int]] = {}
    for row, counts in enumerate(rows):
        smooth = np.convolve(np.where(inside, counts - dark, 0.0), np.full(SMOOTH, 1 / SMOOTH), mode="same")
        places.setdefault(int(np.argmax(smooth)), []).append(row)
    for top, members in places.items():
        near = np.flatnonzero(inside & (np.abs(energy - energy[top]) <= half_width_ev))
        if near.size < 10:
            continue
        part = Detector(
            dark=dark[near], gain=detector.gain, read_noise=detector.read_noise, saturation=detector.saturation,
            response=np.broadcast_to(np.asarray(detector.response, dtype=np.float64), wavelength.shape)[near],
        )  # fmt: skip
        found = peak_map(wavelength[near], rows[members][:, near], medium=medium, detector=part).peaks
        good = np.asarray(found.converged) & (np.asarray(found.flags) == 0)
        peak[members] = np.where(good, found.centre, np.nan)
        error[members] = np.where(good, found.centre_se, np.nan)
    return HighestBand(peak, error)
