"""The engine as a process: clients come and go, a killed engine is made dark, and nothing acknowledged is lost."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import closing

import pytest

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.session import read_session
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import finish, open_scan
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import Bench, until

LONG = {"kind": "time-series", "sample_power_uw": 120.0, "duration_s": 50000.0, "dark_spectra": 2,
        "sample": {"composition": 1.5}}
SMALL = {"kind": "raster-map", "sample_power_uw": 5.0, "origin_um": [20.0, 20.0], "size_um": [8.0, 8.0],
         "dark_spectra": 2, "sample": {"composition": 1.5}}


@pytest.fixture(scope="module")
def bench():
    """One simulated microscope for all tests here; every one ends or kills the engine that it starts."""
    with SimulatedMicroscope(speed=60.0, seed=1) as simulated, closing(Bench(simulated)) as shared:
        yield shared


@pytest.fixture
def launch(bench, tmp_path):
    """Launches engine processes; ends them after the test, those that a test has stopped or killed included."""
    clients = []

    def start(session=tmp_path / "session.json"):
        client = EngineClient.launch(bench.file(tmp_path), session)
        clients.append(client)
        return client

    yield start
    for client in clients:
        try:
            client.quit()
        except ProblemError:
            client._process.kill()
            client._process.wait(60)
        client.close()


def test_a_window_starts_watches_and_leaves_and_another_one_attaches(bench, launch, tmp_path):
    client = launch()
    session = tmp_path / "session.json"
    assert stat.S_IMODE(session.stat().st_mode) == 0o600
    until(lambda: client.status().position_um is not None, "idle instruments to be shown")
    client.start(LONG, tmp_path / "long.nxs")
    until(lambda: client.status().done >= 3, "3 spectra")
    ring = client.ring()
    newest = ring.newest()
    assert newest.counts.shape == ring.wavelength_nm.shape
    assert newest.counts.max() > newest.dark_level
    ring.close()
    client.close()                                    # the window is gone

    with EngineClient.attach(session) as other:
        done = other.status().done
        until(lambda: other.status().done > done, "the measurement to go on")
        with pytest.raises(ProblemError, match="runs already"):
            EngineClient.launch(tmp_path / "microscope.toml", session)
        until(lambda: other.results(0).count >= 3, "online results")
        results = other.results(1)
        assert results.first == 1
        assert results.references == []
        assert len(results.shares) == results.count - 1
        other.abort()
        until(lambda: other.status().state.ended, "end")
        assert other.status().state is RunState.ABORTED
        assert any("saved" in event.text for event in other.events())
        other.start(SMALL, tmp_path / "map.nxs")
        until(lambda: other.status().state.ended, "end of the map")
        assert other.status().state is RunState.FINISHED, other.status()
        with pytest.raises(ProblemError, match="exists and is never overwritten"):
            other.start(SMALL, tmp_path / "map.nxs")
        with pytest.raises(ProblemError, match=r"unknown key '.*powr'"):
            other.start({**SMALL, "powr": 3}, tmp_path / "new.nxs")
        other.quit()
    until(lambda: not session.exists(), "the session file to go")
    with open_scan(tmp_path / "map.nxs") as scan:
        assert scan.valid.all()


@pytest.mark.parametrize("wanted", [1, 23])
def test_a_killed_engine_is_made_dark_and_its_journal_can_be_finished(bench, launch, tmp_path, wanted):
    client = launch()
    out = tmp_path / "killed.nxs"
    client.start(LONG, out)
    until(lambda: client.status().done >= wanted, f"{wanted} spectra")
    acknowledged = client.status().done
    assert bench.ask(get="laser.emission") is True
    os.kill(client.session.pid, signal.SIGKILL)
    until(lambda: not bench.ask(get="laser.emission"), "darkness")     # how soon: the soak
    log = tmp_path / "session.watchdog.log"
    until(lambda: log.exists() and log.read_text().endswith("\n"), "the watchdog's word")
    assert json.loads(log.read_text())["dark"] is True
    with open_scan(journal_path(out)) as scan:
        assert scan.valid.sum() >= acknowledged
        assert scan.valid.all()
        assert scan.damaged == ()
        assert scan.metadata["state"] == "cut off"
        assert "proven off" in scan.events[-1].text
        spectra = scan.spectra
    with pytest.raises(ProblemError, match=r"gone|does not answer"):
        client.status()
    client._process.wait(60)
    finish(out)
    with open_scan(out) as scan:
        assert (scan.spectra == spectra).all()
        assert scan.metadata["state"] == "cut off"


def test_a_hanging_engine_is_ended_and_made_dark(bench, launch, tmp_path):
    client = launch()
    client.start(LONG, tmp_path / "hung.nxs")
    until(lambda: client.status().done >= 2, "2 spectra")
    os.kill(client.session.pid, signal.SIGSTOP)
    until(lambda: not bench.ask(get="laser.emission"), "darkness")     # how soon: the soak
    assert client._process.wait(60) == -signal.SIGKILL
    with open_scan(tmp_path / "hung.nxs") as scan:
        assert scan.valid.sum() >= 2


def test_a_window_that_is_killed_leaves_the_measurement_running(bench, tmp_path):
    session = tmp_path / "session.json"
    window = (
        "import json, os, signal, sys\n"
        "from halidescope.acquisition.client import EngineClient\n"
        "client = EngineClient.launch(sys.argv[1], sys.argv[2])\n"
        "client.start(json.loads(sys.argv[3]), sys.argv[4])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    out = tmp_path / "long.nxs"
    died = subprocess.run(
        [sys.executable, "-c", window, str(bench.file(tmp_path)), str(session), json.dumps(LONG), str(out)], check=False
    )
    assert died.returncode == -signal.SIGKILL
    with EngineClient.attach(session) as client:
        until(lambda: client.status().done >= 5, "spectra")
        assert bench.ask(get="laser.emission") is True
        client.quit()
    until(lambda: not session.exists(), "the engine to end")
    assert bench.ask(get="laser.emission") is False
    with open_scan(out) as scan:
        assert scan.metadata["reason"] == "the engine was asked to end"


def test_only_who_has_the_key_is_heard(launch, tmp_path):
    client = launch()
    session = read_session(tmp_path / "session.json")
    with socket.create_connection((session.address, session.port), timeout=60.0) as silent:
        # a caller that says nothing keeps nobody else waiting
        with EngineClient.attach(tmp_path / "session.json") as other:
            assert other.status().state is RunState.IDLE
        silent.sendall(b"\0\0\0\4quit")
        with EngineClient.attach(tmp_path / "session.json") as other:
            assert other.status().state is RunState.IDLE
    assert client.status().state is RunState.IDLE


def test_an_engine_that_cannot_start_says_why(tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[laser]\nmodel = "x"\nlaser_colour = 3\n', encoding="utf-8")
    with pytest.raises(ProblemError, match=r"unknown key 'laser.laser_colour'"):
        EngineClient.launch(wrong, tmp_path / "session.json")
    done = subprocess.run(
        [sys.executable, "-m", "halidescope.acquisition.host", "--microscope", str(tmp_path / "none.toml"), "--session",
         str(tmp_path / "s.json")], capture_output=True, text=True, check=False,
    )
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
