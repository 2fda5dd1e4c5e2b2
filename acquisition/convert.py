"""Measured files in other formats: a cut-off journal becomes its finished file; tables for spreadsheets and NumPy.

What a scan holds is in :mod:`halidescope.acquisition.scan`; the NeXus layout in :mod:`halidescope.acquisition.nexus`.
"""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

from halidescope.acquisition.bundle import write_bundle
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.listing import parts_in
from halidescope.acquisition.maps import write_maps_csv, write_ome_tiff
from halidescope.acquisition.problems import RefusedRunError, ScanFileError
from halidescope.acquisition.results_file import is_results
from halidescope.acquisition.results_table import convert_results
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.storage import save_scan, write_finished
from halidescope.acquisition.tables import write_csv, write_npz

JOURNAL_SUFFIX = ".journal"


def convert(source: Path, out: Path, *, run: int | None = None) -> str:
    """Write the measurement ``source`` as ``out``, in the format of its ending (:data:`WRITERS`, or .nxs).

    A file of results becomes a table of its newest analysis, or of number ``run``.

    Returns
    -------
    str
        What of the source is not in ``out``, in a sentence: of a list of measurements all but its main one.

    Raises
    ------
    RefusedRunError
        ``out`` exists, or its ending is none of these; a finished file cannot be made from a finished file.
    ScanFileError
        ``source`` cannot be read, or ``out`` cannot be written.
    """
    if out.exists():
        raise RefusedRunError(f"output file {out} exists and is never overwritten; choose another name")
    ending_of(out)
    if is_results(source):
        convert_results(source, out, run)
        return ""
    if out.suffix == ".nxs" and source.suffix == JOURNAL_SUFFIX:
        write_finished(source, out)
        return ""
    with open_any(source) as scan:
        save(scan, out)
        taken = Path(scan.source)
    parts = parts_in(source)
    if taken == source or taken not in parts or len(parts) == 1:
        return ""
    others = ", ".join(str(part) for part in parts if part != taken)
    return f"{source} lists {len(parts)} measurements, {out} holds {taken.name}; convert the others too: {others}"


def save(scan: Scan, out: Path) -> None:
    """Write a scan in the format of the ending, whole or not at all; errors as :func:`convert`."""
    ending = ending_of(out)
    if ending == ".nxs":
        save_scan(scan, out)
        return
    if out.exists():
        raise RefusedRunError(f"output file {out} exists and is never overwritten; choose another name")
    part = out.with_name(f"{out.name.removesuffix(ending)}.part{ending}")
    try:
        WRITERS[ending](scan, part)
        part.replace(out)
    except OSError as error:
        raise ScanFileError(f"{out}: cannot be written ({error.strerror or error})") from error
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


def ending_of(out: Path) -> str:
    """The ending that tells the format; raises RefusedRunError if there is no such format."""
    for ending in (".nxs", *WRITERS):
        if out.name.endswith(ending):
            return ending
    raise RefusedRunError(f"output file {out}: ending {out.suffix!r} is not known; use .nxs, {', '.join(WRITERS)}")


def write_hspy(scan: Scan, path: Path) -> None:
    """A HyperSpy file (.hspy, or a .zspy folder) with the true wavelength axis (needs HyperSpy)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)      # of zarr, about a store that RosettaSciIO chooses
        scan.to_hyperspy().save(str(path))


# the longer endings first
WRITERS: dict[str, Callable[[Scan, Path], None]] = {
    ".maps.csv": write_maps_csv, ".ome.tif": write_ome_tiff, ".csv": write_csv, ".npz": write_npz, ".hspy": write_hspy,
    ".zspy": write_hspy, ".zip": write_bundle,
}
