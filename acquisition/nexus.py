"""The finished file: NeXus/HDF5, application definition ``NXoptical_spectroscopy``, written once and atomically.

Only the layout of the data is here; instruments, sample and people are in :mod:`halidescope.acquisition.nexus_setup`,
reading is in :mod:`halidescope.acquisition.nexus_file`, and when a file is written in
:mod:`halidescope.acquisition.storage`.

``entry/data`` holds the raw counts on their true axes. Programs that know only uniform axes (HyperSpy's reader among
them) would show such data over pixel numbers, so where an axis is not uniform ``entry/view`` offers the same spectra
interpolated onto uniform ones, and is the file's default.
"""

from contextlib import ExitStack
from pathlib import Path

import h5py
import msgspec
import numpy as np
from isal.isal_zlib import crc32
from numpy.typing import NDArray

from halidescope.acquisition.chunks import CubeWriter, make_cube
from halidescope.acquisition.contents import Contents
from halidescope.acquisition.nexus_setup import add_instrument, add_people, add_sample, describe, new_field, new_group
from halidescope.acquisition.quantities import axis_label, axis_unit, ucum
from halidescope.acquisition.records import SCHEMA_VERSION, runs_of
from halidescope.acquisition.transport import COLUMNS


def write_nexus(contents: Contents, path: Path) -> list[int]:
    """Write the finished file of a measurement, spectra sorted to ascending wavelength.

    Returns
    -------
    list of int
        Points that are damaged; they are masked in the file.
    """
    header = contents.header
    with h5py.File(path, "w", libver=("v108", "v110")) as file:
        file.attrs.update(NX_class="NXroot", default="entry", creator="halidescope")
        entry = new_group(file, "entry", "NXentry", default="data")
        describe(entry, header, contents.ending)
        names = (*header.axes, "wavelength")
        planned = {name: np.asarray(axis)[:size] for (name, axis), size in zip(
            header.axes.items(), contents.shape, strict=True)}
        # a series' true times are known only at its end, and are hardly ever uniform
        uniform = all(_uniform(axis) for name, axis in planned.items() if name != "time")
        view = None if uniform and _uniform(contents.wavelength_nm) else View(contents.wavelength_nm)
        data, shown = _spectra(entry, contents, names, view)
        _numbers(entry, contents)
        _axes(data, contents, planned)
        add_instrument(entry, header, data)
        add_sample(entry, header)
        add_people(entry, header)
        _own(entry, contents)
        if view is not None or not all(_uniform(data[name][()]) for name in names):
            _view(entry, data, planned, view, shown)
            entry.attrs["default"] = "view"
    return contents.damaged


def _spectra(
    entry: h5py.Group, contents: Contents, names: tuple[str, ...], view: "View | None"
) -> tuple[h5py.Group, h5py.Dataset | None]:
    """The cube with its CRCs and sums, and the same on uniform axes beside it; one pass over the contents."""
    shape, channels = contents.shape, len(contents.wavelength_nm)
    kind = contents.header.count_type
    data = new_group(entry, "data", "NXdata", signal="intensity", axes=names, interpretation="spectrum")
    data.attrs.update({f"{name}_indices": index for index, name in enumerate(names)})
    intensity = make_cube(data, "intensity", (*shape, channels), kind)
    intensity.attrs.update(units="counts", ucum=ucum("counts"), interpretation="spectrum")
    intensity.attrs["long_name"] = "photoluminescence (counts)"
    crc, sums = np.zeros(shape, np.uint32), np.zeros(shape)
    with ExitStack() as stack:
        raw = stack.enter_context(CubeWriter(intensity))
        shown = None
        if view is not None:
            group = new_group(entry, "view", "NXdata", signal="intensity", axes=names, interpretation="spectrum")
            shown = make_cube(group, "intensity", (*shape, channels), kind)
            shown.attrs.update(intensity.attrs)
            resampled = stack.enter_context(CubeWriter(shown, view.resample))
        for line, first, counts in contents.blocks():
            counts = np.ascontiguousarray(counts, kind)
            here = slice(first, first + len(counts))
            crc[line][here] = [crc32(row) for row in counts]
            sums[line][here] = counts.sum(axis=1, dtype=np.float64)
            raw.write(line, first, counts)
            if view is not None:
                resampled.write(line, first, counts)
    own = new_group(entry, "halidescope", "NXcollection")
    new_field(own, "counts_crc", crc, description="CRC-32 of each spectrum's bytes in entry/data/intensity")
    new_field(own, "counts_sum", np.where(contents.columns["valid"], sums, np.nan), "counts")
    return data, shown


def _numbers(entry: h5py.Group, contents: Contents) -> None:
    """Per-point numbers, and the CRC over each of their columns."""
    own = entry["halidescope"]
    for name, column in contents.columns.items():
        values = np.ascontiguousarray(column)
        new_field(own, name, values, COLUMNS.get(name, ""), crc32=crc32(values.tobytes()))


def _axes(data: h5py.Group, contents: Contents, planned: dict[str, NDArray]) -> None:
    """True axes, with HDF5 dimension scales attached."""
    for name, axis in planned.items():
        values = axis
        if name == "time":     # actual times where there are any; the planned ones are among the columns
            times = contents.columns["time_s"]
            values = np.where(np.isfinite(times), times, axis) if times.shape == axis.shape else axis
        new_field(data, name, values, axis_unit(name), long_name=axis_label(name))
    new_field(data, "wavelength", contents.wavelength_nm, "nm", long_name="wavelength (nm)")
    for index, name in enumerate((*planned, "wavelength")):
        data[name].make_scale(name)
        data["intensity"].dims[index].attach_scale(data[name])


def _own(entry: h5py.Group, contents: Contents) -> None:
    """What no NeXus class has a place for; the header as JSON, so that nothing is lost on the way."""
    own = entry["halidescope"]
    own.attrs.update(schema_version=SCHEMA_VERSION, simulated=contents.header.simulated)
    header = msgspec.structs.replace(contents.header, schema_version=SCHEMA_VERSION)
    new_field(own, "header", msgspec.json.encode(header).decode())
    new_field(own, "ending", msgspec.json.encode(contents.ending).decode())
    new_field(own, "plan", msgspec.json.encode(header.recipe).decode(), hash=header.plan_hash)
    new_field(own, "microscope_file", header.microscope)
    new_field(own, "events", msgspec.json.encode(contents.events).decode())
    new_field(own, "online_results", msgspec.json.encode(contents.results).decode())
    new_field(own, "damaged_points", msgspec.json.encode(contents.damaged).decode())
    missing = contents.missing
    runs = {
        why: runs_of(point for point, reason in missing.items() if reason == why) for why in set(missing.values())
    }
    new_field(own, "missing_points", msgspec.json.encode(runs).decode())
    if darks := contents.darks:      # HyperSpy's reader fails on empty arrays
        new_field(own, "dark_spectra", np.array([dark.counts for dark in darks]), "counts")
        new_field(own, "dark_exposure_s", [dark.exposure_s for dark in darks], "s")
        new_field(own, "dark_start_s", [dark.start_s for dark in darks], "s")
    if spots := contents.light_spots:
        new_field(
            own, "light_spots", np.array(spots),
            description="x (um), y (um), peak dose of the spot's own light (J/cm^2), between exposures included; how "
            "much of it is in doubt (J/cm^2), because the head may have gone dark by itself before that was noticed",
        )
    if repeats := contents.repeats:    # spectra taken again at points that have one already
        again = new_group(own, "repeats", "NXcollection")
        new_field(again, "counts", np.array([one.counts for one in repeats]), "counts")
        for name in ("sequence", "index", "flags"):
            new_field(again, name, [int(getattr(one, name)) for one in repeats])
        for name, unit in COLUMNS.items():
            new_field(again, name, [getattr(one, name) for one in repeats], unit)


def _uniform(axis: NDArray[np.float64]) -> bool:
    """Whether programs that know only offset and step show this axis rightly (HyperSpy's own criterion)."""
    steps = np.diff(axis)
    return len(steps) == 0 or bool(np.allclose(steps[0], steps, rtol=1e-5))


class View:
    """Spectra on a uniform wavelength axis, linearly interpolated between the channels."""

    def __init__(self, wavelength_nm: NDArray[np.float64]) -> None:
        self.wavelength_nm = wavelength_nm
        self._left: NDArray[np.intp] | None = None
        if not _uniform(wavelength_nm):
            last = len(wavelength_nm) - 1
            self.wavelength_nm = np.linspace(wavelength_nm[0], wavelength_nm[-1], last + 1)
            self._left = np.clip(np.searchsorted(wavelength_nm, self.wavelength_nm, side="right") - 1, 0, last - 1)
            share = (self.wavelength_nm - wavelength_nm[self._left]) / np.diff(wavelength_nm)[self._left]
            self._share = share.astype(np.float32)

    def resample(self, counts: NDArray) -> NDArray:
        """Counts (n, channels) on the uniform axis, whole numbers rounded."""
        if self._left is None:
            return counts
        values = counts.astype(np.float32)
        shown = values[:, self._left] + np.diff(values)[:, self._left] * self._share
        return (np.rint(shown) if counts.dtype.kind in "ui" else shown).astype(counts.dtype)


def _view(
    entry: h5py.Group, data: h5py.Group, planned: dict[str, NDArray], view: View | None, shown: h5py.Dataset | None
) -> None:
    """The default of a file with non-uniform axes: planned times, wavelengths on a uniform axis."""
    names = tuple(data.attrs["axes"])
    if shown is None:          # only the times are not uniform: the raw counts themselves
        group = new_group(entry, "view", "NXdata", signal="intensity", axes=names, interpretation="spectrum")
        group["intensity"] = data["intensity"]
    else:
        group = shown.parent
    group.attrs["description"] = "entry/data interpolated onto uniform axes and rounded to counts; not the raw data"
    for name, values in planned.items():
        label = f"planned {axis_label(name)}" if name == "time" else axis_label(name)
        new_field(group, name, values, axis_unit(name), long_name=label)
    wavelength_nm = data["wavelength"][()] if view is None else view.wavelength_nm
    new_field(group, "wavelength", wavelength_nm, "nm", long_name="wavelength (nm)")
    group.attrs.update({f"{name}_indices": index for index, name in enumerate(names)})
