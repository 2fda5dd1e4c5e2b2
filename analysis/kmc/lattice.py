"""The lattice: species codes, directions, packed coordinates, and a random film to start from."""

import numpy as np
from halidescope.analysis.kmc.streams import Words
from numpy.typing import NDArray

BROMIDE, IODIDE, VACANCY = 0, 1, 2

# Directions come in pairs, so that d ^ 1 is the way back.
DX = np.array([1, -1, 0, 0, 0, 0])
DY = np.array([0, 0, 1, -1, 0, 0])
DZ = np.array([0, 0, 0, 0, 1, -1])

LARGEST = 1024
"""Largest edge: a vacancy's coordinates are packed in ten bits each."""
SHIFT_X, SHIFT_Y, MASK = 20, 10, 1023


def counts_of(size: int, bromide: float, iodide: float, vacancy: float) -> tuple[int, int, int]:
    """Whole numbers of each species on ``size``³ sites: iodide and vacancies rounded, bromide the rest."""
    sites = size**3
    total = bromide + iodide + vacancy
    iodides, holes = round(sites * iodide / total), round(sites * vacancy / total)
    return sites - iodides - holes, iodides, holes


def random_film(size: int, iodides: int, holes: int, seed_words: Words) -> NDArray[np.int8]:
    """Return a random arrangement, (size³,) int8, with exactly these numbers of iodides and vacancies."""
    lattice = np.full(size**3, BROMIDE, dtype=np.int8)
    lattice[:holes] = VACANCY
    lattice[holes : holes + iodides] = IODIDE
    np.random.Generator(np.random.PCG64([int(word) for word in seed_words])).shuffle(lattice)
    return lattice


def vacancy_records(lattice: NDArray[np.int8], size: int) -> NDArray[np.uint32]:
    """Packed coordinates of all vacancies, x in bits 20 to 29, y in 10 to 19, z in 0 to 9."""
    x, y, z = np.unravel_index(np.flatnonzero(lattice == VACANCY), (size, size, size))
    return ((x << SHIFT_X) | (y << SHIFT_Y) | z).astype(np.uint32)
