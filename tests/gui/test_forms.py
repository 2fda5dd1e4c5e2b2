"""Forms of recipes made of several, the steps of a sequence, and the library, by clicks and keys."""

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit

from halidescope.acquisition.recipes import (
    AnyRecipe,
    DarkRecovery,
    ExposureAndMaps,
    PowerSeries,
    RasterMap,
    Sequence,
    TimeSeries,
    load_recipe,
    parse_recipe,
)
from halidescope.gui.measure_dock import MeasurePanel
from halidescope.gui.recipe_form import RecipeForm
from halidescope.gui.recipe_library import PRESETS, RecipeLibrary
from halidescope.gui.sequence_form import SequenceForm

BOTH = Sequence.model_validate({
    "kind": "sequence", "sample": {"name": "film 12", "composition": 1.5},
    "recipes": [
        {"kind": "time-series", "sample_power_uw": 120.0, "duration_s": 50.0},
        {"kind": "power-series", "powers_uw": [5.0, 50.0], "duration_s": 20.0},
    ],
})


@pytest.fixture
def panel(qtbot: QtBot, tmp_path: Path) -> MeasurePanel:
    """The measure panel alone."""
    panel = MeasurePanel(RecipeLibrary(tmp_path / "recipes"))
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.mark.parametrize("recipe", [
    PowerSeries(powers_uw=(5.0, 120.0), duration_s=30.0, random_order=True, seed=3),
    DarkRecovery(sample_power_uw=2.0, duration_s=7200.0, exposure_power_uw=120.0),
    ExposureAndMaps(sample_power_uw=5.0, exposure_power_uw=120.0, size_um=(40.0, 20.0)),
    BOTH,
])
def test_every_kind_goes_into_its_form_and_comes_out_the_same(panel: MeasurePanel, recipe: AnyRecipe) -> None:
    panel.set_recipe(recipe)
    assert panel.form.valid
    assert parse_recipe(panel.form.values()) == recipe


def test_a_wrong_number_of_a_list_is_named_by_its_place(qtbot: QtBot) -> None:
    form = RecipeForm(PowerSeries)
    qtbot.addWidget(form)
    form.findChild(QLineEdit, "duration_s").setText("10")
    for text, reason in (
        ("5; -3; 20", "number 2 must be greater than 0 µW"), ("5; much", "number 2 is not a number in µW"),
        ("", "needs at least one number in µW"),
    ):  # fmt: skip
        form.findChild(QLineEdit, "powers_uw").setText(text)
        assert form.recipe() is None
        assert form.entries["powers_uw",].reason.text() == reason


def test_what_is_wrong_with_two_fields_together_is_said_beneath_the_form(qtbot: QtBot) -> None:
    form = RecipeForm(DarkRecovery)
    qtbot.addWidget(form)
    form.set_values({"sample_power_uw": 2.0, "duration_s": 100.0, "interval_s": 0.1, "exposure_s": 0.2})
    assert form.recipe() is None
    assert form.reason.text() == "interval_s = 0.1 must be longer than exposure_s = 0.2 s"
    assert not form.valid


def test_steps_are_added_edited_moved_removed_and_undone(panel: MeasurePanel, qtbot: QtBot) -> None:
    panel.kind.setCurrentIndex(panel.kind.findData("sequence"))
    form = panel.form
    assert isinstance(form, SequenceForm)
    assert form.reason.text() == "add at least one step"

    def step(kind: str, **fields: str) -> None:
        dialog = form.dialog
        dialog.kind.setCurrentIndex(dialog.kind.findData(kind))
        for name, text in fields.items():
            edit = dialog.form.findChild(QLineEdit, name)
            edit.selectAll()
            qtbot.keyClicks(edit, text)
        ok = dialog.foot.accept
        assert ok.isEnabled()
        qtbot.mouseClick(ok, Qt.MouseButton.LeftButton)

    qtbot.mouseClick(form.buttons["add"], Qt.MouseButton.LeftButton)
    assert not form.dialog.foot.accept.isEnabled()
    step("time-series", sample_power_uw="120", duration_s="50")
    qtbot.mouseClick(form.buttons["add"], Qt.MouseButton.LeftButton)
    step("raster-map", sample_power_uw="5")
    recipe = form.recipe()
    assert recipe is not None
    assert [one.kind for one in recipe.recipes] == ["time-series", "raster-map"]
    assert form.steps.item(0).text() == "1  time series 50 s at 120 µW"

    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)     # a window manager gives it the keyboard back when it likes
    form.steps.setFocus()
    qtbot.keyClick(form.steps, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    assert [one["kind"] for one in form.values()["recipes"]] == ["raster-map", "time-series"]
    qtbot.mouseClick(form.buttons["edit"], Qt.MouseButton.LeftButton)
    step("raster-map", sample_power_uw="7")
    assert form.values()["recipes"][0]["sample_power_uw"] == 7.0
    qtbot.mouseClick(form.buttons["remove"], Qt.MouseButton.LeftButton)
    assert len(form.values()["recipes"]) == 1
    for left in (2, 2, 2, 1, 0):
        qtbot.mouseClick(form.buttons["undo"], Qt.MouseButton.LeftButton)
        assert len(form.values()["recipes"]) == left
    assert not form.buttons["undo"].isEnabled()


def test_presets_are_recipes_and_are_shown_by_the_menu(panel: MeasurePanel) -> None:
    menu = panel.library.menu
    panel.library.fill()
    for preset in PRESETS:
        action = next(one for one in menu.actions() if one.text() == preset.name)
        assert action.toolTip() == preset.purpose
        action.trigger()
        assert panel.form.recipe() == preset.recipe()


def test_a_recipe_is_kept_found_again_forgotten_and_brought_back(panel: MeasurePanel, tmp_path: Path) -> None:
    said: list[tuple[str, str, object]] = []
    panel.library.said.connect(lambda *words: said.append(words))
    panel.set_recipe(BOTH)
    panel.library.save("film 12")
    assert load_recipe(tmp_path / "recipes" / "film 12.toml") == BOTH
    panel.library.save("../evil")
    assert "use letters" in said[-1][0]

    panel.set_recipe(TimeSeries(sample_power_uw=1.0, duration_s=2.0))
    panel.library.fill()
    next(one for one in panel.library.menu.actions() if one.text() == "film 12").trigger()
    assert panel.form.recipe() == BOTH
    forget = next(one for one in panel.library.menu.actions() if one.text() == "Forget").menu()
    forget.actions()[0].trigger()
    assert panel.library.library.names() == []
    assert said[-1][1] == "undo"
    said[-1][2]()
    assert panel.library.library.load("film 12") == BOTH


def test_a_damaged_recipe_of_the_library_is_a_sentence(panel: MeasurePanel, tmp_path: Path) -> None:
    said: list[str] = []
    panel.library.said.connect(lambda words, *_: said.append(words))
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "old.toml").write_text("kind = 'raster-map'\nstep_um = -1\n", encoding="utf-8")
    before = RasterMap(sample_power_uw=3.0)
    panel.set_recipe(before)
    panel.library.fill()
    next(one for one in panel.library.menu.actions() if one.text() == "old").trigger()
    assert "step_um" in said[-1]
    assert panel.form.recipe() == before
