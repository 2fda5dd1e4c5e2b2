"""The blocks of a Renishaw WDF file, and where and when each spectrum was taken: the block ORGN.

RosettaSciIO gives maps as if every line had been measured in the same direction, and Windows file times as ns; this
block tells each spectrum's own place and time, so that maps in serpentine or column order lie where they were measured.
Block names and numbers of quantities and units as in the descriptions of the format by Gwyddion and py-wdf-reader.
"""

import os
import re
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import to_s, to_um

_QUANTITIES = {3: "x", 4: "y", 11: "time"}
_LENGTHS = {3: "nm", 5: "um", 8: "mm", 9: "m"}
_TIMES = {12: "s", 13: "ms", 25: "us"}
_FILE_TIME = 24                # Windows: ticks of 100 ns since 1601
_TICKS_PER_S = 10_000_000
_HEAD = struct.Struct("<4sIQ")          # name, number, size with this head
_NAME = re.compile(rb"[A-Z0-9 ]{4}")
_ENTRY = struct.Struct("<II16s")        # quantity, unit, label


def wdf_places(path: Path) -> dict[str, NDArray[np.float64]]:
    """``x`` and ``y`` in µm and ``time`` in s since the first, of every spectrum, as far as the file tells them."""
    at, size = wdf_blocks(path).get(b"ORGN", (0, 0))
    with path.open("rb") as file:
        file.seek(at)
        payload = file.read(size)
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


def wdf_blocks(path: Path) -> dict[bytes, tuple[int, int]]:
    """Name → (beginning, size) of what is in the first block of each name.

    Raises
    ------
    ScanFileError
        A block of no size, which readers would meet again and again, or one that is longer than the file.
    """
    found: dict[bytes, tuple[int, int]] = {}
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        at = 0
        while at + _HEAD.size <= end:
            file.seek(at)
            name, _, size = _HEAD.unpack(file.read(_HEAD.size))
            if not _NAME.fullmatch(name):
                break      # some files have other bytes after their last block
            what = f"{path}: its block {name.decode()}"
            if size < _HEAD.size:
                raise ScanFileError(f"{what} has a size of {size} bytes; the file is damaged")
            if at + size > end:
                raise ScanFileError(
                    f"{what} is {at + size - end} bytes longer than the file; it was cut off or is damaged, copy it "
                    "again from where it came"
                )
            found.setdefault(name, (at + _HEAD.size, size - _HEAD.size))
            at += size
    return found
