"""Photo-generated carriers: generation, the rate equation in time and at steady state, diffusion length, profile.

The rate equation is ``dn/dt = G − k1 n − k2 n² − k3 n³`` with ``k1 = 1/τ`` (T. R. da Cunha et al., ACS Appl. Mater.
Interfaces 2025, 17, 14389, section on carriers). Densities are per cm³ because the field's rate constants are. Heating
by the same light is in :mod:`halidescope.analysis.heat`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import c, e, h, k
from scipy.integrate import solve_ivp
from scipy.linalg import solve_banded

LIFETIME_S = 10e-9
"""Carrier lifetime that reproduces the paper's density; the measured ones are in a supplement that is not public."""
RADIATIVE_CM3_S = 5.0e-11
AUGER_CM6_S = 0.16e-28
MOBILITY_CM2_VS = 3.0
ABSORBED = 0.24
"""Absorbed share of the light, 1 − T405; with the lifetime above it reproduces the paper's density."""
THICKNESS_NM = 40.0
WAVELENGTH_NM = 405.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Transient:
    """Carrier density after the light comes on: ``time_s`` (n,), ``density_per_cm3`` (n,)."""

    time_s: Floats
    density_per_cm3: Floats


@dataclass(frozen=True)
class Profile:
    """Steady carrier density along a line through the beam: ``x_um`` (n,), ``density_per_cm3`` (n,)."""

    x_um: Floats
    density_per_cm3: Floats
    diffusivity_cm2_s: float


@dataclass(frozen=True)
class PublishedCase:
    """The paper's example (50 µW, 1 µm waist, 40 nm film): what it states and what its formulas give.

    The density agrees; the diffusion length does not, for any lifetime from 2 to 20 ns.
    """

    density_stated_per_cm3: float
    density_per_cm3: float
    rise_time_90_s: float
    length_stated_nm: float
    length_nm: float
    shortest_length_nm: float


def generation(
    power_w: ArrayLike,
    waist_m: float,
    *,
    absorbed: float = ABSORBED,
    thickness_nm: float = THICKNESS_NM,
    wavelength_nm: float = WAVELENGTH_NM,
) -> Floats:
    """Peak generation rate ``G = 2 P (1 − T)/(π w0² E_photon l)`` in the middle of a Gaussian beam.

    Parameters
    ----------
    power_w : array_like
        Laser power at the sample, W.
    waist_m : float
        1/e² radius of the beam at the film, m.
    absorbed : float
        Share of the light absorbed in the film, 1 − T405, 0 to 1.
    thickness_nm, wavelength_nm : float
        Of the film; of the laser.

    Returns
    -------
    ndarray
        Carriers per cm³ and second, of the shape of ``power_w``.

    Raises
    ------
    ValueError
        A negative power, a length that is not positive, or a share outside 0 to 1.
    """
    power = np.asarray(power_w, dtype=float)
    if np.any(power < 0):
        raise ValueError(f"power_w = {power.min()} W: a power cannot be negative")
    for name, value in (("waist_m", waist_m), ("thickness_nm", thickness_nm), ("wavelength_nm", wavelength_nm)):
        if not value > 0:
            raise ValueError(f"{name} = {value}: must be positive")
    if not 0 <= absorbed <= 1:
        raise ValueError(f"absorbed = {absorbed}: a share of the light is between 0 and 1")
    photon_j = h * c / (wavelength_nm * 1e-9)
    per_m3 = 2 * power * absorbed / (np.pi * waist_m**2 * photon_j * thickness_nm * 1e-9)
    return per_m3 * 1e-6


def recombination_rate(
    density_per_cm3: ArrayLike,
    *,
    lifetime_s: float = LIFETIME_S,
    k2_cm3_s: float = RADIATIVE_CM3_S,
    k3_cm6_s: float = AUGER_CM6_S,
) -> Floats:
    """Recombination rate of one carrier, ``r = k1 + k2 n + k3 n²``, per second.

    Parameters
    ----------
    density_per_cm3 : array_like
        Carriers per cm³; the rate has its shape.
    lifetime_s, k2_cm3_s, k3_cm6_s : float
        1/k1 in s, radiative and Auger constants in cm³/s and cm⁶/s; by default the paper's.

    Raises
    ------
    ValueError
        A lifetime that is not positive, a negative constant.
    """
    if not lifetime_s > 0:
        raise ValueError(f"lifetime_s = {lifetime_s} s: must be positive")
    if k2_cm3_s < 0 or k3_cm6_s < 0:
        raise ValueError(f"k2_cm3_s = {k2_cm3_s}, k3_cm6_s = {k3_cm6_s}: rate constants cannot be negative")
    density = np.asarray(density_per_cm3, dtype=float)
    return 1 / lifetime_s + k2_cm3_s * density + k3_cm6_s * density**2


def steady_state(
    generation_per_cm3_s: ArrayLike,
    *,
    lifetime_s: float = LIFETIME_S,
    k2_cm3_s: float = RADIATIVE_CM3_S,
    k3_cm6_s: float = AUGER_CM6_S,
) -> Floats:
    """Density at which recombination balances generation: the positive root of ``k3 n³ + k2 n² + k1 n = G``.

    The left side is increasing and convex, so Newton's iteration from above converges to the only positive root.

    Parameters
    ----------
    generation_per_cm3_s : array_like
        Carriers per cm³ and second, as of :func:`generation`.
    lifetime_s, k2_cm3_s, k3_cm6_s : float
        1/k1 in s, radiative and Auger constants in cm³/s and cm⁶/s; by default the paper's.

    Returns
    -------
    ndarray
        Carriers per cm³, of the shape of ``generation_per_cm3_s``.

    Raises
    ------
    ValueError
        Negative generation; as :func:`recombination_rate`.
    """
    g = np.asarray(generation_per_cm3_s, dtype=float)
    if np.any(g < 0):
        raise ValueError(f"generation_per_cm3_s = {g.min()}: generation cannot be negative")
    density = g * lifetime_s
    for _ in range(200):
        rate = recombination_rate(density, lifetime_s=lifetime_s, k2_cm3_s=k2_cm3_s, k3_cm6_s=k3_cm6_s)
        slope = rate + density * (k2_cm3_s + 2 * k3_cm6_s * density)
        step = (rate * density - g) / slope
        density = density - step
        if np.all(np.abs(step) <= 1e-13 * density):
            break
    return density


def transient(
    generation_per_cm3_s: float,
    time_s: ArrayLike,
    *,
    lifetime_s: float = LIFETIME_S,
    k2_cm3_s: float = RADIATIVE_CM3_S,
    k3_cm6_s: float = AUGER_CM6_S,
    initial_per_cm3: float = 0.0,
) -> Transient:
    """Density after a constant generation sets in, by an implicit stiff solver (Radau IIA, scipy).

    The equation is solved in units of the steady density, so that tolerances mean the same at every power; without
    generation the unit is the initial density.

    Parameters
    ----------
    generation_per_cm3_s : float
        Carriers per cm³ and second, as of :func:`generation`.
    time_s : (n,)
        Ascending, from 0 s on.
    lifetime_s, k2_cm3_s, k3_cm6_s : float
        1/k1 in s, radiative and Auger constants in cm³/s and cm⁶/s; by default the paper's.
    initial_per_cm3 : float
        Density at 0 s.

    Raises
    ------
    ValueError
        Times that do not ascend from 0, a negative density; as :func:`steady_state`.
    ArithmeticError
        The equation could not be integrated.
    """
    times = np.asarray(time_s, dtype=float)
    if times.ndim != 1 or times.size == 0 or times[0] < 0 or np.any(np.diff(times) < 0):
        raise ValueError("time_s: must be a list of ascending times from 0 s on")
    if not initial_per_cm3 >= 0:
        raise ValueError(f"initial_per_cm3 = {initial_per_cm3}: a density cannot be negative")
    constants = {"lifetime_s": lifetime_s, "k2_cm3_s": k2_cm3_s, "k3_cm6_s": k3_cm6_s}
    unit = max(float(steady_state(generation_per_cm3_s, **constants)), initial_per_cm3)
    if unit == 0:
        return Transient(times, np.zeros_like(times))

    def slope(_: float, y: Floats) -> Floats:
        return generation_per_cm3_s / unit - recombination_rate(y * unit, **constants) * y

    def jacobian(_: float, y: Floats) -> Floats:
        density = y * unit
        return np.atleast_2d(-(1 / lifetime_s + 2 * k2_cm3_s * density + 3 * k3_cm6_s * density**2))

    span = (0.0, max(float(times[-1]), 1e-15))
    solution = solve_ivp(slope, span, [initial_per_cm3 / unit], "Radau", times, jac=jacobian, rtol=1e-8, atol=1e-10)
    if not solution.success:
        raise ArithmeticError(f"the carrier rate equation could not be integrated: {solution.message}")
    return Transient(times, solution.y[0] * unit)


def diffusivity_cm2_s(mobility_cm2_vs: float = MOBILITY_CM2_VS, temperature_k: float = 298.15) -> float:
    """Einstein's relation, ``D = µ kB T / e``, cm²/s; ValueError for a mobility or temperature that is not positive."""
    if not (mobility_cm2_vs > 0 and temperature_k > 0):
        raise ValueError(
            f"mobility_cm2_vs = {mobility_cm2_vs} cm²/Vs, temperature_k = {temperature_k} K: both must be positive"
        )
    return mobility_cm2_vs * k * temperature_k / e


def diffusion_length_nm(
    density_per_cm3: ArrayLike,
    *,
    lifetime_s: float = LIFETIME_S,
    k2_cm3_s: float = RADIATIVE_CM3_S,
    k3_cm6_s: float = AUGER_CM6_S,
    mobility_cm2_vs: float = MOBILITY_CM2_VS,
    temperature_k: float = 298.15,
) -> Floats:
    """``L_D = sqrt(µ kB T/(r e))`` in nm, ``r = k1 + k2 n + k3 n²``, of the shape of ``density_per_cm3``.

    With the paper's own numbers (n = 1.7×10¹⁸ cm⁻³) this gives about 180 nm where the paper states 10.2 nm; see
    :func:`published_case`. Constants as for :func:`recombination_rate`, µ in cm²/Vs, T in K; ValueError as there and as
    of :func:`diffusivity_cm2_s`.
    """
    rate = recombination_rate(density_per_cm3, lifetime_s=lifetime_s, k2_cm3_s=k2_cm3_s, k3_cm6_s=k3_cm6_s)
    return np.sqrt(diffusivity_cm2_s(mobility_cm2_vs, temperature_k) / rate) * 1e7


def profile(
    peak_generation_per_cm3_s: float,
    waist_m: float,
    *,
    half_width_um: float = 5.0,
    points: int = 1001,
    lifetime_s: float = LIFETIME_S,
    k2_cm3_s: float = RADIATIVE_CM3_S,
    k3_cm6_s: float = AUGER_CM6_S,
    mobility_cm2_vs: float = MOBILITY_CM2_VS,
    temperature_k: float = 298.15,
) -> Profile:
    """Steady density along a line across the beam, ``D n'' − (k1 n + k2 n² + k3 n³) + G exp(−2 x²/w0²) = 0``.

    One dimension, second-order differences, no flux at the ends, Newton's iteration from the density without diffusion.

    Parameters
    ----------
    peak_generation_per_cm3_s : float
        In the middle of the beam, as of :func:`generation`.
    waist_m : float
        1/e² radius of the beam, m.
    half_width_um, points : float, int
        The line reaches so far to both sides, and has so many points.
    lifetime_s, k2_cm3_s, k3_cm6_s : float
        1/k1 in s, radiative and Auger constants in cm³/s and cm⁶/s; by default the paper's.
    mobility_cm2_vs, temperature_k : float
        Give D by :func:`diffusivity_cm2_s`.

    Raises
    ------
    ValueError
        Fewer than five points, a length that is not positive; as :func:`steady_state`.
    ArithmeticError
        The iteration did not converge.
    """
    if points < 5 or not half_width_um > 0 or not waist_m > 0:
        raise ValueError(
            f"points = {points} (at least 5), half_width_um = {half_width_um}, waist_m = {waist_m} (both positive)"
        )
    constants = {"lifetime_s": lifetime_s, "k2_cm3_s": k2_cm3_s, "k3_cm6_s": k3_cm6_s}
    diffusivity = diffusivity_cm2_s(mobility_cm2_vs, temperature_k)
    x_um = np.linspace(-half_width_um, half_width_um, points)
    source = peak_generation_per_cm3_s * np.exp(-2 * (x_um * 1e-6 / waist_m) ** 2)
    coupling = diffusivity / ((x_um[1] - x_um[0]) * 1e-4) ** 2
    links = np.full(points, 2.0)
    links[[0, -1]] = 1.0                                # a mirror at each end: no flux
    density = steady_state(source, **constants)
    for _ in range(100):
        rate = recombination_rate(density, **constants)
        outflow = coupling * links * density
        outflow[1:] -= coupling * density[:-1]
        outflow[:-1] -= coupling * density[1:]
        bands = np.zeros((3, points))
        bands[0, 1:] = bands[2, :-1] = -coupling
        bands[1] = coupling * links + rate + density * (k2_cm3_s + 2 * k3_cm6_s * density)
        step = solve_banded((1, 1), bands, source - rate * density - outflow)
        density = density + step
        if np.max(np.abs(step)) <= 1e-12 * np.max(density):
            return Profile(x_um, density, diffusivity)
    raise ArithmeticError("the carrier profile did not converge in 100 Newton steps; use a wider line or more points")


def published_case() -> PublishedCase:
    """The paper's stated density and diffusion length beside what its own formulas give."""
    g = float(generation(50e-6, 1e-6))
    density = float(steady_state(g))
    rise = transient(g, np.linspace(0, 40e-9, 401))
    reached = np.interp(0.9 * density, rise.density_per_cm3, rise.time_s)
    lifetimes = np.linspace(2e-9, 20e-9, 181)
    lengths = [
        float(diffusion_length_nm(steady_state(g, lifetime_s=tau), lifetime_s=tau)) for tau in lifetimes
    ]
    return PublishedCase(
        density_stated_per_cm3=1.7e18,
        density_per_cm3=density,
        rise_time_90_s=float(reached),
        length_stated_nm=10.2,
        length_nm=float(diffusion_length_nm(density)),
        shortest_length_nm=min(lengths),
    )
