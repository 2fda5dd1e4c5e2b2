"""Final analysis of a time series: yield and rates with the errors of the spectra *and* of the references.

At a million counts a spectrum the references, not the spectra, limit the result.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.kinetics import Biexponential, fit_biexponential
from halidescope.analysis.references import unit_sum
from halidescope.analysis.systematics import gain_of, reference_bias, reference_covariance
from halidescope.analysis.unmixing import Unmixing, unmix

Numbers = NDArray[np.float64]
NAMES = ("phi", "average_rate_per_s", "k1_per_s", "k2_per_s", "k01", "k02")


@dataclass(frozen=True)
class SeriesResult:
    """Yield and rates of the phase that grew.

    Every ``_se`` is the total standard error: statistical and systematic contributions (noise of the references and of
    the dark, error of the time zero) added in quadrature. ``statistical_covariance`` and ``systematic_covariance``
    (6, 6) keep them apart, in the order of ``names``. Where
    ``kinetics.one_exponential_suffices``, the average rate is that of the single exponential. ``share`` (n,) is what
    was fitted: the last share of ``unmixing`` less the mean shift by the noise of the references.
    """

    phi: float
    phi_se: float
    phi_time_s: float
    average_rate_per_s: float
    average_rate_per_s_se: float
    k1_per_s: float
    k1_per_s_se: float
    k2_per_s: float
    k2_per_s_se: float
    k01: float
    k01_se: float
    k02: float
    k02_se: float
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
    dark: ArrayLike = 0.0,
    dark_se: ArrayLike = 0.0,
    gain: float = 1.0,
    read_noise: float = 0.0,
    saturation: float | None = None,
    phi_time_s: float | None = None,
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
    dark, dark_se : scalar or (channels,)
        Mean dark and its standard error, counts.
    gain, read_noise, saturation
        Electrons per count, standard deviation of a dark spectrum in counts, limit of the detector in counts.
    phi_time_s : float, optional
        When φ is read off the curve; the last time by default.
    zero_se_s : float
        Standard error of the zero of the times, the instant at which the light came on; shifts all times alike.

    Raises
    ------
    ValueError
        As :func:`~halidescope.analysis.unmixing.unmix` and :func:`~halidescope.analysis.kinetics.fit_biexponential`;
        one reference only.
    """
    times = np.asarray(time_s, dtype=np.float64)
    if np.ndim(references) < 2 or np.shape(references)[0] < 2:
        raise ValueError("one reference only: its share is always 1; kinetics need at least two")

    def unmixed_with(measured: ArrayLike) -> Unmixing:
        # without the bound at zero: it would lift the mean of shares that are zero, and the fit sees means
        return unmix(
            spectra, unit_sum(measured), nonnegative=False, noise="poisson", dark=dark, gain=gain,
            read_noise=read_noise, saturation=saturation,
        )  # fmt: skip

    unmixed = unmixed_with(references)
    bias = reference_bias(lambda measured: unmixed_with(measured).shares[..., -1], references, references_se)
    share, sigma = unmixed.shares[..., -1] - bias, unmixed.shares_se[..., -1]
    if share.shape != times.shape:
        raise ValueError(f"{times.size} times for spectra of shape {np.shape(spectra)}")
    good = unmixed.valid & (sigma > 0) & np.isfinite(sigma)
    fit = fit_biexponential(times[good], share[good], rising=True, sigma=sigma[good])
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
    response = derived @ gain_of(decays(times[good]), fit.covariance, sigma[good])
    if fit.one_exponential_suffices:
        slope = -fit.single_amplitude * times[good] * np.exp(-fit.single_rate * times[good])
        flat = np.exp(-fit.single_rate * times[good])
        jacobian = -np.stack([slope, flat], axis=1)
        covariance = np.linalg.inv((jacobian / sigma[good][:, None] ** 2).T @ jacobian)
        response[1] = gain_of(jacobian, covariance, sigma[good])[0]
        statistical[1] = statistical[:, 1] = (response * sigma[good] ** 2) @ response[1]
    systematic = reference_covariance(
        response, unmixed.amplitudes[good], references, references_se, dark_se, gain=gain, read_noise=read_noise
    )
    shifted = derived @ np.array([0.0, 0.0, *(k0 * k)]) * zero_se_s   # a later zero: k0i → k0i (1 − ki δ)
    if fit.one_exponential_suffices:
        shifted[1] = 0.0
    systematic = systematic + np.outer(shifted, shifted)
    total = statistical + systematic
    values = [float(v) for v in (fit.share_at(end).value, fit.average_rate, *k, *k0)]
    errors = [float(v) for v in np.sqrt(np.diag(total))]
    named = dict(zip(NAMES, values, strict=True))
    named |= {f"{name}_se": error for name, error in zip(NAMES, errors, strict=True)}
    return SeriesResult(
        **named,
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
