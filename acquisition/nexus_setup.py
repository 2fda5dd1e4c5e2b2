"""What a finished file says about the measurement beside its data: instruments, sample, people, circumstances.

NeXus has a place for most of it; the rest is in the header's JSON text. Descriptions can be changed afterwards
(:mod:`halidescope.acquisition.description`), so all that comes from a description is written here, and only here.
"""

from importlib.metadata import version
from typing import Any

import h5py
import msgspec

from halidescope.acquisition.quantities import split_unit, ucum
from halidescope.acquisition.records import Ending, Header


def new_group(parent: h5py.Group, name: str, kind: str, **attributes: Any) -> h5py.Group:
    """A group of a NeXus class."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    group.attrs.update(attributes)
    return group


def new_field(group: h5py.Group, name: str, value: Any, units: str = "", **attributes: Any) -> h5py.Dataset:
    """A field with its unit, as NeXus programs and as UCUM write it."""
    field = group.create_dataset(name, data=value)
    if units:
        field.attrs.update(units=units, ucum=ucum(units))
    field.attrs.update(attributes)
    return field


def describe(entry: h5py.Group, header: Header, ending: Ending | None) -> None:
    """Title, times and kind of the measurement."""
    new_field(
        entry, "definition", "NXoptical_spectroscopy", version="v2026.01",
        URL="https://manual.nexusformat.org/classes/applications/NXoptical_spectroscopy.html",
    )
    new_field(entry, "title", header.title + (" (SIMULATED)" if header.simulated else ""))
    if header.started_at:          # unknown in files of some programs
        new_field(entry, "start_time", header.started_at)
        new_field(entry, "end_time", (ending and ending.ended_at) or header.started_at)
    new_field(entry, "experiment_type", "photoluminescence")
    new_field(entry, "experiment_sub_type", "time resolved" if "time" in header.axes else "imaging")
    new_field(entry, "simulated", header.simulated)


def add_instrument(entry: h5py.Group, header: Header, data: h5py.Group) -> None:
    """Beam, source, objective, filters, spectrometer, stage, program."""
    instrument = new_group(entry, "instrument", "NXinstrument")
    wavelength_nm = header.calibration.get("laser_wavelength_nm")
    name = "unknown" if wavelength_nm is None else f"{wavelength_nm:.0f}nm"
    beam = new_group(instrument, f"beam_{name}", "NXbeam")
    new_field(beam, "parameter_reliability", "nominal" if header.imported else "measured")
    source = new_group(instrument, f"source_{name}", "NXsource")
    new_field(source, "type", "Laser")
    if wavelength_nm is not None:
        new_field(beam, "incident_wavelength", wavelength_nm, "nm")
        new_field(source, "wavelength", wavelength_nm, "nm")
    if (power_uw := header.recipe.get("sample_power_uw")) is not None:
        new_field(beam, "average_power", float(power_uw), "uW")  # type: ignore[arg-type]
    if (waist_um := header.calibration.get("waist_um")) is not None:
        new_field(beam, "extent", [2 * waist_um] * 2, "um", description="1/e^2 diameter at the film")
    add_optics(instrument, header)
    detector = new_group(instrument, "detector_spectrometer", "NXdetector")
    new_field(detector, "detector_channel_type", "multichannel")
    new_field(detector, "detector_type", "spectrometer", custom=True)
    axes = data.attrs["axes"]
    raw = new_group(detector, "raw_data", "NXdata", signal="raw", axes=axes, interpretation="spectrum")
    raw["raw"] = data["intensity"]
    for field in axes:
        raw[field] = data[field]
    stage = new_group(instrument, "sample_stage", "NXmanipulator")
    for role, group in (("laser", source), ("spectrometer", detector), ("stage", stage)):
        made = new_group(group, "device_information", "NXfabrication")
        identity = header.identities[role]
        for field, key in (
            ("vendor", "manufacturer"), ("model", "model"), ("serial_number", "serial"), ("firmware", "firmware"),
        ):
            new_field(made, field, identity[key] or "unknown")
    program = new_group(instrument, "software_halidescope", "NXprogram")
    new_field(program, "program", "halidescope", version=version("halidescope"))


def add_optics(instrument: h5py.Group, header: Header) -> None:
    """Objective and filters, as far as they are described."""
    lens: Any = header.details.get("objective") or {}
    objective = new_group(instrument, "objective", "NXoptical_lens")
    new_field(objective, "type", "objective")
    for key, field in (("magnification", "magnification"), ("numerical_aperture", "numerical_aperture")):
        if isinstance(lens, dict) and lens.get(key) is not None:
            new_field(objective, field, float(lens[key]))
    if isinstance(lens, dict) and lens.get("name"):
        made = new_group(objective, "device_information", "NXfabrication")
        new_field(made, "model", str(lens["name"]))
    filters: Any = header.details.get("filters") or ()
    for k, one in enumerate(filters, 1):
        element = new_group(instrument, f"filter_{k}", "NXfilter")
        new_field(element, "description", str(one))


def add_sample(entry: h5py.Group, header: Header) -> None:
    """What was under the objective."""
    sample = new_group(entry, "sample", "NXsample")
    given: Any = header.recipe.get("sample", {})
    new_field(sample, "name", given.get("name") or "unnamed")
    new_field(sample, "description", given.get("notes", ""))
    if given.get("composition") is not None:
        new_field(sample, "composition", f"x = {given['composition']:g} in CsPbBr(3-x)I(x)")
    if given.get("thickness_nm") is not None:
        new_field(sample, "thickness", float(given["thickness_nm"]), "nm")
    for key in ("batch", "substrate"):
        if given.get(key):
            new_field(sample, key, str(given[key]))


def add_people(entry: h5py.Group, header: Header) -> None:
    """Who measured, the circumstances, notes; what was done to the data; changes of the description."""
    details = header.details
    if details.get("operator"):
        user = new_group(entry, "user", "NXuser")
        new_field(user, "name", str(details["operator"]))
        new_field(user, "role", "operator")
    around: Any = details.get("environment") or {}
    if around:
        environment = new_group(entry, "environment", "NXenvironment")
        for key, value in around.items():
            name, unit = split_unit(key)
            new_field(environment, name, value if isinstance(value, (int, float)) else str(value), unit)
    if details.get("notes"):
        note = new_group(entry, "notes", "NXnote")
        new_field(note, "type", "text/plain")
        new_field(note, "data", str(details["notes"]))
    own = entry["halidescope"]
    for name, values in (("details", details), ("history", header.history), ("processing", header.processing)):
        if values:
            new_field(own, name, msgspec.json.format(msgspec.json.encode(values)).decode())
