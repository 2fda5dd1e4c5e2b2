"""The connection wizard: three instruments chosen, found, tested, and kept as a microscope file.

Testing connects, reads who answers and its limits, and lets go again; it moves and lights nothing. It is done in a
lane, so that a port that nobody answers on keeps nobody waiting.
"""

import tomllib
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
    QWizard,
    QWizardPage,
)

from halidescope.acquisition.instruments import DeviceReport, Role, check_table
from halidescope.acquisition.microscope import (
    LaserTable,
    MicroscopeFile,
    OpticsTable,
    SpectrometerTable,
    StageTable,
)
from halidescope.acquisition.problems import sentence_of
from halidescope.drivers.catalogue import MODELS, settings_of
from halidescope.drivers.finder import Candidate, network_candidates, serial_candidates
from halidescope.gui.asking import ask_target
from halidescope.gui.form_entry import Entry, reason_of
from halidescope.gui.lane import Lane
from halidescope.gui.sentence import Sentence
from halidescope.gui.theme import px, set_look, value_font

TABLES: dict[Role, type[LaserTable | StageTable | SpectrometerTable]] = {
    "laser": LaserTable, "stage": StageTable, "spectrometer": SpectrometerTable,
}  # fmt: skip
# placeholders of the fields that a later page asks for; never written
UNKNOWN_LIGHT = {"sample_uw_per_head_mw": 1.0, "max_sample_uw": 1.0}
EXAMPLES = "TCPIP::192.168.0.10::50000::SOCKET or ASRL/dev/ttyACM0::INSTR (ASRL5::INSTR for COM5)"


class DevicePage(QWizardPage):
    """One instrument: its model, its port, a test."""

    def __init__(self, role: Role, lane: Lane, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.role = role
        self._lane = lane
        self.report: DeviceReport | None = None
        self._asked = 0
        self.setTitle(f"{role.capitalize()}")
        self.setSubTitle("Choose the model and the port it answers on, then test it. Nothing moves, nothing is lit.")
        self.model = QComboBox(self)
        self.model.setAccessibleName(f"{role} model")
        for name, model in MODELS.items():
            if model.role == role:
                self.model.addItem(f"{name}: {model.description}", name)
        self.port = QComboBox(self)
        self.port.setEditable(True)
        self.port.setAccessibleName(f"{role} port")
        self.port.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        edit = self.port.lineEdit()
        assert edit is not None
        edit.setPlaceholderText(EXAMPLES)
        edit.setToolTip(f"VISA resource: {EXAMPLES}")
        self.host = QLineEdit(self)
        self.host.setPlaceholderText("name or address, if the instrument is on the network")
        self.host.setAccessibleName(f"{role} host")
        self.look = QPushButton("Look for ports", self)
        self.look.setToolTip("serial ports of this computer, and the known ports of the host, if one is given")
        self.settings = QLineEdit(self)
        self.settings.setAccessibleName(f"{role} driver settings")
        self.test = QPushButton("Test", self)
        self.test.setToolTip("connect, read identity and limits, let go; moves nothing, lights nothing")
        self.result = Sentence("", self)
        self.result.setFont(value_font())
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("model", self.model)
        form.addRow("port", self.port)
        row = QHBoxLayout()
        row.addWidget(self.host, 1)
        row.addWidget(self.look)
        form.addRow("network host", row)
        form.addRow("driver settings", self.settings)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.test, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.result)
        layout.addStretch(1)
        self.look.clicked.connect(self.look_for_ports)
        self.test.clicked.connect(self.try_it)
        self.model.currentIndexChanged.connect(lambda _: self._model_changed())
        self.port.editTextChanged.connect(lambda _: self._changed())
        self.settings.textChanged.connect(lambda _: self._changed())
        self._model_changed()

    def initializePage(self) -> None:  # noqa: N802 - Qt's name
        """Look for ports when the page is first shown."""
        if self.port.count() == 0 and not self.port.currentText():
            self.look_for_ports()

    def isComplete(self) -> bool:  # noqa: N802 - Qt's name
        """True if there is something to connect to."""
        return self.table() is not None

    def _model_changed(self) -> None:
        allowed = ", ".join(sorted(settings_of(MODELS[self.model.currentData()].driver)))
        self.settings.setToolTip(f"rarely needed; as in the microscope file, e.g. name = 1; allowed: {allowed}")
        self.settings.setPlaceholderText(f"rarely needed; allowed: {allowed}")
        self._changed()

    def _changed(self) -> None:
        self.report = None
        self._asked += 1
        self.test.setEnabled(True)
        self._say("" if self.table() is not None else self.problem)
        self.completeChanged.emit()

    def _say(self, words: str, *, wrong: bool = False) -> None:
        self.result.setText(words)
        set_look(self.result, "reason", wrong)

    def look_for_ports(self) -> None:
        """Look for ports, in the lane."""
        hosts = [self.host.text().strip()] if self.host.text().strip() else []
        self.look.setEnabled(False)
        self._lane.ask(lambda: [*serial_candidates(), *network_candidates(hosts)], self._found, self._failed)

    def _found(self, candidates: list[Candidate]) -> None:
        self.look.setEnabled(True)
        typed = self.port.currentText()
        self.port.blockSignals(True)
        self.port.clear()
        for one in candidates:
            self.port.addItem(one.resource)
            tip = f"{one.description}; {one.reason}"
            self.port.setItemData(self.port.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        mine = {name for name, model in MODELS.items() if model.role == self.role}
        likely = next((one for one in candidates if one.model in mine), None)
        self.port.setEditText(typed or (likely.resource if likely else ""))
        self.port.blockSignals(False)
        if likely is not None and not typed:
            self.model.setCurrentIndex(self.model.findData(likely.model))
        self._changed()
        if not candidates:
            self._say("no serial port and no known network port found; type the port, or name the host and look again")

    def _failed(self, error: BaseException) -> None:
        self.look.setEnabled(True)
        self.test.setEnabled(True)
        if not isinstance(error, OSError):
            raise error
        self._say(f"ports cannot be listed: {error}", wrong=True)

    problem = ""

    def table(self) -> LaserTable | StageTable | SpectrometerTable | None:
        """The instrument's table of the microscope file, or None with :attr:`problem` saying why not."""
        self.problem = ""
        if not self.port.currentText().strip():
            self.problem = "name the port"
            return None
        text = self.settings.text().strip()
        try:
            settings = tomllib.loads("\n".join(part.strip() for part in text.split(";"))) if text else {}
        except tomllib.TOMLDecodeError as error:
            self.problem = f"driver settings are not TOML ({error}); write name = value, several separated by ;"
            return None
        values: dict[str, Any] = {
            "model": self.model.currentData(), "resource": self.port.currentText().strip(), "settings": settings
        }
        try:
            return TABLES[self.role].model_validate(values | (UNKNOWN_LIGHT if self.role == "laser" else {}))
        except ValidationError as error:
            self.problem = sentence_of(error, self.role)
            return None

    def try_it(self) -> None:
        """Test the instrument, in the lane."""
        table = self.table()
        if table is None:
            self._say(self.problem, wrong=True)
            return
        self._say("connecting …")
        self.test.setEnabled(False)
        asked = self._asked
        self._lane.ask(lambda: check_table(table, self.role), lambda report: self._tested(report, asked), self._failed)

    def _tested(self, report: DeviceReport, asked: int) -> None:
        if asked != self._asked:      # something was changed meanwhile
            return
        self.report = report
        self.test.setEnabled(True)
        if not report.ok:
            self._say(report.problem, wrong=True)
            return
        who = report.identity
        lines = [f"✓ {who['manufacturer']} {who['model']}, serial number {who['serial']}, firmware {who['firmware']}"]
        lines += [f"{name.replace('_', ' ')}: {value}" for name, value in report.values.items() if value is not None]
        self._say("\n".join(lines))


class LightPage(QWizardPage):
    """What lies between laser head and film, which nobody but a person can measure."""

    FIELDS = (
        ("laser", "sample_uw_per_head_mw"), ("laser", "max_sample_uw"), ("optics", "waist_um"),
        ("spectrometer", "electrons_per_count"),
    )  # fmt: skip

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTitle("Light at the sample")
        self.setSubTitle("Measured with a power meter at the sample, a knife edge at the focus, and the data sheet.")
        models: dict[str, type[BaseModel]] = {
            "laser": LaserTable, "optics": OpticsTable, "spectrometer": SpectrometerTable
        }
        self.entries: dict[tuple[str, str], Entry] = {}
        layout = QVBoxLayout(self)
        for table, name in self.FIELDS:
            entry = Entry(name, models[table].model_fields[name], self)
            entry.label.setFixedWidth(px(190))
            entry.changed.connect(self.completeChanged)
            layout.addWidget(entry)
            help_line = Sentence(models[table].model_fields[name].description or "", self)
            help_line.setProperty("faint", True)
            layout.addWidget(help_line)
            self.entries[table, name] = entry
        layout.addStretch(1)

    def values(self, table: str) -> dict[str, Any]:
        """What is typed for a table."""
        return {name: entry.value() for (of, name), entry in self.entries.items() if of == table}

    def isComplete(self) -> bool:  # noqa: N802 - Qt's name
        """Mark what is not valid; True if nothing is."""
        complete = True
        for table, model in (("laser", LaserTable), ("optics", OpticsTable), ("spectrometer", SpectrometerTable)):
            device = {} if table == "optics" else {"model": "any", "resource": "any"}
            given = {name: value for name, value in self.values(table).items() if value is not None}
            reasons: dict[str, str] = {}
            try:
                model.model_validate(device | given)
            except ValidationError as error:
                for problem in error.errors():
                    name = str(problem["loc"][0])
                    reasons[name] = reason_of(problem["type"], problem["msg"], self.entries[table, name].unit)
            for (of, name), entry in self.entries.items():
                if of == table:
                    entry.set_reason(reasons.get(name, ""))
            complete = complete and not reasons
        return complete


class SavePage(QWizardPage):
    """The microscope file: what will stand in it, and where it is kept."""

    def __init__(self, folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTitle("Keep it as a microscope file")
        self.setSubTitle("Everything of this wizard stands in one file, which can be edited and copied.")
        self.setFinalPage(True)
        self.text = QPlainTextEdit(self)
        self.text.setReadOnly(True)
        self.text.setAccessibleName("text of the microscope file")
        self.file = QLineEdit(str(folder / "microscope.toml"), self)
        self.file.setAccessibleName("microscope file")
        self.file.textChanged.connect(self.completeChanged)
        browse = QPushButton("…", self)
        browse.setFixedWidth(px(36))
        browse.setToolTip("choose another file")
        browse.clicked.connect(self._browse)
        self.reason = Sentence("", self)
        self.reason.setProperty("reason", True)
        self.replace = QCheckBox("replace the file that is there", self)
        self.replace.toggled.connect(self.completeChanged)
        self.replace.hide()
        row = QHBoxLayout()
        row.addWidget(self.file, 1)
        row.addWidget(browse)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text, 1)
        layout.addLayout(row)
        layout.addWidget(self.reason)
        layout.addWidget(self.replace)

    def initializePage(self) -> None:  # noqa: N802 - Qt's name
        """Show what will be written."""
        self.text.setPlainText(cast("ConnectionWizard", self.wizard()).microscope().toml_text())
        self.completeChanged.emit()

    def isComplete(self) -> bool:  # noqa: N802 - Qt's name
        """True if the file can be written."""
        path, reason = self.path, ""
        self.replace.setVisible(path.is_file())
        if not self.file.text().strip():
            reason = "name the file"
        elif path.suffix != ".toml":
            reason = "the name must end in .toml"
        elif not path.parent.is_dir():
            reason = f"folder {path.parent} does not exist"
        elif path.is_file() and not self.replace.isChecked():
            reason = "this file exists; choose another name, or have it replaced"
        self.reason.setText(reason)
        return not reason

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return Path(self.file.text().strip())

    def _browse(self) -> None:
        ask_target(
            self, "Microscope file", "Microscope (*.toml)", self.file.text(), lambda path: self.file.setText(str(path)),
            replaces=False,
        )


class ConnectionWizard(QWizard):
    """Emits :attr:`saved` with the path of the microscope file that was written."""

    saved = Signal(object)

    def __init__(self, folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Connect instruments")
        self.setWizardStyle(QWizard.WizardStyle.ClassicStyle)
        self.setOption(QWizard.WizardOption.NoBackButtonOnStartPage)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.lane = Lane("halidescope-wizard", self)
        self.devices: dict[Role, DevicePage] = {role: DevicePage(role, self.lane, self) for role in TABLES}
        for page in self.devices.values():
            self.addPage(page)
        self.light = LightPage(self)
        self.addPage(self.light)
        self.save = SavePage(folder, self)
        self.addPage(self.save)
        self.setButtonText(QWizard.WizardButton.FinishButton, "Save and connect")
        self.resize(px(720), px(520))
        self.finished.connect(lambda _: self.lane.close())

    def microscope(self) -> MicroscopeFile:
        """The microscope as it stands in the pages; all of them are complete."""
        tables = {role: page.table() for role, page in self.devices.items()}
        laser, stage, spectrometer = tables["laser"], tables["stage"], tables["spectrometer"]
        assert laser is not None
        assert stage is not None
        assert spectrometer is not None
        given = {table: {k: v for k, v in self.light.values(table).items() if v is not None}
                 for table in ("laser", "optics", "spectrometer")}
        return MicroscopeFile.model_validate({
            "laser": {"model": laser.model, "resource": laser.resource, "settings": laser.settings, **given["laser"]},
            "stage": stage.model_dump(),
            "spectrometer": spectrometer.model_dump() | given["spectrometer"],
            "optics": given["optics"],
        })

    def accept(self) -> None:
        """Write the file, then tell; if it cannot be written, stay and say why."""
        try:
            self.save.path.write_text(self.microscope().toml_text(), encoding="utf-8")
        except OSError as error:
            self.save.reason.setText(f"{self.save.path} cannot be written ({error.strerror}); choose another folder")
            return
        self.saved.emit(self.save.path)
        super().accept()
