"""Our own tables and arrays, read back: the CSV and NPZ files that :mod:`halidescope.acquisition.tables` writes."""

import csv
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from halidescope.acquisition.importers.texts import NUMPY_COMPLAINTS
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.tables import CSV_MARK, EXTRAS_MARK, HEADINGS
from halidescope.acquisition.transport import COLUMNS, extras_from, scan_of

_OTHERS = {"flags": np.int64, "sequence": np.int64, "valid": bool, "saturated": bool, "averaged": np.int64}
_ABSENT = {"sequence": -1}        # where nothing was measured; numbers are NaN, the rest 0
_NAMES = {text: name for name, text in HEADINGS.items()} | {"dose (J/cm^2)": "dose_j_cm2"}     # as 0.1.0 wrote it
MOST_BYTES = 64_000_000_000       # of one array; a small file can claim to hold anything


def is_csv(_path: Path, start: bytes) -> bool:
    """Begins with the mark of our tables."""
    return start.startswith(CSV_MARK.encode())


def read_csv(path: Path) -> Scan:
    """A table of ours as a scan; raises ScanFileError if it is damaged."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return _csv(path, file)
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise ScanFileError(f"{path}: not UTF-8 text any more; save it as UTF-8") from error
    except (ValueError, KeyError, IndexError, OverflowError, MemoryError, StopIteration, csv.Error) as error:
        raise ScanFileError(f"{path}: a damaged table ({error})") from error


def _csv(path: Path, file: IO[str]) -> Scan:
    announced = int(file.readline().split(";")[1].split()[0])
    file.readline()                                       # the title, for people
    table = csv.reader(file)
    described, row = "", next(table)
    while row[0].startswith(EXTRAS_MARK):
        described += row[0].removeprefix(EXTRAS_MARK)
        row = next(table)
    while row[0].startswith("#"):                          # for people
        row = next(table)
    extras = extras_from(described, str(path))
    shape = tuple(len(axis) for axis in extras.header.axes.values())
    _, *names = row
    axis = [float(name[:-3]) for name in names if name.endswith(" nm")]
    lead = [_NAMES.get(name, name.partition(" (")[0]) for name in names[: len(names) - len(axis)]]
    kind = np.dtype(extras.header.count_type)
    count = int(np.prod(shape))
    if announced > count or kind.kind not in "uif" or announced * len(axis) > path.stat().st_size:
        raise ValueError(f"{announced} rows announced for {count} points")
    if count * max(len(axis), 1) * kind.itemsize > MOST_BYTES:
        raise ValueError(f"{count} points announced")
    spectra = np.zeros((count, len(axis)), kind)
    columns = {
        name: np.full(count, _ABSENT.get(name, 0), _OTHERS[name]) if name in _OTHERS else np.full(count, np.nan)
        for name in (*lead, "valid")
    }
    number, rows = (float if kind.kind == "f" else int), 0
    for row in table:
        point, values = int(row[0]), row[1:]
        if len(values) != len(names) or not 0 <= point < count:
            raise ValueError(f"row {rows + 1} of the table has {len(values)} cells, needed {len(names)}")
        for name, cell in zip(lead, values, strict=False):
            columns[name][point] = int(cell) if name in _OTHERS else float(cell or "nan")
        columns["valid"][point] = True
        spectra[point] = [number(cell) for cell in values[len(lead) :]]
        rows += 1
    if rows != announced:
        raise ValueError(f"{announced} rows announced, {rows} are there; it was cut off")
    shaped = {name: values.reshape(shape) for name, values in columns.items()}
    return scan_of(extras, spectra.reshape(*shape, -1), np.array(axis), shaped, source=str(path))


def is_npz(path: Path, start: bytes) -> bool:
    """An NPZ file."""
    return path.suffix.lower() == ".npz" and start.startswith(b"PK")


def read_npz(path: Path) -> Scan:
    """Arrays of ours as a scan, nothing unpickled; raises ScanFileError if they are damaged or somebody else's."""
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > min(MOST_BYTES, 1100 * path.stat().st_size + 1_000_000):      # deflate packs 1032 : 1 at most
            raise ScanFileError(f"{path}: claims to hold {claimed / 1e9:.1f} GB, more than its size allows; damaged")
        with np.load(path, allow_pickle=False) as arrays:
            names = set(arrays.files)
            if not {"spectra", "wavelength_nm", "extras"} <= names:
                raise ScanFileError(f"{path}: NPZ file of another program; save one array as NPY with a layout file")
            extras = extras_from(str(arrays["extras"]), str(path))
            columns = {name: arrays[name] for name in names if name in COLUMNS or name in _OTHERS}
            return scan_of(extras, arrays["spectra"], arrays["wavelength_nm"], columns, source=str(path))
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error})") from error
    except (*NUMPY_COMPLAINTS, zipfile.BadZipFile, zlib.error) as error:
        raise ScanFileError(f"{path}: damaged arrays ({error})") from error
