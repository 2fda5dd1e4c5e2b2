"""The form of a sequence: its steps as a list that can be edited, reordered and undone, and what all of them share."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.recipes import Recipe, Sequence, parts_of
from halidescope.gui.dialog_foot import DialogFoot
from halidescope.gui.form_entry import Entry
from halidescope.gui.recipe_form import RecipeForm
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import px

INHERITED = ("sample", "analysis")                             # of the sequence, unless a step gives its own
SHOWN_ELSEWHERE = tuple(name for name in Recipe.model_fields if name not in INHERITED)


class StepDialog(QDialog):
    """One step: which kind, and its form.

    Parameters
    ----------
    kinds : list of (str, type)
        Title and model of every recipe that can be a step.
    values : mapping
        What to show at first.
    """

    def __init__(
        self, kinds: list[tuple[str, type[Recipe]]], values: Mapping[str, Any], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Step of the sequence")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.foot = DialogFoot(self)
        self.kind = QComboBox(self)
        self.kind.setAccessibleName("kind of step")
        self.stack = QStackedWidget(self)
        self.forms: list[RecipeForm] = []
        for title, model in kinds:
            form = RecipeForm(model, self, without=INHERITED)
            form.changed.connect(self._judge)
            self.kind.addItem(title, model.model_fields["kind"].default)
            self.stack.addWidget(form)
            self.forms.append(form)
        self._kept = {name: values[name] for name in INHERITED if name in values}
        scroll = QScrollArea(self)
        scroll.setWidget(self.stack)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.kind.setCurrentIndex(max(0, self.kind.findData(values.get("kind"))))
        self.form.set_values(values)
        layout = QVBoxLayout(self)
        layout.addWidget(self.kind)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.foot)
        self.resize(px(360), px(560))
        self.kind.currentIndexChanged.connect(self._kind_changed)
        self._kind_changed(self.kind.currentIndex())

    @property
    def form(self) -> RecipeForm:
        """The form that is shown."""
        return self.forms[self.kind.currentIndex()]

    def values(self) -> dict[str, Any]:
        """The step as plain values."""
        return {**self.form.values(), **self._kept}

    def _kind_changed(self, index: int) -> None:
        self.stack.setCurrentIndex(index)
        self._judge()

    def _judge(self) -> None:
        self.foot.judge("" if self.form.recipe() is not None else "mend the marked fields first")


class SequenceForm(QWidget):
    """Steps one after another; offers what :class:`RecipeForm` offers."""

    changed = Signal()

    def __init__(self, kinds: list[tuple[str, type[Recipe]]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = Sequence
        self._kinds = kinds
        self._steps: list[dict[str, Any]] = []
        self._history: list[list[dict[str, Any]]] = []
        self.steps = QListWidget(self)
        self.steps.setAccessibleName("steps of the sequence")
        self.steps.setToolTip("done from top to bottom, dark between them; double click or Enter edits a step")
        self.steps.setWordWrap(True)
        self.steps.setMinimumHeight(px(120))
        self.steps.itemActivated.connect(lambda _: self.edit())
        self.steps.currentRowChanged.connect(lambda _: self._enable())
        self.common = RecipeForm(Sequence, self, without=("recipes", *SHOWN_ELSEWHERE))
        self.common.changed.connect(self.changed)
        grid = QGridLayout()
        grid.setSpacing(4)
        self.buttons: dict[str, QPushButton] = {}
        for k, (name, words, key, act) in enumerate((
            ("add", "Add…", "Ins", self.add), ("edit", "Edit…", "Return", self.edit),
            ("remove", "Remove", "Del", self.remove), ("up", "Up", "Ctrl+Up", lambda: self.shift(-1)),
            ("down", "Down", "Ctrl+Down", lambda: self.shift(+1)), ("undo", "Undo", "Ctrl+Z", self.undo),
        )):  # fmt: skip
            button = QPushButton(words, self)
            button.setToolTip(f"{words.rstrip('…').lower()} ({key}, while the list has the keyboard)")
            button.clicked.connect(lambda _=False, act=act: act())
            shortcut = QShortcut(QKeySequence(key), self.steps)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(button.click)
            grid.addWidget(button, k // 3, k % 3)
            self.buttons[name] = button
        self.reason = Sentence("", self)
        self.reason.setProperty("reason", True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("steps, one after another", self))
        layout.addWidget(self.steps, 1)
        layout.addWidget(self.reason)
        layout.addLayout(grid)
        layout.addWidget(self.common)
        self._show(-1)

    @property
    def entries(self) -> dict[tuple[str, ...], Entry]:
        """The fields that all steps share."""
        return self.common.entries

    @property
    def valid(self) -> bool:
        """True if nothing is marked."""
        return self.common.valid and not self.reason.text()

    # what a person does to the steps

    def add(self) -> None:
        """Ask for another step, behind the selected one."""
        last = self._steps[-1] if self._steps else {}
        self._ask(last, lambda values: self._insert(values))

    def _insert(self, values: dict[str, Any]) -> None:
        place = self.steps.currentRow() + 1 or len(self._steps)
        self._change([*self._steps[:place], values, *self._steps[place:]], place)

    def edit(self) -> None:
        """Ask for the selected step anew."""
        row = self.steps.currentRow()
        if row >= 0:
            self._ask(
                self._steps[row],
                lambda values: self._change([*self._steps[:row], values, *self._steps[row + 1:]], row),
            )

    def _ask(self, values: Mapping[str, Any], then: Any) -> None:
        dialog = StepDialog(self._kinds, values, self)
        dialog.accepted.connect(lambda: then(dialog.values()))
        dialog.finished.connect(self._asked)
        for widget in (self.steps, *self.buttons.values()):     # the steps stay what they are meanwhile
            widget.setEnabled(False)
        dialog.show()
        self.dialog = dialog

    def _asked(self) -> None:
        for widget in (self.steps, self.buttons["add"]):
            widget.setEnabled(True)
        self._enable()
        self.steps.setFocus()

    def remove(self) -> None:
        """Take the selected step out."""
        row = self.steps.currentRow()
        if row >= 0:
            self._change([*self._steps[:row], *self._steps[row + 1:]], min(row, len(self._steps) - 2))

    def shift(self, by: int) -> None:
        """Move the selected step up or down."""
        row = self.steps.currentRow()
        if row >= 0 and 0 <= row + by < len(self._steps):
            steps = list(self._steps)
            steps.insert(row + by, steps.pop(row))
            self._change(steps, row + by)

    def undo(self) -> None:
        """Take back the last change of the steps."""
        if self._history:
            self._steps = self._history.pop()
            self._show(len(self._steps) - 1)
            self.changed.emit()

    def _change(self, steps: list[dict[str, Any]], select: int) -> None:
        self._history.append(self._steps)
        self._steps = steps
        self._show(select)
        self.changed.emit()

    def _show(self, select: int) -> None:
        self.steps.clear()
        titles = {model.model_fields["kind"].default: title for title, model in self._kinds}
        for number, values in enumerate(self._steps, start=1):
            self.steps.addItem(f"{number}  {titles.get(values.get('kind', ''), 'unknown kind')}")
        self.steps.setCurrentRow(select)
        self._enable()

    def _enable(self) -> None:
        row, last = self.steps.currentRow(), len(self._steps) - 1
        for name, on in (
            ("edit", row >= 0), ("remove", row >= 0), ("up", row > 0), ("down", 0 <= row < last),
            ("undo", bool(self._history)),
        ):  # fmt: skip
            self.buttons[name].setEnabled(on)

    # what a form offers

    def values(self) -> dict[str, Any]:
        """The sequence as plain values."""
        return {**self.common.values(), "recipes": [dict(step) for step in self._steps]}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show a sequence, as plain values."""
        self.common.set_values(values)
        shared = {name: values.get(name) for name in INHERITED}
        # what a validated sequence handed down to its steps is the sequence's own again
        self._steps = [
            {name: value for name, value in step.items() if not (name in INHERITED and value == shared[name])}
            for step in values.get("recipes", ())
        ]
        self._history.clear()
        self._show(len(self._steps) - 1)
        self.changed.emit()

    def recipe(self) -> Sequence | None:
        """The sequence, or None with what is not valid marked."""
        try:
            recipe = Sequence.model_validate(self.values())
        except ValidationError as error:
            self.common.mark(error if self._steps else None)
            where = next((problem["loc"] for problem in error.errors() if problem["loc"][:1] == ("recipes",)), ())
            if not self._steps:
                self.reason.setText("add at least one step")
            elif len(where) > 1:
                self.reason.setText(f"step {int(where[1]) + 1} is not valid; edit it")
            self.common.reason.setVisible(False)
            self.reason.setVisible(bool(self.reason.text()))
            return None
        self.common.mark(None)
        self.reason.setText("")
        self.reason.hide()
        for row, step in enumerate(recipe.recipes):
            count = len(parts_of(step))
            self.steps.item(row).setText(f"{row + 1}  {step.title}" + (f" ({count} files)" if count > 1 else ""))
        return recipe
