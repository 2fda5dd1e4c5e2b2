"""Named values beneath one another, as the instruments' boxes show them."""

from collections.abc import Sequence

from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from halidescope.gui.theme import value_font


def value_rows(parent: QWidget, names: Sequence[str]) -> tuple[QFormLayout, dict[str, QLabel]]:
    """A row of name and value, unknown yet, for every name; the layout, and the values' labels by name."""
    form = QFormLayout()
    form.setVerticalSpacing(1)
    labels = {}
    for name in names:
        labels[name] = QLabel("unknown", parent)
        labels[name].setFont(value_font())
        form.addRow(name, labels[name])
    return form, labels
