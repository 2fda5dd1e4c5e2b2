"""The window over the whole suite: simulated instruments on the wire, an engine process, real clicks."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.recipes import Sample, TimeSeries
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.gui.link import attached
from halidescope.gui.window import MainWindow
from halidescope.simulators.microscope import SimulatedMicroscope
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSettings, Qt

SPEED = 30.0
SERIES = TimeSeries(
    sample_power_uw=120.0, exposure_s=0.1, duration_s=300.0, interval_s=1.0, dark_spectra=3,
    sample=Sample(name="film 12", composition=1.5),
)


@pytest.fixture
def bench() -> Iterator[SimulatedMicroscope]:
    """Instruments on the wire."""
    with SimulatedMicroscope(speed=SPEED, seed=1) as microscope:
        yield microscope


@pytest.fixture
def session(bench: SimulatedMicroscope, tmp_path: Path) -> Iterator[Path]:
    """An engine process on these instruments; its session file."""
    file = tmp_path / "microscope.toml"
    file.write_text(bench.microscope_toml(), encoding="utf-8")
    path = tmp_path / "session.json"
    client = EngineClient.launch(file, session=path)
    yield path
    client.quit()


def truth(bench: SimulatedMicroscope, what: str) -> object:
    """Ask the control port."""
    assert bench.control is not None
    with socket.create_connection((bench.control.host, bench.control.port), timeout=5) as line:
        line.sendall(json.dumps({"get": what}).encode() + b"\n")
        return json.loads(line.makefile().readline())["value"]


def state(window: MainWindow) -> RunState:
    return RunState.IDLE if window.status is None else window.status.state


@pytest.fixture
def attached_window(window: MainWindow, session: Path, qtbot: QtBot) -> MainWindow:
    """A window that follows the engine."""
    window.follow(lambda: attached(session))
    qtbot.waitUntil(lambda: window.status is not None and window.status.laser_state != "", timeout=15000)
    return window


def start(window: MainWindow, qtbot: QtBot) -> Path:
    """Fill the form and click Start; waits until spectra come."""
    window.measure.set_recipe(SERIES)
    qtbot.waitUntil(window.measure.start_button.isEnabled, timeout=5000)
    out = Path(window.measure.file.text())
    qtbot.mouseClick(window.measure.start_button, Qt.MouseButton.LeftButton)

    def under_way() -> None:
        data, words = window.views.data, [window.notice.text.text()]
        words += [window.instruments.events.item(k).text() for k in range(window.instruments.events.count())]
        assert min(data.seen - 10, data.analysed - 5) >= 0, (data.seen, data.analysed, window.status, words)

    qtbot.waitUntil(under_way, timeout=15000)
    return out


def test_start_see_and_go_dark(attached_window: MainWindow, bench: SimulatedMicroscope, qtbot: QtBot) -> None:
    window = attached_window
    out = start(window, qtbot)
    assert truth(bench, "laser.emission") is True
    assert "EMISSION" in window.strip.emission.text()
    assert window.strip.simulated.isVisible()
    assert window.windowTitle().endswith("SIMULATED")
    with qtbot.waitSignal(window.feed.dark, timeout=5000):
        qtbot.mouseClick(window.strip.dark_button, Qt.MouseButton.LeftButton)
    assert truth(bench, "laser.emission") is False
    qtbot.waitUntil(lambda: state(window) is RunState.ABORTED, timeout=15000)
    assert window.status is not None
    with open_scan(out) as scan:
        assert int(scan.valid.sum()) == window.status.done
        assert scan.metadata["state"] == "aborted"
    assert "dark" in window.strip.emission.text()
    window.grab().save("/tmp/e2e.png")


def test_a_second_window_takes_over_what_the_first_left(
    attached_window: MainWindow, session: Path, bench: SimulatedMicroscope, settings: QSettings, qtbot: QtBot
) -> None:
    start(attached_window, qtbot)
    attached_window.close()
    question = attached_window.question
    with qtbot.waitSignal(attached_window.feed.closed, timeout=5000):
        qtbot.mouseClick(question.buttons()[0], Qt.MouseButton.LeftButton)
    assert not attached_window.isVisible()
    assert truth(bench, "laser.emission") is True

    second = MainWindow(settings)
    qtbot.addWidget(second)
    second.show()
    second.offer_attach(session)
    qtbot.waitUntil(second.notice.action.isVisible, timeout=5000)
    qtbot.mouseClick(second.notice.action, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: second.views.data.seen >= 15 and second.views.data.place(0) is not None, timeout=15000)
    assert state(second) is RunState.RUNNING
    qtbot.mouseClick(second.measure.abort_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: state(second) is RunState.ABORTED, timeout=15000)
    assert truth(bench, "laser.emission") is False
    second._close_for_good()
