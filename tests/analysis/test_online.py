"""The growing analysis gives what the offline functions give, at any moment."""

import numpy as np
import pytest

from halidescope.analysis.flags import Flag
from halidescope.analysis.online import OnlineMap, OnlineSeries
from halidescope.analysis.time_errors import fit_with_time_errors
from halidescope.analysis.unmixing import unmix

WAVELENGTH = np.linspace(450, 700, 300)
SHAPES = np.exp(-0.5 * ((WAVELENGTH - np.array([[585.0], [513.0]])) / 12) ** 2)
UNIT = SHAPES / SHAPES.sum(axis=1, keepdims=True)
LABELS = ("pristine", "reconstructed")
TIME = np.arange(120) * 4.0 + 0.1


def series(seed=0):
    share = 1 - 0.68 * np.exp(-0.03 * TIME) - 0.32 * np.exp(-2e-3 * TIME)
    clean = 1e5 * np.stack([1 - share, share], axis=1) @ UNIT
    return np.random.default_rng(seed).poisson(clean) + 500.0


def test_one_by_one_in_batches_and_offline_agree():
    spectra = series()
    one, batch = (OnlineSeries(WAVELENGTH, SHAPES, LABELS, gain=1.0, read_noise=1.0) for _ in range(2))
    for i in range(120):
        one.add(i, TIME[i], spectra[i], 500.0)
    batch.add(np.arange(50), TIME[:50], spectra[:50], np.full(300, 500.0))
    batch.add(np.arange(50, 120), TIME[50:], spectra[50:], 500.0)
    offline = unmix(spectra, UNIT, nonnegative=False, noise="poisson", dark=500.0, read_noise=1.0)
    for online in (one, batch):
        assert online.count == 120
        np.testing.assert_array_equal(online.index, np.arange(120))
        np.testing.assert_allclose(online.shares, offline.shares, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(online.amplitudes, offline.amplitudes, rtol=1e-12, atol=1e-8)
        np.testing.assert_allclose(online.shares_se, offline.shares_se, rtol=1e-10)
        np.testing.assert_allclose(online.residual_rms, offline.residual_rms, rtol=1e-10)
    assert one.fit().phi == pytest.approx(batch.fit().phi, rel=1e-10)
    grown = OnlineSeries(WAVELENGTH, SHAPES, LABELS, gain=1.0, read_noise=1.0)
    for i in range(0, 120, 5):
        grown.add(np.arange(i, i + 5), TIME[i : i + 5], spectra[i : i + 5], 500.0)
        assert grown.fit() is not None or i == 0
    whole, last = fit_with_time_errors(
        grown.time_s, grown.shares[:, -1], rising=True, sigma=grown.shares_se[:, -1], t_se=0.0
    )[0], grown.fit(thorough=True).kinetics
    assert [last.k1, last.k2, last.k01, last.k02] == [whole.k1, whole.k2, whole.k01, whole.k02]     # to the bit


def test_the_fit_comes_when_there_is_enough_and_says_why_before():
    spectra = series()
    online = OnlineSeries(WAVELENGTH, SHAPES, LABELS)
    assert online.fit() is None
    online.add(np.arange(4), TIME[:4], spectra[:4], 500.0)
    assert online.fit() is None
    assert "4 usable spectra" in online.note
    online.add(np.arange(4, 120), TIME[4:], spectra[4:], 500.0)
    fit = online.fit()
    assert online.note == ""
    truth = 1 - 0.68 * np.exp(-0.03 * TIME[-1]) - 0.32 * np.exp(-2e-3 * TIME[-1])
    assert abs(fit.phi - truth) < 4 * fit.phi_se
    assert abs(fit.k1_per_s - 0.03) < 4 * fit.k1_per_s_se
    assert abs(fit.average_rate_per_s - (0.68 * 0.03 + 0.32 * 2e-3)) < 4 * fit.average_rate_per_s_se
    assert fit.fit_time_s[0] == 0
    assert fit.fit_time_s[-1] == fit.phi_time_s == TIME[-1]
    assert np.all(fit.fit_low < fit.fit_share)
    assert np.all(fit.fit_share < fit.fit_high)
    assert fit.fit_share[-1] == pytest.approx(fit.phi)


def test_a_bad_spectrum_is_left_out_of_the_fit():
    spectra = series()
    spectra[60] = np.nan
    online = OnlineSeries(WAVELENGTH, SHAPES, LABELS)
    online.add(np.arange(120), TIME, spectra, 500.0)
    assert online.flags[60] == Flag.NOT_FINITE
    assert online.fit().converged


def test_one_endmember_is_no_kinetics():
    online = OnlineSeries(WAVELENGTH, SHAPES[:1], LABELS[:1])
    online.add(np.arange(120), TIME, series(), 500.0)
    assert online.fit() is None
    assert "one endmember" in online.note


def test_a_map_fills_in_any_order_and_masks_what_is_missing():
    axis = np.arange(9) * 2.0
    x, y = np.meshgrid(axis, axis)
    share = 0.7 * np.exp(-((x - 7.5) ** 2 + (y - 8.2) ** 2) / 4.0**2)
    spectra = 2e4 * np.stack([1 - share, share], axis=-1).reshape(81, 2) @ UNIT
    online = OnlineMap(WAVELENGTH, SHAPES, LABELS, (9, 9))
    order = np.random.default_rng(3).permutation(81)[:70]
    for start in range(0, 70, 7):
        places = order[start : start + 7]
        online.add(places, places * 0.2, spectra[places], 0.0)
    assert online.share_map.shape == (9, 9, 2)
    grown = online.share_map[..., -1]
    assert int(grown.mask.sum()) == 11
    np.testing.assert_allclose(grown.compressed(), share[~grown.mask], atol=1e-9)
    assert online.residual_map.shape == (9, 9)
    assert online.amplitude_map.sum() == pytest.approx(70 * 2e4)
    assert online.halo(axis, axis).radius_um == pytest.approx(4.0, rel=1e-3)
    with pytest.raises(ValueError, match="outside a map of 81"):
        online.add(81, 0.0, spectra[0], 0.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((WAVELENGTH[:5], SHAPES, LABELS), "5 wavelengths"),
        ((WAVELENGTH, SHAPES, ("one",)), "1 labels for 2"),
        ((WAVELENGTH, -SHAPES, LABELS), "no positive area"),
    ],
)
def test_nonsense_is_refused_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        OnlineSeries(*arguments)


def test_batches_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="2 indices and 1 times for 1 spectra"):
        OnlineSeries(WAVELENGTH, SHAPES, LABELS).add([0, 1], 0.0, SHAPES[0], 0.0)
