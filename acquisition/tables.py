"""A scan as a table for spreadsheets (CSV) and as arrays (NPZ); both are read back bit for bit by
:mod:`halidescope.acquisition.importers.own_tables`.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from halidescope.acquisition.quantities import ucum
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.transport import extras_of, ucum_of, unit_of_column

CSV_MARK = "# Halidescope table"
EXTRAS_MARK = "# halidescope: "
CELL = 30_000     # characters; spreadsheets cut cells off beyond 32,767
HEADINGS = {      # friendlier names of the columns that everybody reads; the others are called as in the files
    "time_s": "time (s)", "x_um": "x (um)", "y_um": "y (um)", "sample_power_uw": "power (uW)",
    "exposure_s": "exposure (s)", "dose_j_cm2": "dose (J/cm2)",
}


def heading(name: str) -> str:
    """A column's heading, with its unit as UCUM writes it."""
    unit = unit_of_column(name)
    return HEADINGS.get(name) or (f"{name} ({ucum(unit)})" if unit else name)


def write_csv(scan: Scan, path: Path) -> None:
    """One row per valid spectrum: numbers with units in the header, then counts by wavelength; lines with # before."""
    spectra = scan.spectra
    held = scan.columns
    columns = {name: held[name] for name in dict.fromkeys((*HEADINGS, "saturated", *held)) if name != "valid"}
    mark = " SIMULATED" if scan.simulated else ""
    what = "averaged" if scan.metadata.get("processing") else "raw counts"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        file.write(f"{CSV_MARK}; {int(scan.valid.sum())} rows{mark and f';{mark}'}\r\n")
        table.writerow([f"# {scan.metadata['title']}; {what}, dark not subtracted"])
        described = msgspec.json.encode(extras_of(scan)).decode()
        for start in range(0, len(described), CELL):
            table.writerow([EXTRAS_MARK + described[start : start + CELL]])
        table.writerow([f"# counts of a wavelength each: {ucum('counts')}; units are UCUM codes"])
        table.writerow(["point", *map(heading, columns), *(f"{value!r} nm" for value in scan.wavelength_nm.tolist())])
        table.writerows(_rows(scan, spectra, columns))


def _rows(scan: Scan, spectra: np.ndarray, columns: dict[str, np.ndarray]) -> Iterator[list[object]]:
    for index, point in enumerate(np.ndindex(scan.valid.shape)):
        if scan.valid[point]:
            numbers = [column[point].item() for column in columns.values()]
            cells = ["" if number != number else +number for number in numbers]      # + makes True a 1
            yield [index, *cells, *spectra[point].tolist()]


def write_npz(scan: Scan, path: Path, *, packed: bool = True) -> None:
    """Every array under its name in :class:`Scan`, their UCUM units and everything else as JSON; nothing pickled."""
    write = np.savez_compressed if packed else np.savez
    arrays = {name: np.asarray(column) for name, column in scan.columns.items()}
    write(
        path,
        allow_pickle=False,
        spectra=scan.spectra,
        wavelength_nm=scan.wavelength_nm,
        position_um=scan.position_um,
        dark=scan.dark.mean,
        units=np.array(msgspec.json.encode(ucum_of(scan)).decode()),
        extras=np.array(msgspec.json.encode(extras_of(scan)).decode()),
        **arrays,
    )
