"""A simulated microscope in a process of its own: started, described, asked for the truth, stopped.

It ends with the process that started it, also if that is killed.

Used by the demo and the welcome page. Measurements reach it only through its microscope file.
"""

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from halidescope.acquisition.problems import ProblemError

STOP_WITHIN_S = 5.0
REPLY_WITHIN_S = 5.0


class SimulatorProcess:
    """``halidescope simulate`` as a child process, with its control port.

    Parameters
    ----------
    microscope_file : Path
        Where the matching microscope file is written.
    speed : float
        Microscope seconds per second.
    film : float
        Composition x of the film.
    """

    def __init__(self, microscope_file: Path, *, speed: float, film: float, seed: int | None = None) -> None:
        self.microscope_file = microscope_file
        command = [sys.executable, "-m", "halidescope.gui.cli", "simulate", "--json", "--control", "0"]
        command += ["--until-stdin-ends"]
        command += ["--speed", str(speed), "--film", str(film), "--microscope-out", str(microscope_file)]
        if seed is not None:
            command += ["--seed", str(seed)]
        self._command = command

    def __enter__(self) -> Self:
        # a session of its own: on Ctrl-C the engine must go dark while the line is still alive
        # nothing is written on its standard input: it ends with this process, even one that is killed
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self.devices: list[dict[str, object]] = []
        for line in self._process.stdout:
            if line.strip() == "ready":
                break
            self.devices.append(json.loads(line))
        else:
            self._process.wait()
            raise ProblemError("the simulated microscope did not start; run `halidescope simulate` to see why")
        control = next(device for device in self.devices if device["role"] == "control")
        self._control = socket.create_connection((str(control["host"]), int(str(control["port"]))), REPLY_WITHIN_S)
        self._replies = self._control.makefile("rb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._replies.close()
        self._control.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def ask(self, request: dict[str, object]) -> object:
        """Send one request to the control port; the value of the reply, or True for a plain ok.

        Raises
        ------
        ProblemError
            The simulator refused the request.
        """
        self._control.sendall(msgspec.json.encode(request) + b"\n")
        reply = msgspec.json.decode(self._replies.readline())
        if "error" in reply:
            raise ProblemError(f"simulated microscope: {reply['error']}")
        return reply.get("value", True)
