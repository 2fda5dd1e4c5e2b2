"""Position, width and height of a luminescence peak in every spectrum, with errors at the statistical limit."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis import line_shapes as shapes
from halidescope.analysis.flags import Flag
from halidescope.analysis.gaussian_kernels import fit_gaussians
from halidescope.analysis.linear import inverse_of
from halidescope.analysis.missing import with_nan
from halidescope.analysis.parallel import over_rows
from halidescope.analysis.peaks_kernels import correct_rows, fit_rows, misfits
from halidescope.analysis.readable import for_kernels

Numbers = NDArray[np.float64]
Model = Literal["gaussian", "bigaussian", "emg", "voigt", "two-gaussians"]
_H, _P, _W = shapes.HEIGHT, shapes.PLACE, shapes.WIDTH
MODELS: dict[Model, tuple[int, tuple[str, ...], tuple[int, ...]]] = {
    "gaussian": (shapes.GAUSSIAN, ("amplitude", "centre", "sigma", "offset"), (_H, _P, _W, _H)),
    "bigaussian": (
        shapes.BIGAUSSIAN, ("amplitude", "centre", "sigma", "sigma_high", "offset"), (_H, _P, _W, _W, _H),
    ),
    "emg": (shapes.EMG, ("amplitude", "centre", "sigma", "tau", "offset"), (_H, _P, _W, _W, _H)),
    "voigt": (shapes.VOIGT, ("amplitude", "centre", "sigma", "gamma", "offset"), (_H, _P, _W, _W, _H)),
    "two-gaussians": (
        shapes.TWO,
        ("amplitude", "centre", "sigma", "amplitude_2", "centre_2", "sigma_2", "offset"),
        (_H, _P, _W, _H, _P, _W, _H),
    ),
}  # fmt: skip
SIGNIFICANT = 4.0          # amplitude in its own standard errors below which no peak is claimed
SURE = 6.0                 # the same, above which the band that was found is not looked for again elsewhere
BLOCK_BYTES = 8_000_000    # spectra are converted to float64 in parts of this size
SETTLED = 3                # place among the results of a fit


@dataclass(frozen=True)
class Peaks:
    """Peak parameters of spectra of any leading shape; energies in eV, heights in the unit of the spectra.

    Attributes
    ----------
    amplitude, centre, sigma, offset : (…), each with ``_se``
        Of the shape as :mod:`~halidescope.analysis.line_shapes` defines it. For "emg" the centre is that of the
        Gaussian before it gets its tail, for "two-gaussians" that of the band at lower energy.
    extra, extra_se : dict of (…)
        The further parameters of the model, by the names in ``names``.
    covariance : (…, m, m)
        In the order of ``names``.
    residual_rms : (…)
    converged : (…)
    flags : (…)
        Bits of :class:`~halidescope.analysis.flags.Flag`. NOT_FINITE and TOO_FEW_POINTS: numbers are NaN. NO_SIGNAL:
        no height above four standard errors. OUTSIDE: centre at the edge of the energies. AT_BOUND: a width below
        what the channels resolve. MISFIT: counts so far below the dark that no Poisson noise is like that.
        NOT_CONVERGED.
    """

    model: Model
    names: tuple[str, ...]
    parameters: Numbers
    amplitude: Numbers
    amplitude_se: Numbers
    centre: Numbers
    centre_se: Numbers
    sigma: Numbers
    sigma_se: Numbers
    offset: Numbers
    offset_se: Numbers
    extra: dict[str, Numbers]
    extra_se: dict[str, Numbers]
    covariance: Numbers
    residual_rms: Numbers
    converged: NDArray[np.bool_]
    flags: NDArray[np.int64]

    def evaluate(self, energy_ev: ArrayLike) -> Numbers:
        """The fitted spectra (…, channels) at energies (channels,); NaN where nothing was fitted."""
        energy = np.ascontiguousarray(energy_ev, dtype=np.float64)
        flat = np.ascontiguousarray(self.parameters.reshape(-1, len(self.names)))
        curves = [shapes.shape_over(MODELS[self.model][0], energy, p) for p in flat]
        return np.array(curves).reshape(*self.parameters.shape[:-1], energy.size)


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
    """Fit one band (or two) and a constant offset to every spectrum; start values come from moments.

    Parameters
    ----------
    energy_ev : (channels,)
        Photon energy of every channel, ascending or descending.
    spectra : (…, channels)
        Counts; channels that are not finite are left out of that spectrum.
    model : {"gaussian", "bigaussian", "emg", "voigt", "two-gaussians"}
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
    energy = for_kernels(np.asarray(energy_ev, dtype=np.float64))
    data = with_nan(spectra)
    if model not in MODELS:
        raise ValueError(f"model is {model!r}, allowed are {', '.join(MODELS)}")
    if noise not in ("gaussian", "poisson"):
        raise ValueError(f"noise is {noise!r}, allowed are 'gaussian' and 'poisson'")
    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain is {gain} electrons per count, it must be positive")
    code, names, kinds = MODELS[model]
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
    stack = np.broadcast_to(darks, (1, channels)) if darks.ndim < 2 else darks.reshape(-1, channels)
    read_variance = np.zeros(channels)
    if read_noise is not None:
        if not (np.isfinite(read_noise) & (np.asarray(read_noise) >= 0)).all():
            raise ValueError("read_noise must be finite and not negative, counts")
        read_variance += np.asarray(read_noise, dtype=np.float64) ** 2
    reverse = bool(energy[0] > energy[-1])
    order = slice(None, None, -1) if reverse else slice(None)
    axis = np.ascontiguousarray(energy[order])

    rows = data.reshape(-1, channels)
    n = len(rows)
    parameters, grams, squares = np.full((n, m), np.nan), np.zeros((n, m, m)), np.zeros(n)
    covariance = np.empty((n, m, m))
    settled, started = np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.bool_)
    good = np.empty(n, dtype=np.int64)
    kind = np.array(kinds)
    poisson = noise == "poisson"

    # detector integers are read in place, and fitted in single precision: far below their own rounding
    kept, precision = (np.uint16, np.float32) if rows.dtype == np.uint16 else (np.float64, np.float64)
    middle, half = 0.5 * (energy[0] + energy[-1]), 0.5 * (energy[-1] - energy[0])
    unit = ((energy - middle) / half).astype(precision)

    def fit_carefully(
        rest: NDArray[np.intp], values: NDArray[Any], own: Numbers, background: Numbers, kept: list[Any], *,
        again: bool = False,
    ) -> NDArray[np.int64]:  # fmt: skip
        """Fit the rows ``rest`` of ``values`` into ``kept``; ``again``: from another start, and only what is better."""
        cleaned, count = np.empty((rest.size, channels)), np.empty(rest.size, dtype=np.int64)
        correct_rows(values[rest], own[rest] if len(own) > 1 else own, reverse, cleaned, count)
        behind = np.ascontiguousarray((background[rest] if len(background) > 1 else background)[:, order])
        data = axis, cleaned, behind, float(gain), np.ascontiguousarray(read_variance[order]), poisson
        found: list[Any] = [array[rest] for array in kept]
        fit_rows(code, kind, *data, again, *found)
        taken = np.ones(rest.size, dtype=np.bool_)
        if again:
            before, after = np.empty(rest.size), np.empty(rest.size)
            misfits(code, *data, np.ascontiguousarray(kept[0][rest]), before)
            misfits(code, *data, found[0], after)
            taken = found[SETTLED] & ((after < before) | ~kept[SETTLED][rest])
        for array, result in zip(kept, found, strict=True):
            array[rest[taken]] = result[taken]
        return count

    def fit_part(part: slice) -> None:
        own = np.require(stack[part] if len(stack) > 1 else stack, requirements=["C", "W"])   # one type for numba
        values: NDArray[Any] = np.require(rows[part], dtype=kept, requirements=["C", "W"])
        background = np.nan_to_num(own) if read_noise is None else np.zeros((1, channels))
        good[part] = channels
        outputs: list[Any] = [parameters[part], grams[part], squares[part], settled[part]]
        if code == shapes.GAUSSIAN:
            base = background / gain + read_variance if poisson else np.zeros((1, channels))
            fit_gaussians(
                middle, half, unit, values, own.astype(precision), base.astype(precision),
                1.0 / gain if poisson else 0.0, *outputs,
            )  # fmt: skip
        outputs.append(started[part])
        rest = np.flatnonzero(~settled[part])
        if rest.size:
            good[part][rest] = fit_carefully(rest, values, own, background, outputs)
        covariance[part] = inverse_of(grams[part])
        if code != shapes.TWO:
            scale = 1.0 if poisson else squares[part] / np.maximum(good[part] - m, 1)
            with np.errstate(invalid="ignore"):
                sure = parameters[part, 0] > SURE * np.sqrt(scale * covariance[part, 0, 0])
            weak = np.flatnonzero(~(sure & settled[part]) & (good[part] > m))
            if weak.size:
                fit_carefully(weak, values, own, background, outputs, again=True)
                covariance[part][weak] = inverse_of(grams[part][weak])

    over_rows(fit_part, n, longest=max(1, BLOCK_BYTES // (8 * channels)))
    if code == shapes.TWO:
        _order_bands(parameters, covariance)
    if not poisson:
        covariance *= (squares / np.maximum(good - m, 1))[:, None, None]
    errors = np.sqrt(np.einsum("nii->ni", covariance))
    rms = np.sqrt(squares / np.maximum(good, 1))
    usable = started & (good > m)
    flags = np.zeros(n, dtype=np.int64)
    flags[good <= m] |= Flag.TOO_FEW_POINTS
    flags[good == 0] |= Flag.NOT_FINITE
    with np.errstate(invalid="ignore"):
        strongest = np.max(parameters[:, kind == _H][:, :-1] / errors[:, kind == _H][:, :-1], axis=1)
        places, widths = parameters[:, kind == _P], parameters[:, kind == _W]
        flags[usable & ~settled] |= Flag.NOT_CONVERGED
        flags[usable & ~(strongest > SIGNIFICANT)] |= Flag.NO_SIGNAL
        flags[usable & ((places <= axis[0]) | (places >= axis[-1])).any(axis=1)] |= Flag.OUTSIDE
        if poisson:      # no light has a variance below zero: the dark is too high, and errors mean nothing
            below = (parameters[:, -1] + SIGNIFICANT * errors[:, -1]) / gain + read_variance.mean()
            behind = np.nanmean(stack, axis=1) / gain if read_noise is None else 0.0
            flags[usable & (below + behind < 0)] |= Flag.MISFIT
        flags[usable & (widths < 0.1 * np.ptp(axis) / channels).any(axis=1)] |= Flag.AT_BOUND
    flags[~started & (good > m)] |= Flag.NO_SIGNAL
    for values in (parameters, errors, covariance, rms):
        values[~usable] = np.nan
    found = {name: parameters[:, i].reshape(lead)[()] for i, name in enumerate(names)}
    se = {name: errors[:, i].reshape(lead)[()] for i, name in enumerate(names)}
    others = [name for name in names if name not in ("amplitude", "centre", "sigma", "offset")]
    return Peaks(
        model=model,
        names=names,
        parameters=parameters.reshape(*lead, m),
        amplitude=found["amplitude"],
        amplitude_se=se["amplitude"],
        centre=found["centre"],
        centre_se=se["centre"],
        sigma=found["sigma"],
        sigma_se=se["sigma"],
        offset=found["offset"],
        offset_se=se["offset"],
        extra={name: found[name] for name in others},
        extra_se={name: se[name] for name in others},
        covariance=covariance.reshape(*lead, m, m),
        residual_rms=rms.reshape(lead)[()],
        converged=(settled & usable).reshape(lead)[()],
        flags=flags.reshape(lead)[()],
    )


def _order_bands(parameters: Numbers, covariance: Numbers) -> None:
    """Band of lower energy first, in place."""
    swap = parameters[:, 1] > parameters[:, 4]
    turned = [3, 4, 5, 0, 1, 2, 6]
    parameters[swap] = parameters[swap][:, turned]
    covariance[swap] = covariance[swap][:, turned][:, :, turned]
