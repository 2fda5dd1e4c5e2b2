"""A short film through the whole way: reference files, series and map on the wire, offline analysis, other formats."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from halidescope.acquisition.batch import analyse_scan, load_endmembers
from halidescope.acquisition.microscope import load_microscope
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.run import run_recipe
from halidescope.acquisition.storage import open_scan
from halidescope.analysis.kmc.config import PAPER
from halidescope.analysis.kmc.emulator import train
from halidescope.gui import kmc_cache
from halidescope.gui.cli import run
from halidescope.gui.demo_kmc import DemoComparison, no_comparison
from halidescope.gui.kmc_process import CACHE_VARIABLE
from halidescope.gui.report import Report
from halidescope.gui.simulated import SimulatorProcess

pytestmark = pytest.mark.slow      # half a minute; test_analyse holds the same way on a shorter measurement

SPEED = 30.0


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two endmembers, a 100 s series and a small map around it, from one simulated film."""
    folder = tmp_path_factory.mktemp("measured")
    with SimulatorProcess(folder / "microscope.toml", speed=SPEED, film=1.5, seed=3) as simulator:
        microscope = load_microscope(folder / "microscope.toml")

        def measure(name: str, **recipe: object) -> None:
            outcome = run_recipe(microscope, parse_recipe({"dark_spectra": 20, **recipe}), folder / name)
            assert outcome.ok, outcome.status.reason

        simulator.ask({"mount": 0})
        measure("br-rich.nxs", kind="time-series", sample_power_uw=60, exposure_s=0.2, duration_s=8)
        simulator.ask({"mount": 1.5})
        field = {"kind": "raster-map", "origin_um": (150, 150), "size_um": (20, 20), "step_um": 10}
        measure("pristine.nxs", sample_power_uw=1, exposure_s=2, **field)
        measure(
            "series.nxs", kind="time-series", sample_power_uw=120, exposure_s=0.2, interval_s=0.5, duration_s=150
        )
        field = {"kind": "raster-map", "origin_um": (80, 80), "size_um": (40, 40), "step_um": 4}
        measure("map.nxs", sample_power_uw=5, exposure_s=0.2, **field)
        law = simulator.ask({"get": "film.law", "power_uw": 120})
        (folder / "law.json").write_text(json.dumps(law), encoding="utf-8")
        yield folder


def test_offline_analysis_recovers_the_film(measured: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    law = json.loads((measured / "law.json").read_text(encoding="utf-8"))
    command = ["analyse", str(measured / "series.nxs"), str(measured / "map.nxs"), "--out", str(tmp_path), "--json"]
    for name in ("pristine.nxs", "br-rich.nxs"):
        command += ["--references", str(measured / name)]
    assert run(command) == 0
    series, field = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert json.loads((tmp_path / "series.nxs.json").read_text(encoding="utf-8")) == series
    assert series["simulated"] is True
    # four standard errors: one unlucky draw in some 16,000 per number
    assert abs(series["k1_per_s"] - law["k1_per_s"]) < 4 * series["k1_per_s_se"]
    assert abs(field["halo_radius_um"] - law["halo_radius_um"]) < 4 * field["halo_radius_um_se"]
    assert 0 < series["k1_per_s_se"] < 0.02 * law["k1_per_s"]
    assert 0 < field["halo_radius_um_se"] < 0.1 * law["halo_radius_um"]


def test_the_demos_comparison_with_the_simulation(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small emulator in the cache; the whole training takes half a minute."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    kmc_cache.store(tmp_path, train(PAPER.of_composition(1.5), designs=24, replicas=1))
    with open_scan(measured / "series.nxs") as scan:
        endmembers = load_endmembers((measured / "pristine.nxs", measured / "br-rich.nxs"), ("pristine", "Br-rich"))
        series = analyse_scan(scan, endmembers).result
    compared = DemoComparison.of_series(series, 1.5)
    numbers = json.loads(json.dumps(compared.numbers()))
    assert numbers["iodide_fraction"] == pytest.approx(0.496)
    for name in ("iodide_ev", "bromide_ev", "escape", "log10_seconds_per_step"):
        low, high = numbers[f"{name}_90"]
        assert low < high
        assert numbers[f"{name}_se"] > 0
    report = tmp_path / "report.html"
    Report("demo", "", True, [], [compared.section(), no_comparison("I-rich")]).write(report)
    page = report.read_text(encoding="utf-8")
    assert page.count("<svg") == 6
    assert f"p = {numbers['p_value']:.2g}" in page
    assert "loss of iodide only" in page


def test_a_file_that_cannot_be_analysed_does_not_stop_the_others(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.nxs"
    broken.write_bytes(b"not a measurement")
    command = ["analyse", str(broken), str(measured / "series.nxs")]
    for name in ("pristine.nxs", "br-rich.nxs"):
        command += ["--references", str(measured / name)]
    assert run(command) == 1
    said = capsys.readouterr()
    assert str(broken) in said.err
    assert "average_rate_per_s" in said.out
    assert "not volume fractions" in said.out


def test_wrong_references_are_refused(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pristine = str(measured / "pristine.nxs")
    assert run(["analyse", str(measured / "series.nxs"), "--references", pristine, "--references", pristine]) == 1
    assert "collinear" in capsys.readouterr().err
    command = ["analyse", str(measured / "series.nxs"), "--references", pristine]
    assert run([*command, "--labels", "a", "--labels", "b"]) == 2
    assert "one label a file" in capsys.readouterr().err


def test_csv_and_npz_hold_what_was_measured(measured: Path, tmp_path: Path) -> None:
    for ending in ("csv", "npz"):
        assert run(["convert", str(measured / "map.nxs"), "--out", str(tmp_path / f"map.{ending}")]) == 0
    with open_scan(measured / "map.nxs") as scan, (tmp_path / "map.csv").open(encoding="utf-8") as file:
        assert "SIMULATED" in file.readline()
        rows = [row for row in csv.reader(file) if not row[0].startswith("#")]
        assert rows[0][:4] == ["point", "time (s)", "x (um)", "y (um)"]
        first = rows[0].index(f"{scan.wavelength_nm[0].item()!r} nm")
        np.testing.assert_array_equal(np.array([row[first:] for row in rows[1:]], int), scan.spectra.reshape(121, -1))
        stored = np.load(tmp_path / "map.npz", allow_pickle=False)
        np.testing.assert_array_equal(stored["spectra"], scan.spectra)
        assert json.loads(str(stored["extras"]))["header"]["simulated"] is True


def test_converting_overwrites_nothing_and_knows_its_formats(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(measured / "map.nxs")
    assert run(["convert", source, "--out", source]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert run(["convert", source, "--out", str(tmp_path / "map.docx")]) == 2
    assert ".csv" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_hyperspy_opens_the_file_with_calibrated_axes(measured: Path) -> None:
    hyperspy = pytest.importorskip("hyperspy.api")
    signal = hyperspy.load(str(measured / "map.nxs"), use_default=True)
    assert signal.axes_manager.signal_dimension == 1
    wavelength = signal.axes_manager.signal_axes[0]
    assert (str(wavelength.units), wavelength.name) == ("nm", "wavelength")
    with open_scan(measured / "map.nxs") as scan:
        assert wavelength.axis[0] == pytest.approx(scan.wavelength_nm[0], abs=0.01)
        assert wavelength.axis[-1] == pytest.approx(scan.wavelength_nm[-1], abs=0.3)
    x, y = signal.axes_manager.navigation_axes
    assert (x.axis[0], y.axis[0], x.scale) == (80, 80, 4)
