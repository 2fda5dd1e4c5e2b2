"""Units: of the axes that data can have, in machine-readable form, and from other programs' into ours.

In memory and in files lengths of the stage are µm, times s, wavelengths nm. Files carry two strings for a unit: one
that UDUNITS, pint and the NeXus rules read (``J/cm^2``), and the UCUM code (``J/cm2``, https://ucum.org).
"""

import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.acquisition.problems import ScanFileError
from halidescope.analysis.composition import HC_EV_NM

AXES = {    # planned axes of a measurement's points: unit, and what it is
    "y": ("um", "stage y"), "x": ("um", "stage x"), "z": ("um", "stage z"),
    "time": ("s", "time since the light came on"), "power": ("uW", "power at the sample"),
    "temperature": ("K", "temperature"), "point": ("", "number of the point"),
    "spectrum": ("", "number of the spectrum"), "wavelength": ("nm", "wavelength"),
}

_UCUM = {"counts": "{counts}", "degC": "Cel", "percent": "%", "": "1"}      # whose code is another word
_OF_NAMES = {   # endings of our names that are units
    "counts_per_s_uw": "counts/s/uW", "counts_per_s": "counts/s", "counts_per_uw": "counts/uW",
    "per_s": "1/s", "m2_s": "m^2/s", "j_cm2": "J/cm^2", "w_cm2": "W/cm^2", "ev2": "eV^2", "um": "um", "nm": "nm",
    "ev": "eV", "uw": "uW", "mw": "mW", "mbar": "mbar", "percent": "percent", "s": "s", "k": "K", "c": "degC",
}  # fmt: skip

# how other programs write the units of a spectral axis
_WAVELENGTH_NM = {"nm": 1.0, "nanometer": 1.0, "nanometers": 1.0, "um": 1e3, "micrometer": 1e3, "a": 0.1,
                  "angstrom": 0.1, "å": 0.1, "m": 1e9}
_ENERGY_EV = {"ev": 1.0, "mev": 1e-3, "electronvolt": 1.0}
_WAVENUMBER = {"1/cm", "cm^-1", "cm-1", "cm⁻¹", "1/centimeter", "/cm"}
_LENGTH_UM = {"nm": 1e-3, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "micrometer": 1.0, "micron": 1.0,
              "millimeter": 1e3}
_TIME_S = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0,
           "h": 3600.0}


def axis_unit(name: str) -> str:
    """Unit of an axis of ours; empty for one that counts, or that nobody knows."""
    return AXES.get(name, ("", name))[0]


def axis_label(name: str) -> str:
    """What an axis is, for people, with its unit."""
    unit, label = AXES.get(name, ("", name))
    return f"{label} ({unit})" if unit else label


def ucum(unit: str) -> str:
    """UCUM code of a unit of ours, part by part: powers are written without a sign."""
    return "/".join(_UCUM.get(part, part.replace("^", "")) for part in unit.split("/"))


def split_unit(name: str) -> tuple[str, str]:
    """``temperature_c`` → (``temperature``, ``degC``): our names carry their units; none, if there is none."""
    for ending, unit in _OF_NAMES.items():
        if name.endswith(f"_{ending}"):
            return name.removesuffix(f"_{ending}"), unit
    return name, ""


def plain_unit(unit: object) -> str:
    """A unit as others write it, in one spelling: no blanks, brackets or micro signs."""
    text = re.sub(r"[\s()\[\]$\\]|mathrm|[{}]", "", str(unit)).replace("µ", "u").replace("μ", "u")
    return text if text in ("", "1/cm") else text.lower()


def to_um(values: ArrayLike, unit: object, what: str) -> NDArray[np.float64]:
    """Positions in µm; raises ScanFileError naming ``what`` if the unit is no length."""
    return _scaled(values, unit, _LENGTH_UM, what, "a length (nm, µm, mm, m)")


def to_s(values: ArrayLike, unit: object, what: str) -> NDArray[np.float64]:
    """Times in s; raises ScanFileError naming ``what`` if the unit is no time."""
    return _scaled(values, unit, _TIME_S, what, "a time (s, ms, µs, ns, min, h)")


def _scaled(values: ArrayLike, unit: object, known: dict[str, float], what: str, kind: str) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    factor = known.get(plain_unit(unit))
    if factor is None:
        raise ScanFileError(f"{what}: unit {str(unit)!r} is not {kind}; declare it in a layout file beside the data")
    # dividing by 1000 is exact where multiplying by 0.001 is not
    return numbers * factor if factor >= 1.0 else numbers / round(1.0 / factor)


def is_length(unit: object) -> bool:
    """Whether a unit is a length."""
    return plain_unit(unit) in _LENGTH_UM


def is_time(unit: object) -> bool:
    """Whether a unit is a time."""
    return plain_unit(unit) in _TIME_S


def is_spectral(unit: object) -> bool:
    """Whether a unit can be that of a spectral axis."""
    plain = plain_unit(unit)
    return plain in _WAVELENGTH_NM or plain in _ENERGY_EV or plain in _WAVENUMBER


def to_nm(
    values: ArrayLike, unit: object, what: str, *, excitation_nm: float | None = None
) -> NDArray[np.float64]:
    """A spectral axis as wavelengths in nm: ``λ = hc/E``, ``λ = 1/ν̃``, for a Raman shift ``1/λ = 1/λ0 − Δν̃``.

    Parameters
    ----------
    excitation_nm : float, optional
        The laser's wavelength; given, wavenumbers are Raman shifts from it.

    Raises
    ------
    ScanFileError
        The unit is none of these, or a value has no wavelength.
    """
    numbers = np.asarray(values, np.float64)
    plain = plain_unit(unit)
    if plain in _WAVELENGTH_NM:
        factor = _WAVELENGTH_NM[plain]
        nm = numbers if factor == 1.0 else numbers * factor
    elif plain in _ENERGY_EV or plain in _WAVENUMBER:
        with np.errstate(divide="ignore", invalid="ignore"):
            if plain in _ENERGY_EV:
                nm = HC_EV_NM / (numbers * _ENERGY_EV[plain])
            elif excitation_nm:
                nm = 1e7 / (1e7 / excitation_nm - numbers)
            else:
                nm = 1e7 / numbers
    else:
        raise ScanFileError(
            f"{what}: its spectral axis has the unit {str(unit)!r}, which is no wavelength, energy or wavenumber (nm, "
            "µm, Å, eV, meV, 1/cm); declare it in a layout file beside the data"
        )
    if nm.ndim != 1 or nm.size == 0 or not np.all(np.isfinite(nm)) or np.any(nm <= 0):
        raise ScanFileError(f"{what}: its spectral axis holds values that are no wavelengths; the file is damaged")
    return nm
