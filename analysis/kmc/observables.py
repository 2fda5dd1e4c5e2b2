"""What is read from a lattice: band gap of the exposed region, layers, halo profile. Numbers and arrays, no drawing."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.lattice import BROMIDE, IODIDE, VACANCY

Floats = NDArray[np.float64]


def band_gap(x: ArrayLike) -> Floats:
    """``E_g(x) = 2.46 − 1.78 x² + 1.16 x³`` eV, 0 ≤ x ≤ 1 (T. R. da Cunha et al., ACS Appl. Mater. Interfaces 2025)."""
    x = np.asarray(x, dtype=float)
    return 2.46 - 1.78 * x**2 + 1.16 * x**3


def region(size: int) -> slice:
    """Columns that are read: 0.2 N wide about the middle of the lattice, at least one."""
    width = max(round(0.2 * size), 1)
    start = (size - width) // 2
    return slice(start, start + width)


def composition(counts: ArrayLike, config: KmcConfig) -> Floats:
    """``x`` of species counts (…, 3): vacancies count as iodide as the paper writes, or not, as the reading says.

    A region without any ion that counts has x = 0.
    """
    numbers = np.asarray(counts, dtype=float)
    bromide, iodide = numbers[..., BROMIDE], numbers[..., IODIDE]
    if config.reading.composition == "with-vacancies":
        iodide = iodide + numbers[..., VACANCY]
    total = bromide + iodide
    return np.divide(iodide, total, out=np.zeros_like(total), where=total > 0)


def layer(lattice: NDArray[np.int8], z: int) -> NDArray[np.int8]:
    """One layer seen from above, (size, size) species codes: 0 bromide, 1 iodide, 2 vacancy."""
    return np.ascontiguousarray(lattice[:, :, z])


def side(lattice: NDArray[np.int8], y: int | None = None) -> NDArray[np.int8]:
    """A slice through the beam seen from the side, (size x, size z) species codes; the middle one by default."""
    return np.ascontiguousarray(lattice[:, lattice.shape[1] // 2 if y is None else y, :])


def iodide_map(lattice: NDArray[np.int8]) -> Floats:
    """Share of iodide among the ions of every column, (size, size); NaN where a column has no ion left."""
    iodide = (lattice == IODIDE).sum(axis=2)
    ions = (lattice != VACANCY).sum(axis=2)
    return np.divide(iodide, ions, out=np.full(ions.shape, np.nan), where=ions > 0)


def halo_profile(lattice: NDArray[np.int8]) -> tuple[Floats, Floats, Floats]:
    """Composition around the beam: radius in sites, iodide share of the ions, vacancy share of the sites, each (n,).

    Rings one site wide about the middle, out to half the lattice.
    """
    size = lattice.shape[0]
    away = np.arange(size) - (size - 1) / 2
    radius = np.hypot(away[:, None], away[None, :])
    ring = radius.astype(int)
    inside = ring < size // 2
    rings = np.flatnonzero(np.bincount(ring[inside]))
    per_column = np.stack([(lattice == species).sum(axis=2) for species in (BROMIDE, IODIDE, VACANCY)])
    sums = np.stack([np.bincount(ring[inside], weights=numbers[inside]) for numbers in per_column])[:, rings]
    ions = sums[BROMIDE] + sums[IODIDE]
    mean_radius = np.bincount(ring[inside], weights=radius[inside])[rings] / np.bincount(ring[inside])[rings]
    share = np.divide(sums[IODIDE], ions, out=np.full(ions.shape, np.nan), where=ions > 0)
    return mean_radius, share, sums[VACANCY] / sums.sum(axis=0)
