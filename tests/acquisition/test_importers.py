"""Other programs' files become scans: true axes and units, data to the bit, damage as one sentence."""

import functools
import random
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import sif_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from halidescope.acquisition.importers import open_any, supported
from halidescope.acquisition.importers.foreign import gridded
from halidescope.acquisition.problems import BadFileError, ProblemError, ScanFileError

from .vendor_files import write_sif, write_spe2, write_spe3

FRAMES = np.random.default_rng(1).integers(0, 60000, (5, 1, 40)).astype(np.uint16)
SENSOR_NM = 480.0 + 1.5 * np.arange(64) - 1e-3 * np.arange(64) ** 2


def test_lightfield_frames_are_a_time_series_on_the_regions_part_of_the_sensor(tmp_path):
    path = tmp_path / "series.spe"
    write_spe3(path, FRAMES, SENSOR_NM, starts_us=[0, 300_000, 600_000, 900_000, 1_300_000], sensor_x=10)
    with open_any(path) as scan:
        assert scan.kind == "time-series"
        assert np.array_equal(scan.spectra, FRAMES[:, 0])
        assert scan.spectra.dtype == np.uint16
        assert np.array_equal(scan.wavelength_nm, SENSOR_NM[10:50])
        assert np.allclose(scan.time_s, [0.125, 0.425, 0.725, 1.025, 1.425], atol=1e-12)
        assert np.all(scan.exposure_s == 0.25)
        assert scan.metadata["imported"]["said"]["serial"] == "0815"
        assert scan.metadata["started_at"] == "2024-03-01T10:00:00Z"


def test_lightfield_rows_of_the_sensor_stay_apart(tmp_path):
    frames = FRAMES.reshape(1, 5, 40).astype(np.float32)
    path = tmp_path / "strip.spe"
    write_spe3(path, frames, SENSOR_NM, sensor_x=0, pixel_format="MonochromeFloating32")
    with open_any(path) as scan:
        assert tuple(scan.axes) == ("spectrum", "row")
        assert np.array_equal(scan.spectra, frames)


def test_winspec_polynomial_and_exposure(tmp_path):
    path = tmp_path / "old.SPE"
    write_spe2(path, FRAMES, [500.0, 2.0, 0.001])
    with open_any(path) as scan:
        pixel = np.arange(1, 41)
        assert np.allclose(scan.wavelength_nm, 500 + 2 * pixel + 0.001 * pixel**2, rtol=1e-15)
        assert np.array_equal(scan.spectra, FRAMES[:, 0])
        assert np.all(scan.exposure_s == 0.5)


def test_solis_frames_as_another_reader_sees_them(tmp_path):
    frames = FRAMES.astype(np.float32)
    path = tmp_path / "kinetics.sif"
    write_sif(path, frames, [700.0, -2.0, 0.001, 0.0], stamps_us=[0, 500_000, 1_000_000, 1_500_000, 2_000_000])
    with open_any(path) as scan:
        assert np.all(np.diff(scan.wavelength_nm) > 0)
        assert np.array_equal(scan.spectra, frames[:, 0, ::-1])      # turned together with its descending axis
        assert np.allclose(scan.axes["time"], [0.1, 0.6, 1.1, 1.6, 2.1])
        assert scan.metadata["imported"]["said"]["detector"] == "DU420A_BR_DD"
    data, info = sif_parser.np_open(str(path))
    assert np.array_equal(scan.spectra[:, ::-1], data[:, 0])
    assert np.array_equal(sif_parser.utils.extract_calibration(info)[::-1], scan.wavelength_nm)


OCEAN = """Data from QEP0815_10-00-00-000.txt Node

Date: Fri Mar 01 10:00:00 CET 2024
User: someone
Spectrometer: QEP0815
Integration Time (sec): 2,000000E-1
Scans to average: 1
XAxis mode: Wavelengths
Number of Pixels in Spectrum: 3
>>>>>Begin Spectral Data<<<<<
"""


def test_oceanview_text_with_decimal_commas(tmp_path):
    path = tmp_path / "one.txt"
    path.write_bytes((OCEAN + "500,125\t-1,5\n501,25\t20\n502,375\t1e3\n").replace("\n", "\r\n").encode())
    with open_any(path) as scan:
        assert scan.spectra.tolist() == [[-1.5, 20.0, 1000.0]]
        assert scan.wavelength_nm.tolist() == [500.125, 501.25, 502.375]
        assert scan.exposure_s.tolist() == [0.2]
        assert scan.metadata["identities"]["spectrometer"]["serial"] == "QEP0815"


def test_oceanview_strip_of_spectra_is_a_series(tmp_path):
    path = tmp_path / "many.txt"
    rows = "\t\t500.0\t501.0\t502.5\n2024-03-01 10:00:00.000\t1709283600000\t1\t2\t3\n" \
           "2024-03-01 10:00:00.250\t1709283600250\t4\t5\t6\n"
    path.write_text(OCEAN + rows, encoding="utf-8")
    with open_any(path) as scan:
        assert scan.kind == "time-series"
        assert scan.spectra.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert scan.time_s.tolist() == [0.0, 0.25]


def test_spectrasuite_text(tmp_path):
    path = tmp_path / "suite.txt"
    path.write_text(
        "SpectraSuite Data File\n++++++++++++++++\nDate: Fri Mar 01 10:00:00 CET 2024\n"
        "Spectrometer Serial Number: HR4C0815\nIntegration Time (usec): 100000 (HR4C0815)\n"
        ">>>>>Begin Processed Spectral Data<<<<<\n500.0\t7\n501.0\t8\n>>>>>End Processed Spectral Data<<<<<\n",
        encoding="utf-8",
    )
    with open_any(path) as scan:
        assert scan.spectra.tolist() == [[7.0, 8.0]]
        assert scan.exposure_s.tolist() == [0.1]


LABSPEC = "#Acq. time (s)=\t0.5\n#Laser=\t405.0 (nm)\n#Title=\tfilm 12\n#AxisType[0]=\tIntens\n#AxisUnit[0]=\tCnt\n" \
          "#AxisType[1]=\tSpectr\n#AxisUnit[1]=\t{unit}\n"


def test_labspec_map_in_serpentine_order_lies_where_it_was_measured(tmp_path):
    path = tmp_path / "map.txt"
    head = LABSPEC.format(unit="nm") + "#AxisType[2]=\tXA\n#AxisUnit[2]=\tµm\n#AxisType[3]=\tYA\n#AxisUnit[3]=\tmm\n"
    places = [(0, 0), (2, 0), (4, 0), (4, 3), (2, 3), (0, 3)]
    rows = ["\t\t600\t590\t580"]
    rows += [f"{x}\t{y * 1e-3}\t{10 * k}\t{10 * k + 1}\t{10 * k + 2}" for k, (x, y) in enumerate(places)]
    path.write_bytes((head + "\n".join(rows)).encode("latin-1"))
    with open_any(path) as scan:
        assert scan.kind == "raster-map"
        assert scan.axes["x"].tolist() == [0.0, 2.0, 4.0]
        assert scan.axes["y"].tolist() == [0.0, 3.0]
        assert scan.wavelength_nm.tolist() == [580, 590, 600]
        assert scan.spectra[1, 0].tolist() == [52, 51, 50]           # the sixth measured; axis turned
        assert scan.spectra[1, 2].tolist() == [32, 31, 30]
        assert scan.position_um[1, 2].tolist() == [4.0, 3.0]
        assert scan.metadata["calibration"]["laser_wavelength_nm"] == 405.0


def test_labspec_series_and_raman_shift(tmp_path):
    series = tmp_path / "series.txt"
    series.write_text(
        LABSPEC.format(unit="eV") + "#AxisType[2]=\tTime\n#AxisUnit[2]=\tms\n\t2.0\t2.5\n0\t1\t2\n250\t3\t4\n",
        encoding="utf-8",
    )
    with open_any(series) as scan:
        assert scan.axes["time"].tolist() == [0.0, 0.25]
        assert scan.wavelength_nm == pytest.approx([1239.841984 / 2.5, 1239.841984 / 2.0], rel=1e-9)
        assert scan.spectra.tolist() == [[2, 1], [4, 3]]
    raman = tmp_path / "raman.txt"
    raman.write_text(LABSPEC.format(unit="1/cm") + "1000\t1\n2000\t2\n", encoding="utf-8")
    with open_any(raman) as scan:
        assert scan.wavelength_nm == pytest.approx([1e7 / (1e7 / 405 - 1000), 1e7 / (1e7 / 405 - 2000)], rel=1e-12)


def test_a_declared_npy_in_serpentine_order(tmp_path):
    cube = np.random.default_rng(2).integers(0, 1000, (3, 4, 8)).astype(np.uint32)
    measured = cube.copy()
    measured[1] = measured[1, ::-1]
    np.save(tmp_path / "map.npy", measured.reshape(12, 8))
    np.save(tmp_path / "axis.npy", np.linspace(1.7, 2.4, 8))
    (tmp_path / "map.npy.toml").write_text(
        'order = "serpentine"\nexposure_s = 0.2\n[wavelength]\nfile = "axis.npy"\nunit = "eV"\n'
        '[[axes]]\nname = "y"\nunit = "mm"\nstep = 0.004\nnumber = 3\n[[axes]]\nname = "x"\nunit = "um"\nstep = 4.0\n'
        'number = 4\n[details]\noperator = "someone"\n', encoding="utf-8",
    )
    with open_any(tmp_path / "map.npy") as scan:
        assert np.array_equal(scan.spectra, cube[..., ::-1])
        assert np.allclose(scan.axes["y"], [0, 4, 8])
        assert scan.metadata["details"]["operator"] == "someone"


def test_a_declared_csv_with_coordinates_or_in_columns(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("x;y;;;\n;;500;510;520\n0;1;1;2;3\n1;1;4;5;6\n", encoding="utf-8")
    (tmp_path / "rows.csv.toml").write_text(
        'delimiter = ";"\nskip_lines = 1\nleading = [{name = "x", unit = "mm"}, {name = "y", unit = "mm"}]\n'
        '[wavelength]\nfirst = true\nunit = "nm"\n', encoding="utf-8",
    )
    with open_any(path) as scan:
        assert scan.axes["x"].tolist() == [0.0, 1000.0]
        assert scan.spectra.tolist() == [[[1, 2, 3], [4, 5, 6]]]
    path = tmp_path / "columns.csv"
    path.write_text("500,1,4\n510,2,5\n520,3,6\n", encoding="utf-8")
    (tmp_path / "columns.csv.toml").write_text(
        'spectra = "columns"\n[[axes]]\nname = "time"\nunit = "ms"\nvalues = [0, 100]\n[wavelength]\nfirst = true\n'
        'unit = "nm"\n', encoding="utf-8",
    )
    with open_any(path) as scan:
        assert scan.spectra.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert scan.time_s.tolist() == [0.0, 0.1]


@pytest.mark.parametrize(
    ("layout", "words"),
    [('[wavelength]\nunit = "nm"\n', "exactly one of values"),
     ('[wavelength]\nunit = "px"\nstart = 1\nstep = 1', "'px'"),
     ('typo = 1\n[wavelength]\nunit = "nm"\nstart = 1\nstep = 1', "unknown key 'typo'"), ("[", "not valid TOML"),
     ('[wavelength]\nunit = "nm"\nfile = "../secret.npy"', "beside the data"),
     ('[wavelength]\nunit = "nm"\nvalues = [1.0, 2.0]', "2 wavelengths")],
)
def test_a_wrong_declaration_is_told(tmp_path, layout, words):
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    (tmp_path / "a.npy.toml").write_text(layout, encoding="utf-8")
    with pytest.raises(ProblemError, match=words.replace("[", r"\[")):
        open_any(tmp_path / "a.npy")


def test_a_pickle_in_an_array_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.save(tmp_path / "a.npy", np.array([Trap(), Trap()], dtype=object), allow_pickle=True)
    (tmp_path / "a.npy.toml").write_text('[wavelength]\nunit = "nm"\nstart = 1\nstep = 1\n', encoding="utf-8")
    trap = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "b.npz", spectra=trap, wavelength_nm=np.zeros(1), extras=np.array("{}"))
    for name in ("a.npy", "b.npz"):
        with pytest.raises(ScanFileError):
            open_any(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_an_unknown_file_says_what_was_tried_and_what_is_supported(tmp_path):
    path = tmp_path / "notes.dat"
    path.write_bytes(b"\x00\x01 whatever")
    with pytest.raises(ScanFileError, match=r"unknown format; tried .*SPE.*SIF.*OceanView.*LabSpec.*notes\.dat\.toml"):
        open_any(path)
    with pytest.raises(ScanFileError, match="check the path"):
        open_any(tmp_path / "nowhere.spe")
    with pytest.raises(ScanFileError, match="is a folder"):
        open_any(tmp_path)
    assert ".spe" in supported()["Princeton LightField/WinSpec SPE"]


@settings(max_examples=60)
@given(nx=st.integers(1, 6), ny=st.integers(1, 6), seed=st.integers(0, 99), jitter=st.floats(0, 0.002))
def test_points_in_any_order_become_the_map_they_were(nx, ny, seed, jitter):
    rng = np.random.default_rng(seed)
    rows, columns = np.divmod(rng.permutation(nx * ny), nx)
    x = 3.0 * columns + jitter * rng.uniform(-1, 1, nx * ny)
    y = 5.0 * rows + jitter * rng.uniform(-1, 1, nx * ny)
    axes, cube, valid, _ = gridded(x, y, np.stack([rows, columns], axis=-1).astype(float), "test")
    assert (len(axes["y"]), len(axes["x"])) == (ny, nx)
    assert valid.all()
    assert np.array_equal(cube[..., 0], np.repeat(np.arange(ny)[:, None], nx, axis=1))
    assert np.array_equal(cube[..., 1], np.repeat(np.arange(nx)[None], ny, axis=0))


@functools.cache
def vendor_bytes() -> dict[str, bytes]:
    """One file of each kind, whole."""
    folder = Path(tempfile.mkdtemp())
    write_spe3(folder / "a.spe", FRAMES, SENSOR_NM, starts_us=[0, 1, 2, 3, 4])
    write_spe2(folder / "b.spe", FRAMES, [500.0, 2.0])
    write_sif(folder / "c.sif", FRAMES.astype(np.float32), [700.0, 2.0])
    (folder / "d.txt").write_text(OCEAN + "500\t1\n501\t2\n", encoding="utf-8")
    (folder / "e.txt").write_text(LABSPEC.format(unit="nm") + "500\t1\n501\t2\n", encoding="utf-8")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    return files


@settings(max_examples=60)
@given(name=st.sampled_from(["a.spe", "b.spe", "c.sif", "d.txt", "e.txt"]), seed=st.integers(0, 2**32))
def test_damaged_files_are_read_or_refused_with_a_sentence(tmp_path, name, seed):
    """Cut off, bits flipped, numbers replaced: nothing but a scan or a ScanFileError comes out, and soon."""
    rng = random.Random(seed)
    data = bytearray(vendor_bytes()[name])
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
    for _ in range(rng.choice([0, 1, 3, 20])):
        if data:
            at = rng.randrange(len(data))
            data[at] ^= 1 << rng.randrange(8)
    if rng.random() < 0.3 and len(data) > 3110:
        struct.pack_into("<Q", data, rng.choice([42, 656, 678, 1446, 3100]), rng.getrandbits(64))
    path = tmp_path / name
    path.write_bytes(bytes(data))
    try:
        with open_any(path) as scan:
            assert scan.spectra.shape == (*scan.valid.shape, len(scan.wavelength_nm))
    except (ScanFileError, BadFileError):
        pass


def test_an_xml_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.spe"
    write_spe3(path, FRAMES, SENSOR_NM)
    data = path.read_bytes()
    at = data.index(b"<SpeFormat")
    bomb = b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 1000 + b'"><!ENTITY c "' + b"&b;" * 1000 + b'">]>'
    path.write_bytes(data[:at] + bomb + data[at:])
    with pytest.raises(ScanFileError, match="document type"):
        open_any(path)
