"""In which order the points of a map are taken."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from halidescope.acquisition.map_recipes import order_of_taking

ORDERS = ("serpentine", "raster", "interleaved", "random")


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), order=st.sampled_from(ORDERS), seed=st.integers(0, 99))
def test_every_order_takes_every_point_once(rows, columns, order, seed):
    taken = order_of_taking((rows, columns), order, seed)
    assert sorted(taken) == list(range(rows * columns))
    assert np.array_equal(taken, order_of_taking((rows, columns), order, seed))


def test_orders_are_what_they_are_called():
    assert order_of_taking((2, 3), "serpentine", 0).tolist() == [0, 1, 2, 5, 4, 3]
    assert order_of_taking((2, 3), "raster", 0).tolist() == [0, 1, 2, 3, 4, 5]
    assert order_of_taking((3, 4), "interleaved", 0).tolist() == [0, 2, 10, 8, 5, 7, 1, 3, 11, 9, 4, 6]
    random = order_of_taking((20, 20), "random", 1)
    assert not np.array_equal(random, order_of_taking((20, 20), "random", 2))
    assert abs(np.corrcoef(random, np.arange(400))[0, 1]) < 0.2


def test_interleaving_keeps_the_light_of_neighbours_apart():
    shape = (20, 20)
    when = np.empty(400, int)
    when[order_of_taking(shape, "interleaved", 0)] = np.arange(400)
    when = when.reshape(shape)
    for along, across in ((0, 1), (1, 0)):
        apart = np.abs(when[along:, across:] - when[: shape[0] - along, : shape[1] - across])
        assert apart.min() > 50
