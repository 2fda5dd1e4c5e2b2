"""A stored analysis for other programs: a table of all points, and of a map the images.

In the table one row per point, numbers and settings above it in lines with #.
"""

import csv
import math
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.maps import write_planes
from halidescope.acquisition.problems import RefusedRunError, ScanFileError
from halidescope.acquisition.quantities import axis_unit, split_unit, ucum
from halidescope.acquisition.results import Number
from halidescope.acquisition.results_file import read_results_file
from halidescope.acquisition.stored_analysis import StoredAnalysis


def convert_results(source: Path, out: Path, number: int | None = None) -> None:
    """Write one analysis of a file of results as a table or as images; the newest unless ``number`` names another.

    Raises
    ------
    RefusedRunError
        ``out`` exists, or is neither table nor images; there is no such analysis, or it is of no map.
    ScanFileError
        The results are damaged, or ``out`` cannot be written.
    """
    if out.exists():
        raise RefusedRunError(f"output file {out} exists and is never overwritten; choose another name")
    ending = next((one for one in WRITERS if out.name.endswith(one)), None)
    if ending is None:
        raise RefusedRunError(f"output file {out}: results become tables and images; use {', '.join(WRITERS)}")
    runs = {run.number: run for run in read_results_file(source)}
    if not runs or (number is not None and number not in runs):
        held = ", ".join(map(str, runs)) or "none"
        raise RefusedRunError(f"{source}: has no analysis {number or 1}; there are: {held}")
    part = out.with_name(f"{out.name.removesuffix(ending)}.part{ending}")
    try:
        WRITERS[ending](runs[max(runs) if number is None else number], part)
        part.replace(out)
    except OSError as error:
        raise ScanFileError(f"{out}: cannot be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)


def write_results_csv(run: StoredAnalysis, path: Path) -> None:
    """Coordinates, then every per-point result; one column per endmember where there are several, named after it."""
    shape = tuple(len(axis) for axis in run.axes.values())
    columns = {
        _heading(name, axis_unit(name)): np.broadcast_to(
            axis.reshape([-1 if place == k else 1 for k in range(len(shape))]), shape
        ).ravel()
        for place, (name, axis) in enumerate(run.axes.items())
    }
    columns |= {name: values.ravel() for name, values in _quantities(run).items()}
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        mark = "; SIMULATED" if run.about.simulated else ""
        file.write(f"# Halidescope results; analysis {run.number} of {run.about.data_file}{mark}\r\n")
        table.writerow([f"# made {run.about.made_at}; settings {msgspec.json.encode(run.about.origin).decode()}"])
        for note in run.notes:
            table.writerow([f"# {note}"])
        for name, number in run.numbers.items():
            stem, unit = split_unit(name)
            table.writerow([f"# {stem} = {_told(number)} {ucum(unit) if unit else ''}".rstrip()])
        table.writerow(["point", *columns])
        for point, values in enumerate(zip(*(column.tolist() for column in columns.values()), strict=True)):
            table.writerow([point, *("" if value != value else +value for value in values)])


def _told(number: Number) -> str:
    """Value with its error, or its 95 % interval where an error cannot say it."""
    if math.isnan(number.value):
        return "not determined"
    if number.interval is None or number.interval.method != "profile":
        return f"{number.value!r}" + ("" if number.se is None else f" +- {number.se!r}")
    low, high = ("no limit" if end is None else repr(end) for end in (number.interval.low, number.interval.high))
    return f"{number.value!r} (95 % interval: {low} to {high})"


def write_results_tiff(run: StoredAnalysis, path: Path) -> None:
    """Every per-point result of a map as a plane of an OME-TIFF, 32-bit floats."""
    if tuple(run.axes) != ("y", "x"):
        raise RefusedRunError(f"analysis {run.title} of {run.about.data_file}: only maps have images; use .csv")
    title = f"analysis {run.number} of {run.about.data_file}" + (" SIMULATED" if run.about.simulated else "")
    write_planes(path, _quantities(run), run.axes, title)


WRITERS = {".csv": write_results_csv, ".ome.tif": write_results_tiff}


def _quantities(run: StoredAnalysis) -> dict[str, NDArray]:
    """Every result, shape points, by its name with the unit; one of each endmember, named after it."""
    dimensions, found = len(run.axes), {}
    for name, array in run.arrays.items():
        unit = run.units.get(name, "")
        if array.ndim == dimensions:
            found[_heading(name, unit)] = array
            continue
        flat = array.reshape(*array.shape[:dimensions], -1)
        labels = run.about.labels if flat.shape[-1] == len(run.about.labels) else range(1, flat.shape[-1] + 1)
        found |= {_heading(f"{name} {label}", unit): flat[..., k] for k, label in enumerate(labels)}
    return found


def _heading(name: str, unit: str) -> str:
    return f"{name} ({ucum(unit)})" if unit else name
