"""Final analysis of a map after an exposure: the halo's radius with the errors of spectra *and* references."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.detector import IDEAL, Detector, growing_share
from halidescope.analysis.diffusion import Halo, fit_halo, halo_slope
from halidescope.analysis.systematics import gain_of, reference_covariance
from halidescope.analysis.unmixing import Unmixing

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class HaloResult:
    """The halo of the phase that grew.

    Every ``_se`` is the total standard error: statistical and systematic (references, dark) contributions in
    quadrature; the covariances (5, 5) are in the order centre_x_um, centre_y_um, radius_um, amplitude, offset. ``halo``
    is the fit with its statistical errors alone.
    """

    radius_um: float
    radius_um_se: float
    centre_um: tuple[float, float]
    centre_um_se: tuple[float, float]
    amplitude: float
    amplitude_se: float
    offset: float
    offset_se: float
    covariance: Numbers
    statistical_covariance: Numbers
    systematic_covariance: Numbers
    halo: Halo
    unmixing: Unmixing


def analyse_halo(
    x_um: ArrayLike,
    y_um: ArrayLike,
    spectra: ArrayLike,
    references: ArrayLike,
    *,
    references_se: ArrayLike = 0.0,
    detector: Detector = IDEAL,
    valid: ArrayLike | None = None,
) -> HaloResult:
    """Unmix a map and fit offset + amplitude · exp(−r²/radius²) to the share of the last reference.

    Parameters
    ----------
    x_um, y_um : (nx,) and (ny,)
        Columns and rows.
    spectra : (ny, nx, channels)
        Counts.
    valid : (ny, nx), optional
        False where no spectrum was taken.

    The other parameters are those of :func:`~halidescope.analysis.series.analyse_series`.

    Raises
    ------
    ValueError
        As :func:`~halidescope.analysis.unmixing.unmix` and :func:`~halidescope.analysis.diffusion.fit_halo`.
    """
    grown = growing_share(spectra, references, references_se, detector)
    unmixed, share, sigma, good = grown.unmixing, grown.share, grown.share_se, grown.good
    if valid is not None:
        good = good & np.asarray(valid, dtype=np.bool_)
    x, y = np.meshgrid(np.asarray(x_um, dtype=np.float64), np.asarray(y_um, dtype=np.float64))
    if x.shape != share.shape:
        raise ValueError(f"{np.size(x_um)} columns and {np.size(y_um)} rows for a map of shape {share.shape}")
    halo = fit_halo(x[good], y[good], share[good], sigma[good])
    response = gain_of(halo_slope(halo, x[good], y[good]), halo.covariance, sigma[good])
    systematic = reference_covariance(
        response, unmixed.amplitudes[good], references, references_se, detector.dark_se, gain=detector.gain,
        read_noise=detector.read_noise, efficiency=detector.response,
    )  # fmt: skip
    # shares are weighted by their own errors; where they scatter more (grain of the film), the scatter is the error
    statistical = halo.covariance * max(1.0, halo.reduced_chi2)
    total = statistical + systematic
    se = [float(v) for v in np.sqrt(np.diag(total))]
    return HaloResult(
        radius_um=halo.radius_um, radius_um_se=se[2], centre_um=(halo.centre_x_um, halo.centre_y_um),
        centre_um_se=(se[0], se[1]), amplitude=halo.amplitude, amplitude_se=se[3], offset=halo.offset,
        offset_se=se[4], covariance=total, statistical_covariance=statistical, systematic_covariance=systematic,
        halo=halo, unmixing=unmixed,
    )  # fmt: skip
