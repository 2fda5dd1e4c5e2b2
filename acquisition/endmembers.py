"""Which endmembers the online analysis of a measurement takes its spectra apart into.

Apart from the analysis itself, so that an engine can refuse a wrong reference without loading any fitter.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.importers import open_any
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import AnyRecipe, Recipe, parts_of
from halidescope.analysis.composition import HC_EV_NM, peak_energy
from halidescope.analysis.library import BAND_SIGMA_EV, model_band

BROMIDE_RICH_EV = 2.42           # PL peak of the x = 0 film (da Cunha et al. 2025, table of films)
IODIDE_RICH_EV = HC_EV_NM / 688  # PL peak after phase segregation at x = 2 (ibid.)
TURNS_AT_X = 1.75                # between the films that reconstruct and those that segregate


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


def phases_of(x: float) -> tuple[tuple[str, float], tuple[str, float]]:
    """Names and PL peaks in eV of a film of composition x, 0 < x < 3, as made and as light makes it.

    Up to x = 1.5 light reconstructs towards bromide, beyond it segregates towards iodide (ibid., table of films).
    """
    grown = ("Br-rich", BROMIDE_RICH_EV) if x < TURNS_AT_X else ("I-rich", IODIDE_RICH_EV)
    return ("pristine", float(peak_energy(x))), grown


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
    (pristine, pristine_ev), (grown, grown_ev) = phases_of(x)
    energy_ev = HC_EV_NM / wavelength_nm
    try:
        bands = np.stack([model_band(energy_ev, centre_ev) for centre_ev in (pristine_ev, grown_ev)])
    except ValueError as error:
        return f"no unmixing: {error}"
    return Endmembers(
        bands, (pristine, grown),
        f"model bands ({pristine_ev:.3f} and {grown_ev:.3f} eV, σ = {BAND_SIGMA_EV * 1e3:g} meV), not measured: "
        "shares are indicative; name measured references in the recipe",
    )


def endmember_problems(recipe: AnyRecipe, wavelength_nm: NDArray[np.float64]) -> list[str]:
    """Sentences about references that cannot be used; empty if there is nothing against them."""
    problems = []
    for part in parts_of(recipe):
        try:
            choose_endmembers(part, wavelength_nm)
        except ProblemError as error:
            problems.append(str(error))
    return list(dict.fromkeys(problems))


def _measured(path: str, wavelength_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dark-subtracted mean of a reference measurement on our axis, unit sum."""
    with open_any(path) as scan:
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
