"""The report of one saved scan: its numbers with errors, a figure of its kind, and where everything came from."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from halidescope.acquisition.results import Number
from halidescope.acquisition.results_file import StoredAnalysis
from halidescope.acquisition.scan import Scan
from halidescope.analysis.figures import emitting_window
from halidescope.gui.report import Picture, Report, Row, Section
from halidescope.gui.values import field_words


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
        sections=[_section(scan)], notes=notes,
        provenance=[*_provenance(about), *(_made_of(analysis) if analysis is not None else [])],
    )


def _row(name: str, number: Number) -> Row:
    label, unit = field_words(name)
    return Row(label, number.value, float("nan") if number.se is None else number.se, unit)


def _section(scan: Scan) -> Section:
    spectra = np.where(scan.valid[..., None], scan.spectra - scan.dark.mean, np.nan)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    flat = spectra.reshape(-1, spectra.shape[-1])[scan.valid.ravel()]
    seen = emitting_window(scan.wavelength_nm, flat.astype(float))
    if scan.kind == "raster-map":
        x, y = scan.axes["x"], scan.axes["y"]
        image = left.pcolormesh(x, y, spectra.sum(axis=-1), shading="nearest", rasterized=True)
        left.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal")
        figure.colorbar(image, ax=left, label="intensity (counts)")
        words = "Left: intensity. Right: mean spectrum with the scatter of the pixels. White pixels were not measured."
    else:
        time_s = scan.time_s.ravel()[scan.valid.ravel()]
        if not np.isfinite(time_s).all():
            time_s = np.arange(len(flat), dtype=float)
        image = left.pcolormesh(scan.wavelength_nm[seen], time_s, flat[:, seen], shading="nearest", rasterized=True)
        left.set(xlabel="wavelength (nm)", ylabel="time (s)")
        figure.colorbar(image, ax=left, label="counts above dark")
        words = "Left: spectra against time. Right: mean spectrum with the scatter over time."
    mean, scatter = flat.mean(axis=0)[seen], flat.std(axis=0)[seen]
    right.fill_between(scan.wavelength_nm[seen], mean - scatter, mean + scatter, alpha=0.3)
    right.plot(scan.wavelength_nm[seen], mean)
    right.set(xlabel="wavelength (nm)", ylabel="counts above dark")
    return Section(str(scan.kind), words, [Picture(figure, words)])


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
