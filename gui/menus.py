"""The main window's menus: everything that can be clicked can be reached from the keyboard too."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtGui import QAction, QActionGroup, QKeySequence
from qtpy.QtWidgets import QMenu

from halidescope.gui.theme import THEMES

if TYPE_CHECKING:
    from halidescope.gui.window import MainWindow


def build_menus(window: "MainWindow") -> dict[str, QAction]:
    """Fill the menu bar; returns the themes' actions by name, for the window to check the present one."""
    keys = QKeySequence.StandardKey
    file = window.menuBar().addMenu("&File")
    _add(file, "Open &microscope file…", window.choose_microscope, QKeySequence(keys.Open))
    _add(file, "&Attach to the running engine", window.attach, QKeySequence("Ctrl+T"))
    _add(file, "Open &saved scan…", window.choose_scan, QKeySequence("Ctrl+Shift+O"))
    file.addSeparator()
    _add(file, "&Quit", window.close, QKeySequence(keys.Quit))
    measure = window.menuBar().addMenu("&Measurement")
    _add(measure, "&Start", window.measure.start_button.click, QKeySequence("F5"))
    _add(measure, "&Pause or resume", window.measure.pause_button.click, QKeySequence("F6"))
    _add(measure, "&Abort", window.measure.abort_button.click, QKeySequence("F8"))
    _add(measure, "&Dark now (Esc twice)", window.feed.dark_now, QKeySequence("Ctrl+D"))
    view = window.menuBar().addMenu("&View")
    for dock in window.docks.values():
        view.addAction(dock.toggleViewAction())
    _add(view, "&Reset layout", window.arrange)
    themes = view.addMenu("&Theme")
    group = QActionGroup(window)
    actions = {}
    for name, theme in THEMES.items():
        action = _add(themes, "red on black" if name == "red" else name, partial(window.set_theme, theme))
        action.setCheckable(True)
        group.addAction(action)
        actions[name] = action
    return actions


def _add(menu: QMenu, words: str, act: Callable[[], object], key: QKeySequence | None = None) -> QAction:
    action = QAction(words, menu)
    action.triggered.connect(lambda _checked=False: act())
    if key is not None:
        action.setShortcut(key)
    menu.addAction(action)
    return action
