"""Recipes of several measurements over the wire: their parts, their order, their schedule, their list file."""

from contextlib import closing

import h5py
import numpy as np
import pytest

from halidescope.acquisition.convert import convert
from halidescope.acquisition.host import Host
from halidescope.acquisition.problems import BadFileError, RefusedRunError, ScanFileError
from halidescope.acquisition.recipes import parse_recipe, part_paths, parts_of
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import Bench, until

FILM = {"exposure_s": 0.1, "dark_spectra": 2, "sample": {"name": "film 12", "composition": 1.5}}
POWERS = {"kind": "power-series", "powers_uw": [40.0, 80.0, 120.0], "duration_s": 3.0, "interval_s": 0.5,
          "pitch_um": 30.0, "origin_um": [20.0, 20.0], "random_order": True, "seed": 5, **FILM}
PAPER = {"kind": "exposure-and-maps", "sample_power_uw": 5.0, "exposure_power_uw": 120.0, "exposure_duration_s": 10.0,
         "interval_s": 1.0, "position_um": [150.0, 150.0], "origin_um": [146.0, 146.0], "size_um": [8.0, 8.0], **FILM}
RECOVERY = {"kind": "dark-recovery", "sample_power_uw": 5.0, "duration_s": 6000.0, "interval_s": 30.0,
            "exposure_power_uw": 120.0, "exposure_duration_s": 10.0, "position_um": [60.0, 150.0], **FILM}
LIT = {"kind": "time-series", "sample_power_uw": 120.0, "duration_s": 30.0, "position_um": [150.0, 40.0], **FILM}

PROBE = {"kind": "raster-map", "sample_power_uw": 5.0, "size_um": [8.0, 8.0], **FILM}


@pytest.fixture(scope="module")
def shared():
    with SimulatedMicroscope(speed=60.0, seed=2) as simulated, closing(Bench(simulated)) as bench:
        yield bench


@pytest.fixture(scope="module")
def host(shared):
    with Host(shared.microscope) as running:
        yield running


def measure(host, recipe, out):
    """Run a recipe to its end."""
    host.engine.door.start(recipe, str(out))
    until(lambda: host.engine.status().state.ended, "end")
    return host.engine.status()


def test_a_power_series_takes_each_power_on_a_fresh_spot_and_opens_as_one(shared, host, tmp_path):
    out = tmp_path / "powers.nxs"
    status = measure(host, POWERS, out)
    assert status.state is RunState.FINISHED, status.reason
    assert (status.part, status.parts, status.done_before + status.done) == (3, 3, 18)
    recipe = parse_recipe(POWERS)
    taken = [recipe.powers_uw[k] for k in recipe.order]
    assert taken != list(recipe.powers_uw)
    with open_scan(out) as scan:
        assert scan.kind == "power-series"
        assert scan.spectra.shape[0] == 18
        assert scan.sample_power_uw.tolist() == [power for power in taken for _ in range(6)]
        assert scan.metadata["recipe"]["seed"] == 5
        spots = scan.position_um.reshape(3, 6, 2).mean(axis=1)
        assert spots == pytest.approx(np.array(recipe.spots_um), abs=0.2)
        irradiance = shared.microscope.peak_irradiance_w_cm2(1.0) * scan.sample_power_uw
        # nobody was there before: all dose is of the light since it came on, that of before would be 1 s and more
        before_s = (scan.dose_j_cm2 / irradiance - scan.time_s).reshape(3, 6)
        assert before_s.min(axis=1).max() < 0.8
        assert np.all(np.diff(scan.time_s.reshape(3, 6), axis=1) > 0)
        whole = scan.spectra
        assert np.array_equal(scan.spectrum(7), whole[7])
        assert scan.to_xarray().dims == ("spectrum", "wavelength")
    for number, path in enumerate(part_paths(out, recipe), start=1):
        with open_scan(path) as alone, open_scan(out, part=number) as part:
            assert alone.kind == part.kind == "time-series"
            assert np.array_equal(alone.spectra, part.spectra)
            assert np.array_equal(alone.spectra, whole[6 * number - 6: 6 * number])
            assert alone.results.count == 6
    with pytest.raises(ScanFileError, match="has no part 4"):
        open_scan(out, part=4)
    with h5py.File(out) as file:
        assert file.attrs["default"] == "part_1"
        assert file["part_2/data/intensity"].shape == (6, whole.shape[1])
    convert(out, tmp_path / "powers.csv")
    lines = (tmp_path / "powers.csv").read_text().splitlines()
    assert sum(not line.lstrip('"').startswith("#") for line in lines) == 1 + 18     # names of the columns, spectra
    with pytest.raises(RefusedRunError, match="never overwritten"):
        host.engine.door.start(POWERS, str(out))
    assert shared.ask(get="laser.emission") is False


def test_maps_around_an_exposure_are_three_files_and_a_list(shared, host, tmp_path):
    out = tmp_path / "paper.nxs"
    status = measure(host, PAPER, out)
    assert status.state is RunState.FINISHED, status.reason
    with open_scan(out) as scan:
        assert scan.kind == "time-series"
        assert scan.valid.all()
        assert scan.valid.shape == (10,)
    with open_scan(out, part=1) as before, open_scan(out, part=3) as after:
        assert before.spectra.shape[:2] == after.spectra.shape[:2] == (3, 3)
        centre = shared.microscope.peak_irradiance_w_cm2(120.0) * 10.0
        assert after.dose_j_cm2[1, 1] - before.dose_j_cm2[1, 1] > centre
        assert after.dose_j_cm2[0, 0] < 0.2 * centre
        assert after.metadata["plan_hash"] == before.metadata["plan_hash"]
    assert {path.name for path in tmp_path.iterdir()} == {"paper-1.nxs", "paper-2.nxs", "paper-3.nxs", "paper.nxs"}


def test_a_recovery_keeps_its_absolute_schedule_and_is_dark_between(shared, host, tmp_path):
    out = tmp_path / "recovery.nxs"
    host.engine.door.start(RECOVERY, str(out))
    until(lambda: host.engine.status().part == 2 and host.engine.status().done >= 2, "two looks")
    host.engine.pause()                    # a pause is no excuse
    until(lambda: host.engine.status().state is RunState.PAUSED, "pause")
    assert shared.ask(get="laser.emission") is False
    dose = shared.ask(get="film.dose_j_cm2", x=60.0, y=150.0)
    done = host.engine.status().done
    before = shared.ask(get="clock.now_s")
    until(lambda: shared.ask(get="clock.now_s") > before + 65, "a point to be missed")
    assert shared.ask(get="film.dose_j_cm2", x=60.0, y=150.0) == dose
    host.engine.resume()
    until(lambda: host.engine.status().done >= done + 2, "two more looks")
    host.engine.abort()
    until(lambda: host.engine.status().state.ended, "end")
    with open_scan(out) as scan, open_scan(out, part=1) as exposure:
        assert scan.kind == "dark-recovery"
        assert scan.axes["time"].tolist() == [30.0 * k for k in range(len(scan.valid))]
        assert np.all(scan.time_s[scan.valid] >= scan.axes["time"][scan.valid])
        assert scan.valid.sum() >= done + 2
        assert sorted(scan.missing) == sorted({*range(201)} - {*np.flatnonzero(scan.valid)})
        missed = [scan.missing[point] for point in np.flatnonzero(~scan.valid)]
        assert missed
        assert all("successor was due" in reason for reason in missed)
        # little light since the exposure: a few looks of 0.1 s, switching on and off included
        assert scan.dose_j_cm2[scan.valid].max() < 2 * exposure.dose_j_cm2.max()
        late = scan.time_s[scan.valid][1:] - scan.axes["time"][scan.valid][1:]
        assert late.max() < 60.0           # the pause, of more than that, shifted nothing


def test_a_sequence_hands_its_sample_down_and_is_flattened(tmp_path):
    recipe = parse_recipe({
        "kind": "sequence", "sample": {"name": "film 12"}, "dark_spectra": 1,
        "recipes": [{**PAPER, "dark_spectra": 3}, {"kind": "time-series", "sample_power_uw": 5.0, "duration_s": 1.0}],
    })
    parts = parts_of(recipe)
    assert [part.kind for part in parts] == ["raster-map", "time-series", "raster-map", "time-series"]
    assert [part.dark_spectra for part in parts] == [3, 3, 3, 1]
    assert {part.sample.name for part in parts} == {"film 12"}
    assert parse_recipe(recipe.model_dump(mode="json")) == recipe
    assert [path.name for path in part_paths(tmp_path / "a.nxs", recipe)] == [f"a-{k}.nxs" for k in (1, 2, 3, 4)]


def test_an_aborted_chain_lists_what_is_there(shared, host, tmp_path):
    out = tmp_path / "aborted.nxs"
    long = {"kind": "sequence", "recipes": [{**LIT, "duration_s": 1.0}, {**LIT, "duration_s": 5000.0}, LIT]}
    host.engine.door.start(long, str(out))
    until(lambda: host.engine.status().part == 2 and host.engine.status().done >= 2, "the second part")
    host.engine.abort()
    assert shared.ask(get="laser.emission") is False
    until(lambda: host.engine.status().state.ended, "end")
    assert host.engine.status().state is RunState.ABORTED
    assert not (tmp_path / "aborted-3.nxs").exists()
    with open_scan(out, part=2) as scan:
        assert scan.metadata["state"] == "aborted"
        assert set(scan.missing.values()) == {"aborted: aborted on request"}
    with pytest.raises(ScanFileError, match=r"no part 3; it has 1, 2 of 3"):
        open_scan(out, part=3)


def test_log_spaced_times_are_kept(host, tmp_path):
    recipe = {**LIT, "spacing": "log", "spectra_per_decade": 4, "position_um": [180.0, 40.0]}
    measure(host, recipe, tmp_path / "log.nxs")
    with open_scan(tmp_path / "log.nxs") as scan:
        due = scan.axes["time"]
        assert due[:3].tolist() == pytest.approx([0.0, 0.1, 0.2])
        assert due[-1] / due[-2] == pytest.approx(10 ** 0.25)
        assert scan.valid[[0, -1]].all()
        late_s = scan.time_s - due
        assert late_s.min() >= 0.0
        assert late_s[-4:].min() < 6.0       # 6 s are 0.1 s of this computer, and one of four will not be disturbed


def test_a_series_goes_dark_at_its_dose_cap(shared, host, tmp_path):
    cap = 60.0 * shared.microscope.peak_irradiance_w_cm2(120.0)
    recipe = {**LIT, "duration_s": 3000.0, "dose_cap_j_cm2": cap, "position_um": [180.0, 100.0]}
    status = measure(host, recipe, tmp_path / "cap.nxs")
    assert status.state is RunState.FINISHED, status.reason
    with open_scan(tmp_path / "cap.nxs") as scan:
        # a busy computer may be late by more than is reserved, but once only: the next spectrum is not begun
        assert 0.3 * cap < scan.dose_j_cm2[-1]
        assert scan.dose_j_cm2[-2] <= cap
        assert any("dose cap" in event.text for event in scan.events)
        assert all("dose cap" in reason for reason in scan.missing.values())
    # the last switching off takes real time, some 30 ms, which are 2 s here; uncapped it would be 50 times as much
    assert shared.ask(get="film.dose_j_cm2", x=180.0, y=100.0) < 5.0 * cap


def test_fresh_spots_are_demanded_and_doses_capped_in_a_sentence(host, tmp_path):
    spot = {**LIT, "duration_s": 1.0, "require_fresh": True, "position_um": [20.0, 190.0]}
    assert measure(host, spot, tmp_path / "one.nxs").state is RunState.FINISHED
    with pytest.raises(RefusedRunError, match=r"the spot at \(20, 190\) µm has had .*require_fresh allows none"):
        host.engine.door.start(spot, str(tmp_path / "two.nxs"))
    probe = {**PROBE, "dose_cap_j_cm2": 1.0}
    with pytest.raises(RefusedRunError, match=r"peak dose of 38.2 J/cm² planned, allowed up to 1 J/cm² \(dose_cap"):
        host.engine.door.start(probe, str(tmp_path / "three.nxs"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.nxs"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"powers_uw": []}, "at least 1 item"),
        ({"powers_uw": [5.0, -1.0]}, "greater than 0"),
        ({"pitch_um": 0.0}, "greater than 0"),
        ({"sample_power_uw": 5.0}, "unknown key"),
    ],
)
def test_a_wrong_power_series_is_a_sentence(change, sentence):
    with pytest.raises(BadFileError, match=sentence):
        parse_recipe({**POWERS, **change})


def test_a_recovery_needs_time_between_its_looks():
    with pytest.raises(BadFileError, match=r"interval_s = 0.05 must be longer than exposure_s = 0.1 s"):
        parse_recipe({**RECOVERY, "interval_s": 0.05})
