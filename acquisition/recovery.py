"""What was left behind: journals without their finished file, found in a folder, finished (:func:`recover`) or brought
back to be gone on with (:func:`bring_home`).

A journal is left when its program was killed, the computer lost power, or the finished file could not be written. It
holds every spectrum that was acknowledged; finishing it needs nothing else.
"""

import glob
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from halidescope.acquisition.journal import delete_journal, journal_path
from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.light_page import light_path, merge_pages
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


def bring_home(out: Path) -> Path | None:
    """Bring the journal of ``out`` that was rescued into the spool, its folder being gone, back to its place.

    A journal that lies there already (the drive is back) is replaced by the rescued one, which holds more; of the light
    that either page tells of, the greater dose of every spot is kept.

    Returns
    -------
    Path or None
        Where it was; None if nothing was rescued.

    Raises
    ------
    ScanFileError
        It is in use, each of the two holds what the other lacks, or it cannot be written there.
    """
    home = journal_path(out)
    candidates = [_look(path) for path in spool().glob(f"*-{glob.escape(home.name)}") if path != home]
    found = [one for one in candidates if one.out == out.absolute()]
    if not found:
        return None
    rescued = max(found, key=lambda one: one.spectra)
    if rescued.problem or rescued.in_use:
        raise ScanFileError(rescued.problem or f"{rescued.journal}: is in use by another program; end that first")
    part = home.with_name(home.name + ".part")
    try:
        if home.exists():
            with JournalReader(home) as left, JournalReader(rescued.journal) as saved:
                if not left.places().items() <= saved.places().items():
                    raise ScanFileError(
                        f"{home} and {rescued.journal} are of the same file, and each holds spectra that the other "
                        "lacks; finish both with halidescope convert, and begin anew"
                    )
        delete_journal(part)       # of an earlier try that was cut off itself
        with closing(sqlite3.connect(rescued.journal)) as saved, closing(sqlite3.connect(part)) as fresh:
            saved.backup(fresh)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        # the light first, and never less of it: killed on the way, the next try finds all that it needs
        if light_path(rescued.journal).exists():
            shutil.copyfile(light_path(rescued.journal), light_path(part))
            if light_path(home).exists():
                merge_pages(light_path(part), light_path(home))
            os.replace(light_path(part), light_path(home))
        delete_journal(home, light=False)
        os.replace(part, home)
    except (OSError, sqlite3.Error) as error:
        raise ScanFileError(
            f"journal {home}: cannot be brought back from {rescued.journal} ({error}); check the folder"
        ) from error
    delete_journal(rescued.journal)
    return rescued.journal
