"""Runs: one film, or an ensemble of replicas on all cores, and what is kept of them."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.exact import ExactFilm
from halidescope.analysis.kmc.lattice import IODIDE, initial_film, vacancy_records
from halidescope.analysis.kmc.observables import band_gap, composition, region
from halidescope.analysis.kmc.records import CORRELATED
from halidescope.analysis.kmc.steps import new_trace, run_steps
from halidescope.analysis.kmc.streams import stream

SAMPLES = 200
"""Points of a curve of the exact clock besides the start; the paper's scheme has one a step."""
BLOCK = 100
"""Steps of the paper's scheme that are made at once; between blocks a run can be stopped and its progress seen."""
LOOK_S = 0.2
"""Seconds between two looks at how far the replicas are."""

Progress = Callable[[float, int], None]
"""Called with the number of finished replicas, parts of running ones included, and of all."""
Tell = Callable[[float], None]


@dataclass(frozen=True)
class Trajectory:
    """One replica.

    Attributes
    ----------
    progress : ndarray (n,)
        Steps of the paper's scheme, or events on the exact clock.
    time_s : ndarray (n,)
        Exact time; in the paper's scheme the sum of the mean 1/Σk per step.
    region, film : ndarray (n, 3)
        Bromides, iodides, vacancies in the columns around the beam, and in all.
    band_gap_ev : ndarray (n,)
        E_g of the region.
    lattice : ndarray of int8 (size, size, size)
        The film at the end: 0 bromide, 1 iodide, 2 vacancy. :func:`initial_film` gives the one at the start.
    frames : tuple of ndarray
        Pictures in between, with ``frame_progress``; as many as the configuration asked for.
    cosines, pairs : ndarray (2, lags) or None
        Sums for the tracer correlation, by species; see :class:`halidescope.analysis.kmc.records.Tracer`.
    """

    replica: int
    progress: NDArray[np.float64]
    time_s: NDArray[np.float64]
    region: NDArray[np.int64]
    film: NDArray[np.int64]
    band_gap_ev: NDArray[np.float64]
    hops_bromide: int
    hops_iodide: int
    events: int
    cpu_s: float
    lattice: NDArray[np.int8]
    frames: tuple[NDArray[np.int8], ...] = ()
    frame_progress: tuple[float, ...] = ()
    cosines: NDArray[np.int64] | None = None
    pairs: NDArray[np.int64] | None = None

    @property
    def iodide_lost(self) -> int:
        """Iodides that left the film."""
        return int(self.film[0, IODIDE] - self.film[-1, IODIDE])


@dataclass(frozen=True)
class KmcResult:
    """A simulation's configuration and its replicas, in order; replica i of a seed is always the same run."""

    config: KmcConfig
    trajectories: tuple[Trajectory, ...]

    @property
    def progress(self) -> NDArray[np.float64]:
        """Steps or events, (n,), of the first replica."""
        return self.trajectories[0].progress

    @property
    def band_gap_ev(self) -> NDArray[np.float64]:
        """E_g of every replica, (replicas, n)."""
        return np.stack([t.band_gap_ev for t in self.trajectories])

    @property
    def species(self) -> NDArray[np.float64]:
        """Mean numbers of bromides, iodides and vacancies in the film, (n, 3)."""
        return np.mean([t.film for t in self.trajectories], axis=0)

    def band(self, share: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Median of the replicas' E_g and the limits between which ``share`` of them lie, each (n,)."""
        low, middle, high = np.quantile(self.band_gap_ev, [(1 - share) / 2, 0.5, (1 + share) / 2], axis=0)
        return middle, low, high

    def tracer_correlation(self) -> float | None:
        """Tracer correlation factor of the species that hops more; None if tracers were not followed.

        ``f = 1 + 2 Σ_j <cos θ_j>`` over the jumps j = 1, 2, … later, for which six are enough: each further one is
        some five times smaller (−0.2098 to the power j for a single vacancy).
        """
        cosines = [t.cosines for t in self.trajectories if t.cosines is not None]
        pairs = [t.pairs for t in self.trajectories if t.pairs is not None]
        if not cosines:
            return None
        summed, numbers = np.sum(cosines, axis=0), np.sum(pairs, axis=0)
        species = int(np.argmax(numbers[:, 0]))
        used = min(CORRELATED, int(np.count_nonzero(numbers[species])))
        return float(1 + 2 * np.sum(summed[species, :used] / numbers[species, :used]))

    def summary(self) -> dict[str, str | int | float | None]:
        """One object with the run's numbers: hops, events and CPU time of all replicas, E_g and losses per replica."""
        gaps = self.band_gap_ev
        return {
            "scheme": self.config.run.scheme,
            "replicas": len(self.trajectories),
            "events": sum(t.events for t in self.trajectories),
            "cpu_s": sum(t.cpu_s for t in self.trajectories),
            "hops_bromide": sum(t.hops_bromide for t in self.trajectories),
            "hops_iodide": sum(t.hops_iodide for t in self.trajectories),
            "band_gap_start_ev": float(gaps[:, 0].mean()),
            "band_gap_end_ev": float(gaps[:, -1].mean()),
            "band_gap_end_sd_ev": float(gaps[:, -1].std(ddof=1)) if len(gaps) > 1 else None,
            "iodide_lost": float(np.mean([t.iodide_lost for t in self.trajectories])),
            "tracer_correlation": self.tracer_correlation(),
        }


def simulate(config: KmcConfig | Mapping[str, Any], seed: int | None = None) -> KmcResult:
    """Run all replicas of a configuration (or of its tables of keys) from a seed, the configured one by default.

    The same configuration and seed give the same trajectories on every machine, whatever the number of cores.
    """
    asked = config if isinstance(config, KmcConfig) else KmcConfig.from_mapping(config)
    return run(asked if seed is None else asked.replace(run__seed=seed))


class _StoppedError(Exception):
    """The caller wants no more of a run."""


def run_replica(
    config: KmcConfig, replica: int = 0, *, exact_spot: bool = False, tell: Tell = lambda share: None
) -> Trajectory:
    """Run one film from the stream of one replica of the configuration's seed.

    With ``exact_spot`` the columns that are read start with exactly the configured composition, as the whole film.
    ``tell`` is called with the share of the run that is done; what it raises ends the run.
    """
    start = initial_film(config, config.run.seed, replica, inner=region(config.lattice.size) if exact_spot else None)
    return (_paper if config.run.scheme == "paper" else _exact)(config, replica, start, tell)


def run(config: KmcConfig, progress: Progress | None = None, *, workers: int | None = None) -> KmcResult:
    """Run all replicas of a configuration, on all cores by default (the kernels do not hold Python's lock).

    Parameters
    ----------
    progress : callable, optional
        Called from the calling thread some times a second and at the end; what it raises ends the runs.
    workers : int, optional
        Threads; the number of cores by default.
    """
    replicas = config.run.replicas
    shares = [0.0] * replicas
    stop = threading.Event()

    def one(replica: int) -> Trajectory:
        def tell(share: float) -> None:
            shares[replica] = share
            if stop.is_set():
                raise _StoppedError

        trajectory = run_replica(config, replica, tell=tell)
        shares[replica] = 1.0
        return trajectory

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        jobs = [pool.submit(one, i) for i in range(replicas)]
        try:
            waiting = set(jobs)
            while waiting:
                done, waiting = wait(waiting, LOOK_S, FIRST_COMPLETED)
                for job in done:
                    job.result()
                if progress is not None:
                    progress(sum(shares), replicas)
            return KmcResult(config, tuple(job.result() for job in jobs))
        finally:
            stop.set()
            for job in jobs:
                job.cancel()


def sweep(
    config: KmcConfig, key: str, values: Iterable[float], progress: Progress | None = None
) -> Iterator[tuple[float, KmcResult]]:
    """Run the configuration once per value of a key named ``table.key``; yields value and result as they are done.

    ``progress`` counts the replicas of all values.
    """
    cases = [(value, config.replace(**{key.replace(".", "__"): value})) for value in values]
    total = sum(case.run.replicas for _, case in cases)
    before = 0

    def tell(done: float, _: int) -> None:
        if progress is not None:
            progress(before + done, total)

    for value, case in cases:
        yield value, run(case, tell)
        before += case.run.replicas


def _frame_at(samples: int, frames: int) -> set[int]:
    """Indices of the samples at which pictures are taken: evenly spaced, without start and end."""
    return {round(samples * (i + 1) / (frames + 1)) for i in range(frames)}


def _paper(config: KmcConfig, replica: int, lattice: NDArray[np.int8], tell: Tell) -> Trajectory:
    started = time.thread_time()
    size, steps = config.lattice.size, config.steps
    records = vacancy_records(lattice, size)
    room = np.count_nonzero(lattice == IODIDE) if config.escape_probability > 0 else 0
    vacancies = np.concatenate([records, np.zeros(room, np.uint32)])
    count = np.array([records.size])
    trace = new_trace(steps)
    words = stream(config.run.seed, replica)
    frames: list[NDArray[np.int8]] = []
    stops = sorted(_frame_at(steps, config.run.frames if replica == 0 else 0))
    at = 0
    for stop in sorted({*stops, steps, *range(BLOCK, steps, BLOCK)} - {0}):
        run_steps(config, lattice, vacancies, count, at, stop, trace, words)
        at = stop
        tell(stop / steps)
        if stop in stops:
            frames.append(lattice.reshape(size, size, size).copy())
    lost = int(trace.film[0, IODIDE] - trace.film[-1, IODIDE])
    return Trajectory(
        replica=replica,
        progress=np.arange(steps + 1, dtype=float),
        time_s=trace.time_s,
        region=trace.region,
        film=trace.film,
        band_gap_ev=band_gap(composition(trace.region, config)),
        hops_bromide=int(trace.hops[0]),
        hops_iodide=int(trace.hops[1]),
        events=int(trace.hops.sum()) + lost,
        cpu_s=time.thread_time() - started,
        lattice=lattice.reshape(size, size, size),
        frames=tuple(frames),
        frame_progress=tuple(float(stop) for stop in stops),
    )


def _exact(config: KmcConfig, replica: int, lattice: NDArray[np.int8], tell: Tell) -> Trajectory:
    started = time.thread_time()
    size, events, read = config.lattice.size, config.events, region(config.lattice.size)
    film = ExactFilm(config, config.run.seed, replica, tracer=config.run.tracer, lattice=lattice)
    times, done = np.zeros(SAMPLES + 1), np.zeros(SAMPLES + 1)
    inside, everywhere = np.zeros((SAMPLES + 1, 3), np.int64), np.zeros((SAMPLES + 1, 3), np.int64)
    pictures = _frame_at(SAMPLES, config.run.frames if replica == 0 else 0)
    frames: list[NDArray[np.int8]] = []

    def look() -> None:
        by_time = 0.0 if config.run.time_s is None else film.time_s / config.run.time_s
        tell(max(by_time, 0.0 if events is None else film.counts.events / events))

    for i in range(SAMPLES + 1):
        until = np.inf if config.run.time_s is None else config.run.time_s * i / SAMPLES
        more = None if events is None else events * i // SAMPLES - film.counts.events
        if i and (more is None or more > 0):
            film.advance(until, more, look)
        times[i], done[i] = film.time_s, film.counts.events
        inside[i], everywhere[i] = film.species_counts(read), film.species_counts()
        if i in pictures:
            frames.append(film.lattice.reshape(size, size, size).copy())
    counts, tracer = film.counts, film.tracer
    return Trajectory(
        replica=replica,
        progress=done,
        time_s=times,
        region=inside,
        film=everywhere,
        band_gap_ev=band_gap(composition(inside, config)),
        hops_bromide=counts.hops_bromide,
        hops_iodide=counts.hops_iodide,
        events=counts.events,
        cpu_s=time.thread_time() - started,
        lattice=film.lattice.reshape(size, size, size),
        frames=tuple(frames),
        frame_progress=tuple(float(done[i]) for i in sorted(pictures)) if frames else (),
        cosines=None if tracer is None else tracer.cosines,
        pairs=None if tracer is None else tracer.pairs,
    )
