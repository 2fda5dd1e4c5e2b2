"""The numbers of a time series, the same for the running and for the final analysis."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from halidescope.analysis.kinetics_intervals import ReportedInterval, standard_error

NAMES = ("phi", "average_rate_per_s", "k1_per_s", "k2_per_s", "k01", "k02")


@dataclass(frozen=True)
class SeriesNumbers:
    """Yield and rates of the phase that grew, 1 − (k01 e^(−k1 t) + k02 e^(−k2 t)), with standard errors.

    ``phi`` is the fitted share at ``phi_time_s``, of a constant share its mean. ``intervals`` are of 95 %, by name, and
    say how they were found. Where one is "profile", the standard error is its half width over 1.96, NaN where it is
    open; where it is "undetermined", value and error are NaN (what the fit has there is in its ``kinetics``).
    """

    phi: float
    phi_se: float
    phi_time_s: float
    average_rate_per_s: float
    average_rate_per_s_se: float
    k1_per_s: float
    k1_per_s_se: float
    k2_per_s: float
    k2_per_s_se: float
    k01: float
    k01_se: float
    k02: float
    k02_se: float
    intervals: dict[str, ReportedInterval]


def told(
    values: ArrayLike, errors: ArrayLike, intervals: Mapping[str, ReportedInterval]
) -> dict[str, float]:
    """Fields of :class:`SeriesNumbers` from ``values`` and ``errors`` (6,) of ``NAMES``, as the intervals let them."""
    fields = {}
    for name, value, error in zip(NAMES, np.ravel(values).tolist(), np.ravel(errors).tolist(), strict=True):
        fields[name] = math.nan if intervals[name].method == "undetermined" else value
        fields[f"{name}_se"] = standard_error(error, intervals[name])
    return fields
