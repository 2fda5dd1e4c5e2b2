"""Figure 2 and Figure 3: a time series under constant light, and what its rates do with power and temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.arrhenius import BOLTZMANN_EV_K, Arrhenius
from halidescope.analysis.figures import style

SPECTRA_SHOWN = 6
LOWEST = 0.3        # share beneath which there is no room for words
Curve = tuple[ArrayLike, ArrayLike, ArrayLike]     # fitted values and the limits of their band


@dataclass(frozen=True)
class PowerPoint:
    """One exposure of a power series: yield and average rate with standard errors, and the film's temperature."""

    power_uw: float
    phi: float
    phi_se: float
    rate_per_s: float
    rate_per_s_se: float
    temperature_k: float


def time_series_figure(
    wavelength_nm: ArrayLike,
    time_s: ArrayLike,
    spectra: ArrayLike,
    share: ArrayLike,
    share_se: ArrayLike,
    *,
    labels: tuple[str, str] = ("pristine", "Br-rich"),
    fit: Curve | None = None,
    numbers: Sequence[str] = (),
    grown_is_bromide: bool = True,
    unit: str = "counts",
) -> Figure:
    """Figure 2: spectra against time, spectra at chosen times, and the two shares with their fit.

    Parameters
    ----------
    wavelength_nm : array_like, shape (channels,)
    time_s : array_like, shape (n,)
        Mid-exposure times since the light came on.
    spectra : array_like, shape (n, channels)
        Dark-subtracted counts.
    share, share_se : array_like, shape (n,)
        Share of the growing phase in the emission, 0 to 1, and its standard error.
    labels : tuple of str
        Names of the shrinking and of the growing phase.
    fit : tuple of array_like, each of shape (n,), optional
        Fitted growing share at ``time_s`` and the limits of its 95 % band.
    numbers : sequence of str
        Written into the panel of the shares.
    grown_is_bromide : bool
        Which of the two phases is green.
    unit : str
        Of the spectra.
    """
    wavelength = np.asarray(wavelength_nm, dtype=float)
    time = np.asarray(time_s, dtype=float)
    counts = np.asarray(spectra, dtype=float)
    growing = np.asarray(share, dtype=float)
    figure = Figure(figsize=(13, 4), layout="constrained")
    image, lines, shares = figure.subplots(1, 3)
    draw_stack(figure, image, wavelength, time, counts, unit)
    chosen = style.evenly_changed(growing, SPECTRA_SHOWN)
    seen = style.emitting_window(wavelength, counts)
    for k, shade in zip(chosen, style.shades(len(chosen)), strict=True):
        lines.plot(wavelength[seen], counts[k, seen], color=shade, lw=1, label=f"{time[k]:.0f} s")
    lines.set(xlabel="wavelength (nm)", ylabel=f"intensity ({unit})", title="spectra at chosen times")
    style.legend(lines)
    draw_shares(shares, time, growing, share_se, labels=labels, fit=fit, grown_is_bromide=grown_is_bromide)
    if numbers:
        # where neither share ends: below both, or between them; the legend is above
        known = growing[np.isfinite(growing)]
        style.note(shares, list(numbers), "lower right" if known.size and known[-1] > LOWEST else "center right")
    style.panel_letters(image, lines, shares)
    return figure


def draw_stack(
    figure: Figure, axes: Axes, wavelength_nm: ArrayLike, time_s: ArrayLike, spectra: ArrayLike, unit: str = "counts"
) -> None:
    """Spectra (n, channels) against time as an image."""
    wavelength, counts = np.asarray(wavelength_nm, dtype=float), np.asarray(spectra, dtype=float)
    seen = style.emitting_window(wavelength, counts)
    mesh = axes.pcolormesh(
        wavelength[seen], np.asarray(time_s, dtype=float), counts[:, seen], cmap=style.IMAGE_MAP, shading="nearest",
        rasterized=True,
    )  # fmt: skip
    figure.colorbar(mesh, ax=axes, label=f"intensity ({unit})")
    axes.set(xlabel="wavelength (nm)", ylabel="time (s)", title="spectra against time")


def draw_shares(
    axes: Axes,
    time_s: ArrayLike,
    growing: ArrayLike,
    error: ArrayLike,
    *,
    labels: tuple[str, str],
    fit: Curve | None = None,
    grown_is_bromide: bool = True,
) -> None:
    """Growing and shrinking share with errors, and the fit with its band."""
    time, share, se = (np.asarray(part, dtype=float) for part in (time_s, growing, error))
    colours, lines = (style.IODIDE_RICH, style.BROMIDE_RICH), (style.IODIDE_LINE, style.BROMIDE_LINE)
    if not grown_is_bromide:
        colours, lines = colours[::-1], lines[::-1]
    fitted = None if fit is None else [100 * np.asarray(part, dtype=float) for part in fit]
    for values, k, marker in ((share, 1, "o"), (1.0 - share, 0, "s")):
        axes.errorbar(
            time, 100 * values, 100 * se, fmt=marker, ms=2, lw=0.5, color=colours[k], alpha=0.35, label=labels[k]
        )
        if fitted is not None:
            value, low, high = fitted if k else [100 - part for part in fitted]
            axes.plot(time, value, color="black", lw=1.2, ls=lines[k], zorder=3, label="fit, 95 % band" if k else None)
            axes.fill_between(time, low, high, color="black", alpha=0.2, lw=0)
    axes.set(xlabel="time (s)", ylabel="share of the emission (%)", ylim=(-5, 119), title="linear unmixing")
    style.legend(axes, loc="upper center", ncols=3, columnspacing=1.0, handletextpad=0.4)


def power_figure(
    points: Sequence[PowerPoint], arrhenius: Arrhenius | None = None, *, traces: Sequence[tuple[str, Curve]] = (),
    grown: str = "Br-rich",
) -> Figure:
    """Figure 3: how yield and average rate depend on power, and the Arrhenius plot over laser-induced temperature.

    The paper's section on kinetics gives yields that saturate near 70 %, <k> over temperature and Ea; so these are
    drawn side by side, and the fitted traces where they are given.

    Parameters
    ----------
    points : sequence of PowerPoint
    arrhenius : Arrhenius, optional
        Of the average rates; drawn with its 68 % band.
    traces : sequence of (label, (time_s, share, fit)), optional
        Shares of the growing phase with their fitted curves.
    grown : str
        Name of the growing phase.
    """
    power = np.array([p.power_uw for p in points])
    figure = Figure(figsize=(13 if traces else 11, 4), layout="constrained")
    axes = figure.subplots(1, 4 if traces else 3)
    if traces:
        first = axes[0]
        for (label, (time, share, fit)), shade in zip(traces, style.shades(len(traces)), strict=True):
            at = np.asarray(time, dtype=float)
            first.plot(at, 100 * np.asarray(share, dtype=float), ".", ms=2, color=shade, alpha=0.4)
            first.plot(at, 100 * np.asarray(fit, dtype=float), color=shade, lw=1.2, label=label)
        first.set(xlabel="time (s)", ylabel=f"{grown} share of the emission (%)", title="shares and fits")
        first.set_ylim(top=100)
        style.legend(first, ncols=2)
    yields, rates, activation = axes[-3:]
    phi, phi_se = [100 * p.phi for p in points], [100 * p.phi_se for p in points]
    yields.errorbar(power, phi, phi_se, fmt="o", ms=4, color="black")
    yields.set(xlabel="power at the sample (µW)", ylabel="yield φ (%)", ylim=(0, 100), title="yield")
    rate, rate_se = np.array([p.rate_per_s for p in points]), np.array([p.rate_per_s_se for p in points])
    rates.errorbar(power, 1e3 * rate, 1e3 * rate_se, fmt="o", ms=4, color="black")
    rates.set(xlabel="power at the sample (µW)", ylabel="average rate ⟨k⟩ (10⁻³ s⁻¹)", title="average rate")
    rates.set_ylim(bottom=0)
    draw_arrhenius(activation, np.array([p.temperature_k for p in points]), rate, rate_se, arrhenius)
    style.panel_letters(*axes)
    return figure


def draw_arrhenius(
    axes: Axes,
    temperature_k: NDArray[np.float64],
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    fit: Arrhenius | None,
    *,
    label: str = "average rate ⟨k⟩ (s⁻¹)",
) -> None:
    """Rates or diffusivities on a logarithmic axis against 1/kT, the fitted line with its 68 % band and Ea."""
    inverse = 1.0 / (BOLTZMANN_EV_K * temperature_k)
    axes.errorbar(inverse, values, errors, fmt="o", ms=4, color="black")
    axes.set_yscale("log")
    axes.set(xlabel="1 / kT (eV⁻¹)", ylabel=label, title="Arrhenius plot")
    if fit is not None:
        margin = 0.05 * np.ptp(inverse)
        at = np.linspace(inverse.min() - margin, inverse.max() + margin, 100)
        kelvin = 1.0 / (BOLTZMANN_EV_K * at)
        line, spread = fit.evaluate(kelvin), np.exp(fit.relative_se(kelvin))
        axes.plot(at, line, color="black", lw=1.2)
        axes.fill_between(at, line / spread, line * spread, color="black", alpha=0.2, lw=0)
        energy = style.number("Eₐ", 1e3 * fit.activation_energy_ev, 1e3 * fit.activation_energy_ev_se, "meV")
        style.note(axes, [energy], "lower left")

    def to_kelvin(value: ArrayLike) -> NDArray[np.float64]:
        return 1.0 / (BOLTZMANN_EV_K * np.maximum(np.asarray(value, dtype=float), 1e-9))

    axes.secondary_xaxis("top", functions=(to_kelvin, to_kelvin)).set_xlabel("temperature (K)")
