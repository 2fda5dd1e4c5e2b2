"""Arrays that grow while a measurement runs."""

import numpy as np
from numpy.typing import NDArray


class Growing:
    """An array that grows at its end, doubling its room, so that a long run costs no copy per spectrum."""

    def __init__(self, *row: int, fill: float = np.nan) -> None:
        self._row, self._fill = row, fill
        self._room = np.full((64, *row), fill)
        self.count = 0

    @property
    def values(self) -> NDArray[np.float64]:
        """What is in it, shape (count, …)."""
        return self._room[: self.count]

    def resize(self, count: int) -> None:
        """Make it this long; new rows hold the fill value."""
        if count > len(self._room):
            room = np.full((max(count, 2 * len(self._room)), *self._row), self._fill)
            room[: self.count] = self._room[: self.count]
            self._room = room
        elif count < self.count:
            self._room[count : self.count] = self._fill
        self.count = count

    def put(self, first: int, rows: object) -> None:
        """Let ``rows`` stand from ``first`` on, and be the last."""
        block = np.asarray(rows, dtype=float).reshape(-1, *self._row)
        self.resize(first)
        self.resize(first + len(block))
        self._room[first : self.count] = block
