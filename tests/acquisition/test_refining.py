"""Where an adaptive map looks more closely, on shares that are known in closed form."""

import math

import numpy as np
import pytest

from halidescope.acquisition.map_recipes import AdaptiveMap
from halidescope.acquisition.problems import BadFileError
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.refining import Share, children, coarse_cells, in_rows, refine, worth

VALUES = {"kind": "adaptive-map", "sample_power_uw": 5.0, "size_um": [64.0, 64.0], "coarse_step_um": 16.0,
          "finest_step_um": 2.0, "sample": {"composition": 1.5}}


def recipe(**more):
    made = parse_recipe({**VALUES, **more})
    assert isinstance(made, AdaptiveMap)
    return made


def play(made, share, error=0.01):
    """The whole map, with the share a function of x and y."""
    shares = {}

    def measure(places):
        for row, column in places:
            point = made.point(0, row, column)
            shares[row, column] = Share(share(point.x_um, point.y_um), error)

    step, cells = 2**made.levels, coarse_cells(made)
    measure([(int(p.y_um / made.finest_step_um), int(p.x_um / made.finest_step_um)) for p in made.points()])
    while step > 1:
        found = refine(made, shares, cells, step)
        measure([place for _, needed in found for place in needed])
        cells = [child for cell, _ in found for child in children(cell, step)]
        step //= 2
    return shares


def test_a_flat_film_stays_coarse():
    assert len(play(recipe(), lambda x, y: 0.3)) == 25


def test_an_edge_is_followed_down_to_the_finest_step():
    made = recipe()
    shares = play(made, lambda x, y: 1.0 / (1.0 + math.exp(-(x - 30.0))))
    xs = np.array([made.point(0, *place).x_um for place in shares])
    near, far = np.abs(xs - 30.0) < 6.0, np.abs(xs - 30.0) > 18.0
    assert near.sum() > 150
    assert far.sum() <= 15
    assert len(shares) < 0.35 * 33 * 33       # of a plain map as fine
    for row in range(33):       # on the edge every place of the finest grid is there
        assert all((row, column) in shares for column in (14, 15, 16))


def test_a_spot_is_found_if_the_coarse_grid_sees_it():
    made = recipe()
    shares = play(made, lambda x, y: 0.7 * math.exp(-((x - 32.0) ** 2 + (y - 32.0) ** 2) / 8.0**2))
    finest = [place for place in shares if place[0] % 2 or place[1] % 2]
    distances = [math.hypot(made.point(0, *p).x_um - 32.0, made.point(0, *p).y_um - 32.0) for p in finest]
    assert len(finest) > 50
    assert max(distances) < 24.0


def test_noise_alone_refines_nothing_but_large_errors_do():
    made = recipe()
    random = np.random.default_rng(1)
    quiet = play(made, lambda x, y: float(random.normal(0.3, 0.02)), error=0.02)
    assert len(quiet) < 40
    unsure = play(made, lambda x, y: 0.3, error=0.08)
    assert len(unsure) == 33 * 33
    unknown = Share(math.nan, math.nan)
    assert worth(unknown, Share(0.9, 0.01), made) == 0.0


def test_the_most_worthwhile_come_first():
    made = recipe()
    shares = {(row, column): Share(value, 0.0) for row in (0, 8) for column, value in ((0, 0.0), (8, 0.2), (16, 0.9))}
    shares[4, 8] = Share(0.2, 0.0)
    cells = [(0, 0), (0, 8)]
    assert [cell for cell, _ in refine(made, shares, cells, 8)] == [(0, 8), (0, 0)]
    assert dict(refine(made, shares, cells, 8))[0, 8] == [(0, 12), (4, 12), (4, 16), (8, 12)]
    assert in_rows([(2, 1), (0, 3), (2, 5), (0, 1)]) == [(0, 1), (0, 3), (2, 5), (2, 1)]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"finest_step_um": 3.0}, r"must be coarse_step_um = 16 µm halved"),
        ({"finest_step_um": 16.0}, r"halved, once or several times"),
        ({"max_points": 20}, r"must hold the coarse grid, 25 points"),
    ],
)
def test_what_cannot_be_is_said(wrong, sentence):
    with pytest.raises(BadFileError, match=sentence):
        parse_recipe({**VALUES, **wrong})
