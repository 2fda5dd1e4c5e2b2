"""``halidescope kmc``: one run, an ensemble, a sweep; its file, its pictures, its numbers, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from halidescope.analysis.kmc import KmcConfig, simulate
from halidescope.gui.cli import run

KEYS = ["scheme", "replicas", "events", "cpu_s", "hops_bromide", "hops_iodide", "band_gap_start_ev", "band_gap_end_ev",
        "band_gap_end_sd_ev", "iodide_lost", "tracer_correlation"]
SMALL = '[lattice]\nsize = 8\n[run]\nsteps = 20\nreplicas = 3\n'


def written(folder: Path, text: str) -> str:
    path = folder / "kmc.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_json_object_has_exactly_its_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["kmc", written(tmp_path, SMALL), "--json"]) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert list(summary) == KEYS
    assert summary["tracer_correlation"] is None
    assert (summary["scheme"], summary["replicas"]) == ("paper", 3)
    assert said.err == ""                                          # no progress bar on a pipe


def test_a_file_says_how_it_was_made_and_can_be_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "kmc.nxs"
    assert run(["kmc", written(tmp_path, SMALL + "frames = 2\nseed = 7\n"), "--out", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    with h5py.File(out) as file:
        assert file.attrs["default"] == "entry"
        data = file["entry/data"]
        assert data.attrs["NX_class"] == "NXdata"
        signal = data[data.attrs["signal"]]
        assert list(data.attrs["axes"]) == ["replica", "step"]
        assert signal.shape == (3, 21) == (data["replica"].size, data["step"].size)
        assert signal.attrs["units"] == "eV"
        assert np.all(data["low"][()] <= data["high"][()])
        own = file["entry/halidescope"]
        again = simulate(KmcConfig.from_mapping(json.loads(own["configuration"][()])))
        np.testing.assert_array_equal(again.band_gap_ev, signal[()])
        assert own["seed"][()] == 7
        assert {"halidescope", "numpy", "numba"} <= set(own["versions"])
        assert json.loads(own["summary"][()])["iodide_lost"] == summary["iodide_lost"]
        assert own["films"].shape == (4, 8, 8, 8)
        np.testing.assert_array_equal(own["films"][-1], again.trajectories[0].lattice)
        np.testing.assert_array_equal(own["ends"][2], again.trajectories[2].lattice)
        counted = np.bincount(own["films"][0].ravel(), minlength=3)
        np.testing.assert_array_equal(counted, file["entry/species/film"][0, 0])
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_a_sweep_has_an_entry_per_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sweep.h5"
    text = SMALL + '[sweep]\nkey = "escape.probability"\nvalues = [0.0, 0.6]\n'
    assert run(["kmc", written(tmp_path, text), "--out", str(out), "--pictures", str(tmp_path / "pictures")]) == 0
    table = capsys.readouterr().out
    assert "escape.probability" in table
    assert len(table.splitlines()) == 3
    with h5py.File(out) as file:
        assert file.attrs["default"] == "sweep"
        data = file["sweep/data"]
        np.testing.assert_array_equal(data["value"], [0.0, 0.6])
        assert data["band_gap_end"].shape == data["band_gap_end_errors"].shape == (2,)
        lost = [file[f"case_{number}/halidescope/iodide_lost"][()].mean() for number in (1, 2)]
        assert lost[0] == 0 < lost[1]
    made = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert made == {"sweep.png", "band-gap-1.png", "band-gap-2.png"}
    assert run(["kmc", written(tmp_path, text), "--json"]) == 0
    swept = json.loads(capsys.readouterr().out)
    assert swept["sweep"] == "escape.probability"
    assert [one["value"] for one in swept["runs"]] == [0.0, 0.6]
    assert list(swept["runs"][0]) == ["value", *KEYS]


def test_the_exact_clock_is_written_over_its_time(tmp_path: Path) -> None:
    out = tmp_path / "exact.nxs"
    text = '[lattice]\nsize = 8\n[run]\nscheme = "exact"\ntime_s = 1e-9\ntracer = true\n'
    assert run(["kmc", written(tmp_path, text), "--out", str(out)]) == 0
    with h5py.File(out) as file:
        time = file["entry/data/time"]
        assert time.attrs["units"] == "s"
        assert time[-1] == 1e-9
        assert 0.3 < file["entry/halidescope/tracer_correlation"][()] < 1


def test_pictures_and_an_animation_are_made_on_request(tmp_path: Path) -> None:
    gif = tmp_path / "run.gif"
    pictures = tmp_path / "pictures"
    text = SMALL + "frames = 3\n"
    assert run(["kmc", written(tmp_path, text), "--pictures", str(pictures), "--animation", str(gif)]) == 0
    assert {path.name for path in pictures.iterdir()} == {"lattice.png", "halo.png", "band-gap.png", "species.png"}
    with Image.open(gif) as film:
        assert film.n_frames == 5                                  # start, three between, end
        first = np.asarray(film.convert("RGB"), dtype=int)
        film.seek(4)
        assert np.abs(np.asarray(film.convert("RGB"), dtype=int) - first).max() > 100
    for path in pictures.iterdir():
        with Image.open(path) as picture:
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10   # something is drawn


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("[lattice]\nsides = 8\n", [], "unknown key 'lattice.sides'"),
        ("[latice]\n", [], "unknown table 'latice'"),
        ('[sweep]\nkey = "barriers"\nvalues = [1]\n', [], "table.key"),
        ('[sweep]\nkey = "barriers.iodine_ev"\nvalues = [1]\n', [], "unknown key 'barriers.iodine_ev'"),
        ('[sweep]\nkey = "barriers.iodide_ev"\nvalues = []\n', [], "list of numbers"),
        ('[sweep]\nkey = "barriers.iodide_ev"\nvalues = [0.1, -3]\n', [], "from 0 to 5"),
        ('[sweep]\nkey = "barriers.iodide_ev"\nvalues = [0.1]\nstep = 1\n', [], "unknown key 'sweep.step'"),
        ("sweep = 3\n", [], "must be a table"),
        ("", ["--out", "kmc.npz"], "use .nxs"),
        ("", ["--out", "there.nxs"], "never overwritten"),
        ("", ["--out", "nowhere/kmc.nxs"], "does not exist"),
        ("", ["--animation", "run.mp4"], "use .gif"),
        ("", ["--animation", "there.gif"], "never overwritten"),
        ("", ["--pictures", "there.nxs"], "is a file"),
        ("[lattice]\nsize=4\nvacancy=0.0\niodide=0.0\nbromide=1.0\n[run]\nscheme='exact'\n", [], "nothing in"),
    ],
)
def test_mistakes_are_said_before_anything_is_simulated(
    text: str, options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("there.nxs", "there.gif"):
        Path(name).touch()
    assert run(["kmc", written(tmp_path, text), *options]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="watches the processor time in /proc")
def test_ctrl_c_ends_a_long_run_in_a_sentence(tmp_path: Path) -> None:
    config = written(tmp_path, '[run]\nscheme = "exact"\nevents = 1000000000000\n')
    out = tmp_path / "long.nxs"
    command = [sys.executable, "-m", "halidescope.gui.cli", "kmc", config, "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        spent, deadline = 0.0, time.monotonic() + 60
        while spent < 3.0 and time.monotonic() < deadline:         # of processor time: it simulates
            time.sleep(0.1)
            fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            spent = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.splitlines() == ["halidescope: interrupted; nothing was written"]
    assert said == ""
    assert not out.exists()
