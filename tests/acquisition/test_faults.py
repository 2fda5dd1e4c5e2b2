"""What is done about faults in mid-run, over the wire: which remedies come, what is kept, dark meanwhile."""

import math
from contextlib import closing

import numpy as np
import pytest

from halidescope.acquisition import light_watch
from halidescope.acquisition.faults import DEFAULTS, SKIPPED, FaultClass, FaultsTable, Remedy, Tries
from halidescope.acquisition.host import Host
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.problems import BadFileError, RefusedRunError
from halidescope.acquisition.records import Flag
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import Bench, until

MAP = {"kind": "raster-map", "sample_power_uw": 5.0, "origin_um": [20.0, 20.0], "size_um": [28.0, 20.0],
       "step_um": 4.0, "dark_spectra": 1, "exposure_s": 0.5, "sample": {"composition": 1.5}}
POINTS = 48
SERIES = {"kind": "time-series", "sample_power_uw": 120.0, "duration_s": 120.0, "interval_s": 8.0, "dark_spectra": 1,
          "position_um": [150.0, 150.0], "sample": {"composition": 1.5}}


def test_every_class_has_its_remedies_in_order_and_then_its_last_word():
    for kind in FaultClass:
        table, tries, told = FaultsTable(), Tries(FaultsTable()), []
        policy = table.policy(kind)
        while (remedy := tries.next(kind)[0]) in (Remedy.RETRY, Remedy.RECONNECT):
            told.append(remedy)
        assert told == [Remedy.RETRY] * policy.retries + [Remedy.RECONNECT] * policy.reconnections
        assert remedy == DEFAULTS[kind]["then"]
        assert tries.next(kind)[0] is remedy
        tries.forget()
        assert tries.next(kind)[0] is (told[0] if told else remedy)


def test_classes_are_counted_apart():
    tries = Tries(FaultsTable())
    assert [tries.next(FaultClass.REPLY)[1] for _ in range(2)] == ["tried again, 1 of 2", "tried again, 2 of 2"]
    assert tries.next(FaultClass.CONNECTION) == (Remedy.RECONNECT, "connected anew, 1 of 3")
    assert tries.next(FaultClass.REPLY) == (Remedy.RECONNECT, "connected anew, 1 of 1")


def test_the_microscope_file_overrides_a_class_in_part(shared):
    text = shared.microscope.model_copy(update={"faults": FaultsTable()}).toml_text().split("[faults]")[0]
    changed = parse_microscope(text + "[faults.move]\nretries = 4\n[faults]\nskips_in_a_row = 9\n")
    assert (changed.faults.move.retries, changed.faults.move.then) == (4, "skip")
    assert changed.faults.skips_in_a_row == 9
    assert parse_microscope(changed.toml_text()) == changed
    for wrong, words in (
        ("[faults.move]\nthen = 'pray'\n", r"faults.move.then' = 'pray'.*'skip', 'ask' or 'stop'"),
        ("[faults.stage]\nretries = 1\n", r"unknown key 'faults.stage'"),
        ("[faults]\nask_within_s = 0\n", r"faults.ask_within_s' = 0.*greater than 0"),
    ):
        with pytest.raises(BadFileError, match=words):
            parse_microscope(text + wrong)


@pytest.fixture(scope="module")
def shared():
    with SimulatedMicroscope(speed=60.0, seed=5) as simulated, closing(Bench(simulated)) as bench:
        yield bench


def with_changes(microscope, *changes):
    """A microscope file with lines replaced; its stage gives up a move soon."""
    text = microscope.toml_text()
    for old, new in (("[stage]\n", "[stage]\nsettings = {settle_wait_s = 0.2}\n"), *changes):
        assert old in text
        text = text.replace(old, new)
    return parse_microscope(text)


@pytest.fixture(scope="module")
def host(shared, tmp_path_factory):
    """An engine with the default policies, whose door can be reached."""
    session = tmp_path_factory.mktemp("door") / "session.json"
    with Host(with_changes(shared.microscope), session=session) as running:
        yield running


@pytest.fixture
def run(shared, host, tmp_path):
    """Runs a recipe with a fault injected once it is under way; returns the last status and the events' texts."""

    def go(recipe, fault=None, during=None, resume=False, on=host):
        if on is not host:
            host.engine.connection.disconnect()      # the stage takes one client, and nothing runs there
        first = len(on.engine.events)
        on.engine.door.start(recipe, str(tmp_path / "scan.nxs"), resume=resume)
        if fault is not None:
            until(lambda: on.engine.status().done >= 3, "3 spectra")
            shared.ask(**fault)
        if during is not None:
            during(on, first)
        until(lambda: on.engine.status().state.ended, "end")
        assert shared.ask(get="laser.emission") is False
        shared.ask(clear="all")
        if on.engine.beam is not None:
            on.engine.door.ask(on.engine.manual.clear_fault)     # an open interlock leaves one
        return on.engine.status(), [event.text for event in on.engine.events.since(first)]

    yield go
    shared.ask(clear="all")


def until_told(on, first, words):
    until(lambda: any(words in event.text for event in on.engine.events.since(first)), words)


@pytest.mark.parametrize(("recipe", "fault"), [
    pytest.param(MAP, {"fault": "garbage-reply", "device": "spectrometer"}, marks=pytest.mark.slow),
    pytest.param(MAP, {"fault": "garbage-reply", "device": "laser"}, marks=pytest.mark.slow),
    pytest.param(MAP, {"fault": "connection-drop", "device": "laser"}, marks=pytest.mark.slow),
    (MAP, {"fault": "connection-drop", "device": "stage"}),
    (SERIES, {"fault": "connection-drop", "device": "spectrometer"}),
    pytest.param(SERIES, {"fault": "late-reply", "device": "laser", "delay_s": 2.0}, marks=pytest.mark.slow),
], ids=lambda value: " ".join(map(str, value.values())) if "fault" in value else value["kind"])
def test_what_passes_costs_no_point(run, tmp_path, recipe, fault):
    status, told = run(recipe, fault)
    assert status.state is RunState.FINISHED, status.reason
    mended = [text for text in told if fault["device"] in text and ("tried again" in text or "connected anew" in text)]
    assert mended, told
    with open_scan(tmp_path / "scan.nxs") as scan:
        assert scan.valid.all()
        assert scan.missing == {}
        assert set(mended) <= {event.text for event in scan.events}


def test_a_map_goes_on_without_the_point_that_a_fault_costs_and_takes_it_later(run, shared, tmp_path):
    def mend(on, first):
        until_told(on, first, SKIPPED)
        shared.ask(clear="all")

    status, told = run(MAP, {"fault": "stage-stall"}, during=mend)
    assert status.state is RunState.FINISHED, status.reason
    assert any("emission off and proven, tried again" in text for text in told)
    with open_scan(tmp_path / "scan.nxs") as scan:
        lost = dict(scan.missing)
        assert 1 <= len(lost) <= 4
        assert all(why.startswith(SKIPPED) and "stage pi-e727" in why for why in lost.values())
        assert scan.valid.sum() == POINTS - len(lost)
        before, there = scan.spectra.copy(), scan.valid.copy()
    status, _ = run(MAP, resume=True)
    assert status.state is RunState.FINISHED, status.reason
    with open_scan(tmp_path / "scan.nxs") as scan:
        assert scan.valid.all()
        assert scan.missing == {}
        assert np.array_equal(scan.spectra[there], before[there])
    with pytest.raises(RefusedRunError, match="is finished already"):
        run(MAP, resume=True)


def test_a_series_keeps_the_reason_of_a_lost_spectrum_and_never_takes_it_late(run, shared, tmp_path):
    def mend(on, first):
        until_told(on, first, SKIPPED)
        shared.ask(clear="all")
        until(lambda: on.engine.status().done >= 8, "more spectra")
        on.engine.abort()

    at_once = with_changes(
        shared.microscope, ("retries = 2", "retries = 0"), ("reconnections = 1", "reconnections = 0")
    )
    with Host(at_once) as on:
        status, _ = run(SERIES, {"fault": "spectrum-truncated"}, during=mend, on=on)
        assert status.state is RunState.ABORTED
        status, _ = run(SERIES, resume=True, on=on)
    assert status.state is RunState.FINISHED, status.reason
    with open_scan(tmp_path / "scan.nxs") as scan:
        assert 1 <= len(scan.missing) <= 4
        assert all(why.startswith(SKIPPED) and "spectrometer" in why for why in scan.missing.values())
        assert np.array_equal(np.flatnonzero(~scan.valid), sorted(scan.missing))
        assert np.all(np.diff(scan.time_s[scan.valid]) > 0)


@pytest.mark.slow
def test_too_many_lost_points_in_a_row_stop_the_run(run, shared, tmp_path):
    with Host(with_changes(shared.microscope, ("skips_in_a_row = 3", "skips_in_a_row = 1"))) as on:
        status, told = run(MAP, {"fault": "spectrum-stale"}, on=on)
    assert status.state is RunState.FAILED
    assert any("2 points in a row would be left out, allowed 1" in text for text in told)
    with open_scan(tmp_path / "scan.nxs") as scan:
        assert scan.valid.sum() == status.done
        assert sum(why.startswith(SKIPPED) for why in scan.missing.values()) == 1


@pytest.mark.parametrize(("answer", "state"), [("go on", RunState.FINISHED), ("stop", RunState.FAILED)])
def test_an_open_interlock_waits_dark_for_a_person(run, shared, tmp_path, answer, state):
    def decide(on, first):
        until(lambda: on.engine.status().question is not None, "a question")
        question = on.engine.status().question
        assert "interlock" in question.text
        assert on.engine.status().state is RunState.PAUSED
        assert shared.ask(get="laser.emission") is False
        shared.ask(clear="all")
        on.engine.door.answer(question.id, answer)

    status, told = run(MAP, {"fault": "interlock-open"}, during=decide)
    assert status.state is state, (status.reason, told)
    assert f"answer: {answer}" in told
    assert status.question is None
    if state is RunState.FINISHED:
        with open_scan(tmp_path / "scan.nxs") as scan:
            assert scan.valid.all()


@pytest.mark.parametrize("collapse", [0.5, -1.0], ids=["seen in the spectrum", "seen when the head is asked"])
def test_no_point_of_a_map_keeps_a_spectrum_that_had_no_light(run, shared, tmp_path, monkeypatch, collapse):
    monkeypatch.setattr(light_watch, "COLLAPSE", collapse)

    def mend(on, first):
        until(lambda: on.engine.status().question is not None, "a question")
        shared.ask(clear="all")
        on.engine.door.answer(on.engine.status().question.id, "go on")

    status, told = run(MAP, {"fault": "interlock-open"}, during=mend)
    assert status.state is RunState.FINISHED, (status.reason, told)
    assert status.done == POINTS
    marked = [text for text in told if "went by itself" in text]
    assert len(marked) == (1 if collapse < 0 else 0) or "points" in marked[0]
    with open_scan(tmp_path / "scan.nxs") as scan:
        assert scan.valid.all()
        light = scan.counts_sum - scan.dark.mean.sum()
        assert light.min() > 0.5 * np.median(light)
        assert not np.any(scan.more["flags"] & int(Flag.LIGHT_IN_DOUBT))


def test_a_series_marks_a_spectrum_whose_light_is_in_doubt(run, shared, tmp_path, monkeypatch):
    monkeypatch.setattr(light_watch, "COLLAPSE", -1.0)
    status, told = run({**SERIES, "interval_s": 1.0}, {"fault": "interlock-open"}, during=lambda on, first: (
        until(lambda: on.engine.status().question is not None, "a question"),
        on.engine.door.answer(on.engine.status().question.id, "stop"),
    ))
    assert status.state is RunState.FAILED
    (words,) = (text for text in told if "went by itself" in text)
    assert "taken again" not in words
    points = [int(point) for point in words.rpartition("points ")[2].split(", ")]
    with open_scan(tmp_path / "scan.nxs") as scan:
        assert scan.valid[points].all()
        assert np.flatnonzero(scan.more["flags"] & int(Flag.LIGHT_IN_DOUBT)).tolist() == points
        light = scan.counts_sum - scan.dark.mean.sum()
        assert light[points].min() < 0.5 * np.nanmedian(light)      # it did go in one of them


def test_a_question_that_nobody_answers_stops_dark(run, shared, tmp_path):
    hurried = with_changes(shared.microscope, ("ask_within_s = 3600.0", "ask_within_s = 0.3"))
    with Host(hurried, session=tmp_path / "session.json") as on:
        status, told = run(MAP, {"fault": "interlock-open"}, on=on)
    assert status.state is RunState.FAILED
    assert "interlock" in status.reason
    assert "nobody answered within 0.3 s" in told


def test_another_instrument_on_the_same_port_is_never_gone_on_with(run, tmp_path, monkeypatch):
    from halidescope.acquisition import mending

    ask = mending.identity_of
    monkeypatch.setattr(mending, "identity_of", lambda instrument: {**ask(instrument), "serial": "4711"})
    status, _ = run(MAP, {"fault": "connection-drop", "device": "stage"})
    assert status.state is RunState.FAILED
    assert "4711 answers where" in status.reason
    assert journal_path(tmp_path / "scan.nxs").exists() is False


@pytest.mark.parametrize(("fault", "y_um"), [
    ("interlock-open", 100.0), pytest.param("laser-fault", 140.0, marks=pytest.mark.slow),
])
def test_the_ledger_says_how_much_is_in_doubt_when_the_head_went_dark_by_itself(run, shared, tmp_path, fault, y_um):
    fresh = {**MAP, "origin_um": [100.0, y_um]}

    def decide(on, first):
        until(lambda: on.engine.status().question is not None or on.engine.status().state.ended, "its notice")
        shared.ask(clear="all")
        if (question := on.engine.status().question) is not None:
            on.engine.door.answer(question.id, "go on")

    before_j = shared.ask(get="film.energy_j")
    status, told = run(fresh, {"fault": fault}, during=decide)
    if status.state is RunState.FAILED:
        status, _ = run(fresh, resume=True)
    assert status.state is RunState.FINISHED, status.reason
    assert any("are in doubt" in text for text in told), told
    with closing(NexusFile(tmp_path / "scan.nxs")) as file:
        most_j = sum(spot.dose_j_cm2 for spot in file.light_spots) * math.pi * 1e-8 / 2.0
        doubt_j = sum(spot.doubt_j_cm2 for spot in file.light_spots) * math.pi * 1e-8 / 2.0
    truth_j = shared.ask(get="film.energy_j") - before_j
    assert doubt_j > 0.0
    # when light came and went is known to some ms of this computer: 1 % of the whole with nothing else to do
    assert 0.8 * (most_j - doubt_j) <= truth_j <= 1.1 * most_j
