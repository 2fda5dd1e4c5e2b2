"""Profile-likelihood intervals of biexponential kinetics, and joint fits of several shares with the same rates.

Where two rates are close, the likelihood is skewed and intervals of ± standard errors cover too little; a profile
interval is where χ², minimised over everything else, rises by the quantile (D. J. Venzon, S. H. Moolgavkar, Appl.
Statist. 37, 87, 1988).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, least_squares
from scipy.special import ndtri, stdtrit

from halidescope.analysis import profile_kernels as kernels
from halidescope.analysis.kinetics import Biexponential, fit_biexponential
from halidescope.analysis.linear import inverse_of, propagate
from halidescope.analysis.varpro import CLOSEST

Numbers = NDArray[np.float64]
Quantity = Literal["k1", "k2", "average_rate", "phi", "k01", "k02"]
RATES = ("k1", "k2", "average_rate")      # stay above zero
FARTHEST = 60.0    # standard errors after which an interval is said to be open
AWAY = np.array([0.0, 1.0])     # starts from the best fit, in logarithms of a rate
APART = np.array([[0.0, 0.0], [0.2, 0.0], [0.0, -1.0], [1.0, 0.0]])
GRID = np.log([0.03, 0.5, 3.0, 20.0, 150.0])    # and from rates in 1/duration
PAIRS = np.array([[fast, slow] for i, fast in enumerate(GRID) for slow in GRID[:i]])
UNBOUND = 34.0     # a logarithm that no rate reaches
CURVED = 0.2       # part by which χ² at the ends of ± standard errors may differ from its quantile


class Interval(NamedTuple):
    """Best value and interval; ``low`` or ``high`` is NaN where the data set no limit on that side."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class JointFit:
    """Two rates common to several shares; ``amplitudes`` (m, 2) are k01 and k02 of each, falling or rising as given.

    ``covariance`` (2, 2) is that of the rates with all amplitudes free.
    """

    k1: float
    k1_se: float
    k2: float
    k2_se: float
    covariance: Numbers
    amplitudes: Numbers
    average_rate: Numbers
    chi2: float
    converged: bool


def profile_interval(
    t: ArrayLike,
    y: ArrayLike,
    quantity: Quantity,
    *,
    level: float = 0.95,
    rising: bool = False,
    sigma: ArrayLike | None = None,
    at_time: float | None = None,
) -> Interval:
    """Profile-likelihood interval of one number of :func:`~halidescope.analysis.kinetics.fit_biexponential`.

    Of a trace that is constant within its errors there is only "phi", its mean; all NaN for the others.

    Parameters
    ----------
    t, y, rising, sigma
        One trace, as there.
    quantity : {"k1", "k2", "average_rate", "phi", "k01", "k02"}
        "phi" is the share at ``at_time`` (the last time by default).
    level : float
        Confidence, 0 … 1. With unknown errors Student's quantile is used.

    Raises
    ------
    ValueError
        Another quantity or level than allowed, and as
        :func:`~halidescope.analysis.kinetics.fit_biexponential`.
    """
    if quantity not in get_args(Quantity):
        raise ValueError(f"quantity is {quantity!r}, allowed are {', '.join(get_args(Quantity))}")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, a confidence lies between 0 and 1")
    fit = fit_biexponential(t, y, rising=rising, sigma=sigma)
    end = float(np.max(np.asarray(t, dtype=np.float64))) if at_time is None else at_time
    return Profile(t, y, fit, quantity, sigma=sigma, at_time=end).interval(level)


class Profile:
    """χ² of one trace, minimised over everything but one number of its fit.

    Parameters
    ----------
    t, y, sigma
        The trace that ``fit`` was made of.
    fit : Biexponential
    quantity : {"k1", "k2", "average_rate", "phi", "k01", "k02"}
        The number; "phi" is the share at ``at_time``. k1 stays above k2.
    """

    def __init__(
        self, t: ArrayLike, y: ArrayLike, fit: Biexponential, quantity: Quantity, *, sigma: ArrayLike | None,
        at_time: float,
    ) -> None:  # fmt: skip
        times, trace = np.asarray(t, dtype=np.float64), np.asarray(y, dtype=np.float64)
        good = np.isfinite(trace)
        errors = np.broadcast_to(np.asarray(1.0 if sigma is None else sigma, dtype=np.float64), trace.shape)[good]
        falling = (1.0 - trace if fit.rising else trace)[good]
        self._rate = quantity in RATES
        self._constant = bool(fit.constant)
        self._free = int(good.sum()) - 4 if sigma is None else None
        self.best, self.se = _value_of(fit, quantity, at_time)
        if self._constant:
            self.best, self.se = (self.best, self.se) if quantity == "phi" else (np.nan, np.nan)
            return
        self._chi2 = _profile(times[good], falling, errors, fit, quantity, at_time, fit.rising)
        self._floor = self._chi2(self.best)
        self._noise = 1.0 if self._free is None else self._floor / self._free

    def rise(self, value: float) -> float:
        """χ² above its minimum at ``value``, in variances of a sample."""
        return (self._chi2(value) - self._floor) / self._noise

    def reach(self, level: float) -> float:
        """Standard errors to the ends of an interval; Student's where the errors come from the residual."""
        if self._free is None:
            return float(ndtri(0.5 + level / 2))
        return float(stdtrit(self._free, 0.5 + level / 2))

    def is_quadratic(self, level: float) -> bool:
        """Whether ± standard errors lead to where χ² has risen as it should, within CURVED of it."""
        if self._constant:
            return True
        reach = self.reach(level)
        ends = self.best - reach * self.se, self.best + reach * self.se
        if not np.isfinite(self.se) or (self._rate and ends[0] <= 0):
            return False
        return all(abs(self.rise(end) / reach**2 - 1) < CURVED for end in ends)

    def interval(self, level: float) -> Interval:
        """Where χ² has risen by the quantile; of a constant trace only its mean has an interval."""
        reach = self.reach(level)
        if self._constant:
            return Interval(self.best, self.best - reach * self.se, self.best + reach * self.se)
        ends = []
        for side in (-1.0, 1.0):
            step = reach * self.se if np.isfinite(self.se) and self.se > 0 else 0.1 * abs(self.best) + 1e-300
            inner = self.best
            ends.append(np.nan)
            for _ in range(12):
                outer = inner + side * step
                if self._rate and outer <= 0:
                    outer = 0.5 * inner
                if self.rise(outer) > reach**2:
                    crossing = brentq(
                        lambda value: self.rise(value) - reach**2, inner, outer, xtol=1e-4 * abs(outer - self.best)
                    )
                    ends[-1] = float(crossing)
                    break
                if abs(outer - self.best) > FARTHEST * abs(step) or (self._rate and outer < 1e-9 * abs(self.best)):
                    break
                inner, step = outer, 1.5 * step
        return Interval(self.best, ends[0], ends[1])


def _value_of(fit: Biexponential, quantity: str, end: float) -> tuple[float, float]:
    if quantity == "phi":
        phi = fit.share_at(end)
        return float(phi.value), float(phi.se)
    if quantity == "average_rate":   # of two exponentials, whatever the model choice says
        k, k0 = np.array([fit.k1, fit.k2]), np.array([fit.k01, fit.k02])
        value = float(k0 @ k / k0.sum())
        slope = np.concatenate([k0, k - value]) / k0.sum()
        return value, float(propagate(slope, fit.covariance))
    return float(getattr(fit, quantity)), float(getattr(fit, f"{quantity}_se"))


def _profile(
    times: Numbers, falling: Numbers, errors: Numbers, fit: Biexponential, quantity: str, end: float, rising: bool
) -> Callable[[float], float]:
    """χ² at a fixed value of ``quantity``, minimised over the rest from several starts."""
    span = float(np.ptp(times))
    order = np.argsort(times, kind="stable")
    x, inverse = times[order] / span, 1.0 / errors[order]
    target = falling[order] * inverse
    rates = np.log(np.maximum([float(fit.k1) * span, float(fit.k2) * span], 1e-6))
    apart = float(np.log(CLOSEST))

    def chi2(value: float) -> float:
        low, high = np.full(2, -UNBOUND), np.full(2, UNBOUND)
        held = value * span
        logarithm = np.log(max(held, 1e-9))
        starts = np.vstack([rates + APART, PAIRS])
        if quantity == "k1":
            # the other rate stays on its side: beyond, k1 and k2 would have changed their names
            kind, starts = kernels.FAST_RATE, np.append(rates[1] - AWAY, GRID)[:, None]
            low, high = np.array([kernels.SLOWEST]), np.array([max(logarithm - apart, kernels.SLOWEST + 0.1)])
        elif quantity == "k2":
            kind, starts = kernels.SLOW_RATE, np.append(rates[0] + AWAY, GRID)[:, None]
            low, high = np.array([logarithm + apart]), np.array([kernels.FASTEST])
        elif quantity == "average_rate":
            kind = kernels.AVERAGE
        elif quantity in ("k01", "k02"):
            kind = kernels.FAST_AMPLITUDE if quantity == "k01" else kernels.SLOW_AMPLITUDE
            held = value
            starts = np.stack([starts[:, 1], starts[:, 0] - starts[:, 1]], axis=1)     # k2 and k1 / k2
            low, high = np.array([kernels.SLOWEST, apart]), np.array([kernels.FASTEST, UNBOUND])
        else:
            kind = kernels.SHARE
            held = 1.0 - value if rising else value
        return float(kernels.lowest(kind, held, starts, low, high, x, inverse, target, end / span))

    return chi2


def fit_joint(t: ArrayLike, shares: ArrayLike, rising: ArrayLike, sigma: ArrayLike) -> JointFit:
    """Fit several shares (m, time) of one sample with the same two rates.

    ``rising`` (m,) says which grow, ``sigma`` (m, time) or a number are their standard errors. Two shares that add up
    to one carry the same information twice: give one of them. ValueError where that is the case, where shapes differ,
    or where a value is not finite.
    """
    times, traces = np.asarray(t, dtype=np.float64), np.atleast_2d(np.asarray(shares, dtype=np.float64))
    up = np.asarray(rising, dtype=np.bool_)
    if traces.shape[1] != times.size or up.shape != (len(traces),):
        raise ValueError(f"{times.size} times and {up.size} directions for shares of shape {traces.shape}")
    if not (np.isfinite(times).all() and np.isfinite(traces).all()):
        raise ValueError("times and shares must be finite; leave a missing sample out of all shares")
    if len(traces) > 1 and np.allclose(traces.sum(axis=0), 1.0, atol=1e-9):
        raise ValueError("the shares add up to one: they carry the same noise; fit all but one of them")
    errors = np.broadcast_to(np.asarray(sigma, dtype=np.float64), traces.shape)
    falling = np.where(up[:, None], 1.0 - traces, traces)
    alone = fit_biexponential(times, falling, sigma=errors)
    span = float(np.ptp(times))

    def solve(logs: Numbers) -> tuple[Numbers, Numbers]:
        decays = np.exp(-np.outer(times, np.exp(np.clip(logs, -20.0, 14.0)) / span))
        amplitudes, rests = [], []
        for trace, error in zip(falling, errors, strict=True):
            columns = decays / error[:, None]
            found = np.linalg.lstsq(columns, trace / error, rcond=1e-12)[0]
            amplitudes.append(found)
            rests.append(columns @ found - trace / error)
        return np.array(amplitudes), np.concatenate(rests)

    starts = [np.log(np.maximum([k1 * span, k2 * span], 1e-4)) for k1, k2 in zip(alone.k1, alone.k2, strict=True)]
    best = min(
        (least_squares(lambda p: solve(p)[1], start, xtol=1e-11, ftol=1e-12) for start in starts),
        key=lambda fit: fit.cost,
    )
    k = np.sort(np.exp(best.x) / span)[::-1]
    amplitudes = solve(np.log(k * span))[0]
    gram = np.zeros((2, 2))
    decays = np.exp(-np.outer(times, k))
    for amplitude, error in zip(amplitudes, errors, strict=True):
        linear = decays / error[:, None]
        slope = -amplitude * times[:, None] * linear
        slope = slope - linear @ np.linalg.lstsq(linear, slope, rcond=None)[0]   # amplitudes eliminated
        gram += slope.T @ slope
    covariance = inverse_of(gram[None])[0]
    se = np.sqrt(np.diag(covariance))
    return JointFit(
        k1=float(k[0]), k1_se=float(se[0]), k2=float(k[1]), k2_se=float(se[1]), covariance=covariance,
        amplitudes=amplitudes, average_rate=amplitudes @ k / amplitudes.sum(axis=1), chi2=float(2 * best.cost),
        converged=bool(best.success and np.isfinite(covariance).all()),
    )  # fmt: skip
