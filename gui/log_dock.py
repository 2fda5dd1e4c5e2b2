"""What has happened: the engine's events and this window's own messages, by level, to be searched and copied."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QGuiApplication, QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.records import Event

MAX_LINES = 2000       # shown; all events are in the measurement's file
LEVELS = ("info", "warning", "error")
MARKS = {"warning": "⚠ ", "error": "✖ "}
LEVEL = Qt.ItemDataRole.UserRole


class OwnMessages(QObject):
    """This program's own log records, handed to the window's thread as ``logged(level, text)``."""

    logged = Signal(str, str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._handler = _Handler(self)
        logging.getLogger("halidescope").addHandler(self._handler)

    def close(self) -> None:
        """Listen no more."""
        logging.getLogger("halidescope").removeHandler(self._handler)


class _Handler(logging.Handler):
    """Hands on records from any thread."""

    def __init__(self, messages: OwnMessages) -> None:
        super().__init__(logging.INFO)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for at, name in ((logging.ERROR, "error"), (logging.WARNING, "warning"))
                      if record.levelno >= at), "info")
        self._messages.logged.emit(level, record.getMessage())


class LogPanel(QWidget):
    """A list of lines, each with its time and level."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.level = QComboBox(self)
        self.level.setAccessibleName("lowest level shown")
        for words, level in (("everything", "info"), ("warnings and errors", "warning"), ("errors", "error")):
            self.level.addItem(words, level)
        self.search = QLineEdit(self)
        self.search.setPlaceholderText("search")
        self.search.setAccessibleName("search the log")
        self.search.setClearButtonEnabled(True)
        self.copy = QPushButton("Copy", self)
        self.copy.setToolTip("copy the selected lines, or all that are shown (Ctrl+C)")
        self.list = QListWidget(self)
        self.list.setWordWrap(True)
        self.list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.list.setAccessibleName("events")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        row = QHBoxLayout()
        row.addWidget(self.level, 1)
        row.addWidget(self.copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 6)
        layout.addLayout(row)
        layout.addWidget(self.search)
        layout.addWidget(self.list, 1)
        self.level.currentIndexChanged.connect(lambda _: self._filter())
        self.search.textChanged.connect(lambda _: self._filter())
        self.copy.clicked.connect(self.copy_lines)
        shortcut = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self.list)
        shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
        shortcut.activated.connect(self.copy_lines)

    def add_events(self, events: Sequence[Event]) -> None:
        """Add what happened in the engine, newest at the bottom."""
        for event in events:
            self._add(event.at[11:19], event.level, event.text, f"{event.at}  {event.level}\n{event.text}")
        self.list.scrollToBottom()

    def add_own(self, level: str, text: str) -> None:
        """Add what this window has to say."""
        now = datetime.now(tz=UTC).isoformat(timespec="seconds")
        self._add(now[11:19], level, text, f"{now}  {level}, this window\n{text}")
        self.list.scrollToBottom()

    def _add(self, at: str, level: str, text: str, tip: str) -> None:
        item = QListWidgetItem(f"{at}  {MARKS.get(level, '')}{text}")
        item.setToolTip(tip)
        item.setData(LEVEL, level)
        self.list.addItem(item)
        item.setHidden(not self._wanted(item))
        while self.list.count() > MAX_LINES:
            self.list.takeItem(0)

    def lines(self) -> list[str]:
        """All lines, shown or not."""
        return [self.list.item(k).text() for k in range(self.list.count())]

    def _wanted(self, item: QListWidgetItem) -> bool:
        level = str(item.data(LEVEL))
        grave = LEVELS.index(level if level in LEVELS else "info") >= LEVELS.index(self.level.currentData())
        return grave and self.search.text().lower() in item.text().lower()

    def _filter(self) -> None:
        for k in range(self.list.count()):
            item = self.list.item(k)
            item.setHidden(not self._wanted(item))

    def copy_lines(self) -> None:
        """Copy the selected lines, or all that are shown."""
        chosen = self.list.selectedItems() or [
            item for k in range(self.list.count()) if not (item := self.list.item(k)).isHidden()
        ]
        QGuiApplication.clipboard().setText("\n".join(item.toolTip().replace("\n", "  ") for item in chosen))
