"""Temperature under the beam, and the hop rates of every column, constant over short intervals of time.

``T(x, y, t) = T0 + A0 (1 − exp(−B t)) exp(−2 r²/w0²)`` about the middle of the lattice, the paper's parametrisation.
On the exact clock the rates of an interval are those at the interval's mean amplitude; intervals are short enough that
ln k changes by at most ``LN_STEP`` in each, which makes an error of LN_STEP²/24 (taking the rates at the left end would
make one of LN_STEP/2).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.constants import e, k

from halidescope.analysis.kmc.config import KmcConfig

BOLTZMANN_EV_K = k / e
LN_STEP = 0.02
BINS = 8
"""Bins of columns with similar rates; one where the temperature is the same everywhere."""


class RateTable(NamedTuple):
    """Rates in one interval, for the kernels; columns are ``x · size + y``, or all the same one if ``stride`` is 0.

    ``rate`` (columns, 4) float32, 1/s, by species of the neighbour, zero for a vacancy (float32 rounds by 3×10⁻⁸);
    ``escape`` (columns,) float32, the part of the iodide's rate that leaves the film; ``bin`` (columns,) uint8;
    ``bound`` (bins,) at least every rate a vacancy of the bin can see; ``class_bound`` (bins, 2) the same by species.
    """

    rate: NDArray[np.float32]
    escape: NDArray[np.float32]
    bin: NDArray[np.uint8]
    bound: NDArray[np.float64]
    class_bound: NDArray[np.float64]
    stride: int
    at_ion: bool


def beam_shape(size: int, waist_fraction: float) -> NDArray[np.float64]:
    """Return ``exp(−2 r²/w0²)``, (size, size), about the middle of the lattice, w0 = waist_fraction · size."""
    away = np.arange(size) - (size - 1) / 2
    squared = away[:, None] ** 2 + away[None, :] ** 2
    return np.exp(-2 * squared / (waist_fraction * size) ** 2)


def hop_rates(config: KmcConfig, temperature_k: NDArray[np.float64]) -> NDArray[np.float64]:
    """``k0 exp(−Ea/kB T)``, (2, …): bromide, iodide."""
    barriers = np.array([config.barriers.bromide_ev, config.barriers.iodide_ev])
    shape = (2,) + (1,) * np.ndim(temperature_k)
    return config.barriers.prefactor_hz * np.exp(-barriers.reshape(shape) / (BOLTZMANN_EV_K * temperature_k))


def escape_probability(config: KmcConfig, temperature_k: NDArray[np.float64]) -> NDArray[np.float64]:
    """``A [1 − exp(−α (T − T0))]``."""
    rise_k = temperature_k - config.temperature.ambient_k
    return -config.escape_probability * np.expm1(-config.escape.alpha_per_k * rise_k)


class Heating:
    """The rate tables of a run on the exact clock, one interval after the other.

    Parameters
    ----------
    config : KmcConfig
        Barriers, temperature, escape and where the temperature is taken.
    """

    def __init__(self, config: KmcConfig) -> None:
        self._config = config
        temperature = config.temperature
        self._rate_per_s = config.heating_rate
        self._hot = temperature.amplitude_k > 0
        shape = beam_shape(config.lattice.size, temperature.waist_fraction) if self._hot else np.zeros((1, 1))
        self._shape = shape
        self._size = config.lattice.size
        at_ion = config.reading.temperature_at == "ion"
        # What a vacancy in a column can see: its own column's rate, or those of the neighbours' columns.
        self._seen = _around(shape) if at_ion and self._hot else shape
        highest = max(config.barriers.bromide_ev, config.barriers.iodide_ev)
        self._amplitude_step_k = LN_STEP * BOLTZMANN_EV_K * temperature.ambient_k**2 / max(highest, 1e-6)
        final = temperature.ambient_k + temperature.amplitude_k * self._seen
        level = -1 / final
        low, high = level.min(), level.max()
        if high - low < 1e-12:
            self._bin = np.zeros(shape.size, np.uint8)
        else:
            self._bin = np.minimum((level - low) / (high - low) * BINS, BINS - 1).astype(np.uint8).ravel()
        self.bins = int(self._bin.max()) + 1

    def amplitude_k(self, time_s: float) -> float:
        """Rise on the axis at a time, K."""
        return -self._config.temperature.amplitude_k * math.expm1(-self._rate_per_s * time_s) if time_s > 0 else 0.0

    def interval(self, time_s: float) -> tuple[RateTable, float]:
        """Return the rates from ``time_s`` on, and until when they hold, s."""
        full = self._config.temperature.amplitude_k
        if not self._hot or math.isinf(self._rate_per_s):
            return self._table(full), math.inf
        start = self.amplitude_k(time_s)
        left = full - start
        rest = self._amplitude_step_k / 50
        if left <= 1.001 * rest:
            return self._table(full), math.inf
        end = min(start + self._amplitude_step_k, full - rest)
        until = -math.log1p(-end / full) / self._rate_per_s
        span = self._rate_per_s * (until - time_s)
        mean = full - left * -math.expm1(-span) / span
        return self._table(mean), until

    def _table(self, amplitude_k: float) -> RateTable:
        config = self._config
        temperature = config.temperature.ambient_k + amplitude_k * self._shape
        rates = hop_rates(config, temperature)
        columns = temperature.size
        table = np.zeros((columns, 4), np.float32)
        table[:, :2] = rates.reshape(2, columns).T
        escape = (rates[1] * escape_probability(config, temperature)).ravel().astype(np.float32)
        highest = hop_rates(config, config.temperature.ambient_k + amplitude_k * self._seen).reshape(2, columns)
        class_bound = np.zeros((self.bins, 2))
        for species in range(2):
            np.maximum.at(class_bound[:, species], self._bin, highest[species])
        class_bound *= 1 + 1e-6                        # above the float32 rounding of the rates
        at_ion = config.reading.temperature_at == "ion"
        present = class_bound.max(axis=1)
        bound = np.where(present > 0, present, present.max())          # an empty bin still needs a divisor
        return RateTable(table, escape, self._bin, bound, class_bound, int(self._hot), at_ion)


def _around(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Highest value among a column and its four neighbours on the torus."""
    moved = [np.roll(shape, step, axis) for axis in (0, 1) for step in (1, -1)]
    return np.maximum.reduce([shape, *moved])
