"""How wide intervals must be to hold the truth as often as they say: truths that the emulator has not seen.

The designs are dealt into folds; each fold is taken for measurements (with a time scale, an offset and noise drawn for
each) and inferred with an emulator of the other folds. Where the truths lie in their posteriors is kept, and
:meth:`halidescope.analysis.kmc.comparison.Comparison.interval` is as wide as it took. The emulators of the folds have
fewer designs than the whole one, which makes this slightly cautious.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halidescope.analysis.kmc.emulator import Emulator, fit
from halidescope.analysis.kmc.inference import Measured, Problem
from halidescope.analysis.kmc.pool import in_order

Floats = NDArray[np.float64]

FOLDS = 5
LOOKS = 2
"""Measurements made of each design's curve, with different time scales and errors."""
POINTS = (12, 40)
"""Fewest and most points of such a measurement."""
NOISE_EV = (2e-3, 2e-2)
"""Smallest and largest noise of a point, of the measurement and of the model together."""


def calibrated(
    emulator: Emulator,
    like: Measured | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Emulator:
    """Return the emulator with ``levels``; takes some ten seconds, no simulation is run.

    Parameters
    ----------
    like : Measured, optional
        Calibrate for series with its times and errors (its values do not matter): how far intervals must be widened
        depends somewhat on how exact the data are. Without it, for series of ``POINTS`` points and ``NOISE_EV``.
    """
    number = len(emulator.designs)
    fold = np.arange(number) % FOLDS
    others = [
        fit(emulator.config, emulator.prior, emulator.designs[fold != k], emulator.simulated_ev[fold != k])
        for k in range(FOLDS)
    ]
    cases = [(index, look) for index in range(number) for look in range(LOOKS)]

    def level(case: tuple[int, int]) -> Floats:
        index, look = case
        rng = np.random.default_rng([emulator.config.run.seed, index, look])
        problem = Problem(_some_series(rng) if like is None else like, others[fold[index]])
        return _level(problem, emulator.designs[index], emulator.simulated_ev[index], rng)

    return replace(emulator, levels=np.stack(in_order(level, cases, workers=workers, progress=progress)))


def _some_series(rng: np.random.Generator) -> Measured:
    points = int(rng.integers(POINTS[0], POINTS[1] + 1))
    noise = 10 ** rng.uniform(*np.log10(NOISE_EV))
    return Measured(np.linspace(1 / points, 1, points), np.zeros(points), noise, model_sd=0.0)


def _level(problem: Problem, design: Floats, curve_ev: Floats, rng: np.random.Generator) -> Floats:
    """How far into its posterior each parameter of one design lies, (4,), 0 in the middle and 1 at an end."""
    slowness = rng.random()
    problem.value = problem.with_errors(problem.seen(curve_ev[None], np.array([slowness])), rng)[0]
    samples, _ = problem.posterior(rng)
    below = np.mean(samples < np.append(design, slowness), axis=0)
    return np.abs(2 * below - 1)
