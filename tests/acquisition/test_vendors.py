"""Formats that RosettaSciIO reads, from writers made after the formats' descriptions that share nothing with it.

True axes in our units, spectra to the bit, maps where they were measured. Read in this process; that the others are
read in one of their own is in ``test_importers``.
"""

import numpy as np
import pytest

from halidescope.acquisition.importers import open_any, supported
from halidescope.acquisition.importers.rosetta import NAME, read_rosetta, read_unguarded
from halidescope.acquisition.problems import ScanFileError

from .vendor_files import write_delmic, write_hamamatsu, write_trivista, write_wdf

rsciio = pytest.importorskip("rsciio")
AXIS_NM = (500.0 + 1.5 * np.arange(16) - 0.01 * np.arange(16) ** 2).astype(np.float32)      # no straight line
SPECTRA = np.random.default_rng(1).integers(0, 60000, (12, 16)).astype(np.float32)
SERPENTINE = [(2.0 * (k % 4 if (k // 4) % 2 == 0 else 3 - k % 4), 5.0 * (k // 4)) for k in range(12)]


def test_wire_map_whose_lines_alternate_lies_where_it_was_measured(tmp_path):
    path = tmp_path / "map.wdf"
    starts_s = 0.3 * np.arange(12)
    write_wdf(path, SPECTRA, AXIS_NM, places_um=np.array(SERPENTINE), starts_s=starts_s, shape=(3, 4), flag=4)
    scan = read_unguarded(path)
    assert scan.kind == "raster-map"
    assert scan.axes["x"].tolist() == [0.0, 2.0, 4.0, 6.0]
    assert scan.axes["y"].tolist() == [0.0, 5.0, 10.0]
    assert np.array_equal(scan.wavelength_nm, AXIS_NM.astype(float))
    for k, (x, y) in enumerate(SERPENTINE):
        place = int(y / 5), int(x / 2)
        assert np.array_equal(scan.spectra[place], SPECTRA[k])
        assert scan.position_um[place].tolist() == [x, y]
        assert scan.time_s[place] == pytest.approx(0.3 * k, abs=1e-7)
    assert scan.metadata["title"] == "film 12"


def test_wire_series_in_seconds_and_single_spectrum_with_energies(tmp_path):
    starts_s = np.array([0.0, 0.5, 1.0, 1.75])
    write_wdf(tmp_path / "series.wdf", SPECTRA[:4], AXIS_NM[::-1], starts_s=starts_s)
    scan = read_unguarded(tmp_path / "series.wdf")
    assert scan.kind == "time-series"
    assert scan.axes["time"] == pytest.approx(starts_s, abs=1e-7)
    assert np.array_equal(scan.spectra, SPECTRA[:4, ::-1])           # turned together with its axis
    energies = np.linspace(1.7, 2.5, 16).astype(np.float32)
    write_wdf(tmp_path / "one.wdf", SPECTRA[:1], energies, unit=4)
    one = read_unguarded(tmp_path / "one.wdf")
    assert one.wavelength_nm == pytest.approx(np.sort(1239.841984 / energies.astype(float)), rel=1e-8)
    assert np.array_equal(one.spectra[0], SPECTRA[0, ::-1])


@pytest.mark.parametrize(
    ("block", "size", "sentence"),
    [(b"XLST", 0, "its block XLST has a size of 0 bytes"), (b"YLST", 15, "its block YLST has a size of 15 bytes"),
     (b"DATA", 10**6, r"its block DATA is \d+ bytes longer than the file; it was cut off"),
     (b"DATA", 2**64 - 1, r"its block DATA is \d+ bytes longer")],
)  # fmt: skip
def test_a_wire_file_whose_blocks_lead_nowhere_is_refused_at_once(tmp_path, block, size, sentence, monkeypatch):
    path = tmp_path / "map.wdf"
    write_wdf(path, SPECTRA, AXIS_NM, places_um=np.array(SERPENTINE), shape=(3, 4), flag=4)
    data = path.read_bytes()
    at = data.index(block) + 8
    path.write_bytes(data[:at] + size.to_bytes(8, "little") + data[at + 8 :])
    monkeypatch.setattr("halidescope.acquisition.importers.rosetta.read_guarded", lambda *_: pytest.fail("was read"))
    with pytest.raises(ScanFileError, match=sentence):
        read_rosetta(path)


def test_wire_file_through_its_own_process(tmp_path):
    write_wdf(tmp_path / "map.wdf", SPECTRA, AXIS_NM, places_um=np.array(SERPENTINE), shape=(3, 4), flag=4)
    with open_any(tmp_path / "map.wdf") as scan:
        assert np.array_equal(scan.spectra[1, 3], SPECTRA[4])


def test_trivista_map_and_series(tmp_path):
    write_trivista(
        tmp_path / "map.tvf", SPECTRA, AXIS_NM.astype(float), stamps_s=np.arange(12.0), x=(-3.0, 2.0, 4),
        y=(1.0, 5.0, 3),
    )  # fmt: skip
    scan = read_unguarded(tmp_path / "map.tvf")
    assert scan.kind == "raster-map"
    assert scan.axes["x"].tolist() == [-3.0, -1.0, 1.0, 3.0]
    assert scan.axes["y"].tolist() == [1.0, 6.0, 11.0]
    assert np.array_equal(scan.spectra, SPECTRA.reshape(3, 4, 16))
    assert np.array_equal(scan.wavelength_nm, AXIS_NM.astype(float))
    assert scan.metadata["calibration"]["laser_wavelength_nm"] == 532.0
    assert np.array_equal(scan.time_s, np.arange(12.0).reshape(3, 4))
    late = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 9.0, 9.25, 9.5, 9.75, 10.0, 30.0, 30.5])      # somebody paused it
    write_trivista(tmp_path / "series.tvf", SPECTRA, AXIS_NM.astype(float), stamps_s=late)
    series = read_unguarded(tmp_path / "series.tvf")
    assert series.kind == "time-series"
    assert series.axes["time"] == pytest.approx(late)
    assert np.array_equal(series.spectra, SPECTRA)


def test_streak_camera_image_is_a_series_in_ns(tmp_path):
    time_ns = np.array([0.0, 0.5, 1.0, 1.6, 2.5], np.float32)
    image = np.random.default_rng(2).integers(0, 60000, (5, 16))
    write_hamamatsu(tmp_path / "streak.img", image, AXIS_NM, time_ns)
    scan = read_unguarded(tmp_path / "streak.img")
    assert scan.axes["time"] == pytest.approx(1e-9 * time_ns.astype(float), rel=1e-12)
    assert np.array_equal(scan.spectra, image)
    assert np.array_equal(scan.wavelength_nm, AXIS_NM.astype(float))


def test_delmic_cube_whose_first_row_is_the_topmost(tmp_path):
    cube = SPECTRA.reshape(3, 4, 16)
    write_delmic(tmp_path / "cube.h5", cube, AXIS_NM.astype(float), step_um=2.0, centre_um=(10.0, 20.0))
    scan = read_unguarded(tmp_path / "cube.h5")
    assert scan.kind == "raster-map"
    assert scan.axes["x"] == pytest.approx([7.0, 9.0, 11.0, 13.0])
    assert scan.axes["y"] == pytest.approx([18.0, 20.0, 22.0])
    assert np.array_equal(scan.spectra, cube[::-1])                  # the first row in the file is at y = 22
    assert scan.wavelength_nm == pytest.approx(AXIS_NM.astype(float), rel=1e-12)


def test_mountains_map(tmp_path):
    from rsciio.digitalsurf import file_writer

    cube = SPECTRA.reshape(3, 4, 16)
    axes = [
        {"name": "Y", "size": 3, "offset": 1.0, "scale": 5.0, "units": "µm", "navigate": True},
        {"name": "X", "size": 4, "offset": -3.0, "scale": 2.0, "units": "µm", "navigate": True},
        {"name": "Wavelength", "size": 16, "offset": 500.0, "scale": 1.5, "units": "nm", "navigate": False},
    ]
    for k, axis in enumerate(axes):
        axis |= {"index_in_array": k, "_type": "UniformDataAxis", "is_binned": False}
    metadata = {"Signal": {"quantity": "Intensity (counts)"}, "General": {"title": "film"}}
    signal = {"data": cube.astype(np.int32), "axes": axes, "metadata": metadata, "original_metadata": {}}
    file_writer(str(tmp_path / "cube.sur"), signal)
    scan = read_unguarded(tmp_path / "cube.sur")
    assert scan.kind == "raster-map"
    assert scan.axes["x"] == pytest.approx([-3.0, -1.0, 1.0, 3.0])
    assert scan.axes["y"] == pytest.approx([1.0, 6.0, 11.0])
    assert scan.wavelength_nm == pytest.approx(500.0 + 1.5 * np.arange(16), rel=1e-6)
    assert scan.spectra == pytest.approx(cube, rel=1e-6)


def test_somebodys_hdf5_file_is_told(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.arange(3)
    with pytest.raises(ScanFileError, match="no measurement of ours, nor an acquisition of Delmic's Odemis"):
        read_unguarded(tmp_path / "other.h5")
    assert ".wdf" in supported()[NAME]
