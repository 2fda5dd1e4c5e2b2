"""Every driver behind a line that cuts the instrument's bytes anywhere, or is full of rubbish."""

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halidescope.drivers.catalogue import MODELS
from halidescope.drivers.errors import InstrumentError

BOUND_S = 30.0     # an answer that never ends would take for ever


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


@pytest.fixture
def models(model):
    return {"laser": None, "stage": None, "spectrometer": None, MODELS[model].role: model, "control_port": 0}


class CuttingLine:
    """A TCP relay that hands on the instrument's bytes in pieces of the given sizes, over and over."""

    def __init__(self, host: str, port: int, sizes: list[int]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.resource = f"TCPIP::127.0.0.1::{self._listener.getsockname()[1]}::SOCKET"
        self._ends = [socket.create_connection((host, port))]
        self._sizes = itertools.cycle(sizes)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._ends.append(self._listener.accept()[0])
        inner, outer = self._ends
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pump, args=(inner, outer, self._sizes), daemon=True)
        back.start()
        self._pump(outer, inner, itertools.repeat(65536))
        back.join()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, sizes: Iterator[int]) -> None:
        with contextlib.suppress(OSError):      # one side has gone first
            while data := source.recv(65536):
                while data:
                    size = next(sizes)
                    sink.sendall(data[:size])
                    data = data[size:]
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up and wait for the threads."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5.0)
        assert not self._thread.is_alive()
        for end in (*self._ends, self._listener):
            end.close()


def seen(instrument) -> object:
    """Everything that stays the same, read anew over the wire."""
    facts: Callable[[], object] = {
        "laser": lambda: (instrument.power_setpoint_mw, instrument.power_limits_mw, instrument.state, instrument.fault),
        "stage": lambda: (instrument.read_limits_um(), instrument.read_velocity_um_s(), instrument.moving),
        "spectrometer": lambda: (instrument.wavelength_nm.tolist(), instrument.exposure_s, instrument.pixels),
    }[instrument.role]
    return instrument.identify(), facts()


def test_answers_are_right_however_they_are_cut(wire, model):
    device = wire.devices[MODELS[model].role]
    plain = MODELS[model].driver(device.resource)
    plain.start()
    right = seen(plain)
    plain.close()

    @settings(max_examples=6)
    @given(sizes=st.lists(st.integers(1, 7) | st.integers(1, 300), min_size=1, max_size=6))
    def check(sizes):
        time.sleep(0.01)    # a controller of one client has to see that the last one left
        line = CuttingLine(device.host, device.port, sizes)
        instrument = MODELS[model].driver(line.resource)
        instrument.start()
        assert seen(instrument) == right
        instrument.close()
        line.close()

    check()


RUBBISH = st.binary(min_size=1, max_size=80) | st.text(alphabet=":A01.=, \r\n@OK[]E-727", min_size=1).map(str.encode)


@settings(max_examples=12)
@given(answer=RUBBISH)
def test_rubbish_ends_in_an_error_in_time(peer, model, answer):
    instrument = MODELS[model].driver(peer(lambda data: answer).resource, timeout_s=0.02)
    start = time.monotonic()
    with pytest.raises(InstrumentError):
        instrument.start()
    assert time.monotonic() - start < BOUND_S
    instrument.close()
