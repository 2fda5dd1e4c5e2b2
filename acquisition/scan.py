"""A measurement in memory, the same whether it comes from a finished file or from a journal.

Reading is in :mod:`halidescope.acquisition.storage`; nothing here knows a file format.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.acquisition.closes import Closes
from halidescope.acquisition.map_recipes import AdaptiveMap
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import Event, SpectrumRecord
from halidescope.acquisition.results import OnlineResults

if TYPE_CHECKING:
    from halidescope.acquisition.stored_analysis import StoredAnalysis

Floats = NDArray[np.float64]
Counts = NDArray[Any]                    # raw: unsigned integers; imported or averaged: floats too
Range = tuple[float, float]


@dataclass(frozen=True)
class Dark:
    """Spectra taken with the laser verified dark.

    Attributes
    ----------
    mean, mean_se : ndarray, shape (channels,)
        Mean counts and their standard error; zeros and NaN if there are none, NaN errors if there is only one.
    spectra : ndarray, shape (count, channels)
        The single ones, in counts.
    exposure_s : float
        Their exposure; NaN if there are none.
    """

    mean: Floats
    mean_se: Floats
    spectra: NDArray[np.unsignedinteger]
    exposure_s: float

    @property
    def count(self) -> int:
        """How many."""
        return len(self.spectra)


def dark_of(spectra: NDArray[np.unsignedinteger], exposure_s: float) -> Dark:
    """Mean and standard error of dark spectra, shape (count, channels)."""
    count, channels = spectra.shape
    mean = spectra.mean(axis=0, dtype=np.float64) if count else np.zeros(channels)
    error = spectra.std(axis=0, ddof=1, dtype=np.float64) / np.sqrt(count) if count > 1 else np.full(channels, np.nan)
    return Dark(mean, error, spectra, exposure_s)


@dataclass(frozen=True)
class MeanSpectrum:
    """Mean of a scan's valid spectra, the mean dark subtracted.

    Attributes
    ----------
    wavelength_nm, counts, counts_se : ndarray, shape (channels,)
        ``counts_se`` holds the scatter of the spectra and the error of the dark; NaN where it cannot be known.
    """

    wavelength_nm: Floats
    counts: Floats
    counts_se: Floats


@dataclass(frozen=True)
class PointGrid:
    """Scattered points on a grid: each place belongs to the point nearest to it.

    Attributes
    ----------
    x_um, y_um : ndarray, shape (nx,) and (ny,)
        Columns and rows of the finest grid, µm.
    point : ndarray of int, shape (ny, nx)
        Which point; ``values[grid.point]`` paints any per-point quantity, ``scan.spectra[grid.point]`` the cube.
    """

    x_um: Floats
    y_um: Floats
    point: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Scan(Closes):
    """One measurement. A map has the shape (ny, nx), a series (n,); call that shape *points*.

    Every array but the spectra is in memory; the spectra are read when first asked for. Where ``valid`` is False
    nothing was measured, or the row is damaged: counts are 0 there and numbers NaN. Spectra of a finished file are held
    against their CRCs when they are read; those that do not match become invalid then (:attr:`found_damaged`).

    Attributes
    ----------
    kind : str
        The recipe's kind.
    wavelength_nm : ndarray, shape (channels,)
        True wavelength of every channel, ascending.
    valid : ndarray of bool, shape points
    time_s : ndarray, shape points
        Middle of the exposure, s since the light came on.
    time_se_s : ndarray, shape points
        Its standard error: half-known because the exposure lay somewhere between request and arrival.
    position_um : ndarray, shape points + (2,)
        Position read back from the stage, x and y in µm.
    exposure_s, sample_power_uw, dose_j_cm2 : ndarray, shape points
        Exposure; power at the sample; peak dose accumulated at the spot up to the end of the exposure.
    saturated : ndarray of bool, shape points
    axes : dict
        Planned axes of the points, in order: ``y`` and ``x`` in µm, ``time`` in s, or ``point`` (see
        :meth:`point_grid`).
    dark : Dark
    events : tuple of Event
    results : OnlineResults or None
        The online analysis's last word.
    metadata : dict
        Recipe, microscope file, identities, calibration, versions, start and end, state and reason, ``simulated``.
    damaged : tuple of int
        Points whose rows were found damaged.
    missing : dict
        Point (row × columns + column) → why it was not measured.
    repeats : tuple of SpectrumRecord
        Spectra taken again at points measured before a cut-off: how far stage and film had drifted. Counts in
        ascending wavelength.
    more : dict
        Further per-point quantities, shape points: ``planned_s``, ``start_s``, ``x_commanded_um``, ``y_commanded_um``,
        ``measured_power_uw``, ``sequence``, ``flags`` of our own measurements, as far as they are known.
    """

    source: str
    kind: str
    wavelength_nm: Floats
    valid: NDArray[np.bool_]
    time_s: Floats
    time_se_s: Floats
    position_um: Floats
    exposure_s: Floats
    sample_power_uw: Floats
    dose_j_cm2: Floats
    saturated: NDArray[np.bool_]
    axes: Mapping[str, Floats]
    dark: Dark
    events: tuple[Event, ...]
    results: OnlineResults | None
    metadata: Mapping[str, Any]
    damaged: tuple[int, ...] = ()
    missing: Mapping[int, str] = field(default_factory=dict)
    repeats: tuple[SpectrumRecord, ...] = ()
    more: Mapping[str, NDArray] = field(default_factory=dict)
    read_spectra: Callable[[tuple[int, ...] | None], Counts] = field(repr=False)
    release: Callable[[], None] = field(repr=False)
    read_sums: Callable[[slice], Floats] | None = field(default=None, repr=False)
    stored_sum: Floats | None = field(default=None, repr=False)
    spoiled: set[int] = field(default_factory=set, repr=False)    # found damaged while reading; grows

    def close(self) -> None:
        """Close the file. What was read stays."""
        self.release()

    @cached_property
    def spectra(self) -> Counts:
        """Raw counts, nothing subtracted, shape points + (channels,)."""
        return self.read_spectra(None)

    def spectrum(self, *point: int) -> Counts:
        """Raw counts of one point, shape (channels,), without reading the others: ``spectrum(row, column)``."""
        return self.read_spectra(point)

    @property
    def counts_sum(self) -> Floats:
        """Sum of each point's raw counts over all channels, shape points, NaN where invalid; stored if possible."""
        if self.stored_sum is not None:
            return self.stored_sum
        return np.where(self.valid, self.spectra.sum(axis=-1, dtype=np.float64), np.nan)

    def band_sum(self, low_nm: float, high_nm: float) -> Floats:
        """Sum of each point's raw counts between two wavelengths (both included), shape points, NaN where invalid.

        Reads chunk by chunk where the file allows, without holding the spectra in memory.
        """
        first, last = np.searchsorted(self.wavelength_nm, [low_nm, np.nextafter(high_nm, np.inf)])
        channels = slice(int(first), int(last))
        if self.read_sums is not None and "spectra" not in self.__dict__:
            sums = self.read_sums(channels)
        else:
            sums = self.spectra[..., channels].sum(axis=-1, dtype=np.float64)
        return np.where(self.valid, sums, np.nan)

    @property
    def found_damaged(self) -> tuple[int, ...]:
        """Points known to be damaged by now, those included that were found so when the spectra were read."""
        return tuple(sorted({*self.damaged, *self.spoiled}))

    @property
    def simulated(self) -> bool:
        """True if nothing of this was measured on a real film."""
        return bool(self.metadata["simulated"])

    def point_grid(self) -> PointGrid:
        """A scan of scattered points (an adaptive map) as a grid, without interpolating: every place has its point.

        Raises
        ------
        ScanFileError
            The scan is no adaptive map, or holds no valid spectrum.
        """
        if self.kind != "adaptive-map":
            raise ScanFileError(f"{self.source}: a {self.kind} has its own axes; only an adaptive map needs a grid")
        measured = np.flatnonzero(self.valid)
        if len(measured) == 0:
            raise ScanFileError(f"{self.source}: holds no valid spectrum; choose another file")
        recipe = AdaptiveMap.model_validate(self.metadata["recipe"])
        from scipy.spatial import KDTree  # at use: engine and watchdog start with this module and need none

        places = np.stack(np.meshgrid(recipe.x_um, recipe.y_um), axis=-1)
        _, nearest = KDTree(self.position_um[measured]).query(places)
        return PointGrid(recipe.x_um, recipe.y_um, measured[nearest])

    def mean_spectrum(self) -> MeanSpectrum:
        """Mean of all valid spectra minus the mean dark, with standard errors; an endmember for unmixing.

        Raises
        ------
        ScanFileError
            The scan has no valid spectrum.
        """
        spectra = self.spectra[self.valid].astype(np.float64)
        count = len(spectra)
        if count == 0:
            raise ScanFileError(f"{self.source}: holds no valid spectrum, so it has no mean; choose another file")
        scatter = spectra.var(axis=0, ddof=1) / count if count > 1 else np.full(spectra.shape[1], np.nan)
        dark_variance = self.dark.mean_se**2 if self.dark.count else 0.0
        return MeanSpectrum(
            self.wavelength_nm, spectra.mean(axis=0) - self.dark.mean, np.sqrt(scatter + dark_variance)
        )

    def crop(
        self, *, wavelength_nm: Range | None = None, time_s: Range | None = None, x_um: Range | None = None,
        y_um: Range | None = None,
    ) -> "Scan":
        """The part inside the given ranges, both ends included; see :func:`halidescope.acquisition.excerpts.crop`."""
        from halidescope.acquisition.excerpts import crop

        return crop(self, wavelength_nm=wavelength_nm, time_s=time_s, x_um=x_um, y_um=y_um)

    def select(self, points: ArrayLike) -> "Scan":
        """Some points as a series; see :func:`halidescope.acquisition.excerpts.select`."""
        from halidescope.acquisition.excerpts import select

        return select(self, points)

    def average(self, *axes: str, every: int | None = None) -> "Scan":
        """Mean over axes, or over groups of neighbours; see :func:`halidescope.acquisition.excerpts.average`."""
        from halidescope.acquisition.excerpts import average

        return average(self, *axes, every=every)

    def to_xarray(self) -> Any:
        """The spectra as an :class:`xarray.DataArray` with labelled axes; per-point quantities are coordinates."""
        from halidescope.acquisition.exchange import to_xarray

        return to_xarray(self)

    def to_hyperspy(self) -> Any:
        """The spectra as a HyperSpy ``Signal1D`` with the true (not resampled) wavelength as data axis.

        Raises
        ------
        ScanFileError
            HyperSpy is not installed.
        """
        from halidescope.acquisition.exchange import to_hyperspy

        return to_hyperspy(self)

    def stored_analyses(self) -> "list[StoredAnalysis]":
        """Analyses stored beside the file, the oldest first (:mod:`halidescope.acquisition.results_file`).

        Those of other spectra than the scan's say so in their notes.

        Raises
        ------
        ScanFileError
            The file of results is damaged.
        """
        from halidescope.acquisition.results_file import analyses_of

        return analyses_of(self)

    @property
    def true_axes(self) -> dict[str, Floats]:
        """Planned axes, the time of a series replaced by the actual mid-exposure times; between those where unknown."""
        axes = dict(self.axes)
        known = np.isfinite(self.time_s)
        if "time" in axes and self.time_s.shape == axes["time"].shape and known.any():
            planned, at = axes["time"], np.flatnonzero(known)
            late = np.interp(np.arange(len(planned)), at, (self.time_s - planned)[known])
            axes["time"] = np.where(known, self.time_s, planned + late)
        return axes

    @property
    def columns(self) -> dict[str, NDArray]:
        """Every per-point quantity by its name, those of ``more`` included; shape points each."""
        return {
            "time_s": self.time_s, "time_se_s": self.time_se_s, "x_um": self.position_um[..., 0],
            "y_um": self.position_um[..., 1], "exposure_s": self.exposure_s, "sample_power_uw": self.sample_power_uw,
            "dose_j_cm2": self.dose_j_cm2, "valid": self.valid, "saturated": self.saturated, **self.more,
        }
