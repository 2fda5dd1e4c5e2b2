"""What a map can show and what one does with it: quantities, cursor, regions, profile, comparison, play."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from halidescope.acquisition.storage import open_scan
from halidescope.gui.map_dock import MapPanel
from halidescope.gui.map_quantities import quantities
from halidescope.gui.map_time import PLAY_STEPS
from halidescope.gui.offline import ScanWindow
from halidescope.gui.panels import Views
from halidescope.gui.run_data import read_whole
from halidescope.gui.window import MainWindow


@pytest.fixture
def views(qtbot: QtBot, measured: dict[str, Path]) -> Iterator[Views]:
    """The views with the map after the exposure."""
    views = Views()
    for panel in (views.map, views.live, views.series):
        qtbot.addWidget(panel)
    views.map.resize(1000, 620)
    views.map.show()
    views.load(read_whole(measured["after"])[1])
    qtbot.waitUntil(lambda: views.map.image.image is not None)
    yield views
    views.stop()


@pytest.fixture
def panel(views: Views) -> MapPanel:
    """The map alone."""
    return views.map


def choose(panel: MapPanel, words: str, qtbot: QtBot) -> np.ndarray:
    """Choose a quantity by its words; the image when all of its pixels are there."""
    panel.quantity.setCurrentIndex(panel.quantity.findText(words))
    assert panel.quantity.currentText() == words
    qtbot.waitUntil(lambda: panel.missing.text() == "all pixels measured")
    return panel.image.image


def at(panel: MapPanel, x_um: float, y_um: float) -> QPoint:
    """Where a place of the field is on the widget."""
    return panel.plot.mapFromScene(panel.plot.getPlotItem().getViewBox().mapViewToScene(QPointF(x_um, y_um)))


def drag(viewport: QWidget, start: QPoint, end: QPoint) -> None:
    """Press, move and release the left button; QTest's own moves carry no button."""
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    moves = [start + (end - start) * k / 8 for k in range(9)]
    steps = [(QEvent.Type.MouseMove, start, none, none), (QEvent.Type.MouseButtonPress, start, left, left)]
    steps += [(QEvent.Type.MouseMove, place, none, left) for place in moves]
    steps += [(QEvent.Type.MouseButtonRelease, end, left, none)]
    for kind, place, button, buttons in steps:
        at = QPointF(place)
        event = QMouseEvent(
            kind, at, QPointF(viewport.mapToGlobal(place)), button, buttons, Qt.KeyboardModifier.NoModifier
        )
        QApplication.sendEvent(viewport, event)
        QTest.qWait(12)     # the plot looks at the mouse 100 times a second


def test_every_quantity_has_an_image_a_unit_and_a_bar_that_says_so(panel: MapPanel, qtbot: QtBot) -> None:
    for quantity in quantities(panel._data.labels):
        image = choose(panel, quantity.words, qtbot)
        assert image.shape == (5, 7)
        assert np.isfinite(image).sum() > 30, quantity.words
        assert panel.plot.bar.axis.labelText == quantity.label
    assert panel.plot.scale_bar.text.textItem.toPlainText() == "5 µm"


def test_peak_energy_dose_and_intensity_are_those_of_the_file(
    panel: MapPanel, measured: dict[str, Path], qtbot: QtBot
) -> None:
    energy = choose(panel, "peak energy", qtbot)
    assert energy.min() > 2.05
    assert energy.max() < 2.45
    content = choose(panel, "iodine content x", qtbot)
    known = np.isfinite(content)
    assert np.corrcoef(content[known], energy[known])[0, 1] < -0.98      # more iodine, less energy
    with open_scan(measured["after"]) as scan:
        assert choose(panel, "dose", qtbot) == pytest.approx(scan.dose_j_cm2)
        counts = scan.spectra - scan.dark.mean
        assert choose(panel, "intensity", qtbot) == pytest.approx(counts.sum(axis=-1), rel=1e-6)


def test_a_spectrum_follows_the_cursor_and_stays_with_a_clicked_pixel(panel: MapPanel, qtbot: QtBot) -> None:
    qtbot.mouseMove(panel.plot.viewport(), at(panel, 12.0, 16.0))
    qtbot.waitUntil(lambda: panel.view.caption.text() == "pixel x 12 µm, y 16 µm")
    qtbot.mouseClick(panel.plot.viewport(), Qt.MouseButton.LeftButton, pos=at(panel, 20.0, 20.0))
    assert panel.picked == 2 * 7 + 3
    assert "share of emission" in panel.side.shares.text()
    panel.plot.setFocus()
    qtbot.keyClick(panel.plot, Qt.Key.Key_Right)
    qtbot.keyClick(panel.plot, Qt.Key.Key_Up)
    assert panel.picked == 3 * 7 + 4
    assert panel.view.caption.text() == "pixel x 24 µm, y 24 µm"


def test_regions_have_means_of_value_and_spectrum(panel: MapPanel, measured: dict[str, Path], qtbot: QtBot) -> None:
    choose(panel, "intensity", qtbot)
    qtbot.mouseClick(panel.buttons["region"], Qt.MouseButton.LeftButton)
    roi = panel.regions.rois[0]
    roi.setPos([7.0, 11.0])
    roi.setSize([10.0, 6.0])      # three columns and two rows
    assert panel.side.region_words.text().startswith("A: 6 pixels, intensity ")
    with open_scan(measured["after"]) as scan:
        mean = scan.spectra[:2, :3].reshape(6, -1).mean(axis=0) - scan.dark.mean
    assert panel.side.region_curves[0].getData()[1] == pytest.approx(mean, rel=1e-4, abs=0.02)
    qtbot.mouseClick(panel.buttons["region"], Qt.MouseButton.LeftButton)
    assert len(panel.side.region_words.text().splitlines()) == 2
    for _ in range(2):
        qtbot.mouseClick(panel.buttons["less"], Qt.MouseButton.LeftButton)
    assert panel.side.region_words.text().startswith("no region")


def test_a_line_through_the_spot_gives_diffusion_or_says_why_not(panel: MapPanel, qtbot: QtBot) -> None:
    qtbot.mouseClick(panel.buttons["profile"], Qt.MouseButton.LeftButton)
    x, values = panel.profile.points.getData()
    assert x == pytest.approx(4.0 * np.arange(7))
    assert values == pytest.approx(panel.image.image[2])
    assert panel.side.fitted.text().startswith(("D = ", "no fit: "))
    # a spot of known width in the place of the measured shares
    grid = panel._data.grid
    assert grid is not None
    spot = 5.0 + 60.0 * np.exp(-((grid.x_um[None, :] - 20.0) ** 2 + (grid.y_um[:, None] - 20.0) ** 2) / 6.0**2)
    spot += np.random.default_rng(1).normal(0.0, 0.5, spot.shape)
    panel._profile = panel.profile.draw(grid, spot, ("share", "%"), panel._theme)
    panel.side.time.set_value(45.0)
    # 6 µm = sqrt(4 D t): D = 36 µm² / 180 s
    words = panel.side.fitted.text()
    assert float(words[5:].split()[0]) == pytest.approx(2.0, abs=0.1)
    assert "× 10⁻¹³ m²/s, √(4 D t) = " in words
    panel.side.time.edit.setText("never")
    assert "'never' is not a number in s" in panel.side.fitted.text()
    qtbot.mouseClick(panel.buttons["profile"], Qt.MouseButton.LeftButton)
    assert panel.profile.roi is None


def test_another_map_is_compared_by_dragging_the_line_between_them(
    views: Views, said: list[str], measured: dict[str, Path], qtbot: QtBot
) -> None:
    panel = views.map
    after = choose(panel, "intensity", qtbot).copy()
    panel.compare_asked.emit(measured["before"])
    qtbot.waitUntil(lambda: panel.comparing)
    with open_scan(measured["before"]) as scan:
        before = (scan.spectra - scan.dark.mean).sum(axis=-1)
    left = [0, 1, 2]
    assert panel.image.image[:, left] == pytest.approx(before[:, left], rel=1e-6)
    assert panel.image.image[:, 3:] == pytest.approx(after[:, 3:])
    # drag the line to the right with the mouse
    viewport = panel.plot.viewport()
    start, end = at(panel, panel.plot.divider.value(), 26.0), at(panel, 27.0, 26.0)
    drag(viewport, start, end)
    qtbot.waitUntil(lambda: panel.plot.divider.value() > 25)
    assert panel.image.image[:, 4] == pytest.approx(before[:, 4], rel=1e-6)
    qtbot.mouseClick(panel.buttons["compare"], Qt.MouseButton.LeftButton)
    assert not panel.comparing
    assert panel.image.image == pytest.approx(after)
    panel.compare_asked.emit(measured["series"])
    qtbot.waitUntil(lambda: said[-1] == "series.nxs is not a map")


def test_an_adaptive_map_shows_at_every_pixel_the_nearest_point(
    panel: MapPanel, views: Views, measured: dict[str, Path], qtbot: QtBot
) -> None:
    scan, data = read_whole(measured["adaptive"])
    views.begin("adaptive-map")
    views.load(data)
    qtbot.waitUntil(lambda: panel.image.image is not None)
    image = choose(panel, "intensity", qtbot)
    grid = scan.point_grid()
    totals = (scan.spectra - scan.dark.mean).sum(axis=-1)
    assert image == pytest.approx(totals[grid.point], rel=1e-6)
    assert np.isfinite(choose(panel, "peak energy", qtbot)).all()
    panel.pick(0)
    point = int(grid.point[0, 0])
    assert panel.view.curve.getData()[1] == pytest.approx(scan.spectra[point] - scan.dark.mean, abs=0.01)


def test_it_plays_in_the_order_of_taking_and_unseen_pixels_are_missing(
    panel: MapPanel, measured: dict[str, Path], qtbot: QtBot
) -> None:
    whole = choose(panel, "intensity", qtbot).copy()
    panel.until.setValue(PLAY_STEPS // 2)
    half = panel.image.image
    with open_scan(measured["after"]) as scan:
        late = scan.time_s > 0.5 * (scan.time_s.min() + scan.time_s.max())
    assert late.any()
    assert np.array_equal(np.isnan(half), late)
    assert half[~late] == pytest.approx(whole[~late])
    qtbot.mouseClick(panel.buttons["play"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.until.value() == PLAY_STEPS)
    assert panel.buttons["play"].text() == "▶"
    assert panel.image.image == pytest.approx(whole)


def test_maps_of_one_field_are_played_one_after_the_other(
    views: Views, said: list[str], measured: dict[str, Path], qtbot: QtBot
) -> None:
    panel = views.map
    after = choose(panel, "intensity", qtbot).copy()
    panel.series_asked.emit([measured["after"], measured["series"], measured["before"]])
    qtbot.waitUntil(lambda: len(panel.time.frames) == 2)
    assert said == ["not maps of this field: series.nxs"]
    with open_scan(measured["before"]) as scan:
        before = (scan.spectra - scan.dark.mean).sum(axis=-1)
    assert panel.image.image == pytest.approx(before, rel=1e-6)       # in the order of taking
    assert panel.missing.text() == "1 of 2: before.nxs"
    low, high = panel.plot.bar.levels()
    assert low <= min(before.min(), after.min()) * 1.000001
    assert high >= max(before.max(), after.max()) * 0.999999           # one range for all
    panel.pick(0)
    with open_scan(measured["before"]) as scan:
        assert panel.view.curve.getData()[1] == pytest.approx(scan.spectra[0, 0] - scan.dark.mean, abs=0.01)
    qtbot.mouseClick(panel.buttons["play"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.missing.text() == "2 of 2: after.nxs")
    assert panel.buttons["play"].text() == "▶"
    assert panel.image.image == pytest.approx(after)
    qtbot.mouseClick(panel.buttons["series"], Qt.MouseButton.LeftButton)
    assert panel.time.frames == []
    assert panel.image.image == pytest.approx(after)
    panel.series_asked.emit([measured["series"]])
    qtbot.waitUntil(lambda: "at least two maps" in said[-1])


def test_a_maps_diffusivity_goes_to_the_trends_of_the_main_window(
    window: MainWindow, measured: dict[str, Path], qtbot: QtBot
) -> None:
    window.show_scan(measured["after"])
    saved = window._scans[0]
    assert isinstance(saved, ScanWindow)
    qtbot.waitUntil(lambda: saved.scan is not None)
    panel = saved.views.map
    choose(panel, "intensity", qtbot)
    keep = panel.side.keep
    assert not keep.isEnabled()
    qtbot.mouseClick(panel.buttons["profile"], Qt.MouseButton.LeftButton)
    grid = panel._data.grid
    assert grid is not None
    spot = 5.0 + 60.0 * np.exp(-((grid.x_um[None, :] - 20.0) ** 2 + (grid.y_um[:, None] - 20.0) ** 2) / 6.0**2)
    spot += np.random.default_rng(1).normal(0.0, 0.5, spot.shape)
    panel._profile = panel.profile.draw(grid, spot, ("share", "%"), panel._theme)
    panel.side.time.set_value(45.0)
    assert keep.isVisible()
    qtbot.mouseClick(keep, Qt.MouseButton.LeftButton)
    point, = window.trends.points
    assert point.source == str(measured["after"])
    assert point.power_uw == 5.0
    assert point.diffusivity_m2_s is not None
    assert point.diffusivity_m2_s.value == pytest.approx(2e-13, rel=0.05)
    assert point.diffusivity_m2_s.se is not None
    assert [spot.data() for spot in window.trends.diffusion.points.points()] == [0]
    panel.side.time.edit.setText("never")
    assert not keep.isEnabled()
