"""What a power cut leaves: journals rebuilt from the disk's writes up to any moment, with the last ones lost or torn.

The writes of a real journal are observed: after every commit the bytes of database and log are kept. A state of the
disk after a power cut is then any database that was synced, with a log that holds everything up to the last synced
moment and, beyond that, pages that arrived, pages that did not, and pages that arrived in part.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from halidescope.acquisition import checkpoints
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.storage import finish, open_scan

from .conftest import header, record

SECTOR = 512
SPECTRA = 60


class Observed:
    """A journal's bytes after each commit, and what was synced then: a checkpoint syncs log and database."""

    def __init__(self, folder: Path, synced_every: int) -> None:
        path = journal_path(folder / "scan.nxs")
        writer = JournalWriter(path, header("time-series", rows=10, columns=10))
        self.states: list[tuple[int, bytes, bytes]] = []        # spectra acknowledged, database, log
        self.synced: list[int] = []                             # index of the last synced state, for each state
        last = 0
        for sequence in range(SPECTRA):
            writer.append(record(sequence, sequence))
            if sequence % synced_every == synced_every - 1:
                writer._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()     # as the helper does
                last = len(self.states)
            self.states.append((sequence + 1, path.read_bytes(), Path(f"{path}-wal").read_bytes()))
            self.synced.append(last)
        writer.close()


def cut(observed: Observed, rng: random.Random) -> tuple[int, int, bytes, bytes]:
    """One state of the disk: spectra acknowledged, spectra that must be there, database, log."""
    now = rng.randrange(len(observed.states))
    acknowledged, database, log = observed.states[now]
    safe, _, old_log = observed.states[observed.synced[now]]
    if not observed.synced[now]:
        safe, old_log = 0, b""
    after = bytearray(log)
    for start in range(0, len(log), SECTOR):
        sector = slice(start, min(start + SECTOR, len(log)))
        if log[sector] == old_log[sector]:
            continue
        fate = rng.random()
        if fate < 0.3:              # never arrived: what was there before, or nothing
            before = old_log[sector].ljust(sector.stop - sector.start, b"\0")
            after[sector] = before
        elif fate < 0.4:            # torn
            after[sector] = bytes(rng.randrange(256) for _ in range(sector.stop - sector.start))
    if rng.random() < 0.3:          # the file's new length never arrived
        del after[max(len(old_log), rng.randrange(len(after) + 1)) :]
    return acknowledged, safe, database, bytes(after)


def states(folder: Path, count: int) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Simulated power cuts at random moments of journals synced at different distances."""
    rng = random.Random(1)
    for synced_every in (1, 7, 20):
        sub = folder / f"every-{synced_every}"
        sub.mkdir()
        observed = Observed(sub, synced_every)
        for _ in range(count // 3 + 1):
            yield cut(observed, rng)


@pytest.mark.parametrize("count", [102, pytest.param(3000, marks=pytest.mark.slow)])
def test_after_a_power_cut_everything_synced_is_there_and_nothing_is_false(tmp_path, monkeypatch, count):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_S", 1e6)       # the moments of syncing are ours
    place = tmp_path / "after"
    place.mkdir()
    lost = []
    for acknowledged, safe, database, log in states(tmp_path, count):
        path = place / "scan.nxs.journal"
        path.write_bytes(database)
        Path(f"{path}-wal").write_bytes(log)
        Path(f"{path}-shm").unlink(missing_ok=True)
        try:
            with open_scan(path) as scan:
                there = int(scan.valid.sum())
                assert safe <= there <= acknowledged
                assert scan.damaged == ()
                for k in range(there):
                    assert np.array_equal(scan.spectra[k], record(k, k).counts)
        except ScanFileError:
            assert safe == 0, "a journal with synced spectra cannot be read"
            there = 0
        lost.append(acknowledged - there)
    assert len(lost) >= count
    assert max(lost) <= 20           # never more than since the last sync


def test_a_journal_after_a_power_cut_is_finished_as_any_other(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_S", 1e6)
    observed = Observed(tmp_path, 1000)
    acknowledged, database, log = observed.states[40]
    place = tmp_path / "after"
    place.mkdir()
    path = place / "scan.nxs.journal"
    path.write_bytes(database)
    Path(f"{path}-wal").write_bytes(log[: len(log) - 100])
    with JournalReader(path) as journal:
        there = len(journal.places())
    assert there == acknowledged - 1
    assert finish(place / "scan.nxs") == []
    with open_scan(place / "scan.nxs") as scan:
        assert scan.valid.sum() == there
