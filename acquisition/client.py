"""The other side of the door: how a window (or a script) talks to an engine in another process."""

import os
import subprocess
import sys
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from halidescope.acquisition.closes import Closes
from halidescope.acquisition.dose import DoseMap
from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.manual import LIVE_DOSE_J_CM2, LIVE_S, DarkTaken
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.records import Event
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.ring import RingReader
from halidescope.acquisition.session import Session, default_session_path, read_session
from halidescope.acquisition.states import Status
from halidescope.acquisition.waiting import QueueItem

T = TypeVar("T")

START_S = 30.0     # real seconds that an engine may take to open its door
ANSWER_S = 60.0    # real seconds that any answer may take; starting includes connecting three instruments


class EngineClient(Closes):
    """One connection to an engine; may be shared by threads, calls then wait for each other.

    Every method raises :class:`ProblemError` with the engine's own sentence if the engine refuses, or with one of its
    own if the engine is gone. One caller at a time commands, others watch: whoever commands first has the command,
    until its last connection closes or another takes it. *Dark now* and abort are everybody's.

    Parameters
    ----------
    process : Popen, optional
        The engine's process, if we started it.
    name : str, optional
        Who commands, as others see it. Connections of the same name are one caller; by default user and process.
    """

    def __init__(
        self, session: Session, process: subprocess.Popen[bytes] | None = None, *, name: str | None = None
    ) -> None:
        self.session = session
        self.name = name or default_name()
        self._process = process     # kept so that an engine that we started is also reaped by us
        self._lock = threading.Lock()
        try:
            self._connection: Connection = Client(
                (session.address, session.port), authkey=bytes.fromhex(session.authkey)
            )
        except (OSError, EOFError, AuthenticationError) as error:
            raise ProblemError(f"engine {session.pid}: does not answer at {session.address}:{session.port} ({error}); "
                               "it has ended, start a new one") from error

    @classmethod
    def launch(
        cls, microscope_path: Path | str, session: Path | str | None = None, *, bound: bool = False
    ) -> "EngineClient":
        """Start an engine in its own process, which survives this one, and connect to it.

        Parameters
        ----------
        microscope_path : Path
            The microscope file.
        session : Path, optional
            Where the engine leaves its address; the user's runtime folder by default.
        bound : bool
            The engine ends with this process, also if that is killed: for simulated instruments, which do so too.

        Raises
        ------
        ProblemError
            An engine runs there already, or the new one did not come up; the text holds what it said.
        """
        path = free_session(Path(session) if session is not None else None)
        process = subprocess.Popen(
            [sys.executable, "-m", "halidescope.acquisition.host", "--microscope", str(microscope_path),
             "--session", str(path), *(["--until-stdin-ends"] if bound else [])],
            stdin=subprocess.PIPE if bound else subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            cwd=os.getcwd(), start_new_session=True,
        )
        said = _Said(process)
        give_up = time.monotonic() + START_S
        while not path.exists():
            if process.poll() is not None:
                raise ProblemError(said.text() or f"engine ended with code {process.returncode} before it was ready")
            if time.monotonic() > give_up:
                process.kill()
                process.wait()
                raise ProblemError(f"engine did not open its door within {START_S:g} s; is the computer overloaded?")
            said.closed.wait(0.02)
        return cls(read_session(path), process)

    @classmethod
    def attach(cls, session: Path | str | None = None, *, name: str | None = None) -> "EngineClient":
        """Connect to a running engine through its session file."""
        return cls(read_session(Path(session) if session is not None else default_session_path()), name=name)

    def _ask(self, call: str, kind: type[T] | Any = None, **arguments: object) -> T:
        with self._lock:
            try:
                request = {"call": call, "who": self.name, "arguments": arguments}
                self._connection.send_bytes(msgspec.json.encode(request))
                if not self._connection.poll(ANSWER_S):
                    raise ProblemError(f"engine {self.session.pid}: no answer to {call} within {ANSWER_S:g} s")
                reply = self._connection.recv_bytes()
            except (OSError, EOFError) as error:
                raise ProblemError(
                    f"engine {self.session.pid}: gone while asked to {call} ({error or 'connection closed'}); "
                    "its journal is safe, start a new engine"
                ) from error
        answer = msgspec.json.decode(reply)
        if "problem" in answer:
            raise ProblemError(answer["problem"])
        return msgspec.convert(answer["ok"], kind)

    def status(self) -> Status:
        """The engine's present moment."""
        return self._ask("status", Status)

    def start(self, recipe: dict[str, object], out: Path | str, *, resume: bool = False) -> None:
        """Start a measurement; returns when the engine has accepted it. ``out`` is the file it will become.

        With ``resume`` what is there of the file, cut off or aborted, is completed.
        """
        self._ask("start", recipe=recipe, out=str(Path(out).absolute()), resume=resume)

    def pause(self) -> None:
        """Beam off within one exposure, then wait."""
        self._ask("pause")

    def resume(self) -> None:
        """Go on after a pause."""
        self._ask("resume")

    def abort(self) -> None:
        """End the measurement now: dark, then the file."""
        self._ask("abort")

    def dark_now(self) -> None:
        """Switch emission off at once, verified, whatever runs; a running measurement is aborted."""
        self._ask("dark_now")

    # who commands

    def take_command(self) -> None:
        """Have the command from now on, also if another caller has it."""
        self._ask("take_command")

    # the queue

    def enqueue(self, recipe: dict[str, object], out: Path | str, *, resume: bool = False) -> int:
        """Put a measurement at the end of the queue; it begins when its turn comes, at once if nothing else runs.

        Recipe, file and limits are judged now, and again when its turn comes. After a measurement that did not finish
        the queue holds; see ``status().queue_reason``.

        Returns
        -------
        int
            What :meth:`move` and :meth:`remove` call it.
        """
        return self._ask("enqueue", int, recipe=recipe, out=str(Path(out).absolute()), resume=resume)

    def queue(self) -> list[QueueItem]:
        """What of the queue is over, runs and waits, in the order of running."""
        return self._ask("queue", list[QueueItem])

    def move(self, item: int, place: int) -> None:
        """Give a waiting measurement another place, 0 being the next to run."""
        self._ask("move", id=item, place=place)

    def remove(self, item: int) -> None:
        """Take a measurement that waits or is over out of the queue."""
        self._ask("remove", id=item)

    def hold(self, on: bool) -> None:
        """Do not begin the next one when the present one is over; False: go on."""
        self._ask("hold", on=on)

    def skip(self) -> None:
        """End the running measurement of the queue, dark, its file finished, and go on with the next."""
        self._ask("skip")

    def answer(self, question: int, choice: str) -> None:
        """Answer the question that the status shows, by its id."""
        self._ask("answer", question=question, choice=choice)

    # manual control, while no measurement runs

    def connect(self) -> None:
        """Connect the instruments, if they are not."""
        self._ask("connect")

    def disconnect(self) -> None:
        """Close the instruments' ports, so that other programs can use them."""
        self._ask("disconnect")

    def instruments(self) -> InstrumentFacts:
        """What the instruments are and allow, as of the last look at them; waits for nothing."""
        return self._ask("instruments", InstrumentFacts)

    def change_film(self, name: str, *, remounted: bool = False) -> None:
        """Say which film is under the objective; the dose ledger goes on with what it knows of it.

        A recipe that names its sample does so by itself. ``remounted``: it was taken off and put back, so that its
        spots are elsewhere now; what is known of it is set aside.
        """
        self._ask("change_film", name=name, remounted=remounted)

    def manual_move(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Move the stage and wait for it, also under a live view; returns the position read, in µm."""
        return self._ask("manual_move", tuple[float, float], x_um=x_um, y_um=y_um)

    def stop_stage(self) -> None:
        """Stop the stage now; a move that is under way fails."""
        self._ask("stop_stage")

    def live(
        self, sample_power_uw: float | None, exposure_s: float, *, averages: int = 1,
        dose_cap_j_cm2: float = LIVE_DOSE_J_CM2, max_s: float = LIVE_S,
    ) -> None:
        """Begin a live view, or change the one that is on: spectra go into the ring, nothing is kept.

        Parameters
        ----------
        sample_power_uw : float or None
            Light at the sample in µW; None: the laser stays dark.
        averages : int
            Spectra averaged into one.
        dose_cap_j_cm2, max_s : float
            Peak dose, and microscope seconds, after which it ends by itself.
        """
        self._ask(
            "live", sample_power_uw=sample_power_uw, exposure_s=exposure_s, averages=averages,
            dose_cap_j_cm2=dose_cap_j_cm2, max_s=max_s,
        )

    def live_off(self) -> None:
        """End the live view; dark now is faster and needs no command."""
        self._ask("live_off")

    def clear_fault(self) -> None:
        """Clear the laser's latched fault, once its cause is mended; emission stays off."""
        self._ask("clear_fault")

    def take_dark(self, exposure_s: float, count: int = 10) -> DarkTaken:
        """Average dark spectra, the laser proven off; a live view at that exposure shows their level."""
        return self._ask("take_dark", DarkTaken, exposure_s=exposure_s, count=count)

    def dose_map(
        self, origin_um: tuple[float, float], size_um: tuple[float, float], shape: tuple[int, int]
    ) -> DoseMap:
        """How much light the film has had in this session, on a grid of ``shape`` = (ny, nx) pixels."""
        return self._ask("dose_map", DoseMap, origin_um=origin_um, size_um=size_um, shape=shape)

    def quit(self) -> None:
        """End the engine, its measurement first; returns when it has said that it will."""
        self._ask("quit")
        self.close()
        if self._process is not None:
            self._process.wait(ANSWER_S)

    def results(self, first: int = 0) -> OnlineResults:
        """The online analysis, per-spectrum rows from ``first`` on."""
        return self._ask("results", OnlineResults, first=first)

    def events(self, first: int = 0) -> list[Event]:
        """Events from number ``first`` on."""
        return self._ask("events", list[Event], first=first)

    def ring(self) -> RingReader:
        """The engine's ring of spectra."""
        return RingReader.attach(self.session.ring)

    def close(self) -> None:
        """Close the connection; the engine goes on. Safe to call twice."""
        self._connection.close()


def default_name() -> str:
    """User and process, as others see who commands."""
    user = os.environ.get("USER") or os.environ.get("USERNAME") or "somebody"
    return f"{user} (process {os.getpid()})"


def free_session(path: Path | None = None) -> Path:
    """A session file for a new engine, the user's own by default; raises ProblemError if an engine runs there."""
    path = path if path is not None else default_session_path()
    try:
        running = EngineClient.attach(path)
    except ProblemError:
        path.unlink(missing_ok=True)       # of an engine that has ended
        return path
    pid = running.session.pid
    running.close()
    raise ProblemError(f"engine {pid} runs already (session file {path}); attach to it or end it first")


class _Said(threading.Thread):
    """Reads what a starting engine complains about, and reaps it when it ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(name="engine's complaints", daemon=True)
        self._process = process
        self._lines: list[bytes] = []
        self.closed = threading.Event()
        self.start()

    def run(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        with stream:
            for line in stream:
                self._lines = [*self._lines[-20:], line]
        self.closed.set()
        self._process.wait()      # so that an engine that ends long after its window was closed is no zombie
        if self._process.stdin is not None:
            self._process.stdin.close()

    def text(self) -> str:
        self.closed.wait(2.0)
        return b"".join(self._lines).decode(errors="replace").strip()
