"""200 windows come and go, 200 measurements are started and aborted: nothing is left behind. Run by ``make soak``."""

import gc
import os
import threading
from pathlib import Path

import pytest
from played_engine import PlayedEngine
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QApplication

from halidescope.gui.link import Opened, attached
from halidescope.gui.window import MainWindow

CYCLES = 200


def handles() -> int:
    """Open files and sockets of this process."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
@pytest.mark.timeout(1200)
def test_two_hundred_windows_leave_no_thread_widget_socket_or_file(
    session: Path, settings: QSettings, qtbot: QtBot
) -> None:
    """Real connections to a real engine process."""

    def once() -> None:
        window = MainWindow(settings)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.show()
        with qtbot.waitSignal(window.feed.status, timeout=15000):
            window.follow(lambda: attached(session))
        with qtbot.waitSignal(window.destroyed, timeout=15000):
            window._close_for_good()

    for _ in range(3):      # what is loaded once is loaded
        once()
    gc.collect()
    widgets, threads, files = len(QApplication.allWidgets()), threading.active_count(), handles()
    for _ in range(CYCLES):
        once()
    gc.collect()
    qtbot.waitUntil(lambda: threading.active_count() <= threads, timeout=10000)
    assert len(QApplication.allWidgets()) <= widgets
    qtbot.waitUntil(lambda: handles() <= files, timeout=10000)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
@pytest.mark.timeout(1200)
def test_two_hundred_starts_and_aborts_leave_nothing_in_one_window(
    window: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    with qtbot.waitSignal(window.feed.status, timeout=5000):
        window.follow(lambda: Opened(engine, engine, engine, engine))

    def once(k: int) -> None:
        file = str(tmp_path / f"{k}.nxs")
        engine.begin(file, "raster-map" if k % 2 else "time-series")
        engine.take(5)
        qtbot.waitUntil(lambda: window.status is not None and window.status.file == file, timeout=5000)
        qtbot.waitUntil(lambda: window.views.data.seen == 5, timeout=5000)
        qtbot.waitUntil(window.measure.abort_button.isEnabled, timeout=5000)
        qtbot.mouseClick(window.measure.abort_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not window.measure.abort_button.isEnabled(), timeout=5000)

    for k in range(4):
        once(k)
    gc.collect()
    widgets, threads, files = len(QApplication.allWidgets()), threading.active_count(), handles()
    for k in range(4, CYCLES + 4):
        once(k)
    gc.collect()
    qtbot.waitUntil(lambda: threading.active_count() <= threads, timeout=10000)
    assert len(QApplication.allWidgets()) <= widgets
    qtbot.waitUntil(lambda: handles() <= files, timeout=10000)
