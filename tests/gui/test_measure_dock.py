"""The form made from the recipes, and what may be pressed when."""

from pathlib import Path

import pytest
from played_engine import PlayedEngine
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit

from halidescope.acquisition.recipes import RasterMap, Recipe, Sequence, TimeSeries, parse_recipe
from halidescope.gui.measure_dock import kinds
from halidescope.gui.recipe_form import RecipeForm, fields_of
from halidescope.gui.window import MainWindow

MICROSCOPE = """
[laser]
model = "cobolt-06-mld"
resource = "TCPIP::127.0.0.1::9::SOCKET"
sample_uw_per_head_mw = 4.0
max_sample_uw = 400.0
[stage]
model = "pi-e727"
resource = "TCPIP::127.0.0.1::9::SOCKET"
[spectrometer]
model = "ocean-hdx"
resource = "TCPIP::127.0.0.1::9::SOCKET"
"""

UNITS = ("_uw", "_um", "_nm", "_s", "_j_cm2", "_c", "_percent", "_mm")     # at the end of a field's name


def type_into(qtbot: QtBot, edit: QLineEdit, text: str) -> None:
    """Replace what stands there, key by key."""
    edit.setFocus()
    edit.selectAll()
    qtbot.keyClicks(edit, text)


@pytest.mark.parametrize("model", [model for _, model in kinds() if model is not Sequence])
def test_every_field_has_a_label_a_unit_and_help(qtbot: QtBot, model: type[Recipe]) -> None:
    form = RecipeForm(model)
    qtbot.addWidget(form)
    assert set(form.entries) == {path for path, _ in fields_of(model)}
    for path, entry in form.entries.items():
        assert entry.label.toolTip(), path
        assert path[-1].endswith(UNITS) == bool(entry.unit), path


@pytest.mark.parametrize("recipe", [
    TimeSeries(sample_power_uw=120.0, duration_s=500.0, position_um=(12.5, 80.0)),
    RasterMap(
        sample_power_uw=5.0, size_um=(40.0, 20.0), step_um=2.0, order="raster",
        sample={"name": "film 12", "composition": 1.5}, analysis={"references": ("a b.nxs", "c.nxs")},
    ),
])
def test_a_recipe_goes_into_the_form_and_comes_out_the_same(qtbot: QtBot, recipe: Recipe) -> None:
    form = RecipeForm(type(recipe))
    qtbot.addWidget(form)
    form.set_values(recipe.model_dump())
    assert form.recipe() == recipe
    assert parse_recipe(form.values()) == recipe


def test_film_and_references_stay_for_another_kind_and_the_file_takes_its_name(
    followed: MainWindow, qtbot: QtBot
) -> None:
    measure = followed.measure
    measure.set_recipe(TimeSeries(sample_power_uw=120.0, duration_s=500.0, sample={"name": "film 12"}))
    assert Path(measure.file.text()).name == "time-series-001.nxs"
    type_into(qtbot, measure.form.entries["analysis", "references"].edits[0], "a.nxs; b.nxs")
    measure.kind.setFocus()
    qtbot.keyClick(measure.kind, Qt.Key.Key_Down)
    assert measure.form.model is RasterMap
    assert measure.form.values()["sample"]["name"] == "film 12"
    assert measure.form.values()["analysis"]["references"] == ("a.nxs", "b.nxs")
    assert Path(measure.file.text()).name == "raster-map-001.nxs"
    measure.set_recipe(RasterMap(sample_power_uw=5.0))      # which names no references: none are left of before
    assert measure.form.values()["analysis"]["references"] == ()
    measure.file.setText(str(Path(measure.file.text()).with_name("mine.nxs")))
    qtbot.keyClick(measure.kind, Qt.Key.Key_Up)
    assert Path(measure.file.text()).name == "mine.nxs"


def test_a_key_that_begins_nothing_says_why(followed: MainWindow, qtbot: QtBot) -> None:
    measure = followed.measure
    measure.set_recipe(TimeSeries(sample_power_uw=120.0, duration_s=500.0))
    measure.form.entries["sample_power_uw",].edits[0].clear()
    qtbot.keyClick(followed, Qt.Key.Key_F5)
    assert followed.notice.text.text() == "not begun: mend the marked fields first"
    assert measure.start_button.toolTip() == "mend the marked fields first"


WRONG = (
    ("sample_power_uw", "-3", "must be greater than 0 µW"),
    ("sample_power_uw", "much", "is not a number in µW"),
    ("duration_s", "", "needs a number in s"),
    ("exposure_s", "inf", "is not a number in s"),
    ("dark_spectra", "2.5", "is not a whole number"),
    ("position_um.1", "north", "is not a number in µm"),
    ("composition", "4", "must be less than or equal to 3"),
)


def test_a_wrong_value_is_marked_with_the_reason_and_nothing_can_start(followed: MainWindow, qtbot: QtBot) -> None:
    measure = followed.measure
    for name, text, reason in WRONG:
        measure.set_recipe(TimeSeries(sample_power_uw=120.0, duration_s=500.0))
        qtbot.waitUntil(measure.start_button.isEnabled)
        edit = measure.form.findChild(QLineEdit, name)
        if text:
            type_into(qtbot, edit, text)
        else:
            edit.clear()
        entry = next(entry for entry in measure.form.entries.values() if edit in entry.edits)
        assert entry.reason.text() == reason
        assert entry.reason.isVisibleTo(measure.form)
        assert edit.property("invalid") is True
        assert not measure.start_button.isEnabled()
        assert edit.text() == text      # nothing is corrected behind one's back


def test_an_existing_file_is_refused_by_name(followed: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    measure = followed.measure
    measure.set_recipe(TimeSeries(sample_power_uw=120.0, duration_s=500.0))
    (tmp_path / "old.nxs").touch()
    type_into(qtbot, measure.file, str(tmp_path / "old.nxs"))
    assert "never overwritten" in measure.file_reason.text()
    assert not measure.start_button.isEnabled()


def test_the_cost_is_shown_before_the_start(followed: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    file = tmp_path / "microscope.toml"
    file.write_text(MICROSCOPE, encoding="utf-8")
    followed.open_microscope(file)      # an engine is followed already; only the plan's microscope changes
    measure = followed.measure
    measure.set_recipe(TimeSeries(sample_power_uw=120.0, duration_s=500.0))
    qtbot.waitUntil(lambda: "2500 spectra · 8:22" in measure.preflight.text())
    assert "peak irradiance 7.64 kW/cm²\npeak dose 3.82 MJ/cm²" in measure.preflight.text()
    type_into(qtbot, measure.form.findChild(QLineEdit, "sample_power_uw"), "500")
    qtbot.waitUntil(lambda: "400" in measure.preflight.text())
    assert not measure.start_button.isEnabled()


def test_start_pause_resume_abort_by_mouse(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot, tmp_path: Path
) -> None:
    measure = followed.measure
    measure.kind.setCurrentIndex(1)
    measure.set_recipe(RasterMap(sample_power_uw=5.0, size_um=(8.0, 4.0)))
    qtbot.waitUntil(measure.start_button.isEnabled)
    assert not measure.pause_button.isEnabled()
    qtbot.mouseClick(measure.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(measure.pause_button.isEnabled)
    assert engine.recipe["size_um"] == [8.0, 4.0]
    assert not measure.start_button.isEnabled()
    qtbot.mouseClick(measure.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: measure.pause_button.text() == "&Resume")
    assert "paused" in followed.strip.progress_text.text()
    qtbot.mouseClick(measure.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: measure.pause_button.text() == "&Pause")
    qtbot.mouseClick(measure.abort_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(measure.start_button.isEnabled)
    assert engine.calls == ["start", "pause", "resume", "abort"]


def test_a_refusal_is_shown_as_the_engine_says_it(
    followed: MainWindow, engine: PlayedEngine, qtbot: QtBot
) -> None:
    engine.refuses = "stage pi-e727: x = 212.0 µm asked, allowed 0.0 to 200.0 µm"
    followed.measure.set_recipe(TimeSeries(sample_power_uw=120.0, duration_s=500.0, position_um=(212.0, 0.0)))
    qtbot.waitUntil(followed.measure.start_button.isEnabled)
    with qtbot.waitSignal(followed.feed.refused):
        qtbot.keyClick(followed.measure.start_button, Qt.Key.Key_Space)
    assert followed.notice.text.text() == engine.refuses
    assert followed.notice.isVisible()
