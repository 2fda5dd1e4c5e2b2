"""Linear unmixing: a spectrum as a sum of reference spectra, and the share of each in the emission.

S(λ) = Σ A_i F_i(λ); contribution of phase i = A_i / Σ A (T. R. da Cunha et al., ACS Appl. Mater. Interfaces 2025, 17,
14389, analysis of the spectra). Shares are shares of *emission*, not volume fractions: carriers funnel to iodide-rich
regions and quantum yields differ. Where the references come from is not decided here.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.flags import Flag
from halidescope.analysis.linear import inverse_of
from halidescope.analysis.unmixing_kernels import score_poisson

Noise = Literal["gaussian", "poisson"]
MOST_REFERENCES = 6
BLOCK_BYTES = 2_000_000   # spectra are converted to float64 in blocks of this size: no copy of a whole map


@dataclass(frozen=True)
class Unmixing:
    """Amplitudes and shares of k references in spectra of any leading shape.

    Attributes
    ----------
    amplitudes, amplitudes_se : (…, k)
        In counts per unit of the references, with standard errors.
    shares, shares_se : (…, k)
        A_i / ΣA and their standard errors, the correlation of the amplitudes included.
    covariance : (…, k, k)
        Of the amplitudes, of the estimate *without* the bound at zero: an amplitude that is held at zero is not known
        better than one that is not.
    residual_rms : (…)
        Root mean square of data minus model over the channels used, counts.
    flags : (…)
        Bits of :class:`~halidescope.analysis.flags.Flag`. NOT_FINITE: numbers are NaN. NO_SIGNAL: ΣA is not positive,
        shares are NaN. SATURATED: channels at or above ``saturation`` were left out.
    """

    amplitudes: NDArray[np.float64]
    amplitudes_se: NDArray[np.float64]
    shares: NDArray[np.float64]
    shares_se: NDArray[np.float64]
    covariance: NDArray[np.float64]
    residual_rms: NDArray[np.float64]
    flags: NDArray[np.int64]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where shares are numbers."""
        return (self.flags & (Flag.NOT_FINITE | Flag.NO_SIGNAL)) == 0


def unmix(
    spectra: ArrayLike,
    references: ArrayLike,
    *,
    nonnegative: bool = True,
    noise: Noise = "gaussian",
    dark: ArrayLike = 0,
    gain: float = 1,
    read_noise: ArrayLike | None = None,
    saturation: float | None = None,
) -> Unmixing:
    """Split spectra into references.

    Parameters
    ----------
    spectra : (…, channels)
        Counts as the detector gave them, any real type.
    references : (k, channels)
        1 to 6 endmembers on the same channels. Give each unit area if shares of emission are wanted.
    nonnegative : bool
        Exact non-negative solution (enumeration of the supports); otherwise plain least squares by SVD.
    noise : {"gaussian", "poisson"}
        "gaussian": equal, unknown variance in all channels, estimated from the residual. "poisson": variance from the
        *fitted model*, iterated (Fisher scoring), which is efficient and, unlike weights from the counts, unbiased.
    dark : scalar, (channels,) or (…, channels)
        Subtracted from the spectra, counts.
    gain : float
        Electrons per count; for noise="poisson".
    read_noise : scalar or (channels,), optional
        Standard deviation of a dark spectrum, counts; for noise="poisson". Without it the dark is taken to be Poisson
        itself: variance = (model + dark) / gain. With it: variance = model / gain + read_noise².
    saturation : float, optional
        Channels at or above this count are left out and the spectrum is flagged.

    Returns
    -------
    Unmixing

    Raises
    ------
    ValueError
        References that are not finite, zero, collinear, too many or of another length than the spectra; a gain that is
        not positive; a dark that does not fit the spectra.
    """
    return Unmixer(
        references, nonnegative=nonnegative, noise=noise, gain=gain, read_noise=read_noise, saturation=saturation
    )(spectra, dark)


class Unmixer:
    """:func:`unmix` for one set of references, prepared once and applied to many spectra; same parameters."""

    def __init__(
        self,
        references: ArrayLike,
        *,
        nonnegative: bool = True,
        noise: Noise = "gaussian",
        gain: float = 1,
        read_noise: ArrayLike | None = None,
        saturation: float | None = None,
    ) -> None:
        if noise not in ("gaussian", "poisson"):
            raise ValueError(f"noise is {noise!r}, allowed are 'gaussian' and 'poisson'")
        if not (np.isfinite(gain) and gain > 0):
            raise ValueError(f"gain is {gain} electrons per count, it must be positive")
        self.references = check_references(references)
        self.nonnegative = nonnegative
        self.noise = noise
        self.gain = float(gain)
        self.saturation = saturation
        channels = self.references.shape[1]
        self.dark_is_poisson = read_noise is None
        self.read_variance = _rows_of("read_noise", 0.0 if read_noise is None else read_noise, (), channels)[0] ** 2
        self._solver = _LeastSquares(self.references, nonnegative)

    def __call__(self, spectra: ArrayLike, dark: ArrayLike = 0) -> Unmixing:
        """Unmix ``spectra`` (…, channels) after subtraction of ``dark``; ValueError where the shapes do not fit."""
        data = np.asarray(spectra)
        k, channels = self.references.shape
        if data.ndim == 0 or data.shape[-1] != channels:
            raise ValueError(
                f"spectra have {data.shape[-1] if data.ndim else 0} channels, references {channels}; "
                "put both on the same wavelength axis"
            )
        lead = data.shape[:-1]
        rows = data.reshape(-1, channels)
        darks = _rows_of("dark", dark, lead, channels)
        n = len(rows)
        amplitudes, covariance = np.empty((n, k)), np.empty((n, k, k))
        residual_rms, flags = np.empty(n), np.zeros(n, dtype=np.int64)
        block = max(1, BLOCK_BYTES // (8 * channels))
        for first in range(0, n, block):
            part = slice(first, min(first + block, n))
            self._block(
                rows[part], darks[part] if len(darks) > 1 else darks,
                amplitudes[part], covariance[part], residual_rms[part], flags[part],
            )  # fmt: skip
        shares, shares_se = shares_of(amplitudes, covariance)
        flags[np.isnan(shares).any(axis=1) & ((flags & Flag.NOT_FINITE) == 0)] |= Flag.NO_SIGNAL
        return Unmixing(
            amplitudes=amplitudes.reshape(*lead, k),
            amplitudes_se=np.sqrt(np.einsum("nii->ni", covariance)).reshape(*lead, k),
            shares=shares.reshape(*lead, k),
            shares_se=shares_se.reshape(*lead, k),
            covariance=covariance.reshape(*lead, k, k),
            residual_rms=residual_rms.reshape(lead),
            flags=flags.reshape(lead),
        )

    def _block(
        self,
        spectra: NDArray[np.generic],
        dark: NDArray[np.float64],
        amplitudes: NDArray[np.float64],
        covariance: NDArray[np.float64],
        residual_rms: NDArray[np.float64],
        flags: NDArray[np.int64],
    ) -> None:
        """Fill the results of a block of rows."""
        k, channels = self.references.shape
        raw = spectra.astype(np.float64)
        values = raw - dark
        bad = ~np.isfinite(values).all(axis=1)
        values[bad] = 0.0
        left_out, good = None, np.full(len(values), channels)
        if self.saturation is not None:
            left_out = raw >= self.saturation
            good -= left_out.sum(axis=1)
            flags[good < channels] |= Flag.SATURATED
        amplitudes[:] = self._solver.solve(values, left_out)
        if self.noise == "poisson":
            weighted = values if left_out is None else np.where(left_out, np.nan, values)
            background = np.nan_to_num(dark) if self.dark_is_poisson else np.zeros((1, channels))
            grams = np.empty((len(values), k, k))
            score_poisson(
                weighted, self.references, np.ascontiguousarray(background), self.gain, self.read_variance,
                self.nonnegative, amplitudes, grams,
            )  # fmt: skip
            covariance[:] = inverse_of(grams)
        residual = values - amplitudes @ self.references
        if left_out is not None:
            residual[left_out] = 0.0
        squares = np.einsum("ij,ij->i", residual, residual)
        residual_rms[:] = np.sqrt(squares / np.maximum(good, 1))
        if self.noise == "gaussian":
            spread = squares / np.maximum(good - k, 1)
            covariance[:] = spread[:, None, None] * self._solver.inverse_gram(left_out)
        unusable = bad | (good <= k)
        flags[unusable] |= Flag.NOT_FINITE
        for numbers in (amplitudes, covariance, residual_rms):
            numbers[unusable] = np.nan


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


def unit_sum(references: ArrayLike) -> NDArray[np.float64]:
    """References (k, channels) scaled to unit sum: amplitudes are then counts, and shares are shares of emission."""
    basis = np.atleast_2d(np.asarray(references, dtype=np.float64))
    sums = basis.sum(axis=-1, keepdims=True)
    if not (sums > 0).all():
        raise ValueError(f"reference {int(np.argmin(sums))} has no positive area; was the right dark subtracted?")
    return basis / sums


def shares_of(
    amplitudes: NDArray[np.float64], covariance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares A_i / ΣA (n, k) and standard errors by linear propagation; NaN where ΣA is not positive."""
    total = amplitudes.sum(axis=-1, keepdims=True)
    total = np.where(total > 0, total, np.nan)
    shares = amplitudes / total
    k = amplitudes.shape[-1]
    slope = (np.eye(k) - shares[..., :, None]) / total[..., None]   # ∂share_i / ∂A_j = (δ_ij − share_i) / ΣA
    variance = np.einsum("...ij,...jm,...im->...i", slope, covariance, slope)
    return shares, np.sqrt(np.maximum(variance, 0.0))


class _LeastSquares:
    """Equal-weight solutions for one set of references: everything that does not depend on the data is done once."""

    def __init__(self, basis: NDArray[np.float64], nonnegative: bool) -> None:
        self.basis = basis
        self.nonnegative = nonnegative
        k = len(basis)
        self.left, singular, right = np.linalg.svd(basis.T, full_matrices=False)
        self.reduced = singular[:, None] * right          # basis.T = left @ reduced
        self.pseudo_inverse = right.T / singular
        self.gram_inverse = self.pseudo_inverse @ self.pseudo_inverse.T
        supports = [s for size in range(k - 1, 0, -1) for s in combinations(range(k), size)]
        self.supports = [(list(s), np.linalg.pinv(self.reduced[:, list(s)])) for s in supports]

    def solve(self, values: NDArray[np.float64], left_out: NDArray[np.bool_] | None) -> NDArray[np.float64]:
        """Amplitudes (n, k); rows with channels left out are solved on the channels that remain."""
        amplitudes = self._solve_reduced(values @ self.left)
        if left_out is not None:
            for row in np.flatnonzero(left_out.any(axis=1)):
                keep = ~left_out[row]
                if keep.sum() > len(self.basis):
                    part = _LeastSquares(self.basis[:, keep], self.nonnegative)
                    amplitudes[row] = part.solve(values[row : row + 1, keep], None)[0]
        return amplitudes

    def _solve_reduced(self, projected: NDArray[np.float64]) -> NDArray[np.float64]:
        amplitudes = projected @ self.pseudo_inverse.T
        if not self.nonnegative:
            return amplitudes
        rows = np.flatnonzero((amplitudes < 0).any(axis=1))
        if rows.size == 0:
            return amplitudes
        wanted = projected[rows]
        best = np.zeros((rows.size, len(self.basis)))
        misfit = np.einsum("ij,ij->i", wanted, wanted)
        for members, inverse in self.supports:
            trial = wanted @ inverse.T
            difference = wanted - trial @ self.reduced[:, members].T
            squares = np.einsum("ij,ij->i", difference, difference)
            better = (trial >= 0).all(axis=1) & (squares < misfit)
            best[better] = 0.0
            best[np.ix_(better, members)] = trial[better]
            misfit[better] = squares[better]
        amplitudes[rows] = best
        return amplitudes

    def inverse_gram(self, left_out: NDArray[np.bool_] | None) -> NDArray[np.float64]:
        """(FᵀF)⁻¹ for all rows (1, k, k), or per row where channels are left out (n, k, k)."""
        if left_out is None or not left_out.any():
            return self.gram_inverse[None]
        weights = (~left_out).astype(np.float64)
        return inverse_of(np.einsum("ic,nc,jc->nij", self.basis, weights, self.basis))


def _rows_of(name: str, values: ArrayLike, lead: tuple[int, ...], channels: int) -> NDArray[np.float64]:
    """A scalar, a spectrum or a stack as (1, channels) or (n, channels) float64."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim <= 1:
        if array.ndim == 1 and array.shape != (channels,):
            raise ValueError(f"{name} has {array.shape[0]} channels, the spectra have {channels}")
        return np.ascontiguousarray(np.broadcast_to(array, (1, channels)))
    if array.shape != (*lead, channels):
        raise ValueError(f"{name} has shape {array.shape}, the spectra {(*lead, channels)}")
    return array.reshape(-1, channels)
