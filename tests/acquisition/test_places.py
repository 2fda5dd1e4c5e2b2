"""Disks that are full, read-only, gone, or on a network: what was measured is safe, and a sentence says where."""

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from halidescope.acquisition import places
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.light_page import LightPage, LitSpot, light_path, read_page
from halidescope.acquisition.problems import RefusedRunError, ScanFileError
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.recovery import bring_home, in_use, left_behind, recover
from halidescope.acquisition.results_file import results_path, store_results
from halidescope.acquisition.run import run_recipe
from halidescope.acquisition.storage import finish, open_scan

from .conftest import analysed, header, record, until


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, monkeypatch):
    """The spool of a user who has nothing yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(places, "user_data_path", lambda name: tmp_path / "home" / name)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 1 MB; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = sys.platform == "linux" and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    ).returncode
    if not mounted:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> tuple[Path, int]:
    """Write spectra into a journal until the disk is full; the journal and how many were acknowledged."""
    path = journal_path(folder / "scan.nxs")
    writer = JournalWriter(path, header("time-series", rows=100, columns=100))
    count, told = 0, ""
    while not told:
        try:
            writer.append(record(count, count))
            count += 1
        except ScanFileError as error:
            told = str(error)
    writer.close()
    assert re.search("full.*measured is safe in it; make room", told)
    return path, count


def test_a_full_disk_keeps_every_acknowledged_spectrum_and_finishes_when_there_is_room(small_disk, tmp_path):
    path, count = fill(small_disk)
    assert count > 100
    with open_scan(path) as scan:
        assert scan.valid.sum() == count
        assert all(np.array_equal(scan.spectra[k], record(k, k).counts) for k in range(count))
    with pytest.raises(ScanFileError, match=r"cannot be written .*safe in"):
        finish(small_disk / "scan.nxs")
    assert not (small_disk / "scan.nxs").exists()
    assert not (small_disk / "scan.nxs.part").exists()
    (found,) = left_behind(small_disk)
    assert (found.spectra, found.in_use, found.state) == (count, False, "cut off")
    out, damaged = recover(path, tmp_path / "elsewhere.nxs")
    assert damaged == []
    with open_scan(out) as scan:
        assert scan.valid.sum() == count
    assert not path.exists()


def test_a_read_only_disk_is_read_and_not_written(small_disk):
    path = journal_path(small_disk / "scan.nxs")
    writer = JournalWriter(path, header())
    for sequence in range(5):
        writer.append(record(sequence, sequence))
    shutil.copyfile(path, small_disk / "copy.nxs.journal")
    shutil.copyfile(f"{path}-wal", small_disk / "copy.nxs.journal-wal")      # as a kill leaves it
    writer.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with open_scan(small_disk / "copy.nxs.journal") as scan:
        assert scan.valid.sum() == 5
    with pytest.raises(ScanFileError, match=r"cannot be created .*choose another folder"):
        JournalWriter(small_disk / "new.nxs.journal", header())
    with pytest.raises(ScanFileError, match="cannot be written"):
        finish(small_disk / "scan.nxs")


def append_until_it_has_vanished(writer, count: int) -> tuple[int, str]:
    """Write on until the writer notices; how many spectra it took, and what it said."""
    told = ""

    def write_on() -> bool:
        nonlocal count, told
        try:
            writer.append(record(count, count))
        except ScanFileError as error:
            told = str(error)
            return True
        count += 1
        return False

    until(write_on, "the writer to notice")
    assert "has vanished" in told
    return count, told


def test_a_folder_that_vanishes_loses_nothing(tmp_path):
    folder = tmp_path / "stick"
    folder.mkdir()
    writer = JournalWriter(journal_path(folder / "scan.nxs"), header("time-series", rows=1000, columns=100))
    for sequence in range(40):
        writer.append(record(sequence, sequence))
    shutil.rmtree(folder)
    count, told = append_until_it_has_vanished(writer, 40)
    assert f"{count} spectra are safe in {tmp_path / 'home'}" in told
    writer.append(record(count, count))          # goes on in the spool
    writer.close()
    with open_scan(writer.path) as scan:
        assert scan.valid.sum() == count + 1
    folder.mkdir()
    (found,) = left_behind(folder)               # found from where it should have been
    assert found.out == folder / "scan.nxs"
    out, _ = recover(found.journal)
    assert out == folder / "scan.nxs"
    with open_scan(out) as scan:
        assert np.array_equal(scan.spectra[count], record(count, count).counts)


def test_a_measurement_whose_folder_vanishes_ends_dark_and_is_resumed_once_it_is_back(bench, tmp_path):
    folder = tmp_path / "stick"
    folder.mkdir()
    recipe = parse_recipe({
        "kind": "raster-map", "sample_power_uw": 5.0, "exposure_s": 0.5, "dark_spectra": 2, "origin_um": [50.0, 50.0],
        "size_um": [18.0, 18.0], "step_um": 2.0,
    })

    def gone(status) -> None:
        if status.done > 5 and folder.exists():
            shutil.rmtree(folder)

    outcome = run_recipe(bench.microscope, recipe, folder / "scan.nxs", on_status=gone)
    assert outcome.status.state == "failed"
    assert re.search("has vanished .*spectra are safe in", outcome.status.reason)
    assert outcome.status.reason.count("has vanished") == 1
    assert bench.ask(get="laser.emission") is False
    spool = tmp_path / "home" / "halidescope" / "measurements"
    (journal,) = spool.glob("*.journal")
    with open_scan(journal) as scan:
        assert 5 < scan.valid.sum() < scan.valid.size
        assert scan.metadata["state"] == "failed"
        before, there = scan.spectra, scan.valid
    page = read_page(light_path(journal))
    assert len(page.spots) >= there.sum()         # what the light did is rescued, too
    assert page.irradiance_w_cm2 == 0.0
    folder.mkdir()
    outcome = run_recipe(bench.microscope, recipe, folder / "scan.nxs", resume=True)
    assert outcome.status.state == "finished", outcome.status.reason
    assert list(spool.iterdir()) == []
    with open_scan(folder / "scan.nxs") as scan:
        assert scan.valid.all()
        assert np.array_equal(scan.spectra[there], before[there])


def test_results_that_do_not_fit_on_the_disk_leave_what_was_there(small_disk):
    out = small_disk / "scan.nxs"
    writer = JournalWriter(journal_path(out), header("time-series"))
    for sequence in range(11):
        writer.append(record(sequence, sequence))
    writer.close()
    assert finish(out) == []
    with open_scan(out) as scan:
        run = analysed(scan)
    stored = store_results(out, run).read_bytes()
    with suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    with pytest.raises(ScanFileError, match=r"results cannot be stored .*what was there is untouched"):
        store_results(out, run)
    assert results_path(out).read_bytes() == stored
    assert {path.name for path in small_disk.iterdir()} == {"scan.nxs", "scan.analysis.nxs", "ballast"}


@pytest.mark.slow
def test_a_measurement_whose_disk_fills_up_ends_dark_and_is_resumed_once_there_is_room(bench, small_disk):
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    out, ballast = small_disk / "scan.nxs", small_disk / "somebody-elses"
    recipe = parse_recipe({
        "kind": "raster-map", "sample_power_uw": 5.0, "exposure_s": 0.5, "dark_spectra": 2, "origin_um": [50.0, 50.0],
        "size_um": [14.0, 14.0], "step_um": 2.0,
    })

    def fill_up(status) -> None:
        if status.done > 5 and not ballast.exists():
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1024))

    outcome = run_recipe(bench.microscope, recipe, out, on_status=fill_up)
    assert outcome.status.state == "failed"
    assert "full" in outcome.status.reason
    assert "make room" in outcome.status.reason
    assert bench.ask(get="laser.emission") is False
    assert not out.exists()
    with open_scan(out) as scan:                 # its journal
        before, there = scan.spectra, scan.valid
    assert outcome.status.done == there.sum()    # none that was acknowledged is missing
    assert 5 < there.sum() < there.size

    with pytest.raises(RefusedRunError, match=r"free|room|full"):
        run_recipe(bench.microscope, recipe, out, resume=True)
    assert bench.ask(get="laser.emission") is False
    ballast.unlink()
    outcome = run_recipe(bench.microscope, recipe, out, resume=True)
    assert outcome.status.state == "finished", outcome.status.reason
    assert {path.name for path in small_disk.iterdir()} == {"scan.nxs"}
    with open_scan(out) as scan:
        assert scan.valid.all()
        assert np.array_equal(scan.spectra[there], before[there])
        assert len(scan.repeats) <= 1            # the look back; nothing else is measured twice


def written(path, points) -> None:
    """A journal of some points."""
    writer = JournalWriter(path, header("time-series", rows=1000, columns=100))
    for sequence, point in enumerate(points):
        writer.append(record(sequence, point))
    writer.close()


def test_a_drive_that_is_back_with_its_older_journal_gets_the_rescued_one(tmp_path):
    folder = tmp_path / "stick"
    folder.mkdir()
    out = folder / "scan.nxs"
    writer = JournalWriter(journal_path(out), header("time-series", rows=1000, columns=100))
    writer.append(record(0, 0))
    older = shutil.copytree(folder, tmp_path / "older")
    shutil.rmtree(folder)
    count, _ = append_until_it_has_vanished(writer, 1)
    rescued = writer.path
    shutil.copytree(older, folder)
    with pytest.raises(ScanFileError, match="in use by another program"):
        bring_home(out)
    writer.close()
    assert bring_home(out) == rescued
    assert not rescued.exists()
    with open_scan(journal_path(out)) as scan:
        assert scan.valid.sum() == count
    assert bring_home(out) is None


def lit(journal, *spots):
    """A page of light beside a journal."""
    with closing(LightPage(light_path(journal), lambda at_s: at_s)) as page:
        for spot in spots:
            page.put(page.add(spot.x_um, spot.y_um), spot)


NEAR, MORE, FAR = LitSpot(1.0, 1.0, 2.0, 0.5), LitSpot(1.0, 1.0, 3.0, 0.25), LitSpot(9.0, 1.0, 4.0)


@pytest.mark.parametrize(("at_home", "saved", "kept"), [
    ([NEAR], None, {NEAR}), (None, [NEAR], {NEAR}), ([NEAR, FAR], [MORE], {MORE, FAR}),
    ([MORE], [NEAR, FAR], {MORE, FAR}),
], ids=["only at home", "only rescued", "more rescued", "more at home"])
def test_no_light_is_lost_when_a_journal_is_brought_home(tmp_path, at_home, saved, kept):
    out = tmp_path / "scan.nxs"
    home, rescued = journal_path(out), places.journal_in_spool(journal_path(out))
    written(home, [0])
    written(rescued, [0, 1])
    with closing(sqlite3.connect(rescued)) as db, db:
        db.execute("INSERT INTO header VALUES ('destination', ?)", (str(out),))
    for journal, spots in ((home, at_home), (rescued, saved)):
        if spots is not None:
            lit(journal, *spots)
    assert bring_home(out) == rescued
    assert set(read_page(light_path(home)).spots) == kept
    with JournalReader(home) as reader:
        assert len(reader.places()) == 2
        assert set(reader.light_spots()) == kept
    assert sorted(path.name for path in rescued.parent.iterdir()) == []


def test_two_journals_of_one_file_that_contradict_each_other_are_both_kept(tmp_path):
    out = tmp_path / "scan.nxs"
    written(journal_path(out), [0, 1, 2])
    rescued = places.journal_in_spool(journal_path(out))
    written(rescued, [0, 5, 6, 7])
    with closing(sqlite3.connect(rescued)) as db, db:
        db.execute("INSERT INTO header VALUES ('destination', ?)", (str(out),))
    with pytest.raises(ScanFileError, match=r"each holds spectra that the other lacks; finish both"):
        bring_home(out)
    for path in (journal_path(out), rescued):
        with JournalReader(path) as reader:
            assert len(reader.places()) > 2


def test_a_network_drive_gets_a_compared_copy_and_never_the_journal(tmp_path, monkeypatch):
    drive = tmp_path / "drive"
    drive.mkdir()
    monkeypatch.setattr(places, "mounts", lambda: [("/", "ext4"), (str(drive), "nfs4")])
    out = drive / "scan.nxs"
    path = journal_path(out)
    assert path.parent == tmp_path / "home" / "halidescope" / "measurements"
    writer = JournalWriter(path, header(), out)
    for sequence in range(12):
        writer.append(record(sequence, sequence))
    assert in_use(path)
    with pytest.raises(ScanFileError, match="another program has it open"):
        recover(path)
    writer.close()
    assert not in_use(path)
    assert list(drive.iterdir()) == []
    shutil.rmtree(drive)                          # the network is away
    with pytest.raises(ScanFileError, match=rf"cannot be written.*safe in {path}"):
        finish(out)
    drive.mkdir()
    assert [one.spectra for one in left_behind(drive)] == [12]
    assert finish(out) == []
    with open_scan(out) as scan:
        assert scan.valid.all()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "remote"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("smb", True), ("ext4", False),
                         ("tmpfs", False), ("apfs", False), ("NTFS", False), ("overlay", False)],
)
def test_network_file_systems_are_known(tmp_path, monkeypatch, kind, remote):
    monkeypatch.setattr(places, "mounts", lambda: [("/", "ext4"), (str(tmp_path), kind)])
    assert places.on_network(tmp_path / "sub") is remote
    assert places.on_network(Path("/usr")) is False


def test_this_machines_mounts_are_listed(tmp_path):
    assert any(kind for _, kind in places.mounts())
    assert places.on_network(tmp_path) is False


def test_a_damaged_journal_is_listed_with_what_is_wrong(tmp_path):
    (tmp_path / "bad.nxs.journal").write_bytes(b"SQLite format 3\x00" + b"\xff" * 4000)
    db = sqlite3.connect(tmp_path / "other.nxs.journal")
    db.execute("CREATE TABLE t (x)")
    db.close()
    found = left_behind(tmp_path)
    assert [one.state for one in found] == ["damaged", "damaged"]
    assert all("not a readable journal" in one.problem for one in found)
    with pytest.raises(ScanFileError, match="cannot be read"):
        left_behind(tmp_path / "nowhere")


def test_a_cut_off_journal_of_the_default_place_is_recovered(tmp_path):
    path = journal_path(tmp_path / "scan.nxs")
    writer = JournalWriter(path, header())
    writer.append(record(0, 0))
    writer.close()
    with JournalReader(path) as reader:
        assert reader.destination is None
    out, damaged = recover(path)
    assert (out, damaged) == (tmp_path / "scan.nxs", [])
