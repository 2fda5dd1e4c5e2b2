"""Cosmic rays: all found, nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halidescope.analysis.cosmic import find_cosmic_rays, without_cosmic_rays

CHANNEL = np.arange(1024)


def clean(shape, rng, width=60.0, level=3000.0):
    band = level * np.exp(-0.5 * ((CHANNEL - 480) / width) ** 2) + 20
    scale = rng.uniform(0.5, 1.0, (*shape, 1))
    return np.rint(rng.poisson(scale * band) + 1000 + rng.normal(0, 4, (*shape, 1024))).clip(0).astype(np.uint16)


@pytest.mark.parametrize("shape", [(600,), (20, 30)])
def test_hits_are_found_and_nothing_else(shape):
    rng = np.random.default_rng(1)
    counts = clean(shape, rng)
    flat = counts.reshape(-1, 1024)
    truth = np.zeros(flat.shape, bool)
    row, channel = rng.integers(0, len(flat), 500), rng.integers(4, 1018, 500)
    height = rng.uniform(900, 20_000, 500)
    for r, c, h in zip(row, channel, height, strict=True):
        flat[r, c] = min(flat[r, c] + h, 65535)
        truth[r, c] = True
    rays = find_cosmic_rays(counts, dark=1000.0, read_noise=4.0)
    assert not (rays.mask.reshape(truth.shape) & ~truth).any()
    assert rays.mask.reshape(truth.shape)[truth].mean() >= 0.998
    repaired = without_cosmic_rays(counts, rays)
    assert repaired.dtype == np.uint16
    assert np.abs(repaired.astype(float) - clean(shape, np.random.default_rng(1)).astype(float)).max() < 600


def test_pure_noise_has_no_hits_even_at_few_counts():
    rng = np.random.default_rng(2)
    assert find_cosmic_rays(rng.poisson(1.0, (3000, 1024)).astype(np.uint16)).channel.size == 0
    assert find_cosmic_rays(clean((1500,), rng), dark=1000.0, read_noise=4.0).channel.size == 0


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1000),
    level=st.sampled_from([0.0, 1.0, 30.0, 3000.0, 40_000.0, 65_000.0]),
    gain=st.sampled_from([0.02, 0.5, 1.0, 7.0, 300.0]),
    read_noise=st.sampled_from([0.0, 3.7, 200.0]),
    dark=st.sampled_from([-20.0, 0.0, 0.5, 900.3]),
    sigmas=st.sampled_from([0.01, 2.0, 7.0]),
)
def test_integers_are_searched_as_their_floating_point_values(seed, level, gain, read_noise, dark, sigmas):
    rng = np.random.default_rng(seed)
    counts = np.clip(rng.poisson(level, (4, 300)) + rng.normal(dark, read_noise, (4, 300)), 0, 65535).astype(np.uint16)
    hit = rng.integers(0, 1200, 12)
    raised = counts.reshape(-1)[hit] + rng.integers(0, 60_000, 12) // 2 ** rng.integers(0, 14, 12)
    counts.reshape(-1)[hit] = np.minimum(raised, 65_535)
    options = {"dark": dark, "gain": gain, "read_noise": read_noise, "sigmas": sigmas}
    whole, real = find_cosmic_rays(counts, **options), find_cosmic_rays(counts.astype(float), **options)
    np.testing.assert_array_equal(whole.spectrum, real.spectrum)
    np.testing.assert_array_equal(whole.channel, real.channel)
    np.testing.assert_array_equal(whole.excess, real.excess)


def test_a_sharp_line_of_the_light_is_kept_and_a_hit_beside_it_found():
    rng = np.random.default_rng(3)
    counts = clean((40,), rng).astype(np.int64)
    counts[:, 700:702] += rng.poisson(4000, (40, 2))
    counts[17, 640:642] += 5000
    rays = find_cosmic_rays(counts, dark=1000.0, read_noise=4.0)
    assert list(zip(rays.spectrum, rays.channel, strict=True)) == [(17, 640), (17, 641)]
    np.testing.assert_allclose(rays.excess, 5000, rtol=0.1)


def test_a_single_spectrum_is_judged_by_its_channels():
    counts = clean((), np.random.default_rng(4))
    counts[300] += 4000
    rays = find_cosmic_rays(counts, dark=1000.0, read_noise=4.0)
    assert list(rays.channel) == [300]


def test_more_hits_than_spectra_are_all_kept():
    counts = clean((3,), np.random.default_rng(5))
    counts[:, 10:1000:20] += 9000
    rays = find_cosmic_rays(counts + np.zeros(1, np.uint16), dark=1000.0, read_noise=4.0)
    assert rays.channel.size == 0   # at the same channels in all spectra: lines, not hits
    alone = find_cosmic_rays(counts[0], dark=1000.0, read_noise=4.0)
    assert alone.channel.size == 50


@pytest.mark.parametrize(
    ("counts", "dark", "words"),
    [
        (np.ones(5), 0.0, "more than 8 channels"),
        (np.ones((2, 2, 2, 50)), 0.0, "three axes"),
        (np.ones(50), np.ones(3), "dark has shape"),
        (np.array(["a"] * 50), 0.0, "expected numbers"),
    ],
)
def test_nonsense_is_refused_in_words(counts, dark, words):
    with pytest.raises(ValueError, match=words):
        find_cosmic_rays(counts, dark=dark)


def test_repair_wants_the_same_spectra():
    rays = find_cosmic_rays(np.ones((3, 50)))
    with pytest.raises(ValueError, match="were found in"):
        without_cosmic_rays(np.ones(50), rays)
