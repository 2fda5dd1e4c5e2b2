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
    np.testing.assert_allclose(got.transient_k[late], exact[late], rtol=0.01)


def test_a_finer_grid_converges_to_the_closed_form() -> None:
    exact = float(heat.half_space_rise(1.0, 1e-6))
    errors = [
        abs(heat.temperature_rise(1.0, 1e-6, refinement=r, times_per_decade=2, **HALF_SPACE).centre_k / exact - 1)
        for r in (0.5, 1.0)
    ]
    assert errors[1] < errors[0] / 2
    assert errors[1] < 0.002


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


def test_the_fitted_rate_is_the_rise_seen_in_the_transient() -> None:
    got = heat.temperature_rise(1e-4, 1e-6)
    reached = np.interp(1 / got.rate_per_s, got.time_s, got.transient_k) / got.centre_k
    assert reached == pytest.approx(1 - np.exp(-1), abs=2.5 * got.fit_rms)
    assert 0 < got.fit_rms < 0.15
    assert got.amplitude_k == got.centre_k


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
