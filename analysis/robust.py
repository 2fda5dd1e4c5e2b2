"""Statistics that a few wild values do not move."""

import numpy as np
from numpy.typing import ArrayLike

MAD_SIGMA = 1.4826       # standard deviations of a normal distribution to its median absolute deviation


def scatter(deviations: ArrayLike) -> float:
    """Standard deviation of normal noise whose ``deviations`` from its middle are given, by their median size."""
    return MAD_SIGMA * float(np.median(np.abs(deviations)))
