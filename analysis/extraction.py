"""Endmembers from the measurement itself, where no reference film and no pristine spectrum was measured.

Vertex component analysis (J. M. P. Nascimento, J. M. B. Dias, IEEE Trans. Geosci. Remote Sens. 2005, 43, 898) takes the
corners of the cloud of spectra; a non-negative factorisation (P. Paatero, U. Tapper, Environmetrics 1994, 5, 111)
starts there and alternates between shares and spectra, both by the exact non-negative, Poisson-weighted unmixing of
:mod:`~halidescope.analysis.unmixing`. Neither can know a phase that never occurs alone: every result says so.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.references import MOST_REFERENCES, block_means
from halidescope.analysis.unmixing import Unmixing, unmix

Numbers = NDArray[np.float64]
Method = Literal["nmf", "vertex"]
MOST_ROWS = 1500      # spectra used; more are thinned out evenly
MOST_CHANNELS = 400   # blocks of channels during the iteration; the last pass uses all
PASSES = 60
ROUNDING = 0.3        # counts; integers are no better known
SETTLED = 1e-4        # relative change of the misfit at which the factorisation ends


@dataclass(frozen=True)
class Extracted:
    """Endmembers found in a measurement.

    Attributes
    ----------
    spectra, spectra_se : (k, channels)
        Unit sum; standard errors *given the shares*, so they are lower limits. The phase that dominates the first
        spectra comes first, the one that gains most comes last.
    shares : (n, k)
        Of the ``rows`` used.
    rows : (n,)
        Indices of the spectra used, in C order over the leading shape.
    purity : (k,)
        Highest share that each endmember reaches anywhere: below 1 the phase was never seen alone.
    converged : bool
    warning : str
        To be shown wherever the shares are.
    """

    method: Method
    spectra: Numbers
    spectra_se: Numbers
    shares: Numbers
    rows: NDArray[np.int64]
    purity: Numbers
    converged: bool
    warning: str


def extract_endmembers(
    spectra: ArrayLike,
    count: int,
    *,
    method: Method = "nmf",
    dark: ArrayLike = 0.0,
    gain: float = 1.0,
    read_noise: float = 0.0,
    seed: int = 0,
) -> Extracted:
    """Find ``count`` endmembers in spectra (…, channels).

    Parameters
    ----------
    spectra : (…, channels)
        Counts; spectra that are not finite are left out.
    count : int
        2 to 6.
    method : {"nmf", "vertex"}
    dark : scalar or (channels,)
    gain, read_noise
        Electrons per count, standard deviation of a dark spectrum in counts.
    seed : int
        Of the directions that the vertex search looks into; the same seed gives the same result.

    Raises
    ------
    ValueError
        Another count or method, fewer sound spectra than three per endmember, or spectra that are all alike.
    """
    if method not in ("nmf", "vertex"):
        raise ValueError(f"method is {method!r}, allowed are 'nmf' and 'vertex'")
    if not 2 <= count <= MOST_REFERENCES:
        raise ValueError(f"{count} endmembers asked for, allowed are 2 to {MOST_REFERENCES}")
    data = np.asarray(spectra)
    flat = data.reshape(-1, data.shape[-1])
    level = np.broadcast_to(np.asarray(dark, dtype=np.float64), flat.shape[1:])
    good = np.flatnonzero(np.isfinite(flat).all(axis=1))
    if good.size < 3 * count:
        raise ValueError(f"{good.size} sound spectra, {count} endmembers need at least {3 * count}")
    rows = good[np.unique(np.linspace(0, good.size - 1, min(MOST_ROWS, good.size)).astype(np.int64))]
    values = flat[rows].astype(np.float64) - level
    corners = vertices(values, count, seed=seed)
    floor = max(read_noise, ROUNDING)
    converged = True
    if method == "nmf":
        corners, converged = _factorise(values, corners, gain, floor)
    sums = corners.sum(axis=1, keepdims=True)
    found = _unmixed(values, corners / sums, gain, floor)
    shares = np.nan_to_num(found.shares)
    errors = _unmixed(values.T, found.amplitudes.T, gain, floor).amplitudes_se.T
    order = _order(shares)
    return Extracted(
        method=method,
        spectra=(corners / sums)[order],
        spectra_se=errors[order],
        shares=shares[:, order],
        rows=rows,
        purity=shares.max(axis=0)[order],
        converged=converged,
        warning=_warning(method, converged),
    )


def vertices(values: Numbers, count: int, *, seed: int = 0) -> Numbers:
    """Corners (count, channels) of dark-free spectra (n, channels), cleaned of noise outside the signal's subspace.

    Each corner is the mean of the few most extreme spectra in its direction: a single one would be the noisiest.
    ``seed`` is that of the directions. ValueError where the spectra are all alike, or most are dark.
    """
    singular, right = np.linalg.svd(values, full_matrices=False)[1:]
    if not singular[0] > 0 or singular[count - 1] < 1e-9 * singular[0]:
        raise ValueError(f"the spectra are all alike: no {count} endmembers are in them")
    subspace = right[:count]
    projected = values @ subspace.T
    mean = projected.mean(axis=0)
    bright = projected @ mean
    usable = np.flatnonzero(bright > 0.2 * np.median(bright[bright > 0])) if (bright > 0).any() else np.arange(0)
    if usable.size < 3 * count:
        raise ValueError("most spectra hold no light after the dark was subtracted; check the dark")
    # perspective projection: brightness does not make a corner, composition does
    points = projected[usable] / bright[usable, None] * (mean @ mean)
    rng = np.random.default_rng(seed)
    few = max(1, usable.size // 200)
    found = np.zeros((count, count))
    for i in range(count):
        direction = rng.standard_normal(count)
        if i:
            basis = np.linalg.qr(found[:i].T)[0]
            direction -= basis @ (basis.T @ direction)
        else:
            direction -= mean * (mean @ direction) / (mean @ mean)
        height = np.abs(points @ direction)
        found[i] = points[np.argsort(height)[-few:]].mean(axis=0)
    return found @ subspace


def _factorise(values: Numbers, start: Numbers, gain: float, read_noise: float) -> tuple[Numbers, bool]:
    """Alternate between shares and spectra on blocks of channels; the last spectra are fitted on all channels."""
    length = -(-values.shape[1] // MOST_CHANNELS)
    coarse, noise = block_means(values, length) * length, read_noise * np.sqrt(length)
    basis = np.maximum(block_means(start, length), 0.0)
    basis /= basis.sum(axis=1, keepdims=True)
    settled, last = False, np.inf
    for _ in range(PASSES):
        amplitudes = _unmixed(coarse, basis, gain, noise).amplitudes
        basis = _unmixed(coarse.T, amplitudes.T, gain, noise).amplitudes.T
        sums = basis.sum(axis=1)
        basis, amplitudes = basis / sums[:, None], amplitudes * sums
        model = np.maximum(amplitudes @ basis, 1e-9)
        misfit = float(np.sum((coarse - model) ** 2 / (model + 1.0)))
        if last - misfit < SETTLED * misfit:
            settled = True
            break
        last = misfit
    amplitudes = _unmixed(coarse, basis, gain, noise).amplitudes
    return np.ascontiguousarray(_unmixed(values.T, amplitudes.T, gain, read_noise).amplitudes.T), settled


def _unmixed(values: Numbers, basis: Numbers, gain: float, read_noise: float) -> Unmixing:
    """Spectra into shapes, or channels into shares: the same problem either way."""
    return unmix(
        np.ascontiguousarray(values), np.ascontiguousarray(basis), nonnegative=True, noise="poisson", gain=gain,
        read_noise=read_noise,
    )  # fmt: skip


def _order(shares: Numbers) -> NDArray[np.int64]:
    """Endmembers by how much more they have in the first spectra than anywhere, the one that gains most last."""
    few = max(1, len(shares) // 20)
    gain = shares.max(axis=0) - shares[:few].mean(axis=0)
    return np.argsort(gain)


def _warning(method: Method, converged: bool) -> str:
    name = "a non-negative factorisation" if method == "nmf" else "vertex component analysis"
    unfinished = "" if converged else " The factorisation did not settle."
    return (
        f"The endmembers were extracted from the measurement itself by {name}, not measured: a phase that nowhere "
        f"occurs alone is found mixed, and all shares shift with it.{unfinished} Their errors do not contain this."
    )
