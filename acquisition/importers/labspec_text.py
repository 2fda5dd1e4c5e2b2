"""Text files of Horiba LabSpec 6: a block of ``#`` lines that names the axes and their units, then a table.

One spectrum is two columns. A map or a series has a first row of wavelengths behind as many empty cells as there are
coordinates, then a row for each spectrum, its coordinates first, in whatever order they were measured.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from halidescope.acquisition.importers.foreign import foreign_scan, gridded
from halidescope.acquisition.importers.texts import number, read_text
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import to_nm, to_s, to_um
from halidescope.acquisition.scan import Scan


def is_labspec(_path: Path, start: bytes) -> bool:
    """Begins with ``#`` lines as LabSpec's."""
    return start.lstrip(b"\xef\xbb\xbf").startswith(b"#") and (b"#AxisType[" in start or b"#Acq. time (s)=" in start)


def read_labspec(path: Path) -> Scan:
    """A spectrum, a series in time, or a map; raises ScanFileError with what is wrong."""
    lines = read_text(path).splitlines()
    said: dict[str, str] = {}
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            said[key.strip()] = value.strip()
        elif line.strip():
            rows.append(line.split("\t"))
    if not rows:
        raise ScanFileError(f"{path}: no data after its header; the file was cut off")
    laser_nm = _first_number(said.get("Laser", said.get("Laser (nm)", "")))
    unit = said.get("AxisUnit[1]", "")
    exposure_s = _first_number(said.get("Acq. time (s)", ""))
    common: dict[str, Any] = {
        "source": str(path), "form": "LabSpec text", "exposure_s": exposure_s, "said": said,
        "title": said.get("Title", ""),
        "started_at": said.get("Acquired", said.get("Date", "")), "laser_wavelength_nm": laser_nm,
        "identities": {"spectrometer": {"manufacturer": "Horiba", "model": said.get("Instrument", "")}},
    }

    def nm(cells: list[str]) -> np.ndarray:
        values = [number(cell, path) for cell in cells]
        return to_nm(values, unit, str(path), excitation_nm=laser_nm if unit.strip() in ("1/cm", "cm-1") else None)

    leading = next((k for k, cell in enumerate(rows[0]) if cell.strip()), 0)
    if leading == 0:
        if any(len(row) != 2 for row in rows):
            raise ScanFileError(f"{path}: rows with another number of columns than 2; the file is damaged")
        return foreign_scan(
            spectra=np.array([[number(row[1], path) for row in rows]]), wavelength_nm=nm([row[0] for row in rows]),
            axes={}, **common,
        )
    wavelength_nm = nm(rows[0][leading:])
    width = leading + len(wavelength_nm)
    if any(len(row) != width for row in rows[1:]) or len(rows) < 2:
        raise ScanFileError(f"{path}: rows with another number of columns than {width}, or none; the file is damaged")
    table = np.array([[number(cell, path) for cell in row] for row in rows[1:]])
    return _placed(path, said, table[:, :leading], table[:, leading:], wavelength_nm, common)


def _placed(
    path: Path, said: dict[str, str], places: np.ndarray, spectra: np.ndarray, wavelength_nm: np.ndarray,
    common: dict[str, Any],
) -> Scan:
    """Spectra with coordinates of the kinds that the header names."""
    kinds = [said.get(f"AxisType[{k + 2}]", "") for k in range(places.shape[1])]
    units = [said.get(f"AxisUnit[{k + 2}]", "") for k in range(places.shape[1])]
    known = {kind.upper().rstrip("A"): k for k, kind in enumerate(kinds)}      # XA, YA: as X, Y
    if places.shape[1] == 2 and set(known) == {"X", "Y"}:
        x_um, y_um = (to_um(places[:, known[name]], units[known[name]], str(path)) for name in ("X", "Y"))
        axes, cube, valid, order = gridded(x_um, y_um, spectra, str(path))
        position_um = np.full((valid.size, 2), np.nan)
        position_um[order] = np.stack([x_um, y_um], axis=-1)
        return foreign_scan(
            spectra=cube, wavelength_nm=wavelength_nm, axes=axes, valid=valid, position_um=position_um, **common
        )
    if places.shape[1] == 1 and kinds[0].lower().startswith("time"):
        time_s = to_s(places[:, 0], units[0], str(path))
        return foreign_scan(spectra=spectra, wavelength_nm=wavelength_nm, axes={"time": time_s}, **common)
    if places.shape[1] == 1 and set(known) <= {"X", "Y", "Z"} and kinds[0]:
        axes = {next(iter(known)).lower(): to_um(places[:, 0], units[0], str(path))}
        return foreign_scan(spectra=spectra, wavelength_nm=wavelength_nm, axes=axes, **common)
    raise ScanFileError(
        f"{path}: coordinates {', '.join(kinds) or 'without names'} are not known, only X and Y, one of X, Y, Z, or "
        f"Time; declare them in a layout file {path.name}.toml"
    )


def _first_number(text: str) -> float | None:
    found = re.match(r"\s*(\d+(?:[.,]\d+)?)", text)
    return float(found.group(1).replace(",", ".")) if found else None
