"""Every number that leaves the program has its unit beside it, as a UCUM code (https://ucum.org) for machines."""

import csv
import json
import re

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import tifffile

from halidescope.acquisition.convert import convert
from halidescope.acquisition.description import edit_description
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.quantities import ucum
from halidescope.acquisition.results_file import results_path, store_results
from halidescope.acquisition.storage import finish, open_scan

from .conftest import analysed, header

# the codes of UCUM that we use: annotations, metric atoms with their prefixes and powers, what is special
PART = re.compile(r"\{\w+\}|(?:[numck]?(?:m|s|W|J|eV|bar)|K)\d?|Cel|%|1")
EXPECTED = {
    "intensity": "{counts}", "wavelength": "nm", "time_s": "s", "time_se_s": "s", "x_um": "um", "y": "um", "x": "um",
    "exposure_s": "s", "sample_power_uw": "uW", "dose_j_cm2": "J/cm2", "counts_sum": "{counts}", "thickness": "nm",
    "temperature": "Cel", "humidity": "%", "incident_wavelength": "nm", "average_power": "uW", "extent": "um",
    "amplitudes": "{counts}", "halo_radius_um": "um", "dark_spectra": "{counts}",
}


def is_ucum(code: str) -> bool:
    return all(PART.fullmatch(part) for part in code.split("/"))


@pytest.fixture
def measured(write_journal):
    out = write_journal(header(), list(range(11)))
    finish(out)
    edit_description(
        out, {"sample.thickness_nm": "120", "environment.temperature_c": "21", "environment.humidity_percent": "40"},
        by="Ada",
    )  # fmt: skip
    return out


def test_codes():
    assert [ucum(unit) for unit in ("J/cm^2", "counts", "counts/s", "degC", "percent", "m^2/s", "1/s", "", "eV^2")] == [
        "J/cm2", "{counts}", "{counts}/s", "Cel", "%", "m2/s", "1/s", "1", "eV2"
    ]
    assert not is_ucum("J/cm^2")
    assert not is_ucum("degC")


def test_nexus_files_of_data_and_of_results(measured):
    with open_scan(measured) as scan:
        store_results(measured, analysed(scan))
    found = {}

    def look(name, one):
        if one.attrs.get("units"):
            assert is_ucum(one.attrs["ucum"]), name
            found[name.rpartition("/")[2]] = one.attrs["ucum"]

    for path in (measured, results_path(measured)):
        with h5py.File(path) as file:
            file.visititems(look)
    assert {name: found.get(name) for name in EXPECTED} == EXPECTED


def test_tables_arrays_and_images(measured, tmp_path):
    for name in ("a.csv", "a.maps.csv", "a.npz", "a.ome.tif"):
        convert(measured, tmp_path / name)
    headings = {}
    for name in ("a.csv", "a.maps.csv"):
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            headings[name] = next(row for row in csv.reader(file) if not row[0].startswith("#"))
    for heading in (*headings["a.csv"], *headings["a.maps.csv"]):
        if unit := re.search(r"\((.*)\)$", heading):
            assert is_ucum(unit[1]), heading
    assert {"time (s)", "x (um)", "power (uW)", "dose (J/cm2)"} <= set(headings["a.csv"])
    with open_scan(measured) as scan:
        assert headings["a.csv"][-1] == f"{scan.wavelength_nm[-1]} nm"
    assert headings["a.maps.csv"][2:4] == ["counts_sum ({counts})", "maximum ({counts})"]
    with np.load(tmp_path / "a.npz") as arrays:
        units = json.loads(str(arrays["units"]))
        assert units["dose_j_cm2"] == "J/cm2"
        assert units["spectra"] == "{counts}"
        assert all(is_ucum(unit) for unit in units.values())
        numbers = {name for name in arrays.files if arrays[name].dtype.kind == "f"}
        assert numbers <= set(units)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert "dose (J/cm2)" in file.ome_metadata


@pytest.mark.filterwarnings("ignore:The NestedDirectoryStore is deprecated:FutureWarning")   # RosettaSciIO's, of .zspy
@pytest.mark.parametrize("ending", [".hspy", ".zspy"])
def test_hyperspy_and_xarray(measured, tmp_path, ending):
    convert(measured, tmp_path / f"a{ending}")
    signal = hs.load(str(tmp_path / f"a{ending}"))
    assert [axis.units for axis in signal.axes_manager._axes] == ["µm", "µm", "nm"]
    units = signal.original_metadata.halidescope.ucum.as_dictionary()
    assert units["sample_power_uw"] == "uW"
    assert all(is_ucum(unit) for unit in units.values())
    with open_scan(measured) as scan:
        array = scan.to_xarray()
    assert array.attrs["ucum"] == "{counts}"
    assert {name: one.attrs["ucum"] for name, one in array.coords.items() if name in EXPECTED} == {
        name: EXPECTED[name] for name in array.coords if name in EXPECTED
    }
    assert all(is_ucum(one.attrs["ucum"]) for one in array.coords.values())


def test_a_table_with_the_old_headings_is_read(measured, tmp_path):
    convert(measured, tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    lines = [line for line in text.split("\n") if "units are UCUM" not in line]
    old = "\n".join(lines).replace("dose (J/cm2)", "dose (J/cm^2)")
    (tmp_path / "old.csv").write_text(old, encoding="utf-8", newline="")
    with open_any(tmp_path / "old.csv") as one, open_scan(measured) as scan:
        assert np.array_equal(one.dose_j_cm2, scan.dose_j_cm2, equal_nan=True)
        assert np.array_equal(one.spectra, scan.spectra)
