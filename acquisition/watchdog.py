"""The last guard: a small process that makes the laser dark when the engine no longer can.

The engine's process holds one end of a pipe and writes a line on it four times a second: whether the laser may be lit,
and whether its measuring thread still gives signs of life. When the pipe ends without a farewell, or the lines stop, or
the thread hangs while lit, this process ends what is left of the engine, takes the laser's port, switches emission off,
proves it by reading back, and leaves its word in the journal and in a log beside the session.

Both ends of the pipe are here: :class:`WatchedPipe` (in the engine's process) and :func:`watch`.
"""

import argparse
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from halidescope.acquisition.clock import asleep_s, utc_zero_s
from halidescope.acquisition.holding import Holding, InUseError
from halidescope.acquisition.instruments import connect_role
from halidescope.acquisition.journal import note_in_journal
from halidescope.acquisition.light_page import end_light, light_path
from halidescope.acquisition.microscope import MicroscopeFile, parse_microscope
from halidescope.acquisition.problems import ProblemError, ScanFileError
from halidescope.acquisition.safety import darken
from halidescope.drivers.errors import InstrumentError
from halidescope.drivers.line import warm_up

BEAT_S = 0.25      # real seconds between two lines
SILENCE_S = 2.0    # without a line for so long the engine's process hangs
DEAF_S = 10.0      # without its answer for so long the watchdog hangs; generous, for a busy computer starves it, too
TRY_S = 30.0       # how long a dark laser is fought for before that is said to be in vain
INSIST_S = 2.0     # between two attempts after that
AT_MOST_S = 86400  # after which a real laser is given up; a simulated one at once, for it is not lit any more


class Beat(msgspec.Struct, frozen=True):
    """One line of the pipe."""

    lit: bool = False          # emission is on, or about to be
    hung: bool = False         # the measuring thread is overdue
    journal: str = ""          # of the running measurement
    farewell: bool = False     # the engine ends in good order; if lit, it could not prove darkness itself


class Hello(msgspec.Struct, frozen=True):
    """The first line: whom to watch, and which laser to make dark."""

    pid: int
    microscope: str            # text of the microscope file
    log: str
    utc_zero_s: float = msgspec.field(default_factory=utc_zero_s)


class WatchedPipe:
    """The engine's end: starts the watchdog's process and writes its heartbeat.

    Parameters
    ----------
    overdue : callable
        True if the engine's thread has given no sign of life for too long.
    unguarded : callable, optional
        Called once, in a thread of the pipe's own, when the watchdog has ended or hangs while the laser may be lit.
    """

    def __init__(
        self, microscope: MicroscopeFile, log: Path, overdue: Callable[[], bool],
        unguarded: Callable[[], object] | None = None,
    ) -> None:
        self._overdue = overdue
        self._unguarded = unguarded
        self._lit = False
        self._journal = ""
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self.problem = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "halidescope.acquisition.watchdog"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        hello = Hello(os.getpid(), microscope.toml_text(), str(log.absolute()))
        self._watching = threading.Event()      # it does, or it has ended
        self._heard = 0.0                       # time.monotonic() of its last answer; 0 before the first
        self._send(msgspec.json.encode(hello))
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()
        self._listener = threading.Thread(target=self._listen, name="watchdog's answers", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The watchdog's process."""
        return self._process.pid

    def lit(self, lit: bool) -> None:
        """Tell before light goes on, and after it is proven off.

        Raises
        ------
        ProblemError
            Nobody watches: nothing may be lit.
        """
        if lit:
            self.ready()
        self._lit = lit
        if not self._line() and lit:
            raise ProblemError("watchdog: has ended; nothing may be lit without it, start a new engine")
        if lit and self._deaf():
            raise ProblemError(
                f"watchdog: gave no answer for {DEAF_S:g} s; nothing may be lit without it, start a new engine"
            )

    def ready(self) -> None:
        """Wait until the watchdog watches; it needs a second to start, which nobody else has to wait for.

        Raises
        ------
        ProblemError
            It did not start.
        """
        self._watching.wait()
        if not self._heard:
            raise ProblemError("watchdog: did not start; nothing may be lit without it, start a new engine")

    def journal(self, path: Path | None) -> None:
        """Where the watchdog shall leave its word."""
        self._journal = str(path.absolute()) if path is not None else ""
        self._line()

    def close(self) -> None:
        """Say farewell; the watchdog ends, after making dark what the engine could not. Safe to call twice."""
        self._ending.set()
        self._thread.join()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        if not stdin.closed:
            self._send(msgspec.json.encode(Beat(self._lit, False, self._journal, farewell=True)))
            with suppress(BrokenPipeError):     # it has ended before us; whoever wanted light was told
                stdin.close()
            with suppress(subprocess.TimeoutExpired):      # it goes on fighting for darkness without us
                self._process.wait(TRY_S + 10.0)
                self._listener.join()
                stdout.close()

    def _send(self, line: bytes) -> bool:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            with self._lock:
                stdin.write(line + b"\n")
                stdin.flush()
        except (OSError, ValueError):      # its end is gone: whoever wants light is told
            return False
        return True

    def _line(self) -> bool:
        return self._send(msgspec.json.encode(Beat(self._lit, self._overdue(), self._journal)))

    def _beat(self) -> None:
        while not self._ending.wait(BEAT_S):
            guarded = self._line() and not self._deaf()
            if not guarded and self._lit and self._unguarded is not None:
                self._unguarded()
                return

    def _deaf(self) -> bool:
        """True if it watches no longer, although its process is there."""
        return self._heard > 0 and time.monotonic() - self._heard > DEAF_S

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            self._heard = time.monotonic()
            self._watching.set()
        self._watching.set()


def watch(stdin: BinaryIO, say: Callable[[bytes], object]) -> int:
    """Watch over one engine until it says farewell or must be replaced; returns the exit code."""
    hello = msgspec.json.decode(stdin.readline(), type=Hello)
    microscope = parse_microscope(hello.microscope)
    warm_up()
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(stdin, lines), daemon=True).start()
    say(b"watching\n")
    last = Beat()
    while True:
        try:
            line = lines.get(timeout=SILENCE_S)
        except queue.Empty:
            if last.lit:
                why = f"the engine was silent for {SILENCE_S:g} s while lit"
                return _make_dark(hello, microscope, last, why, _end(hello.pid))
            continue
        if not line:
            return _make_dark(hello, microscope, last, "the engine died", _end(hello.pid))
        with suppress(msgspec.MsgspecError):      # cut off: its end comes next
            last = msgspec.json.decode(line, type=Beat)
        with suppress(OSError):      # nobody listens any more: that is seen at the other pipe
            say(b"heard\n")
        if last.farewell:
            return _make_dark(hello, microscope, last, "the engine ended without proof of darkness") if last.lit else 0
        if last.lit and last.hung:
            ended = _end(hello.pid)
            return _make_dark(hello, microscope, last, "the engine's measuring thread hung while lit", ended)


def _read(stdin: BinaryIO, lines: "queue.SimpleQueue[bytes]") -> None:
    for line in stdin:
        lines.put(line)
    lines.put(b"")


def _make_dark(hello: Hello, microscope: MicroscopeFile, last: Beat, *told_before: str) -> int:
    """Switch off, prove it, tell. Returns 0 if darkness is proven."""
    told = list(told_before)
    began = time.monotonic()
    dark_utc_s: float | None = None
    found_lit = said = False
    while True:
        problem = ""
        if said and _taken(microscope):
            _tell(hello, last, [*told_before, "another engine has the laser now, and switched it off"], dark=True)
            return 0
        try:
            laser = connect_role(microscope, "laser")      # which switches it off if it emits
            found_lit = found_lit or laser.found_emitting
            try:
                laser = darken(laser, lambda: connect_role(microscope, "laser"))
                dark_utc_s = _utc_s(hello, laser.dark_between_s)
            finally:
                laser.close()
        except (InstrumentError, ProblemError) as error:
            problem = f"not yet dark: {error}"
        except Exception as error:  # noqa: BLE001 - whatever a library says: somebody has to go on trying
            problem = f"not yet dark: unexpected {type(error).__name__}: {error}"
        if dark_utc_s is not None:
            break
        if problem and problem not in told:
            told.append(problem)
        took_s = time.monotonic() - began
        if took_s > TRY_S and not said:
            said = True
            _tell(hello, last, [*told, "EMISSION COULD NOT BE PROVEN OFF: turn the key switch off"], dark=False)
        if took_s > (TRY_S if microscope.simulated else AT_MOST_S):
            return 1
        time.sleep(INSIST_S if said else 0.2)       # the port of a process just ended may need a moment
    took_s = time.monotonic() - began
    if last.journal:
        told.append(_book(Path(last.journal), dark_utc_s, microscope.speed, found_lit=found_lit))
    told.append(f"emission switched off and proven off {took_s:.2f} s after")
    _tell(hello, last, [text for text in told if text], dark=True)
    return 0


def _taken(microscope: MicroscopeFile) -> bool:
    """Whether an engine that somebody started meanwhile has the laser; its light is its own watchdog's business."""
    try:
        with Holding([("laser", microscope.laser.resource)]):
            return False
    except InUseError:
        return True
    except (ProblemError, OSError):
        return False


def _utc_s(hello: Hello, between_s: tuple[float, float] | None) -> float:
    """When light went, in the engine's real time; now if the head was found dark."""
    counter_s = sum(between_s) / 2.0 if between_s is not None else time.perf_counter()
    return hello.utc_zero_s + counter_s + asleep_s()


def _book(journal: Path, dark_utc_s: float, speed: float, *, found_lit: bool) -> str:
    """Book the light until now where the ledger of the engine cannot any more; says how much."""
    page = light_path(journal)
    if not page.exists():
        return ""
    try:
        return end_light(page, dark_utc_s, speed, found_lit=found_lit)
    except (ScanFileError, OSError, ValueError, IndexError) as error:
        return f"the light until then could not be booked ({error})"


def _end(pid: int) -> str:
    """Kill what is left of the engine, so that it can neither light again nor hold the port; says what it did."""
    try:
        os.kill(pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)   # Windows: both end it at once
    except ProcessLookupError:
        return ""
    except OSError as error:
        return f"process {pid} could not be ended ({error.strerror})"
    return f"process {pid} ended"


def _tell(hello: Hello, last: Beat, told: list[str], *, dark: bool) -> None:
    """Leave the word: a line in the log, an event in the journal."""
    at = datetime.now(UTC).isoformat()
    text = "watchdog: " + "; ".join(told)
    if last.journal and Path(last.journal).exists():
        try:
            note_in_journal(Path(last.journal), at=at, level="error", text=text)
        except sqlite3.Error as error:
            text += f"; the journal {last.journal} could not be told ({error})"
    line = msgspec.json.encode({"at": at, "pid": hello.pid, "dark": dark, "journal": last.journal, "text": text})
    with suppress(OSError), Path(hello.log).open("ab") as log:      # a full disk is no reason to stop trying
        log.write(line + b"\n")
        log.flush()
        os.fsync(log.fileno())


def main() -> int:
    """The watchdog's process."""
    argparse.ArgumentParser(
        prog="python -m halidescope.acquisition.watchdog",
        description="Makes the laser dark when the engine that started it dies; talks on standard input only.",
    ).parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)      # Ctrl-C is for the measurement, not for its guard

    def say(text: bytes) -> None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()

    return watch(sys.stdin.buffer, say)


if __name__ == "__main__":
    sys.exit(main())
