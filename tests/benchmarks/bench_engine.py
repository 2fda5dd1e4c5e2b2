"""What the engine costs per point: a 51 × 51 map at the shortest exposure, against peers on the same devices, same run.

``pytest -m benchmark -s tests/benchmarks/bench_engine.py``. The peers (Bluesky, pymmcore-plus, QCoDeS) are looked for
in the Python that ``PEERS_PYTHON`` names, with h5py and numpy; without it they are said to be missing and only the
engine is measured. On the wire the devices are simulators in another process, driven by our drivers for the engine and
by bare sockets for Bluesky, which makes its devices cheaper than ours. In process the devices answer at once, the same
for all.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from halidescope.acquisition.engine import Engine
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.microscope import MicroscopeFile, parse_microscope
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.ring import RingWriter
from halidescope.drivers.roles import Identity, LaserState, Spectrum

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

SIDE = 51
PIXELS = 2068
PEERS = Path(__file__).parent / "engine_peers.py"
SERVER = """
import json, sys
from halidescope.simulators.microscope import SimulatedMicroscope
with SimulatedMicroscope(speed=float(sys.argv[1]), control_port=None, seed=1) as simulated:
    print(json.dumps({
        "toml": simulated.microscope_toml(), "ports": {one.role: [one.host, one.port] for one in simulated.devices}
    }), flush=True)
    sys.stdin.read()
"""
SPEED = 1000.0      # the shortest exposure, 6 ms, is 6 µs then: what is left is everybody's overhead


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the numbers are what the benchmark is for


@contextmanager
def served(speed: float) -> Iterator[dict[str, Any]]:
    """A simulated microscope in another process: its file and its ports."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(speed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


def peers(what: str, *arguments: str) -> dict[str, float] | None:
    """Median µs per point of every peer that is installed, by :mod:`engine_peers`; None if nobody told where."""
    python = os.environ.get("PEERS_PYTHON")
    if python is None:
        say(f"{what}: peers not measured, PEERS_PYTHON names no Python with bluesky, pymmcore-plus and qcodes")
        return None
    done = subprocess.run([python, str(PEERS), what, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


class Free:
    """Devices in this process that answer at once."""

    device = "fake (here)"
    identity = Identity("nobody", "fake", "1", "1")
    wavelength_nm: Any = 405.0

    def close(self) -> None:
        """Nothing to close."""


class FreeLaser(Free):
    power_limits_mw = (0.0, 100.0)
    power_setpoint_mw = 0.0
    emission = False
    interlock_closed = True
    fault = None
    lit_between_s = None
    dark_between_s = None
    state = LaserState.OFF

    @property
    def power_mw(self) -> float:
        return self.power_setpoint_mw if self.emission else 0.0

    def set_power(self, power_mw: float) -> None:
        self.power_setpoint_mw = power_mw

    def turn_on(self) -> None:
        self.emission = True

    def turn_off(self) -> None:
        self.emission = False

    def clear_fault(self) -> None:
        """It has none."""


class FreeStage(Free):
    limits_um = ((0.0, 200.0), (0.0, 200.0))
    tolerance_um = 0.1
    position_um = (0.0, 0.0)

    def move_to(self, x_um: float, y_um: float) -> tuple[float, float]:
        self.position_um = (x_um, y_um)
        return self.position_um

    def stop(self) -> None:
        """It never moves."""


class FreeSpectrometer(Free):
    pixels = PIXELS
    wavelength_nm = np.linspace(400.0, 900.0, PIXELS)
    exposure_limits_s = (1e-6, 10.0)
    exposure_s = 1e-6
    saturation_counts = 65535
    counts = np.random.default_rng(1).integers(900, 1100, PIXELS).astype(np.uint16)

    def set_exposure(self, exposure_s: float) -> None:
        self.exposure_s = exposure_s

    def acquire(self) -> Spectrum:
        return Spectrum(self.counts, self.exposure_s, False)


def engine_us(microscope: MicroscopeFile, folder: Path, exposure_s: float, connector: Any = None) -> list[float]:
    """µs between successive points of a map, by the engine with journal, ring, ledger and events."""
    recipe = {
        "kind": "raster-map", "sample_power_uw": 5.0, "origin_um": [20.0, 20.0], "size_um": [SIDE - 1.0, SIDE - 1.0],
        "step_um": 1.0, "exposure_s": exposure_s, "dark_spectra": 1,
    }
    guard = SimpleNamespace(lit=lambda lit: None, journal=lambda path: None)
    ring = RingWriter()
    options = {} if connector is None else {"connector": connector}
    engine = Engine(microscope, guard=guard, ring=ring, **options)
    stamps: list[int] = []
    engine.on_status = lambda status: stamps.append(time.perf_counter_ns()) if status.done > len(stamps) else None
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        out = folder / f"map-{time.monotonic_ns()}.nxs"
        engine.door.start(recipe, str(out))
        while not engine.status().state.ended:
            time.sleep(0.05)
        assert engine.status().done == SIDE**2, engine.status()
    finally:
        engine.door.quit()
        thread.join()
        ring.close()
    with closing(NexusFile(out)) as file:
        assert file.columns["valid"].all()
    assert not journal_path(out).exists()
    return (np.diff(stamps) / 1e3).tolist()


def test_a_point_over_the_wire_costs_at_most_two_milliseconds_and_less_than_bluesky(tmp_path):
    with served(SPEED) as simulated:
        microscope = parse_microscope(simulated["toml"])
        took = median([median(engine_us(microscope, tmp_path, 0.006)) for _ in range(3)])
    say(f"map over the wire, {SIDE} × {SIDE}: engine {took:.0f} µs a point")
    with served(SPEED) as simulated:      # fresh, because the stage takes one client
        found = peers("wire", json.dumps(simulated["ports"]), str(SIDE), str(tmp_path))
    if found is not None:
        for name, us in found.items():
            say(f"  {name}: {us:.0f} µs a point, {us / took:.2f} times the engine's")
        assert took <= found["bluesky"]
    assert took <= 2000.0


def test_with_free_devices_a_point_costs_less_than_any_peer(tmp_path):
    text = "\n".join(
        f'[{role}]\nmodel = "fake"\nresource = "here"\n' + ("sample_uw_per_head_mw = 4\nmax_sample_uw = 400\n" * laser)
        for role, laser in (("laser", 1), ("stage", 0), ("spectrometer", 0))
    )
    devices = {"laser": FreeLaser, "stage": FreeStage, "spectrometer": FreeSpectrometer}
    took = median([
        median(engine_us(parse_microscope(text), tmp_path, 1e-6, lambda file, role, alive: devices[role]()))
        for _ in range(3)
    ])
    say(f"free devices in this process: engine {took:.0f} µs a point")
    found = peers("free", str(SIDE), str(tmp_path))
    if found is not None:
        for name, us in found.items():
            say(f"  {name}: {us:.0f} µs a point, {us / took:.2f} times the engine's")
        assert took < min(us for name, us in found.items() if name != "bare loop")
    assert took <= 400.0
