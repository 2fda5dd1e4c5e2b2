"""Analyses stored beside the raw data, never in them: ``NAME.analysis.nxs`` next to ``NAME.nxs``.

Every analysis is an entry ``run_1``, ``run_2``, … of its own: ``data`` with the per-point results on the scan's axes,
``numbers``, ``endmembers``, ``fit`` of a series, ``process`` with program, settings, versions and the hashes of what
it was made from, and ``measurement``, a link to the raw file. Runs are added and none is overwritten; the file is
replaced whole or not at all. What of an analysis is kept is decided in :mod:`halidescope.acquisition.findings`.
"""

import hashlib
import math
import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import msgspec
import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.hdf5_complaints import HDF5_COMPLAINTS
from halidescope.acquisition.holding import locked
from halidescope.acquisition.nexus_setup import new_field, new_group
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import axis_label, axis_unit, split_unit, ucum
from halidescope.acquisition.results import Interval, Number, finite
from halidescope.acquisition.session import default_session_path
from halidescope.acquisition.stored_analysis import About, StoredAnalysis
from halidescope.acquisition.untrusted import dataset_in, group_at, numbers_in, text_in
from halidescope.acquisition.vetting import Holds, vet

if TYPE_CHECKING:
    from halidescope.acquisition.scan import Scan

RESULTS_VERSION = 1
MARK = "halidescope_results"       # attribute of the file: the version of this layout
ENDING = ".analysis.nxs"
COMPLAINTS = (*HDF5_COMPLAINTS, msgspec.MsgspecError)


def results_path(data: Path) -> Path:
    """Where the results about a measured file are."""
    return data.with_name(data.name.removesuffix(".journal").removesuffix(".nxs") + ENDING)


def store_results(data: Path, run: StoredAnalysis, *, path: Path | None = None, link: str | None = None) -> Path:
    """Add an analysis to those beside the data, durably, and read it back.

    Parameters
    ----------
    data : Path
        The measured file.
    path : Path, optional
        Elsewhere than beside the data.
    link : str, optional
        Path of the raw NeXus file as seen from the folder of the results; its name if they lie beside it.

    Returns
    -------
    Path
        The file of results.

    Raises
    ------
    ScanFileError
        What has that name is no file of results, or it cannot be written; what was there stays.
    """
    path = results_path(data) if path is None else path
    if link is None:
        link = data.name
    if data.suffix != ".nxs":      # a journal, or another program's file, cannot be linked to
        link = None
    part = path.with_name(path.name + ".part")
    try:
        with _alone():
            try:
                _add(path, part, run, link)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)      # before the next one makes its own
    except COMPLAINTS as error:
        raise ScanFileError(f"{path}: results cannot be stored ({error}); what was there is untouched") from error
    return path


def read_results(data: Path) -> list[StoredAnalysis]:
    """All analyses stored beside a measured file, the oldest first; none if there is no such file.

    Raises
    ------
    ScanFileError
        The file of results is damaged, from a newer version, or something else.
    """
    path = results_path(data)
    return read_results_file(path) if path.exists() else []


def data_hash(scan: "Scan") -> str:
    """SHA-256 of the spectra and their wavelengths: tells whether results belong to what a file holds now."""
    digest = hashlib.sha256(np.ascontiguousarray(scan.wavelength_nm).data)
    digest.update(np.ascontiguousarray(scan.spectra).data)
    return digest.hexdigest()


def analyses_of(scan: "Scan") -> list[StoredAnalysis]:
    """All analyses stored beside a scan's file; those of other spectra than it holds now say so in their notes."""
    runs = read_results(Path(scan.source))
    held = data_hash(scan) if runs else ""
    return [run if run.about.data_sha256 == held else _of_other_data(run) for run in runs]


def _of_other_data(run: StoredAnalysis) -> StoredAnalysis:
    notes = ("This analysis was made of other spectra than the file holds now.", *run.about.notes)
    return replace(run, about=msgspec.structs.replace(run.about, notes=notes))


def read_results_file(path: Path) -> list[StoredAnalysis]:
    """All analyses in a file of results, the oldest first; errors as :func:`read_results`."""
    try:
        _require_results(path)
        return _runs(path)
    except COMPLAINTS as error:
        raise ScanFileError(f"{path}: results cannot be read ({error}); the file is damaged") from error


def take_results_along(scan: "Scan", target: Path) -> int:
    """Copy a scan's stored analyses to where a copy of its data goes, linked to that; returns how many.

    None if they are all of other spectra than the scan's, as those of a whole file are beside a part of it.

    Raises
    ------
    ScanFileError
        They are damaged.
    """
    path, held = results_path(Path(scan.source)), data_hash(scan)
    runs = read_results_file(path) if path.exists() else []
    if not any(run.about.data_sha256 == held for run in runs):
        return 0
    raw = target.name.removesuffix(ENDING) + ".nxs"
    shutil.copyfile(path, target)
    with h5py.File(target, "r+") as file:
        for name in [name for name in file if _number(name)]:
            if file[name].get("measurement", getlink=True) is not None:
                del file[name]["measurement"]
            file[f"{name}/measurement"] = h5py.ExternalLink(raw, "/entry")
    return len(runs)


def is_results(path: Path) -> bool:
    """Whether a file holds results of analyses, and no measurement."""
    return path.name.endswith(ENDING) and vet(path) is Holds.RESULTS


def _add(path: Path, part: Path, run: StoredAnalysis, link: str | None) -> None:
    """Write ``part``: what ``path`` holds, and one more."""
    if path.exists():
        _require_results(path)
        shutil.copyfile(path, part)
    with h5py.File(part, "a" if path.exists() else "w", libver=("v108", "v110")) as file:
        number = 1 + max((_number(name) for name in file), default=0)
        file.attrs.update(
            {"NX_class": "NXroot", "default": f"run_{number}", "creator": "halidescope", MARK: RESULTS_VERSION}
        )
        _write(new_group(file, f"run_{number}", "NXentry", default="data"), run)
        if link is not None:
            file[f"run_{number}/measurement"] = h5py.ExternalLink(link, "/entry")
    with part.open("rb+") as written:
        os.fsync(written.fileno())
    if not _same(_runs(part)[-1], run):
        raise OSError("it reads back differently; check the disk")


def _require_results(path: Path) -> None:
    vet(path)
    with h5py.File(path, "r") as file:
        if MARK not in file.attrs:
            raise ScanFileError(f"{path}: is no file of results, and not written over; rename one of the two")
        if (found := int(file.attrs[MARK])) > RESULTS_VERSION:
            raise ScanFileError(
                f"{path}: results of version {found}, this program knows up to {RESULTS_VERSION}; update halidescope"
            )


def _alone() -> AbstractContextManager[None]:
    """One process of this user at a time stores results: each must see what the one before has added."""
    return locked(default_session_path().parent / "results.lock")


def _number(name: str) -> int:
    word, _, digits = name.partition("_")
    return int(digits) if word == "run" and digits.isdecimal() else 0


def _write(entry: h5py.Group, run: StoredAnalysis) -> None:
    about = run.about
    new_field(entry, "title", f"analysis of {about.data_file}" + (" (SIMULATED)" if about.simulated else ""))
    process = new_group(entry, "process", "NXprocess")
    new_field(process, "program", "halidescope")
    new_field(process, "version", version("halidescope"))
    new_field(process, "date", about.made_at)
    new_field(process, "about", msgspec.json.format(msgspec.json.encode(about)).decode())
    numbers = _ordered(entry, "numbers", "NXcollection")
    for name, number in run.numbers.items():
        unit = split_unit(name)[1]
        value = new_field(numbers, name, float(number.value), unit)
        if number.se is not None:
            new_field(numbers, f"{name}_se", float(number.se), unit)
        if number.interval is not None:
            ends = [math.nan if end is None else end for end in (number.interval.low, number.interval.high)]
            value.attrs["interval95"], value.attrs["interval95_by"] = ends, number.interval.method
    data = _ordered(entry, "data", "NXdata", signal=run.signal, axes=list(run.axes))
    for name, values in run.axes.items():
        new_field(data, name, values, axis_unit(name), long_name=axis_label(name))
    for name, array in run.arrays.items():
        values = array.astype(np.uint8) if array.dtype == bool else array
        packed = {"compression": 4, "shuffle": True} if array.size > 500 else {}
        made = data.create_dataset(name, data=values, **packed)
        if run.units.get(name):
            made.attrs.update(units=run.units[name], ucum=ucum(run.units[name]))
    if len(run.endmembers):
        shapes = new_group(entry, "endmembers", "NXdata", signal="spectra", axes=["number", "wavelength"])
        new_field(shapes, "number", np.arange(len(run.endmembers)), long_name=", ".join(about.labels))
        new_field(shapes, "wavelength", run.wavelength_nm, "nm")
        new_field(shapes, "spectra", run.endmembers)
    if run.curve:
        fit = new_group(entry, "fit", "NXdata", signal="share", axes=["time"], auxiliary_signals=["low", "high"])
        for name, values in run.curve.items():
            new_field(fit, name, values, axis_unit(name))
    if run.cosmic:
        hits = new_group(entry, "cosmic_rays", "NXcollection")
        for name, values in run.cosmic.items():
            new_field(hits, name, values, "counts" if name.endswith("_counts") else "")


def _ordered(entry: h5py.Group, name: str, kind: str, **attributes: Any) -> h5py.Group:
    """A group that keeps the order of what is put into it."""
    group = entry.create_group(name, track_order=True)
    group.attrs.update(NX_class=kind, **attributes)
    return group


def _runs(path: Path) -> list[StoredAnalysis]:
    with h5py.File(path, "r") as file:
        names = sorted((name for name in file if _number(name)), key=_number)
        return [_run(group_at(file, name), _number(name), 1100 * path.stat().st_size) for name in names]


def _run(entry: h5py.Group, number: int, most_bytes: int) -> StoredAnalysis:
    """One run; deflate packs 1032 : 1 at most, what claims more was not written by us."""
    about = msgspec.json.decode(text_in(group_at(entry, "process"), "about"), type=About)
    data = group_at(entry, "data")
    names = [str(name) for name in data.attrs["axes"]]
    if sum(dataset_in(data, name).nbytes for name in data) > most_bytes:
        raise ValueError("claims more numbers than its size allows")
    axes = {name: numbers_in(data, name) for name in names}
    arrays = {name: numbers_in(data, name) for name in data if name not in axes}
    shape = tuple(len(axis) for axis in axes.values())
    if wrong := [name for name, array in arrays.items() if array.shape[: len(shape)] != shape]:
        raise ValueError(f"{wrong[0]} does not fit its axes")
    signal = str(data.attrs["signal"])
    needed = ("valid", signal, *(("shares", "shares_se", "residual_rms") if "amplitudes" in arrays else ()))
    if lacking := [name for name in needed if name not in arrays]:
        raise ValueError(f"{lacking[0]} is missing")
    if wrong := [name for name in ("amplitudes", "shares", "shares_se") if name in arrays
                 and arrays[name].shape != (*shape, len(about.labels))]:
        raise ValueError(f"{wrong[0]} does not fit its endmembers")
    arrays["valid"] = arrays["valid"].astype(bool)
    held = {name: float(values) for name, values in _all(entry, "numbers").items()}
    shapes = _all(entry, "endmembers")
    wavelength_nm = shapes.get("wavelength", np.empty(0))
    endmembers = shapes.get("spectra", np.empty((0, 0)))
    if endmembers.ndim != 2 or len(endmembers) != len(about.labels) or endmembers.shape[1] != len(wavelength_nm):
        raise ValueError("its endmembers do not fit their wavelengths or their names")
    return StoredAnalysis(
        number=number, about=about, axes=axes, arrays=arrays, signal=signal,
        units={name: str(data[name].attrs["units"]) for name in arrays if "units" in data[name].attrs},
        numbers={
            name: Number(value, held.get(f"{name}_se"), _interval(group_at(entry, "numbers")[name]))
            for name, value in held.items() if not name.endswith("_se")
        },
        wavelength_nm=wavelength_nm, endmembers=endmembers, curve=_all(entry, "fit"),
        cosmic=_all(entry, "cosmic_rays"),
    )  # fmt: skip


def _all(entry: h5py.Group, name: str) -> dict[str, NDArray]:
    """Every array of a group, none if there is no such group."""
    if name not in entry:
        return {}
    group = group_at(entry, name)
    return {key: numbers_in(group, key) for key in group}


def _interval(field: h5py.Dataset) -> Interval | None:
    """The 95 % interval of a number that has one."""
    if "interval95" not in field.attrs:
        return None
    low, high = (float(end) for end in field.attrs["interval95"])
    return Interval(finite(low), finite(high), str(field.attrs["interval95_by"]))


def _same(one: StoredAnalysis, other: StoredAnalysis) -> bool:
    """Whether two analyses hold the same, to the bit; which number they have aside."""

    def equal(first: dict[str, NDArray], second: dict[str, NDArray]) -> bool:
        return first.keys() == second.keys() and all(
            first[name].dtype == values.dtype
            and np.array_equal(first[name], values, equal_nan=values.dtype.kind == "f")
            for name, values in second.items()
        )

    def plain(values: dict[str, Number]) -> dict[str, NDArray]:
        return {
            name: np.array([
                math.nan if one is None else one for one in (
                    number.value, number.se, *((number.interval.low, number.interval.high) if number.interval else ())
                )
            ], float)
            for name, number in values.items()
        }  # fmt: skip

    held = [
        {"wavelength": run.wavelength_nm, "endmembers": run.endmembers,
         **{f"{kind} {name}": values for kind, arrays in (("fit", run.curve), ("hits", run.cosmic), ("axis", run.axes))
            for name, values in arrays.items()}}
        for run in (one, other)
    ]  # fmt: skip
    return (
        (one.about, one.units, one.signal) == (other.about, other.units, other.signal)
        and equal(one.arrays, other.arrays) and equal(*held) and equal(plain(one.numbers), plain(other.numbers))
    )
