"""Giving way: the thread's niceness, and on Linux the session's as a group."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASKED = """
import os
from halidescope.acquisition.priority import AUTOGROUP, give_way, give_way_as_session
give_way(7)
print(os.getpriority(os.PRIO_PROCESS, 0), AUTOGROUP.read_text().split()[-1])
give_way_as_session(0)
print(os.getpriority(os.PRIO_PROCESS, 0), AUTOGROUP.read_text().split()[-1])
"""


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="no groups of sessions here")
@pytest.mark.parametrize(("most", "got"), [("", "7"), ("19", "7"), ("3", "3"), ("0", "0"), ("a lot", "7")])
def test_a_session_gives_way_and_comes_back(monkeypatch: pytest.MonkeyPatch, most: str, got: str) -> None:
    monkeypatch.setenv("HALIDESCOPE_NICENESS", most)
    done = subprocess.run(
        [sys.executable, "-c", ASKED], stdout=subprocess.PIPE, text=True, check=True, start_new_session=True
    )
    assert done.stdout.splitlines() == [f"{got} {got}", f"{got} 0"]
    assert os.getpriority(os.PRIO_PROCESS, 0) < 7
