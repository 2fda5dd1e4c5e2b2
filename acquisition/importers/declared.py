"""Plain arrays and tables whose layout a person has declared: ``DATA.toml`` beside ``DATA`` (CSV, text or NPY).

The declaration says which way spectra lie, where the wavelengths are, what the axes of the points are and in which
order they were measured; the keys are the fields of :class:`Layout`. NPY files are read without pickles.
"""

from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from halidescope.acquisition.importers.foreign import foreign_scan, gridded
from halidescope.acquisition.importers.texts import NUMPY_COMPLAINTS, number, read_text
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.quantities import is_length, is_time, to_nm, to_s, to_um
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.toml_files import checked, read_toml


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Coordinate(_Table):
    """A quantity with its unit."""

    name: str = Field(description="x, y, z, time, power, temperature, or another word")
    unit: str = Field("", description="unit of its numbers, e.g. um, mm, s, ms")


class Axis(Coordinate):
    """An axis of the points: its values, or where it starts and its step."""

    values: tuple[float, ...] | None = Field(None, description="every value")
    start: float = Field(0.0, description="first value")
    step: float = Field(1.0, description="distance between values")
    number: int | None = Field(None, ge=1, le=100_000_000, description="how many values, with start and step")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.values is None) == (self.number is None):
            raise ValueError("give either values, or number (with start and step)")
        return self

    @property
    def numbers(self) -> NDArray[np.float64]:
        """Every value."""
        if self.values is not None:
            return np.array(self.values)
        assert self.number is not None
        return self.start + self.step * np.arange(self.number, dtype=np.float64)


class Wavelength(_Table):
    """Where the spectral axis is."""

    unit: str = Field(description="nm, um, angstrom, eV, meV or 1/cm")
    values: tuple[float, ...] | None = Field(None, description="every value")
    start: float | None = Field(None, description="first value, with step")
    step: float | None = Field(None, description="distance between values")
    file: str | None = Field(None, description="name of an NPY file beside the data that holds them")
    first: bool = Field(False, description="they are the table's first row (spectra in rows) or column")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = (self.values is not None, self.start is not None, self.file is not None, self.first)
        if sum(given) != 1 or (self.start is None) != (self.step is None):
            raise ValueError("give exactly one of values, start with step, file, first = true")
        return self


class Layout(_Table):
    """All of a layout file."""

    wavelength: Wavelength
    spectra: Literal["rows", "columns"] = Field("rows", description="CSV: each spectrum is a row, or a column")
    delimiter: str = Field(",", min_length=1, max_length=1, description="CSV: between two cells")
    skip_lines: int = Field(0, ge=0, description="CSV: lines before the table")
    leading: tuple[Coordinate, ...] = Field((), description="CSV: coordinates in the cells before each spectrum")
    axes: tuple[Axis, ...] = Field((), description="axes of the points, the slowest first")
    order: Literal["raster", "serpentine"] = Field(
        "raster", description="serpentine: every other line was measured backwards"
    )
    exposure_s: float | None = Field(None, gt=0)
    sample_power_uw: float | None = Field(None, ge=0)
    laser_wavelength_nm: float | None = Field(None, gt=0, description="given with 1/cm, the axis is a Raman shift")
    title: str = ""
    details: dict[str, Any] = Field(default_factory=dict, description="operator, sample, objective, …")


def layout_path(path: Path) -> Path:
    """Where the layout file of some data is."""
    return path.with_name(path.name + ".toml")


def read_declared(path: Path) -> Scan:
    """Read data as its layout file declares it.

    Raises
    ------
    BadFileError
        The layout file is not one.
    ScanFileError
        The data cannot be read, or are not as declared.
    """
    written = layout_path(path)
    layout = checked(Layout, read_toml(written, "layout file"), f"layout file {written}")
    if path.suffix.lower() == ".npy":
        data, wavelengths, places = load_npy(path), None, None
    else:
        data, wavelengths, places = _table(path, layout)
    wavelength_nm = _wavelengths(path, layout, wavelengths, data.shape[-1] if data.ndim else 0)
    if data.shape[-1] != len(wavelength_nm):
        raise ScanFileError(
            f"{path}: {data.shape[-1]} numbers a spectrum, {len(wavelength_nm)} wavelengths are declared; mend "
            f"{layout_path(path).name}"
        )
    common: dict[str, Any] = {
        "source": str(path), "form": "declared layout", "wavelength_nm": wavelength_nm, "exposure_s": layout.exposure_s,
        "sample_power_uw": layout.sample_power_uw, "laser_wavelength_nm": layout.laser_wavelength_nm,
        "title": layout.title, "details": layout.details,
    }
    if places is not None:
        return _placed(path, layout, data, places, common)
    axes = {axis.name: _in_ours(axis.numbers, axis.unit, f"{path}, axis {axis.name}") for axis in layout.axes}
    shape = tuple(len(values) for values in axes.values()) or data.shape[:-1] or (1,)
    if int(np.prod(shape)) * data.shape[-1] != data.size:
        raise ScanFileError(
            f"{path}: {data.size // data.shape[-1]} spectra, the declared axes have {' × '.join(map(str, shape))}; "
            f"mend {layout_path(path).name}"
        )
    cube = data.reshape(*shape, data.shape[-1])
    if layout.order == "serpentine":
        if len(shape) < 2:
            raise BadFileError(f"{layout_path(path)}: order = \"serpentine\" needs two axes")
        cube = cube.copy()
        cube[..., 1::2, :, :] = cube[..., 1::2, ::-1, :]
    return foreign_scan(spectra=cube, axes=axes or {f"axis_{k}": np.arange(n) for k, n in enumerate(shape)}, **common)


def load_npy(path: Path) -> NDArray:
    """An array from an NPY file, never a pickle; raises ScanFileError."""
    try:
        with path.open("rb") as file:
            data = np.load(file, allow_pickle=False)
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error}); check the path") from error
    except NUMPY_COMPLAINTS as error:
        raise ScanFileError(f"{path}: not an NPY file of numbers ({error}); pickles are never opened") from error
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "uif" or data.ndim < 1 or data.size == 0:
        raise ScanFileError(f"{path}: not an NPY file of numbers; save a plain array")
    return data


def _table(path: Path, layout: Layout) -> tuple[NDArray, NDArray | None, NDArray | None]:
    """Spectra (n, channels), the wavelengths if they are in the table, and the leading coordinates if there are any."""
    lines = islice(read_text(path).splitlines(), layout.skip_lines, None)
    rows = [line.split(layout.delimiter) for line in lines if line.strip() and not line.startswith("#")]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ScanFileError(f"{path}: not a table: rows of different length, or none; mend skip_lines or delimiter")
    if layout.spectra == "columns":
        rows = [list(column) for column in zip(*rows, strict=True)]
    skip = len(layout.leading)
    wavelengths = None
    if layout.wavelength.first:
        wavelengths, rows = np.array([number(cell, path) for cell in rows[0][skip:]]), rows[1:]
    if not rows or len(rows[0]) <= skip:
        raise ScanFileError(f"{path}: no spectra in the table; mend {layout_path(path).name}")
    numbers = np.array([[number(cell, path) for cell in row] for row in rows])
    return numbers[:, skip:], wavelengths, numbers[:, :skip] if skip else None


def _wavelengths(path: Path, layout: Layout, found: NDArray | None, channels: int) -> NDArray[np.float64]:
    given = layout.wavelength
    if found is not None:
        values = found
    elif given.values is not None:
        values = np.array(given.values)
    elif given.file is not None:
        if Path(given.file).name != given.file:
            raise BadFileError(f"{layout_path(path)}: wavelength.file = {given.file!r} must be a name beside the data")
        values = load_npy(path.with_name(given.file)).ravel()
    elif given.start is not None and given.step is not None:
        values = given.start + given.step * np.arange(channels)
    else:
        raise BadFileError(f"{layout_path(path)}: wavelength.first is only for tables; give values, start or file")
    return to_nm(values, given.unit, str(path), excitation_nm=layout.laser_wavelength_nm)


def _in_ours(values: NDArray[np.float64], unit: str, what: str) -> NDArray[np.float64]:
    """Lengths in µm, times in s, everything else as it is."""
    return to_um(values, unit, what) if is_length(unit) else to_s(values, unit, what) if is_time(unit) else values


def _placed(path: Path, layout: Layout, data: NDArray, places: NDArray, common: dict[str, Any]) -> Scan:
    """Spectra with their coordinates: a map if those are x and y, else a series along the first."""
    columns = {
        one.name: _in_ours(places[:, k], one.unit, f"{path}, column {one.name}") for k, one in enumerate(layout.leading)
    }
    if {"x", "y"} <= set(columns):
        axes, cube, valid, order = gridded(columns["x"], columns["y"], data, str(path))
        position_um = np.full((valid.size, 2), np.nan)
        position_um[order] = np.stack([columns["x"], columns["y"]], axis=-1)
        times = None
        if "time" in columns:
            times = np.full(valid.size, np.nan)
            times[order] = columns["time"]
        return foreign_scan(spectra=cube, axes=axes, valid=valid, position_um=position_um, time_s=times, **common)
    name = "time" if "time" in columns else next(iter(columns))
    return foreign_scan(spectra=data, axes={name: columns[name]}, **common)
