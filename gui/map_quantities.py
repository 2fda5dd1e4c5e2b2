"""What a map can show: shares, peak, iodine content, width, intensity, residual, dose, and their errors.

Quantities that need a fit of every pixel are computed in a lane, for the pixels that are new, and remembered.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from halidescope.acquisition.results import Number
from halidescope.gui.peak_fits import NAMES, PeakFits
from halidescope.gui.run_data import RunData
from halidescope.gui.values import plus_minus


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
        return f"{self.name}_se" if f"{self.name}_se" in NAMES else ""


INTENSITY = Quantity("intensity", "intensity", "counts")


def quantities(labels: tuple[str, ...]) -> list[Quantity]:
    """All quantities of a map with these phases, the growing one first; each error after what it belongs to."""
    found = [Quantity(f"share:{label}", f"share of {label}", "%", 100.0) for label in reversed(labels)]
    found += [
        INTENSITY, Quantity("energy_ev", "peak energy", "eV"), Quantity("x", "iodine content x", ""),
        Quantity("fwhm_ev", "FWHM", "meV", 1e3), Quantity("dose", "dose", "J/cm²"), Quantity("time", "time taken", "s"),
    ]
    if labels:
        found.append(Quantity("residual", "residual of unmixing", "counts"))
    found += [Quantity(f"share_se:{label}", f"error of share of {label}", "%", 100.0) for label in reversed(labels)]
    return [
        *found, Quantity("energy_ev_se", "error of peak energy", "meV", 1e3), Quantity("x_se", "error of iodine x", ""),
        Quantity("fwhm_ev_se", "error of FWHM", "meV", 1e3),
    ]


class MapImages(QObject):
    """Images of a map's quantities; emits ``ready()`` when pixels have been fitted that a wanted image lacked."""

    ready = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._peaks = PeakFits(self)
        self._peaks.ready.connect(self.ready)
        self.data = RunData()

    def set_data(self, data: RunData, *, another: bool = False) -> None:
        """Show a measurement; unless it is another one, what was fitted before of its points is kept."""
        if another:
            self._peaks.forget()
        self.data = data

    def image(self, quantity: Quantity) -> NDArray[np.float64]:
        """The image as far as it is known, in the quantity's unit, shape (ny, nx); missing pixels are NaN."""
        grid = self.data.grid
        assert grid is not None
        if quantity.name not in NAMES:
            return quantity.factor * self.data.image(quantity.name)
        self._peaks.fit_more(self.data)
        count = max(self.data.points, grid.shape[0] * grid.shape[1])
        return quantity.factor * self.data.on_grid(self._peaks.column(quantity.name, count))

    @property
    def pending(self) -> int:
        """Pixels that are held and not fitted yet."""
        return self._peaks.pending(self.data)

    def stop(self) -> None:
        """Fit no more."""
        self._peaks.stop()


def value_words(images: MapImages, quantity: Quantity, index: int) -> str:
    """A quantity of a pixel, with its error if it has one; of shares nothing, they are said anyway."""
    if quantity.name.startswith("share"):
        return ""
    value = float(images.image(quantity).flat[index])
    if not np.isfinite(value):
        return f"{quantity.words} not determined"
    if not quantity.error_name:
        return f"{quantity.words} {value:.4g} {quantity.unit}".strip()
    error = images.image(Quantity(quantity.error_name, "", "", quantity.factor)).flat[index]
    return f"{quantity.words} {plus_minus(Number(value, float(error)), quantity.unit)}"
