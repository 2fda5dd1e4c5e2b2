"""Measured curves against the simulation: how well it fits, and which barriers, escape and time scale the data want.

The simulation is replaced by its emulator; the posterior is sampled by tempered sequential Monte Carlo. Seconds are out
of reach of atomistic clocks, so seconds per simulated step (or per simulated second) are a fitted parameter, not a
result about rates. Emission shares are not volume fractions; a measured share is compared with how far E_g has gone
towards the pure bromide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.emulator import GRID, PARAMETERS, Emulator, Prior, train
from halidescope.analysis.kmc.observables import band_gap

Floats = NDArray[np.float64]

NAMES = (*PARAMETERS, "log10_seconds_per_step")
PURE_BROMIDE_EV = 2.46
SLOWEST = 30.0
"""The measured series covers between all and one thirtieth of the simulated run."""
POINTS = 40
"""A longer series is averaged to this many points."""
PARTICLES = 800
TRUST = 0.3
"""Weight of the log likelihood. The emulator's errors are neither Gaussian nor known everywhere, and at full weight
90 % intervals of the time scale hold only 73 % of synthetic truths. A general posterior with calibrated learning rate:
N. Syring and R. Martin, Biometrika 2019, 106, 479; the coverage reached is in docs/kmc.md and in the tests."""


@dataclass(frozen=True)
class Measured:
    """A measured curve of the exposed spot.

    Parameters
    ----------
    time_s : array_like (n,)
        Time since the light came on, ascending, s.
    value, sigma : array_like (n,)
        Peak energy in eV, or the Br-rich share (0 to 1), and its standard error (a number or one per point).
    kind : str
        "peak-energy" or "bromide-share".
    offset_sd : float, optional
        How far emission may lie from the band gap all along (Stokes shift, calibration), as a standard deviation in the
        unit of the value; 0.03 eV or a share of 0.05 by default.
    """

    time_s: ArrayLike
    value: ArrayLike
    sigma: ArrayLike
    kind: Literal["peak-energy", "bromide-share"] = "peak-energy"
    offset_sd: float | None = None

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """Return time, value and sigma checked and, if the series is long, averaged to ``POINTS`` points.

        Raises
        ------
        ValueError
            Too few points, lengths that differ, times that do not ascend, or a sigma that is not positive.
        """
        time, value = np.asarray(self.time_s, dtype=float), np.asarray(self.value, dtype=float)
        sigma = np.broadcast_to(np.asarray(self.sigma, dtype=float), value.shape)
        if time.ndim != 1 or time.shape != value.shape or time.size < 5:
            raise ValueError(f"measured: needs at least 5 times and as many values, got {time.size} and {value.size}")
        if not (np.all(np.isfinite(time)) and np.all(np.isfinite(value)) and np.all(np.isfinite(sigma))):
            raise ValueError("measured: times, values and errors must be finite; leave failed points out")
        if time[0] < 0 or np.any(np.diff(time) <= 0):
            raise ValueError("measured: times must ascend from 0 s on")
        if np.any(sigma <= 0):
            raise ValueError(f"measured: sigma = {sigma.min()}; standard errors must be positive")
        if self.kind not in ("peak-energy", "bromide-share"):
            raise ValueError(f"measured: kind = '{self.kind}'; must be 'peak-energy' or 'bromide-share'")
        groups = np.array_split(np.arange(time.size), min(POINTS, time.size))
        return (
            np.array([time[g].mean() for g in groups]),
            np.array([np.average(value[g], weights=sigma[g] ** -2.0) for g in groups]),
            np.array([np.sum(sigma[g] ** -2.0) ** -0.5 for g in groups]),
        )

    @property
    def offset(self) -> float:
        """Standard deviation of the constant offset."""
        if self.offset_sd is not None:
            return self.offset_sd
        return 0.03 if self.kind == "peak-energy" else 0.05


@dataclass(frozen=True)
class Comparison:
    """How a measured curve and the simulation agree.

    Attributes
    ----------
    samples : ndarray (particles, 4)
        Equally weighted posterior samples of ``NAMES``: barriers in eV, escape probability, log10 of the seconds of the
        experiment per step (per second of the exact clock, if that limits the run).
    discrepancy : float
        Smallest mean squared misfit per point, in units of the errors (measurement, offset, emulator); about 1 fits.
    null : ndarray
        The same for curves made by the model itself; ``p_value`` is the share of them that fits no better.
    time_s, median, low, high : ndarray
        Posterior band of the model (95 %) at the times of the series, in the unit of the measured value.
    """

    samples: Floats
    discrepancy: float
    null: Floats
    p_value: float
    time_s: Floats
    median: Floats
    low: Floats
    high: Floats

    @property
    def mean(self) -> Floats:
        """Posterior means, in the order of ``NAMES``."""
        return self.samples.mean(axis=0)

    @property
    def covariance(self) -> Floats:
        """Posterior covariance, (4, 4)."""
        return np.cov(self.samples.T)

    @property
    def iodide_ev(self) -> float:
        """Barrier of iodide, posterior mean, eV."""
        return float(self.mean[0])

    @property
    def iodide_ev_se(self) -> float:
        """Its posterior standard deviation, eV."""
        return float(self.samples[:, 0].std())

    @property
    def bromide_ev(self) -> float:
        """Barrier of bromide, posterior mean, eV."""
        return float(self.mean[1])

    @property
    def bromide_ev_se(self) -> float:
        """Its posterior standard deviation, eV."""
        return float(self.samples[:, 1].std())

    @property
    def escape(self) -> float:
        """Escape probability A, posterior mean."""
        return float(self.mean[2])

    @property
    def escape_se(self) -> float:
        """Its posterior standard deviation."""
        return float(self.samples[:, 2].std())

    @property
    def seconds_per_step(self) -> float:
        """Time scale, geometric posterior mean, s per step."""
        return float(10 ** self.mean[3])

    def interval(self, share: float = 0.9) -> Floats:
        """Central credible intervals of ``NAMES``, (4, 2)."""
        return np.quantile(self.samples, [(1 - share) / 2, (1 + share) / 2], axis=0).T


@lru_cache(maxsize=4)
def trained(config: KmcConfig, prior: Prior) -> Emulator:
    """Train the emulator of a configuration once, with the default effort."""
    return train(config, prior)


def compare(
    measured: Measured,
    config: KmcConfig | Mapping[str, Any],
    *,
    prior: Prior | None = None,
    emulator: Emulator | None = None,
    seed: int = 1,
    null_draws: int = 200,
) -> Comparison:
    """Compare a measured curve with a simulation.

    Parameters
    ----------
    measured : Measured
        Peak energy or Br-rich share of the exposed spot.
    config : KmcConfig
        Everything that is not fitted: lattice, temperature, scheme, reading, length of the run (or its tables of keys).
    prior : Prior, optional
        Ranges of the barriers and the escape probability.
    emulator : Emulator, optional
        A trained stand-in (:func:`halidescope.analysis.kmc.emulator.train`); with it a comparison takes about a second.
        Without it the one of the configuration is trained, and kept for the next call.
    """
    if emulator is None:
        asked = config if isinstance(config, KmcConfig) else KmcConfig.from_mapping(config)
        emulator = trained(asked, prior or Prior())
    problem = _Problem(measured, emulator)
    rng = np.random.default_rng(seed)
    unit, cloud = _sample(problem, rng)
    model, factors = problem.model(unit)
    wide_model, wide_factors = problem.model(cloud)
    discrepancy = float(problem.misfit(problem.value[None], wide_model, wide_factors)[0])

    chosen = rng.integers(0, len(unit), null_draws)
    common = np.einsum("pjr,pr->pj", factors[chosen], rng.standard_normal((null_draws, factors.shape[2])))
    own = rng.standard_normal((null_draws, problem.value.size)) * np.sqrt(problem.variance)
    null = problem.misfit(model[chosen] + common + own, wide_model, wide_factors)
    shifted = model + problem.fitted_offset(model, factors)
    low, median, high = np.quantile(shifted, [0.025, 0.5, 0.975], axis=0)
    return Comparison(
        samples=problem.parameters(unit),
        discrepancy=discrepancy,
        null=null,
        p_value=float((1 + np.sum(null >= discrepancy)) / (1 + null_draws)),
        time_s=problem.time_s,
        median=median,
        low=low,
        high=high,
    )


class _Problem:
    """The likelihood of a measured curve on the unit cube of the four parameters."""

    def __init__(self, measured: Measured, emulator: Emulator) -> None:
        self.time_s, self.value, sigma = measured.arrays()
        self._emulator = emulator
        config = emulator.config
        start = float(band_gap(config.lattice.iodide + config.lattice.vacancy))
        if measured.kind == "peak-energy":
            self._origin, self._unit = 0.0, 1.0
        else:
            self._origin, self._unit = start, 1 / (PURE_BROMIDE_EV - start)
        self.variance = sigma**2 + (float(emulator.rest_sd.mean()) * self._unit) ** 2
        self._offset = measured.offset
        length = config.run.time_s if config.run.time_s is not None else float(config.events or 0)
        length = float(config.steps) if config.run.scheme == "paper" else length
        fastest = np.log10(self.time_s[-1] / length)
        low, high = emulator.prior.limits
        self._low = np.append(low, fastest)
        self._high = np.append(high, fastest + np.log10(SLOWEST))
        self._length = length

    def parameters(self, unit: Floats) -> Floats:
        """Physical parameters of points of the unit cube, (n, 4)."""
        return self._low + unit * (self._high - self._low)

    def model(self, unit: Floats) -> tuple[Floats, Floats]:
        """Model curves at the measured times (n, J), and the factors (n, J, R) of their common errors."""
        parameters = self.parameters(unit)
        share = self.time_s / (10 ** parameters[:, 3:]) / self._length
        at = np.clip(np.searchsorted(GRID, share, side="right") - 1, 0, GRID.size - 2)
        weight = np.clip((share - GRID[at]) / (GRID[at + 1] - GRID[at]), 0, 1)
        curves, errors = self._emulator.curves(parameters[:, :3])
        rows = np.arange(len(unit))[:, None]
        energy = curves[rows, at] * (1 - weight) + curves[rows, at + 1] * weight
        basis = self._emulator.basis.T
        factors = basis[at] * (1 - weight[..., None]) + basis[at + 1] * weight[..., None]
        factors *= errors[:, None, :]
        offset = np.full((*at.shape, 1), self._offset)
        return (energy - self._origin) * self._unit, np.concatenate([factors * self._unit, offset], axis=2)

    def log_likelihood(self, unit: Floats) -> Floats:
        """Logarithm of the likelihood times ``TRUST``, (n,)."""
        model, factors = self.model(unit)
        scaled = factors / self.variance[:, None]
        inner = np.eye(factors.shape[2]) + np.matmul(scaled.transpose(0, 2, 1), factors)
        residual = self.value - model
        projected = np.einsum("njr,nj->nr", scaled, residual)
        explained = np.einsum("nr,nr->n", projected, np.linalg.solve(inner, projected[..., None])[..., 0])
        misfit = np.sum(residual**2 / self.variance, axis=1) - explained
        return -0.5 * TRUST * (misfit + np.linalg.slogdet(inner)[1])

    def misfit(self, values: Floats, model: Floats, factors: Floats) -> Floats:
        """Smallest squared misfit per point over the model curves, for each of the curves ``values`` (m, J), (m,)."""
        scaled = factors / self.variance[:, None]
        inner = np.eye(factors.shape[2]) + np.matmul(scaled.transpose(0, 2, 1), factors)
        half = np.linalg.inv(np.linalg.cholesky(inner))
        whitened = np.matmul(half, scaled.transpose(0, 2, 1))
        weight = 1 / self.variance
        best = np.empty(len(values))
        for i, value in enumerate(values):
            residual = value - model
            explained = np.sum(np.einsum("nrj,nj->nr", whitened, residual) ** 2, axis=1)
            best[i] = np.min(residual**2 @ weight - explained)
        return best / self.value.size

    def fitted_offset(self, model: Floats, factors: Floats) -> Floats:
        """Most likely constant offset of each curve, (n, 1), the other common errors taken as zero."""
        precision = np.sum(1 / self.variance) + (1 / self._offset**2 if self._offset > 0 else np.inf)
        return np.sum((self.value - model) / self.variance, axis=1, keepdims=True) / precision


def _sample(problem: _Problem, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Tempered sequential Monte Carlo (Del Moral, Doucet and Jasra 2006): from the prior to the posterior.

    The next exponent keeps half the effective sample size; resampled particles move by six Metropolis steps with
    2.38²/4 of their own covariance. Returns the posterior particles, and those joined with the stage before, which is
    a wider cloud.
    """
    unit = rng.random((PARTICLES, 4))
    value = problem.log_likelihood(unit)
    exponent, before = 0.0, unit
    while exponent < 1:
        step = _next_step(value, 1 - exponent)
        exponent += step
        weight = np.exp(step * (value - value.max()))
        weight /= weight.sum()
        positions = (np.arange(PARTICLES) + rng.random()) / PARTICLES
        kept = np.minimum(np.searchsorted(np.cumsum(weight), positions), PARTICLES - 1)
        before = unit
        unit, value = unit[kept], value[kept]
        spread = np.linalg.cholesky(np.cov(unit.T) * 2.38**2 / 4 + 1e-12 * np.eye(4))
        for _ in range(6):
            proposed = unit + rng.standard_normal(unit.shape) @ spread.T
            inside = np.all((proposed > 0) & (proposed < 1), axis=1)
            new = np.full(PARTICLES, -np.inf)
            new[inside] = problem.log_likelihood(proposed[inside])
            accepted = np.log(rng.random(PARTICLES)) < exponent * (new - value)
            unit = np.where(accepted[:, None], proposed, unit)
            value = np.where(accepted, new, value)
    return unit, np.concatenate([unit, before])


def _next_step(value: Floats, rest: float) -> float:
    """Largest increase of the exponent, at most ``rest``, that keeps half the effective sample size."""
    def effective(step: float) -> float:
        weight = np.exp(step * (value - value.max()))
        return float(weight.sum() ** 2 / np.sum(weight**2))

    if effective(rest) >= value.size / 2:
        return rest
    low, high = 0.0, rest
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(middle) >= value.size / 2 else (low, middle)
    return max(low, 1e-9)
