"""*Dark now*, and whether the laser is lit, in windows that may lie over the main one."""

from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from halidescope.gui.dark_button import DarkButton
from halidescope.gui.status_strip import StatusStrip
from halidescope.gui.theme import set_look, value_font


class DarkCorner(QWidget):
    """Says what a strip says, and asks what it asks; hidden as long as there was never a laser to speak of.

    Parameters
    ----------
    strip : StatusStrip
        Of the main window.
    """

    def __init__(self, strip: StatusStrip, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.emission = QLabel("", self)
        self.emission.setObjectName("emission")
        self.emission.setFont(value_font(11.0, bold=True))
        self.dark_button = DarkButton(self)
        self.dark_button.pressed.connect(strip.dark_asked)      # not when it is let go
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.emission)
        layout.addWidget(self.dark_button)
        self.hide()
        strip.emission_shown.connect(self._show)
        self._show(strip.emission.text(), str(strip.emission.property("emission")))

    def _show(self, words: str, state: str) -> None:
        self.emission.setText(words)
        set_look(self.emission, "emission", state)
        if state != "unknown":
            self.show()
