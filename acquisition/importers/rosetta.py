"""Formats that RosettaSciIO reads: LabSpec XML, TriVista, Renishaw WDF, Hamamatsu, Delmic, DigitalSurf, HyperSpy's.

RosettaSciIO is GPL and an optional extra, imported when such a file is opened. Only readers that suit spectra are used,
and none that could run code from a file. Axes are taken as the reader gives them, non-uniform ones as they are.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from halidescope.acquisition.importers.foreign import foreign_scan, gridded
from halidescope.acquisition.importers.guard import read_guarded
from halidescope.acquisition.importers.trivista_times import trivista_times
from halidescope.acquisition.importers.wdf_places import wdf_blocks, wdf_places
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import is_length, is_spectral, is_time, to_nm, to_s, to_um
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.transport import extras_from, scan_of

# reader's module → endings, and what tells it from others with the same ending (bytes near its beginning)
FORMATS: dict[str, tuple[tuple[str, ...], tuple[bytes, ...]]] = {
    "hspy": ((".hspy",), (b"\x89HDF",)),
    "zspy": ((".zspy",), ()),
    "renishaw": ((".wdf",), (b"WDF1",)),
    "jobinyvon": ((".xml",), (b"<LSX",)),
    "trivista": ((".tvf",), (b"<",)),
    "hamamatsu": ((".img",), (b"IM",)),
    "delmic": ((".h5", ".hdf5"), (b"\x89HDF",)),
    "digitalsurf": ((".sur", ".pro"), (b"DIGITAL SURF", b"DSCOMPRESSED")),
    "msa": ((".msa", ".emsa"), (b"#FORMAT",)),
}
NAME = "WDF, LabSpec XML, TriVista, Hamamatsu, Delmic, DigitalSurf, MSA and HyperSpy through RosettaSciIO"
ENDINGS = tuple(ending for endings, _ in FORMATS.values() for ending in endings)
_EXACT = {"jobinyvon": {"use_uniform_signal_axis": False}, "renishaw": {"use_uniform_signal_axis": False},
          "trivista": {"use_uniform_signal_axis": False}, "hamamatsu": {"use_uniform_signal_axes": False}}
# what the readers raise on files that are not what they expect; anything else is a mistake of theirs worth seeing
_COMPLAINTS = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, EOFError, NotImplementedError,
    AssertionError, ArithmeticError, SyntaxError, ImportError, MemoryError, UnboundLocalError, StopIteration,
)


def is_known(path: Path, start: bytes) -> bool:
    """One of these formats, by ending and, where there is one, by its mark."""
    return _module(path, start) is not None


def _module(path: Path, start: bytes) -> str | None:
    ending = path.suffix.lower()
    for name, (endings, marks) in FORMATS.items():
        if ending in endings and (path.is_dir() == (name == "zspy")) and (not marks or any(m in start for m in marks)):
            return name
    return None


def read_rosetta(path: Path) -> Scan:
    """The file's first set of spectra, read in a process of its own.

    Raises
    ------
    ScanFileError
        There is none, it is damaged, RosettaSciIO is not installed, or its reader crashed or hung.
    """
    if importlib.util.find_spec("rsciio") is None:
        raise ScanFileError(
            f"{path}: is read through RosettaSciIO, which is not installed; pip install 'halidescope[import]'"
        )
    if _module(path, _start(path) if path.is_file() else b"") == "renishaw":
        wdf_blocks(path)      # its reader would follow a block of no size for ever
    return read_guarded(path, "rosetta")


def read_unguarded(path: Path) -> Scan:
    """As :func:`read_rosetta`, in this process."""
    start = b"" if path.is_dir() else _start(path)
    name = _module(path, start)
    assert name is not None
    if b"<!DOCTYPE" in start or b"<!ENTITY" in start:
        raise ScanFileError(f"{path}: declares a document type, which no measurement has; it is not opened")
    reader = importlib.import_module(f"rsciio.{name}")
    try:
        signals = reader.file_reader(str(path), **_EXACT.get(name, {}))
    except _COMPLAINTS as error:
        if name == "delmic":
            raise ScanFileError(
                f"{path}: an HDF5 file, but no measurement of ours, nor an acquisition of Delmic's Odemis ({error}); "
                "save its spectra as NPY with a layout file"
            ) from error
        raise ScanFileError(f"{path}: RosettaSciIO ({name}) cannot read it: {type(error).__name__}: {error}") from error
    problems = []
    for signal in signals:
        try:
            return _scan(path, name, signal)
        except ScanFileError as error:
            problems.append(str(error))
        except _COMPLAINTS as error:
            problems.append(f"{path}: {type(error).__name__}: {error}")
    raise ScanFileError(problems[0] if problems else f"{path}: holds no data")


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _axis(axis: dict[str, Any]) -> np.ndarray:
    if "axis" in axis:
        return np.asarray(axis["axis"], np.float64)
    return float(axis.get("offset", 0.0)) + float(axis.get("scale", 1.0)) * np.arange(int(axis["size"]))


def _scan(path: Path, name: str, signal: dict[str, Any]) -> Scan:
    data = np.asarray(signal["data"])
    axes = signal["axes"]
    metadata, original = signal.get("metadata", {}), signal.get("original_metadata", {})
    spectral = [k for k, axis in enumerate(axes) if not axis.get("navigate", False) and is_spectral(axis.get("units"))]
    if len(spectral) != 1:      # an image with a spectral side: Hamamatsu's streaks, Delmic's cubes
        spectral = [k for k, axis in enumerate(axes) if is_spectral(axis.get("units")) and not is_length_name(axis)]
    if len(spectral) != 1 or len(axes) != data.ndim:
        units = ", ".join(f"{axis.get('name', '?')} ({axis.get('units', '')})" for axis in axes)
        raise ScanFileError(f"{path}: its axes are {units}; needed exactly one of wavelength, energy or wavenumber")
    (where,) = spectral
    data = np.moveaxis(data, where, -1)
    points = [axis for k, axis in enumerate(axes) if k != where]
    laser_nm = _laser(metadata, original)
    shift = "raman" in str(axes[where].get("name", "")).lower()
    wavelength_nm = to_nm(
        _axis(axes[where]), axes[where]["units"], str(path), excitation_nm=laser_nm if shift else None
    )
    own = original.get("halidescope")
    if name in ("hspy", "zspy") and own and "extras" in own:
        extras = extras_from(str(own["extras"]), str(path))
        return scan_of(extras, data, wavelength_nm, dict(own["columns"]), source=str(path))
    named: dict[str, np.ndarray] = {}
    for k, axis in enumerate(points):
        key = str(axis.get("name") or f"axis_{k}").lower().replace(" ", "_")
        unit = axis.get("units", "")
        what = f"{path}, axis {key}"
        values = to_um(_axis(axis), unit, what) if is_length(unit) else (
            to_s(_axis(axis), unit, what) if is_time(unit) else _axis(axis)
        )
        named["time" if is_time(unit) else key] = values
    if len(named) != len(points):
        raise ScanFileError(f"{path}: two of its axes have the same name; it cannot be told which is which")
    general = metadata.get("General", {})
    placed = _as_placed(path, data, named) if name == "renishaw" else None
    if name == "trivista":
        placed = _as_timed(path, data, named)
    return foreign_scan(
        source=str(path), form=f"{name} (RosettaSciIO)", wavelength_nm=wavelength_nm,
        **(placed or _upright(data, named)), title=str(general.get("title", "")),
        started_at=f"{general.get('date', '')}T{general.get('time', '')}".strip("T"),
        laser_wavelength_nm=laser_nm, said={"metadata": metadata, "original": original},
    )


def _as_placed(path: Path, data: np.ndarray, axes: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """Spectra of a WDF file where and when they were taken; None if the file does not tell it of every one."""
    places = wdf_places(path)
    spectra = data.reshape(-1, data.shape[-1])
    if not places or any(len(one) != len(spectra) for one in places.values()):
        return None
    if len(axes) == 2 and {"x", "y"} <= set(places):
        grid, cube, valid, order = gridded(places["x"], places["y"], spectra, str(path))
        position_um, times = np.full((valid.size, 2), np.nan), np.full(valid.size, np.nan)
        position_um[order] = np.stack([places["x"], places["y"]], axis=-1)
        times[order] = places.get("time", times)
        return {"spectra": cube, "axes": grid, "valid": valid, "position_um": position_um, "time_s": times}
    if tuple(axes) == ("time",) and "time" in places:
        return {"spectra": spectra, "axes": {"time": places["time"]}}
    return None


def _as_timed(path: Path, data: np.ndarray, axes: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """Spectra of a TriVista file when they were taken; None if the file does not tell it of every one, in order."""
    times, shape = trivista_times(path), data.shape[:-1]
    if times.size != np.prod(shape) or (np.diff(times) <= 0).any():
        return None
    if tuple(axes) == ("time",):
        return {"spectra": data, "axes": {"time": times}}
    return _upright(data, axes) | {"time_s": _upright(times.reshape(shape), axes)["spectra"]} if axes else None


def _upright(data: np.ndarray, axes: dict[str, np.ndarray]) -> dict[str, Any]:
    """Axes of positions that descend are turned, the spectra with them."""
    turned = dict(axes)
    for place, (name, axis) in enumerate(axes.items()):
        if name in ("x", "y", "z") and len(axis) > 1 and axis[0] > axis[-1]:
            turned[name], data = axis[::-1], np.flip(data, place)
    return {"spectra": data, "axes": turned}


def is_length_name(axis: dict[str, Any]) -> bool:
    """Whether an axis with a unit of length is one of positions by its name."""
    return str(axis.get("name", "")).lower() in ("x", "y", "z", "width", "height", "depth")


def _laser(metadata: dict[str, Any], original: dict[str, Any]) -> float | None:
    """The laser's wavelength in nm, where the reader found one."""
    found = metadata.get("Acquisition_instrument", {}).get("Laser", {}).get("wavelength")
    if found is None:
        found = original.get("experimental_setup", {}).get("Laser (nm)")
    try:
        return float(found) if found is not None else None
    except (TypeError, ValueError):
        return None
