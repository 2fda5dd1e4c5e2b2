"""A number with its unit and range: what is typed is what is used; one out of range is marked, never changed."""

import math

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from halidescope.gui.theme import px, set_look


class NumberField(QWidget):
    """A line edit for one number.

    Parameters
    ----------
    name : str
        What it is, for the accessible name and the reasons.
    unit : str
    value : float
        Shown at first.
    limits : tuple of float
        Lowest and highest allowed value, both included.
    tip : str
        What it does; the range is added.
    whole : bool
        Only whole numbers.
    """

    changed = Signal()
    entered = Signal()

    def __init__(
        self, name: str, unit: str, value: float, limits: tuple[float, float], tip: str = "",
        parent: QWidget | None = None, *, whole: bool = False,
    ) -> None:
        super().__init__(parent)
        self.name, self.unit, self._tip, self._whole = name, unit, tip, whole
        self.edit = QLineEdit(f"{value:g}", self)
        self.edit.setAccessibleName(name)
        self.edit.setObjectName(name)
        self.edit.setMinimumWidth(px(52))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.edit, 1)
        if unit:
            shown = QLabel(unit, self)
            shown.setProperty("faint", True)
            layout.addWidget(shown)
        self.limits = limits
        self.edit.textChanged.connect(lambda _: self._judge())
        self.edit.returnPressed.connect(self.entered)
        self.set_limits(*limits)

    def set_limits(self, low: float, high: float) -> None:
        """Another range, e.g. that of the instrument that has just been connected."""
        self.limits = (low, high)
        words = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        self._range = f"{words} {self.unit}".strip()
        self.edit.setToolTip(f"{self._tip} ({self._range})" if self._tip else self._range)
        self._judge()

    def set_value(self, value: float) -> None:
        """Show a value."""
        self.edit.setText(f"{value:g}")

    @property
    def reason(self) -> str:
        """Why what is typed cannot be used; empty if it can."""
        text = self.edit.text().strip().replace(",", ".")
        try:
            value = float(text)
        except ValueError:
            return f"{self.name}: '{text}' is not a number in {self.unit}" if self.unit else f"{self.name}: no number"
        if self._whole and not value.is_integer():
            return f"{self.name}: {value:g} is not a whole number"
        if not self.limits[0] <= value <= self.limits[1]:
            return f"{self.name}: {value:g} {self.unit} asked, allowed {self._range}"
        return ""

    @property
    def value(self) -> float | None:
        """The number, or None if what is typed cannot be used."""
        return None if self.reason else float(self.edit.text().strip().replace(",", "."))

    def _judge(self) -> None:
        set_look(self.edit, "invalid", bool(self.reason))
        self.changed.emit()
