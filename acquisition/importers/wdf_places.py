"""Where and when each spectrum of a Renishaw WDF file was taken: its ORGN block.

RosettaSciIO gives maps as if every line had been measured in the same direction, and Windows file times as ns; this
block tells each spectrum's own place and time, so that maps in serpentine or column order lie where they were measured.
Block names and numbers of quantities and units as in the descriptions of the format by Gwyddion and py-wdf-reader.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.quantities import to_s, to_um

_QUANTITIES = {3: "x", 4: "y", 11: "time"}
_LENGTHS = {3: "nm", 5: "um", 8: "mm", 9: "m"}
_TIMES = {12: "s", 13: "ms", 25: "us"}
_FILE_TIME = 24                # Windows: ticks of 100 ns since 1601
_TICKS_PER_S = 10_000_000
_HEAD = struct.Struct("<4sIQ")          # name, number, size with this head
_ENTRY = struct.Struct("<II16s")        # quantity, unit, label


def wdf_places(path: Path) -> dict[str, NDArray[np.float64]]:
    """``x`` and ``y`` in µm and ``time`` in s since the first, of every spectrum, as far as the file tells them."""
    with path.open("rb") as file:
        payload = _block(file.read(), b"ORGN")
    if len(payload) < 4:
        return {}
    (entries,) = struct.unpack_from("<I", payload)
    if not 0 < entries <= 64:
        return {}
    length = (len(payload) - 4) // entries
    count = (length - _ENTRY.size) // 8
    found = {}
    for k in range(entries if count > 0 else 0):
        quantity, unit, _ = _ENTRY.unpack_from(payload, 4 + k * length)
        name = _QUANTITIES.get(quantity & 0x7FFF_FFFF)       # the highest bit is a flag
        at = 4 + k * length + _ENTRY.size
        if name == "time" and unit == _FILE_TIME:
            ticks = np.frombuffer(payload, "<u8", count, at)
            found[name] = (ticks - ticks[0]).astype(np.float64) / _TICKS_PER_S
        elif name == "time" and unit in _TIMES:
            times = to_s(np.frombuffer(payload, "<f8", count, at), _TIMES[unit], str(path))
            found[name] = times - times[0]
        elif name in ("x", "y") and unit in _LENGTHS:
            found[name] = to_um(np.frombuffer(payload, "<f8", count, at), _LENGTHS[unit], str(path))
    return found


def _block(data: bytes, name: bytes) -> bytes:
    """What is in the first block of that name; empty if there is none."""
    at = 0
    while at + _HEAD.size <= len(data):
        found, _, size = _HEAD.unpack_from(data, at)
        if size < _HEAD.size:
            break
        if found == name:
            return data[at + _HEAD.size : at + size]
        at += size
    return b""
