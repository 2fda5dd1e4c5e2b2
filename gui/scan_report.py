"""The report of one saved scan: its numbers with errors, a figure of its kind, and where everything came from."""

from typing import Any

from halidescope.acquisition.results import Number
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.stored_analysis import StoredAnalysis
from halidescope.acquisition.stored_pictures import pictures_of
from halidescope.gui.report import Picture, Report, Row, Section
from halidescope.gui.values import field_words

SHOWN = "Dark-subtracted spectra and what was found in them, drawn as in every report."


def scan_report(scan: Scan, analysis: StoredAnalysis | None) -> Report:
    """The report; numbers are those of ``analysis``, or of the online analysis that the file holds."""
    about = scan.metadata
    if analysis is not None:
        numbers, notes = dict(analysis.numbers), list(analysis.notes)
    elif scan.results is not None:
        numbers = dict(scan.results.numbers)
        notes = [note for note in (scan.results.note, scan.results.reference_note) if note]
    else:
        numbers, notes = {}, ["This scan has not been analysed."]
    return Report(
        title=str(about["title"]), subtitle=f"{scan.source}: {int(scan.valid.sum())} of {scan.valid.size} spectra",
        simulated=scan.simulated, rows=[_row(name, number) for name, number in numbers.items()],
        sections=[Section(str(scan.kind), SHOWN, [Picture(*one) for one in pictures_of(scan, analysis)])], notes=notes,
        provenance=[*_provenance(about), *(_made_of(analysis) if analysis is not None else [])],
    )


def _row(name: str, number: Number) -> Row:
    label, unit = field_words(name)
    se = float("nan") if number.se is None else number.se
    return Row(label, number.value, se, unit, shown=number.words(unit))


def _provenance(about: dict[str, Any] | Any) -> list[tuple[str, str]]:
    rows = [("begun", str(about["started_at"])), ("state", f"{about['state']} {about['reason']}".strip())]
    rows += [(f"{name} version", str(one)) for name, one in about["versions"].items()]
    rows += [
        (role, f"{who['manufacturer']} {who['model']}, serial number {who['serial']}")
        for role, who in about["identities"].items()
    ]
    return rows


def _made_of(run: StoredAnalysis) -> list[tuple[str, str]]:
    origin = run.about.origin
    return [
        ("analysed", run.about.made_at),
        *((f"{one['file']} ({one['bytes']} bytes)", f"sha256 {one['sha256']}") for one in origin.get("inputs", ())),
        *((f"{name} of the analysis", str(one)) for name, one in origin.get("versions", {}).items()),
        ("settings", str(origin.get("settings", "not known"))),
    ]
