"""The online analysis in a process of its own, so that no fit ever keeps the measurement waiting.

Python runs one thread at a time: a fit in the engine's process would delay the engine's talk with its instruments, and
with it the time stamps. The worker follows the measurement's journal, which others may read while it grows, and sends
what it finds as lines of JSON. The engine's end is here, the worker in :mod:`halidescope.acquisition.analyst_worker`;
apart, so that the engine need not load what only the worker computes with.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from halidescope.acquisition.compiling import compile_in_background
from halidescope.acquisition.results import OnlineResults


class Order(msgspec.Struct, frozen=True):
    """A line to the worker: a journal to follow, or how many spectra it will have held when it is complete.

    ``rehearse``: analyse spectra that nobody took first, and say when that is done.
    """

    journal: str = ""
    complete: int | None = None
    rehearse: bool = False


class News(msgspec.Struct, frozen=True):
    """A line from the worker; without results, those before stay what they are."""

    results: OnlineResults | None = None
    finished: bool = False
    problem: str = ""
    rehearsed: bool = False


_ROWS = ("index", "time_s", "amplitudes", "shares", "shares_se", "residual_rms")


class AnalystProcess:
    """The engine's end: starts the worker, tells it what to follow, keeps what it found.

    Parameters
    ----------
    complain : callable
        Gets a sentence when the worker fails; the measurement goes on without it.
    """

    def __init__(self, complain: Callable[[str], object]) -> None:
        self._complain = complain
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self.rehearsed = threading.Event()      # or ended, which is said
        self._results = OnlineResults()
        self._rows: dict[str, list] = {name: [] for name in _ROWS}
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._following = False

    def start(self) -> None:
        """Start the worker's process if none runs; it needs seconds to load, so do it before it is needed."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        compile_in_background()
        # one thread of linear algebra is plenty for one spectrum, and leaves the other cores alone
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "halidescope.acquisition.analyst_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="analyst", daemon=True)
        self._reader.start()

    def begin(self, journal: Path) -> None:
        """Follow a new measurement."""
        self.start()
        with self._lock:
            self._results = OnlineResults()
            self._rows = {name: [] for name in _ROWS}
            self._finished.clear()
            self._following = True
        self._send(Order(journal=str(journal.absolute())))

    def rehearse(self) -> None:
        """Have the worker load, and compile at its very first use, all that the measurement will need."""
        self.rehearsed.clear()
        self._send(Order(rehearse=True))

    def finish(self, spectra: int, timeout_s: float = 30.0) -> OnlineResults:
        """No more spectra will come: wait until the worker has analysed all of them, and give everything."""
        if not self._following:
            return self.results(0)      # its word would come to the next measurement
        self._send(Order(complete=spectra))
        if not self._finished.wait(timeout_s):
            self._complain("online analysis did not keep up; analyse the finished file again")
        with self._lock:
            self._following = False
        return self.results(0)

    def results(self, first: int) -> OnlineResults:
        """What is known so far; per-spectrum rows from ``first`` on."""
        with self._lock:
            rows = {name: values[first:] for name, values in self._rows.items()}
            references = self._results.references if first == 0 else []
            return msgspec.structs.replace(self._results, first=first, references=references, **rows)

    def close(self) -> None:
        """End the worker. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        self._following = False
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):  # it has ended before us
            process.stdin.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join()
        process.stdout.close()

    def _send(self, order: Order) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        with suppress(OSError):  # it has died: the reader says so
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._keep(msgspec.json.decode(line, type=News))
        if self._following:
            self._complain("online analysis ended by itself; the spectra are safe, analyse the file again")
            self._finished.set()
            self.rehearsed.set()

    def _keep(self, news: News) -> None:
        with self._lock:
            if news.results is not None:
                for name, values in self._rows.items():
                    values.extend(getattr(news.results, name))
                references = news.results.references or self._results.references
                self._results = msgspec.structs.replace(
                    news.results, references=references, **{name: [] for name in _ROWS}
                )
        if news.problem:
            self._complain(news.problem)
        if news.problem or news.rehearsed:
            self.rehearsed.set()
        if news.finished:
            self._finished.set()
