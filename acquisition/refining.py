"""Where an adaptive map looks more closely: between neighbours that differ, and around points that are not known well.

Points lie on the finest grid, (row, column). The field is a quadtree: a square of neighbouring points is divided into
four where one of its sides is worth it. Nothing is measured here.
"""

import math
from dataclasses import dataclass

from halidescope.acquisition.map_recipes import AdaptiveMap

Place = tuple[int, int]


@dataclass(frozen=True)
class Share:
    """What is known of a point: the share of the growing phase and its standard error; NaN if it has none."""

    value: float
    error: float


def worth(one: Share, other: Share, recipe: AdaptiveMap) -> float:
    """How much it is worth to look between two neighbours: above 1 it is done, the largest first.

    The difference counts as far as it exceeds two of its standard errors, so that noise alone refines nothing.
    """
    if not (math.isfinite(one.value) and math.isfinite(other.value)):
        return 0.0
    significant = abs(one.value - other.value) - 2.0 * math.hypot(one.error, other.error)
    return max(significant / recipe.refine_change, max(one.error, other.error) / recipe.refine_error)


def coarse_cells(recipe: AdaptiveMap) -> list[Place]:
    """The squares of the coarse grid, each by its corner of smallest row and column."""
    rows, columns = recipe.coarse_shape
    step = 2**recipe.levels
    return [(row * step, column * step) for row in range(rows - 1) for column in range(columns - 1)]


def children(cell: Place, step: int) -> list[Place]:
    """The four squares that a square of ``step`` is divided into."""
    row, column = cell
    half = step // 2
    return [(row + down, column + right) for down in (0, half) for right in (0, half)]


def refine(
    recipe: AdaptiveMap, shares: dict[Place, Share], cells: list[Place], step: int
) -> list[tuple[Place, list[Place]]]:
    """The squares worth dividing, the most worthwhile first, each with the places that it needs and that are not known.

    Parameters
    ----------
    shares : dict
        All points measured so far.
    cells : list
        Squares of one size, their corners measured.
    step : int
        That size, in steps of the finest grid; even.
    """
    found = []
    half = step // 2
    for row, column in cells:
        corners = [(row + down, column + right) for down, right in ((0, 0), (0, step), (step, step), (step, 0))]
        sides = zip(corners, corners[1:] + corners[:1], strict=True)
        value = max(worth(shares[one], shares[other], recipe) for one, other in sides)
        if value > 1.0:
            middles = ((0, half), (half, 0), (half, half), (half, step), (step, half))
            needed = [(row + down, column + right) for down, right in middles]
            found.append((value, (row, column), [place for place in needed if place not in shares]))
    return [(cell, needed) for value, cell, needed in sorted(found, key=lambda one: (-one[0], one[1]))]


def in_rows(places: list[Place]) -> list[Place]:
    """The same places row after row, every other row backwards: a short way for the stage."""
    ordered: list[Place] = []
    for turn, row in enumerate(sorted({row for row, _ in places})):
        ordered += sorted((place for place in places if place[0] == row), reverse=turn % 2 == 1)
    return ordered
