"""Every view with data of the simulated microscope, in the two sizes and three themes: no words cut off.

``HALIDESCOPE_SCREENSHOTS=folder pytest tests/gui/test_screenshots.py`` measures the demo's 500 s series and its whole
200 × 200 µm map, and leaves the pictures in the folder.
"""

import os
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QLabel, QWidget

from halidescope.acquisition.recipes import RasterMap, Recipe, Sample, TimeSeries
from halidescope.acquisition.states import RunState
from halidescope.gui.connection_wizard import ConnectionWizard
from halidescope.gui.demo_tour import demo_steps
from halidescope.gui.offline import ScanWindow
from halidescope.gui.recipe_library import PRESETS
from halidescope.gui.shortcuts import ShortcutsDialog
from halidescope.gui.window import MainWindow

FOLDER = os.environ.get("HALIDESCOPE_SCREENSHOTS")
SIZES = ((1600, 1000), (1280, 720))
FILM = Sample(name="film 12", composition=1.5)
SERIES = TimeSeries(
    sample_power_uw=120.0, exposure_s=0.2, duration_s=500.0 if FOLDER else 60.0, interval_s=1.0, sample=FILM
)
MAP = RasterMap(
    sample_power_uw=5.0, exposure_s=0.2, step_um=4.0, sample=FILM,
    origin_um=(0.0, 0.0) if FOLDER else (92.0, 92.0), size_um=(200.0, 200.0) if FOLDER else (16.0, 16.0),
)
POWERS_UW = (30.0, 60.0, 240.0)     # besides the first one
TIMEOUT_MS = 300_000 if FOLDER else 60_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go."""
    path = Path(FOLDER) if FOLDER else tmp_path / "pictures"
    path.mkdir(parents=True, exist_ok=True)
    return path


def cut_off(root: QWidget) -> list[str]:
    """Words of labels and buttons that are wider or higher than their place."""
    found = []
    for widget in [*root.findChildren(QLabel), *root.findChildren(QAbstractButton)]:
        text = widget.text()
        if not text or not widget.isVisible() or widget.visibleRegion().isEmpty():
            continue
        if isinstance(widget, QLabel) and widget.wordWrap():
            needed = widget.heightForWidth(widget.width())
            if needed > widget.height():
                found.append(f"{text!r} needs {needed} px of height, has {widget.height()}")
        elif isinstance(widget, QLabel):
            needed = widget.fontMetrics().horizontalAdvance(text)
            if needed > widget.contentsRect().width():
                found.append(f"{text!r} needs {needed} px, has {widget.contentsRect().width()}")
        elif widget.sizeHint().width() > widget.width() + 1 and widget.maximumWidth() > 10_000:
            found.append(f"button {text!r} needs {widget.sizeHint().width()} px, has {widget.width()}")
    return found


def picture(window: QWidget, qtbot: QtBot, file: Path, size: tuple[int, int] | None = None) -> None:
    """Wait until everything is painted, save, check words and size."""
    if size is not None:
        window.resize(*size)
    with qtbot.waitExposed(window):
        window.show()
    qtbot.wait(400)      # two rounds of the slow painting
    assert window.grab().save(str(file))
    assert file.stat().st_size > 10_000
    assert cut_off(window) == []
    if size is not None:
        assert (window.width(), window.height()) == size


def measure(window: MainWindow, recipe: Recipe, qtbot: QtBot) -> Path:
    """Start by click, and wait for the end."""
    window.measure.set_recipe(recipe)
    window.propose_file()
    qtbot.waitUntil(window.measure.start_button.isEnabled, timeout=TIMEOUT_MS)
    out = Path(window.measure.file.text())
    qtbot.mouseClick(window.measure.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: window.status is not None and window.status.file == str(out) and window.status.state.busy,
        timeout=TIMEOUT_MS,
    )
    return out


def finished(window: MainWindow) -> bool:
    """True when the measurement is over and all of it is shown."""
    status = window.status
    return status is not None and status.state is RunState.FINISHED and window.views.data.analysed == status.total


def every_view(window: MainWindow, qtbot: QtBot, folder: Path) -> None:
    """The other docks, two or three at a time, and the pages and windows in front of them."""
    for k, power in enumerate(POWERS_UW):       # they come to the trends by themselves
        recipe = SERIES.model_copy(update={"sample_power_uw": power, "position_um": (30.0 + 40.0 * k, 40.0)})
        measure(window, recipe, qtbot)
        qtbot.waitUntil(lambda: finished(window), timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: len(window.trends.points) == 1 + len(POWERS_UW))
    window.measure.set_recipe(PRESETS[2].recipe())
    window.log.add_own("warning", "a warning of this window, long enough to be broken into two lines of a narrow dock")
    rounds = [("Measure", "Film", "Log"), ("Queue", "Trends", "Instruments")]
    if FOLDER:      # the comparison trains half a minute first
        window.docking["KMC"].raise_()
        qtbot.waitUntil(lambda: window.kmc.answer is not None, timeout=TIMEOUT_MS)
        rounds.append(("Measure", "KMC", "Instruments"))
    for size in SIZES if FOLDER else SIZES[1:]:
        for names in rounds:
            for name in names:
                window.docking[name].raise_()
            picture(window, qtbot, folder / f"{names[1].lower()}-{size[0]}.png", size)
        window.docking["Trends"].raise_()
        window.trends.tabs.setCurrentIndex(2)
        picture(window, qtbot, folder / f"arrhenius-{size[0]}.png", size)
        window.trends.tabs.setCurrentIndex(0)
        window.tour.begin(demo_steps(window))
        window.tour.go(2)
        picture(window, qtbot, folder / f"tour-{size[0]}.png", size)
        window.tour.stop()
        window.welcome()
        picture(window, qtbot, folder / f"welcome-{size[0]}.png", size)
        window.entrance.leave_page()
    wizard = ConnectionWizard(window.data_folder, window)
    wizard.show()
    picture(wizard, qtbot, folder / "wizard.png")
    wizard.reject()
    keys = ShortcutsDialog(window)
    picture(keys, qtbot, folder / "keys.png")
    keys.reject()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_pictures_of_every_view(attached_window: MainWindow, qtbot: QtBot, folder: Path) -> None:
    window = attached_window
    series = measure(window, SERIES, qtbot)
    qtbot.waitUntil(lambda: window.views.data.analysed > 0.6 * SERIES.duration_s, timeout=TIMEOUT_MS)
    for size in SIZES:
        picture(window, qtbot, folder / f"series-{size[0]}.png", size)
    qtbot.waitUntil(lambda: finished(window), timeout=TIMEOUT_MS)
    measured = measure(window, MAP, qtbot)
    if FOLDER:
        qtbot.waitUntil(lambda: window.views.data.seen > 1300, timeout=TIMEOUT_MS)
        window.views.map.pick(25 * 51 + 25)
        picture(window, qtbot, folder / "map-running-1280.png")
    qtbot.waitUntil(lambda: finished(window), timeout=TIMEOUT_MS)
    ny, nx = MAP.shape
    window.views.map.pick(ny // 2 * nx + nx // 2)
    for size in SIZES:
        for theme in window.theme_actions:
            window.theme_actions[theme].trigger()
            picture(window, qtbot, folder / f"map-{theme}-{size[0]}.png", size)
    window.theme_actions["dark"].trigger()
    every_view(window, qtbot, folder)

    for file in (series, measured):
        saved = ScanWindow(file)
        qtbot.addWidget(saved)
        saved.show()
        qtbot.waitUntil(lambda view=saved: view.scan is not None)
        saved.views.map.pick(ny // 2 * nx + nx // 2)
        picture(saved, qtbot, folder / f"saved-{saved.scan.kind}.png")
        if saved.scan.kind == "raster-map":
            for button, name in (("profile", "profile"), ("region", "regions")):
                qtbot.mouseClick(saved.views.map.buttons[button], Qt.MouseButton.LeftButton)
                picture(saved, qtbot, folder / f"saved-{name}.png")
        saved.close()
