"""Darkness is always within reach: in every state, by button and by key, past everything that waits."""

import threading
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from played_engine import PlayedEngine
from pyqtgraph.functions import ndarray_from_qimage
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication, QImage
from qtpy.QtTest import QTest

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.states import RunState
from halidescope.gui.asking import ask_files
from halidescope.gui.dark_corner import DarkCorner
from halidescope.gui.window import MainWindow


def asked(engine: PlayedEngine, qtbot: QtBot) -> None:
    """Wait until the engine was asked to go dark; how soon is measured by tests/benchmarks/bench_window.py."""
    qtbot.waitUntil(lambda: "dark_now" in engine.calls)


def test_the_button_works_in_every_state(followed: MainWindow, engine: PlayedEngine, qtbot: QtBot) -> None:
    for state in RunState:
        engine.calls.clear()
        engine.now = replace(engine.now, state=state)
        with qtbot.waitSignal(followed.feed.status, check_params_cb=lambda s, now=state: s.state is now):
            pass
        assert followed.strip.dark_button.isVisible()
        qtbot.mouseClick(followed.strip.dark_button, Qt.MouseButton.LeftButton)
        asked(engine, qtbot)


def test_escape_twice_is_dark_and_once_is_not(followed: MainWindow, engine: PlayedEngine, qtbot: QtBot) -> None:
    followed.measure.file.setFocus()
    QTest.keyClick(followed.windowHandle(), Qt.Key.Key_Escape)
    with qtbot.waitSignal(followed.feed.status):
        pass
    assert engine.calls == []
    QTest.keyClick(followed.windowHandle(), Qt.Key.Key_Escape)
    asked(engine, qtbot)


def test_escape_twice_works_over_a_question(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    engine.begin(str(tmp_path / "a.nxs"))
    qtbot.waitUntil(followed.measure.abort_button.isEnabled)
    followed.close()
    question = followed.question
    qtbot.waitUntil(question.isVisible)
    qtbot.waitUntil(lambda: QGuiApplication.focusWindow() == question.windowHandle())
    QTest.keyClick(question.windowHandle(), Qt.Key.Key_Escape)
    followed.activateWindow()     # as every window manager does; the offscreen platform has none
    qtbot.waitUntil(lambda: QGuiApplication.focusWindow() == followed.windowHandle())
    QTest.keyClick(followed.windowHandle(), Qt.Key.Key_Escape)
    asked(engine, qtbot)
    assert followed.isVisible()


def test_dark_waits_for_no_order_and_no_status(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    engine.gate = threading.Event()     # every other call hangs from now on
    followed.feed.start({"kind": "time-series"}, tmp_path / "a.nxs")
    qtbot.waitUntil(lambda: engine.hanging >= 2)
    qtbot.mouseClick(followed.strip.dark_button, Qt.MouseButton.LeftButton)
    asked(engine, qtbot)
    assert engine.calls == ["dark_now"]     # what was ordered before still hangs
    engine.gate.set()


def test_a_laser_that_may_be_lit_is_an_alarm(followed: MainWindow, engine: PlayedEngine, qtbot: QtBot) -> None:
    engine.refuses = "laser cobolt-06-mld (TCPIP::127.0.0.1::1::SOCKET): switched off, and still says that it emits"
    with qtbot.waitSignal(followed.feed.not_dark):
        qtbot.mouseClick(followed.strip.dark_button, Qt.MouseButton.LeftButton)
    assert "turn its key" in followed.notice.text.text()
    assert followed.notice.text.property("alarm") is True
    assert followed.notice.isVisible()


def test_without_an_engine_the_button_says_so(window: MainWindow, qtbot: QtBot) -> None:
    qtbot.mouseClick(window.strip.dark_button, Qt.MouseButton.LeftButton)
    assert "no engine is connected" in window.notice.text.text()
    assert window.strip.emission.property("emission") == "unknown"
    assert "LASER UNKNOWN" in window.strip.emission.text()


def test_a_lost_engine_is_an_unknown_laser_until_it_answers(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    engine.silent = ProblemError("engine 4711: gone while asked to status (connection closed)")
    with qtbot.waitSignal(followed.feed.lost):
        pass
    assert "LASER UNKNOWN" in followed.strip.emission.text()
    assert "does not answer" in followed.notice.text.text()
    engine.silent = None
    with qtbot.waitSignal(followed.feed.found):
        pass
    qtbot.waitUntil(lambda: "dark" in followed.strip.emission.text())


def test_it_is_in_reach_where_a_saved_scan_lies_over_the_strip(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    corner = DarkCorner(followed.strip)
    qtbot.addWidget(corner)
    qtbot.waitUntil(corner.isVisible)       # as soon as there is a laser
    assert corner.emission.text() == "○ dark"
    engine.begin(str(tmp_path / "a.nxs"))
    qtbot.waitUntil(lambda: corner.emission.property("emission") == "lit")
    assert corner.emission.text() == "◉ EMISSION"
    qtbot.mousePress(corner.dark_button, Qt.MouseButton.LeftButton)
    asked(engine, qtbot)


def test_nothing_but_red_is_bright_in_the_red_theme(followed: MainWindow, engine: PlayedEngine, qtbot: QtBot) -> None:
    followed.theme_actions["red"].trigger()
    engine.begin("a.nxs")
    engine.take(20)
    qtbot.waitUntil(lambda: followed.views.data.analysed == 20)
    asking = ask_files(followed, "Saved scans", "All (*)", lambda _: None)
    for seen in (followed, asking):
        image = seen.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        pixels = ndarray_from_qimage(image)
        blue, green, red = (pixels[..., k].astype(int) for k in range(3))
        other = np.maximum(green, blue)
        assert ((other > 110) & (other > 0.75 * red)).sum() < 40      # a blinking text cursor, at most
    asking.close()
