"""Are the residuals of an unmixing noise? A wrong or missing endmember leaves a shape behind, and here it shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.flags import Flag
from halidescope.analysis.references import block_means
from halidescope.analysis.unmixing import Unmixing

Numbers = NDArray[np.float64]
LENGTH = 16        # channels summed: noise averages out within them, a wrong shape does not
SUSPECT = 6.0
ROWS = 128


@dataclass(frozen=True)
class ResidualTest:
    """Residuals of spectra of any leading shape, in units of their expected noise.

    Attributes
    ----------
    reduced_chi2 : (…)
        Mean squared residual over its expected variance: 1 for pure noise with the stated gain and read noise.
    whiteness_z : (…)
        How many standard deviations the residual, summed over blocks of 16 channels, is above white noise of the size
        that the single channels show. Independent of gain and read noise being right.
    mean_residual, mean_residual_se : (channels,)
        Average over all sound spectra, counts: the shape of what is missing.
    flags : (…)
        MISFIT where ``whiteness_z`` is above 6; those of the unmixing are kept.
    """

    reduced_chi2: Numbers
    whiteness_z: Numbers
    mean_residual: Numbers
    mean_residual_se: Numbers
    flags: NDArray[np.int64]


def check_residuals(
    spectra: ArrayLike,
    references: ArrayLike,
    unmixed: Unmixing,
    *,
    dark: ArrayLike = 0.0,
    gain: float = 1.0,
    read_noise: ArrayLike | None = None,
    references_se: ArrayLike = 0.0,
) -> ResidualTest:
    """Hold the residuals of ``unmix(spectra, references, …)`` against noise.

    ``dark`` is a number or (channels,); ``gain`` and ``read_noise`` as for
    :func:`~halidescope.analysis.unmixing.unmix`; ``references_se`` (k, channels), standard errors of the references,
    add to the expected variance. ValueError where shapes do not fit or there are
    fewer than 64 channels.
    """
    data, basis = np.asarray(spectra), np.atleast_2d(np.asarray(references, dtype=np.float64))
    channels = basis.shape[1]
    lead = unmixed.flags.shape
    if data.shape != (*lead, channels):
        raise ValueError(f"spectra have shape {data.shape}, unmixed were {(*lead, channels)}")
    if channels < 4 * LENGTH:
        raise ValueError(f"{channels} channels are too few for a test of whiteness, which needs {4 * LENGTH}")
    level = np.broadcast_to(np.asarray(dark, dtype=np.float64), (channels,))
    rows, amplitudes = data.reshape(-1, channels), unmixed.amplitudes.reshape(-1, len(basis))
    sound = unmixed.valid.reshape(-1)
    fixed = level / gain if read_noise is None else np.broadcast_to(np.asarray(read_noise, float) ** 2, (channels,))
    reference_variance = np.broadcast_to(np.asarray(references_se, dtype=np.float64), basis.shape) ** 2
    chi2, whiteness = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    total, squares = np.zeros(channels), np.zeros(channels)
    whole = channels // LENGTH * LENGTH
    for first in range(0, len(rows), ROWS):
        part = np.flatnonzero(sound[first : first + ROWS]) + first
        model = amplitudes[part] @ basis
        residual = rows[part].astype(np.float64) - level - model
        variance = np.maximum(model, 0.0) / gain + fixed + amplitudes[part] ** 2 @ reference_variance
        variance = np.maximum(variance, 0.01 * variance.mean(axis=1, keepdims=True))
        scaled = residual / np.sqrt(variance)
        own = np.maximum((scaled**2).mean(axis=1), 1e-300)
        chi2[part] = own * channels / (channels - len(basis))
        blocks = block_means(scaled[:, :whole], LENGTH) * np.sqrt(LENGTH)
        count = blocks.shape[1]
        whiteness[part] = ((blocks**2).sum(axis=1) / own - count) / np.sqrt(2.0 * count)
        total += residual.sum(axis=0)
        squares += (residual**2).sum(axis=0)
    used = max(int(sound.sum()), 1)
    mean = total / used
    flags = unmixed.flags.reshape(-1).copy()
    with np.errstate(invalid="ignore"):
        flags[whiteness > SUSPECT] |= Flag.MISFIT
    return ResidualTest(
        reduced_chi2=chi2.reshape(lead),
        whiteness_z=whiteness.reshape(lead),
        mean_residual=mean,
        mean_residual_se=np.sqrt(np.maximum(squares / used - mean**2, 0.0) / used),
        flags=flags.reshape(lead),
    )
