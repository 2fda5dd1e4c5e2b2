"""Measurements through other programs' objects and files and back: data, axes and units to the bit; parts and means."""

import hyperspy.api as hs
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from halidescope.acquisition.convert import convert, save
from halidescope.acquisition.exchange import from_hyperspy, from_xarray
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.storage import finish, open_scan

from .conftest import header

SOME = [0, 1, 2, 3, 7, 6, 5, 4, 8, 9]       # a map without its last two points


def assert_same(one: Scan, other: Scan) -> None:
    """Everything that a scan holds, to the bit."""
    assert one.spectra.dtype == other.spectra.dtype
    assert np.array_equal(one.spectra, other.spectra)
    assert np.array_equal(one.wavelength_nm, other.wavelength_nm)
    assert list(one.axes) == list(other.axes)
    for name in one.axes:
        assert np.array_equal(one.axes[name], other.axes[name])
    assert set(one.columns) == set(other.columns)
    for name, column in one.columns.items():
        assert np.array_equal(column, other.columns[name], equal_nan=column.dtype.kind == "f"), name
    assert np.array_equal(one.dark.spectra, other.dark.spectra)
    assert one.dark.exposure_s == other.dark.exposure_s
    assert (one.kind, one.events, one.results, one.missing) == (other.kind, other.events, other.results, other.missing)
    assert dict(one.metadata) == dict(other.metadata)


@pytest.fixture
def measured(write_journal):
    def make(kind: str):
        out = write_journal(header(kind), SOME if kind == "raster-map" else sorted(SOME))
        finish(out)
        return out

    return make


@pytest.mark.filterwarnings("ignore:The NestedDirectoryStore is deprecated:FutureWarning")   # RosettaSciIO's, of .zspy
@pytest.mark.parametrize(("kind", "ending"), [
    ("raster-map", ".csv"), ("time-series", ".csv"), ("raster-map", ".npz"), ("time-series", ".npz"),
    ("raster-map", ".nxs"), ("time-series", ".nxs"),
    ("time-series", ".hspy"), ("raster-map", ".zspy"),       # each opened in a process of its own, which takes a second
])  # fmt: skip
def test_a_file_of_another_format_gives_the_same_scan_and_file_again(measured, tmp_path, kind, ending):
    first, there, back = measured(kind), tmp_path / f"there{ending}", tmp_path / "back.nxs"
    convert(first, there)
    with open_any(there) as other:
        save(other, back)
        with open_scan(first) as one, open_scan(back) as again:
            assert_same(one, other)
            assert_same(one, again)


@pytest.mark.parametrize("kind", ["raster-map", "time-series"])
def test_through_xarray_and_hyperspy_in_memory(measured, kind):
    with open_scan(measured(kind)) as scan:
        array = scan.to_xarray()
        assert array.wavelength.attrs["units"] == "nm"
        assert_same(scan, from_xarray(array))
        assert_same(scan, from_hyperspy(scan.to_hyperspy()))
        signal = scan.to_hyperspy()
        assert [axis.units for axis in signal.axes_manager._axes][-1] == "nm"


@pytest.mark.parametrize("kind", ["raster-map", "time-series"])
def test_all_around_nothing_is_lost(measured, tmp_path, kind):
    """NeXus → HyperSpy → xarray → CSV → NeXus: a loss anywhere would still be there at the end."""
    first = measured(kind)
    with open_scan(first) as scan:
        save(from_xarray(from_hyperspy(scan.to_hyperspy()).to_xarray()), tmp_path / "a.csv")
        convert(tmp_path / "a.csv", tmp_path / "b.nxs")
        with open_scan(tmp_path / "b.nxs") as last:
            assert_same(scan, last)
            again, before = last.to_xarray(), scan.to_xarray()
    assert again.identical(before.assign_attrs(source=again.attrs["source"]))       # units and labels too


def test_others_labelled_arrays_become_scans(tmp_path):
    energy = np.linspace(1.7, 2.4, 5)
    array = xr.DataArray(
        np.arange(30.0).reshape(2, 3, 5), dims=("row", "x", "e"),
        coords={
            "row": ("row", [0.0, 1.0]), "x": ("x", [0.0, 1.0, 2.0], {"units": "mm"}),
            "e": ("e", energy, {"units": "eV"}),
        },
    )
    scan = from_xarray(array)
    assert scan.axes["x"].tolist() == [0, 1000, 2000]
    assert np.all(np.diff(scan.wavelength_nm) > 0)
    assert np.array_equal(scan.spectra, array.values[..., ::-1])
    with pytest.raises(ScanFileError, match="no coordinate"):
        from_xarray(array.drop_vars("row"))
    signal = hs.signals.Signal1D(np.ones((4, 6)))
    with pytest.raises(ScanFileError, match="spectral axis"):
        from_hyperspy(signal)


def test_crop_select_and_average_of_a_map(measured):
    with open_scan(measured("raster-map")) as scan:
        part = scan.crop(wavelength_nm=(500, 600), x_um=(4, 8))
        inside = (scan.wavelength_nm >= 500) & (scan.wavelength_nm <= 600)
        assert np.array_equal(part.spectra, scan.spectra[:, 1:3][..., inside])
        assert np.array_equal(part.spectrum(1, -1), scan.spectra[1, 2, inside])
        assert part.metadata["processing"][0]["step"] == "crop"
        assert np.array_equal(part.dark.mean, scan.dark.mean[inside])
        mean = scan.average()
        assert np.allclose(mean.spectra[0], scan.spectra[scan.valid].mean(axis=0))
        assert mean.more["averaged"].tolist() == [10]
        rows = scan.average("x")
        assert rows.more["averaged"].tolist() == [4, 4, 2]
        assert np.allclose(rows.spectra[2], scan.spectra[2, :2].mean(axis=0))
        some = scan.select(scan.saturated)
        assert some.axes["point"].tolist() == [2.0]
        assert np.array_equal(some.spectra[0], scan.spectra[0, 2])
        assert np.array_equal(some.spectrum(0), scan.spectra[0, 2])
        with pytest.raises(BadFileError, match="has no axis time"):
            scan.crop(time_s=(0, 1))
        with pytest.raises(BadFileError, match=r"wavelength = 900 and 999 nm; its wavelength goes from 480"):
            scan.crop(wavelength_nm=(900, 999))
        with pytest.raises(BadFileError, match="no point is selected"):
            scan.select([])
        with pytest.raises(BadFileError, match="exactly one axis"):
            scan.average(every=2)


def test_parts_and_means_are_saved_as_files_of_their_own(measured, tmp_path):
    with open_scan(measured("time-series")) as scan:
        thinner = scan.average("time", every=3)
        assert thinner.more["averaged"].tolist() == [3, 3, 3, 1]
        assert np.allclose(thinner.spectra[1], scan.spectra[3:6].mean(axis=0))
        assert np.allclose(thinner.time_s[1], scan.time_s[3:6].mean())
        save(thinner, tmp_path / "thinner.nxs")
        with open_scan(tmp_path / "thinner.nxs") as again:
            assert_same(thinner, again)
            assert again.metadata["processing"][0]["settings"] == {"axes": ["time"], "every": 3}


@settings(max_examples=30)
@given(every=st.integers(1, 12))
def test_the_mean_of_means_weighted_by_their_numbers_is_the_mean(measured, tmp_path_factory, every):
    scan = _series(measured)
    groups = scan.average("time", every=every)
    weights = groups.more["averaged"]
    assert weights.sum() == scan.valid.sum()
    total = (groups.spectra * weights[:, None]).sum(axis=0) / weights.sum()
    assert np.allclose(total, scan.average().spectra[0])


_kept: dict[str, Scan] = {}


def _series(measured) -> Scan:
    if "series" not in _kept:
        scan = open_scan(measured("time-series"))
        assert scan.spectra.size
        scan.close()
        _kept["series"] = scan
    return _kept["series"]
