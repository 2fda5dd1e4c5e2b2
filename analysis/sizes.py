"""Log-normal size distributions, e.g. of crystal edge lengths from micrographs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import ndtr

from halidescope.analysis.linear import inverse_of

Numbers = NDArray[np.float64]
WIDEST = 5.0     # sigma of ln L: crystals of one film do not differ by factors of e⁵


@dataclass(frozen=True)
class LogNormal:
    """Maximum-likelihood log-normal distribution, lengths in the unit given.

    ``median`` and ``sigma_log`` are the parameters (ln L is normal around ln median with ``sigma_log``); ``mean`` and
    ``deviation`` are the mean and standard deviation *of the lengths*, as "12.4 ± 5.8 nm" is usually meant.
    ``covariance`` (2, 2) is of (ln median, sigma_log).
    """

    median: float
    median_se: float
    sigma_log: float
    sigma_log_se: float
    mean: float
    mean_se: float
    deviation: float
    deviation_se: float
    covariance: Numbers
    count: int

    def density(self, length: ArrayLike) -> Numbers:
        """Probability per unit of length."""
        lengths = np.asarray(length, dtype=np.float64)
        z = np.log(lengths / self.median) / self.sigma_log
        return np.exp(-0.5 * z**2) / (lengths * self.sigma_log * np.sqrt(2 * np.pi))


def fit_lognormal(lengths: ArrayLike) -> LogNormal:
    """From single lengths (n,), n ≥ 3, all positive: closed form. The unbiased variance of the logarithms is used."""
    values = np.asarray(lengths, dtype=np.float64).ravel()
    if values.size < 3:
        raise ValueError(f"{values.size} lengths, a distribution needs at least 3")
    if not (np.isfinite(values) & (values > 0)).all():
        raise ValueError("lengths must be finite and positive")
    logs = np.log(values)
    spread = float(np.std(logs, ddof=1))
    if not spread > 0:
        raise ValueError("all lengths are the same: they have no distribution")
    covariance = np.diag([spread**2 / values.size, spread**2 / (2 * (values.size - 1))])
    return _result(float(np.mean(logs)), spread, covariance, values.size)


def fit_lognormal_histogram(edges: ArrayLike, counts: ArrayLike) -> LogNormal:
    """From a histogram: ``edges`` (m + 1,) rising and not negative, ``counts`` (m,) of single crystals.

    Maximum likelihood of the counts (multinomial, given that a length lies between the first and the last edge): bins
    of any width, nothing is fitted to bar heights. ValueError for edges or counts that make no histogram, or fewer than
    three filled bins.
    """
    borders, number = np.asarray(edges, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if borders.ndim != 1 or number.shape != (borders.size - 1,):
        raise ValueError(f"{borders.size} edges for {number.size} bins; there must be one more edge than bins")
    if not (np.diff(borders) > 0).all() or borders[0] < 0 or not np.isfinite(borders).all():
        raise ValueError("edges must rise, be finite and not negative")
    if not np.isfinite(number).all() or (number < 0).any() or np.count_nonzero(number) < 3:
        raise ValueError("counts must be finite, not negative, and fill at least three bins")
    logs = np.log(np.maximum(borders, 1e-300))
    middle = np.log(np.maximum(0.5 * (borders[1:] + borders[:-1]), 1e-300))
    total = number.sum()
    mean = float(number @ middle / total)
    spread = float(np.sqrt(number @ (middle - mean) ** 2 / total))

    def probabilities(p: Numbers) -> Numbers:
        parts = np.diff(ndtr((logs - p[0]) / np.exp(min(p[1], 100.0))))
        return np.maximum(parts / max(parts.sum(), 1e-300), 1e-300)

    found = minimize(
        lambda p: -float(number @ np.log(probabilities(p))), [mean, np.log(spread)], method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000},
    )  # fmt: skip
    # Fisher information of a multinomial: N Σ (∂p)(∂p)ᵀ / p, with σ itself instead of its logarithm
    p = found.x
    if not (found.success and p[1] < np.log(WIDEST)):
        raise ValueError("the histogram has no log-normal shape: its width cannot be found; measure more crystals")
    sigma = float(np.exp(p[1]))
    step = 1e-4 * sigma
    moves = np.array([[step, 0.0], [0.0, step / sigma]])
    slope = np.array([(probabilities(p + move) - probabilities(p - move)) / (2 * step) for move in moves])
    information = total * (slope / probabilities(p)) @ slope.T
    return _result(float(p[0]), sigma, inverse_of(information[None])[0], int(total))


def _result(mu: float, sigma: float, covariance: Numbers, count: int) -> LogNormal:
    """Derived numbers: mean = e^(µ + σ²/2), deviation = mean √(e^(σ²) − 1)."""
    mean = float(np.exp(mu + sigma**2 / 2))
    growth = float(np.exp(sigma**2))
    deviation = mean * np.sqrt(growth - 1.0)
    mean_slope = mean * np.array([1.0, sigma])
    deviation_slope = deviation * np.array([1.0, sigma + sigma * growth / (growth - 1.0)])
    se = np.sqrt(np.diag(covariance))
    median = float(np.exp(mu))
    return LogNormal(
        median=median, median_se=median * float(se[0]), sigma_log=sigma, sigma_log_se=float(se[1]), mean=mean,
        mean_se=float(np.sqrt(mean_slope @ covariance @ mean_slope)), deviation=float(deviation),
        deviation_se=float(np.sqrt(deviation_slope @ covariance @ deviation_slope)), covariance=covariance, count=count,
    )  # fmt: skip
