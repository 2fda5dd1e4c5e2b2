"""What a kill, an abort or a failure cut off is completed, over the wire, without measuring a point twice."""

import os
import signal
from contextlib import closing

import numpy as np
import pytest

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.host import Host
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.problems import RefusedRunError
from halidescope.acquisition.resume import look_back
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import finish, open_scan
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import FINISHED, Bench, header, record, until

MAP = {"kind": "raster-map", "sample_power_uw": 5.0, "origin_um": [20.0, 20.0], "size_um": [40.0, 20.0],
       "exposure_s": 0.5, "dark_spectra": 2, "sample": {"composition": 1.5}}
POINTS = 66
SERIES = {"kind": "time-series", "sample_power_uw": 120.0, "duration_s": 60.0, "interval_s": 1.0, "dark_spectra": 2,
          "position_um": [150.0, 150.0], "sample": {"composition": 1.5}}


@pytest.fixture(scope="module")
def shared():
    with SimulatedMicroscope(speed=20.0, seed=3) as simulated, closing(Bench(simulated)) as bench:
        yield bench


@pytest.fixture(scope="module")
def host(shared):
    with Host(shared.microscope) as running:
        yield running


def resume(host, recipe, out):
    """Complete a measurement in this process."""
    host.engine.door.start(recipe, str(out), resume=True)
    until(lambda: host.engine.status().state.ended, "end")
    return host.engine.status()


def kill(client, tmp_path):
    """End an engine's process at once, and wait until the watchdog has had its say."""
    os.kill(client.session.pid, signal.SIGKILL)
    client._process.wait(60)
    client.close()
    log = tmp_path / "session.watchdog.log"
    until(lambda: log.exists() and log.read_text().endswith("\n"), "the watchdog's word")


@pytest.mark.parametrize("moment", [
    pytest.param("first point", marks=pytest.mark.slow), "mid line",
    pytest.param("while finishing", marks=pytest.mark.slow),
])
def test_a_killed_map_is_completed_without_measuring_a_point_twice(shared, host, tmp_path, moment):
    out = tmp_path / "map.nxs"
    host.engine.connection.disconnect()      # the stage takes one client, and nothing runs there
    client = EngineClient.launch(shared.file(tmp_path), tmp_path / "session.json")
    client.start(MAP, out)
    if moment == "while finishing":
        until(lambda: client.status().state is RunState.FINISHING, "the end")
        os.kill(client.session.pid, signal.SIGKILL)
        client._process.wait(60)
        client.close()
    else:
        wanted = 1 if moment == "first point" else 27
        until(lambda: client.status().done >= wanted, f"{wanted} spectra")
        kill(client, tmp_path)
    assert shared.ask(get="laser.emission") is False
    with open_scan(out) as scan:
        there, spectra, dose = scan.valid.copy(), scan.spectra.copy(), scan.dose_j_cm2.copy()
        time_s = scan.time_s.copy()
    assert there.sum() >= {"first point": 1, "mid line": 27}.get(moment, POINTS)

    if not journal_path(out).exists():      # the kill came too late
        assert moment == "while finishing"
        return
    status = resume(host, MAP, out)
    assert status.state is RunState.FINISHED, status.reason
    assert status.done == POINTS
    assert not journal_path(out).exists()
    with open_scan(out) as scan:
        assert scan.valid.all()
        assert scan.missing == {}
        assert np.array_equal(scan.spectra[there], spectra[there])
        assert np.array_equal(scan.time_s[there], time_s[there])
        assert np.array_equal(scan.dose_j_cm2[there], dose[there])
        if not there.all():
            assert scan.time_s[~there].min() > time_s[there].max()
            again, = scan.repeats
            assert there.flat[again.index]
            told, = [event.text for event in scan.events if "stage reads" in event.text]
            assert "times as bright" in told
            assert again.dose_j_cm2 > scan.dose_j_cm2.flat[again.index]
            # every point has had one exposure; more only the one on which light fell until the watchdog made it dark
            once = np.median(scan.dose_j_cm2)
            assert np.median(scan.dose_j_cm2[~there]) < 1.8 * once
            assert np.sum(scan.dose_j_cm2[~there] >= 20 * once) <= 1      # 20 exposures are half a second here
    assert shared.ask(get="laser.emission") is False


def test_an_aborted_series_goes_on_where_it_stopped(host, tmp_path):
    out = tmp_path / "series.nxs"
    host.engine.door.start(SERIES, str(out))
    until(lambda: host.engine.status().done >= 10, "10 spectra")
    host.engine.abort()
    until(lambda: host.engine.status().state.ended, "end")
    with open_scan(out) as scan:
        before = scan.spectra.copy()
        assert scan.metadata["state"] == "aborted"
        assert len(scan.missing) == 60 - len(before)
    status = resume(host, SERIES, out)
    assert status.state is RunState.FINISHED, status.reason
    with open_scan(out) as scan:
        assert scan.valid.all()
        assert len(scan.valid) == 60
        assert np.array_equal(scan.spectra[: len(before)], before)
        assert np.all(np.diff(scan.time_s) > 0)
        assert np.all(np.diff(scan.dose_j_cm2) > 0)
        assert scan.results.count == 60
        assert scan.metadata["state"] == "finished"
    with pytest.raises(RefusedRunError, match="is finished already"):
        resume(host, SERIES, out)


def test_a_line_measured_again_tells_how_far_the_film_slid_meanwhile(shared, host, tmp_path):
    halo = {**SERIES, "duration_s": 30.0, "position_um": [150.0, 50.0]}
    host.engine.door.start(halo, str(tmp_path / "halo.nxs"))
    until(lambda: host.engine.status().state.ended, "the halo")
    out = tmp_path / "over-it.nxs"
    recipe = {**MAP, "sample_power_uw": 2.0, "origin_um": [138.0, 46.0], "size_um": [24.0, 14.0], "step_um": 2.0}
    host.engine.door.start(recipe, str(out))
    until(lambda: host.engine.status().done >= 80, "80 of 104 spectra")
    host.engine.abort()
    until(lambda: host.engine.status().state.ended, "end")
    shared.ask(slip=[2.3, -0.9])
    try:
        status = resume(host, {**recipe, "drift_line_points": 11}, out)
    finally:
        shared.ask(slip=[-2.3, 0.9])
    assert status.state is RunState.FINISHED, status.reason
    with open_scan(out) as scan:
        told = {axis: next(e for e in scan.events if f"line along {axis}" in e.text) for axis in "xy"}
        assert len(scan.repeats) >= 1 + 11 + 6
    for axis, slid_um in (("x", 2.3), ("y", -0.9)):
        assert told[axis].level == "warning"
        found, error = (float(word) for word in told[axis].text.split("slid by ")[1].split(" µm")[0].split(" ± "))
        assert found == pytest.approx(slid_um, abs=0.4), told[axis].text
        assert abs(found - slid_um) < 5 * max(error, 0.02), told[axis].text


def test_a_chain_goes_on_with_the_part_that_was_cut_off(shared, host, tmp_path):
    out = tmp_path / "chain.nxs"
    spot = {**SERIES, "duration_s": 2.0}
    chain = {"kind": "sequence", "recipes": [spot, {**SERIES, "duration_s": 30.0}, spot]}
    host.engine.door.start(chain, str(out))
    until(lambda: host.engine.status().part == 2 and host.engine.status().done >= 3, "the second part")
    host.engine.abort()
    until(lambda: host.engine.status().state.ended, "end")
    with open_scan(out, part=1) as scan:
        first = scan.spectra.copy()
    assert resume(host, chain, out).state is RunState.FINISHED
    with open_scan(out, part=1) as one, open_scan(out, part=2) as two, open_scan(out, part=3) as three:
        assert np.array_equal(one.spectra, first)
        assert two.valid.sum() == 30
        assert three.valid.all()
    assert shared.ask(get="laser.emission") is False


@pytest.mark.slow
def test_a_recovery_keeps_its_schedule_over_a_cut_off(shared, host, tmp_path):
    out = tmp_path / "recovery.nxs"
    looks = {"kind": "dark-recovery", "sample_power_uw": 5.0, "duration_s": 100.0, "interval_s": 10.0,
             "dark_spectra": 1, "position_um": [100.0, 150.0], "exposure_power_uw": 120.0, "exposure_duration_s": 2.0}
    host.engine.door.start(looks, str(out))
    until(lambda: host.engine.status().part == 2 and host.engine.status().done >= 2, "two looks")
    host.engine.abort()
    until(lambda: host.engine.status().state.ended, "end")
    before = shared.ask(get="clock.now_s")
    until(lambda: shared.ask(get="clock.now_s") > before + 25, "two looks to be missed")
    assert resume(host, looks, out).state is RunState.FINISHED
    with open_scan(out) as scan:
        taken = np.flatnonzero(scan.valid)
        assert {0, 1} <= set(taken)
        assert sorted(scan.missing) == sorted(set(range(len(scan.valid))) - set(taken))
        assert len(scan.missing) >= 1
        assert all("successor was due" in reason for reason in scan.missing.values())
        assert np.all(scan.time_s[taken] >= scan.axes["time"][taken])
        assert np.all(scan.time_s[taken] < scan.axes["time"][taken] + 20.0)      # 20 s are 1 s of this computer
        assert len(scan.repeats) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"recipe": {**SERIES, "interval_s": 2.0}}, "was begun with another recipe"),
        ({"serial": "other"}, r"was begun with stage .* other, connected is .*; connect the former"),
        ({"nothing": True}, "nothing to resume, neither file nor journal"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_dark(shared, host, tmp_path, change, sentence):
    out = tmp_path / "series.nxs"
    if "nothing" not in change:
        host.engine.door.start({**SERIES, "duration_s": 3.0}, str(out))
        until(lambda: host.engine.status().state.ended, "end")
        forge(out, change.get("serial"))
    dose = shared.ask(get="film.dose_j_cm2", x=150.0, y=150.0)
    with pytest.raises(RefusedRunError, match=sentence):
        host.engine.door.start(change.get("recipe", {**SERIES, "duration_s": 3.0}), str(out), resume=True)
    assert shared.ask(get="film.dose_j_cm2", x=150.0, y=150.0) == dose
    assert host.engine.status().state is not RunState.RUNNING


def forge(out, serial):
    """Make an unfinished journal of a finished file, as another stage would have left it."""
    import h5py
    import msgspec

    with h5py.File(out, "r+") as file:
        own = file["entry/halidescope"]
        head = msgspec.json.decode(own["header"][()])
        if serial:
            head["identities"]["stage"]["serial"] = serial
        ending = msgspec.json.decode(own["ending"][()]) | {"state": "aborted"}
        for name, value in (("header", head), ("ending", ending)):
            del own[name]
            own[name] = msgspec.json.encode(value).decode()
    look_back(out)
    assert journal_path(out).exists()
    out.unlink()


def test_a_file_brought_back_into_a_journal_is_the_same(tmp_path):
    out = tmp_path / "scan.nxs"
    descending = header("time-series", rows=1, columns=8)
    writer = JournalWriter(journal_path(out), descending)
    writer.set_light_on(3.25, 0.01, 1.7e9)
    for sequence, point in enumerate([0, 1, 2, 4]):
        writer.append(record(sequence, point))
    writer.append_repeat(record(0, 1, seed=9))
    writer.set_missing([3, 5], "the cat")
    writer.end(FINISHED)
    writer.close()
    finish(out)
    past = look_back(out)
    assert past.done == {0, 1, 2, 4}
    assert (past.rows, past.repeats) == (4, 1)
    assert past.header.light_on_utc_s == 1.7e9
    with JournalReader(journal_path(out)) as journal:
        for sequence, point in enumerate([0, 1, 2, 4]):
            assert np.array_equal(journal.spectrum(sequence).counts, record(sequence, point).counts)
        assert journal.missing() == {}
    with open_scan(out) as scan:
        assert scan.missing == {3: "the cat", 5: "the cat"}
        assert np.array_equal(scan.repeats[0].counts, record(0, 1, seed=9).counts)

