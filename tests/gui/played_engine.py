"""An engine that plays a measurement from memory: for tests of the window's own behaviour, not of the engine's.

Spectra are two Gaussian bands on HDX-like channels; they move only when a test says so.
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.records import Event
from halidescope.acquisition.results import Number, OnlineResults
from halidescope.acquisition.ring import RingSpectrum
from halidescope.acquisition.states import RunState, Status

WAVELENGTH_NM = 351.0 + 0.290 * np.arange(2068) - 3.5e-6 * np.arange(2068) ** 2
LABELS = ("pristine, 590 nm", "reconstructed, 513 nm")


def band(centre_nm: float, width_nm: float) -> np.ndarray:
    """A band of unit sum."""
    shape = np.exp(-0.5 * ((WAVELENGTH_NM - centre_nm) / width_nm) ** 2)
    return shape / shape.sum()


REFERENCES = np.stack([band(590.0, 15.0), band(513.0, 10.0)])


@dataclass
class PlayedRing:
    """Spectra that a test has put in."""

    spectra: list[RingSpectrum] = field(default_factory=list)
    wavelength_nm: np.ndarray = field(default_factory=lambda: WAVELENGTH_NM.copy())
    closed: bool = False

    def since(self, sequence: int) -> tuple[list[RingSpectrum], int]:
        return self.spectra[sequence:], 0

    def close(self) -> None:
        self.closed = True


class PlayedEngine:
    """Answers like :class:`halidescope.acquisition.client.EngineClient`; ``calls`` keeps what was asked."""

    def __init__(self) -> None:
        self.now = Status(simulated=True, speed=60.0, laser_state="off", interlock_closed=True, position_um=(0.0, 0.0))
        self.calls: list[str] = []
        self.recipe: dict[str, Any] = {}
        self.played = PlayedRing()
        self.happened: list[Event] = []
        self.silent: Exception | None = None
        self.gate: threading.Event | None = None
        self.hanging = 0
        self.dark_at = 0.0
        self.refuses = ""
        self.run = 0
        self.shares: list[float] = []
        self.closed = 0

    def status(self) -> Status:
        self._hang()
        if self.silent is not None:
            raise self.silent
        return replace(self.now, events=len(self.happened))

    def results(self, first: int = 0) -> OnlineResults:
        growing = np.array(self.shares[first:])
        n = len(self.shares)
        times = list(np.linspace(0, max(n, 1), 50))
        curve = [float(0.7 * (1 - np.exp(-t / 30))) for t in times]
        return OnlineResults(
            kind=self.now.kind, labels=LABELS, references=REFERENCES.tolist() if first == 0 else [],
            reference_note="endmembers are model spectra", count=n, first=first,
            index=list(range(first, n)), time_s=[float(k) for k in range(first, n)],
            amplitudes=[[20000 * (1 - s), 20000 * s] for s in growing], shares=[[1 - s, s] for s in growing],
            shares_se=[[0.003, 0.003] for _ in growing], residual_rms=[4.0 for _ in growing],
            numbers={"phi": Number(0.68, 0.011), "average_rate_per_s": Number(0.0213, 0.0008)} if n > 20 else {},
            fit_time_s=times, fit_share=curve, fit_low=[c - 0.02 for c in curve], fit_high=[c + 0.02 for c in curve],
        )

    def events(self, first: int = 0) -> list[Event]:
        return self.happened[first:]

    def note(self, text: str, level: str = "info") -> None:
        """Let something happen."""
        self.happened.append(
            Event(sequence=len(self.happened), time_s=0.0, at="2026-01-05T10:11:12+00:00", level=level, text=text)
        )

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.refuses:
            raise ProblemError(self.refuses)

    def _hang(self) -> None:
        if self.gate is not None:
            self.hanging += 1
            self.gate.wait(10.0)

    def start(self, recipe: dict[str, Any], out: Path) -> None:
        self._hang()
        self._called("start")
        self.recipe = recipe
        self.begin(str(out), str(recipe["kind"]))

    def begin(self, file: str, kind: str = "time-series", total: int = 100) -> None:
        """Let a measurement run."""
        self.run += 1
        self.shares = []
        self.now = replace(
            self.now, state=RunState.RUNNING, run=self.run, kind=kind, file=file,
            measurement="time series 100 s at 120 µW",
            total=total, done=0, emission=True, laser_state="on", sample_power_uw=120.0, irradiance_w_cm2=7639.0,
            remaining_s=100.0,
        )

    def take(self, count: int = 1) -> None:
        """Take spectra: the second band grows."""
        rng = np.random.default_rng(7)
        for _ in range(count):
            k = len(self.shares)
            share = 0.7 * (1 - np.exp(-k / 30))
            counts = rng.poisson(20000 * ((1 - share) * REFERENCES[0] + share * REFERENCES[1]) + 100.0)
            self.shares.append(share)
            self.played.spectra.append(RingSpectrum(
                sequence=len(self.played.spectra), run=self.run, index=k, time_s=float(k), x_um=100.0, y_um=100.0,
                sample_power_uw=120.0, exposure_s=0.2, dose_j_cm2=7639.0 * (k + 1), dark_level=100.0, saturated=False,
                counts=counts.astype(np.uint32),
            ))
        done = len(self.shares)
        self.now = replace(
            self.now, done=done, dose_j_cm2=7639.0 * done, position_um=(100.0, 100.0), remaining_s=float(100 - done)
        )

    def pause(self) -> None:
        self._called("pause")
        self.now = replace(self.now, state=RunState.PAUSED, emission=False, sample_power_uw=0.0, laser_state="off")

    def resume(self) -> None:
        self._called("resume")
        self.now = replace(self.now, state=RunState.RUNNING, emission=True, sample_power_uw=120.0, laser_state="on")

    def abort(self) -> None:
        self._called("abort")
        self._dark(RunState.ABORTED)

    def dark_now(self) -> None:
        self.dark_at = time.perf_counter()
        self._called("dark_now")
        self._dark(RunState.ABORTED if self.now.state.busy else self.now.state)

    def _dark(self, state: RunState) -> None:
        self.now = replace(self.now, state=state, emission=False, sample_power_uw=0.0, laser_state="off")

    def quit(self) -> None:
        self._called("quit")
        self._dark(RunState.ABORTED)

    def ring(self) -> PlayedRing:
        return self.played

    def close(self) -> None:
        self.closed += 1
