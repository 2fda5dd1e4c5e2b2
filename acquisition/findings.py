"""Results stored beside the raw data: one NeXus/HDF5 file with the arrays of an analysis and a link to what was
analysed.

``NAME.analysis.nxs``: ``/entry/data`` holds shares, peaks and tests with the scan's axes, ``/entry/numbers`` the single
results, ``/entry/process`` program, settings and provenance; ``/entry/measurement`` links to the raw file's entry.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike

from halidescope.acquisition.batch import Analysis
from halidescope.acquisition.scan import Scan

UNITS = {"y": "um", "x": "um", "time": "s"}


def findings(scan: Scan, analysis: Analysis, origin: Mapping[str, object], *, link: str | None) -> bytes:
    """The file's bytes.

    Parameters
    ----------
    origin : dict
        From :func:`halidescope.acquisition.provenance.provenance`.
    link : str, optional
        Path of the raw NeXus file as seen from the folder of this one; None if the raw file is something else.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v108", "v110")) as file:
        file.attrs.update(NX_class="NXroot", default="entry", creator="halidescope")
        entry = _group(file, "entry", "NXentry", default="data")
        entry["title"] = f"analysis of {Path(scan.source).name}"
        entry["simulated"] = scan.simulated
        process = _group(entry, "process", "NXprocess")
        process["program"] = "halidescope"
        process["version"] = str(dict(origin["versions"])["halidescope"])    # type: ignore[call-overload]
        process["provenance"] = json.dumps(origin)
        process["notes"] = "\n".join(analysis.notes)
        process["wavelengths_in"] = analysis.medium
        numbers = _group(entry, "numbers", "NXcollection")
        for name, number in analysis.numbers.items():
            numbers[name] = number.value
            if number.se is not None:
                numbers[f"{name}_se"] = number.se
        _write_data(entry, scan, analysis)
        if link is not None:
            entry["measurement"] = h5py.ExternalLink(link, "/entry")
    return buffer.getvalue()


def arrays_of(scan: Scan, analysis: Analysis) -> dict[str, tuple[ArrayLike, str]]:
    """Per-point results by name, each with its unit; shape points, or points + (k,) for the endmembers."""
    found: dict[str, tuple[ArrayLike, str]] = {"valid": (scan.valid, "")}
    if (unmixed := analysis.unmixing) is not None:
        found |= {
            "shares": (unmixed.shares, ""), "shares_se": (unmixed.shares_se, ""),
            "amplitudes": (unmixed.amplitudes, "counts"), "amplitudes_se": (unmixed.amplitudes_se, "counts"),
            "residual_rms": (unmixed.residual_rms, "counts"), "flags": (unmixed.flags, ""),
        }  # fmt: skip
    if (weighted := analysis.weighted) is not None:
        found |= {"weighted_shares": (weighted.shares, ""), "weighted_shares_se": (weighted.shares_se, "")}
    if (test := analysis.residuals) is not None:
        found |= {"reduced_chi2": (test.reduced_chi2, ""), "whiteness_z": (test.whiteness_z, "")}
        found["flags"] = (test.flags, "")
    if (moved := analysis.nuisance) is not None:
        found |= {
            "free_shares": (moved.unmixing.shares, ""), "free_shares_se": (moved.unmixing.shares_se, ""),
            "shift": (moved.shift_ev, "eV"), "shift_se": (moved.shift_ev_se, "eV"),
            "broadening": (moved.broadening_ev2, "eV^2"), "broadening_se": (moved.broadening_ev2_se, "eV^2"),
        }  # fmt: skip
    if (peaks := analysis.peaks) is not None:
        found |= {
            "peak": (peaks.peaks.centre, "eV"), "peak_se": (peaks.peaks.centre_se, "eV"),
            "peak_sigma": (peaks.peaks.sigma, "eV"), "peak_sigma_se": (peaks.peaks.sigma_se, "eV"),
            "peak_flags": (peaks.peaks.flags, ""), "centroid": (peaks.moments.centroid_ev, "eV"),
            "centroid_se": (peaks.moments.centroid_ev_se, "eV"), "iodine": (peaks.composition.x, ""),
            "iodine_se": (peaks.composition.x_se, ""), "iodine_flags": (peaks.composition.flags, ""),
        }  # fmt: skip
    return found


def _write_data(entry: h5py.Group, scan: Scan, analysis: Analysis) -> None:
    data = _group(entry, "data", "NXdata")
    names = list(scan.axes)
    for name, values in scan.axes.items():
        data[name] = values
        data[name].attrs["units"] = UNITS.get(name, "")
    arrays = arrays_of(scan, analysis)
    signal: str = next(name for name in ("peak", "residual_rms", "valid") if name in arrays)
    if analysis.unmixing is not None and analysis.labels:
        last = analysis.unmixing.shares[..., -1]
        arrays["grown_share"] = (last, "")
        signal = "grown_share"
        data["endmember"] = np.array(analysis.labels, dtype=h5py.string_dtype())
    data.attrs.update(signal=signal, axes=names)
    for name, (found, unit) in arrays.items():
        array = np.asarray(found)
        data.create_dataset(name, data=array.astype(np.uint8) if array.dtype == bool else array)
        data[name].attrs["units"] = unit
    if (rays := analysis.cosmic) is not None:
        hits = _group(entry, "cosmic_rays", "NXcollection")
        hits["spectrum"], hits["channel"], hits["excess_counts"] = rays.spectrum, rays.channel, rays.excess


def _group(parent: h5py.Group, name: str, kind: str, **attributes: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs.update(NX_class=kind, **attributes)
    return group
