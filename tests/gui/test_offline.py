"""Saved scans offline: other programs' files, another analysis, export of pictures, data and a report, wrong files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QTableWidgetItem

from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.storage import open_scan
from halidescope.gui.offline import ScanWindow, name_filter

OCEAN = """Data from spectrum_1.txt Node

Date: Mon Jan 05 10:11:12 CET 2026
User: lab
Spectrometer: HDX00419
Trigger mode: 0
Integration Time (sec): 2.000000E-1
Scans to average: 1
Electric dark correction enabled: true
Nonlinearity correction enabled: false
Boxcar width: 0
XAxis mode: Wavelengths
Number of Pixels in Spectrum: 400
>>>>>Begin Spectral Data<<<<<
"""


def opened(path: Path, qtbot: QtBot) -> ScanWindow:
    """A window with the file in it."""
    window = ScanWindow(path)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: window.scan is not None or window.problem != "")
    return window


def test_a_file_of_another_program_is_shown_in_the_same_views(qtbot: QtBot, tmp_path: Path) -> None:
    axis = np.linspace(450.0, 700.0, 400)
    counts = 1000.0 * np.exp(-0.5 * ((axis - 512.0) / 9.0) ** 2) + 5.0
    path = tmp_path / "lab.txt"
    path.write_text(OCEAN + "".join(f"{x:.3f}\t{y:.2f}\n" for x, y in zip(axis, counts, strict=True)), encoding="utf-8")
    window = opened(path, qtbot)
    assert window.problem == ""
    assert not window.simulated.isVisible()
    x, y = window.views.live.view.curve.getData()
    assert x == pytest.approx(axis, abs=1e-3)
    assert y == pytest.approx(counts, abs=0.6)
    assert "1 of 1 spectra" in window.about.text()
    assert "*.spe" in name_filter()
    window.save_data(tmp_path / "lab.nxs")
    qtbot.waitUntil(lambda: "lab.nxs is written" in window.notice.text.text())
    with open_scan(tmp_path / "lab.nxs") as scan:
        assert scan.spectra.ravel() == pytest.approx(counts, abs=0.6)
        assert not scan.simulated
    window.close()


def test_a_file_that_is_none_is_a_sentence_and_nothing_can_be_exported(qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "letter.doc"
    path.write_bytes(b"Dear editor, " * 40)
    window = opened(path, qtbot)
    assert "unknown format" in window.about.text()
    assert not window.actions_by_name["picture"].isEnabled()
    window.close()


def test_another_analysis_is_shown_stored_beside_the_data_and_opened_again(
    measured: dict[str, Path], qtbot: QtBot, tmp_path: Path
) -> None:
    path = Path(shutil.copyfile(measured["series"], tmp_path / "series.nxs"))
    window = opened(path, qtbot)
    assert not window.runs.isVisible()
    before = window.views.series.numbers.text()
    qtbot.keyClick(window, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    dialog = window.dialog
    ok = dialog.foot.accept
    assert not ok.isEnabled()
    assert "name at least two files" in dialog.foot.reason.text()
    dialog.files.setText(f"{measured['before']}; {measured['series'].with_name('gone.nxs')}")
    assert "is not there" in dialog.foot.reason.text()
    dialog.files.setText(f"{measured['before']}; {measured['series']}")
    dialog.labels.setText("fresh; exposed")
    assert ok.isEnabled()
    qtbot.mouseClick(ok, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.analysis is not None or "analysing" not in window.notice.text.text())
    assert window.analysis is not None, window.notice.text.text()
    assert window.views.data.labels == ("fresh", "exposed")
    assert window.views.series.note.text() != ""
    qtbot.waitUntil(lambda: window.views.series.numbers.text() != before)
    seen = window.views.data.results

    (offered,) = window.notice.buttons
    assert offered.text() == "Store beside the data"
    qtbot.mouseClick(offered, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "stored as analysis 1" in window.notice.text.text())
    assert not window.runs.store.isVisible()
    window.close()

    again = opened(path, qtbot)                       # as measured at first, the stored one beside it
    assert again.views.data.labels != ("fresh", "exposed")
    shown = [again.runs.list.itemText(k) for k in range(again.runs.list.count())]
    assert shown[0] == "while measuring"
    assert "fresh, exposed" in shown[1]
    choose(again, 1, qtbot)
    assert again.views.data.results == seen
    assert again.analysis is not None
    assert again.analysis.about.origin["settings"]["references"]["labels"] == ["fresh", "exposed"]
    again.save_report(tmp_path / "series.html")
    qtbot.waitUntil(lambda: "series.html is written" in again.notice.text.text())
    assert "settings" in (tmp_path / "series.html").read_text(encoding="utf-8")
    choose(again, 0, qtbot)
    assert again.scan is not None
    assert again.views.data.results == again.scan.results
    again.close()


def test_what_a_file_says_is_changed_in_a_form_with_a_history(
    measured: dict[str, Path], qtbot: QtBot, tmp_path: Path
) -> None:
    path = Path(shutil.copyfile(measured["before"], tmp_path / "map.nxs"))
    window = opened(path, qtbot)
    qtbot.keyClick(window, Qt.Key.Key_I, Qt.KeyboardModifier.ControlModifier)
    form = window.form
    save = form.foot.accept
    assert form.edits["sample.name"].text() == "film 12"
    assert form.history.toPlainText() == "nothing has been changed"
    assert not save.isEnabled()

    def fill(key: str, text: str) -> None:
        form.edits[key].clear()
        qtbot.keyClicks(form.edits[key], text)

    fill("sample.thickness_nm", "thin")
    assert form.edits["sample.thickness_nm"].property("invalid")
    assert "sample.thickness_nm" in form.foot.reason.text()
    fill("sample.thickness_nm", "120")
    assert not form.edits["sample.thickness_nm"].property("invalid")
    fill("calibration.power_on", "yesterday")
    assert "YYYY-MM-DD" in form.foot.reason.text()
    fill("calibration.power_on", "2026-01-05")
    fill("filters", "LP 425, ND 1")
    fill("title", "the film after a night")
    for column, text in enumerate(("grant", "X-1")):
        form.extra.setItem(0, column, QTableWidgetItem(text))
    assert form.extra.rowCount() == 2
    assert "name of who makes it" in form.foot.reason.text()
    qtbot.keyClicks(form.by, "Ada")
    qtbot.keyClicks(form.why, "forgotten")
    assert save.isEnabled()
    with open_scan(path) as scan:
        counts = scan.spectra
    qtbot.mouseClick(save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "5 entries changed" in window.notice.text.text())
    assert "the film after a night" in window.about.text()
    with open_scan(path) as scan:
        assert (scan.spectra == counts).all()
        assert scan.metadata["sample"]["thickness_nm"] == 120.0
        assert scan.metadata["details"]["filters"] == ["LP 425", "ND 1"]
        assert scan.metadata["details"]["extra"]["grant"] == "X-1"

    window.ask_description()
    again = window.form
    assert "Ada: sample.thickness_nm: nothing → 120 (forgotten)" in again.history.toPlainText()
    assert again.edits["sample.thickness_nm"].text() == "120"
    qtbot.mouseClick(again.foot.cancel, Qt.MouseButton.LeftButton)
    window.close()


def test_a_journal_has_to_be_finished_before_it_is_described(
    measured: dict[str, Path], qtbot: QtBot, tmp_path: Path
) -> None:
    journal = journal_path(tmp_path / "cut.nxs")
    file = NexusFile(measured["before"])
    writer = JournalWriter(journal, file.header)
    for point in range(3):
        record = file.record(point)
        assert record is not None
        writer.append(record)
    writer.close()
    file.close()
    window = opened(journal, qtbot)
    window.ask_description()
    assert "finish it first" in window.notice.text.text()
    window.close()


def choose(window: ScanWindow, place: int, qtbot: QtBot) -> None:
    """Choose an analysis with the keyboard."""
    window.runs.list.setFocus()
    while window.runs.list.currentIndex() != place:
        key = Qt.Key.Key_Down if window.runs.list.currentIndex() < place else Qt.Key.Key_Up
        qtbot.keyClick(window.runs.list, key)


def test_damaged_results_do_not_hide_the_measurement(
    measured: dict[str, Path], qtbot: QtBot, tmp_path: Path
) -> None:
    path = Path(shutil.copyfile(measured["series"], tmp_path / "series.nxs"))
    (tmp_path / "series.analysis.nxs").write_bytes(b"nonsense")
    window = opened(path, qtbot)
    assert window.problem == ""
    assert window.scan is not None
    assert "results cannot be read" in window.notice.text.text()
    window.close()


def test_pictures_data_and_report_are_written_and_say_simulated(
    measured: dict[str, Path], qtbot: QtBot, tmp_path: Path
) -> None:
    window = opened(measured["after"], qtbot)
    qtbot.waitUntil(lambda: window.views.map.image.image is not None)
    for ending in (".png", ".svg", ".pdf"):
        window.save_picture(tmp_path / f"map{ending}")
        assert window.notice.text.text() == f"{tmp_path / f'map{ending}'} is written"
    image = QImage(str(tmp_path / "map.png"))
    assert image.width() >= 2 * window.split.width()
    assert "SIMULATED" in (tmp_path / "map.svg").read_text(encoding="utf-8")
    assert (tmp_path / "map.pdf").read_bytes().startswith(b"%PDF")
    window.save_picture(tmp_path / "map.bmp")
    assert "use .png, .svg, .pdf" in window.notice.text.text()
    window.save_picture(tmp_path / "nowhere" / "map.png")
    assert "cannot be written" in window.notice.text.text()

    window.save_data(tmp_path / "map.csv")
    qtbot.waitUntil(lambda: "map.csv is written" in window.notice.text.text())
    window.save_data(tmp_path / "map.csv")
    qtbot.waitUntil(lambda: "never overwritten" in window.notice.text.text())
    window.save_data(tmp_path / "again.nxs")       # from a finished file
    qtbot.waitUntil(lambda: "again.nxs is written" in window.notice.text.text())
    with open_scan(measured["after"]) as scan, open_scan(tmp_path / "again.nxs") as again:
        assert (again.spectra == scan.spectra).all()
        assert again.simulated
    window.save_report(tmp_path / "map.html")
    qtbot.waitUntil(lambda: "map.html is written" in window.notice.text.text())
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert "simulated" in page.lower()
    assert "<svg" in page
    beside = window.open_beside(measured["series"])
    qtbot.waitUntil(lambda: beside.scan is not None)
    with qtbot.waitSignal(beside.destroyed):
        window.close()
