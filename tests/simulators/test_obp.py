"""The spectrometer, byte by byte; requests are written from the data sheet's table, not with the simulator's codec."""

import hashlib
import struct

import numpy as np
import pytest

from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.film import Film, film_law
from halidescope.simulators.obp import ObpSession, OceanHdx

SPECTRUM_BYTES = 64 + 2 * 2068
SET_100_MS = bytes.fromhex(
    "c1c0 0011 0000 0000 10001100 00000000 000000000000 00 04 a0860100" + "00" * 12 + "14000000" + "00" * 16
    + "c5c4c3c2"
)
AHEAD_S = 0.0025        # how long before an exposure's end its spectrum may be begun


@pytest.fixture
def device(bench: Bench, faults: FaultBoard) -> OceanHdx:
    return OceanHdx(bench, faults)


@pytest.fixture
def session(device: OceanHdx) -> ObpSession:
    return device.session()


def parts(reply: bytes) -> dict[str, object]:
    """A reply taken apart by the offsets of the data sheet."""
    assert reply[:4] == b"\xc1\xc0\x00\x11"
    assert reply[-4:] == b"\xc5\xc4\xc3\xc2"
    flags, error, message, regarding = struct.unpack("<HHII", reply[4:16])
    length = reply[23]
    remaining = struct.unpack("<I", reply[40:44])[0]
    assert len(reply) == 44 + remaining
    return {
        "flags": flags, "error": error, "message": message, "regarding": regarding, "checksum": reply[22],
        "data": reply[24:24 + length] or reply[44:-20],
    }


def query(session: ObpSession, frame, message: int, data: bytes = b"") -> bytes:
    (reply,) = session.feed(frame(message, data))
    answer = parts(reply)
    assert (answer["message"], answer["error"], answer["flags"] & 0x9) == (message, 0, 1)
    return answer["data"]


def test_the_worked_example_of_the_data_sheet(session: ObpSession, device: OceanHdx, frame) -> None:
    device.settings.integration_us = 50_000
    assert session.feed(SET_100_MS) == []       # no acknowledgement was requested
    assert device.settings.integration_us == 100_000
    assert frame(0x110010, struct.pack("<I", 100_000)) == SET_100_MS
    (reply,) = session.feed(frame(0x110000))
    assert reply == bytes.fromhex(
        "c1c0 0011 0100 0000 00001100 00000000 000000000000 00 04 a0860100" + "00" * 12 + "14000000" + "00" * 16
        + "c5c4c3c2"
    )


@pytest.mark.parametrize(
    ("message", "form", "value"),
    [
        (0x101, "<B", 8), (0xE00, "<H", 0x2457), (0xE01, "<H", 0x2003), (0x101010, "<I", 65535),
        (0x1010A0, "<I", 65535), (0x110001, "<I", 6000), (0x110002, "<I", 10_000_000), (0x110003, "<I", 1),
        (0x110100, "<B", 0), (0x110220, "<H", 2068), (0x180100, "<B", 4), (0x181100, "<B", 8), (0x120000, "<H", 1),
        (0x400000, "<B", 2),
    ],
)
def test_queries(session: ObpSession, frame, message: int, form: str, value: int) -> None:
    assert struct.unpack(form, query(session, frame, message)) == (value,)


def test_names_and_coefficients(session: ObpSession, frame, bench: Bench) -> None:
    assert query(session, frame, 0x100) == b"HDX00419"
    assert query(session, frame, 0xE11) == b"HDX"
    coefficients = [struct.unpack("<f", query(session, frame, 0x180101, bytes([i])))[0] for i in range(4)]
    axis = np.polynomial.polynomial.polyval(np.arange(2068.0), coefficients)
    assert np.array_equal(axis, bench.detector.wavelength_nm)
    (reply,) = session.feed(frame(0x180101, b"\x09"))
    assert parts(reply)["error"] == 12


def test_acknowledgements_come_only_when_asked_for(session: ObpSession, frame) -> None:
    (reply,) = session.feed(frame(0x110010, struct.pack("<I", 20_000), ack=True, regarding=77))
    answer = parts(reply)
    assert len(reply) == 64
    assert (answer["flags"] & 0xA, answer["error"], answer["regarding"]) == (0x2, 0, 77)
    assert session.feed(frame(0x110010, struct.pack("<I", 1))) == []


@pytest.mark.parametrize(
    ("message", "data", "error"),
    [
        (0x110010, struct.pack("<I", 5_999), 6), (0x110010, struct.pack("<I", 10_000_001), 6), (0x110010, b"\x01", 5),
        (0x110110, b"\x02", 6), (0x120010, struct.pack("<H", 0), 6), (0x999999, b"", 2), (0x180101, b"", 5),
    ],
)
def test_refusals_are_nacks_with_their_number(
    session: ObpSession, device: OceanHdx, frame, message: int, data: bytes, error: int
) -> None:
    (reply,) = session.feed(frame(message, data, ack=True))
    answer = parts(reply)
    assert (answer["flags"] & 0xA, answer["error"], answer["message"]) == (0x8, error, message)
    assert device.settings.integration_us == 100_000


@pytest.mark.parametrize(
    ("get", "put", "form", "value"),
    [
        (0x110000, 0x110010, "<I", 250_000), (0x110100, 0x110110, "<B", 3),
        (0x110500, 0x110510, "<I", 40), (0x120000, 0x120010, "<H", 5), (0x121000, 0x121010, "<B", 2),
        (0x800, 0x810, "<I", 57600),
    ],
)
def test_settings_are_kept_until_a_reset(session: ObpSession, frame, get: int, put: int, form: str, value: int) -> None:
    before = query(session, frame, get)
    session.feed(frame(put, struct.pack(form, value), ack=True))
    assert struct.unpack(form, query(session, frame, get)) == (value,)
    session.feed(frame(0x0))
    assert query(session, frame, get) == before


def test_the_lamp_line_is_a_command(session: ObpSession, device: OceanHdx, frame) -> None:
    assert session.feed(frame(0x110410, b"\x01")) == []
    assert device.settings.lamp == 1
    (reply,) = session.feed(frame(0x110410, b"\x02", ack=True))
    assert parts(reply)["error"] == 6


def test_a_mode_with_nothing_connected_is_not_ready(session: ObpSession, frame) -> None:
    session.feed(frame(0x110110, b"\x03"))
    (reply,) = session.feed(frame(0x101000))
    assert (parts(reply)["flags"] & 0xA, parts(reply)["error"]) == (0x8, 7)


def test_in_the_edge_mode_the_stage_begins_the_exposures(session: ObpSession, bench: Bench, frame) -> None:
    session.feed(frame(0x110110, b"\x01") + frame(0x110010, struct.pack("<I", 50_000)))
    assert session.feed(frame(0x101000) * 3) == []
    assert session.due_s() is None
    bench.clock.time_s += 5.0
    assert session.collect() == []
    start = bench.clock.time_s
    bench.announce_triggers([start + 0.1, start + 0.12, start + 0.3])    # the second comes during an exposure
    assert session.due_s() == pytest.approx(start + 0.15, abs=AHEAD_S)
    arrived = []
    for moment in np.arange(0.0, 2.0, 0.01):
        bench.clock.time_s = start + moment
        arrived += [moment] * len(session.collect())
    assert arrived == pytest.approx([0.15, 0.35], abs=0.011)
    (told, _) = session.feed(frame(0x100000, ack=True))
    assert parts(told)["error"] == 15


def test_boxcar_averages_neighbours(session: ObpSession, bench: Bench, frame) -> None:
    session.feed(frame(0x121010, b"\x02"))
    session.feed(frame(0x101000))
    bench.clock.time_s += 0.2
    (reply,) = session.collect()
    counts = np.frombuffer(reply[44:-20], "<u2").astype(float)
    assert len(counts) == 2068
    assert counts.std() == pytest.approx(np.hypot(4.0 / 5**0.5, 0.29), rel=0.1)


def test_a_software_trigger_begins_an_exposure_that_waits(session: ObpSession, bench: Bench, frame) -> None:
    session.feed(frame(0x110110, b"\x01") + frame(0x101000))
    assert session.due_s() is None
    session.feed(frame(0x110120))
    assert session.due_s() == pytest.approx(bench.clock.time_s + 0.1, abs=AHEAD_S)


def test_neighbours_are_binned(session: ObpSession, bench: Bench, frame) -> None:
    assert query(session, frame, 0x110281) == b"\x03"
    session.feed(frame(0x110290, b"\x02") + frame(0x101000))
    bench.clock.time_s += 0.2
    (reply,) = session.collect()
    counts = np.frombuffer(parts(reply)["data"], "<u2")
    assert len(counts) == 2068 // 4
    assert counts.mean() == pytest.approx(1000.0, abs=1.0)
    (refused,) = session.feed(frame(0x110290, b"\x04", ack=True))
    assert parts(refused)["error"] == 6


@pytest.mark.parametrize(
    ("mode", "pixels"),
    [((1, 4), range(0, 2068, 4)), ((2, 100, 1, 50), range(100, 150)), ((2, 8, 3, 10), range(8, 38, 3))],
)
def test_a_partial_spectrum_has_the_pixels_of_its_mode(session: ObpSession, bench: Bench, frame, mode, pixels) -> None:
    data = struct.pack(f"<{len(mode)}H", *mode)
    session.feed(frame(0x102010, data) + frame(0x102080))
    assert query(session, frame, 0x102000) == data
    bench.clock.time_s += 0.2
    (reply,) = session.collect()
    assert len(parts(reply)["data"]) == 2 * len(pixels)


@pytest.mark.parametrize("mode", [(), (0,), (1, 0), (2, 2000, 1, 100), (9, 1)])
def test_a_partial_mode_that_is_none_is_refused(session: ObpSession, frame, mode: tuple[int, ...]) -> None:
    (reply,) = session.feed(frame(0x102010, struct.pack(f"<{len(mode)}H", *mode), ack=True))
    assert parts(reply)["error"] == 6


def test_alias_user_strings_and_stray_light(session: ObpSession, frame) -> None:
    session.feed(frame(0x210, b"bench 2") + frame(0x310, b"\x01fibre A"))
    assert query(session, frame, 0x200) == b"bench 2"
    assert query(session, frame, 0x201) == b"\x07"
    assert query(session, frame, 0x300) == b"\x02"
    assert query(session, frame, 0x302, b"\x01") == b"fibre A"
    assert query(session, frame, 0x183100) == b"\x02"
    assert query(session, frame, 0x183101, b"\x00") == bytes(4)
    (told,) = session.feed(frame(0x8F0, ack=True))
    assert parts(told)["flags"] & 0xA == 0x2


def test_a_spectrum_comes_after_its_exposure_and_not_before(session: ObpSession, bench: Bench, frame) -> None:
    session.feed(frame(0x110010, struct.pack("<I", 200_000)))
    start = bench.clock.time_s
    assert session.feed(frame(0x101000, regarding=5)) == []
    assert session.due_s() == pytest.approx(start + 0.2, abs=AHEAD_S)
    bench.clock.time_s = start + 0.199
    assert session.collect() == []
    bench.clock.time_s = start + 0.2001
    (reply,) = session.collect()
    assert len(reply) == SPECTRUM_BYTES
    assert parts(reply)["regarding"] == 5
    assert np.frombuffer(reply[44:-20], "<u2").mean() == pytest.approx(1000.0, abs=1.0)
    assert session.due_s() is None


def test_what_is_worked_out_before_the_end_leaves_no_light_out(session: ObpSession, bench: Bench, frame) -> None:
    """The simulator begins a spectrum while it is exposed; light that comes after that counts, light that goes not."""
    session.feed(frame(0x110010, struct.pack("<I", 10_000)))
    seen = []
    for before_mw, after_mw in ((0.0, 0.0), (50.0, 50.0), (0.0, 50.0), (50.0, 0.0)):
        bench.mount(Film(film_law(3.0)))    # this film does not change
        bench.shine(before_mw)
        session.feed(frame(0x101000))
        early_s = session.due_s()
        bench.clock.time_s = early_s
        assert session.collect() == []
        bench.shine(after_mw)
        bench.clock.time_s += 0.01
        (reply,) = session.collect()
        seen.append(float(np.frombuffer(reply[44:-20], "<u2").sum()))
    dark, whole, late, soon = seen
    assert whole - dark > 30_000.0
    assert (late - dark) / (whole - dark) == pytest.approx(0.2, abs=0.02)    # the last 2 of 10 ms
    assert (soon - dark) / (whole - dark) == pytest.approx(0.8, abs=0.02)


def test_requests_in_a_row_are_exposed_one_after_the_other(session: ObpSession, bench: Bench, frame) -> None:
    start = bench.clock.time_s
    session.feed(frame(0x101000) * 3)
    assert session.feed(frame(0x110000)) != []      # other messages are answered meanwhile
    counts = []
    for moment in (0.1001, 0.2001, 0.3001):
        bench.clock.time_s = start + moment
        counts.append(len(session.collect()))
    assert counts == [1, 1, 1]


def test_abort_ends_the_exposure_and_tells_who_waits(session: ObpSession, bench: Bench, frame) -> None:
    session.feed(frame(0x101000))
    interrupted, done = session.feed(frame(0x100000, ack=True))
    assert (parts(interrupted)["message"], parts(interrupted)["error"]) == (0x101000, 15)
    assert parts(done)["flags"] & 0xA == 0x2
    bench.clock.time_s += 5.0
    assert session.collect() == []
    assert session.due_s() is None


def test_averaging_lowers_the_noise_and_takes_its_time(session: ObpSession, bench: Bench, frame) -> None:
    session.feed(frame(0x120010, struct.pack("<H", 25)))
    start = bench.clock.time_s
    session.feed(frame(0x101000))
    bench.clock.time_s = start + 2.499
    assert session.collect() == []
    assert session.due_s() == pytest.approx(start + 2.5, abs=AHEAD_S)
    bench.clock.time_s = start + 2.501
    (reply,) = session.collect()
    assert np.frombuffer(reply[44:-20], "<u2").std() == pytest.approx(np.hypot(4.0 / 5.0, 0.29), rel=0.1)


def test_md5_is_checked_and_answered(session: ObpSession, frame) -> None:
    plain = bytearray(frame(0x110000))
    plain[22] = 1
    digest = hashlib.md5(bytes(plain[:-20])).digest()
    (reply,) = session.feed(bytes(plain[:-20]) + digest + bytes(plain[-4:]))
    answer = parts(reply)
    assert (answer["checksum"], answer["error"]) == (1, 0)
    assert reply[-20:-4] == hashlib.md5(reply[:-20]).digest()
    (refused,) = session.feed(bytes(plain))
    assert parts(refused)["error"] == 3


@pytest.mark.parametrize(
    ("offset", "value", "error"), [(2, b"\x00\x20", 1), (22, b"\x07", 8), (23, b"\x11", 5), (-4, b"\0\0\0\0", 14)]
)
def test_broken_frames_are_refused_and_the_next_is_understood(
    session: ObpSession, frame, offset: int, value: bytes, error: int
) -> None:
    broken = bytearray(frame(0x110000))
    broken[offset:len(broken) + offset + len(value) if offset < 0 else offset + len(value)] = value
    replies = session.feed(bytes(broken) + frame(0x101))
    assert parts(replies[0])["error"] == error
    assert parts(replies[-1])["data"] == b"\x08"


def test_rubbish_between_frames_is_skipped(session: ObpSession, frame) -> None:
    replies = session.feed(b"\x00\xff\xc1rubbish" + frame(0x101) + b"\xc1" + frame(0x101))
    assert [parts(reply)["data"] for reply in replies] == [b"\x08", b"\x08"]


def test_stale_silent_truncated_and_saturated(session: ObpSession, bench: Bench, faults: FaultBoard, frame) -> None:
    def take() -> list[bytes]:
        now = session.feed(frame(0x101000))
        bench.clock.time_s += 0.11
        return now + session.collect()

    (good,) = take()
    faults.inject("spectrum-stale")
    assert take() == [good]
    faults.clear()
    faults.inject("spectrum-truncated", after=1)
    assert len(take()[0]) == SPECTRUM_BYTES
    assert 64 < len(take()[0]) < SPECTRUM_BYTES
    faults.clear()
    faults.inject("saturated")
    assert np.all(np.frombuffer(take()[0][44:-20], "<u2") == 65535)
    faults.clear()
    faults.inject("spectrometer-silent")
    assert take() == []
    assert session.feed(frame(0x101)) == []
    faults.clear()
    assert len(take()) == 1
