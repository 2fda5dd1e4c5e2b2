"""The line under the instruments: real sockets, peers that misbehave, and bounded waits."""

import gc
import socket
import sys
import time

import pytest

from halidescope.drivers.cobolt import CoboltMLD
from halidescope.drivers.errors import BadReplyError, ConnectionLostError, InstrumentError, WrongInstrumentError
from halidescope.drivers.gcs import PIE727
from halidescope.drivers.line import LineAdapter, SilenceError
from halidescope.drivers.ocean import OceanHDX

from .conftest import hurried

TIMEOUT_S = 0.3
COBOLT = {b"gfv?\r": b"1.0", b"glm?\r": b"0405-06-01-0100-100", b"sn?\r": b"7", b"p?\r": b"0.0100"}
BOUND_S = 20.0   # what "bounded" means here, on the busiest computer


def opened_socket(instrument):
    connection = instrument.adapter.connection
    return connection.visalib.sessions[connection.session].interface


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_port_that_nobody_listens_on_is_named_at_once():
    resource = f"TCPIP::127.0.0.1::{free_port()}::SOCKET"
    start = time.monotonic()
    with pytest.raises(ConnectionLostError, match=r"stage pi-e727 \(TCPIP::127.0.0.1::\d+::SOCKET\): nobody answers"):
        PIE727(resource, timeout_s=TIMEOUT_S)
    assert time.monotonic() - start < BOUND_S


@pytest.mark.parametrize(
    "resource",
    [
        "nonsense",
        "TCPIP::127.0.0.1::SOCKET",
        "TCPIP::127.0.0.1::99999::SOCKET",
        "TCPIP::no-such-host.invalid::50000::SOCKET",
        "ASRL/dev/no-such-port::INSTR",
    ],
)
def test_a_resource_that_cannot_be_opened_is_named(resource):
    with pytest.raises(ConnectionLostError, match="check that it is switched on, that the resource string is right"):
        CoboltMLD(resource, timeout_s=TIMEOUT_S)
    gc.collect()    # a socket left open would be warned of here


def test_small_packets_leave_at_once(peer):
    laser = CoboltMLD(peer(lambda data: b"OK\r\n").resource)
    assert opened_socket(laser).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    laser.close()


@pytest.mark.parametrize("driver", [CoboltMLD, PIE727, OceanHDX])
def test_close_closes_the_port_and_may_be_called_twice(driver, peer):
    instrument = driver(peer(lambda data: b"").resource)
    line = opened_socket(instrument)
    instrument.close()
    assert line.fileno() == -1
    instrument.close()
    with pytest.raises(ConnectionLostError, match="its port was closed"):
        _ = instrument.identity


@pytest.mark.parametrize("driver", [CoboltMLD, PIE727, OceanHDX])
def test_silence_is_bounded(driver, peer):
    instrument = driver(peer(lambda data: b"").resource, timeout_s=TIMEOUT_S)
    start = time.monotonic()
    with pytest.raises(ConnectionLostError, match=r"no answer to .* within 0.3 s"):
        instrument.start()
    assert time.monotonic() - start < BOUND_S
    instrument.close()


@pytest.mark.parametrize("driver", [CoboltMLD, PIE727, OceanHDX])
def test_a_peer_that_closes_is_lost_at_once(driver, peer):
    instrument = driver(peer(lambda data: None).resource, timeout_s=60.0)
    start = time.monotonic()
    with pytest.raises(ConnectionLostError, match="the line was lost"):
        instrument.start()
    assert time.monotonic() - start < BOUND_S
    instrument.close()


def test_an_answer_that_stops_in_the_middle_is_a_bad_reply(peer):
    laser = CoboltMLD(peer(lambda data: b"0405-06").resource, timeout_s=TIMEOUT_S)
    with pytest.raises(BadReplyError, match="the rest never came"):
        laser.start()
    laser.close()


def test_a_line_that_never_ends_is_bounded(peer):
    laser = CoboltMLD(peer(lambda data: b"x" * (3 << 20)).resource, timeout_s=10.0)
    with pytest.raises(BadReplyError, match="without a line end"):
        laser.start()
    laser.close()


def test_an_answer_of_endless_lines_is_bounded(peer):
    stage = PIE727(peer(lambda data: b"1=0 \n" * 200_000).resource, timeout_s=0.02)
    start = time.monotonic()
    with pytest.raises(InstrumentError):
        _ = stage.position_um
    assert time.monotonic() - start < BOUND_S
    stage.close()


def test_a_late_answer_is_never_taken_for_the_next_ones(peer):
    """The answer to ``pa?`` comes together with that of the question after it."""
    held = []

    def answer(data):
        if data == b"pa?\r":
            held.append(b"0.0498\r\n")
            return b""
        late = b"".join(held)
        held.clear()
        return late + COBOLT[data] + b"\r\n"

    laser = CoboltMLD(peer(answer).resource)
    _ = laser.identity
    with hurried(laser), pytest.raises(ConnectionLostError):
        _ = laser.power_mw
    assert laser.power_setpoint_mw == pytest.approx(10.0)
    laser.close()


def test_fences_that_were_answered_late_are_skipped_too(peer):
    """Two fences fail first; their landmarks come with the third's, and must not answer what follows."""
    held = []
    questions = []

    def answer(data):
        questions.append(data)
        if 3 < len(questions) < 7:
            held.append(COBOLT.get(data, b"0.0498") + b"\r\n")
            return b""
        late = b"".join(held)
        held.clear()
        return late + COBOLT[data] + b"\r\n"

    laser = CoboltMLD(peer(answer).resource)
    _ = laser.identity
    for _ in range(3):
        with hurried(laser), pytest.raises(ConnectionLostError):
            _ = laser.power_mw
    assert laser.power_setpoint_mw == pytest.approx(10.0)
    assert questions[3:] == [b"pa?\r", b"glm?\r", b"glm?\r", b"glm?\r", b"p?\r"]
    laser.close()


def test_another_serial_number_after_reconnecting_is_refused(peer):
    serials = iter([b"7", b"8"])

    def answer(data):
        return (next(serials) if data == b"sn?\r" else COBOLT[data]) + b"\r\n"

    laser = CoboltMLD(peer(answer).resource)
    assert laser.identity.serial == "7"
    with pytest.raises(WrongInstrumentError, match=r"serial number 8, answers where .*, 7, was before"):
        laser.reconnect()


def test_bytes_come_back_whole_however_they_are_split(peer):
    adapter = LineAdapter(peer(lambda data: bytes(range(256)) * 20 + b"\n").resource)
    adapter.write_bytes(b"go")
    assert adapter.read_bytes(5) == bytes(range(5))
    assert adapter.read_bytes(5115) == (bytes(range(256)) * 20)[5:]
    assert adapter.read() == ""
    adapter.timeout_s = TIMEOUT_S
    with pytest.raises(SilenceError):
        adapter.read_bytes(1)
    adapter.close()


def test_a_port_that_was_forgotten_is_closed_with_its_instrument(peer):
    laser = CoboltMLD(peer(lambda data: b"OK\r\n").resource)
    line = opened_socket(laser)
    del laser
    gc.collect()
    assert line.fileno() == -1


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize("driver", [CoboltMLD])
def test_a_serial_line_is_read_in_blocks_and_bounded(driver):
    import os
    import tty

    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    laser = driver(f"ASRL{os.ttyname(slave)}::INSTR", pause_s=0.0)
    os.write(master, b"0.0498\r\n")
    assert laser.power_mw == pytest.approx(49.8)
    assert os.read(master, 10) == b"pa?\r"
    start = time.monotonic()
    with hurried(laser), pytest.raises(ConnectionLostError):
        _ = laser.power_mw
    assert time.monotonic() - start < BOUND_S
    laser.close()
    os.close(master)
    os.close(slave)
