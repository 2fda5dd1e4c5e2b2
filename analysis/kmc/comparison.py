"""Measured curves against the simulation: how well it fits, and which barriers, escape and time scale the data want.

Seconds are out of reach of atomistic clocks, so seconds per simulated step (or per simulated second) are a fitted
parameter, not a result about rates. Emission shares are not volume fractions; a measured share is compared with how far
E_g has gone towards the pure bromide.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.kmc.calibration import calibrated
from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.emulator import Emulator, Prior, train
from halidescope.analysis.kmc.inference import NAMES, PURE_BROMIDE_EV, Kind, Measured, Problem

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """How a measured curve and the simulation agree.

    Attributes
    ----------
    samples : ndarray (particles, 4)
        Equally weighted posterior samples of ``NAMES``: barriers in eV, escape probability, log10 of the seconds of the
        experiment per step (per second of the exact clock, if that limits the run).
    discrepancy : float
        Smallest mean squared misfit per point, in units of the errors (noise, offset, scatter of the simulation).
    null : ndarray
        The same for curves made by the model itself; ``p_value`` is the share of them that fits no better.
    time_s, median, low, high : ndarray
        Posterior band of the model (95 %) at the times of the series, in the unit of the measured value.
    value, sigma : ndarray
        The measured curve and its standard errors as they were compared; ``kind`` is what it is of.
    prior_limits : ndarray (4, 2)
        Limits of ``NAMES`` before the data.
    start_ev : float
        E_g of the composition the simulation starts from.
    levels : ndarray (m, 4)
        Of the emulator: how far into their posteriors known truths lay.
    """

    samples: Floats
    discrepancy: float
    null: Floats
    p_value: float
    time_s: Floats
    median: Floats
    low: Floats
    high: Floats
    value: Floats
    sigma: Floats
    kind: Kind
    prior_limits: Floats
    start_ev: float
    levels: Floats

    def energy_ev(self, values: ArrayLike) -> Floats:
        """Values in the measured unit as energies: a share is how far E_g has gone towards the pure bromide."""
        asked = np.asarray(values, dtype=float)
        return asked if self.kind == "peak-energy" else self.start_ev + asked * (PURE_BROMIDE_EV - self.start_ev)

    @property
    def label(self) -> str:
        """The measured quantity with its unit."""
        return "peak energy (eV)" if self.kind == "peak-energy" else "Br-rich share of the emission"

    @property
    def mean(self) -> Floats:
        """Posterior means, in the order of ``NAMES``."""
        return self.samples.mean(axis=0)

    @property
    def covariance(self) -> Floats:
        """Posterior covariance, (4, 4)."""
        return np.cov(self.samples.T)

    @property
    def iodide_ev(self) -> float:
        """Barrier of iodide, posterior mean, eV."""
        return float(self.mean[0])

    @property
    def iodide_ev_se(self) -> float:
        """Its posterior standard deviation, eV."""
        return float(self.samples[:, 0].std())

    @property
    def bromide_ev(self) -> float:
        """Barrier of bromide, posterior mean, eV."""
        return float(self.mean[1])

    @property
    def bromide_ev_se(self) -> float:
        """Its posterior standard deviation, eV."""
        return float(self.samples[:, 1].std())

    @property
    def escape(self) -> float:
        """Escape probability A, posterior mean."""
        return float(self.mean[2])

    @property
    def escape_se(self) -> float:
        """Its posterior standard deviation."""
        return float(self.samples[:, 2].std())

    @property
    def seconds_per_step(self) -> float:
        """Time scale, geometric posterior mean, s per step."""
        return float(10 ** self.mean[3])

    def interval(self, share: float = 0.9) -> Floats:
        """Central credible intervals of ``NAMES``, (4, 2), as wide as it took to hold ``share`` of the known truths.

        Split conformal prediction (V. Vovk, A. Gammerman and G. Shafer, Algorithmic Learning in a Random World, 2005)
        with the posterior's own quantiles as score; an end that would lie beyond all samples is that of the prior.
        """
        if not 0 < share < 1:
            raise ValueError(f"share = {share}: must be between 0 and 1")
        result = np.empty((len(NAMES), 2))
        for k, samples in enumerate(self.samples.T):
            level = share
            if len(self.levels):
                rank = int(np.ceil(share * (len(self.levels) + 1))) - 1
                level = np.sort(self.levels[:, k])[rank] if rank < len(self.levels) else 1.0
            result[k] = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2]) if level < 1 else self.prior_limits[k]
        return result


@lru_cache(maxsize=4)
def trained(config: KmcConfig, prior: Prior) -> Emulator:
    """Train and calibrate the emulator of a configuration once, with the default effort."""
    return calibrated(train(config, prior))


def compare(
    measured: Measured,
    config: KmcConfig | Mapping[str, Any],
    *,
    prior: Prior | None = None,
    emulator: Emulator | None = None,
    seed: int = 1,
    null_draws: int = 200,
) -> Comparison:
    """Compare a measured curve with a simulation.

    Parameters
    ----------
    measured : Measured
        Peak energy or Br-rich share of the exposed spot.
    config : KmcConfig
        Everything that is not fitted: lattice, temperature, scheme, reading, length of the run (or its tables of keys).
    prior : Prior, optional
        Ranges of the barriers and the escape probability.
    emulator : Emulator, optional
        A trained stand-in (:func:`halidescope.analysis.kmc.emulator.train`); with it a comparison takes about a second.
        Without it the one of the configuration is trained, and kept for the next call.
    """
    if emulator is None:
        asked = config if isinstance(config, KmcConfig) else KmcConfig.from_mapping(config)
        emulator = trained(asked, prior or Prior())
    problem = Problem(measured, emulator)
    rng = np.random.default_rng(seed)
    unit, model = problem.posterior(rng)

    parameters = problem.parameters(unit)
    curves = problem.seen(emulator.curves_like_simulated(parameters[:, :3], rng), unit[:, 3])
    drawn = parameters[rng.integers(0, len(curves), null_draws)]
    slowness = (drawn[:, 3] - problem.limits[3, 0]) / np.ptp(problem.limits[3])
    own = problem.seen(emulator.curves_like_simulated(drawn[:, :3], rng), slowness)
    model = np.concatenate([model, curves])                        # dense where the posterior is
    whitening = problem.whitening(float(np.median(unit[:, 3])))
    null = problem.misfit(problem.with_errors(own, rng), model, whitening)
    discrepancy = float(problem.misfit(problem.value[None], model, whitening)[0])
    low, median, high = np.quantile(curves + problem.fitted_offset(curves), [0.025, 0.5, 0.975], axis=0)
    return Comparison(
        samples=parameters,
        discrepancy=discrepancy,
        null=null,
        p_value=float((1 + np.sum(null >= discrepancy)) / (1 + null_draws)),
        time_s=problem.time_s,
        median=median,
        low=low,
        high=high,
        value=problem.value,
        sigma=problem.sigma,
        kind=measured.kind,
        prior_limits=problem.limits,
        start_ev=problem.start_ev,
        levels=emulator.levels,
    )
