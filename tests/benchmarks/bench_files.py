"""How long files take: appending, finishing, opening, one pixel, any raw sum; against h5py alone in the same run.

Run as a program (``python tests/benchmarks/bench_files.py [FOLDER]``); prints a table for RESULTS.md. The map is
201 × 201 × 2068 of 16 bit, PL bands with counting noise, on a curved wavelength axis (so that a view is written, too).
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "acquisition"))
from conftest import header, record

from halidescope.acquisition.importers import open_any
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.records import Ending
from halidescope.acquisition.storage import finish, open_scan

SIDE, CHANNELS = 201, 2068


def spectra(count: int) -> np.ndarray:
    """Two PL bands on a dark level, with counting noise, shape (count, channels)."""
    rng = np.random.default_rng(0)
    nm = axis_nm()
    green, red = (np.exp(-(((nm - at) / width) ** 2)) for at, width in ((520, 15), (650, 20)))
    mean = 3000 * green * rng.uniform(0.3, 1, (count, 1)) + 2000 * red * rng.uniform(0.3, 1, (count, 1)) + 1500
    return rng.poisson(mean).astype("<u2")


def axis_nm() -> np.ndarray:
    """Wavelengths with the curvature of a grating spectrometer."""
    pixel = np.arange(CHANNELS)
    return 350 + 0.314 * pixel - 1e-5 * pixel**2


def say(text: str) -> None:
    """One line of the table."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def write_journal(out: Path, counts: np.ndarray) -> np.ndarray:
    """A whole map, serpentine; seconds of each append."""
    writer = JournalWriter(journal_path(out), header("raster-map", axis_nm(), SIDE, SIDE))
    like, times = record(0, 0, pixels=CHANNELS), np.empty(SIDE * SIDE)
    for k in range(SIDE * SIDE):
        row, column = divmod(k, SIDE)
        point = row * SIDE + (SIDE - 1 - column if row % 2 else column)
        one = replace(like, sequence=k, index=point, counts=counts[k % len(counts)])
        times[k] = timed(lambda one=one: writer.append(one))
    writer.end(Ending(state="finished"))
    writer.close()
    return times


def h5py_alone(path: Path, cube: np.ndarray) -> None:
    """The same chunks and filters, packed by HDF5 itself; no axes, no view, not read back."""
    with h5py.File(path, "w") as file:
        cubes = file.create_dataset(
            "intensity", cube.shape, cube.dtype, chunks=(1, 32, CHANNELS), compression="gzip", compression_opts=4,
            shuffle=True,
        )
        for row in range(SIDE):
            cubes[row] = cube[row]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        out = Path(name) / "map.nxs"
        counts = spectra(400)
        appends = write_journal(out, counts) * 1e6
        say(f"| append, median / p99 / worst | {np.median(appends):.0f} / {np.percentile(appends, 99):.0f} / "
              f"{appends.max():.0f} µs | 150 µs / 3 ms |")
        say(f"| finish (pack, view, fsync, read back, compare) | {timed(lambda: finish(out)):.2f} s | 8 s |")
        raw = SIDE * SIDE * CHANNELS * 2
        say(f"| size, view included | {out.stat().st_size / 1e6:.0f} MB of {raw / 1e6:.0f} MB raw | |")
        opened, bands, pixels, whole = [], [], [], []
        first, *later = (timed(lambda: open_any(out).close()) for _ in range(6))      # the first starts a process
        for _ in range(5):
            start = time.perf_counter()
            with open_scan(out) as scan:
                assert scan.counts_sum.shape == (SIDE, SIDE)
                opened.append(time.perf_counter() - start)
                pixels += [timed(lambda k=k, scan=scan: scan.spectrum(k, 2 * k)) for k in range(10, 100, 10)]
            start = time.perf_counter()
            with open_scan(out) as scan:
                scan.band_sum(500, 540)
                bands.append(time.perf_counter() - start)
            start = time.perf_counter()
            with open_scan(out) as scan:
                cube = scan.spectra
                whole.append(time.perf_counter() - start)
        middle = statistics.median
        say(f"| open, raw sum of every pixel (stored) | {middle(opened) * 1e3:.0f} ms | 1 s |")
        say(f"| the same, in another process before: first file, next ones | {first:.2f} s, "
            f"{middle(later) * 1e3:.0f} ms | 1 s |")
        say(f"| open, sum over any band of wavelengths | {middle(bands):.2f} s | 1 s |")
        say(f"| one pixel, CRC checked | {middle(pixels) * 1e3:.2f} ms | 5 ms |")
        say(f"| open, all spectra, CRCs checked | {middle(whole):.2f} s | |")
        alone = timed(lambda: h5py_alone(Path(name) / "alone.h5", cube))

        def read_alone() -> None:
            with h5py.File(Path(name) / "alone.h5") as file:
                file["intensity"][()]

        say(f"| h5py alone: write only | {alone:.2f} s | |")
        say(f"| h5py alone: read all | {timed(read_alone):.2f} s | |")


if __name__ == "__main__":
    main()
