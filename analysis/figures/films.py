"""Figure 1b: luminescence and absorption of the films; and a few spectra on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from halidescope.analysis.figures import style


@dataclass(frozen=True)
class FilmSpectra:
    """Spectra of one composition, with what was found in them.

    ``wavelength_nm`` and ``luminescence`` (channels,), dark-subtracted counts; peak with standard error. Absorbance on
    an axis of its own, with the first exciton, where it was measured.
    """

    composition: float
    wavelength_nm: ArrayLike
    luminescence: ArrayLike
    peak_nm: float
    peak_nm_se: float
    absorption_nm: ArrayLike | None = None
    absorbance: ArrayLike | None = None
    exciton_nm: float | None = None
    exciton_nm_se: float | None = None


def films_figure(films: Sequence[FilmSpectra]) -> Figure:
    """Figure 1b: normalised luminescence (lines, filled) and absorption (thin lines) of films, one above the other.

    The paper's table gives peak and first exciton of every composition; both are marked, with their errors. Absorption
    is normalised at the first exciton, luminescence at its maximum.
    """
    figure = Figure(figsize=(8.4, 1.3 + 1.25 * max(len(films), 2)), layout="constrained")
    axes = figure.subplots()
    ordered = sorted(films, key=lambda film: -film.composition)
    lines = _lines(len(ordered))
    low, high = np.inf, -np.inf
    for level, film in enumerate(ordered):
        wavelength = np.asarray(film.wavelength_nm, dtype=float)
        counts = np.asarray(film.luminescence, dtype=float)
        seen = style.emitting_window(wavelength, counts, 30.0)
        low, high = min(low, wavelength[seen][0]), max(high, wavelength[seen][-1])
        colour = style.composition_colour(film.composition)
        shape = counts / counts[seen].max()
        line = lines[level]
        axes.plot(wavelength[seen], level + 0.85 * shape[seen], color=colour, lw=1.3, ls=line)
        axes.fill_between(wavelength[seen], level, level + 0.85 * shape[seen], color=colour, alpha=0.15, lw=0)
        words = [f"x = {film.composition:g}", style.number("PL", film.peak_nm, film.peak_nm_se, "nm")]
        axes.plot([film.peak_nm] * 2, [level, level + 0.85], color=colour, lw=0.7)
        if film.absorbance is not None and film.absorption_nm is not None:
            at, values = np.asarray(film.absorption_nm, dtype=float), np.asarray(film.absorbance, dtype=float)
            order = np.argsort(at)
            at, values = at[order], values[order]
            height = np.interp(film.exciton_nm, at, values) if film.exciton_nm is not None else values.max()
            scaled = 0.5 * values / height
            inside = scaled < 0.95
            axes.plot(at[inside], level + scaled[inside], color="0.35", lw=0.9)
            if film.exciton_nm is not None:
                axes.plot(film.exciton_nm, level + 0.5, "v", ms=5, color="0.35")
                words.append(style.number("exciton", film.exciton_nm, film.exciton_nm_se, "nm"))
        axes.text(
            1.01, level + 0.1, "\n".join(words), transform=axes.get_yaxis_transform(), fontsize=style.SMALL,
            color=colour,
        )  # fmt: skip
    axes.set(
        xlabel="wavelength (nm)", ylabel="luminescence, absorption (normalised, offset)", yticks=[],
        xlim=(low, high) if ordered else None,
    )  # fmt: skip
    style.energy_on_top(axes)
    return figure


def spectra_figure(
    wavelength_nm: ArrayLike, spectra: Sequence[ArrayLike], labels: Sequence[str], *, ylabel: str = "intensity (norm.)"
) -> Figure:
    """A few spectra on one axis, such as the endmembers of an unmixing; the bluest green, the reddest red."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    wavelength = np.asarray(wavelength_nm, dtype=float)
    rows = [np.asarray(row, dtype=float) for row in spectra]
    seen = style.emitting_window(wavelength, np.vstack(rows))
    centres = np.array([wavelength @ np.maximum(row, 0) / max(np.maximum(row, 0).sum(), 1e-300) for row in rows])
    rank = (centres - centres.min()) / max(float(np.ptp(centres)), 1e-9)
    for row, label, place in zip(rows, labels, rank, strict=True):
        line = style.BROMIDE_LINE if place == 0 else style.IODIDE_LINE if place == 1 else "-."
        axes.plot(wavelength[seen], row[seen], color=style.BY_COMPOSITION(place), ls=line, lw=1.2, label=label)
    axes.set(xlabel="wavelength (nm)", ylabel=ylabel)
    style.legend(axes)
    return figure


def _lines(count: int) -> list[Any]:
    """Line styles from the iodide-rich film (dashed) to the bromide-rich one (solid)."""
    between: list[Any] = [style.LINES[1 + k % (len(style.LINES) - 2)] for k in range(max(count - 2, 0))]
    return [style.IODIDE_LINE, *between[::-1], style.BROMIDE_LINE][:count] if count > 1 else [style.BROMIDE_LINE]
