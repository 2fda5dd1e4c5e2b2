"""What people say about a measurement: operator, sample, optics, circumstances, notes, anything; and changing it later.

It comes from the recipe and the microscope file (:func:`details_of`) and lies in the measured file. A change writes the
file anew beside the old one, raw data untouched, and adds to its history who changed what, when, from what to what.
"""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import h5py
import msgspec
from pydantic import BaseModel, ValidationError

from halidescope.acquisition.microscope import CalibrationTable, MicroscopeFile, OpticsTable
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.nexus_setup import add_optics, add_people, add_sample, new_field
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.recipe_base import About, Recipe, Sample
from halidescope.acquisition.records import Header
from halidescope.acquisition.vetting import Holds, vet

TEXTS = ("operator", "laboratory", "notes")
TABLES = ("sample", "objective", "calibration", "environment", "extra")
# table → the model whose rules hold, its fields by the entries' names, and whether other names are allowed
RULES: dict[str, tuple[type[BaseModel], dict[str, str], bool]] = {
    "sample": (Sample, {name: name for name in Sample.model_fields}, False),
    "objective": (
        OpticsTable,
        {"name": "objective", "magnification": "magnification", "numerical_aperture": "numerical_aperture"}, False,
    ),
    "calibration": (CalibrationTable, {name: name for name in CalibrationTable.model_fields}, False),
    "environment": (About, {name: name for name in ("temperature_c", "humidity_percent", "atmosphere")}, True),
}


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
        The entries added to the history; what stays the same is none.

    Raises
    ------
    BadFileError
        A key that there is not, a value that it cannot have, nobody's name, or a file that is no finished one of ours.
    ScanFileError
        The file cannot be read or written; it is then as it was.
    """
    if not by.strip():
        raise BadFileError(f"{path}: a change needs the name of who makes it")
    if reason := why_not_changed(path):
        raise BadFileError(reason)
    file = NexusFile(path)
    header = file.header
    file.close()
    now = datetime.now(UTC).isoformat()
    made: list[dict[str, object]] = []
    for key, given in changes.items():
        value = checked(key, given)
        header, before = _changed(header, key, value)
        if value != before:
            made.append({"at": now, "by": by, "key": key, "from": before, "to": value, "why": why})
    if not made:
        return []
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


def why_not_changed(path: Path) -> str:
    """Why the description of a file cannot be changed; empty if it can."""
    if path.name.endswith(".journal"):
        out = path.with_name(path.name.removesuffix(".journal"))
        return (
            f"{path}: is the journal of a measurement that was not finished; finish it first "
            f"(halidescope convert {path.name} --out {out.name})"
        )
    if path.suffix != ".nxs":
        return f"{path}: only .nxs files are described anew; save it as .nxs first (halidescope convert)"
    if vet(path) is Holds.LIST:
        return f"{path}: is a list of measurements; describe its parts one by one"
    return ""


def history_words(entry: Mapping[str, Any]) -> str:
    """One change, for people."""
    before, after = (value_words(entry.get(name)) or "nothing" for name in ("from", "to"))
    why = f" ({entry['why']})" if entry.get("why") else ""
    when = str(entry.get("at", ""))[:16].replace("T", " ")
    return f"{when} {entry.get('by', '')}: {entry.get('key', '')}: {before} → {after}{why}"


def value_words(value: object) -> str:
    """A value as a person types it."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)


def checked(key: str, value: object) -> object:
    """A value as it is stored, by the rules of recipe and microscope file; an empty text takes an entry away.

    Raises
    ------
    BadFileError
        There is no such entry, or it cannot have this value.
    """
    table, dot, name = key.partition(".")
    known = (table in TABLES and name) if dot else key in ("title", "filters", *TEXTS)
    if not known:
        raise BadFileError(
            f"unknown entry {key!r}; there are title, {', '.join(TEXTS)}, filters, and {', '.join(TABLES)} followed "
            "by a dot and a name, as sample.substrate"
        )
    if key == "title" and not str(value).strip():
        raise BadFileError("title: a measurement needs one")
    if key == "filters" and isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    if table not in RULES:
        return value
    model, names, free = RULES[table]
    if name not in names:
        if free:
            return value
        raise BadFileError(f"unknown entry {key!r}; {table} has {', '.join(names)}; what else there is, is extra.NAME")
    if value == "":
        return value
    try:
        if table == "calibration":
            date.fromisoformat(str(value))
        return getattr(model.model_validate({names[name]: value}), names[name])
    except ValidationError as error:
        told = error.errors()[0]["msg"]
        raise BadFileError(f"{key} = {value!r}: {told[0].lower()}{told[1:]}") from error
    except ValueError as error:
        raise BadFileError(f"{key} = {value!r}: must be a day, written YYYY-MM-DD") from error


def _changed(header: Header, key: str, value: object) -> tuple[Header, object]:
    """A header with one entry changed, and what it was."""
    table, _, name = key.partition(".")
    if key == "title":
        return msgspec.structs.replace(header, title=str(value)), header.title
    if key in (*TEXTS, "filters"):
        before = header.details.get(key, [] if key == "filters" else "")
        return msgspec.structs.replace(header, details=_said({**header.details, key: value})), before
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
