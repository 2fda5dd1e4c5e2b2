"""Figures of a measurement, drawn the same way in window, report and notebook: arrays in, a matplotlib Figure out.

=========== ======================================== ==============================================================
the paper's function                                 shows
=========== ======================================== ==============================================================
Figure 1b   :func:`films_figure`                     luminescence and absorption of the films
Figure 2    :func:`time_series_figure`               a time series, its spectra and shares
Figure 3    :func:`power_figure`                     yield and rate over power, Arrhenius plot
Figure 4    :func:`map_figure`                       hyperspectral map, shares, profile
Figure 5    :func:`composition_figure`               iodine content of a map, diffusion profile
Figure 7    :func:`segregation_figure`               segregation and recovery
Figure 8    ``monte_carlo_figure``                   kinetic Monte Carlo; in ``analysis.kmc.paper_figure``
Figure 9    :func:`heat_and_carriers_figure`         temperature and carriers
=========== ======================================== ==============================================================

A scan before its analysis: :func:`map_overview`, :func:`stack_overview`. From scans instead of arrays they are made by
:mod:`halidescope.acquisition.pictures`, from stored analyses by :mod:`halidescope.acquisition.stored_pictures`. Nothing
is fitted here, and nothing is written to a file.
"""

from halidescope.analysis.figures.field import RadialProfile, composition_figure, map_figure
from halidescope.analysis.figures.films import FilmSpectra, films_figure, spectra_figure
from halidescope.analysis.figures.models import heat_and_carriers_figure
from halidescope.analysis.figures.overview import map_overview, stack_overview
from halidescope.analysis.figures.segregation import PeakTrack, segregation_figure
from halidescope.analysis.figures.series import PowerPoint, power_figure, time_series_figure
from halidescope.analysis.figures.style import (
    BROMIDE_RICH,
    IMAGE_MAP,
    IODIDE_RICH,
    draw_map,
    emitting_window,
    evenly_changed,
)

__all__ = [
    "BROMIDE_RICH", "IMAGE_MAP", "IODIDE_RICH", "FilmSpectra", "PeakTrack", "PowerPoint", "RadialProfile",
    "composition_figure", "draw_map", "emitting_window", "evenly_changed", "films_figure", "heat_and_carriers_figure",
    "map_figure", "map_overview", "power_figure", "segregation_figure", "spectra_figure", "stack_overview",
    "time_series_figure",
]  # fmt: skip
