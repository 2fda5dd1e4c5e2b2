"""The process that compares with the simulation: trains, answers the newest question, until the asker hangs up.

Started by :class:`halidescope.gui.kmc_process.ComparisonProcess`, which also says what is sent.
"""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from halidescope.acquisition.priority import give_way
from halidescope.analysis.kmc.calibration import calibrated
from halidescope.analysis.kmc.comparison import Comparison, compare
from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.emulator import Emulator, Prior, train, with_parameters
from halidescope.analysis.kmc.inference import NAMES, Measured
from halidescope.analysis.kmc.observables import halo_profile
from halidescope.analysis.kmc.run import Trajectory, run_replica
from halidescope.gui import kmc_cache
from halidescope.gui.kmc_process import NICENESS, Answer, News, Parameter, Question

TELL_S = 0.25
MARGINAL_BINS = 30


def answer_questions(stdin: BinaryIO, stdout: BinaryIO, cache: Path) -> None:
    """The process's life: answer the newest question until the asker hangs up."""
    desk = _Desk()
    threading.Thread(target=desk.listen, args=(stdin,), daemon=True).start()
    emulators: dict[str, Emulator] = {}

    def say(news: News) -> None:
        stdout.write(msgspec.json.encode(news) + b"\n")
        stdout.flush()

    while (question := desk.next()) is not None:
        try:
            config = KmcConfig.from_mapping(question.configuration)
            key = repr(config)
            if key not in emulators:
                made = _emulator(config, question, desk, say, cache)
                if made is None:
                    continue           # another film is asked about
                emulators[key] = made
                question = desk.newer_than(question)
            if question.time_s:
                say(News(question.number, answer=_answer(question, config, emulators[key])))
            else:
                say(News(question.number, ready=True))
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            say(News(question.number, problem=f"comparison with the simulation: {error}"))


class _Desk:
    """Where questions come in; only the newest is kept."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._newest: Question | None = None
        self._closed = False

    def listen(self, stdin: BinaryIO) -> None:
        for line in stdin:
            with self._ready:
                self._newest = msgspec.json.decode(line, type=Question)
                self._ready.notify()
        with self._ready:
            self._closed = True
            self._ready.notify()

    def next(self) -> Question | None:
        """Wait for a question; None when there will be none."""
        with self._ready:
            self._ready.wait_for(lambda: self._newest is not None or self._closed)
            question, self._newest = self._newest, None
            return question

    def newer_than(self, question: Question) -> Question:
        """The question that waits if it is about the same film, else the one in hand."""
        with self._ready:
            if self._newest is None or self._newest.configuration != question.configuration:
                return question
            newer, self._newest = self._newest, None
            return newer

    def another_film(self, question: Question) -> bool:
        """Whether a question about another film waits, or nobody listens any more."""
        with self._ready:
            return self._closed or (
                self._newest is not None and self._newest.configuration != question.configuration
            )


class _AnotherFilmError(Exception):
    """A training is not wanted any more."""


def _emulator(
    config: KmcConfig, question: Question, desk: _Desk, say: Callable[[News], object], cache: Path
) -> Emulator | None:
    prior = Prior()
    kept = kmc_cache.load(cache, config, prior)
    if kept is not None:
        return kept
    told = 0.0

    def tell(stage: str) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            nonlocal told
            if desk.another_film(question):
                raise _AnotherFilmError
            if time.monotonic() - told > TELL_S or done == total:
                told = time.monotonic()
                say(News(question.number, stage, done / total))

        return progress

    try:
        emulator = train(config, prior, workers=1, progress=tell("simulating films"))
        emulator = calibrated(emulator, workers=1, progress=tell("calibrating the intervals"))
    except _AnotherFilmError:
        return None
    kmc_cache.store(cache, emulator)
    return emulator


def _answer(question: Question, config: KmcConfig, emulator: Emulator) -> Answer:
    started = time.monotonic()
    result = compare(
        Measured(question.time_s, question.value, question.sigma, question.kind), config, emulator=emulator
    )
    film = _film_now(config, result)
    radius, iodide, vacancy = halo_profile(film.lattice)
    curves = ("value", "median", "low", "high")
    energies = {name: result.energy_ev(getattr(result, name)).tolist() for name in curves}
    scale = float(result.energy_ev(1.0) - result.energy_ev(0.0))
    return Answer(
        time_s=result.time_s.tolist(),
        measured_ev=energies["value"],
        measured_se_ev=(result.sigma * scale).tolist(),
        median_ev=energies["median"],
        low_ev=energies["low"],
        high_ev=energies["high"],
        parameters=parameters_of(result),
        discrepancy=result.discrepancy,
        null_median=float(np.median(result.null)),
        null_95=float(np.quantile(result.null, 0.95)),
        p_value=result.p_value,
        size=config.lattice.size,
        lattice=film.lattice.tobytes(),
        halo_radius=radius.tolist(),
        halo_iodide=[float(value) if np.isfinite(value) else None for value in iodide],
        halo_vacancy=vacancy.tolist(),
        species_start=film.film[0].tolist(),
        species=film.film[-1].tolist(),
        steps=round(film.progress[-1]),
        took_s=time.monotonic() - started,
    )


def parameters_of(result: Comparison) -> list[Parameter]:
    """The posterior of each parameter, small enough to send."""
    found = []
    for name, samples, (low, high), limits in zip(
        NAMES, result.samples.T, result.interval(0.9), result.prior_limits, strict=True
    ):
        counts = np.histogram(samples, bins=MARGINAL_BINS, range=(limits[0], limits[1]))[0]
        found.append(
            Parameter(
                name, float(samples.mean()), float(samples.std()), float(low), float(high), float(limits[0]),
                float(limits[1]), counts.tolist(),
            )
        )
    return found


def _film_now(config: KmcConfig, result: Comparison) -> Trajectory:
    """A film simulated with the posterior's means for as long as the measurement has run."""
    film = with_parameters(config, result.mean[:3])
    length = result.time_s[-1] / result.seconds_per_step
    if config.run.scheme == "paper":
        film = film.replace(run__steps=min(max(round(length), 1), config.steps))
    elif config.run.time_s is not None:
        film = film.replace(run__time_s=min(length, config.run.time_s))
    else:
        film = film.replace(run__events=min(max(round(length), 1), config.run.events or 1))
    return run_replica(film, exact_spot=True)


if __name__ == "__main__":
    give_way(NICENESS)
    answer_questions(sys.stdin.buffer, sys.stdout.buffer, kmc_cache.default_folder())
