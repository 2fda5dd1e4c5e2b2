"""Diffusion from all profiles or maps at once: one coefficient (or one activation energy), free heights.

Every snapshot i is A_i exp(−r²/w_i²) + o_i with w_i² = w0² + 4 D t_i and a common centre; with temperatures,
D = D0 exp(−Ea / kB T_i). A global fit reaches the statistical bound; the slope of squared widths, each fitted alone,
does not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from halidescope.analysis.arrhenius import BOLTZMANN_EV_K
from halidescope.analysis.flags import Flag
from halidescope.analysis.linear import inverse_of

Numbers = NDArray[np.float64]
UM2_TO_M2 = 1e-12


@dataclass(frozen=True)
class Spread:
    """Common diffusion of n snapshots.

    Attributes
    ----------
    diffusivity_m2_s, diffusivity_m2_s_se : (n,)
        D at every snapshot's temperature; all the same without temperatures.
    activation_energy_ev, activation_energy_ev_se : float or None
    log_prefactor, log_prefactor_se : float or None
        ln of D0 in m²/s.
    initial_width_um, initial_width_um_se : float
        w0, 0 if not fitted.
    centre_um, centre_um_se : (d,)
    amplitude, offset : (n,)
    names, covariance
        Of the common parameters in the units they are fitted in: centre (µm), ln D in µm²/s at the mean 1/T, w0² (µm²),
        Ea (eV).
    """

    diffusivity_m2_s: Numbers
    diffusivity_m2_s_se: Numbers
    activation_energy_ev: float | None
    activation_energy_ev_se: float | None
    log_prefactor: float | None
    log_prefactor_se: float | None
    initial_width_um: float
    initial_width_um_se: float
    centre_um: Numbers
    centre_um_se: Numbers
    amplitude: Numbers
    offset: Numbers
    names: tuple[str, ...]
    covariance: Numbers
    reduced_chi2: float
    converged: bool
    flags: int


def fit_spread(
    position_um: ArrayLike,
    values: ArrayLike,
    t_s: ArrayLike,
    sigma: ArrayLike | None = None,
    *,
    temperature_k: ArrayLike | None = None,
    initial_width: bool = True,
    offset: bool = False,
) -> Spread:
    """Fit all snapshots together.

    Parameters
    ----------
    position_um : (points,) or (points, 2)
        Of a profile, or of the pixels of a map.
    values : (n, points)
        Intensity or share; NaN or masked where missing.
    t_s : (n,)
        Diffusion time of every snapshot.
    sigma : scalar or (n, points), optional
        Standard errors; without them equal errors are taken from the residual.
    temperature_k : (n,), optional
        Fit D0 and Ea instead of one D; at least two different temperatures.
    initial_width : bool
        Fit w0 too (the exposed spot has a size); needs at least two different times.
    offset : bool
        Fit a constant background to every snapshot.

    Raises
    ------
    ValueError
        Shapes that do not match, times that are not positive, too few snapshots for what shall be fitted.
    """
    places = np.asarray(position_um, dtype=np.float64)
    places = places[:, None] if places.ndim == 1 else places
    data = np.ma.filled(np.ma.atleast_2d(np.ma.asarray(values, dtype=np.float64)), np.nan)
    times = np.asarray(t_s, dtype=np.float64)
    n = len(data)
    if places.ndim != 2 or data.shape[1] != len(places) or times.shape != (n,):
        raise ValueError(f"positions {places.shape}, values {data.shape}, times {times.shape} do not belong together")
    if not (np.isfinite(times) & (times > 0)).all():
        raise ValueError("diffusion times must be finite and positive, in s")
    if initial_width and np.unique(times).size < 2:
        raise ValueError("one diffusion time cannot tell the initial width from D; set initial_width=False")
    inverse = np.zeros(n)
    if temperature_k is not None:
        temperature = np.asarray(temperature_k, dtype=np.float64)
        if temperature.shape != (n,) or not (temperature > 0).all() or np.ptp(temperature) == 0:
            raise ValueError("temperatures, in K, must be one per snapshot and at least two different ones")
        inverse = 1.0 / (BOLTZMANN_EV_K * temperature)
    middle = float(inverse.mean())
    errors = np.broadcast_to(np.asarray(1.0 if sigma is None else sigma, dtype=np.float64), data.shape)
    good = np.isfinite(data)
    if not (errors[good] > 0).all():
        raise ValueError("sigma must be positive wherever values are finite")
    weights = np.where(good, 1.0 / np.where(good, errors, 1.0), 0.0)
    target = np.where(good, data, 0.0) * weights
    d = places.shape[1]
    names = [f"centre_{axis}_um" for axis in "xy"[:d]] + ["log_diffusivity_um2_s"]
    names += ["initial_width_squared_um2"] if initial_width else []
    names += ["activation_energy_ev"] if temperature_k is not None else []
    width_at = d + 1
    energy_at = len(names) - 1

    def squared_widths(p: Numbers) -> Numbers:
        logs = p[d] + (p[energy_at] * (middle - inverse) if temperature_k is not None else 0.0)
        return 4.0 * np.exp(np.clip(logs, -60.0, 60.0)) * times + (p[width_at] if initial_width else 0.0)

    def solve(p: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Heights and offsets (n, 2), weighted residuals and the weighted columns (n, points, 1 or 2)."""
        r2 = ((places - p[:d]) ** 2).sum(axis=1)
        bells = np.exp(-r2 / np.maximum(squared_widths(p), 1e-12)[:, None])
        columns = np.stack([bells, np.ones_like(bells)] if offset else [bells], axis=-1) * weights[..., None]
        gram = np.einsum("npa,npb->nab", columns, columns)
        right = np.einsum("npa,np->na", columns, target)
        found = np.linalg.solve(gram + 1e-30 * np.eye(columns.shape[-1]), right[..., None])[..., 0]
        return found, np.einsum("npa,na->np", columns, found) - target, columns

    kept = [*range(d + 1)] + ([d + 1] if initial_width else []) + ([d + 2] if temperature_k is not None else [])

    def slopes(p: Numbers) -> Numbers:
        """Derivatives by the common parameters with every snapshot's own heights eliminated, (n · points, m).

        L. Kaufman, BIT 1975, 15, 49.
        """
        amplitudes, _, columns = solve(p)
        start = p[width_at] if initial_width else 0.0
        slope = _slope(p[:d], places, middle - inverse, squared_widths(p), start, amplitudes[:, 0], weights)[..., kept]
        gram = np.einsum("npa,npb->nab", columns, columns)
        projected = np.linalg.solve(gram + 1e-30 * np.eye(gram.shape[-1]), np.einsum("npa,npq->naq", columns, slope))
        return (slope - columns @ projected).reshape(-1, len(names))

    start_points = _starts(places, np.where(good, data, np.nan), times, initial_width, temperature_k is not None)
    low = np.full(len(names), -np.inf)
    if initial_width:
        low[width_at] = 0.0
    fits = [
        least_squares(
            lambda p: solve(p)[1].ravel(), np.maximum(start, low), jac=slopes, bounds=(low, np.inf), x_scale="jac",
            xtol=1e-11,
        )
        for start in start_points
    ]
    best = min(fits, key=lambda fit: fit.cost)
    p = best.x
    amplitudes, residual, _ = solve(p)
    free = int(good.sum()) - len(names) - amplitudes.size
    if free < 1:
        raise ValueError(f"{int(good.sum())} samples for {len(names) + amplitudes.size} parameters; measure more")
    slope = slopes(p)
    reduced = float((residual**2).sum() / free)
    covariance = inverse_of((slope.T @ slope)[None])[0] * (1.0 if sigma is not None else reduced)
    se = np.sqrt(np.diag(covariance))
    energy = float(p[energy_at]) if temperature_k is not None else None
    logs = p[d] + (energy * (middle - inverse) if energy is not None else np.zeros(n))
    log_slope = np.zeros((n, len(names)))
    log_slope[:, d] = 1.0
    log_prefactor, log_prefactor_se = None, None
    if energy is not None:
        log_slope[:, energy_at] = middle - inverse
        turn = np.zeros(len(names))
        turn[d], turn[energy_at] = 1.0, middle
        log_prefactor = float(p[d] + energy * middle + np.log(UM2_TO_M2))
        log_prefactor_se = float(np.sqrt(turn @ covariance @ turn))
    diffusivity = np.exp(logs) * UM2_TO_M2
    width = float(np.sqrt(p[width_at])) if initial_width else 0.0
    flags = 0 if best.success and np.isfinite(covariance).all() else int(Flag.NOT_CONVERGED)
    if initial_width and p[width_at] < 1e-9:
        flags |= int(Flag.AT_BOUND)
    return Spread(
        diffusivity_m2_s=diffusivity,
        diffusivity_m2_s_se=diffusivity * np.sqrt(np.einsum("na,ab,nb->n", log_slope, covariance, log_slope)),
        activation_energy_ev=energy,
        activation_energy_ev_se=float(se[energy_at]) if energy is not None else None,
        log_prefactor=log_prefactor,
        log_prefactor_se=log_prefactor_se,
        initial_width_um=width,
        initial_width_um_se=float(se[width_at] / (2 * width)) if width > 0 else 0.0,
        centre_um=p[:d],
        centre_um_se=se[:d],
        amplitude=amplitudes[:, 0],
        offset=amplitudes[:, 1] if offset else np.zeros(n),
        names=tuple(names),
        covariance=covariance,
        reduced_chi2=reduced if sigma is not None else 1.0,
        converged=not flags & Flag.NOT_CONVERGED,
        flags=flags,
    )


def radial_average(
    x_um: ArrayLike, y_um: ArrayLike, share: ArrayLike, centre_um: tuple[float, float], step_um: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Mean of a map (ny, nx) over rings around ``centre_um``: mean radius, mean share and its standard error per ring.

    ``x_um`` (nx,) and ``y_um`` (ny,) are its columns and rows, ``step_um`` is the width of a ring. Masked and not
    finite pixels are left out, empty rings too; the error comes from the scatter within the ring and is NaN for a ring
    of one pixel. ValueError for shapes that do not match, or a step that is not positive.
    """
    values = np.ma.filled(np.ma.asarray(share, dtype=np.float64), np.nan)
    x, y = np.meshgrid(np.asarray(x_um, dtype=np.float64), np.asarray(y_um, dtype=np.float64))
    if x.shape != values.shape or not step_um > 0:
        raise ValueError(f"positions {x.shape} for a map {values.shape}, step {step_um} µm: check shapes and step")
    radius = np.hypot(x - centre_um[0], y - centre_um[1])[np.isfinite(values)]
    finite = values[np.isfinite(values)]
    ring = np.round(radius / step_um).astype(np.int64)
    count = np.bincount(ring)
    filled = count > 0
    size = count[filled]
    mean = np.bincount(ring, finite)[filled] / size
    at = np.bincount(ring, radius)[filled] / size
    position = np.cumsum(filled) - 1
    squares = np.bincount(ring, (finite - mean[position[ring]]) ** 2)[filled]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(size > 1, np.sqrt(squares / (size - 1) / size), np.nan)
    return at, mean, error


def _starts(places: Numbers, data: Numbers, times: Numbers, initial_width: bool, activated: bool) -> list[Numbers]:
    total = np.nanmean(data, axis=0)
    centre = places[int(np.nanargmax(total))]
    extent = np.ptp(places, axis=0).max()
    starts = []
    for width2 in (extent * np.array([0.05, 0.15, 0.4])) ** 2:
        tail = ([0.3 * width2] if initial_width else []) + ([0.2] if activated else [])
        starts.append(np.array([*centre, np.log(width2 / (4 * times.mean())), *tail]))
    return starts


def _slope(
    centre: Numbers, places: Numbers, cold: Numbers, width2: Numbers, start_width2: float, amplitude: Numbers,
    weights: Numbers,
) -> Numbers:  # fmt: skip
    """Weighted derivatives (n, points, d + 3) by centre, ln D, w0² and Ea; ``cold`` is mean 1/kT minus 1/kT."""
    offset = places - centre
    r2 = (offset**2).sum(axis=1)
    bells = amplitude[:, None] * np.exp(-r2 / width2[:, None]) * weights
    by_width2 = bells * r2 / width2[:, None] ** 2
    spread = (width2 - start_width2)[:, None]
    columns = [bells * 2 * offset[:, axis] / width2[:, None] for axis in range(offset.shape[1])]
    columns += [by_width2 * spread, by_width2, by_width2 * spread * cold[:, None]]
    return np.stack(columns, axis=-1)
