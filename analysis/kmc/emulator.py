"""A fast stand-in for the simulation: E_g(progress) as a smooth function of barriers and escape, with its own error.

The simulation is run on a space-filling design of parameters; the curves are reduced to their principal components,
and a Gaussian process for each component interpolates between the designs. What leave-one-out prediction gets wrong,
replica noise included, is kept as the emulator's error and enters every likelihood.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.stats import qmc

from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.run import run_replica

Floats = NDArray[np.float64]

PARAMETERS = ("iodide_ev", "bromide_ev", "escape")
GRID = np.linspace(0, 1, 64) ** 2
"""Share of the run at which a curve is kept; dense at the start, where it changes most."""
COMPONENTS = 6
"""Directions that are predicted; further ones, up to ``KEPT``, are the replicas' scatter and kept as errors only."""
KEPT = 16
NEARBY = 0.1
"""Width, on the unit cube, of the neighbourhood in which errors are averaged."""


@dataclass(frozen=True)
class Prior:
    """Ranges within which the parameters are equally likely before the data: barriers in eV, escape probability A."""

    iodide_ev: tuple[float, float] = (0.05, 0.20)
    bromide_ev: tuple[float, float] = (0.10, 0.30)
    escape: tuple[float, float] = (0.0, 0.6)

    def __post_init__(self) -> None:
        for name in PARAMETERS:
            low, high = getattr(self, name)
            if not 0 <= low < high:
                raise ValueError(f"prior of {name} = {low} to {high}: needs 0 ≤ low < high")

    @property
    def limits(self) -> Floats:
        """Lower and upper limits, (2, 3)."""
        return np.array([getattr(self, name) for name in PARAMETERS], dtype=float).T


@dataclass(frozen=True)
class Component:
    """A Gaussian process for one component, on the unit cube; ``left_out`` (n,) are its leave-one-out errors."""

    designs: Floats
    weights: Floats
    mean: float
    scales: Floats
    variance: float
    left_out: Floats

    def predict(self, unit: Floats) -> Floats:
        """Predict at points of the unit cube, (n, 3) → (n,)."""
        return self.mean + self.variance * _kernel(unit, self.designs, self.scales) @ self.weights


@dataclass(frozen=True)
class Emulator:
    """Curves of E_g over the share of the run.

    Attributes
    ----------
    mean : ndarray (grid,)
        Mean curve, eV; ``basis`` (components, grid) are the directions in which curves differ.
    rest_sd : ndarray (grid,)
        What the components leave out, eV.
    """

    config: KmcConfig
    prior: Prior
    mean: Floats
    basis: Floats
    components: tuple[Component, ...]
    rest_sd: Floats
    left_out_rms_ev: float

    def curves(self, parameters: Floats) -> tuple[Floats, Floats]:
        """E_g at ``GRID`` for parameters (n, 3) in the order of ``PARAMETERS``, (n, grid) eV, and its errors.

        The errors (n, components) are standard deviations along the rows of ``basis``: leave-one-out errors of the
        designs around, nearer ones weighing more. Films in which little escapes scatter far more than converted ones.
        """
        low, high = self.prior.limits
        unit = (np.asarray(parameters, dtype=float) - low) / (high - low)
        scores = np.stack([component.predict(unit) for component in self.components[:COMPONENTS]], axis=1)
        squares = np.stack([component.left_out for component in self.components], axis=1) ** 2
        errors = np.sqrt(_nearness(unit, self.components[0].designs) @ squares)
        return self.mean + scores @ self.basis[:COMPONENTS], errors


def with_parameters(config: KmcConfig, parameters: Floats) -> KmcConfig:
    """Return the configuration with these barriers and this escape probability."""
    iodide, bromide, escape = (float(value) for value in parameters)
    return config.replace(barriers__iodide_ev=iodide, barriers__bromide_ev=bromide, escape__probability=escape)


def simulated_curve(config: KmcConfig, parameters: Floats, replicas: int, seed: int) -> Floats:
    """Mean E_g of ``replicas`` runs at ``GRID``, eV; progress is steps, or time if the run is limited by it.

    The spot starts with the exact composition: the measured one averages over far more sites than a lattice has.
    """
    case = with_parameters(config, parameters).replace(run__seed=seed)
    curves = []
    for replica in range(replicas):
        run = run_replica(case, replica, exact_spot=True)
        along = run.time_s if case.run.time_s is not None else run.progress
        curves.append(np.interp(GRID * along[-1], along, run.band_gap_ev))
    return np.mean(curves, axis=0)


def train(
    config: KmcConfig,
    prior: Prior | None = None,
    *,
    designs: int = 192,
    replicas: int = 2,
    seed: int = 1,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Emulator:
    """Run the simulation on a scrambled Sobol design and fit the emulator.

    Parameters
    ----------
    designs, replicas : int
        Points of the design and runs averaged at each. 192 × 2 runs of the paper's 20³ film take half a minute a core.
    """
    if designs < 16 or replicas < 1:
        raise ValueError(f"designs = {designs} (at least 16), replicas = {replicas} (at least 1)")
    prior = prior or Prior()
    low, high = prior.limits
    sobol = qmc.Sobol(3, rng=np.random.default_rng(seed))
    unit = sobol.random_base2(int(np.ceil(np.log2(designs))))[:designs]
    curves = np.empty((designs, GRID.size))
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        points = low + unit * (high - low)
        jobs = pool.map(lambda i: simulated_curve(config, points[i], replicas, seed + 1 + i), range(designs))
        for i, curve in enumerate(jobs):
            curves[i] = curve
            if progress is not None:
                progress(i + 1, designs)
    return fit(config, prior, unit, curves)


def fit(config: KmcConfig, prior: Prior, unit: Floats, curves: Floats) -> Emulator:
    """Fit the emulator to curves (n, grid) simulated at points (n, 3) of the unit cube."""
    mean = curves.mean(axis=0)
    left, sizes, basis = np.linalg.svd(curves - mean, full_matrices=False)
    basis = basis[:KEPT]
    scores = left[:, :KEPT] * sizes[:KEPT]
    components = tuple(
        _fit_component(unit, score) if i < COMPONENTS else _scatter(unit, score) for i, score in enumerate(scores.T)
    )
    rest = curves - mean - scores @ basis
    left_out = np.stack([component.left_out for component in components], axis=1)
    return Emulator(
        config=config,
        prior=prior,
        mean=mean,
        basis=basis,
        components=components,
        rest_sd=np.sqrt(np.mean(rest**2, axis=0)),
        left_out_rms_ev=float(np.sqrt(np.mean((left_out @ basis) ** 2))),
    )


def _nearness(unit: Floats, designs: Floats) -> Floats:
    """Weights of the designs around points of the unit cube, (n, designs), each row adding up to 1."""
    near = np.exp(-0.5 * cdist(unit, designs, "sqeuclidean") / NEARBY**2)
    return near / near.sum(axis=1, keepdims=True)


def _kernel(a: Floats, b: Floats, scales: Floats) -> Floats:
    """Matérn 5/2 correlation with one length scale per parameter."""
    distance = np.sqrt(5) * cdist(a / scales, b / scales)
    return (1 + distance + distance**2 / 3) * np.exp(-distance)


def _scatter(unit: Floats, scores: Floats) -> Component:
    """A component that is not predicted: zero, and its scores are the errors."""
    return Component(unit, np.zeros(scores.size), 0.0, np.ones(3), 1.0, scores)


def _fit_component(unit: Floats, scores: Floats) -> Component:
    """Maximise the marginal likelihood over length scales and noise share; the variance has a closed form."""
    mean = float(scores.mean())
    y = scores - mean
    identity = np.eye(y.size)

    def minus_log_likelihood(log_values: Floats) -> float:
        correlation = _kernel(unit, unit, np.exp(log_values[:3])) + np.exp(log_values[3]) * identity
        factor = cho_factor(correlation, lower=True)
        variance = max(float(y @ cho_solve(factor, y)) / y.size, 1e-300)
        return 0.5 * y.size * np.log(variance) + float(np.log(np.diag(factor[0])).sum())

    start = np.array([0.0, 0.0, 0.0, np.log(0.05)])
    bounds = [(np.log(0.1), np.log(20.0))] * 3 + [(np.log(1e-6), np.log(10.0))]
    best = minimize(minus_log_likelihood, start, method="L-BFGS-B", bounds=bounds).x
    scales, noise = np.exp(best[:3]), float(np.exp(best[3]))
    inverse = np.linalg.inv(_kernel(unit, unit, scales) + noise * identity)
    weights = inverse @ y
    left_out = weights / np.diag(inverse)              # y minus its prediction from all the other designs
    variance = max(float(y @ weights) / y.size, 1e-300)
    return Component(unit, weights / variance, mean, scales, variance, left_out)
