"""Peaks of the points of a measurement, fitted in a lane, the new ones as they come, and remembered by index."""

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from halidescope.analysis.composition import HC_EV_NM
from halidescope.gui.lane import Lane
from halidescope.gui.peak_numbers import PeakNumbers, brightest_peaks
from halidescope.gui.run_data import RunData

BATCH = 256      # points fitted at once: new ones show soon, and closing the window waits for no more than this
NAMES = ("energy_ev", "energy_ev_se", "fwhm_ev", "fwhm_ev_se", "x", "x_se")


class PeakFits(QObject):
    """Emits ``ready()`` when points have been fitted that were asked for.

    Parameters
    ----------
    follow : bool
        Fit the band that was brightest in the first spectrum, where it still is, instead of each spectrum's brightest.
    """

    ready = Signal()

    def __init__(self, parent: QObject | None = None, *, follow: bool = False) -> None:
        super().__init__(parent)
        self._follow = follow
        self._lane = Lane("halidescope-fits", self)
        self._epoch = 0
        self._busy = False
        self.forget()

    def forget(self) -> None:
        """Another measurement."""
        self._epoch += 1
        self.near_nm: float | None = None      # where the followed band was first
        self._values: NDArray[np.float64] = np.empty((0, len(NAMES)))
        self._fitted: set[int] = set()

    def column(self, name: str, size: int) -> NDArray[np.float64]:
        """A quantity of the points 0 to ``size`` - 1; not-a-number where nothing was fitted."""
        if len(self._values) < size:
            grown = np.full((max(size, 2 * len(self._values)), len(NAMES)), np.nan)
            grown[: len(self._values)] = self._values
            self._values = grown
        return self._values[:size, NAMES.index(name)]

    def pending(self, data: RunData, every: int = 1) -> int:
        """Points that are held and not fitted yet."""
        return sum(index not in self._fitted for index in data.held() if index % every == 0)

    def fit_more(self, data: RunData, every: int = 1) -> None:
        """Fit a batch of the points that are held, every so many, unless one is being fitted."""
        if self._busy or data.dark is None:
            return
        found: dict[int, NDArray[np.float32]] = {}
        for index in data.held():
            if index % every or index in self._fitted or (counts := data.counts(index)) is None:
                continue
            found[index] = counts
            if len(found) == BATCH:
                break
        if not found:
            return
        indices, spectra, axis, epoch = list(found), np.stack(list(found.values())), data.wavelength_nm, self._epoch
        self._busy = True
        near_nm = self.near_nm

        def fit() -> tuple[PeakNumbers, float | None]:
            if not self._follow:
                return brightest_peaks(axis, spectra), None
            near = first_band_nm(axis, spectra) if near_nm is None else near_nm
            return brightest_peaks(axis, spectra, near), near

        self._lane.ask(fit, lambda found: self._take(epoch, indices, *found), self._failed)

    def _take(self, epoch: int, indices: list[int], peaks: PeakNumbers, near_nm: float | None) -> None:
        self._busy = False
        if epoch != self._epoch:
            return
        self.near_nm = near_nm
        self.column(NAMES[0], max(indices) + 1)
        self._values[indices] = np.stack([getattr(peaks, name) for name in NAMES], axis=1)
        self._fitted.update(indices)
        self.ready.emit()

    def _failed(self, error: BaseException) -> None:
        self._busy = False
        if not isinstance(error, ValueError):
            raise error

    def stop(self) -> None:
        """Fit no more."""
        self._lane.close()


def first_band_nm(wavelength_nm: NDArray[np.float64], spectra: NDArray[np.float32]) -> float | None:
    """Where the brightest band of the first spectrum with one is, in nm; None if none of them has one."""
    energy = brightest_peaks(wavelength_nm, spectra).energy_ev
    known = energy[np.isfinite(energy)]
    return HC_EV_NM / float(known[0]) if len(known) else None
