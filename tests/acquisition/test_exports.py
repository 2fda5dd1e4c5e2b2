"""What leaves the program: images, tables, publications, results beside the data, descriptions and their history."""

import csv
import hashlib
import zipfile

import h5py
import numpy as np
import pytest
import tifffile

from halidescope.acquisition.convert import convert, save
from halidescope.acquisition.description import details_of, edit_description
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.listing import Listing, write_listing
from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.problems import BadFileError, RefusedRunError
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.results_file import read_results, store_results
from halidescope.acquisition.storage import finish, open_scan

from .conftest import analysed, header


@pytest.fixture
def measured(write_journal):
    out = write_journal(header(), list(range(11)))
    finish(out)
    return out


def test_images_of_a_map_as_ome_tiff_and_as_a_table(measured, tmp_path):
    convert(measured, tmp_path / "film.ome.tif")
    convert(measured, tmp_path / "film.maps.csv")
    with open_scan(measured) as scan:
        sums = np.where(scan.valid, scan.spectra.sum(axis=-1), np.nan)
        assert np.array_equal(scan.counts_sum, sums, equal_nan=True)
        with open_scan(measured) as unread:
            band = (scan.wavelength_nm >= 500) & (scan.wavelength_nm <= 600)
            expected = np.where(scan.valid, scan.spectra[..., band].sum(axis=-1), np.nan)
            assert np.array_equal(unread.band_sum(500, 600), expected, equal_nan=True)
            assert np.array_equal(scan.band_sum(500, 600), expected, equal_nan=True)
        with tifffile.TiffFile(tmp_path / "film.ome.tif") as file:
            planes, described = file.asarray(), file.ome_metadata
        assert planes.shape == (7, 3, 4)
        assert np.allclose(planes[0], sums, equal_nan=True)
        for words in ('PhysicalSizeX="4.0"', 'PhysicalSizeXUnit="µm"', "counts_sum ({counts})", "SIMULATED"):
            assert words in described
        with (tmp_path / "film.maps.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 12
        assert float(rows[5]["counts_sum ({counts})"]) == sums[1, 1]
        assert rows[11]["counts_sum ({counts})"] == ""
        dark = scan.spectra[1, 1] - scan.dark.mean
        assert float(rows[5]["maximum_at (nm)"]) == scan.wavelength_nm[dark.argmax()]
        with pytest.raises(RefusedRunError, match="has no images"):
            save(scan.average(), tmp_path / "mean.ome.tif")
    assert {path.name for path in tmp_path.iterdir()} == {"scan.nxs", "film.ome.tif", "film.maps.csv"}


def test_a_publication_explains_itself_and_its_checksums_hold(measured, tmp_path):
    edit_description(measured, {"operator": "Ada", "sample.substrate": "sapphire"}, by="Ada")
    with open_scan(measured) as scan:
        store_results(measured, analysed(scan))
    convert(measured, tmp_path / "film.zip")
    with zipfile.ZipFile(tmp_path / "film.zip") as archive:
        archive.extractall(tmp_path / "out")
    folder = tmp_path / "out" / "scan"
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == 5
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "by Ada" in readme
    assert "SIMULATED" in readme
    assert '"substrate": "sapphire"' in (folder / "description.json").read_text(encoding="utf-8")
    with h5py.File(folder / "scan.analysis.nxs") as file, open_scan(folder / "scan.nxs") as scan:
        assert np.array_equal(file["run_1/measurement/data/intensity"], scan.spectra)      # linked inside the package
        assert scan.stored_analyses()[0].about == read_results(measured)[0].about
    with open_scan(folder / "scan.nxs") as one, open_any(folder / "scan.csv") as other, open_scan(measured) as scan:
        assert np.array_equal(one.spectra, scan.spectra)
        assert np.array_equal(other.spectra, scan.spectra)


def test_a_description_is_changed_with_a_history_and_the_data_stay(measured):
    with open_scan(measured) as scan:
        spectra = scan.spectra
    edit_description(
        measured, {"sample.thickness_nm": "120", "objective.name": "100x", "filters": "LP425, ND1", "notes": "why not"},
        by="Ada", why="forgotten",
    )
    edit_description(measured, {"sample.thickness_nm": "118", "notes": ""}, by="Grace")
    with open_scan(measured) as scan:
        assert np.array_equal(scan.spectra, spectra)
        assert scan.found_damaged == ()
        assert scan.metadata["sample"]["thickness_nm"] == 118.0
        assert scan.metadata["details"] == {"objective": {"name": "100x"}, "filters": ["LP425", "ND1"]}
        history = scan.metadata["history"]
        assert [(one["by"], one["key"], one["from"], one["to"]) for one in history][-2:] == [
            ("Grace", "sample.thickness_nm", 120.0, 118.0), ("Grace", "notes", "why not", ""),
        ]
    with h5py.File(measured) as file:
        thickness = file["entry/sample/thickness"]
        assert (thickness[()], thickness.attrs["units"]) == (118.0, "nm")
        assert file["entry/instrument/filter_2/description"].asstr()[()] == "ND1"
        assert file["entry/halidescope/dose_j_cm2"].attrs["ucum"] == "J/cm2"
    for changes, by, words in (
        ({"colour": "red"}, "Ada", "unknown entry 'colour'"),
        ({"sample.thickness_nm": "thick"}, "Ada", "valid number"),
        ({"sample.thickness_nm": "-3"}, "Ada", "greater than 0"),
        ({"sample.thicknes": "3"}, "Ada", "sample has name, composition"),
        ({"calibration.power_on": "2024-02-30"}, "Ada", "YYYY-MM-DD"),
        ({"environment.humidity_percent": "120"}, "Ada", "less than or equal to 100"),
        ({"title": " "}, "Ada", "needs one"),
        ({"notes": "x"}, " ", "needs the name"),
    ):
        with pytest.raises(BadFileError, match=words):
            edit_description(measured, changes, by=by)
    before = measured.read_bytes()
    assert edit_description(measured, {"sample.thickness_nm": "118"}, by="Ada") == []       # nothing is changed
    assert measured.read_bytes() == before


def test_what_is_no_finished_measurement_is_not_described(write_journal, tmp_path):
    journal = journal_path(write_journal(header(), [0, 1], None))
    write_listing(tmp_path / "list.nxs", Listing(kind="sequence", title="t", recipe={}, plan_hash="", planned=1,
                                                 parts={1: "scan.nxs"}, main=1))
    (tmp_path / "other.spe").write_bytes(b"x")
    for path, words in (
        (journal, r"finish it first \(halidescope convert scan.nxs.journal --out scan.nxs\)"),
        (tmp_path / "list.nxs", "its parts one by one"), (tmp_path / "other.spe", "save it as .nxs first"),
    ):
        with pytest.raises(BadFileError, match=words):
            edit_description(path, {"notes": "x"}, by="Ada")


def test_of_a_list_one_measurement_is_converted_and_the_others_are_named(write_journal, tmp_path):
    for number in (1, 2):
        finish(write_journal(header("raster-map"), list(range(12)), name=f"list-{number}.nxs"))
    write_listing(tmp_path / "list.nxs", Listing(
        kind="sequence", title="t", recipe={}, plan_hash="", planned=2, parts={1: "list-1.nxs", 2: "list-2.nxs"}, main=2
    ))
    assert convert(tmp_path / "list.nxs", tmp_path / "out.csv") == (
        f"{tmp_path / 'list.nxs'} lists 2 measurements, {tmp_path / 'out.csv'} holds list-2.nxs; convert the others "
        f"too: {tmp_path / 'list-1.nxs'}"
    )
    assert convert(tmp_path / "list-1.nxs", tmp_path / "one.csv") == ""


def test_what_recipe_and_microscope_say_for_people():
    microscope = parse_microscope("""
        [laser]\nmodel = "cobolt-06-mld"\nresource = "ASRL1::INSTR"\nsample_uw_per_head_mw = 4.0\nmax_sample_uw = 400.0
        [stage]\nmodel = "pi-e727"\nresource = "TCPIP::a::1::SOCKET"
        [spectrometer]\nmodel = "ocean-hdx"\nresource = "TCPIP::b::1::SOCKET"
        [optics]\nobjective = "MPlan 100x"\nnumerical_aperture = 0.9\nfilters = ["LP 425"]
        [calibration]\npower_on = "2024-03-01"
        [about]\noperator = "Ada"\nlaboratory = "B 12"\nextra = {grant = "X-1", shifts = 2}
    """.replace("        [", "["))
    recipe = parse_recipe({
        "kind": "time-series", "sample_power_uw": 5.0, "duration_s": 10.0,
        "sample": {"batch": "7", "thickness_nm": 90.0},
        "about": {"operator": "Grace", "temperature_c": 21.5, "extra": ["humid: no"]},
    })
    details = details_of(recipe, microscope)
    assert details == {
        "operator": "Grace", "laboratory": "B 12", "filters": ["LP 425"],
        "objective": {"name": "MPlan 100x", "numerical_aperture": 0.9}, "calibration": {"power_on": "2024-03-01"},
        "environment": {"temperature_c": 21.5}, "extra": {"grant": "X-1", "shifts": 2, "humid": "no"},
    }
    assert parse_microscope(microscope.toml_text()) == microscope
    with pytest.raises(BadFileError, match="power_on"):
        parse_microscope(microscope.toml_text().replace("2024-03-01", "yesterday"))
