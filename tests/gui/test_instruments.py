"""Instruments by hand: what is shown, what may be pressed, jog by keys, the live view, a connection lost and back."""

import pytest
from msgspec.structs import replace
from played_engine import PlayedEngine
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPointF, Qt

from halidescope.acquisition.states import RunState
from halidescope.gui.instruments_dock import InstrumentsPanel
from halidescope.gui.window import MainWindow


@pytest.fixture
def hands(followed: MainWindow, qtbot: QtBot) -> InstrumentsPanel:
    """The panel with connected instruments."""
    qtbot.waitUntil(followed.instruments.stage.go.isEnabled)
    return followed.instruments


def test_limits_of_the_instruments_are_those_of_the_fields(hands: InstrumentsPanel, qtbot: QtBot) -> None:
    laser = hands.laser
    assert laser.labels["limits"].text() == "0 to 400 µW"
    assert "0 to 400 µW" in laser.power.edit.toolTip()
    laser.power.edit.selectAll()
    qtbot.keyClicks(laser.power.edit, "500")
    assert laser.power.edit.property("invalid") is True
    assert laser.power.edit.text() == "500"
    assert not laser.light.isEnabled()
    assert hands.spectrometer.labels["detector"].text() == "no cooler"
    assert hands.stage.labels["travel"].text() == "200 × 200 µm"


def test_arrow_keys_jog_and_the_last_of_many_counts(
    hands: InstrumentsPanel, followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    pad = hands.stage.pad
    pad.setFocus()
    qtbot.keyClick(pad, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: engine.calls == ["move to 5 0"])
    qtbot.waitUntil(lambda: hands.stage.labels["x"].text() == "5.000 µm")
    qtbot.keyClick(pad, Qt.Key.Key_PageUp)
    assert hands.stage.step.currentText() == "10 µm"
    for _ in range(3):
        qtbot.keyClick(pad, Qt.Key.Key_Up)
    qtbot.waitUntil(lambda: hands.stage.labels["y"].text() == "30.000 µm")
    qtbot.keyClick(pad, Qt.Key.Key_Down, delay=0)
    qtbot.waitUntil(lambda: hands.stage.labels["y"].text() == "20.000 µm")
    before = len(engine.calls)
    for _ in range(5):
        qtbot.keyClick(pad, Qt.Key.Key_Left)      # the second and later would leave the travel
    qtbot.waitUntil(lambda: hands.stage.labels["x"].text() in ("5.000 µm", "-5.000 µm"))
    assert not any("-" in call for call in engine.calls[before:])


def test_a_click_on_the_film_goes_there_and_one_outside_says_why_not(
    hands: InstrumentsPanel, followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    followed.docking["Film"].raise_()
    film = followed.film
    qtbot.waitUntil(film.isVisible)

    def click(x_um: float, y_um: float) -> None:
        scene = film.plot.getPlotItem().getViewBox().mapViewToScene(QPointF(x_um, y_um))
        qtbot.mouseClick(film.plot.viewport(), Qt.MouseButton.LeftButton, pos=film.plot.mapFromScene(scene))

    click(120.0, 80.0)
    qtbot.waitUntil(lambda: any(call.startswith("move to 1") for call in engine.calls))
    x, y = (float(part) for part in engine.calls[-1].split()[-2:])
    assert abs(x - 120.0) < 2
    assert abs(y - 80.0) < 2
    click(203.0, 100.0)
    qtbot.waitUntil(lambda: "beyond its travel" in followed.notice.text.text())
    engine.ledger.book(50.0, 60.0, 4.2e5)
    film.ask()
    qtbot.waitUntil(lambda: "greatest dose" in film.words.text())
    assert film.image.image is not None


def test_a_live_view_is_lit_changed_and_ended_by_keys(
    hands: InstrumentsPanel, followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    control = Qt.KeyboardModifier.ControlModifier
    qtbot.keyClick(followed, Qt.Key.Key_L, control)
    qtbot.waitUntil(lambda: hands.laser.light.text() == "Change")
    assert engine.calls == ["live 5"]
    assert "EMISSION" in followed.strip.emission.text()
    assert "ends by itself in 5:00" in hands.laser.left.text()
    assert not hands.spectrometer.take.isEnabled()
    qtbot.keyClick(followed, Qt.Key.Key_L, control | Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: hands.laser.light.text() == "Live view")
    assert engine.calls == ["live 5", "live_off"]
    qtbot.mouseClick(hands.spectrometer.take, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "level 100.0 counts" in hands.spectrometer.result.text())


def test_a_ramp_rises_in_steps_to_its_power_and_dark_now_ends_it(
    hands: InstrumentsPanel, followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    hands.laser.ramp.set_value(1.5)
    hands.laser.power.set_value(30)
    qtbot.mouseClick(hands.laser.light, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.calls[-1:] == ["live 30"])
    powers = [float(call.split()[1]) for call in engine.calls]
    assert powers == sorted(powers)
    assert len(powers) >= 3
    hands.laser.power.set_value(300)
    hands.laser.ramp.set_value(60)
    qtbot.mouseClick(hands.laser.light, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: 30 < float(engine.calls[-1].split()[1]) < 60)
    qtbot.mouseClick(followed.strip.dark_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.calls[-1] == "dark_now")
    asked = len(engine.calls)
    for _ in range(4):      # two steps of the ramp would have come by now
        with qtbot.waitSignal(followed.feed.status):
            pass
    assert engine.calls[asked:] == []


def test_a_measurement_takes_the_instruments_out_of_ones_hands(
    hands: InstrumentsPanel, engine: PlayedEngine, qtbot: QtBot
) -> None:
    engine.now = replace(engine.now, state=RunState.RUNNING)
    qtbot.waitUntil(lambda: not hands.stage.go.isEnabled())
    for button in (hands.laser.light, hands.spectrometer.take, hands.disconnect_button, hands.stage.pad):
        assert not button.isEnabled()
    assert "nothing is moved by hand" in hands.words.text()


def test_a_lost_connection_says_what_to_do_and_comes_back(
    hands: InstrumentsPanel, followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    engine.note("connection given up while idle: stage pi-e727 does not answer", "warning")
    engine.lose()
    qtbot.waitUntil(hands.connect_button.isEnabled)
    qtbot.waitUntil(lambda: "check power, cables" in hands.words.text())
    assert "stage pi-e727 does not answer" in hands.words.text()
    assert "interlock unknown" in followed.strip.interlock.text()
    assert not hands.stage.pad.isEnabled()
    qtbot.keyClick(followed, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: hands.stage.pad.isEnabled() and hands.words.text() == "connected")
    assert "connect" in engine.calls


def test_what_keeps_the_laser_dark_is_said_with_what_to_do(
    hands: InstrumentsPanel, engine: PlayedEngine, qtbot: QtBot
) -> None:
    as_usual = engine.facts
    for change, advice in (
        ({"interlock_closed": False}, "close the enclosure"), ({"waits_for_key": True}, "turn the key switch"),
        ({"warming_up": True}, "warming up"), ({"fault": "diode current"}, "fault: diode current"),
    ):
        engine.facts = replace(as_usual, laser=replace(as_usual.laser, **change))
        qtbot.waitUntil(lambda advice=advice: advice in hands.laser.advice.text())
        assert hands.laser.advice.isVisible()
        assert hands.laser.clear.isVisible() is ("fault" in change)
    qtbot.mouseClick(hands.laser.clear, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(hands.laser.advice.isHidden)
    assert engine.calls == ["clear_fault"]


def test_the_log_is_searched_filtered_and_copied(followed: MainWindow, engine: PlayedEngine, qtbot: QtBot) -> None:
    engine.note("light on: 120 µW")
    engine.note("spectrometer silent, asked again", "warning")
    log = followed.log
    followed.docking["Log"].raise_()
    qtbot.waitUntil(lambda: len(log.lines()) >= 2)
    log.level.setCurrentIndex(1)
    shown = [log.list.item(k).text() for k in range(log.list.count()) if not log.list.item(k).isHidden()]
    assert shown == ["10:11:12  ⚠ spectrometer silent, asked again"]
    qtbot.mouseClick(log.copy, Qt.MouseButton.LeftButton)
    from qtpy.QtGui import QGuiApplication

    assert "warning" in QGuiApplication.clipboard().text()
    log.level.setCurrentIndex(0)
    qtbot.keyClicks(log.search, "light")
    assert log.list.item(1).isHidden()
