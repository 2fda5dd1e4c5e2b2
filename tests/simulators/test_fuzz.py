"""Any bytes in any pieces: never a crash, and never an answer that depends on how the bytes were cut."""

from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from halidescope.simulators.bench import Bench
from halidescope.simulators.control import ControlPort
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.film import Film, film_law
from halidescope.simulators.models import MODELS, Site
from halidescope.simulators.wire import Device


class StoppedClock:
    """Time stands still, so that answers depend on the bytes alone."""

    time_s = 5.0

    def now_s(self) -> float:
        return self.time_s

    def real_s(self, duration_s: float) -> float:
        return duration_s


def make(name: str) -> tuple[Device, StoppedClock]:
    clock, faults = StoppedClock(), FaultBoard()
    bench = Bench(clock, Film(film_law(1.5), travel_um=20.0), seed=1)
    if name == "control":
        return ControlPort(bench, faults), clock
    return MODELS[name].make(Site(bench, faults)), clock


def header(message: int, data: bytes, flags: int, checksum: int, remaining: int) -> bytes:
    head = b"\xc1\xc0\x00\x11" + flags.to_bytes(2, "little") + bytes(2) + message.to_bytes(4, "little") + bytes(10)
    return head + bytes([checksum, len(data)]) + data.ljust(16, b"\0") + remaining.to_bytes(4, "little")


OBP_MESSAGES = st.sampled_from(
    [0, 0x100, 0x101, 0x100000, 0x101000, 0x110000, 0x110010, 0x110110, 0x180101, 0x121010, 7,
     0x100928, 0x100902, 0x100900, 0x100830, 0x420010, 0x420011, 0x420004]
)
FRAMES = st.builds(
    lambda *fields, end: header(*fields) + bytes(16) + end,
    OBP_MESSAGES, st.binary(max_size=16), st.sampled_from([0, 4]), st.sampled_from([0, 0, 0, 1, 9]),
    st.sampled_from([20, 20, 20, 0, 19, 5000, 2**32 - 1]),
    end=st.sampled_from([b"\xc5\xc4\xc3\xc2", b"\xc5\xc4\xc3\xc2", b"\0\0\0\0"]),
)
SENSIBLE = {
    "ocean-hdx": FRAMES, "ocean-qepro": FRAMES, "ocean-sts": FRAMES,
    "cobolt-06-mld": st.builds(
        lambda word, end: f"{word}{end}".encode(),
        st.sampled_from(
            ["?", "l?", "l1", "l0", "p 0.01", "p", "p 9", "cf", "gom?", "ci", "slc 50", "@cob1", "pa?", "x y"]
        ),
        st.sampled_from(["\r", "\n", "\r\n"]),
    ),
    "coherent-obis-lx": st.builds(
        lambda line, end: f"{line}{end}".encode(),
        st.sampled_from(
            ["SYST:STAT?", "sour:am:stat on", "SOUR:AM:STAT OFF", "SYST:COMM:HAND OFF", "SYST:COMM:HAND ON", "*RST",
             "SYST:COMM:PROM ON", "SOUR:POW:LEV:IMM:AMPL 0.02", "SOUR:POW:LEV?", "SYST:ERR:NEXT?", "SYST9:CDRH?", "x y"]
        ),
        st.sampled_from(["\r", "\n", "\r\n"]),
    ),
    "toptica-ibeam-smart": st.builds(
        lambda line, end: f"{line}{end}".encode(),
        st.sampled_from(
            ["la on", "la off", "sta la", "echo off", "prom off", "prom on", "ch 2 pow 5 mic", "en 2", "di 0", "sh pow",
             "", "talk verbose", "sh sat", "la o", "reset system", "ch 2 pow 9e9"]
        ),
        st.sampled_from(["\r", "\n", "\r\n"]),
    ),
    "asi-ms2000": st.builds(
        lambda line, end: f"{line}{end}".encode(),
        st.sampled_from(
            ["M X=100 Y=5", "W X Y", "/", "\\", "RS X?", "RS Y", "S X=1", "H X=0", "MC X-", "SCAN X=1 Y=2", "SCAN",
             "SCANR X=0 Y=0.01", "SCANV X=0 Y=0.01 Z=3", "M X=1e99", "SU X=-1e9", "BU X", "M Z=", "9W X", "m x"]
        ),
        st.sampled_from(["\r", "\n", "\r\n"]),
    ),
    "zaber-ascii": st.sampled_from(
        [b"/home\n", b"/1 1 02 get pos\n", b"/1 move abs 100\r\n", b"/2 move rel -5\n", b"/ 1 move vel 5\n", b"/\n",
         b"/1 1 03 get pos:29\n", b"/1 1 03 get pos:00\n", b"/set comm.alert 1\n", b"/1 set comm.checksum 1\n",
         b"/stop\n", b"/1 trigger dist 1 1 50\n", b"/1 trigger dist 1 enable\n", b"/warnings\n", b"/help\n", b"/9\n",
         b"/1 move max\n", b"/1 driver disable\n", b"/system reset\n", b"/1 1 1 1 1\n"]
    ),
    "pi-e727": st.sampled_from(
        [b"POS? 3\n", b"MOV 1 5\n", b"SVO 1 1\n", b"SVO?\n", b"ERR?\n", b"\x05", b"\x07", b"\x18", b"MOV 1\n",
         b"HLP?\n", b"SPA?\n", b"SPA 1 1 1\n", b"ONT?\n", b"ATZ\n", b"VEL 1 0\n",
         b"WAV 1 X LIN 8 5 0 8 1 2\n", b"WAV 1 & PNT 1 2 3 4\n", b"WAV 1 X RAMP 5 1\n", b"WSL 1 1\n", b"WGO 1 1\n",
         b"WGC 1 0\n", b"WGO?\n", b"\x09", b"TWS 1 3 1\n", b"CTO 1 3 4\n", b"CTO 1 2 1 1 3 0 1 1 0.5\n",
         b"GWD? 1 4 1\n", b"DRR? 1 5 1\n", b"WTR 0 10 0\n", b"MVR 2 1e99\n", b"CCL 1\n", b"ho ho\n", b"\n"]
    ),
    "control": st.sampled_from(
        [b'{"get":"film.state","x":1,"y":2}\n', b'{"get":"film.state"}\n',
         b'{"get":5}\n', b"[]\n", b"{}\n", b'{"get":\n',
         b'{"fault":"stage-stall"}\n', b'{"fault":["x"]}\n', b'{"fault":"slow-reply","after":-1}\n',
         b'{"clear":"all"}\n', b'{"mount":2}\n', b'{"mount":"2"}\n', b'{"mount":true}\n', b'{"slip":[1]}\n',
         b'{"key":"on"}\n',
         b'{"get":"film.law","power_uw":1e400}\n']
    ),
}


@pytest.mark.parametrize("name", [*MODELS, "control"])
@settings(max_examples=80)
@given(data=st.data())
def test_answers_do_not_depend_on_how_the_bytes_arrive(name: str, data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.one_of(SENSIBLE[name], st.binary(max_size=80)), max_size=12))
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    whole = talk(name, [stream])
    assert talk(name, [bytes([byte]) for byte in stream]) == whole
    assert talk(name, [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]) == whole


def talk(name: str, pieces: list[bytes]) -> list[bytes]:
    """All replies to a stream in pieces, and what comes by itself afterwards."""
    device, clock = make(name)
    session = device.session()
    replies = [reply for piece in pieces for reply in session.feed(piece)]
    for _ in range(1000):
        due = session.due_s()
        if due is None:
            break
        clock.time_s = max(clock.time_s, due)
        collected = session.collect()
        assert collected or session.due_s() != due, "something was due and was not done"
        replies += collected
    else:
        raise AssertionError("the session never came to rest")
    session.close()
    return replies


@pytest.mark.parametrize(
    ("name", "question", "answers"),
    [
        ("cobolt-06-mld", b"\r?\r", lambda reply: reply == b"OK\r\n"),
        ("coherent-obis-lx", b"\rSYST:INF:WAV?\r", lambda reply: reply.startswith(b"405\r\n")),
        ("toptica-ibeam-smart", b"\recho off\rsta ch 9\r", lambda reply: reply.startswith(b"\r\n%SYS-E-")),
        ("asi-ms2000", b"\rV\r", lambda reply: reply == b":A Version: USB-9.2p \r\n"),
        ("zaber-ascii", b"\n/2 get resolution\n", lambda reply: reply.startswith(b"@02 0 OK ")),
        ("pi-e727", b"\nCSV?\n", lambda reply: reply == b"2.0\n"),
        ("control", b'\n{"get":"laser.emission"}\n', lambda reply: reply == b'{"value":false}\n'),
    ],
)
@settings(max_examples=60)
@given(rubbish=st.binary(max_size=400))
def test_a_line_after_rubbish_is_understood(
    name: str, question: bytes, answers: Callable[[bytes], bool], rubbish: bytes
) -> None:
    device, _ = make(name)
    session = device.session()
    session.feed(rubbish)
    assert answers(session.feed(question)[-1])
