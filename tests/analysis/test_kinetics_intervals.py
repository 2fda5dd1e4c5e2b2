"""Reported intervals: the profile where rates are close, nothing where nothing is known."""

import numpy as np
import pytest

from halidescope.analysis.flags import Flag
from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.kinetics_intervals import (
    CONSTANT,
    QUANTITIES,
    ReportedInterval,
    interval_note,
    reported_intervals,
    standard_error,
)
from halidescope.analysis.kinetics_profile import profile_interval
from halidescope.analysis.online import OnlineSeries

TIME = np.linspace(0.5, 500, 120)


def two(k1, k2, k01, k02, t=TIME):
    return k01 * np.exp(-k1 * t) + k02 * np.exp(-k2 * t)


def reported(y, sigma, **options):
    errors = np.full(TIME.size, sigma)
    fit = fit_biexponential(TIME, y, rising=True, sigma=errors)
    return fit, reported_intervals(TIME, y, errors, fit, 500.0, **options)


def test_well_separated_rates_keep_their_standard_errors():
    y = 1 - two(0.05, 0.002, 0.6, 0.4) + np.random.default_rng(1).normal(0, 0.002, TIME.size)
    fit, found = reported(y, 0.002)
    assert {one.method for one in found.values()} == {"linear"}
    assert interval_note(found) == ""
    assert found["k1_per_s"].high == pytest.approx(float(fit.k1 + 1.95996 * fit.k1_se))
    wider = reported(y, 0.002, systematic_se={"k1_per_s": float(fit.k1_se)})[1]
    assert wider["k1_per_s"].high - fit.k1 == pytest.approx(np.sqrt(2) * (found["k1_per_s"].high - fit.k1))


def test_close_rates_have_profile_intervals_and_a_sentence():
    y = 1 - two(0.03, 0.012, 0.6, 0.4) + np.random.default_rng(1).normal(0, 0.01, TIME.size)
    fit, found = reported(y, 0.01)
    assert found["k1_per_s"].method == "profile"
    alone = profile_interval(TIME, y, "k1", rising=True, sigma=0.01)
    np.testing.assert_allclose(found["k1_per_s"][:2], alone[1:], rtol=1e-3)
    low, high, _ = found["k1_per_s"]
    assert high - fit.k1 > 1.2 * (fit.k1 - low)     # what ± a standard error cannot say
    assert "k1" in interval_note(found)


@pytest.mark.slow
def test_reported_intervals_cover_where_linear_ones_do_not():
    """Linear intervals of k1 and k2 cover 0.90 and 0.88 here (20,000 draws)."""
    rng = np.random.default_rng(3)
    truth = {"k1_per_s": 0.03, "k2_per_s": 0.015, "average_rate_per_s": 0.6 * 0.03 + 0.4 * 0.015}
    linear, told = [], []
    for _ in range(160):
        fit, found = reported(1 - two(0.03, 0.015, 0.6, 0.4) + rng.normal(0, 0.01, TIME.size), 0.01)
        told.append([not (found[name].low > value or found[name].high < value) for name, value in truth.items()])
        linear.append([abs(fit.k1 - 0.03) < 1.96 * fit.k1_se, abs(fit.k2 - 0.015) < 1.96 * fit.k2_se])
    covered = np.mean(told, axis=0)
    assert np.all(covered[:2] > np.mean(linear, axis=0))
    assert np.all(covered > 0.90)     # 0.95 ± 0.017
    assert np.all(covered < 0.99)


def test_one_exponential_leaves_two_rates_undetermined():
    y = 1 - 0.9 * np.exp(-0.02 * TIME) + np.random.default_rng(1).normal(0, 0.01, TIME.size)
    fit, found = reported(y, 0.01)
    assert fit.one_exponential_suffices
    assert found["k1_per_s"].method == found["k2_per_s"].method == "undetermined"
    low, high, method = found["average_rate_per_s"]
    assert method == "linear"
    assert low < 0.02 < high
    assert high - low == pytest.approx(2 * 1.95996 * float(fit.single_rate_se), rel=1e-4)


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("sigma", [None, 0.01])
def test_a_constant_trace_is_flagged_and_has_no_rates(level, sigma):
    rng = np.random.default_rng(2)
    y = level + rng.normal(0, 0.01, (300, TIME.size))
    fit = fit_biexponential(TIME, y, rising=True, sigma=sigma)
    assert fit.constant.mean() > 0.9    # BIC errs now and then
    assert np.all(((fit.flags & Flag.NO_SIGNAL) > 0) == fit.constant)
    trace = y[np.flatnonzero(fit.constant)[0]]
    assert np.isnan(profile_interval(TIME, trace, "k1", rising=True, sigma=sigma)).all()
    pull = (fit.share_at(500.0).value - level)[fit.constant] / fit.share_at(500.0).se[fit.constant]
    assert pull.std() == pytest.approx(1.0, abs=0.15)     # of the mean: two exponentials claimed far less, or nothing
    phi = profile_interval(TIME, trace, "phi", rising=True, sigma=sigma)
    assert phi.value == pytest.approx(trace.mean())
    assert phi.low < phi.value < phi.high
    found = reported(trace, 0.01)[1]
    assert {found[name].method for name in QUANTITIES if name != "phi"} == {"undetermined"}
    assert found["phi"].low < level < found["phi"].high


def test_traces_without_noise_that_change_or_do_not():
    assert fit_biexponential(TIME, np.full(TIME.size, 0.3)).constant
    assert not fit_biexponential(TIME, 0.3 + 1e-6 * np.exp(-0.01 * TIME)).constant
    changing = two(0.03, 0.002, 0.6, 0.3) + np.random.default_rng(4).normal(0, 0.005, (200, TIME.size))
    assert not fit_biexponential(TIME, changing, sigma=0.005).constant.any()


def test_the_running_analysis_says_that_nothing_changes_and_gives_intervals():
    axis = np.linspace(450, 700, 200)
    bands = np.exp(-0.5 * ((axis - np.array([[585.0], [513.0]])) / 12) ** 2)
    rng = np.random.default_rng(5)
    online = OnlineSeries(axis, bands, ("pristine", "reconstructed"))
    online.add(np.arange(60), np.arange(60.0), rng.poisson(200 * (0.7 * bands[0] + 0.3 * bands[1]), (60, 200)), 0.0)
    fit = online.fit()
    assert fit.note == online.note == CONSTANT
    assert fit.intervals["k1_per_s"].method == "undetermined"
    assert fit.intervals["phi"].low < 0.3 < fit.intervals["phi"].high
    assert 1.95 < (fit.intervals["phi"].high - fit.phi) / fit.phi_se < 1.97     # what is shown is one and the same
    assert np.isnan([fit.k1_per_s, fit.k1_per_s_se, fit.average_rate_per_s, fit.k02]).all()
    assert fit.fit_low[0] < fit.fit_share[0] == fit.fit_share[-1] == fit.phi < fit.fit_high[0]


def test_standard_errors_are_those_of_the_intervals_where_linear_ones_are_not_to_be_trusted():
    linear, skewed, open_end, none = (
        ReportedInterval(0.1, 0.5, "linear"), ReportedInterval(0.2, 0.6, "profile"),
        ReportedInterval(0.2, np.nan, "profile"), ReportedInterval(np.nan, np.nan, "undetermined"),
    )  # fmt: skip
    assert standard_error(0.11, linear) == 0.11
    assert standard_error(0.01, skewed) == pytest.approx(0.4 / 2 / 1.95996, rel=1e-4)
    assert np.isnan([standard_error(0.01, open_end), standard_error(0.01, none)]).all()
