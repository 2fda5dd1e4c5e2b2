"""What a window holds of one measurement, live or saved: spectra, shares and fit, bounded in memory.

Arrays only; where they come from is :mod:`halidescope.gui.feed` (live) and :mod:`halidescope.gui.offline` (saved), and
how they look is the docks' business.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from halidescope.acquisition.importers import open_any
from halidescope.acquisition.recipes import AdaptiveMap
from halidescope.acquisition.scan import Scan
from halidescope.gui.analysed_rows import AnalysedRows
from halidescope.gui.growing import Growing
from halidescope.gui.map_grid import Grid
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


class RunData(AnalysedRows):
    """Spectra of one measurement, by the index of the point in the recipe, and what the analysis found in them.

    Attributes
    ----------
    wavelength_nm : ndarray, shape (channels,)
        Empty until the first spectrum's axis is known.
    grid : Grid or None
        The pixels, for a map.
    scattered : bool
        The map's points do not lie on its pixels (an adaptive map): every pixel shows the point nearest to it.
    dark : ndarray, shape (channels,), or None
        Mean dark spectrum in counts, as the online analysis subtracts it.
    """

    def __init__(self) -> None:
        self.wavelength_nm: NDArray[np.float64] = np.empty(0)
        self.grid: Grid | None = None
        self.clear()

    @classmethod
    def of(cls, scan: Scan) -> "RunData":
        """All of a measurement's file or journal; no widget is touched, so that it may be done in a lane."""
        data = cls()
        data.set_axis(scan.wavelength_nm)
        data._load(scan)
        return data

    def clear(self) -> None:
        """Forget everything but the wavelength axis."""
        self.scattered = False
        self._nearest: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))
        self.stack: TimeStack | None = None
        self.seen = 0
        self.last_time_s = -np.inf
        self.newest_index: int | None = None
        self._counts: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._points = Growing(5)                  # x, y in µm, time in s, total counts, dose in J/cm²; by index
        self.dark: NDArray[np.float64] | None = None
        self.forget_rows()

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
            self._keep(
                spectrum.index, (spectrum.x_um, spectrum.y_um, spectrum.time_s), spectrum.dose_j_cm2, spectrum.counts
            )

    def _keep(
        self, index: int, place: tuple[float, float, float], dose_j_cm2: float, counts: NDArray[np.generic]
    ) -> None:
        if self.place(index) is not None:
            return
        self.seen += 1
        if index >= self._points.count:
            self._points.resize(index + 1)
        self._points.values[index] = (*place, float(np.sum(counts, dtype=np.float64)), dose_j_cm2)
        self._counts[index] = np.asarray(counts, dtype=np.float32)
        self._forget_old(len(counts))
        if self.grid is None:
            if self.stack is None:
                self.stack = TimeStack(self.wavelength_nm)
            self.stack.add(place[2], self._counts[index])

    def _forget_old(self, channels: int) -> None:
        while len(self._counts) * max(channels, 1) * 4 > KEPT_BYTES:
            self._counts.popitem(last=False)

    def _load(self, scan: Scan) -> None:
        if {"x", "y"} <= set(scan.axes):
            self.grid = Grid(np.asarray(scan.axes["x"], dtype=float), np.asarray(scan.axes["y"], dtype=float))
        if scan.kind == "adaptive-map":
            recipe = AdaptiveMap.model_validate(scan.metadata["recipe"])
            self.grid, self.scattered = Grid(np.asarray(recipe.x_um), np.asarray(recipe.y_um)), True
        if scan.dark.count:
            self.dark = scan.dark.mean
        valid = scan.valid.ravel()
        time_s = scan.time_s.ravel()
        places = scan.position_um.reshape(-1, 2)
        counts = scan.spectra.reshape(len(valid), -1)
        if not np.isfinite(time_s[valid]).all():       # another program's, which did not say: in the order of the file
            time_s = np.arange(len(valid), dtype=float)
        order = np.flatnonzero(valid)[np.argsort(time_s[valid], kind="stable")]
        self._points.resize(len(valid))
        rows = self._points.values
        rows[order, 0:2], rows[order, 2] = places[order], time_s[order]
        for some in np.array_split(order, max(1, len(order) // 4096)):      # not a second copy of everything
            rows[some, 3] = counts[some].sum(axis=1, dtype=np.float64)
        rows[order, 4] = scan.dose_j_cm2.ravel()[order]
        self.seen = len(order)
        if len(order):
            self.last_time_s, self.newest_index = float(time_s[order[-1]]), int(order[-1])
        if self.grid is None and len(order):
            self.stack = TimeStack(self.wavelength_nm)
            for index in order:
                self.stack.add(float(time_s[index]), counts[index])
        for index in order[-max(1, int(KEPT_BYTES / (4 * max(counts.shape[1], 1)))) :]:
            self._counts[int(index)] = counts[index].astype(np.float32)
        if scan.results is not None:
            self.add_results(scan.results)

    def take_over(self, other: "RunData") -> None:
        """Take in what another holds of the same measurement and this lacks: what came while this was read."""
        for index, counts in other._counts.items():
            place = other.place(index)
            if place is not None and self.place(index) is None:
                if place[2] > self.last_time_s:
                    self.last_time_s, self.newest_index = place[2], index
                self._keep(index, place, float(other._points.values[index, 4]), counts)
        if other.analysed > self.analysed:
            self.take_rows(other)

    @property
    def points(self) -> int:
        """Greatest index of a point that was taken, plus one."""
        return self._points.count

    @property
    def newest_analysed(self) -> int | None:
        """Index of the last analysed point whose spectrum is held; results may come a moment before spectra."""
        return next((index for index in reversed(self._index[-RACE:]) if index in self._counts), None)

    def counts(self, index: int) -> NDArray[np.float32] | None:
        """Counts of a point, shape (channels,), less the dark spectrum if it is known; None if not held."""
        raw = self._counts.get(index)
        if raw is None or self.dark is None or len(self.dark) != len(raw):
            return raw
        return (raw - self.dark).astype(np.float32)

    def held(self) -> Iterator[int]:
        """Indices of the points whose spectra are held, in the order of taking."""
        return iter(self._counts)

    def place(self, index: int) -> tuple[float, float, float] | None:
        """Where and when a point was taken: x in µm, y in µm, time in s."""
        if not 0 <= index < self._points.count:
            return None
        x_um, y_um, time_s = self._points.values[index, :3]
        return None if np.isnan(time_s) else (float(x_um), float(y_um), float(time_s))

    def nearest_in_time(self, time_s: float) -> int | None:
        """Index of the point taken closest to a time whose spectrum is held; None if there is none."""
        held = np.fromiter(self._counts, dtype=np.int64, count=len(self._counts))
        if not len(held):
            return None
        return int(held[np.argmin(np.abs(self._points.values[held, 2] - time_s))])

    def point_of(self, pixel: int) -> int:
        """Index of the point that a pixel of the map shows."""
        if not self.scattered:
            return pixel
        nearest = self._nearest_points()
        return int(nearest[pixel]) if len(nearest) else -1

    def on_grid(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of the points, by index, as an image of shape (ny, nx); not-a-number where nothing was measured."""
        assert self.grid is not None
        image = np.full(self.grid.shape, np.nan)
        if self.scattered:
            nearest = self._nearest_points()
            if len(nearest) and int(nearest.max()) < len(values):
                image.flat[:] = values[nearest]
            return image
        some = values[: image.size]
        image.flat[: len(some)] = some
        return image

    def _nearest_points(self) -> NDArray[np.int64]:
        """Which point is nearest to every pixel, of those measured so far; empty before the first."""
        if self._nearest[0] != self.seen and self.grid is not None:
            measured = np.flatnonzero(np.isfinite(self._points.values[:, 2]))
            found = np.empty(0, dtype=np.int64)
            if len(measured):
                places = np.stack(np.meshgrid(self.grid.x_um, self.grid.y_um), axis=-1).reshape(-1, 2)
                found = measured[KDTree(self._points.values[measured, :2]).query(places)[1]]
            self._nearest = (self.seen, found)
        return self._nearest[1]

    def times_and_totals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in s and counts above dark summed over all channels, by index; not-a-number where nothing was taken."""
        dark = 0.0 if self.dark is None else float(self.dark.sum())
        return self._points.values[:, 2], self._points.values[:, 3] - dark

    def dark_subtracted(self) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Times in s, shape (n,), and spectra less the dark one, shape (n, channels), of all that are held."""
        held = list(self._counts)
        spectra = [counts for index in held if (counts := self.counts(index)) is not None]
        times = self._points.values[held, 2] if held else np.empty(0)
        return times, np.stack(spectra) if spectra else np.empty((0, 0), np.float32)

    def image(self, quantity: str) -> NDArray[np.float64]:
        """A map of a quantity, shape (ny, nx), not-a-number where nothing was measured.

        Parameters
        ----------
        quantity : str
            ``"intensity"`` (sum over all channels above dark, counts), ``"dose"`` (J/cm²), ``"time"`` (s),
            ``"residual"`` (counts), ``"share:LABEL"`` of a phase, or ``"share_se:LABEL"``, its standard error.
        """
        if self.grid is None:
            raise ValueError("this measurement is not a map")
        points = self._points.values
        if quantity in ("intensity", "dose", "time"):
            column = {"time": 2, "intensity": 3, "dose": 4}[quantity]
            dark = float(self.dark.sum()) if quantity == "intensity" and self.dark is not None else 0.0
            return self.on_grid(points[:, column] - dark)
        index, values = self.column(quantity)
        known = np.full(max(len(points), int(index.max()) + 1 if len(index) else 0), np.nan)
        known[index] = values
        return self.on_grid(known)


def read_whole(path: Path) -> tuple[Scan, RunData]:
    """A measurement with its spectra, its file closed again, and what views need of it; for a lane."""
    with open_any(path) as scan:
        data = RunData.of(scan)
    return scan, data
