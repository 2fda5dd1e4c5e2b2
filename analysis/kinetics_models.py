"""Other forms of a share's kinetics beside two exponentials, and how to choose between them.

In the falling form, with the plateau c only where the name says so:

====================== =============================================== ======================================
name                   share                                           rate reported
====================== =============================================== ======================================
mono                   k0 e^(−k t)                                     k
mono-plateau           k0 e^(−k t) + c                                 k
stretched              k0 e^(−(k t)^β)                                 1/<τ> = k β / Γ(1/β)
stretched-plateau      k0 e^(−(k t)^β) + c                             1/<τ>
biexponential          k01 e^(−k1 t) + k02 e^(−k2 t)                   <k> = Σ k0i ki / Σ k0i
biexponential-plateau  k01 e^(−k1 t) + k02 e^(−k2 t) + c               <k>
====================== =============================================== ======================================

A rising share is 1 minus that. For many traces of two exponentials there is
:func:`~halidescope.analysis.kinetics.fit_biexponential`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, gamma

from halidescope.analysis import profile_kernels as kernels
from halidescope.analysis.flags import Flag
from halidescope.analysis.kinetics import Estimate
from halidescope.analysis.linear import inverse_of, propagate

Numbers = NDArray[np.float64]
Model = Literal["mono", "mono-plateau", "stretched", "stretched-plateau", "biexponential", "biexponential-plateau"]
NAMES: dict[str, tuple[str, ...]] = {
    "mono": ("k", "k0"),
    "mono-plateau": ("k", "k0", "c"),
    "stretched": ("k", "beta", "k0"),
    "stretched-plateau": ("k", "beta", "k0", "c"),
    "biexponential": ("k1", "k2", "k01", "k02"),
    "biexponential-plateau": ("k1", "k2", "k01", "k02", "c"),
}
KERNELS = {
    "mono": kernels.MONO, "mono-plateau": kernels.MONO_PLATEAU, "stretched": kernels.STRETCHED,
    "stretched-plateau": kernels.STRETCHED_PLATEAU, "biexponential": kernels.TWO,
    "biexponential-plateau": kernels.TWO_PLATEAU,
}  # fmt: skip
SLOWEST, FASTEST = 1e-3, 1e5      # rates searched, in 1/duration
BETA = (0.05, 3.0)
AT_EDGE = 1e-4                    # of the logarithm of a rate: nearer to the edge, the rate is not determined


@dataclass(frozen=True)
class KineticFit:
    """One trace fitted with one model.

    ``values``, ``se`` and ``covariance`` are in the order of ``names``; rates in 1/unit of time. ``rate`` is the one
    number that stands for the whole decay, see the module.
    """

    model: str
    rising: bool
    names: tuple[str, ...]
    values: Numbers
    se: Numbers
    covariance: Numbers
    rate: float
    rate_se: float
    chi2: float
    aicc: float
    bic: float
    residual_rms: float
    converged: bool
    flags: int

    def __getitem__(self, name: str) -> Estimate:
        """Value and standard error of the parameter ``name``."""
        i = self.names.index(name)
        return Estimate(self.values[i], self.se[i])

    def share_at(self, t: ArrayLike) -> Estimate:
        """Value and standard error of the fitted share at times ``t``."""
        times = np.asarray(t, dtype=np.float64)
        curve, slope = _curve(self.model, times.reshape(-1), self.values)
        value = 1.0 - curve if self.rising else curve
        return Estimate(value.reshape(times.shape)[()], propagate(slope, self.covariance).reshape(times.shape)[()])

    def evaluate(self, t: ArrayLike) -> Numbers:
        """The fitted share at times ``t``."""
        return self.share_at(t).value


def fit_kinetics(
    t: ArrayLike, y: ArrayLike, model: Model, *, rising: bool = False, sigma: ArrayLike | None = None
) -> KineticFit:
    """Fit one trace (time,) with one model; several starts, amplitudes eliminated, any unit of time.

    ``sigma``, a number or (time,), are the standard errors of ``y``; without them they are taken from the residual.
    Samples that are not finite are left out. ValueError for an unknown model, lengths that differ, errors that are not
    positive, or fewer samples than parameters + 1.
    """
    if model not in NAMES:
        raise ValueError(f"model is {model!r}, allowed are {', '.join(NAMES)}")
    times, trace = np.asarray(t, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if times.ndim != 1 or trace.shape != times.shape:
        raise ValueError(f"t has shape {times.shape}, y {trace.shape}; give two equal lists")
    errors = np.ones_like(trace) if sigma is None else np.broadcast_to(np.asarray(sigma, float), trace.shape)
    good = np.isfinite(times) & np.isfinite(trace)
    if not (np.isfinite(errors[good]) & (errors[good] > 0)).all():
        raise ValueError("sigma must be finite and positive wherever y is finite")
    times, trace, errors = times[good], trace[good], errors[good]
    names = NAMES[model]
    count = len(names)
    if np.unique(times).size <= count:
        raise ValueError(f"{np.unique(times).size} different times, the model {model} needs at least {count + 1}")
    span = float(np.max(np.abs(times)))
    scaled = times / span
    falling = 1.0 - trace if rising else trace

    def linear(nonlinear: Numbers) -> tuple[Numbers, Numbers]:
        columns = _columns(model, scaled, nonlinear) / errors[:, None]
        amplitudes = np.asarray(np.linalg.lstsq(columns, falling / errors, rcond=None)[0], dtype=np.float64)
        return amplitudes, columns @ amplitudes - falling / errors

    low, high = _bounds(model)
    order = np.argsort(scaled, kind="stable")
    inverse, starts = 1.0 / errors[order], np.array(_starts(model))
    kernels.lowest(KERNELS[model], 0.0, starts, low, high, scaled[order], inverse, falling[order] * inverse, 0.0)
    best = starts[0]
    amplitudes, residuals = linear(best)
    values = np.concatenate([_natural(model, best), amplitudes])
    if model.startswith("biexp") and values[0] < values[1]:
        values[[0, 1, 2, 3]] = values[[1, 0, 3, 2]]
    chi2 = float(residuals @ residuals)
    n = times.size
    rates = slice(0, 2 if model.startswith("biexp") else 1)
    slope = _curve(model, scaled, values)[1] / errors[:, None]
    covariance = inverse_of((slope.T @ slope)[None])[0] * (1.0 if sigma is not None else chi2 / (n - count))
    unit = np.ones(count)
    unit[rates] = 1.0 / span
    values, covariance = values * unit, covariance * np.outer(unit, unit)
    free = count if sigma is not None else count + 1
    deviance = chi2 if sigma is not None else n * np.log(max(chi2 / n, 1e-24 * float(np.mean(falling**2)), 1e-300))
    rate, rate_slope = _rate(model, values)
    at_bound = bool(((best - low < AT_EDGE) | (high - best < AT_EDGE)).any())
    converged = bool(np.isfinite(covariance).all())
    return KineticFit(
        model=model,
        rising=rising,
        names=names,
        values=values,
        se=np.sqrt(np.diag(covariance)),
        covariance=covariance,
        rate=rate,
        rate_se=float(propagate(rate_slope, covariance)),
        chi2=float(chi2),
        aicc=float(deviance + 2 * free + 2 * free * (free + 1) / max(n - free - 1, 0.5)),
        bic=float(deviance + free * np.log(n)),
        residual_rms=float(np.sqrt(np.mean((residuals * errors) ** 2))),
        converged=converged,
        flags=(0 if converged else int(Flag.NOT_CONVERGED)) | (int(Flag.AT_BOUND) if at_bound else 0),
    )


def compare_models(
    t: ArrayLike,
    y: ArrayLike,
    models: Sequence[Model] = ("mono", "mono-plateau", "stretched", "biexponential"),
    *,
    rising: bool = False,
    sigma: ArrayLike | None = None,
    criterion: Literal["aicc", "bic"] = "bic",
) -> list[KineticFit]:
    """Fit several models to one trace, the preferred one first."""
    fits = [fit_kinetics(t, y, model, rising=rising, sigma=sigma) for model in models]
    return sorted(fits, key=lambda fit: getattr(fit, criterion))


def _columns(model: str, t: Numbers, nonlinear: Numbers) -> Numbers:
    """Shapes whose amplitudes are linear, (time, m)."""
    p = _natural(model, nonlinear)
    if model.startswith("stretched"):
        columns = [np.exp(-((p[0] * np.maximum(t, 0.0)) ** p[1]))]
    else:
        columns = [np.exp(-np.clip(k * t, -700.0, 700.0)) for k in p]
    if model.endswith("plateau"):
        columns.append(np.ones_like(t))
    return np.stack(columns, axis=1)


def _natural(model: str, nonlinear: Numbers) -> Numbers:
    """Rates from their logarithms, β as it is."""
    p = np.exp(nonlinear)
    if model.startswith("stretched"):
        p[1] = nonlinear[1]
    return p


def _bounds(model: str) -> tuple[Numbers, Numbers]:
    low, high = np.log(SLOWEST), np.log(FASTEST)
    if model.startswith("stretched"):
        return np.array([low, BETA[0]]), np.array([high, BETA[1]])
    size = 2 if model.startswith("biexp") else 1
    return np.full(size, low), np.full(size, high)


def _starts(model: str) -> list[Numbers]:
    rates = np.log([0.02, 0.3, 3.0, 30.0, 1000.0])
    if model.startswith("stretched"):
        return [np.array([rate, beta]) for rate in rates for beta in (0.5, 1.0)]
    if model.startswith("biexp"):
        pairs = (3.0, 0.1), (10.0, 1.0), (30.0, 0.3), (100.0, 5.0), (0.3, 0.02), (1000.0, 1.0)
        return [np.log(pair) for pair in pairs]
    return [np.array([rate]) for rate in rates]


def _curve(model: str, t: Numbers, values: Numbers) -> tuple[Numbers, Numbers]:
    """Falling share (time,) and its derivatives by all parameters (time, m)."""
    plateau = [np.ones_like(t)] if model.endswith("plateau") else []
    if model.startswith("stretched"):
        k, beta, k0 = values[:3]
        power = (k * np.maximum(t, 1e-300)) ** beta
        decay = np.exp(-power)
        logarithm = np.log(k * np.maximum(t, 1e-300))
        slopes = [-k0 * decay * power * beta / k, -k0 * decay * power * logarithm, decay]
        curve = k0 * decay
    else:
        size = 2 if model.startswith("biexp") else 1
        decays = [np.exp(-k * t) for k in values[:size]]
        amplitudes = values[size : 2 * size]
        slopes = [-a * t * e for a, e in zip(amplitudes, decays, strict=True)] + decays
        curve = np.sum([a * e for a, e in zip(amplitudes, decays, strict=True)], axis=0)
    if plateau:
        curve = curve + values[-1]
    return curve, np.stack([*slopes, *plateau], axis=1)


def _rate(model: str, values: Numbers) -> tuple[float, Numbers]:
    """The rate that stands for the decay, and its gradient."""
    slope = np.zeros(values.size)
    if model.startswith("stretched"):
        k, beta = values[:2]
        rate = k * beta / gamma(1.0 / beta)
        slope[0] = rate / k
        slope[1] = rate / beta * (1.0 + digamma(1.0 / beta) / beta)
    elif model.startswith("biexp"):
        k, k0 = values[:2], values[2:4]
        total = k0.sum()
        if total == 0.0:     # nothing decays: there is no rate, and the fit is flagged by its covariance
            return np.nan, slope
        rate = k0 @ k / total
        slope[:2] = k0 / total
        slope[2:4] = (k - rate) / total
    else:
        rate = values[0]
        slope[0] = 1.0
    return float(rate), slope
