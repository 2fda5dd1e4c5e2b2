"""The simulated film: its laws, and its state on a grid over the stage's travel.

Laws and numbers are those of ``docs/simulated-film.md``; they follow T. R. da Cunha et al., ACS Appl. Mater. Interfaces
2025, 17, 14389, and say where a choice is ours. What the film emits is in :mod:`halidescope.simulators.optics`.
"""

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

BOLTZMANN_EV_K = 8.617333262e-5   # CODATA 2018
ROOM_K = 293.0
CONVERSION_PITCH_UM = 0.5         # halos are several µm wide
DOSE_PITCH_UM = 0.1               # the focus has a 1/e² radius of 1 µm
NEGLIGIBLE = 1e-7                 # tails of the halo and of the focus below this are left out


@dataclass(frozen=True, kw_only=True)
class FilmLaw:
    """How one composition answers to light.

    Attributes
    ----------
    composition : float
        x in CsPbBr(3-x)I(x).
    activation_energy_ev : float
        Ea of both rates (paper, Arrhenius analysis).
    fast_fraction : float
        f1; the slow population is 1 − f1 (paper: yields near 70 %).
    fast_rate_per_s, slow_rate_per_s : float
        k1 and k2 at ``rated_power_uw`` (ours); 0 for the inert reference films.
    kelvin_per_uw : float
        Laser-induced temperature per power at the sample (ours).
    return_rate_per_s : float
        First-order return in the dark; 0 where the change is irreversible.
    pristine_nm, pristine_fwhm_ev, converted_nm, converted_fwhm_ev : float
        Emission bands: peak wavelength, and full width at half maximum in energy (paper: 40 to 80 meV).
    threshold_uw : float
        Excitation threshold P_th (ours).
    diffusion_prefactor_m2_s, diffusion_energy_ev : float
        D0 and E_D (paper, diffusion analysis).
    """

    composition: float
    activation_energy_ev: float = 0.0
    fast_fraction: float = 0.68
    fast_rate_per_s: float = 0.0
    slow_rate_per_s: float = 0.0
    rated_power_uw: float = 120.0
    kelvin_per_uw: float = 0.6
    return_rate_per_s: float = 0.0
    pristine_nm: float
    pristine_fwhm_ev: float
    converted_nm: float
    converted_fwhm_ev: float
    threshold_uw: float = 5.0
    diffusion_prefactor_m2_s: float = 5.3e-11
    diffusion_energy_ev: float = 0.182

    @property
    def inert(self) -> bool:
        """True for the reference films, which light does not change."""
        return self.fast_rate_per_s == 0.0

    @property
    def fractions(self) -> tuple[float, float]:
        """f1 and f2, of the fast and of the slow population."""
        return self.fast_fraction, 1.0 - self.fast_fraction

    def temperature_k(self, power_uw: float) -> float:
        """Temperature of the film under ``power_uw`` µW: ``T0 + (kelvin per µW) P``."""
        return ROOM_K + self.kelvin_per_uw * power_uw

    def rates_per_s(self, power_uw: float) -> tuple[float, float]:
        """k1 and k2 at the temperature under ``power_uw``: ``k0 exp(−Ea/kB T)``, fixed at the rated power."""
        rated_k = self.temperature_k(self.rated_power_uw)
        inverse_k = 1.0 / self.temperature_k(power_uw) - 1.0 / rated_k
        factor = math.exp(-self.activation_energy_ev / BOLTZMANN_EV_K * inverse_k)
        return self.fast_rate_per_s * factor, self.slow_rate_per_s * factor

    def average_rate_per_s(self, power_uw: float) -> float:
        """``<k> = f1 k1 + f2 k2``."""
        k1, k2 = self.rates_per_s(power_uw)
        f1, f2 = self.fractions
        return f1 * k1 + f2 * k2

    def excitation(self, power_uw: float) -> float:
        """Threshold factor ``h = 1/(1 + (P_th/P)⁴)``; 0 in the dark."""
        if power_uw <= 0.0:
            return 0.0
        return 1.0 / (1.0 + (self.threshold_uw / power_uw) ** 4)

    def diffusivity_m2_s(self, power_uw: float) -> float:
        """``D = D0 exp(−E_D/kB T)`` in m²/s."""
        return self.diffusion_prefactor_m2_s * math.exp(
            -self.diffusion_energy_ev / (BOLTZMANN_EV_K * self.temperature_k(power_uw))
        )

    def halo_radius_um(self, power_uw: float) -> float | None:
        """1/e radius of the halo, ``sqrt(4 D t_h)`` with ``t_h = 1/<k>``; None for an inert film."""
        if self.inert:
            return None
        return math.sqrt(4.0 * self.diffusivity_m2_s(power_uw) / self.average_rate_per_s(power_uw)) * 1e6


LAWS: dict[float, FilmLaw] = {
    law.composition: law
    for law in (
        FilmLaw(
            composition=0.0,
            pristine_nm=513.0, pristine_fwhm_ev=0.070, converted_nm=513.0, converted_fwhm_ev=0.070,
        ),
        FilmLaw(
            composition=1.0, activation_energy_ev=0.248, fast_rate_per_s=0.03, slow_rate_per_s=2e-4,
            pristine_nm=543.0, pristine_fwhm_ev=0.075, converted_nm=513.0, converted_fwhm_ev=0.070,
        ),
        FilmLaw(
            composition=1.5, activation_energy_ev=0.217, fast_rate_per_s=0.03, slow_rate_per_s=2e-4,
            pristine_nm=590.0, pristine_fwhm_ev=0.080, converted_nm=513.0, converted_fwhm_ev=0.070,
        ),
        FilmLaw(
            composition=2.0, activation_energy_ev=0.093, fast_rate_per_s=0.08, slow_rate_per_s=2e-4,
            rated_power_uw=300.0, kelvin_per_uw=0.25, return_rate_per_s=1.0 / 2500.0,
            pristine_nm=646.0, pristine_fwhm_ev=0.070, converted_nm=688.0, converted_fwhm_ev=0.065,
        ),
        FilmLaw(
            composition=3.0,
            pristine_nm=690.0, pristine_fwhm_ev=0.065, converted_nm=690.0, converted_fwhm_ev=0.065,
        ),
    )
}


def film_law(composition: float) -> FilmLaw:
    """The law of one of the five films; raises ValueError with the compositions there are."""
    try:
        return LAWS[float(composition)]
    except KeyError:
        allowed = ", ".join(f"{x:g}" for x in LAWS)
        raise ValueError(f"no film of composition x = {composition:g} is simulated; choose one of {allowed}") from None


@dataclass(frozen=True)
class FilmState:
    """The film at one place: converted shares of the two populations, and the peak dose in J/cm²."""

    fast: float
    slow: float
    dose_j_cm2: float

    @property
    def share_converted(self) -> float:
        """Share of the emission that comes from the converted phase."""
        return self.fast + self.slow


class Film:
    """One film on the stage, fresh when made.

    Parameters
    ----------
    law : FilmLaw
        How it answers to light.
    travel_um : float
        Edge of the square that the stage can reach.
    waist_um : float
        1/e² radius of the beam at the film.
    """

    def __init__(self, law: FilmLaw, *, travel_um: float = 200.0, waist_um: float = 1.0) -> None:
        self.law = law
        self.travel_um = travel_um
        self.waist_um = waist_um
        self.energy_j = 0.0       # of all light so far
        nodes = round(travel_um / CONVERSION_PITCH_UM) + 1
        self._fast = np.zeros((nodes, nodes))
        self._slow = np.zeros((nodes, nodes))
        # the return goes on everywhere: one factor instead of a pass over the whole grid
        self._fade = 1.0
        dose_nodes = round(travel_um / DOSE_PITCH_UM) + 1
        self._dose = np.zeros((dose_nodes, dose_nodes))

    def advance(self, duration_s: float, x_um: float, y_um: float, power_uw: float) -> None:
        """Let ``duration_s`` pass under constant light at a place; exact for any duration.

        Solves ``dc_i/dt = k_i h max(f_i g − c_i, 0) − k_return (1 − h g) c_i`` in every cell
        with ``g = exp(−r²/(4 D t_h))``.
        """
        if duration_s <= 0.0:
            return
        if power_uw > 0.0:
            self.energy_j += power_uw * 1e-6 * duration_s
            self._add_dose(duration_s, x_um, y_um, power_uw)
        law = self.law
        excitation = law.excitation(power_uw)
        faded = self._fade * math.exp(-law.return_rate_per_s * duration_s)
        radius = law.halo_radius_um(power_uw)
        if excitation > 0.0 and radius is not None:
            (i, gx), (j, gy) = (
                self._tail(centre, 1.0 / radius**2, CONVERSION_PITCH_UM, len(self._fast)) for centre in (x_um, y_um)
            )
            for cells, fraction, rate in zip(
                (self._fast, self._slow), law.fractions, law.rates_per_s(power_uw), strict=True
            ):
                window = cells[j:j + len(gy), i:i + len(gx)]
                if law.return_rate_per_s:
                    _convert_and_return(
                        window, gx, gy, fraction, rate * excitation, law.return_rate_per_s, excitation,
                        duration_s, self._fade, faded,
                    )
                else:
                    _convert(window, gx, gy, fraction, math.exp(-rate * excitation * duration_s))
        self._fade = faded
        if self._fade < 1e-6:
            self._fast *= self._fade
            self._slow *= self._fade
            self._fade = 1.0

    def at(self, x_um: float, y_um: float) -> FilmState:
        """State at a place of the stage's travel, interpolated between the cells."""
        return FilmState(
            fast=self._fade * _interpolate(self._fast, x_um / CONVERSION_PITCH_UM, y_um / CONVERSION_PITCH_UM),
            slow=self._fade * _interpolate(self._slow, x_um / CONVERSION_PITCH_UM, y_um / CONVERSION_PITCH_UM),
            dose_j_cm2=_interpolate(self._dose, x_um / DOSE_PITCH_UM, y_um / DOSE_PITCH_UM),
        )

    def share_converted(self, x_um: float, y_um: float) -> float:
        """Converted share at a place, 0 to 1."""
        x, y = x_um / CONVERSION_PITCH_UM, y_um / CONVERSION_PITCH_UM
        return self._fade * (_interpolate(self._fast, x, y) + _interpolate(self._slow, x, y))

    def _add_dose(self, duration_s: float, x_um: float, y_um: float, power_uw: float) -> None:
        """Add ``I0 exp(−2 r²/w0²) dt`` with ``I0 = 2P/(π w0²)``, in J/cm²."""
        waist_cm = self.waist_um * 1e-4
        peak_j_cm2 = 2.0 * power_uw * 1e-6 / (math.pi * waist_cm**2) * duration_s
        (i, gx), (j, gy) = (
            self._tail(centre, 2.0 / self.waist_um**2, DOSE_PITCH_UM, len(self._dose)) for centre in (x_um, y_um)
        )
        _add_product(self._dose[j:j + len(gy), i:i + len(gx)], gx, gy, peak_j_cm2)

    @staticmethod
    def _tail(centre_um: float, curvature: float, pitch_um: float, nodes: int) -> tuple[int, NDArray[np.float64]]:
        """First node and values of ``exp(−curvature (x − centre)²)`` along one axis, down to a negligible tail."""
        reach = math.sqrt(-math.log(NEGLIGIBLE) / curvature)
        first = min(max(math.ceil((centre_um - reach) / pitch_um), 0), nodes)
        last = max(min(math.floor((centre_um + reach) / pitch_um), nodes - 1), first - 1)
        distance = np.arange(first, last + 1) * pitch_um - centre_um
        return first, np.exp(-curvature * distance**2)


@numba.njit(cache=True, nogil=True)
def _convert(cells, gx, gy, fraction, remaining):  # type: ignore[no-untyped-def]
    """Irreversible drive towards ``fraction · g``; ``remaining`` is ``exp(−k h dt)``."""
    for j in range(gy.size):
        for i in range(gx.size):
            target = fraction * gx[i] * gy[j]
            if target > cells[j, i]:
                cells[j, i] = target + (cells[j, i] - target) * remaining


@numba.njit(cache=True, nogil=True)
def _convert_and_return(cells, gx, gy, fraction, drive, back, excitation, dt, fade, faded):  # type: ignore[no-untyped-def]
    """Drive and return together; cells are stored divided by ``fade``, and by ``faded`` afterwards."""
    for j in range(gy.size):
        for i in range(gx.size):
            g = gx[i] * gy[j]
            target = fraction * g
            returning = back * (1.0 - excitation * g)
            value = cells[j, i] * fade
            left = dt
            if value > target:
                # above what the light can reach: only the return acts, until it meets the target
                until = math.log(value / target) / returning if target > 0.0 and returning > 0.0 else math.inf
                alone = min(left, until)
                value *= math.exp(-returning * alone)
                left -= alone
            if left > 0.0:
                total = drive + returning
                level = drive * target / total
                value = level + (value - level) * math.exp(-total * left)
            cells[j, i] = value / faded


@numba.njit(cache=True, nogil=True)
def _add_product(cells, gx, gy, amount):  # type: ignore[no-untyped-def]
    """Add ``amount · gx · gy``."""
    for j in range(gy.size):
        for i in range(gx.size):
            cells[j, i] += amount * gx[i] * gy[j]


@numba.njit(cache=True, nogil=True)
def _interpolate(cells, column, row):  # type: ignore[no-untyped-def]
    """Cubic Lagrange interpolation through 4 × 4 cells; places beyond the edge read the edge."""
    nodes = cells.shape[0]
    column = min(max(column, 0.0), nodes - 1.0)
    row = min(max(row, 0.0), nodes - 1.0)
    i = min(max(int(column) - 1, 0), nodes - 4)
    j = min(max(int(row) - 1, 0), nodes - 4)
    total = 0.0
    for b in range(4):
        weight_y = 1.0
        for other in range(4):
            if other != b:
                weight_y *= (row - j - other) / (b - other)
        line = 0.0
        for a in range(4):
            weight_x = 1.0
            for other in range(4):
                if other != a:
                    weight_x *= (column - i - other) / (a - other)
            line += weight_x * cells[j + b, i + a]
        total += weight_y * line
    return total
