"""Model choice, profile intervals and joint fits of kinetics."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.kinetics_models import NAMES, compare_models, fit_kinetics
from halidescope.analysis.kinetics_profile import fit_joint, profile_interval

TIME = np.linspace(0.5, 500, 120)
CURVES = {
    "mono": ((0.02, 0.9), lambda t, k, a: a * np.exp(-k * t)),
    "mono-plateau": ((0.02, 0.6, 0.3), lambda t, k, a, c: a * np.exp(-k * t) + c),
    "stretched": ((0.02, 0.6, 0.9), lambda t, k, b, a: a * np.exp(-((k * t) ** b))),
    "stretched-plateau": ((0.03, 0.7, 0.6, 0.3), lambda t, k, b, a, c: a * np.exp(-((k * t) ** b)) + c),
    "biexponential": ((0.05, 0.004, 0.6, 0.35), lambda t, k1, k2, a, b: a * np.exp(-k1 * t) + b * np.exp(-k2 * t)),
    "biexponential-plateau": (
        (0.08, 0.01, 0.4, 0.3, 0.2),
        lambda t, k1, k2, a, b, c: a * np.exp(-k1 * t) + b * np.exp(-k2 * t) + c,
    ),
}


@pytest.mark.parametrize("unit", [1.0, 1e-6])
@pytest.mark.parametrize("model", NAMES)
def test_every_model_is_recovered_in_any_unit_of_time(model, unit):
    truth, curve = CURVES[model]
    fit = fit_kinetics(TIME * unit, 1 - curve(TIME, *truth), model, rising=True)
    scale = np.array([1 / unit if name in ("k", "k1", "k2") else 1.0 for name in fit.names])
    np.testing.assert_allclose(fit.values, truth * scale, rtol=2e-4)
    np.testing.assert_allclose(fit.evaluate(TIME * unit), 1 - curve(TIME, *truth), atol=1e-6)


@pytest.mark.parametrize("model", NAMES)
def test_values_and_covariance_are_those_of_curve_fit(model):
    truth, curve = CURVES[model]
    sigma = np.linspace(0.002, 0.006, TIME.size)
    y = curve(TIME, *truth) + np.random.default_rng(4).normal(0, sigma)
    best, covariance = curve_fit(curve, TIME, y, p0=truth, sigma=sigma, absolute_sigma=True, xtol=1e-13, ftol=1e-13)
    fit = fit_kinetics(TIME, y, model, sigma=sigma)
    assert np.all(np.abs(fit.values - best) < 1e-4 * fit.se)
    np.testing.assert_allclose(fit.se, np.sqrt(np.diag(covariance)), rtol=2e-3)
    assert fit.chi2 <= np.sum(((y - curve(TIME, *best)) / sigma) ** 2) * (1 + 1e-9)


@pytest.mark.parametrize("model", ["biexponential", "biexponential-plateau", "stretched-plateau"])
def test_a_rate_beyond_the_first_sample_is_no_plateau(model):
    for seed in (34, 73, 154):
        y = 0.5 + np.random.default_rng(seed).normal(0, 0.005, TIME.size)
        assert fit_kinetics(TIME, y, model).residual_rms < 0.006


@pytest.mark.parametrize("model", ["mono-plateau", "stretched", "biexponential"])
def test_errors_cover(model):
    truth, curve = CURVES[model]
    rng = np.random.default_rng(1)
    fits = [fit_kinetics(TIME, curve(TIME, *truth) + rng.normal(0, 0.004, TIME.size), model) for _ in range(80)]
    pull = np.array([(fit.values - truth) / fit.se for fit in fits])
    np.testing.assert_allclose(pull.std(axis=0), 1.0, atol=0.25)
    np.testing.assert_allclose(pull.mean(axis=0), 0.0, atol=0.4)
    exact = fit_kinetics(TIME, curve(TIME, *truth), model)
    rates = np.array([(fit.rate - exact.rate) / fit.rate_se for fit in fits])
    assert rates.std() == pytest.approx(1.0, abs=0.25)


def test_the_stretched_rate_is_the_inverse_mean_lifetime():
    fit = fit_kinetics(TIME, np.exp(-((0.02 * TIME) ** 0.5)), "stretched")
    assert fit.rate == pytest.approx(0.02 / 2)    # <τ> = Γ(1 + 1/β)/k = 2/k for β = 1/2
    assert fit["beta"].value == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("model", ["mono", "mono-plateau", "biexponential"])
def test_the_true_model_is_preferred(model):
    truth, curve = CURVES[model]
    rng = np.random.default_rng(2)
    best = [
        compare_models(TIME, curve(TIME, *truth) + rng.normal(0, 0.005, TIME.size), sigma=0.005)[0].model
        for _ in range(20)
    ]
    assert best.count(model) >= 16   # BIC errs in some 3 % per competing model at 120 samples


def test_profile_intervals_cover_where_rates_are_close():
    rng = np.random.default_rng(3)
    truth = (0.03, 0.008, 0.6, 0.4)
    clean = CURVES["biexponential"][1](TIME, *truth)
    inside = []
    for _ in range(30):
        interval = profile_interval(TIME, clean + rng.normal(0, 0.005, TIME.size), "k1", sigma=0.005)
        inside.append(interval.low < 0.03 and not interval.high < 0.03)
    assert np.mean(inside) >= 0.83


@pytest.mark.parametrize("quantity", ["k1", "k2", "average_rate", "phi", "k01", "k02"])
def test_profile_intervals_equal_linear_ones_where_the_noise_is_small(quantity):
    clean = CURVES["biexponential"][1](TIME, 0.05, 0.002, 0.6, 0.4)
    y = clean + np.random.default_rng(4).normal(0, 2e-4, TIME.size)
    fit = fit_biexponential(TIME, y, sigma=2e-4)
    se = fit.share_at(TIME[-1]).se if quantity == "phi" else getattr(fit, f"{quantity}_se")
    interval = profile_interval(TIME, y, quantity, sigma=2e-4, level=0.6827)
    assert (interval.high - interval.low) / 2 == pytest.approx(float(se), rel=0.05)
    rising = profile_interval(TIME, 1 - y, quantity, sigma=2e-4, level=0.6827, rising=True)
    expected = 1 - interval.value if quantity == "phi" else interval.value
    assert rising.value == pytest.approx(expected, rel=1e-5)


def test_joint_rates_are_better_than_single_ones_and_cover():
    rng = np.random.default_rng(5)
    curve = CURVES["biexponential"][1]
    pulls = []
    for _ in range(60):
        falling = curve(TIME, 0.05, 0.003, 0.5, 0.3) + rng.normal(0, 0.01, TIME.size)
        rising = 1 - curve(TIME, 0.05, 0.003, 0.6, 0.4) + rng.normal(0, 0.01, TIME.size)
        joint = fit_joint(TIME, [falling, rising], [False, True], 0.01)
        pulls.append(((joint.k1 - 0.05) / joint.k1_se, (joint.k2 - 0.003) / joint.k2_se))
    assert joint.k1_se < 0.8 * fit_biexponential(TIME, falling, sigma=0.01).k1_se
    assert np.std(pulls, axis=0) == pytest.approx(1.0, abs=0.3)
    assert joint.average_rate[1] == pytest.approx((0.6 * 0.05 + 0.4 * 0.003), rel=0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_kinetics(TIME, TIME, "cubic"), "'cubic'"),
        (lambda: fit_kinetics(TIME, TIME[:3], "mono"), "equal lists"),
        (lambda: fit_kinetics(TIME[:2], TIME[:2], "mono"), "needs at least 3"),
        (lambda: fit_kinetics(TIME, TIME, "mono", sigma=0), "sigma must be finite and positive"),
        (lambda: fit_joint(TIME, [TIME / 500, 1 - TIME / 500], [True, False], 0.1), "add up to one"),
        (lambda: fit_joint(TIME, [TIME], [True, False], 0.1), "2 directions"),
    ],
)
def test_nonsense_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
