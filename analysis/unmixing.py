"""Linear unmixing: a spectrum as a sum of reference spectra, and the share of each in the emission.

S(λ) = Σ A_i F_i(λ); contribution of phase i = A_i / Σ A (T. R. da Cunha et al., ACS Appl. Mater. Interfaces 2025, 17,
14389, analysis of the spectra). Shares are shares of *emission*, not volume fractions: carriers funnel to iodide-rich
regions and quantum yields differ. Where the references come from is not decided here.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.block_sums import subtract
from halidescope.analysis.flags import Flag
from halidescope.analysis.missing import with_nan
from halidescope.analysis.parallel import over_rows
from halidescope.analysis.poisson_kernels import poisson_counts, poisson_rows
from halidescope.analysis.readable import for_kernels
from halidescope.analysis.references import Prepared, block_means, check_references, prepare, side_by_side
from halidescope.analysis.unmixing_kernels import finish_rows, least_squares_rows, mark_saturated, share_rows
from halidescope.analysis.vectors import aligned

Noise = Literal["gaussian", "poisson"]
REMAINING = 1e-3          # of a reference's norm: with less of it left, nothing is said of its amplitude
BLOCK_BYTES = 3_000_000   # work is cut into parts of this size: no copy of a whole map
Numbers = NDArray[np.float64]


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

    amplitudes: Numbers
    amplitudes_se: Numbers
    shares: Numbers
    shares_se: Numbers
    covariance: Numbers
    residual_rms: Numbers
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
        Counts as the detector gave them, any real type; a spectrum with masked channels is flagged NOT_FINITE.
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
        if saturation is not None and not saturation > 0:
            raise ValueError(f"saturation is {saturation} counts, it must be positive, or None")
        if read_noise is not None and not (np.isfinite(read_noise) & (np.asarray(read_noise) >= 0)).all():
            raise ValueError("read_noise must be finite and not negative, counts")
        self.saturation = saturation
        channels = self.references.shape[1]
        self.dark_is_poisson = read_noise is None
        self.read_variance = _rows_of("read_noise", 0.0 if read_noise is None else read_noise, (), channels)[0] ** 2
        self._prepared = prepare(self.references)

    def __call__(self, spectra: ArrayLike, dark: ArrayLike = 0) -> Unmixing:
        """Unmix ``spectra`` (…, channels) after subtraction of ``dark``; ValueError where the shapes do not fit."""
        data = with_nan(spectra)
        k, channels = self.references.shape
        if data.ndim == 0 or data.shape[-1] != channels:
            raise ValueError(
                f"spectra have {data.shape[-1] if data.ndim else 0} channels, references {channels}; "
                "put both on the same wavelength axis"
            )
        if data.dtype.kind not in "uifb":
            raise ValueError(f"spectra are of type {data.dtype}, expected real numbers")
        lead = data.shape[:-1]
        rows = data.reshape(-1, channels)
        darks = _rows_of("dark", dark, lead, channels)
        n = len(rows)
        found = _Results(n, k)
        common = len(darks) == 1
        fixed = None   # the part of the variance that does not depend on the light, once where the dark is common
        if self.noise == "poisson" and (common or not self.dark_is_poisson):
            fixed = self._fixed_variance(darks, self.read_variance, self._prepared.block_length)

        def unmix_part(part: slice) -> None:
            self._rows(rows[part], darks if common else darks[part], fixed, found.part(part))

        # detector integers are read in place; everything else needs float64 copies
        in_place = data.dtype == np.uint16 and rows.flags.c_contiguous and common
        over_rows(unmix_part, n, longest=max(1, (40 if in_place else 1) * BLOCK_BYTES // (8 * channels)))
        return Unmixing(
            amplitudes=found.amplitudes.reshape(*lead, k),
            amplitudes_se=found.amplitudes_se.reshape(*lead, k),
            shares=found.shares.reshape(*lead, k),
            shares_se=found.shares_se.reshape(*lead, k),
            covariance=found.covariance.reshape(*lead, k, k),
            residual_rms=found.residual_rms.reshape(lead),
            flags=found.flags.reshape(lead),
        )

    def _rows(self, spectra: NDArray[Any], dark: Numbers, fixed: Numbers | None, found: "_Results") -> None:
        """Fill the results of some rows; detector integers are read as they are, other types as float64."""
        channels = self.references.shape[1]
        kept = np.uint16 if spectra.dtype == np.uint16 else np.float64
        values: NDArray[Any] = np.ascontiguousarray(spectra, dtype=kept)
        self._solve(self._prepared, values, dark, self.read_variance, found, fixed)
        if self.saturation is not None:
            mark_saturated(values, float(self.saturation), found.flags)
            for row in np.flatnonzero(found.flags & Flag.SATURATED).tolist():
                self._cut_row(values[row], dark[row if len(dark) > 1 else 0], found.part(slice(row, row + 1)))
        finish_rows(channels, *found.parts())

    def _fixed_variance(self, dark: Numbers, read_variance: Numbers, length: int) -> Numbers:
        """Variance of every block without light, (1, blocks) or (n, blocks), counts²."""
        values = dark / self.gain if self.dark_is_poisson else read_variance[None]
        return np.maximum(np.nan_to_num(block_means(values, length)), 0.0)

    def _cut_row(self, values: NDArray[Any], dark: Numbers, found: "_Results") -> None:
        """One row again without its saturated channels; NaN where what remains cannot tell the references apart."""
        found.amplitudes[:] = np.nan
        keep = values < self.saturation
        whole = np.linalg.norm(self.references, axis=1)
        if (np.linalg.norm(self.references[:, keep], axis=1) < REMAINING * whole).any():
            return   # flagged by its NaN, as below
        try:
            prepared = prepare(check_references(self.references[:, keep]))
        except ValueError:   # the result is flagged by its NaN: this is one bad pixel of many
            return
        self._solve(prepared, values[None, keep], dark[None, keep], self.read_variance[keep], found)
        found.squares *= keep.size / keep.sum()   # the mean is taken over all channels

    def _solve(
        self, prepared: Prepared, values: NDArray[Any], dark: Numbers, read_variance: Numbers, found: "_Results",
        fixed: Numbers | None = None,
    ) -> None:  # fmt: skip
        """Amplitudes, their covariance and the sum of squared residuals of every row of ``values``."""
        results = found.amplitudes, found.covariance, found.squares
        if self.noise == "gaussian":
            if len(dark) > 1:
                values, dark = self._corrected(values, dark, found), np.zeros((1, values.shape[1]))
            least_squares_rows(
                values, dark[0], prepared.left, prepared.reduced, prepared.inverses, prepared.gram_inverse,
                self.nonnegative, *results,
            )  # fmt: skip
            return
        length = prepared.block_length
        if fixed is None:
            fixed = self._fixed_variance(dark, read_variance, length)
        if values.dtype == np.uint16 and len(dark) == 1 and prepared.beside.size and np.little_endian:
            poisson_counts(
                values, dark[0], side_by_side(dark[0], length), fixed, prepared.padded, prepared.beside, length,
                prepared.pairs, prepared.means, self.gain, self.nonnegative, *results,
            )  # fmt: skip
            return
        poisson_rows(
            self._corrected(values, dark, found), fixed, prepared.padded, length, prepared.pairs, prepared.means,
            self.gain, self.nonnegative, *results,
        )  # fmt: skip

    @staticmethod
    def _corrected(values: NDArray[Any], dark: Numbers, found: "_Results") -> Numbers:
        """``values`` less ``dark``; ``found`` gets the sums of their squares."""
        corrected = np.empty(values.shape)
        subtract(values, dark, corrected, found.squares)
        return corrected


def shares_of(amplitudes: Numbers, covariance: Numbers) -> tuple[Numbers, Numbers]:
    """Shares A_i / ΣA (n, k) and standard errors by linear propagation; NaN where ΣA is not positive."""
    shares, errors = np.empty(amplitudes.shape), np.empty(amplitudes.shape)
    share_rows(amplitudes, covariance, shares, errors)
    return shares, errors


class _Results:
    """Arrays that the kernels fill, one row a spectrum."""

    def __init__(self, n: int, k: int) -> None:
        # one piece of memory: for a large one the system gives large pages, and first touching small ones took a
        # quarter of the whole unmixing
        room = np.empty(n * (k * k + 4 * k + 3))
        pieces = np.split(room, np.cumsum([n * k] * 4 + [n * k * k, n, n]))
        self.amplitudes, self.amplitudes_se, self.shares, self.shares_se = (piece.reshape(n, k) for piece in pieces[:4])
        self.covariance = pieces[4].reshape(n, k, k)
        self.squares, self.residual_rms = pieces[5], pieces[6]
        self.flags = pieces[7].view(np.int64)
        self.flags[:] = 0

    def parts(self) -> tuple[Any, ...]:
        """In the order of :func:`~halidescope.analysis.unmixing_kernels.finish_rows`."""
        return (
            self.amplitudes, self.covariance, self.squares, self.amplitudes_se, self.shares, self.shares_se,
            self.residual_rms, self.flags,
        )  # fmt: skip

    def part(self, rows: slice) -> "_Results":
        """Views of some rows."""
        view = object.__new__(_Results)
        view.__dict__.update({name: values[rows] for name, values in self.__dict__.items()})
        return view


def _rows_of(name: str, values: ArrayLike, lead: tuple[int, ...], channels: int) -> Numbers:
    """A scalar, a spectrum or a stack as (1, channels) or (n, channels) float64."""
    array = for_kernels(np.asarray(values, dtype=np.float64))
    if array.ndim <= 1:
        if array.ndim == 1 and array.shape != (channels,):
            raise ValueError(f"{name} has {array.shape[0]} channels, the spectra have {channels}")
        one = aligned((1, channels))
        one[:] = array
        return one
    if array.shape != (*lead, channels):
        raise ValueError(f"{name} has shape {array.shape}, the spectra {(*lead, channels)}")
    return array.reshape(-1, channels)
