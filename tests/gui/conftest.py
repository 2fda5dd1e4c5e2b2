"""Windows are tested offscreen, with real widgets and real events; each test must leave no thread behind."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_API", "pyside6")

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from halidescope.gui.link import Opened
from halidescope.gui.window import MainWindow
from played_engine import PlayedEngine
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSettings


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    """Settings of their own, the data folder inside the test's."""
    settings = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    settings.setValue("folder", str(tmp_path))
    return settings


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Every lane that a test opens is closed by its window."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("halidescope")]
    assert left == []


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
    with qtbot.waitSignal(window.feed.status, timeout=5000):
        window.follow(lambda: Opened(engine, engine, engine))
    return window
