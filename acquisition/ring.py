"""The last spectra in shared memory, for windows to poll without disturbing the measurement.

One process writes, any number read. A slow reader loses spectra (and is told how many), never the writer its time.
Every slot carries its sequence number, cleared while the slot is being written, and a CRC-32, so that a spectrum torn
between writer and reader is noticed on any processor, whatever its memory order.
"""

import struct
import sys
import zlib
from dataclasses import dataclass, fields
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.problems import ProblemError

LAYOUT_VERSION = 1
LIVE_RUN = 0        # the ``run`` of a live view's spectra; measurements count from 1
_MAGIC = 0x52484C44
_HEADER = struct.Struct("<IIIIII")       # magic, layout, slots, capacity, pixels, CRC of the axis
_COUNTER = slice(24, 32)                 # spectra written; one aligned word, so that it is never seen half written
_SLOT = struct.Struct("<QI")             # sequence + 1 (0 while written), CRC-32 of the rest
_FIELDS = struct.Struct("<QQq7d?3xI")    # sequence, run, index, seven numbers, saturated, pixels

_owned: set[str] = set()                 # rings that this process created


@dataclass(frozen=True)
class RingSpectrum:
    """One spectrum as it passed by.

    Attributes
    ----------
    sequence : int
        Counts every spectrum since the engine started; never starts again.
    run : int
        Which measurement of this engine it belongs to; ``LIVE_RUN`` for a live view's.
    index : int
        Place in the recipe (for a map: row × columns + column).
    time_s, x_um, y_um, sample_power_uw, exposure_s, dose_j_cm2 : float
        As in the measurement's file.
    dark_level : float
        Mean of the mean dark spectrum, counts; 0 if no dark was taken.
    counts : ndarray of uint32, shape (pixels,)
        Raw counts in the order of the ring's ``wavelength_nm``.
    """

    sequence: int
    run: int
    index: int
    time_s: float
    x_um: float
    y_um: float
    sample_power_uw: float
    exposure_s: float
    dose_j_cm2: float
    dark_level: float
    saturated: bool
    counts: NDArray[np.uint32]


_NAMES = tuple(entry.name for entry in fields(RingSpectrum) if entry.name != "counts")


class _Layout:
    """Where things are in the block."""

    def __init__(self, slots: int, capacity: int) -> None:
        self.slots, self.capacity = slots, capacity
        self.axis = _COUNTER.stop
        self.first = self.axis + 8 * capacity
        self.stride = -(-(_SLOT.size + _FIELDS.size + 4 * capacity) // 8) * 8
        self.size = self.first + slots * self.stride

    def slot(self, sequence: int) -> int:
        return self.first + (sequence % self.slots) * self.stride


class RingWriter:
    """Creates the ring and writes it; used by one thread.

    Parameters
    ----------
    slots : int
        Spectra kept.
    capacity : int
        Largest number of pixels.
    """

    def __init__(self, slots: int = 256, capacity: int = 4096) -> None:
        self._layout = _Layout(slots, capacity)
        self._memory = SharedMemory(create=True, size=self._layout.size)
        _owned.add(self._memory.name)
        self._put_header(0, 0)

    @property
    def name(self) -> str:
        """What a reader attaches to."""
        return self._memory.name

    @property
    def next_sequence(self) -> int:
        """Sequence number that the next spectrum will get."""
        return _count(self._memory)

    def _put_header(self, pixels: int, axis_crc: int) -> None:
        layout = self._layout
        _HEADER.pack_into(
            _buffer(self._memory), 0, _MAGIC, LAYOUT_VERSION, layout.slots, layout.capacity, pixels, axis_crc
        )

    def set_axis(self, wavelength_nm: NDArray[np.float64]) -> None:
        """Announce the pixels' wavelengths in nm, before the first spectrum on them.

        Raises
        ------
        ProblemError
            More pixels than the ring was made for.
        """
        if len(wavelength_nm) > self._layout.capacity:
            raise ProblemError(
                f"spectrometer has {len(wavelength_nm)} pixels, the ring holds at most {self._layout.capacity}"
            )
        data = np.ascontiguousarray(wavelength_nm, "<f8").tobytes()
        _buffer(self._memory)[self._layout.axis : self._layout.axis + len(data)] = data
        self._put_header(len(wavelength_nm), zlib.crc32(data))

    def write(self, spectrum: RingSpectrum) -> None:
        """Put a spectrum into the next slot; its ``sequence`` must be :attr:`next_sequence`."""
        at = self._layout.slot(spectrum.sequence)
        payload = _FIELDS.pack(
            spectrum.sequence, spectrum.run, spectrum.index, spectrum.time_s, spectrum.x_um, spectrum.y_um,
            spectrum.sample_power_uw, spectrum.exposure_s, spectrum.dose_j_cm2, spectrum.dark_level,
            spectrum.saturated, len(spectrum.counts),
        ) + np.ascontiguousarray(spectrum.counts, "<u4").tobytes()
        buffer = _buffer(self._memory)
        _SLOT.pack_into(buffer, at, 0, 0)
        buffer[at + _SLOT.size : at + _SLOT.size + len(payload)] = payload
        _SLOT.pack_into(buffer, at, spectrum.sequence + 1, zlib.crc32(payload))
        with buffer[_COUNTER] as word, word.cast("Q") as counter:
            counter[0] = spectrum.sequence + 1

    def close(self) -> None:
        """Remove the ring; readers that are attached keep what they see. Safe to call twice."""
        if self._memory.name in _owned:
            _owned.discard(self._memory.name)
            self._memory.close()
            self._memory.unlink()


class RingReader:
    """Reads a ring of this or another process."""

    def __init__(self, memory: SharedMemory, layout: _Layout) -> None:
        self._memory = memory
        self._layout = layout

    @classmethod
    def attach(cls, name: str) -> "RingReader":
        """Attach to a ring by its name.

        Raises
        ------
        ProblemError
            There is no such ring, or it is of another program or version.
        """
        try:
            memory = _attach(name)
        except (FileNotFoundError, ValueError) as error:
            raise ProblemError(f"ring {name}: not found; its engine has ended, start or attach to another") from error
        magic, version, slots, capacity, *_ = _HEADER.unpack_from(_buffer(memory), 0)
        if magic != _MAGIC or version != LAYOUT_VERSION:
            memory.close()
            raise ProblemError(f"ring {name}: of another version; restart window and engine with the same installation")
        return cls(memory, _Layout(slots, capacity))

    @property
    def wavelength_nm(self) -> NDArray[np.float64]:
        """Wavelength of every pixel in nm, shape (pixels,); empty until a spectrometer was connected."""
        for _ in range(100):     # torn only while an axis is announced, which takes microseconds
            *_, pixels, crc = _HEADER.unpack_from(_buffer(self._memory), 0)
            data = bytes(_buffer(self._memory)[self._layout.axis : self._layout.axis + 8 * pixels])
            if zlib.crc32(data) == crc:
                return np.frombuffer(data, "<f8").copy()
        raise ProblemError("ring: its wavelength axis is damaged; restart the engine")

    @property
    def written(self) -> int:
        """How many spectra were written since the engine started; the next one has this sequence number."""
        return _count(self._memory)

    def _read(self, sequence: int) -> RingSpectrum | None:
        at = self._layout.slot(sequence)
        stamp, crc = _SLOT.unpack_from(_buffer(self._memory), at)
        if stamp != sequence + 1:
            return None
        start = at + _SLOT.size
        *numbers, pixels = _FIELDS.unpack_from(_buffer(self._memory), start)
        if pixels > self._layout.capacity:
            return None
        payload = bytes(_buffer(self._memory)[start : start + _FIELDS.size + 4 * pixels])
        if zlib.crc32(payload) != crc or numbers[0] != sequence:
            return None
        values = dict(zip(_NAMES, numbers, strict=True))
        return RingSpectrum(**values, counts=np.frombuffer(payload, "<u4", offset=_FIELDS.size))

    def newest(self) -> RingSpectrum | None:
        """The last spectrum, or None if there is none yet."""
        for _ in range(100):     # a miss means that the writer has gone round meanwhile: look again
            written = self.written
            if written == 0:
                return None
            spectrum = self._read(written - 1)
            if spectrum is not None:
                return spectrum
        return None

    def since(self, sequence: int) -> tuple[list[RingSpectrum], int]:
        """Spectra from ``sequence`` on that are still there, oldest first, and how many came too late to be read."""
        end = self.written
        found = [self._read(k) for k in range(max(sequence, end - self._layout.slots), end)]
        spectra = [spectrum for spectrum in found if spectrum is not None]
        return spectra, max(0, end - sequence) - len(spectra)

    def close(self) -> None:
        """Detach; the ring itself belongs to its writer. Safe to call twice."""
        self._memory.close()


def _buffer(memory: SharedMemory) -> memoryview:
    if memory.buf is None:
        raise ProblemError("ring: closed; attach to it again")
    return memory.buf


def _count(memory: SharedMemory) -> int:
    with _buffer(memory)[_COUNTER] as word, word.cast("Q") as counter:
        return int(counter[0])


def _attach(name: str) -> SharedMemory:
    """Attach without becoming responsible: before 3.13 Python's resource tracker removes what it was told of."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    memory = SharedMemory(name)
    if sys.platform != "win32" and memory.name not in _owned:
        resource_tracker.unregister(f"/{memory.name.lstrip('/')}", "shared_memory")
    return memory
