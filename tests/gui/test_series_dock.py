"""A time series: one cursor through all plots, what is below the shares, energy axis; trends; copying a plot's data."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QContextMenuEvent, QGuiApplication
from qtpy.QtWidgets import QFileDialog

from halidescope.acquisition.results import Interval, Number
from halidescope.acquisition.storage import open_scan
from halidescope.analysis.arrhenius import Arrhenius
from halidescope.gui.exporting import ENDINGS
from halidescope.gui.kmc_dock import KmcPanel
from halidescope.gui.panels import Views
from halidescope.gui.plots import Plot
from halidescope.gui.run_data import read_whole
from halidescope.gui.trend_points import TrendPoint, arrhenius_of
from halidescope.gui.trends_dock import DIFFUSIVITY, TEMPERATURE, TrendPlot, TrendsPanel


@pytest.fixture
def views(qtbot: QtBot, measured: dict[str, Path]) -> Iterator[Views]:
    """The views with a series."""
    views = Views()
    for panel in (views.map, views.live, views.series):
        qtbot.addWidget(panel)
    views.series.resize(1000, 620)
    views.series.show()
    views.live.show()
    views.load(read_whole(measured["series"])[1])
    qtbot.waitUntil(lambda: views.series.image.image is not None)
    yield views
    views.stop()


def test_one_cursor_links_all_plots_and_the_spectrum(views: Views, qtbot: QtBot) -> None:
    panel = views.series
    plot = panel.share_plot
    place = plot.mapFromScene(plot.getPlotItem().getViewBox().mapViewToScene(QPointF(20.3, 60.0)))
    qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: panel.picked_s is not None)
    picked = panel.picked_s
    assert picked is not None
    assert abs(picked - 20.3) < 1.0
    assert [cursor.value() for cursor in panel.cursors] == [picked] * 3
    index = views.data.nearest_in_time(20.3)
    assert index is not None
    assert views.live.view.curve.getData()[1] == pytest.approx(views.data.counts(index))
    assert "0:20 after light on" in views.live.view.caption.text()
    assert views.live.newest.isVisible()
    panel.share_plot.setFocus()
    qtbot.keyClick(panel.share_plot, Qt.Key.Key_Right)
    assert panel.picked_s > picked
    qtbot.mouseClick(views.live.newest, Qt.MouseButton.LeftButton)
    assert panel.picked_s is None
    assert views.live.view.curve.getData()[1] == pytest.approx(views.data.counts(views.data.newest_index))


def test_what_is_below_the_shares(views: Views, measured: dict[str, Path], qtbot: QtBot) -> None:
    panel = views.series
    x, y = panel.lower_points.getData()
    assert len(x) > 30
    assert np.abs(np.median(y)) < 2.0                  # the fit goes through the shares, %
    panel.below.setCurrentIndex(panel.below.findText("intensity"))
    with open_scan(measured["series"]) as scan:
        assert panel.lower_points.getData()[1] == pytest.approx((scan.spectra - scan.dark.mean).sum(axis=1), rel=1e-6)
    panel.below.setCurrentIndex(panel.below.findText("Δλ of the brightest band"))
    qtbot.waitUntil(lambda: len(panel.lower_points.getData()[0] if panel.lower_points.getData()[0] is not None else ())
                    > 50)
    shift = panel.lower_points.getData()[1]
    assert shift[0] == 0
    assert shift.min() < -60                           # from the pristine to the bromide-rich band
    assert panel.lower_plot.getPlotItem().getAxis("left").labelText == "Δλ (nm)"
    panel.below.setCurrentIndex(panel.below.findText("peak shift Δλ of the first band"))
    qtbot.waitUntil(lambda: panel.beneath.fits["shift"].near_nm is not None)
    followed = panel.lower_points.getData()[1]
    assert len(followed) > 3
    assert followed[0] == 0
    assert np.abs(followed).max() < 25                 # never the other band, which is 70 nm away
    near_nm = panel.beneath.fits["shift"].near_nm
    assert panel.lower_plot.getPlotItem().getAxis("left").labelText == f"Δλ of {near_nm:.0f} nm (nm)"
    panel.below.setCurrentIndex(panel.below.findText("residual of unmixing"))
    assert (panel.lower_points.getData()[1] > 0).all()


def test_another_series_is_laid_over_the_shares(
    views: Views, said: list[str], measured: dict[str, Path], qtbot: QtBot
) -> None:
    panel = views.series
    panel.compare_asked.emit(measured["series"])
    qtbot.waitUntil(lambda: len(panel.overlay.others) == 1)
    dots, fit = panel.overlay.others[0]
    with open_scan(measured["series"]) as scan:
        assert scan.results is not None
        assert dots.getData()[1] == pytest.approx(100 * np.array(scan.results.shares)[:, -1])
        assert fit.getData()[1] == pytest.approx(100 * np.array(scan.results.fit_share))
    words = [label.text for _, label in panel.legend.items]
    assert "series" in words
    panel.compare_asked.emit(measured["after"])
    qtbot.waitUntil(lambda: said[-1] == "after is not a time series")
    qtbot.mouseClick(panel.compare, Qt.MouseButton.LeftButton)
    assert panel.overlay.others == []
    assert "series" not in [label.text for _, label in panel.legend.items]
    assert panel.compare.text() == "Compare…"


def test_the_colour_map_over_photon_energy_has_the_band_at_its_energy(views: Views) -> None:
    panel = views.series
    panel.axis.setCurrentIndex(1)
    image, box = panel.image.image, panel.image.mapRectToParent(panel.image.boundingRect())
    column = int(np.nanargmax(image[-3]))
    energy = box.left() + (column + 0.5) / image.shape[1] * box.width()
    assert energy == pytest.approx(2.42, abs=0.03)
    assert panel.map_plot.getPlotItem().getAxis("bottom").labelText == "photon energy (eV)"


def test_a_plots_data_are_copied_as_a_table(views: Views, qtbot: QtBot) -> None:
    plot = views.series.share_plot
    plot.setFocus()
    qtbot.keyClick(plot, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    blocks = [block.splitlines() for block in QGuiApplication.clipboard().text().split("\n\n")]
    shares = next(block for block in blocks if "pristine" in block[0])
    assert shares[0] == "time (s)\tpristine [share (%)]\tBr-rich [share (%)]"
    times, values = views.data.share_series()
    assert np.array([row.split("\t") for row in shares[1:]], dtype=float) == pytest.approx(
        np.column_stack([times, 100 * values])
    )
    assert any("95 % band, from [share (%)]\t95 % band, to [share (%)]" in block[0] for block in blocks)
    views.series.map_plot.copy_data()
    first, columns, *rows = QGuiApplication.clipboard().text().splitlines()
    assert first == "counts above dark; rows: time (s), columns: wavelength (nm)"
    assert len(rows) == len(views.series.image.image)
    assert {len(row.split("\t")) for row in (columns, *rows)} == {1 + views.series.image.image.shape[1]}


def test_every_plot_copies_by_key_and_menu_and_is_saved_as_a_picture(
    views: Views, measured: dict[str, Path], qtbot: QtBot, tmp_path: Path
) -> None:
    kmc, trends = KmcPanel(), TrendsPanel()
    for panel in (kmc, trends):
        qtbot.addWidget(panel)
    try:
        panels = (views.live, views.series, views.map, kmc, trends)
        plots = [plot for panel in panels for plot in panel.findChildren(Plot)]
        assert len(plots) >= 18
        for plot in plots:
            QGuiApplication.clipboard().setText("old")
            qtbot.keyClick(plot, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
            assert QGuiApplication.clipboard().text() != "old"
        plot = views.series.share_plot
        plot.contextMenuEvent(QContextMenuEvent(QContextMenuEvent.Reason.Mouse, QPoint(5, 5), QPoint(5, 5)))
        copy, save = plot.menu.actions()
        QGuiApplication.clipboard().setText("old")
        copy.trigger()
        assert "pristine" in QGuiApplication.clipboard().text()
        for ending in ENDINGS:
            save.trigger()
            dialog = plot.window().findChildren(QFileDialog)[-1]
            dialog.fileSelected.emit(str(tmp_path / f"shares{ending}"))
            dialog.close()
            assert (tmp_path / f"shares{ending}").stat().st_size > 1000
        plot.menu.close()
    finally:
        kmc.close_process()
        trends.stop()


TRUE_EV = 0.45


@pytest.fixture
def trends(qtbot: QtBot) -> Iterator[TrendsPanel]:
    """Five series whose rates follow Arrhenius' law, one of them far off."""
    panel = TrendsPanel()
    qtbot.addWidget(panel)
    panel.resize(900, 420)
    panel.show()
    points = []
    for k, power in enumerate((10.0, 60.0, 120.0, 200.0, 300.0)):
        point = TrendPoint(f"series-{k}.nxs", power, 1.0, Number(0.1 + 0.1 * k, 0.01), None)
        rate = 1e6 * np.exp(-TRUE_EV / (8.617333e-5 * point.temperature(295.0))) * (8 if k == 3 else 1)
        point.rate_per_s = Number(float(rate), float(0.02 * rate))
        points.append(point)
    panel.add_points(points)
    yield panel
    panel.stop()


def click(plot: TrendPlot, number: int, qtbot: QtBot) -> None:
    """Click the point of a measurement with the mouse."""
    spot = next(one for one in plot.points.points() if one.data() == number)
    scene = plot.getPlotItem().getViewBox().mapViewToScene(spot.pos())
    qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=plot.mapFromScene(scene))


def test_a_click_leaves_a_point_out_of_the_arrhenius_line(trends: TrendsPanel, qtbot: QtBot) -> None:
    trends.tabs.setCurrentIndex(2)
    qtbot.waitUntil(trends.arrhenius.isVisible)
    qtbot.waitExposed(trends)
    energy = float(trends.words.text().split("activation energy ")[1].split()[0])
    assert abs(energy - 1e3 * TRUE_EV) > 10
    assert "times their errors off the line" in trends.words.text()
    assert "calculated heating, taken as exact" in trends.words.text()
    trends.grab()       # lay out the plot
    click(trends.arrhenius, 3, qtbot)
    qtbot.waitUntil(lambda: trends.points[3].excluded)
    energy = float(trends.words.text().split("activation energy ")[1].split()[0])
    assert energy == pytest.approx(1e3 * TRUE_EV, abs=5)
    assert "1 left out" in trends.words.text()
    assert "off the line" not in trends.words.text()
    assert trends.table.item(3, 0).font().strikeOut()
    click(trends.arrhenius, 3, qtbot)
    qtbot.waitUntil(lambda: not trends.points[3].excluded)


def test_shares_and_rates_are_shown_against_temperature(trends: TrendsPanel, qtbot: QtBot) -> None:
    trends.tabs.setCurrentIndex(1)
    qtbot.waitUntil(trends.rate_heat.isVisible)
    for plot, name in ((trends.phi_heat, "phi"), (trends.rate_heat, "rate_per_s")):
        assert [spot.pos().x() for spot in plot.points.points()] == [one.temperature(295.0) for one in trends.points]
        assert [spot.pos().y() for spot in plot.points.points()] == [getattr(one, name).value for one in trends.points]
        assert plot.getPlotItem().getAxis("bottom").labelText == "temperature (K)"
    trends.points[0].sample_k = 350.0
    trends.room.set_value(300.0)
    dark = trends.points[0].temperature(300.0)
    assert dark == trends.points[0].temperature(20.0) > 350.0      # its file's word goes before the room's
    trends.grab()
    click(trends.rate_heat, 1, qtbot)
    qtbot.waitUntil(lambda: trends.points[1].excluded)


def test_temperatures_and_diffusion_are_typed_and_wrong_ones_refused(trends: TrendsPanel) -> None:
    said: list[str] = []
    trends.said.connect(said.append)
    trends.table.item(0, TEMPERATURE).setText("cold")
    assert "'cold' is not a temperature above 0 K" in said[-1]
    assert trends.points[0].temperature_k is None
    for row, temperature in enumerate((295.0, 305.0, 315.0)):
        trends.table.item(row, TEMPERATURE).setText(f"{temperature:g}")
        spread = 1e-10 * np.exp(-0.2 / (8.617333e-5 * temperature))
        trends.table.item(row, DIFFUSIVITY).setText(f"{spread:.6g} ± {0.01 * spread:.3g}")
    assert trends.points[1].temperature_k == 305.0
    assert "D: activation energy 20" in trends.words.text()
    assert trends.points[1].diffusivity_m2_s is not None
    assert trends.points[1].diffusivity_m2_s.value == pytest.approx(1e-10 * np.exp(-0.2 / (8.617333e-5 * 305.0)))
    assert "× 10⁻" in trends.table.item(1, DIFFUSIVITY).text()     # the house's rule, and what it writes can be typed
    trends.table.item(2, DIFFUSIVITY).setText(trends.table.item(1, DIFFUSIVITY).text())
    assert trends.points[2].diffusivity_m2_s.value == pytest.approx(trends.points[1].diffusivity_m2_s.value, rel=0.01)


def test_what_is_left_out_or_removed_by_keys_comes_back(trends: TrendsPanel, qtbot: QtBot) -> None:
    undoable: list[str] = []
    trends.undoable.connect(undoable.append)
    before = list(trends.points)
    assert not trends.back.isEnabled()
    trends.table.selectRow(3)
    trends.table.setFocus()
    qtbot.keyClick(trends.table, Qt.Key.Key_Space)
    assert [point.excluded for point in trends.points] == [False, False, False, True, False]
    qtbot.keyClick(trends.table, Qt.Key.Key_Delete)
    assert [point.source for point in trends.points] == [f"series-{k}.nxs" for k in (0, 1, 2, 4)]
    assert undoable == ["out of the trends: series-3.nxs; the file stays"]
    trends.add_points([TrendPoint("new.nxs", 90.0, 1.0, None, None)])     # comes while somebody thinks
    qtbot.keyClick(trends.table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert trends.points[3].excluded
    qtbot.mouseClick(trends.back, Qt.MouseButton.LeftButton)
    assert trends.points[:5] == before
    assert trends.points[5].source == "new.nxs"
    assert not trends.back.isEnabled()


def test_files_without_a_fit_are_named(trends: TrendsPanel, measured: dict[str, Path], qtbot: QtBot) -> None:
    said: list[str] = []
    trends.said.connect(said.append)
    trends.add_files([measured["series"], measured["after"]])
    qtbot.waitUntil(lambda: len(trends.points) == 6)
    assert trends.points[-1].power_uw == 120.0
    assert said[-1].startswith("no fitted time series in after.nxs")
    trends.add_files([measured["series"].with_name("gone.nxs")])
    qtbot.waitUntil(lambda: "cannot be read" in said[-1])


def test_numbers_are_shown_with_what_is_known_of_them(views: Views) -> None:
    results = msgspec.structs.replace(views.data.results, numbers={
        "phi": Number(0.31, 0.004, Interval(0.302, 0.318, "linear")),
        "k1_per_s": Number(0.02898, 0.0027, Interval(0.02488, 0.03558, "profile")),
    })  # fmt: skip
    views.data.results = results
    views.series.show_results(views.data)
    shown = views.series.numbers.text().replace("\N{NO-BREAK SPACE}", " ")
    assert "φ 0.310 ± 0.004" in shown
    assert "⟨k⟩ not determined" in shown
    assert "k₁ 0.0290 (95 %: 0.0249 to 0.0356) 1/s" in shown


def test_a_rate_without_a_limit_is_shown_and_left_out_of_the_line(qtbot: QtBot) -> None:
    panel = TrendsPanel()
    qtbot.addWidget(panel)
    rates = [Number(0.01 * 1.3**k, 0.001) for k in range(3)]
    rates.append(Number(3.0, None, Interval(0.02, None, "profile")))
    panel.add_points([
        TrendPoint(f"s{k}.nxs", 20.0 * (k + 1), 1.0, None, rate, temperature_k=300.0 + 10 * k)
        for k, rate in enumerate(rates)
    ])  # fmt: skip
    shown = panel.table.item(3, 4)
    assert shown is not None
    assert shown.text() == "3.000 (95 %: above 0.020)"
    line = arrhenius_of(panel.points, 295.0)
    assert isinstance(line, Arrhenius)
    assert line.degrees_of_freedom == float("inf")      # the others keep their weights
    panel.stop()
