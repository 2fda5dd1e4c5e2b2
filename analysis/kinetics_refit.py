"""Kinetics of a trace that grows: each fit starts from the last one, until there is reason to look everywhere again.

A few more samples move the optimum by a part of its errors, so one start, the last optimum, leads to it. What can go
wrong is that another minimum becomes the lowest; the guards are in :class:`GrowingFit`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.kinetics import Biexponential
from halidescope.analysis.kinetics_kernels import PARAMETERS
from halidescope.analysis.time_errors import fit_with_time_errors

Numbers = NDArray[np.float64]
GROWTH = 1.25     # times the samples of the last fit from many starts: then the next of these
UNLIKELY = 4.0    # standard deviations by which χ² may rise more than the new samples let expect


class GrowingFit:
    """Two exponentials fitted to one trace again and again, whose samples stay and become more.

    Many starts are taken at first, each time the samples have become a quarter more, and whenever two exponentials are
    not clearly told apart, before or after: a bound, a doubt of convergence, one exponential or a constant that
    suffices. They are taken too where χ² rises by more than new samples explain. ``thorough`` fits, the last one of a
    measurement, are those of :func:`~halidescope.analysis.time_errors.fit_with_time_errors` to the bit.

    Attributes
    ----------
    warm, thorough : int
        Fits from the last optimum, and from many starts, so far.
    """

    def __init__(self) -> None:
        self.warm = self.thorough = 0
        self._last: Biexponential | None = None
        self._chi2 = np.inf
        self._samples = self._searched = 0

    def fit(
        self, t: ArrayLike, y: ArrayLike, *, rising: bool, sigma: ArrayLike, t_se: ArrayLike = 0.0,
        thorough: bool = False,
    ) -> tuple[Biexponential, Numbers]:  # fmt: skip
        """As :func:`~halidescope.analysis.time_errors.fit_with_time_errors`; all samples so far, in the same order."""
        samples = len(np.asarray(y))
        warm = self._last is not None and self._samples <= samples < GROWTH * self._searched and not thorough
        if warm:
            found, used = fit_with_time_errors(t, y, rising=rising, sigma=sigma, t_se=t_se, near=self._last)
            more = samples - self._samples
            rise = _chi2(found, samples) - self._chi2
            warm = _told(found) and rise < more + UNLIKELY * np.sqrt(2.0 * more + 1.0)
            self.warm += warm
        if not warm:
            found, used = fit_with_time_errors(t, y, rising=rising, sigma=sigma, t_se=t_se)
            self._searched = samples
            self.thorough += 1
        self._last = found if _told(found) else None
        self._chi2, self._samples = _chi2(found, samples), samples
        return found, used


def _told(fit: Biexponential) -> bool:
    """Are the two exponentials clearly there?"""
    return bool(fit.converged) and not (fit.flags or fit.one_exponential_suffices or fit.constant)


def _chi2(fit: Biexponential, samples: int) -> float:
    """χ² of a fit with known errors, from its information criterion."""
    return float(fit.bic) - PARAMETERS * float(np.log(samples))
