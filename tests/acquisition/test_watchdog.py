"""The watchdog alone, on a laser that somebody left lit."""

import io
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from halidescope.acquisition import watchdog
from halidescope.acquisition.holding import Holding
from halidescope.acquisition.instruments import connect_role
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.watchdog import WatchedPipe
from halidescope.drivers.errors import ConnectionLostError

from .conftest import until
from .test_safety import MICROSCOPE

HANGS = """
import sys
from pathlib import Path
from halidescope.acquisition.microscope import load_microscope
from halidescope.acquisition.watchdog import WatchedPipe
pipe = WatchedPipe(load_microscope(Path(sys.argv[1])), Path(sys.argv[2]), lambda: True)
pipe.lit(True)
sys.stdin.read()
"""


STUCK = """
import sys, threading, time
from pathlib import Path
from halidescope.acquisition.host import Host
from halidescope.acquisition.microscope import load_microscope
from halidescope.drivers.ocean import OceanSpectrometer
acquire = OceanSpectrometer.acquire
def stuck(self):
    if host.engine.status().done >= 3:
        print("stuck", flush=True)
        threading.Event().wait()
    return acquire(self)
OceanSpectrometer.acquire = stuck
host = Host(load_microscope(Path(sys.argv[1])), session=Path(sys.argv[2]))
host.engine.door.start({"kind": "time-series", "sample_power_uw": 120.0, "duration_s": 5000.0}, sys.argv[3])
"""


@pytest.fixture
def left_lit(bench):
    """A laser that emits, and nobody connected to it."""
    laser = connect_role(bench.microscope, "laser")
    laser.set_power(10.0)
    laser.turn_on()
    laser.close()
    until(lambda: bench.ask(get="laser.emission"), "light")
    return bench


def test_a_farewell_without_proof_of_darkness_is_acted_upon_and_nobody_is_killed(left_lit, tmp_path):
    log = tmp_path / "watchdog.log"
    pipe = WatchedPipe(left_lit.microscope, log, lambda: False)
    pipe.lit(True)
    pipe.close()
    assert left_lit.ask(get="laser.emission") is False
    told = json.loads(log.read_text())
    assert told["dark"] is True
    assert "without proof of darkness" in told["text"]


def test_a_farewell_in_the_dark_leaves_no_trace(bench, tmp_path):
    pipe = WatchedPipe(bench.microscope, tmp_path / "watchdog.log", lambda: False)
    pipe.lit(True)
    pipe.lit(False)
    pipe.close()
    assert not (tmp_path / "watchdog.log").exists()


def test_a_watchdog_that_hangs_is_as_good_as_dead(bench, tmp_path, monkeypatch):
    missed = threading.Event()
    pipe = WatchedPipe(bench.microscope, tmp_path / "watchdog.log", lambda: False, missed.set)
    try:
        pipe.lit(True)
        os.kill(pipe.pid, signal.SIGSTOP)
        monkeypatch.setattr("halidescope.acquisition.watchdog.DEAF_S", 0.5)
        assert missed.wait(90.0)
        with pytest.raises(ProblemError, match=r"gave no answer for 0.5 s"):
            pipe.lit(True)
    finally:
        os.kill(pipe.pid, signal.SIGCONT)
        pipe.lit(False)
        pipe.close()


def test_whatever_a_library_says_the_watchdog_goes_on_trying(left_lit, tmp_path, monkeypatch):
    answers = iter([ValueError("not in the book"), RuntimeError("nor this")])

    def connect(microscope, role):
        if (problem := next(answers, None)) is not None:
            raise problem
        return connect_role(microscope, role)

    monkeypatch.setattr("halidescope.acquisition.watchdog.connect_role", connect)
    hello = watchdog.Hello(2**22 + 1, left_lit.microscope.toml_text(), str(tmp_path / "log"))
    beats = b'{"lit":true}\n{"lit":tr'      # cut off in the middle of a word
    with io.BytesIO(watchdog.msgspec.json.encode(hello) + b"\n" + beats) as stdin:
        assert watchdog.watch(stdin, lambda said: None) == 0
    assert left_lit.ask(get="laser.emission") is False
    assert "unexpected ValueError: not in the book" in json.loads((tmp_path / "log").read_text())["text"]


def test_an_engine_whose_measuring_thread_hangs_is_ended_and_made_dark(left_lit, tmp_path):
    log = tmp_path / "watchdog.log"
    engine = subprocess.Popen(
        [sys.executable, "-c", HANGS, str(left_lit.file(tmp_path)), str(log)], stdin=subprocess.PIPE
    )
    assert engine.wait(60) == -signal.SIGKILL
    engine.stdin.close()
    until(lambda: left_lit.ask(get="laser.emission") is False, "darkness")
    until(lambda: log.exists() and log.read_text().endswith("\n"), "the watchdog's word")
    assert "measuring thread hung" in json.loads(log.read_text())["text"]


def test_a_measuring_thread_that_is_stuck_is_made_dark(bench, tmp_path):
    """Its process is alive and its heart beats; only the thread that measures waits for ever."""
    engine = subprocess.Popen(
        [sys.executable, "-c", STUCK, *map(str, (
            bench.file(tmp_path), tmp_path / "session.json", tmp_path / "x.nxs"
        ))],
        stdout=subprocess.PIPE,
    )
    assert engine.stdout.readline() == b"stuck\n"
    until(lambda: bench.ask(get="laser.emission") is False, "darkness")
    assert bench.ask(get="film.energy_j") > 0.0       # it was lit
    assert engine.wait(60) == -signal.SIGKILL
    engine.stdout.close()
    log = tmp_path / "session.watchdog.log"
    until(lambda: log.exists() and log.read_text().endswith("\n"), "the watchdog's word")
    assert "measuring thread hung" in json.loads(log.read_text())["text"]


def test_engine_watchdog_and_client_load_nothing_that_only_an_analysis_computes_with():
    """They start in half the time so, every one of them."""
    program = (
        "import sys, halidescope.acquisition.host, halidescope.acquisition.watchdog, halidescope.acquisition.client\n"
        "print([name for name in ('numba', 'scipy.optimize', 'scipy.stats', 'scipy.spatial') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_real_laser_is_fought_for_until_another_engine_has_it(tmp_path, monkeypatch):
    for name, value in {"TRY_S": 0.0, "INSIST_S": 0.01}.items():
        monkeypatch.setattr(f"halidescope.acquisition.watchdog.{name}", value)
    held, tries = [], []

    def fail(microscope, role):
        tries.append(role)
        if len(tries) == 5:      # somebody starts a new engine
            held.append(Holding([("laser", microscope.laser.resource)]))
            held[0].take()
        raise ConnectionLostError("laser", "nobody answers")

    monkeypatch.setattr("halidescope.acquisition.watchdog.connect_role", fail)
    hello = watchdog.Hello(2**22 + 1, MICROSCOPE.toml_text(), str(tmp_path / "log"))
    with io.BytesIO(watchdog.msgspec.json.encode(hello) + b'\n{"lit":true}\n') as stdin:
        assert watchdog.watch(stdin, lambda said: None) == 0
    held[0].give_back()
    assert len(tries) == 5
    vain, over = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert "COULD NOT BE PROVEN OFF" in vain["text"]
    assert "another engine has the laser now" in over["text"]


def test_a_laser_that_cannot_be_reached_is_said_loudly(make_bench, tmp_path, monkeypatch):
    monkeypatch.setattr("halidescope.acquisition.watchdog.TRY_S", 0.5)
    bench = make_bench()
    text = bench.microscope.toml_text().replace(bench.microscope.laser.resource, "TCPIP::127.0.0.1::1::SOCKET")
    read, write = os.pipe()
    hello = watchdog.Hello(2**22 + 1, text, str(tmp_path / "log"))
    os.write(write, watchdog.msgspec.json.encode(hello) + b"\n")
    os.close(write)
    with os.fdopen(read, "rb") as stdin:
        assert watchdog.watch(stdin, lambda said: None) == 1
    told = json.loads((tmp_path / "log").read_text())
    assert told["dark"] is False
    assert "COULD NOT BE PROVEN OFF" in told["text"]
    assert "TCPIP::127.0.0.1::1::SOCKET" in told["text"]
