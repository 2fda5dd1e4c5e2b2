"""A measurement in memory, the same whether it comes from a finished file or from a journal.

Reading is in :mod:`halidescope.acquisition.storage`; nothing here knows a file format.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import Event, SpectrumRecord
from halidescope.acquisition.results import OnlineResults

Floats = NDArray[np.float64]


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


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One measurement. A map has the shape (ny, nx), a series (n,); call that shape *points*.

    Every array but the spectra is in memory; the spectra are read when first asked for. Where ``valid`` is False
    nothing was measured, or the row is damaged: counts are 0 there and numbers NaN.

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
        Planned axes of the points, in order: ``y`` and ``x`` in µm, or ``time`` in s.
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
    read_spectra: Callable[[tuple[int, ...] | None], NDArray[np.unsignedinteger]] = field(repr=False)
    release: Callable[[], None] = field(repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. What was read stays."""
        self.release()

    @cached_property
    def spectra(self) -> NDArray[np.unsignedinteger]:
        """Raw counts, nothing subtracted, shape points + (channels,)."""
        return self.read_spectra(None)

    def spectrum(self, *point: int) -> NDArray[np.unsignedinteger]:
        """Raw counts of one point, shape (channels,), without reading the others: ``spectrum(row, column)``."""
        return self.read_spectra(point)

    @property
    def simulated(self) -> bool:
        """True if nothing of this was measured on a real film."""
        return bool(self.metadata["simulated"])

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

    def to_xarray(self) -> Any:
        """The spectra as an :class:`xarray.DataArray` with labelled axes; per-point quantities are coordinates."""
        import xarray as xr

        points = tuple(self.axes)
        units = {"y": "um", "x": "um", "time": "s"}
        coordinates: dict[str, Any] = {
            name: (name, values, {"units": units.get(name, "")}) for name, values in self._true_axes().items()
        }
        coordinates["wavelength"] = ("wavelength", self.wavelength_nm, {"units": "nm"})
        for name, values, unit in (
            ("time_s", self.time_s, "s"), ("time_se_s", self.time_se_s, "s"), ("x_um", self.position_um[..., 0], "um"),
            ("y_um", self.position_um[..., 1], "um"), ("dose_j_cm2", self.dose_j_cm2, "J/cm^2"),
            ("exposure_s", self.exposure_s, "s"), ("sample_power_uw", self.sample_power_uw, "uW"),
            ("valid", self.valid, ""), ("saturated", self.saturated, ""),
        ):
            coordinates[name] = (points, values, {"units": unit})
        return xr.DataArray(
            self.spectra, dims=(*points, "wavelength"), coords=coordinates, name="intensity",
            attrs={"units": "counts", "kind": self.kind, "simulated": self.simulated, "source": self.source},
        )

    def _true_axes(self) -> dict[str, Floats]:
        """Planned axes, the time of a series replaced by the actual mid-exposure times where they are known."""
        axes = dict(self.axes)
        if "time" in axes:
            axes["time"] = np.where(np.isfinite(self.time_s), self.time_s, axes["time"])
        return axes

    def to_hyperspy(self) -> Any:
        """The spectra as a HyperSpy ``Signal1D`` with the true (not resampled) wavelength as data axis.

        Raises
        ------
        ScanFileError
            HyperSpy is not installed.
        """
        try:
            from hyperspy.api import signals
        except ImportError as error:
            raise ScanFileError("HyperSpy is not installed; pip install 'halidescope[hyperspy]'") from error
        units = {"y": "µm", "x": "µm", "time": "s"}
        axes: list[dict[str, Any]] = [
            {"name": name, "axis": values, "units": units.get(name, ""), "navigate": True}
            if len(values) > 1 else
            {"name": name, "size": 1, "offset": float(values[0]), "units": units.get(name, ""), "navigate": True}
            for name, values in self._true_axes().items()
        ]
        axes.append({"name": "wavelength", "axis": self.wavelength_nm, "units": "nm", "navigate": False})
        signal = signals.Signal1D(self.spectra, axes=axes)
        signal.metadata.General.title = str(self.metadata["title"])
        signal.metadata.Signal.quantity = "Intensity (counts)"
        signal.metadata.add_dictionary({"halidescope": {"kind": self.kind, "simulated": self.simulated}})
        return signal
