"""A saved scan analysed again, with measured references or with model bands, as results that views can show.

The estimators are those of :mod:`halidescope.acquisition.batch`; nothing is written back into the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halidescope.acquisition.analyst import choose_endmembers
from halidescope.acquisition.batch import Analysis, Endmembers, analyse_scan, load_endmembers
from halidescope.acquisition.problems import BadFileError
from halidescope.acquisition.recipes import Sample, TimeSeries
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.scan import Scan
from halidescope.analysis.series import SeriesResult
from halidescope.gui.values import field_words, plus_minus

ONLINE = ("phi", "average_rate_per_s", "k1_per_s", "k2_per_s", "k01", "k02")


@dataclass(frozen=True)
class Asked:
    """With what a scan shall be analysed: measured files, the phase that grows last, or a composition's model bands."""

    references: tuple[Path, ...] = ()
    labels: tuple[str, ...] = ()
    composition: float | None = None


def endmembers_for(scan: Scan, asked: Asked) -> Endmembers:
    """The endmembers that were asked for; raises :class:`BadFileError` if there are none."""
    if asked.references:
        return load_endmembers(asked.references, asked.labels)
    recipe = TimeSeries(sample_power_uw=1.0, duration_s=1.0, sample=Sample(composition=asked.composition))
    chosen = choose_endmembers(recipe, scan.wavelength_nm)
    if isinstance(chosen, str):
        raise BadFileError(f"{chosen}; choose reference files, or a composition between 0 and 3")
    nothing = np.zeros_like(chosen.spectra)
    return Endmembers(scan.wavelength_nm, chosen.spectra, nothing, chosen.labels, (chosen.note,))


def analyse_again(scan: Scan, asked: Asked) -> tuple[Analysis, OnlineResults]:
    """Analyse; for a lane. Raises :class:`ProblemError` with the reason if it cannot be done."""
    endmembers = endmembers_for(scan, asked)
    analysis = analyse_scan(scan, endmembers)
    return analysis, results_of(scan, endmembers, analysis)


def results_of(scan: Scan, endmembers: Endmembers, analysis: Analysis) -> OnlineResults:
    """An analysis as views know it."""
    if analysis.unmixing is None:
        raise BadFileError(f"{scan.source}: was analysed without endmembers; there are no shares to show")
    unmixing, phases = analysis.unmixing, len(endmembers.labels)
    index = np.flatnonzero(scan.valid)
    spectra = endmembers.spectra / endmembers.spectra.sum(axis=1, keepdims=True)
    amplitudes = unmixing.amplitudes.reshape(-1, phases)[index]     # counts: the references had unit sum
    curve: dict[str, Any] = {}
    if isinstance(analysis.result, SeriesResult):
        fine = np.linspace(0.0, float(analysis.result.time_s.max()), 200)
        band = analysis.result.kinetics.band(fine)
        curve = {
            "fit_time_s": fine.tolist(), "fit_share": _listed(analysis.result.kinetics.evaluate(fine)),
            "fit_low": _listed(band.low), "fit_high": _listed(band.high),
        }
    return OnlineResults(
        kind=scan.kind, labels=analysis.labels, references=spectra.tolist(), count=len(index), first=0,
        reference_note="analysed again: " + ", ".join(Path(one).name for one in endmembers.sources),
        index=index.tolist(), time_s=scan.time_s.ravel()[index].tolist(), amplitudes=_listed(amplitudes),
        shares=_listed(unmixing.shares.reshape(-1, phases)[index]),
        shares_se=_listed(unmixing.shares_se.reshape(-1, phases)[index]),
        residual_rms=_listed(np.asarray(unmixing.residual_rms).ravel()[index]),
        numbers={name: number for name, number in analysis.numbers.items() if name in ONLINE},
        note=" ".join(analysis.notes), **curve,
    )


def _listed(values: np.ndarray) -> Any:
    known = np.asarray(values, dtype=float).astype(object)
    known[~np.isfinite(np.asarray(values, dtype=float))] = None
    return known.tolist()


def words_of(analysis: Analysis, names: Sequence[str] = ()) -> str:
    """The numbers that have no place in the views, in a few words."""
    found = []
    for name, number in analysis.numbers.items():
        if name not in (*ONLINE, *names):
            label, unit = field_words(name)
            found.append(f"{label} {plus_minus(number, unit)}")
    return "   ".join(found)
