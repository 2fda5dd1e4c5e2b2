"""Figure 9: the temperature and the carriers that drive the exchange; Figure 8 is with the Monte Carlo model."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from halidescope.analysis.carriers import Profile, Transient
from halidescope.analysis.figures import style
from halidescope.analysis.heat import TemperatureRise


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
    style.note(radial, [
        f"{1e6 * rise.power_w:g} µW", style.number("ΔT", rise.centre_k, rise.centre_k_se, "K"),
    ], "upper right")  # fmt: skip
    heating.semilogx(rise.time_s, ambient_k + rise.transient_k, color=style.IODIDE_RICH, lw=1.2, label="Fourier's law")
    curve = rise.amplitude_k * -np.expm1(-rise.rate_per_s * rise.time_s)
    heating.semilogx(rise.time_s, ambient_k + curve, color="black", lw=1, ls=":", label="A₀ (1 − exp(−Bt))")
    heating.set(xlabel="time (s)", ylabel="centre temperature (K)", title="heating")
    style.note(heating, [
        style.number("A₀", rise.amplitude_k, rise.amplitude_k_se, "K"),
        style.number("B", rise.rate_per_s, rise.rate_per_s_se, "s⁻¹"),
    ], "lower right")  # fmt: skip
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
