"""Measurements that wait: order, skipping, holding after one that went wrong; and who may command."""

import os
import signal
from contextlib import closing

import pytest

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.host import Host
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.acquisition.waiting import ItemState, Waiting
from halidescope.simulators.microscope import SimulatedMicroscope

from .conftest import Bench, until

MAP = {"kind": "raster-map", "sample_power_uw": 5.0, "origin_um": [20.0, 20.0], "size_um": [4.0, 4.0],
       "dark_spectra": 1, "sample": {"composition": 1.5}}
LONG = {"kind": "time-series", "sample_power_uw": 120.0, "duration_s": 5000.0, "dark_spectra": 1, "interval_s": 1.0,
        "sample": {"composition": 1.5}}


@pytest.fixture(scope="module")
def bench():
    """One simulated microscope for all tests here."""
    with SimulatedMicroscope(speed=60.0, seed=1) as simulated, closing(Bench(simulated)) as shared:
        yield shared


@pytest.fixture(scope="module")
def host(bench, tmp_path_factory):
    """One engine with a door, in this process."""
    session = tmp_path_factory.mktemp("engine") / "session.json"
    with Host(bench.microscope, session=session, connect_now=True) as running:
        yield running


@pytest.fixture
def client(host):
    """Somebody with the command and an empty queue that does not hold."""
    with EngineClient.attach(host._session_path, name="anna") as caller:
        caller.take_command()
        until(lambda: caller.status().connected, "instruments")
        yield caller
        caller.hold(True)
        if caller.status().state.busy:
            caller.abort()
            until(lambda: not caller.status().state.busy, "end")
        for item in caller.queue():
            caller.remove(item.id)
        caller.hold(False)


def states(client):
    """Name of the file and what became of it, in the queue's order."""
    return [(item.out.rpartition("/")[2], item.state.value) for item in client.queue()]


def measured(client, out):
    """How many spectra a file has that is being measured now; the last status may still be of the one before."""
    status = client.status()
    return status.done if status.state is RunState.RUNNING and status.file == str(out) else 0


def test_a_queue_runs_in_the_order_it_was_given_and_changed(client, tmp_path):
    client.hold(True)
    ids = {name: client.enqueue(MAP, tmp_path / f"{name}.nxs") for name in ("a", "b", "c", "d")}
    assert (client.status().queue_waiting, client.status().queue_held) == (4, True)
    client.move(ids["c"], 0)
    client.remove(ids["b"])
    assert states(client) == [("c.nxs", "waiting"), ("a.nxs", "waiting"), ("d.nxs", "waiting")]
    assert client.queue()[0].duration_s > 0
    client.move(ids["c"], 99)
    client.hold(False)
    until(lambda: [state for _, state in states(client)] == ["finished"] * 3, "the queue")
    assert states(client) == [("a.nxs", "finished"), ("d.nxs", "finished"), ("c.nxs", "finished")]
    begun = {}
    for name in "adc":
        with open_scan(tmp_path / f"{name}.nxs") as scan:
            begun[name] = scan.metadata["started_at"]
            assert scan.valid.all()
    assert sorted(begun, key=begun.get) == ["a", "d", "c"]
    assert client.status().queue_item is None


def test_skip_finishes_the_file_and_goes_on(bench, client, tmp_path):
    client.enqueue(LONG, tmp_path / "long.nxs")
    client.enqueue(MAP, tmp_path / "next.nxs")
    until(lambda: measured(client, tmp_path / "long.nxs") >= 3, "3 spectra")
    assert client.status().queue_item == client.queue()[-2].id
    client.skip()
    until(lambda: states(client)[-1][1] == "finished", "the next")
    assert states(client)[-2:] == [("long.nxs", "skipped"), ("next.nxs", "finished")]
    with open_scan(tmp_path / "long.nxs") as scan:
        assert scan.metadata["reason"] == "skipped on request"
        assert scan.valid.sum() >= 3
    assert bench.ask(get="laser.emission") is False


@pytest.mark.parametrize(("how", "reason"), [("abort", "aborted on request"), ("dark_now", "darkness was asked for")])
def test_after_one_that_did_not_finish_the_queue_holds_and_says_why(bench, client, tmp_path, how, reason):
    client.enqueue(LONG, tmp_path / "long.nxs")
    client.enqueue(MAP, tmp_path / "next.nxs")
    until(lambda: measured(client, tmp_path / "long.nxs") >= 1, "a spectrum")
    getattr(client, how)()
    until(lambda: states(client)[-2:] == [("long.nxs", "aborted"), ("next.nxs", "waiting")], "the end")
    until(lambda: client.status().state is RunState.ABORTED, "the end to be told")
    until(lambda: client.status().queue_held, "the queue to hold")
    assert reason in client.status().queue_reason
    assert bench.ask(get="laser.emission") is False
    with pytest.raises(ProblemError, match="no measurement of the queue runs"):
        client.skip()
    client.hold(False)
    until(lambda: states(client)[-1] == ("next.nxs", "finished"), "the next")


def test_what_became_impossible_meanwhile_is_refused_when_its_turn_comes(client, tmp_path):
    client.hold(True)
    client.enqueue(MAP, tmp_path / "taken.nxs")
    client.enqueue(MAP, tmp_path / "after.nxs")
    (tmp_path / "taken.nxs").write_bytes(b"somebody else's")
    client.hold(False)
    until(lambda: states(client)[-2:] == [("taken.nxs", "refused"), ("after.nxs", "waiting")], "refusal")
    assert "exists and is never overwritten" in client.queue()[-2].reason
    until(lambda: "exists and is never overwritten" in client.status().queue_reason, "the reason")


def test_the_queue_refuses_at_once_what_cannot_be(client, tmp_path):
    with pytest.raises(ProblemError, match=r"sample power: 500 µW asked, allowed up to 400 µW"):
        client.enqueue({**MAP, "sample_power_uw": 500.0}, tmp_path / "x.nxs")
    with pytest.raises(ProblemError, match=r"x = .* µm asked, allowed 0.0 to 200.0 µm"):
        client.enqueue({**MAP, "origin_um": [199.0, 0.0]}, tmp_path / "x.nxs")
    client.hold(True)
    client.enqueue(MAP, tmp_path / "x.nxs")
    with pytest.raises(ProblemError, match=r"will be the file of 'map .*'"):
        client.enqueue(MAP, tmp_path / "x.nxs")
    with pytest.raises(ProblemError, match="no measurement 99"):
        client.move(99, 0)
    with pytest.raises(ProblemError, match="place -1 asked"):
        client.move(client.queue()[-1].id, -1)


def test_one_at_a_time_commands_and_all_may_end_light(bench, host, client, tmp_path):
    with EngineClient.attach(host._session_path, name="ben") as ben:
        client.start(LONG, tmp_path / "long.nxs")
        assert ben.status().commander == "anna"
        for command in (ben.pause, ben.quit, ben.live_off, lambda: ben.enqueue(MAP, tmp_path / "b.nxs")):
            with pytest.raises(ProblemError, match="anna has the command, ben watches"):
                command()
        until(lambda: bench.ask(get="laser.emission"), "light")
        ben.dark_now()
        assert bench.ask(get="laser.emission") is False
        until(lambda: not ben.status().state.busy, "end")
        ben.take_command()
        with pytest.raises(ProblemError, match="ben has the command, anna watches"):
            client.hold(True)
    until(lambda: client.status().commander == "", "ben to leave")
    client.hold(False)                      # first who commands
    assert client.status().commander == "anna"
    assert any("ben has taken the command over from anna" in event.text for event in client.events())


def test_a_window_with_several_connections_keeps_the_command_until_its_last_one_closes(host, client):
    with EngineClient.attach(host._session_path, name="ben") as first:
        second = EngineClient.attach(host._session_path, name="ben")
        second.take_command()
        assert first.status().commander == "ben"
        second.close()
        first.hold(False)
        assert client.status().commander == "ben"
    until(lambda: client.status().commander == "", "ben to leave")


def test_the_list_of_the_past_is_bounded():
    waiting = Waiting()
    for k in range(300):
        waiting.add({}, f"{k}.nxs", title="t", kind="k", duration_s=1.0, resume=False)
        item, _ = waiting.take()
        waiting.ended(item.id, "finished", "")
    assert len(waiting.items()) == 200
    assert waiting.items()[-1].out == "299.nxs"


def test_a_queue_outlives_an_engine_that_is_killed(make_bench, tmp_path):
    bench = make_bench()      # its stage takes one client, and the shared one has it
    session = tmp_path / "session.json"
    with EngineClient.launch(bench.file(tmp_path), session) as client:
        client.enqueue(LONG, tmp_path / "runs.nxs")
        until(lambda: client.status().done >= 2, "2 spectra")
        waits = client.enqueue(MAP, tmp_path / "waits.nxs")
        last = client.enqueue(MAP, tmp_path / "last.nxs")
        client.move(last, 0)
        os.kill(client.session.pid, signal.SIGKILL)
        client._process.wait(60)
        assert waits != last
    until(lambda: not bench.ask(get="laser.emission"), "darkness")
    with Host(bench.microscope, session=session) as again, EngineClient.attach(session) as client:
        assert [(item.out.rpartition("/")[2], item.state, item.resume) for item in client.queue()] == [
            ("runs.nxs", ItemState.WAITING, True), ("last.nxs", ItemState.WAITING, False),
            ("waits.nxs", ItemState.WAITING, False),
        ]
        status = client.status()
        assert (status.queue_held, status.queue_waiting) == (True, 3)
        assert "left by an engine that ended before" in status.queue_reason
        client.remove(client.queue()[0].id)
        client.hold(False)
        until(lambda: states(client) == [("last.nxs", "finished"), ("waits.nxs", "finished")], "the rest")
        assert again.engine.waiting._path.exists() is False


def test_a_queue_file_that_is_no_good_is_said_and_costs_nothing_else(tmp_path):
    told = []
    (tmp_path / "queue.json").write_bytes(b"[{")
    waiting = Waiting(tmp_path / "queue.json", told.append)
    assert "has to be put in again" in told[0]
    waiting.add({}, "a.nxs", title="t", kind="k", duration_s=1.0, resume=False)
    (tmp_path / "file").write_bytes(b"")
    nowhere = Waiting(tmp_path / "file" / "queue.json", told.append)
    nowhere.add({}, "a.nxs", title="t", kind="k", duration_s=1.0, resume=False)
    assert "it ends with this engine" in told[1]
