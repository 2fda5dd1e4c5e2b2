"""How much light every spot has had: the peak dose in J/cm², over a whole session.

Peak dose is peak irradiance × time lit, so waiting, settling and moving count as much as exposing. A move is counted
at its destination until the stage says that it stands there; then what fell on its way is spread along it. Limits on
dose are judged elsewhere.

What is booked is the most that can have come. What was booked since the last read-back that said *lit* is proven by the
next one; if the head is found dark instead, it stays in doubt: the light went at some moment in between.
"""

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
from scipy.constants import c, h

from halidescope.acquisition.light_page import LightPage, LitSpot

LASER_NM = 405.0   # until the laser that is connected says what it is
SAME_SPOT = 0.1    # of the waist: nearer spots are one, the irradiance differs by 2 % at most there
TRAVEL_S = 0.005   # of a small move of a piezo stage in closed loop
MOST_PIECES = 16   # into which the way of a move is divided
REACH = 2.0        # in waists: farther spots add less than exp(-8) = 0.03 % of their dose


@dataclass
class _Spot:
    x_um: float
    y_um: float
    dose_j_cm2: float = 0.0
    doubt_j_cm2: float = 0.0         # of it, for good
    unproven_j_cm2: float = 0.0      # of it, until the next read-back
    number: int = -1                 # on the page


class DoseMap(msgspec.Struct, frozen=True, kw_only=True):
    """How much light the film has had, on a grid.

    Attributes
    ----------
    x_um, y_um : list of float
        Middles of the columns and rows, stage coordinates in µm.
    dose_j_cm2, photons_per_um2 : list of rows, shape (ny, nx)
        Light at these middles, in J/cm² and in photons per µm².
    """

    x_um: list[float]
    y_um: list[float]
    dose_j_cm2: list[list[float]]
    photons_per_um2: list[list[float]]


def photons_per_um2(wavelength_nm: float) -> float:
    """Photons on a µm² for one J/cm² of light: ``1e-8 J / (h c / λ)``."""
    return 1e-8 * wavelength_nm * 1e-9 / (h * c)


class DoseLedger:
    """Adds up the light of one film under a Gaussian focus.

    Parameters
    ----------
    waist_um : float
        1/e² radius of the focus.
    wavelength_nm : float
        Of the light, to count its photons.

    The dose at a place is the sum over lit spots of their own peak dose times ``exp(-2 r²/w0²)``
    (TEM00 profile; da Cunha et al. 2025, laser-induced temperature).
    """

    def __init__(self, waist_um: float, wavelength_nm: float = LASER_NM) -> None:
        self._waist_um = waist_um
        self.wavelength_nm = wavelength_nm
        self._cell_um = REACH * waist_um
        self._cells: dict[tuple[int, int], list[_Spot]] = {}
        self._here: _Spot | None = None
        self._irradiance_w_cm2 = 0.0
        self._since_s = 0.0
        self._before_j_cm2 = 0.0           # dose of the present spot when the stage left for it
        self._left: _Spot | None = None    # the spot that it left
        self._left_s = 0.0
        self._proven_s = 0.0               # when one said so last
        self._came_on = True               # a read-back has said so of the present light
        self._open: dict[int, _Spot] = {}  # that have light which no read-back has proven
        self._page: LightPage | None = None
        self._lock = threading.Lock()      # darkness may be asked for from another thread

    @property
    def photons_per_um2(self) -> float:
        """Photons on a µm² for one J/cm²."""
        return photons_per_um2(self.wavelength_nm)

    def map(
        self, origin_um: tuple[float, float], size_um: tuple[float, float], shape: tuple[int, int], now_s: float
    ) -> DoseMap:
        """The dose on a grid of ``shape`` = (ny, nx) pixels that fill the field, light until now included."""
        (ny, nx), reach = shape, self._cell_um
        xs = origin_um[0] + (np.arange(nx) + 0.5) * size_um[0] / nx
        ys = origin_um[1] + (np.arange(ny) + 0.5) * size_um[1] / ny
        self.here(now_s)
        spots = self.spots()
        dose = np.zeros(shape)
        for x_um, y_um, peak, _ in spots:
            left, right = np.searchsorted(xs, (x_um - reach, x_um + reach))
            low, high = np.searchsorted(ys, (y_um - reach, y_um + reach))
            if left < right and low < high:
                across = np.exp(-2.0 * ((xs[left:right] - x_um) / self._waist_um) ** 2)
                along = np.exp(-2.0 * ((ys[low:high] - y_um) / self._waist_um) ** 2)
                dose[low:high, left:right] += peak * np.outer(along, across)
        return DoseMap(
            x_um=xs.tolist(), y_um=ys.tolist(), dose_j_cm2=dose.tolist(),
            photons_per_um2=(dose * self.photons_per_um2).tolist(),
        )

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
            self._add(self._here, self._irradiance_w_cm2 * (now_s - self._since_s))
        self._since_s = now_s
        self._put()

    def _add(self, spot: _Spot, dose_j_cm2: float) -> None:
        """More light, not proven yet; or less, if it was elsewhere."""
        spot.dose_j_cm2 = max(0.0, spot.dose_j_cm2 + dose_j_cm2)
        spot.unproven_j_cm2 = min(max(0.0, spot.unproven_j_cm2 + dose_j_cm2), spot.dose_j_cm2)
        self._open[id(spot)] = spot

    def _close(self, *, proven: bool) -> float:
        """What was open is proven, or stays in doubt; how much that is."""
        doubt = 0.0
        for spot in self._open.values():
            doubt += 0.0 if proven else spot.unproven_j_cm2
            spot.doubt_j_cm2 += 0.0 if proven else spot.unproven_j_cm2
            spot.unproven_j_cm2 = 0.0
            if spot.number >= 0:
                self._put(spot)
        self._open.clear()
        return doubt

    def _put(self, spot: _Spot | None = None) -> None:
        """Write a spot, the present one by default, down where it outlives this process."""
        page, here = self._page, spot or self._here
        if page is None or here is None or (here.number < 0 and self._irradiance_w_cm2 == 0):
            return
        if here.number < 0:
            here.number = page.add(here.x_um, here.y_um)
        page.put(here.number, LitSpot(here.x_um, here.y_um, here.dose_j_cm2, here.doubt_j_cm2), here.unproven_j_cm2)
        if here is self._here:
            page.under_beam(
                here.number, self._irradiance_w_cm2, self._since_s, proven_s=self._proven_s, came_on=self._came_on
            )

    def keep(self, page: LightPage | None, spots: Iterable[LitSpot] = ()) -> None:
        """From now on write every spot that is lit onto a page, which has these spots already; None ends that."""
        with self._lock:
            for cell in self._cells.values():
                for spot in cell:
                    spot.number = -1
            for number, (x_um, y_um, *_) in enumerate(spots):
                self._spot(x_um, y_um).number = number
            self._page = page

    def spots(self) -> list[LitSpot]:
        """Every spot that had light, with its own peak dose, which its surroundings share."""
        with self._lock:
            return [
                LitSpot(s.x_um, s.y_um, s.dose_j_cm2, s.doubt_j_cm2 + s.unproven_j_cm2)
                for cell in self._cells.values() for s in cell if s.dose_j_cm2 > 0
            ]

    def write_down(self, x_um: float, y_um: float) -> None:
        """Write a spot onto the page although it was lit before the page began."""
        with self._lock:
            spot = self._spot(x_um, y_um)
            if self._page is not None and spot.number < 0 and spot.dose_j_cm2 > 0:
                spot.number = self._page.add(x_um, y_um)
                self._put(spot)

    def change_film(self, spots: Iterable[LitSpot]) -> None:
        """Another film is under the beam, dark: nothing of the last one counts, these spots had light before."""
        with self._lock:
            here = self._here
            self._cells.clear()
            self._open.clear()
            self._here = self._spot(here.x_um, here.y_um) if here is not None else None
            self._before_j_cm2 = 0.0
        self.learn(spots)

    def learn(self, spots: Iterable[LitSpot]) -> None:
        """Take over what a page says; more stays more, and keeps its own doubt."""
        with self._lock:
            for x_um, y_um, dose, doubt in spots:
                spot = self._spot(x_um, y_um)
                if dose > spot.dose_j_cm2:
                    spot.dose_j_cm2, spot.doubt_j_cm2, spot.unproven_j_cm2 = dose, doubt, 0.0

    def moving_to(self, now_s: float, x_um: float, y_um: float) -> None:
        """The stage leaves for another place, lit or not."""
        with self._lock:
            self._settle(now_s)
            self._left, self._left_s = self._here, now_s
            self._here = self._spot(x_um, y_um)
            self._before_j_cm2 = self._here.dose_j_cm2
            self._put()

    def arrived(self, now_s: float) -> None:
        """The stage stands where it was sent: part of the light of the move was on its way.

        A stage in closed loop travels for at most half of the time until it reports that it is on target, and settles
        in the rest; of the travel only what a fast stage needs is believed, because a busy computer makes moves seem
        longer. That light is spread evenly along the way; a slow stage's goes to its destination, which is too much.
        """
        with self._lock:
            self._settle(now_s)
            left, here = self._left, self._here
            on_the_way = min(0.5 * (now_s - self._left_s), TRAVEL_S) * self._irradiance_w_cm2
            self._left = None
            if left is None or here is None or left is here or on_the_way <= 0:
                return
            self._add(here, -on_the_way)
            way = (here.x_um - left.x_um, here.y_um - left.y_um)
            pieces = min(MOST_PIECES, max(1, math.ceil(math.hypot(*way) / self._waist_um)))
            for k in range(pieces):
                along = (k + 0.5) / pieces
                spot = self._spot(left.x_um + along * way[0], left.y_um + along * way[1])
                self._add(spot, on_the_way / pieces)
                self._put(spot)
            self._put()

    def sweep(self, now_s: float, x_um: float, y_um: float) -> None:
        """The stage has run straight and evenly to here since the last call; its light is spread along the way.

        Spots half a waist apart give the same dose as an even line to better than 1e-8 (their sum is a Gaussian comb).
        """
        with self._lock:
            light = self._irradiance_w_cm2 * (now_s - self._since_s)
            self._since_s = self._left_s = now_s
            start, self._here = self._here, self._spot(x_um, y_um)
            if start is not None and light > 0:
                way = (x_um - start.x_um, y_um - start.y_um)
                pieces = max(1, math.ceil(math.hypot(*way) / (0.5 * self._waist_um)))
                for k in range(pieces):
                    along = (k + 0.5) / pieces
                    spot = self._spot(start.x_um + along * way[0], start.y_um + along * way[1])
                    self._add(spot, light / pieces)
                    self._put(spot)
            self._before_j_cm2 = self._here.dose_j_cm2
            self._put()

    def stands_at(self, now_s: float, x_um: float, y_um: float) -> None:
        """The last move ended elsewhere: the light since then was there."""
        with self._lock:
            self._settle(now_s)
            there = self._spot(x_um, y_um)
            if self._here is not None and there is not self._here:
                misplaced = self._here.dose_j_cm2 - self._before_j_cm2
                self._add(self._here, -misplaced)
                self._before_j_cm2 = there.dose_j_cm2
                self._put()
                self._add(there, misplaced)
            self._here = there
            self._put()

    def light(self, now_s: float, irradiance_w_cm2: float) -> None:
        """The light goes on with this peak irradiance, changes to it, or goes off (0)."""
        with self._lock:
            self._settle(now_s)
            self._came_on = self._came_on and self._irradiance_w_cm2 > 0
            self._irradiance_w_cm2 = irradiance_w_cm2
            self._put()

    def proven(self, at_s: float) -> None:
        """A read-back says that the light was on at that moment."""
        with self._lock:
            self._came_on, self._proven_s = True, at_s
            self._close(proven=True)
            since = self._irradiance_w_cm2 * max(0.0, self._since_s - at_s)
            if self._here is not None and since > 0:
                self._here.unproven_j_cm2 = min(since, self._here.dose_j_cm2)
                self._open[id(self._here)] = self._here
            self._put()

    def dark(self, now_s: float, gone_s: float, *, proven: bool) -> float:
        """The light is off, and went at ``gone_s``, before which nobody knows whether it was on unless ``proven``.

        Returns
        -------
        float
            How much of what is booked stays in doubt, in J/cm² summed over the spots.
        """
        with self._lock:
            self._settle(now_s)
            if self._here is not None:      # of what the stage left behind meanwhile, nothing is taken back
                self._add(self._here, -self._irradiance_w_cm2 * max(0.0, now_s - max(gone_s, self._left_s)))
            self._irradiance_w_cm2 = 0.0
            doubt = self._close(proven=proven and self._came_on)
            self._came_on = True
            self._put()
            return doubt

    def correct(self, off_by_s: float, irradiance_w_cm2: float) -> None:
        """Light of the present spot was booked for ``off_by_s`` s too long (negative: too short)."""
        with self._lock:
            if self._here is not None:
                self._add(self._here, -off_by_s * irradiance_w_cm2)
                self._put()

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
