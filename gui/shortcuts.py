"""The overview of all keys: those of the menus as they are, and those of single panels."""

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QHeaderView, QMenu, QTableWidget, QTableWidgetItem, QVBoxLayout

from halidescope.gui.theme import px

if TYPE_CHECKING:
    from halidescope.gui.window import MainWindow

# keys that need the keyboard to be in a panel, or that no menu has
PANEL_KEYS = (
    ("Esc Esc", "Dark now: the laser off at once, in every window and over every question"),
    ("Arrow keys", "jog the stage (while the jog pad has the keyboard, Ctrl+J)"),
    ("Page Up, Page Down", "larger or smaller jog step (jog pad)"),
    ("Ctrl+Up, Ctrl+Down", "move a measurement of the queue, or a step of a sequence"),
    ("Del", "remove a measurement of the queue, or a step of a sequence"),
    ("Ins, Return", "add or edit a step of a sequence"),
    ("Ctrl+Z", "undo the last change of a sequence"),
    ("Arrow keys", "neighbouring pixel (while a map has the keyboard)"),
    ("Left, Right", "neighbouring spectrum (while a time series has the keyboard)"),
    ("Ctrl+C", "copy a plot's data as text (while it has the keyboard), or lines of the log"),
)


class ShortcutsDialog(QDialog):
    """A table of keys and what they do."""

    def __init__(self, window: "MainWindow") -> None:
        super().__init__(window)
        self.setWindowTitle("Keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        rows = [*menu_keys(window), *PANEL_KEYS]
        self.table = QTableWidget(len(rows), 2, self)
        self.table.setHorizontalHeaderLabels(["key", "does"])
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        for row, (key, words) in enumerate(rows):
            self.table.setItem(row, 0, QTableWidgetItem(key))
            self.table.setItem(row, 1, QTableWidgetItem(words))
        self.table.resizeColumnToContents(0)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, parent=self)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, 1)
        layout.addWidget(buttons)
        self.resize(px(640), px(620))


def menu_keys(window: "MainWindow") -> list[tuple[str, str]]:
    """Every menu entry that has a key, as the menus have it."""
    found = []
    for menu in (action.menu() for action in window.menuBar().actions()):
        waiting = list(menu.actions()) if isinstance(menu, QMenu) else []
        while waiting:
            action = waiting.pop(0)
            inner = action.menu()
            if isinstance(inner, QMenu):
                waiting = [*inner.actions(), *waiting]
            elif not action.shortcut().isEmpty():
                key = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
                found.append((key, action.text().replace("&", "").rstrip("…")))
    return found
