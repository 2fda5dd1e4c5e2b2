"""What to measure: the recipe's form, what it will cost the film, the file, and start, pause, abort."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
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

from halidescope.acquisition.recipes import AnyRecipe, Recipe, Sequence
from halidescope.acquisition.states import RunState, Status
from halidescope.gui.asking import ask_target
from halidescope.gui.library_menu import LibraryMenu
from halidescope.gui.recipe_form import RecipeForm
from halidescope.gui.recipe_library import RecipeLibrary
from halidescope.gui.sentence import Sentence
from halidescope.gui.sequence_form import SequenceForm
from halidescope.gui.theme import px, set_look, value_font

START_TIP = "begin now (F5)"
QUEUE_TIP = "begin when everything that waits before it is over (Ctrl+F5)"
BUSY = "a measurement runs: put this one into the queue (Ctrl+F5)"


def kinds() -> list[tuple[str, type[Recipe]]]:
    """Title and model of every kind of recipe, those of one measurement first."""
    models: tuple[type[Recipe], ...] = get_args(AnyRecipe)
    return [(str(model.model_fields["kind"].default).replace("-", " "), model) for model in models]


class MeasurePanel(QWidget):
    """Emits what a person asks for; whether it may be done is for the engine to say.

    Parameters
    ----------
    library : RecipeLibrary
        Where recipes are kept by name.
    """

    recipe_changed = Signal(object)         # a valid recipe, or None
    start_asked = Signal(object, object)    # recipe, path
    queue_asked = Signal(object, object)    # recipe, path
    pause_asked = Signal()
    resume_asked = Signal()
    skip_asked = Signal()
    abort_asked = Signal()
    name_wanted = Signal()                  # another kind is shown, and nobody has named the file
    not_begun = Signal(str)                 # why not, for somebody who pressed a key

    def __init__(self, library: RecipeLibrary, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumWidth(px(276))
        self._state = RunState.IDLE
        self._connected = False
        self._queue_item: int | None = None
        self._blocked = ""
        self._proposed = ""
        self.kind = QComboBox(self)
        self.kind.setAccessibleName("recipe")
        self.stack = QStackedWidget(self)
        self.forms: dict[str, RecipeForm | SequenceForm] = {}
        self._models = {model.model_fields["kind"].default: model for _, model in kinds()}
        for title, model in kinds():
            self.kind.addItem(title, model.model_fields["kind"].default)
        self.kind.currentIndexChanged.connect(self._kind_changed)
        scroll = QScrollArea(self)
        scroll.setWidget(self.stack)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setMinimumHeight(px(48))      # on a low screen the form gives way, not the buttons beneath
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
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
        browse.setFixedWidth(px(30))
        browse.setToolTip("choose another file")
        browse.clicked.connect(self._browse)
        self.recipes_button = QPushButton("Recipes", self)
        self.setTabOrder(self.kind, self.recipes_button)
        self.recipes_button.setToolTip("presets, recipes of your own, keep the shown one, open a file")
        self.library = LibraryMenu(self.recipes_button, library, lambda: self.form.recipe())
        self.library.chosen.connect(self.set_recipe)
        self.start_button = QPushButton("&Start", self)
        self.queue_button = QPushButton("Add to &queue", self)
        self.pause_button = QPushButton("&Pause", self)
        self.skip_button = QPushButton("S&kip", self)
        self.abort_button = QPushButton("&Abort", self)
        for button, tip in (
            (self.pause_button, "dark after the present exposure, until resumed (F6)"),
            (self.skip_button, "end this measurement of the queue, its file finished, and go on with the next (F7)"),
            (self.abort_button, "dark at once, then the file; the queue holds (F8)"),
        ):
            button.setToolTip(tip)
        self.start_button.clicked.connect(lambda: self._begin(self.start_button, self.start_asked))
        self.queue_button.clicked.connect(lambda: self._begin(self.queue_button, self.queue_asked))
        self.pause_button.clicked.connect(self._pause_or_resume)
        self.skip_button.clicked.connect(self.skip_asked)
        self.abort_button.clicked.connect(self.abort_asked)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 8)
        layout.setSpacing(5)
        top = QHBoxLayout()
        top.addWidget(self.kind, 1)
        top.addWidget(self.recipes_button)
        layout.addLayout(top)
        layout.addWidget(scroll, 1)
        layout.addWidget(QLabel("before it starts", self))
        layout.addWidget(self.preflight)
        row = QHBoxLayout()
        row.addWidget(QLabel("file", self))
        row.addWidget(self.file, 1)
        row.addWidget(browse)
        layout.addLayout(row)
        layout.addWidget(self.file_reason)
        for row_of in (
            (self.start_button, self.queue_button), (self.pause_button, self.skip_button, self.abort_button),
        ):  # fmt: skip
            buttons = QHBoxLayout()
            for button in row_of:
                buttons.addWidget(button, 1)
            layout.addLayout(buttons)
        self._changed()

    @property
    def form(self) -> RecipeForm | SequenceForm:
        """The form that is shown; built when it is wanted first."""
        name = self.kind.currentData()
        if name not in self.forms:
            model = self._models[name]
            steps = [(title, step) for title, step in kinds() if step is not Sequence]
            form = SequenceForm(steps, self) if model is Sequence else RecipeForm(model, self)
            form.changed.connect(self._changed)
            self.stack.addWidget(form)
            self.forms[name] = form
            self._order_tabs(form)
        return self.forms[name]

    def _order_tabs(self, form: QWidget) -> None:
        """Take the Tab key through a form that was built late where it stands: between recipes and file."""
        before: QWidget = self.recipes_button
        for widget in form.findChildren(QWidget):
            within = widget.window() is form.window()      # what belongs to a choice's list has a window of its own
            if within and widget.focusPolicy().value & Qt.FocusPolicy.TabFocus.value:
                self.setTabOrder(before, widget)
                before = widget

    def set_recipe(self, recipe: Recipe) -> None:
        """Show a recipe."""
        self.set_values(recipe.model_dump())

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show a recipe given as plain values, valid or not."""
        self.kind.setCurrentIndex(self.kind.findData(values["kind"]))
        self.form.set_values(values)

    def propose(self, path: Path) -> None:
        """Propose a file, until a person names another."""
        self._proposed = str(path)
        self.set_file(path)

    def set_file(self, path: Path) -> None:
        """Name the file."""
        self.file.setText(str(path))
        self.file.setCursorPosition(len(str(path)))

    def set_preflight(self, words: str, *, refused: str = "") -> None:
        """Show what the recipe will cost, or why it must not start."""
        self._blocked = refused
        self.preflight.setText(refused or words)
        set_look(self.preflight, "reason", bool(refused))
        self._enable()

    def set_connected(self, connected: bool) -> None:
        """Tell whether there is an engine to ask."""
        self._connected = connected
        self._enable()

    def show_status(self, status: Status) -> None:
        """Let the buttons say what can be done now."""
        if (status.state, status.queue_item) != (self._state, self._queue_item):
            self._state, self._queue_item = status.state, status.queue_item
            self._enable()

    def _kind_changed(self) -> None:
        before, form = self.stack.currentWidget(), self.form
        if isinstance(before, RecipeForm) and isinstance(form, RecipeForm) and before is not form:
            # the film, the person and the references are the same for whatever is measured next
            form.set_values({name: table for name, table in before.values().items() if isinstance(table, Mapping)})
        self.stack.setCurrentWidget(form)
        self._changed()
        if self.file.text() == self._proposed:
            self.name_wanted.emit()

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
        hindrance = self._hindrance()
        self.start_button.setEnabled(not hindrance and not self._state.busy)
        self.queue_button.setEnabled(not hindrance)
        self.start_button.setToolTip(hindrance or (BUSY if self._state.busy else START_TIP))
        self.queue_button.setToolTip(hindrance or QUEUE_TIP)
        self.skip_button.setEnabled(self._connected and self._state.busy and self._queue_item is not None)
        self.pause_button.setEnabled(self._connected and self._state in (RunState.RUNNING, RunState.PAUSED))
        self.pause_button.setText("&Resume" if self._state is RunState.PAUSED else "&Pause")
        self.abort_button.setEnabled(
            self._connected and self._state in (RunState.PREPARING, RunState.RUNNING, RunState.PAUSED)
        )

    def _hindrance(self) -> str:
        """Why nothing can be begun or queued; empty if it can."""
        if not self._connected:
            return "no microscope: open a microscope file (Ctrl+O), or start the demo (Ctrl+Shift+D)"
        if not self.form.valid:
            return "mend the marked fields first"
        return f"file: {self.file_reason.text()}" if self.file_reason.text() else self._blocked

    def start(self) -> None:
        """Begin now, or say why not."""
        self._press(self.start_button)

    def enqueue(self) -> None:
        """Put the shown recipe into the queue, or say why not."""
        self._press(self.queue_button)

    def _press(self, button: QPushButton) -> None:
        self._enable()
        if button.isEnabled():
            button.click()
        else:
            self.not_begun.emit(f"not begun: {button.toolTip()}")

    def _begin(self, button: QPushButton, asked: Any) -> None:
        self._check_file()      # a file may have appeared since it was typed
        self._enable()
        recipe = self.form.recipe()
        if recipe is not None and button.isEnabled():
            asked.emit(recipe, Path(self.file.text().strip()))

    def _pause_or_resume(self) -> None:
        (self.resume_asked if self._state is RunState.PAUSED else self.pause_asked).emit()

    def _browse(self) -> None:
        ask_target(self, "The measurement's file", "NeXus (*.nxs)", self.file.text(), self.set_file, suffix="nxs")
