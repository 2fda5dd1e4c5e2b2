"""Peak fits against closed forms, curve_fit and the Cramér–Rao bound."""

import numpy as np
import pytest
from halidescope.analysis.flags import Flag
from halidescope.analysis.peaks import fit_peaks
from scipy.optimize import curve_fit

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


def test_an_asymmetric_peak_is_recovered():
    truth = (3000.0, 2.3, 0.05, 0.03, 20.0)
    fit = fit_peaks(ENERGY, bigaussian(ENERGY, *truth), model="bigaussian")
    np.testing.assert_allclose([getattr(fit, name) for name in fit.names], truth, rtol=1e-5)


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
