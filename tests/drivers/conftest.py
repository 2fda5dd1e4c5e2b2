"""A simulated microscope on the wire, its control port, and a peer that misbehaves as it is told."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from halidescope.drivers import ocean_line
from halidescope.drivers.catalogue import connect
from halidescope.simulators.microscope import SimulatedMicroscope

PATIENT_S = 5.0    # no busy computer makes an answer later than that
HURRIED_S = 0.1     # for answers that shall not come in time
HASTY_S = 0.5       # for what comes at once, and then nothing
LATE_S = 0.8        # so late comes what is late: far behind the hurried, soon enough to be waited for


class Wire:
    """Connects drivers to one simulated microscope and breaks it through its control port."""

    def __init__(self, simulated: SimulatedMicroscope) -> None:
        self._bench = simulated.bench
        self.devices = {device.role: device for device in simulated.devices}
        self._control = socket.create_connection((simulated.control.host, simulated.control.port), timeout=5.0)
        self._lines = self._control.makefile("rw")
        self._connected: list[Any] = []

    def connect(self, role: str, **settings: Any) -> Any:
        """The driver of a role, connected; closed at the end of the test."""
        device = self.devices[role]
        instrument = connect(device.model, device.resource, role=role, **{"timeout_s": PATIENT_S, **settings})
        self._connected.append(instrument)
        return instrument

    def control(self, **request: Any) -> Any:
        """One request to the control port; its error fails the test."""
        self._lines.write(json.dumps(request) + "\n")
        self._lines.flush()
        reply = json.loads(self._lines.readline())
        assert "error" not in reply, reply
        return reply.get("value")

    def get(self, what: str, **where: float) -> Any:
        """The truth, from the control port."""
        return self.control(get=what, **where)

    def fault(self, name: str, **more: Any) -> None:
        """Break something."""
        self.control(fault=name, **more)

    def watch_moves(self) -> list[float]:
        """When the stage sets out, from now on, on the simulated world's clock."""
        bench, seen = self._bench, []
        bench.watchers.append(lambda event: seen.append(bench.clock.now_s()) if event == "move" else None)
        return seen

    def moved_until_s(self) -> float:
        """When the stage is at rest after its present move, on the same clock."""
        return max(self._bench.axes[axis].rest_s() for axis in "12")

    def stage_at(self, time_s: float) -> tuple[float, float]:
        """Where the stage really is during its present move, µm."""
        with self._bench.lock:
            return self._bench.position_um(time_s)

    def mend(self) -> None:
        """End all faults."""
        self.control(clear="all")

    def close(self) -> None:
        """Close whatever the test connected."""
        for instrument in self._connected:
            instrument.close()
        self._lines.close()
        self._control.close()


@pytest.fixture
def models() -> dict[str, Any]:
    """Which models the microscope has, by role; tests of one role choose others."""
    return {}


@pytest.fixture
def wire(models: dict[str, Any]) -> Iterator[Wire]:
    """A microscope over TCP, 60 times faster than real time."""
    with SimulatedMicroscope(**{"speed": 60.0, "control_port": 0, "seed": 1, **models}) as simulated:
        connected = Wire(simulated)
        try:
            yield connected
        finally:
            connected.close()


@contextmanager
def hurried(instrument: Any, timeout_s: float = HURRIED_S) -> Iterator[None]:
    """Answers and their rests are waited for a moment only: for what is asked in vain; nothing else is in a hurry."""
    patient_s, transfer_s = instrument.timeout_s, ocean_line.TRANSFER_WAIT_S
    instrument.timeout_s = instrument.adapter.timeout_s = ocean_line.TRANSFER_WAIT_S = timeout_s
    try:
        yield
    finally:
        instrument.timeout_s = instrument.adapter.timeout_s = patient_s
        ocean_line.TRANSFER_WAIT_S = transfer_s


class Peer:
    """A TCP server that answers every received chunk by what ``answer`` returns; None closes the connection."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.resource = f"TCPIP::127.0.0.1::{self._listener.getsockname()[1]}::SOCKET"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return    # the listener was closed: the test is over
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(65536):
                answer = self._answer(data)
                if answer is None:
                    return
                connection.sendall(answer)
        except ConnectionError:
            return    # the driver left first

    def close(self) -> None:
        """Stop listening and wait for the thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5.0)
        assert not self._thread.is_alive()


@pytest.fixture
def peer() -> Iterator[Callable[[Callable[[bytes], bytes | None]], Peer]]:
    """Makes peers that misbehave as the test says."""
    peers: list[Peer] = []

    def make(answer: Callable[[bytes], bytes | None]) -> Peer:
        peers.append(Peer(answer))
        return peers[-1]

    yield make
    for each in peers:
        each.close()
