"""Simulated counts that the analysis and its peers are timed on, and the peers' loops over the same counts.

A loop takes the number of spectra or traces that it shall do. What a peer offers for many spectra at once is used:
HyperSpy's linear fit and its removal of spikes run on the whole stack.
"""

from collections.abc import Callable
from types import ModuleType

import numpy as np
from scipy.optimize import curve_fit, nnls

CHANNELS = 2048
DARK, READ_NOISE = 1000.0, 4.0
WAVELENGTH = np.linspace(450.0, 750.0, CHANNELS)
TIME = np.linspace(0.0, 500.0, 100)
Loop = Callable[[int], object]


def bands(*centres: float, width: float = 12.0) -> np.ndarray:
    shapes = np.exp(-0.5 * ((WAVELENGTH - np.array(centres)[:, None]) / width) ** 2)
    return shapes / shapes.sum(axis=1, keepdims=True)


def counts_of(pixels: int, references: np.ndarray, seed: int = 1) -> np.ndarray:
    """Raw detector counts of random mixtures, about 3e5 photons each."""
    rng = np.random.default_rng(seed)
    out = np.empty((pixels, CHANNELS), dtype=np.uint16)
    for first in range(0, pixels, 2000):
        part = slice(first, min(first + 2000, pixels))
        light = rng.dirichlet(np.ones(len(references)), part.stop - first) * 3e5 @ references
        out[part] = np.rint(rng.poisson(light) + DARK + rng.normal(0, READ_NOISE, light.shape))
    return out


def peak_counts(pixels: int, energy: np.ndarray, seed: int = 2) -> np.ndarray:
    """Counts of one band of 1500 counts on five, somewhere between 1.9 and 2.5 eV."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(1.9, 2.5, pixels)
    return rng.poisson(gaussian(energy, 1500.0, centres[:, None], 0.035, 5.0)).astype(np.uint16)


def traces_of(count: int, seed: int = 3) -> np.ndarray:
    """Falling shares with an error of 0.005."""
    return two(TIME, 0.03, 0.002, 0.65, 0.3) + np.random.default_rng(seed).normal(0, 0.005, (count, TIME.size))


def gaussian(energy: np.ndarray, amplitude: float, centre: float, sigma: float, offset: float) -> np.ndarray:
    return amplitude * np.exp(-0.5 * ((energy - centre) / sigma) ** 2) + offset


def two(t: np.ndarray, k1: float, k2: float, k01: float, k02: float) -> np.ndarray:
    return k01 * np.exp(-k1 * t) + k02 * np.exp(-k2 * t)


def two_slope(t: np.ndarray, k1: float, k2: float, k01: float, k02: float) -> np.ndarray:
    e1, e2 = np.exp(-k1 * t), np.exp(-k2 * t)
    return np.stack([-k01 * t * e1, -k02 * t * e2, e1, e2], axis=1)


def scipy_nnls(counts: np.ndarray, references: np.ndarray) -> Loop:
    def loop(n: int) -> None:
        for spectrum in counts[:n]:
            nnls(references.T, spectrum - DARK)

    return loop


def scipy_weighted_nnls(counts: np.ndarray, references: np.ndarray) -> Loop:
    """Weights from the counts, computed beforehand."""
    root = 1.0 / np.sqrt(np.maximum(counts.astype(float) - DARK, 0.0) + READ_NOISE**2)

    def loop(n: int) -> None:
        for spectrum, weight in zip(counts[:n], root, strict=False):
            nnls((references * weight).T, (spectrum - DARK) * weight)

    return loop


def matrix_product(counts: np.ndarray, references: np.ndarray) -> Loop:
    """The pseudo-inverse in single precision: no bounds, no errors."""
    pseudo = np.linalg.pinv(references).astype(np.float32)
    offset = np.full(CHANNELS, DARK, dtype=np.float32) @ pseudo
    return lambda n: counts[:n].astype(np.float32) @ pseudo - offset


def quiet_hyperspy() -> ModuleType:
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    hs.set_log_level("ERROR")
    return hs


def hyperspy_linear(counts: np.ndarray, references: np.ndarray) -> Loop:
    hs = quiet_hyperspy()

    def loop(n: int) -> None:
        signal = hs.signals.Signal1D(counts[:n].astype(float) - DARK)
        model = signal.create_model()
        for reference in references:
            model.append(hs.model.components1D.ScalableFixedPattern(hs.signals.Signal1D(reference)))
        for component in model:
            component.shift.free = component.xscale.free = False
        model.multifit(optimizer="lstsq", show_progressbar=False)

    return loop


def scipy_gaussian(counts: np.ndarray, energy: np.ndarray) -> Loop:
    def loop(n: int) -> None:
        for y in counts[:n].astype(float):
            start = [float(y.max()), float(energy[y.argmax()]), 0.04, float(y.min())]
            curve_fit(gaussian, energy, y, p0=start, sigma=np.sqrt(np.maximum(y, 1.0)))

    return loop


def lmfit_gaussian(counts: np.ndarray, energy: np.ndarray) -> Loop:
    from lmfit.models import ConstantModel, GaussianModel

    model = GaussianModel() + ConstantModel()

    def loop(n: int) -> None:
        for y in counts[:n].astype(float):
            start = model.make_params(amplitude=y.max() * 0.1, center=energy[y.argmax()], sigma=0.04, c=y.min())
            model.fit(y, start, x=energy, weights=1 / np.sqrt(np.maximum(y, 1.0)))

    return loop


def hyperspy_gaussian(counts: np.ndarray, energy: np.ndarray) -> Loop:
    """From moments of every spectrum, as HyperSpy estimates them."""
    hs = quiet_hyperspy()
    order = np.argsort(energy)
    even = np.linspace(energy.min(), energy.max(), CHANNELS)
    data = np.array([np.interp(even, energy[order], y[order]) for y in counts.astype(float)])

    def loop(n: int) -> None:
        signal = hs.signals.Signal1D(data[:n])
        axis = signal.axes_manager[-1]
        axis.offset, axis.scale = even[0], even[1] - even[0]
        signal.set_noise_variance(hs.signals.Signal1D(np.maximum(data[:n], 1.0)))
        model = signal.create_model()
        band = hs.model.components1D.Gaussian(A=100.0, centre=2.2, sigma=0.05)
        model.extend([band, hs.model.components1D.Offset(5.0)])
        band.estimate_parameters(signal, even[0], even[-1])
        model.multifit(show_progressbar=False)

    return loop


def scipy_kinetics(traces: np.ndarray) -> Loop:
    def loop(n: int) -> None:
        for y in traces[:n]:
            curve_fit(two, TIME, y, p0=[0.05, 0.005, 0.5, 0.5], jac=two_slope)

    return loop


def lmfit_kinetics(traces: np.ndarray) -> Loop:
    import lmfit

    model = lmfit.Model(two, independent_vars=["t"])

    def loop(n: int) -> None:
        for y in traces[:n]:
            model.fit(y, t=TIME, k1=0.05, k2=0.005, k01=0.5, k02=0.5)

    return loop


def hyperspy_spikes(counts: np.ndarray) -> Loop:
    """On whole lines of a map (rows, columns, channels); the number is ignored."""
    hs = quiet_hyperspy()

    def loop(_: int) -> None:
        hs.signals.Signal1D(counts.astype(float)).remove_spikes(inplace=False)

    return loop
