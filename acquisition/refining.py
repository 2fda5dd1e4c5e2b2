"""Where an adaptive map looks more closely: between neighbours that differ, and around points that are not known well.

Points lie on the finest grid, (row, column). A grid of one level is refined by the middles between its neighbours, and
by the middle of every square one of whose sides is refined, as in a quadtree. Nothing is measured here.
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


def refine(recipe: AdaptiveMap, shares: dict[Place, Share], step: int) -> list[Place]:
    """Places that refine a grid of one level, most worthwhile first.

    Parameters
    ----------
    shares : dict
        All points measured so far.
    step : int
        Distance between neighbours of the grid to be refined, in steps of the finest grid; even.
    """
    found: dict[Place, float] = {}

    def note(place: Place, value: float) -> None:
        if place not in shares:
            found[place] = max(value, found.get(place, 0.0))

    for (row, column), share in shares.items():
        if row % step or column % step:
            continue
        for along, across in ((step, 0), (0, step)):
            other = shares.get((row + along, column + across))
            if other is None:
                continue
            value = worth(share, other, recipe)
            if value <= 1.0:
                continue
            note((row + along // 2, column + across // 2), value)
            # the middles of the squares on both sides of this edge, as far as their corners are there
            for side in (-step, step):
                corner = (row + side, column) if across else (row, column + side)
                opposite = (corner[0] + along, corner[1] + across)
                if corner in shares and opposite in shares:
                    note(((row + opposite[0]) // 2, (column + opposite[1]) // 2), value)
    return sorted(found, key=lambda place: (-found[place], place))


def in_rows(places: list[Place]) -> list[Place]:
    """The same places row after row, every other row backwards: a short way for the stage."""
    ordered: list[Place] = []
    for turn, row in enumerate(sorted({row for row, _ in places})):
        ordered += sorted((place for place in places if place[0] == row), reverse=turn % 2 == 1)
    return ordered
