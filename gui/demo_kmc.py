"""The demo's comparison with the simulation: trained in the back while the microscope measures, told in the report."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halidescope.analysis.kmc.calibration import calibrated
from halidescope.analysis.kmc.comparison import Comparison, compare
from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.emission import from_shares
from halidescope.analysis.kmc.emulator import Emulator, Prior, train, with_parameters
from halidescope.analysis.kmc.figures import (
    band_gap_figure,
    comparison_figure,
    halo_figure,
    lattice_figure,
    posterior_figure,
    species_figure,
    start_of,
)
from halidescope.analysis.kmc.inference import NAMES
from halidescope.analysis.kmc.run import run
from halidescope.analysis.series import SeriesResult
from halidescope.gui import kmc_cache
from halidescope.gui.kmc_process import ComparisonProcess, News, Question
from halidescope.gui.kmc_question import configuration_of
from halidescope.gui.report import Picture, Section

REPLICAS = 16
TITLE = "Kinetic Monte Carlo"


@contextmanager
def trained_in_the_back(x: float) -> Iterator[Callable[[], object]]:
    """Train the emulator of a film in a process at low priority; yields a call that waits until that is over.

    What it has learnt is in the cache then. Should the process fail, whoever needs the emulator trains it.
    """
    over = threading.Event()

    def hear(news: News) -> None:
        if news.ready or news.problem:
            over.set()

    process = ComparisonProcess(hear)
    process.ask(Question(0, configuration_of(x), [], [], []))
    try:
        yield over.wait
    finally:
        process.close()


@dataclass(frozen=True)
class DemoComparison:
    """A comparison with an ensemble simulated with its posterior's means."""

    config: KmcConfig
    result: Comparison

    @classmethod
    def of_series(cls, series: SeriesResult, x: float) -> "DemoComparison":
        """Compare the growing Br-rich share of a series with the paper's scheme for a film of composition x."""
        config = KmcConfig.from_mapping(configuration_of(x))
        measured = from_shares(series.time_s, series.share, series.unmixing.shares_se[..., -1])
        return cls(config, compare(measured, config, emulator=_emulator(config)))

    def numbers(self) -> dict[str, Any]:
        """For ``summary.json``."""
        numbers: dict[str, Any] = {
            "discrepancy": self.result.discrepancy,
            "discrepancy_null_median": float(np.median(self.result.null)),
            "p_value": self.result.p_value,
            "scheme": self.config.run.scheme,
            "iodide_fraction": self.config.lattice.iodide,
        }
        for name, mean, sd, interval in zip(
            NAMES, self.result.mean, self.result.samples.std(axis=0), self.result.interval(0.9), strict=True
        ):
            numbers |= {name: float(mean), f"{name}_se": float(sd), f"{name}_90": interval.tolist()}
        return numbers

    def section(self) -> Section:
        """What the report says and shows of it."""
        result = self.result
        films = run(with_parameters(self.config, result.mean[:3]).replace(run__replicas=REPLICAS))
        start: NDArray[np.int8] = start_of(films)
        end = films.trajectories[0].lattice
        verdict = (
            "the simulation can make this curve" if result.p_value > 0.05
            else "the simulation does not make this curve, and the parameters are those of the nearest it makes"
        )
        return Section(
            TITLE,
            "The Br-rich share of the exposed spot against the band gap of a simulated film of the same composition "
            "(vacancy hops of iodide and bromide in the paper's step scheme). Fitted are both barriers, the escape "
            f"probability and the seconds per step; the latter are {result.seconds_per_step:.2g} s here and say "
            "nothing about rates, since an atomistic clock does not reach seconds. Shares of emission are not volume "
            f"fractions. Discrepancy {result.discrepancy:.2g}, p = {result.p_value:.2g}: {verdict}. The simulated "
            "microscope's film follows rate laws, not this simulation, so its parameters have no true values to "
            "compare with.",
            [
                Picture(comparison_figure(result), "Left: measured share and the simulation's 95 % posterior band. "
                        "Right: discrepancy, against those of curves that the simulation itself has made."),
                Picture(posterior_figure(result), "Posterior of the fitted parameters. Intervals are as wide as it "
                        "took to hold 90 % of known truths."),
                Picture(lattice_figure(start, end), "A film simulated with the posterior's means, before and after: "
                        "three layers from above, a slice through the beam, all layers. The square is what is read."),
                Picture(halo_figure([start, end], ["start", "end"]), "The same film around the beam."),
                Picture(band_gap_figure(films), f"Band gap under the beam in {REPLICAS} such films."),
                Picture(species_figure(films), "Ions and vacancies in the film: what is lost is iodide."),
            ],
        )


def no_comparison(label: str) -> Section:
    """Why there is none."""
    return Section(
        TITLE,
        f"Not compared: the phase that grows here is {label}, and the simulation knows the loss of iodide only.",
    )


def _emulator(config: KmcConfig) -> Emulator:
    folder, prior = kmc_cache.default_folder(), Prior()
    kept = kmc_cache.load(folder, config, prior)
    if kept is None:
        kept = calibrated(train(config, prior))
        kmc_cache.store(folder, kept)
    return kept
