"""Unmixing with references that sit a little wrong: a small shift and a small broadening of each, linearised.

Spectrometers drift, films differ, and a reference that is off by 1 meV biases shares by far more than their statistical
error. To first order a band f(E) that is shifted by δ and broadened in variance by β is f − δ f′ + (β/2) f″, linear in
δ and β, so every reference gets its first (and second) derivative over energy as further, signed components (the
linearised nuisance parameters of template fits; e.g. the zero-order drift terms of P. M. Bevington, D. K. Robinson,
*Data Reduction and Error Analysis*, 3rd ed., ch. 8). The amplitudes of the derivatives carry no area, so shares of
emission remain A_i / ΣA. What is not known costs precision: errors of the shares grow as they should. The references'
own noise is common to all spectra and not in these errors.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import savgol_filter

from halidescope.analysis.flags import Flag
from halidescope.analysis.linear import inverse_of, propagate
from halidescope.analysis.references import check_references
from halidescope.analysis.unmixing import Unmixing, shares_of

Numbers = NDArray[np.float64]
WINDOW = 0.5        # of the full width of the narrowest band, over which derivatives are smoothed
ORDER = 4
SIGNIFICANT = 4.0   # amplitude in standard errors below which no shift of its band is claimed
FLOOR = 0.01        # smallest variance of a channel, in mean variances
PASSES = 6
BLOCK_BYTES = 8_000_000


@dataclass(frozen=True)
class NuisanceUnmixing:
    """Shares with the shift and broadening that each reference needed.

    Attributes
    ----------
    unmixing : Unmixing
        Amplitudes, shares, covariance of the amplitudes with the nuisance terms marginalised.
    shift_ev, shift_ev_se : (…, k)
        Of the band in the spectra against the reference, positive to higher energy; NaN where the band is too weak
        (below four standard errors) or shifts were not asked for.
    broadening_ev2, broadening_ev2_se : (…, k)
        Added variance σ² of the band, eV²; negative where the band is narrower than its reference. NaN as above.
    basis : (m, channels)
        References, then their shift terms, then their broadening terms.
    coefficients : (…, m)
        Amplitudes of ``basis``.
    """

    unmixing: Unmixing
    shift_ev: Numbers
    shift_ev_se: Numbers
    broadening_ev2: Numbers
    broadening_ev2_se: Numbers
    basis: Numbers
    coefficients: Numbers


def nuisance_terms(
    references: ArrayLike, energy_ev: ArrayLike, *, broadening: bool = False
) -> Numbers:
    """What a shift by +1 eV, and a variance larger by 1 eV², add to references (k, channels) to first order.

    Parameters
    ----------
    references : (k, channels)
        Counts per channel, dark-free.
    energy_ev : (channels,)
        Photon energies, strictly rising or falling, need not be even.
    broadening : bool
        Append the (k, channels) second-derivative terms.

    Returns
    -------
    (k, channels) or (2 k, channels)
    """
    basis = np.atleast_2d(np.asarray(references, dtype=np.float64))
    energy = np.asarray(energy_ev, dtype=np.float64)
    if energy.shape != basis.shape[1:]:
        raise ValueError(f"{energy.size} energies for references of {basis.shape[1]} channels")
    step = np.gradient(energy)
    if not ((step > 0).all() or (step < 0).all()):
        raise ValueError("energies must rise or fall throughout")
    curvature = np.gradient(step)
    width = np.abs(step)
    points = _window(basis)
    density = basis / width               # per eV: a shift moves the density, not the counts of a channel
    along = savgol_filter(density, points, ORDER, deriv=1, axis=-1)
    first = along / step
    terms = [-first * width]
    if broadening:
        second = (savgol_filter(density, points, ORDER, deriv=2, axis=-1) - first * curvature) / step**2
        terms.append(0.5 * second * width)
    return np.concatenate(terms)


def unmix_with_nuisance(
    spectra: ArrayLike,
    references: ArrayLike,
    energy_ev: ArrayLike,
    *,
    shift: bool = True,
    broadening: bool = False,
    nonnegative: bool = False,
    noise: Literal["gaussian", "poisson"] = "poisson",
    dark: ArrayLike = 0.0,
    gain: float = 1.0,
    read_noise: ArrayLike | None = None,
    saturation: float | None = None,
) -> NuisanceUnmixing:
    """Split spectra into references of which each may be shifted and broadened a little.

    First order only: it holds for shifts below about a quarter of a band's σ; check with
    :func:`~halidescope.analysis.residuals.check_residuals`.

    Parameters
    ----------
    spectra : (…, channels)
        Counts.
    references : (k, channels)
        As for :func:`~halidescope.analysis.unmixing.unmix`; bring them to unit sum for shares of emission.
    energy_ev : (channels,)
    shift, broadening : bool
        Which terms; at least one.
    nonnegative : bool
        Hold the amplitudes of the references (never the nuisance terms) at or above zero.
    noise, dark, gain, read_noise, saturation
        As for :func:`~halidescope.analysis.unmixing.unmix`; ``dark`` a number or (channels,).

    Raises
    ------
    ValueError
        As :func:`~halidescope.analysis.unmixing.unmix` and :func:`nuisance_terms`; neither term asked for; bands so
        close that their shift cannot be told from their mixing.
    """
    if not (shift or broadening):
        raise ValueError("neither shift nor broadening is asked for; use unmix")
    if noise not in ("gaussian", "poisson"):
        raise ValueError(f"noise is {noise!r}, allowed are 'gaussian' and 'poisson'")
    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain is {gain} electrons per count, it must be positive")
    shapes = check_references(references)
    k, channels = shapes.shape
    data = np.asarray(spectra)
    if data.ndim == 0 or data.shape[-1] != channels:
        raise ValueError(f"spectra have shape {data.shape}, references {channels} channels")
    terms = nuisance_terms(shapes, energy_ev, broadening=True)
    chosen = ([terms[:k]] if shift else []) + ([terms[k:]] if broadening else [])
    basis = np.concatenate([shapes, *chosen])
    norms = np.linalg.norm(basis, axis=1)
    if np.linalg.svd(basis / norms[:, None], compute_uv=False)[-1] < 1e-6:
        raise ValueError("references are so alike that a shift of one cannot be told from the other; leave one out")
    lead = data.shape[:-1]
    rows = data.reshape(-1, channels)
    level = np.broadcast_to(np.asarray(dark, dtype=np.float64), (channels,))
    fixed = level / gain if read_noise is None else np.broadcast_to(np.asarray(read_noise, float) ** 2, (channels,))
    scaled = basis / norms[:, None]
    n, m = len(rows), len(basis)
    found, covariance, rms = np.full((n, m), np.nan), np.full((n, m, m), np.nan), np.full(n, np.nan)
    flags = np.zeros(n, dtype=np.int64)
    length = max(1, BLOCK_BYTES // (8 * channels))
    for first in range(0, n, length):
        part = slice(first, first + length)
        values = rows[part].astype(np.float64) - level
        sound: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
        flags[first + np.flatnonzero(~sound)] = Flag.NOT_FINITE
        keep = np.ones(values.shape, dtype=np.bool_)
        if saturation is not None:
            keep = np.asarray(rows[part] < saturation)
            flags[first + np.flatnonzero(~keep.all(axis=1) & sound)] |= Flag.SATURATED
        values = np.where(keep & sound[:, None], values, 0.0)
        amplitudes, inverse, model = _solve(values, keep, scaled, k, fixed, gain, noise == "poisson", nonnegative)
        residual = np.where(keep, values - model, 0.0)
        used = keep.sum(axis=1)
        squares = (residual**2).sum(axis=1)
        if noise == "gaussian":
            inverse = inverse * (squares / np.maximum(used - m, 1))[:, None, None]
        amplitudes[~sound], inverse[~sound] = np.nan, np.nan
        found[part], covariance[part] = amplitudes / norms, inverse / np.outer(norms, norms)
        rms[part] = np.where(sound, np.sqrt(squares / np.maximum(used, 1)), np.nan)
    return _result(found, covariance, rms, flags, basis, k, shift, broadening, lead)


def _solve(
    values: Numbers, keep: NDArray[np.bool_], basis: Numbers, k: int, fixed: Numbers, gain: float, poisson: bool,
    nonnegative: bool,
) -> tuple[Numbers, Numbers, Numbers]:  # fmt: skip
    """Amplitudes (n, m), inverse normal matrices (n, m, m) and models (n, channels) of spectra, by Fisher scoring."""
    weights = keep.astype(np.float64)
    amplitudes = np.zeros((len(values), len(basis)))
    pairs = (basis[:, None, :] * basis[None, :, :]).reshape(-1, basis.shape[1])
    for _ in range(PASSES if poisson else 1):
        before = amplitudes
        grams = (weights @ pairs.T).reshape(-1, len(basis), len(basis))
        inverse = inverse_of(grams)
        right = (weights * values) @ basis.T
        amplitudes = np.einsum("nij,nj->ni", inverse, right)
        if nonnegative:
            _hold_at_zero(amplitudes, grams, right, k)
        model = amplitudes @ basis
        if not poisson:
            break
        variance = np.maximum(model, 0.0) / gain + fixed
        variance = np.maximum(variance, FLOOR * variance.mean(axis=1, keepdims=True))
        weights = keep / np.maximum(variance, np.finfo(float).tiny)
        moved = amplitudes - before
        if np.nanmax(np.einsum("ni,nij,nj->n", moved, grams, moved), initial=0.0) < 1e-6:
            break
    return amplitudes, inverse, model


def _hold_at_zero(amplitudes: Numbers, grams: Numbers, right: Numbers, k: int) -> None:
    """Exact minimum with the first k amplitudes not negative: every set of held ones is tried, the best is kept."""
    m = amplitudes.shape[1]
    for row in np.flatnonzero((amplitudes[:, :k] < 0).any(axis=1)).tolist():
        best, gain = np.zeros(m), -np.inf
        for support in range(1 << k):
            free = [i for i in range(k) if support >> i & 1] + list(range(k, m))
            part = np.linalg.lstsq(grams[row][np.ix_(free, free)], right[row, free], rcond=None)[0]
            if (part[: len(free) - (m - k)] < 0).any():
                continue
            saved = float(part @ right[row, free])      # how much of the sum of squares it explains
            if saved > gain:
                best, gain = np.zeros(m), saved
                best[free] = part
        amplitudes[row] = best


def _result(
    found: Numbers, covariance: Numbers, rms: Numbers, flags: NDArray[np.int64], basis: Numbers, k: int, shift: bool,
    broadening: bool, lead: tuple[int, ...],
) -> NuisanceUnmixing:  # fmt: skip
    m = len(basis)
    amplitudes, own = np.ascontiguousarray(found[:, :k]), np.ascontiguousarray(covariance[:, :k, :k])
    shares, shares_se = shares_of(amplitudes, own)
    flags[np.isnan(shares).any(axis=1) & ((flags & Flag.NOT_FINITE) == 0)] |= Flag.NO_SIGNAL
    unmixing = Unmixing(
        amplitudes=amplitudes.reshape(*lead, k),
        amplitudes_se=np.sqrt(np.einsum("nii->ni", own)).reshape(*lead, k),
        shares=shares.reshape(*lead, k),
        shares_se=shares_se.reshape(*lead, k),
        covariance=own.reshape(*lead, k, k),
        residual_rms=rms.reshape(lead),
        flags=flags.reshape(lead),
    )
    moved, moved_se = _ratios(found, covariance, k, k if shift else None)
    wider, wider_se = _ratios(found, covariance, k, (2 * k if shift else k) if broadening else None)
    return NuisanceUnmixing(
        unmixing=unmixing,
        shift_ev=moved.reshape(*lead, k),
        shift_ev_se=moved_se.reshape(*lead, k),
        broadening_ev2=wider.reshape(*lead, k),
        broadening_ev2_se=wider_se.reshape(*lead, k),
        basis=basis,
        coefficients=found.reshape(*lead, m),
    )


def _ratios(found: Numbers, covariance: Numbers, k: int, first: int | None) -> tuple[Numbers, Numbers]:
    """Coefficient of each reference's term over its amplitude, with standard errors; NaN where the band is too weak."""
    values, errors = np.full((len(found), k), np.nan), np.full((len(found), k), np.nan)
    if first is None:
        return values, errors
    for i in range(k):
        amplitude, term = found[:, i], found[:, first + i]
        with np.errstate(divide="ignore", invalid="ignore"):
            strong = amplitude > SIGNIFICANT * np.sqrt(covariance[:, i, i])
        slope = np.zeros(found.shape)
        slope[strong, i] = -term[strong] / amplitude[strong] ** 2
        slope[strong, first + i] = 1.0 / amplitude[strong]
        values[strong, i] = term[strong] / amplitude[strong]
        errors[strong, i] = propagate(slope, np.nan_to_num(covariance))[strong]
    return values, errors


def _window(references: Numbers) -> int:
    """Odd number of channels over which derivatives are smoothed: half the full width of the narrowest band."""
    widths = []
    for row in references:
        top = savgol_filter(row, 5, 2).max()
        widths.append(int(np.count_nonzero(row > 0.5 * top)))
    points = round(WINDOW * min(widths)) | 1
    longest = (references.shape[1] - 1) | 1
    return int(min(max(points, ORDER + 3 - ORDER % 2), longest if longest <= references.shape[1] else longest - 2))
