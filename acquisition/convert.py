"""Measured files in other formats: a cut-off journal becomes its finished file; tables for spreadsheets and NumPy.

What a scan holds is in :mod:`halidescope.acquisition.scan`; the NeXus layout in :mod:`halidescope.acquisition.nexus`.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from halidescope.acquisition.problems import RefusedRunError, ScanFileError
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.storage import open_scan, write_finished

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
        with open_scan(source) as scan:
            WRITERS[out.suffix](scan, part)
        part.replace(out)
    except OSError as error:
        raise ScanFileError(f"{out}: cannot be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)


def write_csv(scan: Scan, path: Path) -> None:
    """One row per valid spectrum: numbers with units in the header, then raw counts by wavelength."""
    with path.open("w", newline="", encoding="utf-8") as file:
        mark = " SIMULATED" if scan.simulated else ""
        file.write(f"# {scan.metadata['title']}{mark}; raw counts, dark not subtracted\n")
        table = csv.writer(file)
        table.writerow([
            "point", "time (s)", "x (um)", "y (um)", "power (uW)", "exposure (s)", "dose (J/cm2)", "saturated",
            *(f"{value:.4f} nm" for value in scan.wavelength_nm),
        ])  # fmt: skip
        table.writerows(_rows(scan))


def _rows(scan: Scan) -> Iterator[list[object]]:
    for index, point in enumerate(np.ndindex(scan.valid.shape)):
        if scan.valid[point]:
            yield [
                index, f"{scan.time_s[point]:.6f}", *(f"{value:.4f}" for value in scan.position_um[point]),
                f"{scan.sample_power_uw[point]:g}", f"{scan.exposure_s[point]:g}", f"{scan.dose_j_cm2[point]:.6g}",
                int(scan.saturated[point]), *scan.spectra[point].tolist(),
            ]  # fmt: skip


def write_npz(scan: Scan, path: Path) -> None:
    """Every array under its name in :class:`Scan`, metadata as JSON text; nothing pickled."""
    np.savez_compressed(
        path,
        allow_pickle=False,
        spectra=scan.spectra,
        valid=scan.valid,
        wavelength_nm=scan.wavelength_nm,
        time_s=scan.time_s,
        position_um=scan.position_um,
        exposure_s=scan.exposure_s,
        sample_power_uw=scan.sample_power_uw,
        dose_j_cm2=scan.dose_j_cm2,
        saturated=scan.saturated,
        dark=scan.dark.mean,
        metadata=np.array(json.dumps(dict(scan.metadata), default=str)),
    )


def write_hspy(scan: Scan, path: Path) -> None:
    """A HyperSpy file with the true wavelength axis (needs HyperSpy)."""
    scan.to_hyperspy().save(str(path))


WRITERS: dict[str, Callable[[Scan, Path], None]] = {".csv": write_csv, ".npz": write_npz, ".hspy": write_hspy}
