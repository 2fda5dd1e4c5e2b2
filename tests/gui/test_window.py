"""The main window with an engine that plays from memory: what is shown, what is asked, what is never forgotten."""

from pathlib import Path

from halidescope.gui.window import MainWindow
from played_engine import PlayedEngine
from pytestqt.qtbot import QtBot


def begun(window: MainWindow, engine: PlayedEngine, file: Path, qtbot: QtBot) -> None:
    """Let a measurement run, and wait until the window knows of it."""
    engine.begin(str(file))
    qtbot.waitUntil(lambda: window.status is not None and window.status.file == str(file), timeout=5000)


def test_spectra_and_shares_are_shown_as_they_come(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    begun(followed, engine, tmp_path / "a.nxs", qtbot)
    engine.take(60)
    qtbot.waitUntil(lambda: followed.views.data.analysed == 60, timeout=5000)
    x, y = followed.views.live.view.curve.getData()
    assert len(x) == 2068
    assert y.max() > 100
    qtbot.waitUntil(lambda: followed.views.series.image.image is not None, timeout=5000)
    qtbot.waitUntil(lambda: "⟨k⟩ 0.0213 ± 0.0008 1/s" in followed.views.series.numbers.text(), timeout=5000)
    assert "60/100" in followed.strip.progress_text.text()
    assert "EMISSION" in followed.strip.emission.text()
    followed.grab().save("/tmp/w.png")
