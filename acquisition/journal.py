"""The journal: where a measurement lives while it runs, and after it was cut off. Its tables, and its files.

``FILE.nxs.journal`` is an SQLite database in WAL mode. One commit per spectrum, so that killing the process loses
nothing acknowledged; a helper thread makes the log durable at least once a second, so that a power cut loses at most
that second. Other processes may read it while it grows. It is written by :mod:`halidescope.acquisition.journal_writer`,
read by :mod:`halidescope.acquisition.journal_reader`; the finished file is written by
:mod:`halidescope.acquisition.nexus`.
"""

import sqlite3
from pathlib import Path

from halidescope.acquisition.light_page import light_path
from halidescope.acquisition.places import on_network, spooled

LIGHT = ("light_on_s", "light_on_se_s", "light_on_utc_s")      # keys of the header's table

SCHEMA = """
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
