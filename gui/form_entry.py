"""One field of a form: a line edit, a pair of them, or a choice, with its unit, its help and why it is not valid.

What a field is (a number, two, a list, a choice, a table of its own) is read from the model's type; what may stand in
it is said by the model's rules. The whole form is :mod:`halidescope.gui.recipe_form`.
"""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from halidescope.gui.asking import SAVED_SCANS, ask_files
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import px, set_look
from halidescope.gui.values import field_words

NO_YES = ("no", "yes")    # what the validation takes for false and true
FILES = "references"      # the field that names measured files


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
        kind = bare(info.annotation)
        if get_origin(kind) is Literal or kind is bool:
            self.choice = QComboBox(self)
            self.choice.addItems([str(option) for option in get_args(kind) or NO_YES])
            self.choice.setToolTip(help_text(info))
            self.choice.setAccessibleName(label)
            self.choice.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self.choice.currentIndexChanged.connect(lambda _: self.changed.emit())
            row.addWidget(self.choice, 1)
        else:
            for k in range(2 if is_pair(info) else 1):
                edit = QLineEdit(self)
                edit.setObjectName(f"{name}.{k}" if is_pair(info) else name)
                edit.setAccessibleName(f"{label} {'xy'[k]}" if is_pair(info) else label)
                edit.setToolTip(help_text(info))
                edit.setMinimumWidth(px(40))
                edit.textChanged.connect(lambda _: self.changed.emit())
                self.edits.append(edit)
                row.addWidget(edit, 1)
        if name == FILES:
            row.addWidget(self._browse_button())
        else:
            unit = QLabel(self.unit, self)
            unit.setFixedWidth(px(40))
            unit.setProperty("faint", True)
            row.addWidget(unit)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(1)
        self.label.setFixedWidth(px(96))
        grid.addWidget(self.label, 0, 0)
        grid.addLayout(row, 0, 1)
        grid.addWidget(self.reason, 1, 0, 1, 2)
        self.reset()

    def _browse_button(self) -> QPushButton:
        button = QPushButton("…", self)
        button.setFixedWidth(px(36))
        button.setToolTip("choose measured files; the phase that grows last")
        button.setAccessibleName("choose reference files")
        button.clicked.connect(self._browse)
        return button

    def _browse(self) -> None:
        ask_files(
            self, "Measured endmembers, the phase that grows last", SAVED_SCANS,
            lambda paths: self.set_value([str(path) for path in paths]), many=True,
        )

    def reset(self) -> None:
        """Show what the field holds when nobody has typed anything."""
        if self._info.default is not PydanticUndefined:
            self.set_value(self._info.default)

    def set_value(self, value: Any) -> None:
        """Show a value."""
        if self.choice is not None:
            self.choice.setCurrentText(NO_YES[value] if isinstance(value, bool) else str(value))
        elif is_pair(self._info):
            for edit, part in zip(self.edits, value, strict=True):
                edit.setText(f"{part:g}" if isinstance(part, float | int) else str(part))
        elif is_list(self._info):
            self.edits[0].setText("; ".join(f"{one:g}" if isinstance(one, float | int) else one for one in value))
        else:
            self.edits[0].setText("" if value is None else f"{value:g}" if isinstance(value, float) else str(value))

        for edit in self.edits:
            edit.setCursorPosition(0)       # the beginning says more than the end

    def value(self) -> Any:
        """What is typed: numbers where it reads as numbers, else the text, for the validation to refuse."""
        if self.choice is not None:
            return self.choice.currentText()
        texts = [edit.text().strip() for edit in self.edits]
        if is_pair(self._info):
            return tuple(_number(text) for text in texts)
        if is_list(self._info):
            parts = (part.strip() for part in texts[0].split(";"))
            return tuple(_number(part) if is_list_of_numbers(self._info) else part for part in parts if part)
        if bare(self._info.annotation) is str:
            return texts[0]
        return _number(texts[0]) if texts[0] else None

    def set_reason(self, reason: str) -> None:
        """Mark the field as not valid, or as valid with an empty reason."""
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))
        for edit in self.edits:
            set_look(edit, "invalid", bool(reason))


def bare(annotation: Any) -> Any:
    """A type without its rules and without "or none"."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        others = [one for one in get_args(annotation) if one is not NoneType]
        if len(others) == 1:
            return bare(others[0])
    return annotation


def is_table(info: FieldInfo) -> bool:
    """True if the field is a model of its own."""
    kind = bare(info.annotation)
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_pair(info: FieldInfo) -> bool:
    """True for two numbers, x and y."""
    kind = bare(info.annotation)
    return get_origin(kind) is tuple and len(get_args(kind)) == 2 and not is_list(info)


def is_list(info: FieldInfo) -> bool:
    """True for any number of texts or numbers."""
    kind = bare(info.annotation)
    return get_origin(kind) is tuple and get_args(kind)[1:] == (Ellipsis,)


def is_list_of_numbers(info: FieldInfo) -> bool:
    """True for any number of numbers."""
    return is_list(info) and bare(get_args(bare(info.annotation))[0]) in (float, int)


def rules_of(info: FieldInfo) -> list[Any]:
    """The rules of a field, also those of the parts of a pair or list."""
    found = list(info.metadata)
    waiting = [info.annotation]
    while waiting:
        kind = waiting.pop()
        if get_origin(kind) is Annotated:
            inner, *rules = get_args(kind)
            for rule in rules:
                found += rule.metadata if isinstance(rule, FieldInfo) else [rule]
            waiting.append(inner)
        elif get_origin(kind) in (Union, UnionType, tuple):
            waiting += [one for one in get_args(kind)[:1] if one is not Ellipsis]
    return found


def help_text(info: FieldInfo) -> str:
    """Description and allowed range of a field."""
    words = info.description or ""
    limits = [
        f"{sign} {getattr(rule, name):g}"
        for rule in rules_of(info)
        for name, sign in (("gt", "more than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most"))
        if getattr(rule, name, None) is not None
    ]
    if is_list(info):
        words += " (separated by semicolons)"
    return f"{words} ({', '.join(dict.fromkeys(limits))})" if limits else words


def reason_of(kind: str, message: str, unit: str) -> str:
    """Why a value is not valid, for the line beneath its field."""
    if kind == "missing":
        return f"needs a number{f' in {unit}' if unit else ''}"
    if kind in ("float_parsing", "float_type", "int_parsing", "int_type", "int_from_float", "finite_number"):
        return f"is not a {'whole ' if kind.startswith('int') else ''}number{f' in {unit}' if unit else ''}"
    if kind == "too_short":
        return f"needs at least one number{f' in {unit}' if unit else ''}"
    words = message.replace("Input should be", "must be").removeprefix("Value error, ")
    return f"{words} {unit}".strip() if kind.startswith(("greater", "less")) else words


def _number(text: str) -> float | str:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text
