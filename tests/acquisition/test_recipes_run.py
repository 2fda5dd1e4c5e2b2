"""Kinds of recipes, end to end on one simulated microscope and one engine, as in a long session."""

from contextlib import closing

import numpy as np
import pytest

from halidescope.acquisition.host import Host
from halidescope.acquisition.map_recipes import order_of_taking
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import Bench, until

MAP = {
    "kind": "raster-map", "sample_power_uw": 5.0, "size_um": [12.0, 8.0], "step_um": 4.0, "exposure_s": 0.1,
    "dark_spectra": 1,
}
BACKGROUND = {"kind": "background", "spectra": 6, "exposure_s": 0.1, "dark_spectra": 2, "position_um": [50.0, 60.0]}
SERIES = {
    "kind": "time-series", "sample_power_uw": 120.0, "duration_s": 5000.0, "interval_s": 2.0, "dark_spectra": 5,
    "sample": {"composition": 1.5},
}


@pytest.fixture(scope="module")
def bench():
    """One simulated microscope for all tests here; its film remembers."""
    with SimulatedMicroscope(speed=100.0, seed=1) as simulated, closing(Bench(simulated)) as shared:
        yield shared


@pytest.fixture(scope="module")
def host(bench):
    """One engine."""
    with Host(bench.microscope) as running:
        yield running


@pytest.fixture
def measure(bench, host, tmp_path):
    """Runs a recipe to its end, which must be good and dark; gives its scan, open."""
    scans = []

    def run(recipe, name="scan.nxs"):
        host.engine.door.start(recipe, str(tmp_path / name))
        until(lambda: host.engine.status().state.ended, "end")
        assert host.engine.status().state is RunState.FINISHED, host.engine.status().reason
        assert bench.ask(get="laser.emission") is False
        scans.append(open_scan(tmp_path / name))
        return scans[-1]

    yield run
    for scan in scans:
        scan.close()


@pytest.mark.parametrize("order", ["interleaved", "random"])
def test_the_file_is_the_same_map_whatever_the_order(measure, order):
    scan = measure({**MAP, "order": order, "seed": 7})
    assert scan.valid.all()
    x, y = np.meshgrid(scan.axes["x"], scan.axes["y"])
    assert np.allclose(scan.position_um, np.stack([x, y], axis=-1), atol=0.2)
    assert np.array_equal(np.argsort(scan.time_s, axis=None), order_of_taking((3, 4), order, 7))
    assert scan.metadata["recipe"]["seed"] == 7


@pytest.mark.parametrize(
    ("asked", "said"), [({"stop_at_rate_error": 0.2}, "average rate is known"), ({"stop_at_plateau": 0.03}, "plateau")]
)
def test_a_measured_series_ends_early_and_says_why(measure, asked, said):
    place = [20.0, 150.0] if "stop_at_plateau" in asked else [60.0, 150.0]
    scan = measure({**SERIES, **asked, "position_um": place})
    assert 3 < len(scan.time_s) < 2500      # all would be 2500; a busy computer takes fewer meanwhile
    assert scan.valid.all()
    assert any(said in reason for reason in scan.missing.values())


def test_a_dark_background_lights_nothing(bench, host, measure):
    events = len(host.engine.events)
    bench.ask(fault="interlock-open")      # needs no light, so it may be open
    scan = measure(BACKGROUND)
    bench.ask(clear="all")
    host.engine.door.ask(host.engine.manual.clear_fault)      # the open loop is latched as a fault
    assert not any("light on" in event.text for event in host.engine.events.since(events))
    assert scan.valid.all()
    assert scan.spectra.shape[0] == 6
    assert np.all(scan.sample_power_uw == 0)
    assert np.all(scan.dose_j_cm2 == 0)
    assert np.allclose(scan.position_um, [50.0, 60.0], atol=0.2)
    assert abs(scan.mean_spectrum().counts.mean()) < 5
    assert "no shares" in scan.results.note
    assert bench.ask(get="film.dose_j_cm2", x=50.0, y=60.0) == 0.0


def test_a_lit_background_counts_its_light(measure):
    scan = measure({**BACKGROUND, "sample_power_uw": 10.0})
    assert np.all(scan.sample_power_uw == 10.0)
    assert np.all(np.diff(scan.dose_j_cm2) > 0)
    assert scan.mean_spectrum().counts.max() > 100


def test_a_map_along_continuous_lines_reads_where_its_pixels_were(measure):
    scan = measure({**MAP, "motion": "lines", "size_um": [14.0, 2.0], "step_um": 2.0, "exposure_s": 9.0})
    assert scan.spectra.shape[:2] == (2, 8)
    assert scan.valid.all()
    x, y = np.meshgrid(scan.axes["x"], scan.axes["y"])
    assert np.abs(scan.position_um[..., 1] - y).max() < 0.1
    # an answer's way, some ms of this computer, is a part of a second here and of a µm; 50 ms would be 1 µm
    assert np.median(np.abs(scan.position_um[..., 0] - x)) < 1.0
    assert np.all(np.diff(scan.position_um[0, :, 0]) > -0.01)     # what a stage at rest reads varies by nm
    assert np.all(np.diff(scan.position_um[1, :, 0]) > -0.01)     # what a stage at rest reads varies by nm
    assert scan.time_s[1, 7] < scan.time_s[1, 0]      # serpentine
    assert np.median(np.abs(np.diff(scan.time_s[0]))) == pytest.approx(9.0, rel=0.2)


def test_lines_pause_abort_and_resume(bench, host, tmp_path):
    out = tmp_path / "lines.nxs"
    recipe = {**MAP, "motion": "lines", "size_um": [60.0, 4.0], "step_um": 2.0, "exposure_s": 2.0}
    host.engine.door.start(recipe, str(out))
    until(lambda: host.engine.status().done >= 5, "5 pixels")
    host.engine.pause()
    until(lambda: host.engine.status().state is RunState.PAUSED, "pause")
    assert bench.ask(get="laser.emission") is False
    host.engine.resume()
    until(lambda: host.engine.status().done >= 40, "40 pixels")
    host.engine.abort()
    assert bench.ask(get="laser.emission") is False
    until(lambda: host.engine.status().state.ended, "end")
    assert host.engine.status().state is RunState.ABORTED
    host.engine.door.start(recipe, str(out), resume=True)
    until(lambda: host.engine.status().state.ended, "end")
    assert host.engine.status().state is RunState.FINISHED, host.engine.status().reason
    with open_scan(out) as scan:
        assert scan.valid.all()
        assert np.abs(scan.position_um[..., 1].T - scan.axes["y"]).max() < 0.1
        assert len(scan.repeats) == 1


def test_an_adaptive_map_looks_closely_where_the_film_was_changed(measure, host):
    measure({**SERIES, "duration_s": 150.0, "position_um": [160.0, 40.0]}, "before.nxs")
    scan = measure({
        "kind": "adaptive-map", "sample_power_uw": 5.0, "exposure_s": 0.5, "dark_spectra": 5,
        "origin_um": [136.0, 16.0], "size_um": [48.0, 48.0], "coarse_step_um": 8.0, "finest_step_um": 1.0,
        "max_points": 200, "refine_change": 0.1, "refine_error": 0.2, "sample": {"composition": 1.5},
    })
    assert scan.valid.all()
    assert 49 < len(scan.valid) <= 200
    assert list(scan.axes) == ["point"]
    off = np.hypot(*(scan.position_um - [160.0, 40.0]).T)
    coarse = (scan.position_um[:49] - [136.0, 16.0]) / 8.0
    assert off[49:].max() < 20.0        # the halo's 1/e radius is some 3 µm; its edge is what is worth a look
    assert np.median(off[49:]) < 8.0
    assert np.abs(coarse - np.round(coarse)).max() < 0.03
    grid = scan.point_grid()
    assert grid.point.shape == (49, 49)
    assert np.array_equal(np.unique(grid.point), np.arange(len(scan.valid)))
    nearest = scan.position_um[grid.point] - np.stack(np.meshgrid(grid.x_um, grid.y_um), axis=-1)
    assert np.hypot(nearest[..., 0], nearest[..., 1]).max() < 6.0
    share = np.array(scan.results.shares)[:, -1]
    painted = share[grid.point]
    assert painted[24, 24] > painted[0, 0] + 0.3


@pytest.mark.parametrize("place", ["first point", "spot"])
def test_auto_exposure_fills_the_detector_within_its_budget(bench, host, measure, place):
    spot = [20.0 if place == "spot" else 40.0, 20.0]
    budget = 40.0 * bench.microscope.peak_irradiance_w_cm2(20.0)
    auto = {"target": 0.5, "dose_j_cm2": budget, "place": place, "spot_um": [20.0, 20.0]}
    scan = measure({
        **MAP, "sample_power_uw": 20.0, "exposure_s": 8.0, "origin_um": [40.0, 20.0], "size_um": [4.0, 4.0],
        "auto_exposure": auto, "dark_spectra": 2,
    })
    (said,) = [event.text for event in scan.events if event.text.startswith("auto-exposure: ")]
    exposure_s = scan.exposure_s[0, 0]
    assert np.all(scan.exposure_s == exposure_s)
    assert scan.dark.exposure_s == exposure_s
    assert 0.006 < exposure_s < 8.0
    assert not scan.saturated.any()
    saturation = scan.metadata["calibration"]["saturation_counts"]
    assert scan.spectra.max() / saturation == pytest.approx(0.5, rel=0.3)
    truth = bench.ask(get="film.dose_j_cm2", x=spot[0], y=spot[1])
    assert 0 < float(said.split("gave ")[1].split(" ")[0]) <= budget
    if place == "spot":
        assert truth <= budget
        assert scan.dose_j_cm2[0, 0] < host.engine.ledger.at(20.0, 20.0) + budget


def test_auto_exposure_without_a_budget_says_so(measure):
    scan = measure({**MAP, "origin_um": [100.0, 60.0], "auto_exposure": {"target": 0.5, "dose_j_cm2": 1e-6}})
    (said,) = [event for event in scan.events if event.text.startswith("auto-exposure: ")]
    assert said.level == "warning"
    assert "0 looks that gave 0 J/cm²" in said.text
    assert scan.exposure_s[0, 0] == pytest.approx(0.006)


def test_an_adaptive_map_that_was_aborted_goes_on_refining(bench, host, tmp_path):
    recipe = {
        "kind": "adaptive-map", "sample_power_uw": 5.0, "exposure_s": 0.2, "dark_spectra": 3,
        "origin_um": [100.0, 100.0], "size_um": [32.0, 32.0], "coarse_step_um": 16.0, "finest_step_um": 4.0,
        "max_points": 60, "refine_error": 1e-6, "sample": {"composition": 1.5},       # everything is worth a look
    }
    out = tmp_path / "adaptive.nxs"
    host.engine.door.start(recipe, str(out))
    until(lambda: host.engine.status().done >= 14, "a look closer")
    host.engine.abort()
    until(lambda: host.engine.status().state.ended, "end")
    with open_scan(out) as scan:
        before = scan.valid.sum()
        assert 14 <= before < 60
    host.engine.door.start(recipe, str(out), resume=True)
    until(lambda: host.engine.status().state.ended, "end")
    assert host.engine.status().state is RunState.FINISHED, host.engine.status().reason
    assert bench.ask(get="laser.emission") is False
    with open_scan(out) as scan:
        assert scan.valid.all()
        assert before < scan.valid.sum() <= 60
        places = {tuple(np.round(place / 4.0).astype(int)) for place in scan.position_um}
        assert len(places) == scan.valid.sum()       # none twice
        assert any("beyond max_points" in event.text for event in scan.events)


@pytest.mark.slow
def test_a_broken_spectrum_in_a_line_is_taken_again(bench, host, tmp_path):
    out = tmp_path / "lines.nxs"
    recipe = {**MAP, "motion": "lines", "origin_um": [20.0, 100.0], "size_um": [60.0, 0.5], "exposure_s": 4.0,
              "step_um": 2.0}
    host.engine.door.start(recipe, str(out))
    until(lambda: host.engine.status().done >= 5, "5 pixels")
    bench.ask(fault="spectrum-truncated")
    until(lambda: any("a whole message" in event.text for event in host.engine.events.since(0)[-6:]), "the fault")
    bench.ask(clear="all")
    until(lambda: host.engine.status().state.ended, "end")
    assert host.engine.status().state is RunState.FINISHED, host.engine.status().reason
    with open_scan(out) as scan:
        assert scan.valid.all()
    assert bench.ask(get="laser.emission") is False
