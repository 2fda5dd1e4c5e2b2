"""Darkness on the wire: whatever the window is busy with, button and key put out the simulated laser itself."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QMenu

from halidescope.acquisition.recipes import Sample, TimeSeries
from halidescope.acquisition.states import RunState
from halidescope.gui.window import MainWindow
from halidescope.simulators.microscope import SimulatedMicroscope

ESCAPE = Qt.Key.Key_Escape
LONG = TimeSeries(
    sample_power_uw=20.0, exposure_s=0.1, duration_s=3000.0, interval_s=0.5, dark_spectra=3,
    sample=Sample(composition=1.5),
)


@pytest.fixture
def control(bench: SimulatedMicroscope) -> Iterator[Callable[[dict[str, object]], object]]:
    """Asks the simulators' control port."""
    assert bench.control is not None
    with socket.create_connection((bench.control.host, bench.control.port), timeout=60) as line:
        replies = line.makefile("rb")

        def ask(request: dict[str, object]) -> object:
            line.sendall(json.dumps(request).encode() + b"\n")
            reply = json.loads(replies.readline())
            return reply.get("value", reply.get("ok"))

        yield ask


@pytest.fixture
def emission(control: Callable[[dict[str, object]], object]) -> Callable[[], bool]:
    """Whether the simulated laser emits."""
    return lambda: control({"get": "laser.emission"}) is True


@pytest.fixture
def lit(attached_window: MainWindow, emission: Callable[[], bool], qtbot: QtBot) -> MainWindow:
    """A window with a live view on."""
    window = attached_window
    window.instruments.laser.longest.set_value(86_400.0)
    window.instruments.laser.cap.set_value(1e9)
    light_up(window, emission, qtbot)
    return window


def light_up(window: MainWindow, emission: Callable[[], bool], qtbot: QtBot) -> None:
    """Begin a live view by hand, if there is none."""
    if not emission():
        qtbot.waitUntil(window.instruments.laser.light.isEnabled)
        qtbot.mouseClick(window.instruments.laser.light, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(emission)


def press_escape_twice(qtbot: QtBot) -> None:
    """As the window system does: to whatever window has the keyboard at that moment."""
    for _ in range(2):
        qtbot.waitUntil(lambda: QGuiApplication.focusWindow() is not None)
        QTest.keyClick(QGuiApplication.focusWindow(), ESCAPE)


def is_dark(window: MainWindow, emission: Callable[[], bool], qtbot: QtBot) -> None:
    """Wait for the dark at the laser and for the word of it; nothing lights it again."""
    qtbot.waitUntil(lambda: not emission())
    qtbot.waitUntil(lambda: "dark" in window.strip.emission.text())
    assert not emission()


def give_keyboard(window: MainWindow, qtbot: QtBot) -> None:
    """As a window manager does after a dialog; the offscreen platform has none."""
    if QGuiApplication.focusWindow() is None:
        window.activateWindow()
    qtbot.waitUntil(lambda: QGuiApplication.focusWindow() is not None)


def a_file_dialog(window: MainWindow) -> None:
    window.choose_scan()


def a_wizard(window: MainWindow) -> None:
    window.entrance.open_wizard()


def the_keys(window: MainWindow) -> None:
    QTest.keyClick(window, Qt.Key.Key_F1)


def a_step_of_a_sequence(window: MainWindow) -> None:
    window.measure.kind.setCurrentIndex(window.measure.kind.findData("sequence"))
    window.measure.form.add()


def an_open_list(window: MainWindow) -> None:
    window.measure.kind.setFocus()
    window.measure.kind.showPopup()


def an_open_menu(window: MainWindow) -> None:
    window.findChildren(QMenu)[0].popup(window.mapToGlobal(QPoint(40, 40)))


IN_THE_WAY = (a_file_dialog, a_wizard, the_keys, a_step_of_a_sequence, an_open_list, an_open_menu)


def test_escape_twice_is_dark_past_whatever_has_the_keyboard(
    lit: MainWindow, emission: Callable[[], bool], qtbot: QtBot
) -> None:
    for in_the_way in IN_THE_WAY:
        light_up(lit, emission, qtbot)
        lit.activateWindow()
        qtbot.waitUntil(lambda: QGuiApplication.focusWindow() == lit.windowHandle())
        in_the_way(lit)
        qtbot.waitUntil(lambda: QGuiApplication.focusWindow() not in (None, lit.windowHandle()))
        QTest.keyClick(QGuiApplication.focusWindow(), ESCAPE)
        give_keyboard(lit, qtbot)
        assert emission(), in_the_way.__name__
        QTest.keyClick(QGuiApplication.focusWindow(), ESCAPE)
        is_dark(lit, emission, qtbot)


def test_the_button_is_within_reach_of_the_mouse_beside_every_dialog(followed: MainWindow, qtbot: QtBot) -> None:
    place = followed.strip.dark_button.mapTo(followed, followed.strip.dark_button.rect().center())
    for number, in_the_way in enumerate(IN_THE_WAY[:4], start=2):
        followed.activateWindow()
        qtbot.waitUntil(lambda: QGuiApplication.focusWindow() == followed.windowHandle())
        in_the_way(followed)
        qtbot.waitUntil(lambda many=number: shown() == many)
        assert QApplication.activeModalWidget() is None
        with qtbot.waitSignal(followed.feed.dark):
            QTest.mouseClick(followed.windowHandle(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    dialogs = followed.findChildren(QFileDialog)
    assert len(dialogs) == 1
    assert dialogs[0].testOption(QFileDialog.Option.DontUseNativeDialog)     # the platform's would keep Esc to itself


def shown() -> int:
    """How many windows there are."""
    return len([one for one in QApplication.topLevelWidgets() if one.isVisible()])


def test_a_click_on_the_button_past_an_open_list_is_dark(followed: MainWindow, qtbot: QtBot) -> None:
    an_open_list(followed)
    popup = QApplication.activePopupWidget()
    assert popup is not None
    qtbot.waitUntil(lambda: QGuiApplication.focusWindow() is popup.windowHandle())
    button = followed.strip.dark_button
    place = popup.mapFromGlobal(button.mapToGlobal(button.rect().center()))
    with qtbot.waitSignal(followed.feed.dark):
        QTest.mouseClick(popup.windowHandle(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)


def test_busy_plots_and_a_long_load_do_not_keep_the_light_on(
    lit: MainWindow, emission: Callable[[], bool], qtbot: QtBot, measured: dict[str, Path]
) -> None:
    """Map and colour map are painted as fast as the window can, and files are read, while the key is pressed."""
    painted = {"map": 0, "stack": 0}

    def paint() -> None:
        shown = np.random.default_rng(painted["map"]).normal(size=(201, 201))
        lit.views.map.plot.bar.show(shown, "noise", -3.0, 3.0)
        lit.views.series.bar.show(np.tile(shown, (2, 10)), "noise", -3.0, 3.0)
        painted["map"] += 1

    timer = QTimer(lit)
    timer.timeout.connect(paint)
    timer.start(0)
    for path in measured.values():
        lit.show_scan(path)
    qtbot.waitUntil(lambda: painted["map"] > 5)
    press_escape_twice(qtbot)
    is_dark(lit, emission, qtbot)
    timer.stop()


def test_dark_now_in_every_state_of_the_engine(
    attached_window: MainWindow, emission: Callable[[], bool], qtbot: QtBot, tmp_path: Path
) -> None:
    window = attached_window
    seen = set()
    button = window.strip.dark_button

    def state() -> RunState:
        return RunState.IDLE if window.status is None else window.status.state

    def begin() -> None:
        window.propose_file()
        window.measure.set_recipe(LONG)
        qtbot.waitUntil(window.measure.start_button.isEnabled)
        qtbot.mouseClick(window.measure.start_button, Qt.MouseButton.LeftButton)

    for wanted in (RunState.PREPARING, RunState.RUNNING, RunState.PAUSED, RunState.FINISHING, RunState.ABORTED):
        if wanted is not RunState.ABORTED:
            begin()
            qtbot.waitUntil(lambda: state().busy)
        if wanted in (RunState.RUNNING, RunState.PAUSED, RunState.FINISHING):
            qtbot.waitUntil(lambda: state() is RunState.RUNNING and emission())
        if wanted is RunState.PAUSED:
            qtbot.mouseClick(window.measure.pause_button, Qt.MouseButton.LeftButton)
            qtbot.waitUntil(lambda: state() is RunState.PAUSED)
        if wanted is RunState.FINISHING:
            window.feed.abort()
        seen.add(state())
        assert button.isVisible()
        assert button.isEnabled()
        with qtbot.waitSignal(window.feed.dark):
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        is_dark(window, emission, qtbot)
        qtbot.waitUntil(lambda: not state().busy)
        assert state() is RunState.ABORTED
    assert {RunState.RUNNING, RunState.PAUSED, RunState.ABORTED} <= seen
    assert [line for line in window.log.lines() if "online analysis" in line] == []
