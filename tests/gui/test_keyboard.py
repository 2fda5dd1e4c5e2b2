"""Everything by keyboard alone: from the welcome page through a measurement to its file; the order of the Tab key."""

from collections.abc import Callable
from pathlib import Path

from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog, QLineEdit

from halidescope.acquisition.states import RunState
from halidescope.gui.offline import ScanWindow
from halidescope.gui.open_windows import open_windows
from halidescope.gui.window import MainWindow

CONTROL, SHIFT, ALT = (
    Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier
)


def press(qtbot: QtBot, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """As the window system does: to whatever window has the keyboard."""
    qtbot.waitUntil(lambda: QGuiApplication.focusWindow() is not None)
    QTest.keyClick(QGuiApplication.focusWindow(), key, modifiers)


def types(qtbot: QtBot, text: str) -> None:
    """Type over what a field holds."""
    press(qtbot, Qt.Key.Key_A, CONTROL)
    for letter in text:
        QTest.keyClick(QGuiApplication.focusWindow(), letter)


def tab_to(qtbot: QtBot, there: Callable[[], bool], most: int = 60) -> None:
    """Press Tab until the keyboard is there."""
    for _ in range(most):
        if there():
            return
        press(qtbot, Qt.Key.Key_Tab)
    raise AssertionError(f"not reached by Tab; the keyboard is in {QApplication.focusWidget()}")


def in_field(name: str) -> Callable[[], bool]:
    return lambda: isinstance(QApplication.focusWidget(), QLineEdit) and QApplication.focusWidget().objectName() == name


def test_from_the_demo_to_the_file_without_a_mouse(window: MainWindow, qtbot: QtBot) -> None:
    window.activateWindow()
    window.welcome()
    press(qtbot, Qt.Key.Key_D, CONTROL | SHIFT)
    qtbot.waitUntil(lambda: window.status is not None and window.status.connected)
    press(qtbot, Qt.Key.Key_1, ALT)
    tab_to(qtbot, lambda: QApplication.focusWidget() is window.measure.kind)
    press(qtbot, Qt.Key.Key_Home)
    while window.measure.kind.currentData() != "time-series":
        at = window.measure.kind.currentIndex()
        press(qtbot, Qt.Key.Key_Down)
        assert window.measure.kind.currentIndex() == at + 1
    for name, value in (("sample_power_uw", "20"), ("duration_s", "3000"), ("dark_spectra", "2")):
        tab_to(qtbot, in_field(name))
        types(qtbot, value)
    qtbot.waitUntil(window.measure.start_button.isEnabled)
    for key, state in (
        (Qt.Key.Key_F5, RunState.RUNNING), (Qt.Key.Key_F6, RunState.PAUSED), (Qt.Key.Key_F6, RunState.RUNNING),
        (Qt.Key.Key_F8, RunState.ABORTED),
    ):
        press(qtbot, key)
        qtbot.waitUntil(lambda wanted=state: window.status is not None and window.status.state is wanted)
    assert window.status is not None
    file = Path(window.status.file)
    press(qtbot, Qt.Key.Key_O, CONTROL | SHIFT)
    qtbot.waitUntil(lambda: isinstance(QApplication.activeWindow(), QFileDialog))
    types(qtbot, str(file))
    press(qtbot, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(open_windows()) == 2)
    saved = next(one for one in open_windows() if isinstance(one, ScanWindow))
    qtbot.waitUntil(lambda: saved.scan is not None)
    saved.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is saved)
    press(qtbot, Qt.Key.Key_F6, CONTROL)
    qtbot.waitUntil(lambda: QApplication.activeWindow() is window)
    titles = [action.text() for action in saved.windows_menu.actions()]
    saved.windows_menu.aboutToShow.emit()
    titles = [action.text() for action in saved.windows_menu.actions()]
    assert any(file.name in title for title in titles)
    assert len(titles) == 3
    with qtbot.waitSignal(window.feed.closed):
        press(qtbot, Qt.Key.Key_Q, CONTROL)


def test_the_tab_key_goes_through_the_form_from_top_to_bottom(followed: MainWindow, qtbot: QtBot) -> None:
    followed.activateWindow()
    panel = followed.measure
    panel.kind.setFocus()
    reached = []
    while panel.isAncestorOf(widget := QApplication.focusWidget()) and widget not in reached:
        reached.append(widget)
        press(qtbot, Qt.Key.Key_Tab)
    assert reached[:2] == [panel.kind, panel.recipes_button]
    assert reached[-2] is panel.file        # then the button that looks for another; those to start are disabled
    fields = [one for one in reached if isinstance(one, QLineEdit | QComboBox) and panel.form.isAncestorOf(one)]
    assert len(fields) > 10
    places = [one.mapTo(panel.form, one.rect().center()) for one in fields]
    rows = [(place.y() // 12, place.x()) for place in places]
    assert rows == sorted(rows)


def test_every_panel_has_a_key_and_shows_where_the_keyboard_is(followed: MainWindow, qtbot: QtBot) -> None:
    followed.activateWindow()
    for number, name in enumerate(list(followed.docking.docks)[:9], start=1):
        press(qtbot, Qt.Key(Qt.Key.Key_0 + number), ALT)
        panel = followed.docking[name].widget()
        qtbot.waitUntil(panel.isVisible)
        assert panel.isAncestorOf(QApplication.focusWidget()), name
