"""What to measure: the recipe's form, what it will cost the film, the file, and start, pause, abort."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.recipes import RasterMap, Recipe, TimeSeries
from halidescope.acquisition.states import RunState, Status
from halidescope.gui.recipe_form import RecipeForm
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import value_font

KINDS: tuple[tuple[str, type[Recipe]], ...] = (("time series", TimeSeries), ("raster map", RasterMap))


class MeasurePanel(QWidget):
    """Emits what a person asks for; whether it may be done is for the engine to say."""

    recipe_changed = Signal(object)         # a valid recipe, or None
    start_asked = Signal(object, object)    # recipe, path
    pause_asked = Signal()
    resume_asked = Signal()
    abort_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumWidth(256)
        self._state = RunState.IDLE
        self._connected = False
        self._blocked = ""
        self.kind = QComboBox(self)
        self.kind.setAccessibleName("recipe")
        self.stack = QStackedWidget(self)
        self.forms: dict[str, RecipeForm] = {}
        for title, model in KINDS:
            form = RecipeForm(model, self)
            form.changed.connect(self._changed)
            name = model.model_fields["kind"].default
            self.kind.addItem(title, name)
            self.forms[name] = form
            self.stack.addWidget(form)
        self.kind.currentIndexChanged.connect(self._kind_changed)
        scroll = QScrollArea(self)
        scroll.setWidget(self.stack)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

        self.preflight = Sentence("", self)
        self.preflight.setFont(value_font(9.5))
        self.file = QLineEdit(self)
        self.file.setObjectName("file")
        self.file.setAccessibleName("output file")
        self.file.setToolTip("the measurement's file; an existing file is never overwritten")
        self.file.textChanged.connect(lambda _: self._changed())
        self.file_reason = Sentence("", self)
        self.file_reason.setProperty("reason", True)
        self.file_reason.hide()
        browse = QPushButton("…", self)
        browse.setFixedWidth(30)
        browse.setToolTip("choose another file")
        browse.clicked.connect(self._browse)
        self.start_button = QPushButton("&Start", self)
        self.pause_button = QPushButton("&Pause", self)
        self.abort_button = QPushButton("&Abort", self)
        self.start_button.clicked.connect(self._start)
        self.pause_button.clicked.connect(self._pause_or_resume)
        self.abort_button.clicked.connect(self.abort_asked)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 8)
        layout.setSpacing(5)
        layout.addWidget(self.kind)
        layout.addWidget(scroll, 1)
        layout.addWidget(QLabel("before it starts", self))
        layout.addWidget(self.preflight)
        row = QHBoxLayout()
        row.addWidget(QLabel("file", self))
        row.addWidget(self.file, 1)
        row.addWidget(browse)
        layout.addLayout(row)
        layout.addWidget(self.file_reason)
        buttons = QHBoxLayout()
        for button in (self.start_button, self.pause_button, self.abort_button):
            buttons.addWidget(button, 1)
        layout.addLayout(buttons)
        self._changed()

    @property
    def form(self) -> RecipeForm:
        """The form that is shown."""
        return self.forms[self.kind.currentData()]

    def set_recipe(self, recipe: Recipe) -> None:
        """Show a recipe."""
        self.set_values(recipe.model_dump())

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show a recipe given as plain values, valid or not."""
        self.kind.setCurrentIndex(self.kind.findData(values["kind"]))
        self.form.set_values(values)

    def set_file(self, path: Path) -> None:
        """Propose a file."""
        self.file.setText(str(path))
        self.file.setCursorPosition(len(str(path)))

    def set_preflight(self, words: str, *, refused: str = "") -> None:
        """Show what the recipe will cost, or why it must not start."""
        self._blocked = refused
        self.preflight.setText(refused or words)
        if bool(self.preflight.property("reason")) != bool(refused):
            self.preflight.setProperty("reason", bool(refused))
            self.preflight.style().unpolish(self.preflight)
            self.preflight.style().polish(self.preflight)
        self._enable()

    def set_connected(self, connected: bool) -> None:
        """Tell whether there is an engine to ask."""
        self._connected = connected
        self._enable()

    def show_status(self, status: Status) -> None:
        """Let the buttons say what can be done now."""
        if status.state is not self._state:
            self._state = status.state
            self._enable()

    def _kind_changed(self) -> None:
        self.stack.setCurrentWidget(self.form)
        self._changed()

    def _changed(self) -> None:
        recipe = self.form.recipe()
        self._check_file()
        self._enable()
        self.recipe_changed.emit(recipe)

    def _check_file(self) -> None:
        path = Path(self.file.text().strip())
        reason = ""
        if not self.file.text().strip():
            reason = "name the file that the measurement becomes"
        elif path.suffix != ".nxs":
            reason = "the name must end in .nxs"
        elif path.exists():
            reason = "exists already and is never overwritten; choose another name"
        self.file_reason.setText(reason)
        self.file_reason.setVisible(bool(reason))

    def _enable(self) -> None:
        idle = self._connected and not self._state.busy
        valid = not any(entry.reason.text() for entry in self.form.entries.values())
        self.start_button.setEnabled(idle and valid and not self.file_reason.text() and not self._blocked)
        self.pause_button.setEnabled(self._connected and self._state in (RunState.RUNNING, RunState.PAUSED))
        self.pause_button.setText("&Resume" if self._state is RunState.PAUSED else "&Pause")
        self.abort_button.setEnabled(
            self._connected and self._state in (RunState.PREPARING, RunState.RUNNING, RunState.PAUSED)
        )

    def _start(self) -> None:
        self._check_file()      # a file may have appeared since it was typed
        self._enable()
        recipe = self.form.recipe()
        if recipe is not None and self.start_button.isEnabled():
            self.start_asked.emit(recipe, Path(self.file.text().strip()))

    def _pause_or_resume(self) -> None:
        (self.resume_asked if self._state is RunState.PAUSED else self.pause_asked).emit()

    def _browse(self) -> None:
        dialog = QFileDialog(self, "The measurement's file", self.file.text(), "NeXus (*.nxs)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("nxs")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.set_file(Path(name)))
        dialog.open()
