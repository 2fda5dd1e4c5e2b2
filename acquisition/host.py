"""The engine with everything around it: its thread, its door for other processes, its ring, its watchdog.

Used in this process by :mod:`halidescope.acquisition.run`, and as a process of its own by a window
(``python -m halidescope.acquisition.host --microscope FILE --session FILE``).
"""

import argparse
import os
import secrets
import signal
import sys
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, answer_challenge, deliver_challenge
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import platformdirs

from halidescope.acquisition.closes import Closes
from halidescope.acquisition.commander import Commander
from halidescope.acquisition.dose import DoseMap
from halidescope.acquisition.engine import Engine
from halidescope.acquisition.instruments import holding_of
from halidescope.acquisition.manual import LiveRequest
from halidescope.acquisition.microscope import MicroscopeFile, load_microscope
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.ring import RingWriter
from halidescope.acquisition.session import Session, default_session_path, write_session
from halidescope.acquisition.watchdog import WatchedPipe
from halidescope.drivers.errors import InstrumentError

MOST_PIXELS = 1_000_000    # of a dose map
FREE = frozenset({      # everybody's; the rest needs the command
    "status", "results", "events", "queue", "instruments", "dose_map", "dark_now", "abort", "take_command",
})
QUEUE = frozenset({"queue", "enqueue", "move", "remove", "hold", "skip"})
LOOPBACK = "127.0.0.1"
SWITCH_S = 0.0005     # how long another Python thread may keep the measurement waiting; 5 ms is Python's own


class Host(Closes):
    """Runs an engine until :meth:`close`, or until somebody at the door asks it to quit.

    Parameters
    ----------
    microscope : MicroscopeFile
    session : Path, optional
        Where to leave address and key for windows; without it nobody else can reach the engine.
    name : str
        What to call the microscope in the session file, e.g. its path.
    connect_now : bool
        Connect the instruments at once instead of with the first measurement; a failure is an event, not an error.
    """

    def __init__(
        self, microscope: MicroscopeFile, *, session: Path | None = None, name: str = "", connect_now: bool = False
    ) -> None:
        sys.setswitchinterval(SWITCH_S)
        self._session_path = session
        self._connect_now = connect_now
        log = (session or default_session_path()).with_suffix(".watchdog.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        self.ring = RingWriter()
        self.engine = Engine(
            microscope, guard=self, ring=self.ring, films=films_folder(microscope, session),
            holding=holding_of(microscope),
        )
        self.engine.can_ask = session is not None
        self.guard_log = log
        self.commander = Commander(self.engine.events.note)
        self._pipe = WatchedPipe(microscope, log, self._overdue, self._unguarded)
        self._connections: set[Connection] = set()
        self._hanging_up = threading.Lock()
        self._listener: Listener | None = None
        self._closing = False
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine")
        self._thread.start()
        if session is not None:
            try:
                self._open_door(session, name)
            except (OSError, ProblemError):
                self.close()
                raise

    # what the engine tells its guard

    def lit(self, lit: bool) -> None:
        """The light is about to go on, or is proven off."""
        if lit:
            self._pipe.ready()
            self.engine.alive()      # it may have taken the watchdog seconds to start: no hang of ours
        self._pipe.lit(lit)

    def journal(self, path: Path | None) -> None:
        """The journal of the running measurement."""
        self._pipe.journal(path)

    def _unguarded(self) -> None:
        """The watchdog has ended or hangs while lit: nothing stays lit without it."""
        try:
            self.engine.end_light("the watchdog has ended or hangs; nothing may be lit without it, start a new engine")
        except InstrumentError as error:
            self.engine.events.note(str(error), "error")

    def _overdue(self) -> bool:
        return time.monotonic() > self.engine.expected_by

    @property
    def watchdog_pid(self) -> int:
        """The watchdog's process."""
        return self._pipe.pid

    def _run(self) -> None:
        try:
            if self._connect_now:
                try:
                    self.engine.connection.connect()
                except (ProblemError, InstrumentError) as error:
                    self.engine.events.note(str(error), "error")
            self.engine.run()
        finally:
            self.ended.set()

    # the door for other processes

    def _open_door(self, path: Path, name: str) -> None:
        self._key = secrets.token_bytes(32)
        self._listener = Listener((LOOPBACK, 0))    # authenticated below, so that a silent caller keeps nobody waiting
        address, port = self._listener.address
        threading.Thread(target=self._receive, name="door", daemon=True).start()
        write_session(path, Session(
            address=str(address), port=int(port), authkey=self._key.hex(), pid=os.getpid(), ring=self.ring.name,
            microscope=name,
        ))

    def _receive(self) -> None:
        assert self._listener is not None
        while not self._closing:
            try:
                connection = self._listener.accept()
            except OSError:
                if self._closing:
                    return
                time.sleep(0.05)     # e.g. out of file descriptors: the next caller may have more luck
                continue
            threading.Thread(target=self._serve, args=(connection,), name="caller", daemon=True).start()

    def _serve(self, connection: Any) -> None:
        """One caller, until it hangs up."""
        who = ""
        self._connections.add(connection)
        try:
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            while True:
                request = connection.recv_bytes(1 << 20)
                answer, who = self._answer(request, who)
                connection.send_bytes(answer)
        except (EOFError, OSError, AuthenticationError):
            pass      # hung up, or has no key
        finally:
            if who:
                self.commander.left(who)
            self._hang_up(connection)

    def _hang_up(self, connection: Any) -> None:
        """Close a connection once: a second time its number may be that of another one, or of an instrument's port."""
        with self._hanging_up:
            if connection in self._connections:
                self._connections.discard(connection)
                connection.close()

    def _answer(self, request: bytes, who: str) -> tuple[bytes, str]:
        """Answer a request; ``who`` is the caller's name from its first request on, empty before."""
        try:
            asked = msgspec.json.decode(request, type=_Request)
            if not who:
                who = asked.who or "somebody"
                self.commander.arrived(who)
            if asked.call not in FREE:
                self.commander.require(who)
            return msgspec.json.encode({"ok": self._call(asked, who)}), who
        except (ProblemError, InstrumentError) as error:
            return msgspec.json.encode({"problem": str(error)}), who
        except (msgspec.MsgspecError, TypeError, KeyError) as error:
            return msgspec.json.encode({"problem": f"engine: request not understood ({error})"}), who

    def _call(self, asked: "_Request", who: str) -> object:
        engine, given = self.engine, asked.arguments
        match asked.call:
            case "status":
                return msgspec.structs.replace(engine.status(), commander=self.commander.name)
            case "results":
                return engine.results(given["first"])
            case "events":
                return engine.events.since(given["first"])
            case "take_command":
                self.commander.take(who)
            case "start":
                engine.door.start(given["recipe"], given["out"], resume=given.get("resume", False))
            case "pause":
                engine.pause()
            case "resume":
                engine.resume()
            case "abort":
                engine.abort()
            case "dark_now":
                engine.dark_now()
            case "answer":
                engine.answer(given["question"], given["choice"])
            case "quit":
                engine.door.quit()
            case _:
                return self._queue(asked) if asked.call in QUEUE else self._by_hand(asked)
        return None

    def _queue(self, asked: "_Request") -> object:
        engine, given = self.engine, asked.arguments
        match asked.call:
            case "queue":
                return engine.waiting.items()
            case "enqueue":
                return engine.enqueue(given["recipe"], given["out"], resume=given["resume"]).id
            case "move":
                engine.waiting.move(given["id"], given["place"])
            case "remove":
                engine.waiting.remove(given["id"])
            case "hold":
                engine.hold(given["on"])
            case "skip":
                engine.skip()
        return None

    def _by_hand(self, asked: "_Request") -> object:
        engine, given = self.engine, asked.arguments
        match asked.call:
            case "instruments":
                return engine.facts
            case "connect":
                return engine.door.ask(engine.connection.connect)
            case "disconnect":
                return engine.door.ask(engine.connection.disconnect)
            case "manual_move":
                x_um, y_um = given["x_um"], given["y_um"]
                if not (isinstance(x_um, int | float) and isinstance(y_um, int | float)):     # NaN travels as null
                    raise ProblemError(f"stage: ({x_um}, {y_um}) µm asked, which is no position; give two numbers")
                return engine.door.ask(lambda: engine.manual.move(x_um, y_um))
            case "stop_stage":
                engine.stop_stage()
            case "live":
                request = msgspec.convert(given, LiveRequest)
                engine.door.ask(lambda: engine.manual.begin_live(request))
            case "live_off":
                engine.door.ask(engine.manual.end_live)
            case "clear_fault":
                engine.door.ask(engine.manual.clear_fault)
            case "change_film":
                name, remounted = str(given["name"]), bool(given["remounted"])
                engine.door.ask(lambda: engine.change_film(name, remounted=remounted))
            case "take_dark":
                exposure_s, count = float(given["exposure_s"]), int(given["count"])
                return engine.door.ask(lambda: engine.manual.take_dark(exposure_s, count))
            case "dose_map":
                return self._dose_map(**given)
            case unknown:
                raise ProblemError(f"engine: unknown request '{unknown}'; window and engine are of different versions")
        return None

    def _dose_map(self, origin_um: list[float], size_um: list[float], shape: list[int]) -> DoseMap:
        (x_um, y_um), (width, height), (ny, nx) = origin_um, size_um, shape
        if not (width > 0 and height > 0 and ny > 0 and nx > 0 and ny * nx <= MOST_PIXELS):
            raise ProblemError(
                f"dose map: {nx} × {ny} pixels of {width:g} × {height:g} µm asked, allowed up to {MOST_PIXELS} pixels "
                "of a field above 0 µm; ask for a coarser one"
            )
        return self.engine.ledger.map((x_um, y_um), (width, height), (ny, nx), self.engine.clock.now_s())

    # the end

    def close(self) -> None:
        """End the measurement (dark, then the file), the engine, its door and its watchdog. Safe to call twice."""
        self.engine.door.quit()
        self._thread.join()
        if self._closing:
            return
        self._closing = True
        if self._session_path is not None:
            self._session_path.unlink(missing_ok=True)
        if self._listener is not None:
            _wake(self._listener)
            self._listener.close()
        for connection in list(self._connections):
            self._hang_up(connection)
        self._pipe.close()
        self.ring.close()


def films_folder(microscope: MicroscopeFile, session: Path | None) -> Path | None:
    """Where films' books are: the user's data folder; for a simulated microscope beside its session, if it has one."""
    if microscope.simulated:
        return session.parent / "films" if session is not None else None
    return platformdirs.user_data_path("halidescope", appauthor=False) / "films"


class _Request(msgspec.Struct, frozen=True):
    call: str
    who: str = ""
    arguments: dict[str, Any] = {}


def _wake(listener: Listener) -> None:
    """End an accept that waits in another thread: closing its socket does not."""
    import socket

    with socket.socket() as caller:
        caller.settimeout(1.0)
        caller.connect_ex(listener.address)


def _end_with_stdin(host: Host) -> None:
    """Quit when standard input ends; past Python's buffer, whose lock a thread may not hold at the exit."""
    while os.read(0, 4096):
        continue
    host.engine.door.quit()


def main() -> int:
    """The engine's process of a window; ends on the window's `quit`, SIGTERM or SIGINT, always dark."""
    parser = argparse.ArgumentParser(prog="python -m halidescope.acquisition.host", description=__doc__)
    parser.add_argument("--microscope", type=Path, required=True, help="the microscope file")
    parser.add_argument("--session", type=Path, default=default_session_path(), help="where to leave address and key")
    parser.add_argument("--until-stdin-ends", action="store_true", help="also end with whoever holds standard input")
    given = parser.parse_args()
    try:
        microscope = load_microscope(given.microscope)
        host = Host(microscope, session=given.session, name=str(given.microscope.absolute()), connect_now=True)
    except ProblemError as error:
        sys.stderr.write(f"{error}\n")
        return 1

    def end(number: int, frame: FrameType | None) -> None:
        host.engine.door.quit()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if given.until_stdin_ends:
        threading.Thread(target=_end_with_stdin, args=(host,), name="opener", daemon=True).start()
    # from here on nobody reads our complaints: the window that started us may be gone
    with given.session.with_suffix(".log").open("ab") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    while not host.ended.wait(0.5):
        pass
    host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
