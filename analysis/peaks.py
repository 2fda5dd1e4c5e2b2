"""Position, width and height of a luminescence peak in every spectrum, with errors at the statistical limit."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.flags import Flag
from halidescope.analysis.linear import inverse_of
from halidescope.analysis.peaks_kernels import BIGAUSSIAN, GAUSSIAN, fit_rows

Numbers = NDArray[np.float64]
Model = Literal["gaussian", "bigaussian"]
CODES = {"gaussian": GAUSSIAN, "bigaussian": BIGAUSSIAN}
NAMES = {
    "gaussian": ("amplitude", "centre", "sigma", "offset"),
    "bigaussian": ("amplitude", "centre", "sigma", "sigma_high", "offset"),
}
SIGNIFICANT = 4.0   # amplitude in its own standard errors below which no peak is claimed


@dataclass(frozen=True)
class Peaks:
    """Peak parameters of spectra of any leading shape; energies in eV, heights in the unit of the spectra.

    Attributes
    ----------
    amplitude, centre, sigma, offset : (…), each with ``_se``
        Height above the offset, position of the maximum, Gaussian standard deviation (bi-Gaussian: below the centre).
    sigma_high, sigma_high_se : (…) or None
        Bi-Gaussian: standard deviation above the centre.
    covariance : (…, m, m)
        In the order of ``names``.
    residual_rms : (…)
    converged : (…)
    flags : (…)
        Bits of :class:`~halidescope.analysis.flags.Flag`. NOT_FINITE and TOO_FEW_POINTS: numbers are NaN. NO_SIGNAL:
        no height above four standard errors. OUTSIDE: centre outside the energies. NOT_CONVERGED.
    """

    names: tuple[str, ...]
    amplitude: Numbers
    amplitude_se: Numbers
    centre: Numbers
    centre_se: Numbers
    sigma: Numbers
    sigma_se: Numbers
    offset: Numbers
    offset_se: Numbers
    sigma_high: Numbers | None
    sigma_high_se: Numbers | None
    covariance: Numbers
    residual_rms: Numbers
    converged: NDArray[np.bool_]
    flags: NDArray[np.int64]


def fit_peaks(
    energy_ev: ArrayLike,
    spectra: ArrayLike,
    *,
    model: Model = "gaussian",
    noise: Literal["gaussian", "poisson"] = "gaussian",
    dark: ArrayLike = 0,
    gain: float = 1,
    read_noise: ArrayLike | None = None,
) -> Peaks:
    """Fit one peak and a constant offset to every spectrum; start values come from moments.

    Parameters
    ----------
    energy_ev : (channels,)
        Photon energy of every channel, ascending or descending.
    spectra : (…, channels)
        Counts; channels that are not finite are left out of that spectrum.
    model : {"gaussian", "bigaussian"}
    noise : {"gaussian", "poisson"}
        "gaussian": equal, unknown variance, estimated from the residual. "poisson": variance from the fitted model,
        (model + dark) / gain, or model / gain + read_noise² where ``read_noise`` is given.
    dark : scalar, (channels,) or (…, channels)
        Subtracted first, counts.
    gain : float
        Electrons per count.
    read_noise : scalar or (channels,), optional
        Standard deviation of a dark spectrum, counts.

    Raises
    ------
    ValueError
        Energies that are not finite or not monotonic, lengths that do not match, an unknown model or noise.
    """
    energy = np.asarray(energy_ev, dtype=np.float64)
    data = np.asarray(spectra)
    if model not in CODES:
        raise ValueError(f"model is {model!r}, allowed are {', '.join(CODES)}")
    if noise not in ("gaussian", "poisson"):
        raise ValueError(f"noise is {noise!r}, allowed are 'gaussian' and 'poisson'")
    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain is {gain} electrons per count, it must be positive")
    names = NAMES[model]
    m = len(names)
    if energy.ndim != 1 or energy.size <= m or not np.isfinite(energy).all():
        raise ValueError(f"energy_ev must be one list of more than {m} finite energies, got shape {energy.shape}")
    steps = np.diff(energy)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError("energy_ev must rise or fall throughout")
    if data.ndim == 0 or data.shape[-1] != energy.size:
        raise ValueError(f"spectra have shape {data.shape}, expected (…, {energy.size}) like energy_ev")
    lead, channels = data.shape[:-1], energy.size
    darks = np.asarray(dark, dtype=np.float64)
    if darks.shape not in ((), (channels,), data.shape):
        raise ValueError(f"dark has shape {darks.shape}, expected a number, ({channels},) or {data.shape}")
    rows = (data - darks).reshape(-1, channels)
    background = np.zeros((1, channels))
    read_variance = np.zeros(channels)
    if read_noise is None:
        stack = darks.reshape(-1, channels) if darks.ndim > 1 else darks
        background = np.nan_to_num(np.atleast_2d(np.broadcast_to(stack, (*stack.shape[:-1], channels))))
    else:
        read_variance += np.asarray(read_noise, dtype=np.float64) ** 2
    order = slice(None) if energy[0] < energy[-1] else slice(None, None, -1)
    energy, read_variance = np.ascontiguousarray(energy[order]), np.ascontiguousarray(read_variance[order])
    background = np.ascontiguousarray(background[:, order])
    rows = np.ascontiguousarray(np.where(np.isfinite(rows), rows, np.nan)[:, order])

    n = len(rows)
    parameters, grams, squares = np.full((n, m), np.nan), np.zeros((n, m, m)), np.zeros(n)
    settled, started = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    good = np.isfinite(rows).sum(axis=1)
    fit_rows(
        CODES[model], energy, rows, background, float(gain), read_variance, noise == "poisson",
        parameters, grams, squares, settled, started,
    )  # fmt: skip
    covariance = inverse_of(grams)
    if noise == "gaussian":
        covariance *= (squares / np.maximum(good - m, 1))[:, None, None]
    errors = np.sqrt(np.einsum("nii->ni", covariance))
    flags = np.zeros(n, dtype=np.int64)
    flags[good <= m] |= Flag.TOO_FEW_POINTS
    flags[good == 0] |= Flag.NOT_FINITE
    usable = started & (good > m)
    centre, amplitude = parameters[:, 1], parameters[:, 0]
    with np.errstate(invalid="ignore"):
        flags[usable & ~settled] |= Flag.NOT_CONVERGED
        flags[usable & ~(amplitude > SIGNIFICANT * errors[:, 0])] |= Flag.NO_SIGNAL
        flags[usable & ~((centre >= energy[0]) & (centre <= energy[-1]))] |= Flag.OUTSIDE
    flags[~started & (good > m)] |= Flag.NO_SIGNAL
    rms = np.array([_rms(model, energy, row, p) for row, p in zip(rows, parameters, strict=True)])
    for values in (parameters, errors, covariance, rms):
        values[~usable] = np.nan
    columns: dict[str, Numbers | None] = {}
    for i, name in enumerate(names):
        columns[name] = parameters[:, i].reshape(lead)[()]
        columns[f"{name}_se"] = errors[:, i].reshape(lead)[()]
    columns.setdefault("sigma_high", None)
    columns.setdefault("sigma_high_se", None)
    return Peaks(
        names=names,
        covariance=covariance.reshape(*lead, m, m),
        residual_rms=rms.reshape(lead)[()],
        converged=(settled & usable).reshape(lead)[()],
        flags=flags.reshape(lead)[()],
        **columns,
    )


def peak_shape(model: Model, energy_ev: Numbers, parameters: Numbers) -> Numbers:
    """The model at energies (channels,) for one list of parameters in the order of ``Peaks.names``."""
    distance = energy_ev - parameters[1]
    high = parameters[3] if model == "bigaussian" else parameters[2]
    width = np.where(distance < 0, parameters[2], high)
    return parameters[0] * np.exp(-0.5 * (distance / width) ** 2) + parameters[-1]


def _rms(model: Model, energy: Numbers, row: Numbers, parameters: Numbers) -> float:
    residual = row - peak_shape(model, energy, parameters)
    finite = residual[np.isfinite(residual)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else np.nan
