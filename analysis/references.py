"""Reference spectra (endmembers): checked, brought to unit sum, prepared for unmixing.

Where references come from is decided by the caller: pure films, the pristine spectrum, a library.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.block_sums import LONG, QUAD
from halidescope.analysis.lanes import WIDTH
from halidescope.analysis.poisson_three import FLOOR
from halidescope.analysis.unmixing_kernels import LANES
from halidescope.analysis.vectors import aligned

Numbers = NDArray[np.float64]
MOST_REFERENCES = 6
LOSS = 0.01   # of variance, that longer blocks of equal weights may cost or hide


def check_references(references: ArrayLike) -> NDArray[np.float64]:
    """References as (k, channels) float64; raises ValueError for anything that cannot be told apart."""
    basis = np.atleast_2d(np.ascontiguousarray(references, dtype=np.float64))
    if basis.ndim != 2 or not 1 <= len(basis) <= MOST_REFERENCES:
        raise ValueError(f"references have shape {basis.shape}, expected (k, channels) with k from 1 to 6")
    if basis.shape[1] < len(basis):
        raise ValueError(f"{basis.shape[1]} channels cannot tell {len(basis)} references apart")
    if not np.isfinite(basis).all():
        raise ValueError("references hold values that are not finite; repair or cut the channels concerned")
    norms = np.linalg.norm(basis, axis=1)
    if not (norms > 0).all():
        raise ValueError(f"reference {int(np.argmin(norms))} is zero everywhere; leave it out")
    if np.linalg.svd(basis / norms[:, None], compute_uv=False)[-1] < 1e-6:
        directions = basis / norms[:, None]
        pairs = [(abs(directions[i] @ directions[j]), i, j) for i, j in combinations(range(len(basis)), 2)]
        _, i, j = max(pairs)
        raise ValueError(f"references are collinear (most alike: {i} and {j}); leave one out, shares are undefined")
    return basis


def unit_sum(references: ArrayLike, response: ArrayLike = 1.0) -> NDArray[np.float64]:
    """References (k, channels) scaled to unit sum: amplitudes are then counts, and shares are shares of emission.

    With the instrument's relative ``response`` (channels,) the sum is that of the light before it: spectra and
    references stay as measured, with their noise, and only the areas that shares are made of are corrected.
    """
    basis = np.atleast_2d(np.asarray(references, dtype=np.float64))
    sums = (basis / np.asarray(response, dtype=np.float64)).sum(axis=-1, keepdims=True)
    if not (sums > 0).all():
        raise ValueError(f"reference {int(np.argmin(sums))} has no positive area; was the right dark subtracted?")
    return basis / sums


@dataclass(frozen=True)
class Prepared:
    """All that unmixing needs of k references and that does not depend on the data.

    ``left``, ``padded`` (3 m, channels): orthonormal basis and references, padded with zero rows; ``reduced`` (k, k):
    references in that basis; ``inverses`` (2^k, k, k): pseudo-inverses for every support; ``gram_inverse`` (k, k);
    ``pairs`` (3 m, 3 m, blocks), ``means`` (3 m, blocks): products and means over blocks of ``block_length`` channels;
    ``beside`` (3 m, …): ``padded`` in the order of :func:`side_by_side`, empty where blocks are shorter than a word of
    four counts.
    """

    references: Numbers
    left: Numbers
    padded: Numbers
    reduced: Numbers
    inverses: Numbers
    gram_inverse: Numbers
    block_length: int
    pairs: Numbers
    means: Numbers
    beside: Numbers


def prepare(references: Numbers) -> Prepared:
    """Reduce checked references (k, channels) by SVD and choose the blocks of equal weight."""
    k, channels = references.shape
    left, singular, right = np.linalg.svd(references.T, full_matrices=False)
    reduced = singular[:, None] * right          # references.T = left @ reduced
    inverses = np.zeros((1 << k, k, k))
    for support in range(1, 1 << k):
        members = [i for i in range(k) if support >> i & 1]
        inverses[support, members] = np.linalg.pinv(reduced[:, members])
    pseudo_inverse = inverses[-1]
    rows = -(-k // LANES) * LANES
    padding = np.zeros((rows - k, channels))
    length = block_length(references)
    starts = np.arange(0, channels, length)
    basis = aligned((rows, channels))
    basis[:k] = left.T
    padded = np.ascontiguousarray(np.vstack([references, padding]))
    products = padded[:, None] * padded[None]
    return Prepared(
        references=references,
        left=basis,
        padded=padded,
        reduced=np.ascontiguousarray(reduced),
        inverses=inverses,
        gram_inverse=pseudo_inverse @ pseudo_inverse.T,
        block_length=length,
        pairs=np.ascontiguousarray(np.add.reduceat(products, starts, axis=2)),
        means=block_means(padded, length),
        beside=side_by_side(padded, length) if length % QUAD == 0 else np.empty((rows, 0)),
    )


def side_by_side(values: Numbers, length: int) -> Numbers:
    """Reorder (…, channels), padded with zeros, so that eight blocks of ``length`` channels lie side by side.

    First the first channel of each of eight blocks, then the second of each, …, then the next eight blocks.
    """
    *lead, channels = values.shape
    groups = -(-channels // (WIDTH * length))
    whole = np.zeros((*lead, groups * WIDTH * length))
    whole[..., :channels] = values
    out = aligned(whole.shape)
    out[...] = np.swapaxes(whole.reshape(*lead, groups, WIDTH, length), -1, -2).reshape(whole.shape)
    return out


def block_means(values: Numbers, length: int) -> Numbers:
    """Means over blocks of ``length`` channels (the last may be shorter) along the last axis."""
    channels = values.shape[-1]
    starts = np.arange(0, channels, length)
    counts = np.diff(np.append(starts, channels))
    return np.ascontiguousarray(np.add.reduceat(values, starts, axis=-1) / counts)


def block_length(references: Numbers) -> int:
    """Longest block, 1 to 16 channels, in which one weight for all channels costs less than ``LOSS`` of the variance.

    Judged without background, where variances differ most, for each pure phase and for equal parts: neither the
    variance of the block-weighted estimate nor the variance that it claims may be off by more.
    """
    channels = references.shape[1]
    positive = np.maximum(references, 0.0)
    sums = positive.sum(axis=1)
    shapes = positive / np.where(sums > 0, sums, 1.0)[:, None]
    mixtures = [0.98 * shape + 0.02 * shapes.mean(axis=0) for shape in shapes] + [shapes.mean(axis=0)]
    length = LONG
    while length > 1:
        if channels >= 4 * length and all(_loss(references, m, length) < LOSS for m in mixtures):
            return length
        length //= 2
    return 1


def _loss(references: Numbers, light: Numbers, length: int) -> float:
    if not light.mean() > 0:
        return 0.0
    channels = light.size
    variance = np.maximum(light, FLOOR * light.mean())
    coarse = np.repeat(block_means(variance, length), length)[:channels]
    exact = np.diag(np.linalg.pinv((references / variance) @ references.T, hermitian=True))
    claimed = np.linalg.pinv((references / coarse) @ references.T, hermitian=True)
    actual = np.diag(claimed @ ((references * variance / coarse**2) @ references.T) @ claimed)
    return float(max(np.max(actual / exact - 1), np.max(np.abs(np.diag(claimed) / actual - 1))))
