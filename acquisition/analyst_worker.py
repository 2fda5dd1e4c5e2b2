"""The process that analyses a measurement while it runs: it follows the journal and says what it finds.

Orders come in and news go out as lines of JSON; the engine's end is in
:mod:`halidescope.acquisition.analyst_process`.
"""

import math
import queue
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import numpy as np

from halidescope.acquisition.analyst import Analyst
from halidescope.acquisition.analyst_process import News, Order
from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.priority import give_way
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import SingleRecipe, parse_recipe
from halidescope.acquisition.records import Flag, SpectrumRecord

LOOK_S = 0.05      # real seconds between two looks into the journal
TELL_S = 0.1       # and between two messages
FIT_EVERY_S = 0.25
FIT_LOAD = 3       # a fit's own duration times this passes before the next one begins
BATCH = 256        # spectra unmixed at once
REHEARSED = 48     # spectra: enough for a fit
NICENESS = 10      # the measurement and the window come first


class _Following:
    """The worker's measurement of the moment."""

    def __init__(self, path: Path) -> None:
        self._journal = JournalReader(path)
        header = self._journal.header
        recipe = cast(SingleRecipe, parse_recipe(dict(header.recipe)))     # what has a journal is one measurement
        darks, _ = self._journal.dark()
        dark = np.array([one.counts for one in darks], header.count_type).reshape(-1, len(header.wavelength_nm))
        self._make = partial(
            Analyst,
            recipe,
            np.asarray(header.wavelength_nm),
            dark,
            saturation=header.calibration["saturation_counts"],
            gain=parse_microscope(header.microscope).spectrometer.electrons_per_count,
        )
        self._analyst = self._make()
        self._count_type = header.count_type
        self._next = 0
        self._unfitted = False
        self._next_fit = self._next_word = 0.0
        self.complete: int | None = None

    def rehearse(self) -> None:
        """Analyse a series that nobody took, and forget it."""
        played, nobody = self._make(), math.nan
        ends = np.array(played.news().references)
        if not len(ends):
            return
        share = 0.5 - 0.4 * np.exp(-np.arange(REHEARSED) / 8.0) - 0.1 * np.exp(-np.arange(REHEARSED) / 60.0)
        light = np.outer(1.0 - share, ends[0]) + np.outer(share, ends[-1])
        counts = np.random.default_rng(0).poisson(100.0 + 2e4 * light / light.max()).astype(self._count_type)
        records = [
            SpectrumRecord(
                k, k, nobody, float(k), float(k), 0.01, nobody, nobody, nobody, nobody, nobody, nobody, nobody, nobody,
                Flag.NONE, one,
            ) for k, one in enumerate(counts)
        ]  # fmt: skip
        for some in (records[:1], records[1:4], records[4:]):      # few are summed up in another way than many
            played.add(some)
        played.fit()

    def look(self) -> News | None:
        """Analyse what is new; a message if it is time for one."""
        batch = self._journal.spectra(self._next, BATCH)
        self._next += len(batch)
        self._analyst.add([record for record in batch if record is not None])
        self._unfitted |= bool(batch)
        finished = self.complete is not None and self._next >= self.complete
        now = time.monotonic()
        if finished or (self._unfitted and now >= self._next_fit):
            self._analyst.fit(thorough=finished)
            self._unfitted = False
            self._next_fit = now + max(FIT_EVERY_S, FIT_LOAD * (time.monotonic() - now))
        if finished or now >= self._next_word:
            self._next_word = now + TELL_S
            return News(self._analyst.news(), finished=finished)
        return None

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()


def follow(stdin: BinaryIO, stdout: BinaryIO) -> None:
    """The worker's life: follow one journal after another until the engine hangs up."""
    orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(stdin, orders), daemon=True).start()
    following: _Following | None = None

    def say(news: News) -> None:
        stdout.write(msgspec.json.encode(news) + b"\n")
        stdout.flush()

    while True:
        try:
            order = orders.get(timeout=LOOK_S if following else None)
        except queue.Empty:
            order = Order()
        if order is None:
            return
        try:
            if order.journal:
                if following:
                    following.close()
                following = None
                following = _Following(Path(order.journal))
            if order.rehearse:
                if following:
                    following.rehearse()
                say(News(rehearsed=True))
            if following is None:
                if order.complete is not None:
                    say(News(finished=True))
                continue
            if order.complete is not None:
                following.complete = order.complete
            news = following.look()
            if news is not None and news.finished:
                following.close()  # before the word, which lets the engine delete the journal
                following = None
            if news is not None:
                say(news)
        except Exception as error:  # noqa: BLE001 - said plainly; the measurement goes on without analysis
            what = str(error) if isinstance(error, ProblemError) else f"{type(error).__name__}: {error}"
            say(News(problem=f"online analysis stopped: {what}; the spectra are safe, analyse the file again"))
            if following:
                following.close()
            following = None


def _listen(stdin: BinaryIO, orders: "queue.SimpleQueue[Order | None]") -> None:
    for line in stdin:
        orders.put(msgspec.json.decode(line, type=Order))
    orders.put(None)


if __name__ == "__main__":
    give_way(NICENESS)
    follow(sys.stdin.buffer, sys.stdout.buffer)
