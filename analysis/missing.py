"""What is masked counts as missing: NaN, which every estimator leaves out or flags."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def with_nan(values: ArrayLike) -> NDArray[Any]:
    """An array as it is; a masked one as float64 with NaN in the place of what is masked."""
    if np.ma.is_masked(values):
        return np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
    return np.asarray(values)
