"""Heating of the film by the laser: Fourier's law for a Gaussian beam absorbed in a film on a substrate under air.

Axisymmetric finite volumes on a graded grid, implicit in time. The radial part of the operator is the same in every
layer, so it is diagonalised once; what is left for each radial mode is a tridiagonal system in depth, solved directly.
:func:`half_space_rise` is the closed form it is checked against. The shape the kinetic Monte Carlo model assumes for
the temperature is in :mod:`halidescope.analysis.kmc.rates`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import curve_fit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """Thermal constants of a layer.

    Parameters
    ----------
    conductivity_w_mk : float
        Thermal conductivity, W/(m K).
    heat_capacity_j_m3k : float
        Heat capacity per volume, ρ c, J/(m³ K).
    """

    conductivity_w_mk: float
    heat_capacity_j_m3k: float

    def __post_init__(self) -> None:
        if not (self.conductivity_w_mk > 0 and self.heat_capacity_j_m3k > 0):
            raise ValueError(
                f"conductivity_w_mk = {self.conductivity_w_mk}, heat_capacity_j_m3k = {self.heat_capacity_j_m3k}: "
                "both must be positive"
            )


PEROVSKITE = Material(0.42, 9.2e5)
"""CsPbBr3: 0.42 W/(m K) (W. Lee et al., PNAS 2017, 114, 8693); ρ c from Dulong and Petit, 15 R per formula unit and
4.8 g/cm³ at CsPbBr1.5I1.5. Ligands between nanocrystals lower the conductivity; in a 40 nm film that hardly matters."""
GLASS = Material(1.114, 2.15e6)
"""Borosilicate crown N-BK7 (Schott data sheet): 1.114 W/(m K), 2.51 g/cm³, 0.858 J/(g K)."""
AIR = Material(0.0262, 1.19e3)
"""Dry air at 300 K and 1 atm (CRC Handbook of Chemistry and Physics); conduction only, no convection at this scale."""

ABSORBED = 0.24
"""Absorbed share of the light, 1 − T405, the value that reproduces the paper's carrier density."""


@dataclass(frozen=True)
class TemperatureRise:
    """What the laser does to the temperature; everything is proportional to the power.

    Attributes
    ----------
    centre_k, centre_k_se : float
        Steady rise on the axis, mean over the film's depth, K; the error is what halving the grid's spacing has
        changed, as if it were not a correction already.
    amplitude_k, amplitude_k_se, rate_per_s, rate_per_s_se : float
        ``A0`` and ``B`` of the paper's ``A0 (1 − exp(−B t))`` by least squares on the samples, which are equally spaced
        in log t, and their standard errors; ``covariance`` (2, 2) in that order. Heat flow is no exponential:
        ``fit_rms`` is the misfit as a share of ``centre_k``, and A0 falls short of the steady rise.
    kelvin_per_watt, kelvin_per_watt_se : float
        ``centre_k`` per watt at the sample; see :meth:`temperature_k`.
    radius_m : ndarray (nr,)
        Radii of the cell centres.
    depth_m : ndarray (nz,)
        Depths of the cell centres, negative in the air above the film.
    steady_k : ndarray (nz, nr)
        Steady rise.
    film_k : ndarray (nr,)
        Steady rise, mean over the film's depth.
    time_s, transient_k : ndarray (nt,)
        Rise on the axis (mean over the film's depth) after the light comes on.
    """

    power_w: float
    centre_k: float
    centre_k_se: float
    amplitude_k: float
    amplitude_k_se: float
    rate_per_s: float
    rate_per_s_se: float
    covariance: Floats
    fit_rms: float
    kelvin_per_watt: float
    kelvin_per_watt_se: float
    radius_m: Floats
    depth_m: Floats
    steady_k: Floats
    film_k: Floats
    time_s: Floats
    transient_k: Floats

    def temperature_k(self, power_w: ArrayLike, ambient_k: float = 293.0) -> tuple[Floats, Floats]:
        """T(P) = T0 + kelvin_per_watt · P on the axis at steady state, K, and its standard error; as ``power_w``.

        ValueError for a negative power.
        """
        power = np.asarray(power_w, dtype=float)
        if np.any(power < 0):
            raise ValueError(f"power_w = {power.min()} W: a power cannot be negative")
        return ambient_k + self.kelvin_per_watt * power, self.kelvin_per_watt_se * power


def half_space_rise(
    power_w: ArrayLike,
    waist_m: float,
    *,
    absorbed: float = ABSORBED,
    conductivity_w_mk: float = GLASS.conductivity_w_mk,
    time_s: ArrayLike = np.inf,
    heat_capacity_j_m3k: float = GLASS.heat_capacity_j_m3k,
) -> Floats:
    """Closed form: centre rise of a half space heated at its surface, ``P_abs/(√(2π) κ w) · (2/π) arctan(√(8 a t)/w)``.

    ``a = κ/(ρ c)``, ``w`` the 1/e² radius (the Gaussian surface source integrated over the half space's Green
    function; the steady limit is the paper's).

    Parameters
    ----------
    power_w, time_s : array_like
        At the sample, W; since the light came on, s. The rise, in K, has their shape.
    waist_m : float
        1/e² radius, m.
    absorbed : float
        Share of the light absorbed, 0 to 1.
    conductivity_w_mk, heat_capacity_j_m3k : float
        κ in W/(m K), ρ c in J/(m³ K); by default of glass.

    Raises
    ------
    ValueError
        A negative power or time, a share outside 0 to 1, a length or constant that is not positive.
    """
    if np.any(np.asarray(power_w) < 0) or np.any(np.asarray(time_s) < 0) or not 0 <= absorbed <= 1:
        raise ValueError("power_w and time_s cannot be negative, and absorbed is a share from 0 to 1")
    if not (waist_m > 0 and conductivity_w_mk > 0 and heat_capacity_j_m3k > 0):
        raise ValueError("waist_m, conductivity_w_mk and heat_capacity_j_m3k must be positive")
    steady = np.asarray(power_w, dtype=float) * absorbed / (np.sqrt(2 * np.pi) * conductivity_w_mk * waist_m)
    diffusivity = conductivity_w_mk / heat_capacity_j_m3k
    spread = np.sqrt(8 * diffusivity * np.asarray(time_s, dtype=float)) / waist_m
    return steady * 2 / np.pi * np.arctan(spread)


def temperature_rise(
    power_w: float,
    waist_m: float,
    *,
    absorbed: float = ABSORBED,
    film_thickness_m: float = 40e-9,
    film: Material = PEROVSKITE,
    substrate: Material = GLASS,
    air: Material | None = AIR,
    refinement: float = 1.0,
    times_per_decade: int = 16,
) -> TemperatureRise:
    """Steady and transient temperature rise under a Gaussian beam absorbed in the film.

    Parameters
    ----------
    power_w : float
        Laser power at the sample, W.
    waist_m : float
        1/e² radius of the beam, m.
    absorbed : float
        Share of the power turned into heat in the film (0 to 1), spread over its depth by Beer and Lambert's law.
    film_thickness_m : float
        Thickness of the film, m.
    film, substrate, air : Material
        Thermal constants; ``air=None`` insulates the upper face.
    refinement : float
        Multiplies the number of cells per length; 2 halves the spacing everywhere.
    times_per_decade : int
        Implicit time steps per decade of time.

    Raises
    ------
    ValueError
        An input out of range; the sentence names it.
    """
    if not (np.isfinite(power_w) and power_w >= 0):
        raise ValueError(f"power_w = {power_w} W: must be zero or positive")
    for name, value in (("waist_m", waist_m), ("film_thickness_m", film_thickness_m), ("refinement", refinement)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} = {value}: must be positive")
    if not 0 <= absorbed <= 1:
        raise ValueError(f"absorbed = {absorbed}: a share of the light is between 0 and 1")
    if times_per_decade < 2:
        raise ValueError(f"times_per_decade = {times_per_decade}: at least 2")

    layers = (air, film, substrate)
    grid = _Grid.graded(waist_m, film_thickness_m, layers, refinement)
    source = grid.source_w(waist_m, film_thickness_m, absorbed)       # per watt at the sample
    steady = grid.steady(source)
    coarse = _Grid.graded(waist_m, film_thickness_m, layers, refinement / 2)
    coarse_steady = coarse.steady(coarse.source_w(waist_m, film_thickness_m, absorbed))
    slowest = waist_m**2 * substrate.heat_capacity_j_m3k / substrate.conductivity_w_mk
    time_s, centre = grid.transient(source, slowest * 1e-4, slowest * 1e4, times_per_decade)

    film_profile = grid.film_mean(steady)
    centre_per_w = grid.on_axis(film_profile)
    coarse_per_w = coarse.on_axis(coarse.film_mean(coarse_steady))
    change = abs(centre_per_w - coarse_per_w)
    if centre_per_w > 0:
        share, rate, covariance, rms = _exponential(time_s, centre / centre_per_w, 1 / slowest)
    else:                                                             # nothing is absorbed
        share, rate, covariance, rms = 1.0, 0.0, np.full((2, 2), np.nan), 0.0
    height = centre_per_w * power_w
    scale = np.diag([height, 1.0])
    return TemperatureRise(
        power_w=power_w,
        centre_k=height,
        centre_k_se=change * power_w,
        amplitude_k=share * height,
        amplitude_k_se=float(np.sqrt(covariance[0, 0])) * height,
        rate_per_s=rate,
        rate_per_s_se=float(np.sqrt(covariance[1, 1])),
        covariance=scale @ covariance @ scale,
        fit_rms=rms,
        kelvin_per_watt=centre_per_w,
        kelvin_per_watt_se=change,
        radius_m=grid.radius_m,
        depth_m=grid.depth_m,
        steady_k=steady * power_w,
        film_k=film_profile * power_w,
        time_s=time_s,
        transient_k=centre * power_w,
    )


def _exponential(time_s: Floats, rise: Floats, guess_per_s: float) -> tuple[float, float, Floats, float]:
    """Fit ``a (1 − exp(−b t))``: a, b, their covariance, and the misfit's root mean square."""
    (share, rate), covariance = curve_fit(
        lambda t, a, b: -a * np.expm1(-b * t), time_s, rise, p0=[1.0, guess_per_s], bounds=(0, np.inf),
        x_scale=[1.0, guess_per_s],
    )
    misfit = rise + share * np.expm1(-rate * time_s)
    return float(share), float(rate), covariance, float(np.sqrt(np.mean(misfit**2)))


@dataclass(frozen=True)
class _Grid:
    """Cells, conductances and the radial modes; fields are (nz, nr) arrays."""

    radius_edge: Floats
    depth_edge: Floats
    conductivity: Floats           # (nz,)
    heat_capacity: Floats          # (nz,)
    film_cells: slice
    decay: Floats                  # (nr,) eigenvalues of the radial operator, 1/m²
    modes: Floats                  # (nr, nr) orthonormal in cells scaled by √area

    @classmethod
    def graded(
        cls, waist_m: float, thickness_m: float, layers: tuple[Material | None, Material, Material], refinement: float
    ) -> "_Grid":
        """Fine in the film and the beam, then growing geometrically to 3000 waists, where the rise is set to zero."""
        far = 3000 * waist_m
        growth = 1 + 0.12 / refinement
        inner = np.linspace(0, 2 * waist_m, round(40 * refinement) + 1)
        radius = np.concatenate([inner, inner[-1] + _widening(inner[1], growth, far)])
        film_edges = np.linspace(0, thickness_m, max(round(8 * refinement), 4) + 1)
        first = min(film_edges[1], waist_m / (20 * refinement))
        below = thickness_m + _widening(first, growth, far)
        air, film, substrate = layers
        above = -_widening(first, growth, far)[::-1] if air is not None else np.empty(0)
        depth = np.concatenate([above, film_edges, below])
        counts = (above.size, film_edges.size - 1, below.size)
        used = (air or film, film, substrate)
        area = np.pi * np.diff(radius**2)
        decay, modes = _radial_modes(radius, area)
        return cls(
            radius_edge=radius,
            depth_edge=depth,
            conductivity=np.repeat([m.conductivity_w_mk for m in used], counts),
            heat_capacity=np.repeat([m.heat_capacity_j_m3k for m in used], counts),
            film_cells=slice(counts[0], counts[0] + counts[1]),
            decay=decay,
            modes=modes,
        )

    @property
    def radius_m(self) -> Floats:
        return (self.radius_edge[1:] + self.radius_edge[:-1]) / 2

    @property
    def depth_m(self) -> Floats:
        return (self.depth_edge[1:] + self.depth_edge[:-1]) / 2

    @property
    def area(self) -> Floats:
        return np.pi * np.diff(self.radius_edge**2)

    def source_w(self, waist_m: float, thickness_m: float, absorbed: float) -> Floats:
        """Heat put into each cell per watt of light, from the exact integrals of the beam and of Beer–Lambert's law."""
        inside = np.exp(-2 * (self.radius_edge / waist_m) ** 2)
        beam = inside[:-1] - inside[1:]
        share = (self.depth_edge[self.film_cells.start : self.film_cells.stop + 1]) / thickness_m
        if absorbed < 1:
            left = (1 - absorbed) ** share
            heat = left[:-1] - left[1:]
        else:
            heat = np.eye(1, share.size - 1)[0]                     # opaque: everything in the first cells
        source = np.zeros((self.conductivity.size, beam.size))
        source[self.film_cells] = heat[:, None] * beam
        return source

    def steady(self, source: Floats) -> Floats:
        """Steady rise (nz, nr), K per watt."""
        return self._to_cells(self._solve(self._to_modes(source), 0.0))

    def transient(self, source: Floats, first_s: float, last_s: float, per_decade: int) -> tuple[Floats, Floats]:
        """Times and the rise on the axis, mean over the film, by Alexander's L-stable two-stage implicit scheme.

        The march starts two decades before ``first_s``: the jump of the light at t = 0 needs short steps.
        """
        lead = 2 * per_decade
        steps = round(np.log10(last_s / first_s) * per_decade) + lead
        edges = np.concatenate([[0.0], np.geomspace(first_s / 100, last_s, steps + 1)])
        gamma = 1 - 1 / np.sqrt(2)
        heat = self._to_modes(source)
        stored = (self.heat_capacity * np.diff(self.depth_edge))[:, None]
        state = np.zeros_like(heat)
        axis = []
        for step in np.diff(edges):
            mass = stored / (gamma * step)
            middle = self._solve(heat + mass * state, gamma * step)
            slope = (middle - state) / (gamma * step)
            state = self._solve(heat + mass * (state + (1 - gamma) * step * slope), gamma * step)
            inner = self.modes[:2] @ self.film_mean(state) / np.sqrt(self.area[:2])
            axis.append(self.on_axis(inner))
        return edges[1 + lead :], np.array(axis[lead:])

    def film_mean(self, field: Floats) -> Floats:
        """Mean over the film's depth, (nr,)."""
        return np.asarray(field[self.film_cells].mean(axis=0))

    @staticmethod
    def on_axis(profile: Floats) -> float:
        """Value at r = 0 of a parabola through the means of the first two, equally wide rings of a profile."""
        return float(profile[0] - (profile[1] - profile[0]) / 4)

    def _to_modes(self, heat: Floats) -> Floats:
        return (heat / np.sqrt(self.area)) @ self.modes

    def _to_cells(self, coefficients: Floats) -> Floats:
        return (coefficients @ self.modes.T) / np.sqrt(self.area)

    def _solve(self, right: Floats, step_s: float) -> Floats:
        """Solve the tridiagonal systems in depth of all radial modes at once (Thomas); step 0 means steady."""
        thick = np.diff(self.depth_edge)
        resistance = thick / (2 * self.conductivity)
        link = 1 / (resistance[1:] + resistance[:-1])
        top = 1 / resistance[0] if self.film_cells.start else 0.0    # without air the upper face is insulated
        diagonal = (self.conductivity * thick)[:, None] * self.decay
        diagonal[:-1] += link[:, None]
        diagonal[1:] += link[:, None]
        diagonal[0] += top
        diagonal[-1] += 1 / resistance[-1]
        if step_s:
            diagonal += (self.heat_capacity * thick / step_s)[:, None]
        solution = right.copy()
        for i in range(1, thick.size):
            factor = link[i - 1] / diagonal[i - 1]
            diagonal[i] -= factor * link[i - 1]
            solution[i] += factor * solution[i - 1]
        solution[-1] /= diagonal[-1]
        for i in range(thick.size - 2, -1, -1):
            solution[i] = (solution[i] + link[i] * solution[i + 1]) / diagonal[i]
        return solution


def _widening(first: float, growth: float, far: float) -> Floats:
    """Distances of cell edges from the start: the first cell ``first`` wide, each next one ``growth`` times wider."""
    count = int(np.ceil(np.log1p(far / first * (growth - 1)) / np.log(growth)))
    return first * np.cumsum(growth ** np.arange(count))


def _radial_modes(radius: Floats, area: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues and eigenvectors of the radial operator, made symmetric by scaling the cells by √area."""
    centre = (radius[1:] + radius[:-1]) / 2
    link = 2 * np.pi * radius[1:-1] / np.diff(centre)
    outer = 2 * np.pi * radius[-1] / (radius[-1] - centre[-1])
    diagonal = np.zeros(area.size)
    diagonal[:-1] += link
    diagonal[1:] += link
    diagonal[-1] += outer
    return eigh_tridiagonal(diagonal / area, -link / np.sqrt(area[1:] * area[:-1]))
