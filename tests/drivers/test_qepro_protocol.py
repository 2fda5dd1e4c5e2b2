"""The QE Pro and STS drivers, byte for byte, without a wire: what they have beyond the HDX."""

import struct
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.test import expected_protocol

from halidescope.drivers.errors import BadReplyError, InstrumentError, LimitError, RefusedError
from halidescope.drivers.obp import Flag, Frame, encode
from halidescope.drivers.ocean_messages import Message
from halidescope.drivers.ocean_models import OceanQEPro, OceanSTS

PIXELS = 6
COUNTS = np.array([1500, 1501, 1502, 200_000, 0x3FFFF, 7], dtype="<u4")
AHEAD = b"".join(encode(Frame(each)) for each in (Message.ABORT, Message.CLEAR_BUFFER, Message.ACQUIRE))


def metadata(counter=1, time_us=1000, exposure_us=100_000):
    return struct.pack("<IQI", counter, time_us, exposure_us) + bytes(16)


def conversation(*steps):
    """Numbered requests and their answers; a step is (message, data, reply, flags, bytes ahead)."""
    pairs = []
    for number, (message, data, reply, *more) in zip(count(1), steps, strict=False):
        flags, ahead = (*more, *(0, b"")[len(more) :])
        kind = Flag.RESPONSE | Flag.ACK if flags else Flag.RESPONSE
        pairs.append((ahead + encode(Frame(message, data, Flag(flags), regarding=number)),
                      encode(Frame(message, reply, kind, regarding=number))))  # fmt: skip
    return pairs


def spectrum(counts=COUNTS, **meta):
    return (Message.BUFFERED_SPECTRUM, b"", metadata(**meta) + counts.tobytes(), 0, AHEAD)


def command(message, data):
    return (message, data, b"", Flag.ACK_REQUESTED)


FIRST = [
    (Message.EXPOSURE, b"", struct.pack("<I", 100_000)), (Message.SATURATION_LEVEL, b"", struct.pack("<I", 200_000)),
    (Message.PIXELS, b"", struct.pack("<H", PIXELS)),
]  # fmt: skip
OTHER = COUNTS - np.uint32(1)


def test_a_spectrum_is_aborted_cleared_acquired_and_read_in_one_packet():
    with expected_protocol(OceanQEPro, conversation(*FIRST, spectrum())) as spectrometer:
        found = spectrometer.acquire()
        assert found.counts.tolist() == COUNTS.tolist()
        assert found.counts.dtype == np.uint32
        assert found.saturated


def test_only_18_bits_are_counts():
    marked = COUNTS | np.uint32(0xFFFC0000)
    with expected_protocol(OceanQEPro, conversation(*FIRST, spectrum(marked))) as spectrometer:
        assert spectrometer.acquire().counts.tolist() == COUNTS.tolist()


def test_the_same_counter_and_time_twice_are_stale_whatever_the_counts():
    with expected_protocol(OceanQEPro, conversation(*FIRST, spectrum(), spectrum(OTHER))) as spectrometer:
        spectrometer.acquire()
        with pytest.raises(BadReplyError, match="spectrum 1 a second time"):
            spectrometer.acquire()


def test_a_counter_that_starts_anew_is_no_fault():
    steps = [spectrum(), spectrum(OTHER, counter=1, time_us=2000)]
    with expected_protocol(OceanQEPro, conversation(*FIRST, *steps)) as spectrometer:
        spectrometer.acquire()
        assert spectrometer.acquire().counts.tolist() == OTHER.tolist()


def test_a_spectrum_of_another_exposure_is_refused():
    with (
        expected_protocol(OceanQEPro, conversation(*FIRST, spectrum(exposure_us=50_000))) as spectrometer,
        pytest.raises(BadReplyError, match="one of 100000 µs"),
    ):
        spectrometer.acquire()


@pytest.mark.parametrize(
    ("name", "message", "reply", "value"),
    [
        ("cooler_on", Message.COOLER_ON, b"\x01", True),
        ("cooler_stable", Message.COOLER_STABLE, b"\x00", False),
        ("cooler_setpoint_c", Message.COOLER_SETPOINT, struct.pack("<f", -10.0), -10.0),
        ("temperature_c", Message.COOLER_TEMPERATURE, struct.pack("<f", -9.5), -9.5),
    ],
)
def test_cooler(name, message, reply, value):
    with expected_protocol(OceanQEPro, conversation((message, b"", reply))) as spectrometer:
        assert getattr(spectrometer, name) == value


def test_cool_sets_the_set_point_then_switches_on_and_reads_both_back():
    data = struct.pack("<f", -10.0)
    steps = [
        command(Message.SET_COOLER_SETPOINT, data), (Message.COOLER_SETPOINT, b"", data),
        command(Message.SET_COOLER_ON, b"\x01"), (Message.COOLER_ON, b"", b"\x01"),
        command(Message.SET_COOLER_ON, b"\x00"), (Message.COOLER_ON, b"", b"\x01"),
    ]  # fmt: skip
    with expected_protocol(OceanQEPro, conversation(*steps)) as spectrometer:
        spectrometer.cool(-10.0)
        with pytest.raises(RefusedError, match="the cooler stays on"):
            spectrometer.stop_cooling()


@pytest.mark.parametrize("setpoint_c", [-40.1, 50.1, float("nan")])
def test_temperatures_out_of_reach_are_never_sent(setpoint_c):
    with expected_protocol(OceanQEPro, []) as spectrometer, pytest.raises(LimitError, match="allowed -40 to 50"):
        spectrometer.cool(setpoint_c)


@given(st.binary(max_size=8))
def test_any_temperature_is_an_error_or_finite(data):
    with expected_protocol(OceanQEPro, conversation((Message.COOLER_TEMPERATURE, b"", data))) as spectrometer:
        try:
            assert abs(spectrometer.temperature_c) < float("inf")
        except InstrumentError:
            return
        assert len(data) == 4


@given(st.binary(max_size=2 * (32 + 4 * PIXELS)))
def test_any_payload_is_an_error_or_that_spectrum(data):
    step = (Message.BUFFERED_SPECTRUM, b"", data, 0, AHEAD)
    with expected_protocol(OceanQEPro, conversation(*FIRST, step)) as spectrometer:
        try:
            counts = spectrometer.acquire().counts
        except InstrumentError:
            return
        assert counts.tolist() == [value & 0x3FFFF for value in np.frombuffer(data[32:], "<u4").tolist()]


def test_an_sts_has_14_bits():
    counts = np.array([100, 101, 102, 103, 104, 16383], dtype="<u2")
    first = [(Message.EXPOSURE, b"", struct.pack("<I", 100_000)), (Message.SATURATION_LEVEL, b"", b"\xff\x3f\0\0"),
             FIRST[2]]  # fmt: skip
    step = (Message.CORRECTED_SPECTRUM, b"", counts.tobytes())
    with expected_protocol(OceanSTS, conversation(*first, step)) as spectrometer:
        found = spectrometer.acquire()
        assert found.counts.tolist() == counts.tolist()
        assert found.saturated


def test_averages_and_trigger_are_set_and_read_back():
    steps = [
        command(Message.SET_AVERAGES, b"\x10\x00"), (Message.AVERAGES, b"", b"\x10\x00"),
        command(Message.SET_TRIGGER_MODE, b"\x03"), (Message.TRIGGER_MODE, b"", b"\x00"),
    ]  # fmt: skip
    with expected_protocol(OceanQEPro, conversation(*steps)) as spectrometer:
        spectrometer.set_averages(16)
        with pytest.raises(RefusedError, match="TRIGGER_MODE = 3 was acknowledged but the device says 0"):
            spectrometer.set_trigger_mode("edge")
        assert spectrometer.trigger_mode == "normal"
