"""What of an analysis is kept: everything that a table, a picture or a window needs to show it again.

How it lies in a file is in :mod:`halidescope.acquisition.results_file`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.acquisition.batch import Analysis
from halidescope.acquisition.results_file import data_hash
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.stored_analysis import About, StoredAnalysis
from halidescope.analysis.series import SeriesResult

CURVE_POINTS = 200      # of a series' fit


def findings(scan: Scan, analysis: Analysis, origin: Mapping[str, object]) -> StoredAnalysis:
    """An analysis as it is stored.

    Parameters
    ----------
    origin : dict
        From :func:`halidescope.acquisition.provenance.provenance`.
    """
    found = arrays_of(scan, analysis)
    signal: str = next(name for name in ("peak", "residual_rms", "valid") if name in found)
    members = analysis.endmembers
    shapes = np.empty((0, 0))
    if members is not None:
        shapes = np.asarray(members.spectra, np.float64)
        shapes = shapes / shapes.sum(axis=1, keepdims=True)
        if analysis.unmixing is not None:
            signal = "grown_share"
            found["grown_share"] = (np.asarray(analysis.unmixing.shares)[..., -1], "")
    if isinstance(analysis.result, SeriesResult):       # the noise of the references is taken out of these
        fitted = np.full(scan.valid.shape, np.nan)
        fitted[scan.valid & np.isfinite(scan.time_s)] = analysis.result.share
        found["fitted_share"] = (fitted, "")
    return StoredAnalysis(
        about=About(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"), data_file=Path(scan.source).name,
            data_sha256=data_hash(scan), kind=scan.kind, simulated=scan.simulated, medium=analysis.medium,
            labels=analysis.labels, sources=members.sources if members is not None else (), notes=analysis.notes,
            origin=dict(origin),
        ),
        numbers=dict(analysis.numbers), axes={name: np.asarray(axis) for name, axis in scan.true_axes.items()},
        arrays={name: np.asarray(values) for name, (values, _) in found.items()},
        units={name: unit for name, (_, unit) in found.items() if unit}, signal=signal,
        wavelength_nm=scan.wavelength_nm if members is not None else np.empty(0), endmembers=shapes,
        curve=_curve(analysis), cosmic=_hits(analysis),
    )  # fmt: skip


def _curve(analysis: Analysis) -> dict[str, NDArray]:
    if not isinstance(analysis.result, SeriesResult):
        return {}
    kinetics = analysis.result.kinetics
    fine = np.linspace(0.0, float(analysis.result.time_s.max()), CURVE_POINTS)
    band = kinetics.band(fine)
    return {
        "time": fine, "share": np.asarray(kinetics.evaluate(fine)), "low": np.asarray(band.low),
        "high": np.asarray(band.high),
    }


def _hits(analysis: Analysis) -> dict[str, NDArray]:
    if (rays := analysis.cosmic) is None:
        return {}
    return {
        "spectrum": np.asarray(rays.spectrum), "channel": np.asarray(rays.channel),
        "excess_counts": np.asarray(rays.excess),
    }


def arrays_of(scan: Scan, analysis: Analysis) -> dict[str, tuple[ArrayLike, str]]:
    """Per-point results by name, each with its unit; shape points, or points + (k,) for the endmembers."""
    found: dict[str, tuple[ArrayLike, str]] = {"valid": (scan.valid, "")}
    if (unmixed := analysis.unmixing) is not None:
        light, unit = (np.ones(scan.valid.shape), "counts")
        if analysis.conditions is not None:
            light, unit = analysis.conditions.light.scale, analysis.conditions.light.unit
            if analysis.conditions.light.asked:      # what amplitudes times it are counts again
                found["light"] = (light, ".".join(unit.split("/")[1:]))
        found |= {
            "shares": (unmixed.shares, ""), "shares_se": (unmixed.shares_se, ""),
            "amplitudes": (unmixed.amplitudes / light[..., None], unit),
            "amplitudes_se": (unmixed.amplitudes_se / light[..., None], unit),
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
