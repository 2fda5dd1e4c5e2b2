"""The online analysis of one measurement: which endmembers, and what is known so far.

The mathematics is in :mod:`halidescope.analysis.online`. When and in which process it happens is in
:mod:`halidescope.acquisition.analyst_process`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import RasterMap, Recipe, SingleRecipe, TimeSeries
from halidescope.acquisition.records import SpectrumRecord
from halidescope.acquisition.results import Number, OnlineResults
from halidescope.acquisition.storage import open_scan
from halidescope.analysis.composition import HC_EV_NM, peak_energy
from halidescope.analysis.library import BAND_SIGMA_EV, model_band
from halidescope.analysis.online import OnlineMap, OnlineSeries, SeriesFit

BROMIDE_RICH_EV = 2.42           # PL peak of the x = 0 film (da Cunha et al. 2025, table of films)
IODIDE_RICH_EV = HC_EV_NM / 688  # PL peak after phase segregation at x = 2 (ibid.)


@dataclass(frozen=True)
class Endmembers:
    """The spectra that others are taken apart into.

    Attributes
    ----------
    spectra : ndarray, shape (k, channels)
        Each with unit sum, on the spectrometer's own axis.
    labels : tuple of str
        The last is the phase that grows.
    note : str
        Where they come from.
    """

    spectra: NDArray[np.float64]
    labels: tuple[str, ...]
    note: str


def choose_endmembers(recipe: Recipe, wavelength_nm: NDArray[np.float64]) -> Endmembers | str:
    """Measured references of the recipe, else model bands by the film's composition, else why there are none.

    Raises
    ------
    ProblemError
        A reference file cannot be read, or does not cover the spectrometer's range.
    """
    asked = recipe.analysis
    if asked.references:
        if asked.labels and len(asked.labels) != len(asked.references):
            raise ProblemError(
                f"recipe: {len(asked.references)} references but {len(asked.labels)} labels; give one label for each"
            )
        spectra = [_measured(path, wavelength_nm) for path in asked.references]
        labels = asked.labels or tuple(Path(path).stem for path in asked.references)
        return Endmembers(np.stack(spectra), labels, "measured: " + ", ".join(asked.references))
    x = recipe.sample.composition
    if x is None:
        return "no unmixing: the recipe names neither references nor the film's composition"
    if not 0 < x < 3:
        return f"no unmixing: a film of x = {x:g} has one phase only; name references to compare it with"
    pristine_ev = float(peak_energy(x))
    # up to x = 1.5 light reconstructs towards bromide, beyond it segregates towards iodide (ibid., table of films)
    grown_ev, grown = (BROMIDE_RICH_EV, "Br-rich") if x < 1.75 else (IODIDE_RICH_EV, "I-rich")
    energy_ev = HC_EV_NM / wavelength_nm
    try:
        bands = np.stack([model_band(energy_ev, centre_ev) for centre_ev in (pristine_ev, grown_ev)])
    except ValueError as error:
        return f"no unmixing: {error}"
    return Endmembers(
        bands, ("pristine", grown),
        f"model bands ({pristine_ev:.3f} and {grown_ev:.3f} eV, σ = {BAND_SIGMA_EV * 1e3:g} meV), not measured: "
        "shares are indicative; name measured references in the recipe",
    )


def _measured(path: str, wavelength_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dark-subtracted mean of a reference measurement on our axis, unit sum."""
    with open_scan(path) as scan:
        mean = scan.mean_spectrum()
    low, high = mean.wavelength_nm[0], mean.wavelength_nm[-1]
    slack = abs(mean.wavelength_nm[1] - low)
    if wavelength_nm.min() < low - slack or wavelength_nm.max() > high + slack:
        raise ProblemError(
            f"reference {path}: covers {low:.0f} to {high:.0f} nm, the spectrometer {wavelength_nm.min():.0f} to "
            f"{wavelength_nm.max():.0f} nm; choose a reference of this spectrometer"
        )
    counts = np.interp(wavelength_nm, mean.wavelength_nm, mean.counts)
    if counts.sum() <= 0:
        raise ProblemError(f"reference {path}: its dark-subtracted mean has no light in it; choose another file")
    return counts / counts.sum()


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
        endmembers = choose_endmembers(recipe, wavelength_nm)
        if isinstance(endmembers, str):
            self._note = endmembers
            return
        self._note = ""
        read_noise = float(np.sqrt(dark.var(axis=0, ddof=1, dtype=np.float64).mean())) if len(dark) > 1 else 0.0
        spectra, labels = endmembers.spectra, endmembers.labels
        if isinstance(recipe, RasterMap):
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

    def fit(self) -> None:
        """Fit what was added; only a time series has a fit."""
        if self._growing and isinstance(self._unmixing, OnlineSeries) and self._unmixing.count:
            self._fit = self._unmixing.fit()
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
            numbers=_numbers(fit),
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


def _numbers(fit: SeriesFit) -> dict[str, Number]:
    """The fit's parameters that are known, with their errors."""
    numbers = {}
    for name in ("phi", "average_rate_per_s", "k1_per_s", "k2_per_s", "k01", "k02"):
        value, error = getattr(fit, name), getattr(fit, f"{name}_se")
        if math.isfinite(value):
            numbers[name] = Number(value, error if math.isfinite(error) else None)
    return numbers
