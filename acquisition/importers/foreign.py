"""A scan made of what another program's file says: :func:`foreign_scan`, and grids from scattered points.

Readers give data with axes in our units; here they are put in order (wavelengths ascend, data turned with them) and
everything that a scan has and the file does not is filled with what is true: unknown.
"""

import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import Ending, Header
from halidescope.acquisition.scan import Scan, dark_of
from halidescope.acquisition.transport import metadata_of

UNKNOWN = {"manufacturer": "", "model": "", "serial": "", "firmware": ""}


def foreign_scan(
    *, source: str, form: str, spectra: ArrayLike, wavelength_nm: NDArray[np.float64], axes: Mapping[str, NDArray],
    time_s: ArrayLike | None = None, position_um: ArrayLike | None = None, exposure_s: ArrayLike | None = None,
    sample_power_uw: ArrayLike | None = None, valid: NDArray[np.bool_] | None = None, title: str = "",
    started_at: str = "", laser_wavelength_nm: float | None = None, details: Mapping[str, object] | None = None,
    said: Mapping[str, Any] | None = None, identities: Mapping[str, Mapping[str, str]] | None = None,
) -> Scan:
    """A scan of another program's data.

    Parameters
    ----------
    source, form : str
        The file, and the name of its format.
    spectra : array_like, shape points + (channels,)
        As the program stored them; never rescaled.
    wavelength_nm : ndarray, shape (channels,)
        In any order; a descending axis is turned together with the spectra.
    axes : dict
        Axes of the points in order: µm, s, or numbers. None: a single spectrum.
    time_s, exposure_s, sample_power_uw : array_like, optional
        One number or shape points; unknown is NaN.
    position_um : array_like, optional
        Shape points + (2,); where there are axes x and y, the grid unless given.
    valid : ndarray of bool, optional
        Shape points; False where nothing was measured.
    said : dict, optional
        What the file says about itself, kept as it is.

    Raises
    ------
    ScanFileError
        Spectra and axes do not fit together, or the numbers are no spectra.
    """
    data = np.asarray(spectra)
    if data.dtype.kind not in "uif":
        raise ScanFileError(f"{source}: its spectra are of type {data.dtype}, needed real numbers")
    given = {name: np.asarray(values, np.float64) for name, values in axes.items()} or {"spectrum": np.zeros(1)}
    shape = tuple(len(axis) for axis in given.values())
    if data.shape != (*shape, len(wavelength_nm)):
        if data.size != math.prod(shape) * len(wavelength_nm):
            raise ScanFileError(
                f"{source}: spectra of shape {data.shape} do not fit axes of {(*shape, len(wavelength_nm))} points"
            )
        data = data.reshape(*shape, len(wavelength_nm))
    order = np.argsort(wavelength_nm, kind="stable")
    if not np.array_equal(order, np.arange(len(order))):
        data = data[..., order]
    data = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))

    def per_point(values: ArrayLike | None) -> NDArray[np.float64]:
        numbers = np.asarray(np.nan if values is None else values, np.float64)
        return np.broadcast_to(numbers, shape).copy() if numbers.ndim == 0 else numbers.reshape(shape)

    if time_s is None and tuple(given) == ("time",):
        time_s = given["time"]
    whole = np.ones(shape, bool) if valid is None else valid.reshape(shape)
    names = tuple(given)
    kind = "raster-map" if names == ("y", "x") else "time-series" if names == ("time",) else "spectra"
    header = Header(
        kind=kind, title=title or source.replace("\\", "/").rsplit("/", 1)[-1],
        recipe={"kind": kind, "sample": {}}, plan_hash="", microscope="",
        identities={
            role: {**UNKNOWN, **(identities or {}).get(role, {})} for role in ("laser", "stage", "spectrometer")
        },
        axes={}, wavelength_nm=[], count_type=data.dtype.str,
        calibration={} if laser_wavelength_nm is None else {"laser_wavelength_nm": float(laser_wavelength_nm)},
        versions={"halidescope": version("halidescope")}, started_at=started_at, details=dict(details or {}),
        imported={"format": form, "file": source, "said": plain(said or {})},
    )
    return Scan(
        source=source, kind=kind, wavelength_nm=np.asarray(wavelength_nm, np.float64)[order], valid=whole,
        time_s=per_point(time_s), time_se_s=per_point(None),
        position_um=_positions(given, position_um), exposure_s=per_point(exposure_s),
        sample_power_uw=per_point(sample_power_uw), dose_j_cm2=per_point(None), saturated=np.zeros(shape, bool),
        axes=given, dark=dark_of(np.empty((0, data.shape[-1]), data.dtype), float("nan")), events=(), results=None,
        metadata=metadata_of(header, Ending(state="finished")),
        read_spectra=lambda point: data if point is None else data[point], release=lambda: None,
    )


def _positions(axes: Mapping[str, NDArray], given: ArrayLike | None) -> NDArray[np.float64]:
    shape = tuple(len(axis) for axis in axes.values())
    if given is not None:
        return np.asarray(given, np.float64).reshape(*shape, 2)
    position = np.full((*shape, 2), np.nan)
    for place, name in enumerate(("x", "y")):
        if name in axes:
            at = tuple(axes).index(name)
            position[..., place] = axes[name].reshape(tuple(-1 if k == at else 1 for k in range(len(shape))))
    return position


def plain(values: Any, depth: int = 0) -> Any:
    """What a file says about itself as plain JSON values: long arrays as shapes, bytes as text, bounded in depth."""
    if depth > 12:
        return "…"
    if isinstance(values, Mapping):
        return {str(key): plain(value, depth + 1) for key, value in values.items()}
    if isinstance(values, np.ndarray):
        return plain(values.tolist(), depth + 1) if values.size <= 64 else f"array {values.dtype} {values.shape}"
    if isinstance(values, (list, tuple)):
        return [plain(value, depth + 1) for value in values[:64]]
    if isinstance(values, bytes):
        return values[:4096].decode(errors="replace")
    if isinstance(values, (np.generic,)):
        return plain(values.item(), depth + 1)
    if values is None or isinstance(values, (bool, int, str)):
        return values if not isinstance(values, str) else values[:65536]
    if isinstance(values, float):
        return values if math.isfinite(values) else str(values)
    return str(values)[:4096]


def gridded(
    x_um: NDArray[np.float64], y_um: NDArray[np.float64], spectra: NDArray, source: str
) -> tuple[dict[str, NDArray], NDArray, NDArray[np.bool_], NDArray[np.intp]]:
    """Points in any order (serpentine too) as a map, by where they were.

    Parameters
    ----------
    x_um, y_um : ndarray, shape (n,)
    spectra : ndarray, shape (n, channels)

    Returns
    -------
    axes : dict
        ``y`` and ``x``, ascending; or ``point`` if the points lie on no grid.
    spectra : ndarray, shape points + (channels,)
        Zeros where nothing was measured.
    valid : ndarray of bool, shape points
    places : ndarray of int, shape (n,)
        Where each point went, as row × columns + column.

    Raises
    ------
    ScanFileError
        Two points are at the same place of the grid.
    """
    # a line of points scatters across itself, too: what is small is judged against the larger of both extents' steps
    least_um = 2e-3 * max((float(np.diff(np.unique(one)).max(initial=0.0)) for one in (x_um, y_um)), default=0.0)
    xs, column = _levels(x_um, least_um)
    ys, row = _levels(y_um, least_um)
    if len(xs) * len(ys) > 4 * len(x_um):      # scattered: a grid would be mostly empty
        order = np.arange(len(x_um))
        return {"point": order.astype(np.float64)}, spectra, np.ones(len(x_um), bool), order
    places = row * len(xs) + column
    if len(np.unique(places)) != len(places):
        raise ScanFileError(f"{source}: several spectra at one place of the map; declare it as a series instead")
    cube = np.zeros((len(ys) * len(xs), spectra.shape[1]), spectra.dtype)
    valid = np.zeros(len(cube), bool)
    cube[places], valid[places] = spectra, True
    shape = (len(ys), len(xs))
    return {"y": ys, "x": xs}, cube.reshape(*shape, -1), valid.reshape(shape), places


def _levels(values: NDArray[np.float64], least: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distinct coordinates, those closer than a hundredth of the typical step, or ``least``, as one; which is which."""
    ordered = np.unique(values)
    steps = np.diff(ordered)
    if len(steps) == 0:
        return ordered, np.zeros(len(values), np.intp)
    large = steps[steps > 0.01 * steps.max()]
    starts = np.concatenate([[True], steps > max(0.01 * float(np.median(large)), least)])
    group = np.cumsum(starts) - 1
    levels = ordered[starts] if starts.all() else np.array([ordered[group == k].mean() for k in range(group[-1] + 1)])
    return levels, group[np.searchsorted(ordered, values)]
