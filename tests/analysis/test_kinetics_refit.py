"""Refits of a growing trace against fits from many starts, at every length."""

from dataclasses import asdict

import numpy as np
import pytest

from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.kinetics_refit import GrowingFit
from halidescope.analysis.time_errors import fit_with_time_errors

TIME = np.arange(400) * 1.25 + 0.4
SIGMA = np.where(np.arange(400) % 3, 0.004, 0.008)
CASES = {
    "apart": (0.03, 0.002, 0.65, 0.3),
    "close": (0.03, 0.01, 0.65, 0.3),
    "opposite signs": (0.03, 0.006, -0.5, 0.9),
    "one exponential": (0.02, 0.02, 0.5, 0.4),
    "nothing": (0.0, 0.0, 0.3, 0.3),
}


def trace_of(name, rising, seed=0):
    k1, k2, k01, k02 = CASES[name]
    y = k01 * np.exp(-k1 * TIME) + k02 * np.exp(-k2 * TIME) + np.random.default_rng(seed).normal(0, SIGMA)
    return 1 - y if rising else y


@pytest.mark.parametrize("rising", [False, True])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("t_se", [0.0, 0.2])
def test_every_refit_is_the_fit_from_many_starts(name, rising, t_se):
    y = trace_of(name, rising)
    close = 2e-5 if t_se else 1e-6      # of χ²; the errors of the times are those that the first fit's slope makes
    growing = GrowingFit()
    for n in range(8, 401, 4):
        part = slice(0, n)
        errors = np.full(n, t_se)
        fit, used = growing.fit(TIME[part], y[part], rising=rising, sigma=SIGMA[part], t_se=errors)
        whole, wanted = fit_with_time_errors(TIME[part], y[part], rising=rising, sigma=SIGMA[part], t_se=errors)
        assert fit.one_exponential_suffices == whole.one_exponential_suffices
        assert fit.constant == whole.constant
        assert fit.flags == whole.flags
        assert fit.bic == pytest.approx(whole.bic, rel=close)
        assert fit.single_bic == pytest.approx(whole.single_bic, rel=close)
        np.testing.assert_allclose(used, wanted, rtol=1e-5)
        for number in ("k1", "k2", "k01", "k02", "average_rate"):
            distance, se = abs(getattr(fit, number) - getattr(whole, number)), getattr(whole, f"{number}_se")
            assert distance == 0 or distance <= 2e-3 * se
    if name == "apart":
        assert growing.warm > 4 * growing.thorough
    if name in ("one exponential", "nothing"):
        assert growing.warm < 0.3 * growing.thorough
    last, _ = growing.fit(TIME, y, rising=rising, sigma=SIGMA, t_se=np.full(400, t_se), thorough=True)
    for field, value in asdict(whole).items():
        np.testing.assert_array_equal(asdict(last)[field], value)


def test_a_trace_that_turns_is_looked_at_from_everywhere():
    y = trace_of("apart", False)
    growing = GrowingFit()
    for n in range(320, 370, 5):
        growing.fit(TIME[:n], y[:n], rising=False, sigma=SIGMA[:n])
    assert growing.thorough == 1
    y[370:] += 0.05                  # the lamp jumps: no sample of the old kind
    fit, _ = growing.fit(TIME[:380], y[:380], rising=False, sigma=SIGMA[:380])
    assert growing.thorough == 2
    assert fit.k1 == fit_biexponential(TIME[:380], y[:380], sigma=SIGMA[:380]).k1
    growing.fit(TIME[:20], y[:20], rising=False, sigma=SIGMA[:20])       # another trace
    assert growing.thorough == 3


def test_only_one_trace_with_rates_can_be_started_from():
    y = np.stack([trace_of("apart", False), trace_of("close", False)])
    both = fit_biexponential(TIME, y, sigma=SIGMA)
    one = fit_biexponential(TIME, y[0], sigma=SIGMA)
    for trace, near in ((y, one), (y[0], both)):
        with pytest.raises(ValueError, match="of one trace"):
            fit_biexponential(TIME, trace, sigma=SIGMA, near=near)
