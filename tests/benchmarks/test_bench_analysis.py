"""The benchmark of the analysis still runs: every job once, on a few spectra, without its slow peers."""

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("bench_analysis", Path(__file__).with_name("bench_analysis.py"))
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)


@pytest.mark.parametrize("job", bench.JOBS)
def test_every_job_gives_its_rows(job, monkeypatch):
    monkeypatch.setattr(bench, "installed", lambda name: False)
    report = bench.measure(pixels=30, repeats=1, only=[job])
    assert report.rows or job == "cosmic"
    assert all(row.own_us > 0 and row.ratio > 0 for row in report.rows)
    if job == "cosmic":
        assert report.values["cosmic rays, false flags (wanted 0)"] == 0
        assert report.values["cosmic rays, recall (wanted ≥ 0.998)"] == 1.0
