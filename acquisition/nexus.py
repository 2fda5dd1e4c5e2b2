"""The finished file: NeXus/HDF5, application definition ``NXoptical_spectroscopy``, written once and atomically.

Only the layout is here. :func:`write_nexus` makes a file from a journal, :class:`NexusFile` reads one; when which of
them happens is in :mod:`halidescope.acquisition.storage`.

``entry/data`` holds the raw counts on their true axes. Programs that know only uniform axes (HyperSpy's reader among
them) would show such data over pixel numbers, so where an axis is not uniform ``entry/view`` offers the same spectra
interpolated onto uniform ones, and is the file's default.
"""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.journal import JournalReader
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import axis_label, axis_unit
from halidescope.acquisition.records import SCHEMA_VERSION, Ending, Event, Flag, Header, SpectrumRecord, runs_of
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.transport import COLUMNS

_BLOCK = 64   # spectra held in memory at once


def kept_shape(journal: JournalReader, places: dict[int, int]) -> tuple[int, ...]:
    """Shape of the points: a map keeps its grid, a series ends with its last spectrum (at least one row)."""
    shape = journal.header.shape
    return shape if len(shape) > 1 else (max(places, default=0) + 1,)


def write_nexus(journal: JournalReader, path: Path) -> list[int]:
    """Write the finished file from a journal, spectra sorted to ascending wavelength.

    Returns
    -------
    list of int
        Points whose journal rows are damaged; they are masked in the file.
    """
    header = journal.header
    places = journal.places()
    shape = kept_shape(journal, places)
    with h5py.File(path, "w", libver=("v108", "v110")) as file:
        file.attrs.update(NX_class="NXroot", default="entry", creator="halidescope")
        entry = _group(file, "entry", "NXentry", default="data")
        _describe(entry, header, journal.ending)
        data, damaged = _data(entry, journal, places, shape)
        _instrument(entry, header, data)
        _sample(entry, header)
        _own(entry, journal, damaged)
        if not all(_uniform(data[name][()]) for name in (*header.axes, "wavelength")):
            _view(entry, header, data)
            entry.attrs["default"] = "view"
    return damaged


def _group(parent: h5py.Group, name: str, kind: str, **attributes: Any) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    group.attrs.update(attributes)
    return group


def _field(group: h5py.Group, name: str, value: Any, units: str = "", **attributes: Any) -> h5py.Dataset:
    field = group.create_dataset(name, data=value)
    if units:
        field.attrs["units"] = units
    field.attrs.update(attributes)
    return field


def _describe(entry: h5py.Group, header: Header, ending: Ending | None) -> None:
    _field(entry, "definition", "NXoptical_spectroscopy", version="v2026.01")
    _field(entry, "title", header.title + (" (SIMULATED)" if header.simulated else ""))
    _field(entry, "start_time", header.started_at)
    _field(entry, "end_time", ending.ended_at if ending else header.started_at)
    _field(entry, "experiment_type", "photoluminescence")
    _field(entry, "experiment_sub_type", "time resolved" if "time" in header.axes else "imaging")
    _field(entry, "simulated", header.simulated)


def _data(
    entry: h5py.Group, journal: JournalReader, places: dict[int, int], shape: tuple[int, ...]
) -> tuple[h5py.Group, list[int]]:
    """Counts, axes and per-point numbers; returns the data group and the damaged points."""
    header = journal.header
    wavelength_nm = np.asarray(header.wavelength_nm)
    order = np.argsort(wavelength_nm, kind="stable")
    channels = len(order)
    names = (*header.axes, "wavelength")
    data = _group(entry, "data", "NXdata", signal="intensity", axes=names, interpretation="spectrum")
    data.attrs.update({f"{name}_indices": index for index, name in enumerate(names)})
    intensity = data.create_dataset(
        "intensity", (*shape, channels), header.count_type, fillvalue=0, compression="gzip", compression_opts=4,
        shuffle=True, chunks=(*(1,) * (len(shape) - 1), min(32, shape[-1]), channels),
    )
    intensity.attrs.update(units="counts", long_name="photoluminescence (counts)", interpretation="spectrum")
    columns = {name: np.full(shape, np.nan) for name in COLUMNS}
    sequence = np.full(shape, -1, np.int64)
    flags = np.zeros(shape, np.int64)
    damaged: list[int] = []
    for where, block in _blocks(shape):
        counts = np.zeros((len(block), channels), header.count_type)
        for row, point in enumerate(block):
            if point not in places:
                continue
            record = journal.spectrum(places[point])
            if record is None:
                damaged.append(point)
                continue
            counts[row] = record.counts[order]
            place = np.unravel_index(point, shape)
            sequence[place], flags[place] = record.sequence, record.flags
            for name, column in columns.items():
                column[place] = getattr(record, name)
        intensity[where] = counts
    for name, planned in header.axes.items():
        values = np.asarray(planned)
        if name == "time":     # actual times where there are any; the planned ones are among the columns
            values = np.where(np.isfinite(columns["time_s"]), columns["time_s"], values[: shape[0]])
        _field(data, name, values, axis_unit(name), long_name=axis_label(name))
    _field(data, "wavelength", wavelength_nm[order], "nm", long_name="wavelength (nm)")
    for index, name in enumerate(names):
        data[name].make_scale(name)
        intensity.dims[index].attach_scale(data[name])
    own = _group(entry, "halidescope", "NXcollection")
    _field(own, "valid", sequence >= 0)
    _field(own, "sequence", sequence)
    _field(own, "flags", flags)
    for name, column in columns.items():
        _field(own, name, column, COLUMNS[name])
    return data, damaged


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[Any, range]]:
    """Where to write, and which points: whole rows of a map, stretches of a series."""
    if len(shape) == 2:
        for row in range(shape[0]):
            yield row, range(row * shape[1], (row + 1) * shape[1])
    else:
        for first in range(0, shape[0], _BLOCK):
            last = min(first + _BLOCK, shape[0])
            yield slice(first, last), range(first, last)


def _instrument(entry: h5py.Group, header: Header, data: h5py.Group) -> None:
    instrument = _group(entry, "instrument", "NXinstrument")
    wavelength_nm = header.calibration["laser_wavelength_nm"]
    beam = _group(instrument, f"beam_{wavelength_nm:.0f}nm", "NXbeam")
    _field(beam, "parameter_reliability", "measurement")
    _field(beam, "incident_wavelength", wavelength_nm, "nm")
    _field(beam, "average_power", float(header.recipe["sample_power_uw"]), "uW")  # type: ignore[arg-type]
    _field(beam, "extent", [2 * header.calibration["waist_um"]] * 2, "um", description="1/e^2 diameter at the film")
    source = _group(instrument, f"source_{wavelength_nm:.0f}nm", "NXsource")
    _field(source, "type", "Laser")
    _field(source, "wavelength", wavelength_nm, "nm")
    objective = _group(instrument, "objective", "NXoptical_lens")
    _field(objective, "type", "objective")
    detector = _group(instrument, "detector_spectrometer", "NXdetector")
    _field(detector, "detector_channel_type", "multichannel")
    _field(detector, "detector_type", "spectrometer")
    raw = _group(detector, "raw_data", "NXdata", signal="intensity", axes=data.attrs["axes"], interpretation="spectrum")
    for name in ("intensity", *data.attrs["axes"]):
        raw[name] = data[name]
    stage = _group(instrument, "sample_stage", "NXmanipulator")
    for role, group in (("laser", source), ("spectrometer", detector), ("stage", stage)):
        made = _group(group, "device_information", "NXfabrication")
        identity = header.identities[role]
        _field(made, "vendor", identity["manufacturer"])
        _field(made, "model", identity["model"])
        _field(made, "serial_number", identity["serial"])
        _field(made, "firmware", identity["firmware"])
    program = _group(instrument, "software_halidescope", "NXprogram")
    _field(program, "program", "halidescope", version=version("halidescope"))


def _sample(entry: h5py.Group, header: Header) -> None:
    sample = _group(entry, "sample", "NXsample")
    given: Any = header.recipe.get("sample", {})
    _field(sample, "name", given.get("name") or "unnamed")
    _field(sample, "description", given.get("notes", ""))
    if given.get("composition") is not None:
        _field(sample, "composition", f"x = {given['composition']:g} in CsPbBr(3-x)I(x)")


def _own(entry: h5py.Group, journal: JournalReader, damaged: list[int]) -> None:
    """What no NeXus class has a place for; the header as JSON, so that nothing is lost on the way."""
    own = entry["halidescope"]
    own.attrs.update(schema_version=SCHEMA_VERSION, simulated=journal.header.simulated)
    _field(own, "header", msgspec.json.encode(journal.header).decode())
    _field(own, "ending", msgspec.json.encode(journal.ending).decode())
    _field(own, "plan", msgspec.json.encode(journal.header.recipe).decode(), hash=journal.header.plan_hash)
    _field(own, "microscope_file", journal.header.microscope)
    _field(own, "events", msgspec.json.encode(journal.events()).decode())
    _field(own, "online_results", msgspec.json.encode(journal.results).decode())
    _field(own, "damaged_points", msgspec.json.encode(damaged).decode())
    missing = journal.missing()
    runs = {
        why: runs_of(point for point, reason in missing.items() if reason == why) for why in set(missing.values())
    }
    _field(own, "missing_points", msgspec.json.encode(runs).decode())
    order = np.argsort(journal.header.wavelength_nm, kind="stable")
    darks, _ = journal.dark()
    if darks:      # HyperSpy's reader fails on empty arrays
        _field(own, "dark_spectra", np.array([dark.counts[order] for dark in darks]), "counts")
        _field(own, "dark_exposure_s", [dark.exposure_s for dark in darks], "s")
        _field(own, "dark_start_s", [dark.start_s for dark in darks], "s")
    if spots := journal.light_spots():
        _field(
            own, "light_spots", np.array(spots),
            description="x (um), y (um), peak dose of the spot's own light (J/cm^2), between exposures included",
        )
    repeats = journal.repeats()
    if repeats:    # spectra taken again at points that have one already
        again = _group(own, "repeats", "NXcollection")
        _field(again, "counts", np.array([one.counts[order] for one in repeats]), "counts")
        for name in ("sequence", "index", "flags"):
            _field(again, name, [int(getattr(one, name)) for one in repeats])
        for name, unit in COLUMNS.items():
            _field(again, name, [getattr(one, name) for one in repeats], unit)


def _uniform(axis: NDArray[np.float64]) -> bool:
    """Whether programs that know only offset and step show this axis rightly (HyperSpy's own criterion)."""
    steps = np.diff(axis)
    return len(steps) == 0 or bool(np.allclose(steps[0], steps, rtol=1e-5))


def _view(entry: h5py.Group, header: Header, data: h5py.Group) -> None:
    """The spectra on uniform axes: planned times, wavelengths linearly interpolated between the channels."""
    names = tuple(data.attrs["axes"])
    view = _group(entry, "view", "NXdata", signal="intensity", axes=names, interpretation="spectrum")
    view.attrs["description"] = "entry/data interpolated onto uniform axes and rounded to counts; not the raw data"
    raw, wavelength_nm = data["intensity"], data["wavelength"][()]
    if _uniform(wavelength_nm):
        view["intensity"] = raw
        uniform_nm = wavelength_nm
    else:
        uniform_nm = np.linspace(wavelength_nm[0], wavelength_nm[-1], len(wavelength_nm))
        left = np.clip(np.searchsorted(wavelength_nm, uniform_nm, side="right") - 1, 0, len(wavelength_nm) - 2)
        share = (uniform_nm - wavelength_nm[left]) / (wavelength_nm[left + 1] - wavelength_nm[left])
        share = share.astype(np.float32)
        shown = view.create_dataset(
            "intensity", raw.shape, raw.dtype, chunks=raw.chunks, compression="gzip", compression_opts=1, shuffle=True
        )
        for where, _ in _blocks(raw.shape[:-1]):
            counts = raw[where].astype(np.float32)
            shown[where] = np.rint(counts[:, left] * (1 - share) + counts[:, left + 1] * share).astype(raw.dtype)
        shown.attrs.update(units="counts", long_name="photoluminescence (counts)", interpretation="spectrum")
    for name in header.axes:
        values = np.asarray(header.axes[name])[: raw.shape[names.index(name)]]
        label = f"planned {axis_label(name)}" if name == "time" else axis_label(name)
        _field(view, name, values, axis_unit(name), long_name=label)
    _field(view, "wavelength", uniform_nm, "nm", long_name="wavelength (nm)")
    view.attrs.update({f"{name}_indices": index for index, name in enumerate(names)})


def _repeats(group: h5py.Group) -> tuple[SpectrumRecord, ...]:
    columns = {name: group[name][()] for name in ("counts", "sequence", "index", "flags", *COLUMNS)}
    return tuple(
        SpectrumRecord(
            sequence=int(columns["sequence"][k]), index=int(columns["index"][k]), flags=Flag(int(columns["flags"][k])),
            counts=columns["counts"][k], **{name: float(columns[name][k]) for name in COLUMNS},
        )
        for k in range(len(columns["sequence"]))
    )


class NexusFile:
    """Reads a finished file of ours; the spectra stay on the disk until they are asked for.

    Raises
    ------
    ScanFileError
        Not HDF5, not ours, damaged, or from a newer version.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise ScanFileError(f"{path}: not a readable NeXus file ({error})") from error
        try:
            own = self._file["entry/halidescope"]
            written = int(own.attrs["schema_version"])
            if written > SCHEMA_VERSION:
                raise ScanFileError(
                    f"{path}: schema version {written} is newer than this program's {SCHEMA_VERSION}; update it"
                )
            self.header = msgspec.json.decode(own["header"][()], type=Header)
            self.ending = msgspec.json.decode(own["ending"][()], type=Ending | None)
            self.events = msgspec.json.decode(own["events"][()], type=tuple[Event, ...])
            self.results = msgspec.json.decode(own["online_results"][()], type=OnlineResults | None)
            names = (*COLUMNS, "valid", "sequence", "flags")
            self.columns: dict[str, NDArray] = {name: own[name][()] for name in names}
            self.damaged = msgspec.json.decode(own["damaged_points"][()], type=tuple[int, ...])
            runs = msgspec.json.decode(own["missing_points"][()], type=dict[str, list[tuple[int, int]]])
            self.missing = {
                point: why for why, stretches in runs.items() for first, last in stretches
                for point in range(first, last + 1)
            }
            self.repeats = _repeats(own["repeats"]) if "repeats" in own else ()
            self.light_spots: NDArray = own["light_spots"][()] if "light_spots" in own else np.empty((0, 3))
            self.wavelength_nm: NDArray = self._file["entry/data/wavelength"][()]
            nothing = np.empty((0, len(self.wavelength_nm)), self.header.count_type)
            self.dark_spectra: NDArray = own["dark_spectra"][()] if "dark_spectra" in own else nothing
            self.dark_exposure_s: NDArray = own["dark_exposure_s"][()] if "dark_spectra" in own else np.empty(0)
            self.dark_start_s: NDArray = own["dark_start_s"][()] if "dark_spectra" in own else np.empty(0)
            self.intensity: h5py.Dataset = self._file["entry/data/intensity"]
            if self.intensity.shape != (*self.columns["valid"].shape, len(self.wavelength_nm)):
                raise ScanFileError(f"{path}: spectra and axes do not fit together; the file is damaged")
        except (KeyError, ValueError, OSError, TypeError, AttributeError, msgspec.MsgspecError) as error:
            self._file.close()
            raise ScanFileError(f"{path}: not a measurement of Halidescope, or damaged ({error})") from error
        except ScanFileError:
            self._file.close()
            raise

    def record(self, point: int) -> SpectrumRecord | None:
        """One spectrum as it was written down, its counts in ascending wavelength; None where there is none."""
        place = tuple(int(k) for k in np.unravel_index(point, self.columns["valid"].shape))
        if not self.columns["valid"][place]:
            return None
        numbers = {name: float(self.columns[name][place]) for name in COLUMNS}
        return SpectrumRecord(
            sequence=int(self.columns["sequence"][place]), index=point, flags=Flag(int(self.columns["flags"][place])),
            counts=self.intensity[place], **numbers,
        )

    @property
    def saturated(self) -> NDArray[np.bool_]:
        """Points with a saturated pixel."""
        return (self.columns["flags"] & int(Flag.SATURATED)) != 0

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._file.close()
