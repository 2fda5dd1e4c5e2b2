"""Recipes of maps: which points of a rectangular field are measured, and in which order."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from halidescope.acquisition.recipe_base import Coordinate, Length, Point, ProbeRecipe, Recipe, require_few
from halidescope.acquisition.slide import FEWEST

MapOrder = Literal["serpentine", "raster", "interleaved", "random"]
Order = Annotated[
    MapOrder,
    Field(description=(
        "every other line backwards; all lines forwards; one quarter of the points after another, so that neighbours "
        "are far apart in time; or any order"
    )),
]  # fmt: skip
Motion = Annotated[
    Literal["steps", "lines"],
    Field(description="stop at every point, or run along each line without stopping, one pixel an exposure"),
]
MOST_PLACES = 2e7     # of an adaptive map's finest grid, of which few are measured
Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="of the random order; the same seed gives the same order")]


def _none_or_a_line(points: int) -> int:
    if 0 < points < FEWEST:
        raise ValueError(f"{points} points are no line; give 0, or {FEWEST} or more")
    return points


DriftLine = Annotated[
    int,
    Field(ge=0, le=64, description=(
        "after a cut-off: measured points along x, and as many along y, that are measured again to tell how far the "
        "film slid; they get their light twice. 0: one point, which tells only whether the film changed"
    )),
    AfterValidator(_none_or_a_line),
]  # fmt: skip


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


def count_um(size_um: float, step_um: float) -> float:
    """Rows or columns of a field, both edges included where the step allows it; a float, for it may be any number."""
    return float(np.floor(size_um / step_um + 1e-9)) + 1.0


def grid_um(origin_um: float, size_um: float, step_um: float) -> NDArray[np.float64]:
    """Rows or columns of a field in µm, both edges included where the step allows it."""
    return origin_um + step_um * np.arange(int(count_um(size_um, step_um)), dtype=np.float64)


class AreaRecipe(Recipe):
    """A measurement of a rectangular field."""

    origin_um: tuple[Coordinate, Coordinate] = Field(
        (0.0, 0.0), description="corner of the field with the smallest x and y, µm"
    )
    size_um: tuple[Length, Length] = Field((200.0, 200.0), description="width and height of the field, µm")


class GridRecipe(AreaRecipe):
    """A measurement of a field on a grid: how dense, and in which order."""

    step_um: Length = Field(4.0, description="distance between neighbouring points, µm")
    order: Order = "serpentine"
    seed: Seed = 0
    motion: Motion = "steps"
    drift_line_points: DriftLine = 0

    @model_validator(mode="after")
    def _lines_have_an_order(self) -> Self:
        if self.motion == "lines" and self.order not in ("serpentine", "raster"):
            raise ValueError(f"order = '{self.order}' has no lines; motion = 'lines' needs serpentine or raster")
        return self

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        width, height = self.size_um
        require_few(count_um(width, self.step_um) * count_um(height, self.step_um), "raise step_um or lower size_um")
        return self


class RasterMap(GridRecipe, ProbeRecipe):
    """Spectra on a rectangular grid, the probe weak enough not to change what it sees."""

    kind: Literal["raster-map"] = "raster-map"

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


class AdaptiveMap(AreaRecipe, ProbeRecipe):
    """A coarse grid, refined where neighbours differ or are not known well, until a budget is used up.

    Shares come from the online unmixing, so the recipe needs references or the film's composition.
    """

    kind: Literal["adaptive-map"] = "adaptive-map"
    coarse_step_um: Length = Field(16.0, description="distance between the points of the first grid, µm")
    finest_step_um: Length = Field(
        2.0, description="smallest distance between points, µm; coarse_step_um halved once or several times"
    )
    refine_change: float = Field(
        0.05, gt=0, lt=1, description="refine between neighbours whose shares differ by more than this"
    )
    refine_error: float = Field(
        0.05, gt=0, lt=1, description="refine around points whose share has a larger standard error than this"
    )
    max_points: int = Field(1000, ge=4, le=100_000, description="budget of points, the coarse grid included")
    duration_s: float = Field(
        3600.0, gt=0, allow_inf_nan=False, description="budget of time since the light first came on, s"
    )

    @model_validator(mode="after")
    def _halve_whole_times(self) -> Self:
        halvings = np.log2(self.coarse_step_um / self.finest_step_um)
        if not (0 < halvings < 16 and abs(halvings - round(halvings)) < 1e-6):
            raise ValueError(
                f"finest_step_um = {self.finest_step_um:g} must be coarse_step_um = {self.coarse_step_um:g} µm halved, "
                "once or several times"
            )
        rows, columns = (count_um(size, self.coarse_step_um) for size in reversed(self.size_um))
        if (coarse := rows * columns) > self.max_points:
            raise ValueError(f"max_points = {self.max_points} must hold the coarse grid, {coarse:g} points")
        finest = 2.0**self.levels
        if (places := ((rows - 1) * finest + 1) * ((columns - 1) * finest + 1)) > MOST_PLACES:
            raise ValueError(
                f"finest_step_um = {self.finest_step_um:g} gives a grid of {places:.3g} places, allowed up to "
                f"{MOST_PLACES:.3g}; raise it or lower size_um"
            )
        return self

    @property
    def levels(self) -> int:
        """How often the coarse step is halved down to the finest."""
        return round(float(np.log2(self.coarse_step_um / self.finest_step_um)))

    @property
    def coarse_shape(self) -> tuple[int, int]:
        """Rows and columns of the first grid, (ny, nx)."""
        (x_um, y_um), (width, height) = self.origin_um, self.size_um
        return len(grid_um(y_um, height, self.coarse_step_um)), len(grid_um(x_um, width, self.coarse_step_um))

    @property
    def x_um(self) -> NDArray[np.float64]:
        """Columns of the finest grid, in µm, from the first to the last of the coarse one."""
        columns = (self.coarse_shape[1] - 1) * 2**self.levels + 1
        return self.origin_um[0] + self.finest_step_um * np.arange(columns, dtype=np.float64)

    @property
    def y_um(self) -> NDArray[np.float64]:
        """Rows of the finest grid, in µm, from the first to the last of the coarse one."""
        rows = (self.coarse_shape[0] - 1) * 2**self.levels + 1
        return self.origin_um[1] + self.finest_step_um * np.arange(rows, dtype=np.float64)

    def point(self, index: int, row: int, column: int) -> Point:
        """Point number ``index``, at a place of the finest grid."""
        x_um, y_um = self.origin_um
        return Point(index=index, x_um=x_um + column * self.finest_step_um, y_um=y_um + row * self.finest_step_um)

    def points(self) -> Iterator[Point]:
        """The coarse grid, as a serpentine; ``index`` counts the points in the order of taking."""
        columns, step = self.coarse_shape[1], 2**self.levels
        for index, place in enumerate(order_of_taking(self.coarse_shape, "serpentine", 0).tolist()):
            yield self.point(index, place // columns * step, place % columns * step)

    @property
    def title(self) -> str:
        return (
            f"adaptive map, {self.coarse_step_um:g} to {self.finest_step_um:g} µm, up to {self.max_points} points at "
            f"{self.sample_power_uw:g} µW"
        )
