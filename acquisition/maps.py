"""Images of a map: what a pixel's spectrum comes down to without a fit, as OME-TIFF and as a table.

Fitted quantities are the analysis's; these are sums, maxima and centroids of the counts above the mean dark.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from halidescope.acquisition.problems import RefusedRunError
from halidescope.acquisition.quantities import ucum
from halidescope.acquisition.scan import Scan

# name → unit; the order of the planes
QUANTITIES = {
    "counts_sum": "counts", "maximum": "counts", "maximum_at": "nm", "centroid": "nm", "dose": "J/cm^2", "power": "uW",
    "time": "s",
}
HEADINGS = [f"{name} ({ucum(unit)})" for name, unit in QUANTITIES.items()]


def map_quantities(scan: Scan) -> dict[str, NDArray[np.float64]]:
    """Images of a map, shape (ny, nx) each, NaN where nothing valid was measured.

    ``counts_sum`` is the raw sum; ``maximum`` is above the dark; the centroid weighs what rises above a fifth of the
    maximum, where noise has no say.

    Raises
    ------
    RefusedRunError
        The scan is no map.
    """
    if tuple(scan.axes) != ("y", "x"):
        raise RefusedRunError(f"{scan.source}: a {scan.kind} has no images; maps have")
    shape, nm = scan.valid.shape, scan.wavelength_nm
    found = {name: np.full(shape, np.nan) for name in ("maximum", "maximum_at", "centroid")}
    spectra, valid = scan.spectra, scan.valid
    for row in range(shape[0]):
        counts = spectra[row] - scan.dark.mean
        peak = counts.max(axis=1)
        weights = np.where(counts > 0.2 * peak[:, None], counts, 0.0)
        total = weights.sum(axis=1)
        lit = valid[row] & (peak > 0)
        found["maximum"][row] = np.where(valid[row], peak, np.nan)
        found["maximum_at"][row] = np.where(lit, nm[counts.argmax(axis=1)], np.nan)
        found["centroid"][row] = np.where(lit, weights @ nm / np.where(lit, total, 1.0), np.nan)
    return {
        "counts_sum": scan.counts_sum, **found, "dose": scan.dose_j_cm2, "power": scan.sample_power_uw,
        "time": scan.time_s,
    }


def write_ome_tiff(scan: Scan, path: Path) -> None:
    """The images as planes of an OME-TIFF (32-bit floats, pixel size in µm, quantities as channel names)."""
    images = map_quantities(scan)
    title = str(scan.metadata["title"]) + (" SIMULATED" if scan.simulated else "")
    write_planes(path, dict(zip(HEADINGS, images.values(), strict=True)), scan.axes, title)


def write_planes(
    path: Path, planes: Mapping[str, NDArray], axes: Mapping[str, NDArray[np.float64]], title: str
) -> None:
    """Images (ny, nx) by their names as an OME-TIFF on the axes ``y`` and ``x`` in µm."""
    steps = {name: float(np.diff(axes[name]).mean()) if len(axes[name]) > 1 else 1.0 for name in ("y", "x")}
    tifffile.imwrite(
        path, np.stack(list(planes.values())).astype(np.float32), ome=True, photometric="minisblack",
        compression="zlib",
        metadata={
            "axes": "CYX", "PhysicalSizeX": steps["x"], "PhysicalSizeXUnit": "µm", "PhysicalSizeY": steps["y"],
            "PhysicalSizeYUnit": "µm", "Channel": {"Name": list(planes)}, "Description": title,
        },
    )


def write_maps_csv(scan: Scan, path: Path) -> None:
    """The images as a table: one row per pixel, quantities with their units."""
    images = map_quantities(scan)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["x (um)", "y (um)", *HEADINGS])
        for row, y_um in enumerate(scan.axes["y"].tolist()):
            for column, x_um in enumerate(scan.axes["x"].tolist()):
                values = (images[name][row, column].item() for name in QUANTITIES)
                table.writerow([x_um, y_um, *("" if value != value else value for value in values)])
