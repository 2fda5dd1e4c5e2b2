"""The temporary folder of a simulated microscope: locked while its window lives, removed with it, or by the next demo.

Only folders with a lock of ours are ever touched, and only if nothing lies in them that a demo does not make.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from qtpy.QtCore import QLockFile

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.session import read_session

PREFIX = "halidescope-demo-"
LOCK = "in-use.lock"
OURS = frozenset({
    "microscope.toml", "session.json", "session.log", "session.watchdog.log", "films", LOCK, f"{LOCK}.rmlock",
})  # fmt: skip


class DemoFolder:
    """A new folder, locked by this process, which Qt can tell from one that has ended."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = _lock_of(self.path)
        self._lock.tryLock(0)

    @property
    def microscope_file(self) -> Path:
        """Where the simulated instruments describe themselves."""
        return self.path / "microscope.toml"

    @property
    def session(self) -> Path:
        """Where the engine leaves its address."""
        return self.path / "session.json"

    def remove(self) -> None:
        """Remove it; what somebody else has put there stays, and the folder with it.

        An engine that was not ended ends with this process, and writes until then: the next demo removes its folder.
        """
        if _engine_lives(self.path):
            mark = self.path / LOCK
            words = mark.read_bytes()
            self._lock.unlock()         # and so would Qt at the end, and take the file along
            mark.write_bytes(words)     # which names this process
        else:
            _remove(self.path, self._lock)


def remove_left_over() -> list[Path]:
    """Remove the folders that killed demos of this user left; returns which."""
    removed = []
    for folder in _candidates():
        lock = _lock_of(folder)
        if not _engine_lives(folder) and lock.tryLock(0) and _remove(folder, lock):     # nobody alive holds it
            removed.append(folder)
    return removed


def _candidates() -> Iterator[Path]:
    """Folders named as ours, of this user, that have a lock: one without is another program's, or just being made."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
        if mine and (folder / LOCK).is_file():
            yield folder


def _engine_lives(folder: Path) -> bool:
    """True while the engine of a demo that was killed is still going dark."""
    try:
        pid = read_session(folder / "session.json").pid
    except ProblemError:
        return False
    return psutil.pid_exists(pid)


def _lock_of(folder: Path) -> QLockFile:
    lock = QLockFile(str(folder / LOCK))
    lock.setStaleLockTime(0)    # however old: only a process that has ended gives its folder up
    return lock


def _remove(folder: Path, lock: QLockFile) -> bool:
    if not {entry.name for entry in folder.iterdir()} <= OURS:
        lock.unlock()
        return False
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != LOCK:
            entry.unlink(missing_ok=True)
    lock.unlock()       # last: a folder without it is never looked at again
    try:
        folder.rmdir()
    except OSError:     # somebody has put something there meanwhile
        return False
    return True
