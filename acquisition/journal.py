"""The journal: where a measurement lives while it runs, and after it was cut off.

``FILE.nxs.journal`` is an SQLite database in WAL mode. One commit per spectrum, so that killing the process loses
nothing acknowledged; a helper thread makes the log durable at least once a second, so that a power cut loses at most
that second. Other processes may read it while it grows. The finished file is written by
:mod:`halidescope.acquisition.nexus`.
"""

import shutil
import sqlite3
import struct
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from halidescope.acquisition.checkpoints import Checkpoints
from halidescope.acquisition.light_page import LitSpot, light_path, read_page
from halidescope.acquisition.places import journal_in_spool, on_network, spooled
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import (
    NUMBER_FIELDS,
    SCHEMA_VERSION,
    DarkRecord,
    Ending,
    Event,
    Flag,
    Header,
    SpectrumRecord,
    checksum,
    dark_checksum,
    little_endian,
    runs_of,
)
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.transport import require_known

# a damaged file can make SQLite complain in bytes that are no text, which Python then fails to decode
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
_LIGHT = ("light_on_s", "light_on_se_s", "light_on_utc_s")

_SCHEMA = """
CREATE TABLE header  (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE spectra (sequence INTEGER PRIMARY KEY, point INTEGER NOT NULL, planned_s REAL, start_s REAL, time_s REAL,
                      time_se_s REAL, x_commanded_um REAL, y_commanded_um REAL, x_um REAL, y_um REAL,
                      sample_power_uw REAL, measured_power_uw REAL, exposure_s REAL, dose_j_cm2 REAL, flags INTEGER,
                      counts BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE repeats (sequence INTEGER PRIMARY KEY, point INTEGER NOT NULL, planned_s REAL, start_s REAL, time_s REAL,
                      time_se_s REAL, x_commanded_um REAL, y_commanded_um REAL, x_um REAL, y_um REAL,
                      sample_power_uw REAL, measured_power_uw REAL, exposure_s REAL, dose_j_cm2 REAL, flags INTEGER,
                      counts BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE missing (sequence INTEGER PRIMARY KEY, first INTEGER, last INTEGER, reason TEXT NOT NULL);
CREATE TABLE dark    (sequence INTEGER PRIMARY KEY, start_s REAL, exposure_s REAL, counts BLOB NOT NULL,
                      crc INTEGER NOT NULL);
CREATE TABLE events  (sequence INTEGER PRIMARY KEY, time_s REAL, at TEXT, level TEXT, text TEXT);
"""


def journal_path(out: Path) -> Path:
    """Where the journal of a measurement's file is: beside it, or in this user's spool if it is on a network drive."""
    beside = spooled(out) if on_network(out.parent) else out
    return beside.with_name(beside.name + ".journal")


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
            self._db.executescript(_SCHEMA)
            self._put("schema_version", str(SCHEMA_VERSION))
            self._put("header", msgspec.json.encode(header).decode())
            if out is not None and out.parent != path.parent:
                self._put("destination", str(out.absolute()))
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
        self._db.execute("INSERT OR REPLACE INTO header VALUES (?, ?)", (key, value))

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
        for name, value in zip(_LIGHT, (light_on_s, light_on_se_s, light_on_utc_s), strict=True):
            self._write("INSERT OR REPLACE INTO header VALUES (?, ?)", (name, repr(value)))

    def set_results(self, results: OnlineResults) -> None:
        """Keep the online analysis's last word."""
        encoded = msgspec.json.encode(results).decode()
        self._write("INSERT OR REPLACE INTO header VALUES ('results', ?)", (encoded,))

    def end(self, ending: Ending) -> None:
        """Write how the measurement ended."""
        encoded = msgspec.json.encode(ending).decode()
        self._write("INSERT OR REPLACE INTO header VALUES ('ending', ?)", (encoded,))

    def close(self) -> None:
        """Make everything durable and close. Safe to call twice."""
        self._helper.stop()
        self._db.close()


class JournalReader:
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
        try:
            require_known(int(pairs.get("schema_version", "0")), f"journal {path}")
            self.destination = Path(pairs["destination"]) if "destination" in pairs else None
            header = msgspec.json.decode(pairs["header"], type=Header)
            light = {name: float(pairs[name]) for name in _LIGHT if name in pairs}
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
        return dict(self._db.execute("SELECT key, value FROM header").fetchall())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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


def delete_journal(path: Path, *, light: bool = True) -> None:
    """Delete a closed journal with its log, its index and, unless ``light`` is False, its page of light."""
    pages = [light_path(path).name] if light else []
    for name in (path.name + "-wal", path.name + "-shm", *pages, path.name):
        path.with_name(name).unlink(missing_ok=True)


def note_in_journal(path: Path, *, at: str, level: str, text: str) -> None:
    """Add an event to a journal whose writer is dead; the watchdog's way to leave its word.

    Raises
    ------
    sqlite3.Error
        The journal cannot be written.
    """
    db = sqlite3.connect(path, timeout=2.0)
    try:
        with db:
            sequence, time_s = db.execute("SELECT COALESCE(MAX(sequence), -1) + 1, MAX(time_s) FROM events").fetchone()
            db.execute("INSERT INTO events VALUES (?,?,?,?,?)", (sequence, time_s or 0.0, at, level, text))
    finally:
        db.close()
