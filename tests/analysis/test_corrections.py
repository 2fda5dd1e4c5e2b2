"""Corrections: dark, linearity, normalisation, energy axis; signal and variance move together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halidescope.analysis.composition import HC_EV_NM, air_index
from halidescope.analysis.corrections import linearise, mean_dark, noise_floor, normalise, photon_variance, saturated
from halidescope.analysis.energy_axis import channel_width_nm, moments, to_energy

WAVELENGTH = np.linspace(450, 750, 3001)


def test_mean_dark_gives_noise_and_leaves_a_cosmic_ray_out():
    rng = np.random.default_rng(1)
    darks = 1000 + 20 * np.sin(np.arange(2000) / 100) + rng.normal(0, 4, (10, 2000))
    darks[3, 55] += 900
    dark = mean_dark(darks)
    assert dark.left_out == 1
    assert dark.samples[55] == 9
    assert dark.read_noise == pytest.approx(4.0, rel=0.03)
    pull = (dark.mean - 1000 - 20 * np.sin(np.arange(2000) / 100)) / dark.se
    assert pull.std() == pytest.approx(1.0, abs=0.06)
    two = mean_dark(darks[5:7])
    assert two.left_out == 0
    assert two.read_noise == pytest.approx(4.0, rel=0.06)


@pytest.mark.parametrize(("darks", "words"), [(np.ones(5), "at least two"), (np.full((3, 4), np.nan), "not finite")])
def test_darks_must_be_repeated_and_finite(darks, words):
    with pytest.raises(ValueError, match=words):
        mean_dark(darks)


@given(st.floats(0, 60_000))
def test_linearise_inverts_the_detector(light):
    coefficients = [0.95, 2e-6, -2e-11]
    # the detector shows s with s / p(s) = light
    shown = light
    for _ in range(100):
        shown = light * np.polynomial.Polynomial(coefficients)(shown)
    assert linearise(shown, coefficients).signal == pytest.approx(light, rel=1e-9, abs=1e-9)


def test_linearise_moves_the_variance_by_the_squared_slope():
    coefficients = [0.95, 2e-6, -2e-11]
    at, step = 30_000.0, 1.0
    slope = (linearise(at + step, coefficients).signal - linearise(at - step, coefficients).signal) / (2 * step)
    assert linearise(at, coefficients, 400.0).variance == pytest.approx(400.0 * slope**2, rel=1e-6)


def test_linearise_refuses_what_it_cannot_undo():
    with pytest.raises(ValueError, match="holds up to 50000"):
        linearise([1.0, 60_000.0], [1.0], valid_to=50_000)
    with pytest.raises(ValueError, match="not positive and rising"):
        linearise([60_000.0], [1.0, -2e-5])
    assert np.isnan(linearise([np.nan, 5.0], [1.0]).signal[0])


def test_normalise_divides_signal_and_squared_variance():
    out = normalise(
        np.full((2, 3), 12.0), np.full((2, 3), 12.0), exposure_s=[2.0, 3.0], sample_power_uw=2.0, response=[1, 0.5, 1]
    )
    np.testing.assert_allclose(out.signal, [[3, 6, 3], [2, 4, 2]])
    np.testing.assert_allclose(out.variance, [[0.75, 3, 0.75], [1 / 3, 4 / 3, 1 / 3]])
    with pytest.raises(ValueError, match="exposure_s must be finite and positive"):
        normalise(np.ones(3), exposure_s=0.0)


def test_variance_and_saturation():
    assert photon_variance(1200, 1000, gain=2.0, read_noise=3.0, dark_se=1.0) == pytest.approx(110.0)
    assert list(saturated(np.array([65534, 65535], np.uint16), 65535)) == [False, True]


@pytest.mark.parametrize("medium", ["vacuum", "air"])
def test_the_jacobian_conserves_the_integral(medium):
    band = np.exp(-0.5 * ((WAVELENGTH - 590) / 15) ** 2)
    out = to_energy(WAVELENGTH, np.stack([band, 2 * band]), medium=medium)
    areas = np.trapezoid(out.signal, out.energy_ev)
    np.testing.assert_allclose(areas, np.trapezoid(band, WAVELENGTH) * np.array([1, 2]), rtol=1e-6)
    assert (np.diff(out.energy_ev) > 0).all()
    assert out.medium == medium


def test_the_variance_takes_the_squared_jacobian():
    out = to_energy(WAVELENGTH, np.ones(3001), np.full(3001, 4.0), medium="vacuum")
    np.testing.assert_allclose(out.variance, 4 * out.signal**2)
    np.testing.assert_allclose(out.jacobian, HC_EV_NM / out.energy_ev**2)


def test_air_index_is_that_of_the_source():
    # standard air at the helium d line: 1.00027717
    assert air_index(587.6) == pytest.approx(1.00027717, abs=1e-8)


def test_channel_widths_add_up():
    assert channel_width_nm(WAVELENGTH).sum() == pytest.approx(300.1, rel=1e-3)
    with pytest.raises(ValueError, match="two wavelengths"):
        channel_width_nm([500.0])


def test_moments_of_a_gaussian_with_errors():
    energy = np.linspace(2.0, 2.8, 801)
    band = 1000 * np.exp(-0.5 * ((energy - 2.4) / 0.04) ** 2)
    rng = np.random.default_rng(2)
    draws = moments(energy, band + rng.normal(0, 5, (800, 801)), np.full(801, 25.0))
    exact = moments(energy, band)
    assert exact.centroid_ev == pytest.approx(2.4)
    assert exact.width_ev == pytest.approx(0.04, rel=1e-6)
    assert exact.area == pytest.approx(1000 * 0.04 * np.sqrt(2 * np.pi), rel=1e-6)
    for found, error, truth in (
        (draws.centroid_ev, draws.centroid_ev_se, 2.4),
        (draws.area, draws.area_se, exact.area),
        (draws.width_ev, draws.width_ev_se, 0.04),
    ):
        assert np.std((found - truth) / error) == pytest.approx(1.0, abs=0.1)
    assert np.isnan(moments(energy, -band).centroid_ev)


@pytest.mark.parametrize("noise", [1.0, 4.2, 30.0])
def test_the_noise_floor_is_found_beside_the_light_on_a_slope_and_under_hits(noise):
    rng = np.random.default_rng(12)
    channel = np.arange(1000)
    light = 3000 * np.exp(-0.5 * ((channel - 600) / 60) ** 2)
    pattern = rng.normal(1000, 50, 1000)                    # of the detector: no noise
    counts = rng.poisson(light, (40, 1000)) + pattern + 0.05 * channel + rng.normal(0, noise, (40, 1000))
    counts[::3, 100] += 5000.0
    assert noise_floor(np.rint(counts), pattern) == pytest.approx(noise, rel=0.05)
    assert noise_floor(counts[0, :10]) == 0.0
