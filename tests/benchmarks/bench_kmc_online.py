"""The comparison beside a running time series: how soon the band follows a new fit, and what the measurement feels.

Run with ``pytest tests/benchmarks/bench_kmc_online.py -m benchmark``. A simulated microscope at real speed measures a
point every 50 ms, first alone, then while the comparison's process trains an emulator, then while it answers every new
fit. Lateness of a point is its start less the planned one.
"""

import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.states import RunState
from halidescope.analysis.kmc.config import PAPER
from halidescope.analysis.kmc.emulator import train
from halidescope.gui import kmc_cache
from halidescope.gui.kmc_process import ComparisonProcess, News, Question
from halidescope.gui.kmc_question import configuration_of
from halidescope.simulators.microscope import SimulatedMicroscope

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

DURATION_S = 20.0
INTERVAL_S = 0.05
POLL_S = 0.2
X = 1.5
RECIPE = {
    "kind": "time-series", "sample_power_uw": 120.0, "exposure_s": 0.02, "interval_s": INTERVAL_S,
    "duration_s": DURATION_S, "sample": {"composition": X},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineClient]:
    """An engine with a simulated microscope at real speed."""
    folder = tmp_path_factory.mktemp("online")
    with SimulatedMicroscope(speed=1.0, seed=1) as microscope:
        file = folder / "microscope.toml"
        file.write_text(microscope.microscope_toml(), encoding="utf-8")
        client = EngineClient.launch(file, session=folder / "session.json")
        yield client
        client.quit()


def measured(
    engine: EngineClient, out: Path, process: ComparisonProcess | None = None
) -> tuple[np.ndarray, list[float]]:
    """Lateness of every point in s, ascending, and when each new fit was asked about."""
    before, asked = engine.status().run, []
    time_s: list[float] = []
    share: list[float] = []
    error: list[float] = []
    engine.start(RECIPE, str(out))
    while True:
        status = engine.status()
        if status.run > before and status.state.ended:
            break
        # what a window asks, as often as it does; until a measurement runs, results are those of the one before
        if status.run > before and status.state is not RunState.PREPARING:
            fresh = engine.results(len(time_s))
            time_s += fresh.time_s
            share += [float(row[-1]) for row in fresh.shares if row[-1] is not None]
            error += [float(row[-1]) for row in fresh.shares_se if row[-1] is not None]
            if process is not None and fresh.index and len(time_s) >= 5:
                asked.append(time.monotonic())
                process.ask(Question(len(asked), configuration_of(X), list(time_s), list(share), list(error)))
        time.sleep(POLL_S)
    assert status.state is RunState.FINISHED, status.reason
    with h5py.File(out) as file:
        own = file["entry/halidescope"]
        return np.sort(own["start_s"][()] - own["planned_s"][()]), asked


def words(late_s: np.ndarray) -> str:
    return f"median {np.median(late_s) * 1e3:.2f} ms, 99 % below {np.quantile(late_s, 0.99) * 1e3:.2f} ms"


def test_the_band_follows_and_the_measurement_does_not_feel_it(
    engine: EngineClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warm, _ = measured(engine, tmp_path / "warm.nxs")
    assert warm.size > 300
    alone, _ = measured(engine, tmp_path / "alone.nxs")

    training = ComparisonProcess(lambda news: None, tmp_path / "empty-cache")
    training.ask(Question(0, configuration_of(X), [], [], []))
    time.sleep(3.0)                                                # until its code is loaded
    beside_training, _ = measured(engine, tmp_path / "training.nxs")
    still = training.running
    training.close()

    kmc_cache.store(tmp_path / "cache", train(PAPER.of_composition(X), designs=64, replicas=1))
    answered: dict[int, float] = {}
    ready = threading.Event()

    def hear(news: News) -> None:
        assert not news.problem, news.problem
        if news.ready:
            ready.set()
        if news.answer is not None:
            answered[news.number] = time.monotonic()

    process = ComparisonProcess(hear, tmp_path / "cache")
    process.ask(Question(0, configuration_of(X), [], [], []))
    assert ready.wait(60.0)
    beside_answers, asked = measured(engine, tmp_path / "answers.nxs", process)
    time.sleep(2.0)
    process.close()
    # the band that shows a fit is that of the first answer to it or to a newer one
    delays = [
        min(at for number, at in answered.items() if number >= k) - when for k, when in enumerate(asked, start=1)
    ]
    again, _ = measured(engine, tmp_path / "again.nxs")
    with capsys.disabled():
        sys.stdout.write(
            f"\nlateness of {alone.size} points every {INTERVAL_S * 1e3:.0f} ms: alone {words(alone)}; beside a "
            f"training {words(beside_training)}; beside {len(answered)} answers {words(beside_answers)}; alone again "
            f"{words(again)}\n{len(asked)} new fits, shown after {statistics.median(delays):.2f} s (median), "
            f"{max(delays):.2f} s at most (asked 2)\n"
        )
    assert still
    assert len(asked) > 20
    assert max(delays) < 2.0
    worst = max(np.quantile(alone, 0.99), np.quantile(again, 0.99))
    for late in (beside_training, beside_answers):
        assert np.median(late) < max(np.median(alone), np.median(again)) + 1e-3
        assert np.quantile(late, 0.99) < worst + 10e-3
