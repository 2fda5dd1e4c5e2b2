"""python-seabreeze drives the simulated spectrometer, with both of its back ends, each in a process of its own.

The pure Python back end knows the HDX over TCP. The vendor's C library has no HDX class. Of the instruments that
speak the Ocean Binary Protocol, it reaches only the Flame X over TCP; as one it drives our HDX: it asks for
the number of pixels (0x00110220), then waits for 64 + 2 * 2068 = 4200 bytes after 0x00101000, which is the HDX's reply.

What the C library cannot do: it reads a spectrum without a time limit and counts bytes only, so that it waits for ever
for the rest of a refusal of 64 bytes. Refused are a spectrum in the level and disabled trigger modes (error 7: nothing
is connected to that input) and the fast buffer of the Flame X (0x00100980 with immediate data 01 00 00 00; error 2: the
simulated HDX has no such message). The fast buffer's reply would be 64 bytes of frame, 64 of metadata, 4136 of pixels
and 4 of checksum; no source of ours tells what the metadata hold. In the edge mode it waits for a trigger, as it must.
It also keeps Python's global lock while it waits: it cannot talk to a simulator in its own process.
"""

import ast

import numpy as np
import pytest

PURE_PYTHON = """
import sys
from seabreeze.pyseabreeze.devices import SeaBreezeDevice
from seabreeze.pyseabreeze.transport import IPv4Transport, IPv4TransportHandle
import seabreeze
seabreeze.use("pyseabreeze")
from seabreeze.spectrometers import Spectrometer
host, port = sys.argv[1], int(sys.argv[2])
IPv4Transport.register_model("HDX", ipv4_address=host, ipv4_port=port)
spectrometer = Spectrometer(SeaBreezeDevice(IPv4TransportHandle(host, port)))
spectrometer.integration_time_micros(20_000)
spectrometer.trigger_mode(0)
counts = spectrometer.intensities()
print(dict(
    serial=spectrometer.serial_number, model=spectrometer.model, pixels=len(counts), mean=float(counts.mean()),
    deviation=float(counts.std()),
    first=float(spectrometer.wavelengths()[0]), last=float(spectrometer.wavelengths()[-1]),
    nonlinearity=list(map(float, spectrometer.f.nonlinearity_coefficients.get_nonlinearity_coefficients())),
))
spectrometer.close()
"""

C_LIBRARY = """
import sys
from seabreeze.cseabreeze import SeaBreezeAPI
api = SeaBreezeAPI()
host, port = sys.argv[1].encode(), int(sys.argv[2])
as_hdx = api.add_ipv4_device_location(b"HDX", host, port)
as_flame_x = api.add_ipv4_device_location(b"FlameX", host, port)
import seabreeze
seabreeze.use("cseabreeze")
from seabreeze.spectrometers import Spectrometer
spectrometer = Spectrometer(api.list_devices()[0])
spectrometer.trigger_mode(0)
spectra = {}
for exposure_us in (10_000, 20_000):
    spectrometer.integration_time_micros(exposure_us)
    spectra[exposure_us] = spectrometer.intensities().tolist()
print(dict(
    as_hdx=as_hdx, as_flame_x=as_flame_x, models=api.supported_models(), serial=spectrometer.serial_number,
    pixels=spectrometer.pixels, spectra=spectra,
    first=float(spectrometer.wavelengths()[0]), last=float(spectrometer.wavelengths()[-1]),
    nonlinearity=list(map(float, spectrometer.f.nonlinearity_coefficients.get_nonlinearity_coefficients())),
), flush=True)
spectrometer.close()
"""


@pytest.fixture
def c_library() -> None:
    """seabreeze is also distributed without its C library."""
    pytest.importorskip("seabreeze.cseabreeze._wrapper", reason="seabreeze was built without its C back end")


def served(wires):
    return next(device for device in wires.microscope.devices if device.role == "spectrometer")


def test_the_pure_python_back_end(simulate, run_elsewhere) -> None:
    wires = simulate()
    device = served(wires)
    seen = ast.literal_eval(run_elsewhere(PURE_PYTHON, device.host, device.port))
    axis = wires.microscope.bench.detector.wavelength_nm
    assert (seen["serial"], seen["model"], seen["pixels"]) == ("HDX00419", "HDX", 2068)
    assert (seen["first"], seen["last"]) == pytest.approx((axis[0], axis[-1]), rel=1e-9)
    assert seen["mean"] == pytest.approx(1000.0, abs=1.0)
    assert seen["deviation"] == pytest.approx(4.0, rel=0.1)
    assert seen["nonlinearity"] == [1.0] + 7 * [0.0]


def test_the_c_library(c_library, simulate, run_elsewhere, frame) -> None:
    wires = simulate()
    device = served(wires)
    seen = ast.literal_eval(run_elsewhere(C_LIBRARY, device.host, device.port))
    axis = wires.microscope.bench.detector.wavelength_nm
    assert not seen["as_hdx"]               # why: the library has no HDX
    assert "HDX" not in seen["models"]
    assert seen["as_flame_x"]
    assert (seen["serial"], seen["pixels"]) == ("HDX00419", 2068)
    assert (seen["first"], seen["last"]) == pytest.approx((axis[0], axis[-1]), rel=1e-6)
    assert seen["nonlinearity"] == [1.0] + 7 * [0.0]
    dark = np.array(seen["spectra"][20_000])
    assert dark.shape == (2068,)
    assert dark.mean() == pytest.approx(1000.0, abs=1.0)
    assert dark.std() == pytest.approx(4.0, rel=0.1)
    spectrometer = wires.connect("spectrometer")
    spectrometer.send(frame(0x110000))
    assert spectrometer.exactly(64)[24:28] == (20_000).to_bytes(4, "little")    # set by the C library


def test_the_c_library_sees_the_film(c_library, simulate, run_elsewhere, frame, pixels_of) -> None:
    wires = simulate(composition=3.0)       # why: this film does not change under the light
    laser, spectrometer = wires.connect("laser"), wires.connect("spectrometer")
    laser.ask("p 0.03\r")
    laser.ask("l1\r")
    spectrometer.send(frame(0x101000))
    spectrometer.exactly(4200)              # takes 100 ms: from here on the light is on
    device = served(wires)
    seen = ast.literal_eval(run_elsewhere(C_LIBRARY, device.host, device.port))
    short, long = (np.array(seen["spectra"][exposure_us]) for exposure_us in (10_000, 20_000))
    spectrometer.send(frame(0x101000))      # the same exposure again, without the C library
    ours = pixels_of(spectrometer.exactly(4200)).astype(float)
    band = ours > 1000.0 + 0.2 * (ours.max() - 1000.0)
    light = [float((counts[band] - 1000.0).sum()) for counts in (short, long, ours)]
    assert light[1] > 100_000.0
    assert light[1] == pytest.approx(light[2], rel=0.02)
    assert light[1] / light[0] == pytest.approx(2.0, rel=0.02)
    assert np.argmax(long) == pytest.approx(np.argmax(ours), abs=40)
