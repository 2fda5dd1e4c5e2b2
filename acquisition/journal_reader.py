"""Reads a journal, whole, growing, cut off or damaged: every row that its CRC vouches for.

The tables are in :mod:`halidescope.acquisition.journal`.
"""

import shutil
import sqlite3
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from halidescope.acquisition.closes import Closes
from halidescope.acquisition.journal import LIGHT
from halidescope.acquisition.light_page import LitSpot, light_path, read_page
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import (
    NUMBER_FIELDS,
    DarkRecord,
    Ending,
    Event,
    Flag,
    Header,
    SpectrumRecord,
    checksum,
    dark_checksum,
)
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.transport import require_known

# a damaged file can make SQLite complain in bytes that are no text, which Python then fails to decode
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)


class JournalReader(Closes):
    """Reads a journal, also one that still grows or was cut off.

    Raises
    ------
    ScanFileError
        Not a journal, from a newer version, or damaged beyond its rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise ScanFileError(f"journal {path}: not found; check the path")
        self._copy: TemporaryDirectory[str] | None = None
        try:
            try:
                pairs = self._connect(path)
            except sqlite3.OperationalError:
                self._db.close()
                # a log beside it needs a place for its index, which a full or read-only disk does not give
                self._copy = TemporaryDirectory(prefix="halidescope-", ignore_cleanup_errors=True)
                pairs = self._connect(_copied(path, Path(self._copy.name)))
        except (*UNREADABLE, OSError) as error:
            self.close()
            raise ScanFileError(f"journal {path}: not a readable journal ({error})") from error
        except ScanFileError:
            self.close()
            raise
        try:
            require_known(int(pairs.get("schema_version", "0")), f"journal {path}")
            self.destination = Path(pairs["destination"]) if "destination" in pairs else None
            header = msgspec.json.decode(pairs["header"], type=Header)
            light = {name: float(pairs[name]) for name in LIGHT if name in pairs}
            self.header = msgspec.structs.replace(header, **light)
            self.ending = msgspec.json.decode(pairs["ending"], type=Ending) if "ending" in pairs else None
            self.results = msgspec.json.decode(pairs["results"], type=OnlineResults) if "results" in pairs else None
        except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
            self.close()
            raise ScanFileError(f"journal {path}: its header cannot be read ({error})") from error
        except ScanFileError:
            self.close()
            raise

    def _connect(self, path: Path) -> dict[str, str]:
        """Open the database, never writing to it; its header's texts."""
        self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._db.text_factory = lambda data: data.decode(errors="replace")   # torn text must not hide whole spectra
        if self._db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0:
            raise ScanFileError(
                f"journal {self.path}: holds nothing, it was cut off before anything was measured; delete it and start "
                "anew"
            )
        return dict(self._db.execute("SELECT key, value FROM header").fetchall())

    def close(self) -> None:
        """Close the database. Safe to call twice."""
        self._db.close()
        if self._copy is not None:
            self._copy.cleanup()

    def places(self) -> dict[int, int]:
        """Point index → sequence of its spectrum; of a point taken twice the later one."""
        try:
            return {point: sequence for sequence, point in self._db.execute(
                "SELECT sequence, point FROM spectra ORDER BY sequence")}
        except UNREADABLE as error:
            raise ScanFileError(f"journal {self.path}: its list of spectra cannot be read ({error})") from error

    def spectrum(self, sequence: int) -> SpectrumRecord | None:
        """One spectrum, or None if its row is damaged (unreadable, or its CRC does not match)."""
        try:
            row = self._db.execute("SELECT * FROM spectra WHERE sequence = ?", (sequence,)).fetchone()
        except UNREADABLE:
            return None               # a torn page: reported as damaged by the caller, the other rows are still good
        return None if row is None else self._record(row)

    def spectra(self, first: int, most: int) -> list[SpectrumRecord | None]:
        """Up to ``most`` spectra from number ``first`` on, as far as they are there yet; None for a damaged row.

        Raises
        ------
        ScanFileError
            The journal cannot be read any more.
        """
        try:
            rows = self._db.execute(
                "SELECT * FROM spectra WHERE sequence >= ? ORDER BY sequence LIMIT ?", (first, most)
            ).fetchall()
        except sqlite3.Error as error:
            raise ScanFileError(f"journal {self.path}: cannot be followed ({error})") from error
        return [self._record(row) for row in rows]

    def records(self, sequences: list[int]) -> list[SpectrumRecord | None]:
        """Many spectra at once, in the order asked for; None for each whose row is damaged or not there."""
        marks = ",".join("?" * len(sequences))
        try:
            rows = self._db.execute(f"SELECT * FROM spectra WHERE sequence IN ({marks})", sequences).fetchall()
        except UNREADABLE:            # a torn page somewhere among them: each by itself, so that only its own are lost
            return [self.spectrum(sequence) for sequence in sequences]
        found = {row[0]: row for row in rows}
        return [self._record(found[sequence]) if sequence in found else None for sequence in sequences]

    def repeats(self) -> list[SpectrumRecord]:
        """Spectra taken again at points that were there already, as far as their rows are whole."""
        return [record for row in self._rows("repeats") if (record := self._record(row)) is not None]

    def missing(self) -> dict[int, str]:
        """Points that were not measured, and why, as far as somebody wrote it down."""
        points = int(np.prod(self.header.shape))
        why: dict[int, str] = {}
        for _, first, last, reason in self._rows("missing"):
            if isinstance(first, int) and isinstance(last, int):       # torn bytes may have made them something else
                for point in range(max(first, 0), min(last, points - 1) + 1):
                    why.setdefault(point, reason)
        return why

    def light_spots(self) -> tuple[LitSpot, ...]:
        """Every spot that was lit, with the dose of its own light."""
        page = light_path(self.path)
        return read_page(page).spots if page.exists() else ()

    def _record(self, row: tuple) -> SpectrumRecord | None:
        *numbers, counts, crc = row
        if not isinstance(counts, bytes):
            return None
        # SQLite keeps NaN as NULL; only the planned time may be one
        if numbers[2] is None:
            numbers[2] = float("nan")
        try:
            if len(counts) != self._row_bytes or checksum(tuple(numbers), counts) != crc:
                return None
        except (TypeError, struct.error):      # a column of another type than was written
            return None
        values = dict(zip(NUMBER_FIELDS, numbers, strict=True))
        values["flags"] = Flag(values["flags"])
        return SpectrumRecord(**values, counts=self._counts(counts))

    @property
    def _row_bytes(self) -> int:
        return len(self.header.wavelength_nm) * np.dtype(self.header.count_type).itemsize

    def _counts(self, stored: bytes) -> np.ndarray:
        return np.frombuffer(stored, self.header.count_type)

    def dark(self) -> tuple[list[DarkRecord], int]:
        """The dark spectra, and how many rows of them are damaged."""
        good, damaged = [], 0
        for sequence, start_s, exposure_s, counts, crc in self._rows("dark"):
            if isinstance(counts, bytes) and len(counts) == self._row_bytes:
                dark = DarkRecord(sequence, start_s, exposure_s, self._counts(counts))
                if dark_checksum(dark, counts) == crc:
                    good.append(dark)
                    continue
            damaged += 1
        return good, damaged

    def events(self) -> list[Event]:
        """All events, in order."""
        return [
            Event(sequence=sequence, time_s=time_s, at=at, level=level, text=text)
            for sequence, time_s, at, level, text in self._rows("events")
        ]

    def _rows(self, table: str) -> list[tuple]:
        try:
            return self._db.execute(f"SELECT * FROM {table} ORDER BY sequence").fetchall()
        except UNREADABLE as error:
            raise ScanFileError(f"journal {self.path}: table {table} cannot be read ({error})") from error


def _copied(path: Path, folder: Path) -> Path:
    """A journal and its log, copied."""
    for name in (path.name, path.name + "-wal"):
        if path.with_name(name).exists():
            shutil.copyfile(path.with_name(name), folder / name)
    return folder / path.name
