"""Small linear algebra that every fit needs: inverses of Gram matrices and linear error propagation."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def inverse_of(grams: Numbers) -> Numbers:
    """Inverses of symmetric (n, k, k) matrices; NaN where singular to rounding. Units of the rows do not matter."""
    size = grams.shape[-1]
    scale = np.sqrt(np.maximum(np.einsum("nii->ni", grams), 0.0))
    usable = np.isfinite(grams).all(axis=(1, 2)) & (scale > 0).all(axis=1)
    scale = np.where(usable[:, None], scale, 1.0)
    outer = scale[:, :, None] * scale[:, None, :]
    scaled = np.where(usable[:, None, None], grams / outer, np.eye(size))
    usable &= np.linalg.eigvalsh(scaled)[:, 0] > 1e-14
    scaled[~usable] = np.eye(size)
    inverse = np.linalg.inv(scaled) / outer
    inverse[~usable] = np.nan
    return inverse


def propagate(slope: Numbers, covariance: Numbers) -> Numbers:
    """Standard error of a quantity with gradient ``slope`` (…, k) by the parameters' ``covariance`` (…, k, k)."""
    variance = np.einsum("...i,...ij,...j->...", slope, covariance, slope)
    return np.sqrt(np.maximum(variance, 0.0))
