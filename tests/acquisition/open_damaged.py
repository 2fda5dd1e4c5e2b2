"""Opens files, damaged in many ways, one after the other, in a process of its own whose memory is limited.

``open_damaged.py FIRST LAST READER FILE [READER FILE …]``; the seeds from FIRST to LAST tell what is done to a file.
What lies beside a file is copied as it is. Prints each file and seed, so that a crash tells where it was, then how many
were read and how many refused, and the peak of memory in MB.
"""

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from halidescope.acquisition.analysis_file import load_analysis
from halidescope.acquisition.importers import guard, open_any
from halidescope.acquisition.microscope import load_microscope
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import load_recipe
from halidescope.acquisition.results_file import read_results_file


def open_scan(path: Path) -> None:
    """A measurement, with all its spectra."""
    with open_any(path) as scan:
        assert scan.spectra.shape == (*scan.valid.shape, len(scan.wavelength_nm))
        assert scan.counts_sum.shape == scan.valid.shape


def open_declared(path: Path) -> None:
    """A measurement whose layout file is the damaged one."""
    open_scan(path.with_suffix(""))


READERS: dict[str, Callable[[Path], object]] = {
    "scan": open_scan, "layout": open_declared, "results": read_results_file, "microscope": load_microscope,
    "recipe": load_recipe, "analysis": load_analysis,
}


def damaged(whole: bytes, seed: int) -> bytes:
    """Flipped bits, numbers replaced, a piece repeated, the end cut off."""
    rng = random.Random(seed)
    data = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
    if rng.random() < 0.2:
        at = rng.randrange(len(data))
        data[at : at + 8] = rng.getrandbits(64).to_bytes(8, "little")
    if rng.random() < 0.1:
        at = rng.randrange(len(data))
        data[at:at] = data[at : at + rng.randint(1, 8)] * 5000
    if rng.random() < 0.2:
        del data[rng.randrange(len(data)) :]
    return bytes(data)


def main(first: int, last: int, jobs: list[tuple[str, Path]]) -> None:
    """Open every file with every seed."""
    import resource  # POSIX

    guard.PATIENCE_S = 10.0      # some damage has readers of others go round and round
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    for reader, source in jobs:
        folder = source.parent / "damaged"
        shutil.copytree(source.parent, folder)
        whole, read, refused = source.read_bytes(), 0, 0
        for seed in range(first, last):
            (folder / source.name).write_bytes(damaged(whole, seed))
            sys.stdout.write(f"{source.name} {seed}\n")
            sys.stdout.flush()
            try:
                READERS[reader](folder / source.name)
            except ProblemError as error:
                said = str(error)
                refused += 1
            else:
                said = ""
                read += 1
            assert len(said) < 2000, said[:3000]
            assert "\n" not in said, said
        sys.stdout.write(f"end {read} {refused} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}\n")


if __name__ == "__main__":
    readers, paths = sys.argv[3::2], map(Path, sys.argv[4::2])
    main(int(sys.argv[1]), int(sys.argv[2]), list(zip(readers, paths, strict=True)))
