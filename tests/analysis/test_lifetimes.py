"""Lifetimes with instrument response against finely sampled truth and noise draws."""

import numpy as np
import pytest
from scipy.signal import fftconvolve
from scipy.special import erfcx

from halidescope.analysis.lifetimes import fit_decay

STEP = 0.05
TIME = (np.arange(800) + 0.5) * STEP


def response(shift=0.0, fwhm=0.3):
    return np.exp(-0.5 * ((TIME - 3.0 - shift) / (fwhm / 2.3548)) ** 2)


def decay(taus, heights, background, shift=0.0, fwhm=0.3):
    """Expected counts per bin: closed form of a Gaussian response and exponentials, sampled at the bins."""
    sigma = fwhm / 2.3548
    total = np.full(TIME.size, float(background))
    for tau, height in zip(taus, heights, strict=True):
        t = TIME - 3.0 - shift
        q = (sigma / tau - t / sigma) / np.sqrt(2)
        bell = np.exp(-0.5 * (t / sigma) ** 2)
        with np.errstate(over="ignore", invalid="ignore"):
            part = np.where(q > -5, bell * erfcx(np.maximum(q, -5)), 0.0)
            tail = 2 * np.exp(np.minimum(0.5 * (sigma / tau) ** 2 - t / tau, 50))
        total += height * 0.5 * np.where(q > -5, part, tail)
    return total


def test_one_lifetime_with_shift_and_background_is_recovered():
    fit = fit_decay(TIME, decay([4.2], [5000.0], 12.0, shift=0.12), response())
    assert fit.lifetime_ns[0] == pytest.approx(4.2, rel=2e-3)
    assert fit.shift_ns == pytest.approx(0.12, abs=0.005)
    assert fit.background == pytest.approx(12.0, rel=0.02)
    assert fit.amplitude[0] == pytest.approx(5000.0, rel=0.01)
    assert fit.converged


def test_two_lifetimes_and_their_average():
    fit = fit_decay(TIME, decay([8.0, 1.0], [2000.0, 4000.0], 5.0), response(), components=2)
    np.testing.assert_allclose(fit.lifetime_ns, [8.0, 1.0], rtol=0.01)
    assert fit.average_lifetime_ns == pytest.approx((8 * 2000 + 4000) / 6000, rel=0.01)


def test_a_lopsided_response_with_an_afterpulse_against_a_fine_numerical_convolution():
    """64 steps a bin, trapezoids: nothing of the recursion that the fit uses, and no response of closed form."""
    fine = np.arange(TIME.size * 64) * STEP / 64
    rise = np.clip((fine - 2.0) / 0.25, 0, None)
    shape = rise**2 * np.exp(-rise) + 0.02 * np.exp(-0.5 * ((fine - 6.0) / 0.2) ** 2)
    taus, heights = [9.0, 1.4], [900.0, 2500.0]
    decays = sum(h * np.exp(-fine / tau) for h, tau in zip(heights, taus, strict=True))
    whole = fftconvolve(shape, decays)[: fine.size] - 0.5 * (shape * decays[0] + shape[0] * decays)
    at_bins = slice(32, None, 64)     # centres of the bins
    area = shape[at_bins].sum() * STEP
    counts = whole[at_bins] * STEP / 64 / area * STEP + 3.0
    fit = fit_decay(TIME, counts, shape[at_bins], components=2)
    np.testing.assert_allclose(fit.lifetime_ns, taus, rtol=2e-3)
    np.testing.assert_allclose(fit.amplitude, np.array(heights) * STEP, rtol=5e-3)
    assert fit.background == pytest.approx(3.0, rel=5e-3)
    assert fit.shift_ns == pytest.approx(0.0, abs=2e-3)
    np.testing.assert_allclose(fit.fitted, counts, rtol=5e-3, atol=0.15)
    assert fit.converged


@pytest.mark.parametrize("height", [40.0, 2000.0])
def test_errors_cover_and_nothing_is_biased(height):
    rng = np.random.default_rng(1)
    clean = decay([4.2], [height], 1.5)
    fits = [fit_decay(TIME, rng.poisson(clean), response(), shift=False) for _ in range(70)]
    pull = np.array([(fit.lifetime_ns[0] - 4.2) / fit.lifetime_ns_se[0] for fit in fits])
    assert pull.std() == pytest.approx(1.0, abs=0.27)
    assert abs(pull.mean()) < 0.4
    assert np.mean([fit.reduced_chi2 for fit in fits]) == pytest.approx(1.0, abs=0.1)


def test_without_a_response_the_decay_starts_with_the_first_bin():
    bins = 3000.0 * 4.2 / STEP * np.exp(-(TIME - STEP / 2) / 4.2) * -np.expm1(-STEP / 4.2) + 7.0
    fit = fit_decay(TIME, bins)
    assert fit.lifetime_ns[0] == pytest.approx(4.2, rel=1e-4)
    assert fit.shift_ns == 0.0


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((TIME, np.ones(5)), {}, "two equal lists"),
        ((TIME, -np.ones(800)), {}, "not negative"),
        ((TIME**2, np.ones(800)), {}, "evenly spaced"),
        ((TIME, np.zeros(800)), {}, "0 photons"),
        ((TIME, np.ones(800), np.zeros(800)), {}, "positive area"),
        ((TIME, np.ones(800)), {"components": 3}, "components is 3"),
    ],
)
def test_nonsense_is_refused_in_words(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        fit_decay(*arguments, **options)
