"""From a measured curve to parameters: approximate Bayesian computation on the emulator's table of curves.

Each curve of the table is looked at over the measured times with a time scale, an offset and noise of its own; how
parameters follow from curves is learnt by regression, and parameters whose curves look like the measured one are kept
and adjusted. No likelihood is assumed, so the scatter of the simulation and the emulator's errors enter as they are.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.kmc.emulator import GRID, PARAMETERS, Emulator
from halidescope.analysis.kmc.observables import band_gap

Floats = NDArray[np.float64]
Kind = Literal["peak-energy", "bromide-share"]

NAMES = (*PARAMETERS, "log10_seconds_per_step")
PURE_BROMIDE_EV = 2.46
SLOWEST = 30.0
"""The measured series covers between all and one thirtieth of the simulated run."""
POINTS = 40
"""A longer series is averaged to this many points."""
SAMPLES = 1000
"""Samples of the posterior."""
DIRECTIONS = 8
"""Principal directions of the curves from which parameters are estimated."""
LEARNT_FROM = 0.2
"""Share of the table, the likest, on which the final regression is made."""
KEPT = 0.05
"""Share of the table that is kept."""
NEAREST = 16
FAR = 3.0
"""Mean squared misfit per point, to the mean of the nearest curves, from which on a curve is none of the model's."""


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
    model_sd : float, optional
        How far emission may lie from the band gap at each point besides its own error, since no lattice is a film: 0.01
        eV or a share of 0.03 by default. Averaging does not lessen it.
    """

    time_s: ArrayLike
    value: ArrayLike
    sigma: ArrayLike
    kind: Kind = "peak-energy"
    offset_sd: float | None = None
    model_sd: float | None = None

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """Return time, value and sigma checked and, if the series is long, averaged to ``POINTS`` points.

        ``model_sd`` is part of the sigma.

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
        if self.kind not in get_args(Kind):
            raise ValueError(f"measured: kind = '{self.kind}'; must be 'peak-energy' or 'bromide-share'")
        groups = np.array_split(np.arange(time.size), min(POINTS, time.size))
        return (
            np.array([time[g].mean() for g in groups]),
            np.array([np.average(value[g], weights=sigma[g] ** -2.0) for g in groups]),
            np.hypot([np.sum(sigma[g] ** -2.0) ** -0.5 for g in groups], self.model),
        )

    @property
    def model(self) -> float:
        """Standard deviation of what separates emission and band gap at each point."""
        if self.model_sd is not None:
            return self.model_sd
        return 0.01 if self.kind == "peak-energy" else 0.03

    @property
    def offset(self) -> float:
        """Standard deviation of the constant offset."""
        if self.offset_sd is not None:
            return self.offset_sd
        return 0.03 if self.kind == "peak-energy" else 0.05


class Problem:
    """Curves of the simulation as the measurement would have seen them."""

    def __init__(self, measured: Measured, emulator: Emulator) -> None:
        self.time_s, self.value, self.sigma = measured.arrays()
        self._emulator = emulator
        config = emulator.config
        self.start_ev = float(band_gap(config.lattice.iodide + config.lattice.vacancy))
        if measured.kind == "peak-energy":
            self._origin, self._unit = 0.0, 1.0
        else:
            self._origin, self._unit = self.start_ev, 1 / (PURE_BROMIDE_EV - self.start_ev)
        self._offset = measured.offset
        length = config.run.time_s if config.run.time_s is not None else float(config.events or 0)
        self._length = float(config.steps) if config.run.scheme == "paper" else length
        fastest = np.log10(self.time_s[-1] / self._length)
        self.limits = np.vstack([emulator.prior.limits.T, [fastest, fastest + np.log10(SLOWEST)]])

    def parameters(self, unit: Floats) -> Floats:
        """Physical parameters of points of the unit cube, (n, 4)."""
        return self.limits[:, 0] + unit * (self.limits[:, 1] - self.limits[:, 0])

    def seen(self, curves_ev: Floats, slowness: Floats) -> Floats:
        """Curves (n, grid) at the measured times (n, J) in the measured unit, with a time scale each, 0 to 1."""
        per_step = self.limits[3, 0] + slowness * (self.limits[3, 1] - self.limits[3, 0])
        share = self.time_s / (10 ** per_step[:, None]) / self._length
        at = np.clip(np.searchsorted(GRID, share, side="right") - 1, 0, GRID.size - 2)
        weight = np.clip((share - GRID[at]) / (GRID[at + 1] - GRID[at]), 0, 1)
        rows = np.arange(len(curves_ev))[:, None]
        energy = curves_ev[rows, at] * (1 - weight) + curves_ev[rows, at + 1] * weight
        return (energy - self._origin) * self._unit

    def with_errors(self, curves: Floats, rng: np.random.Generator) -> Floats:
        """Curves with the measurement's constant offset and noise, drawn anew for each."""
        offset = self._offset * rng.standard_normal((len(curves), 1))
        return curves + offset + self.sigma * rng.standard_normal(curves.shape)

    def posterior(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Samples of the posterior on the unit cube (SAMPLES, 4), and the table's curves at the measured times."""
        unit = np.column_stack([self._emulator.table_unit, rng.random(len(self._emulator.table_unit))])
        model = self.seen(self._emulator.table_ev, unit[:, 3])
        return _explaining(unit, self.with_errors(model, rng), self._within(model), rng), model

    def _within(self, model: Floats) -> Floats:
        """The measured curve, or, if it is far from everything that the model makes, one on the way to the nearest.

        How parameters follow from curves is learnt from curves of the model, and means nothing for others.
        """
        whitening = self.whitening(0.5)
        away = np.sum(((model - self.value) @ whitening) ** 2, axis=1)
        nearest = model[np.argpartition(away, NEAREST)[:NEAREST]].mean(axis=0)
        misfit = float(np.mean(((self.value - nearest) @ whitening) ** 2))
        return nearest + (self.value - nearest) * min(1.0, np.sqrt(FAR / max(misfit, 1e-12)))

    def whitening(self, slowness: float) -> Floats:
        """Matrix (J, J) that makes noise, offset and the simulation's scatter independent and of size 1.

        The scatter is that of the curves left out in training, replica noise included, at one time scale.
        """
        scatter = self.seen(self._emulator.left_out, np.full(len(self._emulator.left_out), slowness))
        scatter = scatter + self._origin * self._unit              # differences of energies have no origin
        covariance = np.diag(self.sigma**2) + self._offset**2 + scatter.T @ scatter / len(scatter)
        return np.linalg.inv(np.linalg.cholesky(covariance)).T

    def misfit(self, values: Floats, model: Floats, whitening: Floats) -> Floats:
        """Smallest squared misfit per point over the model curves, errors allowed for, (m,)."""
        values, model = values @ whitening, model @ whitening
        squares = np.sum(values**2, axis=1)[:, None] - 2 * values @ model.T + np.sum(model**2, axis=1)
        return squares.min(axis=1) / self.value.size

    def fitted_offset(self, curves: Floats) -> Floats:
        """Most likely constant offset of each curve, (n, 1)."""
        weight = self.sigma**-2.0
        precision = weight.sum() + (self._offset**-2.0 if self._offset > 0 else np.inf)
        return np.sum((self.value - curves) * weight, axis=1, keepdims=True) / precision


def _explaining(table: Floats, simulated: Floats, measured: Floats, rng: np.random.Generator) -> Floats:
    """Points of the unit cube (SAMPLES, 4) that explain the measured curve (J,), from a table of simulated ones.

    Summaries are estimates of the parameters themselves, by quadratic regression on the curves' principal directions
    (P. Fearnhead and D. Prangle, J. R. Stat. Soc. B 2012, 74, 419), made once on the whole table and again on its
    likest part. Kept points are adjusted by local linear regression, weighted with Epanechnikov's kernel (M. Beaumont,
    W. Zhang and D. Balding, Genetics 2002, 162, 2025), on a logit scale so that they stay within the prior.
    """
    mean = simulated.mean(axis=0)
    _, _, directions = np.linalg.svd(simulated[:: max(len(simulated) // 4096, 1)] - mean, full_matrices=False)
    directions = directions[:DIRECTIONS].T
    scores = (simulated - mean) @ directions
    scale = scores.std(axis=0)
    features, own = _quadratic(scores / scale), _quadratic((measured - mean)[None] @ directions / scale)
    summary, target = _learnt(features, own, table)
    likest = np.argsort(np.sum((summary - target) ** 2, axis=1))[: int(LEARNT_FROM * len(table))]
    features, table = features[likest], table[likest]
    summary, target = _learnt(features, own, table)
    distance = np.sum((summary - target) ** 2, axis=1)
    kept = np.argsort(distance)[: int(KEPT / LEARNT_FROM * len(table))]
    weight = np.maximum(1 - distance[kept] / distance[kept[-1]], 1e-9)
    away = summary[kept] - _no_further_out(summary[kept], target)
    logit = np.log(table[kept] / (1 - table[kept]))
    root = np.sqrt(weight)[:, None]
    slope = np.linalg.lstsq(root * np.column_stack([np.ones(len(kept)), away]), root * logit, rcond=None)[0][1:]
    chosen = np.searchsorted(np.cumsum(weight) / weight.sum(), (np.arange(SAMPLES) + rng.random()) / SAMPLES)
    adjusted = (logit - away @ slope)[np.minimum(chosen, len(kept) - 1)]
    return 1 / (1 + np.exp(-adjusted))


def _no_further_out(kept: Floats, target: Floats) -> Floats:
    """The target (1, k), drawn towards the middle of the kept summaries (n, k) until it is no further out than they.

    A regression among them says nothing about places beyond.
    """
    middle = kept.mean(axis=0)
    precision = np.linalg.inv(np.cov(kept.T) + 1e-12 * np.eye(kept.shape[1]))

    def distance(points: Floats) -> Floats:
        return np.sqrt(np.einsum("ni,ij,nj->n", points - middle, precision, points - middle))

    reach = float(np.quantile(distance(kept), 0.9))
    return middle + (target - middle) * min(1.0, reach / max(float(distance(target)[0]), 1e-12))


def _learnt(features: Floats, own: Floats, table: Floats) -> tuple[Floats, Floats]:
    """Least-squares estimates of the parameters from features, in units of their scatter: of the table, and own."""
    coefficients = np.linalg.lstsq(features, table, rcond=None)[0]
    summary = features @ coefficients
    scatter = summary.std(axis=0)
    return summary / scatter, own @ coefficients / scatter


def _quadratic(values: Floats) -> Floats:
    """One, the values (n, k), and all their products."""
    first, second = np.triu_indices(values.shape[1])
    return np.column_stack([np.ones(len(values)), values, values[:, first] * values[:, second]])
