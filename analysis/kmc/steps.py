"""The paper's step scheme: in every step each vacancy tries one hop, accepted with a ratio of Boltzmann sums.

Per step and vacancy: a first neighbour is chosen with its rate over the sum of the rates around the vacancy; the try
succeeds with ``P = Σ_subcell e^(−Ea/kB T) / Σ_cell e^(−Ea/kB T)``, the subcell being the (0.2 N)³ sites around the
vacancy. A chosen iodide may escape instead, whatever P is; that leaves a second vacancy. P of all vacancies is taken at
the start of the step, vacancies contribute nothing to the sums. Steps are no time: 1/Σk per vacancy, averaged, is
reported beside them.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.lattice import (
    BROMIDE,
    IODIDE,
    SHIFT_X,
    SHIFT_Y,
    VACANCY,
    count_species,
    neighbour,
    site_of,
)
from halidescope.analysis.kmc.observables import region
from halidescope.analysis.kmc.rates import BOLTZMANN_EV_K, beam_shape
from halidescope.analysis.kmc.streams import Floats, Words, uniform

NAIVE_UP_TO = 500
"""Vacancies up to which each subcell is summed by itself; above, running sums over the whole lattice are faster."""


class StepRules(NamedTuple):
    """The configuration as the kernel wants it."""

    barrier_bromide_ev: float
    barrier_iodide_ev: float
    prefactor_hz: float
    ambient_k: float
    amplitude_k: float
    heating_per_step: float
    escape: float
    alpha_per_k: float
    at_ion: bool
    literal: bool
    subcell: int
    region_start: int
    region_stop: int


class StepTrace(NamedTuple):
    """What the kernel fills, one row a step after the row of the start: ``region`` and ``film`` (steps + 1, 3) species
    counts, ``time_s`` (steps + 1,), ``hops`` (2,), ``acceptance`` (steps,) mean of P over vacancies before the cap."""

    region: NDArray[np.int64]
    film: NDArray[np.int64]
    time_s: NDArray[np.float64]
    hops: NDArray[np.int64]
    acceptance: NDArray[np.float64]


def rules_of(config: KmcConfig) -> StepRules:
    """Translate a configuration."""
    size = config.lattice.size
    read = region(size)
    return StepRules(
        config.barriers.bromide_ev, config.barriers.iodide_ev, config.barriers.prefactor_hz,
        float(config.temperature.ambient_k), float(config.temperature.amplitude_k), float(config.heating_rate),
        float(config.escape_probability), float(config.escape.alpha_per_k),
        config.reading.temperature_at == "ion", config.reading.acceptance == "literal",
        max(round(0.2 * size), 1), read.start, read.stop,
    )


def new_trace(steps: int) -> StepTrace:
    """Room for a run of this many steps."""
    return StepTrace(
        np.zeros((steps + 1, 3), np.int64), np.zeros((steps + 1, 3), np.int64), np.zeros(steps + 1),
        np.zeros(2, np.int64), np.zeros(steps),
    )


def run_steps(
    config: KmcConfig,
    lattice: NDArray[np.int8],
    vacancies: NDArray[np.uint32],
    count: NDArray[np.int64],
    first: int,
    last: int,
    trace: StepTrace,
    state: NDArray[np.uint64],
) -> None:
    """Make the steps ``first`` to ``last`` − 1 in place; ``vacancies`` has room for every iodide to escape."""
    shape = beam_shape(config.lattice.size, config.temperature.waist_fraction).ravel()
    _run(lattice, config.lattice.size, vacancies, count, shape, rules_of(config), first, last, trace, state)


@njit(cache=True, nogil=True)
def _subcell_sum(lattice: NDArray[np.int8], size: int, weight: Floats, record: np.uint32, width: int) -> float:
    """Sum of the weights in the cube around one vacancy."""
    half = width // 2
    cx = np.int64(record >> SHIFT_X) - half + size
    cy = np.int64((record >> SHIFT_Y) & 1023) - half + size
    cz = np.int64(record & 1023) - half + size
    total = 0.0
    for i in range(width):
        x = (cx + i) % size
        for j in range(width):
            column = x * size + (cy + j) % size
            for m in range(width):
                total += weight[column, lattice[column * size + (cz + m) % size]]
    return total


@njit(cache=True, nogil=True)
def _slide(line: Floats, out: Floats, width: int, half: int) -> None:
    """Running sums of ``width`` neighbours on a ring."""
    size = line.size
    total = 0.0
    for i in range(width):
        total += line[(i - half + size) % size]
    for i in range(size):
        out[i] = total
        total += line[(i + width - half) % size] - line[(i - half + size) % size]


@njit(cache=True, nogil=True)
def box_sums(field: Floats, width: int) -> None:
    """Sum of ``field`` (size, size, size) in the cube around every site, periodic, by running sums along each axis."""
    size = field.shape[0]
    half = width // 2
    line, out = np.empty(size), np.empty(size)
    for axis in range(3):
        for i in range(size):
            for j in range(size):
                for m in range(size):
                    line[m] = field[i, j, m] if axis == 2 else (field[i, m, j] if axis == 1 else field[m, i, j])
                _slide(line, out, width, half)
                for m in range(size):
                    if axis == 2:
                        field[i, j, m] = out[m]
                    elif axis == 1:
                        field[i, m, j] = out[m]
                    else:
                        field[m, i, j] = out[m]


@njit(cache=True, nogil=True)
def _acceptances(
    lattice: NDArray[np.int8], size: int, weight: Floats, vacancies: NDArray[np.uint32], n: int, width: int,
    accept: Floats,
) -> None:
    """P of each of the first ``n`` vacancies, as written, into ``accept``."""
    cell = 0.0
    for column in range(size * size):
        for z in range(size):
            cell += weight[column, lattice[column * size + z]]
    if n <= NAIVE_UP_TO:
        for v in range(n):
            accept[v] = _subcell_sum(lattice, size, weight, vacancies[v], width) / cell if cell > 0.0 else 0.0
        return
    field = np.empty((size, size, size))
    flat = field.reshape(size * size, size)
    for column in range(size * size):
        for z in range(size):
            flat[column, z] = weight[column, lattice[column * size + z]]
    box_sums(field, width)
    for v in range(n):
        site = site_of(vacancies[v], size)
        accept[v] = flat[site // size, site % size] / cell if cell > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _run(
    lattice: NDArray[np.int8], size: int, vacancies: NDArray[np.uint32], count: NDArray[np.int64], shape: Floats,
    rules: StepRules, first: int, last: int, trace: StepTrace, state: Words,
) -> None:
    columns = size * size
    weight = np.zeros((columns, 3))            # Boltzmann factors by column and species, zero for a vacancy
    leave = np.zeros(columns)                  # escape probability by column
    accept = np.empty(vacancies.size)
    rate = np.empty(6)
    mean = (rules.subcell / size) ** 3         # of P over all sites of the lattice, whatever is on them
    if first == 0:
        count_species(lattice, size, 0, size, trace.film[0])
        count_species(lattice, size, rules.region_start, rules.region_stop, trace.region[0])
    for step in range(first, last):
        amplitude = -rules.amplitude_k * math.expm1(-rules.heating_per_step * (step + 1))
        for column in range(columns):
            rise = amplitude * shape[column]
            inverse = 1.0 / (BOLTZMANN_EV_K * (rules.ambient_k + rise))
            weight[column, BROMIDE] = math.exp(-rules.barrier_bromide_ev * inverse)
            weight[column, IODIDE] = math.exp(-rules.barrier_iodide_ev * inverse)
            leave[column] = -rules.escape * math.expm1(-rules.alpha_per_k * rise)
        n = count[0]
        _acceptances(lattice, size, weight, vacancies, n, rules.subcell, accept)
        waited = 0.0
        movable = 0
        sum_accept = 0.0
        for v in range(n):
            sum_accept += accept[v]
            record = vacancies[v]
            source = site_of(record, size)
            total = 0.0
            for d in range(6):
                x, y, z = neighbour(record, d, size)
                species = lattice[(x * size + y) * size + z]
                column = x * size + y if rules.at_ion else int(source // size)
                rate[d] = weight[column, species]
                total += rate[d]
            if total == 0.0:
                continue                       # only vacancies around
            movable += 1
            waited += 1.0 / (rules.prefactor_hz * total)
            w = uniform(state) * total
            d = 0
            while d < 5 and w >= rate[d]:
                w -= rate[d]
                d += 1
            while rate[d] == 0.0:              # rounding ran past the last neighbour that can hop
                d -= 1
            x, y, z = neighbour(record, d, size)
            target = (x * size + y) * size + z
            species = lattice[target]
            column = x * size + y if rules.at_ion else int(source // size)
            if species == IODIDE and uniform(state) < leave[column]:
                lattice[target] = VACANCY
                vacancies[count[0]] = np.uint32((x << SHIFT_X) | (y << SHIFT_Y) | z)
                count[0] += 1
                continue
            threshold = accept[v] if rules.literal else accept[v] / mean
            if uniform(state) >= threshold:
                continue
            lattice[source] = species
            lattice[target] = VACANCY
            vacancies[v] = np.uint32((x << SHIFT_X) | (y << SHIFT_Y) | z)
            trace.hops[species] += 1
        trace.acceptance[step] = sum_accept / n if n > 0 else 0.0
        trace.time_s[step + 1] = trace.time_s[step] + (waited / movable if movable > 0 else 0.0)
        count_species(lattice, size, 0, size, trace.film[step + 1])
        count_species(lattice, size, rules.region_start, rules.region_stop, trace.region[step + 1])
