"""Asks with which references, or which model, a saved scan shall be analysed again."""

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from halidescope.gui.asking import SAVED_SCANS, ask_files
from halidescope.gui.dialog_foot import DialogFoot
from halidescope.gui.number_field import NumberField
from halidescope.gui.reanalysis import Asked
from halidescope.gui.theme import px


class ReanalysisDialog(QDialog):
    """Emits ``asked(Asked)`` when it is accepted."""

    asked = Signal(object)

    def __init__(self, composition: float | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Analyse again")
        self.measured = QRadioButton("measured references", self)
        self.model = QRadioButton("model bands of a composition", self)
        self.measured.setChecked(True)
        self.files = QLineEdit(self)
        self.files.setAccessibleName("reference files")
        self.files.setPlaceholderText("files, separated by semicolons, the phase that grows last")
        self.labels = QLineEdit(self)
        self.labels.setAccessibleName("labels")
        self.labels.setPlaceholderText("names, in the same order; the files' names if empty")
        browse = QPushButton("…", self)
        browse.setFixedWidth(px(36))
        browse.setToolTip("choose measured files")
        browse.clicked.connect(self._browse)
        self.composition = NumberField(
            "composition x", "", 1.5 if composition is None else composition, (0.01, 2.99),
            "x in CsPbBr(3-x)I(x); the bands are placed by the peak energies of this film", self,
        )
        self.foot = DialogFoot(self)
        row = QHBoxLayout()
        row.addWidget(self.files, 1)
        row.addWidget(browse)
        form = QFormLayout()
        form.addRow(self.measured)
        form.addRow("files", row)
        form.addRow("labels", self.labels)
        form.addRow(self.model)
        form.addRow("composition x", self.composition)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.foot)
        self.resize(px(520), px(260))
        self.measured.toggled.connect(lambda _: self._judge())
        for edit in (self.files, self.labels):
            edit.textChanged.connect(lambda _: self._judge())
        self.composition.changed.connect(self._judge)
        self._judge()

    def _browse(self) -> None:
        ask_files(
            self, "Measured endmembers, the phase that grows last", SAVED_SCANS,
            lambda paths: self.files.setText("; ".join(map(str, paths))), many=True,
        )

    def _parts(self, edit: QLineEdit) -> tuple[str, ...]:
        return tuple(part.strip() for part in edit.text().split(";") if part.strip())

    def _judge(self) -> None:
        files, labels = self._parts(self.files), self._parts(self.labels)
        reason = ""
        if self.model.isChecked():
            reason = self.composition.reason
        elif len(files) < 2:
            reason = "name at least two files, e.g. of the fresh film and of the pure bromide film"
        elif missing := [name for name in files if not Path(name).is_file()]:
            reason = f"{missing[0]} is not there"
        elif labels and len(labels) != len(files):
            reason = f"{len(labels)} labels for {len(files)} files"
        self.foot.judge(reason)

    def accept(self) -> None:
        """Tell what is wanted."""
        if self.model.isChecked():
            self.asked.emit(Asked(composition=self.composition.value))
        else:
            self.asked.emit(Asked(tuple(Path(name) for name in self._parts(self.files)), self._parts(self.labels)))
        super().accept()
