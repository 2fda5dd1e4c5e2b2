"""Figure 7: segregation under light and recovery in the dark."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from halidescope.analysis.figures import series, style


@dataclass(frozen=True)
class PeakTrack:
    """Peak wavelength against time with standard errors, (n,) each, and the share of the iodide-rich phase."""

    time_s: ArrayLike
    peak_nm: ArrayLike
    peak_nm_se: ArrayLike
    share: ArrayLike
    share_se: ArrayLike


def segregation_figure(
    wavelength_nm: ArrayLike,
    time_s: ArrayLike,
    spectra: ArrayLike,
    light: PeakTrack,
    recovery: PeakTrack | None = None,
    *,
    fit: series.Curve | None = None,
    labels: tuple[str, str] = ("pristine", "I-rich"),
    power_words: str = "",
    unit: str = "counts",
    grown_is_bromide: bool = False,
    dark_since: str = "",
) -> Figure:
    """Figure 7: spectra against time under light, the shares, the peak's shift in the light and back in the dark.

    The paper's text gives shifts of +38 … 40 nm in 50 s and −38 nm over 9000 s: both against time, from one zero, the
    first peak under light. The peak is that of one Gaussian over the whole emission, as in the paper's decomposition.

    Parameters
    ----------
    wavelength_nm : array_like, shape (channels,)
    time_s : array_like, shape (n,)
    spectra : array_like, shape (n, channels)
        Dark-subtracted counts under light.
    light, recovery : PeakTrack
        ``recovery`` times from the moment the light went off, or from ``dark_since``.
    fit : tuple of array_like, optional
        Fitted growing share at ``light.time_s`` with its 95 % band.
    power_words : str
        Such as "300 µW", for the titles.
    unit : str
        Of the spectra.
    grown_is_bromide : bool
        Which of the two phases is green; a film that segregates grows its iodide-rich phase.
    dark_since : str
        What the times of the recovery count from, for its axis, where that is not the end of the light.
    """
    figure = Figure(figsize=(13, 7.6), layout="constrained")
    (image, shares), (shift, back) = figure.subplots(2, 2)
    series.draw_stack(figure, image, wavelength_nm, time_s, spectra, unit)
    image.set_title(f"under light, {power_words}" if power_words else "under light")
    series.draw_shares(
        shares, light.time_s, light.share, light.share_se, labels=labels, fit=fit, grown_is_bromide=grown_is_bromide
    )
    peak = np.asarray(light.peak_nm, dtype=float)
    known = np.flatnonzero(np.isfinite(peak))
    zero = peak[known[0]] if known.size else np.nan
    shift.errorbar(
        light.time_s, peak - zero, light.peak_nm_se, fmt="o", ms=2.5, lw=0.6, color=style.IODIDE_RICH
    )
    shift.set(xlabel="time under light (s)", ylabel="peak shift Δλ (nm)", title="peak under light")
    if recovery is None:
        back.set_axis_off()
        style.panel_letters(image, shares, shift)
        return figure
    returned = np.asarray(recovery.peak_nm, dtype=float) - zero
    back.errorbar(
        recovery.time_s, returned, recovery.peak_nm_se, fmt="s", ms=3, lw=0.6, color=style.BROMIDE_RICH, label="peak"
    )
    since = f", from {dark_since}" if dark_since else ""
    back.set(xlabel=f"time in the dark{since} (s)", ylabel="peak shift Δλ (nm)", title="recovery")
    right = back.twinx()
    share, share_se = (100 * np.asarray(part, dtype=float) for part in (recovery.share, recovery.share_se))
    right.errorbar(recovery.time_s, share, share_se, fmt="^", ms=3, lw=0.6, color=style.IODIDE_RICH, alpha=0.7)
    right.set(ylabel=f"{labels[1]} share of the emission (%)  △", ylim=(-5, 105))
    top = max(np.nanmax(peak - zero), np.nanmax(returned))
    for axes in (shift, back):
        axes.set_ylim(min(-2.0, float(np.nanmin(returned)) - 2), float(top) * 1.1 + 2)
    style.panel_letters(image, shares, shift, back)
    return figure
