"""Our files in the programs that people have, and others' through RosettaSciIO; files of every released version.

h5wasm in node (h5web's engine) is installed by `make formats`, and its test skipped where it is not there.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import hyperspy.api as hs
import lumispy
import numpy as np
import pytest
import silx.io
from nexusformat import nexus
from silx.io import nxdata

from halidescope.acquisition.importers import guard, open_any
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.storage import finish, open_scan

from .conftest import header, record, wavelengths

RELEASED = Path(__file__).parent / "released"
KINDS = ("raster-map", "time-series")


@pytest.fixture(params=KINDS)
def file(request, write_journal):
    out = write_journal(header(request.param, wavelengths(curved=False)), list(range(12)))
    finish(out)
    return out


def test_silx_finds_the_default_plot(file):
    with silx.io.open(str(file)) as opened, open_scan(file) as scan:
        default = nxdata.get_default(opened)
        assert default.is_valid
        assert default.signal_name == "photoluminescence (counts)"
        assert default.interpretation == "spectrum"
        assert np.array_equal(default.signal[()], scan.spectra)
        assert default.axes_names[-1].startswith("wavelength")
        assert default.axes[-1].attrs["units"] == "nm"


def test_nexusformat_sees_plottable_data(file):
    root = nexus.nxload(str(file))
    with open_scan(file) as scan:
        data = root.plottable_data
        assert data.nxsignal.nxname == "intensity"
        assert np.array_equal(data.nxsignal.nxvalue, scan.spectra)
        assert [axis.nxname for axis in data.nxaxes] == [*scan.axes, "wavelength"]
        assert data.nxaxes[-1].attrs["units"] == "nm"


def test_lumispy_makes_luminescence_of_it(file):
    signal = hs.load(file, file_format="nexus", use_default=True)
    signal.set_signal_type("Luminescence")
    assert isinstance(signal, lumispy.signals.LumiSpectrum)
    with open_scan(file) as scan:
        own = scan.to_hyperspy()
        own.set_signal_type("Luminescence")
        energy = own.to_eV(inplace=False)          # LumiSpy's conversion takes our true axis
        assert energy.axes_manager.signal_axes[0].axis[-1] == pytest.approx(1239.8 / scan.wavelength_nm[0], rel=1e-3)


NODE = """
import h5wasm from "h5wasm/node";
await h5wasm.ready;
const file = new h5wasm.File(process.argv[2], "r");
let group = file;
while (group.attrs["default"]) group = group.get(group.attrs["default"].value);
const signal = group.get(group.attrs["signal"].value);
console.log(JSON.stringify({axes: group.attrs["axes"].value, shape: signal.shape, values: Array.from(signal.value),
  nm: Array.from(group.get("wavelength").value), units: group.get("wavelength").attrs["units"].value}));
"""


def test_h5web_reads_it_with_its_own_engine(file, tmp_path):
    modules = Path(os.environ.get("HALIDESCOPE_NODE_MODULES", ".venv/node/node_modules")).absolute()
    if shutil.which("node") is None or not (modules / "h5wasm").is_dir():
        pytest.skip("node with h5wasm is not there; make test fetches it where there is npm")
    script = modules.parent / f"read-{os.getpid()}.mjs"
    script.write_text(NODE, encoding="utf-8")
    try:
        done = subprocess.run(["node", str(script), str(file)], capture_output=True, text=True, check=True, timeout=60)
    finally:
        script.unlink()
    seen = json.loads(done.stdout)
    with open_scan(file) as scan:
        assert seen["axes"] == [*scan.axes, "wavelength"]
        assert tuple(seen["shape"]) == scan.spectra.shape
        assert seen["values"] == scan.spectra.ravel().tolist()
        assert (seen["nm"], seen["units"]) == (scan.wavelength_nm.tolist(), "nm")


def test_pynxtools_finds_the_file_valid(file):
    done = subprocess.run(
        [Path(sys.executable).with_name("pynx"), "validate", "--ignore-undocumented", str(file)],
        capture_output=True, text=True, check=False, timeout=110,
    )
    told = done.stdout + done.stderr
    assert "is valid according to the `NXoptical_spectroscopy` application definition" in told, told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["nxs", "nxs.journal"])
def test_files_of_version_1_are_read(kind, ending, tmp_path):
    """Written by the program as it was before version 2 of the layout."""
    path = tmp_path / f"v1-{kind}.{ending}"
    shutil.copyfile(RELEASED / path.name, path)
    with open_scan(path) as scan:
        taken = [0, 1, 2, 3, 7, 6, 5, 4, 8, 9]
        assert scan.valid.sum() == 10
        for sequence, point in enumerate(taken):
            assert np.array_equal(scan.spectra.reshape(-1, 96)[point], record(sequence, point).counts)
        assert scan.missing == {10: "aborted: asked to", 11: "aborted: asked to"}
        assert scan.dark.count == 4
        assert len(scan.repeats) == 1
        assert scan.metadata["reason"] == "asked to"


@pytest.mark.slow
def test_a_reader_that_hangs_or_crashes_takes_nothing_with_it(tmp_path, monkeypatch):
    """RosettaSciIO 0.15 comes to no end on a WDF file whose block has the length 0."""
    monkeypatch.setattr(guard, "PATIENCE_S", 4.0)
    path = tmp_path / "endless.wdf"
    path.write_bytes(b"WDF1" + bytes(600))
    with pytest.raises(ScanFileError, match="came to no end within 4 s"):
        open_any(path)
    path.write_bytes(b"WDF1")
    with pytest.raises(ScanFileError, match=r"RosettaSciIO \(renishaw\) cannot read it"):
        open_any(path)


LSX = """<?xml version="1.0"?><LabSpec><LSX_Tree Format="9" ID="0x0">
<LSX Format="9" ID="0x6C62D4D9"><LSX Format="9" ID="0x7CECDBD7"></LSX><LSX Format="9" ID="0x8716361">
<LSX Format="9" ID="0x6D7361DE"><LSX Format="7" ID="0x6D6D616E">Laser (nm)</LSX>
<LSX Format="7" ID="0x7D6C61DB">405</LSX>
<LSX Format="5" ID="0x8736F70">405.0</LSX></LSX>
<LSX Format="9" ID="0x6D7361DE"><LSX Format="7" ID="0x6D6D616E">ND Filter</LSX>
<LSX Format="7" ID="0x7D6C61DB">10</LSX><LSX Format="5" ID="0x8736F70">10</LSX></LSX>
<LSX Format="9" ID="0x6D7361DE"><LSX Format="7" ID="0x6D6D616E">Hole</LSX>
<LSX Format="7" ID="0x7D6C61DB">100</LSX></LSX></LSX>
<LSX Format="9" ID="0x7C73E2D2"></LSX></LSX>
<LSX Format="7" ID="0x6C7469D9">film 12</LSX><LSX Format="7" ID="0x6D707974">map</LSX>
<LSX Format="9" ID="0x7A74D9D6"><LSX Format="9" ID="0x7B697861">
<LSX Format="9" ID="0x0"><LSX ID="0x6D707974">Intens</LSX><LSX ID="0x7C696E75">Cnt</LSX></LSX>
<LSX Format="9" ID="0x1"><LSX ID="0x6D707974">Spectr</LSX><LSX ID="0x7C696E75">nm</LSX>
<LSX ID="0x7D6CD4DB">600 590 579</LSX></LSX>
<LSX Format="9" ID="0x2"><LSX ID="0x6D707974">X</LSX><LSX ID="0x7C696E75">µm</LSX><LSX ID="0x7D6CD4DB">0 2</LSX></LSX>
<LSX Format="9" ID="0x3"><LSX ID="0x6D707974">Y</LSX><LSX ID="0x7C696E75">µm</LSX><LSX ID="0x7D6CD4DB">0 5</LSX></LSX>
</LSX></LSX></LSX_Tree>
<LSX_Matrix>
<LSX_Row Size="3">1 2 3</LSX_Row><LSX_Row Size="3">4 5 6</LSX_Row>
<LSX_Row Size="3">7 8 9</LSX_Row>
<LSX_Row Size="3">10 11 12</LSX_Row></LSX_Matrix>
</LabSpec>"""


def test_labspec_xml_through_rosettasciio_keeps_its_non_uniform_axis(tmp_path):
    path = tmp_path / "map.xml"
    path.write_text(LSX, encoding="utf-8")
    with open_any(path) as scan:
        assert scan.wavelength_nm.tolist() == [579.0, 590.0, 600.0]
        assert scan.axes["x"].tolist() == [0.0, 2.0]
        assert scan.axes["y"].tolist() == [0.0, 5.0]
        assert scan.spectra[0, 0].tolist() == [3, 2, 1]
        assert scan.spectra[0, 1].tolist() == [6, 5, 4]


def test_other_hyperspy_files_and_what_cannot_be_known(tmp_path):
    signal = hs.signals.Signal1D(np.arange(24.0).reshape(2, 3, 4))
    for name, unit, scale, axis in zip(
        ("y", "x", "Wavelength"), ("mm", "mm", "nm"), (0.005, 0.004, 2.0), signal.axes_manager._axes, strict=True
    ):
        axis.name, axis.units, axis.scale = name, unit, scale
    signal.axes_manager[-1].offset = 500.0
    signal.save(tmp_path / "other.hspy")
    with open_any(tmp_path / "other.hspy") as scan:
        assert scan.kind == "raster-map"
        assert scan.axes["x"].tolist() == [0.0, 4.0, 8.0]
        assert scan.wavelength_nm.tolist() == [500, 502, 504, 506]
        assert np.array_equal(scan.spectra, signal.data)
    signal.axes_manager[-1].units = "px"
    signal.save(tmp_path / "pixels.hspy")
    with pytest.raises(ScanFileError, match="needed exactly one of wavelength, energy or wavenumber"):
        open_any(tmp_path / "pixels.hspy")
