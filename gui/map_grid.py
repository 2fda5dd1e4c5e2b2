"""The pixels of a map, and which of them covers a place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.recipes import RasterMap


@dataclass(frozen=True)
class Grid:
    """The pixels of a map: columns and rows in µm, ascending and evenly spaced."""

    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]

    @classmethod
    def of(cls, recipe: RasterMap) -> "Grid":
        """The grid that a recipe asks for."""
        return cls(np.asarray(recipe.x_um, dtype=float), np.asarray(recipe.y_um, dtype=float))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y_um), len(self.x_um)

    @property
    def step_um(self) -> tuple[float, float]:
        """Pixel width and height; a single row or column is as wide as the other's step, or 1 µm."""
        steps = [float(np.diff(axis[:2])[0]) if len(axis) > 1 else 0.0 for axis in (self.x_um, self.y_um)]
        spare = max(steps) or 1.0
        return steps[0] or spare, steps[1] or spare

    def same_as(self, other: "Grid") -> bool:
        """True if the pixels lie at the same places."""
        return np.array_equal(self.x_um, other.x_um) and np.array_equal(self.y_um, other.y_um)

    def pixel_at(self, x_um: float, y_um: float) -> int | None:
        """Index (row × columns + column) of the pixel that covers a place, None outside."""
        dx, dy = self.step_um
        column, row = round((x_um - self.x_um[0]) / dx), round((y_um - self.y_um[0]) / dy)
        ny, nx = self.shape
        return row * nx + column if 0 <= row < ny and 0 <= column < nx else None
