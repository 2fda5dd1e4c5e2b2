"""What a recipe will cost, or why it must not start, worked out while a person types.

The planning itself is :mod:`halidescope.acquisition.plan`; the engine plans again, against its connected instruments.
"""

from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.plan import Plan, make_plan
from halidescope.acquisition.recipes import AnyRecipe, Recipe
from halidescope.gui.lane import Lane
from halidescope.gui.values import dose, duration, irradiance, size

AFTER_MS = 150      # of quiet at the keyboard


class Preflight(QObject):
    """Plans in a lane of its own; :attr:`judged` gives the summary, or an empty one and what is against it."""

    judged = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("halidescope-plan", self)
        self._asked: tuple[AnyRecipe, MicroscopeFile, Path] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(AFTER_MS)
        self._timer.timeout.connect(self._plan)

    def judge(self, recipe: Recipe | None, microscope: MicroscopeFile | None, out: Path) -> None:
        """Judge a recipe soon; only the last one asked for is answered."""
        self._asked = None
        self._timer.stop()
        if recipe is None:
            self.judged.emit("", "mend the marked fields first")
        elif microscope is None:
            self.judged.emit("open a microscope file to see what this will cost", "")
        elif isinstance(recipe, AnyRecipe):
            self._asked = (recipe, microscope, out)
            self.judged.emit("computing …", "")
            self._timer.start()

    def _plan(self) -> None:
        asked = self._asked
        if asked is None:
            return
        self._lane.ask(
            lambda: make_plan(*asked),
            lambda plan: self._answer(asked, summary(plan), "\n".join(plan.violations)),
            lambda error: self._answer(asked, "", f"cannot be planned: {error}"),
        )

    def _answer(self, asked: object, words: str, refused: str) -> None:
        if asked is self._asked:
            self.judged.emit(words, refused)

    def close(self) -> None:
        """Plan no more."""
        self._timer.stop()
        self._lane.close()


def summary(plan: Plan) -> str:
    """Three lines: how long and how much, how bright and what dose."""
    return (
        f"{plan.spectra} spectra · {duration(plan.duration_s)} · {size(plan.bytes)}\n"
        f"peak irradiance {irradiance(plan.peak_irradiance_w_cm2)}\n"
        f"peak dose {dose(plan.peak_dose_j_cm2)}"
    )
