"""One analysis of a measured file as it is kept: its results, whole, and what they were made from, and how.

What of an analysis is kept is decided in :mod:`halidescope.acquisition.findings`; the file it is kept in is
:mod:`halidescope.acquisition.results_file`.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.results import Number


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an analysis was made from, and how.

    ``data_sha256`` is that of the spectra and wavelengths, so it outlives a change of the file's description;
    ``origin`` is what :func:`halidescope.acquisition.provenance.provenance` says: inputs with their hashes, versions,
    settings.
    """

    made_at: str                       # ISO 8601, UTC
    data_file: str
    data_sha256: str
    kind: str                          # the recipe's
    simulated: bool
    medium: str                        # in which wavelengths are given
    labels: tuple[str, ...] = ()       # of the endmembers; the last is the phase that grows
    sources: tuple[str, ...] = ()      # where they come from
    notes: tuple[str, ...] = ()
    origin: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredAnalysis:
    """One analysis of a scan, whole; *points* is the shape of the scan's points.

    Attributes
    ----------
    about : About
    numbers : dict
        Single results, units in the names.
    axes : dict
        Of the points, as in the scan.
    arrays : dict
        Per-point results, shape points or points + (k,) for k endmembers.
    units : dict
        Name of an array → its unit; a plain number has none.
    signal : str
        The array that is shown first.
    wavelength_nm : ndarray, shape (channels,)
    endmembers : ndarray, shape (k, channels)
        With unit sum; k is 0 if there are none.
    curve : dict
        ``time`` in s, ``share``, ``low`` and ``high`` (95 % band) of a series' fit; empty if there is none.
    cosmic : dict
        ``spectrum``, ``channel``, ``excess_counts`` of hits by cosmic rays; empty if nobody looked.
    number : int
        Its place among those stored, from 1; 0 before it is stored.
    """

    about: About
    numbers: dict[str, Number]
    axes: dict[str, NDArray]
    arrays: dict[str, NDArray]
    units: dict[str, str]
    signal: str
    wavelength_nm: NDArray[np.float64]
    endmembers: NDArray[np.float64]
    curve: dict[str, NDArray] = field(default_factory=dict)
    cosmic: dict[str, NDArray] = field(default_factory=dict)
    number: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know."""
        return self.about.notes

    @property
    def title(self) -> str:
        """A few words to tell it from others."""
        when = self.about.made_at[:16].replace("T", " ")
        of = ", ".join(self.about.labels) or "no endmembers"
        return f"{self.number or 'new'}: {when} UTC, {of}"

    def plain(self) -> dict[str, object]:
        """For JSON: everything but the arrays."""
        values: dict[str, object] = {"run": self.number, **msgspec.to_builtins(self.about)}
        for name, number in self.numbers.items():
            values |= number.plain(name)
        return values
