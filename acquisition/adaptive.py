"""An adaptive map's course: the coarse grid, then closer looks where the online shares ask for them.

Light is on only while a batch of points is measured; what to look at next is decided in the dark, when the online
analysis has caught up. Points are numbered in the order of taking.
"""

import math
import time
from collections import deque

from halidescope.acquisition.measurement import Measurement
from halidescope.acquisition.plan import MOVE_S
from halidescope.acquisition.recipes import AdaptiveMap, Point
from halidescope.acquisition.records import SpectrumRecord
from halidescope.acquisition.refining import Place, Share, children, coarse_cells, in_rows, refine
from halidescope.acquisition.results import OnlineResults

CATCH_UP_S = 20.0      # real seconds that the analysis may need for a batch


class AdaptiveMeasurement(Measurement[AdaptiveMap]):
    """Batch after batch, lit, each refining the grid of those before; as far as points, time and dose allow."""

    _open_ended = True

    def _illuminate(self) -> None:
        recipe = self._recipe
        self._places: dict[int, Place] = {}       # point → place on the finest grid
        for record in self._past.records if self._past else ():
            self._places[record.index] = self._place(record.x_commanded_um, record.y_commanded_um)
        self._next = max((point.index for point in self._plan.points), default=-1) + 1
        self._next = max(self._next, max(self._places, default=-1) + 1)
        self._took_s = 0.0
        if not self._take_batch(again=self._past is not None):
            return
        self._cells = coarse_cells(recipe)
        for level in range(recipe.levels):
            self._left = deque(self._batch(2 ** (recipe.levels - level)))
            if self._left and not self._take_batch(again=False):
                return
        self.note(f"nothing more to refine: {self._done} points")

    def _place(self, x_um: float, y_um: float) -> Place:
        x0, y0 = self._recipe.origin_um
        step = self._recipe.finest_step_um
        return round((y_um - y0) / step), round((x_um - x0) / step)

    def _take_batch(self, *, again: bool) -> bool:
        """Every point that is left, lit; False if the time is over."""
        if not self._left and not again:
            return True
        with self._light():
            if again:
                self._look_again()
            began_s, done = self._lit_s, self._done
            while self._more():
                self.look()
                if self._door.pause_wanted:
                    self._pause()
                if self._lit_s - self._paused_s > self._recipe.duration_s:
                    break
                point = self._left.popleft()
                self._places[point.index] = self._place(point.x_um, point.y_um)
                self._take(point)
            if self._done > done:
                self._took_s = (self._lit_s - began_s) / (self._done - done)
        if self._left:
            self._leave_out(self._left, f"the time is over ({self._recipe.duration_s:g} s)")
            self._left.clear()
            return False
        return True

    def _batch(self, step: int) -> list[Point]:
        """The points that divide the squares worth it, as many as the budgets allow."""
        recipe, room = self._recipe, self._recipe.max_points - self._next
        divided, too_bright, too_many = [], 0, 0
        chosen: dict[Place, None] = {}
        for cell, needed in refine(recipe, self._shares(), self._cells, step):
            fresh = [place for place in needed if place not in chosen]
            if not all(self._within_dose(place) for place in fresh):
                too_bright += 1
            elif len(chosen) + len(fresh) > room:
                too_many += 1
            else:
                chosen |= dict.fromkeys(fresh)
                divided.append(cell)
        self._cells = [child for cell in divided for child in children(cell, step)]
        words = f"refining to {step // 2 * recipe.finest_step_um:g} µm: {len(chosen)} points in {len(divided)} squares"
        words += f", {too_bright} squares left for their dose" if too_bright else ""
        words += f", {too_many} squares beyond max_points" if too_many else ""
        self.note(words)
        points = [recipe.point(self._next + k, *place) for k, place in enumerate(in_rows(list(chosen)))]
        self._next += len(points)
        return points

    def _within_dose(self, place: Place) -> bool:
        """Whether one more look there keeps to the recipe's cap."""
        cap = self._recipe.dose_cap_j_cm2
        if cap is None:
            return True
        point = self._recipe.point(0, *place)
        look_s = max(self._took_s, self.exposure_s + MOVE_S)
        irradiance = self.engine.microscope.peak_irradiance_w_cm2(self._recipe.sample_power_uw)
        return self.engine.ledger.at(point.x_um, point.y_um) + irradiance * look_s <= cap

    def _shares(self) -> dict[Place, Share]:
        """What is known of every point, once the analysis has caught up."""
        until = time.monotonic() + CATCH_UP_S
        while (results := self.engine.analyst.results(0)).count < self._rows and time.monotonic() < until:
            self.engine.expect(0.1)
            self._door.sleep(0.05)
            self.look()
        if results.count < self._rows:
            self.note(f"the online analysis knows {results.count} of {self._rows} points; refined by these", "warning")
        return {**dict.fromkeys(self._places.values(), Share(math.nan, math.nan)), **self._known(results)}

    def _known(self, results: OnlineResults) -> dict[Place, Share]:
        return {
            self._places[index]: Share(share[-1], error[-1])
            for index, share, error in zip(results.index, results.shares, results.shares_se, strict=True)
            if share[-1] is not None and error[-1] is not None and index in self._places
        }

    def _remaining_s(self, last: SpectrumRecord) -> float:
        """Of this batch; what comes after it is not known yet."""
        return len(self._left) * max(self._took_s, last.exposure_s)
