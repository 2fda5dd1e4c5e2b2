"""The button that makes it dark, the same wherever it is."""

from qtpy.QtWidgets import QPushButton, QWidget


class DarkButton(QPushButton):
    """*Dark now*; its ``pressed`` counts, which comes before it is let go."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__("DARK NOW", parent)
        self.setObjectName("darkNow")
        self.setToolTip("Laser off at once, whatever runs (Esc twice).")
        self.setAccessibleName("Dark now")
