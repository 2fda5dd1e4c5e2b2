"""χ² of two exponentials with one number held, against scipy with that number as one more, very exact, sample."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.kinetics_profile import Profile

TIME = np.linspace(1.0, 500.0, 80)
SIGMA = np.linspace(0.004, 0.008, TIME.size)
END = 500.0
QUANTITIES = ("k1", "k2", "average_rate", "phi", "k01", "k02")


def two(p, t=TIME):
    return p[2] * np.exp(-p[0] * t) + p[3] * np.exp(-p[1] * t)


def number(quantity, p, rising):
    if quantity == "average_rate":
        return (p[2] * p[0] + p[3] * p[1]) / (p[2] + p[3])
    if quantity == "phi":
        return 1 - two(p, END) if rising else two(p, END)
    return p[("k1", "k2", "k01", "k02").index(quantity)]


@pytest.mark.parametrize("rising", [False, True])
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("truth", [(0.04, 0.003, 0.6, 0.35), (0.03, 0.009, 0.5, 0.5)])
def test_the_lowest_chi2_with_one_number_held_is_that_of_scipy(truth, quantity, rising):
    trace = two(truth) + np.random.default_rng(5).normal(0, SIGMA)
    y = 1 - trace if rising else trace
    fit = fit_biexponential(TIME, y, rising=rising, sigma=SIGMA)
    best = np.array([fit.k1, fit.k2, fit.k01, fit.k02])
    profile = Profile(TIME, y, fit, quantity, sigma=SIGMA, at_time=END)
    assert profile.rise(profile.best) == 0
    for distance in (-1.5, 1.0, 2.0):
        value = profile.best + distance * profile.se

        def rest(p, value=value):
            held = (number(quantity, p, rising) - value) / (1e-4 * profile.se)
            return np.append((two(p) - trace) / SIGMA, held)

        found = [
            least_squares(rest, best * (1 + shift), x_scale=np.abs(best), xtol=1e-14, ftol=1e-14, gtol=1e-14)
            for shift in (0.0, np.array([0.1, -0.1, 0.05, -0.05]))
        ]
        lowest = min(2 * one.cost for one in found) - float(np.sum(((two(best) - trace) / SIGMA) ** 2))
        assert profile.rise(value) == pytest.approx(lowest, rel=2e-4, abs=1e-5)
        # the same samples in another order, at other units of time
        shuffled = np.random.default_rng(1).permutation(TIME.size)
        hours = fit_biexponential(TIME[shuffled] / 3600, y[shuffled], rising=rising, sigma=SIGMA[shuffled])
        other = Profile(
            TIME[shuffled] / 3600, y[shuffled], hours, quantity, sigma=SIGMA[shuffled], at_time=END / 3600
        )
        in_hours = value * (3600 if quantity in ("k1", "k2", "average_rate") else 1)
        assert other.rise(in_hours) == pytest.approx(profile.rise(value), rel=1e-5, abs=1e-6)
