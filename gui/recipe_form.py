"""A form made from a recipe model: labels, units, ranges and help come from its fields, reasons from its validation.

Nothing is clipped or corrected here: what is typed is what is validated, and a value that cannot be is marked with the
reason until a person mends it. One field is :mod:`halidescope.gui.form_entry`; the steps of a sequence have a form of
their own, :mod:`halidescope.gui.sequence_form`.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from halidescope.acquisition.recipes import Recipe
from halidescope.gui.form_entry import Entry, bare, is_table, reason_of
from halidescope.gui.sentence import Sentence

Value = Any
LEADING = ("sample_power_uw", "exposure_s")   # what every measurement has, above what is its own


class RecipeForm(QWidget):
    """All fields of one kind of recipe.

    Parameters
    ----------
    without : collection of str
        Fields of the model that are shown elsewhere.
    """

    changed = Signal()

    def __init__(self, model: type[Recipe], parent: QWidget | None = None, *, without: Collection[str] = ()) -> None:
        super().__init__(parent)
        self.model = model
        self.entries: dict[tuple[str, ...], Entry] = {}
        self.optional = {name for name, info in model.model_fields.items() if is_table(info) and info.default is None}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        row = 0
        group = ""
        for path, info in fields_of(model):
            if path[0] in without:
                continue
            if len(path) > 1 and path[0] != group:
                group = path[0]
                title = QLabel(group.replace("_", " ") + (" (if wanted)" if group in self.optional else ""), self)
                title.setProperty("faint", True)
                title.setToolTip(model.model_fields[group].description or "")
                grid.addWidget(title, row, 0)
                row += 1
            entry = Entry(path[-1], info, self)
            entry.changed.connect(self.changed)
            self.entries[path] = entry
            grid.addWidget(entry, row, 0)
            row += 1
        self.reason = Sentence("", self)
        self.reason.setProperty("reason", True)
        self.reason.hide()
        grid.addWidget(self.reason, row, 0)
        grid.setRowStretch(row + 1, 1)
        self._blank = self._tables_only({name: self.values().get(name) for name in self.optional})

    @staticmethod
    def _tables_only(values: Mapping[str, Value]) -> dict[str, Value]:
        return {name: dict(table) for name, table in values.items() if isinstance(table, Mapping)}

    def values(self) -> dict[str, Value]:
        """What is typed, as plain values for the validation; fields left empty are left out."""
        values: dict[str, Value] = {"kind": self.model.model_fields["kind"].default}
        for path, entry in self.entries.items():
            value = entry.value()
            if value is None:
                continue
            table = values
            for step in path[:-1]:
                table = table.setdefault(step, {})
            table[path[-1]] = value
        for name, blank in getattr(self, "_blank", {}).items():
            if values.get(name) == blank:      # nobody asked for this table
                values.pop(name, None)
        return values

    def set_values(self, values: Mapping[str, Value]) -> None:
        """Show a recipe, as plain values; tables and fields that they do not name stay as they are."""
        for path, entry in self.entries.items():
            found: Value = values
            for step in path:
                found = found.get(step, PydanticUndefined) if isinstance(found, Mapping) else found
            if found is None and len(path) > 1 and values[path[0]] is None:
                entry.reset()       # a recipe without this table
            elif found is not PydanticUndefined:
                entry.set_value(found)

    @property
    def valid(self) -> bool:
        """True if nothing is marked."""
        return not self.reason.text() and not any(entry.reason.text() for entry in self.entries.values())

    def recipe(self) -> Recipe | None:
        """The recipe, or None with the fields that are not valid marked."""
        try:
            recipe = self.model.model_validate(self.values())
        except ValidationError as error:
            self.mark(error)
            return None
        self.mark(None)
        return recipe

    def mark(self, error: ValidationError | None) -> None:
        """Mark the fields that are not valid, each with its reason; None takes all marks away."""
        reasons: dict[tuple[str, ...], str] = {}
        general: list[str] = []
        for problem in error.errors() if error is not None else ():
            steps = tuple(str(step) for step in problem["loc"])
            path = next((known for known in self.entries if steps[: len(known)] == known), None)
            if path is None:        # about several fields, or about one that is shown elsewhere
                general.append(reason_of(problem["type"], problem["msg"], ""))
                continue
            words = reason_of(problem["type"], problem["msg"], self.entries[path].unit)
            which = [int(step) + 1 for step in steps[len(path):] if step.isdecimal()]
            if which and len(self.entries[path].edits) == 1:
                words = f"number {which[0]} {words}"
            reasons.setdefault(path, words)
        for path, entry in self.entries.items():
            entry.set_reason(reasons.get(path, ""))
        self.reason.setText("; ".join(general))
        self.reason.setVisible(bool(general))


def fields_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Fields of a recipe in the order of the form: common ones, its own, then the tables (sample, analysis)."""
    own = [name for name in model.model_fields if name != "kind"]
    tables = [name for name in own if is_table(model.model_fields[name])]
    lead = [name for name in LEADING if name in own]
    shared = set() if path else set(Recipe.model_fields)
    last = [name for name in own if name in shared and name not in (*lead, *tables)]
    middle = [name for name in own if name not in (*lead, *last, *tables)]
    for name in (*lead, *middle, *last):
        yield (*path, name), model.model_fields[name]
    for name in tables:
        yield from fields_of(bare(model.model_fields[name].annotation), (*path, name))
