"""Small linear algebra that every fit needs: inverses of Gram matrices and linear error propagation."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
SINGULAR = 1e-14   # a pivot of the Cholesky factor below this part of its diagonal element is rounding


def inverse_of(grams: Numbers) -> Numbers:
    """Inverses of symmetric (n, k, k) matrices; NaN where singular to rounding. Units of the rows do not matter."""
    out = np.empty(grams.shape)
    _invert_all(np.ascontiguousarray(grams), out)
    return out


def propagate(slope: Numbers, covariance: Numbers) -> Numbers:
    """Standard error of a quantity with gradient ``slope`` (…, k) by the parameters' ``covariance`` (…, k, k)."""
    variance = (slope[..., None, :] @ covariance @ slope[..., :, None])[..., 0, 0]
    return np.sqrt(np.maximum(variance, 0.0))


@njit(cache=True, nogil=True)
def _invert_all(grams: Numbers, out: Numbers) -> None:
    factor = np.empty((grams.shape[1], grams.shape[1]))
    for row in range(grams.shape[0]):
        invert(grams[row], factor, out[row])


@njit(cache=True, nogil=True)
def invert(gram: Numbers, factor: Numbers, out: Numbers) -> None:
    """Inverse of a symmetric positive definite matrix by Cholesky; NaN where it is singular to rounding."""
    invert_sized(gram.shape[0], gram, factor, out)


@njit(forceinline=True, error_model="numpy")
def invert_sized(k: int, gram: Numbers, factor: Numbers, out: Numbers) -> None:
    """:func:`invert` for (k, k) matrices; a constant ``k`` is compiled for itself."""
    for i in range(k):
        for j in range(i + 1):
            total = gram[i, j]
            for m in range(j):
                total -= factor[i, m] * factor[j, m]
            if i == j:
                if not total > SINGULAR * gram[i, i]:
                    for a in range(k):
                        for b in range(k):
                            out[a, b] = np.nan
                    return
                factor[i, i] = 1.0 / math.sqrt(total)   # the only divisions
            else:
                factor[i, j] = total * factor[j, j]
    for column in range(k):
        for i in range(column, k):
            total = 1.0 if i == column else 0.0
            for m in range(column, i):
                total -= factor[i, m] * out[m, column]
            out[i, column] = total * factor[i, i]
        for i in range(k - 1, column - 1, -1):
            total = out[i, column]
            for m in range(i + 1, k):
                total -= factor[m, i] * out[m, column]
            out[i, column] = total * factor[i, i]
            out[column, i] = out[i, column]
