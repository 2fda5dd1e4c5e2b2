"""How far a film slid, against films that were slid by a known distance."""

import numpy as np
import pytest

from halidescope.acquisition.slide import BANDS, bands, richest_line, slide


def film(x_um, width_um=3.0):
    """Mean counts in bands, shape (points, bands): a halo of another colour at 8 µm."""
    halo = np.exp(-((x_um - 8.0) ** 2) / (2 * width_um**2))[:, None]
    band = np.arange(BANDS)
    return 4000.0 * ((1 - 0.6 * halo) * np.exp(-0.5 * (band - 9) ** 2) + 0.6 * halo * np.exp(-0.5 * (band - 4) ** 2))


@pytest.mark.parametrize("distance_um", [0.0, 0.7, -2.6, 5.3])
def test_the_distance_is_found_within_its_error(distance_um):
    random = np.random.default_rng(3)
    at_um = 1.0 * np.arange(18)
    off = []
    for _ in range(40):
        then, now = random.poisson(film(at_um)), 0.8 * random.poisson(film(at_um - distance_um))
        found = slide(at_um, then, now)
        assert found is not None
        assert found.correlation > 0.9
        assert abs(found.distance_um - distance_um) < 0.2
        off.append((found.distance_um - distance_um) / found.se_um)
    assert 0.5 < np.std(off) < 1.6
    assert abs(np.mean(off)) < 1.0


def test_an_even_film_tells_nothing_and_is_not_made_to():
    random = np.random.default_rng(4)
    at_um = 2.0 * np.arange(12)
    even = np.full((12, BANDS), 900.0)
    assert [slide(at_um, random.poisson(even), random.poisson(even)) for _ in range(60)] == [None] * 60


def test_a_film_that_light_changed_did_not_slide():
    """Its colour turned all along a short line, more at one place than at the others."""
    random = np.random.default_rng(5)
    at_um = 2.0 * np.arange(5)
    turned = np.linspace(0.6, 1.5, BANDS)
    more = np.where(np.arange(5)[:, None] == 3, np.linspace(0.95, 1.05, BANDS), 1.0)
    for _ in range(40):
        then, now = random.poisson(film(at_um)), random.poisson(film(at_um) * turned * more)
        found = slide(at_um, then, now)
        assert found is None or abs(found.distance_um) < 4.0 * found.se_um


def test_a_film_that_slid_further_than_half_the_line_is_not_guessed_at():
    at_um = 1.0 * np.arange(12)
    assert slide(at_um, film(at_um), film(at_um - 30.0)) is None


def test_the_richest_line_is_where_neighbours_differ_and_all_are_there():
    grid = np.full((6, 20, BANDS), np.nan)
    grid[:4] = 1000.0
    grid[4, :9] = 1000.0
    grid[2] = film(1.0 * np.arange(20))
    line = richest_line(grid, 8)
    assert len(line) == 8
    assert set(line // 20) == {2}
    assert {8 - 4, 8 + 2} & set((line % 20).tolist())
    assert len(richest_line(grid[4:], 12)) == 9
    assert len(richest_line(grid[5:], 12)) == 0
    assert len(richest_line(grid[:, :4], 12)) == 0


def test_bands_hold_all_counts_above_the_dark():
    counts = np.arange(3 * 2068).reshape(3, 2068) % 500
    dark = np.full(2068, 7.0)
    assert bands(counts, dark).shape == (3, BANDS)
    assert np.allclose(bands(counts, dark).sum(axis=1), counts.sum(axis=1) - 7.0 * 2068)
