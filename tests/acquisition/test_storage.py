"""A measurement comes back from journal and finished file as it was written, in our and others' readers."""

import random
import sqlite3

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import xarray as xr

from halidescope.acquisition import storage
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import Ending, Header
from halidescope.acquisition.storage import finish, open_scan

from .conftest import PIXELS, header, record, wavelengths

SERPENTINE = [0, 1, 2, 3, 7, 6, 5, 4, 8, 9, 10, 11]


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("descending", [False, True])
def test_a_map_comes_back_bit_for_bit_on_an_ascending_axis(write_journal, finished, descending):
    out = write_journal(header(wavelength_nm=wavelengths(descending=descending)), SERPENTINE)
    if finished:
        assert finish(out) == []
        assert not journal_path(out).exists()
    with open_scan(out) as scan:
        assert scan.spectra.shape == (3, 4, PIXELS)
        assert np.all(np.diff(scan.wavelength_nm) > 0)
        for sequence, point in enumerate(SERPENTINE):
            expected = record(sequence, point)
            place = divmod(point, 4)
            counts = expected.counts[::-1] if descending else expected.counts
            assert np.array_equal(scan.spectra[place], counts)
            assert np.array_equal(scan.spectrum(*place), counts)
            assert scan.time_s[place] == expected.time_s
            assert tuple(scan.position_um[place]) == (expected.x_um, expected.y_um)
            assert scan.dose_j_cm2[place] == expected.dose_j_cm2
        assert scan.valid.all()
        assert np.argwhere(scan.saturated).tolist() == [[0, 2]]
        assert scan.dark.count == 4
        assert np.all(scan.dark.mean == 101.5)
        assert np.allclose(scan.dark.mean_se, np.std([0, 1, 2, 3], ddof=1) / 2)
        assert [event.text for event in scan.events] == ["light on"]
        assert scan.metadata["simulated"]
        assert scan.metadata["state"] == "finished"
        assert scan.metadata["light_on_s"] == 3.25


def test_points_never_taken_are_masked_and_a_series_ends_with_its_last(write_journal):
    out = write_journal(header("time-series"), [0, 1, 3], Ending(state="aborted", reason="asked to"))
    finish(out)
    with open_scan(out) as scan:
        assert scan.valid.tolist() == [True, True, False, True]
        assert np.isnan(scan.time_s[2])
        assert not scan.spectra[2].any()
        assert scan.metadata["reason"] == "asked to"
        mean = scan.mean_spectrum()
        assert np.allclose(mean.counts, scan.spectra[[0, 1, 3]].mean(axis=0) - 101.5)


def test_a_cut_off_journal_says_so(write_journal):
    out = write_journal(header(), SERPENTINE[:5], None)
    with open_scan(journal_path(out)) as scan:
        assert scan.metadata["state"] == "cut off"
        assert scan.valid.sum() == 5


def test_an_empty_measurement_still_becomes_a_readable_file(write_journal):
    out = write_journal(header("time-series"), [], Ending(state="failed", reason="no light"), darks=0)
    finish(out)
    with open_scan(out) as scan:
        assert scan.spectra.shape == (1, PIXELS)
        assert not scan.valid.any()
        assert scan.dark.count == 0
        with pytest.raises(ScanFileError, match="no valid spectrum"):
            scan.mean_spectrum()


def test_a_damaged_row_is_masked_and_reported_and_the_journal_kept(write_journal):
    out = write_journal(header(), SERPENTINE)
    db = sqlite3.connect(journal_path(out))
    with db:
        counts = bytearray(db.execute("SELECT counts FROM spectra WHERE sequence = 5").fetchone()[0])
        counts[17] ^= 4
        db.execute("UPDATE spectra SET counts = ? WHERE sequence = 5", (bytes(counts),))
        db.execute("UPDATE spectra SET dose_j_cm2 = 7 WHERE sequence = 2")
    db.close()
    with open_scan(journal_path(out)) as scan:
        assert sorted(scan.damaged) == [2, 6]
        assert scan.valid.sum() == 10
    assert sorted(finish(out)) == [2, 6]
    assert journal_path(out).exists()
    with open_scan(out) as scan:
        assert sorted(scan.damaged) == [2, 6]
        assert not scan.valid[0, 2]


def test_a_growing_journal_is_readable_by_others(tmp_path):
    out = tmp_path / "live.nxs"
    writer = JournalWriter(journal_path(out), header())
    try:
        for sequence, point in enumerate(SERPENTINE):
            writer.append(record(sequence, point))
            with open_scan(out) as scan:
                assert scan.valid.sum() == sequence + 1
    finally:
        writer.close()


def test_a_file_that_reads_back_differently_leaves_the_journal(write_journal, monkeypatch):
    out = write_journal(header(), SERPENTINE)
    honest = storage.write_nexus

    def flips_a_bit(journal, path):
        damaged = honest(journal, path)
        with h5py.File(path, "r+") as file:
            file["entry/data/intensity"][1, 2, 3] ^= 1
        return damaged

    monkeypatch.setattr(storage, "write_nexus", flips_a_bit)
    with pytest.raises(ScanFileError, match="reads back differently"):
        finish(out)
    assert not out.exists()
    with open_scan(journal_path(out)) as scan:
        assert scan.valid.all()


@pytest.mark.parametrize("kind", ["raster-map", "time-series"])
@pytest.mark.parametrize("curved", [False, True])
def test_hyperspy_shows_calibrated_axes(write_journal, kind, curved):
    out = write_journal(header(kind, wavelengths(curved)), list(range(12)))
    finish(out)
    signal = hs.load(out, file_format="nexus", use_default=True)
    assert isinstance(signal, hs.signals.Signal1D)
    axis = signal.axes_manager.signal_axes[0]
    assert axis.units == "nm"
    assert axis.axis[0] == pytest.approx(wavelengths(curved)[0])
    assert axis.axis[-1] == pytest.approx(wavelengths(curved)[-1])
    steps = {ax.name: (ax.scale, str(ax.units)) for ax in signal.axes_manager.navigation_axes}
    assert steps == ({"x": (4.0, "um"), "y": (4.0, "um")} if kind == "raster-map" else {"time": (1.0, "s")})
    with open_scan(out) as scan:
        uniform = np.interp(axis.axis, scan.wavelength_nm, scan.spectra[(0,) * scan.valid.ndim])
        assert np.allclose(signal.data[(0,) * scan.valid.ndim], uniform, atol=0.51)
    assert any(type(one) is hs.signals.Signal1D for one in hs.load(out))


def test_our_own_way_to_hyperspy_keeps_the_true_axis(write_journal):
    out = write_journal(header("time-series"), list(range(12)))
    finish(out)
    with open_scan(out) as scan:
        signal = scan.to_hyperspy()
        assert np.array_equal(signal.axes_manager.signal_axes[0].axis, scan.wavelength_nm)
        assert np.array_equal(signal.data, scan.spectra)


@pytest.mark.parametrize("kind", ["raster-map", "time-series"])
def test_xarray_reads_labels_from_the_file_and_from_us(write_journal, kind):
    out = write_journal(header(kind), list(range(12)))
    finish(out)
    with open_scan(out) as scan, xr.open_dataset(out, engine="h5netcdf", group="entry/data") as other:
        ours = scan.to_xarray()
        assert ours.dims == tuple(other["intensity"].dims)
        assert np.array_equal(ours.values, other["intensity"].values)
        for name in ours.dims:
            assert np.array_equal(ours[name].values, other[name].values)
        assert ours.sel(wavelength=600.0, method="nearest").shape == scan.valid.shape


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "not a readable NeXus file"), (b"nonsense" * 100, "not a readable"),
     (b"SQLite format 3\x00" + b"\xff" * 4000, "not a readable journal")],
)
def test_hostile_files_give_one_sentence(tmp_path, content, words):
    path = tmp_path / "odd.nxs"
    path.write_bytes(content)
    with pytest.raises(ScanFileError, match=words):
        open_scan(path)


@pytest.mark.parametrize("seed", range(15))
def test_a_file_with_torn_bytes_opens_or_is_refused_with_a_sentence(write_journal, seed):
    out = write_journal(header(), SERPENTINE)
    finish(out)
    data = bytearray(out.read_bytes())
    rng = random.Random(seed)
    start = rng.randrange(len(data))
    for k in range(start, min(start + rng.choice([1, 64, 1024]), len(data))):
        data[k] = rng.randrange(256)
    out.write_bytes(bytes(data[:start] if seed % 5 == 0 else data))
    try:
        with open_scan(out) as scan:
            assert scan.to_xarray().shape == (3, 4, PIXELS)
    except ScanFileError:
        pass


def test_files_of_others_and_of_the_future_are_refused(tmp_path, write_journal):
    other = tmp_path / "other.nxs"
    with h5py.File(other, "w") as file:
        file["entry/data"] = [1, 2]
    with pytest.raises(ScanFileError, match="not a measurement of Halidescope"):
        open_scan(other)
    out = write_journal(header(), SERPENTINE)
    finish(out)
    with h5py.File(out, "r+") as file:
        file["entry/halidescope"].attrs["schema_version"] = 99
    with pytest.raises(ScanFileError, match="newer than this program"):
        open_scan(out)
    with pytest.raises(ScanFileError, match="cannot be read"):
        open_scan(tmp_path / "nowhere.nxs")


def test_header_with_wrong_counts_is_refused(tmp_path):
    head: Header = header()
    writer = JournalWriter(tmp_path / "x.nxs.journal", head)
    try:
        wrong = record(0, 0)
        object.__setattr__(wrong, "counts", wrong.counts.astype(np.uint32))
        with pytest.raises(ValueError, match="announced"):
            writer.append(wrong)
    finally:
        writer.close()
