"""Unmixing against scipy, closed forms and noise draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from halidescope.analysis.flags import Flag
from halidescope.analysis.references import prepare
from halidescope.analysis.unmixing import unmix

WAVELENGTH = np.linspace(480, 720, 400)


def bands(*centres, width=12.0):
    shape = np.exp(-0.5 * ((WAVELENGTH - np.array(centres)[:, None]) / width) ** 2)
    return shape / shape.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_an_exact_mixture_is_recovered_in_any_leading_shape(noise, nonnegative):
    references = bands(513, 590, 688)
    amplitudes = np.random.default_rng(1).uniform(100, 1e5, (4, 5, 3))
    result = unmix(amplitudes @ references + 700, references, noise=noise, nonnegative=nonnegative, dark=700, gain=1.3)
    np.testing.assert_allclose(result.amplitudes, amplitudes, rtol=1e-9)
    np.testing.assert_allclose(result.shares, amplitudes / amplitudes.sum(-1, keepdims=True), rtol=1e-9)
    assert result.covariance.shape == (4, 5, 3, 3)
    assert result.residual_rms.shape == (4, 5)
    assert result.valid.all()
    assert np.all(result.residual_rms < 1e-7)


@settings(max_examples=60)
@given(k=st.integers(1, 6), seed=st.integers(0, 10_000), level=st.floats(0.1, 1e4))
def test_nonnegative_amplitudes_equal_scipy(k, seed, level):
    rng = np.random.default_rng(seed)
    references = bands(*np.linspace(500, 690, k), width=25.0)
    spectra = rng.uniform(-1, 1, (20, k)) @ references * level * 100 + rng.normal(0, level, (20, 400))
    result = unmix(spectra, references)
    expected = np.array([nnls(references.T, spectrum)[0] for spectrum in spectra])
    np.testing.assert_allclose(result.amplitudes, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max() + 1e-300)


def test_plain_least_squares_equals_numpy_with_its_covariance():
    rng = np.random.default_rng(3)
    references = bands(513, 530)
    spectra = rng.normal(0, 5, (30, 400)) + 300 * references[0]
    result = unmix(spectra, references, nonnegative=False)
    solution, squares, _, _ = np.linalg.lstsq(references.T, spectra.T, rcond=None)
    np.testing.assert_allclose(result.amplitudes, solution.T, rtol=1e-9)
    inverse = np.linalg.inv(references @ references.T)
    np.testing.assert_allclose(result.covariance, (squares / 398)[:, None, None] * inverse, rtol=1e-8)


@pytest.mark.parametrize("total", [200, 20_000])
@pytest.mark.parametrize("dark", [0.0, 0.5])
def test_poisson_amplitudes_are_unbiased_and_reach_the_bound(total, dark):
    references = bands(513, 560)
    truth = np.array([0.6, 0.4]) * total
    mean = truth @ references + dark
    spectra = np.random.default_rng(5).poisson(mean, (4000, 400))
    result = unmix(spectra, references, noise="poisson", dark=dark, nonnegative=False)
    fisher = np.einsum("ic,jc->ij", references / np.maximum(mean, 1e-300), references)
    bound = np.sqrt(np.diag(np.linalg.inv(fisher)))
    rms = np.sqrt(np.mean((result.amplitudes - truth) ** 2, axis=0))
    assert np.all(rms / bound < 1.05)
    assert np.all(np.abs(result.amplitudes.mean(axis=0) - truth) < 4 * bound / np.sqrt(4000))
    shares = truth / truth.sum()
    within = np.abs(result.shares - shares) < result.shares_se
    assert np.all((within.mean(axis=0) > 0.65) & (within.mean(axis=0) < 0.715))


def test_gain_and_read_noise_set_the_errors():
    references = bands(513, 560)
    truth = np.array([3e4, 1e4])
    rng = np.random.default_rng(6)
    gain, read_noise = 2.5, 4.0
    spectra = rng.poisson(truth @ references * gain, (3000, 400)) / gain + 1000 + rng.normal(0, read_noise, (3000, 400))
    result = unmix(spectra, references, noise="poisson", dark=1000.0, gain=gain, read_noise=read_noise)
    pull = (result.amplitudes - truth) / result.amplitudes_se
    np.testing.assert_allclose(pull.std(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(pull.mean(axis=0), 0.0, atol=0.08)


def test_poisson_amplitudes_stay_at_zero_or_above_and_agree_with_weighted_scipy():
    references = bands(513, 560, 600)
    rng = np.random.default_rng(8)
    spectra = rng.poisson(np.array([5000, 0, 20]) @ references + 2.0, (200, 400))
    result = unmix(spectra, references, noise="poisson", dark=2.0)
    assert (result.amplitudes >= 0).all()
    assert (result.amplitudes[:, 1] == 0).any()
    differences = []
    for spectrum, amplitude, error in zip(spectra, result.amplitudes, result.amplitudes_se, strict=True):
        root = 1 / np.sqrt(amplitude @ references + 2.0)
        expected = nnls((references * root).T, (spectrum - 2.0) * root)[0]
        # one weight for a block of channels instead of one for each: no difference beside the noise
        assert np.all(np.abs(amplitude - expected) < 0.5 * error)
        differences.append((amplitude - expected) / error)
    assert np.all(np.mean(np.square(differences), axis=0) < 0.02)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint16, np.float64])
def test_scoring_ends_where_scipy_finds_nothing_better_with_the_same_weights(k, kind):
    references = bands(*(500.0, 560.0, 600.0, 680.0)[:k], width=30.0)
    rng = np.random.default_rng(k)
    truth = rng.choice([0.0, 30.0, 5000.0], (60, k))
    truth[:, 0] += 50.0
    spectra = rng.poisson(truth @ references + 2.0).astype(kind)
    result = unmix(spectra, references, noise="poisson", dark=2.0)
    length = prepare(references).block_length
    for spectrum, amplitude, error, covariance in zip(
        spectra, result.amplitudes, result.amplitudes_se, result.covariance, strict=True
    ):
        model = (amplitude @ references).reshape(-1, length).mean(axis=1).repeat(length) + 2.0
        expected = nnls((references / np.sqrt(model)).T, (spectrum - 2.0) / np.sqrt(model))[0]
        assert np.all(np.abs(amplitude - expected) < 0.05 * error)
        wanted = np.linalg.inv((references / model) @ references.T)
        np.testing.assert_allclose(covariance, wanted, rtol=0.05, atol=0.02 * np.abs(wanted).max())


def test_bad_pixels_are_flagged_and_do_not_touch_the_others():
    references = bands(513, 590)
    spectra = np.tile(np.array([3e4, 1e4]) @ references, (4, 1))
    spectra[1, 7] = np.nan
    spectra[2] = 0.0
    for noise in ("gaussian", "poisson"):
        result = unmix(spectra, references, noise=noise)
        assert list(result.flags) == [0, Flag.NOT_FINITE, Flag.NO_SIGNAL, 0]
        np.testing.assert_allclose(result.shares[[0, 3]], [[0.75, 0.25]] * 2, rtol=1e-9)
        assert np.isnan(result.shares[1:3]).all()


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_saturated_channels_are_left_out_and_said(noise):
    references = bands(513, 590)
    spectra = np.minimum(np.array([[2e6, 1e5], [2e4, 1e4]]) @ references, 40_000)
    result = unmix(spectra, references, noise=noise, saturation=40_000)
    assert list(result.flags) == [Flag.SATURATED, 0]
    np.testing.assert_allclose(result.amplitudes[0], [2e6, 1e5], rtol=1e-9)


def test_integers_are_taken_as_they_come():
    references = bands(513, 590)
    spectra = np.round(np.array([[3e5, 1e5]]) @ references).astype(np.uint16)
    np.testing.assert_array_equal(
        unmix(spectra, references, dark=3).amplitudes, unmix(spectra.astype(float), references, dark=3).amplitudes
    )


@pytest.mark.parametrize(
    ("spectra", "references", "options", "words"),
    [
        (np.ones(10), np.ones((2, 10)), {}, "collinear"),
        (np.ones(9), np.eye(10)[:2], {}, "9 channels, references 10"),
        (np.ones(10), np.zeros((1, 10)), {}, "zero everywhere"),
        (np.ones(10), np.eye(10)[:7], {}, "k from 1 to 6"),
        (np.ones(10), np.full((1, 10), np.inf), {}, "not finite"),
        (np.ones(10), np.eye(10)[:2], {"gain": 0}, "gain"),
        (np.ones(10), np.eye(10)[:2], {"dark": np.ones(3)}, "dark has 3 channels"),
        (np.ones(10), np.eye(10)[:2], {"noise": "pink"}, "'pink'"),
        (1.0, np.eye(10)[:2], {}, "0 channels"),
    ],
)
def test_nonsense_is_refused_in_words(spectra, references, options, words):
    with pytest.raises(ValueError, match=words):
        unmix(spectra, references, **options)


def test_no_spectra_give_no_results():
    assert unmix(np.empty((0, 400)), bands(513, 590)).shares.shape == (0, 2)


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
@pytest.mark.parametrize(
    ("channels", "k", "length"),
    [(1024, 3, 8), (2048, 3, 16), (2068, 3, 16), (2068, 2, 16), (512, 5, 4), (301, 1, 2), (1001, 4, 8), (90, 2, 1)],
)
def test_counts_give_the_same_bits_alone_and_together_and_the_numbers_of_floats(noise, channels, k, length):
    axis = np.linspace(450, 750, channels)
    references = np.exp(-0.5 * ((axis - np.linspace(500, 690, k)[:, None]) / 12) ** 2)
    assert prepare(references).block_length == length       # each is read in a way of its own
    rng = np.random.default_rng(11)
    mean = rng.dirichlet(np.ones(k), 37) * 2000 @ references
    counts = (rng.poisson(mean) + 100).astype(np.uint16)
    together = unmix(counts, references, noise=noise, dark=100, read_noise=2.0)
    for row in (0, 1, 2, 17, 36):
        alone = unmix(counts[row], references, noise=noise, dark=100, read_noise=2.0)
        np.testing.assert_array_equal(alone.amplitudes, together.amplitudes[row])
        np.testing.assert_array_equal(alone.covariance, together.covariance[row])
        np.testing.assert_array_equal(alone.residual_rms, together.residual_rms[row])
    floats = unmix(counts.astype(float), references, noise=noise, dark=100, read_noise=2.0)
    np.testing.assert_allclose(together.amplitudes, floats.amplitudes, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(together.residual_rms, floats.residual_rms, rtol=1e-9)


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_each_kind_of_bad_pixel_is_flagged_and_leaves_the_others_alone(noise):
    references = bands(513, 560)
    clean = np.tile(np.array([6e4, 4e4]) @ references + 50, (5, 1))
    bad = clean.copy()
    bad[1, 7] = np.nan
    bad[2] = 50.0                    # all dark
    bad[3] = 20.0                    # below the dark throughout
    bad[4] = 65535.0                 # saturated throughout
    result = unmix(bad, references, noise=noise, dark=50.0, saturation=65535)
    assert result.flags[0] == 0
    assert result.flags[1] & Flag.NOT_FINITE
    assert result.flags[2] & Flag.NO_SIGNAL
    assert result.flags[3] & Flag.NO_SIGNAL
    assert result.flags[4] & Flag.SATURATED
    assert not result.valid[1:].any()
    assert np.isnan(result.shares[1:]).all()
    np.testing.assert_array_equal(result.amplitudes[0], unmix(clean[0], references, noise=noise, dark=50.0).amplitudes)
