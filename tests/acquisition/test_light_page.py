"""The light of a measurement outlives its engine: pages of light against the simulated film's own count."""

import math
import os
import signal
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.dose import DoseLedger
from halidescope.acquisition.host import Host
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.light_page import LightPage, LitSpot, end_light, light_path, read_page
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.states import RunState
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import Bench, until

MAP = {"kind": "raster-map", "sample_power_uw": 5.0, "origin_um": [40.0, 40.0], "size_um": [36.0, 20.0],
       "step_um": 4.0, "exposure_s": 0.5, "dark_spectra": 1, "sample": {"composition": 1.5}}


@given(st.lists(st.tuples(
    st.floats(0.0, 200.0), st.floats(0.0, 200.0), st.floats(0.01, 10.0), st.sampled_from([0.0, 1.0, 7600.0])
), max_size=30))
def test_a_page_says_what_the_ledger_knows_at_every_moment(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("page") / "page"
    ledger, page = DoseLedger(1.0), LightPage(path, lambda at_s: 1000.0 + at_s)
    ledger.keep(page)
    now, total = 0.0, 0.0
    for x, y, duration_s, irradiance in steps:
        ledger.moving_to(now, x, y)
        ledger.light(now, irradiance)
        now += duration_s
        total += irradiance * duration_s
        ledger.here(now)
        assert sum(spot.dose_j_cm2 for spot in read_page(path).spots) == pytest.approx(total)
    content = read_page(path)
    if steps and steps[-1][3] > 0:
        assert (content.irradiance_w_cm2, content.since_utc_s) == (steps[-1][3], pytest.approx(1000.0 + now))
    page.close()
    again = DoseLedger(1.0)
    again.learn(content.spots)
    for x, y, *_ in steps:
        assert again.at(x, y) == pytest.approx(ledger.at(x, y))


def test_the_light_of_a_line_is_on_the_page_too(tmp_path):
    ledger, page = DoseLedger(1.0), LightPage(tmp_path / "page", lambda at_s: at_s)
    ledger.keep(page)
    ledger.moving_to(0.0, 10.0, 10.0)
    ledger.light(0.0, 100.0)
    for k in range(1, 21):
        ledger.sweep(0.1 * k, 10.0 + k, 10.0)
    page.close()
    assert sum(spot.dose_j_cm2 for spot in read_page(tmp_path / "page").spots) == pytest.approx(200.0)
    assert read_page(tmp_path / "page").since_utc_s == pytest.approx(2.0)


def test_light_after_the_writer_died_is_booked_once(tmp_path):
    path = tmp_path / "page"
    page = LightPage(path, lambda at_s: at_s)
    ledger = DoseLedger(1.0)
    ledger.keep(page)
    ledger.moving_to(0.0, 1.0, 2.0)
    ledger.light(10.0, 100.0)
    page.close()
    assert "(1.00, 2.00) µm had light for 15 s longer, 1500 J/cm², booked" in end_light(
        path, 10.5, 30.0, found_lit=True
    )
    assert end_light(path, 99.0, 30.0, found_lit=True) == ""
    assert read_page(path).spots == (LitSpot(1.0, 2.0, 1500.0, 1500.0),)      # nothing said that it ever came on
    assert read_page(path).irradiance_w_cm2 == 0.0


@pytest.mark.parametrize(("proven_at", "found_lit", "doubt"), [
    (None, True, 700.0), (12.0, True, 0.0), (12.0, False, 500.0),
])
def test_what_no_read_back_has_proven_when_the_writer_died_is_in_doubt(tmp_path, proven_at, found_lit, doubt):
    path = tmp_path / "page"
    page, ledger = LightPage(path, lambda at_s: at_s), DoseLedger(1.0)
    ledger.keep(page)
    ledger.moving_to(0.0, 1.0, 2.0)
    ledger.light(10.0, 100.0)
    if proven_at is not None:
        ledger.here(proven_at)
        ledger.proven(proven_at)
    ledger.moving_to(14.0, 50.0, 2.0)
    ledger.here(16.0)
    page.close()
    said = end_light(path, 17.0, 1.0, found_lit=found_lit)
    assert ("in doubt" in said) is (doubt > 0)
    spots = read_page(path).spots
    assert [spot.dose_j_cm2 for spot in spots] == pytest.approx([400.0, 300.0])
    assert sum(spot.doubt_j_cm2 for spot in spots) == pytest.approx(doubt)


def test_a_page_grows_and_is_gone_on_with(tmp_path):
    path = tmp_path / "page"
    for first in (0, 5000):
        page = LightPage(path, lambda at_s: at_s)
        for k in range(first, first + 5000):
            page.put(page.add(float(k), 0.0), LitSpot(float(k), 0.0, 0.5 * k, 0.1 * k), 0.1 * k)
        page.close()
    assert read_page(path).spots == tuple(LitSpot(float(k), 0.0, 0.5 * k, 0.2 * k) for k in range(10000))
    path.write_bytes(b"no page at all")
    with pytest.raises(ScanFileError, match="no page of light"):
        read_page(path)


def test_all_light_is_counted_over_a_kill_and_its_resume(tmp_path):
    with SimulatedMicroscope(speed=20.0, seed=8) as simulated, closing(Bench(simulated)) as bench:
        out = tmp_path / "map.nxs"
        client = EngineClient.launch(bench.file(tmp_path), tmp_path / "session.json")
        client.start(MAP, out)
        until(lambda: client.status().done >= 20, "20 spectra")
        os.kill(client.session.pid, signal.SIGKILL)
        client._process.wait(60)
        client.close()
        log = tmp_path / "session.watchdog.log"
        until(lambda: log.exists() and log.read_text().endswith("\n"), "the watchdog's word")
        assert "µm had light for" in log.read_text()
        truth = bench.ask(get="film.energy_j")
        # when the light went nobody can say who was killed: the watchdog books what is left open of it
        booked = booked_j(read_page(light_path(journal_path(out))).spots)
        assert 0.97 * truth < booked < 1.3 * truth
        with Host(bench.microscope) as host:
            host.engine.door.start(MAP, str(out), resume=True)
            until(lambda: host.engine.status().state.ended, "end")
            assert host.engine.status().state is RunState.FINISHED, host.engine.status().reason
        with closing(NexusFile(out)) as file:
            of_resumed = bench.ask(get="film.energy_j") - truth
            assert booked_j(file.light_spots) - booked == pytest.approx(of_resumed, rel=0.1)
        assert not light_path(journal_path(out)).exists()


def booked_j(spots, waist_um=1.0):
    """Energy of spots under a Gaussian focus, in J: peak dose × π w0² / 2."""
    return sum(spot.dose_j_cm2 for spot in spots) * math.pi * (waist_um * 1e-4) ** 2 / 2.0
