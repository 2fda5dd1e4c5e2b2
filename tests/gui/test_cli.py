"""The command line as a person and a script meet it: real processes, real sockets, exit codes and sentences."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from halidescope.acquisition.problems import RefusedRunError
from halidescope.acquisition.storage import open_scan
from halidescope.gui.cli import run
from halidescope.gui.simulated import SimulatorProcess

RECIPE = """
kind = "time-series"
sample_power_uw = 120.0
exposure_s = 0.2
interval_s = 0.5
duration_s = 10.0
dark_spectra = 3
[sample]
name = "test"
composition = 1.5
"""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """One simulated microscope at 60 times real speed, for all tests here."""
    with SimulatorProcess(tmp_path_factory.mktemp("sim") / "microscope.toml", speed=60.0, film=1.5, seed=1) as process:
        yield process


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A short time series."""
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_every_verb_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("", "demo", "simulate", "check", "run", "analyse", "convert", "devices", "view", "kmc"):
        assert run([verb, "--help"] if verb else ["--help"]) == 0
        assert "Usage: halidescope" in capsys.readouterr().out


def test_help_loads_neither_drivers_nor_fitters() -> None:
    heavy = "{'numba', 'scipy', 'pymeasure', 'pyvisa', 'h5py', 'matplotlib', 'PySide6'}"
    program = f"import sys, halidescope.gui.cli; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["flashlight"], "flashlight"),
        (["run", "recipe.toml"], "--microscope"),
        (["simulate", "--film", "1.2"], "x = 0, 1, 1.5, 2, 3"),
        (["simulate", "--speed", "0"], "0.001"),
        (["simulate", "--laser", "lighthouse"], "cobolt-06-mld"),
        (["check", "nowhere.toml"], "nowhere.toml"),
        (["kmc", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
    assert "Traceback" not in complaint


def test_simulate_prints_devices_then_ready_and_ends_on_a_signal(tmp_path: Path) -> None:
    file = tmp_path / "microscope.toml"
    command = [sys.executable, "-m", "halidescope.gui.cli", "simulate", "--json", "--control", "0"]
    with subprocess.Popen([*command, "--microscope-out", str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.strip() == "ready":
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    devices = [json.loads(line) for line in lines[:-1]]
    assert [device["role"] for device in devices] == ["laser", "stage", "spectrometer", "control"]
    assert all({"model", "resource", "host", "port"} <= device.keys() for device in devices)
    assert "cobolt-06-mld" in file.read_text(encoding="utf-8")


def test_check_identifies_without_lighting(simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]) -> None:
    before = simulator.ask({"get": "stage.position_um"})
    assert run(["check", str(simulator.microscope_file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    laser, stage, spectrometer = (device["values"] for device in report["devices"])
    assert report["ok"] is True
    assert laser["interlock_closed"] is True
    assert laser["emission"] is False
    assert stage["limits_um"] == [[0.0, 200.0], [0.0, 200.0]]
    assert spectrometer["pixels"] == 2068
    assert simulator.ask({"get": "laser.emission"}) is False
    assert simulator.ask({"get": "stage.position_um"}) == pytest.approx(before, abs=0.05)


def test_check_says_which_port_is_silent(tmp_path: Path, simulator: SimulatorProcess) -> None:
    text = simulator.microscope_file.read_text(encoding="utf-8")
    port = next(str(device["port"]) for device in simulator.devices if device["role"] == "stage")
    file = tmp_path / "microscope.toml"
    file.write_text(text.replace(port, "1"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "halidescope.gui.cli", "check", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "TCPIP::127.0.0.1::1::SOCKET" in done.stderr
    assert done.stderr.count("\n") == 1


def test_run_measures_and_refuses_to_overwrite(
    tmp_path: Path, simulator: SimulatorProcess, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "series.nxs"
    command = ["run", str(recipe), "--microscope", str(simulator.microscope_file), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "halidescope.gui.cli", *command, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last == {"state": "finished", "reason": "", "file": str(out), "spectra": 20}
    with open_scan(out) as scan:
        assert scan.spectra.shape[0] == 20
        assert scan.simulated
    assert simulator.ask({"get": "laser.emission"}) is False

    assert run(command) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_run_is_completed_with_resume(
    tmp_path: Path, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "recipe.toml", tmp_path / "map.nxs"
    recipe.write_text(
        'kind = "raster-map"\nsample_power_uw = 5.0\norigin_um = [10.0, 10.0]\nsize_um = [40.0, 20.0]\n'
        "exposure_s = 1.0\ndark_spectra = 2\n[sample]\ncomposition = 1.5\n",
        encoding="utf-8",
    )
    command = ["run", str(recipe), "--microscope", str(simulator.microscope_file), "--out", str(out)]
    done = 0
    with subprocess.Popen(
        [sys.executable, "-m", "halidescope.gui.cli", *command, "--json"], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        while done < 5:
            done = json.loads(killed.stdout.readline())["done"]
        killed.kill()
    assert run(command) == 2
    assert "--resume" in capsys.readouterr().err

    other = tmp_path / "other.toml"
    other.write_text(recipe.read_text(encoding="utf-8").replace("= 5.0", "= 6.0"), encoding="utf-8")
    again = subprocess.run(
        [sys.executable, "-m", "halidescope.gui.cli", "run", str(other), *command[2:], "--resume"],
        capture_output=True, text=True, check=False,
    )
    assert again.returncode == 2
    assert "was begun with another recipe" in again.stderr
    completed = subprocess.run(
        [sys.executable, "-m", "halidescope.gui.cli", *command, "--resume", "--json"],
        capture_output=True, text=True, check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout.splitlines()[-1])["spectra"] == 66
    with open_scan(out) as scan:
        assert scan.valid.all()
        assert len(scan.repeats) == 1
    assert simulator.ask({"get": "laser.emission"}) is False


def test_dry_run_says_what_would_happen_and_does_nothing(
    tmp_path: Path, simulator: SimulatorProcess, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(recipe), "--microscope", str(simulator.microscope_file), "--out", str(tmp_path / "x.nxs")]
    assert run([*command, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["spectra"] == 20
    assert plan["violations"] == []
    # 120 µW in a 1 µm waist for 10 s
    assert plan["peak_dose_j_cm2"] == pytest.approx(2 * 120e-6 / (3.14159265 * 1e-8) * 10, rel=0.1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.toml"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sample_power_uw = 401.0", "400"),
        ("position_um = [212.0, 100.0]", "212"),
        ("flavour = 1", "flavour"),
        ("exposure_s = 100.0\nduration_s = 1000.0", "10"),
    ],
)
def test_what_a_recipe_must_not_ask(
    change: str, said: str, tmp_path: Path, simulator: SimulatorProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {line.split("=")[0].strip() for line in change.splitlines()}
    kept = [line for line in RECIPE.splitlines() if line.split("=")[0].strip() not in keys]
    file = tmp_path / "recipe.toml"
    file.write_text("\n".join([*change.splitlines(), *kept]), encoding="utf-8")
    out = tmp_path / "x.nxs"
    code = run(["run", str(file), "--microscope", str(simulator.microscope_file), "--out", str(out)])
    assert code in (1, 2)
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
    assert not out.exists()
    assert simulator.ask({"get": "laser.emission"}) is False


def test_an_interrupted_run_is_dark_and_its_file_complete(
    tmp_path: Path, simulator: SimulatorProcess, recipe: Path
) -> None:
    recipe.write_text(RECIPE.replace("duration_s = 10.0", "duration_s = 3600.0"), encoding="utf-8")
    out = tmp_path / "series.nxs"
    command = [sys.executable, "-m", "halidescope.gui.cli", "run", str(recipe), "--json", "--out", str(out)]
    with subprocess.Popen(
        [*command, "--microscope", str(simulator.microscope_file)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            status = json.loads(line)
            if status.get("done", 0) >= 5:
                assert status["emission"] is True
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read().splitlines()
        assert process.wait(20) == 1
    assert json.loads(rest[-1])["state"] == "aborted"
    assert simulator.ask({"get": "laser.emission"}) is False
    with open_scan(out) as scan:
        assert scan.metadata["state"] == "aborted"
        assert scan.valid.sum() >= 5


def test_devices_lists_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "--json"]) == 0
    models = {model["model"]: model["role"] for model in json.loads(capsys.readouterr().out)["models"]}
    assert {"cobolt-06-mld": "laser", "pi-e727": "stage", "ocean-hdx": "spectrometer"}.items() <= models.items()


@pytest.mark.parametrize("arguments", [[], ["view", "scan.nxs"]])
def test_without_a_display_the_window_is_refused_in_a_sentence(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert run(arguments) == 2
    assert "no display" in capsys.readouterr().err


def test_a_demo_does_not_write_over_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "summary.json").write_text("{}", encoding="utf-8")
    assert run(["demo", "--headless", "--out", str(tmp_path)]) == RefusedRunError.exit_code
    assert "--out" in capsys.readouterr().err
