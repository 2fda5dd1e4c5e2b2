"""The analysis against named peers and against the statistical bound: the whole table, or a part of it.

    python tests/benchmarks/bench_analysis.py [--only PART …] [--pixels 40401] [--repeats 7] [--out FILE.json]

Speed: one process, one core, runs interleaved, medians; each job is the same work on the same simulated counts (2048
channels, uint16), and a peer that is slow gets the first few hundred spectra, per spectrum. Two cores: the same call
with one core and with all, interleaved. First call: a fresh process, kernels cached (``make kernels``), from before the
import to the answer. Memory: growth of the process's peak beside the results (Linux). Statistics: see
``analysis_bounds.py``. Peers that are not installed (``pip install -e .[bench]``) are left out and said so. The file is
not collected by pytest; ``test_bench_analysis.py`` runs every part once on a few spectra.
"""

import argparse
import gc
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import analysis_bounds
import analysis_peers as peer
import numpy as np
from analysis_peers import CHANNELS, DARK, READ_NOISE, TIME, WAVELENGTH, Loop, bands, counts_of
from numba import njit

from halidescope.analysis.composition import HC_EV_NM
from halidescope.analysis.cosmic import find_cosmic_rays
from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.kinetics_intervals import reported_intervals
from halidescope.analysis.kinetics_refit import GrowingFit
from halidescope.analysis.peaks import fit_peaks
from halidescope.analysis.unmixing import Unmixer

ENERGY = HC_EV_NM / WAVELENGTH
CENTRES = 513.0, 590.0, 688.0
CALLS = 25      # between two changes of the cores: a map re-analysed line by line keeps them


@dataclass
class Row:
    """One figure of the table with what is wanted of it; ``note`` says what it was computed from."""

    job: str
    against: str
    value: float
    unit: str
    wanted: float
    at_most: bool = False
    note: str = ""

    @property
    def reached(self) -> bool:
        """Is it what is wanted?"""
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted


@dataclass
class Report:
    """All rows with the machine they were measured on."""

    machine: str
    python: str
    pixels: int
    repeats: int
    scale: float = 1.0
    rows: list[Row] = field(default_factory=list)
    limits: list[analysis_bounds.Limit] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def interleaved(jobs: dict[str, tuple[Loop, int]], repeats: int) -> dict[str, float]:
    """Median microseconds per item; every job is (work on the first n items, n) and runs once in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for work, count in jobs.values():
        work(min(count, 2))                      # compiled, caches warm
    for _ in range(repeats):
        for name, (work, count) in jobs.items():
            gc.collect()                         # what one job left behind is not the next one's time
            start = time.perf_counter()
            work(count)
            seconds[name].append((time.perf_counter() - start) / count)
    return {name: 1e6 * statistics.median(values) for name, values in seconds.items()}


def compare(report: Report, job: str, own: str, times: dict[str, float], wanted: dict[str, float]) -> None:
    for against, least in wanted.items():
        if against in times:
            note = f"{times[own]:.3g} and {times[against]:.3g} µs each"
            report.rows.append(Row(job, against, times[against] / times[own], "×", least, note=note))


def add_peers(
    report: Report, jobs: dict[str, tuple[Loop, int]], *peers: tuple[str, str, Callable[[], Loop], int]
) -> None:
    """Add (package, name, loop, count) where the package is installed."""
    for package, name, loop, count in peers:
        if installed(package):
            jobs[name] = loop(), count
        else:
            report.missing.append(package)


@njit
def read_all(rows: np.ndarray) -> int:
    """Nothing but reading: the bound that memory sets."""
    total = 0
    for i in range(rows.shape[0]):
        part = np.uint64(0)
        for j in range(rows.shape[1]):
            part += rows[i, j]
        total += part
    return total


def unmixing(report: Report) -> None:
    references = bands(*CENTRES)
    counts = counts_of(report.pixels, references)
    dark = np.full(CHANNELS, DARK)
    plain = Unmixer(references)
    optimal = Unmixer(references, noise="poisson", read_noise=READ_NOISE)
    few = min(report.pixels, 200)
    jobs: dict[str, tuple[Loop, int]] = {
        "own": (lambda n: plain(counts[:n], dark), report.pixels),
        "own poisson": (lambda n: optimal(counts[:n], dark), report.pixels),
        "float32 GEMM": (peer.matrix_product(counts, references), report.pixels),
        "scipy.nnls": (peer.scipy_nnls(counts, references), few),
        "weighted scipy.nnls": (peer.scipy_weighted_nnls(counts[:few], references), few),
        "memory read": (lambda n: read_all(counts[:n]), report.pixels),
    }
    times = interleaved(jobs, report.repeats)
    job = "non-negative unmix, k = 3"
    compare(report, job, "own", times, {"float32 GEMM": 3.0, "scipy.nnls": 50.0})
    # in rounds of their own: what takes and gives back 2 GB in every one also slows what comes after it
    whole = {"own": jobs["own"]}
    add_peers(
        report, whole, ("hyperspy", "HyperSpy lstsq", lambda: peer.hyperspy_linear(counts, references), report.pixels)
    )
    compare(report, job, "own", interleaved(whole, report.repeats), {"HyperSpy lstsq": 150.0})
    report.rows.append(Row(
        "same", "share of the memory-read bound", times["memory read"] / times["own"], "", 0.4,
        note=f"{times['memory read']:.3g} µs each for reading alone",
    ))  # fmt: skip
    compare(report, "Poisson-optimal unmix with covariances", "own poisson", times,
            {"float32 GEMM": 0.8, "weighted scipy.nnls": 20.0})  # fmt: skip
    for name, work in (("non-negative unmix", plain), ("Poisson-optimal unmix", optimal)):
        grown = growth_mb(lambda work=work: work(counts, dark))
        if grown is None:
            report.missing.append("peak memory (needs Linux)")
        else:
            report.rows.append(Row(f"extra memory per map, {name}", "–", grown, "MB", 5.0, at_most=True))


def growth_mb(work: Callable[[], object]) -> float | None:
    """How far the process's peak rises above what it held before and the arrays that ``work`` returns, MB."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None

    def held(name: str) -> float:
        line = next(one for one in status.read_text().splitlines() if one.startswith(name))
        return int(line.split()[1]) / 1024

    work()                                       # what is kept for later calls is there
    reset.write_text("5")
    before = held("VmRSS:")
    result = work()
    results = sum(one.nbytes for one in vars(result).values() if isinstance(one, np.ndarray)) / 2**20
    return max(held("VmHWM:") - before - results, 0.0)


def peaks(report: Report) -> None:
    pixels = max(report.pixels // 10, 20)
    counts = peer.peak_counts(pixels, ENERGY)
    few, some = min(pixels, 40), min(pixels, 200)
    jobs: dict[str, tuple[Loop, int]] = {
        "own": (lambda n: fit_peaks(ENERGY, counts[:n], noise="poisson"), pixels),
        "curve_fit": (peer.scipy_gaussian(counts, ENERGY), few),
    }
    add_peers(
        report, jobs,
        ("lmfit", "lmfit", lambda: peer.lmfit_gaussian(counts, ENERGY), few),
        ("hyperspy", "HyperSpy multifit", lambda: peer.hyperspy_gaussian(counts[:some], ENERGY), some),
    )  # fmt: skip
    times = interleaved(jobs, report.repeats)
    compare(report, "Gaussian + offset peak, Poisson", "own", times,
            {"curve_fit": 100.0, "HyperSpy multifit": 400.0, "lmfit": 1000.0})  # fmt: skip


def kinetics(report: Report) -> None:
    count = max(report.pixels // 10, 20)
    traces = peer.traces_of(count)
    jobs: dict[str, tuple[Loop, int]] = {
        "own": (lambda n: fit_biexponential(TIME, traces[:n]), count),
        "curve_fit with Jacobian": (peer.scipy_kinetics(traces), min(count, 200)),
    }
    add_peers(report, jobs, ("lmfit", "lmfit", lambda: peer.lmfit_kinetics(traces), min(count, 40)))
    times = interleaved(jobs, report.repeats)
    compare(report, "biexponential, 100 points", "own", times, {"curve_fit with Jacobian": 30.0, "lmfit": 300.0})


def refits(report: Report) -> None:
    """One series fitted again and again while it grows: from the last optimum, and from many starts each time."""
    length = min(max(report.pixels // 40, 60), 1000)
    time_s = np.linspace(0.4, 500.0, length)
    rng = np.random.default_rng(6)
    share = 1 - peer.two(time_s, 0.03, 0.002, 0.65, 0.35) + rng.normal(0, 0.005, length)
    error = np.full(length, 0.005)
    lengths = range(20, length + 1, 10)

    def warm(_: int) -> None:
        growing = GrowingFit()
        for n in lengths:
            growing.fit(time_s[:n], share[:n], rising=True, sigma=error[:n])

    def scratch(_: int) -> None:
        for n in lengths:
            fit_biexponential(time_s[:n], share[:n], rising=True, sigma=error[:n])

    def told(_: int) -> None:
        growing = GrowingFit()
        for n in lengths:
            fit, used = growing.fit(time_s[:n], share[:n], rising=True, sigma=error[:n])
            reported_intervals(time_s[:n], share[:n], used, fit, float(time_s[n - 1]))

    count = len(lengths)
    jobs: dict[str, tuple[Loop, int]] = {
        "own": (warm, count), "from many starts": (scratch, count), "told": (told, count)
    }  # fmt: skip
    times = interleaved(jobs, report.repeats)
    job = f"refits of a series that grows to {length} spectra, one every ten"
    compare(report, job, "own", times, {"from many starts": 1.0})
    report.rows.append(Row(
        "same, with the six intervals", "–", 1e-3 * times["told"], "ms", 10.0, at_most=True, note="each refit",
    ))  # fmt: skip


def cosmic_rays(report: Report) -> None:
    rng = np.random.default_rng(4)
    side = max(int(np.sqrt(report.pixels)), 5)
    counts = counts_of(side * side, bands(*CENTRES), seed=5).reshape(side, side, CHANNELS)
    hits = max(side * side // 4, 20)
    row, column, channel = rng.integers(0, side, hits), rng.integers(0, side, hits), rng.integers(8, CHANNELS - 8, hits)
    truth = np.zeros(counts.shape, dtype=bool)
    truth[row, column, channel] = True
    counts[row, column, channel] += rng.uniform(1500, 30_000, hits).astype(np.uint16)
    found = find_cosmic_rays(counts, dark=DARK, read_noise=READ_NOISE).mask
    words = f"{int(truth.sum())} hits on {side} × {side} spectra"
    report.rows.append(Row("cosmic rays", "recall", float(found[truth].mean()), "", 0.998, note=words))
    report.rows.append(Row("same", "false flags", float((found & ~truth).sum()), "", 0.0, at_most=True, note=words))
    del truth, found
    jobs: dict[str, tuple[Loop, int]] = {
        "own": (lambda n: find_cosmic_rays(counts[: max(n // side, 1)], dark=DARK, read_noise=READ_NOISE), side * side)
    }
    rows = min(side, 5)
    add_peers(
        report, jobs, ("hyperspy", "HyperSpy remove_spikes", lambda: peer.hyperspy_spikes(counts[:rows]), rows * side)
    )
    times = interleaved(jobs, report.repeats)
    compare(report, "same", "own", times, {"HyperSpy remove_spikes": 150.0})


def two_cores(report: Report) -> None:
    """The same call with one core and with all that this process may use."""
    every = usable_cores()
    if len(every) < 2:
        report.missing.append("two cores (this process may use one only, or cannot choose)")
        return
    references = bands(*CENTRES)
    counts = counts_of(report.pixels, references)
    lines, traces = peer.peak_counts(report.pixels, ENERGY), peer.traces_of(report.pixels)
    dark = np.full(CHANNELS, DARK)
    plain = Unmixer(references)
    optimal = Unmixer(references, noise="poisson", read_noise=READ_NOISE)
    works: dict[str, Callable[[], object]] = {
        "non-negative unmix": lambda: plain(counts, dark),
        "Poisson-optimal unmix": lambda: optimal(counts, dark),
        "peaks": lambda: fit_peaks(ENERGY, lines, noise="poisson"),
        "kinetics": lambda: fit_biexponential(TIME, traces),
    }

    def on(cores: set[int], work: Callable[[], object]) -> Loop:
        def loop(calls: int) -> None:
            os.sched_setaffinity(0, cores)
            for _ in range(calls):
                work()

        return loop

    alone = {min(every)}
    for name, work in works.items():
        times = interleaved({"one": (on(alone, work), CALLS), "all": (on(every, work), CALLS)}, report.repeats)
        note = f"{1e-3 * times['one']:.3g} and {1e-3 * times['all']:.3g} ms"
        report.rows.append(Row(f"{name}, two cores", "one core", times["one"] / times["all"], "×", 1.7, note=note))
    os.sched_setaffinity(0, alone)


def usable_cores() -> set[int]:
    """Two cores of this process, whatever it was pinned to before; fewer where the system has no more."""
    if not hasattr(os, "sched_setaffinity"):
        return set()
    try:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    except OSError:
        return set()
    return set(sorted(os.sched_getaffinity(0))[:2])


FIRST_CALLS = {
    "non-negative unmix": "from halidescope.analysis.unmixing import unmix; unmix(counts, shapes)",
    "Poisson-optimal unmix": "from halidescope.analysis.unmixing import unmix; unmix(counts, shapes, noise='poisson')",
    "peaks": "from halidescope.analysis.peaks import fit_peaks; fit_peaks(axis, counts, noise='poisson')",
    "kinetics": "from halidescope.analysis.kinetics import fit_biexponential as fit; fit(axis, np.exp(-3 * axis))",
    "cosmic rays": "from halidescope.analysis.cosmic import find_cosmic_rays; find_cosmic_rays(counts)",
}
FIRST_CALL = """
import time
start = time.perf_counter()
import numpy as np
axis = np.linspace(1.8, 2.6, 2048)
shapes = np.exp(-0.5 * ((axis - np.array([[2.1], [2.4]])) / 0.05) ** 2)
counts = np.rint(1000 * shapes.sum(axis=0) + np.zeros((20, 1)) + 5).astype(np.uint16)
{call}
print(time.perf_counter() - start)
"""


def first_calls(report: Report) -> None:
    """Fresh processes; the first of them, which finds or makes the cache, does not count."""
    for name, call in FIRST_CALLS.items():
        seconds = []
        for _ in range(1 + max(report.repeats // 2, 1)):
            ran = subprocess.run(
                [sys.executable, "-c", FIRST_CALL.format(call=call)], capture_output=True, text=True, check=True
            )
            seconds.append(float(ran.stdout))
        report.rows.append(Row(
            f"first call in a fresh process, {name}", "–", statistics.median(seconds[1:]), "s", 2.0, at_most=True,
            note="imports included",
        ))  # fmt: skip


def limits(report: Report) -> None:
    """Cramér–Rao ratios and coverage."""
    for job, draws in analysis_bounds.CASES.values():
        report.limits += job(max(int(draws * report.scale), 40))


PARTS = {
    "unmixing": unmixing, "peaks": peaks, "kinetics": kinetics, "refits": refits, "cosmic": cosmic_rays,
    "first": first_calls, "statistics": limits, "cores": two_cores,
}  # fmt: skip


def measure(pixels: int, repeats: int, only: list[str] | None = None, scale: float = 1.0) -> Report:
    """Run the parts named (all by default), each in turn."""
    report = Report(platform.processor() or platform.machine(), platform.python_version(), pixels, repeats, scale)
    for name, part in PARTS.items():
        if not only or name in only:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="hyperspy")      # of peers, on their own defaults
                part(report)
    report.missing = sorted(set(report.missing))
    return report


def table(report: Report) -> str:
    """The rows as Markdown."""
    lines = []
    if report.rows:
        lines += ["| job | against | measured | wanted | |", "|---|---|---|---|---|"]
        for row in report.rows:
            unit = row.unit if row.unit == "×" else f" {row.unit}".rstrip()
            wanted = f"{'≤' if row.at_most else '≥'} {row.wanted:g}{unit}"
            note = row.note if row.reached else f"{row.note} **missed**".strip()
            lines.append(f"| {row.job} | {row.against} | {row.value:.3g}{unit} | {wanted} | {note} |")
    if report.limits:
        low, high = analysis_bounds.COVERAGE_LIMITS
        lines += [
            "", f"| quantity | case | draws | rms / bound (≤ {analysis_bounds.RMS_LIMIT}) | "
            f"68 % interval covers ({low:.2f}–{high:.2f}) | bias / bound | |", "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        lines += [
            f"| {one.quantity} | {one.case} | {one.draws} | {one.rms_over_bound:.3f} | {one.covered:.3f} | "
            f"{one.bias:+.3f} | {'' if one.reached else '**missed**'} |"
            for one in report.limits
        ]
    if report.missing:
        lines += ["", f"Not here, left out: {', '.join(report.missing)}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=40_401)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=list(PARTS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    report = measure(arguments.pixels, arguments.repeats, arguments.only)
    sys.stdout.write(table(report))
    if arguments.out:
        arguments.out.write_text(json.dumps(asdict(report), indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
