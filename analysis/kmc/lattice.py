"""The lattice: species codes, directions, packed coordinates, and a random film to start from."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.streams import Index

BROMIDE, IODIDE, VACANCY = 0, 1, 2

# Directions come in pairs, so that d ^ 1 is the way back.
DX = np.array([1, -1, 0, 0, 0, 0])
DY = np.array([0, 0, 1, -1, 0, 0])
DZ = np.array([0, 0, 0, 0, 1, -1])

SHIFT_X, SHIFT_Y, MASK = 20, 10, 1023          # coordinates are packed in ten bits each


def counts_of(config: KmcConfig) -> tuple[int, int, int]:
    """Whole numbers of bromides, iodides and vacancies: iodides and vacancies rounded, bromides the rest.

    A share above zero is at least one site.
    """
    sites = config.lattice.size**3
    iodides, holes = (
        max(round(sites * share), 1) if share > 0 else 0 for share in (config.lattice.iodide, config.lattice.vacancy)
    )
    return sites - iodides - holes, iodides, holes


def initial_film(config: KmcConfig, seed: int, replica: int = 0, *, inner: slice | None = None) -> NDArray[np.int8]:
    """Return the random arrangement a replica starts from, (size³,) int8, with exactly the configured numbers.

    With ``inner`` the square of columns it names has its exact share of them, too, as a spot of a real film has, which
    is far larger than a lattice; without, its composition scatters from replica to replica.
    """
    numbers = counts_of(config)
    if numbers[BROMIDE] < 0:
        raise ValueError(
            f"lattice.size = {config.lattice.size}: too few sites for {numbers[IODIDE]} iodides and "
            f"{numbers[VACANCY]} vacancies; take a larger lattice"
        )
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(replica, 1))))
    if inner is None:
        return _shuffled(numbers, generator)
    size = config.lattice.size
    part = (inner.stop - inner.start) ** 2 * size
    iodides, holes = (round(numbers[species] * part / size**3) for species in (IODIDE, VACANCY))
    inside = (part - iodides - holes, iodides, holes)
    film = np.empty((size, size, size), np.int8)
    mask = np.zeros((size, size), bool)
    mask[inner, inner] = True
    film[mask] = _shuffled(inside, generator).reshape(-1, size)
    outside = tuple(total - within for total, within in zip(numbers, inside, strict=True))
    film[~mask] = _shuffled(outside, generator).reshape(-1, size)
    return film.ravel()


def _shuffled(numbers: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.int8]:
    film = np.empty(sum(numbers), np.int8)
    stop = 0
    for species, number in enumerate(numbers):
        film[stop : stop + number] = species
        stop += number
    generator.shuffle(film)
    return film


@njit(cache=True, nogil=True)
def vacancy_records(lattice: NDArray[np.int8], size: int) -> NDArray[np.uint32]:
    """Packed coordinates of all vacancies, uint32: x in bits 20 to 29, y in 10 to 19, z in 0 to 9."""
    number = 0
    for site in range(lattice.size):
        number += lattice[site] == VACANCY
    records = np.empty(number, np.uint32)
    number = 0
    for site in range(lattice.size):
        if lattice[site] == VACANCY:
            column = site // size
            records[number] = np.uint32((column // size << SHIFT_X) | (column % size << SHIFT_Y) | site % size)
            number += 1
    return records


@njit(cache=True, nogil=True)
def count_species(lattice: NDArray[np.int8], size: int, start: int, stop: int, counts: NDArray[np.int64]) -> None:
    """Count bromides, iodides and vacancies in the columns ``start`` ≤ x, y < ``stop`` into ``counts`` (3,)."""
    counts[:] = 0
    for x in range(start, stop):
        for y in range(start, stop):
            column = (x * size + y) * size
            for z in range(size):
                counts[lattice[column + z]] += 1


@njit(cache=True, nogil=True, inline="always")
def neighbour(record: np.uint32, d: Index, size: int) -> tuple[int, int, int]:
    """Packed coordinates of the neighbour in direction ``d`` on the periodic lattice."""
    x = np.int64(record >> SHIFT_X) + DX[d]
    y = np.int64((record >> SHIFT_Y) & MASK) + DY[d]
    z = np.int64(record & MASK) + DZ[d]
    x += size * ((x < 0) - (x >= size))
    y += size * ((y < 0) - (y >= size))
    z += size * ((z < 0) - (z >= size))
    return x, y, z


@njit(cache=True, nogil=True, inline="always")
def site_of(record: np.uint32, size: int) -> Index:
    """Index in the lattice of packed coordinates."""
    x, y = np.int64(record >> SHIFT_X), np.int64((record >> SHIFT_Y) & MASK)
    return (x * size + y) * size + np.int64(record & MASK)
