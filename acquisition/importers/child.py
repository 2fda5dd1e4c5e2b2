"""The process in which a file is read that a reader of others might choke on; started by
:mod:`halidescope.acquisition.importers.guard`. Reads one file and writes what it holds as arrays of ours.
"""

import importlib
import sys
from pathlib import Path

from halidescope.acquisition.importers.guard import REFUSED
from halidescope.acquisition.memory_limit import limit_memory
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.tables import write_npz


def main(reader: str, path: str, out: str) -> int:
    """Read one file and write what it holds; the exit code."""
    limit_memory()
    try:
        scan = importlib.import_module(f"halidescope.acquisition.importers.{reader}").read_unguarded(Path(path))
        write_npz(scan, Path(out), packed=False)
    except ScanFileError as error:
        sys.stdout.write(str(error))
        return REFUSED
    except MemoryError:
        sys.stdout.write(f"{path}: needs more memory than this computer has; the file is damaged, or too large")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
