"""Carriers: the rate equation against closed forms, and the paper's example with its contradiction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halidescope.analysis import carriers


@given(st.floats(15, 35), st.floats(-10, -6))
def test_the_steady_state_balances_generation(log_generation: float, log_lifetime: float) -> None:
    generation, lifetime = 10**log_generation, 10**log_lifetime
    density = carriers.steady_state(generation, lifetime_s=lifetime)
    lost = carriers.recombination_rate(density, lifetime_s=lifetime) * density
    assert lost == pytest.approx(generation, rel=1e-9)


def test_no_light_no_carriers() -> None:
    assert carriers.steady_state(0.0) == 0.0
    assert np.all(carriers.transient(0.0, [0.0, 1e-9]).density_per_cm3 == 0)


def test_pure_bimolecular_rise_is_a_tanh() -> None:
    generation, k2 = 1e26, 5e-11
    times = np.linspace(0, 50e-9, 40)
    got = carriers.transient(generation, times, lifetime_s=1e6, k2_cm3_s=k2, k3_cm6_s=0.0)
    steady = np.sqrt(generation / k2)
    exact = steady * np.tanh(np.sqrt(generation * k2) * times)
    np.testing.assert_allclose(got.density_per_cm3, exact, atol=1e-6 * steady)


def test_the_transient_ends_at_the_steady_state() -> None:
    generation = float(carriers.generation(50e-6, 1e-6))
    late = carriers.transient(generation, [0.0, 1e-6]).density_per_cm3[-1]
    assert late == pytest.approx(float(carriers.steady_state(generation)), rel=1e-6)


def test_a_narrow_line_source_decays_over_the_diffusion_length() -> None:
    """Linear recombination, far from the beam: n falls as exp(−|x|/L)."""
    length_nm = float(carriers.diffusion_length_nm(0.0))
    got = carriers.profile(1e20, 0.05e-6, half_width_um=4.0, points=4001, k2_cm3_s=0.0, k3_cm6_s=0.0)
    far = (got.x_um > 0.3) & (got.x_um < 1.5)
    slope = np.polyfit(got.x_um[far], np.log(got.density_per_cm3[far]), 1)[0]
    assert -1e3 / slope == pytest.approx(length_nm, rel=0.005)


def test_diffusion_loses_no_carriers() -> None:
    got = carriers.profile(1e26, 1e-6)
    made = 1e26 * np.exp(-2 * got.x_um**2)
    lost = carriers.recombination_rate(got.density_per_cm3) * got.density_per_cm3
    assert lost.sum() == pytest.approx(made.sum(), rel=1e-9)


def test_the_papers_density_is_reproduced_and_its_diffusion_length_is_not() -> None:
    case = carriers.published_case()
    assert case.density_per_cm3 == pytest.approx(1.7e18, rel=0.02)
    assert case.rise_time_90_s < 20e-9
    assert case.length_nm == pytest.approx(180, rel=0.03)
    assert case.shortest_length_nm > 100 > case.length_stated_nm


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: carriers.generation(-1.0, 1e-6), "power_w"),
        (lambda: carriers.generation(1.0, 0.0), "waist_m"),
        (lambda: carriers.generation(1.0, 1e-6, absorbed=1.5), "absorbed"),
        (lambda: carriers.steady_state(-1.0), "generation"),
        (lambda: carriers.recombination_rate(1.0, lifetime_s=0.0), "lifetime_s"),
        (lambda: carriers.diffusivity_cm2_s(-1.0), "mobility"),
        (lambda: carriers.transient(1e26, [1.0, 0.0]), "ascending"),
    ],
)
def test_impossible_inputs_are_refused_by_name(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
