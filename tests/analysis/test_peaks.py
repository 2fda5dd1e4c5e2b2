"""Peak fits against closed forms, curve_fit and the Cramér–Rao bound."""

import numpy as np
import pytest
from scipy import special
from scipy.optimize import curve_fit
from scipy.special import voigt_profile

from halidescope.analysis.flags import Flag
from halidescope.analysis.line_shapes import erfcx, faddeeva, shape_at
from halidescope.analysis.peaks import MODELS, fit_peaks

ENERGY = np.linspace(1.7, 2.7, 400)


def gaussian(energy, amplitude, centre, sigma, offset):
    return amplitude * np.exp(-0.5 * ((energy - centre) / sigma) ** 2) + offset


def bigaussian(energy, amplitude, centre, sigma, sigma_high, offset):
    return gaussian(energy, amplitude, centre, np.where(energy < centre, sigma, sigma_high), offset)


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
@pytest.mark.parametrize("order", [1, -1])
def test_exact_peaks_are_recovered_anywhere_in_any_leading_shape(noise, order):
    rng = np.random.default_rng(1)
    truth = np.stack(
        [rng.uniform(50, 5000, 60), rng.uniform(1.8, 2.6, 60), rng.uniform(0.01, 0.08, 60), rng.uniform(0, 200, 60)]
    ).reshape(4, 6, 10)
    spectra = gaussian(ENERGY, *truth[..., None])
    fit = fit_peaks(ENERGY[::order], spectra[..., ::order], noise=noise)
    assert fit.converged.all()
    found = np.stack([fit.amplitude, fit.centre, fit.sigma, fit.offset])
    np.testing.assert_allclose(found, truth, rtol=1e-6, atol=1e-6)
    assert fit.covariance.shape == (6, 10, 4, 4)
    assert not fit.flags.any()


def emg(energy, amplitude, centre, sigma, tau, offset):
    fine = np.arange(0, 40 * tau, tau / 200)
    weights = np.exp(-fine / tau) / tau
    values = [np.trapezoid(gaussian(e + fine, amplitude, centre, sigma, 0.0) * weights, fine) for e in energy]
    return np.array(values) + offset


def voigt(energy, amplitude, centre, sigma, gamma, offset):
    return amplitude * voigt_profile(energy - centre, sigma, gamma) / voigt_profile(0, sigma, gamma) + offset


def two(energy, a1, c1, s1, a2, c2, s2, offset):
    return gaussian(energy, a1, c1, s1, 0) + gaussian(energy, a2, c2, s2, offset)


SHAPES = {
    "gaussian": (gaussian, (3000.0, 2.3, 0.05, 20.0)),
    "bigaussian": (bigaussian, (3000.0, 2.3, 0.05, 0.03, 20.0)),
    "emg": (emg, (3000.0, 2.3, 0.03, 0.04, 20.0)),
    "voigt": (voigt, (3000.0, 2.3, 0.03, 0.02, 20.0)),
    "two-gaussians": (two, (2000.0, 2.1, 0.05, 1500.0, 2.3, 0.04, 20.0)),
}


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
@pytest.mark.parametrize("model", SHAPES)
def test_every_shape_is_recovered(model, noise):
    shape, truth = SHAPES[model]
    exact = shape(ENERGY, *truth)
    fit = fit_peaks(ENERGY, exact, model=model, noise=noise)
    assert fit.converged
    np.testing.assert_allclose(fit.parameters, truth, rtol=2e-4)
    np.testing.assert_allclose(fit.evaluate(ENERGY), exact, atol=0.05)


@pytest.mark.parametrize("model", ["bigaussian", "emg", "voigt", "two-gaussians"])
def test_errors_of_every_shape_cover(model):
    shape, truth = SHAPES[model]
    draws = np.random.default_rng(7).poisson(shape(ENERGY, *truth), (400, 400))
    fit = fit_peaks(ENERGY, draws, model=model, noise="poisson")
    assert fit.converged.mean() > 0.99
    errors = np.sqrt(np.einsum("nii->ni", fit.covariance))
    pull = (fit.parameters - truth) / errors
    np.testing.assert_allclose(pull[fit.converged].std(axis=0), 1.0, atol=0.13)
    np.testing.assert_allclose(pull[fit.converged].mean(axis=0), 0.0, atol=0.25)


def test_derivatives_of_every_shape_are_right():
    for model, (_, truth) in SHAPES.items():
        p = np.array(truth)
        slope = np.empty(p.size)
        for x in (2.05, 2.2, 2.31, 2.45):
            shape_at(MODELS[model][0], x, p, slope)
            for i in range(p.size):
                step = 1e-5 * p[i]
                up, down = p.copy(), p.copy()
                up[i] += step
                down[i] -= step
                rest = np.empty(p.size)
                high, low = shape_at(MODELS[model][0], x, up, rest), shape_at(MODELS[model][0], x, down, rest)
                assert slope[i] == pytest.approx((high - low) / (2 * step), rel=1e-4, abs=1e-4), (model, i, x)


def test_special_functions_equal_scipy():
    q = np.geomspace(1e-3, 200, 60)
    np.testing.assert_allclose([erfcx(v) for v in q], special.erfcx(q), rtol=1e-8)
    z = np.add.outer(np.linspace(-30, 30, 41), 1j * np.geomspace(1e-3, 30, 20)).ravel()
    np.testing.assert_allclose([faddeeva(v) for v in z], special.wofz(z), rtol=1e-9)


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_the_fast_way_and_the_careful_way_agree(noise):
    energy = np.linspace(1.7, 2.7, 2048)
    rng = np.random.default_rng(8)
    truth = np.stack([rng.uniform(200, 4000, 50), rng.uniform(1.9, 2.5, 50), rng.uniform(0.015, 0.06, 50)])
    draws = rng.poisson(gaussian(energy, *truth[..., None], 5.0)).astype(float)
    fast = fit_peaks(energy, draws, noise=noise)
    holed = draws.copy()
    holed[:, 0] = np.nan                   # a missing channel takes the careful way
    careful = fit_peaks(energy, holed, noise=noise)
    assert fast.converged.all()
    assert careful.converged.all()
    difference = (fast.parameters - careful.parameters) / np.sqrt(np.einsum("nii->ni", careful.covariance))
    assert np.abs(difference).max() < 0.15   # the one channel itself
    np.testing.assert_allclose(fast.centre_se, careful.centre_se, rtol=0.01)
    exact = fit_peaks(energy, gaussian(energy, *truth[..., None], 5.0), noise=noise)
    np.testing.assert_allclose(exact.parameters[:, :3], truth.T, rtol=1e-6)


@pytest.mark.parametrize("channels", [300, 2068])
@pytest.mark.parametrize("width", [2, 5, 12, 65])
def test_integers_read_in_place_give_what_doubles_give_the_careful_way(channels, width, monkeypatch):
    energy = 1239.84 / np.linspace(450, 750, channels)     # falls, and its steps grow: spectra are stored like that
    rng = np.random.default_rng(width)
    truth = np.stack([np.geomspace(200, 50_000, 20), rng.uniform(2.0, 2.4, 20), np.full(20, width * 1.1 / channels)])
    counts = (rng.poisson(gaussian(energy, *truth[..., None], 5.0)) + 1000).astype(np.uint16)
    options = {"noise": "poisson", "dark": np.full(channels, 1000.0), "read_noise": 2.0}
    integers = fit_peaks(energy, counts, **options)
    doubles = fit_peaks(energy, counts.astype(float), **options)
    monkeypatch.setattr("halidescope.analysis.peaks.fit_gaussians", lambda *_: None)
    careful = fit_peaks(energy[::-1], counts[:, ::-1], **options)
    errors = np.sqrt(np.einsum("nii->ni", careful.covariance))
    pairs = errors[:, :, None] * errors[:, None, :]
    for fast in (integers, doubles):
        assert not (fast.flags | careful.flags).any()
        assert np.abs((fast.parameters - careful.parameters) / errors).max() < 0.02
        np.testing.assert_allclose(fast.covariance / pairs, careful.covariance / pairs, atol=0.02)
        np.testing.assert_allclose(fast.residual_rms, careful.residual_rms, rtol=1e-3)


def test_values_and_errors_equal_curve_fit():
    y = gaussian(ENERGY, 800, 2.3, 0.04, 30) + np.random.default_rng(2).normal(0, 12, 400)
    fit = fit_peaks(ENERGY, y)
    best, covariance = curve_fit(gaussian, ENERGY, y, p0=[700, 2.28, 0.05, 0], xtol=1e-12)
    np.testing.assert_allclose([fit.amplitude, fit.centre, fit.sigma, fit.offset], best, rtol=1e-6)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-4, atol=1e-8)
    assert fit.residual_rms == pytest.approx(np.sqrt(np.mean((y - gaussian(ENERGY, *best)) ** 2)))


@pytest.mark.parametrize("height", [10.0, 1000.0])
def test_poisson_fits_reach_the_bound_and_cover(height):
    truth = np.array([height, 2.3, 0.04, 2.0])
    mean = gaussian(ENERGY, *truth)
    fit = fit_peaks(ENERGY, np.random.default_rng(3).poisson(mean, (2000, 400)), noise="poisson")
    z = (ENERGY - 2.3) / 0.04
    bell = np.exp(-0.5 * z**2)
    slope = np.stack([bell, height * bell * z / 0.04, height * bell * z**2 / 0.04, np.ones(400)])
    bound = np.sqrt(np.diag(np.linalg.inv((slope / mean) @ slope.T)))
    assert fit.converged.mean() > 0.999
    found = np.stack([fit.amplitude, fit.centre, fit.sigma, fit.offset])
    errors = np.stack([fit.amplitude_se, fit.centre_se, fit.sigma_se, fit.offset_se])
    assert np.all(np.sqrt(np.mean((found - truth[:, None]) ** 2, axis=1)) < 1.05 * bound)
    covered = np.mean(np.abs(found - truth[:, None]) < errors, axis=1)
    assert np.all((covered > 0.645) & (covered < 0.72))


def test_bad_spectra_are_flagged_and_do_not_touch_the_others():
    spectra = np.tile(gaussian(ENERGY, 800, 2.3, 0.04, 30), (5, 1))
    spectra[1] = np.nan
    spectra[2, 100:110] = np.nan
    spectra[3] = 5.0
    spectra[4] = np.random.default_rng(4).normal(0, 3, 400)
    fit = fit_peaks(ENERGY, spectra)
    assert fit.flags[0] == fit.flags[2] == 0
    assert fit.flags[1] & Flag.NOT_FINITE
    assert fit.flags[3] & Flag.NO_SIGNAL
    assert fit.flags[4] & (Flag.NO_SIGNAL | Flag.NOT_CONVERGED)
    np.testing.assert_allclose(fit.centre[[0, 2]], 2.3)
    assert np.isnan(fit.centre[[1, 3]]).all()


@pytest.mark.parametrize(
    ("energy", "spectra", "options", "words"),
    [
        (ENERGY, np.ones(7), {}, "expected"),
        ([1.0, 2.0, 1.5, 3, 4, 5, 6], np.ones(7), {}, "rise or fall"),
        (ENERGY, ENERGY, {"model": "square"}, "'square'"),
        (ENERGY, ENERGY, {"noise": "pink"}, "'pink'"),
        (ENERGY, ENERGY, {"gain": -1}, "gain"),
        ([1.0, 2.0], [1.0, 2.0], {}, "more than 4"),
    ],
)
def test_nonsense_is_refused_in_words(energy, spectra, options, words):
    with pytest.raises(ValueError, match=words):
        fit_peaks(energy, spectra, **options)


@pytest.mark.parametrize(("noise", "order"), [("gaussian", 1), ("gaussian", -1), ("poisson", 1)])
def test_weak_bands_two_channels_wide_are_found_where_they_are(noise, order):
    """Blocks of channels average them away: one in forty was not found, or something broad was found instead."""
    channels, offset, sigma = 1024, 9.0, 3.0
    height = 30.0 if noise == "gaussian" else 45.0     # signal-to-noise ratios of 13 and 12
    rng = np.random.default_rng(11)
    place = rng.uniform(200, 800, 150)
    clean = height * np.exp(-0.5 * (np.arange(channels) - place[:, None]) ** 2) + offset
    energy = np.linspace(1.7, 2.7, channels)
    counts = rng.poisson(clean).astype(np.uint16)
    draws = clean + rng.normal(0, sigma, clean.shape) if noise == "gaussian" else counts
    fit = fit_peaks(energy[::order], draws[:, ::order], noise=noise)
    assert np.mean(fit.flags == 0) > 0.985
    off = np.abs(fit.centre - np.interp(place, np.arange(channels), energy)) / fit.centre_se
    assert off[fit.flags == 0].max() < 5
    empty = fit_peaks(energy, rng.normal(offset, sigma, (25, channels)), noise="gaussian")
    assert np.all(empty.flags != 0)     # and none is found where there is none
