"""What goes into a finished file, whether it comes from a journal or from a scan in memory.

Both give their spectra in blocks, so that a measurement need never be in memory as a whole. What the rows say beside
their counts is complete once all blocks have been taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.light_page import LitSpot
from halidescope.acquisition.records import DarkRecord, Ending, Event, Flag, Header, SpectrumRecord
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.transport import COLUMNS, ending_of, header_of

BLOCK = 64        # spectra of a series that are in memory at once; of a map it is a line


class Contents(Protocol):
    """What a file is written from. Spectra and darks are in ascending order of wavelength."""

    header: Header
    wavelength_nm: NDArray[np.float64]
    ending: Ending | None
    shape: tuple[int, ...]
    columns: dict[str, NDArray]            # shape points: those of COLUMNS that are known, flags, valid, …
    damaged: list[int]
    missing: dict[int, str]
    darks: list[DarkRecord]
    events: list[Event]
    results: OnlineResults | None
    repeats: list[SpectrumRecord]
    light_spots: Sequence[LitSpot]

    def blocks(self) -> Iterator[tuple[tuple[int, ...], int, NDArray]]:
        """Line of the outer axes, first place on the innermost one, and counts (n, channels)."""
        ...


def stretches(shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], range]]:
    """Blocks of points: line of the outer axes, and places on the innermost one."""
    *outer, inner = shape
    for line in np.ndindex(*outer):
        step = inner if outer else BLOCK
        for first in range(0, inner, step):
            yield line, range(first, min(first + step, inner))


def kept_shape(header: Header, places: Mapping[int, int]) -> tuple[int, ...]:
    """Shape of the points: a map keeps its grid, a series ends with its last spectrum (at least one row)."""
    shape = header.shape
    return shape if len(shape) > 1 else (max(places, default=0) + 1,)


class JournalContents:
    """A journal as contents; damaged rows become zeros and are listed."""

    def __init__(self, journal: JournalReader) -> None:
        self.header, self.ending = journal.header, journal.ending
        self._journal = journal
        self._places = journal.places()
        self._order = np.argsort(self.header.wavelength_nm, kind="stable")
        self.wavelength_nm = np.asarray(self.header.wavelength_nm)[self._order]
        self.shape = kept_shape(self.header, self._places)
        self.columns: dict[str, NDArray] = {name: np.full(self.shape, np.nan) for name in COLUMNS}
        self.columns["flags"] = np.zeros(self.shape, np.int64)
        self.columns["sequence"] = np.full(self.shape, -1, np.int64)
        self.columns["valid"] = np.zeros(self.shape, bool)
        self.damaged: list[int] = []
        self.missing = journal.missing()
        darks, _ = journal.dark()
        self.darks = [DarkRecord(d.sequence, d.start_s, d.exposure_s, d.counts[self._order]) for d in darks]
        self.events, self.results = journal.events(), journal.results
        self.light_spots: Sequence[LitSpot] = journal.light_spots()
        self.repeats = [_sorted(one, self._order) for one in journal.repeats()]

    def blocks(self) -> Iterator[tuple[tuple[int, ...], int, NDArray]]:
        """Spectra in blocks, each row held against its CRC; fills ``columns`` and ``damaged``."""
        self.damaged.clear()
        turned = not np.array_equal(self._order, np.arange(len(self._order)))
        for line, inside in stretches(self.shape):
            counts = np.zeros((len(inside), len(self._order)), self.header.count_type)
            start = int(np.ravel_multi_index((*line, inside.start), self.shape))
            points = [point for point in range(start, start + len(inside)) if point in self._places]
            records = self._journal.records([self._places[point] for point in points])
            for point, record in zip(points, records, strict=True):
                if record is None:
                    self.damaged.append(point)
                    continue
                counts[point - start] = record.counts
                place = (*line, inside.start + point - start)
                for name, column in self.columns.items():
                    column[place] = True if name == "valid" else getattr(record, name)
            yield line, inside.start, counts[:, self._order] if turned else counts


def _sorted(record: SpectrumRecord, order: NDArray[np.intp]) -> SpectrumRecord:
    numbers = {name: getattr(record, name) for name in record.__dataclass_fields__ if name != "counts"}
    return SpectrumRecord(**numbers, counts=record.counts[order])


class ScanContents:
    """A scan in memory, or one that reads from another file, as contents."""

    def __init__(self, scan: Scan) -> None:
        self._spectra = scan.spectra       # read first, so that `valid` knows of damage found on the way
        self.header, self.ending = header_of(scan), ending_of(scan)
        self.wavelength_nm = scan.wavelength_nm
        self.shape = scan.valid.shape
        self.columns = {name: column for name, column in scan.columns.items() if name != "saturated"}
        self.columns.setdefault("flags", scan.saturated.astype(np.int64) * int(Flag.SATURATED))
        self.damaged = list(scan.found_damaged)
        self.missing = dict(scan.missing)
        self.darks = [DarkRecord(k, float("nan"), scan.dark.exposure_s, one) for k, one in enumerate(scan.dark.spectra)]
        self.events, self.results = list(scan.events), scan.results
        self.repeats = list(scan.repeats)
        self.light_spots: Sequence[LitSpot] = ()

    def blocks(self) -> Iterator[tuple[tuple[int, ...], int, NDArray]]:
        """Spectra in blocks."""
        for line, inside in stretches(self.shape):
            yield line, inside.start, self._spectra[line][inside.start : inside.stop]
