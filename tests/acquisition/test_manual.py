"""What a person may do by hand with an idle engine: move, look, take darks; the same limits, every light counted."""

import threading
from contextlib import closing

import numpy as np
import pytest

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.host import Host
from halidescope.acquisition.instruments import check
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.ring import LIVE_RUN
from halidescope.acquisition.states import RunState
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import Bench, until
from .test_queue import LONG, MAP


@pytest.fixture(scope="module")
def bench():
    """One simulated microscope for all tests here."""
    with SimulatedMicroscope(speed=20.0, seed=1) as simulated, closing(Bench(simulated)) as shared:
        yield shared


@pytest.fixture(scope="module")
def host(bench, tmp_path_factory):
    """One engine with a door, in this process."""
    session = tmp_path_factory.mktemp("engine") / "session.json"
    with Host(bench.microscope, session=session, connect_now=True) as running:
        yield running


@pytest.fixture
def client(bench, host):
    """Somebody with the command; the light is off afterwards."""
    with EngineClient.attach(host._session_path) as caller:
        until(lambda: caller.status().connected, "instruments")
        bench.ask(clear="all")
        yield caller
        bench.ask(clear="all")
        caller.dark_now()
        until(lambda: not caller.status().live and not caller.status().state.busy, "darkness")


def test_instruments_say_what_they_are_and_allow_and_are_one_programs(bench, client):
    facts = client.instruments()
    assert facts.connected
    assert facts.simulated
    assert facts.laser.sample_limits_uw == (pytest.approx(0.0), 400.0)
    assert facts.laser.interlock_closed
    assert not facts.laser.emission
    assert facts.stage.travel_um == ((0.0, 200.0), (0.0, 200.0))
    assert facts.stage.lines
    assert facts.spectrometer.pixels == 2068
    assert facts.spectrometer.saturation_counts > 60000
    assert facts.spectrometer.cooler_on is None
    assert all("another Halidescope has it" in problem for problem in check(bench.microscope).problems)
    client.disconnect()
    assert check(bench.microscope).ok
    assert not client.instruments().connected
    assert not client.status().connected
    with pytest.raises(ProblemError, match="not connected; connect them first"):
        client.manual_move(10.0, 10.0)
    client.connect()
    assert client.status().connected
    assert client.instruments().laser.identity["model"]


def test_the_stage_moves_by_hand_within_its_travel(bench, client):
    assert client.manual_move(30.0, 40.0) == pytest.approx((30.0, 40.0), abs=0.1)
    assert client.status().position_um == pytest.approx((30.0, 40.0), abs=0.1)
    with pytest.raises(ProblemError, match=r"x = 201.0 µm asked, allowed 0.0 to 200.0 µm"):
        client.manual_move(201.0, 0.0)
    with pytest.raises(ProblemError, match="which is no position"):
        client.manual_move(float("1e999"), 0.0)
    assert bench.ask(get="stage.position_um") == pytest.approx([30.0, 40.0], abs=0.1)


def test_a_moving_stage_can_be_stopped(bench, host, client):
    bench.ask(fault="stage-stall")
    stage = host.engine.instruments.stage
    stage.settle_wait_s, patient_s = 600.0, stage.settle_wait_s      # nothing but the stop ends the move in time
    problems = []

    def move():
        with EngineClient.attach(host._session_path) as other, pytest.raises(ProblemError) as problem:
            other.manual_move(150.0, 150.0)
        problems.append(str(problem.value))

    mover = threading.Thread(target=move)
    mover.start()
    until(lambda: client.stop_stage() or not mover.is_alive(), "the end of the move")     # it may not have begun yet
    assert "stands at" in problems[0] or "stopped" in problems[0]
    stage.settle_wait_s = patient_s
    bench.ask(clear="all")
    assert client.manual_move(30.0, 40.0) == pytest.approx((30.0, 40.0), abs=0.1)


def test_a_live_view_shows_spectra_and_its_light_is_in_the_ledger(bench, client):
    client.manual_move(60.0, 60.0)
    dark = client.take_dark(0.1, 5)
    assert dark.noise > 0
    assert np.mean(dark.mean) == pytest.approx(dark.level)
    client.live(20.0, 0.1, dose_cap_j_cm2=1e9)
    until(lambda: client.status().live and client.status().emission, "light")
    assert client.status().state in (RunState.IDLE, RunState.ABORTED)
    with closing(client.ring()) as ring:
        seen = ring.written
        until(lambda: ring.written >= seen + 5, "5 spectra")
        spectrum = ring.newest()
        assert spectrum.run == LIVE_RUN
        assert spectrum.sample_power_uw == 20.0
        assert spectrum.dark_level == pytest.approx(dark.level)
        assert spectrum.counts.max() > dark.level + 10 * dark.noise
    client.manual_move(80.0, 60.0)       # under the light
    until(lambda: client.status().live_dose_j_cm2 > 8000, "dose at the second place")
    client.live_off()
    until(lambda: not client.status().live, "end")
    assert bench.ask(get="laser.emission") is False
    for x in (60.0, 80.0):
        truth = bench.ask(get="film.dose_j_cm2", x=x, y=60.0)
        (dose,), = client.dose_map((x - 0.01, 59.99), (0.02, 0.02), (1, 1)).dose_j_cm2
        # 100 ms of this computer at speed 20: 2 s of light, of more than 6 s, and the way between the two places
        assert dose == pytest.approx(truth, abs=2.0 * bench.microscope.peak_irradiance_w_cm2(20.0))
    here = client.status()
    assert here.photons_here_per_um2 == pytest.approx(here.dose_here_j_cm2 * 1e-8 / 4.905e-19, rel=1e-3)


def test_a_dark_live_view_lights_nothing(bench, client):
    client.manual_move(20.0, 20.0)
    client.live(None, 0.05, averages=3)
    with closing(client.ring()) as ring:
        seen = ring.written
        until(lambda: ring.written >= seen + 3, "3 spectra")
        assert bench.ask(get="laser.emission") is False
        assert ring.newest().sample_power_uw == 0.0
    with pytest.raises(ProblemError, match="a live view is on"):
        client.take_dark(0.1, 2)
    client.live_off()
    assert client.status().dose_here_j_cm2 == 0.0


@pytest.mark.parametrize("how", ["time", "dose", "dark now", "start", "queue", "interlock"])
def test_every_end_of_a_live_view_is_dark(bench, client, tmp_path, how):
    client.manual_move(120.0, 120.0)
    limits = {"time": {"max_s": 3.0}, "dose": {"dose_cap_j_cm2": 2000.0}}.get(how, {})
    first = len(client.events())
    client.live(10.0, 0.1, **limits)
    until(lambda: any("live view: " in event.text for event in client.events(first)), "light")
    if how == "dark now":
        until(lambda: client.status().emission, "light")
        client.dark_now()
        assert bench.ask(get="laser.emission") is False
    elif how == "start":
        client.start(MAP, tmp_path / "map.nxs")
    elif how == "queue":
        client.enqueue(MAP, tmp_path / "map.nxs")
    elif how == "interlock":
        bench.ask(fault="interlock-open")
    until(lambda: any("live view ended" in event.text for event in client.events(first)), "end")
    (ended,) = [event.text for event in client.events(first) if "live view ended" in event.text]
    said = {
        "time": "3 s are over", "dose": "one more spectrum would exceed its dose of 2000 J/cm²",
        "dark now": "darkness was asked for", "start": "a measurement starts", "queue": "a measurement starts",
        "interlock": "interlock is open",
    }
    assert said[how] in ended
    assert "emission proven off" in ended
    if how == "interlock":
        bench.ask(clear="all")
        with pytest.raises(ProblemError, match="interlock was opened; mend its cause, clear it, start again"):
            client.start(MAP, tmp_path / "map.nxs")
        client.clear_fault()
    if how in ("start", "queue"):
        until(lambda: client.status().state is RunState.FINISHED, "the map")
    assert bench.ask(get="laser.emission") is False
    assert not client.status().live


def test_limits_are_the_same_by_hand(client, tmp_path):
    for arguments, sentence in (
        ((500.0, 0.1), "sample power: 500 µW asked, allowed up to 400 µW"),
        ((5.0, 1e-9), "exposure of 1e-09 s asked, allowed"),
        ((5.0, 1000.0), "allowed up to 200 s in all"),
        ((-1.0, 0.1), "give a power above 0 µW"),
    ):
        with pytest.raises(ProblemError, match=sentence):
            client.live(*arguments)
    with pytest.raises(ProblemError, match="both must be above 0"):
        client.live(5.0, 0.1, max_s=0.0)
    with pytest.raises(ProblemError, match="dark spectra: 0 of"):
        client.take_dark(0.1, 0)
    client.start(LONG, tmp_path / "long.nxs")
    for command in (
        lambda: client.live(5.0, 0.1), lambda: client.manual_move(1.0, 1.0), client.stop_stage,
        lambda: client.take_dark(0.1, 1), client.disconnect,
    ):
        with pytest.raises(ProblemError, match="a measurement"):
            command()
    assert client.instruments().connected        # waits for nothing


def test_a_dose_map_has_its_limits(client):
    with pytest.raises(ProblemError, match="allowed up to 1000000 pixels"):
        client.dose_map((0.0, 0.0), (200.0, 200.0), (10_000, 10_000))
    grid = client.dose_map((0.0, 0.0), (200.0, 100.0), (5, 10))
    assert np.shape(grid.dose_j_cm2) == (5, 10)
    assert grid.x_um[:2] == pytest.approx([10.0, 30.0])
    assert grid.y_um[:2] == pytest.approx([10.0, 30.0])


def test_a_computer_that_slept_while_it_was_lit_goes_dark_and_counts_the_light(bench, host, client, monkeypatch):
    client.manual_move(181.0, 33.0)
    client.live(2.0, 0.2)
    until(lambda: client.status().live and bench.ask(get="laser.emission"), "light")
    before = client.status().dose_here_j_cm2
    clock, slept_s = host.engine.clock, 3600.0
    monkeypatch.setattr(clock, "_asleep", lambda asleep=clock._asleep: asleep() + slept_s)
    until(lambda: not client.status().live, "the end of the live view")
    assert bench.ask(get="laser.emission") is False
    assert any("slept for 3600 s with the laser lit" in event.text for event in client.events())
    irradiance = host.engine.microscope.peak_irradiance_w_cm2(2.0)
    assert client.status().dose_here_j_cm2 - before >= slept_s * clock.speed * irradiance


def test_a_file_that_fails_in_an_unknown_way_ends_the_measurement_and_not_the_engine(client, tmp_path, monkeypatch):
    def fail(*given, **more):
        raise KeyError("a mistake of ours")

    monkeypatch.setattr("halidescope.acquisition.keeping.finish_elsewhere", fail)
    client.start({"kind": "background", "spectra": 1, "exposure_s": 0.05, "dark_spectra": 0}, tmp_path / "x.nxs")
    until(lambda: client.status().state.ended, "the end")
    assert client.status().state is RunState.FAILED
    assert "unexpected KeyError: 'a mistake of ours'; please report this" in client.status().reason
    assert (tmp_path / "x.nxs.journal").exists()
    assert client.manual_move(10.0, 10.0) == pytest.approx((10.0, 10.0), abs=0.1)
