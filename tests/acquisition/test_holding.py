"""Two programs never have the same instrument."""

import os
import subprocess
import sys

import pytest

from halidescope.acquisition.holding import Holding, InUseError
from halidescope.acquisition.instruments import check, holding_of
from halidescope.acquisition.problems import ProblemError

from .test_safety import MICROSCOPE

HOLD = """
import sys
from halidescope.acquisition.holding import Holding
mine = Holding([("laser", "ASRL1")])
mine.take()
print("has it", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_an_instrument_that_another_process_has_is_refused_until_it_ends():
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline().strip() == b"has it"
        mine = Holding([("stage", "ASRL2"), ("laser", "ASRL1")])
        with pytest.raises(InUseError, match=rf"laser: another Halidescope has it \(process {other.pid}\)"):
            mine.take()
        with Holding([("stage", "ASRL2")]):      # of those that it could have, it kept none
            pass
        other.kill()
        other.wait()
        with Holding([("laser", "ASRL1")]):
            pass


def test_a_microscope_that_somebody_has_is_not_even_looked_at():
    with holding_of(MICROSCOPE):
        report = check(MICROSCOPE)
    assert not report.ok
    assert [problem.split(": ")[-1] for problem in report.problems] == [
        f"another Halidescope has it (process {os.getpid()}); use that one, or end it first"
    ] * 3


def test_what_was_given_back_may_be_taken_again_and_leaves_nothing_behind(tmp_path):
    mine, again = (Holding([("laser", "ASRL1")]) for _ in range(2))
    with mine:
        mine.take()      # it has them already
        with pytest.raises(InUseError, match=f"process {os.getpid()}"):
            again.take()
    with again:
        pass
    again.give_back()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.skipif(sys.platform == "win32", reason="a file where the folder should be")
def test_a_folder_that_cannot_be_made_is_a_clear_word(tmp_path):
    (tmp_path / "halidescope").touch()
    with pytest.raises(ProblemError, match="nobody could tell who has the instruments"):
        Holding([("laser", "ASRL1")]).take()
