"""The ways in: welcome page, wizard against real wires, measurements that were cut off, the demo and its tour."""

import sqlite3
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QWizard

from halidescope.acquisition.microscope import load_microscope, parse_microscope
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.gui import demo_tour
from halidescope.gui.left_behind import find_cut_off
from halidescope.gui.shortcuts import ShortcutsDialog, menu_keys
from halidescope.gui.window import MainWindow
from halidescope.simulators.microscope import SimulatedMicroscope

LEFT = Qt.MouseButton.LeftButton


def state(window: MainWindow) -> RunState:
    return RunState.IDLE if window.status is None else window.status.state


def cut_off(window: MainWindow, qtbot: QtBot) -> Path:
    """Begin a measurement by click, leave a copy of its journal, as a power cut would, and abort the measurement."""
    window.measure.set_recipe(demo_tour.SERIES.model_copy(update={"duration_s": 40.0, "dark_spectra": 3}))
    qtbot.waitUntil(window.measure.start_button.isEnabled)
    out = Path(window.measure.file.text())
    qtbot.mouseClick(window.measure.start_button, LEFT)
    qtbot.waitUntil(lambda: window.status is not None and window.status.file == str(out) and window.status.done > 5)
    qtbot.mouseClick(window.measure.pause_button, LEFT)
    qtbot.waitUntil(lambda: state(window) is RunState.PAUSED)
    journal = out.with_name("cut.nxs.journal")
    with sqlite3.connect(f"{out}.journal") as source, sqlite3.connect(journal) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    qtbot.mouseClick(window.measure.abort_button, LEFT)
    qtbot.waitUntil(lambda: state(window) is RunState.ABORTED)
    return journal


def test_a_measurement_that_was_cut_off_is_offered_and_resumed(attached_window: MainWindow, qtbot: QtBot) -> None:
    window = attached_window
    journal = cut_off(window, qtbot)
    found = find_cut_off([journal.parent])
    assert [one.journal for one in found] == [journal]
    assert 5 < found[0].done < found[0].total == 40
    window.entrance.look_for_cut_off()
    qtbot.waitUntil(lambda: "cut.nxs was cut off: time series 40 s" in window.notice.text.text())
    assert [button.text() for button in window.notice.buttons] == ["resume", "finish its file", "look at it"]
    qtbot.mouseClick(window.notice.buttons[0], LEFT)
    out = journal.with_name("cut.nxs")
    qtbot.waitUntil(lambda: window.status is not None and window.status.file == str(out))
    qtbot.waitUntil(lambda: state(window) is RunState.FINISHED)
    qtbot.waitUntil(lambda: [point.source for point in window.trends.points] == [str(out)])
    with open_scan(out) as scan:
        assert scan.valid.all()
        assert len(scan.valid) == 40
    assert not journal.exists()


def test_the_welcome_page_offers_to_finish_its_file(
    attached_window: MainWindow, qtbot: QtBot
) -> None:
    window = attached_window
    journal = cut_off(window, qtbot)
    done = find_cut_off([journal.parent])[0].done
    window.welcome()
    page = window.entrance.page
    name = f"finish:{journal.name}"
    qtbot.waitUntil(lambda: page.findChild(QPushButton, name) is not None)
    assert not window.docking["Live"].isVisible()
    qtbot.mouseClick(page.findChild(QPushButton, name), LEFT)
    qtbot.waitUntil(lambda: "cut.nxs is written" in window.notice.text.text())
    with open_scan(journal.with_name("cut.nxs")) as scan:
        assert int(scan.valid.sum()) == done
        assert scan.metadata["state"] == "cut off"
    qtbot.waitUntil(lambda: page.findChild(QPushButton, name) is None)
    qtbot.mouseClick(page.buttons["plan"], LEFT)
    assert window.docking["Live"].isVisible()


def test_the_wizard_tests_real_wires_and_writes_a_microscope_file(
    window: MainWindow, fresh_bench: SimulatedMicroscope, qtbot: QtBot, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(window.entrance, "open_microscope", opened.append)
    truth = parse_microscope(fresh_bench.microscope_toml())
    qtbot.keyClick(window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    wizard = window.entrance.wizard
    following = wizard.button(QWizard.WizardButton.NextButton)
    for role, page in wizard.devices.items():
        qtbot.waitUntil(lambda page=page: wizard.currentPage() is page and page.look.isEnabled())
        page.port.setEditText("TCPIP::127.0.0.1::9::SOCKET")
        qtbot.mouseClick(page.test, LEFT)
        qtbot.waitUntil(lambda page=page: page.report is not None)
        assert not page.report.ok
        assert "127.0.0.1::9" in page.result.text()
        assert page.result.property("reason") is True
        page.port.setEditText(getattr(truth, role).resource)
        qtbot.mouseClick(page.test, LEFT)
        qtbot.waitUntil(lambda page=page: page.report is not None)
        assert page.report.ok, page.report.problem
        assert "serial number" in page.result.text()
        qtbot.mouseClick(following, LEFT)
    light = wizard.light
    assert not following.isEnabled()
    for (_, name), text in {("laser", "sample_uw_per_head_mw"): "4", ("laser", "max_sample_uw"): "-400"}.items():
        edit = light.findChild(type(light.entries["laser", "max_sample_uw"].edits[0]), name)
        edit.setText(text)
    assert light.entries["laser", "max_sample_uw"].reason.text() == "must be greater than 0 µW"
    light.entries["laser", "max_sample_uw"].edits[0].setText("400")
    qtbot.mouseClick(following, LEFT)
    assert 'model = "cobolt-06-mld"' in wizard.save.text.toPlainText()
    finish = wizard.button(QWizard.WizardButton.FinishButton)
    (tmp_path / "old.toml").touch()
    wizard.save.file.setText(str(tmp_path / "old.toml"))
    assert not finish.isEnabled()
    wizard.save.file.setText(str(tmp_path / "lab.toml"))
    assert finish.isEnabled()
    qtbot.mouseClick(finish, LEFT)
    qtbot.waitUntil(lambda: opened == [tmp_path / "lab.toml"])
    written = load_microscope(tmp_path / "lab.toml")
    assert written.laser.resource == truth.laser.resource
    assert written.laser.max_sample_uw == 400.0
    assert written.stage == truth.stage


def test_the_keys_are_listed_with_what_they_do(window: MainWindow, qtbot: QtBot) -> None:
    keys = dict(menu_keys(window))
    assert keys["F5"] == "Start"
    assert keys["Ctrl+D"] == "Dark now (Esc twice)"
    assert len(keys) == len(menu_keys(window))      # no key twice
    qtbot.keyClick(window, Qt.Key.Key_F1)
    dialog = window.findChild(ShortcutsDialog)
    assert dialog.table.rowCount() > 25
    dialog.reject()


def test_the_demo_and_its_tour_from_the_welcome_page(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = demo_tour.MAP.model_copy(update={"origin_um": (92.0, 92.0), "size_um": (16.0, 16.0), "dark_spectra": 3})
    monkeypatch.setattr(demo_tour, "MAP", small)
    monkeypatch.setattr(demo_tour, "ENOUGH", 60)
    window.entrance.demo.speed = 60.0
    monkeypatch.setattr(demo_tour, "SERIES", demo_tour.SERIES.model_copy(update={"dark_spectra": 3}))
    tour = window.tour
    window.welcome()
    qtbot.mouseClick(window.entrance.page.buttons["demo"], LEFT)
    qtbot.waitUntil(lambda: tour.running)
    assert tour.number.text() == "Tour 1/5"
    assert tour.frame.isVisible()
    qtbot.waitUntil(lambda: window.windowTitle().endswith("SIMULATED"))
    assert window.strip.simulated.isVisible()
    qtbot.mouseClick(tour.next, LEFT)
    qtbot.waitUntil(window.measure.start_button.isEnabled)
    qtbot.waitUntil(lambda: "500 spectra" in window.measure.preflight.text())
    qtbot.mouseClick(window.measure.start_button, LEFT)
    qtbot.waitUntil(lambda: tour.at >= 2)        # it runs
    qtbot.waitUntil(lambda: tour.at >= 3)        # it has changed
    assert "EMISSION" in window.strip.emission.text()
    qtbot.mouseClick(window.strip.dark_button, LEFT)
    qtbot.waitUntil(lambda: tour.at == 4)
    series = Path(window.status.file)
    with open_scan(series) as scan:
        assert scan.simulated
        assert scan.metadata["state"] == "aborted"
    qtbot.waitUntil(window.measure.start_button.isEnabled)
    qtbot.mouseClick(window.measure.start_button, LEFT)
    qtbot.waitUntil(lambda: state(window) is RunState.FINISHED and window.status.kind == "raster-map")
    qtbot.mouseClick(tour.next, LEFT)
    assert not tour.running
    assert not tour.frame.isVisible()
    folder = window.entrance.demo._folder
    with qtbot.waitSignal(window.feed.closed):
        window.close()
    assert not window.isVisible()
    assert folder is not None
    qtbot.waitUntil(lambda: not folder.path.exists())
