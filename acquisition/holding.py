"""One program at a time has an instrument: two on one line would read each other's answers, and darken each other.

A serial port lets two programs in, and so does many a network port. Every engine therefore holds a lock for each of its
instruments, as do those who only look at them. The operating system gives a lock back when its process ends, however it
ends. The watchdog asks for none: what has to be made dark is made dark.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.session import default_session_path


class InUseError(ProblemError):
    """Another program has the instrument."""

    exit_code = 1


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until nobody else has the lock that a file stands for, then have it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+b") as file:
        _lock(file, wait=True)
        try:
            yield
        finally:
            _unlock(file)


class Holding:
    """The instruments at some resources, held or not.

    Parameters
    ----------
    whose : iterable of (str, str)
        What to call each instrument, and its resource.
    """

    def __init__(self, whose: Iterable[tuple[str, str]]) -> None:
        self._names = {resource: name for name, resource in whose}
        self._files: list[BinaryIO] = []

    def take(self) -> None:
        """Hold all of them, or none.

        Raises
        ------
        InUseError
            One is held by another program, or by another engine of this one.
        """
        if self._files:
            return
        folder = default_session_path().parent / "held"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for resource, name in self._names.items():
                self._files.append(_hold(folder / f"{hashlib.sha256(resource.encode()).hexdigest()[:16]}.lock", name))
        except BaseException as error:
            self.give_back()
            if isinstance(error, OSError):
                raise ProblemError(
                    f"folder {folder}: cannot be written ({error.strerror}), so nobody could tell who has the "
                    "instruments; make it yours"
                ) from error
            raise

    def give_back(self) -> None:
        """Others may have them; safe to call twice."""
        files, self._files = self._files, []
        for file in files:
            with suppress(OSError):      # Windows: the file is open; it stays, and is nobody's
                Path(file.name).unlink()
            _unlock(file)
            file.close()

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self.give_back()


def _hold(path: Path, name: str) -> BinaryIO:
    while True:
        file = path.open("a+b")
        try:
            _lock(file, wait=False)
        except OSError:
            file.seek(1)
            holder = file.read(20).decode("ascii", "replace").strip() or "not known"
            file.close()
            raise InUseError(
                f"{name}: another Halidescope has it (process {holder}); use that one, or end it first"
            ) from None
        try:
            current = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except FileNotFoundError:
            current = False
        if current:
            file.truncate(0)
            file.write(f" {os.getpid()}\n".encode())      # the first byte is the locked one: Windows forbids reading it
            file.flush()
            return file
        file.close()      # it was given back, and taken away, between our opening and locking it


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO, *, wait: bool) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

    def _unlock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(file: BinaryIO, *, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
