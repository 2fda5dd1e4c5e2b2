"""Profiles and halos against closed forms, curve_fit and noise draws."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from halidescope.analysis.diffusion import fit_halo, fit_profile
from halidescope.analysis.flags import Flag

X = np.arange(80.0, 120.5, 1.0)


def equation_1(x, strength, centre, diffusivity_um2, t=47.0):
    width2 = 4 * diffusivity_um2 * t
    return strength / np.sqrt(np.pi * width2) * np.exp(-((x - centre) ** 2) / width2)


def test_an_exact_profile_gives_the_exact_diffusivity():
    fit = fit_profile(X, equation_1(X, 10.0, 101.3, 0.16), 47.0)
    assert fit.diffusivity_m2_s == pytest.approx(0.16e-12, rel=1e-8)
    assert fit.centre_um == pytest.approx(101.3)
    assert fit.strength == pytest.approx(10.0)
    assert fit.converged
    np.testing.assert_allclose(fit.evaluate(X), equation_1(X, 10.0, 101.3, 0.16), atol=1e-12)


def test_profile_errors_equal_curve_fit_and_cover():
    rng = np.random.default_rng(1)
    clean = equation_1(X, 10.0, 101.3, 0.16)
    y = clean + rng.normal(0, 0.02, X.size)
    fit = fit_profile(X, y, 47.0, 0.02)
    best, covariance = curve_fit(equation_1, X, y, p0=[9, 100, 0.1], sigma=np.full(X.size, 0.02), absolute_sigma=True)
    assert fit.diffusivity_m2_s == pytest.approx(best[2] * 1e-12, rel=1e-5)
    assert fit.diffusivity_m2_s_se == pytest.approx(np.sqrt(covariance[2, 2]) * 1e-12, rel=1e-3)
    assert fit.strength_se == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-3)
    fits = [fit_profile(X, clean + rng.normal(0, 0.02, X.size), 47.0) for _ in range(300)]
    covered = np.mean([abs(f.diffusivity_m2_s - 0.16e-12) < f.diffusivity_m2_s_se for f in fits])
    assert 0.6 < covered < 0.76


def test_an_offset_is_fitted_when_asked_for():
    fit = fit_profile(X, equation_1(X, 10.0, 99.7, 0.1) + 0.3, 47.0, offset=True)
    assert fit.offset == pytest.approx(0.3)
    assert fit.diffusivity_m2_s == pytest.approx(0.1e-12)


def test_a_halo_is_found_on_a_coarse_map_with_missing_pixels():
    axis = np.arange(0, 201, 4.0)
    share = 0.02 + 0.7 * np.exp(-((axis - 101) ** 2 + (axis[:, None] - 98) ** 2) / 5.6**2)
    share = np.ma.masked_array(share, mask=np.zeros(share.shape, bool))
    share[3:9] = np.ma.masked
    share[20, 20] = np.nan
    fit = fit_halo(axis, axis, share)
    assert fit.converged
    assert (fit.centre_x_um, fit.centre_y_um) == (pytest.approx(101), pytest.approx(98))
    assert fit.radius_um == pytest.approx(5.6)
    assert (fit.amplitude, fit.offset) == (pytest.approx(0.7), pytest.approx(0.02))
    assert fit.diffusivity_m2_s(48.9) == pytest.approx(5.6**2 / (4 * 48.9) * 1e-12)
    assert fit.evaluate(101.0, 98.0) == pytest.approx(0.72)


def test_halo_errors_cover():
    rng = np.random.default_rng(4)
    axis = np.arange(0, 61, 3.0)
    clean = 0.7 * np.exp(-((axis - 31) ** 2 + (axis[:, None] - 29.5) ** 2) / 6.0**2)
    fits = [fit_halo(axis, axis, clean + rng.normal(0, 0.02, clean.shape), 0.02) for _ in range(200)]
    pull = np.array([(f.radius_um - 6.0) / f.radius_um_se for f in fits])
    assert abs(pull.mean()) < 0.3
    assert 0.85 < pull.std() < 1.15


def test_a_map_without_a_halo_says_so():
    noise = np.random.default_rng(5).normal(0, 0.01, (20, 20))
    fit = fit_halo(np.arange(20.0), np.arange(20.0), noise, 0.01)
    assert fit.flags & Flag.NO_SIGNAL
    flat = fit_profile(X, np.random.default_rng(6).normal(0, 0.01, X.size), 47.0, 0.01)
    assert flat.flags & Flag.NO_SIGNAL


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_profile(X, X[:3], 47), "equal lists"),
        (lambda: fit_profile(X, X, 0), "must be positive"),
        (lambda: fit_profile([1, 2, 3], [1, 2, np.nan], 1), "2 good points"),
        (lambda: fit_profile(X, X, 1, -1), "sigma must be positive"),
        (lambda: fit_halo(X, X, np.ones((3, 3))), "positions have shapes"),
        (lambda: fit_halo(X[:2], X[:2], np.ones((2, 2))), "4 good pixels"),
    ],
)
def test_nonsense_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
