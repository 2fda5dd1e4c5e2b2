"""What a recipe will cost, what it will alter, or why it must not start, worked out while a person types.

The planning itself is :mod:`halidescope.acquisition.plan`; the engine plans again, against its connected instruments.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from halidescope.acquisition.dose import DoseMap
from halidescope.acquisition.facts import InstrumentFacts
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.plan import Limits, Plan, make_plan
from halidescope.acquisition.recipes import AnyRecipe, Recipe
from halidescope.gui.lane import Lane
from halidescope.gui.values import dose, duration, irradiance, size

AFTER_MS = 150      # of quiet at the keyboard


class Preflight(QObject):
    """Plans in a lane of its own.

    Signals
    -------
    judged(str, str)
        The summary, or an empty one and what is against it.
    places(ndarray)
        Where it would measure, µm, shape (n, 2).
    """

    judged = Signal(str, str)
    places = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("halidescope-plan", self)
        self._asked: tuple[AnyRecipe, MicroscopeFile, Path] | None = None
        self.limits: Limits | None = None
        self.dose: DoseMap | None = None      # what the film has had
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(AFTER_MS)
        self._timer.timeout.connect(self._plan)

    def judge(self, recipe: Recipe | None, microscope: MicroscopeFile | None, out: Path) -> None:
        """Judge a recipe soon; only the last one asked for is answered."""
        self._asked = None
        self._timer.stop()
        if recipe is None or microscope is None:
            self.places.emit(np.empty((0, 2)))
        if recipe is None:
            self.judged.emit("", "mend the marked fields first")
        elif microscope is None:
            self.judged.emit("open a microscope file to see what this will cost", "")
        elif isinstance(recipe, AnyRecipe):
            self._asked = (recipe, microscope, out)
            self.judged.emit("computing …", "")
            self._timer.start()

    def _plan(self) -> None:
        asked, limits, had = self._asked, self.limits, self.dose
        if asked is None:
            return

        def work() -> tuple[Plan, str, NDArray[np.float64]]:
            plan = make_plan(*asked, limits=limits)
            where = np.array([(point.x_um, point.y_um) for point in plan.points], dtype=float).reshape(-1, 2)
            return plan, altered(where, asked[1].optics.waist_um, had), where

        self._lane.ask(
            work, lambda found: self._answer(asked, *found),
            lambda error: self._failed(asked, f"cannot be planned: {error}"),
        )

    def _answer(self, asked: object, plan: Plan, changes: str, where: NDArray[np.float64]) -> None:
        if asked is self._asked:
            self.places.emit(where)
            words = [summary(plan), changes, *(f"⚠ {warning}" for warning in plan.warnings)]
            if plan.expected_change is not None:
                words.insert(2, f"will change {100 * plan.expected_change:.2g} % of the film where most light falls")
            self.judged.emit("\n".join(words), "\n".join(plan.violations))

    def _failed(self, asked: object, why: str) -> None:
        if asked is self._asked:
            self.judged.emit("", why)

    def close(self) -> None:
        """Plan no more."""
        self._timer.stop()
        self._lane.close()


def limits_of_facts(facts: InstrumentFacts) -> Limits | None:
    """What connected instruments allow; None if they are not all there."""
    laser, stage, spectrometer = facts.laser, facts.stage, facts.spectrometer
    if not facts.connected or laser is None or stage is None or spectrometer is None:
        return None
    return Limits(
        laser=laser.device, head_mw=laser.head_limits_mw, stage=stage.device, travel_um=stage.travel_um,
        spectrometer=spectrometer.device, exposure_s=spectrometer.exposure_limits_s, pixels=spectrometer.pixels,
    )


def summary(plan: Plan) -> str:
    """Three lines: how long and how much, how bright and what dose."""
    return (
        f"{plan.spectra} spectra · {duration(plan.duration_s)} · {size(plan.bytes)}\n"
        f"peak irradiance {irradiance(plan.peak_irradiance_w_cm2)}\n"
        f"peak dose {dose(plan.peak_dose_j_cm2)}"
    )


def altered(places: NDArray[np.float64], waist_um: float, had: DoseMap | None) -> str:
    """What of the film gets light, and how much the most exposed place of it has had already.

    Parameters
    ----------
    places : ndarray, shape (n, 2)
        In µm.
    waist_um : float
        1/e² radius; a spot is counted as a disc of that radius.
    """
    if len(places) == 0:
        return "alters nothing: no light"
    spots = np.unique(np.round(places / (0.1 * waist_um)), axis=0)
    area = len(spots) * np.pi * waist_um**2
    (x0, y0), (x1, y1) = places.min(axis=0) - waist_um, places.max(axis=0) + waist_um
    area = min(area, float((x1 - x0) * (y1 - y0)))
    where = f"{len(spots)} spots, {area:.0f} µm²" if len(spots) > 1 else (
        f"1 spot at x {places[0, 0]:g} µm, y {places[0, 1]:g} µm"
    )
    words = f"lights {where}"
    if had is None:
        return words
    before = dose_at(had, places)
    return f"{words}, fresh in this session" if before <= 0 else f"{words}, which had up to {dose(before)} already"


def dose_at(had: DoseMap, places: NDArray[np.float64]) -> float:
    """Greatest dose of the pixels that hold any of the places, J/cm²."""
    x, y = np.asarray(had.x_um), np.asarray(had.y_um)
    columns = np.clip(np.searchsorted(0.5 * (x[1:] + x[:-1]), places[:, 0]), 0, len(x) - 1)
    rows = np.clip(np.searchsorted(0.5 * (y[1:] + y[:-1]), places[:, 1]), 0, len(y) - 1)
    return float(np.asarray(had.dose_j_cm2)[rows, columns].max())
