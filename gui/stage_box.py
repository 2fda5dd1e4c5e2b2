"""The stage: where it stands, go to a place, jog by buttons or arrow keys, stop.

Moves are asked for one at a time: while one is under way only the newest wish is kept, so that a held key does not fill
a queue that goes on after the key is let go.
"""

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.states import Status
from halidescope.gui.number_field import NumberField
from halidescope.gui.theme import px
from halidescope.gui.value_rows import value_rows

STEPS_UM = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
ARROWS = {
    Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1),
}  # fmt: skip


class StageBox(QGroupBox):
    """Emits ``move_asked(x, y)`` in µm and ``stop_asked()``."""

    move_asked = Signal(float, float)
    stop_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("stage", parent)
        self._ready = False
        self._busy = False
        self._place: tuple[float, float] | None = None
        self._travel = ((-math.inf, math.inf), (-math.inf, math.inf))
        self._under_way = False
        self._wish: tuple[float, float] | None = None
        form, self.labels = value_rows(self, ("x", "y", "travel"))
        self.to_x = NumberField("go to x", "µm", 0.0, (-math.inf, math.inf), "place to go to", self)
        self.to_y = NumberField("go to y", "µm", 0.0, (-math.inf, math.inf), "place to go to", self)
        self.go = QPushButton("Go", self)
        self.go.setToolTip("move there; the light of a live view goes along")
        self.stop = QPushButton("Stop", self)
        self.stop.setToolTip("stop the stage now (Ctrl+.)")
        self.step = QComboBox(self)
        self.step.setAccessibleName("jog step")
        for step in STEPS_UM:
            self.step.addItem(f"{step:g} µm", step)
        self.step.setCurrentIndex(STEPS_UM.index(5.0))
        self.step.setToolTip("how far one jog goes; Page Up and Page Down change it while the pad has the keyboard")
        self.pad = JogPad(self)
        settings = QFormLayout()
        settings.setVerticalSpacing(2)
        settings.addRow("go to x", self.to_x)
        settings.addRow("go to y", self.to_y)
        buttons = QHBoxLayout()
        buttons.addWidget(self.go)
        buttons.addWidget(self.stop)
        jog = QHBoxLayout()
        jog.addWidget(self.pad)
        side = QVBoxLayout()
        side.addWidget(QLabel("jog step", self))
        side.addWidget(self.step)
        side.addStretch(1)
        jog.addLayout(side, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 4)
        layout.setSpacing(3)
        layout.addLayout(form)
        layout.addLayout(settings)
        layout.addLayout(buttons)
        layout.addLayout(jog)
        self.go.clicked.connect(self._go)
        self.stop.clicked.connect(self._stop)
        self.pad.jogged.connect(self.jog)
        self.pad.stepped.connect(lambda by: self.step.setCurrentIndex(
            max(0, min(self.step.count() - 1, self.step.currentIndex() + by))
        ))
        for field in (self.to_x, self.to_y):
            field.changed.connect(self._enable)
            field.entered.connect(self._go)
        self.set_unknown()

    @property
    def ready(self) -> bool:
        """True if the stage can be moved by hand."""
        return self._ready and not self._busy

    def show_facts(self, facts: InstrumentFacts) -> None:
        """Show what the stage is and allows."""
        stage = facts.stage
        self._ready = facts.connected and stage is not None
        if stage is not None and stage.travel_um != self._travel:
            self._travel = stage.travel_um
            (x0, x1), (y0, y1) = stage.travel_um
            self.to_x.set_limits(x0, x1)
            self.to_y.set_limits(y0, y1)
            self.labels["travel"].setText(f"{x1 - x0:g} × {y1 - y0:g} µm")
            self.labels["travel"].setToolTip(
                f"x {x0:g} to {x1:g} µm, y {y0:g} to {y1:g} µm; arrives within {stage.tolerance_um:g} µm\n"
                f"{stage.device}"
            )
        self._enable()

    def show_status(self, status: Status) -> None:
        """Show where the stage stands."""
        self._busy = status.state.busy
        place = status.position_um
        if place is not None and self._place is None and not self.to_x.edit.isModified():
            self.to_x.set_value(round(place[0], 2) + 0.0)      # no -0, nor -0.001 that noise reads at the end
            self.to_y.set_value(round(place[1], 2) + 0.0)
        self._place = place
        for k, axis in enumerate("xy"):
            self.labels[axis].setText("unknown" if place is None else f"{round(place[k], 3) + 0.0:.3f} µm")
        self._enable()

    def set_unknown(self) -> None:
        """Nothing is known of the stage."""
        self._ready, self._under_way, self._wish, self._place = False, False, None, None
        for label in self.labels.values():
            label.setText("unknown")
        self._enable()

    def jog(self, dx: int, dy: int) -> None:
        """Move by a step, from where the stage stands or is going; beyond the travel nothing happens."""
        start = self._wish or self._place
        if not self.ready or start is None:
            return
        step = float(self.step.currentData())
        self.ask(start[0] + dx * step, start[1] + dy * step)

    def ask(self, x_um: float, y_um: float) -> bool:
        """Ask for a place, at once or after the move under way; False if it is beyond the travel, or not now."""
        (x0, x1), (y0, y1) = self._travel
        if not self.ready or not (x0 <= x_um <= x1 and y0 <= y_um <= y1):
            return False
        self._wish = (x_um, y_um)
        if not self._under_way:
            self._under_way = True
            self.move_asked.emit(x_um, y_um)
        return True

    def arrived(self, place: tuple[float, float]) -> None:
        """The move is over; the newest wish, if it is another one, is next."""
        self._place = place
        self._under_way = False
        wish, self._wish = self._wish, None
        # a stage stops within its tolerance: what was wished for last is what counts, not where it stands
        if wish is not None and math.hypot(wish[0] - place[0], wish[1] - place[1]) > 0.5 * STEPS_UM[0]:
            self.ask(*wish)

    def refused(self) -> None:
        """The move was not done."""
        self._under_way, self._wish = False, None

    def _go(self) -> None:
        x, y = self.to_x.value, self.to_y.value
        if x is not None and y is not None:
            self.ask(x, y)

    def _stop(self) -> None:
        self._wish = None
        self.stop_asked.emit()

    def _enable(self) -> None:
        ready = self.ready
        self.go.setEnabled(ready and not self.to_x.reason and not self.to_y.reason)
        self.stop.setEnabled(self._ready)
        self.pad.setEnabled(ready)


class JogPad(QWidget):
    """Four buttons, or the arrow keys while it has the keyboard."""

    jogged = Signal(int, int)
    stepped = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("jog the stage")
        self.setToolTip("jog with the buttons, or with the arrow keys while this has the keyboard (Ctrl+J)")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        self.buttons: dict[tuple[int, int], QPushButton] = {}
        for words, name, (dx, dy), place in (
            ("↑", "y up", (0, 1), (0, 1)), ("←", "x down", (-1, 0), (1, 0)), ("→", "x up", (1, 0), (1, 2)),
            ("↓", "y down", (0, -1), (2, 1)),
        ):  # fmt: skip
            button = QPushButton(words, self)
            button.setAccessibleName(f"jog {name}")
            button.setProperty("pad", True)
            button.setFixedSize(px(32), px(24))
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, dx=dx, dy=dy: self.jogged.emit(dx, dy))
            grid.addWidget(button, *place)
            self.buttons[dx, dy] = button

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Arrows jog, Page Up and Page Down change the step."""
        key = Qt.Key(event.key())
        if key in ARROWS:
            self.jogged.emit(*ARROWS[key])
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            self.stepped.emit(1 if key == Qt.Key.Key_PageUp else -1)
        else:
            super().keyPressEvent(event)
