"""The computer is kept awake while a measurement runs: asked over a real D-Bus, by a real engine, and let go after it.

The desktop (``org.gnome.SessionManager``) and the login manager (``org.freedesktop.login1``) are played by threads of
the test on a message bus of its own; wakepy, ``systemd-inhibit`` and the bus are the real ones.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jeepney import DBusAddress, HeaderFields, MessageType, message_bus, new_error, new_method_call, new_method_return
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan

from .conftest import Bench, until

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="needs dbus-daemon")

DESKTOP, LOGIN = "org.gnome.SessionManager", "org.freedesktop.login1"
REFUSED = "org.freedesktop.DBus.Error.AccessDenied"
LONG = {"kind": "time-series", "sample_power_uw": 5.0, "duration_s": 50000.0, "dark_spectra": 1,
        "sample": {"composition": 1.5}}


@dataclass
class Keeper:
    """Somebody on the bus who is asked to keep the computer awake: agrees, refuses, or never answers."""

    name: str
    mode: str = "agrees"
    asked: list[str] = field(default_factory=list)
    held: int = 0

    def serve(self, connection: DBusConnection) -> None:
        """Answer until told to stop."""
        while True:
            message = connection.receive()
            if message.header.message_type is not MessageType.method_call:
                continue
            member = message.header.fields[HeaderFields.member]
            if member == "Stop":
                connection.send(new_method_return(message))
                return
            self.asked.append(member)
            if self.mode == "refuses":
                connection.send(new_error(message, REFUSED, "s", ("not allowed here",)))
            elif self.mode == "agrees" and member == "Inhibit":
                self.held += 1
                if self.name == LOGIN:
                    self._hold(connection, message)
                else:
                    connection.send(new_method_return(message, "u", (7,)))
            elif self.mode == "agrees" and member == "Uninhibit":
                assert message.body == (7,)
                self.held -= 1
                connection.send(new_method_return(message))

    def _hold(self, connection: DBusConnection, message: object) -> None:
        """As logind does: one end of a pipe for the asker; the inhibition ends when the last copy of it is closed."""
        here, there = os.pipe()
        with open(there, "wb") as end:
            connection.send(new_method_return(message, "h", (end,)))

        def wait() -> None:
            with open(here, "rb") as pipe:
                pipe.read()
            self.held -= 1

        threading.Thread(target=wait, daemon=True).start()


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A message bus of the test's own, which is both the system's and the session's for what the test starts."""
    address = f"unix:path={tmp_path / 'bus'}"
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--nosyslog", f"--address={address}"], stderr=subprocess.DEVNULL
    )
    until((tmp_path / "bus").exists, "the message bus")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    yield address
    daemon.terminate()
    daemon.wait(60)


@pytest.fixture
def keeper(bus: str) -> Iterator[Callable[..., Keeper]]:
    """Puts keepers on the bus."""
    served: list[tuple[Keeper, threading.Thread, DBusConnection]] = []

    def put(name: str, mode: str = "agrees") -> Keeper:
        connection = open_dbus_connection(bus, enable_fds=True)
        connection.send_and_get_reply(message_bus.RequestName(name))
        made = Keeper(name, mode)
        thread = threading.Thread(target=made.serve, args=(connection,))
        thread.start()
        served.append((made, thread, connection))
        return made

    yield put
    with open_dbus_connection(bus) as asker:
        for made, thread, connection in served:
            asker.send_and_get_reply(new_method_call(DBusAddress("/", made.name, made.name), "Stop"))
            thread.join(60)
            assert not thread.is_alive()
            connection.close()


@pytest.fixture
def engine(bench: Bench, bus: str, tmp_path: Path) -> Iterator[EngineClient]:
    """An engine process with a watchdog, on the test's bus."""
    client = EngineClient.launch(bench.file(tmp_path), tmp_path / "session.json")
    yield client
    try:
        client.quit()
    except ProblemError:
        client._process.wait(60)
    client.close()


def run(engine: EngineClient, out: Path, during: Callable[[], object] = lambda: None) -> list[tuple[str, str]]:
    """Measure a while; what the file says about keeping awake, level and text."""
    engine.start(LONG, out)
    until(lambda: engine.status().done >= 1, "a spectrum")
    during()
    engine.abort()
    until(lambda: engine.status().state.ended, "the abort")
    assert engine.status().state is RunState.ABORTED, engine.status()
    return told_in(out)


def told_in(out: Path) -> list[tuple[str, str]]:
    """What a file or journal says about keeping awake, level and text."""
    with open_scan(out) as scan:
        return [(event.level, event.text) for event in scan.events if "awake" in event.text]


def held_by(asked: Keeper) -> Callable[[], None]:
    """For :func:`run`: assert that the computer is held now."""

    def check() -> None:
        assert asked.held == 1

    return check


@pytest.mark.skipif(shutil.which("systemd-inhibit") is None, reason="needs systemd-inhibit")
def test_an_engine_keeps_the_computer_awake_while_it_measures_and_lets_it_sleep_afterwards(engine, keeper, tmp_path):
    desktop, login = keeper(DESKTOP, "never answers"), keeper(LOGIN, "never answers")
    [(level, text)] = run(engine, tmp_path / "silent.nxs")         # and the watchdog takes it for alive
    assert (level, text.split(";")[0]) == ("warning", "nobody here can keep the computer awake")
    assert desktop.asked == login.asked == ["Inhibit"]

    desktop.mode = "agrees"
    told = run(engine, tmp_path / "desktop.nxs", held_by(desktop))
    assert told == [("info", f"the computer is kept awake ({DESKTOP})")]
    until(lambda: desktop.held == 0, "the desktop to be let go")
    assert login.asked == ["Inhibit"]

    desktop.mode, login.mode = "refuses", "agrees"
    engine.start(LONG, tmp_path / "killed.nxs")
    until(lambda: engine.status().done >= 1, "a spectrum")
    assert login.held == 1
    os.kill(engine.session.pid, signal.SIGKILL)
    until(lambda: login.held == 0, "a killed engine's hold to end")
    assert told_in(tmp_path / "killed.nxs") == [("info", "the computer is kept awake (systemd-inhibit)")]
