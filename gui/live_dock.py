"""The spectrum of this moment: unmixed parts, shares, peak and iodine content with errors, and how they went lately."""

from collections import deque
from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from halidescope.acquisition.results import Number
from halidescope.analysis.composition import HC_EV_NM
from halidescope.gui.lane import Lane
from halidescope.gui.parted import BESIDE, parted
from halidescope.gui.peak_numbers import PeakNumbers, brightest_peaks
from halidescope.gui.plots import NOTHING, Plot
from halidescope.gui.run_data import RunData, TakenSpectrum
from halidescope.gui.sentence import Sentence
from halidescope.gui.spectrum_view import SpectrumView
from halidescope.gui.theme import DARK, Theme, px, value_font
from halidescope.gui.values import NO_BREAK, duration, plus_minus

EMPTY = "no spectrum yet: start a measurement (F5), or a live view (Ctrl+L)"
KEPT = 600              # spectra in the history strip
PEAK_PERIOD_MS = 250    # between two fits of the newest spectrum
HISTORY = (
    ("intensity", "intensity", "counts"), ("peak energy", "energy", "eV"), ("iodine content", "x", "x"),
    ("growing share", "share", "%"), ("residual", "residual", "counts"),
)  # fmt: skip


class LivePanel(QWidget):
    """Newest spectrum; parts and residual are those of the newest spectrum that is analysed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axis: NDArray[np.float64] = np.empty(0)
        self._newest: tuple[float, NDArray[np.float64]] | None = None   # time and counts above dark, not fitted yet
        self._fitting = False
        self._history: dict[str, deque[tuple[float, float]]] = {name: deque(maxlen=KEPT) for _, name, _ in HISTORY}
        self._kept_rows = 0
        self.lane = Lane("halidescope-peaks", self)
        self.view = SpectrumView(self, what="spectrum", empty=EMPTY)
        self.shares = Sentence("", self)
        self.shares.setFont(value_font())
        self.saturated = QLabel("SATURATED", self)
        self.saturated.setProperty("alarm", True)
        self.saturated.setToolTip("A pixel reached the detector's limit: take a shorter exposure or less power.")
        self.saturated.hide()
        self.newest = QPushButton("Newest spectrum", self)
        self.newest.setToolTip("show what comes again, instead of the moment that was picked")
        self.newest.hide()
        self.values: dict[str, QLabel] = {}
        numbers = QFormLayout()
        numbers.setVerticalSpacing(1)
        for name, words, tip in (
            ("energy", "peak", "centre of the brightest band, a Gaussian over photon energy"),
            ("wavelength", "", "the same as a wavelength"),
            ("fwhm", "FWHM", "full width at half maximum of that band"),
            ("x", "iodine x", "iodine per formula unit that emits at this energy; nothing outside 0 to 3"),
        ):
            label = QLabel("–", self)
            label.setFont(value_font())
            label.setToolTip(tip)
            label.setAccessibleName(words or name)
            numbers.addRow(words, label)
            self.values[name] = label
        self.references = QCheckBox("references", self)
        self.references.setToolTip("the endmembers, each scaled to the spectrum's height")
        self.references.toggled.connect(self.view.show_references)
        self.quantity = QComboBox(self)
        self.quantity.setAccessibleName("quantity of the history strip")
        self.quantity.setToolTip(f"what the strip shows of the last {KEPT} spectra")
        for words, name, _ in HISTORY:
            self.quantity.addItem(words, name)
        self.quantity.currentIndexChanged.connect(lambda _: self._show_history())
        self.strip = Plot(left=("intensity", "counts"), bottom=("time", "s"))
        self.strip.setMinimumHeight(px(70))
        self.strip.getPlotItem().getAxis("left").setWidth(px(92))       # totals have six digits and more
        self.strip.getPlotItem().getAxis("left").setTickDensity(0.7)
        self.strip.getPlotItem().getAxis("bottom").setStyle(maxTickLevel=0)     # no room for finer ones
        self.strip.getPlotItem().getAxis("bottom").setTickDensity(0.5)      # of four digits and more
        self.strip_curve = pg.PlotDataItem()
        self.strip.addItem(self.strip_curve)
        self.strip.getPlotItem().enableAutoRange()
        self.strip.getPlotItem().getViewBox().setLimits(minXRange=5.0)      # of the first point already
        side = QWidget(self)
        side.setMinimumWidth(px(226))
        column = QVBoxLayout(side)
        column.setContentsMargins(4, 2, 6, 2)
        column.setSpacing(3)
        column.addWidget(self.saturated)
        column.addWidget(self.newest)
        column.addLayout(numbers)
        column.addWidget(self.shares)
        column.addWidget(self.references)
        column.addWidget(self.quantity)
        column.addWidget(self.strip, 1)
        split = parted(self, self.view, side, (700, 230), BESIDE)
        split.setStretchFactor(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(split, 1)
        self._timer = QTimer(self)
        self._timer.setInterval(PEAK_PERIOD_MS)
        self._timer.timeout.connect(self._fit)
        self._timer.start()
        self.set_theme(DARK)

    def get_ready(self, then: Callable[[], object]) -> None:
        """Load in the lane what fits peaks, for which no first spectrum should wait; then call ``then``."""
        axis = np.linspace(500.0, 560.0, 61)
        spectrum = 1000.0 * np.exp(-0.5 * ((axis - 530.0) / 6.0) ** 2) + 10.0
        self.lane.ask(lambda: brightest_peaks(axis, spectrum[None, :]), lambda _: then(), self._failed)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self.view.set_theme(theme)
        self.strip.set_theme(theme)
        self.strip_curve.setPen(pg.mkPen(theme.accent, width=1))

    def set_axis(self, wavelength_nm: NDArray[np.float64]) -> None:
        """Set the wavelengths, in nm."""
        self._axis = wavelength_nm
        self.view.set_axis(wavelength_nm)

    def show_spectrum(self, data: RunData, spectrum: TakenSpectrum) -> None:
        """Show a spectrum of a measurement that has just arrived."""
        counts = data.counts(spectrum.index)
        self.view.set_counts_label(dark_subtracted=data.dark is not None)
        self._show(spectrum.counts if counts is None else counts, spectrum)
        self.view.caption.setText(
            f"x {spectrum.x_um:.2f} µm, y {spectrum.y_um:.2f} µm, {duration(spectrum.time_s)} after light on, "
            f"exposure {spectrum.exposure_s:g} s"
        )

    def show_live(self, spectrum: TakenSpectrum) -> None:
        """Show a spectrum of a live view, which nobody keeps; of the dark only the level taken by hand is known."""
        level = spectrum.dark_level
        self.view.show_parts(None, None)
        self.view.set_counts_label(dark_subtracted=level > 0)
        self._show(np.asarray(spectrum.counts, dtype=float) - level, spectrum)
        light = f"{spectrum.sample_power_uw:.4g} µW" if spectrum.sample_power_uw else "dark"
        self.view.caption.setText(
            f"live view, not kept: {light}, exposure {spectrum.exposure_s:g} s, x {spectrum.x_um:.2f} µm, "
            f"y {spectrum.y_um:.2f} µm"
        )
        self.shares.setText("live view: not analysed, not kept")

    def _show(self, counts: NDArray[np.generic], spectrum: TakenSpectrum) -> None:
        self.view.show_spectrum(counts)
        self.saturated.setVisible(spectrum.saturated)
        values = np.asarray(counts, dtype=float)
        self._newest = (spectrum.time_s, values)
        self._note("intensity", spectrum.time_s, float(values.sum()))

    def show_kept(self, data: RunData, index: int) -> None:
        """Show a point that was taken before, with its parts and peak."""
        counts, place = data.counts(index), data.place(index)
        if counts is None or place is None:
            return
        self.view.set_counts_label(dark_subtracted=data.dark is not None)
        self.view.show_spectrum(counts)
        parts = data.parts(index) if data.dark is not None else None
        self.view.show_parts(parts, None if parts is None else counts - parts.sum(axis=0))
        self.view.caption.setText(f"x {place[0]:.2f} µm, y {place[1]:.2f} µm, {duration(place[2])} after light on")
        self.shares.setText(share_words(data, index))
        self._newest = (place[2], np.asarray(counts, dtype=float))
        self._fit()

    def show_results(self, data: RunData) -> None:
        """Show parts, residual and shares of the newest analysed spectrum."""
        index = data.newest_analysed
        if index is None:
            self.shares.setText("not analysed yet" if data.seen else "")
            return
        parts, counts = data.parts(index), data.counts(index)
        if parts is None or counts is None or data.dark is None:
            self.view.show_parts(None, None)
        else:
            self.view.show_parts(parts, counts - parts.sum(axis=0))
        self.shares.setText(share_words(data, index))
        for time_s, share, residual in data.rows_since(self._kept_rows):
            self._note("share", time_s, 100 * share)
            self._note("residual", time_s, residual)
        self._kept_rows = data.analysed

    # peak and history

    def _fit(self) -> None:
        """Fit the newest spectrum in the lane, one at a time; those in between are left out."""
        self._show_history()
        newest = self._newest
        if newest is None or self._fitting or len(newest[1]) != len(self._axis):
            return
        self._fitting, self._newest = True, None
        axis = self._axis
        self.lane.ask(
            lambda: brightest_peaks(axis, newest[1][None, :]), lambda found: self._fitted(newest[0], found),
            self._failed,
        )

    def _failed(self, error: BaseException) -> None:
        self._fitting = False
        if not isinstance(error, ValueError):
            raise error
        for label in self.values.values():
            label.setText("–")

    def _fitted(self, time_s: float, found: PeakNumbers) -> None:
        self._fitting = False
        energy, energy_se = float(found.energy_ev[0]), float(found.energy_ev_se[0])
        wavelength = HC_EV_NM / energy
        for name, value, error, unit in (
            ("energy", energy, energy_se, "eV"), ("wavelength", wavelength, wavelength * energy_se / energy, "nm"),
            ("fwhm", 1e3 * found.fwhm_ev[0], 1e3 * found.fwhm_ev_se[0], "meV"), ("x", found.x[0], found.x_se[0], ""),
        ):
            self.values[name].setText(plus_minus(Number(float(value), float(error)), unit))
        self._note("energy", time_s, energy)
        self._note("x", time_s, float(found.x[0]))

    def _note(self, name: str, time_s: float, value: float) -> None:
        rows = self._history[name]
        if rows and time_s < rows[-1][0]:      # another measurement, or another live view
            rows.clear()
        rows.append((time_s, value))

    def recall(self, data: RunData) -> None:
        """Take the history strip's rows from a measurement that was loaded; peaks are known of what is shown only."""
        times, totals = data.times_and_totals()
        order = np.argsort(times, kind="stable")[: int(np.isfinite(times).sum())][-KEPT:]
        self._history["intensity"] = deque(zip(times[order].tolist(), totals[order].tolist(), strict=True), maxlen=KEPT)
        rows = data.rows_since(max(0, data.analysed - KEPT))
        self._history["share"] = deque(((time_s, 100 * share) for time_s, share, _ in rows), maxlen=KEPT)
        self._history["residual"] = deque(((time_s, residual) for time_s, _, residual in rows), maxlen=KEPT)
        self._kept_rows = data.analysed

    def _show_history(self) -> None:
        _, name, unit = HISTORY[self.quantity.currentIndex()]
        rows = np.array(self._history[name], dtype=float).reshape(-1, 2)
        self.strip.name_axis("left", unit, "", self.view.theme)     # the choice above says of what
        self.strip.say_empty("" if len(rows) else NOTHING)
        self.strip_curve.setData(rows[:, 0], rows[:, 1])

    def clear(self) -> None:
        """Show nothing."""
        self.view.clear()
        self.shares.setText("")
        self.saturated.hide()
        self.newest.hide()
        self._newest = None
        self._kept_rows = 0
        for rows in self._history.values():
            rows.clear()
        for label in self.values.values():
            label.setText("–")

    def stop(self) -> None:
        """Fit no more."""
        self._timer.stop()
        self.lane.close()


def share_words(data: RunData, index: int) -> str:
    """Shares of emission of a point with their errors, in per cent."""
    known = data.share(index)
    if known is None:
        return "not analysed yet"
    shares, errors = known
    words = [
        f"{label} " + plus_minus(Number(100 * float(share), 100 * float(error)), "%").replace(" ", NO_BREAK)
        for label, share, error in zip(data.labels, shares, errors, strict=True)
    ]
    return "share of emission:  " + "   ".join(words)
