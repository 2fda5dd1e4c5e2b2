"""How much of a map along continuous lines is exposure, at 10 ms a pixel, in real time.

The simulated microscope runs in a process of its own. The time counted is that between the light's coming and its being
proven off, turns from line to line included.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from halidescope.acquisition.microscope import MicroscopeFile, parse_microscope
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.run import run_recipe
from halidescope.acquisition.storage import open_scan

pytestmark = pytest.mark.benchmark

SERVER = """
import sys
from halidescope.simulators.microscope import SimulatedMicroscope
with SimulatedMicroscope(speed=1.0, control_port=None, seed=1) as simulated:
    sys.stdout.write(simulated.microscope_toml() + "# ready\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""
EXPOSURE_S = 0.01
WANTED = 0.95


@pytest.fixture(scope="module")
def microscope() -> Iterator[MicroscopeFile]:
    """The file of a simulated microscope that ends with the test."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    yield parse_microscope("".join(iter(process.stdout.readline, "# ready\n")))
    process.stdin.close()
    process.stdout.close()
    process.wait(timeout=10.0)


def test_most_of_the_time_is_exposure(microscope: MicroscopeFile, tmp_path: Path) -> None:
    """Lines as long as the default field is wide, pixels of 1 µm, 10 ms each."""
    width_um, lines = 200.0, 5
    recipe = parse_recipe({
        "kind": "raster-map", "sample_power_uw": 5.0, "motion": "lines", "exposure_s": EXPOSURE_S, "step_um": 1.0,
        "size_um": [width_um, lines - 1.0], "dark_spectra": 2,
    })
    outcome = run_recipe(microscope, recipe, tmp_path / "lines.nxs")
    assert outcome.ok, outcome.status.reason
    with open_scan(tmp_path / "lines.nxs") as scan:
        assert scan.valid.all()
        lit_s = scan.metadata["dark_utc_s"] - scan.metadata["light_on_utc_s"]
        share = scan.valid.size * EXPOSURE_S / lit_s
        off_um = np.abs(scan.position_um[..., 0] - scan.axes["x"])
        said = [event.text for event in scan.events if event.text.startswith("lines:")]
    print(  # noqa: T201 - the numbers are what the benchmark is for
        f"{lines} lines of {width_um:g} µm: {share:.1%} of {lit_s:.2f} s is exposure; {said[0]}; off its place: median "
        f"{np.median(off_um):.2f} µm, largest {off_um.max():.2f} µm"
    )
    assert share >= WANTED
