"""HDF5 files from anywhere, opened in a process of its own before this one touches them: :func:`vet`.

The HDF5 library is C, and a damaged file may make it crash; then the other process dies and this one tells it. That
process (:mod:`halidescope.acquisition.vetting_child`) is started with the first file, kept for the next ones, and ends
with this one.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from enum import StrEnum
from pathlib import Path
from queue import Empty, SimpleQueue

from halidescope.acquisition.problems import ScanFileError

PATIENCE_S = 20.0       # for any file, and so much more for each 20 MB; a sound one on a disk takes hundredths
HDF5_MARK = b"\x89HDF"


class Holds(StrEnum):
    """What an HDF5 file says that it holds."""

    MEASUREMENT = "measurement"
    LIST = "list"
    RESULTS = "results"
    OTHER = "other"          # another program's, or nothing that can be read


def vet(path: Path) -> Holds | None:
    """What an HDF5 file holds; None if the file is none, or cannot be opened, which others tell better.

    Raises
    ------
    ScanFileError
        The HDF5 library crashed on the file, or came to no end.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(HDF5_MARK)) != HDF5_MARK:
                return None
        patience_s = PATIENCE_S * (1 + path.stat().st_size / 2e7)
    except OSError:
        return None
    return _vetter().ask(path, patience_s)


class _Vetter:
    """The other process, and what it answers; one question at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: SimpleQueue[str] = SimpleQueue()
        self._listener: threading.Thread | None = None

    def ask(self, path: Path, patience_s: float) -> Holds:
        with self._turn:
            process = self._process
            if process is None or process.poll() is not None:
                process = self._start()
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(str(path.absolute())) + "\n")
                process.stdin.flush()
                answer = self._answers.get(timeout=patience_s)
            except (Empty, OSError):
                answer = ""
                process.kill()
            if answer:
                return Holds(answer)
            ended = process.wait()
            self.close()
        raise ScanFileError(
            f"{path}: the HDF5 library crashes on it or comes to no end ({ended}); the file is damaged, and was opened "
            "in another process only"
        )

    def _start(self) -> "subprocess.Popen[str]":
        self.close()
        process = subprocess.Popen(
            [sys.executable, "-m", "halidescope.acquisition.vetting_child"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="ascii",
        )  # fmt: skip
        answers: SimpleQueue[str] = SimpleQueue()

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                answers.put(line.strip())
            answers.put("")

        self._listener = threading.Thread(target=listen, name="vetting", daemon=True)
        self._listener.start()
        self._process, self._answers = process, answers
        return process

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if self._listener is not None:
            self._listener.join()          # it comes to the end of what it listens to
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


_ours: dict[int, _Vetter] = {}      # by process: one that was forked from this one has to start its own


def _vetter() -> _Vetter:
    me = os.getpid()
    if me not in _ours:
        _ours[me] = _Vetter()
        atexit.register(_ours[me].close)
    return _ours[me]
