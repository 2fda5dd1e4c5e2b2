"""The menu of recipes: presets, a person's own, keeping the one that is shown, opening a file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QDialog, QInputDialog, QMenu, QPushButton, QWidget

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import Recipe, load_recipe
from halidescope.gui.asking import ask_files
from halidescope.gui.recipe_library import PRESETS, RecipeLibrary


class LibraryMenu(QObject):
    """Gives a button its menu.

    Signals
    -------
    chosen(recipe)
        Show this one.
    said(str, str, object)
        A sentence for the person; the words of a button that takes it back, or empty; and what that button does.
    """

    chosen = Signal(object)
    said = Signal(str, str, object)

    def __init__(self, button: QPushButton, library: RecipeLibrary, shown: Callable[[], Recipe | None]) -> None:
        super().__init__(button)
        self.library = library
        self._shown = shown
        self.menu = QMenu(button)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self.fill)
        button.setMenu(self.menu)
        self.fill()

    def fill(self) -> None:
        """Make the menu anew: files may have come and gone."""
        self.menu.clear()
        for preset in PRESETS:
            action = self.menu.addAction(preset.name)
            action.setToolTip(preset.purpose)
            action.triggered.connect(lambda _=False, one=preset: self.chosen.emit(one.recipe()))
        self.menu.addSeparator()
        own = self.library.names()
        for name in own:
            self.menu.addAction(name).triggered.connect(partial(self._try, self._load, name))
        if own:
            self.menu.addSeparator()
        self.keep = self.menu.addAction("Keep the shown recipe…")
        self.keep.setEnabled(self._shown() is not None)
        self.keep.triggered.connect(lambda: self._ask_name())
        self.menu.addAction("Open recipe file…").triggered.connect(lambda: self._open())
        if own:
            forget = self.menu.addMenu("Forget")
            for name in own:
                forget.addAction(name).triggered.connect(partial(self._try, self._forget, name))

    def _try(self, act: Callable[[str], object], name: str, _checked: bool = False) -> None:
        try:
            act(name)
        except ProblemError as error:
            self.said.emit(str(error), "", None)

    def _load(self, name: str) -> None:
        self.chosen.emit(self.library.load(name))

    def save(self, name: str) -> None:
        """Keep the recipe that is shown under a name."""
        recipe = self._shown()
        if recipe is None:
            self.said.emit("the recipe is not valid: mend the marked fields first", "", None)
            return
        self._try(lambda given: self.said.emit(f"kept as {self.library.save(given, recipe)}", "", None), name)

    def _forget(self, name: str) -> None:
        text = self.library.remove(name)
        self.said.emit(f"recipe '{name}' is forgotten", "undo", lambda: self.library.restore(name, text))

    def _ask_name(self) -> None:
        dialog = QInputDialog(self._parent_widget())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Keep the recipe")
        dialog.setLabelText("Name of the recipe:")
        dialog.textValueSelected.connect(self.save)
        dialog.show()
        self.dialog: QDialog = dialog

    def _open(self) -> None:
        self.dialog = ask_files(
            self._parent_widget(), "Recipe file", "Recipe (*.toml)",
            lambda paths: self._try(lambda given: self.chosen.emit(load_recipe(Path(given))), str(paths[0])),
        )

    def _parent_widget(self) -> QWidget | None:
        parent = self.parent()
        return parent if isinstance(parent, QWidget) else None
