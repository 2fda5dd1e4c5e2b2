"""Recipes of maps: which points of a rectangular field are measured, and in which order."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from halidescope.acquisition.recipe_base import Coordinate, Length, Point, ProbeRecipe

MapOrder = Literal["serpentine", "raster", "interleaved", "random"]
Order = Annotated[
    MapOrder,
    Field(description=(
        "every other line backwards; all lines forwards; one quarter of the points after another, so that neighbours "
        "are far apart in time; or any order"
    )),
]  # fmt: skip
Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="of the random order; the same seed gives the same order")]


def order_of_taking(shape: tuple[int, int], order: MapOrder, seed: int) -> NDArray[np.int64]:
    """Places (row × columns + column) of a grid of ``shape`` = (rows, columns) in the order of taking.

    ``interleaved`` takes the points whose row and column are both even, then both odd, then the rest in two halves,
    each quarter as a serpentine, so that a point's neighbours have had their light long before it.
    """
    rows, columns = shape
    places = np.arange(rows * columns).reshape(shape)
    if order == "raster":
        return places.ravel()
    if order == "random":
        return np.random.default_rng(seed).permutation(rows * columns)
    if order == "serpentine":
        return _serpentine(places)
    return np.concatenate([_serpentine(places[row::2, column::2]) for row, column in ((0, 0), (1, 1), (0, 1), (1, 0))])


def _serpentine(places: NDArray[np.int64]) -> NDArray[np.int64]:
    places = places.copy()
    places[1::2] = places[1::2, ::-1]
    return places.ravel()


def grid_um(origin_um: float, size_um: float, step_um: float) -> NDArray[np.float64]:
    """Rows or columns of a field in µm, both edges included where the step allows it."""
    return origin_um + step_um * np.arange(int(np.floor(size_um / step_um + 1e-9)) + 1, dtype=np.float64)


class FieldRecipe(ProbeRecipe):
    """A measurement of a rectangular field."""

    origin_um: tuple[Coordinate, Coordinate] = Field(
        (0.0, 0.0), description="corner of the field with the smallest x and y, µm"
    )
    size_um: tuple[Length, Length] = Field((200.0, 200.0), description="width and height of the field, µm")


class RasterMap(FieldRecipe):
    """Spectra on a rectangular grid, the probe weak enough not to change what it sees."""

    kind: Literal["raster-map"] = "raster-map"
    step_um: float = Field(4.0, gt=0, allow_inf_nan=False, description="distance between neighbouring points, µm")
    order: Order = "serpentine"
    seed: Seed = 0

    @property
    def x_um(self) -> NDArray[np.float64]:
        """Columns of the map, in µm, both edges included."""
        return grid_um(self.origin_um[0], self.size_um[0], self.step_um)

    @property
    def y_um(self) -> NDArray[np.float64]:
        """Rows of the map, in µm, both edges included."""
        return grid_um(self.origin_um[1], self.size_um[1], self.step_um)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (ny, nx)."""
        return len(self.y_um), len(self.x_um)

    def points(self) -> Iterator[Point]:
        """In the order of taking; ``index`` is the place in the map, row × columns + column, whatever the order."""
        xs, ys = self.x_um.tolist(), self.y_um.tolist()
        for place in order_of_taking(self.shape, self.order, self.seed).tolist():
            yield Point(index=place, x_um=xs[place % len(xs)], y_um=ys[place // len(xs)])

    @property
    def title(self) -> str:
        ny, nx = self.shape
        return f"map {nx} × {ny} at {self.sample_power_uw:g} µW"
