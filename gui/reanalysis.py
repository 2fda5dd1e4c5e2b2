"""A saved scan analysed again, with measured references or with model bands, as results that views can show.

The estimators are those of :mod:`halidescope.acquisition.batch`; nothing is written into the measured file.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halidescope.acquisition.analysis_file import AnalysisFile, ReferencesTable
from halidescope.acquisition.batch import Endmembers, analyse_scan, load_endmembers
from halidescope.acquisition.findings import findings
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.provenance import provenance
from halidescope.acquisition.references import model_phases
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.stored_analysis import StoredAnalysis
from halidescope.analysis.composition import energy_ev
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
    if asked.composition is None or not 0 < asked.composition < 3:
        raise BadFileError(f"{scan.source}: no endmembers; choose reference files, or a composition between 0 and 3")
    try:
        return model_phases(scan.wavelength_nm, asked.composition, np.asarray(energy_ev(scan.wavelength_nm)))
    except ValueError as error:
        raise BadFileError(f"{scan.source}: no endmembers: {error}; choose reference files") from error


def analyse_again(scan: Scan, asked: Asked) -> StoredAnalysis:
    """Analyse; for a lane. Raises :class:`ProblemError` with the reason if it cannot be done."""
    endmembers = endmembers_for(scan, asked)
    analysis = analyse_scan(scan, endmembers)
    table = ReferencesTable(files=tuple(str(path) for path in asked.references), labels=asked.labels)
    origin = provenance([Path(scan.source), *asked.references], AnalysisFile(references=table))
    if not asked.references:
        origin["model_bands_of_composition"] = asked.composition
    return findings(scan, analysis, origin)


def results_of(scan: Scan, run: StoredAnalysis) -> OnlineResults:
    """An analysis, of now or stored, as views know it; raises ScanFileError if it has nothing to show."""
    if "amplitudes" not in run.arrays:
        raise ScanFileError(f"{scan.source}: analysis {run.title} was made without endmembers and has no shares")
    if run.arrays["valid"].shape != scan.valid.shape:
        raise ScanFileError(
            f"{scan.source}: analysis {run.title}: is of {run.arrays['valid'].size} points, the scan has "
            f"{scan.valid.size}; analyse again"
        )
    index = np.flatnonzero(run.arrays["valid"])

    light = run.arrays.get("light", np.ones(scan.valid.shape)).reshape(-1, 1)      # views are in counts

    def rows(name: str, scale: np.ndarray | float = 1.0) -> Any:
        return _listed((run.arrays[name].reshape(scan.valid.size, -1) * scale)[index])

    return OnlineResults(
        kind=scan.kind, labels=run.about.labels, references=run.endmembers.tolist(), count=len(index), first=0,
        reference_note="analysed again: " + ", ".join(Path(one).name for one in run.about.sources),
        index=index.tolist(), time_s=scan.time_s.ravel()[index].tolist(), amplitudes=rows("amplitudes", light),
        shares=rows("shares"), shares_se=rows("shares_se"),
        residual_rms=_listed(run.arrays["residual_rms"].ravel()[index]),
        numbers={
            name: number for name, number in run.numbers.items() if name in ONLINE and math.isfinite(number.value)
        },
        fit_time_s=run.curve["time"].tolist() if run.curve else [],
        **{f"fit_{name}": _listed(run.curve[name]) for name in ("share", "low", "high") if run.curve},
        note=" ".join(run.notes),
    )


def _listed(values: np.ndarray) -> Any:
    known = np.asarray(values, dtype=float).astype(object)
    known[~np.isfinite(np.asarray(values, dtype=float))] = None
    return known.tolist()


def words_of(analysis: StoredAnalysis, names: Sequence[str] = ()) -> str:
    """The numbers that have no place in the views, in a few words."""
    found = []
    for name, number in analysis.numbers.items():
        if name not in (*ONLINE, *names):
            label, unit = field_words(name)
            found.append(f"{label} {plus_minus(number, unit)}")
    return "   ".join(found)
