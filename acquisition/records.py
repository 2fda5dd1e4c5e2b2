"""What a measurement writes down: its header, its spectra, its dark spectra, its events. Plain values, no files.

How they are kept while measuring is in :mod:`halidescope.acquisition.journal`, how they end up in the measurement's
file in :mod:`halidescope.acquisition.nexus`.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntFlag

import msgspec
import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 2    # 1: up to 0.1.0, without CRCs and sums in the finished file


class Flag(IntFlag):
    """What is special about a spectrum."""

    NONE = 0
    SATURATED = 1
    LATE = 2          # started more than one exposure after its planned time
    AFTER_PAUSE = 4   # the first spectrum after the light came back
    LIGHT_IN_DOUBT = 8    # the head was found dark after it, and had not been asked since before


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something worth knowing that happened: when, how grave, one sentence.

    ``time_s`` is on the engine's clock, ``at`` the same moment as ISO 8601 (UTC).
    """

    sequence: int
    time_s: float
    at: str
    level: str        # "info", "warning" or "error"
    text: str


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known before the first spectrum.

    ``axes`` are the planned axes in the order of the data's dimensions, without the wavelength: for a map ``y`` and
    ``x`` in µm, for a series ``time`` in s (planned starts after the light came on), for points without a grid
    ``point``; their units are in :mod:`halidescope.acquisition.quantities`.
    """

    kind: str
    title: str
    recipe: dict[str, object]
    plan_hash: str
    microscope: str                              # text of the microscope file
    identities: dict[str, dict[str, str]]        # role → manufacturer, model, serial, firmware
    axes: dict[str, list[float]]
    wavelength_nm: list[float]                   # in the detector's own pixel order
    count_type: str                              # little-endian numpy type: "<u2", "<u4"; imported also others
    calibration: dict[str, float]                # path transmission, waist, laser wavelength, saturation level
    versions: dict[str, str]
    started_at: str                              # ISO 8601, UTC
    light_on_s: float | None = None              # when the light first came on, on the engine's clock
    light_on_se_s: float = 0.0                   # standard error of that instant, the zero of all times
    light_on_utc_s: float | None = None          # the same instant in real time, s since 1970; outlives the engine
    simulated: bool = False
    speed: float = 1.0
    details: dict[str, object] = {}              # operator, notes, objective, filters, environment, …: for people
    imported: dict[str, object] | None = None    # of another program's file: format, name, what it said
    processing: list[dict[str, object]] = []     # what was done to the data since, oldest first; empty: raw
    history: list[dict[str, object]] = []        # changes of the description: when, by whom, from, to
    schema_version: int = SCHEMA_VERSION

    @property
    def shape(self) -> tuple[int, ...]:
        """Planned shape of the data without the channels: (ny, nx) or (n,)."""
        return tuple(len(axis) for axis in self.axes.values())


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a measurement ended; a journal without one was cut off."""

    state: str        # "finished", "aborted" or "failed"
    reason: str = ""
    ended_at: str = ""
    dark_utc_s: float | None = None    # when emission was last proven off after light: real time, s since 1970


_NUMBERS = struct.Struct("<qq4d4d2dddq")


@dataclass(frozen=True)
class SpectrumRecord:
    """One spectrum with all that belongs to it.

    Attributes
    ----------
    sequence, index : int
        Order of taking; place in the recipe (for a map: row × columns + column).
    planned_s, start_s, time_s, time_se_s : float
        Planned start, actual request, best guess of the middle of the exposure and its standard error, in s since the
        light first came on; ``planned_s`` is NaN where the recipe has no schedule. The exposure lay somewhere between
        request and arrival, anywhere with equal chance.
    x_commanded_um, y_commanded_um, x_um, y_um : float
        Where the stage was sent, and the position read back, µm.
    sample_power_uw, measured_power_uw : float
        Power at the sample: set-point, and from the head's own power meter, µW.
    exposure_s, dose_j_cm2 : float
        Exposure; peak dose accumulated at this spot up to the end of the exposure, J/cm².
    flags : Flag
    counts : ndarray of uint16 or uint32, shape (pixels,)
        As the detector gave them.
    """

    sequence: int
    index: int
    planned_s: float
    start_s: float
    time_s: float
    time_se_s: float
    x_commanded_um: float
    y_commanded_um: float
    x_um: float
    y_um: float
    sample_power_uw: float
    measured_power_uw: float
    exposure_s: float
    dose_j_cm2: float
    flags: Flag
    counts: NDArray[np.unsignedinteger]

    @property
    def numbers(self) -> tuple[int | float, ...]:
        """Everything but the counts, in the order of the fields."""
        return (
            self.sequence, self.index, self.planned_s, self.start_s, self.time_s, self.time_se_s, self.x_commanded_um,
            self.y_commanded_um, self.x_um, self.y_um, self.sample_power_uw, self.measured_power_uw, self.exposure_s,
            self.dose_j_cm2, int(self.flags),
        )


@dataclass(frozen=True)
class DarkRecord:
    """One spectrum taken with the laser verified dark.

    ``start_s`` is on the engine's clock; ``counts`` as in :class:`SpectrumRecord`.
    """

    sequence: int
    start_s: float
    exposure_s: float
    counts: NDArray[np.unsignedinteger]


NUMBER_FIELDS = tuple(entry.name for entry in fields(SpectrumRecord) if entry.name != "counts")


def runs_of(points: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as stretches (first, last) without gaps, ascending: many missing points are few lines."""
    ordered = np.unique(np.fromiter(points, dtype=np.int64))
    pieces = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1) if len(ordered) else []
    return [(int(piece[0]), int(piece[-1])) for piece in pieces]


def checksum(numbers: tuple[int | float, ...], counts: bytes) -> int:
    """CRC-32 over a spectrum's numbers and counts; -0.0 counts as 0.0, which is what SQLite makes of it."""
    signless = (number + 0.0 if isinstance(number, float) else number for number in numbers)
    return zlib.crc32(counts, zlib.crc32(_NUMBERS.pack(*signless)))


def dark_checksum(dark: DarkRecord, counts: bytes) -> int:
    """CRC-32 over a dark spectrum's numbers and counts; -0.0 as in :func:`checksum`."""
    return zlib.crc32(counts, zlib.crc32(struct.pack("<q2d", dark.sequence, dark.start_s + 0.0, dark.exposure_s)))


def little_endian(counts: NDArray[np.unsignedinteger], count_type: str) -> bytes:
    """Counts as the bytes that are stored; raises ValueError if they are not of the announced type."""
    if counts.dtype.newbyteorder("<").str != count_type:
        raise ValueError(f"counts are {counts.dtype.str}, the header announced {count_type}")
    return np.ascontiguousarray(counts).astype(count_type, copy=False).tobytes()
