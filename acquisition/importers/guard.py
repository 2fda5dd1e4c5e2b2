"""Readers that we did not write, in a process of their own: one that crashes or hangs takes nothing with it.

Run as a program it reads one file and writes what it read as arrays of ours; :func:`read_guarded` starts it.
"""

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from halidescope.acquisition.importers.own_tables import read_npz
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.tables import write_npz

PATIENCE_S = 60.0            # for any file, and so much more for each 10 MB
_REFUSED = 3


def read_guarded(path: Path, reader: str) -> Scan:
    """What the function ``read_unguarded`` of the room ``reader`` makes of a file, called in a process of its own.

    Raises
    ------
    ScanFileError
        The reader refused the file, crashed, or did not come to an end.
    """
    size = path.stat().st_size if path.is_file() else 0
    patience_s = PATIENCE_S * (1 + size / 1e7)
    with TemporaryDirectory(prefix="halidescope-", ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "scan.npz"
        command = [sys.executable, "-m", __name__, reader, str(path), str(out)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=patience_s
            )
        except subprocess.TimeoutExpired as error:
            raise ScanFileError(
                f"{path}: its reader came to no end within {patience_s:.0f} s; the file is damaged, or not what its "
                "ending says"
            ) from error
        if done.returncode == _REFUSED:
            raise ScanFileError(done.stdout.strip())
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise ScanFileError(f"{path}: its reader crashed ({done.returncode}: {last[:300]}); the file is damaged")
        return replace(read_npz(out), source=str(path))


def main(reader: str, path: str, out: str) -> int:
    """Read one file and write what it holds; the exit code."""
    _limit_memory()
    try:
        scan = importlib.import_module(f"halidescope.acquisition.importers.{reader}").read_unguarded(Path(path))
        write_npz(scan, Path(out), packed=False)
    except ScanFileError as error:
        sys.stdout.write(str(error))
        return _REFUSED
    except MemoryError:
        sys.stdout.write(f"{path}: needs more memory than this computer has; the file is damaged, or too large")
        return _REFUSED
    return 0


def _limit_memory() -> None:
    """No more memory than is there; Windows knows no such limit."""
    if sys.platform != "win32":
        import resource

        import psutil

        most = psutil.virtual_memory().available + (1 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
