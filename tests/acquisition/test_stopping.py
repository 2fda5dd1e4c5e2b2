"""A time series that ends when it has seen enough: on a plateau, or when its rate is known."""

import numpy as np
import pytest

from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.results import Number, OnlineResults
from halidescope.acquisition.stopping import Stopping, change_over

SERIES = {
    "kind": "time-series", "sample_power_uw": 120.0, "duration_s": 5000.0, "interval_s": 2.0, "dark_spectra": 5,
    "sample": {"composition": 1.5},
}


def rows(stopping, time_s, share, se=0.002, **more):
    """Online results of a series, those that ``stopping`` has not seen."""
    return OnlineResults(
        count=len(time_s), first=stopping.seen, time_s=list(time_s), shares=[[1 - one, one] for one in share],
        shares_se=[[se, se]] * len(time_s), **more,
    )


def test_a_straight_line_tells_the_change_and_its_error():
    random = np.random.default_rng(1)
    time_s = np.linspace(0.0, 60.0, 61)
    found = np.array([
        change_over(time_s, 0.001 * time_s + random.normal(0, 0.01, 61), np.full(61, 0.01)) for _ in range(400)
    ])
    assert found[:, 0].mean() == pytest.approx(0.06, abs=0.001)
    assert found[:, 0].std() == pytest.approx(found[:, 1].mean(), rel=0.1)


def test_a_plateau_is_seen_when_it_is_there_and_not_before():
    stopping = Stopping(parse_recipe({**SERIES, "stop_at_plateau": 0.01, "plateau_s": 60.0}))
    time_s = np.arange(0.0, 400.0, 2.0)
    share = 0.7 * (1.0 - np.exp(-0.03 * time_s))
    random = np.random.default_rng(2)
    for k in range(0, 200, 5):
        part = slice(k, k + 5)
        why = stopping.why(rows(stopping, time_s[part], share[part] + random.normal(0, 0.002, 5)))
        if why:
            break
    # 0.7 exp(-0.03 (t - 60)) falls below 1 % about 200 s after the light came on
    assert 150.0 < time_s[k + 4] < 260.0
    assert why.startswith("plateau: the share changed by +0.00")


def test_noise_is_no_plateau_and_unknown_shares_are_none():
    noisy = Stopping(parse_recipe({**SERIES, "stop_at_plateau": 0.001}))
    time_s = np.arange(0.0, 100.0, 2.0)
    assert noisy.why(rows(noisy, time_s, np.random.default_rng(3).normal(0.5, 0.05, 50), se=0.05)) == ""
    unknown = Stopping(parse_recipe({**SERIES, "stop_at_plateau": 0.9}))
    results = OnlineResults(count=1, time_s=[1.0], shares=[[None, None]], shares_se=[[None, None]])
    assert unknown.why(results) == ""


def test_a_rate_that_is_known_well_enough_ends_it_but_not_too_early():
    stopping = Stopping(parse_recipe({**SERIES, "stop_at_rate_error": 0.05, "stop_not_before_s": 10.0}))
    known = {"numbers": {"average_rate_per_s": Number(0.02, 0.0009)}}
    assert stopping.why(rows(stopping, [1.0, 9.0], [0.1, 0.2], **known)) == ""
    assert stopping.why(rows(stopping, [11.0], [0.3], numbers={"average_rate_per_s": Number(0.02, 0.0011)})) == ""
    assert stopping.why(rows(stopping, [13.0], [0.3], **known)) == (
        "the average rate is known to 4.5%, better than 5.0%"
    )
