"""The simulated microscope in a process of its own ends with its parent, however that ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

STARTED = """
import sys, time
from pathlib import Path
from halidescope.gui.simulated import SimulatorProcess

with SimulatorProcess(Path(sys.argv[1]), speed=30.0, film=1.5) as simulator:
    control = simulator.devices[-1]
    print(simulator._process.pid, control["port"], flush=True)
    time.sleep(600)
"""


def ended(pid: int) -> bool:
    """True if there is no such process, or only its exit code is left."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_simulators_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTED, str(tmp_path / "microscope.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, port = (int(word) for word in parent.stdout.readline().split())
        socket.create_connection(("127.0.0.1", port), 60.0).close()
        assert not ended(pid)
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 60.0
    try:
        while not ended(pid) and time.monotonic() < end:
            time.sleep(0.02)
        assert ended(pid)
    finally:
        if not ended(pid):
            os.kill(pid, signal.SIGKILL)
