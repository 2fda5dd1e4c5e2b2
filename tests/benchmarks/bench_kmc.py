"""Speed of the kinetic Monte Carlo kernels: executed swaps per second on one core, beside what the memory can do.

Run with ``pytest tests/benchmarks/bench_kmc.py -m benchmark``. The workload is the one peers were measured on: 64 %
bromide, 35.2 % iodide, 0.8 % vacancies at 350 K (kmcos ``local_smart`` 0.87 / 0.41 / 0.18 million a second at 20³ /
64³ / 200³, SPPARKS 1.08 / 0.27 / 0.13 million). Limits hold on an idle core whose dependent random read of 128 MB
takes about 190 ns; the time of that read is printed first.
"""

import statistics
import sys
import time
import tracemalloc

import numpy as np
import pytest
from numba import njit

from halidescope.analysis.kmc import PAPER, KmcConfig
from halidescope.analysis.kmc.exact import ExactFilm
from halidescope.analysis.kmc.run import run_replica

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

EVENTS = 4_000_000
REPEATS = 7


def film_config(size: int, **keys: object) -> KmcConfig:
    """The peers' workload."""
    plain = {"lattice__size": size, "run__scheme": "exact", "temperature__ambient_k": 350.0,
             "temperature__amplitude_k": 0.0, "reading__escape": "none"}
    return PAPER.replace(**(plain | keys))


def swaps_per_s(film: ExactFilm, events: int = EVENTS) -> float:
    """Median speed of a film after a warm-up, executed swaps a second of processor time."""
    film.advance(max_events=events // 4)
    speeds = []
    for _ in range(REPEATS):
        start = time.thread_time()
        film.advance(max_events=events)
        speeds.append(events / (time.thread_time() - start))
    return statistics.median(speeds)


@njit
def chase(links: np.ndarray, steps: int) -> int:
    at = 0
    for _ in range(steps):
        at = links[at]
    return at


def random_read_ns() -> float:
    """Time of one dependent random read in 128 MB, ns."""
    links = np.empty(1 << 25, np.int32)
    order = np.random.default_rng(1).permutation(links.size).astype(np.int32)
    links[order] = np.roll(order, -1)
    chase(links, 10)
    start = time.thread_time()
    chase(links, 2_000_000)
    return (time.thread_time() - start) / 2_000_000 * 1e9


@pytest.fixture(scope="module")
def read_ns() -> float:
    return random_read_ns()


def report(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{text}")


@pytest.mark.parametrize(("size", "least"), [(20, 12e6), (64, 12e6), (200, 10e6), (512, 6e6)])
def test_null_events(size: int, least: float, read_ns: float, capsys: pytest.CaptureFixture[str]) -> None:
    speed = swaps_per_s(ExactFilm(film_config(size), 1, method="null-event"))
    report(capsys, f"{size}³: {speed / 1e6:.1f} M swaps/s (asked {least / 1e6:.0f}), random read {read_ns:.0f} ns")
    assert speed >= least


@pytest.mark.parametrize("size", [20, 64, 200])
def test_hot_spot(size: int, read_ns: float, capsys: pytest.CaptureFixture[str]) -> None:
    config = film_config(size, temperature__ambient_k=300.0, temperature__amplitude_k=150.0)
    speed = swaps_per_s(ExactFilm(config, 1, method="null-event"))
    report(capsys, f"{size}³ hot spot: {speed / 1e6:.1f} M swaps/s (asked 6), random read {read_ns:.0f} ns")
    assert speed >= 6e6


def test_class_lists_win_where_trials_are_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    config = film_config(20, lattice__iodide=0.002, lattice__bromide=0.99, temperature__ambient_k=250.0)
    speeds = {m: swaps_per_s(ExactFilm(config, 1, method=m), 200_000) for m in ("null-event", "class-lists")}
    report(capsys, ", ".join(f"{method} {speed / 1e6:.2f} M swaps/s" for method, speed in speeds.items()))
    assert speeds["class-lists"] > speeds["null-event"]


def test_the_papers_run(capsys: pytest.CaptureFixture[str]) -> None:
    run_replica(PAPER)
    times = [run_replica(PAPER, replica).cpu_s for replica in range(9)]
    report(capsys, f"paper preset, 500 steps at 20³: {statistics.median(times) * 1e3:.0f} ms (asked 100)")
    assert statistics.median(times) <= 0.1


def test_memory_of_the_largest_film(capsys: pytest.CaptureFixture[str]) -> None:
    tracemalloc.start()
    film = ExactFilm(film_config(512), 1)
    film.advance(max_events=100_000)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    report(capsys, f"512³: {peak:.0f} MB at most (asked 200)")
    assert peak <= 200
