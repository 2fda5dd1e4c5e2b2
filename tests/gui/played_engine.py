"""An engine that plays a measurement from memory: for tests of the window's own behaviour, not of the engine's.

Spectra are two Gaussian bands on HDX-like channels; they move only when a test says so.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from halidescope.acquisition.dose import DoseLedger, DoseMap
from halidescope.acquisition.facts import InstrumentFacts, LaserFacts, SpectrometerFacts, StageFacts
from halidescope.acquisition.manual import DarkTaken
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.records import Event
from halidescope.acquisition.results import Number, OnlineResults
from halidescope.acquisition.ring import RingSpectrum
from halidescope.acquisition.states import RunState, Status
from halidescope.acquisition.waiting import QueueItem, Waiting

WAVELENGTH_NM = 351.0 + 0.290 * np.arange(2068) - 3.5e-6 * np.arange(2068) ** 2
WHO = {"manufacturer": "Played", "model": "from memory", "serial": "1", "firmware": "1"}
FACTS = InstrumentFacts(
    connected=True, simulated=True,
    laser=LaserFacts(
        device="laser cobolt-06-mld (played)", identity=WHO, wavelength_nm=405.0, head_limits_mw=(0.0, 100.0),
        sample_limits_uw=(0.0, 400.0), state="off", waits_for_key=False, warming_up=False, interlock_closed=True,
        fault=None, emission=False,
    ),
    stage=StageFacts(
        device="stage pi-e727 (played)", identity=WHO, travel_um=((0.0, 200.0), (0.0, 200.0)), tolerance_um=0.01,
        position_um=(0.0, 0.0), lines=True,
    ),
    spectrometer=SpectrometerFacts(
        device="spectrometer ocean-hdx (played)", identity=WHO, pixels=2068, wavelength_nm=(351.0, 936.0),
        exposure_limits_s=(0.006, 10.0), saturation_counts=65535,
    ),
)
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
        self.now = Status(
            connected=True, simulated=True, speed=60.0, laser_state="off", interlock_closed=True, position_um=(0.0, 0.0)
        )
        self.calls: list[str] = []
        self.recipe: dict[str, Any] = {}
        self.played = PlayedRing()
        self.happened: list[Event] = []
        self.silent: Exception | None = None
        self.gate: threading.Event | None = None
        self.hanging = 0
        self.refuses = ""
        self.run = 0
        self.shares: list[float] = []
        self.closed = 0
        self.waiting = Waiting()
        self.ledger = DoseLedger(1.0)
        self.facts = FACTS

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
            self.gate.wait(90.0)

    def start(self, recipe: dict[str, Any], out: Path, *, resume: bool = False) -> None:
        self._hang()
        self._called("resume file" if resume else "start")
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
            self.now, done=done, dose_j_cm2=7639.0 * done, dose_here_j_cm2=7639.0 * done, position_um=(100.0, 100.0),
            remaining_s=float(100 - done),
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
        self._called("dark_now")
        self._dark(RunState.ABORTED if self.now.state.busy else self.now.state)

    def _dark(self, state: RunState) -> None:
        self.now = replace(self.now, state=state, emission=False, sample_power_uw=0.0, laser_state="off")

    def quit(self) -> None:
        self._called("quit")
        self._dark(RunState.ABORTED)

    # the queue

    def enqueue(self, recipe: dict[str, Any], out: Path, *, resume: bool = False) -> int:
        self._called("enqueue")
        item = self.waiting.add(
            recipe, str(out), title=parse_recipe(recipe).title, kind=str(recipe["kind"]), duration_s=60.0, resume=resume
        )
        self._count()
        return item.id

    def queue(self) -> list[QueueItem]:
        return self.waiting.items()

    def move(self, item: int, place: int) -> None:
        self._called(f"move {item} to {place}")
        self.waiting.move(item, place)

    def remove(self, item: int) -> None:
        self._called(f"remove {item}")
        self.waiting.remove(item)
        self._count()

    def hold(self, on: bool) -> None:
        self._called(f"hold {on}")
        self.waiting.hold(on)
        self._count()

    def skip(self) -> None:
        self._called("skip")

    def _count(self) -> None:
        self.now = replace(
            self.now, queue_waiting=self.waiting.waiting(), queue_held=self.waiting.held,
            queue_reason=self.waiting.reason,
        )

    def answer(self, question: int, choice: str) -> None:
        self._called(f"answer {question} {choice}")
        self.now = replace(self.now, question=None)

    def take_command(self) -> None:
        self._called("take_command")
        self.now = replace(self.now, commander="")

    # by hand

    def instruments(self) -> InstrumentFacts:
        return self.facts

    def connect(self) -> None:
        self._called("connect")
        self.facts = replace(self.facts, connected=True)
        self.now = replace(self.now, connected=True)

    def disconnect(self) -> None:
        self._called("disconnect")
        self.lose()

    def lose(self) -> None:
        """Let the instruments' connection be gone."""
        self.facts = replace(self.facts, connected=False)
        self.now = replace(self.now, connected=False, laser_state="", interlock_closed=None, position_um=None)

    def manual_move(self, x_um: float, y_um: float) -> tuple[float, float]:
        self._called(f"move to {x_um:g} {y_um:g}")
        self.now = replace(self.now, position_um=(x_um, y_um))
        return x_um, y_um

    def stop_stage(self) -> None:
        self._called("stop_stage")

    def live(
        self, sample_power_uw: float | None, exposure_s: float, *, averages: int = 1, dose_cap_j_cm2: float = 2e4,
        max_s: float = 300.0,
    ) -> None:
        self._called("live" if sample_power_uw is None else f"live {sample_power_uw:g}")
        on = sample_power_uw is not None
        self.now = replace(
            self.now, live=True, emission=on, sample_power_uw=sample_power_uw or 0.0, live_remaining_s=max_s,
            laser_state="on" if on else "off",
        )

    def live_off(self) -> None:
        self._called("live_off")
        self.now = replace(self.now, live=False, emission=False, sample_power_uw=0.0, laser_state="off")

    def clear_fault(self) -> None:
        self._called("clear_fault")
        self.facts = replace(self.facts, laser=replace(self.facts.laser, fault=None))

    def take_dark(self, exposure_s: float, count: int = 10) -> DarkTaken:
        self._called("take_dark")
        return DarkTaken(exposure_s=exposure_s, count=count, mean=[100.0] * 2068, level=100.0, noise=3.2)

    def dose_map(
        self, origin_um: tuple[float, float], size_um: tuple[float, float], shape: tuple[int, int]
    ) -> DoseMap:
        return self.ledger.map(origin_um, size_um, shape, 0.0)

    def ring(self) -> PlayedRing:
        return self.played

    def close(self) -> None:
        self.closed += 1
