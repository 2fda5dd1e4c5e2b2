"""The main window's menus: everything that can be clicked can be reached from the keyboard too, and Help says how."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QActionGroup, QKeySequence
from qtpy.QtWidgets import QMenu

from halidescope.gui.exporting import ask_picture
from halidescope.gui.open_windows import add_windows_menu
from halidescope.gui.shortcuts import ShortcutsDialog
from halidescope.gui.theme import THEMES

if TYPE_CHECKING:
    from halidescope.gui.window import MainWindow


def build_menus(window: "MainWindow") -> dict[str, QAction]:
    """Fill the menu bar; returns the themes' actions by name, for the window to check the present one."""
    keys = QKeySequence.StandardKey
    file = window.menuBar().addMenu("&File")
    _add(file, "&Welcome page", window.welcome, "Ctrl+Home")
    _add(file, "Open &microscope file…", window.choose_microscope, keys.Open)
    _add(file, "Co&nnect instruments…", window.entrance.open_wizard, "Ctrl+N")
    _add(file, "&Attach to the running engine", window.attach, "Ctrl+T")
    _add(file, "Start the &demo", window.entrance.start_demo, "Ctrl+Shift+D")
    file.addSeparator()
    _add(file, "Open &saved scans…", window.choose_scan, "Ctrl+Shift+O")
    pictures = file.addMenu("Save &picture of")
    for name, dock in window.docking.docks.items():
        _add(pictures, f"{name}…", partial(ask_picture, dock.widget(), name))
    file.addSeparator()
    _add(file, "&Quit", window.close, "Ctrl+Q")     # no platform but X11 and macOS has a key of its own

    panel = window.measure
    measure = window.menuBar().addMenu("&Measurement")
    _add(measure, "&Start", panel.start, "F5")
    _add(measure, "Add to &queue", panel.enqueue, "Ctrl+F5")
    _add(measure, "&Pause or resume", panel.pause_button.click, "F6")
    _add(measure, "S&kip to the next", panel.skip_button.click, "F7")
    _add(measure, "&Abort", panel.abort_button.click, "F8")
    measure.addSeparator()
    _add(measure, "&Dark now (Esc twice)", window.feed.dark_now, "Ctrl+D")

    hands = window.instruments
    by_hand = window.menuBar().addMenu("&Instruments")
    _add(by_hand, "&Connect", hands.connect_button.click, "Ctrl+K")
    _add(by_hand, "&Disconnect", hands.disconnect_button.click, "Ctrl+Shift+K")
    by_hand.addSeparator()
    _add(by_hand, "&Live view", hands.laser.light.click, "Ctrl+L")
    _add(by_hand, "&End live view", hands.laser.off.click, "Ctrl+Shift+L")
    _add(by_hand, "&Take dark spectra", hands.spectrometer.take.click, "Ctrl+B")
    by_hand.addSeparator()

    def jog() -> None:
        window.docking.go_to("Instruments")
        hands.stage.pad.setFocus()

    _add(by_hand, "&Jog the stage (arrow keys)", jog, "Ctrl+J")
    _add(by_hand, "&Stop the stage", hands.stage.stop.click, "Ctrl+.")

    view = window.menuBar().addMenu("&View")
    go_to = view.addMenu("&Go to")
    for number, (name, dock) in enumerate(window.docking.docks.items(), start=1):
        view.addAction(dock.toggleViewAction())
        _add(go_to, f"Go to {name}", partial(window.docking.go_to, name), f"Alt+{number}" if number < 10 else None)
    _add(view, "&Reset layout", window.docking.arrange, "Ctrl+R")
    _add(view, "&Full screen, without the desktop's title", partial(_fill, window), "F11")
    themes = view.addMenu("&Theme")
    group = QActionGroup(window)
    actions = {}
    for number, (name, theme) in enumerate(THEMES.items(), start=1):
        words = "red on black (dark room)" if name == "red" else name
        action = _add(themes, words, partial(window.set_theme, theme), f"Ctrl+Alt+{number}")
        action.setCheckable(True)
        group.addAction(action)
        actions[name] = action

    add_windows_menu(window)
    help_menu = window.menuBar().addMenu("&Help")
    _add(help_menu, "&Keys", lambda: ShortcutsDialog(window).show(), "F1")
    return actions


def _fill(window: "MainWindow") -> None:
    """Take the whole screen, or give it back."""
    window.setWindowState(window.windowState() ^ Qt.WindowState.WindowFullScreen)


def _add(
    menu: QMenu, words: str, act: Callable[[], object], key: QKeySequence.StandardKey | str | None = None
) -> QAction:
    action = QAction(words, menu)
    action.triggered.connect(lambda _checked=False: act())
    if key is not None:
        action.setShortcut(QKeySequence(key))
    menu.addAction(action)
    return action
