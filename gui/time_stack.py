"""The wavelength × time picture of a growing measurement, in bounded memory.

Rows are bins of time and columns bins of wavelength, both even, so that an image can carry honest axes although a
spectrometer's own axis is curved. When the rows run out, neighbours are merged and a row covers twice the time.
"""

import numpy as np
from numpy.typing import NDArray

MAX_ROWS = 512
COLUMNS = 480
EARLY = 8       # spectra whose spacing tells how long a row is
BRIDGED = 4     # empty rows between two spectra that are no gap yet


class TimeStack:
    """Spectra averaged into even bins of wavelength and time.

    Parameters
    ----------
    wavelength_nm : ndarray, shape (channels,)
        Ascending.
    max_rows : int
        Rows at which neighbours are merged; even.
    columns : int
        Bins of wavelength, at most the number of channels.
    """

    def __init__(self, wavelength_nm: NDArray[np.float64], *, max_rows: int = MAX_ROWS, columns: int = COLUMNS) -> None:
        axis = np.asarray(wavelength_nm, dtype=float)
        columns = max(1, min(columns, len(axis) // 2))
        self.wavelength_range_nm = (float(axis[0]), float(axis[-1]))
        edges = np.linspace(axis[0], axis[-1], columns + 1)
        self._bin = np.clip(np.searchsorted(edges, axis, side="right") - 1, 0, columns - 1)
        self._width = np.bincount(self._bin, minlength=columns)
        self._sum = np.zeros((max_rows, columns), dtype=np.float64)
        self._taken = np.zeros(max_rows, dtype=np.int64)
        self.bin_s = 0.0
        self.start_s = 0.0
        self.rows = 0
        self._early: list[tuple[float, NDArray[np.float64]]] = []

    @property
    def end_s(self) -> float:
        """Time at the end of the last row, in s."""
        return self.start_s + self.rows * self.bin_s

    def add(self, time_s: float, counts: NDArray[np.generic]) -> None:
        """Take in one spectrum, shape (channels,); the first ones tell how long a row is."""
        row = self.binned(counts)
        if len(self._early) >= EARLY:
            self._put(time_s, row)
            return
        self._early.append((time_s, row))
        steps = np.diff([when for when, _ in self._early])
        if len(steps) == 0 or not (steps > 0).all():
            return
        self.start_s, self.bin_s, self.rows = self._early[0][0], float(np.median(steps)), 0
        self._sum[:] = 0.0
        self._taken[:] = 0
        for when, early in self._early:
            self._put(when, early)

    def binned(self, counts: NDArray[np.generic]) -> NDArray[np.float64]:
        """Mean counts in every bin of wavelength, shape (columns,); not-a-number in a bin without a channel."""
        total = np.bincount(self._bin, weights=np.asarray(counts, dtype=float), minlength=len(self._width))
        return np.divide(total, self._width, out=np.full_like(total, np.nan), where=self._width > 0)

    def _put(self, time_s: float, row: NDArray[np.float64]) -> None:
        if time_s < self.start_s or self.bin_s == 0.0:
            return
        while (place := int((time_s - self.start_s) / self.bin_s + 0.5)) >= len(self._sum):
            self._merge()
        self._sum[place] += row
        self._taken[place] += 1
        self.rows = max(self.rows, place + 1)

    def _merge(self) -> None:
        half = len(self._sum) // 2
        for array in (self._sum, self._taken):
            array[:half] = array[0::2] + array[1::2]
            array[half:] = 0
        self.bin_s *= 2
        self.rows = (self.rows + 1) // 2

    def image(self) -> NDArray[np.float32]:
        """Mean counts, shape (rows, columns); not-a-number where no spectrum was taken.

        Spectra do not come like a clock's ticks, so that a few rows fall between two of them: up to ``BRIDGED`` empty
        rows show the spectrum before them. More are a gap, and stay one.
        """
        taken = self._taken[: self.rows, None]
        image = np.full((self.rows, self._sum.shape[1]), np.nan, dtype=np.float32)
        np.divide(self._sum[: self.rows], taken, out=image, where=taken > 0, casting="unsafe")
        held = np.maximum.accumulate(np.where(self._taken[: self.rows] > 0, np.arange(self.rows), 0))
        following = self.rows - 1 - np.maximum.accumulate(
            np.where(self._taken[: self.rows][::-1] > 0, np.arange(self.rows), 0)
        )[::-1]
        short = following - held <= BRIDGED + 1
        image[short] = image[held[short]]
        return image
