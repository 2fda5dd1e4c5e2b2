"""The benchmark of the analysis still runs: every part once, on a few spectra, without its slow peers."""

import bench_analysis as bench
import numpy as np
import pytest
from analysis_bounds import bound, counting_information


@pytest.mark.parametrize("part", [name for name in bench.PARTS if name not in ("first", "statistics")])
def test_every_part_gives_its_rows(part, monkeypatch):
    monkeypatch.setattr(bench, "installed", lambda name: False)
    monkeypatch.setattr(bench, "usable_cores", lambda: {min(bench.os.sched_getaffinity(0))})
    report = bench.measure(pixels=30, repeats=1, only=[part])
    assert report.rows or part == "cores"
    assert all(row.value >= 0 for row in report.rows)
    if part == "cosmic":
        assert [row.value for row in report.rows if row.against == "false flags"] == [0]
    assert all(row.job in bench.table(report) for row in report.rows)


@pytest.mark.parametrize("call", bench.FIRST_CALLS)
def test_first_calls_are_calls(call):
    axis = np.linspace(1.8, 2.6, 2048)
    shapes = np.exp(-0.5 * ((axis - np.array([[2.1], [2.4]])) / 0.05) ** 2)
    counts = np.rint(1000 * shapes.sum(axis=0) + np.zeros((20, 1)) + 5).astype(np.uint16)
    exec(bench.FIRST_CALLS[call], {"np": np, "axis": axis, "shapes": shapes, "counts": counts})


def test_the_bound_is_that_of_the_textbook():
    x = np.linspace(-5, 5, 2001)

    def bell(p):
        return p[0] * np.exp(-0.5 * ((x - p[1]) / p[2]) ** 2)

    height, sigma = 1000.0, 0.5
    truth = np.array([height, 0.1, sigma])
    area = height * sigma * np.sqrt(2 * np.pi) / 0.005
    # N photons of a band: the centre is known to sigma / √N; with equal errors e to e √(2 Δx σ / √π) / height
    assert bound(bell, truth, 1 / bell(truth))[1, 1] ** 0.5 == pytest.approx(sigma / area**0.5, rel=1e-6)
    equal = 3.0 * np.sqrt(2 * 0.005 * sigma / np.sqrt(np.pi)) / height
    assert bound(bell, truth, 3.0**-2)[1, 1] ** 0.5 == pytest.approx(equal, rel=1e-6)


def test_counting_with_read_noise_tells_what_its_limits_are():
    bright = np.array([400.0, 4000.0])
    np.testing.assert_allclose(counting_information(bright, 4.0), 1 / (bright + 16), rtol=0.01)
    np.testing.assert_allclose(counting_information(np.array([0.5, 3.0]), 0.1), [2.0, 1 / 3], rtol=0.01)


def test_every_quantity_has_its_limit():
    report = bench.measure(pixels=30, repeats=1, only=["statistics"], scale=0.0)
    assert {one.quantity for one in report.limits} == {"amplitudes", "peak energy", "k1", "k2", "<k>", "D", "Ea"}
    for one in report.limits:
        assert one.rms_over_bound < 1.05 + 4 / np.sqrt(2 * one.draws), one
        assert abs(one.covered - 0.683) < 4 * np.sqrt(0.22 / one.draws), one


@pytest.mark.slow
def test_every_estimator_reaches_its_bound_and_covers():
    report = bench.measure(pixels=30, repeats=1, only=["statistics"])
    assert [one for one in report.limits if not one.reached] == []
