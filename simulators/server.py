"""Byte-stream servers for simulated instruments: TCP on loopback, and pseudo-terminals where the system has them.

One background thread serves every device of a microscope. It moves bytes, holds replies back until their time, and
knows nothing of what they mean. A pseudo-terminal has no baud rate, so what leaves through one is paced here.
"""

import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from halidescope.simulators.clock import WorldClock
from halidescope.simulators.faults import Delivery
from halidescope.simulators.wire import Device, Session

CHUNK = 65536
PACED_BYTES = 64            # what leaves a paced line at once
BITS_PER_BYTE = 10          # start bit, eight bits, stop bit
WAKING_S = 0.0005           # a sleeping thread may wake so much too late; what is due sooner is waited for awake
HOST = "127.0.0.1"

Deliver = Callable[[str, bytes], Delivery]


@dataclass(frozen=True)
class ServedDevice:
    """Where a simulated instrument is found.

    Attributes
    ----------
    role, model : str
        What it is.
    resource : str
        VISA resource string.
    host, port : str and int, or None
        Of a TCP server.
    path : str or None
        Of a pseudo-terminal.
    """

    role: str
    model: str
    resource: str
    host: str | None = None
    port: int | None = None
    path: str | None = None


@dataclass
class Line:
    """One open connection."""

    device: Device
    session: Session
    fd: int
    receive: Callable[[], bytes]
    send: Callable[[bytes], int]
    hang_up: Callable[[], None]
    outbox: deque[tuple[float, bytes]] = field(default_factory=deque)    # (real time, bytes), in order
    dropped_at: float | None = None
    baud: int | None = None     # of a paced line, in the microscope's time


class DeviceServer:
    """Serves devices until closed.

    Parameters
    ----------
    clock : WorldClock
        Tells how long microscope seconds are in real time.
    deliver : callable
        Decides how each reply of a role leaves: ``deliver(role, reply)``.
    """

    def __init__(self, clock: WorldClock, deliver: Deliver) -> None:
        self._clock = clock
        self._deliver = deliver
        # select() waits to the microsecond; epoll rounds up to whole milliseconds
        self._selector = selectors.SelectSelector()
        self._lines: list[Line] = []
        self._listeners: list[socket.socket] = []
        self._slaves: list[int] = []
        self._wake, woken = socket.socketpair()
        self._woken = woken
        self._selector.register(woken, selectors.EVENT_READ, None)
        self._stopping = self._closed = False
        self._thread = threading.Thread(target=self._run, name="simulated instruments", daemon=True)

    def listen(self, device: Device, port: int = 0) -> ServedDevice:
        """Serve a device on a TCP port of this computer; 0 takes a free one. Before :meth:`start`."""
        listener = socket.create_server((HOST, port), backlog=8)
        listener.setblocking(False)
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener, device))
        bound = listener.getsockname()[1]
        return ServedDevice(device.role, device.model, f"TCPIP::{HOST}::{bound}::SOCKET", host=HOST, port=bound)

    def open_terminal(self, device: Device, baud: int | None = None) -> ServedDevice:
        """Serve a device on a pseudo-terminal, paced to a baud rate; before :meth:`start`.

        Raises OSError where the system has none.
        """
        if os.name != "posix":
            raise OSError("pseudo-terminals exist on POSIX systems only; serve over TCP instead")
        import pty
        import tty

        master, slave = pty.openpty()
        for end in (master, slave):
            tty.setraw(end)
        os.set_blocking(master, False)
        self._slaves.append(slave)      # kept open: reading the master fails once no slave is open
        path = os.ttyname(slave)
        line = Line(
            device, device.session(), master, lambda: os.read(master, CHUNK), lambda data: os.write(master, data),
            lambda: os.close(master), baud=baud,
        )
        self._add(line)
        return ServedDevice(device.role, device.model, f"ASRL{path}::INSTR", path=path)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving and close every port. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._thread.is_alive():
            self._stopping = True
            self._wake.send(b"x")
            self._thread.join()
        for line in list(self._lines):
            self._drop(line)
        for listener in self._listeners:
            listener.close()
        for slave in self._slaves:
            os.close(slave)
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _run(self) -> None:
        while not self._stopping:
            for key, events in self._selector.select(self._wait_s()):
                if key.data is None:
                    return
                if isinstance(key.data, Line):
                    if key.data in self._lines and events & selectors.EVENT_READ:
                        self._read(key.data)
                else:
                    key.data()
            for line in list(self._lines):
                self._post(line, line.session.collect())
                self._flush(line)

    def _wait_s(self) -> float | None:
        """Real seconds until a line has something to do by itself."""
        waits = []
        for line in self._lines:
            due = line.session.due_s()
            if due is not None:
                waits.append(self._clock.real_s(due - self._clock.now_s()) - WAKING_S)
            if line.outbox:
                waits.append(line.outbox[0][0] - time.monotonic())
            if line.dropped_at is not None:
                waits.append(line.dropped_at - time.monotonic())
        return max(0.0, min(waits)) if waits else None

    def _accept(self, listener: socket.socket, device: Device) -> None:
        try:
            peer, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return      # the client changed its mind
        if device.single_client:
            for line in [line for line in self._lines if line.device is device]:
                # a client that has just hung up must not keep the next one out
                while line in self._lines and self._read(line):
                    self._flush(line)
            if any(line.device is device for line in self._lines):
                peer.close()
                return
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._add(Line(device, device.session(), peer.fileno(), lambda: peer.recv(CHUNK), peer.send, peer.close))

    def _add(self, line: Line) -> None:
        self._lines.append(line)
        self._selector.register(line.fd, selectors.EVENT_READ, line)

    def _drop(self, line: Line) -> None:
        if line in self._lines:
            self._lines.remove(line)
            self._selector.unregister(line.fd)
            line.session.close()
            line.hang_up()

    def _read(self, line: Line) -> bool:
        """Take what has arrived; False if nothing had, or if the other side is gone."""
        try:
            data = line.receive()
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._drop(line)
            return False
        self._post(line, line.session.feed(data))
        return True

    def _post(self, line: Line, replies: list[bytes]) -> None:
        now = time.monotonic()
        for reply in replies:
            delivery = self._deliver(line.device.role, reply)
            at = max(now + delivery.delay_s, line.outbox[-1][0] if line.outbox else now)
            if delivery.drop:
                line.dropped_at = at
                return
            line.outbox += self._paced(line, at, delivery.data)

    def _paced(self, line: Line, at: float, data: bytes) -> list[tuple[float, bytes]]:
        """Pieces of a reply, each due when its last byte has passed the line."""
        if line.baud is None:
            return [(at, data)]
        byte_s = self._clock.real_s(BITS_PER_BYTE / line.baud)
        pieces = [data[start:start + PACED_BYTES] for start in range(0, len(data), PACED_BYTES)]
        return [
            (at + byte_s * (index * PACED_BYTES + len(piece)), piece) for index, piece in enumerate(pieces)
        ]

    def _flush(self, line: Line) -> None:
        """Send what is due, as far as the line takes it; then hang up if that was asked for."""
        now = time.monotonic()
        while line.outbox and line.outbox[0][0] <= now:
            at, data = line.outbox[0]
            try:
                sent = line.send(data)
            except BlockingIOError:
                # the other side does not read: try again a little later
                line.outbox[0] = (now + 0.001, data)
                return
            except OSError:
                self._drop(line)
                return
            if sent < len(data):
                line.outbox[0] = (at, data[sent:])
            else:
                line.outbox.popleft()
        if line.dropped_at is not None and line.dropped_at <= now:
            line.dropped_at = None
            self._drop(line)
