"""python-seabreeze drives the simulated spectrometer, with both of its back ends, each in a process of its own.

The pure Python back end knows the HDX over TCP. The vendor's C library does not know the HDX at all; it knows the Flame
X over TCP, which speaks the same protocol with other spectra, so everything but those can be driven with it.
"""

import ast

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
spectrometer.integration_time_micros(20_000)
print(dict(
    as_hdx=as_hdx, as_flame_x=as_flame_x, models=api.supported_models(), serial=spectrometer.serial_number,
    pixels=spectrometer.pixels, first=float(spectrometer.wavelengths()[0]), last=float(spectrometer.wavelengths()[-1]),
    nonlinearity=list(map(float, spectrometer.f.nonlinearity_coefficients.get_nonlinearity_coefficients())),
), flush=True)
spectrometer.close()
"""


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


def test_the_c_library_reads_everything_but_spectra(simulate, run_elsewhere, frame) -> None:
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
    spectrometer = wires.connect("spectrometer")
    spectrometer.send(frame(0x110000))
    assert spectrometer.exactly(64)[24:28] == (20_000).to_bytes(4, "little")    # set by the C library
