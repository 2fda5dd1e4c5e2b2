"""`convert` and `describe` as a person types them, on another program's file."""

import json
from pathlib import Path

import numpy as np
import pytest

from halidescope.gui.cli import run

TEXT = (
    "Data from QEP0815_1.txt Node\n\nSpectrometer: QEP0815\nIntegration Time (sec): 2.0E-1\nXAxis mode: Wavelengths\n"
    ">>>>>Begin Spectral Data<<<<<\n500.0\t1\n501.5\t2\n503.5\t3\n"
)


@pytest.fixture
def converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    source = tmp_path / "vendor.txt"
    source.write_text(TEXT, encoding="utf-8")
    assert run(["convert", str(source), "--out", str(tmp_path / "film.nxs")]) == 0
    assert "wrote" in capsys.readouterr().out
    return tmp_path / "film.nxs"


def test_another_programs_file_becomes_ours_and_a_table_and_arrays(converted: Path) -> None:
    for ending in (".csv", ".npz", ".zip"):
        assert run(["convert", str(converted), "--out", str(converted.with_suffix(ending))]) == 0
    back = converted.with_name("back.nxs")
    assert run(["convert", str(converted.with_suffix(".csv")), "--out", str(back)]) == 0
    stored = np.load(converted.with_suffix(".npz"), allow_pickle=False)
    assert stored["spectra"].tolist() == [[1.0, 2.0, 3.0]]
    assert stored["wavelength_nm"].tolist() == [500.0, 501.5, 503.5]


def test_a_description_is_shown_changed_and_refused(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change = ["describe", str(converted), "--set", "sample.substrate=sapphire", "--set", "operator=Ada"]
    assert run(change) == 2
    assert "needs the name" in capsys.readouterr().err
    assert run([*change, "--by", "Ada", "--why", "forgotten"]) == 0
    shown = capsys.readouterr().out
    assert "sapphire" in shown
    assert "Ada: operator: nothing → Ada (forgotten)" in shown
    assert run(["describe", str(converted), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["operator"] == "Ada"
    assert [one["key"] for one in told["history"]] == ["sample.substrate", "operator"]
    assert run(["describe", str(converted), "--set", "substrate"]) == 2
    assert "write it as entry=value" in capsys.readouterr().err


def test_what_cannot_be_converted_is_told(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = converted.with_name("odd.dat")
    odd.write_bytes(b"\0\1\2")
    assert run(["convert", str(odd), "--out", str(converted.with_name("odd.nxs"))]) == 1
    assert "unknown format; tried" in capsys.readouterr().err
    assert run(["convert", str(converted), "--out", str(converted.with_name("film.ome.tif"))]) == 2
    assert "has no images" in capsys.readouterr().err
    assert not converted.with_name("odd.nxs").exists()
