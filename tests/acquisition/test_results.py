"""Analyses stored beside the raw data: added and never replaced, read back to the bit, never over anything else."""

import csv
import hashlib
import multiprocessing
import os
import re
import zipfile

import h5py
import numpy as np
import pytest
import tifffile

from halidescope.acquisition.convert import convert, save
from halidescope.acquisition.description import edit_description
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.problems import ProblemError, RefusedRunError, ScanFileError
from halidescope.acquisition.results_file import MARK, data_hash, read_results, results_path, store_results
from halidescope.acquisition.storage import finish, open_scan

from .conftest import analysed, header


@pytest.fixture(params=["raster-map", "time-series"])
def measured(request, write_journal):
    out = write_journal(header(request.param), list(range(11)))
    finish(out)
    return out


def test_what_was_stored_is_read_back_whole_and_nothing_is_replaced(measured):
    before = measured.read_bytes()
    with open_scan(measured) as scan:
        assert scan.stored_analyses() == []
        runs = [analysed(scan), analysed(scan, (1.0, 0.0))]
        for run in runs:
            assert store_results(measured, run) == results_path(measured)
        stored = scan.stored_analyses()
        digest = data_hash(scan)
    assert measured.read_bytes() == before
    assert [one.number for one in stored] == [1, 2]
    for one, run in zip(stored, runs, strict=True):
        assert one.about == run.about
        assert list(one.numbers) == list(run.numbers)
        assert [number.interval for number in one.numbers.values()] == [
            number.interval for number in run.numbers.values()
        ]
        assert list(one.arrays) == list(run.arrays)
        for name, array in run.arrays.items():
            assert one.arrays[name].dtype == array.dtype
            assert np.array_equal(one.arrays[name], array, equal_nan=array.dtype.kind == "f")
        assert np.array_equal(one.endmembers, run.endmembers)
        assert one.units == run.units
        assert one.units["amplitudes"] == "counts"
        assert np.allclose(one.endmembers.sum(axis=1), 1.0)
        assert one.about.data_sha256 == digest
        assert one.about.origin["inputs"][0]["sha256"] == hashlib.sha256(before).hexdigest()
    assert not np.array_equal(stored[0].arrays["shares"], stored[1].arrays["shares"])
    assert stored[0].about.origin["settings"]["references"]["compositions"] == [1.5, 0.0]
    if stored[0].about.kind == "time-series":
        assert stored[0].curve.keys() == {"time", "share", "low", "high"}
    edit_description(measured, {"notes": "x"}, by="Ada")
    with open_scan(measured) as scan:
        assert data_hash(scan) == digest          # the description is not the data


def test_other_programs_see_the_newest_analysis_on_its_axes_and_the_raw_data_behind_it(measured):
    with open_scan(measured) as scan:
        for _ in range(2):
            store_results(measured, analysed(scan))
        with h5py.File(results_path(measured)) as file:
            run = file[file.attrs["default"]]
            assert run.name == "/run_2"
            data = run[run.attrs["default"]]
            assert data.attrs["signal"] == "grown_share"
            assert list(data.attrs["axes"]) == list(scan.axes)
            assert data[data.attrs["signal"]].shape == scan.valid.shape
            assert [data[name].attrs["units"] for name in data.attrs["axes"]] == [
                {"y": "um", "x": "um", "time": "s"}[name] for name in scan.axes
            ]
            assert np.array_equal(run["measurement/data/intensity"], scan.spectra)
            rates = [one for name, one in run["numbers"].items() if name.endswith("_per_s")]
            assert all(one.attrs["ucum"] == "1/s" for one in rates)


def test_silx_and_nexusformat_see_the_newest_analysis(measured):
    silx = pytest.importorskip("silx.io.nxdata")
    nexusformat = pytest.importorskip("nexusformat.nexus")
    with open_scan(measured) as scan:
        run = analysed(scan)
        for _ in range(2):
            store_results(measured, run)
    with h5py.File(results_path(measured)) as file:
        seen = silx.get_default(file)
        assert seen.group.name == "/run_2/data"
        assert seen.signal_name == "grown_share"
        assert np.array_equal(seen.signal[()], run.arrays["grown_share"], equal_nan=True)
        assert list(seen.axes_dataset_names) == list(run.axes)
    root = nexusformat.nxload(str(results_path(measured)))
    assert root.get_default().nxpath == "/run_2/data"
    assert root["run_2/data"].nxsignal.nxname == "grown_share"


@pytest.mark.parametrize("measured", ["time-series"], indirect=True)
def test_two_programs_that_store_at_once_lose_nothing(measured):
    """Each adds to what the other has added."""
    with open_scan(measured) as scan:
        run = analysed(scan)
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    another = context.Process(target=store_many, args=(measured, run, 3))
    another.start()
    store_many(measured, run, 3)
    another.join(60)
    assert another.exitcode == 0
    assert [one.number for one in read_results(measured)] == [1, 2, 3, 4, 5, 6]


def store_many(measured, run, count):
    for _ in range(count):
        store_results(measured, run)


@pytest.mark.parametrize("measured", ["time-series"], indirect=True)
def test_results_are_never_written_over_anything_else_nor_half(measured):
    with open_scan(measured) as scan:
        run = analysed(scan)
    path = results_path(measured)
    path.write_bytes(measured.read_bytes())             # a measurement that happens to have the name
    with pytest.raises(ScanFileError, match="is no file of results"):
        store_results(measured, run)
    assert path.read_bytes() == measured.read_bytes()
    path.write_bytes(b"nonsense")
    for attempt in (lambda: store_results(measured, run), lambda: read_results(measured)):
        with pytest.raises(ScanFileError, match=r"scan\.analysis\.nxs: results cannot be"):
            attempt()
    assert path.read_bytes() == b"nonsense"
    path.unlink()
    store_results(measured, run)
    with h5py.File(path, "r+") as file:
        file.attrs[MARK] = 99
    whole = path.read_bytes()
    for attempt in (lambda: store_results(measured, run), lambda: read_results(measured)):
        with pytest.raises(ScanFileError, match="update halidescope"):
            attempt()
    assert path.read_bytes() == whole
    assert not list(path.parent.glob("*.part"))


def test_results_that_do_not_fit_themselves_are_refused(measured):
    def shortened(file):
        data = file["run_1/data"]
        shape = data["shares"].shape
        del data["shares"]
        data["shares"] = np.zeros((1, *shape[1:]))

    def linked(file):
        del file["run_1/data/shares"]
        file["run_1/data/shares"] = h5py.ExternalLink("scan.nxs", "/entry/data/intensity")

    def huge_array(file):
        file["run_1/data"].create_dataset("more", shape=(10**7,), dtype="f8", chunks=(10**6,), compression="gzip")

    with open_scan(measured) as scan:
        run = analysed(scan)
    path = results_path(measured)
    for change, words in ((shortened, "does not fit"), (linked, "a link to elsewhere"), (huge_array, "claims more")):
        path.unlink(missing_ok=True)
        store_results(measured, run)
        with h5py.File(path, "r+") as file:
            change(file)
        with pytest.raises(ScanFileError, match=words):
            read_results(measured)


def test_an_analysis_becomes_a_table_with_its_units_and_settings(measured, tmp_path):
    with open_scan(measured) as scan:
        for compositions in ((1.5, 0.0), (1.0, 0.0)):
            store_results(measured, analysed(scan, compositions))
    path = results_path(measured)
    convert(path, tmp_path / "newest.csv")
    convert(path, tmp_path / "first.csv", run=1)
    run = read_results(measured)[0]
    with (tmp_path / "first.csv").open(encoding="utf-8", newline="") as file:
        lines = list(file)
    above = [line for line in lines if line.startswith(("#", '"#'))]
    rows = list(csv.DictReader(lines[len(above) :]))
    assert "analysis 1 of scan.nxs; SIMULATED" in above[0]
    assert len(rows) == run.arrays["valid"].size
    shares = np.array([float(row["shares grown"] or "nan") for row in rows])
    assert np.array_equal(shares, run.arrays["shares"][..., 1].ravel(), equal_nan=True)
    assert "amplitudes made ({counts})" in rows[0]
    assert (tmp_path / "newest.csv").read_text("utf-8").startswith("# Halidescope results; analysis 2")
    with pytest.raises(RefusedRunError, match="has no analysis 7; there are: 1, 2"):
        convert(path, tmp_path / "other.csv", run=7)
    with pytest.raises(RefusedRunError, match=r"use \.csv"):
        convert(path, tmp_path / "other.npz")
    if run.about.kind == "time-series":
        with pytest.raises(RefusedRunError, match="only maps have images"):
            convert(path, tmp_path / "no.ome.tif")
        assert not list(tmp_path.glob("no*"))
    else:
        convert(path, tmp_path / "images.ome.tif", run=1)
        with tifffile.TiffFile(tmp_path / "images.ome.tif") as images:
            planes, described = images.asarray(), images.ome_metadata
        names = re.findall(r'<Channel [^>]*Name="([^"]+)"', described)
        assert "SIMULATED" in described
        assert 'PhysicalSizeX="4.0"' in described
        plane = planes[names.index("shares grown")]
        assert np.array_equal(plane, run.arrays["shares"][..., 1].astype(np.float32), equal_nan=True)
    with pytest.raises(ProblemError, match=r"results of analyses.*scan\.nxs"):
        open_any(path)


def test_results_of_other_spectra_say_so_and_stay_behind(measured, tmp_path):
    """A part of a scan is not what was analysed; nor is a file whose name another measurement has taken."""
    with open_scan(measured) as scan:
        store_results(measured, analysed(scan))
        save(scan.crop(wavelength_nm=(500, 600)), tmp_path / "part.zip")
        save(scan, tmp_path / "whole.zip")
        assert not any("other spectra" in note for note in scan.stored_analyses()[0].notes)
    for name, there in (("part", False), ("whole", True)):
        with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
            assert ("scan/scan.analysis.nxs" in archive.namelist()) == there
    with open_scan(measured) as scan:
        measured.unlink()
        part = scan.crop(wavelength_nm=(500, 600))
        assert part.spectra.size
        save(part, measured)
    with open_scan(measured) as scan:
        assert "other spectra" in scan.stored_analyses()[0].notes[0]
