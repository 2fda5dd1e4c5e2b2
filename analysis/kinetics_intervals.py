"""95 % intervals of a series' yield, rates and amplitudes: ± standard errors where they can be trusted, else profiles.

Whether they can is not guessed from the rates: χ², minimised over everything else, is asked whether it has risen at
both ends as it should. Where rates are close it has not.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from halidescope.analysis.kinetics import Biexponential
from halidescope.analysis.kinetics_profile import Profile, Quantity

Method = Literal["linear", "profile", "undetermined"]
LEVEL = 0.95
QUANTITIES: dict[str, Quantity] = {
    "phi": "phi", "average_rate_per_s": "average_rate", "k1_per_s": "k1", "k2_per_s": "k2",
    "k01": "k01", "k02": "k02",
}  # fmt: skip
WORDS = {"phi": "φ", "average_rate_per_s": "<k>", "k1_per_s": "k1", "k2_per_s": "k2", "k01": "k01",
         "k02": "k02"}  # fmt: skip
CONSTANT = "the share is constant within its errors: nothing was seen to change, and the rates mean nothing"


class ReportedInterval(NamedTuple):
    """95 % interval and how it was found.

    ``method`` is "linear": ± 1.96 standard errors; "profile": of the likelihood, NaN where the data set no limit;
    "undetermined": both NaN, a number that the trace does not hold.
    """

    low: float
    high: float
    method: Method


def reported_intervals(
    t: ArrayLike,
    share: ArrayLike,
    sigma: ArrayLike,
    fit: Biexponential,
    phi_time_s: float,
    *,
    systematic_se: Mapping[str, float] | None = None,
) -> dict[str, ReportedInterval]:
    """Intervals of φ, <k>, k1, k2, k01, k02, named as in :class:`~halidescope.analysis.series_numbers.SeriesNumbers`.

    Parameters
    ----------
    t, share, sigma : (n,)
        What was fitted, with the errors that were used.
    fit : Biexponential
        The fit of it.
    phi_time_s : float
        When φ is read off the curve.
    systematic_se
        Standard errors by those names that the trace does not show; they widen both sides in quadrature.
    """
    z = float(ndtri(0.5 + LEVEL / 2))
    found = {}
    for name, quantity in QUANTITIES.items():
        low, high, best, method = _ends(t, share, sigma, fit, quantity, phi_time_s, z)
        extra = z * (systematic_se or {}).get(name, 0.0)
        found[name] = ReportedInterval(
            best - math.hypot(best - low, extra), best + math.hypot(high - best, extra), method
        )
    return found


def _ends(
    t: ArrayLike, share: ArrayLike, sigma: ArrayLike, fit: Biexponential, quantity: Quantity, phi_time_s: float,
    z: float,
) -> tuple[float, float, float, Method]:  # fmt: skip
    """Lower end, upper end, and the value between them."""
    nothing: tuple[float, float, float, Method] = (math.nan, math.nan, math.nan, "undetermined")
    if fit.constant:
        if quantity != "phi":
            return nothing
        best, reach = float(fit.mean), z * float(fit.mean_se)
        return best - reach, best + reach, best, "linear"
    if fit.one_exponential_suffices and quantity != "phi":
        if quantity != "average_rate":
            return nothing
        best, reach = float(fit.average_rate), z * float(fit.average_rate_se)
        return best - reach, best + reach, best, "linear"
    if quantity != "phi" and not fit.converged:
        return nothing
    if not np.isfinite([fit.k1, fit.k2, fit.k01, fit.k02]).all():
        return nothing
    profile = Profile(t, share, fit, quantity, sigma=sigma, at_time=phi_time_s)
    if profile.is_quadratic(LEVEL):
        return profile.best - z * profile.se, profile.best + z * profile.se, profile.best, "linear"
    best, low, high = profile.interval(LEVEL)
    return low, high, best, "profile"


def standard_error(linear: float, interval: ReportedInterval) -> float:
    """The ``linear`` one where it can be trusted, else that of the interval's width; NaN where that is open."""
    if interval.method == "linear":
        return linear
    return (interval.high - interval.low) / (2.0 * float(ndtri(0.5 + LEVEL / 2)))


def interval_note(intervals: Mapping[str, ReportedInterval]) -> str:
    """A sentence that names the profile intervals, or nothing where there are none."""
    parts = []
    for name, (low, high, method) in intervals.items():
        if method == "profile":
            unit = " per s" if name.endswith("_per_s") else ""
            ends = ["no limit" if np.isnan(end) else f"{end:.3g}" for end in (low, high)]
            parts.append(f"{WORDS[name]} {ends[0]} to {ends[1]}{unit}")
    if not parts:
        return ""
    return (
        "standard errors are not to be trusted here; 95 % intervals by the profile of the likelihood: "
        f"{', '.join(parts)}"
    )
