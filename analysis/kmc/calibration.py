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

from halidescope.analysis.kmc.emulator import GRID, Emulator, fit
from halidescope.analysis.kmc.inference import SLOWEST, Measured, Problem
from halidescope.analysis.kmc.pool import in_order

Floats = NDArray[np.float64]

FOLDS = 5
LOOKS = 2
"""Measurements made of each design's curve, with different time scales and errors."""
POINTS = (12, 40)
"""Fewest and most points of such a measurement."""
NOISE_EV = (1e-3, 1e-2)
"""Smallest and largest noise of a point."""


def calibrated(
    emulator: Emulator, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Emulator:
    """Return the emulator with ``levels``; takes some ten seconds, no simulation is run."""
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
        return _level(others[fold[index]], emulator.designs[index], emulator.simulated_ev[index], rng)

    return replace(emulator, levels=np.stack(in_order(level, cases, workers=workers, progress=progress)))


def _level(emulator: Emulator, design: Floats, curve_ev: Floats, rng: np.random.Generator) -> Floats:
    """How far into its posterior each parameter of one design lies, (4,), 0 in the middle and 1 at an end."""
    points = int(rng.integers(POINTS[0], POINTS[1] + 1))
    noise = 10 ** rng.uniform(*np.log10(NOISE_EV))
    slowness = rng.random()
    time = np.linspace(1 / points, 1, points)
    energy = np.interp(time / SLOWEST**slowness, GRID, curve_ev)
    measured = Measured(time, energy, noise)
    made = energy + measured.offset * rng.standard_normal() + noise * rng.standard_normal(points)
    samples, _ = Problem(replace(measured, value=made), emulator).posterior(rng)
    below = np.mean(samples < np.append(design, slowness), axis=0)
    return np.abs(2 * below - 1)
