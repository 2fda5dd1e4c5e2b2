"""Windows are tested offscreen, with real widgets and real events; each test must leave no thread behind."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_API", "pyside6")

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from played_engine import PlayedEngine
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication

from halidescope.acquisition.client import EngineClient
from halidescope.acquisition.recipes import AdaptiveMap, AnyRecipe, RasterMap, Sample, TimeSeries
from halidescope.acquisition.states import RunState
from halidescope.gui import status_strip
from halidescope.gui.link import Opened, attached
from halidescope.gui.panels import Views
from halidescope.gui.window import MainWindow
from halidescope.simulators.microscope import SimulatedMicroscope

os.environ["HALIDESCOPE_NICENESS"] = "0"      # tests wait for the analysis, whatever else the computer does
PATIENT_MS = 60_000
CALL_ENDS_S = 60.0      # a first fit compiles its kernels
SPEED = 30.0    # of the simulated microscope
FILM = Sample(name="film 12", composition=1.5)
SERIES = TimeSeries(
    sample_power_uw=120.0, exposure_s=0.2, duration_s=60.0, interval_s=1.0, dark_spectra=3, sample=FILM,
    position_um=(20.0, 20.0),
)
ADAPTIVE = AdaptiveMap(
    sample_power_uw=5.0, exposure_s=0.2, origin_um=(8.0, 12.0), size_um=(24.0, 16.0), coarse_step_um=8.0,
    finest_step_um=4.0, max_points=20, dark_spectra=3, sample=FILM,
)
FIELD = RasterMap(
    sample_power_uw=5.0, exposure_s=0.2, origin_um=(8.0, 12.0), size_um=(24.0, 16.0), step_um=4.0, dark_spectra=3,
    sample=FILM,
)


class PatientBot(QtBot):
    """Waits until something happens, and gives up only where no busy computer would be the reason."""

    def waitUntil(self, callback: Callable[[], object], *, timeout: int = PATIENT_MS) -> None:  # noqa: N802
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal: object, *, timeout: int = PATIENT_MS, **kwargs: Any) -> Any:  # noqa: N802
        return super().waitSignal(signal, timeout=timeout, **kwargs)


@pytest.fixture
def qtbot(qapp: QApplication, request: pytest.FixtureRequest) -> QtBot:
    """The bot of pytest-qt, patient."""
    return PatientBot(request)


@pytest.fixture(autouse=True)
def slow_fingers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two presses of Esc may come late: a busy computer is no slow person."""
    monkeypatch.setattr(status_strip, "TWICE_WITHIN_MS", PATIENT_MS)


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    """Settings of their own, the data folder inside the test's."""
    settings = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    settings.setValue("folder", str(tmp_path))
    return settings


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Every lane that a test opens is closed by its window; a call in hand may still end."""
    yield
    lanes = [thread for thread in threading.enumerate() if thread.name.startswith("halidescope")]
    for thread in lanes:
        thread.join(CALL_ENDS_S)
    assert [thread.name for thread in lanes if thread.is_alive()] == []


@pytest.fixture
def window(qtbot: QtBot, settings: QSettings) -> Iterator[MainWindow]:
    """A main window without an engine."""
    window = MainWindow(settings)
    qtbot.addWidget(window)
    window.resize(1600, 1000)
    window.show()
    yield window
    window._close_for_good()


@pytest.fixture
def engine() -> PlayedEngine:
    """An engine that plays a series from memory."""
    return PlayedEngine()


@pytest.fixture
def followed(window: MainWindow, engine: PlayedEngine, qtbot: QtBot) -> MainWindow:
    """A window that follows ``engine``."""
    with qtbot.waitSignal(window.feed.status):
        window.follow(lambda: Opened(engine, engine, engine, engine))
    return window


@pytest.fixture(scope="session")
def bench() -> Iterator[SimulatedMicroscope]:
    """Instruments on the wire, the same for all tests."""
    with SimulatedMicroscope(speed=SPEED, seed=1) as microscope:
        yield microscope


@pytest.fixture(scope="session")
def session(bench: SimulatedMicroscope, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An engine process on these instruments, the same for all tests; its session file."""
    folder = tmp_path_factory.mktemp("engine")
    file = folder / "microscope.toml"
    file.write_text(bench.microscope_toml(), encoding="utf-8")
    path = folder / "session.json"
    client = EngineClient.launch(file, session=path)
    yield path
    client.quit()


@pytest.fixture(scope="session")
def measured(session: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A series and two maps of one field, before and after it, measured once for all tests that only look at them."""
    folder = tmp_path_factory.mktemp("measured")
    recipes: dict[str, AnyRecipe] = {"before": FIELD, "series": SERIES, "after": FIELD, "adaptive": ADAPTIVE}
    files = {}
    with EngineClient.attach(session) as client:
        for name, recipe in recipes.items():
            files[name] = folder / f"{name}.nxs"
            run = client.status().run
            client.start(recipe.model_dump(mode="json"), files[name])
            while (status := client.status()).run == run or not status.state.ended:
                threading.Event().wait(0.02)
            assert status.state is RunState.FINISHED, status.reason
    return files


@pytest.fixture
def attached_window(window: MainWindow, session: Path, qtbot: QtBot) -> MainWindow:
    """A window that follows the engine."""
    window.follow(lambda: attached(session))
    qtbot.waitUntil(lambda: window.status is not None and window.status.laser_state != "")
    return window


@pytest.fixture
def said(views: Views) -> list[str]:
    """What the views of a test's module say, in order."""
    heard: list[str] = []
    views.said.connect(heard.append)
    return heard


@pytest.fixture
def fresh_bench() -> Iterator[SimulatedMicroscope]:
    """Instruments that nobody holds yet."""
    with SimulatedMicroscope(speed=SPEED, seed=2) as microscope:
        yield microscope


@pytest.fixture
def orphaned(tmp_path: Path) -> Iterator[None]:
    """Ends the engine that a killed window left, whatever became of the test."""
    yield
    session = tmp_path / "session.json"
    if session.exists():
        EngineClient.attach(session).quit()
