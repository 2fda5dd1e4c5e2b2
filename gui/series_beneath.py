"""What can be seen beneath the shares of a series: what the fit leaves over, residuals, shifts of bands, intensity."""

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from halidescope.analysis.composition import HC_EV_NM
from halidescope.gui.peak_fits import PeakFits
from halidescope.gui.run_data import RunData

# what the lower plot can show: words, name, axis label, unit
BENEATH = (
    ("share less fit", "fit", "Δ share", "%"), ("residual of unmixing", "residual", "residual", "counts"),
    ("peak shift Δλ of the first band", "shift", "Δλ", "nm"), ("Δλ of the brightest band", "brightest", "Δλ", "nm"),
    ("intensity", "intensity", "intensity", "counts"),
)  # fmt: skip


class Beneath(QObject):
    """Works it out; ``ready()`` is emitted when more peaks are fitted."""

    ready = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.fits = {"shift": PeakFits(self, follow=True), "brightest": PeakFits(self)}
        for fits in self.fits.values():
            fits.ready.connect(self.ready)

    def label(self, name: str) -> tuple[str, str]:
        """What stands at the axis, and its unit."""
        label, unit = next((label, unit) for _, one, label, unit in BENEATH if one == name)
        near_nm = self.fits["shift"].near_nm
        return (f"Δλ of {near_nm:.0f} nm" if name == "shift" and near_nm is not None else label), unit

    def series(self, name: str, data: RunData, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in s and values; of peaks, which are fitted beside the window, ``most`` at most."""
        time_s, shares = data.share_series()
        if name == "fit":
            fit_time = np.asarray(data.results.fit_time_s, dtype=float)
            if not len(fit_time) or not shares.size:
                return np.empty(0), np.empty(0)
            fitted = np.interp(time_s, fit_time, np.asarray(data.results.fit_share, dtype=float), right=np.nan)
            return time_s, 100 * (shares[:, -1] - fitted)
        if name == "residual":
            return data.residual_series()
        places = data.times_and_totals()
        if name == "intensity":
            return places
        every = max(1, -(-len(places[0]) // most))
        fits = self.fits[name]
        fits.fit_more(data, every)
        energy = fits.column("energy_ev", len(places[0]))
        with np.errstate(divide="ignore", invalid="ignore"):
            wavelength = HC_EV_NM / energy
        known = np.flatnonzero(np.isfinite(wavelength))
        return places[0], wavelength - wavelength[known[0]] if len(known) else wavelength

    def forget(self) -> None:
        """Another series begins."""
        for fits in self.fits.values():
            fits.forget()

    def stop(self) -> None:
        """Compute no more."""
        for fits in self.fits.values():
            fits.stop()


def over_energy(image: NDArray[np.float32], low_nm: float, high_nm: float) -> tuple[NDArray[np.float32], float, float]:
    """The columns of an image even in wavelength, taken at even photon energies; counts stay counts per channel.

    Returns the image and the energies of its edges in eV.
    """
    columns = image.shape[1]
    low, high = HC_EV_NM / high_nm, HC_EV_NM / low_nm
    energy = low + (np.arange(columns) + 0.5) * (high - low) / columns
    column = (HC_EV_NM / energy - low_nm) / (high_nm - low_nm) * columns - 0.5
    return image[:, np.clip(np.rint(column).astype(int), 0, columns - 1)], low, high
