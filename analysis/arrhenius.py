"""Activation energy from rates (or diffusivities) at several temperatures: k = k0 exp(−Ea / kB T)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import R, e, k
from scipy.optimize import least_squares

from halidescope.analysis.linear import propagate

Numbers = NDArray[np.float64]
BOLTZMANN_EV_K = k / e
EV_TO_KJ_MOL = R / BOLTZMANN_EV_K / 1e3


@dataclass(frozen=True)
class Arrhenius:
    """Activation energy and prefactor.

    ``covariance`` (2, 2) is of (Ea in eV, ln k0): the prefactor's error is wide and symmetric only in the logarithm.
    ``prefactor`` has the unit of the rates.
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

    def evaluate(self, temperature_k: ArrayLike) -> Numbers:
        """Rates at temperatures in K."""
        inverse = 1.0 / (BOLTZMANN_EV_K * np.asarray(temperature_k, dtype=np.float64))
        return np.exp(self.log_prefactor - self.activation_energy_ev * inverse)

    def relative_se(self, temperature_k: ArrayLike) -> Numbers:
        """Relative standard error of :meth:`evaluate`: small inside the measured temperatures, growing outside."""
        inverse = 1.0 / (BOLTZMANN_EV_K * np.asarray(temperature_k, dtype=np.float64))
        return propagate(np.stack([-inverse, np.ones_like(inverse)], axis=-1), self.covariance)


def fit_arrhenius(temperature_k: ArrayLike, rate: ArrayLike, sigma: ArrayLike | None = None) -> Arrhenius:
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

    Raises
    ------
    ValueError
        Lengths that differ, values that are not finite, temperatures that are not positive or all the same, rates or
        errors that are not positive.
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
    middle = inverse.mean()      # rates are parametrised at the mean 1/T, where Ea and ln k hardly correlate
    positive = rates > 0
    if sigma is None:
        if not positive.all():
            raise ValueError("rates must be positive; give their standard errors to use points that scatter below zero")
        design = np.stack([middle - inverse, np.ones_like(inverse)], axis=1)
        solution, squares, _, _ = np.linalg.lstsq(design, np.log(rates), rcond=None)
        chi2 = float(squares[0]) / (temperature.size - 2) if squares.size else 0.0
        covariance = chi2 * np.linalg.inv(design.T @ design)
        reduced = 1.0
    else:
        errors = np.broadcast_to(np.asarray(sigma, dtype=np.float64), rates.shape)
        if not (np.isfinite(errors) & (errors > 0)).all():
            raise ValueError("sigma must be finite and positive")
        if positive.sum() < 2 or np.ptp(temperature[positive]) == 0:
            raise ValueError("fewer than two temperatures with a positive rate: no activation energy can be found")
        start = np.polyfit((middle - inverse)[positive], np.log(rates[positive]), 1, w=(rates / errors)[positive])

        def misfit(p: Numbers) -> Numbers:
            return (np.exp(np.minimum(p[1] + p[0] * (middle - inverse), 700.0)) - rates) / errors

        def slope(p: Numbers) -> Numbers:
            model = np.exp(np.minimum(p[1] + p[0] * (middle - inverse), 700.0)) / errors
            return np.stack([model * (middle - inverse), model], axis=1)

        found = least_squares(misfit, start, jac=slope, x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12)
        solution = found.x
        covariance = np.linalg.inv(found.jac.T @ found.jac)
        reduced = 2 * found.cost / (temperature.size - 2) if temperature.size > 2 else 0.0
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
    )
