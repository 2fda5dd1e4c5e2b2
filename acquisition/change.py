"""What a measurement's light will change of the film, from a rate that is stated or was fitted.

The share that changes at a spot is ``c (1 − exp(−k t))``: c the share that can change at all, t the time lit, and
``k = k0 (P/P0)^n``, the average rate <k> of da Cunha et al. 2025 at the power P0, carried over to the power P. Their
<k> rises with power faster than the dose does, since the light also heats; with n = 1 the estimate counts dose alone.
"""

import math
from dataclasses import dataclass

import numpy as np

from halidescope.acquisition.importers import open_any
from halidescope.acquisition.problems import BadFileError
from halidescope.acquisition.recipe_base import ChangeEstimate


@dataclass(frozen=True)
class ChangeRate:
    """An average rate in 1/s at a power at the sample in µW."""

    rate_per_s: float
    power_uw: float

    def share(self, request: ChangeEstimate, power_uw: float, lit_s: float) -> float:
        """Share of the film that changes at a spot lit for ``lit_s`` seconds."""
        rate_per_s = self.rate_per_s * (power_uw / self.power_uw) ** request.exponent
        return request.convertible_share * -math.expm1(-rate_per_s * lit_s)


def change_rate(request: ChangeEstimate) -> ChangeRate | None:
    """The rate that a recipe states, or that its series was fitted with; None if it says neither.

    Raises
    ------
    BadFileError
        The series has no fitted rate.
    ScanFileError
        It cannot be read.
    """
    if request.series:
        with open_any(request.series) as scan:
            number = scan.results.numbers.get("average_rate_per_s") if scan.results else None
            power_uw = float(np.nanmedian(scan.sample_power_uw))
        if number is None or not number.value > 0:
            raise BadFileError(
                f"change.series: {request.series} has no fitted rate above 0; choose a longer series, or state "
                "rate_per_s"
            )
        return ChangeRate(number.value, power_uw)
    return None if request.rate_per_s is None else ChangeRate(request.rate_per_s, request.at_power_uw)
