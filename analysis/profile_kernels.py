"""Compiled steps for forms of kinetics with one or two parameters that are not linear: their lowest χ² between bounds.

Two exponentials with one number held, for :mod:`halidescope.analysis.kinetics_profile`, and the models of
:mod:`halidescope.analysis.kinetics_models`. Amplitudes that are free are eliminated; what remains, mostly logarithms
of rates, is settled by Levenberg's and Marquardt's steps. Time is dimensionless, rates are in its inverse.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.varpro import FAST, decay, dot

Array = NDArray[np.float64]

FAST_RATE, SLOW_RATE, AVERAGE, SHARE, FAST_AMPLITUDE, SLOW_AMPLITUDE = range(6)     # what is held of two exponentials
MONO, MONO_PLATEAU, STRETCHED, STRETCHED_PLATEAU, TWO, TWO_PLATEAU = range(6, 12)    # nothing is held of these
SLOWEST, FASTEST = -20.0, 14.0      # logarithms of rates
NOTHING_LEFT = 1e-20                # of a shape's square: so much that is left by the others is rounding
NUDGE = 1e-6                        # of a logarithm, for derivatives
LONGEST = 2.0                       # step of a logarithm
MOST_STEPS = 100
SETTLED, STILL = 1e-10, 1e-9        # part of χ² that a step gains, and step, below which it is the last
MOST_STARTS = 5
FARTHEST_DOWN = 60.0                # e^−60 is nothing, and can still be divided by


@njit(cache=True, nogil=True, error_model="numpy")
def decays(time: Array, inverse: Array, rate: float, out: Array) -> None:
    """e^(−rate · time) over the errors, ``inverse`` being one over these; times may be negative."""
    if time[0] >= 0.0:      # ascending
        decay(time, rate, out)
        for j in range(time.size):      # it stays at e^−40 below that, and times 1e17 this would be a plateau
            out[j] = out[j] if rate * time[j] < 39.0 else 0.0
    else:
        for j in range(time.size):
            out[j] = math.exp(min(max(-rate * time[j], -700.0), 700.0))
    for j in range(time.size):
        out[j] *= inverse[j]


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def take_off(shape: Array, rest: Array) -> float:
    """Remove from ``rest`` what ``shape`` explains of it; its amplitude is returned."""
    norm = dot(shape, shape)
    amplitude = dot(shape, rest) / norm if norm > 0.0 else 0.0
    for j in range(rest.size):
        rest[j] -= amplitude * shape[j]
    return amplitude


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def combine(a: float, first: Array, b: float, second: Array, out: Array) -> None:
    """a · first + b · second."""
    for j in range(out.size):
        out[j] = a * first[j] + b * second[j]


@njit(cache=True, nogil=True, error_model="numpy")
def take_off_new(first: Array, second: Array, third: Array, new: Array, rest: Array) -> None:
    """Remove from ``rest`` what ``third`` explains and two others, which have nothing in common, do not; in ``new``."""
    combine(0.0, third, 1.0, third, new)
    take_off(first, new)
    take_off(second, new)
    if dot(new, new) > NOTHING_LEFT * dot(third, third):
        take_off(new, rest)


@njit(cache=True, nogil=True, error_model="numpy")
def misfit_of_model(
    model: int, logs: Array, time: Array, inverse: Array, target: Array, e1: Array, e2: Array, shape: Array, rest: Array
) -> float:
    """:func:`misfit` for a model of which nothing is held."""
    for j in range(rest.size):
        rest[j] = target[j]
    if model in (STRETCHED, STRETCHED_PLATEAU):
        rate = math.exp(logs[0])
        for j in range(time.size):
            e1[j] = math.exp(-((rate * max(time[j], 0.0)) ** logs[1])) * inverse[j]
    else:
        decays(time, inverse, math.exp(logs[0]), e1)
    take_off(e1, rest)
    if model in (MONO_PLATEAU, STRETCHED_PLATEAU):
        take_off_new(e1, e1, inverse, shape, rest)
    elif model in (TWO, TWO_PLATEAU):
        decays(time, inverse, math.exp(logs[1]), e2)
        take_off_new(e1, e1, e2, shape, rest)
        if model == TWO_PLATEAU:
            take_off_new(e1, shape, inverse, e2, rest)
    return dot(rest, rest)


@njit(cache=True, nogil=True, error_model="numpy")
def misfit(
    held: int, value: float, logs: Array, time: Array, inverse: Array, target: Array, end: float, e1: Array, e2: Array,
    shape: Array, rest: Array,
) -> float:  # fmt: skip
    """χ² with the free amplitudes at their best, and the residuals in ``rest``.

    ``target`` are the samples over their errors. ``logs`` are the logarithms of k1 and k2; of k2 and k1 / k2 where an
    amplitude is held, so that a bound keeps them apart; of the other rate alone where a rate is held. Of a stretched
    exponential they are the logarithm of its rate and β.
    """
    if held >= MONO:
        return misfit_of_model(held, logs, time, inverse, target, e1, e2, shape, rest)
    if held == FAST_RATE:
        first, second = math.log(max(value, 1e-9)), logs[0]
    elif held == SLOW_RATE:
        first, second = logs[0], math.log(max(value, 1e-9))
    elif held >= FAST_AMPLITUDE:
        first, second = logs[0] + logs[1], logs[0]
    else:
        first, second = logs[0], logs[1]
    k1 = math.exp(min(max(first, SLOWEST), FASTEST))
    k2 = math.exp(min(max(second, SLOWEST), FASTEST))
    decays(time, inverse, k1, e1)
    decays(time, inverse, k2, e2)
    for j in range(rest.size):
        rest[j] = target[j]
    if held in (FAST_RATE, SLOW_RATE):
        take_off(e1, rest)
        take_off_new(e1, e1, e2, shape, rest)
    else:
        if held == AVERAGE:     # Σ k0i (ki − <k>) = 0 leaves one amplitude: (k01, k02) ∝ (<k> − k2, k1 − <k>)
            combine(value - k2, e1, k1 - value, e2, shape)
        elif held == SHARE:     # of the slower amplitude, which is still there at the end, the other one makes the rest
            at1, at2 = math.exp(-min(k1 * end, FARTHEST_DOWN)), math.exp(-min(k2 * end, FARTHEST_DOWN))
            if k1 < k2:
                combine(1.0, rest, -value / at1, e1, rest)
                combine(1.0, e2, -at2 / at1, e1, shape)
            else:
                combine(1.0, rest, -value / at2, e2, rest)
                combine(1.0, e1, -at1 / at2, e2, shape)
        elif held == FAST_AMPLITUDE:
            combine(1.0, rest, -value, e1, rest)
            combine(0.0, e1, 1.0, e2, shape)
        else:
            combine(1.0, rest, -value, e2, rest)
            combine(1.0, e1, 0.0, e2, shape)
        take_off(shape, rest)
    return dot(rest, rest)


@njit(cache=True, nogil=True, error_model="numpy")
def lowest(
    held: int, value: float, starts: Array, low: Array, high: Array, time: Array, inverse: Array, target: Array,
    end: float,
) -> float:  # fmt: skip
    """χ² with ``value`` held, minimised over the logarithms between ``low`` and ``high`` (m,): the best of some starts.

    Settled are the first of ``starts`` (s, m), which are overwritten, and the :data:`MOST_STARTS` whose χ² is lowest as
    they stand; the best of these comes to be the first.
    ``time`` (n,) is ascending, ``inverse`` (n,) one over the errors, ``target`` (n,) samples over errors; ``end`` is
    the time of the share that is held.
    """
    n = time.size
    e1, e2, shape, rest = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    heights = np.empty(len(starts))
    for i in range(len(starts)):
        for m in range(low.size):
            starts[i, m] = min(max(starts[i, m], low[m]), high[m])
        heights[i] = misfit(held, value, starts[i], time, inverse, target, end, e1, e2, shape, rest)
    best = settle(held, value, starts[0], low, high, time, inverse, target, end)
    heights[0] = np.inf
    for _ in range(min(MOST_STARTS, len(starts) - 1)):
        i = int(np.argmin(heights))
        heights[i] = np.inf
        found = settle(held, value, starts[i], low, high, time, inverse, target, end)
        if found < best:
            best = found
            starts[0] = starts[i]
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def settle(
    held: int, value: float, start: Array, low: Array, high: Array, time: Array, inverse: Array, target: Array,
    end: float,
) -> float:  # fmt: skip
    """χ² at the minimum that ``start`` (m,) leads to, which is overwritten with it; as :func:`lowest`."""
    size, n = start.size, time.size
    logs, trial = start, np.empty(size)
    e1, e2, shape, rest, other = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    slopes = np.empty((2, n))
    free = np.empty(2, dtype=np.bool_)
    best = misfit(held, value, logs, time, inverse, target, end, e1, e2, shape, rest)
    damping = 1e-3
    for _ in range(MOST_STEPS):
        for i in range(size):
            for m in range(size):
                trial[m] = logs[m]
            nudge = NUDGE if logs[i] + NUDGE <= high[i] else -NUDGE
            trial[i] += nudge
            misfit(held, value, trial, time, inverse, target, end, e1, e2, shape, other)
            combine(1.0 / nudge, other, -1.0 / nudge, rest, slopes[i])
        g0, h00 = dot(slopes[0], rest), dot(slopes[0], slopes[0])
        g1 = dot(slopes[1], rest) if size > 1 else 0.0
        h01 = dot(slopes[0], slopes[1]) if size > 1 else 0.0
        h11 = dot(slopes[1], slopes[1]) if size > 1 else 0.0
        free[0] = h00 > 0.0 and (logs[0] > low[0] or g0 < 0.0) and (logs[0] < high[0] or g0 > 0.0)
        free[1] = h11 > 0.0 and (logs[1] > low[1] or g1 < 0.0) and (logs[1] < high[1] or g1 > 0.0)
        found = best
        moved = 0.0
        while damping < 1e12:
            d0 = d1 = 0.0
            a, b = h00 * (1.0 + damping), h11 * (1.0 + damping)
            if free[0] and free[1]:
                determinant = a * b - h01 * h01
                if determinant > 0.0:
                    d0, d1 = -(b * g0 - h01 * g1) / determinant, -(a * g1 - h01 * g0) / determinant
            elif free[0]:
                d0 = -g0 / a
            elif free[1]:
                d1 = -g1 / b
            d0, d1 = min(max(d0, -LONGEST), LONGEST), min(max(d1, -LONGEST), LONGEST)
            trial[0] = min(max(logs[0] + d0, low[0]), high[0])
            moved = abs(trial[0] - logs[0])
            if size > 1:
                trial[1] = min(max(logs[1] + d1, low[1]), high[1])
                moved = max(moved, abs(trial[1] - logs[1]))
            found = misfit(held, value, trial, time, inverse, target, end, e1, e2, shape, other)
            if found < best or moved < STILL:
                break
            damping *= 10.0
        if not found < best:
            break
        gained = best - found
        best = found
        damping = max(0.1 * damping, 1e-12)
        for i in range(size):
            logs[i] = trial[i]
        rest, other = other, rest
        if gained < SETTLED * best or moved < STILL:
            break
    return best
