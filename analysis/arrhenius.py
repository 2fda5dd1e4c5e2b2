"""Activation energy from rates (or diffusivities) at several temperatures: k = k0 exp(−Ea / kB T)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import R, e, k
from scipy.optimize import least_squares
from scipy.special import ndtri, stdtrit

from halidescope.analysis.linear import inverse_of, propagate

Numbers = NDArray[np.float64]
BOLTZMANN_EV_K = k / e
EV_TO_KJ_MOL = R / BOLTZMANN_EV_K / 1e3


@dataclass(frozen=True)
class Arrhenius:
    """Activation energy and prefactor.

    ``covariance`` (2, 2) is of (Ea in eV, ln k0): the prefactor's error is wide and symmetric only in the logarithm.
    ``prefactor`` has the unit of the rates. ``degrees_of_freedom`` are those of the scatter that the errors were taken
    from; infinite where the rates came with their errors.
    """

    activation_energy_ev: float
    activation_energy_ev_se: float
    activation_energy_kj_mol: float
    activation_energy_kj_mol_se: float
    prefactor: float
    prefactor_se: float
    log_prefactor: float
    log_prefactor_se: float
    covariance: Numbers
    reduced_chi2: float
    degrees_of_freedom: float

    def energy_interval_ev(self, level: float = 0.6827) -> tuple[float, float]:
        """Ends of the confidence interval of Ea; from the scatter of few points wider than ± standard errors."""
        tail, free = 0.5 + level / 2, self.degrees_of_freedom
        quantile = stdtrit(free, tail) if np.isfinite(free) else ndtri(tail)
        reach = float(quantile) * self.activation_energy_ev_se
        return self.activation_energy_ev - reach, self.activation_energy_ev + reach

    def evaluate(self, temperature_k: ArrayLike) -> Numbers:
        """Rates at temperatures in K."""
        inverse = 1.0 / (BOLTZMANN_EV_K * np.asarray(temperature_k, dtype=np.float64))
        return np.exp(self.log_prefactor - self.activation_energy_ev * inverse)

    def relative_se(self, temperature_k: ArrayLike) -> Numbers:
        """Relative standard error of :meth:`evaluate`: small inside the measured temperatures, growing outside."""
        inverse = 1.0 / (BOLTZMANN_EV_K * np.asarray(temperature_k, dtype=np.float64))
        return propagate(np.stack([-inverse, np.ones_like(inverse)], axis=-1), self.covariance)


def fit_arrhenius(
    temperature_k: ArrayLike,
    rate: ArrayLike,
    sigma: ArrayLike | None = None,
    *,
    temperature_se: ArrayLike | None = None,
) -> Arrhenius:
    """Fit k = k0 exp(−Ea / kB T).

    Parameters
    ----------
    temperature_k : (n,)
        Absolute temperatures, at least two different ones.
    rate : (n,)
        Rates; with ``sigma`` they may be compatible with zero or negative, without it they must be positive.
    sigma : (n,), optional
        Standard errors of the rates: the fit is made in the rates themselves, each with its own weight. Without them
        equal *relative* errors are assumed, ln k is fitted and the scatter gives the error (three points at least).
    temperature_se : scalar or (n,), optional
        Standard errors of the temperatures, independent of each other; needs ``sigma``. The true temperatures are then
        fitted as well (orthogonal distance regression).

    Raises
    ------
    ValueError
        Lengths that differ, values that are not finite, temperatures that are not positive or all the same, rates or
        errors that are not positive; temperatures too close together to tell.
    """
    temperature = np.asarray(temperature_k, dtype=np.float64)
    rates = np.asarray(rate, dtype=np.float64)
    if temperature.ndim != 1 or rates.shape != temperature.shape:
        raise ValueError(f"temperatures have shape {temperature.shape}, rates {rates.shape}; give two equal lists")
    if not (np.isfinite(temperature) & np.isfinite(rates)).all():
        raise ValueError("temperatures and rates must be finite; leave missing points out")
    if not (temperature > 0).all():
        raise ValueError("temperatures are absolute, in K, and must be positive")
    fewest = 3 if sigma is None else 2
    if temperature.size < fewest or np.ptp(temperature) == 0:
        raise ValueError(f"{temperature.size} points at {np.unique(temperature).size} temperatures, need {fewest} at 2")
    inverse = 1.0 / (BOLTZMANN_EV_K * temperature)
    middle = float(inverse.mean())   # rates are parametrised at the mean 1/T, where Ea and ln k hardly correlate
    if sigma is None:
        if temperature_se is not None:
            raise ValueError("errors of the temperatures need those of the rates beside them; give sigma")
        if not (rates > 0).all():
            raise ValueError("rates must be positive; give their standard errors to use points that scatter below zero")
        solution, covariance = _logarithmic(middle - inverse, np.log(rates))
        reduced = 1.0
    else:
        errors = _positive("sigma", sigma, rates.shape)
        positive = rates > 0
        if positive.sum() < 2 or np.ptp(temperature[positive]) == 0:
            raise ValueError("fewer than two temperatures with a positive rate: no activation energy can be found")
        solution = np.polyfit((middle - inverse)[positive], np.log(rates[positive]), 1, w=(rates / errors)[positive])
        solution, covariance, chi2 = _in_rates(middle - inverse, rates, errors, solution)
        if temperature_se is not None:
            spread = _positive("temperature_se", temperature_se, rates.shape)
            solution, covariance, chi2 = _in_both(middle, temperature, spread, rates, errors, solution)
        reduced = chi2 / (temperature.size - 2) if temperature.size > 2 else 0.0
    if not (np.isfinite(solution).all() and np.isfinite(covariance).all()):
        raise ValueError("the temperatures are too close together for these rates: no activation energy can be found")
    energy = float(solution[0])
    turn = np.array([[1.0, 0.0], [middle, 1.0]])   # ln k0 = ln k(middle) + Ea · middle
    covariance = turn @ covariance @ turn.T
    energy_se, log_se = np.sqrt(np.diag(covariance))
    log_prefactor = float(solution[1] + energy * middle)
    prefactor = float(np.exp(log_prefactor))
    return Arrhenius(
        activation_energy_ev=energy,
        activation_energy_ev_se=float(energy_se),
        activation_energy_kj_mol=energy * EV_TO_KJ_MOL,
        activation_energy_kj_mol_se=float(energy_se) * EV_TO_KJ_MOL,
        prefactor=prefactor,
        prefactor_se=prefactor * float(log_se),
        log_prefactor=log_prefactor,
        log_prefactor_se=float(log_se),
        covariance=covariance,
        reduced_chi2=float(reduced),
        degrees_of_freedom=float("inf") if sigma is not None else temperature.size - 2.0,
    )


def _logarithmic(x: Numbers, logs: Numbers) -> tuple[Numbers, Numbers]:
    """Straight line through ln k with errors from the scatter."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    solution: Numbers = np.asarray(np.linalg.lstsq(design, logs, rcond=None)[0], dtype=np.float64)
    scatter = float(((design @ solution - logs) ** 2).sum()) / (x.size - 2)
    return solution, scatter * np.linalg.inv(design.T @ design)


def _in_rates(x: Numbers, rates: Numbers, errors: Numbers, start: Numbers) -> tuple[Numbers, Numbers, float]:
    """Weighted least squares of exp(ln k + Ea x) in the rates themselves."""

    def model(p: Numbers) -> Numbers:
        return np.exp(np.minimum(p[1] + p[0] * x, 700.0)) / errors

    def slope(p: Numbers) -> Numbers:
        return np.stack([model(p) * x, model(p)], axis=1)

    found = least_squares(
        lambda p: model(p) - rates / errors, start, jac=slope, x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    return found.x, inverse_of((found.jac.T @ found.jac)[None])[0], 2.0 * found.cost


def _in_both(
    middle: float, temperature: Numbers, spread: Numbers, rates: Numbers, errors: Numbers, start: Numbers
) -> tuple[Numbers, Numbers, float]:
    """The same with every true temperature a parameter, held by its measured value."""
    n = temperature.size

    def parts(p: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        x = middle - 1.0 / (BOLTZMANN_EV_K * p[2:])
        return x, np.exp(np.minimum(p[1] + p[0] * x, 700.0)) / errors, p[2:]

    def misfit(p: Numbers) -> Numbers:
        _, model, true = parts(p)
        return np.concatenate([model - rates / errors, (true - temperature) / spread])

    def slope(p: Numbers) -> Numbers:
        x, model, true = parts(p)
        rows = np.zeros((2 * n, n + 2))
        rows[:n, 0], rows[:n, 1] = model * x, model
        rows[np.arange(n), 2 + np.arange(n)] = model * p[0] / (BOLTZMANN_EV_K * true**2)
        rows[n + np.arange(n), 2 + np.arange(n)] = 1.0 / spread
        return rows

    found = least_squares(
        misfit, np.concatenate([start, temperature]), jac=slope, x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    return found.x[:2], inverse_of((found.jac.T @ found.jac)[None])[0, :2, :2], 2.0 * found.cost


def _positive(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Numbers:
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), shape) or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{name} must be finite and positive, one number or one per rate")
    return np.broadcast_to(array, shape)
