"""Ten hours of a recovery's and a map's life at high speed: memory stays flat, and the schedule does not drift."""

import os
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan

from .processes import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SPEED = 200.0
TEN_HOURS_S = float(os.environ.get("SOAK_SECONDS", "36000"))
INTERVAL_S = 10.0
SERIES = {
    "kind": "time-series", "sample_power_uw": 5.0, "duration_s": TEN_HOURS_S, "interval_s": INTERVAL_S,
    "exposure_s": 1.0, "dark_spectra": 2, "position_um": [100.0, 100.0], "sample": {"composition": 1.5},
}


def memory_mb(pid: int) -> float:
    """Memory that is a process's own, MB; of shared files others decide how much is there."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in rollup.splitlines() if line.startswith("Anonymous:")).split()[1]) / 1e3


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc")
def test_memory_is_flat_and_the_schedule_does_not_drift(tmp_path, capsys):
    with closing(Served(tmp_path, speed=SPEED, seed=1)) as served:
        client = EngineClient.launch(served.file, tmp_path / "session.json")
        out = tmp_path / "series.nxs"
        client.start(SERIES, out)
        memory = []
        while not (status := client.status()).state.ended:
            if status.state is RunState.RUNNING and status.done:
                memory.append((status.done, memory_mb(client.session.pid)))
            time.sleep(0.5)
        assert status.state is RunState.FINISHED, status.reason
        assert served.ask(get="laser.emission") is False
        client.quit()
    with open_scan(out) as scan:
        late_s = (scan.time_s - 0.5 * scan.exposure_s - scan.axes["time"])[scan.valid]
        taken, planned = int(scan.valid.sum()), scan.valid.size
    done, used_mb = np.array(memory).T
    settled = used_mb[done > 0.1 * planned]
    quarter = len(late_s) // 4
    drift_s = float(np.median(late_s[-quarter:]) - np.median(late_s[:quarter]))
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what it is for
            f"\n{TEN_HOURS_S:g} s at speed {SPEED:g}: {taken} of {planned} spectra; engine {settled.min():.1f} to "
            f"{settled.max():.1f} MB; late by {np.median(late_s):.3f} s (median; {np.median(late_s) / SPEED * 1e3:.2f} "
            f"ms of this computer), drift from the first to the last quarter {drift_s:+.4f} s"
        )
    assert taken == planned
    assert settled.max() <= 1.05 * np.median(settled)
    assert settled.min() >= 0.95 * np.median(settled)
    assert abs(drift_s) <= 0.01 * INTERVAL_S + 0.002 * SPEED      # 2 ms of this computer
