"""Text files of Ocean Optics' programs: OceanView and SpectraSuite, one spectrum or many, decimal points or commas."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from halidescope.acquisition.importers.foreign import foreign_scan
from halidescope.acquisition.importers.texts import number, read_text
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import to_nm
from halidescope.acquisition.scan import Scan

_BEGIN = re.compile(r"^>+Begin (Processed )?Spectral Data<+\s*$", re.MULTILINE)
_AXES = {"wavelength": "nm", "wavelengths": "nm", "nanometers": "nm", "nm": "nm", "wavenumbers": "1/cm",
         "wavenumber": "1/cm", "energy": "eV", "ev": "eV"}


def is_ocean(_path: Path, start: bytes) -> bool:
    """Has the line before the data, or is what SpectraSuite begins with."""
    return b"Begin Spectral Data<" in start or b"Begin Processed Spectral Data<" in start


def read_ocean(path: Path) -> Scan:
    """One spectrum, or a series with the computer's time of each; raises ScanFileError with what is wrong."""
    text = read_text(path)
    begin = _BEGIN.search(text)
    if begin is None:
        raise ScanFileError(f"{path}: the line before its spectral data is damaged")
    heads = (line.partition(":") for line in text[: begin.start()].splitlines())
    said = {key.strip(): value.strip() for key, colon, value in heads if colon}
    body = text[begin.end() :].splitlines()
    rows = [line.split("\t") for line in body if line.strip() and not line.startswith(">")]
    if not rows:
        raise ScanFileError(f"{path}: no data after its header; the file was cut off")
    mode = said.get("XAxis mode", "Wavelengths").lower()
    unit = _AXES.get(mode)
    if unit is None:
        raise ScanFileError(
            f"{path}: its x axis is {mode!r}, no wavelength; save it from OceanView over wavelengths, or declare it in "
            f"a layout file {path.name}.toml"
        )
    exposure_s = _exposure(path, said)
    common: dict[str, Any] = {
        "source": str(path), "form": "Ocean text", "exposure_s": exposure_s, "said": said,
        "identities": {"spectrometer": {"manufacturer": "Ocean Optics", "serial": _serial(said)}},
        "started_at": said.get("Date", ""),
    }
    if len(rows[0]) == 2 and rows[0][0].strip():
        pairs = np.array([[number(cell, path) for cell in _pair(row, path)] for row in rows])
        wavelength_nm = to_nm(pairs[:, 0], unit, str(path))
        return foreign_scan(spectra=pairs[None, :, 1], wavelength_nm=wavelength_nm, axes={}, **common)
    return _series(path, rows, unit, common)


def _pair(row: list[str], path: Path) -> list[str]:
    if len(row) != 2:
        raise ScanFileError(f"{path}: {len(row)} columns in a row of the data, needed 2; the file is damaged")
    return row


def _series(path: Path, rows: list[list[str]], unit: str, common: dict[str, Any]) -> Scan:
    """The first row holds the wavelengths, the others a date, ms since 1970, and a spectrum."""
    axis = [cell for cell in rows[0] if cell.strip()]
    wavelength_nm = to_nm([number(cell, path) for cell in axis], unit, str(path))
    stamps_s, spectra = [], []
    for row in rows[1:]:
        cells = [cell for cell in row if cell.strip()]
        if len(cells) != len(axis) + 2:
            raise ScanFileError(
                f"{path}: a row of {len(cells)} columns, needed {len(axis) + 2} (date, ms, spectrum); it is damaged"
            )
        stamps_s.append(number(cells[1], path) * 1e-3)
        spectra.append([number(cell, path) for cell in cells[2:]])
    if not spectra:
        raise ScanFileError(f"{path}: wavelengths, but no spectrum; the file was cut off")
    time_s = np.array(stamps_s) - stamps_s[0]
    return foreign_scan(spectra=np.array(spectra), wavelength_nm=wavelength_nm, axes={"time": time_s}, **common)


def _exposure(path: Path, said: dict[str, str]) -> float | None:
    for key, value in said.items():
        if key.startswith("Integration Time"):
            per_second = 1e6 if "usec" in key else 1e3 if "msec" in key else 1.0
            return number(value.split()[0], path) / per_second if value else None
    return None


def _serial(said: dict[str, str]) -> str:
    for key in ("Spectrometer Serial Number", "Spectrometers", "Spectrometer"):
        if said.get(key):
            return said[key].split()[0]
    return ""
