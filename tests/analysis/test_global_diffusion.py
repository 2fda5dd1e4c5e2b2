"""Diffusion from many profiles and maps at once."""

import numpy as np
import pytest

from halidescope.analysis.arrhenius import BOLTZMANN_EV_K
from halidescope.analysis.flags import Flag
from halidescope.analysis.global_diffusion import fit_spread, radial_average

X = np.arange(-30.0, 30.5, 1.0)
TIMES = np.array([10.0, 30.0, 60.0, 120.0])


def snapshots(width2, centre=0.4, heights=(1.0, 0.8, 0.6, 0.4)):
    return np.array(heights)[:, None] * np.exp(-((X - centre) ** 2) / np.asarray(width2)[:, None])


def test_exact_profiles_give_the_exact_numbers():
    fit = fit_spread(X, snapshots(4.0 + 4 * 0.16 * TIMES) + 0.1, TIMES, offset=True)
    np.testing.assert_allclose(fit.diffusivity_m2_s, 0.16e-12, rtol=1e-5)
    assert fit.initial_width_um == pytest.approx(2.0, rel=1e-4)
    assert fit.centre_um[0] == pytest.approx(0.4)
    np.testing.assert_allclose(fit.offset, 0.1, atol=1e-6)
    assert fit.converged
    bare = fit_spread(X, snapshots(4 * 0.16 * TIMES), TIMES, initial_width=False)
    np.testing.assert_allclose(bare.diffusivity_m2_s, 0.16e-12, rtol=1e-6)


def test_errors_cover_and_reach_the_bound():
    rng = np.random.default_rng(1)
    clean = snapshots(4.0 + 4 * 0.16 * TIMES)
    fits = [fit_spread(X, clean + rng.normal(0, 0.02, clean.shape), TIMES, 0.02) for _ in range(150)]
    pull = np.array([(f.diffusivity_m2_s[0] - 0.16e-12) / f.diffusivity_m2_s_se[0] for f in fits])
    assert pull.std() == pytest.approx(1.0, abs=0.17)
    assert abs(pull.mean()) < 0.3
    # the bound from derivatives by differences of the whole model, all heights free
    truth = np.array([0.4, 0.16, 4.0, 1.0, 0.8, 0.6, 0.4])

    def model(p):
        return snapshots(p[2] + 4 * p[1] * TIMES, p[0], p[3:]).ravel() / 0.02

    steps = 1e-5 * np.maximum(np.abs(truth), 0.1)
    slope = np.array([(model(truth + s) - model(truth - s)) / (2 * s.sum()) for s in np.diag(steps)])
    bound = np.sqrt(np.linalg.inv(slope @ slope.T)[1, 1])
    assert np.std([f.diffusivity_m2_s[0] * 1e12 for f in fits]) < 1.15 * bound
    assert np.mean([f.diffusivity_m2_s_se[0] * 1e12 for f in fits]) == pytest.approx(bound, rel=0.05)


def test_temperatures_give_an_activation_energy():
    temperature = np.array([300.0, 330.0, 365.0, 400.0])
    diffusivity = 53.0 * np.exp(-0.182 / (BOLTZMANN_EV_K * temperature))      # µm²/s: D0 = 5.3e-11 m²/s
    clean = snapshots(4 * diffusivity * 50.0)
    rng = np.random.default_rng(2)
    exact = fit_spread(X, clean, np.full(4, 50.0), temperature_k=temperature, initial_width=False)
    assert exact.activation_energy_ev == pytest.approx(0.182, rel=1e-5)
    assert np.exp(exact.log_prefactor) == pytest.approx(5.3e-11, rel=1e-3)
    np.testing.assert_allclose(exact.diffusivity_m2_s, diffusivity * 1e-12, rtol=1e-4)
    pull = []
    for _ in range(120):
        noisy = clean + rng.normal(0, 0.02, clean.shape)
        fit = fit_spread(X, noisy, np.full(4, 50.0), 0.02, temperature_k=temperature, initial_width=False)
        pull.append((fit.activation_energy_ev - 0.182) / fit.activation_energy_ev_se)
    assert np.std(pull) == pytest.approx(1.0, abs=0.2)


def test_whole_maps_at_once_with_missing_pixels():
    axis = np.arange(0, 41, 2.0)
    x, y = np.meshgrid(axis, axis)
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    r2 = (x - 20.6) ** 2 + (y - 18.9) ** 2
    maps = np.array([0.7 * np.exp(-r2 / (9 + 4 * 0.2 * t)) for t in TIMES]).reshape(4, -1)
    maps[1, 50:80] = np.nan
    fit = fit_spread(places, np.ma.masked_invalid(maps), TIMES)
    np.testing.assert_allclose(fit.centre_um, [20.6, 18.9], atol=1e-4)
    assert fit.diffusivity_m2_s[0] == pytest.approx(0.2e-12, rel=1e-4)
    assert fit.initial_width_um == pytest.approx(3.0, rel=1e-3)


def test_a_spot_without_initial_width_is_said_to_be_at_the_bound():
    fit = fit_spread(X, snapshots(4 * 0.16 * TIMES - 3.0), TIMES)
    assert fit.flags & Flag.AT_BOUND


def test_rings_average_a_map():
    axis = np.arange(0, 41, 1.0)
    x, y = np.meshgrid(axis, axis)
    share = np.exp(-((x - 20) ** 2 + (y - 20) ** 2) / 36.0)
    share[0, 0] = np.nan
    radius, mean, error = radial_average(axis, axis, share, (20.0, 20.0), 1.0)
    inner = radius < 12
    np.testing.assert_allclose(mean[inner], np.exp(-(radius[inner] ** 2) / 36.0), atol=0.03)
    assert np.isnan(error[0])
    assert (error[1:10] < 0.05).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_spread(X, np.ones((2, 5)), [1, 2]), "belong together"),
        (lambda: fit_spread(X, np.ones((1, X.size)), [-1.0]), "must be finite and positive"),
        (lambda: fit_spread(X, np.ones((2, X.size)), [1.0, 1.0]), "one diffusion time"),
        (lambda: fit_spread(X, snapshots(TIMES), TIMES, temperature_k=[300] * 4), "two different"),
        (lambda: fit_spread(X, snapshots(TIMES), TIMES, -1.0), "sigma must be positive"),
        (lambda: radial_average(X, X, np.ones((2, 2)), (0, 0), 1.0), "check shapes"),
    ],
)
def test_nonsense_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
