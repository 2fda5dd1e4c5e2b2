"""The file of a simulation: NeXus/HDF5 with curves, films, configuration, seed and versions, whole or not at all.

One simulation is the group ``entry``; a parameter sweep has one entry per value, ``case_1`` on, and before them
``sweep``, which plots E_g at the end over the values. Every entry's ``halidescope/configuration`` is the whole
configuration as JSON, from which the same run can be made again.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import msgspec
import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.problems import RefusedRunError

if TYPE_CHECKING:  # numba loads only when something is simulated
    from halidescope.analysis.kmc.run import KmcResult

ENDINGS = (".nxs", ".h5", ".hdf5")
PACKAGES = ("halidescope", "numpy", "numba", "scipy", "h5py")
_WHOLE = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


def check_free(path: Path) -> None:
    """Refuse a file that exists, a folder that does not, or an ending that is not HDF5's, before anything is simulated.

    Raises
    ------
    RefusedRunError
    """
    if path.suffix.lower() not in ENDINGS:
        raise RefusedRunError(f"output file {path}: ending '{path.suffix}' is not known; use {', '.join(ENDINGS)}")
    if path.exists():
        raise RefusedRunError(f"output file {path} exists and is never overwritten; choose another name")
    if not path.absolute().parent.is_dir():
        raise RefusedRunError(f"output file {path}: folder {path.absolute().parent} does not exist; make it first")


def write_kmc(
    path: Path, results: "Sequence[KmcResult]", *, started: datetime, sweep: tuple[str, Sequence[float]] | None = None
) -> None:
    """Write a simulation's results.

    Parameters
    ----------
    results : sequence of KmcResult
        One, or as many as the sweep has values.
    started : datetime
        With time zone; now is the end.
    sweep : (str, sequence of float), optional
        Key and values of a parameter sweep.
    """
    check_free(path)
    part = path.with_name(f"{path.name}.part")
    with h5py.File(part, "w", libver=("v108", "v110")) as file:
        file.attrs.update(NX_class="NXroot", default="entry" if sweep is None else "sweep", creator="halidescope")
        if sweep is None:
            _entry(file, "entry", results[0], started)
        else:
            _sweep(file, results, *sweep)
            for number, result in enumerate(results, start=1):
                _entry(file, f"case_{number}", result, started)
    with part.open("rb+") as written:
        os.fsync(written.fileno())
    os.replace(part, path)


def _group(parent: h5py.Group, name: str, kind: str, **attributes: Any) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs.update(NX_class=kind, **attributes)
    return group


def _field(group: h5py.Group, name: str, value: Any, units: str = "", **attributes: Any) -> h5py.Dataset:
    keep = _WHOLE if np.ndim(value) > 1 else {}
    field = group.create_dataset(name, data=value, **keep)
    if units:
        field.attrs["units"] = units
    field.attrs.update(attributes)
    return field


def _entry(file: h5py.File, name: str, result: "KmcResult", started: datetime) -> None:
    config, runs = result.config, result.trajectories
    entry = _group(file, name, "NXentry", default="data")
    _field(entry, "title", f"kinetic Monte Carlo of halide migration, {config.run.scheme} scheme (SIMULATED)")
    _field(entry, "start_time", started.isoformat())
    _field(entry, "end_time", datetime.now(started.tzinfo).isoformat())
    program = _group(entry, "program", "NXprogram")
    _field(program, "program", "halidescope kmc", version=version("halidescope"))

    timed = config.run.time_s is not None
    axis = "time" if timed else ("step" if config.run.scheme == "paper" else "events")
    along = runs[0].time_s if timed else runs[0].progress
    middle, low, high = result.band()
    data = _group(entry, "data", "NXdata", signal="band_gap", axes=["replica", axis], auxiliary_signals=["median"])
    data.attrs.update(replica_indices=0, **{f"{axis}_indices": 1})
    _field(data, "band_gap", result.band_gap_ev, "eV", long_name="E_g of the columns under the beam (eV)")
    _field(data, "replica", np.arange(len(runs)))
    _field(data, axis, along, "s" if timed else "", long_name="model time (s)" if timed else axis)
    for label, curve in (("median", middle), ("low", low), ("high", high)):
        _field(data, label, curve, "eV", long_name=f"{label} of the replicas, 95 % band (eV)")

    species = _group(entry, "species", "NXdata", signal="film", axes=["replica", axis, "species"])
    _field(species, "film", np.stack([run.film for run in runs]), long_name="numbers in the film")
    _field(species, "region", np.stack([run.region for run in runs]), long_name="numbers in the columns under the beam")
    _field(species, "species", np.array(["bromide", "iodide", "vacancy"], dtype=h5py.string_dtype()))
    for axis_name in ("replica", axis):
        species[axis_name] = data[axis_name]
    species["species"].attrs["long_name"] = "species, the last index"

    own = _group(entry, "halidescope", "NXcollection")
    _field(own, "configuration", msgspec.json.encode(config.to_mapping()).decode())
    _field(own, "seed", config.run.seed)
    _field(own, "summary", msgspec.json.encode(result.summary()).decode())
    versions = _group(own, "versions", "NXcollection")
    for package in PACKAGES:
        _field(versions, package, version(package))
    _per_replica(own, result)
    _films(own, result)


def _per_replica(own: h5py.Group, result: "KmcResult") -> None:
    runs = result.trajectories
    _field(own, "time", np.stack([run.time_s for run in runs]), "s", long_name="model time of every sample")
    _field(own, "progress", np.stack([run.progress for run in runs]), long_name="steps or events of every sample")
    for name in ("hops_bromide", "hops_iodide", "events", "iodide_lost"):
        _field(own, name, np.array([getattr(run, name) for run in runs]))
    _field(own, "cpu_time", np.array([run.cpu_s for run in runs]), "s")
    correlation = result.tracer_correlation()
    if correlation is not None:
        _field(own, "tracer_correlation", correlation)


def _films(own: h5py.Group, result: "KmcResult") -> None:
    """The first replica's film at its start, in between where asked, and at its end; every replica's end."""
    from halidescope.analysis.kmc.lattice import initial_film

    first, size = result.trajectories[0], result.config.lattice.size
    start: NDArray[np.int8] = initial_film(result.config, result.config.run.seed, first.replica)
    films = [start.reshape(size, size, size), *first.frames, first.lattice]
    moments = [float(first.progress[0]), *first.frame_progress, float(first.progress[-1])]
    codes = "0 bromide, 1 iodide, 2 vacancy; (moment, x, y, z)"
    _field(own, "films", np.stack(films), long_name=f"first replica: {codes}")
    _field(own, "films_at", np.array(moments), long_name="steps or events at which the films were taken")
    if len(result.trajectories) > 1 and size <= 64:
        _field(own, "ends", np.stack([run.lattice for run in result.trajectories]), long_name="films at the end")


def _sweep(file: h5py.File, results: "Sequence[KmcResult]", key: str, values: Sequence[float]) -> None:
    entry = _group(file, "sweep", "NXentry", default="data")
    _field(entry, "title", f"E_g at the end over {key} (SIMULATED)")
    _field(entry, "key", key)
    data = _group(entry, "data", "NXdata", signal="band_gap_end", axes=["value"])
    ends = [result.band_gap_ev[:, -1] for result in results]
    _field(data, "value", np.array(values, dtype=float), long_name=key)
    _field(data, "band_gap_end", np.array([end.mean() for end in ends]), "eV", long_name="E_g at the end (eV)")
    _field(data, "band_gap_end_errors", np.array([end.std(ddof=1) if end.size > 1 else 0.0 for end in ends]), "eV",
           long_name="standard deviation of the replicas")
