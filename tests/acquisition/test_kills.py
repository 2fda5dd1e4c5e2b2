"""kill -9 at random moments of writing and of finishing: every acknowledged spectrum is there afterwards, bit for bit.

A few in the quick suite, two hundred and more in the soak; ``HALIDESCOPE_KILLS`` sets how many.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from halidescope.acquisition.recovery import in_use, recover
from halidescope.acquisition.storage import open_scan

from .conftest import record

PARENT = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
import halidescope.acquisition.storage as storage
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_writer import JournalWriter

def child(out, spectra):
    writer = JournalWriter(journal_path(out), conftest.header("time-series", rows=40, columns=50))
    for sequence in range(spectra):
        writer.append(conftest.record(sequence, sequence))
        os.write(1, b"a\\n")
    writer.close()
    os.write(1, b"f\\n")
    storage.finish(out)
    os.write(1, b"d\\n")

for line in sys.stdin:                      # one forked child for each line: what it writes is what a process writes
    name, spectra = line.split()
    pid = os.fork()
    if pid == 0:
        child(Path(name), int(spectra))
        os._exit(0)
    os.write(1, f"p{pid}\\n".encode())
    os.waitpid(pid, 0)
    os.write(1, b"e\\n")
"""


def run_kills(folder: Path, count: int) -> dict[str, int]:
    """Kill so many writers; how many died while writing, while finishing, and after."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(Path(__file__).parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, bufsize=1,
    )
    rng = random.Random(count)
    met = {"writing": 0, "finishing": 0, "done": 0}
    try:
        for k in range(count):
            out = folder / f"{k}.nxs"
            spectra = rng.randint(50, 400)
            parent.stdin.write(f"{out} {spectra}\n")
            parent.stdin.flush()
            pid, acknowledged, finishing, done = 0, 0, False, False
            wanted = rng.randint(1, spectra) if k % 2 else spectra + 1
            deadline = None
            while (line := parent.stdout.readline().strip()) != "e":
                if line.startswith("p"):
                    pid = int(line[1:])
                acknowledged += line == "a"
                finishing, done = finishing or line == "f", done or line == "d"
                if pid and deadline is None and (acknowledged >= wanted or finishing):
                    deadline = time.monotonic() + (0.0 if k % 2 else rng.uniform(0, 0.05))     # while finishing
                    time.sleep(max(0.0, deadline - time.monotonic()))
                    with suppress(ProcessLookupError):       # was quicker
                        os.kill(pid, signal.SIGKILL)
            met["done" if done else "finishing" if finishing else "writing"] += 1
            journal = out.with_name(out.name + ".journal")
            if not done:
                assert not in_use(journal)
                if out.exists():          # killed between the file's arrival and the journal's deletion
                    _check(out, acknowledged)
                    out.unlink()
                recover(journal)
            _check(out, acknowledged)
            out.unlink()
            if k % 10 == 9:
                sys.stdout.write(f"{k + 1} kills: {met}\n")
                sys.stdout.flush()
    finally:
        parent.stdin.close()
        parent.wait(30)
        parent.stdout.close()
    return met


def _check(out: Path, acknowledged: int) -> None:
    with open_scan(out) as scan:
        assert scan.valid.sum() in (acknowledged, acknowledged + 1)
        assert scan.found_damaged == ()
        for k in range(acknowledged):
            assert np.array_equal(scan.spectra[k], record(k, k).counts)


@pytest.mark.skipif(os.name == "nt", reason="kill -9 and fork are POSIX")
@pytest.mark.parametrize("count", [6, pytest.param(
    int(os.environ.get("HALIDESCOPE_KILLS", "240")), marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_no_acknowledged_spectrum_is_lost_to_a_kill(tmp_path, count):
    met = run_kills(tmp_path, count)
    assert met["writing"] >= count // 4
    assert met["finishing"] >= count // 8
