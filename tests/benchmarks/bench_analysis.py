"""The analysis against named peers: one process, one core, interleaved runs, medians.

    python tests/benchmarks/bench_analysis.py [--pixels 40401] [--repeats 7] [--only NAME …] [--out FILE.json]

Peers that are not installed are left out and said so. Each job is the same work on the same simulated counts
(2048 channels, uint16); a peer that is slow is run on the first few spectra and scaled. The file is not collected by
pytest; ``test_bench_analysis.py`` runs every job once on a few spectra.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from numba import njit
from scipy.optimize import curve_fit, nnls

from halidescope.analysis.composition import HC_EV_NM
from halidescope.analysis.cosmic import find_cosmic_rays
from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.peaks import fit_peaks
from halidescope.analysis.unmixing import Unmixer

CHANNELS = 2048
DARK, READ_NOISE = 1000.0, 4.0
WAVELENGTH = np.linspace(450.0, 750.0, CHANNELS)
TIME = np.linspace(0.0, 500.0, 100)


@dataclass
class Row:
    """One comparison; ``peer_us`` and ``own_us`` are microseconds per spectrum or trace, ``ratio`` peer / own."""

    job: str
    peer: str
    own_us: float
    peer_us: float
    ratio: float
    wanted: float
    note: str = ""


@dataclass
class Report:
    """All rows with the machine they were measured on."""

    machine: str
    python: str
    pixels: int
    repeats: int
    rows: list[Row] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def bands(*centres: float, width: float = 12.0) -> np.ndarray:
    shapes = np.exp(-0.5 * ((WAVELENGTH - np.array(centres)[:, None]) / width) ** 2)
    return shapes / shapes.sum(axis=1, keepdims=True)


def counts_of(pixels: int, references: np.ndarray, seed: int = 1) -> np.ndarray:
    """Raw detector counts of random mixtures, about 3e5 photons each."""
    rng = np.random.default_rng(seed)
    out = np.empty((pixels, CHANNELS), dtype=np.uint16)
    for first in range(0, pixels, 2000):
        part = slice(first, min(first + 2000, pixels))
        light = rng.dirichlet(np.ones(len(references)), part.stop - first) * 3e5 @ references
        out[part] = np.rint(rng.poisson(light) + DARK + rng.normal(0, READ_NOISE, light.shape))
    return out


def interleaved(jobs: dict[str, tuple[Callable[[int], object], int]], repeats: int) -> dict[str, float]:
    """Median microseconds per item; every job is (work on the first n items, n) and runs once in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for name, (work, count) in jobs.items():
        work(min(count, 2))                      # compiled, caches warm
        del name
    for _ in range(repeats):
        for name, (work, count) in jobs.items():
            start = time.perf_counter()
            work(count)
            seconds[name].append((time.perf_counter() - start) / count)
    return {name: 1e6 * statistics.median(values) for name, values in seconds.items()}


def compare(report: Report, job: str, own: str, times: dict[str, float], wanted: dict[str, float]) -> None:
    for peer, target in wanted.items():
        if peer in times:
            report.rows.append(Row(job, peer, times[own], times[peer], times[peer] / times[own], target))


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
    references = bands(513.0, 590.0, 688.0)
    counts = counts_of(report.pixels, references)
    dark = np.full(CHANNELS, DARK)
    pseudo = np.linalg.pinv(references).astype(np.float32)
    offset = dark.astype(np.float32) @ pseudo
    plain = Unmixer(references)
    optimal = Unmixer(references, noise="poisson", read_noise=READ_NOISE)
    few = min(report.pixels, 200)
    root = 1.0 / np.sqrt(np.maximum(counts[:few].astype(float) - DARK, 0.0) + READ_NOISE**2)

    def scipy_loop(n: int) -> None:
        for spectrum in counts[:n]:
            nnls(references.T, spectrum - dark)

    def weighted_loop(n: int) -> None:
        for spectrum, weight in zip(counts[:n], root, strict=False):
            nnls((references * weight).T, (spectrum - dark) * weight)

    jobs: dict[str, tuple[Callable[[int], object], int]] = {
        "own": (lambda n: plain(counts[:n], dark), report.pixels),
        "own poisson": (lambda n: optimal(counts[:n], dark), report.pixels),
        "float32 GEMM": (lambda n: counts[:n].astype(np.float32) @ pseudo - offset, report.pixels),
        "scipy.nnls": (scipy_loop, few),
        "weighted scipy.nnls": (weighted_loop, few),
        "memory read": (lambda n: read_all(counts[:n]), report.pixels),
    }
    if installed("hyperspy"):
        jobs["HyperSpy lstsq"] = (hyperspy_linear(counts, references), few)
    else:
        report.missing.append("hyperspy")
    times = interleaved(jobs, report.repeats)
    peers = {"float32 GEMM": 3.0, "scipy.nnls": 50.0, "HyperSpy lstsq": 150.0}
    compare(report, "non-negative unmix, k = 3", "own", times, peers)
    compare(report, "Poisson-optimal unmix with covariances", "own poisson", times,
            {"float32 GEMM": 0.8, "weighted scipy.nnls": 20.0})  # fmt: skip
    report.rows.append(
        Row("unmix, share of the memory-read bound", "memory read", times["own"], times["memory read"],
            times["memory read"] / times["own"], 0.4)
    )  # fmt: skip
    tracemalloc.start()
    plain(counts, dark)
    extra = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    results = report.pixels * 8 * (3 * 4 + 9 + 2) / 1e6
    report.values["unmix, memory beside the results, MB (wanted ≤ 5)"] = max(extra - results, 0.0)


def hyperspy_linear(counts: np.ndarray, references: np.ndarray) -> Callable[[int], object]:
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False

    def work(n: int) -> None:
        signal = hs.signals.Signal1D(counts[:n].astype(float) - DARK)
        model = signal.create_model()
        for reference in references:
            model.append(hs.model.components1D.ScalableFixedPattern(hs.signals.Signal1D(reference)))
        for component in model:
            component.shift.free = component.xscale.free = False
        model.multifit(optimizer="lstsq", show_progressbar=False)

    return work


def gaussian(energy: np.ndarray, amplitude: float, centre: float, sigma: float, offset: float) -> np.ndarray:
    return amplitude * np.exp(-0.5 * ((energy - centre) / sigma) ** 2) + offset


def peaks(report: Report) -> None:
    energy = HC_EV_NM / WAVELENGTH
    rng = np.random.default_rng(2)
    pixels = max(report.pixels // 10, 20)
    centres = rng.uniform(1.9, 2.5, pixels)
    counts = rng.poisson(gaussian(energy, 1500.0, centres[:, None], 0.035, 5.0)).astype(np.uint16)
    few = min(pixels, 40)

    def guess(y: np.ndarray) -> list[float]:
        return [float(y.max()), float(energy[y.argmax()]), 0.04, float(y.min())]

    def scipy_loop(n: int) -> None:
        for y in counts[:n].astype(float):
            curve_fit(gaussian, energy, y, p0=guess(y), sigma=np.sqrt(np.maximum(y, 1.0)))

    jobs: dict[str, tuple[Callable[[int], object], int]] = {
        "own": (lambda n: fit_peaks(energy, counts[:n], noise="poisson"), pixels),
        "curve_fit": (scipy_loop, few),
    }
    if installed("lmfit"):
        jobs["lmfit"] = (lmfit_gaussian(energy, counts), few)
    else:
        report.missing.append("lmfit")
    if installed("hyperspy"):
        jobs["HyperSpy multifit"] = (hyperspy_gaussian(energy, counts), min(few, 10))
    times = interleaved(jobs, report.repeats)
    targets = {"curve_fit": 100.0, "HyperSpy multifit": 400.0, "lmfit": 1000.0}
    compare(report, "Gaussian + offset, Poisson", "own", times, targets)


def lmfit_gaussian(energy: np.ndarray, counts: np.ndarray) -> Callable[[int], object]:
    from lmfit.models import ConstantModel, GaussianModel

    model = GaussianModel() + ConstantModel()

    def work(n: int) -> None:
        for y in counts[:n].astype(float):
            start = model.make_params(amplitude=y.max() * 0.1, center=energy[y.argmax()], sigma=0.04, c=y.min())
            model.fit(y, start, x=energy, weights=1 / np.sqrt(np.maximum(y, 1.0)))

    return work


def hyperspy_gaussian(energy: np.ndarray, counts: np.ndarray) -> Callable[[int], object]:
    import hyperspy.api as hs

    order = np.argsort(energy)

    def work(n: int) -> None:
        even = np.linspace(energy.min(), energy.max(), CHANNELS)
        data = np.array([np.interp(even, energy[order], y[order]) for y in counts[:n].astype(float)])
        signal = hs.signals.Signal1D(data)
        axis = signal.axes_manager[-1]
        axis.offset, axis.scale = even[0], even[1] - even[0]
        signal.estimate_poissonian_noise_variance()
        model = signal.create_model()
        band = hs.model.components1D.Gaussian(A=100.0, centre=2.2, sigma=0.05)
        model.extend([band, hs.model.components1D.Offset(5.0)])
        model.multifit(show_progressbar=False)

    return work


def kinetics(report: Report) -> None:
    rng = np.random.default_rng(3)
    traces = max(report.pixels // 10, 20)

    def curve(t: np.ndarray, k1: float, k2: float, k01: float, k02: float) -> np.ndarray:
        return k01 * np.exp(-k1 * t) + k02 * np.exp(-k2 * t)

    def slope(t: np.ndarray, k1: float, k2: float, k01: float, k02: float) -> np.ndarray:
        e1, e2 = np.exp(-k1 * t), np.exp(-k2 * t)
        return np.stack([-k01 * t * e1, -k02 * t * e2, e1, e2], axis=1)

    shares = curve(TIME, 0.03, 0.002, 0.65, 0.3) + rng.normal(0, 0.005, (traces, TIME.size))

    def scipy_loop(n: int) -> None:
        for y in shares[:n]:
            curve_fit(curve, TIME, y, p0=[0.05, 0.005, 0.5, 0.5], jac=slope)

    jobs: dict[str, tuple[Callable[[int], object], int]] = {
        "own": (lambda n: fit_biexponential(TIME, shares[:n]), traces),
        "curve_fit with Jacobian": (scipy_loop, min(traces, 200)),
    }
    if installed("lmfit"):
        import lmfit

        model = lmfit.Model(curve, independent_vars=["t"])

        def lmfit_loop(n: int) -> None:
            for y in shares[:n]:
                model.fit(y, t=TIME, k1=0.05, k2=0.005, k01=0.5, k02=0.5)

        jobs["lmfit"] = (lmfit_loop, min(traces, 40))
    times = interleaved(jobs, report.repeats)
    compare(report, "biexponential, 100 points", "own", times, {"curve_fit with Jacobian": 30.0, "lmfit": 300.0})


def cosmic_rays(report: Report) -> None:
    rng = np.random.default_rng(4)
    side = max(int(np.sqrt(report.pixels)), 5)
    counts = counts_of(side * side, bands(513.0, 590.0, 688.0), seed=5).reshape(side, side, CHANNELS)
    hits = max(side * side // 4, 20)
    row, column, channel = rng.integers(0, side, hits), rng.integers(0, side, hits), rng.integers(8, CHANNELS - 8, hits)
    truth = np.zeros(counts.shape, dtype=bool)
    truth[row, column, channel] = True
    counts[row, column, channel] += rng.uniform(1500, 30_000, hits).astype(np.uint16)
    found = find_cosmic_rays(counts, dark=DARK, read_noise=READ_NOISE).mask
    report.values["cosmic rays, recall (wanted ≥ 0.998)"] = float(found[truth].mean())
    report.values["cosmic rays, false flags (wanted 0)"] = float((found & ~truth).sum())
    del truth, found
    jobs: dict[str, tuple[Callable[[int], object], int]] = {
        "own": (lambda n: find_cosmic_rays(counts[: max(n // side, 1)], dark=DARK, read_noise=READ_NOISE), side * side)
    }
    if installed("hyperspy"):
        import hyperspy.api as hs

        rows = max(min(side, 400 // side), 1)

        def remove(n: int) -> None:
            del n
            hs.signals.Signal1D(counts[:rows].astype(float)).remove_spikes(inplace=False)

        jobs["HyperSpy remove_spikes"] = (remove, rows * side)
    times = interleaved(jobs, report.repeats)
    compare(report, "cosmic rays", "own", times, {"HyperSpy remove_spikes": 150.0})


JOBS = {"unmixing": unmixing, "peaks": peaks, "kinetics": kinetics, "cosmic": cosmic_rays}


def measure(pixels: int, repeats: int, only: list[str] | None = None) -> Report:
    """Run the jobs named (all by default), each in turn."""
    report = Report(platform.processor() or platform.machine(), platform.python_version(), pixels, repeats)
    for name, job in JOBS.items():
        if not only or name in only:
            job(report)
    report.missing = sorted(set(report.missing))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=40_401)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=list(JOBS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    report = measure(arguments.pixels, arguments.repeats, arguments.only)
    for row in report.rows:
        sys.stdout.write(
            f"{row.job:<42}{row.peer:<26}{row.own_us:>9.2f} µs {row.peer_us:>11.2f} µs "
            f"{row.ratio:>9.2f}x  wanted {row.wanted:g}x\n"
        )
    for name, value in report.values.items():
        sys.stdout.write(f"{name}: {value:.4g}\n")
    if report.missing:
        sys.stdout.write(f"not installed, left out: {', '.join(report.missing)}\n")
    if arguments.out:
        arguments.out.write_text(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
