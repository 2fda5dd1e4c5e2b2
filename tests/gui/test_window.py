"""The main window with an engine that plays from memory: what is shown, what is asked, what is never forgotten."""

import gc
import sys
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from played_engine import PlayedEngine
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSettings, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QApplication, QFileDialog, QMenu

from halidescope.acquisition.states import RunState
from halidescope.gui.app import show_mistakes
from halidescope.gui.link import Opened
from halidescope.gui.values import NO_BREAK
from halidescope.gui.window import MainWindow


def begun(window: MainWindow, engine: PlayedEngine, file: Path, qtbot: QtBot) -> None:
    """Let a measurement run, and wait until the window knows of it."""
    engine.begin(str(file))
    qtbot.waitUntil(lambda: window.status is not None and window.status.file == str(file))


def test_spectra_and_shares_are_shown_as_they_come(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    begun(followed, engine, tmp_path / "a.nxs", qtbot)
    engine.take(60)
    qtbot.waitUntil(lambda: followed.views.data.analysed == 60)
    x, y = followed.views.live.view.curve.getData()
    assert len(x) == 2068
    assert y.max() > 100
    qtbot.waitUntil(lambda: followed.views.series.image.image is not None)
    rate = "⟨k⟩ 0.0213 ± 0.0008 1/s".replace(" ", NO_BREAK)
    qtbot.waitUntil(lambda: rate in followed.views.series.numbers.text())
    assert "60/100" in followed.strip.progress_text.text()
    strip = followed.strip
    assert strip.emission.text() == "◉ EMISSION"
    assert [widget.property("emission") for widget in (strip.emission, strip.lit_bar)] == ["lit", "lit"]
    engine.now = replace(engine.now, dose_here_j_cm2=2.0e6)       # moved on by hand
    qtbot.waitUntil(lambda: strip.dose.text() == "dose here 2 MJ/cm²")
    assert followed.views.live.view.plot.empty_words == followed.views.series.map_plot.empty_words == ""
    assert "choose a map" in followed.views.map.plot.empty_words


def test_docks_theme_and_recipe_are_remembered(window: MainWindow, settings: QSettings, qtbot: QtBot) -> None:
    window.docking["Instruments"].hide()
    window.docking["Map"].setFloating(True)
    window.theme_actions["red"].trigger()
    window.resize(1280, 720)
    window.close()
    again = MainWindow(settings)
    qtbot.addWidget(again)
    again.show()
    assert again.docking["Instruments"].isHidden()
    assert again.docking["Map"].isFloating()
    assert again.theme_actions["red"].isChecked()
    if QGuiApplication.platformName() == "offscreen":      # a window manager has a say in it
        assert again.height() == 720       # the width is cut to the offscreen screen's 800 pixels
    again.docking.arrange()
    assert again.docking["Instruments"].isVisible()
    assert not again.docking["Map"].isFloating()
    again.close()


def test_another_layout_version_is_forgotten(
    window: MainWindow, settings: QSettings, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.docking["Instruments"].hide()
    window.close()
    monkeypatch.setattr("halidescope.gui.docking.LAYOUT_VERSION", 99)
    again = MainWindow(settings)
    qtbot.addWidget(again)
    again.show()
    assert again.docking["Instruments"].isVisible()
    again.close()


@pytest.mark.parametrize(("answer", "asked", "open_after"), [(0, [], False), (1, ["quit"], False), (2, [], True)])
def test_leaving_a_running_measurement_is_asked(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path, answer: int, asked: list[str],
    open_after: bool,
) -> None:
    begun(followed, engine, tmp_path / "a.nxs", qtbot)
    followed.close()
    assert followed.isVisible()
    buttons = {button.text(): button for button in followed.question.buttons()}
    qtbot.mouseClick(buttons[("Keep measuring", "Abort and go dark", "Stay here")[answer]], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: followed.isVisible() is open_after)
    assert engine.calls == asked
    assert engine.now.state is (RunState.ABORTED if asked else RunState.RUNNING)
    qtbot.waitUntil(lambda: engine.closed == (0 if open_after else 4))


def test_a_mistake_in_the_window_is_a_sentence_and_a_log_entry(
    window: MainWindow, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    show_mistakes(window)
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert "mistake in this window (ZeroDivisionError: division by zero)" in window.notice.text.text()
    assert "mistake in the window" in caplog.text


def test_a_second_measurement_begins_with_empty_views(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    begun(followed, engine, tmp_path / "a.nxs", qtbot)
    engine.take(30)
    qtbot.waitUntil(lambda: followed.views.data.analysed == 30)
    begun(followed, engine, tmp_path / "b.nxs", qtbot)
    assert followed.views.data.seen == 0
    engine.take(5)
    qtbot.waitUntil(lambda: followed.views.data.analysed == followed.views.data.seen == 5)
    assert followed.views.series.numbers.text() == "no fit yet"


def test_results_of_the_measurement_before_are_not_taken_for_new_ones(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    begun(followed, engine, tmp_path / "a.nxs", qtbot)
    engine.take(30)
    qtbot.waitUntil(lambda: followed.views.data.analysed == 30)
    engine.now = replace(engine.now, state=RunState.PREPARING, file=str(tmp_path / "b.nxs"), done=0)
    for _ in range(2):
        with qtbot.waitSignal(followed.feed.status):
            pass
    assert followed.views.data.analysed == 0
    engine.begin(str(tmp_path / "b.nxs"))
    engine.take(5)
    qtbot.waitUntil(lambda: followed.views.data.analysed == 5)


def test_the_window_stays_awake_while_the_door_hangs(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    begun(followed, engine, tmp_path / "a.nxs", qtbot)
    engine.gate = threading.Event()
    qtbot.waitUntil(lambda: engine.hanging >= 1)
    engine.take(40)
    qtbot.waitUntil(lambda: followed.views.data.seen == 40)   # the ring goes on without the door
    engine.gate.set()
    qtbot.waitUntil(lambda: followed.views.data.analysed == 40)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal from Python 3.12 on")
def test_qt_loses_no_reference_to_none(window: MainWindow) -> None:
    before = sys.getrefcount(None)
    for k in range(200):
        window.strip.dose.setText(f"dose {k}")
    assert sys.getrefcount(None) >= before - 20


@pytest.mark.parametrize("ours", [True, False])
def test_a_window_closes_at_once_while_its_engine_is_being_opened(
    window: MainWindow, engine: PlayedEngine, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    """What was started for it is ended as soon as it is there, and only then the simulated instruments are."""
    begun_opening, gate, ended = threading.Event(), threading.Event(), []

    def opener() -> Opened:
        begun_opening.set()
        gate.wait(20.0)
        return Opened(engine, engine, engine, engine, ours=ours)

    monkeypatch.setattr(window.entrance.demo, "end", lambda: ended.append((tuple(engine.calls), engine.closed)))
    window.follow(opener)
    assert begun_opening.wait(30.0)
    window.close()
    assert not window.isVisible()       # the opener still waits
    assert ended == []
    gate.set()
    qtbot.waitUntil(lambda: ended != [])
    assert ended == [(("quit",) if ours else (), 4)]


@pytest.mark.slow
def test_windows_come_and_go_without_a_trace(
    engine: PlayedEngine, settings: QSettings, qtbot: QtBot, tmp_path: Path
) -> None:
    def once(k: int) -> None:
        window = MainWindow(settings)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.show()
        with qtbot.waitSignal(window.feed.status):
            window.follow(lambda: Opened(engine, engine, engine, engine))
        engine.begin(str(tmp_path / f"{k}.nxs"))
        engine.take(3)
        qtbot.waitUntil(lambda: window.views.data.seen > 0)
        engine.abort()
        with qtbot.waitSignal(window.destroyed):
            window._close_for_good()

    once(0)
    gc.collect()
    widgets, threads = len(QApplication.allWidgets()), threading.active_count()
    for k in range(1, 6):
        once(k)
    gc.collect()
    qtbot.waitUntil(lambda: threading.active_count() <= threads)
    assert len(QApplication.allWidgets()) <= widgets


def test_the_first_words_say_what_to_do(window: MainWindow, settings: QSettings, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "session.json").write_text("{}", encoding="utf-8")
    window.offer_attach(tmp_path / "session.json")     # of no engine
    page = window.entrance.page
    qtbot.waitUntil(page.isVisible)
    assert page.buttons["file"].isVisible()
    assert page.buttons["demo"].isVisible()
    assert not page.buttons["last"].isVisible()
    assert not page.buttons["follow"].isVisible()
    last = tmp_path / "microscope.toml"
    last.write_text("[laser]\n", encoding="utf-8")
    settings.setValue("microscope", str(last))
    window.welcome()
    qtbot.mouseClick(page.buttons["last"], Qt.MouseButton.LeftButton)
    assert "is missing" in window.notice.text.text()


def test_the_window_fits_a_small_screen_whatever_is_compared(window: MainWindow) -> None:
    window.views.map.buttons["compare"].setText("Compare ×")
    window.views.map.buttons["series"].setText("Series ×")
    window.views.series.compare.setText("Compare ×")
    QApplication.processEvents()
    assert window.minimumSizeHint().width() <= 1280
    assert window.minimumSizeHint().height() <= 720


def test_a_file_name_proposed_again_is_another_measurement(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    """One that is aborted before its first spectrum leaves no file."""
    begun(followed, engine, tmp_path / "a.nxs", qtbot)
    engine.take(30)
    qtbot.waitUntil(lambda: followed.views.data.analysed == 30)
    engine.abort()
    engine.begin(str(tmp_path / "a.nxs"))
    engine.take(10)
    qtbot.waitUntil(lambda: followed.views.data.analysed == followed.views.data.seen == 10)


def test_a_finished_series_is_among_the_trends_though_the_next_began_at_once(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path, measured: dict[str, Path]
) -> None:
    begun(followed, engine, measured["series"], qtbot)
    begun(followed, engine, tmp_path / "next.nxs", qtbot)
    qtbot.waitUntil(lambda: len(followed.trends.points) == 1)
    assert followed.trends.points[0].source == str(measured["series"])


def test_every_dock_is_saved_as_a_picture(followed: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    """What is simulated says so in the picture, whatever its format."""
    menu = next(one for one in followed.findChildren(QMenu) if one.title() == "Save &picture of")
    assert [action.text() for action in menu.actions()] == [f"{name}…" for name in followed.docking.docks]
    for number, action in enumerate(menu.actions()):
        action.trigger()
        dialog = next(one for one in followed.findChildren(QFileDialog) if one.isVisible())
        path = tmp_path / f"view-{number}.{('png', 'svg', 'pdf')[number % 3]}"
        dialog.fileSelected.emit(str(path))
        dialog.close()
        assert path.stat().st_size > 1000
        if path.suffix == ".svg":
            assert "SIMULATED" in path.read_text(encoding="utf-8")
