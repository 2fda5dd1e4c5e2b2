"""What people say about a measurement: operator, sample, optics, circumstances, notes, anything; and changing it later.

It comes from the recipe and the microscope file (:func:`details_of`) and lies in the measured file. A change writes the
file anew beside the old one, raw data untouched, and adds to its history who changed what, when, from what to what.
"""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import msgspec

from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.nexus_setup import add_optics, add_people, add_sample, new_field
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.recipe_base import Recipe
from halidescope.acquisition.records import Header

TEXTS = ("operator", "laboratory", "notes")
TABLES = ("sample", "objective", "calibration", "environment", "extra")
NUMBERS = ("composition", "thickness_nm", "magnification", "numerical_aperture", "temperature_c", "humidity_percent")


def details_of(recipe: Recipe, microscope: MicroscopeFile) -> dict[str, object]:
    """What recipe and microscope file say for people; what nobody said is left out. The sample stays in the recipe."""
    about, optics = recipe.about, microscope.optics
    lines = (line.partition(":") for line in about.extra)
    found: dict[str, Any] = {
        "operator": about.operator or microscope.about.operator, "laboratory": microscope.about.laboratory,
        "notes": about.notes, "filters": list(optics.filters),
        "objective": {
            "name": optics.objective, "magnification": optics.magnification,
            "numerical_aperture": optics.numerical_aperture,
        },
        "calibration": microscope.calibration.model_dump(),
        "environment": {
            "temperature_c": about.temperature_c, "humidity_percent": about.humidity_percent,
            "atmosphere": about.atmosphere,
        },
        "extra": {**microscope.about.extra, **{key.strip(): value.strip() for key, _, value in lines}},
    }
    return _said(found)


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: _said(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in kept.items() if value not in (None, "", [], {})}


def description_of(header: Header) -> dict[str, Any]:
    """Everything that can be changed, as one table."""
    return _said({"title": header.title, **header.details, "sample": header.recipe.get("sample", {})})


def edit_description(path: Path, changes: Mapping[str, object], *, by: str, why: str = "") -> list[dict[str, object]]:
    """Change what a finished file says about its measurement; an empty text takes an entry away.

    Parameters
    ----------
    changes : mapping
        ``title``, ``operator``, ``laboratory``, ``notes``, ``filters``, or ``table.key`` with the tables ``sample``,
        ``objective``, ``calibration``, ``environment``, ``extra``; e.g. ``{"sample.substrate": "sapphire"}``.
    by, why : str
        Who changes it, and the reason, for the history.

    Returns
    -------
    list of dict
        The entries added to the history.

    Raises
    ------
    BadFileError
        A key that there is not, a number that is none, or nobody's name.
    ScanFileError
        The file cannot be read or written; it is then as it was.
    """
    if not by.strip():
        raise BadFileError(f"{path}: a change needs the name of who makes it")
    file = NexusFile(path)
    header = file.header
    file.close()
    now = datetime.now(UTC).isoformat()
    made: list[dict[str, object]] = []
    for key, value in changes.items():
        header, before = _changed(header, key, _value(key, value))
        made.append({"at": now, "by": by, "key": key, "from": before, "to": _value(key, value), "why": why})
    header = msgspec.structs.replace(header, history=[*header.history, *made])
    part = path.with_name(path.name + ".part")
    try:
        shutil.copyfile(path, part)
        with h5py.File(part, "r+") as copy:
            _rewrite(copy["entry"], header)
        _require_same_data(path, part)
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError, KeyError) as error:
        raise ScanFileError(f"{path}: cannot be changed ({error}); it is as it was") from error
    finally:
        part.unlink(missing_ok=True)
    return made


def _value(key: str, value: object) -> object:
    name = key.rpartition(".")[2]
    if name in NUMBERS and value != "":
        try:
            return float(str(value))
        except ValueError as error:
            raise BadFileError(f"{key} = {value!r}: must be a number") from error
    if key == "filters" and isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    return value


def _changed(header: Header, key: str, value: object) -> tuple[Header, object]:
    """A header with one entry changed, and what it was."""
    table, dot, name = key.partition(".")
    if key == "title":
        return msgspec.structs.replace(header, title=str(value)), header.title
    if key in (*TEXTS, "filters"):
        details = {**header.details, key: value}
        return msgspec.structs.replace(header, details=_said(details)), header.details.get(key, "")
    if not dot or table not in TABLES or not name:
        raise BadFileError(
            f"unknown entry {key!r}; there are title, {', '.join(TEXTS)}, filters, and {', '.join(TABLES)} followed "
            "by a dot and a name, as sample.substrate"
        )
    if table == "sample":
        known: Any = header.recipe.get("sample", {})
        recipe = {**header.recipe, "sample": _said({**known, name: value})}
        return msgspec.structs.replace(header, recipe=recipe), known.get(name, "")
    held: Any = header.details.get(table, {})
    details = {**header.details, table: {**held, name: value}}
    return msgspec.structs.replace(header, details=_said(details)), held.get(name, "")


def _rewrite(entry: h5py.Group, header: Header) -> None:
    """Write all that comes from the description anew."""
    instrument, own = entry["instrument"], entry["halidescope"]
    gone = [entry[name] for name in ("title", "sample", "user", "environment", "notes") if name in entry]
    gone += [instrument[name] for name in instrument if name == "objective" or name.startswith("filter_")]
    gone += [own[name] for name in ("header", "details", "history", "processing") if name in own]
    for one in gone:
        del one.parent[one.name]
    new_field(entry, "title", header.title + (" (SIMULATED)" if header.simulated else ""))
    new_field(own, "header", msgspec.json.encode(header).decode())
    add_optics(instrument, header)
    add_sample(entry, header)
    add_people(entry, header)


def _require_same_data(path: Path, part: Path) -> None:
    """Raise OSError unless every spectrum of the copy is that of the original, byte for byte as packed."""
    with h5py.File(path, "r") as one, h5py.File(part, "r") as other:
        first, second = one["entry/data/intensity"].id, other["entry/data/intensity"].id
        count = first.get_num_chunks()
        same = count == second.get_num_chunks() and all(
            first.read_direct_chunk(place) == second.read_direct_chunk(place)
            for place in (first.get_chunk_info(k).chunk_offset for k in range(count))
        )
    if not same:
        raise OSError("the copy's spectra read back differently")
