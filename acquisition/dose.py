"""How much light every spot has had: the peak dose in J/cm², over a whole session.

Peak dose is peak irradiance × time lit, so waiting, settling and moving count as much as exposing. A move is counted
at its destination, where the stage spends most of it settling. Limits on dose are judged elsewhere.
"""

import math
import threading
from dataclasses import dataclass

SAME_SPOT = 0.1    # of the waist: nearer spots are one, the irradiance differs by 2 % at most there
REACH = 2.0        # in waists: farther spots add less than exp(-8) = 0.03 % of their dose


@dataclass
class _Spot:
    x_um: float
    y_um: float
    dose_j_cm2: float = 0.0


class DoseLedger:
    """Adds up the light of one film under a Gaussian focus.

    Parameters
    ----------
    waist_um : float
        1/e² radius of the focus.

    The dose at a place is the sum over lit spots of their own peak dose times ``exp(-2 r²/w0²)``
    (TEM00 profile; da Cunha et al. 2025, laser-induced temperature).
    """

    def __init__(self, waist_um: float) -> None:
        self._waist_um = waist_um
        self._cell_um = REACH * waist_um
        self._cells: dict[tuple[int, int], list[_Spot]] = {}
        self._here: _Spot | None = None
        self._irradiance_w_cm2 = 0.0
        self._since_s = 0.0
        self._before_j_cm2 = 0.0           # dose of the present spot when the stage left for it
        self._lock = threading.Lock()      # darkness may be asked for from another thread

    def _cell(self, x_um: float, y_um: float) -> tuple[int, int]:
        return math.floor(x_um / self._cell_um), math.floor(y_um / self._cell_um)

    def _near(self, x_um: float, y_um: float) -> list[_Spot]:
        column, row = self._cell(x_um, y_um)
        return [
            spot
            for i in (column - 1, column, column + 1)
            for j in (row - 1, row, row + 1)
            for spot in self._cells.get((i, j), ())
        ]

    def _spot(self, x_um: float, y_um: float) -> _Spot:
        same = SAME_SPOT * self._waist_um
        for spot in self._near(x_um, y_um):
            if math.hypot(spot.x_um - x_um, spot.y_um - y_um) <= same:
                return spot
        spot = _Spot(x_um, y_um)
        self._cells.setdefault(self._cell(x_um, y_um), []).append(spot)
        return spot

    def _settle(self, now_s: float) -> None:
        """Book the light since the last call on the present spot."""
        if self._here is not None and self._irradiance_w_cm2 > 0:
            self._here.dose_j_cm2 += self._irradiance_w_cm2 * (now_s - self._since_s)
        self._since_s = now_s

    def moving_to(self, now_s: float, x_um: float, y_um: float) -> None:
        """The stage leaves for another place, lit or not."""
        with self._lock:
            self._settle(now_s)
            self._here = self._spot(x_um, y_um)
            self._before_j_cm2 = self._here.dose_j_cm2

    def stands_at(self, now_s: float, x_um: float, y_um: float) -> None:
        """The last move ended elsewhere: the light since then was there."""
        with self._lock:
            self._settle(now_s)
            there = self._spot(x_um, y_um)
            if self._here is not None and there is not self._here:
                misplaced = self._here.dose_j_cm2 - self._before_j_cm2
                self._here.dose_j_cm2 -= misplaced
                self._before_j_cm2 = there.dose_j_cm2
                there.dose_j_cm2 += misplaced
            self._here = there

    def light(self, now_s: float, irradiance_w_cm2: float) -> None:
        """The light goes on with this peak irradiance, changes to it, or goes off (0)."""
        with self._lock:
            self._settle(now_s)
            self._irradiance_w_cm2 = irradiance_w_cm2

    def book(self, x_um: float, y_um: float, dose_j_cm2: float) -> None:
        """Learn of light before this ledger began: the peak dose at a place was at least this; more stays more."""
        with self._lock:
            spot = self._spot(x_um, y_um)
            spot.dose_j_cm2 += max(0.0, dose_j_cm2 - self._at(x_um, y_um))

    def here(self, now_s: float) -> float:
        """Peak dose at the present spot until now, in J/cm²; 0 before the first move."""
        with self._lock:
            self._settle(now_s)
            return self._at(self._here.x_um, self._here.y_um) if self._here is not None else 0.0

    def at(self, x_um: float, y_um: float) -> float:
        """Peak dose booked at a place, in J/cm²."""
        with self._lock:
            return self._at(x_um, y_um)

    def _at(self, x_um: float, y_um: float) -> float:
        return sum(
            spot.dose_j_cm2 * math.exp(-2.0 * ((spot.x_um - x_um) ** 2 + (spot.y_um - y_um) ** 2) / self._waist_um**2)
            for spot in self._near(x_um, y_um)
        )
