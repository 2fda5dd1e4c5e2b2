"""The line itself: bytes out, bytes in, never waiting longer than agreed, a lost peer noticed at once.

PyMeasure's VISA adapter opens the resource; reading and writing then go to the port that PyVISA-py holds, because its
own loops spin when a peer closes, send small packets late (no ``TCP_NODELAY``), read serial ports byte by byte and need
100 ms to empty a buffer. Other VISA libraries are used through their public calls. What the bytes mean is not known
here.
"""

import os
import socket
import time
from typing import Any, Protocol

import pyvisa
import serial
from pymeasure.adapters import VISAAdapter
from pyvisa.constants import StatusCode
from pyvisa.rname import InvalidResourceName, ResourceName, TCPIPSocket

LONGEST_LINE = 1 << 20   # bytes; a line that grows beyond this never had a terminator
SERIAL_SLICE_S = 0.05    # pyserial reconfigures the port for every new time-out, so waits are made of equal slices


class SilenceError(TimeoutError):
    """The time for an answer is over; ``received`` holds the bytes of an unfinished answer."""

    def __init__(self, waited_s: float, received: bytes) -> None:
        super().__init__(f"no complete answer within {waited_s:g} s")
        self.waited_s = waited_s
        self.received = received


class EndlessLineError(ValueError):
    """More bytes came than any line may have, and no terminator among them."""


class Port(Protocol):
    """Something bytes go into and come out of."""

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all bytes; raises OSError if the peer is gone or takes nothing for ``timeout_s`` seconds."""

    def receive(self, wanted: int, timeout_s: float) -> bytes:
        """At least one byte, or none if ``timeout_s`` is over; ``wanted`` is a hint. Raises OSError for a lost peer."""


class SocketPort:
    """A TCP connection. Small packets leave at once, and a peer that closed is an error, not silence."""

    def __init__(self, connection: socket.socket) -> None:
        problem = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            raise ConnectionError(problem, os.strerror(problem))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all bytes within ``timeout_s`` seconds."""
        self._socket.settimeout(timeout_s)
        self._socket.sendall(data)

    def receive(self, wanted: int, timeout_s: float) -> bytes:
        """What has arrived, waiting up to ``timeout_s`` seconds for the first byte."""
        self._socket.settimeout(max(timeout_s, 1e-6))   # zero would mean non-blocking
        try:
            data = self._socket.recv(max(wanted, 1 << 16))
        except TimeoutError:
            return b""
        if not data:
            raise ConnectionResetError("the other side closed the connection")
        return data


class SerialPort:
    """A serial line, read in blocks."""

    def __init__(self, connection: serial.Serial) -> None:
        connection.timeout = SERIAL_SLICE_S
        self._serial = connection

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all bytes within ``timeout_s`` seconds."""
        if self._serial.write_timeout != timeout_s:
            self._serial.write_timeout = timeout_s
        self._serial.write(data)

    def receive(self, wanted: int, timeout_s: float) -> bytes:
        """What has arrived, waiting up to ``timeout_s`` seconds (and one slice) for the first byte."""
        end = time.monotonic() + timeout_s
        while True:
            data: bytes = self._serial.read(max(1, self._serial.in_waiting))
            if data or time.monotonic() >= end:
                return data


class VisaPort:
    """Any other VISA library, through its public calls: exactly the bytes that are wanted, one by one for lines."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all bytes within ``timeout_s`` seconds."""
        self._connection.timeout = timeout_s * 1e3
        self._connection.write_raw(data)

    def receive(self, wanted: int, timeout_s: float) -> bytes:
        """``wanted`` bytes, or none if ``timeout_s`` seconds are over."""
        self._connection.timeout = max(timeout_s, 1e-3) * 1e3
        try:
            data: bytes = self._connection.read_bytes(wanted)
        except pyvisa.errors.VisaIOError as error:
            if error.error_code == StatusCode.error_timeout:
                return b""
            raise
        return data


def port_of(connection: Any) -> Port:
    """The port under a PyVISA resource: PyVISA-py's own socket or serial port, or the resource itself."""
    sessions = getattr(connection.visalib, "sessions", None)   # only PyVISA-py keeps them in Python
    interface = getattr(sessions.get(connection.session), "interface", None) if isinstance(sessions, dict) else None
    if isinstance(interface, socket.socket):
        return SocketPort(interface)
    if isinstance(interface, serial.Serial):
        return SerialPort(interface)
    return VisaPort(connection)


def check_address(resource_name: str) -> None:
    """Raise OSError for a network address that cannot exist; PyVISA-py would leave a socket open on it."""
    try:
        resource = ResourceName.from_string(resource_name)
    except InvalidResourceName:
        return    # PyVISA says it better when it opens the resource
    if isinstance(resource, TCPIPSocket):
        if not resource.port.isdecimal() or not 0 < int(resource.port) < 65536:
            raise OSError(f"port {resource.port} is not between 1 and 65535")
        socket.getaddrinfo(resource.host_address, int(resource.port), socket.AF_INET, socket.SOCK_STREAM)


def warm_up() -> None:
    """Load what the first connection would load: for who must connect fast when the time comes."""
    pyvisa.ResourceManager("@py")


class LineAdapter(VISAAdapter):
    """PyMeasure's VISA adapter with bounded reads.

    Parameters
    ----------
    resource_name : str
        VISA resource, ``TCPIP::host::port::SOCKET`` or ``ASRL/dev/ttyACM0::INSTR``.
    timeout_s : float
        Longest wait for an answer, and for the connection, in seconds; may be changed at any time.
    write_termination, read_termination : str
        Ends of lines; binary protocols never use them.
    **kwargs
        Handed on to PyVISA (``visa_library``, ``asrl={"baud_rate": …}``, …).

    Raises
    ------
    OSError
        Nobody listens there.
    """

    def __init__(
        self,
        resource_name: str,
        *,
        timeout_s: float = 3.0,
        write_termination: str = "\n",
        read_termination: str = "\n",
        **kwargs: Any,
    ) -> None:
        check_address(resource_name)
        kwargs.setdefault("visa_library", "@py")
        kwargs.setdefault("open_timeout", int(timeout_s * 1e3))
        super().__init__(resource_name, **kwargs)
        self.timeout_s = timeout_s
        self._write_end = write_termination.encode("ascii")
        self._read_end = read_termination.encode("ascii")
        self._buffer = bytearray()
        try:
            self._port: Port = port_of(self.connection)
        except OSError:
            self.close()
            raise

    def _write(self, command: str, **kwargs: Any) -> None:
        self._port.send(command.encode("ascii") + self._write_end, self.timeout_s)

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        self._port.send(content, self.timeout_s)

    def _read(self, **kwargs: Any) -> str:
        """One line without its terminator; every byte is kept as the character of the same number."""
        end = time.monotonic() + self.timeout_s
        while (found := self._buffer.find(self._read_end)) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise EndlessLineError(f"{len(self._buffer)} bytes without a line end")
            self._fill(1, end)
        line = self._buffer[:found].decode("latin-1")
        del self._buffer[: found + len(self._read_end)]
        return line

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        """Exactly ``count`` bytes; -1 gives what is there, waiting for the first byte."""
        end = time.monotonic() + self.timeout_s
        missing = 1 if count < 0 else count
        while len(self._buffer) < missing:
            self._fill(missing - len(self._buffer), end)
        block = bytes(self._buffer) if count < 0 else bytes(self._buffer[:count])
        del self._buffer[: len(block)]
        return block

    def _fill(self, wanted: int, end: float) -> None:
        data = self._port.receive(wanted, end - time.monotonic())
        if not data:
            received = bytes(self._buffer)
            self._buffer.clear()
            raise SilenceError(self.timeout_s, received)
        self._buffer += data

    def flush_read_buffer(self) -> None:
        """Discard what has arrived, without waiting for more."""
        self._buffer.clear()
        while self._port.receive(1, 0.0):
            pass
