"""A scan taken apart for files of other formats, and put together again without a loss.

:class:`Extras` is all that is neither spectra nor a per-point column nor the wavelength axis; it is one JSON text.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import axis_unit, ucum
from halidescope.acquisition.records import SCHEMA_VERSION, Ending, Event, Header
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.scan import Scan, dark_of

COLUMNS = {   # per-point numbers of a SpectrumRecord, with units
    "planned_s": "s", "start_s": "s", "time_s": "s", "time_se_s": "s",
    "x_commanded_um": "um", "y_commanded_um": "um", "x_um": "um",
    "y_um": "um", "sample_power_uw": "uW", "measured_power_uw": "uW", "exposure_s": "s", "dose_j_cm2": "J/cm^2",
}
FIELDS = ("time_s", "time_se_s", "exposure_s", "sample_power_uw", "dose_j_cm2")      # of a Scan under the same name


class Extras(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan is beside its arrays. ``dark`` holds the dark spectra, ascending in wavelength as the scan's."""

    header: Header                        # axes as planned, wavelengths left out
    ending: Ending | None = None
    events: tuple[Event, ...] = ()
    results: OnlineResults | None = None
    damaged: tuple[int, ...] = ()
    missing: dict[str, str] = {}          # JSON has no other keys
    dark: list[list[float]] = []
    dark_exposure_s: float | None = None


def extras_from(text: str, source: str) -> Extras:
    """Extras from their JSON text; raises ScanFileError if it is none, or of a newer version."""
    try:
        extras = msgspec.json.decode(text, type=Extras)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ScanFileError(f"{source}: its description by Halidescope cannot be read ({error})") from error
    require_known(extras.header.schema_version, source)
    return extras


def require_known(version: int, source: str) -> None:
    """Raise ScanFileError for a file from the future."""
    if version > SCHEMA_VERSION:
        raise ScanFileError(
            f"{source}: written by a newer Halidescope: schema version {version} is newer than this program's "
            f"{SCHEMA_VERSION}; update it (pip install --upgrade halidescope)"
        )


def unit_of_column(name: str) -> str:
    """Unit of a per-point quantity; empty for masks, numbers and what nobody knows."""
    return COLUMNS.get(name, "")


def ucum_of(scan: Scan) -> dict[str, str]:
    """UCUM codes of a scan's arrays, by name, where they have a unit."""
    units = {"spectra": "counts", "dark": "counts", "wavelength_nm": "nm", "position_um": "um"}
    units |= {name: unit_of_column(name) for name in scan.columns}
    units |= {name: axis_unit(name) for name in scan.axes}
    return {name: ucum(unit) for name, unit in units.items() if unit}


def header_of(scan: Scan) -> Header:
    """The header that a scan's file would have; its wavelengths ascending."""
    known = {name: scan.metadata[name] for name in Header.__struct_fields__ if name in scan.metadata}
    return msgspec.convert(
        {
            **known, "kind": scan.kind, "axes": {name: list(map(float, axis)) for name, axis in scan.axes.items()},
            "wavelength_nm": scan.wavelength_nm.tolist(),
            "count_type": np.dtype(scan.metadata["count_type"]).str,
        },
        type=Header,
    )


def ending_of(scan: Scan) -> Ending | None:
    """How a scan ended, None if it was cut off."""
    state = str(scan.metadata["state"])
    if state == "cut off":
        return None
    return Ending(
        state=state, reason=str(scan.metadata["reason"]), ended_at=str(scan.metadata["ended_at"]),
        dark_utc_s=scan.metadata.get("dark_utc_s"),
    )


def extras_of(scan: Scan) -> Extras:
    """All of a scan that is neither spectra, column nor wavelength."""
    exposure_s = scan.dark.exposure_s
    return Extras(
        header=msgspec.structs.replace(header_of(scan), wavelength_nm=[]), ending=ending_of(scan), events=scan.events,
        results=scan.results, damaged=scan.found_damaged,
        missing={str(point): why for point, why in scan.missing.items()},
        dark=scan.dark.spectra.tolist(), dark_exposure_s=None if np.isnan(exposure_s) else exposure_s,
    )


def scan_of(
    extras: Extras, spectra: NDArray, wavelength_nm: NDArray[np.float64], columns: Mapping[str, ArrayLike], *,
    source: str,
) -> Scan:
    """Put a scan together again.

    Raises
    ------
    ScanFileError
        The parts do not fit together.
    """
    axes = {name: np.asarray(axis, np.float64) for name, axis in extras.header.axes.items()}
    shape = tuple(len(axis) for axis in axes.values())
    held = {name: np.asarray(values) for name, values in columns.items()}
    if spectra.shape != (*shape, len(wavelength_nm)):
        raise ScanFileError(f"{source}: spectra of shape {spectra.shape}, its axes have {(*shape, len(wavelength_nm))}")
    wrong = [name for name, values in held.items() if values.shape != shape]
    lacking = [name for name in (*FIELDS, "x_um", "y_um", "valid", "saturated") if name not in held]
    if wrong or lacking:
        what = "shape of" if wrong else "lacks"
        raise ScanFileError(f"{source}: {what} {', '.join(wrong or lacking)}; it is damaged")
    dark_type = spectra.dtype if np.issubdtype(spectra.dtype, np.unsignedinteger) else np.float64
    dark = np.array(extras.dark, dark_type).reshape(-1, len(wavelength_nm))
    numbers: dict[str, Any] = {name: held[name].astype(np.float64) for name in FIELDS}
    used = {*FIELDS, "x_um", "y_um", "valid", "saturated"}
    return Scan(
        source=source, kind=extras.header.kind, wavelength_nm=wavelength_nm, axes=axes,
        valid=held["valid"].astype(bool), saturated=held["saturated"].astype(bool),
        position_um=np.stack([held["x_um"], held["y_um"]], axis=-1).astype(np.float64),
        dark=dark_of(dark, float("nan") if extras.dark_exposure_s is None else extras.dark_exposure_s),
        events=extras.events, results=extras.results, metadata=metadata_of(extras.header, extras.ending),
        damaged=extras.damaged, missing={int(point): why for point, why in extras.missing.items()},
        more={name: values for name, values in held.items() if name not in used},
        read_spectra=lambda point: spectra if point is None else spectra[point], release=lambda: None,
        **numbers,
    )


def metadata_of(header: Header, ending: Ending | None) -> dict[str, Any]:
    """A header without its arrays, and how the measurement ended (state ``cut off`` if nobody wrote it)."""
    values: dict[str, Any] = msgspec.to_builtins(header)
    del values["axes"], values["wavelength_nm"]
    ended = ending or Ending(state="cut off", reason="the measurement was cut off before its end")
    return {**values, "sample": header.recipe.get("sample", {}), **msgspec.to_builtins(ended)}
