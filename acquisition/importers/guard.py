"""Readers that we did not write, in a process of their own: one that crashes or hangs takes nothing with it.

The other process is :mod:`halidescope.acquisition.importers.child`.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from halidescope.acquisition.importers.own_tables import read_npz
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.scan import Scan

PATIENCE_S = 60.0            # for any file, and so much more for each 10 MB
REFUSED = 3                 # the other process's code for a file that it refused with a sentence


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
        command = [sys.executable, "-m", "halidescope.acquisition.importers.child", reader, str(path), str(out)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=patience_s
            )
        except subprocess.TimeoutExpired as error:
            raise ScanFileError(
                f"{path}: its reader came to no end within {patience_s:.0f} s; the file is damaged, or not what its "
                "ending says"
            ) from error
        if done.returncode == REFUSED:
            raise ScanFileError(done.stdout.strip())
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise ScanFileError(f"{path}: its reader crashed ({done.returncode}: {last[:300]}); the file is damaged")
        return replace(read_npz(out), source=str(path))
