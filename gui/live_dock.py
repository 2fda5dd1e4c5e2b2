"""The spectrum of this moment, with its unmixed parts, its shares with errors, and a mark when it is saturated."""

from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from halidescope.acquisition.results import Number
from halidescope.gui.run_data import RunData, TakenSpectrum
from halidescope.gui.sentence import Sentence
from halidescope.gui.spectrum_view import SpectrumView
from halidescope.gui.theme import Theme, value_font
from halidescope.gui.values import duration, plus_minus


class LivePanel(QWidget):
    """Newest spectrum; parts and residual are those of the newest spectrum that is analysed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = SpectrumView(self, what="spectrum")
        self.shares = Sentence("no spectrum yet", self)
        self.shares.setFont(value_font())
        self.saturated = QLabel("SATURATED", self)
        self.saturated.setProperty("alarm", True)
        self.saturated.setToolTip("A pixel reached the detector's limit: take a shorter exposure or less power.")
        self.saturated.hide()
        row = QHBoxLayout()
        row.setContentsMargins(6, 0, 6, 2)
        row.addWidget(self.shares, 1)
        row.addWidget(self.saturated)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.view, 1)
        layout.addLayout(row)

    def set_theme(self, theme: Theme) -> None:
        """Take on a theme's colours."""
        self.view.set_theme(theme)

    def show_spectrum(self, data: RunData, spectrum: TakenSpectrum) -> None:
        """Show a spectrum that has just arrived."""
        counts = data.counts(spectrum.index)
        self.view.set_counts_label(dark_subtracted=data.dark is not None)
        self.view.show_spectrum(spectrum.counts if counts is None else counts)
        self.view.caption.setText(
            f"x {spectrum.x_um:.2f} µm, y {spectrum.y_um:.2f} µm, {duration(spectrum.time_s)} after light on, "
            f"exposure {spectrum.exposure_s:g} s"
        )
        self.saturated.setVisible(spectrum.saturated)

    def show_kept(self, data: RunData, index: int) -> None:
        """Show a point that was taken before, with its parts."""
        counts, place = data.counts(index), data.place(index)
        if counts is None or place is None:
            return
        self.view.set_counts_label(dark_subtracted=data.dark is not None)
        self.view.show_spectrum(counts)
        self.view.caption.setText(f"x {place[0]:.2f} µm, y {place[1]:.2f} µm, {duration(place[2])} after light on")

    def show_results(self, data: RunData) -> None:
        """Show parts, residual and shares of the newest analysed spectrum."""
        index = data.newest_analysed
        if index is None:
            return
        parts, counts = data.parts(index), data.counts(index)
        if parts is None or counts is None or data.dark is None:
            self.view.show_parts(None, None)
        else:
            self.view.show_parts(parts, counts - parts.sum(axis=0))
        self.shares.setText(share_words(data, index))

    def clear(self) -> None:
        """Show nothing."""
        self.view.clear()
        self.shares.setText("no spectrum yet")
        self.saturated.hide()


def share_words(data: RunData, index: int) -> str:
    """Shares of emission of a point with their errors, in per cent."""
    known = data.share(index)
    if known is None:
        return "not analysed yet"
    shares, errors = known
    words = [
        f"{label} {plus_minus(Number(100 * float(share), 100 * float(error)), '%')}"
        for label, share, error in zip(data.labels, shares, errors, strict=True)
    ]
    return "share of emission:  " + "   ".join(words)
