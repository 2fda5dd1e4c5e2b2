"""A form made from a recipe model: labels, units, ranges and help come from its fields, reasons from its validation.

Nothing is clipped or corrected here: what is typed is what is validated, and a value that cannot be is marked with the
reason until a person mends it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from halidescope.acquisition.recipes import Recipe
from halidescope.gui.sentence import Sentence
from halidescope.gui.values import field_words

Value = Any
NO_YES = ("no", "yes")    # what the validation takes for false and true
LEADING = ("sample_power_uw", "exposure_s")   # what every measurement has, above what is its own


class Entry(QWidget):
    """One field: one line edit, a pair of them, or a choice; with the reason why it is not valid beneath."""

    changed = Signal()

    def __init__(self, name: str, info: FieldInfo, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self._info = info
        label, self.unit = field_words(name)
        self.label = QLabel(label, self)
        self.label.setWordWrap(True)
        self.label.setToolTip(help_text(info))
        self.reason = Sentence("", self)
        self.reason.setProperty("reason", True)
        self.reason.hide()
        self.choice: QComboBox | None = None
        self.edits: list[QLineEdit] = []
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        if get_origin(info.annotation) is Literal or info.annotation is bool:
            self.choice = QComboBox(self)
            self.choice.addItems([str(option) for option in get_args(info.annotation) or NO_YES])
            self.choice.setToolTip(help_text(info))
            self.choice.setAccessibleName(label)
            self.choice.currentIndexChanged.connect(lambda _: self.changed.emit())
            row.addWidget(self.choice, 1)
        else:
            for k in range(2 if is_pair(info) else 1):
                edit = QLineEdit(self)
                edit.setObjectName(f"{name}.{k}" if is_pair(info) else name)
                edit.setAccessibleName(f"{label} {'xy'[k]}" if is_pair(info) else label)
                edit.setToolTip(help_text(info))
                edit.setMinimumWidth(40)
                edit.textChanged.connect(lambda _: self.changed.emit())
                self.edits.append(edit)
                row.addWidget(edit, 1)
        unit = QLabel(self.unit, self)
        unit.setFixedWidth(40)
        unit.setProperty("faint", True)
        row.addWidget(unit)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(1)
        self.label.setFixedWidth(96)
        self.label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        grid.addWidget(self.label, 0, 0)
        grid.addLayout(row, 0, 1)
        grid.addWidget(self.reason, 1, 0, 1, 2)
        if info.default is not PydanticUndefined:
            self.set_value(info.default)

    def set_value(self, value: Value) -> None:
        """Show a value."""
        if self.choice is not None:
            self.choice.setCurrentText(NO_YES[value] if isinstance(value, bool) else str(value))
        elif is_pair(self._info):
            for edit, part in zip(self.edits, value, strict=True):
                edit.setText(f"{part:g}")
        elif is_list(self._info):
            self.edits[0].setText("; ".join(f"{one:g}" if isinstance(one, float) else one for one in value))
        else:
            self.edits[0].setText("" if value is None else f"{value:g}" if isinstance(value, float) else str(value))

    def value(self) -> Value:
        """What is typed: numbers where it reads as numbers, else the text, for the validation to refuse."""
        if self.choice is not None:
            return self.choice.currentText()
        texts = [edit.text().strip() for edit in self.edits]
        if is_pair(self._info):
            return tuple(_number(text) for text in texts)
        if is_list(self._info):
            return tuple(part.strip() for part in texts[0].split(";") if part.strip())
        if self._info.annotation is str:
            return texts[0]
        return _number(texts[0]) if texts[0] else None

    def set_reason(self, reason: str) -> None:
        """Mark the field as not valid, or as valid with an empty reason."""
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))
        for edit in self.edits:
            if bool(edit.property("invalid")) != bool(reason):
                edit.setProperty("invalid", bool(reason))
                edit.style().unpolish(edit)
                edit.style().polish(edit)


class RecipeForm(QWidget):
    """All fields of one kind of recipe."""

    changed = Signal()

    def __init__(self, model: type[Recipe], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self.entries: dict[tuple[str, ...], Entry] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        row = 0
        group = ""
        for path, info in fields_of(model):
            if len(path) > 1 and path[0] != group:
                group = path[0]
                title = QLabel(group.replace("_", " "), self)
                title.setProperty("faint", True)
                grid.addWidget(title, row, 0)
                row += 1
            entry = Entry(path[-1], info, self)
            entry.changed.connect(self.changed)
            self.entries[path] = entry
            grid.addWidget(entry, row, 0)
            row += 1
        grid.setRowStretch(row, 1)

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
        return values

    def set_values(self, values: Mapping[str, Value]) -> None:
        """Show a recipe, as plain values."""
        for path, entry in self.entries.items():
            found: Value = values
            for step in path:
                found = found.get(step, PydanticUndefined) if isinstance(found, Mapping) else PydanticUndefined
            if found is not PydanticUndefined:
                entry.set_value(found)

    def recipe(self) -> Recipe | None:
        """The recipe, or None with the fields that are not valid marked."""
        reasons: dict[tuple[str, ...], str] = {}
        recipe: Recipe | None = None
        try:
            recipe = self.model.model_validate(self.values())
        except ValidationError as error:
            for problem in error.errors():
                steps = tuple(str(step) for step in problem["loc"])
                path = next((known for known in self.entries if steps[: len(known)] == known), None)
                if path is None:
                    raise
                reasons.setdefault(path, reason_of(problem["type"], problem["msg"], self.entries[path].unit))
        for path, entry in self.entries.items():
            entry.set_reason(reasons.get(path, ""))
        return recipe


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
        yield from fields_of(model.model_fields[name].annotation, (*path, name))   # type: ignore[arg-type]


def is_table(info: FieldInfo) -> bool:
    """True if the field is a model of its own."""
    return isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)


def is_pair(info: FieldInfo) -> bool:
    """True for two numbers, x and y."""
    return get_origin(info.annotation) is tuple and len(get_args(info.annotation)) == 2 and not is_list(info)


def is_list(info: FieldInfo) -> bool:
    """True for any number of texts or numbers."""
    return get_origin(info.annotation) is tuple and get_args(info.annotation)[1:] == (Ellipsis,)


def help_text(info: FieldInfo) -> str:
    """Description and allowed range of a field."""
    words = info.description or ""
    limits = [
        f"{sign} {getattr(rule, name):g}"
        for rule in info.metadata
        for name, sign in (("gt", "more than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most"))
        if getattr(rule, name, None) is not None
    ]
    if is_list(info):
        words += " (separated by semicolons)"
    return f"{words} ({', '.join(limits)})" if limits else words


def reason_of(kind: str, message: str, unit: str) -> str:
    """Why a value is not valid, for the line beneath its field."""
    if kind == "missing":
        return f"needs a number{f' in {unit}' if unit else ''}"
    if kind in ("float_parsing", "float_type", "int_parsing", "int_type", "int_from_float", "finite_number"):
        return f"is not a {'whole ' if kind.startswith('int') else ''}number{f' in {unit}' if unit else ''}"
    words = message.replace("Input should be", "must be")
    return f"{words} {unit}".strip()


def _number(text: str) -> float | str:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text
