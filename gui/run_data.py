"""What a window holds of one measurement, live or saved: spectra, shares and fit, bounded in memory.

Arrays only; where they come from is :mod:`halidescope.gui.feed` (live) and :mod:`halidescope.gui.offline` (saved), and
how they look is the docks' business.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.recipes import RasterMap
from halidescope.acquisition.results import Number, OnlineResults
from halidescope.acquisition.scan import Scan
from halidescope.gui.time_stack import TimeStack

RACE = 64             # spectra that the analysis may be ahead of the ring's reader
KEPT_BYTES = 200e6   # of spectra in float32; older ones of a longer run are in its file


class TakenSpectrum(Protocol):
    """One spectrum as the ring gives it; positions in µm, power in µW, dose in J/cm²."""

    @property
    def sequence(self) -> int: ...
    @property
    def run(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def time_s(self) -> float: ...
    @property
    def x_um(self) -> float: ...
    @property
    def y_um(self) -> float: ...
    @property
    def sample_power_uw(self) -> float: ...
    @property
    def exposure_s(self) -> float: ...
    @property
    def dose_j_cm2(self) -> float: ...
    @property
    def dark_level(self) -> float: ...
    @property
    def saturated(self) -> bool: ...
    @property
    def counts(self) -> NDArray[np.generic]: ...


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

    def pixel_at(self, x_um: float, y_um: float) -> int | None:
        """Index (row × columns + column) of the pixel that covers a place, None outside."""
        dx, dy = self.step_um
        column, row = round((x_um - self.x_um[0]) / dx), round((y_um - self.y_um[0]) / dy)
        ny, nx = self.shape
        return row * nx + column if 0 <= row < ny and 0 <= column < nx else None


class RunData:
    """Spectra and results of one measurement, by the index of the point in the recipe.

    Attributes
    ----------
    wavelength_nm : ndarray, shape (channels,)
        Empty until the first spectrum's axis is known.
    grid : Grid or None
        The pixels, for a map.
    dark : ndarray, shape (channels,), or None
        Mean dark spectrum in counts, as the online analysis subtracts it.
    """

    def __init__(self) -> None:
        self.wavelength_nm: NDArray[np.float64] = np.empty(0)
        self.grid: Grid | None = None
        self.clear()

    def clear(self) -> None:
        """Forget everything but the wavelength axis."""
        self.stack: TimeStack | None = None
        self.seen = 0
        self.last_time_s = -np.inf
        self.newest_index: int | None = None
        self._counts: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._places: dict[int, tuple[float, float, float]] = {}
        self._totals: dict[int, float] = {}
        self.dark: NDArray[np.float64] | None = None
        self.results = OnlineResults()
        self.references: NDArray[np.float64] = np.empty((0, 0))
        self._rows: dict[int, int] = {}
        self._index: list[int] = []
        self._time_s: list[float] = []
        self._amplitudes: list[list[float | None]] = []
        self._shares: list[list[float | None]] = []
        self._shares_se: list[list[float | None]] = []
        self._residual_rms: list[float | None] = []

    def set_axis(self, wavelength_nm: NDArray[np.float64]) -> None:
        """Set the wavelength axis, in nm; another axis than before empties everything."""
        axis = np.asarray(wavelength_nm, dtype=float)
        if len(self.wavelength_nm) and not np.array_equal(axis, self.wavelength_nm):
            self.clear()
        self.wavelength_nm = axis

    def add(self, spectra: Iterable[TakenSpectrum]) -> None:
        """Take in spectra in the order of taking."""
        for spectrum in spectra:
            self.last_time_s = spectrum.time_s
            self.newest_index = spectrum.index
            self._keep(spectrum.index, spectrum.time_s, (spectrum.x_um, spectrum.y_um), spectrum.counts)

    def _keep(self, index: int, time_s: float, place: tuple[float, float], counts: NDArray[np.generic]) -> None:
        if index in self._places:
            return
        self.seen += 1
        self._places[index] = (*place, time_s)
        self._counts[index] = np.asarray(counts, dtype=np.float32)
        self._totals[index] = float(np.sum(counts, dtype=np.float64))
        if len(self._counts) * max(len(counts), 1) * 4 > KEPT_BYTES:
            self._counts.popitem(last=False)
        if self.grid is None:
            if self.stack is None:
                self.stack = TimeStack(self.wavelength_nm)
            self.stack.add(time_s, self._counts[index])

    def _restack(self) -> None:
        """Make the colour map anew in the order of time: what was missed is older than what was seen."""
        self.stack = None if self.grid is not None else TimeStack(self.wavelength_nm)
        if self.stack is not None:
            for index in sorted(self._counts, key=lambda one: self._places[one][2]):
                self.stack.add(self._places[index][2], self._counts[index])

    def load(self, scan: Scan) -> None:
        """Take in a measurement's file or journal: what was missed is added, what is known stays."""
        self.set_axis(scan.wavelength_nm)
        if {"x", "y"} <= set(scan.axes):
            self.grid = Grid(np.asarray(scan.axes["x"], dtype=float), np.asarray(scan.axes["y"], dtype=float))
        if scan.dark.count:
            self.dark = scan.dark.mean
        valid = scan.valid.ravel()
        time_s = scan.time_s.ravel()
        places = scan.position_um.reshape(-1, 2)
        counts = scan.spectra.reshape(len(valid), -1)
        for index in np.flatnonzero(valid)[np.argsort(time_s[valid], kind="stable")]:
            place = (float(places[index, 0]), float(places[index, 1]))
            self._keep(int(index), float(time_s[index]), place, counts[index])
            if time_s[index] > self.last_time_s:
                self.last_time_s, self.newest_index = float(time_s[index]), int(index)
        self._restack()
        if scan.results is not None and len(scan.results.index) > self.analysed:
            self.add_results(scan.results)

    def add_results(self, results: OnlineResults) -> None:
        """Take in a snapshot of the analysis: rows from ``results.first`` on, numbers and curves as a whole."""
        if results.first == 0:
            self._rows.clear()
        keep = min(results.first, len(self._index))
        pairs: tuple[tuple[list[Any], list[Any]], ...] = (
            (self._index, results.index), (self._time_s, results.time_s), (self._amplitudes, results.amplitudes),
            (self._shares, results.shares), (self._shares_se, results.shares_se),
            (self._residual_rms, results.residual_rms),
        )  # fmt: skip
        for rows, more in pairs:
            del rows[keep:]
            rows.extend(more)
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
    def newest_analysed(self) -> int | None:
        """Index of the last analysed point whose spectrum is held; results may come a moment before spectra."""
        return next((index for index in reversed(self._index[-RACE:]) if index in self._counts), None)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the endmembers; the last grows."""
        return self.results.labels

    def counts(self, index: int) -> NDArray[np.float32] | None:
        """Counts of a point, shape (channels,), less the dark spectrum if it is known; None if not held."""
        raw = self._counts.get(index)
        if raw is None or self.dark is None or len(self.dark) != len(raw):
            return raw
        return (raw - self.dark).astype(np.float32)

    def place(self, index: int) -> tuple[float, float, float] | None:
        """Where and when a point was taken: x in µm, y in µm, time in s."""
        return self._places.get(index)

    def parts(self, index: int) -> NDArray[np.float64] | None:
        """The unmixed parts of a point in counts, shape (k, channels), or None."""
        row = self._rows.get(index)
        if row is None or self.references.size == 0:
            return None
        return np.asarray(self._amplitudes[row], dtype=float)[:, None] * self.references

    def share(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Shares of a point and their standard errors, each of shape (k,), or None."""
        row = self._rows.get(index)
        return None if row is None else (
            np.asarray(self._shares[row], dtype=float), np.asarray(self._shares_se[row], dtype=float)
        )

    def share_series(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in s, shape (n,), and shares, shape (n, k), of everything analysed."""
        shares = np.asarray(self._shares, dtype=float)
        return np.asarray(self._time_s, dtype=float), shares.reshape(len(self._time_s), len(self.labels))

    def shares_with_errors(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The same with the standard errors, shape (n, k)."""
        time_s, shares = self.share_series()
        return time_s, shares, np.asarray(self._shares_se, dtype=float).reshape(shares.shape)

    def dark_subtracted(self) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Times in s, shape (n,), and spectra less the dark one, shape (n, channels), of all that are held."""
        held = [(self._places[index][2], index) for index in self._counts]
        spectra = [counts for _, index in held if (counts := self.counts(index)) is not None]
        return np.array([time_s for time_s, _ in held]), np.stack(spectra) if spectra else np.empty((0, 0), np.float32)

    def rows_since(self, first: int) -> list[tuple[float, float, float]]:
        """Time in s, share of the growing phase, residual in counts: every row of the analysis from ``first`` on."""
        return [
            (time_s, np.nan if shares[-1] is None else shares[-1], np.nan if residual is None else residual)
            for time_s, shares, residual in zip(
                self._time_s[first:], self._shares[first:], self._residual_rms[first:], strict=True
            )
        ]

    def image(self, quantity: str) -> NDArray[np.float64]:
        """A map of a quantity, shape (ny, nx), not-a-number where nothing was measured.

        Parameters
        ----------
        quantity : str
            ``"intensity"`` (sum over all channels, counts), ``"residual"`` (counts) or a phase's label (its share).
        """
        if self.grid is None:
            raise ValueError("this measurement is not a map")
        image = np.full(self.grid.shape, np.nan)
        index = np.asarray(self._index, dtype=int)
        if quantity == "intensity":
            index = np.fromiter(self._totals, dtype=int, count=len(self._totals))
            values = np.fromiter(self._totals.values(), dtype=float, count=len(self._totals))
            values -= 0.0 if self.dark is None else float(self.dark.sum())
        elif quantity == "residual":
            values = np.asarray(self._residual_rms, dtype=float)
        else:
            column = self.labels.index(quantity)
            values = np.asarray([row[column] for row in self._shares], dtype=float)
        inside = (index >= 0) & (index < image.size)
        if len(index):
            image.flat[index[inside]] = values[inside]
        return image

    @property
    def numbers(self) -> dict[str, Number]:
        """The fit's numbers, with standard errors."""
        return self.results.numbers
