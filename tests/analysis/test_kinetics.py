"""Biexponential fits against closed forms, scipy and noise draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from halidescope.analysis.flags import Flag
from halidescope.analysis.kinetics import fit_biexponential

TIME = np.linspace(0.1, 499.9, 250)


def two(t, k1, k2, k01, k02):
    return k01 * np.exp(-k1 * t) + k02 * np.exp(-k2 * t)


@settings(max_examples=60)
@given(
    fast=st.floats(0.01, 0.3),
    ratio=st.floats(0.0, 0.3),
    weight=st.floats(0.15, 0.85),
    unit=st.sampled_from([1e-9, 1e-3, 1.0, 3600.0]),
    rising=st.booleans(),
)
def test_exact_traces_give_exact_parameters_in_any_unit_of_time(fast, ratio, weight, unit, rising):
    truth = np.array([fast, fast * ratio, weight, 1 - weight])
    y = two(TIME, *truth)
    fit = fit_biexponential(TIME * unit, 1 - y if rising else y, rising=rising)
    found = np.array([fit.k1 * unit, fit.k2 * unit, fit.k01, fit.k02])
    np.testing.assert_allclose(found, truth, rtol=2e-5, atol=2e-7)
    average = truth[2:] @ truth[:2] / truth[2:].sum()
    assert fit.average_rate * unit == pytest.approx(average, rel=1e-5)
    np.testing.assert_allclose(fit.evaluate(TIME * unit), 1 - y if rising else y, atol=1e-9)
    assert fit.converged
    assert not fit.one_exponential_suffices


@settings(max_examples=60)
@given(
    fast=st.floats(0.005, 0.3),
    ratio=st.floats(0.0, 1.0),
    weight=st.floats(-1.0, 1.0),
    unit=st.sampled_from([1e-12, 1e-9, 1 / 3600, 60.0, 1e6]),
    late=st.sampled_from([0.0, 0.1, 40.0]),
    seed=st.integers(0, 1000),
)
def test_noisy_traces_say_the_same_in_any_unit_of_time(fast, ratio, weight, unit, late, seed):
    y = two(TIME, fast, fast * ratio, weight, 1 - weight) + np.random.default_rng(seed).normal(0, 0.01, TIME.size)
    one = fit_biexponential(TIME + late, y, sigma=0.01)
    other = fit_biexponential((TIME + late) * unit, y, sigma=0.01)
    assert other.one_exponential_suffices == one.one_exponential_suffices
    assert other.constant == one.constant
    assert other.bic == pytest.approx(one.bic, abs=0.01)
    # two rates where there is one, or any where nothing changes, are left to rounding
    told = () if one.constant else ("average_rate",) if one.one_exponential_suffices else ("average_rate", "k1", "k2")
    for name in told:
        distance, se = abs(getattr(other, name) * unit - getattr(one, name)), getattr(one, f"{name}_se")
        assert not distance > 0.01 * se + 1e-6 * fast


def test_traces_of_a_stack_are_fitted_as_each_alone():
    draws = two(TIME, 0.03, 0.002, 0.65, 0.3) + np.random.default_rng(7).normal(0, 0.01, (40, TIME.size))
    draws[3:6, 10:14] = np.nan
    errors = np.full(draws.shape, 0.01)
    errors[20:, ::2] = 0.02
    stack = fit_biexponential(TIME, draws, sigma=errors)
    for i in (0, 3, 5, 6, 19, 20, 39):
        alone = fit_biexponential(TIME, draws[i], sigma=errors[i])
        assert stack.k1[i] == pytest.approx(alone.k1, rel=1e-12)
        np.testing.assert_allclose(stack.covariance[i], alone.covariance, rtol=1e-9)
        assert stack.single_rate[i] == pytest.approx(alone.single_rate, rel=1e-12)


def test_values_and_covariance_equal_curve_fit():
    sigma = np.linspace(0.004, 0.02, TIME.size)
    y = two(TIME, 0.05, 0.004, 0.6, 0.3) + np.random.default_rng(2).normal(0, sigma)
    fit = fit_biexponential(TIME, y, sigma=sigma)
    best, covariance = curve_fit(two, TIME, y, p0=[0.06, 0.003, 0.5, 0.5], sigma=sigma, absolute_sigma=True, xtol=1e-12)
    np.testing.assert_allclose([fit.k1, fit.k2, fit.k01, fit.k02], best, rtol=1e-5)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-3)
    unknown = fit_biexponential(TIME, y)
    best, covariance = curve_fit(two, TIME, y, p0=[0.06, 0.003, 0.5, 0.5], xtol=1e-12)
    np.testing.assert_allclose([unknown.k1, unknown.k2, unknown.k01, unknown.k02], best, rtol=1e-5)
    np.testing.assert_allclose(unknown.covariance, covariance, rtol=1e-3)


@pytest.mark.parametrize("known", [True, False])
def test_errors_cover_and_reach_the_bound(known):
    truth = np.array([0.03, 2e-3, 0.68, 0.32])
    sigma = 0.005
    draws = two(TIME, *truth) + np.random.default_rng(3).normal(0, sigma, (1500, TIME.size))
    fit = fit_biexponential(TIME, draws, sigma=sigma if known else None)
    assert fit.converged.all()
    e1, e2 = np.exp(-truth[0] * TIME), np.exp(-truth[1] * TIME)
    jacobian = np.stack([-truth[2] * TIME * e1, -truth[3] * TIME * e2, e1, e2])
    bound = sigma * np.sqrt(np.diag(np.linalg.inv(jacobian @ jacobian.T)))
    found = np.stack([fit.k1, fit.k2, fit.k01, fit.k02], axis=1)
    errors = np.stack([fit.k1_se, fit.k2_se, fit.k01_se, fit.k02_se], axis=1)
    assert np.all(np.sqrt(np.mean((found - truth) ** 2, axis=0)) < 1.05 * bound)
    covered = np.mean(np.abs(found - truth) < errors, axis=0)
    assert np.all((covered > 0.645) & (covered < 0.72))
    average = truth[2:] @ truth[:2] / truth[2:].sum()
    covered = np.mean(np.abs(fit.average_rate - average) < fit.average_rate_se)
    assert 0.645 < covered < 0.72
    low, high = fit.band(500.0)
    end = two(500.0, *truth)
    assert 0.93 < np.mean((low < end) & (end < high)) < 0.97


def test_a_single_exponential_is_said_to_suffice_and_its_rate_is_given():
    draws = 0.9 * np.exp(-0.02 * TIME) + np.random.default_rng(4).normal(0, 0.01, (300, TIME.size))
    fit = fit_biexponential(TIME, draws)
    assert fit.one_exponential_suffices.mean() > 0.95
    told = fit.average_rate[fit.one_exponential_suffices]
    assert abs(told.mean() - 0.02) < 1e-4
    covered = np.mean(np.abs(fit.single_rate - 0.02) < fit.single_rate_se)
    assert 0.6 < covered < 0.75


def test_noise_free_single_exponentials_and_plateaus_are_no_trouble():
    assert fit_biexponential(TIME, 0.7 * np.exp(-0.01 * TIME)).one_exponential_suffices
    fit = fit_biexponential(TIME, 0.7 * np.exp(-0.02 * TIME) + 0.3)
    assert fit.k2 == pytest.approx(0.0, abs=1e-7)
    assert fit.k02 == pytest.approx(0.3, rel=1e-4)


def test_yield_has_the_error_of_the_curve_at_its_end():
    truth = (0.03, 2e-4, 0.68, 0.32)
    draws = 1 - two(TIME, *truth) + np.random.default_rng(5).normal(0, 0.003, (800, TIME.size))
    fit = fit_biexponential(TIME, draws, rising=True)
    value, se = fit.share_at(500.0)
    assert value.shape == se.shape == (800,)
    pull = (value - (1 - two(500.0, *truth))) / se
    assert abs(pull.mean()) < 0.15
    assert 0.9 < pull.std() < 1.1


def test_missing_samples_are_left_out_and_poor_traces_flagged():
    y = np.stack([two(TIME, 0.05, 0.004, 0.6, 0.3)] * 3)
    y[0, 10:20] = np.nan
    y[1] = np.nan
    y[2, 4:] = np.nan
    fit = fit_biexponential(TIME, y)
    assert list(fit.flags & Flag.TOO_FEW_POINTS) == [0, Flag.TOO_FEW_POINTS, Flag.TOO_FEW_POINTS]
    assert fit.k1[0] == pytest.approx(0.05, rel=1e-6)
    assert np.isnan(fit.k1[1:]).all()
    assert not fit.converged[1:].any()


def test_a_constant_trace_is_answered_without_invention():
    fit = fit_biexponential(TIME, np.zeros(TIME.size))
    assert fit.one_exponential_suffices
    assert fit.evaluate(100.0) == 0.0


def test_a_late_start_is_extrapolated_to_time_zero():
    t = TIME + 100
    fit = fit_biexponential(t, two(t, 0.02, 0.001, 0.6, 0.4))
    assert fit.k01 == pytest.approx(0.6, rel=1e-5)
    noisy = two(t, 0.02, 0.001, 0.6, 0.4) + np.random.default_rng(1).normal(0, 0.002, t.size)
    fit = fit_biexponential(t, noisy)
    _, covariance = curve_fit(two, t, noisy, p0=[0.02, 0.001, 0.6, 0.4], xtol=1e-12)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-3)


def test_a_start_too_late_for_time_zero_is_flagged_and_not_extrapolated():
    fit = fit_biexponential(TIME + 1e7, two(TIME, 0.02, 0.001, 0.6, 0.4))
    assert fit.flags & Flag.OUTSIDE
    assert np.isnan(fit.k01)


@pytest.mark.parametrize("rising", [False, True])
@pytest.mark.parametrize("kind", ["noise", "line", "spike", "constant", "six points"])
def test_any_trace_gets_an_answer_without_a_warning(kind, rising):
    rng = np.random.default_rng(9)
    t = np.arange(6.0 if kind == "six points" else 50.0)
    y = {
        "noise": rng.normal(0, 1, t.size),
        "line": t,
        "spike": np.where(t == 0, 1e6, 0.0),
        "constant": np.ones(t.size),
        "six points": rng.normal(0, 1, t.size),
    }[kind]
    fit = fit_biexponential(t, y, rising=rising)
    low, high = fit.band(t)
    assert fit.k1 >= fit.k2 >= 0
    assert np.all((low <= high) | np.isnan(low))


@pytest.mark.parametrize(
    ("t", "y", "options", "words"),
    [
        ([1.0], [0.5], {}, "1 different times"),
        (TIME, np.ones(3), {}, "expected"),
        (TIME, np.full(TIME.size, np.nan), {}, "0 good samples"),
        (np.full(TIME.size, np.nan), TIME, {}, "finite times"),
        (TIME, TIME, {"sigma": 0.0}, "sigma must be positive"),
        (TIME, TIME, {"sigma": np.ones(3)}, "sigma has shape"),
    ],
)
def test_nonsense_is_refused_in_words(t, y, options, words):
    with pytest.raises(ValueError, match=words):
        fit_biexponential(t, y, **options)
