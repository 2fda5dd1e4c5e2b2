"""From raw counts to what the light was: dark, linearity, saturation, response, exposure and power.

Every correction moves the variance with the signal. Cosmic rays and the energy axis have rooms of their own
(:mod:`~halidescope.analysis.cosmic`, :mod:`~halidescope.analysis.energy_axis`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.robust import scatter

Numbers = NDArray[np.float64]
FLOOR_CHANNELS, FLOOR_SPECTRA = 20, 2000   # fewest and most that the noise floor is taken from
OUTLIER = 6.0   # robust standard deviations beyond which a dark sample is a cosmic ray


@dataclass(frozen=True)
class MeanDark:
    """Dark spectrum from repeated darks, counts.

    Attributes
    ----------
    mean, se : (channels,)
        Mean and its standard error.
    read_noise : float
        Standard deviation of one channel of one dark spectrum.
    samples : (channels,)
        Darks used per channel.
    left_out : int
        Samples left out as cosmic rays.
    """

    mean: Numbers
    se: Numbers
    read_noise: float
    samples: NDArray[np.int64]
    left_out: int


@dataclass(frozen=True)
class Corrected:
    """Signal with its variance, same shape; ``unit`` says of what."""

    signal: Numbers
    variance: Numbers
    unit: str


def mean_dark(darks: ArrayLike) -> MeanDark:
    """Mean of repeated dark spectra (n, channels), n ≥ 2, single outliers left out.

    A drift of the offset common to all channels is part of ``se`` only as far as the darks themselves show it.
    ValueError for fewer than two darks, or values that are not finite.
    """
    counts = np.asarray(darks, dtype=np.float64)
    if counts.ndim != 2 or len(counts) < 2:
        raise ValueError(f"darks have shape {counts.shape}; at least two spectra (n, channels) are needed for an error")
    if not np.isfinite(counts).all():
        raise ValueError("darks hold values that are not finite")
    middle = np.median(counts, axis=0)
    distance = counts - middle
    # one figure for all channels: with few darks a single channel's own spread says little
    n = len(counts)
    spread = scatter(distance) / np.sqrt(1 - 1 / n) if n > 2 else np.std(distance) * np.sqrt(2)
    good = distance <= OUTLIER * max(spread, 0.5) + OUTLIER**2 / 6
    samples = good.sum(axis=0)
    mean = np.where(good, counts, 0.0).sum(axis=0) / samples
    squares = np.where(good, (counts - mean) ** 2, 0.0).sum()
    read_noise = float(np.sqrt(squares / max(good.sum() - counts.shape[1], 1)))
    return MeanDark(mean, read_noise / np.sqrt(samples), read_noise, samples, int((~good).sum()))


def photon_variance(
    counts: ArrayLike,
    dark: ArrayLike = 0.0,
    *,
    gain: float = 1.0,
    read_noise: ArrayLike = 0.0,
    dark_se: ArrayLike = 0.0,
) -> Numbers:
    """Variance of dark-corrected counts, for *display and propagation*: signal / gain + read_noise² + dark_se².

    Weights of a fit are not to be made from it: weights from the data pull a fit low (:func:`unmix` and
    :func:`fit_peaks` take them from the model). ``gain`` in electrons per count.
    """
    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain is {gain} electrons per count, it must be positive")
    signal = np.maximum(np.asarray(counts, dtype=np.float64) - np.asarray(dark, dtype=np.float64), 0.0)
    return signal / gain + np.asarray(read_noise, dtype=np.float64) ** 2 + np.asarray(dark_se, dtype=np.float64) ** 2


def noise_floor(spectra: ArrayLike, dark: ArrayLike = 0.0) -> float:
    """Standard deviation of one channel where there is hardly any light, for detectors whose darks nobody kept.

    From second differences along the spectrum, median over the dimmest fifth of the channels, so that neither a slope
    nor single hits count. Light that is left there counts as noise; channels that a program has smoothed or
    interpolated seem quieter than they were. 0 where there are fewer than 20 channels.

    Parameters
    ----------
    spectra : (…, channels)
        Counts; spectra with values that are not finite are left out.
    dark : scalar or (channels,)
        Subtracted first: a pattern of the detector is no noise.
    """
    counts = np.asarray(spectra)
    counts = counts.reshape(-1, counts.shape[-1])[:FLOOR_SPECTRA].astype(np.float64) - np.asarray(dark, np.float64)
    counts = counts[np.isfinite(counts).all(axis=1)]
    channels = counts.shape[1]
    if channels < FLOOR_CHANNELS or not len(counts):
        return 0.0
    level = counts.mean(axis=0)
    level = np.maximum(np.maximum(level[:-2], level[1:-1]), level[2:])
    dimmest = np.argsort(level, kind="stable")[: channels // 5]
    bend = np.diff(counts, 2, axis=1)[:, dimmest]
    return float(np.median(np.abs(bend)) / (0.6745 * np.sqrt(6.0)))


def linearise(
    signal: ArrayLike, coefficients: ArrayLike, variance: ArrayLike | None = None, *, valid_to: float | None = None
) -> Corrected:
    """Undo a detector's non-linearity: signal / (c0 + c1 s + c2 s² + …) of the *dark-corrected* signal s.

    The convention of Ocean spectrometers (order and up to eight coefficients in the instrument's memory). The variance
    is multiplied by the squared derivative.

    Parameters
    ----------
    signal : (…)
        Dark-corrected counts; what is not finite becomes NaN.
    coefficients : (m,)
        c0, c1, …
    variance : (…), optional
    valid_to : float, optional
        Largest count for which the polynomial was measured; above it ValueError.

    Raises
    ------
    ValueError
        A count above ``valid_to``, or a polynomial that is not positive or folds over for some count.
    """
    given = np.asarray(signal, dtype=np.float64)
    values = np.where(np.isfinite(given), given, np.nan)
    if np.size(coefficients) == 0 or not np.isfinite(coefficients).all():
        raise ValueError("the linearity polynomial needs one finite coefficient at least")
    polynomial = np.polynomial.Polynomial(np.asarray(coefficients, dtype=np.float64))
    finite = values[np.isfinite(values)]
    if valid_to is not None and finite.size and finite.max() > valid_to:
        raise ValueError(f"{finite.max():.0f} counts, but the polynomial holds up to {valid_to:g}; expose shorter")
    response = polynomial(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        derivative = (response - values * polynomial.deriv()(values)) / response**2
    if finite.size and not (np.isfinite(values) <= ((response > 0) & (derivative > 0))).all():
        raise ValueError("the linearity polynomial is not positive and rising over these counts; check it")
    noise = np.zeros_like(values) if variance is None else np.asarray(variance, dtype=np.float64)
    return Corrected(values / response, noise * derivative**2, "counts")


def saturated(counts: ArrayLike, limit: float) -> NDArray[np.bool_]:
    """True where *raw* counts reach the detector's limit; ask before any other correction."""
    return np.asarray(counts) >= limit


def normalise(
    signal: ArrayLike,
    variance: ArrayLike | None = None,
    *,
    exposure_s: ArrayLike = 1.0,
    sample_power_uw: ArrayLike = 1.0,
    response: ArrayLike = 1.0,
) -> Corrected:
    """Divide by exposure, power at the sample and the instrument's relative response; counts → counts/(s µW).

    ``exposure_s`` and ``sample_power_uw`` are numbers or one per spectrum (…), ``response`` (channels,) is the relative
    efficiency. Raises ValueError where any is not positive: such channels belong cut off, not blown up.
    """
    values = np.asarray(signal, dtype=np.float64)
    factors = {"exposure_s": exposure_s, "sample_power_uw": sample_power_uw, "response": response}
    scale = np.ones(())
    for name, factor in factors.items():
        array = np.asarray(factor, dtype=np.float64)
        if not (np.isfinite(array) & (array > 0)).all():
            raise ValueError(f"{name} must be finite and positive, got {array.min():g}")
        per_spectrum = name != "response" and array.ndim > 0
        if array.shape not in ((), values.shape[:-1] if per_spectrum else values.shape[-1:]):
            raise ValueError(f"{name} has shape {array.shape}, which does not fit signals of shape {values.shape}")
        scale = scale * (array[..., None] if per_spectrum else array)
    noise = np.zeros_like(values) if variance is None else np.asarray(variance, dtype=np.float64)
    return Corrected(values / scale, noise / scale**2, "counts/(s µW)")
