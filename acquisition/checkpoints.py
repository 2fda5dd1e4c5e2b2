"""The journal's helper: makes the write-ahead log durable, and notices when the journal's file is gone."""

import os
import sqlite3
import threading
from pathlib import Path

CHECKPOINT_S = 0.5    # real seconds between two checkpoints; a power cut loses no more than twice this


class Checkpoints(threading.Thread):
    """Moves the write-ahead log into the database, with fsync, whenever something was written.

    An open file goes on taking data after its folder was deleted or its drive removed, and they would be lost when it
    is closed; so the path is looked at, too.

    Raises
    ------
    OSError
        The journal is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(name="journal checkpoints", daemon=True)
        self._path = path
        self._identity = _identity(path)
        self.dirty = threading.Event()
        self._stopping = threading.Event()
        self.problem: sqlite3.Error | None = None
        self.vanished = False
        self.start()

    def gone(self) -> bool:
        """Whether the journal's path leads to its file no more."""
        try:
            return _identity(self._path) != self._identity
        except OSError:
            return True

    def run(self) -> None:
        try:
            db = sqlite3.connect(self._path, isolation_level=None, timeout=0.2)
            try:
                while not self._stopping.wait(CHECKPOINT_S):
                    if self.gone():
                        self.vanished = True     # the next write, in the measurement's own thread, deals with it
                        return
                    if self.dirty.is_set():
                        self.dirty.clear()
                        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                db.close()
        except sqlite3.Error as error:
            if self.gone():
                self.vanished = True
            else:
                self.problem = error

    def stop(self) -> None:
        """End the helper. Safe to call twice."""
        self._stopping.set()
        self.join()


def _identity(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
