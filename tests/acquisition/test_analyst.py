"""The online worker: which endmembers it takes, what it publishes, and that it never stops a measurement."""

import msgspec
import numpy as np
import pytest

from halidescope.acquisition.analyst import Analyst
from halidescope.acquisition.analyst_process import AnalystProcess, News
from halidescope.acquisition.endmembers import choose_endmembers
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.records import Flag, SpectrumRecord
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.storage import finish

from .conftest import PIXELS, header, wavelengths

AXIS = np.linspace(450.0, 720.0, 200)


def recipe(**changes):
    return parse_recipe({"kind": "time-series", "sample_power_uw": 120.0, "duration_s": 100.0, **changes})


@pytest.mark.parametrize(
    ("x", "grown_nm", "label"), [(1.0, 512.3, "Br-rich"), (1.5, 512.3, "Br-rich"), (2.0, 688.0, "I-rich")]
)
def test_model_bands_follow_the_composition_and_say_that_they_are_models(x, grown_nm, label):
    chosen = choose_endmembers(recipe(sample={"composition": x}), AXIS)
    assert chosen.labels == ("pristine", label)
    assert AXIS[chosen.spectra[1].argmax()] == pytest.approx(grown_nm, abs=2.0)
    assert np.allclose(chosen.spectra.sum(axis=1), 1.0)
    assert "not measured" in chosen.note


@pytest.mark.parametrize(
    ("sample", "words"), [({}, "neither references nor"), ({"composition": 0.0}, "one phase only")]
)
def test_without_endmembers_there_is_a_reason(sample, words):
    assert words in choose_endmembers(recipe(sample=sample), AXIS)


def test_measured_references_are_brought_onto_the_axis(write_journal):
    out = write_journal(header("time-series", wavelengths(descending=True)), list(range(12)))
    finish(out)
    asked = recipe(analysis={"references": [str(out)], "labels": ["pure"]})
    chosen = choose_endmembers(asked, wavelengths())
    assert chosen.labels == ("pure",)
    assert chosen.spectra.shape == (1, PIXELS)
    assert str(out) in chosen.note
    with pytest.raises(ProblemError, match="choose a reference of this spectrometer"):
        choose_endmembers(asked, np.linspace(300.0, 900.0, 50))
    with pytest.raises(ProblemError, match="one label for each"):
        choose_endmembers(recipe(analysis={"references": [str(out)], "labels": ["a", "b"]}), AXIS)


def spectrum(index: int, time_s: float, counts: np.ndarray) -> SpectrumRecord:
    return SpectrumRecord(
        index, index, time_s, time_s, time_s, 0.0, 0.0, 0.0, 0.0, 0.0, 120.0, 120.0, 0.2, 1.0, Flag.NONE, counts
    )


def test_a_growing_series_is_unmixed_and_fitted():
    asked = recipe(sample={"composition": 1.5})
    endmembers = choose_endmembers(asked, AXIS)
    rng = np.random.default_rng(1)
    dark = rng.normal(100, 3, (10, 200)).round().astype(np.uint16)
    analyst = Analyst(asked, AXIS, dark, saturation=65535.0, gain=1.0)
    time_s = np.arange(200) * 0.5
    share = 1 - 0.7 * np.exp(-0.1 * time_s) - 0.3 * np.exp(-1e-3 * time_s)
    records = []
    for k, (at, grown) in enumerate(zip(time_s, share, strict=True)):
        light = 4e5 * ((1 - grown) * endmembers.spectra[0] + grown * endmembers.spectra[1])
        records.append(spectrum(k, float(at), rng.poisson(light + 100).astype(np.uint16)))
    analyst.add(records[:150])
    first = analyst.news()
    analyst.add(records[150:])
    analyst.fit()
    second = analyst.news()
    assert (first.first, first.count, second.first, second.count) == (0, 150, 150, 200)
    assert second.references == []
    assert np.allclose(np.array(first.shares + second.shares)[:, 1], share, atol=0.02)
    k1 = second.numbers["k1_per_s"]
    assert abs(k1.value - 0.1) < 5 * k1.se
    assert len(second.fit_low) == len(second.fit_share) == len(second.fit_time_s)
    assert msgspec.json.decode(msgspec.json.encode(second), type=OnlineResults) == second


def test_a_saturated_spectrum_is_none_not_a_number():
    asked = recipe(sample={"composition": 1.5})
    analyst = Analyst(asked, AXIS, np.zeros((0, 200), np.uint16), saturation=65535.0, gain=1.0)
    analyst.add([spectrum(0, 0.1, np.full(200, 65535, np.uint16))])
    results = analyst.news()
    assert results.shares == [[None, None]]
    assert msgspec.json.decode(msgspec.json.encode(results), type=OnlineResults) == results


def test_a_failure_inside_is_a_complaint_and_keeps_nobody_waiting(write_journal):
    out = write_journal(header("time-series"), [0, 1])     # its recipe lacks what an analysis needs
    complaints = []
    worker = AnalystProcess(complaints.append)
    try:
        worker.begin(journal_path(out))
        assert worker.finish(2).count == 0
        assert "the spectra are safe" in complaints[0]
        worker.rehearse()
        assert worker.rehearsed.wait(60.0)      # nothing to rehearse: said at once
    finally:
        worker.close()


def test_a_failure_after_results_keeps_them_and_their_names():
    complaints = []
    worker = AnalystProcess(complaints.append)
    found = OnlineResults(kind="time-series", labels=("pristine", "Br-rich"), count=1, index=[0], time_s=[0.5],
                          amplitudes=[[1.0, 2.0]], shares=[[0.3, 0.7]], shares_se=[[0.1, 0.1]], residual_rms=[1.0])
    worker._keep(News(found))
    worker._keep(News(problem="online analysis stopped"))
    assert worker.results(0) == found
    assert complaints == ["online analysis stopped"]


def test_the_end_of_a_measurement_without_spectra_does_not_end_the_next(write_journal):
    out = write_journal(header("time-series"), [0, 1])
    complaints = []
    worker = AnalystProcess(complaints.append)
    try:
        worker.start()
        assert worker.finish(0).count == 0      # nothing was followed, so nobody has to be waited for
        worker.begin(journal_path(out))
        worker.finish(2)
        assert len(complaints) == 1             # waited for: this recipe lacks what an analysis needs
    finally:
        worker.close()
