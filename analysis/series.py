"""Final analysis of a time series: yield and rates with the errors of the spectra *and* of the references.

At a million counts a spectrum the references, not the spectra, limit the result.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.detector import IDEAL, Detector, growing_share
from halidescope.analysis.kinetics import Biexponential
from halidescope.analysis.kinetics_intervals import reported_intervals
from halidescope.analysis.series_numbers import NAMES, SeriesNumbers, told
from halidescope.analysis.systematics import gain_of, reference_covariance
from halidescope.analysis.time_errors import fit_with_time_errors
from halidescope.analysis.unmixing import Unmixing

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class SeriesResult(SeriesNumbers):
    """Yield and rates of the phase that grew.

    Every ``_se`` is the total standard error: statistical and systematic contributions (noise of the references and of
    the dark, error of the time zero) added in quadrature. ``statistical_covariance`` and ``systematic_covariance``
    (6, 6) keep them apart, in the order of ``names``; they are those of the linearised fit also where ``intervals``
    say that its errors are not to be trusted. Where ``kinetics.one_exponential_suffices``, the average rate is that of
    the single exponential. ``share`` (n,) is what was fitted: the last share of ``unmixing`` less the mean shift by the
    noise of the references.
    """

    names: tuple[str, ...]
    covariance: Numbers
    statistical_covariance: Numbers
    systematic_covariance: Numbers
    kinetics: Biexponential
    unmixing: Unmixing
    share: Numbers
    time_s: Numbers


def analyse_series(
    time_s: ArrayLike,
    spectra: ArrayLike,
    references: ArrayLike,
    *,
    references_se: ArrayLike = 0.0,
    detector: Detector = IDEAL,
    phi_time_s: float | None = None,
    time_se_s: ArrayLike = 0.0,
    zero_se_s: float = 0.0,
) -> SeriesResult:
    """Unmix a time series and fit the share of the last reference, 1 − (k01 e^(−k1 t) + k02 e^(−k2 t)).

    Parameters
    ----------
    time_s : (n,)
        Mid-exposure times since the light came on.
    spectra : (n, channels)
        Counts.
    references, references_se : (k, channels)
        Dark-free endmembers of any scale and the standard errors of their channels; the last is the phase that grows.
    detector : Detector
        Dark level and noise; by default none but that of photons.
    phi_time_s : float, optional
        When φ is read off the curve; the last time by default.
    time_se_s : scalar or (n,)
        Standard errors of the single times, independent of each other.
    zero_se_s : float
        Standard error of the zero of the times, the instant at which the light came on; shifts all times alike.

    Raises
    ------
    ValueError
        As :func:`~halidescope.analysis.unmixing.unmix` and
        :func:`~halidescope.analysis.time_errors.fit_with_time_errors`; one reference only.
    """
    times = np.asarray(time_s, dtype=np.float64)
    if np.ndim(references) < 2 or np.shape(references)[0] < 2:
        raise ValueError("one reference only: its share is always 1; kinetics need at least two")

    grown = growing_share(spectra, references, references_se, detector)
    unmixed, share, sigma, good = grown.unmixing, grown.share, grown.share_se, grown.good
    if share.shape != times.shape:
        raise ValueError(f"{times.size} times for spectra of shape {np.shape(spectra)}")
    time_errors = np.broadcast_to(np.asarray(time_se_s, dtype=np.float64), times.shape)
    fit, effective = fit_with_time_errors(
        times[good], share[good], rising=True, sigma=sigma[good], t_se=time_errors[good]
    )
    end = float(times[good].max()) if phi_time_s is None else float(phi_time_s)

    def decays(at: Numbers) -> Numbers:
        """∂share/∂(k1, k2, k01, k02) at times (n,) → (n, 4); the share is 1 − Σ k0i e^(−ki t)."""
        e1, e2 = np.exp(-fit.k1 * at), np.exp(-fit.k2 * at)
        return np.stack([fit.k01 * at * e1, fit.k02 * at * e2, -e1, -e2], axis=1)

    k, k0 = np.array([fit.k1, fit.k2]), np.array([fit.k01, fit.k02])
    average = k0 @ k / k0.sum()
    derived = np.zeros((len(NAMES), 4))
    derived[0] = decays(np.array([end]))[0]
    derived[1] = [*(k0 / k0.sum()), *((k - average) / k0.sum())]
    derived[2:] = np.eye(4)
    statistical = derived @ fit.covariance @ derived.T
    response = derived @ gain_of(decays(times[good]), fit.covariance, effective)
    if fit.one_exponential_suffices:
        slope = -fit.single_amplitude * times[good] * np.exp(-fit.single_rate * times[good])
        flat = np.exp(-fit.single_rate * times[good])
        jacobian = -np.stack([slope, flat], axis=1)
        covariance = np.linalg.inv((jacobian / effective[:, None] ** 2).T @ jacobian)
        response[1] = gain_of(jacobian, covariance, effective)[0]
        statistical[1] = statistical[:, 1] = (response * effective ** 2) @ response[1]
    if fit.constant:      # φ is the mean, and there is nothing else
        weights = effective ** -2.0
        response = np.zeros_like(response)
        response[0] = weights / weights.sum()
        statistical = np.full_like(statistical, np.nan)
        statistical[0, 0] = float(fit.mean_se) ** 2
    systematic = reference_covariance(
        response, unmixed.amplitudes[good], references, references_se, detector.dark_se, gain=detector.gain,
        read_noise=detector.read_noise, efficiency=detector.response,
    )  # fmt: skip
    shifted = derived @ np.array([0.0, 0.0, *(k0 * k)]) * zero_se_s   # a later zero: k0i → k0i (1 − ki δ)
    if fit.constant:
        shifted[:] = 0.0
    if fit.one_exponential_suffices:
        shifted[1] = 0.0
    systematic = systematic + np.outer(shifted, shifted)
    total = statistical + systematic
    values = fit.share_at(end).value, fit.average_rate, *k, *k0
    intervals = reported_intervals(
        times[good], share[good], effective, fit, end,
        systematic_se=dict(zip(NAMES, np.sqrt(np.diag(systematic)).tolist(), strict=True)),
    )  # fmt: skip
    return SeriesResult(
        **told(values, np.sqrt(np.diag(total)), intervals),
        intervals=intervals,
        phi_time_s=end,
        names=NAMES,
        covariance=total,
        statistical_covariance=statistical,
        systematic_covariance=systematic,
        kinetics=fit,
        unmixing=unmixed,
        share=share,
        time_s=times,
    )
