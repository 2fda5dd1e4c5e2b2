"""The paper's figures from a scan and an analysis that was stored, or an overview where there is none.

They are drawn by :mod:`halidescope.analysis.figures`, as those of a fresh analysis in
:mod:`halidescope.acquisition.pictures` are.
"""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from halidescope.acquisition.pictures import bluer_is_last
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.stored_analysis import StoredAnalysis
from halidescope.analysis.figures import (
    composition_figure,
    map_figure,
    map_overview,
    stack_overview,
    time_series_figure,
)
from halidescope.analysis.flags import Flag

Numbers = NDArray[np.float64]


def pictures_of(scan: Scan, run: StoredAnalysis | None) -> list[tuple[Figure, str]]:
    """Figures of a scan, each with a caption; without a fitting analysis one overview of the spectra."""
    counts = np.where(scan.valid[..., None], scan.spectra - scan.dark.mean, np.nan)
    if run is not None and "shares" in run.arrays and len(run.about.labels) > 1:
        if scan.kind == "time-series" and run.curve:
            return [_series(scan, run, counts)]
        if scan.kind == "raster-map" and "halo_radius_um" in run.numbers:
            return _map(scan, run, counts)
    if scan.kind == "raster-map":
        figure = map_overview(scan.axes["x"], scan.axes["y"], scan.wavelength_nm, counts)
        return [(figure, "Left: intensity; grey pixels were not measured. Right: mean spectrum and its scatter.")]
    rows = counts.reshape(-1, counts.shape[-1])[scan.valid.ravel()]
    time_s = scan.time_s.ravel()[scan.valid.ravel()]
    known = bool(np.isfinite(time_s).all())
    figure = stack_overview(
        scan.wavelength_nm, time_s if known else np.arange(len(rows)), rows, numbered=not known
    )
    return [(figure, "Left: the spectra one after another. Right: mean spectrum and scatter.")]


def _series(scan: Scan, run: StoredAnalysis, counts: Numbers) -> tuple[Figure, str]:
    share = run.arrays.get("fitted_share", run.arrays["shares"][..., -1])
    share_se = run.arrays["shares_se"][..., -1]
    rows = scan.valid & np.isfinite(scan.time_s) & np.isfinite(share)
    time_s = scan.time_s[rows]
    fit = tuple(np.interp(time_s, run.curve["time"], run.curve[name]) for name in ("share", "low", "high"))
    numbers = []
    for name, symbol, factor, unit in (("phi", "φ", 100.0, "%"), ("average_rate_per_s", "⟨k⟩", 1.0, "s⁻¹")):
        if (one := run.numbers.get(name)) is not None:
            numbers.append(f"{symbol} = {one.words(unit, factor)}")
    figure = time_series_figure(
        scan.wavelength_nm, time_s, counts[rows], share[rows], share_se[rows],
        labels=(run.about.labels[0], run.about.labels[-1]), fit=(fit[0], fit[1], fit[2]), numbers=numbers,
        grown_is_bromide=bluer_is_last(run.wavelength_nm, run.endmembers),
    )  # fmt: skip
    return figure, "Spectra against time, spectra at chosen times, shares of the emission with the fit."


def _map(scan: Scan, run: StoredAnalysis, counts: Numbers) -> list[tuple[Figure, str]]:
    value = {name: number.value for name, number in run.numbers.items()}
    centre = value["halo_centre_x_um"], value["halo_centre_y_um"]
    x_um, y_um = scan.axes["x"], scan.axes["y"]
    known = bool(np.isfinite(value["halo_radius_um"]))
    if not known:       # no halo: distances are from the middle
        centre = float(x_um.mean()), float(y_um.mean())
    share = np.where(scan.valid, run.arrays["shares"][..., -1], np.nan)
    radius, fine = value["halo_radius_um"], np.linspace(x_um[0], x_um[-1], 400)
    row_um = y_um[np.argmin(np.abs(y_um - centre[1]))]
    bell = np.exp(-((fine - centre[0]) ** 2 + (row_um - centre[1]) ** 2) / radius**2)
    whiteness = run.arrays.get("whiteness_z")
    found = [(
        map_figure(
            x_um, y_um, scan.wavelength_nm, counts, share, centre, radius, share_se=run.arrays["shares_se"][..., -1],
            label=run.about.labels[-1],
            profile_fit=(fine, value["halo_offset"] + value["halo_amplitude"] * bell) if known else None,
            whiteness=None if whiteness is None else np.where(scan.valid, whiteness, np.nan),
        ),
        "Share of the grown phase with the halo's 1/e radius, intensity, profile along the dotted line, spectra at "
        "distances from the spot. Grey pixels were not measured.",
    )]  # fmt: skip
    if "iodine" in run.arrays:
        sound = scan.valid & (run.arrays["peak_flags"] == 0)
        outside = sound & ((run.arrays["iodine_flags"].astype(np.int64) & Flag.OUTSIDE) != 0)
        found.append((
            composition_figure(
                x_um, y_um, np.where(sound, run.arrays["iodine"], np.nan),
                np.where(sound, run.arrays["iodine_se"], np.nan), centre, flagged=outside,
                film_x=scan.metadata.get("recipe", {}).get("sample", {}).get("composition"),
                profile_points=(
                    x_um, run.arrays["amplitudes"][np.argmin(np.abs(y_um - centre[1])), :, -1],
                    run.arrays["amplitudes_se"][np.argmin(np.abs(y_um - centre[1])), :, -1],
                ),
                unit=run.units.get("amplitudes", "counts"),
            ),
            "Iodine content from the peak energy of every pixel; emission of the grown phase through the spot.",
        ))  # fmt: skip
    return found
