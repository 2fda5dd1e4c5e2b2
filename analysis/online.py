"""Analysis that grows with the measurement: spectra in, shares and fits so far out. No clock, no thread, no file.

The references are brought to unit sum here, so that an amplitude is the number of counts of its phase and a share is a
share of the detected emission. Amplitudes are not held above zero: the bound would lift the mean of shares that are
zero, and what is fitted to many shares would be biased. The functions are those of the offline analysis.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.diffusion import Halo, fit_halo
from halidescope.analysis.kinetics import FEWEST_POINTS, Biexponential
from halidescope.analysis.kinetics_intervals import CONSTANT, interval_note, reported_intervals
from halidescope.analysis.kinetics_refit import GrowingFit
from halidescope.analysis.references import unit_sum
from halidescope.analysis.series_numbers import SeriesNumbers, told
from halidescope.analysis.unmixing import Unmixer

Numbers = NDArray[np.float64]
CURVE_POINTS = 200


@dataclass(frozen=True)
class SeriesFit(SeriesNumbers):
    """Kinetics of the growing share so far.

    The curve with its pointwise 95 % confidence band runs from 0 to ``phi_time_s``. ``note`` is one sentence for the
    reader of the numbers, or empty.
    """

    one_exponential_suffices: bool
    converged: bool
    fit_time_s: Numbers
    fit_share: Numbers
    fit_low: Numbers
    fit_high: Numbers
    note: str
    kinetics: Biexponential


class OnlineUnmixing:
    """Unmixed spectra in the order of taking; what a series and a map have in common.

    Parameters
    ----------
    wavelength_nm : (channels,)
    references : (k, channels)
        Dark-free endmembers of any scale.
    labels
        Their k names; the last is the phase that grows.
    gain : float
        Electrons per count.
    read_noise : float
        Standard deviation of a dark spectrum, counts.

    Raises
    ------
    ValueError
        Lengths that do not match, or references that cannot be told apart.
    """

    def __init__(
        self,
        wavelength_nm: ArrayLike,
        references: ArrayLike,
        labels: tuple[str, ...] | list[str],
        *,
        gain: float = 1.0,
        read_noise: float = 0.0,
        saturation: float | None = None,
    ) -> None:
        self.wavelength_nm = np.asarray(wavelength_nm, dtype=np.float64)
        self.references = unit_sum(references)
        self.labels = tuple(labels)
        k, channels = self.references.shape
        if self.wavelength_nm.shape != (channels,):
            raise ValueError(f"{self.wavelength_nm.size} wavelengths, but references of {channels} channels")
        if len(self.labels) != k:
            raise ValueError(f"{len(self.labels)} labels for {k} references")
        self._unmixer = Unmixer(
            self.references, nonnegative=False, noise="poisson", gain=gain, read_noise=read_noise,
            saturation=saturation,
        )  # fmt: skip
        self._count = 0
        self._index = np.empty(64, dtype=np.int64)
        self._time_s = np.empty(64)
        self._time_se_s = np.empty(64)
        self._numbers = np.empty((64, 3, k))       # amplitudes, shares, their errors
        self._residual_rms = np.empty(64)
        self._flags = np.empty(64, dtype=np.int64)

    def add(
        self, index: ArrayLike, time_s: ArrayLike, counts: ArrayLike, dark: ArrayLike, time_se_s: ArrayLike = 0.0
    ) -> None:
        """Unmix one spectrum (channels,) or a batch (n, channels) and remember the result.

        ``index`` is the place of the point in the recipe, ``time_s`` its mid-exposure time and ``time_se_s`` the
        standard error of that, ``dark`` the dark spectrum (channels,), one per spectrum, or a number.
        """
        spectra = np.atleast_2d(np.asarray(counts))
        places, times = np.atleast_1d(np.asarray(index)), np.atleast_1d(np.asarray(time_s, dtype=np.float64))
        if not len(places) == len(times) == len(spectra):
            raise ValueError(f"{len(places)} indices and {len(times)} times for {len(spectra)} spectra")
        found = self._unmixer(spectra, dark)
        self._reserve(len(spectra))
        new = slice(self._count, self._count + len(spectra))
        self._index[new] = places
        self._time_s[new] = times
        self._time_se_s[new] = time_se_s
        self._numbers[new] = np.stack([found.amplitudes, found.shares, found.shares_se], axis=1)
        self._residual_rms[new] = found.residual_rms
        self._flags[new] = found.flags
        self._count = new.stop

    def _reserve(self, more: int) -> None:
        needed = self._count + more
        size = len(self._index)
        if needed <= size:
            return
        extra = max(needed, 2 * size) - size
        for name in ("_index", "_time_s", "_time_se_s", "_numbers", "_residual_rms", "_flags"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.empty((extra, *old.shape[1:]), dtype=old.dtype)]))

    @property
    def count(self) -> int:
        """Spectra analysed so far."""
        return self._count

    @property
    def index(self) -> NDArray[np.int64]:
        """Places in the recipe (n,)."""
        return self._index[: self._count]

    @property
    def time_s(self) -> Numbers:
        """Mid-exposure times (n,)."""
        return self._time_s[: self._count]

    @property
    def amplitudes(self) -> Numbers:
        """Counts of each phase (n, k)."""
        return self._numbers[: self._count, 0]

    @property
    def shares(self) -> Numbers:
        """Shares of emission (n, k); NaN where flagged."""
        return self._numbers[: self._count, 1]

    @property
    def shares_se(self) -> Numbers:
        """Standard errors of the shares (n, k)."""
        return self._numbers[: self._count, 2]

    @property
    def residual_rms(self) -> Numbers:
        """Root mean square of data minus model (n,), counts."""
        return self._residual_rms[: self._count]

    @property
    def flags(self) -> NDArray[np.int64]:
        """Bits of :class:`~halidescope.analysis.flags.Flag` (n,)."""
        return self._flags[: self._count]


class OnlineSeries(OnlineUnmixing):
    """A time series while it is being taken."""

    note: str = "no spectrum yet"
    _growing: GrowingFit | None = None

    def fit(self, *, thorough: bool = False) -> SeriesFit | None:
        """Kinetics of the last label's share so far; None while impossible, and ``note`` then says why.

        A fit starts from the last one where that can be trusted, a ``thorough`` one from everywhere, as offline.
        """
        self._growing = self._growing or GrowingFit()
        share, error = self.shares[:, -1], self.shares_se[:, -1]
        good = np.isfinite(share) & (error > 0)
        if len(self.labels) < 2:
            self.note = "one endmember only: its share is always 1; give a second reference for kinetics"
            return None
        if len(np.unique(self.time_s[good])) < FEWEST_POINTS:
            self.note = f"{int(good.sum())} usable spectra so far, the fit needs {FEWEST_POINTS}"
            return None
        found, used = self._growing.fit(
            self.time_s[good], share[good], rising=True, sigma=error[good], t_se=self._time_se_s[: self.count][good],
            thorough=thorough,
        )  # fmt: skip
        end = float(self.time_s[good].max())
        phi = found.share_at(end)
        at = np.linspace(0.0, end, CURVE_POINTS)
        band = found.band(at)
        intervals = reported_intervals(self.time_s[good], share[good], used, found, end)
        self.note = interval_note(intervals)
        if found.constant:
            self.note = CONSTANT
        elif not found.converged:
            self.note = "the fit has not settled: the spectra so far do not determine it"
        elif found.one_exponential_suffices:
            self.note = "one exponential suffices so far: the average rate is its rate, k1 and k2 are not determined"
        values = phi.value, found.average_rate, found.k1, found.k2, found.k01, found.k02
        errors = phi.se, found.average_rate_se, found.k1_se, found.k2_se, found.k01_se, found.k02_se
        return SeriesFit(
            **told(values, errors, intervals), phi_time_s=end,
            one_exponential_suffices=bool(found.one_exponential_suffices), converged=bool(found.converged),
            fit_time_s=at, fit_share=found.evaluate(at), fit_low=band.low, fit_high=band.high,
            intervals=intervals, note=self.note, kinetics=found,
        )  # fmt: skip


class OnlineMap(OnlineUnmixing):
    """A map while it is being taken; ``index`` is row × columns + column, in any order of taking.

    ``shape`` is (ny, nx). Pixels that are missing or flagged are masked. A pixel that is taken twice shows its last.
    """

    def __init__(
        self,
        wavelength_nm: ArrayLike,
        references: ArrayLike,
        labels: tuple[str, ...] | list[str],
        shape: tuple[int, int],
        *,
        gain: float = 1.0,
        read_noise: float = 0.0,
        saturation: float | None = None,
    ) -> None:
        super().__init__(
            wavelength_nm, references, labels, gain=gain, read_noise=read_noise, saturation=saturation
        )
        self.shape = shape

    def add(
        self, index: ArrayLike, time_s: ArrayLike, counts: ArrayLike, dark: ArrayLike, time_se_s: ArrayLike = 0.0
    ) -> None:
        """As :meth:`OnlineUnmixing.add`; ValueError for an index outside the map."""
        places = np.atleast_1d(np.asarray(index))
        pixels = self.shape[0] * self.shape[1]
        if ((places < 0) | (places >= pixels)).any():
            raise ValueError(f"index {int(places.max())} is outside a map of {pixels} pixels")
        super().add(index, time_s, counts, dark, time_se_s)

    def _map(self, values: Numbers) -> "np.ma.MaskedArray":
        out = np.full((self.shape[0] * self.shape[1], *values.shape[1:]), np.nan)
        out[self.index] = values
        return np.ma.masked_invalid(out.reshape(*self.shape, *values.shape[1:]))

    @property
    def amplitude_map(self) -> "np.ma.MaskedArray":
        """Counts of each phase (ny, nx, k)."""
        return self._map(self.amplitudes)

    @property
    def share_map(self) -> "np.ma.MaskedArray":
        """Shares of emission (ny, nx, k)."""
        return self._map(self.shares)

    @property
    def share_se_map(self) -> "np.ma.MaskedArray":
        """Standard errors of the shares (ny, nx, k)."""
        return self._map(self.shares_se)

    @property
    def residual_map(self) -> "np.ma.MaskedArray":
        """Root mean square of data minus model (ny, nx), counts."""
        return self._map(self.residual_rms)

    def halo(self, x_um: ArrayLike, y_um: ArrayLike) -> Halo:
        """Halo of the last label's share for columns at ``x_um`` and rows at ``y_um``; raises as :func:`fit_halo`."""
        return fit_halo(x_um, y_um, self.share_map[..., -1], self.share_se_map[..., -1])
