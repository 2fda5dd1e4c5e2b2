"""Thousands of points with every fault injected at random, and kill -9 at random moments of engine, window, simulator.

Map after map at places of its own; a map that was cut off, failed or lost points is resumed until it is complete. What
must hold is asserted where it happens, and counted. The ledger says of every spot how much it had at most, and how much
of that is in doubt: the simulator's own count of photons must lie between, and agree within 1 % where hardly any is in
doubt. Alone, from the project's folder, whole or in pieces: ``python -m tests.soak.soak --kills 52 --seed 7``,
``python -m tests.soak.soak --kills 13 --seed 1``. With ``--only laser-fault`` no other fault is injected.
"""

import argparse
import json
import math
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.records import Event, Flag
from halidescope.acquisition.states import RunState, Status
from halidescope.acquisition.storage import open_scan

from .processes import Engine, Served, Window, until

SPEED = 20.0
SIDE, STEP_UM = 12, 2.5           # points along a map's side, and their distance
WAIST_UM = 1.0
POWER_UW = 40.0
DARK_WITHIN_S = {"engine": 1.0, "simulator": 1.0, "window": 1.0, "hang": 3.0}
RUN_WITHIN_S = 120.0
KNOWN = 0.01                      # of the ledger in doubt, up to which its light is known
WITHIN = 0.01                     # of the ledger, from the simulator's count
WIRE = ("garbage-reply", "late-reply", "connection-drop", "slow-reply")      # to one instrument's replies
OWN = (
    "interlock-open", "laser-fault", "stage-stall", "stage-servo-off", "spectrometer-silent", "spectrum-truncated",
    "spectrum-stale", "saturated",
)


class Soak:
    """One soak; :meth:`run` returns what it counted.

    Parameters
    ----------
    kills : int
        Processes to kill -9, engine, window and simulator together; hangs come on top.
    seed : int
        Of everything that is random here.
    only : str, optional
        The one fault that is injected; by default every one.
    """

    def __init__(
        self, folder: Path, *, kills: int, seed: int, say: Callable[[str], object], only: str | None = None
    ) -> None:
        self._folder, self._kills, self._say, self._only = folder, kills, say, only
        self._random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.dark_s: dict[str, list[float]] = {how: [] for how in DARK_WITHIN_S}
        self.ledger: list[tuple[float, float, float]] = []      # of every counted map: booked, in doubt, truth, J
        self._served = Served(folder, speed=SPEED, seed=seed)
        self._engine: Engine | None = None
        self._maps = 0

    # the whole

    def run(self) -> dict[str, Any]:
        """Map after map until everybody was killed often enough and every fault has come."""
        ends = ["engine"] * (self._kills - 2 * (self._kills // 4)) + ["window", "simulator"] * (self._kills // 4)
        ends += ["hang"] * max(1, self._kills // 10)
        self._random.shuffle(ends)
        faults = [*WIRE, *OWN] * 2 if self._only is None else [self._only] * 2 * len((*WIRE, *OWN))
        self._random.shuffle(faults)
        try:
            while ends or faults or self.counts["points"] < 40 * self._kills:
                self._map(ends, faults)
        except BaseException:
            time.sleep(3.0)      # a watchdog may have something to say
            for name in ("session.watchdog.log", "session.log"):
                log = self._folder / name
                if log.exists():
                    self._say(f"{name}: " + "\n".join(log.read_text().splitlines()[-15:]))
            if self._engine is not None:
                self._say("\n".join(event.text for event in self._events()[-15:]))
            raise
        finally:
            if self._engine is not None:
                self._engine.close()
            self._served.close()
        return self.summary()

    def _events(self) -> list[Event]:
        assert self._engine is not None
        try:
            return self._engine.client.events()
        except ProblemError:
            return []

    def summary(self) -> dict[str, Any]:
        """Counts, times to darkness, and the ledger against the simulator's count."""
        known = [row for row in self.ledger if row[1] <= KNOWN * row[0]]
        booked_j, truth_j = sum(row[0] for row in known), sum(row[2] for row in known)
        return {
            **dict(sorted(self.counts.items())),
            "dark_after_s": {
                how: {"count": len(took), "median": round(float(np.median(took)), 3), "max": round(max(took), 3)}
                for how, took in self.dark_s.items() if took
            },
            "maps_known": len(known),
            "ledger_over_truth": round(booked_j / truth_j, 5) if known else None,
            "maps_in_doubt": len(self.ledger) - len(known),
        }

    def table(self) -> str:
        """All that was counted, and every map's ledger, one row each."""
        told = self.summary()
        dark = told.pop("dark_after_s")
        rows = [f"{name:<36} {value}" for name, value in told.items()]
        rows += [
            f"dark after {how + ', s':<25} {one['count']} times, median {one['median']:.3f}, at most {one['max']:.3f}, "
            f"allowed {DARK_WITHIN_S[how]:g}" for how, one in dark.items()
        ]
        rows += [
            f"map's ledger over the photons        {(booked - doubt) / truth:.4f} to {booked / truth:.4f}"
            for booked, doubt, truth in sorted(self.ledger, key=lambda row: row[0] / row[2])
        ]
        return "\n".join(rows)

    # one map

    def _map(self, ends: list[str], faults: list[str]) -> None:
        """One map, killed and broken on its way, until it is complete."""
        self._served.ask(clear="all")
        out = self._folder / f"map-{self._maps:04d}.nxs"
        recipe = self._recipe()
        self._maps += 1
        before_j, counted = self._served.ask(get="film.energy_j"), True
        resume, tries = False, 0
        kept: dict[int, np.ndarray] = {}
        while True:
            how = ends.pop() if ends and self._random.random() < 0.9 else ""
            state = self._attempt(recipe, out, how, ends, faults, resume=resume)
            counted = counted and how != "simulator"
            self._read(out, kept)
            resume, tries = True, tries + 1
            if state is RunState.FINISHED and self._complete(out):
                break
            self.counts["resumed"] += 1
            if tries > 25:
                raise AssertionError(f"{out.name} is still not complete after {tries} attempts")
        with open_scan(out) as scan:
            assert scan.valid.all(), f"{out.name}: {dict(scan.missing)}"
            total = scan.spectra.reshape(SIDE**2, -1).sum(axis=1, dtype=np.float64) - scan.dark.mean.sum()
            assert total.min() > 0.3 * np.median(total), f"{out.name}: point {total.argmin()} was taken without light"
            for point, counts in kept.items():
                assert np.array_equal(scan.spectra.reshape(-1, counts.size)[point], counts), f"{out.name}, {point}"
        assert not journal_path(out).exists()
        self.counts["points"] += SIDE**2
        self.counts["files"] += 1
        if counted:      # the simulator's count died with it where it was killed
            with closing(NexusFile(out)) as file:
                area_cm2 = math.pi * (WAIST_UM * 1e-4) ** 2 / 2.0
                booked_j = sum(spot.dose_j_cm2 for spot in file.light_spots) * area_cm2
                doubt_j = sum(spot.doubt_j_cm2 for spot in file.light_spots) * area_cm2
            truth_j = self._served.ask(get="film.energy_j") - before_j
            self.ledger.append((booked_j, doubt_j, truth_j))
            slack_j = WITHIN * truth_j
            assert booked_j - doubt_j - slack_j <= truth_j <= booked_j + slack_j, (
                f"{out.name}: {booked_j:.5g} J booked, {doubt_j:.5g} J of it in doubt, but {truth_j:.5g} J came"
            )
        out.unlink()
        self._say(f"map {self._maps}: {tries} attempts, {len(ends)} kills and {len(faults)} faults left")

    def _recipe(self) -> dict[str, object]:
        """A place of its own for every map: no spot within a tenth of a waist of another map's."""
        across = int(180.0 // (SIDE * STEP_UM))
        place, layer = self._maps % across**2, self._maps // across**2
        shift = 0.31 * layer
        origin = [10.0 + shift + (place % across) * SIDE * STEP_UM, 10.0 + shift + (place // across) * SIDE * STEP_UM]
        size = (SIDE - 1) * STEP_UM
        return {
            "kind": "raster-map", "sample_power_uw": POWER_UW, "origin_um": origin, "size_um": [size, size],
            "step_um": STEP_UM, "exposure_s": 0.2, "dark_spectra": 1, "sample": {"composition": 1.5},
        }

    def _attempt(
        self, recipe: dict[str, object], out: Path, how: str, ends: list[str], faults: list[str], *, resume: bool
    ) -> RunState | None:
        """Start or resume, break things, perhaps kill; the state it ended in, None if the engine died."""
        engine = self._live_engine()
        window = Window(engine.session) if how == "window" else None
        if window is not None:      # killed at any moment of its life, also while it comes up
            time.sleep(self._random.uniform(0.0, 3.0))
        try:
            self._start(engine, recipe, out, resume=resume)
        except ProblemError as error:
            if "is finished already" in str(error):
                if window is not None:
                    window.kill()
                    self.counts["killed window"] += 1
                elif how:
                    ends.append(how)      # nothing runs that could be killed: next time
                return RunState.FINISHED
            raise
        kill_at = time.monotonic() + self._random.uniform(0.0, 2.5) if how else math.inf
        fault_at = time.monotonic() + self._random.uniform(0.1, 1.0)
        clear_at = math.inf
        give_up = time.monotonic() + RUN_WITHIN_S
        done = 0
        while True:
            now = time.monotonic()
            if now >= kill_at:
                kill_at = math.inf
                self._clear()
                if self._kill(how, engine, window, out, done) != "goes on":
                    return None
            if now >= fault_at and faults:
                self._inject(faults.pop())
                fault_at, clear_at = now + self._random.uniform(0.5, 2.0), now + self._random.uniform(0.05, 1.0)
            if now >= clear_at:
                self._clear()
                clear_at = math.inf
            status = engine.client.status()
            done = max(done, status.done)
            if status.question is not None:
                self._answer(engine, status)
            elif status.state.ended:
                if window is not None and kill_at < math.inf:
                    assert window.running, "the window has ended by itself"
                    window.kill()
                    self.counts["killed window"] += 1
                elif kill_at < math.inf and how:
                    self._kill(how, engine, window, out, done)
                    return None
                self._settle(engine, status)
                return status.state
            assert now < give_up, f"{out.name}: {status}"
            time.sleep(0.004)

    def _start(self, engine: Engine, recipe: dict[str, object], out: Path, *, resume: bool) -> None:
        """Start it; a fault that was latched when its engine died is refused, and cleared by a person."""
        try:
            engine.client.start(recipe, out, resume=resume)
        except ProblemError as error:
            if "mend its cause, clear it" not in str(error) and "close the loop" not in str(error):
                raise
            self.counts["refused for a latched fault"] += 1
            self._clear()        # mended first: one that is still due would latch again
            engine.client.connect()
            engine.client.clear_fault()
            engine.client.start(recipe, out, resume=resume)

    def _live_engine(self) -> Engine:
        if self._engine is None:
            self._engine = Engine(self._served, self._folder / "session.json")
            self.counts["engines"] += 1
        return self._engine

    # breaking things

    def _inject(self, fault: str) -> None:
        device = {"device": self._random.choice(["laser", "stage", "spectrometer"])} if fault in WIRE else {}
        self._served.ask(fault=fault, after=self._random.randrange(4), **device)
        self.counts[f"fault {fault}"] += 1

    def _clear(self) -> None:
        self._served.ask(clear="all")

    def _answer(self, engine: Engine, status: Status) -> None:
        """A person mends the cause, and says so."""
        assert status.question is not None
        assert self._served.ask(get="laser.emission") is False, "light while a question waits"
        self._clear()
        engine.client.answer(status.question.id, "go on")
        self.counts["questions"] += 1

    def _settle(self, engine: Engine, status: Status) -> None:
        """After a run's end: dark; what it failed of is mended."""
        assert self._served.ask(get="laser.emission") is False, f"light after the end: {status.reason}"
        self.counts[f"run {status.state}"] += 1
        self._clear()
        if status.state is RunState.FAILED:
            try:
                engine.client.clear_fault()
            except ProblemError:
                self.counts["reconnected before clearing"] += 1
                engine.client.connect()
                engine.client.clear_fault()

    # killing

    def _kill(self, how: str, engine: Engine, window: Window | None, out: Path, done: int) -> str:
        """Kill somebody; assert darkness and the data; ``goes on`` if the engine is to be asked again."""
        if how == "window":
            assert window is not None
            assert window.running, "the window has ended by itself"
            window.kill()
            self.counts["killed window"] += 1
            if self._random.random() < 0.5:
                engine.client.dark_now()      # somebody else can still make it dark
                self._dark("window", time.monotonic())
            return "goes on"
        if how == "simulator":
            self._served.kill()
            self.counts["killed simulator"] += 1
            self._served.start()
            self._dark(how, time.monotonic())
            return "goes on"
        log = engine.session.with_suffix(".watchdog.log")
        words = log.read_text().count("\n") if log.exists() else 0
        lit = self._served.ask(get="laser.emission")
        engine.signal(signal.SIGKILL if how == "engine" else signal.SIGSTOP)
        began = time.monotonic()
        if how == "hang" and not lit and not self._served.ask(get="laser.emission"):
            engine.signal(signal.SIGKILL)     # nobody ends an engine that hangs in the dark
        self._dark(how, began)
        self.counts[f"killed {how}" if how == "engine" else "hangs"] += 1
        self.counts[f"{how} while lit"] += bool(lit)
        engine.reap()
        engine.session.unlink(missing_ok=True)
        if lit:
            until(lambda: log.exists() and log.read_text().count("\n") > words, "the watchdog's word", 10.0)
            assert json.loads(log.read_text().splitlines()[-1])["dark"] is True
        else:
            time.sleep(0.3)      # its watchdog may still be looking
        self._engine = None
        if done:
            with open_scan(_newest(out)) as scan:
                there = int(scan.valid.sum())
            assert there >= done, f"{out.name}: {done} points were acknowledged, {there} are there"
            self.counts["acknowledged points at kills"] += done
        return "died"

    def _dark(self, how: str, began: float) -> None:
        """The laser is dark within its time, and stays so."""
        until(lambda: not self._served.ask(get="laser.emission"), f"darkness after {how}", 10.0)
        took_s = time.monotonic() - began
        self.dark_s[how].append(took_s)
        assert took_s <= DARK_WITHIN_S[how], f"{how}: dark only {took_s:.2f} s after"
        if how in ("engine", "hang"):
            for _ in range(20):
                assert not self._served.ask(get="laser.emission"), f"{how}: light came back"
                time.sleep(0.005)

    # files

    def _read(self, out: Path, kept: dict[int, np.ndarray]) -> None:
        """Whatever is there opens; its spectra must be in the complete file too."""
        if not (out.exists() or journal_path(out).exists()):
            return
        with open_scan(_newest(out)) as scan:
            assert scan.damaged == (), f"{out.name}: damaged {scan.damaged}"
            spectra = scan.spectra
            sound = scan.valid & (scan.more["flags"] & int(Flag.LIGHT_IN_DOUBT) == 0)      # the others are taken again
            for point in np.flatnonzero(sound.ravel()):
                counts = spectra.reshape(-1, spectra.shape[-1])[point]
                if point in kept:
                    assert np.array_equal(kept[point], counts), f"{out.name}: point {point} was measured twice"
                kept[int(point)] = counts.copy()
        self.counts["files opened"] += 1

    def _complete(self, out: Path) -> bool:
        with open_scan(out) as scan:
            return bool(scan.valid.all())


def _newest(out: Path) -> Path:
    """The journal, where there is one: while an unfinished file is completed it stays beside it."""
    return journal_path(out) if journal_path(out).exists() else out


def main() -> None:
    """The soak alone, with its counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=52)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=(*WIRE, *OWN), help="the one fault that is injected")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)  # noqa: T201 - a soak tells what it counts
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(
            Path(folder), kills=given.kills, seed=given.seed, only=given.only,
            say=lambda text: print(text, flush=True),  # noqa: T201
        )
        soak.run()
        print(soak.table())  # noqa: T201
    print(f"{time.monotonic() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
