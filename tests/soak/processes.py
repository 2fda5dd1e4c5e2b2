"""What the soak kills: a simulated microscope that comes back on the same ports, an engine, a window."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.problems import ProblemError

SERVE = """
import json, sys
from halidescope.simulators.microscope import SimulatedMicroscope
options = json.loads(sys.argv[1])
control = options.pop("control")
with SimulatedMicroscope(control_port=control, **options) as simulated:
    print(json.dumps({"toml": simulated.microscope_toml()}), flush=True)
    sys.stdin.read()
"""
WINDOW = """
import sys
from pathlib import Path
from halidescope.gui.app import run_window
sys.exit(run_window(None, Path(sys.argv[1])))
"""


def free_ports(count: int) -> list[int]:
    """TCP ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def until(condition: Callable[[], object], what: str, timeout_s: float) -> float:
    """Wait for a condition; returns the seconds that it took, raises AssertionError when it takes too long."""
    start = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - start
        if waited_s > timeout_s:
            raise AssertionError(f"still waiting after {waited_s:.1f} s: {what}")
        time.sleep(0.002)
    return time.monotonic() - start


class Served:
    """A simulated microscope in its own process, with its control port."""

    def __init__(self, folder: Path, **options: Any) -> None:
        *ports, self._control_port = free_ports(4)
        self._options = {
            **options, "ports": dict(zip(("laser", "stage", "spectrometer"), ports, strict=True)),
            "control": self._control_port,
        }
        self.file = folder / "microscope.toml"
        self.start()

    def start(self) -> None:
        """Start it, or start it again where it was."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, json.dumps(self._options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        self.file.write_text(said["toml"] + "[stage.settings]\nsettle_wait_s = 0.3\n", encoding="utf-8")
        self._connection = socket.create_connection(("127.0.0.1", self._control_port), timeout=10.0)
        self._lines = self._connection.makefile("rb")

    def ask(self, **request: object) -> Any:
        """One line to the control port; the value it answers."""
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(self._lines.readline())
        assert "error" not in answer, answer
        return answer.get("value")

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """End it."""
        self._lines.close()
        self._connection.close()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


class Engine:
    """An engine in its own process, with a connection to it."""

    def __init__(self, served: Served, session: Path) -> None:
        self.session, self._served = session, served
        self.client = EngineClient.launch(served.file, session)
        self.pid = self.client.session.pid

    def signal(self, number: int) -> None:
        """Kill or stop it."""
        os.kill(self.pid, number)

    def reap(self) -> None:
        """Wait until it is gone, whoever ended it."""
        process = self.client._process
        assert process is not None
        process.wait(20)
        self.client.close()

    def close(self) -> None:
        """End it in good order."""
        try:
            self.client.quit()
        except ProblemError:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            self.reap()


class Window:
    """The real window, without a display, attached to an engine."""

    def __init__(self, session: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WINDOW, str(session)], env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    @property
    def running(self) -> bool:
        """False if it has ended by itself, which it must not."""
        return self._process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(20)
