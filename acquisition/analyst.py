"""The online analysis of one measurement: what is known so far.

The mathematics is in :mod:`halidescope.analysis.online`, the choice of endmembers in
:mod:`halidescope.acquisition.endmembers`. When and in which process it happens is in
:mod:`halidescope.acquisition.analyst_worker`.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.endmembers import Endmembers, choose_endmembers
from halidescope.acquisition.recipes import Background, RasterMap, SingleRecipe, TimeSeries
from halidescope.acquisition.records import SpectrumRecord
from halidescope.acquisition.results import OnlineResults, numbers_of
from halidescope.analysis.online import OnlineMap, OnlineSeries, SeriesFit


class Analyst:
    """Analyses one measurement, spectrum after spectrum.

    Parameters
    ----------
    recipe : Recipe
    wavelength_nm : ndarray, shape (pixels,)
        The spectrometer's own axis.
    dark : ndarray, shape (count, pixels)
        Dark spectra; their mean is subtracted, their scatter is the read noise.
    saturation : float
        Counts at which a pixel is saturated.
    gain : float
        Photoelectrons per count.
    """

    def __init__(
        self,
        recipe: SingleRecipe,
        wavelength_nm: NDArray[np.float64],
        dark: NDArray[np.unsignedinteger],
        *,
        saturation: float,
        gain: float,
    ) -> None:
        self._dark = dark.mean(axis=0, dtype=np.float64) if len(dark) else np.zeros(len(wavelength_nm))
        self._unmixing: OnlineSeries | OnlineMap | None = None
        self._fit: SeriesFit | None = None
        self._sent = 0
        self._growing = isinstance(recipe, TimeSeries)
        self._head = OnlineResults(kind=recipe.kind)
        endmembers: Endmembers | str = "a background has no shares"
        if not isinstance(recipe, Background):
            endmembers = choose_endmembers(recipe, wavelength_nm)
        if isinstance(endmembers, str):
            self._note = endmembers
            return
        self._note = ""
        read_noise = float(np.sqrt(dark.var(axis=0, ddof=1, dtype=np.float64).mean())) if len(dark) > 1 else 0.0
        spectra, labels = endmembers.spectra, endmembers.labels
        if isinstance(recipe, RasterMap):      # an adaptive map's points are counted, as a series' are
            self._unmixing = OnlineMap(
                wavelength_nm, spectra, labels, recipe.shape, gain=gain, read_noise=read_noise, saturation=saturation
            )
        else:
            self._unmixing = OnlineSeries(
                wavelength_nm, spectra, labels, gain=gain, read_noise=read_noise, saturation=saturation
            )
        self._head = OnlineResults(
            kind=recipe.kind, labels=labels, reference_note=endmembers.note, references=spectra.tolist()
        )

    def add(self, records: Sequence[SpectrumRecord]) -> None:
        """Unmix spectra, in the order of taking."""
        if self._unmixing is not None and records:
            self._unmixing.add(
                [record.index for record in records],
                [record.time_s for record in records],
                np.stack([record.counts for record in records]),
                self._dark,
                [record.time_se_s for record in records],
            )

    def fit(self, *, thorough: bool = False) -> None:
        """Fit what was added; only a time series has a fit. A ``thorough`` one, the last, forgets those before it."""
        if self._growing and isinstance(self._unmixing, OnlineSeries) and self._unmixing.count:
            self._fit = self._unmixing.fit(thorough=thorough)
            self._note = self._unmixing.note

    def news(self) -> OnlineResults:
        """A snapshot with the rows that the last one did not have."""
        done, fit = self._unmixing, self._fit
        if done is None:
            return msgspec.structs.replace(self._head, note=self._note)
        rows = slice(self._sent, None)
        snapshot = msgspec.structs.replace(
            self._head,
            references=self._head.references if self._sent == 0 else [],
            count=done.count,
            first=self._sent,
            index=done.index[rows].tolist(),
            time_s=done.time_s[rows].tolist(),
            amplitudes=_listed(done.amplitudes[rows]),
            shares=_listed(done.shares[rows]),
            shares_se=_listed(done.shares_se[rows]),
            residual_rms=_listed(done.residual_rms[rows]),
            note=self._note,
        )
        self._sent = done.count
        if fit is None:
            return snapshot
        return msgspec.structs.replace(
            snapshot,
            numbers={name: number for name, number in numbers_of(fit).items() if math.isfinite(number.value)},
            one_exponential_suffices=fit.one_exponential_suffices,
            share_is_constant=bool(fit.kinetics.constant),
            fit_time_s=fit.fit_time_s.tolist(),
            fit_share=_listed(fit.fit_share),
            fit_low=_listed(fit.fit_low),
            fit_high=_listed(fit.fit_high),
        )


def _listed(values: NDArray[np.float64]) -> Any:
    """As nested lists; a value that could not be computed becomes None, which JSON knows."""
    known = values.astype(object)
    known[~np.isfinite(values)] = None
    return known.tolist()
