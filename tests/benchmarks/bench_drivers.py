"""How much time the drivers add: queries, set and check, and a spectrum, against a raw socket in the same run.

The simulated microscope runs in a process of its own, in real time. Ratios of medians are compared, not times: the
machine may be busy.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median

import pytest

from halidescope.drivers.catalogue import connect
from halidescope.drivers.obp import HEADER_BYTES, Frame, encode, remaining_bytes
from halidescope.drivers.ocean_messages import Message

pytestmark = pytest.mark.benchmark

SERVER = """
import sys
from halidescope.simulators.microscope import SimulatedMicroscope
with SimulatedMicroscope(control_port=None, seed=1) as simulated:
    for device in simulated.devices:
        print(device.role, device.model, device.host, device.port, flush=True)
    print("ready", flush=True)  # noqa: T201 - the numbers are what the benchmark is for
    sys.stdin.read()
"""
EXPOSURE_S = 0.05


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, tuple[str, str, int]]]:
    """Role to model, host and port; the server ends with the test."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    found = {}
    while (line := process.stdout.readline().split()) and line[0] != "ready":
        role, model, host, port = line
        found[role] = (model, host, int(port))
    yield found
    process.stdin.close()
    process.stdout.close()
    process.wait(timeout=10.0)


def times_us(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median time of each action in µs, the actions taking turns so that a busy moment hits all of them."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            taken[name].append(time.perf_counter() - start)
    return {name: median(values) * 1e6 for name, values in taken.items()}


class Raw:
    """A plain socket with TCP_NODELAY."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=5.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def line(self, request: bytes) -> bytes:
        """Send, and read up to a line feed."""
        self._socket.sendall(request)
        answer = self._socket.recv(4096)
        while not answer.endswith(b"\n"):
            answer += self._socket.recv(4096)
        return answer

    def frame(self, request: bytes) -> bytes:
        """Send, and read one frame."""
        self._socket.sendall(request)
        answer = b""
        whole = HEADER_BYTES
        while len(answer) < whole:
            answer += self._socket.recv(65536)
            if len(answer) >= HEADER_BYTES:
                whole = HEADER_BYTES + remaining_bytes(answer[:HEADER_BYTES])
        return answer

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def resource(served: dict[str, tuple[str, str, int]], role: str) -> tuple[str, str]:
    """Model and VISA resource."""
    model, host, port = served[role]
    return model, f"TCPIP::{host}::{port}::SOCKET"


def test_a_query_costs_at_most_five_raw_ones(served):
    raw = Raw(*served["laser"][1:])
    laser = connect(*resource(served, "laser"), role="laser")
    took = times_us({"raw": lambda: raw.line(b"p?\r"), "driver": lambda: laser.power_setpoint_mw}, rounds=2000)
    raw.close()
    laser.close()
    ratio = took["driver"] / took["raw"]
    print(f"query: raw {took['raw']:.0f} µs, driver {took['driver']:.0f} µs, ratio {ratio:.2f}")  # noqa: T201 - the numbers are what the benchmark is for
    assert ratio <= 5.0


def test_a_set_with_its_check_costs_at_most_two_queries(served):
    stage = connect(*resource(served, "stage"), role=None)
    took = times_us(
        {"query": lambda: stage.position_um, "set and check": lambda: stage.command("VEL 1 5000 2 5000")}, rounds=1000
    )
    stage.close()
    ratio = took["set and check"] / took["query"]
    print(f"set and check: query {took['query']:.0f} µs, set {took['set and check']:.0f} µs, ratio {ratio:.2f}")  # noqa: T201 - the numbers are what the benchmark is for
    assert ratio <= 2.0


@pytest.mark.parametrize("power_mw", [0.0, 30.0], ids=["dark", "lit"])
def test_a_spectrum_takes_at_most_a_millisecond_beyond_its_exposure(served, power_mw):
    laser = connect(*resource(served, "laser"), role="laser")
    spectrometer = connect(*resource(served, "spectrometer"), role="spectrometer")
    spectrometer.set_exposure(EXPOSURE_S)
    if power_mw:
        laser.set_power(power_mw)
        laser.turn_on()
    raw = Raw(*served["spectrometer"][1:])
    request = encode(Frame(Message.CORRECTED_SPECTRUM))
    took = times_us({"raw": lambda: raw.frame(request), "driver": spectrometer.acquire}, rounds=60)
    laser.turn_off()
    raw.close()
    laser.close()
    spectrometer.close()
    beyond = {name: us / 1e3 - EXPOSURE_S * 1e3 for name, us in took.items()}
    print(f"spectrum beyond its exposure: raw {beyond['raw']:.2f} ms, driver {beyond['driver']:.2f} ms")  # noqa: T201 - the numbers are what the benchmark is for
    assert beyond["driver"] <= 1.0
