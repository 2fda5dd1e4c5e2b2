"""What a time series asks the simulation: the measured curve, the film's composition, the configuration."""

from typing import Any

import numpy as np

from halidescope.analysis.composition import iodine_fraction
from halidescope.analysis.kmc.config import PAPER
from halidescope.analysis.kmc.emission import centre_of_mass_ev, from_shares, from_spectra
from halidescope.analysis.kmc.inference import Measured
from halidescope.gui.run_data import RunData
from halidescope.gui.theme import phase_ranks

ROUNDED_TO = 0.1
"""Compositions from the emission are rounded to this: one training serves films that differ less."""


class NotComparableError(Exception):
    """Why a measurement cannot be compared (yet), a sentence."""


def curve_of(data: RunData, quantity: str) -> Measured:
    """The measured curve of a running or finished time series.

    Raises
    ------
    NotComparableError
        Too few spectra yet, or a film that segregates: the simulation knows the loss of iodide only.
    """
    if not data.labels or not len(data.references):
        raise NotComparableError("no comparison: the series has no endmembers to tell a share by")
    ranks = phase_ranks(data.wavelength_nm, data.references)
    if ranks[-1] != 0.0:
        raise NotComparableError(
            f"no comparison: the phase that grows here, {data.labels[-1]}, is not the bluest; the simulation knows the "
            "loss of iodide, not segregation"
        )
    try:
        if quantity == "bromide-share":
            time_s, shares, errors = data.shares_with_errors()
            return from_shares(time_s, shares[:, -1], errors[:, -1])
        if data.dark is None:
            raise NotComparableError("no comparison yet: the energy of the emission needs the dark spectrum")
        time_s, spectra = data.dark_subtracted()
        return from_spectra(time_s, data.wavelength_nm, spectra)
    except ValueError as error:
        raise NotComparableError(f"no comparison yet: {error}") from error


def composition_of(data: RunData) -> float:
    """Composition x of the film from the emission of its pristine endmember, rounded.

    Raises
    ------
    NotComparableError
        The emission is that of no composition.
    """
    energy = float(centre_of_mass_ev(data.wavelength_nm, data.references[0]))
    x = float(iodine_fraction(energy))
    if not np.isfinite(x):
        raise NotComparableError(
            f"no comparison: the pristine emission at {energy:.2f} eV is that of no composition; set x by hand"
        )
    return round(round(x / ROUNDED_TO) * ROUNDED_TO, 6)


def configuration_of(x: float) -> dict[str, dict[str, Any]]:
    """The paper's preset for a film of composition x, as tables."""
    return PAPER.of_composition(x).to_mapping()
