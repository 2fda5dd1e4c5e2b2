"""The comparison with the simulation in a process of its own, at low priority, so that it never delays a measurement.

Lines of JSON both ways. The newest question counts: one that comes while another is worked on replaces those that wait,
and one about another film stops a training. What is said and who asks is here; who answers is
:mod:`halidescope.gui.kmc_worker`. Nothing here knows Qt, or loads what the simulation needs.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

CACHE_VARIABLE = "HALIDESCOPE_CACHE"     # names another folder for trained emulators
NICENESS = 15            # behind the measurement (0), the window (0) and the online analysis (10)
STOP_WITHIN_S = 5.0


PROCESS_ITSELF = -1      # the number of news that belong to no question


class Question(msgspec.Struct, frozen=True):
    """A measured curve and the film it is compared with; ``number`` comes back with the answer.

    Without times it asks to get ready for that film, and is answered with ``ready``.
    """

    number: int
    configuration: dict[str, dict[str, Any]]
    time_s: list[float]
    value: list[float]
    sigma: list[float]
    kind: Literal["peak-energy", "bromide-share"] = "bromide-share"


class Parameter(msgspec.Struct, frozen=True):
    """A posterior: mean, standard deviation, 90 % interval, and counts in bins between the prior's limits."""

    name: str
    mean: float
    sd: float
    low: float
    high: float
    prior_low: float
    prior_high: float
    counts: list[int]


class Answer(msgspec.Struct, frozen=True):
    """A comparison, in energies (eV); ``lattice`` is a film simulated with the posterior's means up to now.

    Of that film: iodide share of the ions and vacancy share of the sites over the distance from the beam in sites (None
    where no ion is left), and the numbers of bromides, iodides and vacancies at its start and now.
    """

    time_s: list[float]
    measured_ev: list[float]
    measured_se_ev: list[float]
    median_ev: list[float]
    low_ev: list[float]
    high_ev: list[float]
    parameters: list[Parameter]
    discrepancy: float
    null_median: float
    null_95: float
    p_value: float
    size: int
    lattice: bytes
    halo_radius: list[float]
    halo_iodide: list[float | None]
    halo_vacancy: list[float]
    species_start: list[int]
    species: list[int]
    steps: int
    took_s: float


class News(msgspec.Struct, frozen=True):
    """A line from the process: how far a training is, that it is over, an answer, or a problem in a sentence."""

    number: int = PROCESS_ITSELF
    stage: str = ""
    share: float = 0.0
    ready: bool = False
    answer: Answer | None = None
    problem: str = ""


class ComparisonProcess:
    """Who asks: starts the process, sends questions, hands on what comes.

    Parameters
    ----------
    on_news : callable
        Gets every :class:`News`, in a thread of its own.
    cache : Path, optional
        Folder of trained emulators; this user's by default.
    """

    def __init__(self, on_news: Callable[[News], object], cache: Path | None = None) -> None:
        self._on_news = on_news
        self._cache = cache
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process's number, None before the first question."""
        return None if self._process is None else self._process.pid

    def ask(self, question: Question) -> None:
        """Send a question; starts the process at the first, and again should it have died."""
        with self._lock:
            if not self.running:
                self._end()
                self._start()
            assert self._process is not None
            assert self._process.stdin is not None
            with suppress(OSError):    # it has just died: the reader says so
                self._process.stdin.write(msgspec.json.encode(question) + b"\n")
                self._process.stdin.flush()

    def close(self) -> None:
        """End the process. Safe to call twice."""
        with self._lock:
            self._end()

    def leave(self) -> None:
        """End the process beside the caller, who hears nothing any more: it may take half a second."""
        with self._telling:
            self._on_news = _unheard
        threading.Thread(target=self.close, name="halidescope-kmc-end").start()

    def _tell(self, news: News) -> None:
        with self._telling:
            self._on_news(news)

    def _start(self) -> None:
        # one thread of linear algebra: the other core is the measurement's
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        if self._cache is not None:
            environment[CACHE_VARIABLE] = str(self._cache)
        low = {} if os.name == "posix" else {"creationflags": subprocess.BELOW_NORMAL_PRIORITY_CLASS}  # type: ignore[attr-defined]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "halidescope.gui.kmc_worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, env=environment, **low,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="kmc-news", daemon=True)
        self._reader.start()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        process.terminate()            # it holds nothing that could be lost
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join()
        process.stdout.close()

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._tell(msgspec.json.decode(line, type=News))
        if self._process is process:   # nobody closed it
            self._tell(News(problem="the comparison's process ended by itself; it starts again with the next fit"))


def _unheard(news: News) -> None:
    """Whoever asked has left."""
