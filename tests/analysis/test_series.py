"""Final numbers of series and maps: recovered within their errors when references and darks are noisy themselves."""

import numpy as np
import pytest

from halidescope.analysis.detector import Detector
from halidescope.analysis.halo import analyse_halo
from halidescope.analysis.series import analyse_series

WAVELENGTH = np.linspace(450, 700, 300)
READ_NOISE = 5.0
DARK = 1000.0


def shapes():
    bands = np.exp(-0.5 * ((WAVELENGTH - np.array([[585.0], [513.0]])) / [[14.0], [10.0]]) ** 2)
    return bands / bands.sum(axis=1, keepdims=True)


def measured(rng, clean, spectra=10):
    """Mean of noisy spectra minus a noisy mean dark, and its standard error."""
    shots = rng.poisson(clean, (spectra, *clean.shape)) + rng.normal(0, READ_NOISE, (spectra, *clean.shape))
    dark_noise = rng.normal(0, READ_NOISE / np.sqrt(spectra), clean.shape)
    error = np.sqrt((clean + READ_NOISE**2) / spectra + READ_NOISE**2 / spectra)
    return shots.mean(axis=0) - dark_noise, error


@pytest.mark.slow
def test_totals_cover_the_truth_and_the_spectra_alone_do_not():
    rng = np.random.default_rng(11)
    time = np.arange(120) * 4.0 + 0.5
    k1, k2, k01, k02 = 0.03, 1e-3, 0.68, 0.32
    share = 1 - k01 * np.exp(-k1 * time) - k02 * np.exp(-k2 * time)
    clean = 1e6 * np.stack([1 - share, share], axis=1) @ shapes()
    end = 1 - k01 * np.exp(-k1 * time[-1]) - k02 * np.exp(-k2 * time[-1])
    truth = np.array([end, k01 * k1 + k02 * k2, k1, k2, k01, k02])
    pulls, ratios = [], []
    for _ in range(120):
        references, references_se = measured(rng, 2e5 * shapes(), 10)
        dark_error = READ_NOISE / np.sqrt(10)
        dark = DARK + rng.normal(0, dark_error, WAVELENGTH.size)
        spectra = rng.poisson(clean) + DARK + rng.normal(0, READ_NOISE, clean.shape)
        result = analyse_series(
            time, spectra, references, references_se=references_se,
            detector=Detector(dark=dark, dark_se=dark_error, gain=1.0, read_noise=READ_NOISE),
        )  # fmt: skip
        found = np.array([getattr(result, name) for name in result.names])
        total = np.array([getattr(result, f"{name}_se") for name in result.names])
        pulls.append((found - truth) / total)
        ratios.append(total / np.sqrt(np.diag(result.statistical_covariance)))
    pulls = np.array(pulls)
    assert np.all(np.abs(pulls) < 4.5)
    np.testing.assert_allclose(pulls.std(axis=0), 1.0, atol=0.22)
    np.testing.assert_allclose(pulls.mean(axis=0), 0.0, atol=0.4)
    assert np.mean(ratios, axis=0)[0] > 1.5   # the spectra alone would claim far too small an error of the yield


def test_perfect_references_add_no_error():
    time = np.arange(60) * 8.0
    share = 1 - 0.7 * np.exp(-0.03 * time) - 0.3 * np.exp(-2e-3 * time)
    spectra = np.random.default_rng(1).poisson(1e6 * np.stack([1 - share, share], axis=1) @ shapes())
    result = analyse_series(time, spectra, shapes())
    assert np.all(result.systematic_covariance == 0)
    assert result.phi_se == pytest.approx(float(result.kinetics.share_at(time[-1]).se))
    assert result.average_rate_per_s_se == pytest.approx(float(result.kinetics.average_rate_se))


def test_an_uncertain_time_zero_moves_the_numbers_as_its_error_says():
    time = np.arange(100) * 5.0 + 0.1
    share = 1 - 0.7 * np.exp(-0.03 * time) - 0.3 * np.exp(-2e-3 * time)
    spectra = np.random.default_rng(2).poisson(1e6 * np.stack([1 - share, share], axis=1) @ shapes())
    known = analyse_series(time, spectra, shapes())
    unsure = analyse_series(time, spectra, shapes(), zero_se_s=0.05)
    late = analyse_series(time + 0.05, spectra, shapes(), phi_time_s=time[-1])
    for name in ("average_rate_per_s", "k1_per_s", "k01", "k02"):
        grown = np.sqrt(getattr(unsure, f"{name}_se") ** 2 - getattr(known, f"{name}_se") ** 2)
        moved = abs(getattr(late, name) - getattr(known, name))
        assert grown == pytest.approx(moved, rel=0.02, abs=1e-9), name


def test_a_single_exponential_series_gives_its_one_rate_with_matching_errors():
    time = np.arange(100) * 4.0
    share = 1 - np.exp(-0.02 * time)
    spectra = np.random.default_rng(5).poisson(1e5 * np.stack([1 - share, share], axis=1) @ shapes())
    result = analyse_series(time, spectra, shapes())
    assert result.kinetics.one_exponential_suffices
    assert abs(result.average_rate_per_s - 0.02) < 4 * result.average_rate_per_s_se
    assert result.average_rate_per_s_se == pytest.approx(float(result.kinetics.single_rate_se), rel=1e-6)


def test_a_constant_share_has_a_mean_with_an_honest_error_and_no_rates():
    rng = np.random.default_rng(6)
    pulls = []
    for _ in range(25):
        spectra = rng.poisson(3e4 * np.array([0.7, 0.3]) @ shapes(), (60, WAVELENGTH.size))
        result = analyse_series(np.arange(60) * 8.0, spectra, shapes(), zero_se_s=5.0)
        if not result.kinetics.constant:     # the criterion errs now and then
            continue
        assert np.isnan([result.k1_per_s, result.average_rate_per_s, result.average_rate_per_s_se, result.k01]).all()
        low, high, method = result.intervals["phi"]
        assert method == "linear"
        assert high - low == pytest.approx(2 * 1.95996 * result.phi_se, rel=1e-4)
        assert result.covariance[0, 0] == pytest.approx(result.phi_se**2)
        pulls.append((result.phi - 0.3) / result.phi_se)
    assert len(pulls) > 20
    assert 0.65 < np.std(pulls) < 1.4


def test_halo_radius_is_covered_with_noisy_references():
    rng = np.random.default_rng(12)
    axis = np.arange(15) * 2.0
    x, y = np.meshgrid(axis, axis)
    share = 0.7 * np.exp(-((x - 14.3) ** 2 + (y - 13.6) ** 2) / 5.6**2)
    clean = 2e4 * np.stack([1 - share, share], axis=-1) @ shapes()
    pulls = []
    for _ in range(60):
        references, references_se = measured(rng, 2e5 * shapes(), 10)
        spectra = rng.poisson(clean) + DARK + rng.normal(0, READ_NOISE, clean.shape)
        dark = DARK + rng.normal(0, READ_NOISE / np.sqrt(10), WAVELENGTH.size)
        result = analyse_halo(
            axis, axis, spectra, references, references_se=references_se,
            detector=Detector(dark=dark, dark_se=READ_NOISE / np.sqrt(10), read_noise=READ_NOISE),
        )  # fmt: skip
        pulls.append(
            [
                (result.radius_um - 5.6) / result.radius_um_se,
                (result.amplitude - 0.7) / result.amplitude_se,
                (result.centre_um[0] - 14.3) / result.centre_um_se[0],
            ]
        )
    assert np.all(np.abs(pulls) < 4.5)
    assert np.all(np.std(pulls, axis=0) < 1.3)
    assert np.all(np.std(pulls, axis=0) > 0.75)
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.6)


def test_missing_pixels_and_one_reference_are_dealt_with():
    axis = np.arange(9) * 2.0
    x, y = np.meshgrid(axis, axis)
    share = 0.7 * np.exp(-((x - 8) ** 2 + (y - 8) ** 2) / 4.0**2)
    spectra = 2e4 * np.stack([1 - share, share], axis=-1) @ shapes()
    valid = np.ones((9, 9), bool)
    valid[2:4] = False
    spectra[2:4] = 0
    result = analyse_halo(axis, axis, spectra, shapes(), valid=valid)
    assert result.radius_um == pytest.approx(4.0, rel=1e-3)
    with pytest.raises(ValueError, match="one reference only"):
        analyse_series(axis, spectra[0], shapes()[:1])
    with pytest.raises(ValueError, match="9 columns and 3 rows"):
        analyse_halo(axis, axis[:3], spectra, shapes())
