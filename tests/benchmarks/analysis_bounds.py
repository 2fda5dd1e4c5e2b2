"""Every estimator against the Cramér–Rao bound, and its 68 % intervals against the truth, over thousands of draws.

The bound is computed here, from the model alone: its derivatives by complex steps (exact to rounding), the Fisher
information of the noise, and nothing that an estimator says. A figure is the worst over the parameters of a case.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, poisson

from halidescope.analysis.arrhenius import BOLTZMANN_EV_K, fit_arrhenius
from halidescope.analysis.diffusion import fit_halo, fit_profile
from halidescope.analysis.global_diffusion import fit_spread
from halidescope.analysis.kinetics import fit_biexponential
from halidescope.analysis.peaks import fit_peaks
from halidescope.analysis.unmixing import unmix

Numbers = NDArray[np.float64]
Model = Callable[[NDArray], NDArray]
STEP = 1e-30
RMS_LIMIT = 1.05
COVERAGE_LIMITS = (0.66, 0.70)
WAVELENGTH = np.linspace(450.0, 750.0, 2048)
ENERGY = np.linspace(1.7, 2.7, 2048)
TIME = np.linspace(0.0, 500.0, 100)
PLACES = np.arange(80.0, 120.5, 1.0)
TEMPERATURE = np.array([299.0, 311.0, 323.0, 341.0, 365.0, 389.0])


@dataclass
class Limit:
    """One quantity: root mean square error over its bound, part of the draws within one standard error, and bias.

    ``bias`` is the mean error in units of the bound.
    """

    quantity: str
    case: str
    draws: int
    rms_over_bound: float
    covered: float
    bias: float

    @property
    def reached(self) -> bool:
        """Is the bound reached, and do the intervals cover?"""
        return self.rms_over_bound <= RMS_LIMIT and COVERAGE_LIMITS[0] <= self.covered <= COVERAGE_LIMITS[1]


def slopes(model: Model, truth: Numbers) -> Numbers:
    """Derivatives (parameters, samples) of an analytic model."""
    return np.array([np.ravel(model(truth + 1j * step).imag) / STEP for step in STEP * np.eye(truth.size)])


def bound(model: Model, truth: Numbers, information: Numbers | float, *, held: Numbers | None = None) -> Numbers:
    """Covariance that no unbiased estimate can fall below.

    ``information`` is the Fisher information of one sample about its mean, (samples,) or a number; ``held`` that of
    measured values of the parameters themselves.
    """
    slope = slopes(model, truth)
    fisher = (slope * information) @ slope.T
    return np.linalg.inv(fisher if held is None else fisher + np.diag(held))


def counting_information(mean: Numbers, read_noise: float) -> Numbers:
    """Fisher information of Poisson counts with normal read noise about their mean, (…); exact, by summation."""
    grid = np.unique(mean) if mean.size < 60 else np.geomspace(max(mean.min(), 1e-3), mean.max(), 60)
    found = []
    for m in grid:
        n = np.arange(max(0, int(m - 10 * np.sqrt(m) - 10)), int(m + 10 * np.sqrt(m) + 12))
        y = np.arange(n[0] - 8 * read_noise, n[-1] + 8 * read_noise, read_noise / 5)
        shape = norm.pdf(y[:, None], n, read_noise)
        chance = shape @ poisson.pmf(n, m)
        change = shape @ (poisson.pmf(n - 1, m) - poisson.pmf(n, m))
        seen = chance > 1e-280
        found.append(np.sum(change[seen] ** 2 / chance[seen]) * read_noise / 5)
    return np.interp(np.log(np.maximum(mean, 1e-3)), np.log(grid), found)


def limit(
    quantity: str, case: str, truth: Numbers | float, least: Numbers | float, value: Numbers, se: Numbers
) -> Limit:
    """The figures of estimates (draws,) or (draws, m), the worst of the m."""
    error = np.asarray(value) - truth
    ratio = np.sqrt(np.mean(error**2, axis=0)) / least
    covered = np.atleast_1d(np.mean(np.abs(error) < se, axis=0))
    worst = covered[np.argmax(np.abs(covered - 0.6827))]
    bias = np.atleast_1d(error.mean(axis=0) / least)
    return Limit(
        quantity, case, len(error), float(np.max(ratio)), float(worst), float(bias[np.argmax(np.abs(bias))])
    )


def bands(*centres: float, width: float = 12.0) -> Numbers:
    shapes = np.exp(-0.5 * ((WAVELENGTH - np.array(centres)[:, None]) / width) ** 2)
    return shapes / shapes.sum(axis=1, keepdims=True)


def in_parts(draws: int, fit: Callable[[int], tuple[Numbers, Numbers]], part: int = 2000) -> tuple[Numbers, Numbers]:
    """Values and errors of many draws, some at a time."""
    found = [fit(min(part, draws - first)) for first in range(0, draws, part)]
    return np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])


def amplitude_limits(draws: int) -> Iterator[Limit]:
    """Unmixing: equal normal noise, and counts from bright to a few photons."""
    rng = np.random.default_rng(101)
    references = bands(513.0, 590.0, 688.0)

    def mixture(p: NDArray) -> NDArray:
        return p @ references

    truth = np.array([1.5e5, 5e4, 1e5])
    clean = mixture(truth)

    def plain(n: int) -> tuple[Numbers, Numbers]:
        found = unmix(clean + rng.normal(0, 40.0, (n, clean.size)), references)
        return found.amplitudes, found.amplitudes_se

    least = np.sqrt(np.diag(bound(mixture, truth, 40.0**-2)))
    yield limit("amplitudes", "normal noise", truth, least, *in_parts(draws, plain))
    for photons, words in ((3e5, "300,000 photons"), (4000.0, "20 counts at the peak"), (300.0, "300 photons")):
        part = truth / truth.sum() * photons
        light = mixture(part)

        def counted(n: int, light: Numbers = light) -> tuple[Numbers, Numbers]:
            counts = rng.poisson(light, (n, light.size)) + rng.normal(1000.0, 4.0, (n, light.size))
            found = unmix(
                np.rint(counts).astype(np.uint16), references, noise="poisson", dark=1000.0, read_noise=4.0,
                nonnegative=False,
            )  # fmt: skip
            return found.amplitudes, found.amplitudes_se

        least = np.sqrt(np.diag(bound(mixture, part, counting_information(light, 4.0))))
        yield limit("amplitudes", f"Poisson, {words}, read noise 4", part, least, *in_parts(draws, counted))

        def dark_counted(n: int, light: Numbers = light) -> tuple[Numbers, Numbers]:
            counts = rng.poisson(light + 0.5, (n, light.size)).astype(np.uint16)
            found = unmix(counts, references, noise="poisson", dark=0.5, nonnegative=False)
            return found.amplitudes, found.amplitudes_se

        least = np.sqrt(np.diag(bound(mixture, part, 1.0 / (light + 0.5))))
        yield limit("amplitudes", f"Poisson, {words}, dark 0.5", part, least, *in_parts(draws, dark_counted))


def band(p: NDArray) -> NDArray:
    """Amplitude, centre, sigma and offset → a Gaussian band."""
    return p[0] * np.exp(-0.5 * ((ENERGY - p[1]) / p[2]) ** 2) + p[3]


def peak_limits(draws: int) -> Iterator[Limit]:
    """Energy of a band."""
    rng = np.random.default_rng(102)
    for height, offset in ((1500.0, 5.0), (20.0, 2.0), (5.0, 0.5)):
        truth = np.array([height, 2.287, 0.035, offset])
        clean = band(truth)

        def counted(n: int, clean: Numbers = clean) -> tuple[Numbers, Numbers]:
            found = fit_peaks(ENERGY, rng.poisson(clean, (n, clean.size)).astype(np.uint16), noise="poisson")
            return found.centre, found.centre_se

        least = np.sqrt(bound(band, truth, 1.0 / clean)[1, 1])
        yield limit("peak energy", f"Poisson, {height:g} counts", truth[1], least, *in_parts(draws, counted))
    truth = np.array([1000.0, 2.287, 0.035, 5.0])

    def plain(n: int) -> tuple[Numbers, Numbers]:
        found = fit_peaks(ENERGY, band(truth) + rng.normal(0, 30.0, (n, ENERGY.size)))
        return found.centre, found.centre_se

    least = np.sqrt(bound(band, truth, 30.0**-2)[1, 1])
    yield limit("peak energy", "normal noise", truth[1], least, *in_parts(draws, plain))


def two(p: NDArray) -> NDArray:
    """k1, k2, k01 and k02 → two falling exponentials."""
    return p[2] * np.exp(-p[0] * TIME) + p[3] * np.exp(-p[1] * TIME)


def average_rate(p: NDArray) -> NDArray:
    """<k>."""
    return (p[2] * p[0] + p[3] * p[1]) / (p[2] + p[3])


def kinetics_limits(draws: int) -> Iterator[Limit]:
    """Two exponentials, 100 points: rates far apart with sigma given or not, a rising share, and rates close by."""
    rng = np.random.default_rng(103)
    apart, close = np.array([0.03, 2e-3, 0.65, 0.3]), np.array([0.03, 0.01, 0.65, 0.3])
    decay = two(apart)
    unequal = 0.002 + 0.01 * np.sqrt(decay * (1 - decay))      # as counting gives them for a share
    cases: list[tuple[str, Numbers, Numbers | float, bool, bool]] = [
        ("sigma given", apart, 0.005, True, False),
        ("sigma from the residual", apart, 0.005, False, False),
        ("rising, unequal sigma", apart, unequal, True, True),
        ("k1 = 3 k2, sigma from the residual", close, 0.005, False, False),
    ]
    for case, truth, sigma, known, rising in cases:
        clean = two(truth)
        noisy = clean + rng.normal(0, sigma, (draws, TIME.size))
        found = fit_biexponential(TIME, 1 - noisy if rising else noisy, rising=rising, sigma=sigma if known else None)
        covariance = bound(two, truth, np.asarray(sigma) ** -2.0)
        turn = slopes(average_rate, truth)[:, 0]
        least = np.sqrt([covariance[0, 0], covariance[1, 1], turn @ covariance @ turn])
        yield limit("k1", case, truth[0], least[0], found.k1, found.k1_se)
        yield limit("k2", case, truth[1], least[1], found.k2, found.k2_se)
        yield limit("<k>", case, float(average_rate(truth)), least[2], found.average_rate, found.average_rate_se)


def profile(p: NDArray) -> NDArray:
    """Strength, centre and D in µm²/s after 47 s → equation 1."""
    width2 = 4 * p[2] * 47.0
    return p[0] / np.sqrt(np.pi * width2) * np.exp(-((PLACES - p[1]) ** 2) / width2)


AXIS = np.arange(0.0, 61.0, 3.0)
TIMES = np.array([10.0, 30.0, 60.0, 120.0])


def halo(p: NDArray) -> NDArray:
    """Centre x and y, D in µm²/s after 47 s, height and offset → share of every pixel."""
    r2 = (AXIS - p[0]) ** 2 + (AXIS[:, None] - p[1]) ** 2
    return p[3] * np.exp(-r2 / (4 * p[2] * 47.0)) + p[4]


def spread(p: NDArray) -> NDArray:
    """Centre, D in µm²/s, squared initial width and four heights → four profiles."""
    width2 = p[2] + 4 * p[1] * TIMES
    return p[3:, None] * np.exp(-((PLACES - p[0]) ** 2) / width2[:, None])


def diffusion_limits(draws: int) -> Iterator[Limit]:
    """D from one profile, a whole halo, and several profiles at once."""
    rng = np.random.default_rng(104)
    truth, sigma = np.array([10.0, 101.3, 0.16]), 0.02
    clean = profile(truth)
    least = np.sqrt(bound(profile, truth, sigma**-2)[2, 2])
    for known in (True, False):
        fits = [
            fit_profile(PLACES, clean + rng.normal(0, sigma, clean.shape), 47.0, sigma if known else None)
            for _ in range(3 * draws)      # the fastest of them
        ]
        yield limit(
            "D", f"one profile, sigma {'given' if known else 'from the residual'}", truth[2], least,
            1e12 * np.array([fit.diffusivity_m2_s for fit in fits]),
            1e12 * np.array([fit.diffusivity_m2_s_se for fit in fits]),
        )  # fmt: skip
    truth = np.array([31.0, 29.5, 0.16, 0.7, 0.02])
    clean = halo(truth)
    least = np.sqrt(bound(halo, truth, sigma**-2)[2, 2])
    halos = [fit_halo(AXIS, AXIS, clean + rng.normal(0, sigma, clean.shape), sigma) for _ in range(draws)]
    radius, error = np.array([[one.radius_um, one.radius_um_se] for one in halos]).T
    yield limit("D", "whole halo", truth[2], least, radius**2 / (4 * 47.0), 2 * radius * error / (4 * 47.0))
    truth = np.array([100.4, 0.16, 4.0, 1.0, 0.8, 0.6, 0.4])
    clean = spread(truth)
    least = np.sqrt(bound(spread, truth, sigma**-2)[1, 1])
    together = [fit_spread(PLACES, clean + rng.normal(0, sigma, clean.shape), TIMES, sigma) for _ in range(draws)]
    yield limit(
        "D", "four profiles at once", truth[1], least,
        1e12 * np.array([one.diffusivity_m2_s[0] for one in together]),
        1e12 * np.array([one.diffusivity_m2_s_se[0] for one in together]),
    )  # fmt: skip


def law(p: NDArray, temperature: NDArray | None = None) -> NDArray:
    """Ea and ln k0 → rates."""
    return np.exp(p[1] - p[0] / (BOLTZMANN_EV_K * (TEMPERATURE if temperature is None else temperature)))


def spread_over_temperature(p: NDArray) -> NDArray:
    """Centre, Ea, ln D0 in µm²/s and six heights → profiles after 50 s at the six temperatures."""
    width2 = 4 * law(p[1:3]) * 50.0
    return p[3:, None] * np.exp(-((PLACES - p[0]) ** 2) / width2[:, None])


def arrhenius_limits(draws: int) -> Iterator[Limit]:
    """Ea from rates, and from profiles at several temperatures."""
    rng = np.random.default_rng(105)
    truth = np.array([0.217, 4.0])
    clean = law(truth)
    sigma = clean * np.array([0.4, 0.3, 0.1, 0.05, 0.02, 0.02])
    least = np.sqrt(bound(law, truth, sigma**-2)[0, 0])
    fits = [fit_arrhenius(TEMPERATURE, clean + rng.normal(0, sigma), sigma) for _ in range(draws)]
    yield _energies("rates with unequal errors", truth[0], least, fits)

    # ln k with equal errors that nobody knows: four degrees of freedom, so that Student's interval is asked for
    least = 0.1 * np.sqrt(bound(law, truth, clean**-2.0)[0, 0])
    fits = [fit_arrhenius(TEMPERATURE, clean * np.exp(rng.normal(0, 0.1, 6))) for _ in range(draws)]
    low, high = np.array([fit.energy_interval_ev() for fit in fits]).T
    yield limit("Ea", "six rates without errors", truth[0], least, (low + high) / 2, (high - low) / 2)

    # true temperatures are parameters, each held by its measured value
    sigma, spread_k = 0.02 * clean, 3.0
    both = np.concatenate([truth, TEMPERATURE])
    held = np.concatenate([np.zeros(2), np.full(6, spread_k**-2)])
    least = np.sqrt(bound(lambda p: law(p[:2], p[2:]), both, sigma**-2, held=held)[0, 0])
    fits = [
        fit_arrhenius(
            TEMPERATURE + rng.normal(0, spread_k, 6), clean + rng.normal(0, sigma), sigma, temperature_se=spread_k
        )
        for _ in range(draws)
    ]
    yield _energies("rates with errors, temperatures ± 3 K", truth[0], least, fits)

    truth = np.array([100.4, 0.182, np.log(53.0), 1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
    clean = spread_over_temperature(truth)
    least = np.sqrt(bound(spread_over_temperature, truth, 0.02**-2)[1, 1])
    together = [
        fit_spread(
            PLACES, clean + rng.normal(0, 0.02, clean.shape), np.full(6, 50.0), 0.02, temperature_k=TEMPERATURE,
            initial_width=False,
        )
        for _ in range(draws)
    ]  # fmt: skip
    yield _energies("profiles at six temperatures at once", truth[1], least, together)


def _energies(case: str, truth: float, least: float, fits: list) -> Limit:
    return limit(
        "Ea", case, truth, least, np.array([fit.activation_energy_ev for fit in fits]),
        np.array([fit.activation_energy_ev_se for fit in fits]),
    )  # fmt: skip


CASES: dict[str, tuple[Callable[[int], Iterator[Limit]], int]] = {
    "amplitudes": (amplitude_limits, 10_000),
    "peak energy": (peak_limits, 10_000),
    "kinetics": (kinetics_limits, 40_000),
    "diffusion": (diffusion_limits, 4_000),
    "arrhenius": (arrhenius_limits, 4_000),
}
