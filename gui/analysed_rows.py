"""What the analysis has found in the spectra of a measurement: a row of shares per point, by the point's index."""

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.results import Number, OnlineResults
from halidescope.gui.growing import Growing


class AnalysedRows:
    """Rows in the order of analysis; the fit's numbers and curves as a whole.

    Attributes
    ----------
    results : OnlineResults
        The last snapshot.
    references : ndarray, shape (k, channels)
        The endmembers; empty before they are known.
    """

    def __init__(self) -> None:
        self.forget_rows()

    def forget_rows(self) -> None:
        """Nothing is analysed."""
        self.results = OnlineResults()
        self.references: NDArray[np.float64] = np.empty((0, 0))
        self._rows: dict[int, int] = {}
        self._index: list[int] = []
        self._time_s = Growing()
        self._amplitudes = Growing(0)
        self._shares = Growing(0)
        self._shares_se = Growing(0)
        self._residual_rms = Growing()

    def take_rows(self, other: "AnalysedRows") -> None:
        """Have the rows of another, which has no use for them any more."""
        self.results, self.references = other.results, other.references
        self._rows, self._index, self._time_s = other._rows, other._index, other._time_s
        self._amplitudes, self._shares, self._shares_se = other._amplitudes, other._shares, other._shares_se
        self._residual_rms = other._residual_rms

    def add_results(self, results: OnlineResults) -> None:
        """Take in a snapshot of the analysis: rows from ``results.first`` on, numbers and curves as a whole."""
        phases = len(results.labels)
        if results.first == 0:
            self._rows.clear()
            self._amplitudes, self._shares, self._shares_se = Growing(phases), Growing(phases), Growing(phases)
        keep = min(results.first, len(self._index))
        del self._index[keep:]
        self._index.extend(results.index)
        if results.index or keep < self._time_s.count:
            for rows, more in (
                (self._time_s, results.time_s), (self._amplitudes, results.amplitudes), (self._shares, results.shares),
                (self._shares_se, results.shares_se), (self._residual_rms, results.residual_rms),
            ):  # fmt: skip
                rows.put(keep, more)
        for offset, index in enumerate(results.index):
            self._rows[index] = keep + offset
        if results.first == 0 and results.references:
            self.references = np.asarray(results.references, dtype=float)
        self.results = results

    @property
    def analysed(self) -> int:
        """Spectra whose shares are known."""
        return len(self._index)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the endmembers; the last grows."""
        return self.results.labels

    def parts(self, index: int) -> NDArray[np.float64] | None:
        """The unmixed parts of a point in counts, shape (k, channels), or None."""
        row = self._rows.get(index)
        if row is None or self.references.size == 0:
            return None
        return self._amplitudes.values[row][:, None] * self.references

    def share(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Shares of a point and their standard errors, each of shape (k,), or None."""
        row = self._rows.get(index)
        return None if row is None else (self._shares.values[row], self._shares_se.values[row])

    def share_series(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in s, shape (n,), and shares, shape (n, k), of everything analysed."""
        return self._time_s.values, self._shares.values

    def residual_series(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in s and residuals in counts, both of shape (n,), of everything analysed."""
        return self._time_s.values, self._residual_rms.values

    def shares_with_errors(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Times in s, shape (n,), shares and their standard errors, each (n, k), of everything analysed."""
        return self._time_s.values, self._shares.values, self._shares_se.values

    def rows_since(self, first: int) -> list[tuple[float, float, float]]:
        """Time in s, share of the growing phase, residual in counts: every row of the analysis from ``first`` on."""
        times, residuals = self._time_s.values[first:], self._residual_rms.values[first:]
        shares = self._shares.values[first:, -1] if self.labels else np.full(len(times), np.nan)
        return list(zip(times.tolist(), shares.tolist(), residuals.tolist(), strict=True))

    def column(self, quantity: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Indices of the analysed points, and the values of a quantity there: see :meth:`RunData.image`."""
        index = np.fromiter(self._rows, dtype=np.int64, count=len(self._rows))
        row = np.fromiter(self._rows.values(), dtype=np.int64, count=len(self._rows))
        if quantity == "residual":
            return index, self._residual_rms.values[row]
        kind, _, label = quantity.partition(":")
        table = {"share": self._shares, "share_se": self._shares_se}[kind]
        return index, table.values[row, self.labels.index(label)]

    @property
    def numbers(self) -> dict[str, Number]:
        """The fit's numbers, with standard errors."""
        return self.results.numbers
