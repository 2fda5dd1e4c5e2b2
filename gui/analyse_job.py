"""One file of ``halidescope analyse``: everything that a worker does, with arguments and results that travel.

What is written where is decided by :mod:`halidescope.gui.analyse_files`, on the machine that asked.
"""

from dataclasses import dataclass, field
from pathlib import Path

from halidescope.acquisition import replay
from halidescope.acquisition.analysis_file import AnalysisFile
from halidescope.acquisition.batch import Analysis, analyse_scan
from halidescope.acquisition.findings import findings
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.provenance import provenance
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.stored_analysis import StoredAnalysis
from halidescope.gui.analysis_report import analysis_page
from halidescope.gui.values import plus_minus


@dataclass(frozen=True)
class Job:
    """A file to be analysed.

    ``path`` is where it is found, ``name`` what the person wrote, and ``inputs`` are the other files that the results
    depend on; ``page`` and ``keep`` tell whether a page is wanted, and all that can be stored.
    """

    path: str
    name: str
    settings: AnalysisFile
    page: bool = False
    keep: bool = False
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Done:
    """Results of one file, or the sentence that says why there are none."""

    plain: dict[str, object] = field(default_factory=dict)
    words: str = ""
    page: str = ""
    kept: StoredAnalysis | None = None
    problem: str = ""


def analyse_file(job: Job) -> Done:
    """Analyse one file; a problem of the file is a result."""
    try:
        with open_any(job.path) as scan:
            found = analyse_scan(scan, settings=job.settings, online=True)
            used = found.endmembers.sources if found.endmembers is not None else ()
            origin = provenance([Path(name) for name in (job.path, *job.inputs, *used)], job.settings)
            plain = found.plain() | {"file": job.name} | _online(scan, found) | {"provenance": origin}
            return Done(
                plain=plain,
                words=_words(job.name, found),
                page=analysis_page(scan, found, origin, plain).html() if job.page else "",
                kept=findings(scan, found, origin) if job.keep else None,
            )
    except ProblemError as error:
        return Done(problem=str(error))


def _online(scan: Scan, found: Analysis) -> dict[str, object]:
    """The online analysis as it comes out of the file again, and how far it is from what was kept while measuring."""
    if found.online is None:
        return {}
    values: dict[str, object] = {"online": replay.plain(found.online)}
    if scan.results is not None and scan.results.count:
        values["online_differs_by"] = replay.differences(scan.results, found.online)
    return values


def _words(name: str, found: Analysis) -> str:
    kind = f"{found.kind}, simulated" if found.simulated else found.kind
    lines = [f"{name} ({kind}, {found.spectra} spectra, wavelengths in {found.medium})"]
    lines += [f"  {key:<24} {plus_minus(number)}" for key, number in found.numbers.items()]
    return "\n".join([*lines, *(f"  {note}" for note in found.notes)])
