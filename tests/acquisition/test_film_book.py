"""What a film has had of light outlives measurements, live views and engines; and it agrees with the truth."""

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.dose import DoseLedger
from halidescope.acquisition.film_book import FilmBook
from halidescope.acquisition.host import Host, films_folder
from halidescope.acquisition.light_page import LitSpot, light_path
from halidescope.acquisition.problems import ProblemError, ScanFileError
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import Bench, until
from .test_safety import MICROSCOPE

MAP = {"kind": "raster-map", "sample_power_uw": 5.0, "size_um": [16.0, 8.0], "exposure_s": 0.2, "dark_spectra": 1}
SERIES = {"kind": "time-series", "sample_power_uw": 20.0, "duration_s": 3.0, "dark_spectra": 1, "exposure_s": 0.2}
LONG = {**SERIES, "duration_s": 5000.0, "interval_s": 1.0, "position_um": [120.0, 120.0]}


@pytest.fixture(scope="module")
def bench():
    """One simulated microscope, slow enough for its time to be told exactly."""
    with SimulatedMicroscope(speed=4.0, seed=1) as simulated, closing(Bench(simulated)) as shared:
        yield shared


def finish(engine):
    """Wait for the end, which must be good."""
    until(lambda: engine.status().state.ended, "end")
    assert engine.status().state.value == "finished", engine.status().reason


def test_a_book_keeps_what_it_is_told(tmp_path):
    book = FilmBook(tmp_path, "film 12 / left", MICROSCOPE)
    assert book.load() == []
    page = tmp_path / "killed.nxs.journal"
    book.save([LitSpot(1.0, 2.0, 3.0, 0.5)], [page])
    assert book.load() == [LitSpot(1.0, 2.0, 3.0, 0.5)]
    assert FilmBook(tmp_path, "film 12 / right", MICROSCOPE).load() == []
    book.set_aside()
    assert book.load() == []
    assert len(list(tmp_path.glob("film-12-left-*.json"))) == 1
    book.path.write_bytes(b"{")
    with pytest.raises(ScanFileError, match="earlier light on this film is not known"):
        book.load()


def test_real_films_are_remembered_for_the_user_and_simulated_ones_for_their_session(bench, tmp_path):
    assert films_folder(bench.microscope, None) is None
    assert films_folder(bench.microscope, tmp_path / "s.json") == tmp_path / "films"
    assert films_folder(MICROSCOPE, tmp_path / "s.json").parts[-1] == "films"
    assert Path(tmp_path) not in films_folder(MICROSCOPE, tmp_path / "s.json").parents


def test_the_ledger_agrees_with_the_film_within_one_per_cent(bench, tmp_path):
    """One per cent, beyond what the head's answers leave open of when light came and went, and 8 ms of the computer."""
    with Host(bench.microscope, session=tmp_path / "session.json", connect_now=True) as host:
        engine, brackets_s = host.engine, []

        def brackets():
            """What the head's answers leave open of when light came and of when it went, together, s."""
            dark_s, gone_s = engine.beam.laser.dark_between_s
            return engine.beam.lit_at_se_s * 12**0.5 + (gone_s - dark_s) * bench.microscope.simulation.speed

        for number, recipe in enumerate((MAP, {**SERIES, "position_um": [60.0, 60.0]})):
            engine.door.start(recipe, str(tmp_path / f"{number}.nxs"))
            finish(engine)
            brackets_s.append(brackets())
        with EngineClient.attach(tmp_path / "session.json") as client:
            client.manual_move(100.0, 20.0)
            client.live(10.0, 0.1, max_s=4.0)
            until(lambda: any("live view ended" in event.text for event in client.events()), "end of the live view")
            brackets_s.append(brackets())
            places = [(5.0, [(x, y) for y in (0.0, 4.0, 8.0) for x in (0.0, 4.0, 8.0, 12.0, 16.0)]),
                      (20.0, [(60.0, 60.0)]), (10.0, [(100.0, 20.0)])]
            for (power_uw, spots), bracket_s in zip(places, brackets_s, strict=True):
                truth = sum(bench.ask(get="film.dose_j_cm2", x=x, y=y) for x, y in spots)
                booked = sum(engine.ledger.at(x, y) for x, y in spots)
                slack = (0.5 * bracket_s + 0.03) * bench.microscope.peak_irradiance_w_cm2(power_uw)
                assert abs(booked - truth) <= 0.01 * truth + slack, (power_uw, booked, truth, bracket_s)
            (row,) = client.dose_map((59.95, 59.95), (0.1, 0.1), (1, 1)).dose_j_cm2
            assert row[0] == pytest.approx(engine.ledger.at(60.0, 60.0), rel=1e-6)
    with Host(bench.microscope, session=tmp_path / "session.json") as again:      # another engine, the same film
        until(lambda: again.engine.ledger.at(60.0, 60.0) > 0, "the book")
        assert again.engine.ledger.at(60.0, 60.0) == pytest.approx(row[0], rel=1e-6)
        assert again.engine.ledger.at(100.0, 20.0) > 0
        with pytest.raises(ProblemError, match=r"has had .* in this session, require_fresh"):
            again.engine.door.start({**SERIES, "require_fresh": True, "position_um": [60.0, 60.0]},
                                    str(tmp_path / "fresh.nxs"))
        again.engine.door.ask(lambda: again.engine.change_film("film 13"))
        assert again.engine.ledger.at(60.0, 60.0) == 0.0
        again.engine.door.ask(lambda: again.engine.change_film(""))
        assert again.engine.ledger.at(60.0, 60.0) > 0
        again.engine.door.ask(lambda: again.engine.change_film("", remounted=True))
        assert again.engine.ledger.at(60.0, 60.0) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("doing", [pytest.param("measuring", marks=pytest.mark.slow), "live"])
def test_the_light_of_a_killed_engine_is_not_forgotten(bench, tmp_path, doing):
    place = (120.0, 120.0) if doing == "measuring" else (140.0, 120.0)
    client = EngineClient.launch(bench.file(tmp_path), tmp_path / "session.json")
    try:
        until(lambda: client.status().connected, "instruments")
        if doing == "measuring":
            client.start(LONG, tmp_path / "long.nxs")
        else:
            client.manual_move(*place)
            client.live(20.0, 0.1, dose_cap_j_cm2=1e9)
        until(lambda: client.status().dose_here_j_cm2 > 2000.0, "dose")
    finally:
        os.kill(client.session.pid, signal.SIGKILL)
        client._process.wait(60)
        client.close()
    until(lambda: not bench.ask(get="laser.emission"), "darkness")
    log = tmp_path / "session.watchdog.log"
    until(lambda: log.exists() and log.read_text().endswith("\n"), "the watchdog's word")
    with Host(bench.microscope, session=tmp_path / "again.json") as host:
        until(lambda: host.engine.ledger.at(*place) > 0, "the book")
        truth = bench.ask(get="film.dose_j_cm2", x=place[0], y=place[1])
        assert host.engine.ledger.at(*place) == pytest.approx(truth, rel=0.05)


def test_light_along_a_line_is_even_and_none_is_lost():
    ledger = DoseLedger(1.0)
    ledger.moving_to(0.0, 0.0, 0.0)
    ledger.light(0.0, 100.0)
    for k in range(1, 41):
        ledger.sweep(0.1 * k, 2.0 * k, 0.0)
    ledger.light(4.0, 0.0)
    # an even line: the irradiance's integral along it over the speed, 20 µm/s
    along = 100.0 * (3.141592653589793 / 2.0) ** 0.5 * 1.0 / 20.0
    for x in (10.0, 11.0, 37.3, 60.0):
        assert ledger.at(x, 0.0) == pytest.approx(along, rel=0.02)       # spots that are near each other are one
    assert sum(spot.dose_j_cm2 for spot in ledger.spots()) == pytest.approx(400.0)
    assert light_path(Path("x")).name == "x-light"
