"""What a fit must know of the detector, and the share of the growing phase in spectra that it took."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.references import unit_sum
from halidescope.analysis.systematics import reference_bias
from halidescope.analysis.unmixing import Unmixing, unmix

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Detector:
    """Dark level and noise of a detector.

    Attributes
    ----------
    dark, dark_se : scalar or (channels,)
        Mean dark and its standard error, counts.
    gain : float
        Electrons per count.
    read_noise : float
        Standard deviation of one dark spectrum, counts.
    saturation : float or None
        Counts from which a channel is left out.
    response : scalar or (channels,)
        Relative efficiency of light path and detector. Spectra and references stay as measured, with their noise; the
        areas that shares are made of are those of the light.
    """

    dark: ArrayLike = 0.0
    dark_se: ArrayLike = 0.0
    gain: float = 1.0
    read_noise: float = 0.0
    saturation: float | None = None
    response: ArrayLike = 1.0

    def unmix(self, spectra: ArrayLike, references: ArrayLike) -> Unmixing:
        """Unmix with references brought to unit sum, Poisson-optimal, without the bound at zero.

        The bound would lift the mean of shares that are zero, and what is fitted to many shares sees their mean.
        """
        return unmix(
            spectra, unit_sum(references, self.response), nonnegative=False, noise="poisson", dark=self.dark,
            gain=self.gain, read_noise=self.read_noise, saturation=self.saturation,
        )  # fmt: skip


IDEAL = Detector()
"""No dark, one electron per count, photon noise alone."""


@dataclass(frozen=True)
class GrowingShare:
    """Share of the last reference, less the mean shift by the noise of the references.

    Attributes
    ----------
    unmixing : Unmixing
        As measured, nothing subtracted.
    share, share_se : (…)
    good : (…)
        True where share and error are numbers.
    """

    unmixing: Unmixing
    share: Numbers
    share_se: Numbers
    good: NDArray[np.bool_]


def growing_share(
    spectra: ArrayLike, references: ArrayLike, references_se: ArrayLike, detector: Detector
) -> GrowingShare:
    """Unmix spectra (…, channels) and take the share of the last reference."""
    found = detector.unmix(spectra, references)
    bias = reference_bias(lambda drawn: detector.unmix(spectra, drawn).shares[..., -1], references, references_se)
    share, error = found.shares[..., -1] - bias, found.shares_se[..., -1]
    return GrowingShare(found, share, error, found.valid & (error > 0) & np.isfinite(error))
