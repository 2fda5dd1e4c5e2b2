"""Ocean Binary Protocol: frames and their bytes. Pure: no port, no instrument, no waiting.

Every message, in both directions, is a 44-byte header, an optional payload, 16 bytes of checksum and a footer, little
endian. Source: QE Pro data sheet 891-00000-000-05-201604, pages 21 to 29.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

START = b"\xc1\xc0"
FOOTER = b"\xc5\xc4\xc3\xc2"
VERSION = 0x1100
HEADER = struct.Struct("<2sHHHII6sBB16sI")
HEADER_BYTES = HEADER.size          # 44
TAIL_BYTES = 20                     # checksum and footer, counted by the header's "bytes remaining"
LARGEST_PAYLOAD = 1 << 20           # bytes; no spectrometer sends more, so a larger length is a broken header


class Flag(IntFlag):
    """What kind of message a frame is."""

    RESPONSE = 0x01
    ACK = 0x02
    ACK_REQUESTED = 0x04
    NACK = 0x08
    EXCEPTION = 0x10
    PROTOCOL_DEPRECATED = 0x20
    MESSAGE_DEPRECATED = 0x40


NO_FLAGS = Flag(0)


class Checksum(IntEnum):
    """How a frame is protected."""

    NONE = 0
    MD5 = 1


ERRORS = {
    0: "no error",
    1: "wrong protocol version",
    2: "unknown message",
    3: "checksum wrong",
    4: "message too large",
    5: "payload length wrong",
    6: "value not allowed",
    7: "device not ready",
    8: "unknown checksum type",
    9: "device was reset",
    10: "too many buses in use",
    11: "out of memory",
    12: "information does not exist",
    13: "internal error",
    14: "message did not end properly",
    15: "scan was interrupted",
    255: "deferred",
}


class FrameError(ValueError):
    """Bytes that are no frame."""


@dataclass(frozen=True)
class Frame:
    """One message.

    Attributes
    ----------
    message : int
        Message type.
    data : bytes
        What it carries, immediate or as payload.
    flags : Flag
    error : int
        Error number, 0 in requests.
    regarding : int
        Number that the device copies from the request into its answer.
    checksum : Checksum
    """

    message: int
    data: bytes = b""
    flags: Flag = NO_FLAGS
    error: int = 0
    regarding: int = 0
    checksum: Checksum = Checksum.NONE

    @property
    def refused(self) -> bool:
        """True if the device says no."""
        return bool(self.flags & (Flag.NACK | Flag.EXCEPTION)) or self.error != 0


def error_words(number: int) -> str:
    """An error number in words."""
    if 100 <= number <= 104:
        return f"error {number}, firmware loader"
    return f"error {number}, {ERRORS.get(number, 'not in the list of known errors')}"


def _checksum(kind: Checksum, covered: bytes) -> bytes:
    return hashlib.md5(covered, usedforsecurity=False).digest() if kind is Checksum.MD5 else bytes(16)


def encode(frame: Frame) -> bytes:
    """The bytes of a frame: up to 16 bytes of data travel inside the header, more as payload."""
    immediate, payload = (frame.data, b"") if len(frame.data) <= 16 else (b"", frame.data)
    header = HEADER.pack(
        START,
        VERSION,
        frame.flags,
        frame.error,
        frame.message,
        frame.regarding,
        bytes(6),
        frame.checksum,
        len(immediate),
        immediate,
        len(payload) + TAIL_BYTES,
    )
    covered = header + payload
    return covered + _checksum(frame.checksum, covered) + FOOTER


def remaining_bytes(header: bytes) -> int:
    """How many bytes follow a 44-byte header.

    Raises
    ------
    FrameError
        The header is not one: start bytes, version, lengths or checksum type are wrong.
    """
    start, version, _, _, _, _, _, checksum, immediate_bytes, _, remaining = HEADER.unpack(header)
    if start != START:
        raise FrameError(f"starts with {start.hex()} instead of {START.hex()}")
    if version != VERSION:
        raise FrameError(f"protocol version 0x{version:04x} instead of 0x{VERSION:04x}")
    if checksum not in (Checksum.NONE, Checksum.MD5):
        raise FrameError(f"checksum type {checksum} is unknown")
    if immediate_bytes > 16:
        raise FrameError(f"{immediate_bytes} bytes of immediate data, at most 16 fit")
    if not TAIL_BYTES <= remaining <= LARGEST_PAYLOAD + TAIL_BYTES:
        raise FrameError(f"{remaining} bytes remaining cannot be right")
    if immediate_bytes and remaining > TAIL_BYTES:
        raise FrameError("immediate data and a payload in the same message")
    return int(remaining)


def decode(message: bytes) -> Frame:
    """The frame of exactly one whole message; checks length, footer and checksum.

    Raises
    ------
    FrameError
        With what is wrong.
    """
    if len(message) < HEADER_BYTES + TAIL_BYTES:
        raise FrameError(f"{len(message)} bytes, a message has at least {HEADER_BYTES + TAIL_BYTES}")
    remaining = remaining_bytes(message[:HEADER_BYTES])
    if len(message) != HEADER_BYTES + remaining:
        raise FrameError(f"{len(message)} bytes, the header says {HEADER_BYTES + remaining}")
    if message[-4:] != FOOTER:
        raise FrameError(f"ends with {message[-4:].hex()} instead of {FOOTER.hex()}")
    _, _, flags, error, kind, regarding, _, checksum, immediate_bytes, immediate, _ = HEADER.unpack_from(message)
    covered, protection = message[:-TAIL_BYTES], message[-TAIL_BYTES:-4]
    if checksum == Checksum.MD5 and protection != _checksum(Checksum.MD5, covered):
        raise FrameError("MD5 checksum does not match")
    data = immediate[:immediate_bytes] if immediate_bytes else covered[HEADER_BYTES:]
    return Frame(kind, data, Flag(flags), error, regarding, Checksum(checksum))


class FrameStream:
    """Frames out of a stream of bytes, however it is split; what is no frame is skipped up to the next start bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.skipped_bytes = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take more bytes; returns the frames that are complete now."""
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        while True:
            self._skip(self._start())
            if len(self._buffer) < HEADER_BYTES:
                return None
            try:
                whole = HEADER_BYTES + remaining_bytes(bytes(self._buffer[:HEADER_BYTES]))
                if len(self._buffer) < whole:
                    return None
                frame = decode(bytes(self._buffer[:whole]))
            except FrameError:
                self._skip(len(START))    # these start bytes were none; look for the next
                continue
            del self._buffer[:whole]
            return frame

    def _start(self) -> int:
        found = self._buffer.find(START)
        if found >= 0:
            return found
        return len(self._buffer) - (self._buffer[-1:] == START[:1])

    def _skip(self, count: int) -> None:
        self.skipped_bytes += count
        del self._buffer[:count]
