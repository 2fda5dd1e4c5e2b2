"""Every supported model in a whole microscope: checked, measured with, and told what its driver must know."""

from pathlib import Path

import pytest

from halidescope.acquisition.instruments import check, connect
from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.problems import BadFileError
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.run import run_recipe
from halidescope.acquisition.storage import open_scan
from halidescope.simulators.microscope import SimulatedMicroscope

RECIPE = {"kind": "raster-map", "size_um": [20, 20], "step_um": 10, "dark_spectra": 3}


@pytest.mark.parametrize(
    ("laser", "stage", "spectrometer", "power_uw", "channels"),
    [
        ("coherent-obis-lx", "asi-ms2000", "ocean-sts", 20.0, 1024),
        ("toptica-ibeam-smart", "zaber-ascii", "ocean-qepro", 5.0, 1044),
    ],
)
def test_a_map_with_other_instruments(
    laser: str, stage: str, spectrometer: str, power_uw: float, channels: int, tmp_path: Path
) -> None:
    with SimulatedMicroscope(laser=laser, stage=stage, spectrometer=spectrometer, speed=20.0) as simulated:
        microscope = parse_microscope(simulated.microscope_toml())
        report = check(microscope)
        assert report.ok, report.problems
        outcome = run_recipe(
            microscope, parse_recipe({**RECIPE, "sample_power_uw": power_uw}), tmp_path / "map.nxs"
        )
        assert outcome.ok, outcome.status.reason
        assert simulated.bench.head_mw == 0
    with open_scan(tmp_path / "map.nxs") as scan:
        assert scan.spectra.shape == (3, 3, channels)
        assert scan.valid.all()
        above = (scan.spectra - scan.dark.mean).max(axis=-1)
        assert (above > 500).all(), above
        assert scan.metadata["identities"]["laser"]["model"]


def test_a_microscope_file_keeps_its_settings() -> None:
    with SimulatedMicroscope(stage="zaber-ascii", control_port=None) as simulated:
        microscope = parse_microscope(simulated.microscope_toml())
    assert microscope.stage.settings == {"home": True}
    assert parse_microscope(microscope.toml_text()) == microscope


@pytest.mark.parametrize(
    ("setting", "said"),
    [("speed = 3", "no setting 'speed'; allowed: asrl, axes"), ("tolerance_um = -1.0", "tolerance_um")],
)
def test_a_setting_that_cannot_be_used_is_named(setting: str, said: str) -> None:
    with SimulatedMicroscope(control_port=None) as simulated:
        text = simulated.microscope_toml().replace("[spectrometer]", f"[stage.settings]\n{setting}\n[spectrometer]")
        with pytest.raises(BadFileError, match=said):
            connect(parse_microscope(text))
