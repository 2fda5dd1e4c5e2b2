"""The film against closed forms."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from halidescope.simulators.film import LAWS, Film, film_law

CONVERTIBLE = [1.0, 1.5, 2.0]


@pytest.mark.parametrize("x", CONVERTIBLE)
def test_shares_on_the_spot_rise_biexponentially(x: float) -> None:
    film, power = Film(film_law(x)), 120.0
    k1, k2 = film.law.rates_per_s(power)
    f1, f2 = film.law.fractions
    h = film.law.excitation(power)
    for time in (5.0, 50.0, 500.0):
        fresh = Film(film.law)
        fresh.advance(time, 100.0, 100.0, power)
        expected = 1.0 - f1 * math.exp(-k1 * h * time) - f2 * math.exp(-k2 * h * time)
        assert fresh.share_converted(100.0, 100.0) == pytest.approx(expected, rel=1e-4)


def test_the_halo_follows_equation_1() -> None:
    film = Film(film_law(1.5))
    film.advance(1e7, 100.0, 100.0, 120.0)     # long enough for the slow population too
    radius = film.law.halo_radius_um(120.0)
    assert radius == pytest.approx(5.64, abs=0.01)     # sqrt(4 D t_h), by hand from the documented numbers
    for distance in (0.0, 2.3, radius, 9.1):
        share = film.share_converted(100.0 + distance, 100.0)
        assert share == pytest.approx(math.exp(-((distance / radius) ** 2)), abs=2e-4)


def test_one_long_step_equals_many_short_ones() -> None:
    for x in CONVERTIBLE:
        once, often = Film(film_law(x)), Film(film_law(x))
        once.advance(60.0, 80.0, 120.0, 200.0)
        for _ in range(600):
            often.advance(0.1, 80.0, 120.0, 200.0)
        for place in ((80.0, 120.0), (83.7, 119.1)):
            assert once.share_converted(*place) == pytest.approx(often.share_converted(*place), rel=2e-3)


def test_dose_is_the_integral_of_the_gaussian_focus() -> None:
    film = Film(film_law(1.5), waist_um=1.0)
    film.advance(500.0, 100.0, 100.0, 120.0)
    peak = 2 * 120e-6 / (math.pi * 1e-8) * 500.0
    assert peak == pytest.approx(3.82e6, rel=1e-3)
    for dx, dy in ((0.0, 0.0), (0.33, 0.0), (0.5, 0.7), (-1.21, 0.4)):
        expected = peak * math.exp(-2 * (dx**2 + dy**2))
        assert film.at(100.0 + dx, 100.0 + dy).dose_j_cm2 == pytest.approx(expected, rel=1e-3)
    offsets = np.arange(-3, 3, 0.1)
    inside = np.mean([film.at(100 + x, 100 + y).dose_j_cm2 for x in offsets for y in offsets])
    assert inside * 36e-8 == pytest.approx(120e-6 * 500.0, rel=1e-3)    # all the energy arrives somewhere


@pytest.mark.parametrize("x", [0.0, 1.0, 1.5, 3.0])
def test_the_dark_changes_nothing(x: float) -> None:
    film = Film(film_law(x))
    film.advance(50.0, 100.0, 100.0, 120.0)
    before = [film.at(100.0 + d, 101.0) for d in range(8)]
    film.advance(1e5, 100.0, 100.0, 0.0)
    assert [film.at(100.0 + d, 101.0) for d in range(8)] == before


def test_segregation_returns_in_the_dark_everywhere() -> None:
    film = Film(film_law(2.0))
    film.advance(100.0, 100.0, 100.0, 300.0)
    before = [film.share_converted(100.0 + d, 100.0) for d in (0.0, 3.0)]
    film.advance(2500.0, 100.0, 100.0, 0.0)
    after = [film.share_converted(100.0 + d, 100.0) for d in (0.0, 3.0)]
    assert after == pytest.approx([share / math.e for share in before], rel=1e-9)


def test_a_spot_recovers_while_light_is_elsewhere() -> None:
    film = Film(film_law(2.0))
    film.advance(100.0, 50.0, 50.0, 300.0)
    before = film.share_converted(50.0, 50.0)
    film.advance(2500.0, 150.0, 150.0, 300.0)
    assert film.share_converted(50.0, 50.0) == pytest.approx(before / math.e, rel=1e-6)


def test_drive_and_return_together_follow_their_equation() -> None:
    """Off the centre both act; scipy integrates the documented equation with its kink."""
    law = film_law(2.0)
    film = Film(law)
    power, place = 300.0, (103.0, 100.0)
    g = math.exp(-((3.0 / law.halo_radius_um(power)) ** 2))
    h = law.excitation(power)
    rates, fractions = np.array(law.rates_per_s(power)), np.array(law.fractions)

    def slope(t: float, c: np.ndarray) -> np.ndarray:
        return rates * h * np.maximum(fractions * g - c, 0) - law.return_rate_per_s * (1 - h * g) * c

    film.advance(40.0, 100.0, 100.0, power)
    expected = solve_ivp(slope, (0, 40.0), [0.0, 0.0], rtol=1e-9, atol=1e-12).y[:, -1]
    state = film.at(*place)
    assert [state.fast, state.slow] == pytest.approx(list(expected), rel=1e-5)


def test_rates_follow_arrhenius() -> None:
    law = film_law(1.5)
    powers = np.array([10.0, 40.0, 80.0, 160.0])
    inverse = [1.0 / (8.617333262e-5 * law.temperature_k(power)) for power in powers]
    logs = np.log([law.average_rate_per_s(power) for power in powers])
    slope = np.polynomial.Polynomial.fit(inverse, logs, 1).convert().coef[1]
    assert -slope == pytest.approx(0.217, rel=1e-9)
    assert law.rates_per_s(120.0) == pytest.approx((0.03, 2e-4))


def test_a_weak_probe_hardly_converts() -> None:
    film = Film(film_law(1.5))
    film.advance(10.0, 100.0, 100.0, 1.0)
    assert film.share_converted(100.0, 100.0) < 1e-4


@pytest.mark.parametrize("x", [0.0, 3.0])
def test_reference_films_are_inert(x: float) -> None:
    film = Film(film_law(x))
    film.advance(500.0, 100.0, 100.0, 400.0)
    assert film.share_converted(100.0, 100.0) == 0.0
    assert film.at(100.0, 100.0).dose_j_cm2 > 0.0
    assert film.law.halo_radius_um(400.0) is None


@pytest.mark.parametrize("place", [(0.0, 0.0), (200.0, 200.0), (0.0, 200.0), (199.9, 3.0)])
def test_the_edges_of_the_travel_are_film_too(place: tuple[float, float]) -> None:
    film = Film(film_law(1.5))
    film.advance(500.0, *place, 120.0)
    assert film.share_converted(*place) > 0.69


def test_an_unknown_film_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"x = 0\.7 .* 0, 1, 1\.5, 2, 3"):
        film_law(0.7)
    assert set(LAWS) == {0.0, 1.0, 1.5, 2.0, 3.0}
