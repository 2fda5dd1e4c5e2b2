"""What a map can show: shares, peak, iodine content, width, intensity, residual, dose, and their errors.

Quantities that need a fit of every pixel are computed in a lane, for the pixels that are new, and remembered.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from halidescope.gui.lane import Lane
from halidescope.gui.peak_numbers import PeakNumbers, brightest_peaks
from halidescope.gui.run_data import RunData

BATCH = 256      # pixels fitted at once: new ones show soon, and closing the window waits for no more than this
PEAK_NAMES = ("energy_ev", "energy_ev_se", "fwhm_ev", "fwhm_ev_se", "x", "x_se")


@dataclass(frozen=True)
class Quantity:
    """One thing that the colours can mean.

    Attributes
    ----------
    name : str
        As :meth:`RunData.image` or the peak fit calls it.
    words, unit : str
    factor : float
        From the data's unit to ``unit``.
    signed : bool
        False if negative values make no sense.
    """

    name: str
    words: str
    unit: str
    factor: float = 1.0

    @property
    def label(self) -> str:
        """Words with the unit."""
        return f"{self.words} ({self.unit})" if self.unit else self.words

    @property
    def error_name(self) -> str:
        """The quantity that is its standard error, or empty."""
        if self.name.startswith("share:"):
            return self.name.replace("share:", "share_se:")
        return f"{self.name}_se" if f"{self.name}_se" in PEAK_NAMES else ""


INTENSITY = Quantity("intensity", "intensity", "counts")


def quantities(labels: tuple[str, ...]) -> list[Quantity]:
    """All quantities of a map with these phases, the growing one first; each error after what it belongs to."""
    found = []
    for label in reversed(labels):
        found.append(Quantity(f"share:{label}", f"share of {label}", "%", 100.0))
    found += [
        INTENSITY, Quantity("energy_ev", "peak energy", "eV"), Quantity("x", "iodine content x", ""),
        Quantity("fwhm_ev", "FWHM", "meV", 1e3), Quantity("dose", "dose", "J/cm²"), Quantity("time", "time taken", "s"),
    ]
    if labels:
        found.append(Quantity("residual", "residual of unmixing", "counts"))
    for label in reversed(labels):
        found.append(Quantity(f"share_se:{label}", f"error of share of {label}", "%", 100.0))
    return [
        *found, Quantity("energy_ev_se", "error of peak energy", "meV", 1e3), Quantity("x_se", "error of iodine x", ""),
        Quantity("fwhm_ev_se", "error of FWHM", "meV", 1e3),
    ]


class MapImages(QObject):
    """Images of a map's quantities; emits ``ready()`` when pixels have been fitted that a wanted image lacked."""

    ready = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = Lane("halidescope-map", self)
        self.data = RunData()
        self._peaks: NDArray[np.float64] = np.empty((0, len(PEAK_NAMES)))
        self._fitted: set[int] = set()
        self._busy = False

    def set_data(self, data: RunData) -> None:
        """Show another measurement; what was fitted of an older state of the same one is kept."""
        same = self.data.grid is not None and data.grid is not None and data.grid.same_as(self.data.grid)
        shares_points = same and any(data.place(index) == self.data.place(index) for index in list(self._fitted)[:1])
        if data is not self.data and not shares_points:
            self._peaks, self._fitted = np.empty((0, len(PEAK_NAMES))), set()
        self.data = data

    def image(self, quantity: Quantity) -> NDArray[np.float64]:
        """The image as far as it is known, in the quantity's unit, shape (ny, nx); missing pixels are NaN."""
        grid = self.data.grid
        assert grid is not None
        if quantity.name not in PEAK_NAMES:
            return quantity.factor * self.data.image(quantity.name)
        size = grid.shape[0] * grid.shape[1]
        if len(self._peaks) != size:
            self._peaks, self._fitted = np.full((size, len(PEAK_NAMES)), np.nan), set()
        self._fit_more()
        return quantity.factor * self._peaks[:, PEAK_NAMES.index(quantity.name)].reshape(grid.shape)

    @property
    def pending(self) -> int:
        """Pixels that are held and not fitted yet."""
        return sum(index not in self._fitted for index in self.data.held())

    def _fit_more(self) -> None:
        if self._busy or self.data.dark is None:
            return
        data, size = self.data, len(self._peaks)
        found: dict[int, NDArray[np.float32]] = {}
        for index in data.held():
            if index not in self._fitted and 0 <= index < size and (counts := data.counts(index)) is not None:
                found[index] = counts
                if len(found) == BATCH:
                    break
        if not found:
            return
        wanted, spectra = list(found), np.stack(list(found.values()))
        axis = data.wavelength_nm
        self._busy = True
        self._lane.ask(
            lambda: brightest_peaks(axis, spectra), lambda peaks: self._take(data, wanted, peaks), self._failed
        )

    def _take(self, data: RunData, wanted: list[int], found: PeakNumbers) -> None:
        self._busy = False
        if data.grid is None or self.data.grid is None or not data.grid.same_as(self.data.grid):
            return
        self._peaks[wanted] = np.stack([getattr(found, name) for name in PEAK_NAMES], axis=1)
        self._fitted.update(wanted)
        self.ready.emit()

    def _failed(self, error: BaseException) -> None:
        self._busy = False
        if not isinstance(error, ValueError):
            raise error

    def stop(self) -> None:
        """Fit no more."""
        self._lane.close()
