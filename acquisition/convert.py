"""Measured files in other formats: a cut-off journal becomes its finished file; tables for spreadsheets and NumPy.

What a scan holds is in :mod:`halidescope.acquisition.scan`; the NeXus layout in :mod:`halidescope.acquisition.nexus`.
"""

from collections.abc import Callable
from pathlib import Path

from halidescope.acquisition.importers import open_any
from halidescope.acquisition.problems import RefusedRunError, ScanFileError
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.storage import write_finished
from halidescope.acquisition.tables import write_csv, write_npz

JOURNAL_SUFFIX = ".journal"


def convert(source: Path, out: Path) -> None:
    """Write the measurement ``source`` as ``out``, in the format of its ending: .nxs, .csv, .npz or .hspy.

    Raises
    ------
    RefusedRunError
        ``out`` exists, or its ending is none of these; a finished file cannot be made from a finished file.
    ScanFileError
        ``source`` cannot be read, or ``out`` cannot be written.
    """
    if out.exists():
        raise RefusedRunError(f"output file {out} exists and is never overwritten; choose another name")
    if out.suffix == ".nxs":
        if source.suffix != JOURNAL_SUFFIX:
            raise RefusedRunError(f"{source} is not a journal; only a journal (.nxs.journal) is made into a .nxs file")
        write_finished(source, out)
        return
    if out.suffix not in WRITERS:
        raise RefusedRunError(f"output file {out}: ending {out.suffix!r} is not known; use .nxs, {', '.join(WRITERS)}")
    part = out.with_name(f"{out.stem}.part{out.suffix}")
    try:
        with open_any(source) as scan:
            WRITERS[out.suffix](scan, part)
        part.replace(out)
    except OSError as error:
        raise ScanFileError(f"{out}: cannot be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)


def write_hspy(scan: Scan, path: Path) -> None:
    """A HyperSpy file with the true wavelength axis (needs HyperSpy)."""
    scan.to_hyperspy().save(str(path))


WRITERS: dict[str, Callable[[Scan, Path], None]] = {".csv": write_csv, ".npz": write_npz, ".hspy": write_hspy}
