"""Parts and means of a scan: :func:`crop`, :func:`select`, :func:`average`.

Each gives a new scan that knows what was done. It reads from the old one when its spectra are asked for; the old one
must stay open until then.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.acquisition.problems import BadFileError
from halidescope.acquisition.quantities import axis_unit
from halidescope.acquisition.scan import Counts, Dark, Range, Scan

_PER_POINT = ("valid", "time_s", "time_se_s", "position_um", "exposure_s", "sample_power_uw", "dose_j_cm2", "saturated")


def crop(
    scan: Scan, *, wavelength_nm: Range | None = None, time_s: Range | None = None, x_um: Range | None = None,
    y_um: Range | None = None,
) -> Scan:
    """The part of a scan inside ranges of its axes, both ends included.

    Parameters
    ----------
    wavelength_nm, time_s, x_um, y_um : (low, high), optional
        In nm, s since the light came on, and µm of the planned axes; time only of a series, x and y only of a map.

    Raises
    ------
    BadFileError
        The scan has no such axis, or nothing of it is in the range.
    """
    asked = {"wavelength": wavelength_nm, "time": time_s, "x": x_um, "y": y_um}
    given = {name: bounds for name, bounds in asked.items() if bounds is not None}
    axes = {**scan.true_axes, "wavelength": scan.wavelength_nm}
    inside: dict[str, slice] = {}
    for name, (low, high) in given.items():
        if name not in axes:
            raise BadFileError(f"{scan.source}: has no axis {name}, only {', '.join(axes)}; crop one of these")
        hits = np.flatnonzero((axes[name] >= low) & (axes[name] <= high))
        if len(hits) == 0:
            unit = axis_unit(name)
            raise BadFileError(
                f"{scan.source}: nothing between {name} = {low:g} and {high:g} {unit}; its {name} goes from "
                f"{axes[name].min():g} to {axes[name].max():g} {unit}"
            )
        inside[name] = slice(int(hits[0]), int(hits[-1]) + 1)
    points = tuple(inside.get(name, slice(None)) for name in scan.axes)
    channels = inside.get("wavelength", slice(None))
    starts = tuple(part.start or 0 for part in points)

    def read(point: tuple[int, ...] | None) -> Counts:
        if point is None:
            return scan.spectra[(*points, channels)]
        shape = tuple(len(axis) for axis in kept.values())
        within = tuple(range(size)[k] for k, size in zip(point, shape, strict=True))
        return scan.spectrum(*(k + start for k, start in zip(within, starts, strict=True)))[channels]

    kept = {name: axis[part] for (name, axis), part in zip(scan.axes.items(), points, strict=True)}
    numbers = np.arange(scan.valid.size).reshape(scan.valid.shape)[points]
    return _derived(
        scan, "crop", given, numbers.ravel(), read, axes=kept, wavelength_nm=scan.wavelength_nm[channels],
        dark=_dark(scan.dark, channels), pick=lambda values: values[points],
        repeats=tuple(replace(one, counts=one.counts[channels]) for one in scan.repeats),
    )


def select(scan: Scan, points: ArrayLike) -> Scan:
    """Some points of a scan as a series, in the order given; a time series stays one.

    Parameters
    ----------
    points : array_like of bool, shape points; or of int, shape (n,)
        Which: a mask, or point numbers (row × columns + column).

    Raises
    ------
    BadFileError
        The mask has another shape, a number is outside, or nothing is selected.
    """
    which = np.asarray(points)
    if which.dtype == bool:
        if which.shape != scan.valid.shape:
            raise BadFileError(f"{scan.source}: mask of shape {which.shape}, the points have {scan.valid.shape}")
        numbers = np.flatnonzero(which)
    else:
        numbers = np.atleast_1d(which)
        if numbers.ndim != 1 or not (np.issubdtype(numbers.dtype, np.integer) or numbers.size == 0):
            raise BadFileError(f"{scan.source}: select wants a mask or a list of point numbers")
        if numbers.size and (numbers.min() < 0 or numbers.max() >= scan.valid.size):
            raise BadFileError(
                f"{scan.source}: points {numbers.min()} to {numbers.max()} asked, it has 0 to {scan.valid.size - 1}"
            )
    if len(numbers) == 0:
        raise BadFileError(f"{scan.source}: no point is selected; widen the selection")
    series = tuple(scan.axes) == ("time",)
    axes = {"time": scan.axes["time"][numbers]} if series else {"point": numbers.astype(np.float64)}

    def flat(values: NDArray) -> NDArray:
        return values.reshape(-1, *values.shape[scan.valid.ndim :])[numbers]

    def read(point: tuple[int, ...] | None) -> Counts:
        if point is None:
            return flat(scan.spectra)
        return scan.spectrum(*(int(k) for k in np.unravel_index(numbers[point[0]], scan.valid.shape)))

    return _derived(
        scan, "select", {"points": numbers.tolist()}, numbers, read, axes=axes, pick=flat,
        kind=scan.kind if series else "points", repeats=(),
    )


def average(scan: Scan, *axes: str, every: int | None = None) -> Scan:
    """Mean over axes of the points, or over groups of neighbours along one axis; invalid spectra have no say.

    The result's ``more["averaged"]`` holds how many spectra are in each mean; exposure, power, dose, times and
    positions are means too. Saturated is what holds a saturated spectrum. The mean over all axes is one spectrum.

    Parameters
    ----------
    *axes : str
        Names in :attr:`Scan.axes`; none: all of them.
    every : int, optional
        Average groups of so many neighbours along the one axis named (a rest forms a smaller group).

    Raises
    ------
    BadFileError
        No such axis, or ``every`` without exactly one axis or below 1.
    """
    names = axes or tuple(scan.axes)
    if unknown := [name for name in names if name not in scan.axes]:
        raise BadFileError(f"{scan.source}: has no axis {unknown[0]}, only {', '.join(scan.axes)}; name one of these")
    if every is not None and (len(names) != 1 or every < 1):
        raise BadFileError(f"{scan.source}: every = {every} needs exactly one axis and a number of at least 1")
    order = tuple(scan.axes)
    where = tuple(order.index(name) for name in names)
    kept: dict[str, NDArray] = {}
    for name, axis in scan.axes.items():
        if name not in names:
            kept[name] = axis
        elif every is not None:
            kept[name] = np.array([axis[k : k + every].mean() for k in range(0, len(axis), every)])
    kept = kept or {"spectrum": np.zeros(1)}
    shape = tuple(len(axis) for axis in kept.values())

    def sums(values: NDArray) -> NDArray:
        if every is not None:
            return np.add.reduceat(values, np.arange(0, values.shape[where[0]], every), axis=where[0])
        return values.sum(axis=where).reshape(*shape, *values.shape[scan.valid.ndim :])

    spectra = scan.spectra                  # read now, so that `valid` knows of damage found while reading
    count = sums(scan.valid.astype(np.int64))

    def mean(values: NDArray) -> NDArray:
        beyond = (1,) * (values.ndim - scan.valid.ndim)
        usable = np.where(scan.valid.reshape(*scan.valid.shape, *beyond), values, 0)
        known = np.where(np.isfinite(usable), usable, 0.0).astype(np.float64, copy=False)
        totals = sums(known) / np.maximum(count, 1).reshape(*count.shape, *beyond)
        lost = sums((~np.isfinite(usable)).astype(np.int64)) > 0
        return np.where(lost | (count == 0).reshape(*count.shape, *beyond), np.nan, totals)

    counts = np.nan_to_num(mean(spectra))
    saturated = sums((scan.saturated & scan.valid).astype(np.int64)) > 0
    return _derived(
        scan, "average", {"axes": list(names), "every": every}, np.empty(0, np.int64),
        lambda point: counts if point is None else counts[point], axes=kept, pick=mean, kind=_kind(kept, scan.kind),
        repeats=(), valid=count > 0, saturated=saturated, more={"averaged": count},
    )


def _kind(axes: dict[str, NDArray], kind: str) -> str:
    names = tuple(axes)
    if names == ("y", "x") or names == ("time",):
        return kind
    return "points" if names == ("point",) else "spectra"


def _dark(dark: Dark, channels: slice) -> Dark:
    return Dark(dark.mean[channels], dark.mean_se[channels], dark.spectra[:, channels], dark.exposure_s)


def _derived(
    scan: Scan, step: str, settings: dict[str, Any], numbers: NDArray, read: Callable[[tuple[int, ...] | None], Counts],
    *, pick: Callable[[NDArray], NDArray], **changes: Any,
) -> Scan:
    """A scan made from another; ``numbers`` are the old points that remain, in the new order."""
    done = {"step": step, "settings": settings, "source": scan.source, "version": version("halidescope")}
    new = {int(old): place for place, old in enumerate(numbers)}
    values: dict[str, Any] = {
        **{name: pick(getattr(scan, name)) for name in _PER_POINT if name not in changes},
        "more": {name: pick(column) for name, column in scan.more.items()} if "more" not in changes else {},
        "damaged": tuple(new[point] for point in scan.found_damaged if point in new),
        "missing": {new[point]: why for point, why in scan.missing.items() if point in new},
        "metadata": {
            **scan.metadata, **({"count_type": "<f8"} if step == "average" else {}),
            "processing": [*scan.metadata.get("processing", []), done],
        },
        "results": None, "read_spectra": read, "release": lambda: None, "spoiled": set(),
        "stored_sum": None, "read_sums": None,
    }
    return replace(scan, **{**values, **changes})
