"""Errors of the times: the fit's own errors must cover the truth when the clock readings scatter."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.time_errors import fit_with_time_errors

K1, K2, K01, K02 = 0.03, 2e-4, 0.68, 0.32


def curve(t):
    return 1 - K01 * np.exp(-K1 * t) - K02 * np.exp(-K2 * t)


def test_exact_times_change_nothing():
    t = np.linspace(0, 500, 200)
    y = curve(t) + np.random.default_rng(0).normal(0, 1e-3, t.size)
    plain = fit_biexponential(t, y, rising=True, sigma=np.full(t.size, 1e-3))
    fit, used = fit_with_time_errors(t, y, rising=True, sigma=np.full(t.size, 1e-3), t_se=0.0)
    assert fit.k1 == plain.k1
    np.testing.assert_array_equal(used, 1e-3)


def test_rates_are_covered_although_times_scatter():
    rng = np.random.default_rng(4)
    true_t = np.linspace(0, 500, 400)
    room = rng.exponential(0.3, true_t.size)   # how long an exposure could wait on a busy computer
    pulls, naive = [], []
    for _ in range(150):
        t = true_t + room * rng.uniform(-0.5, 0.5, true_t.size)
        sigma = np.full(t.size, 2e-4)
        y = curve(true_t) + rng.normal(0, 2e-4, t.size)
        fit, _ = fit_with_time_errors(t, y, rising=True, sigma=sigma, t_se=room / np.sqrt(12))
        plain = fit_biexponential(t, y, rising=True, sigma=sigma)
        pulls.append((fit.k1 - K1) / fit.k1_se)
        naive.append((plain.k1 - K1) / plain.k1_se)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.2)
    assert abs(np.mean(pulls)) < 0.35
    assert np.std(naive) > 2          # without the times' errors the fit would claim far too much


def test_a_negative_time_error_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        fit_with_time_errors(np.arange(9.0), np.arange(9.0), rising=True, sigma=np.ones(9), t_se=-1.0)


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_that_of_orthogonal_distances(seed):
    """All true times are unknowns beside the curve: what the effective variance stands for, solved without it."""
    rng = np.random.default_rng(seed)
    true_t = np.linspace(0, 500, 80)
    sigma, t_se = np.full(80, 2e-3), rng.uniform(0.1, 0.6, 80)
    t = true_t + rng.normal(0, t_se)
    y = curve(true_t) + rng.normal(0, sigma)

    def rest(p):
        k1, k2, k01, k02 = p[:4]
        share = 1 - k01 * np.exp(-k1 * p[4:]) - k02 * np.exp(-k2 * p[4:])
        return np.concatenate([(share - y) / sigma, (p[4:] - t) / t_se])

    def slope(p):
        k1, k2, k01, k02 = p[:4]
        e1, e2 = np.exp(-k1 * p[4:]), np.exp(-k2 * p[4:])
        curve_part = np.stack([k01 * p[4:] * e1, k02 * p[4:] * e2, -e1, -e2], axis=1) / sigma[:, None]
        along = np.diag((k01 * k1 * e1 + k02 * k2 * e2) / sigma)
        return np.block([[curve_part, along], [np.zeros((80, 4)), np.diag(1 / t_se)]])

    best = least_squares(rest, np.concatenate([[0.04, 1e-3, 0.6, 0.4], t]), slope, x_scale="jac", xtol=1e-12)
    se = np.sqrt(np.diag(np.linalg.inv(best.jac.T @ best.jac))[:4])
    fit, _ = fit_with_time_errors(t, y, rising=True, sigma=sigma, t_se=t_se)
    found = np.array([fit.k1, fit.k2, fit.k01, fit.k02])
    assert np.all(np.abs(found - best.x[:4]) < 0.15 * se)
    np.testing.assert_allclose([fit.k1_se, fit.k2_se, fit.k01_se, fit.k02_se], se, rtol=0.03)
