"""Kinetics of a share: two exponentials, in the form in which the literature reports them.

Falling share k01 e^(−k1 t) + k02 e^(−k2 t), rising share 1 − (k01 e^(−k1 t) + k02 e^(−k2 t)), average rate
<k> = (k01 k1 + k02 k2) / (k01 + k02) (T. R. da Cunha et al., ACS Appl. Mater. Interfaces 2025, 17, 14389, kinetics of
phase reconstruction and segregation). The yield φ is the share at the end of the exposure,
:meth:`Biexponential.share_at`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from halidescope.analysis.flags import Flag, TooFewPointsError
from halidescope.analysis.kinetics_kernels import (
    AMPLITUDES,
    AT_BOUND,
    AVERAGE,
    AVERAGE_SE,
    CHI2,
    COLUMNS,
    CONSTANT,
    FARTHEST_BACK,
    GOOD,
    HIDDEN,
    PARAMETERS,
    RATES,
    RMS,
    SCATTER,
    SETTLED,
    SINGLE,
    fit_traces,
    refit_trace,
    to_time_zero,
)
from halidescope.analysis.linear import propagate
from halidescope.analysis.parallel import over_rows

Numbers = NDArray[np.float64]
FEWEST_POINTS = PARAMETERS + 1
STARTING_RATES = 1.75    # from one to the next
SLOWEST = 0.05           # of the rates to start from that are not 0, in 1/duration


class Estimate(NamedTuple):
    """A value with its standard error."""

    value: Numbers
    se: Numbers


class Band(NamedTuple):
    """Lower and upper edge of a pointwise confidence band."""

    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Biexponential:
    """Two exponentials fitted to one trace (numbers) or to n traces (arrays of shape (n,)).

    Rates are in 1/unit of time; ``k1 >= k2 >= 0``. ``covariance`` (…, 4, 4) is in the order k1, k2, k01, k02.

    Attributes
    ----------
    average_rate, average_rate_se
        <k>. Where ``one_exponential_suffices`` this is the rate of the single exponential: the free average is then
        off by any factor.
    single_rate, single_rate_se, single_amplitude
        Of the one-exponential model fitted beside.
    one_exponential_suffices : bool
        The Bayesian information criterion prefers one exponential.
    constant : bool
        It prefers a constant to both: nothing changes within the errors, and the rates mean nothing.
    mean, mean_se
        Weighted mean of a ``constant`` trace, which is then the curve; NaN for others.
    aicc, bic, single_aicc, single_bic
        Information criteria of both models, the lower the better.
    converged : bool
    residual_rms
        Root mean square of data minus model.
    flags
        Bits of :class:`~halidescope.analysis.flags.Flag`; TOO_FEW_POINTS: numbers are NaN; NO_SIGNAL: the
        trace is ``constant``; AT_BOUND: k2 is 0, or the rates cannot be told apart, or k1 is faster than the sampling
        shows; OUTSIDE: the first sample is so late that
        amplitudes at time 0 mean nothing, numbers are NaN.
    """

    rising: bool
    k1: Numbers
    k1_se: Numbers
    k2: Numbers
    k2_se: Numbers
    k01: Numbers
    k01_se: Numbers
    k02: Numbers
    k02_se: Numbers
    average_rate: Numbers
    average_rate_se: Numbers
    covariance: Numbers
    single_rate: Numbers
    single_rate_se: Numbers
    single_amplitude: Numbers
    one_exponential_suffices: NDArray[np.bool_]
    constant: NDArray[np.bool_]
    mean: Numbers
    mean_se: Numbers
    aicc: Numbers
    bic: Numbers
    single_aicc: Numbers
    single_bic: Numbers
    converged: NDArray[np.bool_]
    residual_rms: Numbers
    flags: NDArray[np.int64]

    def evaluate(self, t: ArrayLike) -> Numbers:
        """The fitted curve at times ``t`` (m,) → (…, m); a single time gives (…)."""
        return self.share_at(t).value

    def share_at(self, t: ArrayLike) -> Estimate:
        """Value and standard error of the fitted curve at times ``t``; at the end of the exposure this is φ.

        Of a ``constant`` trace this is the mean: two exponentials through noise have errors that mean nothing.
        """
        times = np.asarray(t, dtype=np.float64)
        k1, k2, k01, k02 = (np.asarray(p)[..., None] for p in (self.k1, self.k2, self.k01, self.k02))
        at = times.reshape(-1)
        e1, e2 = np.exp(-k1 * at), np.exp(-k2 * at)
        decay = k01 * e1 + k02 * e2
        slope = np.stack([-k01 * at * e1, -k02 * at * e2, e1, e2], axis=-1)
        se = propagate(slope, self.covariance[..., None, :, :])
        value = 1.0 - decay if self.rising else decay
        flat = np.asarray(self.constant)[..., None]
        value = np.where(flat, np.asarray(self.mean)[..., None], value)
        se = np.where(flat, np.asarray(self.mean_se)[..., None], se)
        shape = value.shape[:-1] + times.shape
        return Estimate(value.reshape(shape)[()], se.reshape(shape)[()])

    def band(self, t: ArrayLike, level: float = 0.95) -> Band:
        """Pointwise confidence band of the fitted curve at times ``t``, by linear propagation."""
        value, se = self.share_at(t)
        reach = ndtri(0.5 + level / 2)
        return Band(value - reach * se, value + reach * se)


def fit_biexponential(
    t: ArrayLike, y: ArrayLike, *, rising: bool = False, sigma: ArrayLike | None = None,
    near: Biexponential | None = None,
) -> Biexponential:  # fmt: skip
    """Fit two exponentials by variable projection from many starts; any unit of time gives the same answer.

    Parameters
    ----------
    t : (time,)
        Finite, in any order, at least five different times.
    y : (time,) or (n, time)
        Traces; samples that are not finite are left out.
    rising : bool
        Fit 1 − (k01 e^(−k1 t) + k02 e^(−k2 t)) instead of k01 e^(−k1 t) + k02 e^(−k2 t).
    sigma : scalar, (time,) or (n, time), optional
        Standard errors of ``y``. Without them equal errors are assumed and taken from the residual.
    near : Biexponential, optional
        An earlier fit of one trace, from whose rates alone to start; see
        :class:`~halidescope.analysis.kinetics_refit.GrowingFit` for when that can be trusted.

    Raises
    ------
    ValueError
        Times that are not finite, lengths that do not match, a ``sigma`` that is not positive; fewer than five
        different times or, of a single trace, good samples (:class:`~halidescope.analysis.flags.TooFewPointsError`). In
        a stack such a trace is flagged TOO_FEW_POINTS instead. ``near`` for several traces, or without finite rates.
    """
    times = np.asarray(t, dtype=np.float64)
    traces = np.require(y, np.float64, ["C", "W"])    # one kind of array, one compiled kernel
    if times.ndim != 1 or not np.isfinite(times).all():
        raise ValueError("t must be one list of finite times")
    if len(np.unique(times)) < FEWEST_POINTS:
        raise TooFewPointsError(
            f"{len(np.unique(times))} different times, two exponentials need at least {FEWEST_POINTS}"
        )
    if traces.ndim not in (1, 2) or traces.shape[-1] != times.size:
        raise ValueError(f"y has shape {traces.shape}, expected (…, {times.size}) like t")
    alone = traces.ndim == 1
    traces = np.atleast_2d(traces)
    n = len(traces)
    origin, span = times.min(), np.ptp(times)
    scaled = (times - origin) / span
    grid = starting_rates(scaled)
    weights = _weights(traces, sigma)
    out, covariance = np.zeros((n, COLUMNS)), np.zeros((n, 4, 4))
    known = sigma is not None

    def work(rows: slice) -> None:
        own = rows if len(weights) > 1 else slice(None)
        fit_traces(scaled, traces[rows], rising, weights[own], grid, out[rows], covariance[rows])
        to_time_zero(out[rows], covariance[rows], known, origin, span)

    if near is None:
        over_rows(work, n)
    else:
        start = np.array([near.k1, near.k2, near.single_rate]) * span
        if start.shape != (3,) or n != 1 or not np.isfinite(start).all():
            raise ValueError("an earlier fit to start from must be of one trace, with finite rates")
        refit_trace(scaled, traces, rising, weights, grid[-1], start, out, covariance)
        to_time_zero(out, covariance, known, origin, span)
    good, squares, single = out[:, GOOD], out[:, CHI2], out[:, SINGLE : SINGLE + 4]
    if alone and good[0] < FEWEST_POINTS:
        raise TooFewPointsError(f"{good[0]:.0f} good samples, two exponentials need at least {FEWEST_POINTS}")
    starved, settled, hidden = good < FEWEST_POINTS, out[:, SETTLED] > 0, out[:, HIDDEN] > 0
    flags = np.where(starved, int(Flag.TOO_FEW_POINTS), 0)
    flags[(out[:, AT_BOUND] > 0) & ~starved] |= Flag.AT_BOUND
    flags[~settled] |= Flag.NOT_CONVERGED
    flags[hidden] |= Flag.OUTSIDE
    with np.errstate(divide="ignore", invalid="ignore"):
        single_noise = np.ones(n) if known else single[:, 2] / np.maximum(good - 2, 1)
        single_se = np.sqrt(single_noise / single[:, 3]) / span
    aicc, bic = _criteria(squares, out[:, SCATTER], good, PARAMETERS, known)
    single_aicc, single_bic = _criteria(single[:, 2], out[:, SCATTER], good, 2, known)
    suffices = single_bic <= bic
    none_bic = _criteria(out[:, CONSTANT], out[:, SCATTER], good, 1, known)[1]
    constant = (none_bic <= np.minimum(single_bic, bic)) & ~starved
    flags[constant] |= Flag.NO_SIGNAL
    mean, mean_se = _means(traces, weights, constant, known)
    average = np.where(suffices, single[:, 0] / span, out[:, AVERAGE])
    average_se = np.where(suffices, single_se, out[:, AVERAGE_SE])
    errors = np.sqrt(np.einsum("nii->ni", covariance))

    numbers = {
        "k1": out[:, RATES], "k2": out[:, RATES + 1], "k01": out[:, AMPLITUDES], "k02": out[:, AMPLITUDES + 1],
        "k1_se": errors[:, 0], "k2_se": errors[:, 1], "k01_se": errors[:, 2], "k02_se": errors[:, 3],
        "average_rate": average, "average_rate_se": average_se, "covariance": covariance,
        "single_rate": single[:, 0] / span, "single_rate_se": single_se,
        "single_amplitude": single[:, 1] * np.exp(np.minimum(single[:, 0] * origin / span, FARTHEST_BACK)),
        "aicc": aicc, "bic": bic, "single_aicc": single_aicc, "single_bic": single_bic, "residual_rms": out[:, RMS],
    }  # fmt: skip
    if (lost := starved | hidden).any():
        for values in numbers.values():
            values[lost] = np.nan
    numbers |= {"mean": mean, "mean_se": mean_se}      # needs no time zero
    pick = (lambda values: values[0]) if alone else (lambda values: values)
    return Biexponential(
        rising=rising,
        one_exponential_suffices=pick(suffices & ~starved),
        constant=pick(constant),
        converged=pick(settled & ~starved),
        flags=pick(flags),
        **{name: pick(values) for name, values in numbers.items()},
    )


def starting_rates(scaled: Numbers) -> Numbers:
    """Rates to start from for samples at 0 … 1: a plateau, then evenly in the logarithm up to what sampling shows."""
    smallest = np.diff(np.unique(scaled)).min()
    fastest = min(max(5.0 / smallest, 50.0), 1e6)
    count = 2 + int(np.log(fastest / SLOWEST) / np.log(STARTING_RATES))
    return np.concatenate([[0.0], np.geomspace(SLOWEST, fastest, count)])


def _weights(traces: Numbers, sigma: ArrayLike | None) -> Numbers:
    """1/σ², (n, time), or (1, time) where the errors of all traces are the same."""
    if sigma is None:
        return np.ones((1, traces.shape[1]))
    errors = np.asarray(sigma, dtype=np.float64)
    if errors.shape not in ((), traces.shape[-1:], traces.shape):
        raise ValueError(f"sigma has shape {errors.shape}, expected a number, {traces.shape[-1:]} or {traces.shape}")
    errors = np.broadcast_to(errors, traces.shape if errors.shape == traces.shape else (1, traces.shape[1]))
    wrong = ~(errors > 0)
    if wrong.any() and (wrong & np.isfinite(traces)).any():
        raise ValueError("sigma must be positive wherever y is finite")
    return np.where(wrong, 0.0, 1.0 / np.where(wrong, 1.0, errors) ** 2)


def _means(
    traces: Numbers, weights: Numbers, chosen: NDArray[np.bool_], known: bool
) -> tuple[Numbers, Numbers]:
    """Weighted means (n,) of the ``chosen`` traces and their standard errors, NaN for the others."""
    mean, se = np.full(len(traces), np.nan), np.full(len(traces), np.nan)
    if chosen.any():
        seen = np.isfinite(traces[chosen])
        weight = np.where(seen, weights[chosen] if len(weights) > 1 else weights, 0.0)
        samples, total = np.where(seen, traces[chosen], 0.0), weight.sum(axis=1)
        mean[chosen] = level = (weight * samples).sum(axis=1) / total
        squares = (weight * (samples - level[:, None]) ** 2).sum(axis=1)
        se[chosen] = np.sqrt((1.0 if known else squares / (seen.sum(axis=1) - 1)) / total)
    return mean, se


def _criteria(
    squares: Numbers, scatter: Numbers, good: Numbers, model: int, known: bool
) -> tuple[Numbers, Numbers]:
    """AICc and BIC; data without noise are given a floor, so that rounding never counts as evidence."""
    count = np.maximum(good, 1)
    free = model if known else model + 1
    floored = np.maximum(squares, 1e-24 * scatter)
    deviance = floored if known else count * np.log(np.maximum(floored / count, 1e-300))
    correction = 2.0 * free * (free + 1) / np.maximum(count - free - 1, 0.5)
    return deviance + 2.0 * free + correction, deviance + free * np.log(count)
