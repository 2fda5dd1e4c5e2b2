"""Halide diffusion from what the exposure left behind: a profile through the spot, or the halo around it.

I_F(x) = I0 / √(4π D t) · exp(−(x − x0)² / (4 D t)) (T. R. da Cunha et al., ACS Appl. Mater. Interfaces 2025, 17, 14389,
equation 1), with t = 1/<k> in the photothermal and t = τ in the electronic reading. The 1/e radius is √(4 D t).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from halidescope.analysis.flags import Flag, TooFewPointsError
from halidescope.analysis.linear import inverse_of
from halidescope.analysis.missing import with_nan

Numbers = NDArray[np.float64]
Model = Callable[[Numbers], tuple[Numbers, Numbers]]
UM2_TO_M2 = 1e-12
WIDEST = 3.0      # lengths of the profile: a wider bell is a flat line
EVIDENCE = 30.0   # χ² that a bump must save against a flat line; chance bumps anywhere in a map save up to about 25


@dataclass(frozen=True)
class Profile:
    """Diffusion out of a line through the spot.

    ``covariance`` is in the order centre_um, width_um, amplitude (and offset, if fitted); ``width_um`` is √(4 D t), the
    1/e half width. ``flags``: NO_SIGNAL where nothing rises above noise, AT_BOUND where the bell is far wider than the
    profile, OUTSIDE where its centre is. ``strength`` is I0 of the formula, in the intensity's unit times µm.
    """

    diffusivity_m2_s: float
    diffusivity_m2_s_se: float
    centre_um: float
    centre_um_se: float
    width_um: float
    width_um_se: float
    amplitude: float
    amplitude_se: float
    offset: float
    offset_se: float
    strength: float
    strength_se: float
    covariance: Numbers
    residual_rms: float
    reduced_chi2: float
    converged: bool
    flags: int

    def evaluate(self, x_um: ArrayLike) -> Numbers:
        """Fitted intensity at positions in µm."""
        distance = (np.asarray(x_um, dtype=np.float64) - self.centre_um) / self.width_um
        return self.offset + self.amplitude * np.exp(-(distance**2))


@dataclass(frozen=True)
class Halo:
    """The converted spot in a map of shares: offset + amplitude · exp(−r² / radius²), radius = √(4 D t).

    ``covariance`` is in the order centre_x_um, centre_y_um, radius_um, amplitude, offset.
    """

    centre_x_um: float
    centre_x_um_se: float
    centre_y_um: float
    centre_y_um_se: float
    radius_um: float
    radius_um_se: float
    amplitude: float
    amplitude_se: float
    offset: float
    offset_se: float
    covariance: Numbers
    residual_rms: float
    reduced_chi2: float
    converged: bool
    flags: int

    def evaluate(self, x_um: ArrayLike, y_um: ArrayLike) -> Numbers:
        """Fitted share at positions in µm (broadcast against each other)."""
        dx = np.asarray(x_um, dtype=np.float64) - self.centre_x_um
        dy = np.asarray(y_um, dtype=np.float64) - self.centre_y_um
        return self.offset + self.amplitude * np.exp(-(dx**2 + dy**2) / self.radius_um**2)

    def diffusivity_m2_s(self, t_s: float) -> float:
        """D in m²/s for diffusion during ``t_s`` seconds."""
        return self.radius_um**2 / (4 * t_s) * UM2_TO_M2


def fit_profile(
    x_um: ArrayLike, intensity: ArrayLike, t_s: float, sigma: ArrayLike | None = None, *, offset: bool = False
) -> Profile:
    """Fit the diffusion profile through an exposed spot.

    Parameters
    ----------
    x_um, intensity : (n,)
        Positions in µm and the profile; points that are not finite are left out.
    t_s : float
        Diffusion time in s: 1/<k> or τ.
    sigma : scalar or (n,), optional
        Standard errors of the intensity; without them equal errors are taken from the residual.
    offset : bool
        Fit a constant background as well; the formula has none.

    Raises
    ------
    ValueError
        Lengths that differ, fewer good points than parameters + 1, a time or errors that are not positive.
    """
    x, values = np.asarray(x_um, dtype=np.float64), np.asarray(with_nan(intensity), dtype=np.float64)
    if x.ndim != 1 or values.shape != x.shape:
        raise ValueError(f"positions have shape {x.shape}, intensities {values.shape}; give two equal lists")
    if not (np.isfinite(t_s) and t_s > 0):
        raise ValueError(f"the diffusion time is {t_s} s, it must be positive")
    errors = _errors(sigma, values.shape)
    good = np.isfinite(x) & np.isfinite(values) & np.isfinite(errors)
    x, values, errors = x[good], values[good], errors[good]
    parameters = 4 if offset else 3
    if (places := np.unique(x).size) <= parameters:
        raise TooFewPointsError(f"{places} good points, a profile with {parameters} parameters needs {parameters + 1}")

    def model(p: Numbers) -> tuple[Numbers, Numbers]:
        distance = x - p[0]
        bell = np.exp(-((distance / p[1]) ** 2))
        slope = [2 * p[2] * bell * distance / p[1] ** 2, 2 * p[2] * bell * distance**2 / p[1] ** 3, bell]
        value = p[2] * bell
        if offset:
            slope.append(np.ones_like(x))
            value = value + p[3]
        return value, np.stack(slope, axis=1)

    base = np.quantile(values, 0.1) if offset else 0.0
    centre = x[np.argmax(_smoothed(values, x))]
    span = np.ptp(x)
    starts = [
        np.array([centre, width, values.max() - base, base][:parameters]) for width in span * np.array([0.03, 0.1, 0.3])
    ]
    found = _best_fit(model, values, errors, starts, sigma is not None, width=1, flat=offset)
    p, covariance = found.parameters, found.covariance
    centre_se, width_se, amplitude_se = np.sqrt(np.diag(covariance))[:3]
    width = p[1]
    factor = np.sqrt(np.pi)
    flags = found.flags | (Flag.OUTSIDE if not x.min() <= p[0] <= x.max() else 0)
    if width > WIDEST * span:
        flags |= Flag.AT_BOUND
    if p[2] <= 0:     # a dip is no material that came from the spot
        flags |= Flag.NO_SIGNAL
    strength_slope = np.array([0.0, p[2], width, 0.0][:parameters]) * factor
    return Profile(
        diffusivity_m2_s=width**2 / (4 * t_s) * UM2_TO_M2,
        diffusivity_m2_s_se=2 * width * width_se / (4 * t_s) * UM2_TO_M2,
        centre_um=p[0],
        centre_um_se=float(centre_se),
        width_um=width,
        width_um_se=float(width_se),
        amplitude=p[2],
        amplitude_se=float(amplitude_se),
        offset=p[3] if offset else 0.0,
        offset_se=float(np.sqrt(covariance[3, 3])) if offset else 0.0,
        strength=p[2] * width * factor,
        strength_se=float(np.sqrt(strength_slope @ covariance @ strength_slope)),
        covariance=covariance,
        residual_rms=found.residual_rms,
        reduced_chi2=found.reduced_chi2,
        converged=found.converged,
        flags=int(flags),
    )


def fit_halo(x_um: ArrayLike, y_um: ArrayLike, share: ArrayLike, sigma: ArrayLike | None = None) -> Halo:
    """Fit a round halo to a map of shares.

    Parameters
    ----------
    x_um, y_um : (nx,) and (ny,), or both like ``share``
        Columns and rows of the map in µm, or the position of every pixel.
    share : (ny, nx) or any shape
        Share of the phase that grew; pixels that are masked or not finite are left out.
    sigma : scalar or like ``share``, optional
        Standard errors; without them equal errors are taken from the residual.

    Raises
    ------
    ValueError
        Shapes that do not match, errors that are not positive; fewer than six good pixels, or all on one line
        (:class:`~halidescope.analysis.flags.TooFewPointsError`).
    """
    values = np.ma.filled(np.ma.asarray(share, dtype=np.float64), np.nan)
    x, y = np.asarray(x_um, dtype=np.float64), np.asarray(y_um, dtype=np.float64)
    if values.ndim == 2 and x.ndim == 1 and y.ndim == 1 and values.shape == (y.size, x.size):
        x, y = np.meshgrid(x, y)
    if x.shape != values.shape or y.shape != values.shape:
        raise ValueError(f"positions have shapes {x.shape} and {y.shape}, the share {values.shape}")
    errors = _errors(sigma, values.shape)
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(values) & ~np.isnan(errors)
    if good.sum() < 6:
        raise TooFewPointsError(f"{int(good.sum())} good pixels, a halo needs at least 6")
    x, y, values, errors = x[good], y[good], values[good], errors[good]
    if np.linalg.matrix_rank(np.stack([x - x.mean(), y - y.mean()])) < 2:
        raise TooFewPointsError("all good pixels lie on one line, which says nothing of a halo across it")

    def model(p: Numbers) -> tuple[Numbers, Numbers]:
        return _halo_model(p, x, y)

    base = float(np.median(values))
    top = int(np.argmax(values))
    area = max(float(np.ptp(x) * np.ptp(y)), np.finfo(float).tiny)
    spacing = np.sqrt(area / values.size)
    starts = [
        np.array([x[top], y[top], radius, values[top] - base, base])
        for radius in np.geomspace(spacing, np.sqrt(area) / 2, 4)
    ]
    found = _best_fit(model, values, errors, starts, sigma is not None, width=2, flat=True)
    p = found.parameters
    se = [float(v) for v in np.sqrt(np.diag(found.covariance))]
    outside = not (x.min() <= p[0] <= x.max() and y.min() <= p[1] <= y.max())
    return Halo(
        centre_x_um=p[0], centre_x_um_se=se[0], centre_y_um=p[1], centre_y_um_se=se[1], radius_um=p[2],
        radius_um_se=se[2], amplitude=p[3], amplitude_se=se[3], offset=p[4], offset_se=se[4],
        covariance=found.covariance, residual_rms=found.residual_rms, reduced_chi2=found.reduced_chi2,
        converged=found.converged, flags=found.flags | (Flag.OUTSIDE if outside else 0),
    )  # fmt: skip


def halo_slope(halo: Halo, x_um: Numbers, y_um: Numbers) -> Numbers:
    """Derivatives of the fitted share by the parameters, in the order of ``Halo.covariance``: (n,) → (n, 5)."""
    p = np.array([halo.centre_x_um, halo.centre_y_um, halo.radius_um, halo.amplitude, halo.offset])
    return _halo_model(p, x_um, y_um)[1]


def _halo_model(p: Numbers, x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    dx, dy = x - p[0], y - p[1]
    r2 = dx**2 + dy**2
    bell = np.exp(-r2 / p[2] ** 2)
    slope = [2 * p[3] * bell * dx / p[2] ** 2, 2 * p[3] * bell * dy / p[2] ** 2, 2 * p[3] * bell * r2 / p[2] ** 3]
    return p[4] + p[3] * bell, np.stack([*slope, bell, np.ones_like(x)], axis=1)


@dataclass(frozen=True)
class _Fit:
    parameters: list[float]
    covariance: Numbers
    residual_rms: float
    reduced_chi2: float
    converged: bool
    flags: int


def _best_fit(
    model: Model, values: Numbers, errors: Numbers, starts: list[Numbers], known: bool, *, width: int, flat: bool
) -> _Fit:
    """Weighted least squares from several starts; parameter number ``width`` is a width and ends positive.

    The result is held against a constant (``flat``) or against zero: flagged NO_SIGNAL where it explains no more.
    """

    def misfit(p: Numbers) -> Numbers:
        return (model(p)[0] - values) / errors

    def slope(p: Numbers) -> Numbers:
        return model(p)[1] / errors[:, None]

    options = {"jac": slope, "x_scale": "jac", "method": "lm", "xtol": 1e-12, "ftol": 1e-12, "gtol": 1e-12}
    best = min((least_squares(misfit, start, **options) for start in starts), key=lambda found: found.cost)
    p = best.x.copy()
    p[width] = abs(p[width])
    free = max(values.size - p.size, 1)
    reduced = 2 * best.cost / free
    jacobian = slope(p)
    covariance = inverse_of((jacobian.T @ jacobian)[None])[0] * (1.0 if known else reduced)
    residual = model(p)[0] - values
    weights = errors**-2
    level = (weights @ values) / weights.sum() if flat else 0.0
    saved = weights @ (values - level) ** 2 - 2 * best.cost
    signal = saved > EVIDENCE * (1.0 if known else reduced)
    converged = bool(best.status > 0 and np.isfinite(covariance).all())
    return _Fit(
        parameters=[float(v) for v in p],
        covariance=covariance,
        residual_rms=float(np.sqrt(np.mean(residual**2))),
        reduced_chi2=float(reduced) if known else 1.0,
        converged=converged,
        flags=(0 if converged else int(Flag.NOT_CONVERGED)) | (0 if signal else int(Flag.NO_SIGNAL)),
    )


def _errors(sigma: ArrayLike | None, shape: tuple[int, ...]) -> Numbers:
    if sigma is None:
        return np.ones(shape)
    errors = np.ma.filled(np.ma.asarray(sigma, dtype=np.float64), np.nan)
    if errors.shape not in ((), shape):
        raise ValueError(f"sigma has shape {errors.shape}, expected a number or {shape}")
    if (errors <= 0).any():
        raise ValueError("sigma must be positive")
    return np.broadcast_to(errors, shape)


def _smoothed(values: Numbers, x: Numbers) -> Numbers:
    """Running mean over five neighbours in x, so that one spike is not taken for the centre."""
    order = np.argsort(x)
    width = min(5, values.size)
    padded = np.pad(values[order], (width // 2, width - 1 - width // 2), mode="edge")
    smooth = np.empty_like(values)
    smooth[order] = np.convolve(padded, np.full(width, 1 / width), mode="valid")
    return smooth
