"""What a journal takes it gives back, and what is torn it tells; kills and power cuts have tests of their own."""

import random
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import Flag, runs_of
from halidescope.acquisition.resume import look_back
from halidescope.acquisition.storage import open_scan

from .conftest import header, record


def test_a_journal_is_never_overwritten(write_journal):
    out = write_journal(header(), [0, 1])
    before = journal_path(out).read_bytes()
    with pytest.raises(ScanFileError, match="cannot be created"):
        JournalWriter(journal_path(out), header())
    assert journal_path(out).read_bytes() == before


@pytest.mark.parametrize("seed", range(20))
def test_a_journal_with_torn_bytes_gives_what_is_whole_or_one_sentence(write_journal, seed):
    out = write_journal(header(), list(range(12)))
    path = out.with_name(out.name + ".journal")
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    start = rng.randrange(len(data))
    for k in range(start, min(start + rng.choice([1, 64, 4096]), len(data))):
        data[k] = rng.randrange(256)
    path.write_bytes(bytes(data))
    try:
        scan = open_scan(path)
    except ScanFileError:
        return
    with scan:
        assert scan.valid.sum() + len(scan.damaged) <= 12
        for row, column in np.argwhere(scan.valid):
            point = 4 * int(row) + int(column)
            assert np.array_equal(scan.spectra[row, column], record(point, point).counts)


@settings(max_examples=25)
@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=12, max_size=12))
def test_any_number_that_can_be_measured_reads_back_undamaged(tmp_path, numbers):
    """SQLite keeps -0.0 as 0.0: a stage that reports -0.0 µm must not look like a damaged row."""
    path = journal_path(Path(tempfile.mkdtemp(dir=tmp_path)) / "scan.nxs")
    one = record(0, 0)
    names = [field.name for field in fields(one) if field.type is float]
    taken = replace(one, **dict(zip(names, [-0.0, *numbers], strict=False)))
    writer = JournalWriter(path, header())
    writer.append(taken)
    writer.close()
    with JournalReader(path) as journal:
        back = journal.spectrum(0)
    assert back is not None
    assert back.numbers == taken.numbers


@given(st.sets(st.integers(0, 500)))
def test_numbers_and_their_stretches_are_the_same(points):
    runs = runs_of(points)
    assert {point for first, last in runs for point in range(first, last + 1)} == points
    assert all(after[0] - before[1] > 1 for before, after in pairwise(runs))


@pytest.mark.parametrize("seed", range(12))
def test_a_power_cut_costs_no_more_than_what_was_not_yet_durable(tmp_path, seed):
    """The log's tail lost or full of zeros, as disks leave it: every row before is there, and it can be resumed."""
    rng = random.Random(seed)
    path = journal_path(tmp_path / "scan.nxs")
    writer = JournalWriter(path, header())
    durable = rng.randrange(1, 11)
    for point in range(12):
        writer.append(record(point, point))
        if point == durable - 1:
            with closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    cut = tmp_path / "after"
    cut.mkdir()
    out = cut / "scan.nxs"
    log = path.with_name(path.name + "-wal").read_bytes()
    keep = rng.randrange(len(log))
    tail = rng.choice([b"", bytes(len(log) - keep)])
    journal_path(out).write_bytes(path.read_bytes())
    journal_path(out).with_name(path.name + "-wal").write_bytes(log[:keep] + tail)
    writer.close()
    past = look_back(out)
    assert past.damaged == 0
    assert past.done == frozenset(range(len(past.done)))
    assert len(past.done) >= durable
    again = JournalWriter.reopen(journal_path(out))
    for point in range(len(past.done), 12):
        again.append(record(point, point))
    again.close()
    with open_scan(journal_path(out)) as scan:
        assert scan.valid.all()
        for point in range(12):
            assert np.array_equal(scan.spectra.reshape(12, -1)[point], record(point, point).counts)


@pytest.mark.parametrize(("kind", "left"), [("raster-map", {2, 3}), ("time-series", set())])
def test_a_map_is_resumed_where_light_was_in_doubt(tmp_path, kind, left):
    out = tmp_path / "scan.nxs"
    writer = JournalWriter(journal_path(out), header(kind))
    for point in range(4):
        writer.append(record(point, point))
    for point in (2, 3):
        writer.amend(replace(record(point, point), flags=Flag.LIGHT_IN_DOUBT))
    writer.close()
    assert look_back(out).done == frozenset(range(4)) - left
    with JournalReader(journal_path(out)) as reader:
        kept = reader.spectrum(3)
        assert kept.flags == Flag.LIGHT_IN_DOUBT
        assert np.array_equal(kept.counts, record(3, 3).counts)


@pytest.mark.parametrize("append", ["append", "append_repeat"])
def test_a_spectrum_that_was_acknowledged_is_never_written_over(tmp_path, append):
    writer = JournalWriter(journal_path(tmp_path / "scan.nxs"), header())
    getattr(writer, append)(record(0, 0))
    with pytest.raises(ScanFileError, match="cannot be written"):
        getattr(writer, append)(record(0, 1))
    writer.close()
    with JournalReader(journal_path(tmp_path / "scan.nxs")) as reader:
        kept = reader.spectrum(0) if append == "append" else reader.repeats()[0]
        assert np.array_equal(kept.counts, record(0, 0).counts)


def test_a_journal_that_holds_nothing_says_what_to_do(tmp_path):
    path = tmp_path / "x.nxs.journal"
    path.touch()
    with pytest.raises(ScanFileError, match=r"holds nothing, it was cut off .*; delete it and start anew"):
        JournalReader(path)
