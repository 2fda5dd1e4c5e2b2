"""The minimum that a biexponential fit ends in is the lowest: against a fine grid, scipy and lmfit."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from halidescope.analysis.kinetics import fit_biexponential, starting_rates
from halidescope.analysis.kinetics_kernels import CLOSEST

TIME = np.linspace(0.0, 500.0, 100)
DRAWS = 250
CASES = {
    "apart": (0.03, 0.002, 0.65, 0.3),
    "close": (0.03, 0.01, 0.65, 0.3),
    "closer": (0.02, 0.012, 0.5, 0.5),
    "plateau": (0.03, 0.0, 0.65, 0.3),
    "opposite signs": (0.03, 0.01, -0.65, 0.9),
    "one exponential": (0.02, 0.02, 0.5, 0.4),
    "nothing": (0.02, 0.002, 0.0, 0.0),
}


def two(t, k1, k2, k01, k02):
    return k01 * np.exp(-k1 * t) + k02 * np.exp(-k2 * t)


def noisy(name, draws=DRAWS, sigma=0.005):
    rng = np.random.default_rng(list(CASES).index(name))
    return two(TIME, *CASES[name]) + rng.normal(0, sigma, (draws, TIME.size))


@pytest.mark.parametrize("rising", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_no_pair_of_rates_of_a_fine_grid_fits_better(name, rising):
    y = noisy(name)
    fit = fit_biexponential(TIME, 1 - y if rising else y, rising=rising, sigma=0.005)
    assert fit.converged.mean() > 0.98
    curve = two(TIME, *(values[:, None] for values in (fit.k1, fit.k2, fit.k01, fit.k02)))     # of a constant, too
    found = np.sum((y - curve) ** 2, axis=1)
    fastest = starting_rates(TIME / 500)[-1] / 500
    rates = np.concatenate([[0.0], np.geomspace(2e-5, fastest, 70)])
    shapes = np.exp(-np.outer(rates, TIME))
    fast, slow = (index[1:] for index in np.triu_indices(len(rates), 1)[::-1])
    fast, slow = fast[rates[fast] >= CLOSEST * rates[slow]], slow[rates[fast] >= CLOSEST * rates[slow]]
    gram, right = shapes @ shapes.T, y @ shapes.T
    determinant = gram[fast, fast] * gram[slow, slow] - gram[fast, slow] ** 2
    told = determinant > 1e-10 * gram[fast, fast] * gram[slow, slow]
    fast, slow, determinant = fast[told], slow[told], determinant[told]
    explained = (
        gram[slow, slow] * right[:, fast] ** 2 - 2 * gram[fast, slow] * right[:, fast] * right[:, slow]
        + gram[fast, fast] * right[:, slow] ** 2
    ) / determinant  # fmt: skip
    grid = np.sum(y**2, axis=1) - explained.max(axis=1)
    assert np.max(found - grid) < 1e-3 * 0.005**2


@pytest.mark.parametrize("name", ["apart", "close", "closer", "plateau", "opposite signs"])
def test_the_optimum_is_that_of_scipy_from_many_starts(name):
    y = noisy(name, 6)
    fit = fit_biexponential(TIME, y, sigma=0.005)

    def rest(p, trace):
        return (two(TIME, *p) - trace) / 0.005

    def slope(p, trace):
        e1, e2 = np.exp(-p[0] * TIME), np.exp(-p[1] * TIME)
        return np.stack([-p[2] * TIME * e1, -p[3] * TIME * e2, e1, e2], axis=1) / 0.005

    for i, trace in enumerate(y):
        best = min(
            (
                least_squares(rest, (k1, k2, a, 0.5), slope, args=(trace,), x_scale="jac", xtol=1e-13, ftol=1e-13,
                              gtol=1e-13, bounds=([0, 0, -20, -20], [1, 1, 20, 20]))
                for k1, k2 in ((0.02, 0.01), (0.1, 0.01), (0.05, 0.001))
                for a in (0.5, -0.5)
            ),
            key=lambda one: one.cost,
        )  # fmt: skip
        k1, k2, k01, k02 = best.x if best.x[0] >= best.x[1] else best.x[[1, 0, 3, 2]]
        chi2 = np.sum((trace - fit.evaluate(TIME)[i]) ** 2) / 0.005**2
        assert chi2 <= 2 * best.cost * (1 + 1e-7)
        if k1 > 1.1 * k2 and chi2 > 2 * best.cost * (1 - 1e-7):   # scipy settled, and nothing is degenerate
            np.testing.assert_allclose([fit.k1[i], fit.k01[i], fit.k02[i]], [k1, k01, k02], rtol=2e-3)
            assert fit.k2[i] == pytest.approx(k2, rel=2e-3, abs=1e-6)


def test_values_and_errors_are_those_of_lmfit():
    lmfit = pytest.importorskip("lmfit")
    sigma = np.linspace(0.004, 0.01, TIME.size)
    y = two(TIME, 0.03, 0.002, 0.65, 0.3) + np.random.default_rng(1).normal(0, sigma)
    model = lmfit.Model(two, independent_vars=["t"])
    peer = model.fit(y, t=TIME, k1=0.05, k2=0.005, k01=0.5, k02=0.5, weights=1 / sigma, scale_covar=False)
    fit = fit_biexponential(TIME, y, sigma=sigma)
    for name in ("k1", "k2", "k01", "k02"):
        assert getattr(fit, name) == pytest.approx(peer.params[name].value, rel=1e-5)
        assert getattr(fit, f"{name}_se") == pytest.approx(peer.params[name].stderr, rel=2e-3)
    # what one and two exponentials differ by does not depend on the constants that a program adds
    single = lmfit.Model(lambda t, k, a: a * np.exp(-k * t), independent_vars=["t"])
    one = single.fit(y, t=TIME, k=0.01, a=0.9, weights=1 / sigma, scale_covar=False)
    assert fit.single_rate == pytest.approx(one.params["k"].value, rel=1e-4)
    assert fit.single_bic - fit.bic == pytest.approx(one.chisqr - peer.chisqr - 2 * np.log(TIME.size), rel=1e-6)
