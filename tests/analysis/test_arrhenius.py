"""Activation energies against closed forms, curve_fit and noise draws."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from halidescope.analysis.arrhenius import BOLTZMANN_EV_K, fit_arrhenius

TEMPERATURE = np.array([299.0, 311.0, 323.0, 341.0, 365.0, 389.0])


def law(temperature, energy, log_prefactor):
    return np.exp(log_prefactor - energy / (BOLTZMANN_EV_K * temperature))


TRUE = law(TEMPERATURE, 0.217, 4.0)


@pytest.mark.parametrize("sigma", [None, 0.01 * TRUE])
def test_exact_rates_give_the_exact_energy(sigma):
    fit = fit_arrhenius(TEMPERATURE, TRUE, sigma)
    assert fit.activation_energy_ev == pytest.approx(0.217, rel=1e-9)
    assert fit.activation_energy_kj_mol == pytest.approx(20.937, rel=1e-4)
    assert fit.prefactor == pytest.approx(np.exp(4.0), rel=1e-8)
    np.testing.assert_allclose(fit.evaluate(TEMPERATURE), TRUE, rtol=1e-9)


def test_values_and_errors_equal_curve_fit():
    sigma = TRUE * np.array([0.5, 0.3, 0.1, 0.05, 0.02, 0.02])
    rates = TRUE + np.random.default_rng(1).normal(0, sigma)
    fit = fit_arrhenius(TEMPERATURE, rates, sigma)
    best, covariance = curve_fit(law, TEMPERATURE, rates, p0=[0.2, 3.5], sigma=sigma, absolute_sigma=True)
    assert fit.activation_energy_ev == pytest.approx(best[0], rel=1e-5)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-3)


def test_errors_cover_and_reach_the_bound_with_unequal_weights():
    sigma = TRUE * np.array([0.4, 0.3, 0.1, 0.05, 0.02, 0.02])
    slope = TRUE[:, None] * np.stack([-1 / (BOLTZMANN_EV_K * TEMPERATURE), np.ones(6)], axis=1) / sigma[:, None]
    bound = np.sqrt(np.linalg.inv(slope.T @ slope)[0, 0])
    rng = np.random.default_rng(2)
    fits = [fit_arrhenius(TEMPERATURE, TRUE + rng.normal(0, sigma), sigma) for _ in range(1000)]
    error = np.array([fit.activation_energy_ev - 0.217 for fit in fits])
    assert np.sqrt(np.mean(error**2)) < 1.05 * bound
    covered = np.mean(np.abs(error) < [fit.activation_energy_ev_se for fit in fits])
    assert 0.64 < covered < 0.725


def test_the_interval_of_few_scattered_rates_is_students():
    rates = TRUE * np.exp(np.random.default_rng(3).normal(0, 0.1, 6))
    fit = fit_arrhenius(TEMPERATURE, rates)
    assert fit.degrees_of_freedom == 4
    low, high = fit.energy_interval_ev(0.95)
    assert (low + high) / 2 == pytest.approx(fit.activation_energy_ev)
    assert (high - low) / 2 == pytest.approx(2.7764 * fit.activation_energy_ev_se, rel=1e-4)    # Student, tabulated
    weighted = fit_arrhenius(TEMPERATURE, rates, 0.1 * TRUE)
    low, high = weighted.energy_interval_ev(0.95)
    assert (high - low) / 2 == pytest.approx(1.95996 * weighted.activation_energy_ev_se, rel=1e-4)


def test_errors_in_temperature_are_carried_into_the_energy():
    rng = np.random.default_rng(4)
    sigma = 0.02 * TRUE
    fits = []
    for _ in range(300):
        rates = TRUE + rng.normal(0, sigma)
        fits.append(fit_arrhenius(TEMPERATURE + rng.normal(0, 3.0, 6), rates, sigma, temperature_se=3.0))
    pull = np.array([(fit.activation_energy_ev - 0.217) / fit.activation_energy_ev_se for fit in fits])
    assert pull.std() == pytest.approx(1.0, abs=0.1)
    assert abs(pull.mean()) < 0.15
    plain = fit_arrhenius(TEMPERATURE, TRUE, sigma)
    assert fits[0].activation_energy_ev_se > 2 * plain.activation_energy_ev_se
    with pytest.raises(ValueError, match="give sigma"):
        fit_arrhenius(TEMPERATURE, TRUE, temperature_se=1.0)
    with pytest.raises(ValueError, match="temperature_se must be finite"):
        fit_arrhenius(TEMPERATURE, TRUE, sigma, temperature_se=[1.0])


@pytest.mark.parametrize(
    ("temperature", "rate", "sigma", "words"),
    [
        ([300, 310], [1, 2], None, "2 points"),
        ([300, 300, 300], [1, 2, 3], None, "at 1 temperatures"),
        ([300, 310, 320], [1, -2, 3], None, "rates must be positive"),
        ([300, 310, 320], [1, 2], None, "equal lists"),
        ([300, -310, 320], [1, 2, 3], None, "absolute"),
        ([300, np.nan, 320], [1, 2, 3], None, "finite"),
        ([300, 310, 320], [1, 2, 3], [1, 0, 1], "sigma"),
        ([300, 310, 320], [-1, -2, 3], [1, 1, 1], "fewer than two"),
    ],
)
def test_nonsense_is_refused_in_words(temperature, rate, sigma, words):
    with pytest.raises(ValueError, match=words):
        fit_arrhenius(temperature, rate, sigma)
