"""A fast stand-in for the simulation: E_g(progress) as a smooth function of barriers and escape, with its own error.

The simulation is run on a space-filling design of parameters; the curves are reduced to their principal components,
and a Gaussian process for each component interpolates between the designs. What leave-one-out prediction gets wrong at
a design, replica noise included, is kept as a whole curve: added to a prediction nearby it makes a curve as the
simulation would. A table of such curves all over the prior is what comparisons are made with.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.stats import qmc

from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.pool import in_order
from halidescope.analysis.kmc.run import run_replica

Floats = NDArray[np.float64]

PARAMETERS = ("iodide_ev", "bromide_ev", "escape")
GRID = np.linspace(0, 1, 64) ** 2
"""Share of the run at which a curve is kept; dense at the start, where it changes most."""
COMPONENTS = 6
"""Directions in which curves differ that are predicted; the rest is the replicas' scatter."""
NEARBY = 0.15
"""Width, on the unit cube, of the neighbourhood from whose designs errors are taken."""
TABLE = 1 << 13
"""Curves in the table."""


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
    designs : ndarray (n, 3)
        Points of the unit cube at which the simulation was run.
    mean : ndarray (grid,)
        Mean curve, eV; ``basis`` (components, grid) are the directions in which curves differ.
    simulated_ev, left_out : ndarray (n, grid)
        Curve of each design, and what its prediction from all the others misses, eV.
    table_unit, table_ev : ndarray (TABLE, 3), (TABLE, grid)
        Points spread over the unit cube, and a curve for each, errors included.
    levels : ndarray (m, 4)
        How far into its posterior each of m known truths lies, 0 in the middle to 1 at an end, by parameter of a
        comparison; see :mod:`halidescope.analysis.kmc.calibration`. Empty if that was not done.
    """

    config: KmcConfig
    prior: Prior
    designs: Floats
    mean: Floats
    basis: Floats
    components: tuple[Component, ...]
    simulated_ev: Floats
    left_out: Floats
    table_unit: Floats
    table_ev: Floats
    levels: Floats

    @property
    def left_out_rms_ev(self) -> float:
        """How far predictions are off, root mean square, eV."""
        return float(np.sqrt(np.mean(self.left_out**2)))

    def curves(self, parameters: Floats) -> Floats:
        """Expected E_g at ``GRID`` for parameters (n, 3) in the order of ``PARAMETERS``, (n, grid) eV."""
        return _expected(self.mean, self.basis, self.components, self._unit(parameters))

    def curves_like_simulated(self, parameters: Floats, rng: np.random.Generator) -> Floats:
        """The same with errors, each that of a design nearby: films in which little escapes scatter most."""
        nearby = _designs_nearby(self._unit(parameters), self.designs, rng)
        return self.curves(parameters) + self.left_out[nearby]

    def _unit(self, parameters: Floats) -> Floats:
        low, high = self.prior.limits
        return (np.asarray(parameters, dtype=float) - low) / (high - low)


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
    designs: int = 128,
    replicas: int = 2,
    seed: int = 1,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Emulator:
    """Run the simulation on a scrambled Sobol design and fit the emulator.

    Parameters
    ----------
    designs, replicas : int
        Points of the design and runs averaged at each. 128 × 2 runs of the paper's 20³ film take 20 s of one core.
    """
    if designs < 16 or replicas < 1:
        raise ValueError(f"designs = {designs} (at least 16), replicas = {replicas} (at least 1)")
    prior = prior or Prior()
    low, high = prior.limits
    sobol = qmc.Sobol(3, rng=np.random.default_rng(seed))
    unit = sobol.random_base2(int(np.ceil(np.log2(designs))))[:designs]
    points = low + unit * (high - low)
    curves = in_order(
        lambda i: simulated_curve(config, points[i], replicas, seed + 1 + i), range(designs), workers=workers,
        progress=progress,
    )
    return fit(config, prior, unit, np.stack(curves))


def fit(config: KmcConfig, prior: Prior, unit: Floats, curves: Floats) -> Emulator:
    """Fit the emulator to curves (n, grid) simulated at points (n, 3) of the unit cube."""
    mean = curves.mean(axis=0)
    left, sizes, basis = np.linalg.svd(curves - mean, full_matrices=False)
    basis = basis[:COMPONENTS]
    scores = left[:, :COMPONENTS] * sizes[:COMPONENTS]
    components = tuple(_fit_component(unit, score) for score in scores.T)
    left_out = np.stack([component.left_out for component in components], axis=1) @ basis
    left_out += curves - mean - scores @ basis
    rng = np.random.default_rng(config.run.seed)
    table = qmc.Sobol(3, rng=rng).random(TABLE)
    made = _expected(mean, basis, components, table) + left_out[_designs_nearby(table, unit, rng)]
    return Emulator(config, prior, unit, mean, basis, components, curves, left_out, table, made, np.empty((0, 4)))


def _expected(mean: Floats, basis: Floats, components: tuple[Component, ...], unit: Floats) -> Floats:
    return mean + np.stack([component.predict(unit) for component in components], axis=1) @ basis


def _designs_nearby(unit: Floats, designs: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """For each point of the unit cube one design around it, drawn at random, nearer ones more often, (n,)."""
    near = np.exp(-0.5 * cdist(unit, designs, "sqeuclidean") / NEARBY**2)
    chances = np.cumsum(near, axis=1)
    return np.sum(chances < rng.random((len(unit), 1)) * chances[:, -1:], axis=1)


def _kernel(a: Floats, b: Floats, scales: Floats) -> Floats:
    """Matérn 5/2 correlation with one length scale per parameter."""
    distance = np.sqrt(5) * cdist(a / scales, b / scales)
    return (1 + distance + distance**2 / 3) * np.exp(-distance)


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
