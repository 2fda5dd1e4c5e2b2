"""Compiled steps of variable projection: one or two exponentials, weighted samples, time from 0 to 1.

For given rates the amplitudes are a linear problem and are eliminated (G. H. Golub, V. Pereyra, SIAM J. Numer. Anal.
10, 1973, 413). Everything that a step needs, the exact second derivatives included, is a handful of sums
Σ w t^p e_a e_b and Σ w t^p e_a y with p ≤ 2, so one pass over the samples makes a whole Newton step. A step that does
not go downhill is damped as by Levenberg and Marquardt; where the curvature does not point to a minimum, that of Gauss
and Newton is taken.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from halidescope.analysis.fast_exp import exp_below_zero

Array = NDArray[np.float64]

CLOSEST = 1.05     # k1 / k2 at least: closer rates are one rate within any error, and their covariance is singular
MOST_STEPS = 100
SETTLED = 1e-6     # last relative step of a rate: a Newton step leaves its square
NEARLY = 1e-4      # a Newton step below this that gains less than NOTHING of χ² is taken without another look at it
NOTHING = 1e-7
UNSEEN = 1e-8      # any step that gains less than this part of χ² is not worth a look, however long
CAREFUL = 1e-3     # damping to start with where a step fails
SUMS = 15
# what `polish` gives: rates, amplitudes, χ², plain sum of squares, whether it settled, then the sums at the end
K1, K2, A1, A2, SQUARES, PLAIN, QUIET, FIRST_SUM = range(8)
FOUND = FIRST_SUM + SUMS
FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def decay(time: Array, rate: float, out: Array) -> None:
    """e^(−rate · time), rate and times not negative."""
    for j in range(time.size):
        out[j] = exp_below_zero(-rate * time[j])


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def two_sums(time: Array, weights: Array, values: Array, e1: Array, e2: Array, out: Array) -> None:
    """Σ w t^p e_a e_b for (a, b) = (1, 1), (1, 2), (2, 2), then Σ t^p e_a v for a = 1, 2; p = 0, 1, 2 each.

    ``values`` are the samples times their weights.
    """
    p0 = p1 = p2 = q0 = q1 = q2 = r0 = r1 = r2 = 0.0
    c0 = c1 = c2 = d0 = d1 = d2 = 0.0
    for j in range(time.size):
        t = time[j]
        a, b, v = e1[j], e2[j], values[j]
        wa = weights[j] * a
        wb = weights[j] * b
        aa, ab, bb = wa * a, wa * b, wb * b
        ya, yb = v * a, v * b
        p0 += aa
        q0 += ab
        r0 += bb
        c0 += ya
        d0 += yb
        aa, ab, bb, ya, yb = aa * t, ab * t, bb * t, ya * t, yb * t
        p1 += aa
        q1 += ab
        r1 += bb
        c1 += ya
        d1 += yb
        p2 += aa * t
        q2 += ab * t
        r2 += bb * t
        c2 += ya * t
        d2 += yb * t
    out[0], out[1], out[2] = p0, p1, p2
    out[3], out[4], out[5] = q0, q1, q2
    out[6], out[7], out[8] = r0, r1, r2
    out[9], out[10], out[11] = c0, c1, c2
    out[12], out[13], out[14] = d0, d1, d2


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def one_sums(time: Array, weights: Array, values: Array, e1: Array, out: Array) -> None:
    """As :func:`two_sums` for one exponential: Σ w t^p e², then Σ t^p e v."""
    p0 = p1 = p2 = c0 = c1 = c2 = 0.0
    for j in range(time.size):
        t = time[j]
        a = e1[j]
        aa, ya = weights[j] * a * a, values[j] * a
        p0 += aa
        c0 += ya
        aa, ya = aa * t, ya * t
        p1 += aa
        c1 += ya
        p2 += aa * t
        c2 += ya * t
    out[0], out[1], out[2], out[3], out[4], out[5] = p0, p1, p2, c0, c1, c2


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def dot(a: Array, b: Array) -> float:
    """Σ a b."""
    total = 0.0
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def dot_and_moment(time: Array, a: Array, b: Array) -> tuple[float, float]:
    """Σ a b and Σ t a b."""
    total = moment = 0.0
    for j in range(time.size):
        product = a[j] * b[j]
        total += product
        moment += time[j] * product
    return total, moment


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def misfit(samples: Array, weights: Array, a: float, e1: Array, b: float, e2: Array) -> tuple[float, float]:
    """χ² sample by sample, and the sum of squares of what is not left out; no difference of large sums."""
    squares = plain = 0.0
    for j in range(samples.size):
        residual = samples[j] - a * e1[j] - b * e2[j]
        residual *= residual
        squares += weights[j] * residual
        plain += residual if weights[j] > 0.0 else 0.0
    return squares, plain


@njit(cache=True, nogil=True, error_model="numpy")
def project(s: Array) -> tuple[float, float]:
    """Best amplitudes for the sums of :func:`two_sums`."""
    determinant = s[0] * s[6] - s[3] * s[3]
    if determinant > 1e-13 * s[0] * s[6]:
        return (s[6] * s[9] - s[3] * s[12]) / determinant, (s[0] * s[12] - s[3] * s[9]) / determinant
    return 0.0, s[12] / s[6] if s[6] > 0.0 else 0.0   # one of the two is not visible in these samples


@njit(cache=True, nogil=True, error_model="numpy")
def curvature(s: Array, a: float, b: float, exact: float) -> tuple[float, float, float]:
    """Second derivatives of ½ χ² by the rates, the amplitudes eliminated: (1, 1), (1, 2), (2, 2).

    ``exact`` is 1.0 for the whole of them, 0.0 for those of Gauss and Newton, which are never negative.
    """
    # residuals against t e1, t² e1, t e2, t² e2: all that the exact ones have in addition
    u1, u2 = exact * (s[10] - a * s[1] - b * s[4]), exact * (s[11] - a * s[2] - b * s[5])
    v1, v2 = exact * (s[13] - a * s[4] - b * s[7]), exact * (s[14] - a * s[5] - b * s[8])
    h11, h12, h22 = a * a * s[2] - a * u2, a * b * s[5], b * b * s[8] - b * v2
    determinant = s[0] * s[6] - s[3] * s[3]
    if determinant > 1e-13 * s[0] * s[6]:
        p0, p1, q0, q1 = u1 - a * s[1], -a * s[4], -b * s[4], v1 - b * s[7]
        m0, m1 = (s[6] * p0 - s[3] * p1) / determinant, (s[0] * p1 - s[3] * p0) / determinant
        h22 -= (q0 * (s[6] * q0 - s[3] * q1) + q1 * (s[0] * q1 - s[3] * q0)) / determinant
        h11 -= p0 * m0 + p1 * m1
        h12 -= q0 * m0 + q1 * m1
    return h11, h12, h22


@njit(cache=True, nogil=True, error_model="numpy")
def step_of(
    s: Array, a: float, b: float, fast: float, slow: float, fastest: float, damping: float, least: float
) -> tuple[float, float, float, bool]:
    """Steps of both rates, what they should gain in ½ χ², and whether they are Newton's.

    Newton's step with ``damping``, if that leads to a minimum; else a Gauss-Newton step with ``damping``, at ``least``
    so much. A step that would leave 0 ≤ slow ≤ fast / CLOSEST, fast ≤ fastest goes to the best place on the edge that
    it crosses.
    """
    g1 = -a * (s[10] - a * s[1] - b * s[4])    # downhill
    g2 = -b * (s[13] - a * s[4] - b * s[7])
    h11, h12, h22 = curvature(s, a, b, 1.0)
    if slow == 0.0 and g2 < 0.0:    # at the edge, and held there: what happens beyond does not matter
        g2, h12, h22 = 0.0, 0.0, abs(h22)
    h11 += damping * a * a * s[2]
    h22 += damping * b * b * s[8]
    newton = h11 > 0.0 and h22 > 0.0 and h11 * h22 - h12 * h12 > 1e-12 * h11 * h22
    if not newton:
        h11, h12, h22 = curvature(s, a, b, 0.0)
        h11 += max(damping, least) * a * a * s[2]
        h22 += max(damping, least) * b * b * s[8]
    determinant = h11 * h22 - h12 * h12
    if determinant > 1e-15 * abs(h11 * h22):
        d1, d2 = (h22 * g1 - h12 * g2) / determinant, (h11 * g2 - h12 * g1) / determinant
    else:
        d1, d2 = g1 / h11 if h11 > 0.0 else 0.0, g2 / h22 if h22 > 0.0 else 0.0
    if fast + d1 < CLOSEST * (slow + d2):
        # along fast = CLOSEST · slow there is one unknown
        away = CLOSEST * slow - fast
        along = CLOSEST * CLOSEST * h11 + 2.0 * CLOSEST * h12 + h22
        d2 = (CLOSEST * g1 + g2 - (CLOSEST * h11 + h12) * away) / along if along > 0.0 else 0.0
        d2 = max(d2, -slow)
        d1 = away + CLOSEST * d2
    elif slow + d2 < 0.0:
        d2 = -slow
        d1 = (g1 - h12 * d2) / h11 if h11 > 0.0 else 0.0
    if fast + d1 > fastest:
        d1 = fastest - fast
        d2 = (g2 - h12 * d1) / h22 if h22 > 0.0 else 0.0
        d2 = min(max(d2, -slow), fastest / CLOSEST - slow)
    gain = g1 * d1 + g2 * d2 - 0.5 * (h11 * d1 * d1 + 2.0 * h12 * d1 * d2 + h22 * d2 * d2)
    return d1, d2, gain, newton


@njit(cache=True, nogil=True, error_model="numpy")
def bounded(rate: float, step: float, fastest: float) -> float:
    """A rate after its step: at most four times away, not negative, not above ``fastest``."""
    return min(max(rate + step, 0.25 * rate), max(4.0 * rate, 0.1), fastest)


@njit(cache=True, nogil=True, error_model="numpy")
def polish(
    time: Array, samples: Array, weights: Array, values: Array, total: float, fastest: float,
    start: tuple[float, float], e1: Array, e2: Array, f1: Array, f2: Array, s: Array, q: Array, found: Array,
) -> None:  # fmt: skip
    """Settle two rates, fast one first, from their start; fills ``found`` (FOUND,).

    ``e1`` and ``e2`` hold the exponentials of the start; they, ``f1``, ``f2`` (time,), ``s`` and ``q`` (SUMS,) are
    overwritten. ``values`` are samples times weights, ``total`` is Σ w y².
    """
    fast, slow = start
    two_sums(time, weights, values, e1, e2, s)
    a, b = project(s)
    best = max(total - a * s[9] - b * s[12], 0.0)
    rounding = 1e-14 * total
    damping, least = 0.0, CAREFUL
    d1 = d2 = 0.0
    settled = False
    for _ in range(MOST_STEPS):
        d1, d2, gain, newton = step_of(s, a, b, fast, slow, fastest, damping, least)
        moved = max(abs(d1) / (fast + 1e-3), abs(d2) / (slow + 1e-3))
        enough = (NOTHING if newton and moved < NEARLY else UNSEEN) if damping <= CAREFUL else 0.0
        if gain < enough * best + 1e-2 * rounding:
            settled = True   # no other look at the samples is needed: the model of the step is the truth, or it is flat
            break
        t1 = bounded(fast, d1, fastest)
        t2 = 0.0 if slow + d2 <= 0.0 else bounded(slow, d2, fastest)
        t1 = min(max(t1, CLOSEST * t2), fastest)
        t2 = min(t2, t1 / CLOSEST)
        decay(time, t1, f1)
        decay(time, t2, f2)
        two_sums(time, weights, values, f1, f2, q)
        x, y = project(q)
        squares = max(total - x * q[9] - y * q[12], 0.0)
        moved = max(abs(t1 - fast) / (fast + 1e-3), abs(t2 - slow) / (slow + 1e-3))
        d1 = d2 = 0.0
        if squares <= best + rounding:
            best, fast, slow, a, b = squares, t1, t2, x, y
            e1, f1 = f1, e1
            e2, f2 = f2, e2
            s, q = q, s
            damping = 0.1 * damping if damping > CAREFUL else 0.0
            least = max(0.1 * least, 1e-9)
        else:
            damping = max(10.0 * damping, CAREFUL)
        if moved < SETTLED or damping > 1e12:
            settled = True   # no downhill left within rounding
            break
    found[SQUARES], found[PLAIN] = misfit(samples, weights, a, e1, b, e2)
    found[QUIET] = 1.0 if settled else 0.0
    if abs(d1) < NEARLY * (fast + 1e-3) and abs(d2) < NEARLY * (slow + 1e-3):
        a, b = followed(s, a, b, d1, d2)
        fast += d1
        slow += d2
    found[K1], found[K2], found[A1], found[A2] = fast, slow, a, b
    for i in range(SUMS):
        found[FIRST_SUM + i] = s[i]


@njit(cache=True, nogil=True, error_model="numpy")
def followed(s: Array, a: float, b: float, d1: float, d2: float) -> tuple[float, float]:
    """Amplitudes after small steps of the rates, in first order."""
    determinant = s[0] * s[6] - s[3] * s[3]
    if not determinant > 1e-13 * s[0] * s[6]:
        return a, b
    x = (s[10] - a * s[1] - b * s[4] - a * s[1]) * d1 - b * s[4] * d2
    y = (s[13] - a * s[4] - b * s[7] - b * s[7]) * d2 - a * s[4] * d1
    return a - (s[6] * x - s[3] * y) / determinant, b - (s[0] * y - s[3] * x) / determinant


@njit(cache=True, nogil=True, error_model="numpy")
def polish_one(
    time: Array, samples: Array, weights: Array, values: Array, total: float, fastest: float, start: float, e1: Array,
    f1: Array, s: Array,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Settle one exponential: rate, amplitude, χ², inverse variance of the rate with the amplitude eliminated.

    ``e1`` holds the exponential of the start; it, ``f1`` and ``s`` are overwritten, ``e1`` with that of the result.
    """
    one_sums(time, weights, values, e1, s)
    if not s[0] > 0.0:
        return start, 0.0, total, 0.0
    rate, a = start, s[3] / s[0]
    best = max(total - a * s[3], 0.0)
    damping = information = 0.0
    for _ in range(MOST_STEPS):
        # sums at the rate, its residuals against t e and t² e, and the curvatures as for two rates
        p0, p1, p2, u1, u2 = s[0], s[1], s[2], s[4] - a * s[1], s[5] - a * s[2]
        information = a * a * (p2 - p1 * p1 / p0)
        bend = a * a * p2 - a * u2 - (u1 - a * p1) ** 2 / p0 + damping * a * a * p2
        if not bend > 0.0:
            bend = information + max(damping, CAREFUL) * a * a * p2
        step = -a * u1 / bend if bend > 0.0 else 0.0
        candidate = 0.0 if rate + step <= 0.0 and rate < 0.05 else bounded(rate, step, fastest)
        moved = abs(candidate - rate) / (rate + 1e-3)
        if moved < NEARLY and (candidate - rate) ** 2 * bend < NOTHING * best:
            squares = misfit(samples, weights, a, e1, 0.0, e1)[0]
            return candidate, a - (u1 - a * p1) * (candidate - rate) / p0, squares, information
        decay(time, candidate, f1)
        one_sums(time, weights, values, f1, s)
        x = s[3] / s[0] if s[0] > 0.0 else 0.0
        squares = max(total - x * s[3], 0.0)
        if squares <= best + 1e-14 * total:
            best, rate, a = squares, candidate, x
            for j in range(time.size):
                e1[j] = f1[j]
            damping = 0.1 * damping if damping > CAREFUL else 0.0
        else:
            damping = max(10.0 * damping, CAREFUL)
            s[0], s[1], s[2], s[4], s[5] = p0, p1, p2, u1 + a * p1, u2 + a * p2
        if moved < SETTLED or damping > 1e12:
            break
    return rate, a, misfit(samples, weights, a, e1, 0.0, e1)[0], information
