"""Lanes: answers come in the window's thread, in order, and never inside the question."""

import threading

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QThread

from halidescope.gui.lane import Lane


class _InstantFuture:
    """A call that is over before its caller has gone on."""

    def cancelled(self) -> bool:
        return False

    def exception(self) -> None:
        return None

    def result(self) -> str:
        return "done"

    def add_done_callback(self, act: object) -> None:
        act(self)   # type: ignore[operator]


def test_an_answer_never_comes_inside_the_question(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane("test lane")
    monkeypatch.setattr(lane._pool, "submit", lambda *_: _InstantFuture())
    heard: list[str] = []
    lane.ask(lambda: "done", heard.append, pytest.fail)
    assert heard == []
    qtbot.waitUntil(lambda: heard == ["done"])
    lane.close()


def test_calls_run_beside_the_window_and_answers_come_back_to_it(qtbot: QtBot) -> None:
    lane = Lane("test lane")
    window_thread, seen = QThread.currentThread(), []
    lane.ask(
        lambda: threading.current_thread().name,
        lambda name: seen.append((name, QThread.currentThread() is window_thread)),
        pytest.fail,
    )
    lane.ask(lambda: 1 / 0, pytest.fail, lambda error: seen.append((type(error), True)))
    qtbot.waitUntil(lambda: len(seen) == 2)
    assert seen[0][0].startswith("test lane")
    assert seen == [(seen[0][0], True), (ZeroDivisionError, True)]
    lane.close()


def test_closing_waits_for_nothing_drops_what_waits_and_does_the_last(qtbot: QtBot) -> None:
    lane = Lane("test lane")
    gate, begun, done = threading.Event(), threading.Event(), []

    def hang() -> None:
        begun.set()
        gate.wait(60.0)
        done.append("in hand")

    lane.ask(hang, pytest.fail, pytest.fail)
    lane.ask(lambda: done.append("waiting"), pytest.fail, pytest.fail)
    assert begun.wait(60.0)
    lane.close(lambda: done.append("last"))
    assert done == []      # the call in hand waits for what comes below
    gate.set()
    qtbot.waitUntil(lambda: done == ["in hand", "last"])
