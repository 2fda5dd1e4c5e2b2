"""Kinetic Monte Carlo of halide migration: exact clock, the paper's step scheme, ensembles, comparison with data."""

from halidescope.analysis.kmc.calibration import calibrated
from halidescope.analysis.kmc.comparison import Comparison, compare
from halidescope.analysis.kmc.config import PAPER, KmcConfig
from halidescope.analysis.kmc.emulator import Emulator, Prior, train
from halidescope.analysis.kmc.inference import Measured
from halidescope.analysis.kmc.run import KmcResult, Trajectory, simulate, sweep

__all__ = [
    "PAPER",
    "Comparison",
    "Emulator",
    "KmcConfig",
    "KmcResult",
    "Measured",
    "Prior",
    "Trajectory",
    "calibrated",
    "compare",
    "simulate",
    "sweep",
    "train",
]
