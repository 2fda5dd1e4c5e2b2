"""The numbers of a time series, the same for the running and for the final analysis."""

from dataclasses import dataclass

from halidescope.analysis.kinetics_intervals import ReportedInterval

NAMES = ("phi", "average_rate_per_s", "k1_per_s", "k2_per_s", "k01", "k02")


@dataclass(frozen=True)
class SeriesNumbers:
    """Yield and rates of the phase that grew, 1 − (k01 e^(−k1 t) + k02 e^(−k2 t)), with standard errors.

    ``phi`` is the fitted share at ``phi_time_s``. ``intervals`` are of 95 %, by name, and say how they were found.
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
