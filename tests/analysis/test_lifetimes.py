"""Lifetimes with instrument response against finely sampled truth and noise draws."""

import numpy as np
import pytest
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
