"""Reads a finished file of ours: :class:`NexusFile`. Files come from anywhere, so nothing in them is trusted.

No link out of the file is followed, no text or number column is read before its size is known, spectra are unpacked
into memory that was measured before, and every spectrum is held against its CRC. Files of every version that was
released are read: version 1 had no CRCs and sums.
"""

from pathlib import Path

import h5py
import msgspec
import numpy as np
import psutil
from isal import isal_zlib
from numpy.typing import NDArray

from halidescope.acquisition.chunks import CubeReader
from halidescope.acquisition.hdf5_complaints import HDF5_COMPLAINTS
from halidescope.acquisition.light_page import LitSpot
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import Ending, Event, Flag, Header, SpectrumRecord
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.transport import COLUMNS, FIELDS, require_known
from halidescope.acquisition.untrusted import dataset_in, group_at, numbers_in, text_in

_NEEDED = ("valid", "flags", *FIELDS, "x_um", "y_um")
_OPTIONAL = (*(name for name in COLUMNS if name not in _NEEDED), "sequence", "averaged")


class NexusFile:
    """A finished file of ours; the spectra stay on the disk until they are asked for.

    Attributes
    ----------
    damaged_columns : list of str
        Number columns whose CRC does not match; they are NaN.

    Raises
    ------
    ScanFileError
        Not HDF5, not ours, damaged, or from a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            if "truncated file" in str(error):
                raise ScanFileError(
                    f"{path}: was cut off, {path.stat().st_size} bytes are left of it; copy it again from where it came"
                ) from error
            raise ScanFileError(f"{path}: not a readable NeXus file ({error})") from error
        try:
            self._read()
        except ScanFileError:
            self._file.close()
            raise
        except (*HDF5_COMPLAINTS, msgspec.MsgspecError) as error:
            self._file.close()
            raise ScanFileError(f"{path}: not a measurement of Halidescope, or damaged ({error})") from error

    def _read(self) -> None:
        own = group_at(self._file, "entry/halidescope")
        version = own.attrs.get_id("schema_version")
        if version.shape != ():
            raise ValueError("its schema version is no number")
        require_known(int(own.attrs["schema_version"]), str(self._path))
        self.header = msgspec.json.decode(text_in(own, "header"), type=Header)
        self.ending = msgspec.json.decode(text_in(own, "ending"), type=Ending | None)
        self.events = msgspec.json.decode(text_in(own, "events"), type=tuple[Event, ...])
        self.results = msgspec.json.decode(text_in(own, "online_results"), type=OnlineResults | None)
        self.damaged = msgspec.json.decode(text_in(own, "damaged_points"), type=tuple[int, ...])
        data = group_at(self._file, "entry/data")
        self.wavelength_nm: NDArray[np.float64] = numbers_in(data, "wavelength")
        self.intensity = dataset_in(data, "intensity")
        shape = self.intensity.shape[:-1]
        self._check_size(shape)
        self.damaged_columns: list[str] = []
        names = [*_NEEDED, *(name for name in _OPTIONAL if name in own)]
        self.columns = {name: self._column(own, name, shape) for name in names}
        self.columns["valid"] = self.columns["valid"].astype(bool)
        self._crc = numbers_in(own, "counts_crc") if "counts_crc" in own else None
        self.counts_sum = numbers_in(own, "counts_sum") if "counts_sum" in own else None
        for extra in (self._crc, self.counts_sum):
            if extra is not None and extra.shape != shape:
                raise ValueError("its CRCs have another shape than its spectra")
        points = max(int(np.prod(shape)), int(np.prod(self.header.shape)))      # a series may have ended early
        runs = msgspec.json.decode(text_in(own, "missing_points"), type=dict[str, list[tuple[int, int]]])
        self.missing = {
            point: why for why, stretches in runs.items() for first, last in stretches
            for point in range(max(first, 0), min(last, points - 1) + 1)
        }
        self.repeats = self._repeats(own["repeats"]) if "repeats" in own else ()
        self.light_spots = self._light_spots(own)
        darks = "dark_spectra" in own
        nothing = np.empty((0, len(self.wavelength_nm)), self.header.count_type)
        self.dark_spectra = numbers_in(own, "dark_spectra") if darks else nothing
        self.dark_exposure_s = numbers_in(own, "dark_exposure_s") if darks else np.empty(0)
        self.dark_start_s = numbers_in(own, "dark_start_s") if darks else np.empty(0)
        if self.dark_spectra.ndim != 2 or self.dark_spectra.shape[1] != len(self.wavelength_nm):
            raise ValueError("its dark spectra have another length than its wavelength axis")

    def _column(self, group: h5py.Group, name: str, shape: tuple[int, ...]) -> NDArray:
        values = numbers_in(group, name)
        if values.shape != shape:
            raise ScanFileError(f"{self._path}: spectra and axes do not fit together; the file is damaged")
        crc = group[name].attrs.get("crc32")
        if crc is not None and isal_zlib.crc32(np.ascontiguousarray(values).tobytes()) != int(crc):
            if values.dtype.kind != "f":
                raise ValueError(f"{name} does not match its CRC")
            self.damaged_columns.append(name)
            return np.full(shape, np.nan)
        return values

    def _check_size(self, shape: tuple[int, ...]) -> None:
        """Deflate packs 1032 : 1 at most; what claims more was not written by us."""
        if self.intensity.ndim < 2 or self.intensity.shape[-1] != len(self.wavelength_nm):
            raise ScanFileError(f"{self._path}: spectra and axes do not fit together; the file is damaged")
        if self.intensity.dtype.kind not in "uif" or not shape or 0 in self.intensity.shape:
            raise ValueError("its spectra are no numbers")
        if self.intensity.nbytes > 1100 * self._path.stat().st_size:
            raise ScanFileError(
                f"{self._path}: claims {self.intensity.nbytes / 1e9:.3g} GB of spectra, more than its size allows; "
                "it is damaged"
            )

    def _light_spots(self, own: h5py.Group) -> tuple[LitSpot, ...]:
        if "light_spots" not in own:
            return ()
        spots = numbers_in(own, "light_spots")
        if spots.ndim != 2 or spots.shape[1] not in (3, 4):      # 3: up to 0.1.0, without doubt
            raise ValueError("its lit spots are no list of places and doses")
        return tuple(LitSpot(*map(float, spot)) for spot in spots)

    def _repeats(self, group: h5py.Group) -> tuple[SpectrumRecord, ...]:
        columns = {name: numbers_in(group, name) for name in ("counts", "sequence", "index", "flags", *COLUMNS)}
        return tuple(
            SpectrumRecord(
                sequence=int(columns["sequence"][k]), index=int(columns["index"][k]),
                flags=Flag(int(columns["flags"][k])), counts=columns["counts"][k],
                **{name: float(columns[name][k]) for name in COLUMNS},
            )
            for k in range(len(columns["sequence"]))
        )

    # spectra

    def spectra(self) -> tuple[NDArray, list[int]]:
        """All spectra, and the points that are damaged (zeros there).

        Raises
        ------
        ScanFileError
            They cannot be read, or this computer has not enough memory.
        """
        free = psutil.virtual_memory().available
        if self.intensity.nbytes > 0.9 * free:
            raise ScanFileError(
                f"{self._path}: its spectra need {self.intensity.nbytes / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB "
                "are free; read single spectra, or crop it on a larger computer"
            )
        try:
            with CubeReader(self.intensity) as reader:
                spectra, lost = reader.everything()
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            raise ScanFileError(f"{self._path}: spectra cannot be read ({error})") from error
        return spectra, sorted({*lost, *self._mismatched(spectra)})

    def _mismatched(self, spectra: NDArray) -> list[int]:
        if self._crc is None:
            return []
        rows, crc32 = spectra.reshape(-1, spectra.shape[-1]), isal_zlib.crc32
        found = np.fromiter((crc32(row) for row in rows), np.uint32, len(rows))
        wrong = found != self._crc.ravel()
        for point in np.flatnonzero(wrong):
            rows[point] = 0
        return np.flatnonzero(wrong).tolist()

    def sums(self, channels: slice) -> NDArray[np.float64]:
        """Sum over some channels for every point, NaN where it cannot be read; raises ScanFileError."""
        try:
            with CubeReader(self.intensity) as reader:
                return reader.sums(channels)
        except (OSError, ValueError, RuntimeError) as error:
            raise ScanFileError(f"{self._path}: spectra cannot be read ({error})") from error

    def spectrum(self, point: tuple[int, ...]) -> tuple[NDArray, bool]:
        """One spectrum, and whether it is whole (zeros if not); raises ScanFileError if it cannot be read."""
        shape = self.intensity.shape[:-1]
        try:
            place = tuple(range(size)[k] for k, size in zip(point, shape, strict=True))
        except (IndexError, ValueError) as error:
            raise IndexError(f"{self._path}: no point {point}, its points have the shape {shape}") from error
        try:
            with CubeReader(self.intensity) as reader:
                rows, lost = reader.rows(place[:-1], place[-1], 1)
        except (OSError, ValueError, RuntimeError) as error:
            raise ScanFileError(f"{self._path}: spectrum {place} cannot be read ({error})") from error
        whole = not lost and (self._crc is None or isal_zlib.crc32(rows[0]) == int(self._crc[place]))
        return rows[0] if whole else np.zeros_like(rows[0]), whole

    def record(self, point: int) -> SpectrumRecord | None:
        """One spectrum as it was written down, its counts in ascending wavelength; None where there is none.

        Raises
        ------
        ScanFileError
            The file was imported or averaged: nobody wrote its rows down so.
        """
        if lacking := [name for name in (*COLUMNS, "sequence") if name not in self.columns]:
            raise ScanFileError(f"{self._path}: imported or averaged, so its rows are not there (no {lacking[0]})")
        place = tuple(int(k) for k in np.unravel_index(point, self.columns["valid"].shape))
        if not self.columns["valid"][place]:
            return None
        counts, whole = self.spectrum(place)
        if not whole:
            return None
        numbers = {name: float(self.columns[name][place]) for name in COLUMNS}
        return SpectrumRecord(
            sequence=int(self.columns["sequence"][place]), index=point, flags=Flag(int(self.columns["flags"][place])),
            counts=counts, **numbers,
        )

    @property
    def saturated(self) -> NDArray[np.bool_]:
        """Points with a saturated pixel."""
        return (self.columns["flags"] & int(Flag.SATURATED)) != 0

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._file.close()
