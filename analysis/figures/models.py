"""Figure 8 and Figure 9: kinetic Monte Carlo of the exchange, and the temperature and carriers that drive it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.carriers import Profile, Transient
from halidescope.analysis.figures import style
from halidescope.analysis.heat import TemperatureRise

SPECIES = ("bromide", "iodide", "vacancy")


@dataclass(frozen=True)
class GapCurve:
    """E_g of the region read against ``progress`` (steps, events or s): median of the replicas and a 95 % band, eV."""

    progress: ArrayLike
    median_ev: ArrayLike
    low_ev: ArrayLike
    high_ev: ArrayLike


def monte_carlo_figure(
    curve: GapCurve,
    lattices: Sequence[tuple[str, NDArray[np.int8]]],
    *,
    progress_label: str = "steps",
    stated: Sequence[tuple[float, float]] = (),
    measured: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """Figure 8: the band gap in the illuminated column during the simulation, and a slice of the lattice.

    Parameters
    ----------
    curve : GapCurve
    lattices : sequence of (title, lattice)
        Lattices (size, size, size): 0 bromide, 1 iodide, 2 vacancy; the slice shown is y = size / 2, light from above.
    progress_label : str
        What ``progress`` counts, with its unit.
    stated : sequence of (progress, E_g)
        What the paper states, as crosses.
    measured : tuple of (progress, E_g, standard error), optional
        From measured spectra.
    """
    figure = Figure(figsize=(4.6 + 3.4 * len(lattices), 4.2), layout="constrained")
    axes = figure.subplots(1, 1 + len(lattices), width_ratios=[1.4, *[1] * len(lattices)], squeeze=False)[0]
    gap, slices = axes[0], axes[1:]
    progress = np.asarray(curve.progress, dtype=float)
    gap.plot(progress, curve.median_ev, color="black", lw=1.2, label="median of the replicas")
    low, high = np.asarray(curve.low_ev, dtype=float), np.asarray(curve.high_ev, dtype=float)
    gap.fill_between(progress, low, high, color="black", alpha=0.2, lw=0, label="95 % of the replicas")
    if measured is not None:
        gap.errorbar(*measured, fmt="o", ms=3, lw=0.7, color=style.BROMIDE_RICH, label="measured")
    if stated:
        gap.plot(*zip(*stated, strict=True), "x", ms=7, color=style.IODIDE_RICH, label="stated in the paper")
    gap.set(xlabel=progress_label, ylabel="band gap E_g (eV)", title="illuminated column")
    style.legend(gap)
    colours = ListedColormap([style.BROMIDE_RICH, style.IODIDE_RICH, "black"])
    for one, (title, lattice) in zip(slices, lattices, strict=True):
        size = lattice.shape[0]
        one.imshow(lattice[:, size // 2, :].T, cmap=colours, vmin=0, vmax=2, interpolation="nearest", origin="upper")
        one.set(xlabel="x (sites)", ylabel="depth (sites)", title=title)
    if len(slices):
        patches = [Patch(color=colours(k), label=name) for k, name in enumerate(SPECIES)]
        slices[-1].legend(handles=patches, fontsize=style.SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    style.panel_letters(*axes)
    return figure


def heat_and_carriers_figure(
    rise: TemperatureRise, transient: Transient, profile: Profile, *, ambient_k: float = 293.0,
    words: Sequence[str] = (),
) -> Figure:
    """Figure 9: laser-induced temperature over radius and time, carrier density over time and across the beam.

    Parameters
    ----------
    rise : TemperatureRise
        From :func:`~halidescope.analysis.heat.temperature_rise`.
    transient, profile
        From :mod:`~halidescope.analysis.carriers`.
    ambient_k : float
        T0 of the paper's parametrisation.
    words : sequence of str
        Numbers to be written beside the carriers.
    """
    figure = Figure(figsize=(11, 7.6), layout="constrained")
    (radial, heating), (rising, across) = figure.subplots(2, 2)
    near = rise.radius_m < 8e-6
    radius = 1e6 * rise.radius_m[near]
    for side in (-1, 1):
        radial.plot(side * radius, ambient_k + rise.film_k[near], color=style.IODIDE_RICH, lw=1.2)
    radial.set(xlabel="distance from the beam (µm)", ylabel="film temperature (K)", title="steady temperature")
    style.note(radial, [f"{1e6 * rise.power_w:g} µW, A₀ = {rise.amplitude_k:.3g} K"], "upper right")
    heating.semilogx(rise.time_s, ambient_k + rise.transient_k, color=style.IODIDE_RICH, lw=1.2, label="Fourier's law")
    curve = rise.amplitude_k * -np.expm1(-rise.rate_per_s * rise.time_s)
    heating.semilogx(rise.time_s, ambient_k + curve, color="black", lw=1, ls=":", label="A₀ (1 − exp(−Bt))")
    heating.set(xlabel="time (s)", ylabel="centre temperature (K)", title="heating")
    style.note(heating, [style.number("B", rise.rate_per_s, rise.rate_per_s_se, "s⁻¹")], "lower right")
    style.legend(heating, loc="upper left")
    rising.plot(1e9 * transient.time_s, transient.density_per_cm3, color="black", lw=1.2)
    rising.set(xlabel="time (ns)", ylabel="carrier density n (cm⁻³)", title="carriers after the light comes on")
    rising.set_ylim(bottom=0)
    if words:
        style.note(rising, list(words), "lower right")
    across.plot(profile.x_um, profile.density_per_cm3, color="black", lw=1.2)
    across.set(xlabel="x (µm)", ylabel="carrier density n (cm⁻³)", title="steady carriers across the beam")
    across.set_ylim(bottom=0)
    style.panel_letters(radial, heating, rising, across)
    return figure
