"""What the noise of the references and of the mean dark does to numbers fitted to many shares at once.

The noise of single spectra averages out over a series; that of a reference does not: it bends all shares in the same
way. Propagated linearly. A fitted parameter responds to the shares s_t of spectra t as δp = Σ_t K_pt δs_t, a share to
its spectrum as δs_t = Σ_λ q_t(λ) δS_t(λ), and a wrong reference acts as a wrong spectrum, δS_t = −Σ_i A_ti δF_i.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.linear import inverse_of
from halidescope.analysis.references import unit_sum

Numbers = NDArray[np.float64]
BLOCK = 128
PAIRS = 4


def reference_covariance(
    response: Numbers,
    amplitudes: Numbers,
    references: ArrayLike,
    references_se: ArrayLike = 0.0,
    dark_se: ArrayLike = 0.0,
    *,
    component: int = -1,
    gain: float = 1.0,
    read_noise: float = 0.0,
    efficiency: ArrayLike = 1.0,
) -> Numbers:
    """Covariance (p, p) of p parameters due to the noise of references and mean dark.

    Parameters
    ----------
    response : (p, n)
        K, the change of each parameter per change of the share of each of n spectra.
    amplitudes : (n, k)
        Unmixed with the references at unit sum, counts.
    references, references_se : (k, channels)
        As measured, any scale, with the standard error of every channel (independent of each other).
    dark_se : scalar or (channels,)
        Standard error of the mean dark that was subtracted from all n spectra, counts.
    component : int
        Index of the reference whose share was fitted.
    efficiency : scalar or (channels,)
        Relative response of the instrument, by which areas are corrected (:func:`unit_sum`).
    gain, read_noise
        As for :func:`~halidescope.analysis.unmixing.unmix` with noise="poisson", which made the amplitudes.
    """
    raw = np.atleast_2d(np.asarray(references, dtype=np.float64))
    response_of_light = np.asarray(efficiency, dtype=np.float64)
    shapes = unit_sum(raw, response_of_light)
    raw_se = np.broadcast_to(np.asarray(references_se, dtype=np.float64), raw.shape)
    k, channels = shapes.shape
    parameters = len(response)
    by_reference = np.zeros((k, parameters, channels))
    by_dark = np.zeros((parameters, channels))
    unit = np.eye(k)[component]
    for first in range(0, len(amplitudes), BLOCK):
        part = slice(first, first + BLOCK)
        a = amplitudes[part]
        model = a @ shapes
        variance = np.maximum(model, 0.0) / gain + read_noise**2
        weights = 1.0 / np.maximum(variance, 0.01 * variance.mean(axis=1, keepdims=True))
        inverse = inverse_of(np.einsum("ic,nc,jc->nij", shapes, weights, shapes, optimize=True))
        total = a.sum(axis=1, keepdims=True)
        slope = (unit - (a @ unit)[:, None] / total) / total      # ∂share/∂A
        q = (np.einsum("ni,nij->nj", slope, inverse) @ shapes) * weights
        for i in range(k):
            by_reference[i] -= (response[:, part] * a[:, i]) @ q
        by_dark -= response[:, part] @ q
    # a reference is scaled to unit sum after it was measured: F = raw / Σ (raw / response_of_light)
    by_reference -= np.einsum("ipc,ic->ip", by_reference, shapes)[:, :, None] / response_of_light
    scaled_se = raw_se / (raw / response_of_light).sum(axis=1, keepdims=True)
    covariance = np.einsum("ipc,iqc,ic->pq", by_reference, by_reference, scaled_se**2, optimize=True)
    dark_variance = np.broadcast_to(np.asarray(dark_se, dtype=np.float64), (channels,)) ** 2
    return covariance + (by_dark * dark_variance) @ by_dark.T


def gain_of(jacobian: Numbers, covariance: Numbers, sigma: Numbers) -> Numbers:
    """Response K (p, n) of a least-squares fit with Jacobian (n, p) and known errors (n,): C Jᵀ W."""
    return covariance @ (jacobian / sigma[:, None] ** 2).T


def reference_bias(
    shares: Callable[[Numbers], Numbers], references: ArrayLike, references_se: ArrayLike, *, seed: int = 0
) -> Numbers | float:
    """How far noise in the references shifts shares in the mean (errors in variables, second order), to be subtracted.

    ``shares`` unmixes the same spectra with the references (k, channels) that it is given. Draws are made in mirrored
    pairs, F + δ and F − δ: the first order cancels and a few pairs suffice, each being a mean over all channels.
    """
    raw = np.atleast_2d(np.asarray(references, dtype=np.float64))
    errors = np.broadcast_to(np.asarray(references_se, dtype=np.float64), raw.shape)
    if not errors.any():
        return 0.0
    rng = np.random.default_rng(seed)
    total: Numbers | float = 0.0
    for _ in range(PAIRS):
        noise = errors * rng.standard_normal(raw.shape)
        total = total + shares(raw + noise) + shares(raw - noise)
    return total / (2 * PAIRS) - shares(raw)
