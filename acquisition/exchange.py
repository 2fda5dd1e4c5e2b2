"""A scan as xarray's and HyperSpy's objects, and back: labelled true axes, and nothing lost on the way.

What has no place in those objects travels as one JSON text, :func:`extras`, so that :func:`from_xarray` and
:func:`from_hyperspy` give the same scan again. HyperSpy is GPL and imported only when it is asked for.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import axis_label, axis_unit, is_length, is_time, to_nm, to_s, to_um, ucum
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.transport import extras_from, extras_of, scan_of, ucum_of, unit_of_column

EXTRAS = "halidescope"      # the name under which the JSON text travels


def to_xarray(scan: Scan) -> Any:
    """A scan as an :class:`xarray.DataArray`; per-point quantities are coordinates with units."""
    import xarray as xr

    points = tuple(scan.axes)
    coordinates: dict[str, Any] = {
        name: (name, values, {**units_of(axis_unit(name)), "long_name": axis_label(name)})
        for name, values in scan.true_axes.items()
    }
    coordinates["wavelength"] = ("wavelength", scan.wavelength_nm, {**units_of("nm"), "long_name": "wavelength (nm)"})
    spectra = scan.spectra
    for name, values in scan.columns.items():
        coordinates[name] = (points, values, units_of(unit_of_column(name)))
    return xr.DataArray(
        spectra, dims=(*points, "wavelength"), coords=coordinates, name="intensity",
        attrs={
            **units_of("counts"), "kind": scan.kind, "simulated": int(scan.simulated), "source": scan.source,
            EXTRAS: msgspec.json.encode(extras_of(scan)).decode(),
        },
    )


def units_of(unit: str) -> dict[str, str]:
    """A unit as attributes, for people's programs and as UCUM; a plain number has UCUM's ``1``."""
    return {"units": unit, "ucum": ucum(unit)}


def from_xarray(array: Any) -> Scan:
    """The scan of a :class:`xarray.DataArray` of ours, or of any whose last dimension is spectral, with units.

    Raises
    ------
    ScanFileError
        A dimension has no coordinate, or one with a unit that it cannot have.
    """
    source = str(array.attrs.get("source", "xarray"))
    columns = {
        name: np.asarray(values) for name, values in array.coords.items()
        if name not in array.dims and values.dims == array.dims[:-1]
    }
    axes = {}
    for name in array.dims:
        if name not in array.coords:
            raise ScanFileError(f"{source}: dimension {name} has no coordinate; give it one with a unit")
        axes[str(name)] = (np.asarray(array[name], np.float64), array[name].attrs.get("units", ""))
    return _assemble(source, np.asarray(array), axes, columns, array.attrs.get(EXTRAS))


def to_hyperspy(scan: Scan) -> Any:
    """A scan as a HyperSpy ``Signal1D`` on its true axes; raises ScanFileError if HyperSpy is not installed."""
    try:
        from hyperspy.api import signals
    except ImportError as error:
        raise ScanFileError("HyperSpy is not installed; pip install 'halidescope[hyperspy]'") from error
    axes = [_hyperspy_axis(name, values) for name, values in scan.true_axes.items()]
    axes.append({"name": "wavelength", "axis": scan.wavelength_nm, "units": "nm", "navigate": False})
    signal = signals.Signal1D(scan.spectra, axes=axes)
    signal.metadata.General.title = str(scan.metadata["title"])
    signal.metadata.Signal.quantity = "Intensity (counts)"
    signal.metadata.add_dictionary({"halidescope": {"kind": scan.kind, "simulated": scan.simulated}})
    signal.original_metadata.add_dictionary({
        "halidescope": {
            "extras": msgspec.json.encode(extras_of(scan)).decode(), "ucum": ucum_of(scan),
            "columns": {name: np.ascontiguousarray(values) for name, values in scan.columns.items()},
        }
    })
    return signal


def _hyperspy_axis(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """A navigation axis; HyperSpy knows no unordered ones, so what has no order is counted."""
    common = {"name": name, "units": axis_unit(name).replace("um", "µm"), "navigate": True}
    if len(values) == 1:
        return {**common, "size": 1, "offset": float(values[0])}
    steps = np.diff(values)
    if np.all(steps > 0) or np.all(steps < 0):
        return {**common, "axis": values}
    return {**common, "name": f"number of {name}", "units": "", "size": len(values), "offset": 0.0, "scale": 1.0}


def from_hyperspy(signal: Any, *, source: str = "HyperSpy signal") -> Scan:
    """The scan of a HyperSpy signal of ours, or of any ``Signal1D`` with units; data axes stay as they are.

    Raises
    ------
    ScanFileError
        It is not one-dimensional, or an axis has a unit that it cannot have.
    """
    manager = signal.axes_manager
    if manager.signal_dimension != 1:
        raise ScanFileError(f"{source}: signal of dimension {manager.signal_dimension}, needed 1 (spectra)")
    own = signal.original_metadata.get_item("halidescope")
    named = [(str(axis.name), np.asarray(axis.axis, np.float64), str(axis.units)) for axis in manager._axes]
    axes = {name: (values, unit) for name, values, unit in named}
    if own is None:
        return _assemble(source, np.asarray(signal.data), axes, {}, None)
    columns = {name: np.asarray(values) for name, values in own.columns.as_dictionary().items()}
    return _assemble(source, np.asarray(signal.data), axes, columns, str(own.extras))


def _assemble(
    source: str, data: NDArray, axes: dict[str, tuple[NDArray, str]], columns: dict[str, NDArray], extras: object,
) -> Scan:
    """A scan from parts that may be ours (with extras) or anybody's."""
    (*points, spectral) = axes
    values, unit = axes[spectral]
    wavelength_nm = to_nm(values, unit, source)
    if extras is not None:
        return scan_of(extras_from(str(extras), source), data, wavelength_nm, columns, source=source)
    from halidescope.acquisition.importers.foreign import foreign_scan

    units = {name: axes[name] for name in points}
    given = {
        name: to_um(numbers, unit, f"{source}, axis {name}") if is_length(unit)
        else to_s(numbers, unit, f"{source}, axis {name}") if is_time(unit) else numbers
        for name, (numbers, unit) in units.items()
    }
    return foreign_scan(source=source, form="labelled array", spectra=data, wavelength_nm=wavelength_nm, axes=given)
