"""Frames of the Ocean Binary Protocol, as an instrument sees them.

Source: QE Pro Data Sheet 891-00000-000-05-201604, p21-29 (frame, flags, error numbers, checksum). Little endian:
44 byte header, payload, 16 byte checksum, 4 byte footer. What messages mean is in :mod:`halidescope.simulators.obp`.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

START = b"\xc1\xc0"
FOOTER = b"\xc5\xc4\xc3\xc2"
VERSION = 0x1100
HEADER = struct.Struct("<2sHHHII6sBB16sI")
TAIL_BYTES = 20                 # checksum and footer
MOST_REQUEST_BYTES = 4096       # no request is anywhere near
IMMEDIATE_BYTES = 16


class Flag(IntFlag):
    """Header flags."""

    RESPONSE = 0x01
    ACK = 0x02
    ACK_REQUESTED = 0x04
    NACK = 0x08


class ObpError(IntEnum):
    """Error numbers of a NACK."""

    NONE = 0
    PROTOCOL = 1
    UNKNOWN_MESSAGE = 2
    CHECKSUM = 3
    TOO_LARGE = 4
    PAYLOAD_LENGTH = 5
    PAYLOAD_INVALID = 6
    NOT_READY = 7
    CHECKSUM_TYPE = 8
    NO_SUCH_INFORMATION = 12
    BAD_END = 14
    INTERRUPTED = 15


@dataclass(frozen=True)
class Request:
    """One message from the host; ``error`` is set where the frame itself is wrong."""

    message: int
    data: bytes
    regarding: int = 0
    ack_requested: bool = False
    md5: bool = False
    error: ObpError = ObpError.NONE


def encode(request: Request, data: bytes, flags: Flag, error: ObpError = ObpError.NONE) -> bytes:
    """The answer to a request; short data travel in the header, longer ones as payload."""
    immediate, payload = (data, b"") if len(data) <= IMMEDIATE_BYTES else (b"", data)
    head = HEADER.pack(
        START, VERSION, flags, error, request.message, request.regarding, bytes(6), int(request.md5), len(immediate),
        immediate, len(payload) + TAIL_BYTES,
    ) + payload
    checksum = hashlib.md5(head, usedforsecurity=False).digest() if request.md5 else bytes(16)
    return head + checksum + FOOTER


def take_requests(buffer: bytearray) -> list[Request]:
    """Cut complete requests out of a buffer; bytes that cannot begin a frame are dropped."""
    requests: list[Request] = []
    while True:
        start = buffer.find(START)
        if start < 0:
            # the last byte may be the first half of a start
            del buffer[:max(0, len(buffer) - 1) if buffer.endswith(START[:1]) else len(buffer)]
            return requests
        del buffer[:start]
        if len(buffer) < HEADER.size:
            return requests
        (_, version, flags, _, message, regarding, _, checksum_type, immediate_length, immediate, remaining) = (
            HEADER.unpack_from(buffer)
        )
        seen = Request(message, b"", regarding, bool(flags & Flag.ACK_REQUESTED), checksum_type == 1)
        if not TAIL_BYTES <= remaining <= MOST_REQUEST_BYTES:
            requests.append(_wrong(seen, ObpError.PAYLOAD_LENGTH if remaining < TAIL_BYTES else ObpError.TOO_LARGE))
            del buffer[:len(START)]      # the length cannot be trusted: look for the next start
            continue
        size = HEADER.size + remaining
        if len(buffer) < size:
            return requests
        frame = bytes(buffer[:size])
        if not frame.endswith(FOOTER):
            requests.append(_wrong(seen, ObpError.BAD_END))
            del buffer[:len(START)]
            continue
        del buffer[:size]
        payload = frame[HEADER.size:-TAIL_BYTES]
        if version != VERSION:
            requests.append(_wrong(seen, ObpError.PROTOCOL))
        elif checksum_type not in (0, 1):
            requests.append(_wrong(seen, ObpError.CHECKSUM_TYPE))
        elif checksum_type == 1 and hashlib.md5(frame[:-TAIL_BYTES], usedforsecurity=False).digest() != frame[-20:-4]:
            requests.append(_wrong(seen, ObpError.CHECKSUM))
        elif immediate_length > IMMEDIATE_BYTES or (immediate_length and payload):
            requests.append(_wrong(seen, ObpError.PAYLOAD_LENGTH))
        else:
            data = payload or immediate[:immediate_length]
            requests.append(Request(message, data, regarding, seen.ack_requested, seen.md5))


def _wrong(seen: Request, error: ObpError) -> Request:
    return Request(seen.message, b"", seen.regarding, seen.ack_requested, seen.md5, error)
