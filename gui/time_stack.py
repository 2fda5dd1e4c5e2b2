"""The wavelength × time picture of a growing measurement, in bounded memory.

Rows are bins of time and columns bins of wavelength, both even, so that an image can carry honest axes although a
spectrometer's own axis is curved. When the rows run out, neighbours are merged and a row covers twice the time.
"""

import numpy as np
from numpy.typing import NDArray

MAX_ROWS = 512
COLUMNS = 480


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
        self._first: tuple[float, NDArray[np.float64]] | None = None

    @property
    def end_s(self) -> float:
        """Time at the end of the last row, in s."""
        return self.start_s + self.rows * self.bin_s

    def add(self, time_s: float, counts: NDArray[np.generic]) -> None:
        """Take in one spectrum, shape (channels,); the second one tells how long a row is."""
        row = self.binned(counts)
        if self.bin_s == 0.0:
            if self._first is None:
                self._first = (time_s, row)
                return
            self.start_s, first_row = self._first
            if time_s <= self.start_s:
                return
            self.bin_s = time_s - self.start_s
            self._put(0, first_row)
        self._put(int((time_s - self.start_s) / self.bin_s + 0.5), row)

    def binned(self, counts: NDArray[np.generic]) -> NDArray[np.float64]:
        """Mean counts in every bin of wavelength, shape (columns,); not-a-number in a bin without a channel."""
        total = np.bincount(self._bin, weights=np.asarray(counts, dtype=float), minlength=len(self._width))
        return np.divide(total, self._width, out=np.full_like(total, np.nan), where=self._width > 0)

    def _put(self, place: int, row: NDArray[np.float64]) -> None:
        if place < 0:
            return
        while place >= len(self._sum):
            self._merge()
            place //= 2
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

        Spectra do not come like a clock's ticks, so that a row now and then falls between two of them: a single empty
        row shows the spectrum before it. Two and more are a gap, and stay one.
        """
        taken = self._taken[: self.rows, None]
        image = np.full((self.rows, self._sum.shape[1]), np.nan, dtype=np.float32)
        np.divide(self._sum[: self.rows], taken, out=image, where=taken > 0, casting="unsafe")
        empty = self._taken[: self.rows] == 0
        alone = np.flatnonzero(empty[1:-1] & ~empty[:-2] & ~empty[2:]) + 1
        image[alone] = image[alone - 1]
        return image
