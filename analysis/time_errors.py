"""Kinetics where the times have errors too: the method of effective variance.

A time that is off by δ looks like a share that is off by δ · |slope|, so σ² → σ² + (slope · σ_t)², with the slope of a
first fit (J. Orear, Am. J. Phys. 1982, 50, 912). The fits themselves are in :mod:`halidescope.analysis.kinetics`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.kinetics import Biexponential, fit_biexponential

Numbers = NDArray[np.float64]


def fit_with_time_errors(
    t: ArrayLike, y: ArrayLike, *, rising: bool, sigma: ArrayLike, t_se: ArrayLike, near: Biexponential | None = None
) -> tuple[Biexponential, Numbers]:
    """Fit one trace and give the errors that were used.

    Parameters
    ----------
    t, y, sigma, t_se : (n,)
        Times, values, standard errors of the values and of the times.
    near : Biexponential, optional
        As for :func:`~halidescope.analysis.kinetics.fit_biexponential`.

    Returns
    -------
    Biexponential
    ndarray, shape (n,)
        Effective standard errors of the values.

    Raises
    ------
    ValueError
        As :func:`~halidescope.analysis.kinetics.fit_biexponential`; a negative or undefined error of a time.
    """
    times, errors = np.asarray(t, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    time_errors = np.broadcast_to(np.asarray(t_se, dtype=np.float64), times.shape)
    if not np.all(time_errors >= 0):
        raise ValueError("the standard errors of the times must be numbers of 0 or more")
    first = fit_biexponential(times, y, rising=rising, sigma=errors, near=near)
    if not time_errors.any():
        return first, errors
    slope = first.k01 * first.k1 * np.exp(-first.k1 * times) + first.k02 * first.k2 * np.exp(-first.k2 * times)
    if not np.all(np.isfinite(slope)):
        return first, errors
    effective = np.hypot(errors, slope * time_errors)
    return fit_biexponential(times, y, rising=rising, sigma=effective, near=near), effective
