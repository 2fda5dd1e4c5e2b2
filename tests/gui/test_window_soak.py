"""200 windows come and go, 200 measurements are started and aborted: nothing is left behind. Run by ``make soak``."""

import gc
import os
import threading
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSettings, Qt
from qtpy.QtWidgets import QApplication

from halidescope.acquisition.recipes import RasterMap, Sample, TimeSeries
from halidescope.acquisition.session import read_session
from halidescope.acquisition.states import RunState
from halidescope.gui.link import attached
from halidescope.gui.window import MainWindow

CYCLES = 200
SERIES = TimeSeries(
    sample_power_uw=120.0, exposure_s=0.2, duration_s=3000.0, interval_s=1.0, dark_spectra=2,
    sample=Sample(composition=1.5),
)
FIELD = RasterMap(sample_power_uw=5.0, exposure_s=0.2, step_um=4.0, dark_spectra=2, sample=Sample(composition=1.5))


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
        with qtbot.waitSignal(window.feed.status):
            window.follow(lambda: attached(session))
        with qtbot.waitSignal(window.destroyed):
            window._close_for_good()

    for _ in range(3):      # what is loaded once is loaded
        once()
    gc.collect()
    widgets, threads, files = len(QApplication.allWidgets()), threading.active_count(), handles()
    for _ in range(CYCLES):
        once()
    gc.collect()
    qtbot.waitUntil(lambda: threading.active_count() <= threads)
    assert len(QApplication.allWidgets()) <= widgets
    qtbot.waitUntil(lambda: handles() <= files)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
@pytest.mark.timeout(1200)
def test_two_hundred_starts_and_aborts_leave_nothing_in_window_and_engine(
    attached_window: MainWindow, session: Path, qtbot: QtBot
) -> None:
    """Series and maps on a real engine, whose own threads, sockets and files are counted too."""
    window = attached_window
    engine = Path(f"/proc/{read_session(session).pid}")

    def counts() -> dict[str, int]:
        return {
            "widgets": len(QApplication.allWidgets()), "threads": threading.active_count(), "files": handles(),
            "engine's threads": len(os.listdir(engine / "task")), "engine's files": len(os.listdir(engine / "fd")),
        }

    def over() -> bool:
        status = window.status
        return status is not None and status.file == str(out) and status.state is RunState.ABORTED

    for k in range(CYCLES + 4):
        if k == 4:      # what is loaded once is loaded
            gc.collect()
            before = counts()
        window.measure.set_recipe(SERIES if k % 2 else FIELD)
        window.propose_file()
        qtbot.waitUntil(window.measure.start_button.isEnabled)
        out = Path(window.measure.file.text())
        qtbot.mouseClick(window.measure.start_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(
            lambda out=out: window.status is not None and window.status.file == str(out) and window.views.data.seen > 0
        )
        qtbot.waitUntil(window.measure.abort_button.isEnabled)
        qtbot.mouseClick(window.measure.abort_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(over)
        assert out.exists()
    gc.collect()
    qtbot.waitUntil(lambda: all(now <= before[name] for name, now in counts().items()))
