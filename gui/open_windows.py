"""Every window of this program that is open, in a menu of each: the main window and one for every saved scan."""

from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QApplication, QMainWindow, QMenu

NEXT = "Ctrl+F6"


def open_windows() -> list[QMainWindow]:
    """The windows that are open, by title."""
    shown = [one for one in QApplication.topLevelWidgets() if isinstance(one, QMainWindow) and one.isVisible()]
    return sorted(shown, key=lambda one: one.windowTitle())


def bring(window: QMainWindow) -> None:
    """Put a window before the others and give it the keyboard."""
    if window.isMinimized():
        window.showNormal()
    window.raise_()
    window.activateWindow()


def add_windows_menu(window: QMainWindow) -> QMenu:
    """Add the menu to a window; what it lists is looked up whenever it opens."""
    menu = window.menuBar().addMenu("&Windows")
    following = QAction("&Next window", menu)
    following.setShortcut(QKeySequence(NEXT))
    following.triggered.connect(lambda: _next_of(window))

    def fill() -> None:
        for action in menu.actions():
            if action is not following:
                menu.removeAction(action)
                action.deleteLater()
        for number, one in enumerate(open_windows(), start=1):
            action = menu.addAction(f"&{number}  {one.windowTitle()}" if number < 10 else one.windowTitle())
            action.setCheckable(True)
            action.setChecked(one is window)
            action.triggered.connect(lambda _=False, one=one: bring(one))

    menu.addAction(following)
    menu.aboutToShow.connect(fill)
    return menu


def _next_of(window: QMainWindow) -> None:
    windows = open_windows()
    at = windows.index(window) + 1 if window in windows else 0
    bring(windows[at % len(windows)])
