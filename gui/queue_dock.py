"""The queue: what is over, runs and waits, in which order; move, remove, hold, skip."""

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QGridLayout, QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget

from halidescope.acquisition.states import Status
from halidescope.acquisition.waiting import ItemState, QueueItem
from halidescope.gui.sentence import Sentence
from halidescope.gui.values import duration

MARKS = {
    ItemState.WAITING: "…", ItemState.RUNNING: "▶", ItemState.FINISHED: "✓", ItemState.SKIPPED: "↷",
    ItemState.ABORTED: "■", ItemState.FAILED: "✖", ItemState.REFUSED: "✖",
}  # fmt: skip
ID = Qt.ItemDataRole.UserRole


class QueuePanel(QWidget):
    """Paints the engine's queue and emits what a person asks of it.

    Signals
    -------
    move_asked(int, int)
        Item, and the place among those that wait, 0 being the next.
    remove_asked(int), hold_asked(bool), skip_asked()
    """

    move_asked = Signal(int, int)
    remove_asked = Signal(int)
    hold_asked = Signal(bool)
    skip_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._items: tuple[QueueItem, ...] = ()
        self._held = False
        self._progress = ""
        self._reason = ""
        self.words = Sentence("", self)
        self.list = QListWidget(self)
        self.list.setAccessibleName("queue of measurements")
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentRowChanged.connect(lambda _: self._enable())
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout()
        grid.setSpacing(4)
        for k, (name, words, key, act) in enumerate((
            ("up", "Up", "Ctrl+Up", lambda: self._shift(-1)), ("down", "Down", "Ctrl+Down", lambda: self._shift(+1)),
            ("remove", "Remove", "Del", self._remove), ("skip", "Skip", "", self.skip_asked.emit),
            ("hold", "Hold", "", lambda: self.hold_asked.emit(not self._held)),
        )):  # fmt: skip
            button = QPushButton(words, self)
            button.clicked.connect(lambda _=False, act=act: act())
            if key:
                button.setToolTip(f"{words.lower()} ({key}, while the list has the keyboard)")
                shortcut = QShortcut(QKeySequence(key), self.list)
                shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
                shortcut.activated.connect(button.click)
            grid.addWidget(button, k // 3, k % 3)
            self.buttons[name] = button
        self.buttons["skip"].setToolTip("end the running measurement, its file finished, and go on with the next (F7)")
        self.buttons["hold"].setToolTip("do not begin the next measurement when the present one is over")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 8)
        layout.addWidget(self.words)
        layout.addWidget(self.list, 1)
        layout.addLayout(grid)
        self.show_items(())

    def show_items(self, items: Sequence[QueueItem]) -> None:
        """Show the queue as it is now; the selected measurement stays selected."""
        items = tuple(items)
        if items == self._items and items:
            return
        selected = self.selected
        self._items = items
        self.list.blockSignals(True)
        self.list.clear()
        for item in items:
            entry = QListWidgetItem(self._line(item))
            entry.setData(ID, item.id)
            entry.setToolTip(f"{item.out}\n{item.state}" + (f": {item.reason}" if item.reason else ""))
            self.list.addItem(entry)
            if selected is not None and item.id == selected.id:
                self.list.setCurrentItem(entry)
        self.list.blockSignals(False)
        self._say()
        self._enable()

    def show_status(self, status: Status) -> None:
        """Show whether the queue holds, and how far the running measurement is."""
        self._held = status.queue_held
        hold = "Go on" if self._held else "Hold"
        if self.buttons["hold"].text() != hold:
            self.buttons["hold"].setText(hold)
        self._reason = status.queue_reason
        progress = f"{status.done}/{status.total}" if status.state.busy and status.queue_item is not None else ""
        if progress != self._progress:
            self._progress = progress
            for row, item in enumerate(self._items):
                if item.state is ItemState.RUNNING:
                    self.list.item(row).setText(self._line(item))
        self._say()
        self._enable()

    @property
    def selected(self) -> QueueItem | None:
        """The measurement that is selected."""
        row = self.list.currentRow()
        return self._items[row] if 0 <= row < len(self._items) else None

    @property
    def waiting(self) -> list[QueueItem]:
        """Those that wait, the next one first."""
        return [item for item in self._items if item.state is ItemState.WAITING]

    def _say(self) -> None:
        waiting = self.waiting
        if not self._items:
            words = "Nothing is queued. 'Add to queue' puts the shown recipe at the end."
        else:
            total = sum(item.duration_s for item in waiting)
            words = f"{len(waiting)} waiting" + (f", {duration(total)} of measuring" if waiting else "")
        if self._held:
            words = f"The queue holds: {self._reason or 'held on request'}. {words}"
        self.words.setText(words)

    def _line(self, item: QueueItem) -> str:
        tail = f" {self._progress}" if item.state is ItemState.RUNNING and self._progress else ""
        reason = f": {item.reason}" if item.reason and not item.state.good else ""
        return f"{MARKS[item.state]} {item.title}{tail}{reason}"

    def _enable(self) -> None:
        item, waiting = self.selected, self.waiting
        place = waiting.index(item) if item in waiting else -1
        self.buttons["up"].setEnabled(place > 0)
        self.buttons["down"].setEnabled(0 <= place < len(waiting) - 1)
        self.buttons["remove"].setEnabled(item is not None and item.state is not ItemState.RUNNING)
        self.buttons["skip"].setEnabled(any(one.state is ItemState.RUNNING for one in self._items))

    def _shift(self, by: int) -> None:
        item, waiting = self.selected, self.waiting
        if item in waiting and item is not None:
            self.move_asked.emit(item.id, waiting.index(item) + by)

    def _remove(self) -> None:
        if self.selected is not None:
            self.remove_asked.emit(self.selected.id)
