"""A clock turned by hand, worlds on it, and sockets that wait no longer than they must."""

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.film import Film, film_law
from halidescope.simulators.microscope import SimulatedMicroscope

REPLY_LIMIT_S = 60.0


class HandClock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s

    def real_s(self, duration_s: float) -> float:
        return duration_s


class Wire:
    """A plain TCP client of one simulated instrument."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=REPLY_LIMIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """Up to and with the next line feed."""
        return self._until(lambda data: data.find(b"\n") + 1)

    def exactly(self, size: int) -> bytes:
        return self._until(lambda data: size if len(data) >= size else 0)

    def ask(self, text: str) -> str:
        self.send(text.encode())
        return self.line().decode("latin-1")

    def tell(self, **request: object) -> dict[str, object]:
        """One request of the control port."""
        return json.loads(self.ask(json.dumps(request) + "\n"))

    def get(self, name: str, **where: float) -> object:
        return self.tell(get=name, **where)["value"]

    def close(self) -> None:
        self.socket.close()

    def _until(self, complete: Callable[[bytes], int]) -> bytes:
        while not (end := complete(self._rest)):
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError("the simulated instrument hung up")
            self._rest += data
        whole, self._rest = self._rest[:end], self._rest[end:]
        return whole


class Wires:
    """Clients of everything a simulated microscope serves, by role."""

    def __init__(self, microscope: SimulatedMicroscope) -> None:
        self.microscope = microscope
        self._open: list[Wire] = []

    def connect(self, role: str) -> Wire:
        served = [*self.microscope.devices, self.microscope.control]
        device = next(device for device in served if device is not None and device.role == role)
        self._open.append(Wire(device.host, device.port))
        return self._open[-1]

    def close(self) -> None:
        for wire in self._open:
            wire.close()


def obp_frame(message: int, data: bytes = b"", *, ack: bool = False, regarding: int = 0) -> bytes:
    """A request written down from the data sheet's table, independently of the simulator's codec."""
    head = b"\xc1\xc0" + struct.pack("<HHHII", 0x1100, 4 if ack else 0, 0, message, regarding) + bytes(6)
    head += bytes([0, len(data)]) + data.ljust(16, b"\0") + struct.pack("<I", 20)
    return head + bytes(16) + b"\xc5\xc4\xc3\xc2"


@pytest.fixture
def frame() -> Callable[..., bytes]:
    return obp_frame


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def make_bench(clock: HandClock) -> Callable[..., Bench]:
    """A world on the hand clock with the stage at rest at (100, 100) µm."""

    def make(composition: float = 1.5, seed: int = 7) -> Bench:
        bench = Bench(clock, Film(film_law(composition)), seed=seed)
        for name in ("1", "2"):
            bench.axes[name].servo = True
            bench.axes[name].move(100.0, clock.now_s())
        clock.time_s += 10.0
        bench.advance()
        return bench

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def faults(bench: Bench) -> FaultBoard:
    board = FaultBoard()
    bench.watchers.append(board.happened)
    return board


@pytest.fixture
def simulate() -> Iterator[Callable[..., Wires]]:
    """Start simulated microscopes; everything is closed at the end."""
    started: list[tuple[SimulatedMicroscope, Wires]] = []

    def start(**options: object) -> Wires:
        microscope = SimulatedMicroscope(**{"seed": 3, **options})
        microscope.__enter__()
        wires = Wires(microscope)
        started.append((microscope, wires))
        return wires

    yield start
    for microscope, wires in started:
        wires.close()
        microscope.close()


@pytest.fixture
def pixels_of() -> Callable[[bytes], np.ndarray]:
    """Counts in an OBP spectrum frame."""
    return lambda reply: np.frombuffer(reply[44:-20], "<u2")


@pytest.fixture
def run_elsewhere() -> Callable[..., str]:
    """Run Python code in another process, bounded; returns what it printed."""

    def run(code: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=110, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
