"""What a finished file says about its measurement, in a form: changed with a name and a reason, and a history.

What an entry may hold is decided in :mod:`halidescope.acquisition.description`; here it is typed and marked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QGroupBox,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from halidescope.acquisition.description import RULES, checked, history_words, value_words
from halidescope.acquisition.problems import BadFileError
from halidescope.gui.dialog_foot import DialogFoot
from halidescope.gui.theme import px, set_look
from halidescope.gui.values import field_words

TITLES = {
    "sample": "Sample", "objective": "Objective", "calibration": "Calibrated on (YYYY-MM-DD)",
    "environment": "Environment",
}  # fmt: skip
GENERAL = {
    "title": "what this measurement is called", "operator": "who measured", "laboratory": "where the microscope stands",
    "filters": "in the beam and before the spectrometer, separated by commas", "notes": "about this measurement",
}  # fmt: skip


@dataclass(frozen=True)
class Edited:
    """What is to be changed, who changes it, and why."""

    changes: dict[str, str] = field(default_factory=dict)
    by: str = ""
    why: str = ""


class DescriptionForm(QDialog):
    """Emits ``edited(Edited)`` when it is saved.

    Parameters
    ----------
    about : mapping
        From :func:`halidescope.acquisition.description.description_of`.
    history : iterable of mapping
        The changes made before.
    by : str
        Who probably makes this one.
    """

    edited = Signal(object)

    def __init__(
        self, about: Mapping[str, Any], history: Iterable[Mapping[str, Any]], by: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Description")
        self.edits: dict[str, QLineEdit] = {}
        self._before: dict[str, str] = {}
        inside = QWidget(self)
        body = QVBoxLayout(inside)
        body.addWidget(self._group("Measurement", {key: (key, tip) for key, tip in GENERAL.items()}, about))
        for table, title in TITLES.items():
            body.addWidget(self._table_group(table, title, about.get(table) or {}))
        self.extra = self._extra(about.get("extra") or {})
        body.addWidget(_boxed("Anything else", self.extra))
        self.history = QPlainTextEdit(inside)
        self.history.setReadOnly(True)
        self.history.setAccessibleName("history")
        self.history.setPlainText("\n".join(map(history_words, history)) or "nothing has been changed")
        self.history.setFixedHeight(px(96))
        body.addWidget(_boxed("History", self.history))
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setWidget(inside)
        self.by = QLineEdit(by, self)
        self.by.setAccessibleName("changed by")
        self.why = QLineEdit(self)
        self.why.setAccessibleName("why")
        self.why.setPlaceholderText("for the history")
        signed = QFormLayout()
        signed.addRow("changed by", self.by)
        signed.addRow("why", self.why)
        self.foot = DialogFoot(self, QDialogButtonBox.StandardButton.Save)
        layout = QVBoxLayout(self)
        layout.addWidget(scroll, 1)
        layout.addLayout(signed)
        layout.addWidget(self.foot)
        self.resize(px(620), px(760))
        for edit in (*self.edits.values(), self.by):
            edit.textChanged.connect(lambda _: self._judge())
        self.extra.itemChanged.connect(lambda _: self._extra_changed())
        self._judge()

    @property
    def changes(self) -> dict[str, str]:
        """What is typed and differs from what the file says; empty: taken away."""
        typed = {key: edit.text().strip() for key, edit in self.edits.items()} | self._extra_typed()
        keys = dict.fromkeys((*self._before, *typed))
        return {key: typed.get(key, "") for key in keys if typed.get(key, "") != self._before.get(key, "")}

    def accept(self) -> None:
        """Tell what is to be changed."""
        self.edited.emit(Edited(self.changes, self.by.text().strip(), self.why.text().strip()))
        super().accept()

    # the form

    def _table_group(self, table: str, title: str, held: Mapping[str, Any]) -> QGroupBox:
        model, names, _ = RULES[table]
        entries = {f"{table}.{name}": (name, model.model_fields[one].description or "") for name, one in names.items()}
        entries |= {f"{table}.{name}": (name, "") for name in held if name not in names}
        return self._group(title, entries, {f"{table}.{name}": value for name, value in held.items()})

    def _group(self, title: str, entries: Mapping[str, tuple[str, str]], held: Mapping[str, Any]) -> QGroupBox:
        form = QFormLayout()
        for key, (name, tip) in entries.items():
            edit = QLineEdit(value_words(held.get(key)), self)
            edit.setObjectName(key)
            edit.setToolTip(tip)
            label, unit = field_words(name)
            edit.setAccessibleName(f"{label} ({unit})" if unit else label)
            edit.setCursorPosition(0)
            form.addRow(edit.accessibleName(), edit)
            self.edits[key] = edit
            self._before[key] = edit.text()
        box = QGroupBox(title, self)
        box.setLayout(form)
        return box

    def _extra(self, held: Mapping[str, Any]) -> QTableWidget:
        table = QTableWidget(len(held) + 1, 2, self)      # a free line at the end, always
        table.setHorizontalHeaderLabels(["name", "value"])
        table.setAccessibleName("anything else")
        table.verticalHeader().hide()
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        table.setFixedHeight(px(130))
        for row, (name, value) in enumerate(held.items()):
            for column, text in enumerate((name, value_words(value))):
                table.setItem(row, column, QTableWidgetItem(text))
            self._before[f"extra.{name}"] = value_words(value)
        return table

    def _extra_typed(self) -> dict[str, str]:
        found = {}
        for row in range(self.extra.rowCount()):
            name, value = (item.text().strip() if (item := self.extra.item(row, column)) else "" for column in (0, 1))
            if name:
                found[f"extra.{name}"] = value
        return found

    def _extra_changed(self) -> None:
        last = [self.extra.item(self.extra.rowCount() - 1, column) for column in (0, 1)]
        if any(item is not None and item.text().strip() for item in last):
            self.extra.insertRow(self.extra.rowCount())
        self._judge()

    # what may be saved

    def _judge(self) -> None:
        changes, reasons = self.changes, []
        for key, edit in self.edits.items():
            reason = _reason(key, changes[key]) if key in changes else ""
            if reason:
                reasons.append(reason)
            set_look(edit, "invalid", bool(reason))
        if changes and not reasons and not self.by.text().strip():
            reasons.append("changed by: a change needs the name of who makes it")
        self.foot.judge(reasons[0] if reasons else "" if changes else "nothing is changed yet")


def _boxed(title: str, widget: QWidget) -> QGroupBox:
    box = QGroupBox(title)
    QVBoxLayout(box).addWidget(widget)
    return box


def _reason(key: str, text: str) -> str:
    try:
        checked(key, text)
    except BadFileError as error:
        return str(error)
    return ""
