"""Luminescence lifetimes from time-resolved decays, the instrument response included.

Counts = background + Σ A_i (IRF(t − shift) ∗ e^(−t/τ_i)) dt, on evenly spaced time bins, Poisson weights from the
fitted model. The convolution is a recursion over the bins (A. Grinvald, I. Z. Steinberg, Anal. Biochem. 59, 583, 1974).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.signal import lfilter

from halidescope.analysis.flags import Flag
from halidescope.analysis.linear import inverse_of, propagate

Numbers = NDArray[np.float64]
PASSES = 8
SIGNIFICANT = 2.0   # standard errors
FLOOR = 0.01    # smallest variance of a bin, in mean variances


@dataclass(frozen=True)
class Decay:
    """One or two lifetimes, the longest first.

    Attributes
    ----------
    lifetime_ns, lifetime_ns_se : (m,)
    amplitude, amplitude_se : (m,)
        Counts per ns of response, at time 0 of each exponential.
    average_lifetime_ns, average_lifetime_ns_se : float
        Amplitude average Σ A τ / Σ A: the τ of a rate k1 = 1/τ.
    background, background_se : float
        Counts per bin.
    shift_ns, shift_ns_se : float
        Of the response against the decay; zero if not fitted.
    covariance
        In the order of ``names``.
    flags : int
        Bits of :class:`~halidescope.analysis.flags.Flag`; NO_SIGNAL: a lifetime within two standard errors of zero, or
        an amplitude that is not positive.
    reduced_chi2 : float
        χ² with the model's variance, per degree of freedom: 1 for a good fit.
    """

    lifetime_ns: Numbers
    lifetime_ns_se: Numbers
    amplitude: Numbers
    amplitude_se: Numbers
    average_lifetime_ns: float
    average_lifetime_ns_se: float
    background: float
    background_se: float
    shift_ns: float
    shift_ns_se: float
    names: tuple[str, ...]
    covariance: Numbers
    fitted: Numbers
    reduced_chi2: float
    converged: bool
    flags: int


def fit_decay(
    t_ns: ArrayLike, counts: ArrayLike, response: ArrayLike | None = None, *, components: int = 1, shift: bool = True
) -> Decay:
    """Fit lifetimes to a histogram of photon arrival times.

    Parameters
    ----------
    t_ns : (bins,)
        Centres of evenly spaced bins.
    counts : (bins,)
        Photons per bin, not background-corrected.
    response : (bins,), optional
        Instrument response on the same bins, background-free, any scale. Without it the decay is taken to start
        sharply at the first bin: cut what comes before.
    components : {1, 2}
    shift : bool
        Fit a shift of the response in time; needs a response.

    Raises
    ------
    ValueError
        Bins that are not evenly spaced, lengths that differ, counts that are negative or not finite, a response
        without area, too few bins or too few photons.
    """
    time, data = np.asarray(t_ns, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if components not in (1, 2):
        raise ValueError(f"components is {components}, allowed are 1 and 2")
    if time.ndim != 1 or data.shape != time.shape or time.size < 10:
        raise ValueError(f"times {time.shape} and counts {data.shape}: give two equal lists of at least 10 bins")
    if not np.isfinite(data).all() or (data < 0).any():
        raise ValueError("counts must be finite and not negative; do not subtract a background first")
    step = (time[-1] - time[0]) / (time.size - 1)
    if not step > 0 or not np.allclose(np.diff(time), step, rtol=1e-3):
        raise ValueError("time bins must be evenly spaced and rise")
    if data.sum() < 50:
        raise ValueError(f"{data.sum():.0f} photons in all, a lifetime needs at least 50")
    shift = shift and response is not None
    shape = None
    if response is not None:
        shape = np.asarray(response, dtype=np.float64)
        if shape.shape != time.shape or not shape.sum() > 0 or not np.isfinite(shape).all():
            raise ValueError(f"response has shape {shape.shape}; it needs the bins of the decay and a positive area")
        shape = shape / (shape.sum() * step)
    since = time - time[0]

    def columns(nonlinear: Numbers) -> Numbers:
        """Shapes (bins, components + 1): every exponential convolved with the response, and the background."""
        taus = np.exp(nonlinear[:components])
        if shape is None:
            # mean over a bin of an exponential that starts with the first one
            parts = [np.exp(-since / tau) * tau / step * -np.expm1(-step / tau) for tau in taus]
        else:
            moved = shape if not shift else np.interp(since - nonlinear[-1], since, shape, left=0.0, right=0.0)
            parts = [_convolved(moved, step, tau) for tau in taus]
        return np.stack([*parts, np.ones_like(time)], axis=1)

    def amplitudes(nonlinear: Numbers, weights: Numbers) -> tuple[Numbers, Numbers]:
        shapes = columns(nonlinear)
        found = np.linalg.lstsq(shapes * weights[:, None], data * weights, rcond=None)[0]
        return np.asarray(found, dtype=np.float64), shapes

    width = max(float(data @ since / data.sum()), 2 * step)
    starts = [np.log(width * np.array(factors)) for factors in _STARTS[components]]
    low = np.append(np.full(components, np.log(0.05 * step)), [-0.2 * since[-1]] * shift)
    high = np.append(np.full(components, np.log(100 * since[-1])), [0.2 * since[-1]] * shift)
    weights = 1.0 / np.sqrt(np.maximum(_smooth(data), FLOOR * data.mean()))
    best = None
    for start in starts:
        p, settled, used = np.append(start, [0.0] * shift), False, weights
        for _ in range(PASSES):
            before = p

            def misfit(q: Numbers, w: Numbers = used) -> Numbers:
                found, shapes = amplitudes(q, w)
                return (shapes @ found - data) * w

            p = least_squares(misfit, p, bounds=(low, high), x_scale="jac", diff_step=1e-6).x
            found, shapes = amplitudes(p, used)
            model = shapes @ found
            used = 1.0 / np.sqrt(np.maximum(model, FLOOR * data.mean()))
            if np.max(np.abs(p - before)) < 1e-5:
                settled = True
                break
        # Poisson deviance decides between starts: χ² with their own weights would not compare
        safe = np.maximum(model, 1e-12)
        deviance = 2.0 * float(np.sum(safe - data + np.where(data > 0, data * np.log(np.maximum(data, 1) / safe), 0.0)))
        if best is None or deviance < best[0]:
            best = (deviance, p, found, model, used, settled)
    assert best is not None
    _, p, found, model, used, settled = best

    order = np.argsort(-p[:components])
    p = np.append(p[order], p[components:])
    found = np.append(found[order], found[-1])
    slope = np.empty((time.size, p.size))
    for i in range(p.size):
        move = np.zeros(p.size)
        move[i] = 1e-4 if i < components else 0.05 * step
        slope[:, i] = (columns(p + move) - columns(p - move)) @ found / (2 * move[i])
    full = np.concatenate([slope, columns(p)], axis=1) * used[:, None]
    covariance = inverse_of((full.T @ full)[None])[0]
    taus = np.exp(p[:components])
    unit = np.ones(len(covariance))
    unit[:components] = taus                       # from ln τ to τ
    covariance = covariance * np.outer(unit, unit)
    se = np.sqrt(np.diag(covariance))
    heights = found[:-1]
    average = float(heights @ taus / heights.sum())
    gradient = np.zeros(len(covariance))
    gradient[:components] = heights / heights.sum()
    gradient[p.size : p.size + components] = (taus - average) / heights.sum()
    # a lifetime that is not known to a half, or a decay that carries no photons above the background, is none
    faint = not (np.all(taus > SIGNIFICANT * se[:components]) and np.all(heights > 0))
    at_bound = bool(((p - low < 1e-6) | (high - p < 1e-6)).any())
    converged = settled and bool(np.isfinite(covariance).all())
    names = [f"lifetime_{i + 1}_ns" for i in range(components)] + ["shift_ns"] * shift
    names += [f"amplitude_{i + 1}" for i in range(components)] + ["background"]
    return Decay(
        lifetime_ns=taus,
        lifetime_ns_se=se[:components],
        amplitude=heights,
        amplitude_se=se[p.size : p.size + components],
        average_lifetime_ns=average,
        average_lifetime_ns_se=float(propagate(gradient, covariance)),
        background=float(found[-1]),
        background_se=float(se[-1]),
        shift_ns=float(p[-1]) if shift else 0.0,
        shift_ns_se=float(se[components]) if shift else 0.0,
        names=tuple(names),
        covariance=covariance,
        fitted=model,
        reduced_chi2=float(np.sum(((data - model) * used) ** 2) / (time.size - len(names))),
        converged=converged,
        flags=(0 if converged else int(Flag.NOT_CONVERGED))
        | (int(Flag.AT_BOUND) if at_bound else 0)
        | (int(Flag.NO_SIGNAL) if faint else 0),
    )


_STARTS: dict[int, list[list[float]]] = {1: [[0.3], [1.0], [3.0]], 2: [[1.5, 0.2], [3.0, 0.6], [0.8, 0.05]]}


def _convolved(response: Numbers, step: float, tau: float) -> Numbers:
    """Response (per ns) ∗ e^(−t/τ), exact for a response that is linear between the bins."""
    ratio = np.exp(-step / tau)
    # ∫ over one bin of (a + (b − a) s/step) e^(−(step − s)/τ) ds = a α + b β
    whole = -tau * np.expm1(-step / tau)
    beta = tau * (1.0 - whole / step)
    alpha = whole - beta
    inflow = beta * response
    inflow[1:] += alpha * response[:-1]
    return lfilter([1.0], [1.0, -ratio], inflow)


def _smooth(data: Numbers) -> Numbers:
    """Running mean over nine bins: first weights that do not follow single counts."""
    return np.convolve(np.pad(data, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")
