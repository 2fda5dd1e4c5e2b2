"""Measurements written by hand, and simulated microscopes on the wire."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halidescope.acquisition.analysis_file import AnalysisFile, CorrectionsTable, PeaksTable, ReferencesTable
from halidescope.acquisition.batch import analyse_scan
from halidescope.acquisition.findings import findings
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.provenance import provenance
from halidescope.acquisition.records import DarkRecord, Ending, Event, Flag, Header, SpectrumRecord
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.stored_analysis import StoredAnalysis
from halidescope.simulators.microscope import SimulatedMicroscope

os.environ["HALIDESCOPE_NICENESS"] = "0"      # tests wait for the analysis, whatever else the computer does
PIXELS = 96
FINISHED = Ending(state="finished")


def wavelengths(curved: bool = True, descending: bool = False) -> np.ndarray:
    """Wavelengths of a small spectrometer, with the curvature that real gratings have, or without."""
    pixel = np.arange(PIXELS)
    axis = 480.0 + 3.0 * pixel - (2e-3 * pixel**2 if curved else 0.0)
    return axis[::-1] if descending else axis


def header(
    kind: str = "raster-map", wavelength_nm: np.ndarray | None = None, rows: int = 3, columns: int = 4
) -> Header:
    """The header of a small measurement: a map of rows × columns, or a series of rows × columns spectra."""
    axes = (
        {"y": [4.0 * k for k in range(rows)], "x": [4.0 * k for k in range(columns)]} if kind == "raster-map"
        else {"time": [1.0 * k for k in range(rows * columns)]}
    )
    return Header(
        kind=kind, title=f"small {kind}", recipe={"kind": kind, "sample_power_uw": 5.0, "sample": {"name": "film 12"}},
        plan_hash="0123", microscope="[laser]\n", axes=axes, count_type="<u2",
        identities={
            role: {"manufacturer": "M", "model": role, "serial": "1", "firmware": "2"}
            for role in ("laser", "stage", "spectrometer")
        },
        wavelength_nm=(wavelengths() if wavelength_nm is None else wavelength_nm).tolist(),
        calibration={"laser_wavelength_nm": 405.0, "waist_um": 1.0, "sample_uw_per_head_mw": 4.0},
        versions={"halidescope": "0"}, started_at="2025-01-01T00:00:00+00:00", simulated=True,
    )


def record(sequence: int, index: int, seed: int = 0, pixels: int = PIXELS) -> SpectrumRecord:
    """A spectrum whose counts tell which it is."""
    counts = np.random.default_rng((seed, sequence)).integers(0, 60000, pixels).astype(np.uint16)
    return SpectrumRecord(
        sequence, index, float("nan"), 1.001 * sequence, 1.001 * sequence + 0.1 + 0.002 * (sequence % 3), 0.001,
        4.0 * index, 0.0, 4.0 * index + 0.001, 0.002, 5.0, 4.99, 0.2, 0.1 * (index + 1),
        Flag.SATURATED if index == 2 else Flag.NONE, counts,
    )


@pytest.fixture
def write_journal(tmp_path: Path) -> Callable[..., Path]:
    """Writes a closed journal of the given points and returns the path of the file it belongs to."""

    def write(
        head: Header, points: list[int], ending: Ending | None = FINISHED, darks: int = 4, name: str = "scan.nxs",
        results: OnlineResults | None = None,
    ) -> Path:
        out = tmp_path / name
        writer = JournalWriter(journal_path(out), head)
        for k in range(darks):
            counts = np.full(len(head.wavelength_nm), 100 + k, np.uint16)
            writer.append_dark(DarkRecord(k, 0.2 * k, 0.2, counts))
        writer.set_light_on(3.25, 0.01, 1.7e9)
        for sequence, point in enumerate(points):
            writer.append(record(sequence, point))
        at = "2025-01-01T00:00:01+00:00"
        writer.append_event(Event(sequence=0, time_s=1.0, at=at, level="info", text="light on"))
        if results is not None:
            writer.set_results(results)
        if ending is not None:
            writer.end(ending)
        writer.close()
        return out

    return write


def analysed(scan: Scan, compositions: tuple[float, ...] = (1.5, 0.0)) -> StoredAnalysis:
    """A scan's analysis with model bands, as it is stored."""
    settings = AnalysisFile(
        references=ReferencesTable(compositions=compositions, labels=("made", "grown")),
        corrections=CorrectionsTable(electrons_per_count=1.0), peaks=PeaksTable(skip=True),
    )
    return findings(scan, analyse_scan(scan, settings=settings), provenance([Path(scan.source)], settings))


class Bench:
    """A simulated microscope on the wire, and its truth."""

    def __init__(self, simulated: SimulatedMicroscope) -> None:
        self._simulated = simulated
        self.microscope = parse_microscope(simulated.microscope_toml())
        assert simulated.control is not None
        self._control = socket.create_connection((simulated.control.host, simulated.control.port), timeout=60.0)
        self._lines = self._control.makefile("rb")

    def ask(self, **request: object) -> Any:
        """One line to the control port; the value it answers."""
        self._control.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(self._lines.readline())
        assert "error" not in answer, answer
        return answer.get("value")

    def file(self, folder: Path) -> Path:
        """The microscope file, written."""
        path = folder / "microscope.toml"
        path.write_text(self._simulated.microscope_toml(), encoding="utf-8")
        return path

    def close(self) -> None:
        self._lines.close()
        self._control.close()


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    """Starts simulated microscopes, ends them after the test."""
    with ExitStack() as stack:

        def make(**options: Any) -> Bench:
            simulated = stack.enter_context(SimulatedMicroscope(**{"speed": 60.0, "seed": 1, **options}))
            bench = Bench(simulated)
            stack.callback(bench.close)
            return bench

        yield make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A simulated microscope at speed 60."""
    return make_bench()


def until(condition: Callable[[], object], what: str, timeout_s: float = 90.0) -> None:
    """Wait for a condition, bounded; fails with what was waited for."""
    end = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"still waiting after {timeout_s} s: {what}"
        pause.wait(0.005)
