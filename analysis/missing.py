"""What is masked counts as missing: NaN, which every estimator leaves out or flags."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.readable import for_kernels


def with_nan(values: ArrayLike) -> NDArray[Any]:
    """An array as it is, for reading; a masked one as float64 with NaN in the place of what is masked."""
    if np.ma.is_masked(values):
        return np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
    return for_kernels(np.asarray(values))
