"""QE Pro and STS: what they do otherwise than the HDX, and python-seabreeze driving them."""

import ast
import struct

import numpy as np
import pytest
from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.obp import ObpSession, OceanQePro, OceanSts

ABORT, CLEAR, ACQUIRE, COUNT, READ = 0x100000, 0x100830, 0x100902, 0x100900, 0x100928


@pytest.fixture
def qepro(bench: Bench, faults: FaultBoard) -> ObpSession:
    return OceanQePro(bench, faults).session()


@pytest.fixture
def sts(bench: Bench, faults: FaultBoard) -> ObpSession:
    return OceanSts(bench, faults).session()


def ask(session: ObpSession, frame, message: int, form: str, data: bytes = b"") -> float:
    (reply,) = session.feed(frame(message, data))
    assert reply[4:8] == b"\x01\0\0\0"
    return struct.unpack(form, reply[24:24 + reply[23]])[0]


def take(session: ObpSession, bench: Bench, frame, wait_s: float) -> bytes:
    assert session.feed(frame(READ)) == []
    bench.clock.time_s += wait_s
    (reply,) = session.collect()
    assert len(reply) == 4272
    return reply[44:-20]


def unpacked(data: bytes) -> tuple[int, int, int, int, np.ndarray]:
    """Counter, time stamp, exposure, trigger mode, counts."""
    return *struct.unpack("<IQIB", data[:17]), np.frombuffer(data[32:], "<u4")


@pytest.mark.parametrize(
    ("message", "form", "value"),
    [
        (0xE01, "<H", 0x4004), (0x110220, "<H", 1044), (0x101010, "<I", 262143), (0x1010A0, "<I", 200_000),
        (0x110001, "<I", 8000), (0x110002, "<I", 1_600_000_000), (0x420000, "<B", 0), (0x420001, "<f", -10.0),
        (0x100820, "<I", 15_000), (COUNT, "<I", 0),
    ],
)
def test_facts_of_the_qepro(qepro: ObpSession, frame, message: int, form: str, value: float) -> None:
    assert ask(qepro, frame, message, form) == value


@pytest.mark.parametrize(
    ("message", "form", "value"),
    [
        (0xE01, "<H", 0x4000), (0x110220, "<H", 1024), (0x101010, "<I", 16383), (0x1010A0, "<I", 16383),
        (0x110001, "<I", 10), (0x110002, "<I", 85_000_000),
    ],
)
def test_facts_of_the_sts(sts: ObpSession, frame, message: int, form: str, value: float) -> None:
    assert ask(sts, frame, message, form) == value


@pytest.mark.parametrize("message", [0x101000, 0x101100])
def test_an_sts_spectrum(sts: ObpSession, bench: Bench, frame, message: int) -> None:
    bench.shine(30.0)
    sts.feed(frame(0x110010, struct.pack("<I", 200_000)))
    sts.feed(frame(message))
    bench.clock.time_s += 0.21
    (reply,) = sts.collect()
    assert len(reply) == 2112
    counts = np.frombuffer(reply[44:-20], "<u2").astype(float)
    assert bench.detector.wavelength_nm[counts.argmax()] == pytest.approx(590.0, abs=5.0)
    assert 5000 < counts.max() < 16383
    assert counts[:50].mean() == pytest.approx(1450.0, abs=5.0)


def test_each_refuses_the_other_models_messages(qepro: ObpSession, sts: ObpSession, frame) -> None:
    for session, message in ((qepro, 0x101000), (sts, READ), (sts, 0x420004), (qepro, 0xA80)):
        (reply,) = session.feed(frame(message))
        assert struct.unpack("<HH", reply[4:8]) == (0x9, 2)


def test_dark_pixels_of_the_qepro(qepro: ObpSession, frame) -> None:
    (reply,) = qepro.feed(frame(0x110222))
    assert struct.unpack("<4H", reply[24:32]) == (0, 3, 1040, 1043)
    assert ask(qepro, frame, 0x110221, "<2H") == 4


def test_a_read_alone_exposes(qepro: ObpSession, bench: Bench, frame) -> None:
    bench.shine(30.0)
    first = unpacked(take(qepro, bench, frame, 0.11))
    second = unpacked(take(qepro, bench, frame, 0.11))
    assert (first[0], second[0]) == (1, 2)
    assert second[1] - first[1] == pytest.approx(110_000, abs=1)
    assert first[2:4] == (100_000, 0)
    assert first[4].max() > 20_000
    assert bench.detector.wavelength_nm[first[4].argmax()] == pytest.approx(590.0, abs=5.0)


def test_acquired_spectra_wait_in_the_buffer(qepro: ObpSession, bench: Bench, frame) -> None:
    qepro.feed(frame(ABORT) + frame(CLEAR))
    for _ in range(3):
        (done,) = qepro.feed(frame(ACQUIRE, ack=True))
        assert done[4:8] == b"\x03\0\0\0"
    assert ask(qepro, frame, COUNT, "<I") == 0
    bench.clock.time_s += 0.25
    assert ask(qepro, frame, COUNT, "<I") == 2
    qepro.feed(frame(READ) * 3)
    assert [unpacked(reply[44:-20])[0] for reply in qepro.collect()] == [1, 2]
    bench.clock.time_s += 0.1
    assert [unpacked(reply[44:-20])[0] for reply in qepro.collect()] == [3]
    qepro.feed(frame(ACQUIRE))
    bench.clock.time_s += 0.2
    qepro.feed(frame(ACQUIRE) + frame(ABORT))
    assert ask(qepro, frame, COUNT, "<I") == 1      # what was over stays
    qepro.feed(frame(CLEAR))
    assert ask(qepro, frame, COUNT, "<I") == 0


def test_the_buffer_fills_on_triggers(qepro: ObpSession, bench: Bench, frame) -> None:
    qepro.feed(frame(0x110110, b"\x03") + frame(0x110010, struct.pack("<I", 20_000)) + frame(ACQUIRE) * 4)
    start = bench.clock.time_s
    bench.announce_triggers([start + 0.1, start + 0.2, start + 0.3])
    bench.clock.time_s += 1.0
    assert ask(qepro, frame, COUNT, "<I") == 3


def test_a_stale_spectrum_keeps_its_counter(
    qepro: ObpSession, bench: Bench, faults: FaultBoard, frame
) -> None:
    fresh = take(qepro, bench, frame, 0.11)
    faults.inject("spectrum-stale")
    (reply,) = qepro.feed(frame(READ))
    assert reply[44:-20] == fresh
    faults.clear()
    assert unpacked(take(qepro, bench, frame, 0.11))[0] > unpacked(fresh)[0]


def test_saturation_is_the_level_and_not_the_converters_end(
    qepro: ObpSession, bench: Bench, faults: FaultBoard, frame
) -> None:
    faults.inject("saturated")
    assert np.all(unpacked(take(qepro, bench, frame, 0.11))[4] == 200_000)


def test_the_cooler_takes_its_time_and_quietens_the_detector(qepro: ObpSession, bench: Bench, frame) -> None:
    qepro.feed(frame(0x110010, struct.pack("<I", 10_000_000)))
    warm = unpacked(take(qepro, bench, frame, 10.1))[4].astype(float)
    assert ask(qepro, frame, 0x420004, "<f") == pytest.approx(24.0)
    for message, data in ((0x420011, struct.pack("<f", -15.0)), (0x420010, b"\x01")):
        (done,) = qepro.feed(frame(message, data, ack=True))
        assert done[4:8] == b"\x03\0\0\0"
    assert ask(qepro, frame, 0x420003, "<B") == 0
    bench.clock.time_s += 25.0
    assert ask(qepro, frame, 0x420004, "<f") == pytest.approx(-15.0 + 39.0 / np.e, abs=0.1)
    bench.clock.time_s += 300.0
    assert ask(qepro, frame, 0x420003, "<B") == 1
    cold = unpacked(take(qepro, bench, frame, 10.1))[4].astype(float)
    assert warm.mean() - 1500.0 == pytest.approx(10.0 * 2.0 * 2 ** (34.0 / 7.0), rel=0.05)
    assert cold.mean() - 1500.0 == pytest.approx(10.0 * 2.0 * 2 ** (-5.0 / 7.0), rel=0.1)
    (refused,) = qepro.feed(frame(0x420011, struct.pack("<f", -90.0), ack=True))
    assert struct.unpack("<HH", refused[4:8])[1] == 6


PURE_PYTHON = """
import sys
from seabreeze.pyseabreeze import devices
from seabreeze.pyseabreeze.protocol import OBPProtocol
from seabreeze.pyseabreeze.transport import IPv4Transport, IPv4TransportHandle
import seabreeze
seabreeze.use("pyseabreeze")
from seabreeze.spectrometers import Spectrometer
model, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
# the class knows its model over USB only; the same messages go over a socket here
getattr(devices, model)._transport_classes = (IPv4Transport.specialize(model, ipv4_protocol=OBPProtocol),)
IPv4Transport.register_model(model, ipv4_address=host, ipv4_port=port)
spectrometer = Spectrometer(devices.SeaBreezeDevice(IPv4TransportHandle(host, port)))
spectrometer.integration_time_micros(20_000)
counts = spectrometer.intensities()
print(dict(serial=spectrometer.serial_number, pixels=len(counts), mean=float(counts[4:1000].mean()),
    first=float(spectrometer.wavelengths()[0]), last=float(spectrometer.wavelengths()[-1])))
spectrometer.close()
"""


@pytest.mark.parametrize(
    ("model", "name", "serial", "offset"),
    [("QEPRO", "ocean-qepro", "QEP01287", 1500.0), ("STS", "ocean-sts", "S09142", 1450.0)],
)
def test_seabreeze_drives_them(simulate, run_elsewhere, model: str, name: str, serial: str, offset: float) -> None:
    wires = simulate(spectrometer=name)
    (device,) = [device for device in wires.microscope.devices if device.role == "spectrometer"]
    seen = ast.literal_eval(run_elsewhere(PURE_PYTHON, model, device.host, device.port))
    axis = wires.microscope.bench.detector.wavelength_nm
    assert (seen["serial"], seen["pixels"]) == (serial, len(axis))
    assert (seen["first"], seen["last"]) == pytest.approx((axis[0], axis[-1]), rel=1e-9)
    assert seen["mean"] == pytest.approx(offset, abs=3.0)
