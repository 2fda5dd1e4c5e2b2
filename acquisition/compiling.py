"""Kernels of the analysis are compiled once after installation, in the back: no measurement waits for a compiler.

``python -m halidescope.acquisition.compiling`` does it at once. What is compiled is kept by numba, beside the modules
or where NUMBA_CACHE_DIR says; in the user's cache lies only a mark that it has been done.
"""

import hashlib
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

from halidescope.acquisition.holding import locked
from halidescope.acquisition.priority import give_way

NICENESS = 19      # whatever else runs comes first


def mark() -> Path:
    """The file that is there once this installation's kernels are compiled."""
    what = f"{version('halidescope')} {version('numba')} {sys.version} {Path(__file__).resolve()}"
    name = f"compiled-{hashlib.sha256(what.encode()).hexdigest()[:16]}"
    return user_cache_path("halidescope", appauthor=False) / name


def compile_in_background() -> subprocess.Popen[bytes] | None:
    """Have another process compile the kernels, which gives way to all others; None if that has been done."""
    if mark().exists():
        return None
    process = subprocess.Popen(
        [sys.executable, "-m", "halidescope.acquisition.compiling"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    threading.Thread(target=process.wait, name="compiler", daemon=True).start()     # no zombie stays
    return process


def main() -> None:
    """Compile what is not compiled, then leave the mark; a second process waits for the first, and has little to do."""
    from halidescope.analysis.warm import compile_all  # at use: engines import this module, and need none of that

    done = mark()
    with locked(done.with_suffix(".lock")):
        compile_all()
        done.touch()


if __name__ == "__main__":
    give_way(NICENESS)
    main()
