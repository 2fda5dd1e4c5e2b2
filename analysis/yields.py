"""Shares weighted by relative luminescence yields: from shares of the emission towards shares of the material.

A phase that emits y times more per excited volume has y times too large a share of the emission. Dividing each
amplitude by its yield gives shares of what *would* emit with equal yields; carriers that funnel to the iodide-rich
phase are part of the effective yield, so even these are volume fractions only if the yields were measured in the same
film.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.linear import propagate
from halidescope.analysis.unmixing import Unmixing

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class WeightedShares:
    """Shares (…, k) with standard errors; NaN where the weighted sum is not positive."""

    shares: Numbers
    shares_se: Numbers


def weighted_shares(
    unmixed: Unmixing, relative_yield: ArrayLike, relative_yield_se: ArrayLike = 0.0
) -> WeightedShares:
    """(A_i / y_i) / Σ (A_j / y_j) with the errors of amplitudes and yields.

    Parameters
    ----------
    unmixed : Unmixing
        With references of unit sum.
    relative_yield, relative_yield_se : (k,)
        Emission per excited amount of each phase on any common scale, and standard errors (independent).

    Raises
    ------
    ValueError
        Not one positive yield per reference.
    """
    k = unmixed.amplitudes.shape[-1]
    yields = np.asarray(relative_yield, dtype=np.float64)
    errors = np.broadcast_to(np.asarray(relative_yield_se, dtype=np.float64), (k,))
    if yields.shape != (k,) or not (np.isfinite(yields) & (yields > 0)).all() or not (errors >= 0).all():
        raise ValueError(f"relative yields {yields.tolist()}: give one positive number for each of {k} references")
    amounts = unmixed.amplitudes / yields
    total = amounts.sum(axis=-1, keepdims=True)
    positive = np.where(total > 0, total, np.nan)
    shares = amounts / positive
    # ∂share_i/∂A_j = (δ_ij − share_i) / (y_j Σ), ∂share_i/∂y_j = −(δ_ij − share_i) A_j / (y_j² Σ)
    by_amplitude = (np.eye(k) - shares[..., :, None]) / (yields * positive[..., None])
    by_yield = -by_amplitude * (unmixed.amplitudes / yields)[..., None, :]
    se = np.stack([propagate(by_amplitude[..., i, :], unmixed.covariance) for i in range(k)], axis=-1)
    return WeightedShares(shares, np.sqrt(se**2 + (by_yield**2 * errors**2).sum(axis=-1)))
