"""The one writer of a journal: a commit for everything that must survive the death of its process.

The tables are in :mod:`halidescope.acquisition.journal`.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec

from halidescope.acquisition.checkpoints import Checkpoints
from halidescope.acquisition.journal import LIGHT, SCHEMA
from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.places import journal_in_spool
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import (
    SCHEMA_VERSION,
    DarkRecord,
    Ending,
    Event,
    Header,
    SpectrumRecord,
    checksum,
    dark_checksum,
    little_endian,
    runs_of,
)
from halidescope.acquisition.results import OnlineResults

PUT = "INSERT OR REPLACE INTO header VALUES (?, ?)"


class JournalWriter:
    """The one writer of a journal. Not thread-safe but for its own checkpoints; used by the engine's thread.

    Parameters
    ----------
    path : Path
        The journal; must not exist.
    header : Header
    out : Path, optional
        The file that it becomes, if that is not beside it.

    Raises
    ------
    ScanFileError
        The journal cannot be created.
    """

    def __init__(self, path: Path, header: Header, out: Path | None = None) -> None:
        try:
            path.touch(exist_ok=False)
            self._open(path, header.count_type)
            self._db.executescript(f"BEGIN; {SCHEMA}")     # with what follows: there is a whole journal, or none
            self._put("schema_version", str(SCHEMA_VERSION))
            self._put("header", msgspec.json.encode(header).decode())
            if out is not None and out.parent != path.parent:
                self._put("destination", str(out.absolute()))
            self._db.execute("COMMIT")
            self._helper = Checkpoints(path)
        except (OSError, sqlite3.Error) as error:
            raise ScanFileError(f"journal {path}: cannot be created ({error}); choose another folder") from error

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Go on writing a journal that was cut off; how it ended, and what was missing, is void.

        Raises
        ------
        ScanFileError
            Not a journal, or it cannot be written.
        """
        with JournalReader(path) as journal:
            count_type = journal.header.count_type
        writer = cls.__new__(cls)
        try:
            writer._open(path, count_type)
            writer._db.execute("DELETE FROM missing")
            writer._db.execute("DELETE FROM header WHERE key IN ('ending', 'results')")
            writer._helper = Checkpoints(path)
        except (OSError, sqlite3.Error) as error:
            raise ScanFileError(f"journal {path}: cannot be written ({error}); check the disk") from error
        return writer

    def _open(self, path: Path, count_type: str) -> None:
        self.path = path
        self._type = count_type
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint=0")   # the helper does it, off the measurement's path

    def _put(self, key: str, value: str) -> None:
        self._db.execute(PUT, (key, value))

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        if self._helper.vanished:
            raise ScanFileError(self._rescue())
        problem = self._helper.problem
        if problem is not None:
            raise ScanFileError(f"journal {self.path}: cannot be made durable ({problem}); check the disk") from problem
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            if self._helper.gone():
                raise ScanFileError(self._rescue()) from error
            raise ScanFileError(
                f"journal {self.path}: cannot be written ({error}); what was measured is safe in it; make room there"
            ) from error
        self._helper.dirty.set()

    def _rescue(self) -> str:
        """The journal's folder is gone: copy what the open file still holds into the spool, and go on there."""
        lost, kept = self.path, journal_in_spool(self.path)
        self._helper.stop()
        try:
            fresh = sqlite3.connect(kept, isolation_level=None, check_same_thread=False)
            self._db.backup(fresh)
            count = fresh.execute("SELECT COUNT(*) FROM spectra").fetchone()[0]
            self._db.close()
            fresh.close()
            self._open(kept, self._type)
            self._put("destination", str(lost.with_name(lost.name.removesuffix(".journal")).absolute()))
            self._helper = Checkpoints(kept)
        except (OSError, sqlite3.Error) as error:
            return f"journal {lost}: has vanished with its folder, and could not be rescued ({error}); check the drive"
        return (
            f"journal {lost}: has vanished (deleted, or its drive was removed); {count} spectra are safe in {kept}, "
            f"finish them with: halidescope convert \"{kept}\" --out FILE.nxs"
        )

    def append(self, record: SpectrumRecord) -> None:
        """Commit one spectrum; on return it survives the death of this process."""
        self._insert("spectra", record)

    def amend(self, record: SpectrumRecord) -> None:
        """Commit other flags for a spectrum that is there already; its counts are the same."""
        self._insert("spectra", record, verb="REPLACE")

    def append_repeat(self, record: SpectrumRecord) -> None:
        """Commit a spectrum of a point that is there already; kept apart, with its own count of sequence."""
        self._insert("repeats", record)

    def _insert(self, table: str, record: SpectrumRecord, *, verb: str = "INSERT") -> None:
        counts = little_endian(record.counts, self._type)
        numbers = record.numbers
        self._write(
            f"{verb} INTO {table} VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (*numbers, counts, checksum(numbers, counts)),
        )

    def set_missing(self, points: Iterable[int], reason: str) -> None:
        """Keep why points were not measured; the first reason of a point stays."""
        for first, last in runs_of(points):
            self._write("INSERT INTO missing (first, last, reason) VALUES (?,?,?)", (first, last, reason))

    def append_dark(self, dark: DarkRecord) -> None:
        """Commit one dark spectrum."""
        counts = little_endian(dark.counts, self._type)
        self._write(
            "INSERT INTO dark VALUES (?,?,?,?,?)",
            (dark.sequence, dark.start_s, dark.exposure_s, counts, dark_checksum(dark, counts)),
        )

    def append_event(self, event: Event) -> None:
        """Commit one event, numbered in the order of the journal."""
        self._write(
            "INSERT INTO events SELECT COALESCE(MAX(sequence), -1) + 1, ?, ?, ?, ? FROM events",
            (event.time_s, event.at, event.level, event.text),
        )

    def set_light_on(self, light_on_s: float, light_on_se_s: float, light_on_utc_s: float) -> None:
        """When the light first came on (the zero of the spectra's times): engine's clock, its error, real time."""
        for name, value in zip(LIGHT, (light_on_s, light_on_se_s, light_on_utc_s), strict=True):
            self._write(PUT, (name, repr(value)))

    def set_results(self, results: OnlineResults) -> None:
        """Keep the online analysis's last word."""
        self._write(PUT, ("results", msgspec.json.encode(results).decode()))

    def end(self, ending: Ending) -> None:
        """Write how the measurement ended."""
        self._write(PUT, ("ending", msgspec.json.encode(ending).decode()))

    def close(self) -> None:
        """Make everything durable and close. Safe to call twice."""
        self._helper.stop()
        self._db.close()
