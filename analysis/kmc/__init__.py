"""Kinetic Monte Carlo of halide migration: exact clock, the paper's step scheme, ensembles, comparison with data."""

from halidescope.analysis.kmc.config import PAPER, KmcConfig
from halidescope.analysis.kmc.run import KmcResult, Trajectory, run, simulate, sweep

__all__ = ["PAPER", "KmcConfig", "KmcResult", "Trajectory", "run", "simulate", "sweep"]
