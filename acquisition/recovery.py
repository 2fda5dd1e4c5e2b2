"""What was left behind: journals without their finished file, found in a folder and finished (:func:`recover`).

A journal is left when its program was killed, the computer lost power, or the finished file could not be written. It
holds every spectrum that was acknowledged; finishing it needs nothing else.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from halidescope.acquisition.journal import JournalReader
from halidescope.acquisition.places import spool
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.storage import finish_elsewhere

SUFFIX = ".journal"


@dataclass(frozen=True)
class LeftBehind:
    """A journal without its finished file.

    Attributes
    ----------
    journal, out : Path
        The journal, and the file that it becomes.
    title, started_at, state : str
        What it is, when it began (ISO 8601), how it ended ("cut off" if nobody wrote it).
    spectra, planned : int
        How many spectra are there, and how many were planned.
    in_use : bool
        Another program has it open: it is being measured, or shown.
    problem : str
        Why it cannot be read, in one sentence; empty if it can.
    """

    journal: Path
    out: Path
    title: str
    started_at: str
    state: str
    spectra: int
    planned: int
    in_use: bool
    problem: str = ""


def left_behind(folder: Path) -> list[LeftBehind]:
    """Journals left in a folder, or of files of that folder in this user's own spool; the oldest first.

    Raises
    ------
    ScanFileError
        The folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if path.name.endswith(SUFFIX)]
        spooled = [path for path in spool().iterdir() if path.name.endswith(SUFFIX)]
    except OSError as error:
        raise ScanFileError(f"folder {folder}: cannot be read ({error.strerror}); check the path") from error
    found = [_look(path) for path in (*paths, *spooled)]
    here = [one for one in found if one.journal.parent == folder or one.out.parent.absolute() == folder.absolute()]
    return sorted(here, key=lambda one: (one.started_at, one.journal.name))


def _look(path: Path) -> LeftBehind:
    out = path.with_name(path.name.removesuffix(SUFFIX))
    used = in_use(path)          # asked before it is open here
    try:
        with JournalReader(path) as journal:
            header, spectra = journal.header, len(journal.places())
            planned = 1
            for size in header.shape:
                planned *= size
            return LeftBehind(
                path, journal.destination or out, header.title, header.started_at,
                journal.ending.state if journal.ending else "cut off", spectra, planned, used,
            )
    except ScanFileError as error:
        return LeftBehind(path, out, path.name, "", "damaged", 0, 0, in_use=False, problem=str(error))


def in_use(journal: Path) -> bool:
    """Whether another connection has a journal open: a measurement that still runs, or a program that shows it."""
    try:
        db = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=0.0)
    except sqlite3.Error:
        return False
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    except sqlite3.DatabaseError:
        return False         # damaged: nobody can have it open usefully
    finally:
        db.close()
    return False


def recover(journal: Path, out: Path | None = None) -> tuple[Path, list[int]]:
    """Finish a journal that was left behind: write its file, compare the two, then delete the journal.

    Parameters
    ----------
    out : Path, optional
        The file to write; by default the one that it was meant to become.

    Returns
    -------
    out : Path
    damaged : list of int
        Points whose rows are damaged; if there are any, the journal is kept.

    Raises
    ------
    ScanFileError
        It is in use, cannot be read, or the file cannot be written; the journal stays.
    """
    if in_use(journal):
        raise ScanFileError(f"journal {journal}: another program has it open; end that measurement, or close it there")
    with JournalReader(journal) as reader:
        meant = reader.destination or journal.with_name(journal.name.removesuffix(SUFFIX))
    chosen = meant if out is None else out
    return chosen, finish_elsewhere(journal, chosen)
