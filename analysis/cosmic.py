"""Cosmic rays: found across channels and across neighbouring spectra, reported one by one, never silently removed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.cosmic_kernels import FAR, SPREAD, scan
from halidescope.analysis.cosmic_screen import NO_LIMITS, limits_of
from halidescope.analysis.readable import for_kernels

Numbers = NDArray[np.float64]
SIGMAS = 7.0    # chance excess of a core: none expected in 10⁹ channels
GROW = 5.5      # of the rim beside a core


@dataclass(frozen=True)
class CosmicRays:
    """Channels that a cosmic ray hit, one entry each.

    Attributes
    ----------
    spectrum, channel : (hits,)
        Where; ``spectrum`` counts in C order over the leading shape.
    excess : (hits,)
        Counts above the level of the channels beside.
    level : (hits,)
        That level, counts.
    shape : tuple of int
        Of the spectra searched.
    """

    spectrum: NDArray[np.int64]
    channel: NDArray[np.int64]
    excess: Numbers
    level: Numbers
    shape: tuple[int, ...]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where hit, in the shape of the spectra."""
        mask = np.zeros((int(np.prod(self.shape[:-1])), self.shape[-1]), dtype=np.bool_)
        mask[self.spectrum, self.channel] = True
        return mask.reshape(self.shape)


def find_cosmic_rays(
    counts: ArrayLike, *, dark: ArrayLike = 0.0, gain: float = 1.0, read_noise: float = 0.0, sigmas: float = SIGMAS
) -> CosmicRays:
    """Search spectra for hits of up to three channels.

    A hit sticks out of the channels three and four places away by more than noise can, and not in the neighbouring
    spectra as well (before and after in a series, the four around in a map): sharp lines of the light stay.

    Parameters
    ----------
    counts : (channels,), (n, channels) in the order of taking, or (ny, nx, channels)
        Raw counts.
    dark : scalar or (channels,)
        Mean dark, needed for the noise.
    gain, read_noise
        Electrons per count, standard deviation of a dark spectrum in counts.
    sigmas : float
        Threshold for the core of a hit; the skewness of few counts is allowed for.

    Raises
    ------
    ValueError
        Fewer channels than the comparison needs, another number of axes, a dark that does not fit or is not finite, or
        a gain, noise or threshold that is not positive.

    Notes
    -----
    The first and last four channels are not searched.
    """
    data = for_kernels(np.asarray(counts))
    if data.dtype.kind not in "uif":
        raise ValueError(f"counts are of type {data.dtype}, expected numbers")
    if not 1 <= data.ndim <= 3 or data.shape[-1] <= 2 * FAR:
        raise ValueError(f"counts have shape {data.shape}; expected up to three axes and more than {2 * FAR} channels")
    channels = data.shape[-1]
    darks = np.asarray(dark, dtype=np.float64)
    if darks.shape not in ((), (channels,)):
        raise ValueError(f"dark has shape {darks.shape}, expected a number or ({channels},)")
    if not (np.isfinite(gain) and gain > 0 and np.isfinite(read_noise) and read_noise >= 0 and sigmas > 0):
        raise ValueError(f"gain {gain}, read noise {read_noise}, sigmas {sigmas}: needed are positive, finite numbers")
    if not np.isfinite(darks).all():
        raise ValueError("dark must be finite: without it the noise is not known, and no hit would be found")
    rows = np.ascontiguousarray(data.reshape(-1, channels))
    if rows.dtype != np.uint16:
        rows = rows.astype(np.float64)
    neighbours = _neighbours(data.shape[:-1])
    limits, words = NO_LIMITS, np.empty((0, channels), dtype=np.uint16)
    if rows.dtype == np.uint16:
        in_integers = limits_of(float(gain), float(read_noise) ** 2, float(sigmas), SPREAD)
        if in_integers is not None:
            limits, words = in_integers, rows
    level_of_dark = np.array(np.broadcast_to(darks, (channels,)))
    room = max(1000, len(rows))
    while True:
        row, channel = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
        excess, level = np.empty(room), np.empty(room)
        found = scan(
            rows, words, limits, neighbours, level_of_dark, float(gain), float(read_noise) ** 2, float(sigmas),
            min(GROW, float(sigmas)), row, channel, excess, level,
        )  # fmt: skip
        if found <= room:
            return CosmicRays(row[:found], channel[:found], excess[:found], level[:found], data.shape)
        room = found


def without_cosmic_rays(counts: ArrayLike, rays: CosmicRays) -> NDArray[np.generic]:
    """A copy in which every hit is replaced by the level beside it; ``rays`` remains the record of what was changed.

    ValueError for counts of another shape than that in which the hits were found.
    """
    data = np.array(counts)
    if data.shape != rays.shape:
        raise ValueError(f"counts have shape {data.shape}, the cosmic rays were found in {rays.shape}")
    flat = data.reshape(-1, data.shape[-1])
    level = np.rint(rays.level) if data.dtype.kind in "ui" else rays.level
    flat[rays.spectrum, rays.channel] = level.astype(data.dtype)
    return data


def _neighbours(lead: tuple[int, ...]) -> NDArray[np.int64]:
    """Rows beside each row, −1 where there is none: two along a series, four in a map."""
    index = np.arange(int(np.prod(lead))).reshape(lead) if lead else np.zeros((1,), dtype=np.int64)
    beside = []
    for axis in range(index.ndim):
        for step in (1, -1):
            moved = np.full_like(index, -1)
            ahead = [slice(None)] * index.ndim
            behind = [slice(None)] * index.ndim
            ahead[axis] = slice(1, None) if step == 1 else slice(None, -1)
            behind[axis] = slice(None, -1) if step == 1 else slice(1, None)
            moved[tuple(behind)] = index[tuple(ahead)]
            beside.append(moved.reshape(-1))
    return np.ascontiguousarray(np.stack(beside, axis=1), dtype=np.int64)
