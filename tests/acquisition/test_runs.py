"""Whole measurements over the wire, in this process: finished, aborted, paused, failed; always dark, always a file."""

import os
import signal
import threading
from contextlib import closing

import numpy as np
import pytest

from halidescope.acquisition.host import Host
from halidescope.acquisition.instruments import check
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.problems import ProblemError, RefusedRunError
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.run import run_recipe
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.drivers.errors import ConnectionLostError
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import Bench, until

SERIES = {
    "kind": "time-series", "sample_power_uw": 120.0, "duration_s": 20.0, "interval_s": 1.0, "dark_spectra": 3,
    "sample": {"name": "film 12", "composition": 1.5},
}
MAP = {
    "kind": "raster-map", "sample_power_uw": 5.0, "origin_um": [100.0, 100.0], "size_um": [12.0, 8.0], "step_um": 4.0,
    "dark_spectra": 2, "sample": {"composition": 1.5},
}
LONG = {**SERIES, "duration_s": 20000.0, "interval_s": 0.0}


@pytest.fixture(scope="module")
def shared():
    """One simulated microscope for the tests that leave it whole; its film remembers."""
    with SimulatedMicroscope(speed=60.0, seed=1) as simulated, closing(Bench(simulated)) as bench:
        yield bench


@pytest.fixture(scope="module")
def host(shared):
    """An engine that has lived through the tests before, as in a long session."""
    with Host(shared.microscope) as running:
        yield running


def test_a_time_series_is_measured_analysed_and_saved(bench, tmp_path):
    seen = []
    out = tmp_path / "series.nxs"
    outcome = run_recipe(bench.microscope, parse_recipe(SERIES), out, on_status=seen.append)
    assert outcome.ok, outcome.status.reason
    assert bench.ask(get="laser.emission") is False
    assert not journal_path(out).exists()
    with open_scan(out) as scan:
        assert scan.valid.all()
        assert scan.valid.shape == (20,)
        assert scan.dark.count == 3
        assert np.all(np.diff(scan.time_s) > 0)
        assert scan.time_s[0] >= 0.1
        assert np.all(scan.time_s >= scan.axes["time"])
        irradiance = bench.microscope.peak_irradiance_w_cm2(120.0)
        assert np.all(scan.dose_j_cm2 >= irradiance * (scan.time_s + 0.1) * 0.999)
        assert np.allclose(scan.sample_power_uw, 120.0)
        assert scan.metadata["simulated"]
        assert scan.metadata["identities"]["stage"]["model"].startswith("E-727")
        assert scan.results.count == 20
        assert scan.results.labels == ("pristine", "Br-rich")
        signal = scan.spectra - scan.dark.mean
        assert signal.max() > 100 * signal[:, :50].std()
    truth = bench.ask(get="film.dose_j_cm2", x=100.0, y=100.0)
    # nothing is left out or counted twice; how exactly it is known, test_film_book.py tells from the head's answers
    assert 0.8 * truth < outcome.status.dose_j_cm2 < 1.8 * truth
    assert seen[-1].state is RunState.FINISHED


def test_a_map_is_measured_line_by_line_and_keeps_its_grid(shared, host, tmp_path):
    out = tmp_path / "map.nxs"
    host.engine.door.start(MAP, str(out))
    until(lambda: host.engine.status().state.ended, "end")
    assert host.engine.status().state is RunState.FINISHED, host.engine.status()
    with open_scan(out) as scan:
        assert scan.spectra.shape[:2] == (3, 4)
        assert scan.valid.all()
        x, y = np.meshgrid(scan.axes["x"], scan.axes["y"])
        assert np.allclose(scan.position_um, np.stack([x, y], axis=-1), atol=0.2)
        assert scan.time_s[1, 3] < scan.time_s[1, 0] < scan.time_s[2, 0]
        assert scan.results.count == 12
    assert shared.ask(get="laser.emission") is False


@pytest.mark.parametrize("wanted", [0, 1, 2, 9])
def test_abort_at_any_moment_leaves_it_dark_and_readable(shared, host, tmp_path, wanted):
    out = tmp_path / "aborted.nxs"
    host.engine.door.start(LONG, str(out))
    until(lambda: host.engine.status().done >= wanted, f"{wanted} spectra")
    host.engine.abort()
    assert shared.ask(get="laser.emission") is False     # at once, not only when the file is written
    until(lambda: host.engine.status().state.ended, "end")
    status = host.engine.status()
    assert (status.state, status.reason) == (RunState.ABORTED, "aborted on request")
    assert not status.emission
    with open_scan(out) as scan:
        assert scan.valid.sum() == status.done
        assert scan.metadata["state"] == "aborted"
    assert shared.ask(get="laser.emission") is False


def test_a_new_measurement_follows_an_aborted_one_and_dose_adds_up(shared, host, tmp_path):
    host.engine.door.start(LONG, str(tmp_path / "one.nxs"))
    until(lambda: host.engine.status().done >= 5, "5 spectra")
    host.engine.abort()
    until(lambda: host.engine.status().state.ended, "end")
    first = host.engine.ledger.at(100.0, 100.0)
    assert first > 0
    host.engine.door.start(SERIES, str(tmp_path / "two.nxs"))
    until(lambda: host.engine.status().state.ended, "end of the second")
    assert host.engine.status().state is RunState.FINISHED
    with open_scan(tmp_path / "two.nxs") as scan:
        assert scan.dose_j_cm2[0] > first


def test_a_pause_is_dark_and_shifts_the_schedule(shared, host, tmp_path):
    out = tmp_path / "paused.nxs"
    host.engine.door.start({**SERIES, "duration_s": 60.0}, str(out))
    until(lambda: host.engine.status().done >= 4, "4 spectra")
    host.engine.pause()
    until(lambda: host.engine.status().state is RunState.PAUSED, "pause")
    assert shared.ask(get="laser.emission") is False
    dose = shared.ask(get="film.dose_j_cm2", x=100.0, y=100.0)
    before = shared.ask(get="clock.now_s")
    until(lambda: shared.ask(get="clock.now_s") > before + 5, "5 s of darkness")
    assert shared.ask(get="film.dose_j_cm2", x=100.0, y=100.0) == dose
    host.engine.resume()
    until(lambda: host.engine.status().state.ended, "end")
    assert host.engine.status().state is RunState.FINISHED
    with open_scan(out) as scan:
        assert scan.valid.all()
        assert len(scan.time_s) == 60
        assert np.diff(scan.time_s).max() > 5
        assert [event.text for event in scan.events if "paused" in event.text or "resumed" in event.text]


def test_dark_now_ends_whatever_runs(shared, host, tmp_path):
    host.engine.door.start(LONG, str(tmp_path / "x.nxs"))
    until(lambda: shared.ask(get="laser.emission"), "light")
    host.engine.dark_now()
    assert shared.ask(get="laser.emission") is False
    until(lambda: host.engine.status().state.ended, "end")
    assert host.engine.status().reason == "darkness was asked for"
    with open_scan(tmp_path / "x.nxs"):
        pass


@pytest.fixture(scope="module")
def no_patience():
    """A microscope and an engine that gives up at the first fault."""
    with SimulatedMicroscope(speed=60.0, seed=6) as simulated, closing(Bench(simulated)) as bench:
        at_once = bench.microscope.toml_text().replace(
            "[faults.move]\nretries = 1", "[faults.move]\nretries = 0").replace(
            "skips_in_a_row = 3", "skips_in_a_row = 0").replace("reconnections = 3", "reconnections = 0").replace(
            "[stage]\n", "[stage]\nsettings = {settle_wait_s = 0.3}\n")
        with Host(parse_microscope(at_once)) as host:
            yield bench, host


@pytest.fixture
def giving_up(no_patience):
    """The same, mended after the test."""
    yield no_patience
    bench, host = no_patience
    bench.ask(clear="all")
    if host.engine.beam is not None:
        host.engine.door.ask(host.engine.manual.clear_fault)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("interlock-open", "interlock"), ("laser-fault", "fault"), ("stage-stall", "stage"),
     ("spectrometer-silent", "spectrometer")],
)
def test_a_failing_instrument_ends_dark_with_a_sentence_and_a_file(giving_up, tmp_path, fault, words):
    bench, host = giving_up
    out = tmp_path / "failed.nxs"
    host.engine.door.start({**MAP, "size_um": [60.0, 60.0]}, str(out))
    until(lambda: host.engine.status().done >= 4, "4 spectra")
    bench.ask(fault=fault)
    until(lambda: host.engine.status().state.ended, "end")
    status = host.engine.status()
    assert status.state is RunState.FAILED, status
    assert words in status.reason
    assert bench.ask(get="laser.emission") is False
    with open_scan(out) as scan:
        assert scan.metadata["state"] == "failed"
        assert scan.metadata["reason"] == status.reason
        assert scan.valid.sum() == status.done >= 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"origin_um": [150.0, 0.0], "size_um": [62.0, 8.0], "step_um": 2.0},
         r"stage pi-e727 .*x = 212.0 µm asked, allowed 0.0 to 200.0 µm; .* smaller size_um or another origin_um"),
        ({"sample_power_uw": 500.0}, r"500 µW asked, allowed up to 400 µW"),
        ({"exposure_s": 20.0}, r"spectrometer ocean-hdx .*20 s asked, allowed 0.006 to 10 s"),
    ],
)
def test_what_violates_a_limit_is_refused_before_anything_moves(shared, host, tmp_path, change, words):
    before = shared.ask(get="stage.position_um")
    with pytest.raises(RefusedRunError, match=words):
        host.engine.door.start({**MAP, **change}, str(tmp_path / "no.nxs"))
    assert shared.ask(get="stage.position_um") == pytest.approx(before, abs=0.05)
    assert list(tmp_path.iterdir()) == []
    assert not host.engine.status().state.busy


def test_an_existing_file_is_refused(host, tmp_path):
    out = tmp_path / "there.nxs"
    out.write_bytes(b"precious")
    with pytest.raises(RefusedRunError, match="exists and is never overwritten"):
        host.engine.door.start(MAP, str(out))
    assert out.read_bytes() == b"precious"


def test_a_port_that_nobody_listens_on_is_a_sentence(bench, tmp_path):
    text = bench.microscope.toml_text().replace(bench.microscope.stage.resource, "TCPIP::127.0.0.1::1::SOCKET")
    microscope = parse_microscope(text)
    with pytest.raises(ConnectionLostError, match=r"stage pi-e727 \(TCPIP::127.0.0.1::1::SOCKET\)"):
        run_recipe(microscope, parse_recipe(MAP), tmp_path / "x.nxs")
    report = check(microscope)
    assert not report.ok
    assert [device.ok for device in report.devices] == [True, False, True]
    assert "stage pi-e727" in report.problems[0]


def test_checking_moves_and_lights_nothing(bench):
    before = bench.ask(get="stage.position_um")
    report = check(bench.microscope)
    assert report.ok
    assert bench.ask(get="laser.emission") is False
    assert bench.ask(get="stage.position_um") == pytest.approx(before, abs=0.05)


def test_an_abort_event_ends_a_run(bench, tmp_path):
    abort = threading.Event()

    def watch(status):
        if status.done >= 3:
            abort.set()

    outcome = run_recipe(bench.microscope, parse_recipe(LONG), tmp_path / "x.nxs", on_status=watch, abort=abort)
    assert outcome.status.state is RunState.ABORTED
    with open_scan(tmp_path / "x.nxs") as scan:
        assert scan.valid.sum() == outcome.status.done


def test_nothing_is_lit_without_a_watchdog(bench, tmp_path):
    before = bench.ask(get="film.dose_j_cm2", x=100.0, y=100.0)
    with Host(bench.microscope) as host:
        os.kill(host.watchdog_pid, signal.SIGKILL)
        host.engine.door.start(SERIES, str(tmp_path / "x.nxs"))
        until(lambda: host.engine.status().state.ended, "end")
        assert "nothing may be lit without it" in host.engine.status().reason
    assert bench.ask(get="film.dose_j_cm2", x=100.0, y=100.0) == before


def test_a_watchdog_that_dies_takes_the_light_with_it(bench, tmp_path):
    with Host(bench.microscope) as host:
        host.engine.door.start(LONG, str(tmp_path / "x.nxs"))
        until(lambda: host.engine.status().done >= 2, "2 spectra")
        os.kill(host.watchdog_pid, signal.SIGKILL)
        until(lambda: bench.ask(get="laser.emission") is False, "darkness")
        until(lambda: host.engine.status().state.ended, "end")
        assert host.engine.status().state is RunState.ABORTED
        assert "the watchdog has ended" in host.engine.status().reason
    with open_scan(tmp_path / "x.nxs") as scan:
        assert scan.valid.sum() >= 2


def test_a_second_start_is_refused_while_one_runs(host, tmp_path):
    host.engine.door.start(LONG, str(tmp_path / "one.nxs"))
    with pytest.raises(ProblemError, match="runs already"):
        host.engine.door.start(LONG, str(tmp_path / "two.nxs"))
    host.engine.abort()
    until(lambda: host.engine.status().state.ended, "end")


def test_an_unreadable_reference_is_refused_before_anything_is_lit(host, tmp_path):
    with pytest.raises(ProblemError, match=r"nowhere.nxs: cannot be read"):
        host.engine.door.start(
            {**SERIES, "analysis": {"references": [str(tmp_path / "nowhere.nxs")]}}, str(tmp_path / "x.nxs")
        )
    assert list(tmp_path.iterdir()) == []


def test_wishes_without_a_measurement_are_refused(host):
    with pytest.raises(ProblemError, match="nothing runs"):
        host.engine.abort()
    with pytest.raises(ProblemError, match="only a running"):
        host.engine.pause()
    host.engine.dark_now()
