"""The foot of a dialog: why it cannot be accepted yet, what makes it dark, and the buttons."""

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from halidescope.gui.sentence import Sentence


class DialogFoot(QWidget):
    """A reason above one button that accepts its dialog and one that leaves it.

    Parameters
    ----------
    dialog : QDialog
    accept : StandardButton
        The button that accepts.
    """

    def __init__(
        self, dialog: QDialog, accept: QDialogButtonBox.StandardButton = QDialogButtonBox.StandardButton.Ok
    ) -> None:
        super().__init__(dialog)
        self.reason = Sentence("", self)
        self.reason.setProperty("reason", True)
        dark = QLabel("Esc twice is dark", self)      # also here, where the first Esc closes the dialog
        dark.setProperty("faint", True)
        box = QDialogButtonBox(accept | QDialogButtonBox.StandardButton.Cancel, parent=self)
        box.accepted.connect(dialog.accept)
        box.rejected.connect(dialog.reject)
        self.accept: QPushButton = box.button(accept)
        self.cancel: QPushButton = box.button(QDialogButtonBox.StandardButton.Cancel)
        row = QHBoxLayout()
        row.addWidget(dark)
        row.addWidget(box, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.reason)
        layout.addLayout(row)

    def judge(self, reason: str) -> None:
        """Say what is in the way; without anything the dialog can be accepted."""
        self.reason.setText(reason)
        self.accept.setEnabled(not reason)
