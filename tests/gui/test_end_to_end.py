"""The window over the whole suite: simulated instruments on the wire, an engine process, real clicks."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPointF, QSettings, Qt

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.recipes import RasterMap, Sample, TimeSeries
from halidescope.acquisition.session import read_session
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.gui.demo_folder import remove_left_over
from halidescope.gui.link import Opened
from halidescope.gui.map_dock import MapPanel
from halidescope.gui.offline import ScanWindow
from halidescope.gui.window import MainWindow
from halidescope.simulators.microscope import SimulatedMicroscope

SERIES = TimeSeries(
    sample_power_uw=120.0, exposure_s=0.1, duration_s=300.0, interval_s=1.0, dark_spectra=3,
    sample=Sample(name="film 12", composition=1.5),
)

MAP = RasterMap(
    sample_power_uw=5.0, exposure_s=0.2, origin_um=(88.0, 92.0), size_um=(24.0, 16.0), step_um=4.0, dark_spectra=3,
    sample=Sample(composition=1.5),
)


def truth(bench: SimulatedMicroscope, what: str) -> object:
    """Ask the control port."""
    assert bench.control is not None
    with socket.create_connection((bench.control.host, bench.control.port), timeout=60) as line:
        line.sendall(json.dumps({"get": what}).encode() + b"\n")
        return json.loads(line.makefile().readline())["value"]


def state(window: MainWindow) -> RunState:
    return RunState.IDLE if window.status is None else window.status.state


def start(window: MainWindow, qtbot: QtBot) -> Path:
    """Fill the form and click Start; waits until spectra come."""
    window.measure.set_recipe(SERIES)
    qtbot.waitUntil(window.measure.start_button.isEnabled)
    out = Path(window.measure.file.text())
    qtbot.mouseClick(window.measure.start_button, Qt.MouseButton.LeftButton)

    def under_way() -> None:
        data, words = window.views.data, [window.notice.text.text()]
        words += window.log.lines()
        assert window.status is not None
        assert window.status.file == str(out)
        assert min(data.seen - 10, data.analysed - 5) >= 0, (data.seen, data.analysed, window.status, words)

    qtbot.waitUntil(under_way)
    return out


def test_start_see_and_go_dark(attached_window: MainWindow, bench: SimulatedMicroscope, qtbot: QtBot) -> None:
    window = attached_window
    out = start(window, qtbot)
    assert truth(bench, "laser.emission") is True
    assert "EMISSION" in window.strip.emission.text()
    assert window.strip.simulated.isVisible()
    assert window.windowTitle().endswith("SIMULATED")
    with qtbot.waitSignal(window.feed.dark):
        qtbot.mouseClick(window.strip.dark_button, Qt.MouseButton.LeftButton)
    assert truth(bench, "laser.emission") is False
    qtbot.waitUntil(lambda: state(window) is RunState.ABORTED)
    assert window.status is not None
    with open_scan(out) as scan:
        assert int(scan.valid.sum()) == window.status.done
        assert scan.metadata["state"] == "aborted"
    assert "dark" in window.strip.emission.text()


def test_a_second_window_takes_over_what_the_first_left(
    attached_window: MainWindow, session: Path, bench: SimulatedMicroscope, settings: QSettings, qtbot: QtBot
) -> None:
    start(attached_window, qtbot)
    attached_window.close()
    question = attached_window.question
    with qtbot.waitSignal(attached_window.feed.closed):
        qtbot.mouseClick(question.buttons()[0], Qt.MouseButton.LeftButton)
    assert not attached_window.isVisible()
    assert truth(bench, "laser.emission") is True

    second = MainWindow(settings)
    qtbot.addWidget(second)
    second.show()
    second.offer_attach(session)
    qtbot.waitUntil(lambda: len(second.notice.buttons) == 1)
    qtbot.mouseClick(second.notice.buttons[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: second.views.data.seen >= 15 and second.views.data.place(0) is not None)
    assert state(second) is RunState.RUNNING
    qtbot.mouseClick(second.measure.abort_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: state(second) is RunState.ABORTED)
    assert truth(bench, "laser.emission") is False
    second._close_for_good()


@pytest.fixture
def another_window(settings: QSettings, qtbot: QtBot) -> Iterator[MainWindow]:
    """A second window, which lets go of the engine whatever became of the test."""
    window = MainWindow(settings)
    qtbot.addWidget(window)
    window.show()
    yield window
    window._close_for_good()


def test_one_window_commands_and_the_other_watches_until_it_takes_the_command(
    attached_window: MainWindow, another_window: MainWindow, session: Path, bench: SimulatedMicroscope, qtbot: QtBot
) -> None:
    watching, commanding = attached_window, another_window
    address = read_session(session)
    commanding.follow(lambda: Opened(*(EngineClient(address, name="ben (process 1)") for _ in range(4))))
    qtbot.waitUntil(lambda: commanding.status is not None and commanding.status.connected)
    start(commanding, qtbot)
    qtbot.waitUntil(lambda: "ben (process 1) has the command" in watching.notice.text.text())
    qtbot.waitUntil(lambda: watching.views.data.seen > 15)
    qtbot.mouseClick(watching.measure.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "take the command over first" in watching.notice.text.text())
    assert state(watching) is RunState.RUNNING
    qtbot.mouseClick(watching.notice.buttons[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: watching.status is not None and "ben" not in watching.status.commander)
    qtbot.mouseClick(watching.measure.pause_button, Qt.MouseButton.LeftButton)
    for window in (commanding, watching):
        qtbot.waitUntil(lambda window=window: state(window) is RunState.PAUSED)
    qtbot.mouseClick(watching.measure.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: truth(bench, "laser.emission") is True)
    qtbot.mouseClick(commanding.strip.dark_button, Qt.MouseButton.LeftButton)      # is everybody's
    qtbot.waitUntil(lambda: state(watching) is RunState.ABORTED)
    assert truth(bench, "laser.emission") is False


def click_pixel(panel: MapPanel, x_um: float, y_um: float, qtbot: QtBot) -> None:
    """Click a place of the map with the mouse."""
    scene = panel.plot.getPlotItem().getViewBox().mapViewToScene(QPointF(x_um, y_um))
    qtbot.mouseClick(panel.plot.viewport(), Qt.MouseButton.LeftButton, pos=panel.plot.mapFromScene(scene))


def test_a_map_is_seen_growing_and_opened_again(
    attached_window: MainWindow, session: Path, bench: SimulatedMicroscope, qtbot: QtBot
) -> None:
    window = attached_window
    window.measure.set_recipe(MAP)
    qtbot.waitUntil(window.measure.start_button.isEnabled)
    out = Path(window.measure.file.text())
    qtbot.mouseClick(window.measure.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: state(window).busy and window.views.data.grid is not None)
    qtbot.waitUntil(lambda: 3 < window.views.data.seen < 35)
    qtbot.mouseClick(window.measure.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: state(window) is RunState.PAUSED)
    assert truth(bench, "laser.emission") is False
    qtbot.waitUntil(lambda: "missing (grey)" in window.views.map.missing.text())
    qtbot.mouseClick(window.measure.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: state(window) is RunState.FINISHED)
    qtbot.waitUntil(lambda: window.views.map.missing.text() == "all pixels measured")
    panel = window.views.map
    assert panel.image.image.shape == (5, 7)
    assert str(panel.quantity.currentData()).startswith("share:")
    click_pixel(panel, 96.3, 99.1, qtbot)
    assert panel.picked == 2 * 7 + 2
    assert panel.view.caption.text() == "pixel x 96 µm, y 100 µm"

    saved = ScanWindow(out)
    qtbot.addWidget(saved)
    saved.show()
    qtbot.waitUntil(lambda: saved.scan is not None or saved.problem != "")
    assert saved.problem == ""
    assert saved.simulated.isVisible()
    assert "35 of 35 spectra · finished" in saved.about.text()
    qtbot.waitUntil(lambda: saved.views.map.image.image is not None)
    image = saved.views.map.image
    assert tuple(image.getLevels()) == (np.nanmin(image.image), np.nanmax(image.image))
    click_pixel(saved.views.map, 88.0, 92.0, qtbot)
    shown = saved.views.map.view.curve.getData()[1]
    with open_scan(out) as scan:
        assert shown == pytest.approx(scan.spectra[0, 0] - scan.dark.mean, abs=0.01)
    saved.close()


WINDOW = """
import sys
from collections.abc import Iterator
from pathlib import Path
from halidescope.acquisition.recipes import parse_recipe
from halidescope.gui.app import make_application
from halidescope.gui.window import MainWindow
from qtpy.QtCore import QSettings, QTimer

application = make_application()
settings = QSettings(sys.argv[1] + "/settings.ini", QSettings.Format.IniFormat)
settings.setValue("folder", sys.argv[1])
window = MainWindow(settings)
window.open_microscope(Path(sys.argv[1]) / "microscope.toml", Path(sys.argv[1]) / "session.json")
window.measure.set_recipe(parse_recipe(__import__("json").loads(sys.argv[2])))
window.show()
timer = QTimer()
timer.timeout.connect(window.measure.start_button.click)
timer.start(200)
window.feed.spectra.connect(lambda _: print("spectra", flush=True))
application.exec()
"""


def test_a_killed_window_leaves_the_measurement_to_the_next(
    window: MainWindow, fresh_bench: SimulatedMicroscope, orphaned: None, tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "microscope.toml").write_text(fresh_bench.microscope_toml(), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", WINDOW, str(tmp_path), SERIES.model_dump_json()], stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"spectra\n"
        first.kill()
    session = tmp_path / "session.json"
    with EngineClient.attach(session) as client:
        done = client.status().done
        assert client.status().state is RunState.RUNNING
        assert truth(fresh_bench, "laser.emission") is True
        window.attach(session)
        qtbot.waitUntil(lambda: window.status is not None and window.status.done > done + 5)
        qtbot.waitUntil(lambda: window.views.data.place(0) is not None)
        with qtbot.waitSignal(window.feed.dark):
            qtbot.mouseClick(window.strip.dark_button, Qt.MouseButton.LeftButton)
        assert truth(fresh_bench, "laser.emission") is False
        qtbot.waitUntil(lambda: state(window) is RunState.ABORTED)


DEMO = """
import sys
from halidescope.gui.app import make_application
from halidescope.gui.window import MainWindow
from qtpy.QtCore import QSettings

application = make_application()
window = MainWindow(QSettings(sys.argv[1] + "/settings.ini", QSettings.Format.IniFormat))
window.show()
window.feed.opened.connect(lambda _: print(
    window.feed._open.watch.session.pid, window.entrance.demo._simulator._process.pid, flush=True
))
window.entrance.start_demo()
application.exec()
"""


def lives(pid: str) -> bool:
    """Whether a process runs; one that has ended and waits to be fetched does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_a_killed_demo_leaves_no_engine_and_no_instruments(
    tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is removed by the next demo, but not while it runs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", DEMO, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stdout is not None
        processes = demo.stdout.readline().split()
        assert [lives(pid) for pid in processes] == [True, True]
        assert remove_left_over() == []
        demo.kill()
    qtbot.waitUntil(lambda: not any(lives(pid) for pid in processes))
    folders = list(tmp_path.glob("halidescope-demo-*"))
    assert len(folders) == 1
    assert remove_left_over() == folders
    assert not folders[0].exists()


def test_an_idle_engine_ends_with_the_window_that_started_it(
    window: MainWindow, fresh_bench: SimulatedMicroscope, orphaned: None, tmp_path: Path, qtbot: QtBot
) -> None:
    file = tmp_path / "microscope.toml"
    file.write_text(fresh_bench.microscope_toml(), encoding="utf-8")
    session = tmp_path / "session.json"
    window.open_microscope(file, session)
    qtbot.waitUntil(lambda: window.status is not None and window.status.laser_state != "")
    assert session.exists()
    with qtbot.waitSignal(window.feed.closed):
        window.close()
    assert not window.isVisible()
    qtbot.waitUntil(lambda: not session.exists())


def test_an_engine_that_cannot_start_is_a_sentence(window: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    file = tmp_path / "microscope.toml"
    file.write_text("[laser]\nmodel = 'cobolt-06-mld'\n", encoding="utf-8")
    window.open_microscope(file, tmp_path / "session.json")
    assert "'laser.resource' is missing" in window.notice.text.text()
    assert window.notice.isVisible()
    window.attach(tmp_path / "session.json")
    with qtbot.waitSignal(window.feed.refused):
        pass
    assert "no engine runs here" in window.notice.text.text()
    assert "no microscope" in window.strip.progress_text.text()
