"""The queue in the window: added, moved, removed, brought back, held, skipped, by clicks and keys."""

from pathlib import Path

from msgspec.structs import replace
from played_engine import PlayedEngine
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from halidescope.acquisition.recipes import TimeSeries
from halidescope.acquisition.states import Question, RunState
from halidescope.gui.window import MainWindow

SERIES = TimeSeries(sample_power_uw=120.0, duration_s=50.0)


def queued(window: MainWindow, qtbot: QtBot, count: int) -> None:
    """Queue that many measurements by the button, each with the proposed file."""
    window.measure.set_recipe(SERIES)
    for number in range(1, count + 1):
        qtbot.waitUntil(window.measure.queue_button.isEnabled)
        proposed = window.measure.file.text()
        qtbot.mouseClick(window.measure.queue_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda number=number: len(window.queue.waiting) == number)
        qtbot.waitUntil(lambda old=proposed: window.measure.file.text() != old)
    window.docking["Queue"].raise_()


def test_the_order_is_changed_by_keys_and_every_file_has_its_own_name(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    queued(followed, qtbot, 3)
    assert followed.docking["Queue"].windowTitle() == "Queue (3)"
    assert len({item.out for item in engine.queue()}) == 3
    queue = followed.queue
    queue.list.setCurrentRow(2)
    queue.list.setFocus()
    qtbot.keyClick(queue.list, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: [item.id for item in queue.waiting] == [1, 3, 2])
    assert queue.selected is not None
    assert queue.selected.id == 3
    assert not queue.buttons["skip"].isEnabled()
    qtbot.mouseClick(queue.buttons["down"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [item.id for item in queue.waiting] == [1, 2, 3])


def test_what_is_removed_can_be_brought_back(followed: MainWindow, engine: PlayedEngine, qtbot: QtBot) -> None:
    queued(followed, qtbot, 2)
    followed.queue.list.setCurrentRow(0)
    followed.queue.list.setFocus()
    qtbot.keyClick(followed.queue.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: [item.id for item in followed.queue.waiting] == [2])
    qtbot.waitUntil(lambda: [button.text() for button in followed.notice.buttons] == ["undo"])
    qtbot.mouseClick(followed.notice.buttons[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [item.id for item in followed.queue.waiting] == [2, 3])


def test_hold_and_skip(followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path) -> None:
    queued(followed, qtbot, 2)
    queue = followed.queue
    qtbot.mouseClick(queue.buttons["hold"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: queue.buttons["hold"].text() == "Go on")
    assert "The queue holds: held on request" in queue.words.text()
    qtbot.mouseClick(queue.buttons["hold"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: queue.buttons["hold"].text() == "Hold")
    item, _ = engine.waiting.take()
    engine.begin(item.out)
    engine.now = replace(engine.now, queue_item=item.id, done=12)
    qtbot.waitUntil(lambda: queue.list.item(0).text() == "▶ time series 50 s at 120 µW 12/100")
    qtbot.mouseClick(followed.measure.skip_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.calls[-1] == "skip")


def test_a_question_of_the_engine_is_answered_by_a_button(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    question = Question(id=7, text="the lamp is cold; go on?", choices=["go on", "stop"])
    engine.now = replace(engine.now, state=RunState.PAUSED, question=question)
    qtbot.waitUntil(lambda: [one.text() for one in followed.notice.buttons] == ["go on", "stop"])
    assert "the lamp is cold" in followed.notice.text.text()
    qtbot.mouseClick(followed.notice.buttons[1], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "answer 7 stop" in engine.calls)


def test_who_else_commands_is_said_and_the_command_can_be_taken(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    engine.now = replace(engine.now, commander="ana (process 12)")
    qtbot.waitUntil(lambda: "ana (process 12) has the command" in followed.notice.text.text())
    qtbot.mouseClick(followed.notice.buttons[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "take_command" in engine.calls)
