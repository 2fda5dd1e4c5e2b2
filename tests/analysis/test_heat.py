"""Heat: closed forms of the half space, convergence in grid and time, and what the layers must do."""

import time

import numpy as np
import pytest

from halidescope.analysis import heat

HALF_SPACE = {"film_thickness_m": 1e-10, "film": heat.GLASS, "substrate": heat.GLASS, "air": None}


def test_the_steady_half_space_agrees_with_the_closed_form() -> None:
    got = heat.temperature_rise(1e-3, 1e-6, **HALF_SPACE)
    assert got.centre_k == pytest.approx(float(heat.half_space_rise(1e-3, 1e-6)), rel=0.005)


def test_the_transient_half_space_agrees_with_the_closed_form() -> None:
    got = heat.temperature_rise(1e-3, 1e-6, **HALF_SPACE)
    exact = heat.half_space_rise(1e-3, 1e-6, time_s=got.time_s)
    late = exact > 0.05 * exact[-1]             # before, heat is still inside the absorbing layer
    np.testing.assert_allclose(got.transient_k[late], exact[late], rtol=0.005)


def test_shorter_time_steps_converge_to_the_closed_form() -> None:
    errors = []
    for steps in (2, 4, 8):
        got = heat.temperature_rise(1.0, 1e-6, times_per_decade=steps, **HALF_SPACE)
        exact = heat.half_space_rise(1.0, 1e-6, time_s=got.time_s)
        errors.append(np.abs(got.transient_k / exact - 1)[exact > 0.05 * exact[-1]].max())
    assert errors[0] > 2 * errors[1] > 3 * errors[2]
    assert errors[2] < 0.002


def test_a_finer_grid_converges_to_the_closed_form() -> None:
    exact = float(heat.half_space_rise(1.0, 1e-6))
    errors = [
        abs(heat.temperature_rise(1.0, 1e-6, refinement=r, times_per_decade=2, **HALF_SPACE).centre_k / exact - 1)
        for r in (0.5, 1.0)
    ]
    assert errors[1] < errors[0] / 2
    assert errors[1] < 0.002


@pytest.mark.slow
def test_finer_grid_and_time_change_the_film_by_less_than_half_a_percent() -> None:
    coarse = heat.temperature_rise(4e-4, 1e-6)
    fine = heat.temperature_rise(4e-4, 1e-6, refinement=1.5, times_per_decade=32)
    assert coarse.centre_k == pytest.approx(fine.centre_k, rel=0.005)
    np.testing.assert_allclose(np.interp(coarse.time_s, fine.time_s, fine.transient_k), coarse.transient_k,
                               atol=0.005 * coarse.centre_k)


def test_the_steady_solution_lets_out_what_it_takes_in() -> None:
    """Far below the beam the rise is that of a point source on glass: P_abs/(2π κ r)."""
    got = heat.temperature_rise(1e-3, 1e-6)
    depth = int(np.searchsorted(got.depth_m, 50e-6))
    distance = np.hypot(got.radius_m[0], got.depth_m[depth])
    expected = 1e-3 * heat.ABSORBED / (2 * np.pi * heat.GLASS.conductivity_w_mk * distance)
    assert got.steady_k[depth, 0] == pytest.approx(expected, rel=0.04)     # air takes 2 %, the far end 2 %


def test_four_hundred_microwatts_take_less_than_a_second() -> None:
    heat.temperature_rise(4e-4, 1e-6, times_per_decade=2)
    start = time.process_time()
    got = heat.temperature_rise(4e-4, 1e-6, times_per_decade=2)
    assert time.process_time() - start < 1.0
    assert 20 < got.centre_k < 60


def test_the_rise_is_proportional_to_power_and_fades_with_radius() -> None:
    one, two = heat.temperature_rise(1e-4, 1e-6), heat.temperature_rise(2e-4, 1e-6)
    assert two.centre_k == pytest.approx(2 * one.centre_k)
    assert one.kelvin_per_watt * 1e-4 == pytest.approx(one.centre_k)
    assert np.all(np.diff(one.film_k) < 0)
    assert np.all(np.diff(one.transient_k) > 0)


def test_the_fitted_exponential_is_the_least_squares_one() -> None:
    got = heat.temperature_rise(1e-4, 1e-6)

    def misfit(amplitude: float, rate: float) -> float:
        return float(np.sum((got.transient_k + amplitude * np.expm1(-rate * got.time_s)) ** 2))

    best = misfit(got.amplitude_k, got.rate_per_s)
    assert best == pytest.approx(got.time_s.size * (got.fit_rms * got.centre_k) ** 2)
    for amplitude, rate in ((1.02, 1.0), (0.98, 1.0), (1.0, 1.05), (1.0, 0.95)):
        assert misfit(amplitude * got.amplitude_k, rate * got.rate_per_s) > best
    assert got.amplitude_k_se == pytest.approx(np.sqrt(got.covariance[0, 0]))
    assert got.rate_per_s_se == pytest.approx(np.sqrt(got.covariance[1, 1]))
    assert 0 < got.amplitude_k_se < 0.05 * got.amplitude_k
    assert 0 < got.rate_per_s_se < 0.2 * got.rate_per_s
    assert 0.85 * got.centre_k < got.amplitude_k < got.centre_k       # the tail is slower than an exponential


def test_the_temperature_is_linear_in_the_power_with_the_grids_error() -> None:
    got = heat.temperature_rise(4e-4, 1e-6)
    fine = heat.temperature_rise(4e-4, 1e-6, refinement=2.0, times_per_decade=2)
    assert abs(got.centre_k - fine.centre_k) < got.centre_k_se < 0.01 * got.centre_k
    temperature, error = got.temperature_k([0.0, 4e-4], 300.0)
    np.testing.assert_allclose(temperature, [300.0, 300.0 + got.centre_k])
    np.testing.assert_allclose(error, [0.0, got.centre_k_se])
    with pytest.raises(ValueError, match="negative"):
        got.temperature_k(-1.0)


def test_without_absorption_nothing_warms_up() -> None:
    got = heat.temperature_rise(1e-3, 1e-6, absorbed=0.0, times_per_decade=2)
    assert got.centre_k == got.amplitude_k == 0.0
    assert np.all(got.transient_k == 0)


def test_a_poor_conductor_above_and_a_good_one_below_act_as_they_should() -> None:
    plain = heat.temperature_rise(1e-3, 1e-6).centre_k
    assert heat.temperature_rise(1e-3, 1e-6, air=None).centre_k > plain
    sapphire = heat.Material(35.0, 3.1e6)
    assert heat.temperature_rise(1e-3, 1e-6, substrate=sapphire).centre_k < plain / 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"power_w": -1.0}, "power_w"),
        ({"waist_m": 0.0}, "waist_m"),
        ({"absorbed": 2.0}, "absorbed"),
        ({"refinement": 0.0}, "refinement"),
        ({"times_per_decade": 1}, "times_per_decade"),
    ],
)
def test_impossible_inputs_are_refused_by_name(change: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        heat.temperature_rise(**({"power_w": 1e-3, "waist_m": 1e-6} | change))


def test_a_material_without_conductivity_is_refused() -> None:
    with pytest.raises(ValueError, match="conductivity"):
        heat.Material(0.0, 1.0)


@pytest.mark.parametrize(("power_w", "waist_m", "options"), [
    (-1e-6, 1e-6, {}), (1e-6, 0.0, {}), (1e-6, 1e-6, {"absorbed": 1.2}), (1e-6, 1e-6, {"time_s": -1.0}),
    (1e-6, 1e-6, {"conductivity_w_mk": 0.0}),
])
def test_the_closed_form_refuses_what_cannot_be(power_w, waist_m, options):
    with pytest.raises(ValueError, match=r"negative|positive"):
        heat.half_space_rise(power_w, waist_m, **options)
