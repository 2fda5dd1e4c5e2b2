"""Analysis results beside the raw data, never in them: ``NAME.analysis.nxs`` next to ``NAME.nxs``.

Each run of an analysis is one ``NXprocess`` group with its program, version, settings, the SHA-256 of the data it was
made from, and its arrays with units. Runs are added and none is overwritten; the file is replaced whole or not at all.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import h5py
import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.acquisition.nexus_setup import new_field, new_group
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.storage import file_hash


@dataclass(frozen=True)
class StoredResult:
    """One run of an analysis.

    Attributes
    ----------
    name, made_at, version : str
        What it is; when (ISO 8601, UTC); the program's version.
    settings : dict
        All that decides the result.
    data_sha256 : str
        Of the raw file that it was made from.
    arrays : dict
        Name → values.
    units : dict
        Name → unit.
    """

    name: str
    made_at: str
    version: str
    settings: dict[str, object]
    data_sha256: str
    arrays: dict[str, NDArray]
    units: dict[str, str]


def results_path(data: Path) -> Path:
    """Where the results about a measured file are."""
    name = data.name.removesuffix(".journal").removesuffix(".nxs")
    return data.with_name(f"{name}.analysis.nxs")


def store_results(
    data: Path, name: str, arrays: Mapping[str, ArrayLike], *, units: Mapping[str, str], settings: Mapping[str, object],
) -> Path:
    """Add one run's results to the file beside the data.

    Parameters
    ----------
    data : Path
        The measured file.
    name : str
        The analysis, e.g. ``unmixing``.
    arrays, units : mapping
        Values by name, and their units (a name without a unit is a plain number).
    settings : mapping
        All that decides the result, as plain values.

    Raises
    ------
    ScanFileError
        The data cannot be read, or the file cannot be written; what was there stays.
    """
    path = results_path(data)
    part = path.with_name(path.name + ".part")
    try:
        made_from = file_hash(data)
        with h5py.File(part, "w", libver=("v108", "v110")) as file:
            if path.exists():
                with h5py.File(path, "r") as before:
                    before.copy("entry", file)
                entry = file["entry"]
            else:
                entry = new_group(file, "entry", "NXentry")
                new_field(entry, "title", f"analysis of {data.name}")
            number = 1 + sum(key.startswith("run_") for key in entry)
            run = new_group(entry, f"run_{number}", "NXprocess")
            new_field(run, "program", "halidescope")
            new_field(run, "version", version("halidescope"))
            new_field(run, "date", datetime.now(UTC).isoformat())
            new_field(run, "name", name)
            new_field(run, "settings", msgspec.json.encode(dict(settings)).decode())
            new_field(run, "data_file", data.name, sha256=made_from)
            for key, values in arrays.items():
                new_field(run, key, np.asarray(values), units.get(key, ""), result=True)
            file.attrs.update(NX_class="NXroot", default="entry", creator="halidescope")
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        part.unlink(missing_ok=True)
        raise ScanFileError(f"{path}: results cannot be stored ({error}); the data are untouched") from error
    return path


def read_results(data: Path) -> list[StoredResult]:
    """All runs about a measured file, the oldest first; none if there is no such file.

    Raises
    ------
    ScanFileError
        The file of results is damaged.
    """
    path = results_path(data)
    if not path.exists():
        return []
    try:
        with h5py.File(path, "r") as file:
            entry = file["entry"]
            runs = sorted((key for key in entry if key.startswith("run_")), key=lambda key: int(key[4:]))
            return [_result(entry[key]) for key in runs]
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, msgspec.MsgspecError) as error:
        raise ScanFileError(f"{path}: results cannot be read ({error}); the file is damaged") from error


def _result(run: h5py.Group) -> StoredResult:
    fields = [key for key in run if run[key].attrs.get("result", False)]
    return StoredResult(
        name=run["name"].asstr()[()], made_at=run["date"].asstr()[()], version=run["version"].asstr()[()],
        settings=msgspec.json.decode(run["settings"][()], type=dict[str, object]),
        data_sha256=str(run["data_file"].attrs["sha256"]), arrays={key: run[key][()] for key in fields},
        units={key: str(run[key].attrs["units"]) for key in fields if "units" in run[key].attrs},
    )
