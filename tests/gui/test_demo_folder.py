"""Folders of demos that were killed: removed by the next, and nobody else's ever."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from halidescope.acquisition.session import Session, write_session
from halidescope.gui.demo_folder import LOCK, PREFIX, DemoFolder, remove_left_over

pytestmark = pytest.mark.usefixtures("temporary")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made during a test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_over() -> DemoFolder:
    """A folder as a killed process leaves it: the lock's file names a process that has ended."""
    folder = DemoFolder()
    (folder.path / "films").mkdir()
    (folder.path / "films" / "film.json").touch()
    folder.microscope_file.touch()
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    lines = (folder.path / LOCK).read_text(encoding="utf-8").splitlines()
    folder._lock.unlock()
    (folder.path / LOCK).write_text("\n".join([str(dead.pid), *lines[1:]]) + "\n", encoding="utf-8")
    return folder


def test_one_that_is_used_stays() -> None:
    folder = DemoFolder()
    assert remove_left_over() == []
    assert folder.path.is_dir()
    folder.remove()
    assert not folder.path.exists()


def test_one_that_was_left_is_removed_but_not_what_is_not_ours(temporary: Path) -> None:
    folder, full = left_over(), left_over()
    (full.path / "series.nxs").touch()
    (temporary / f"{PREFIX}20261128-120000").mkdir()        # a folder of results that somebody keeps here
    (temporary / f"{PREFIX}link").symlink_to(full.path, target_is_directory=True)
    assert remove_left_over() == [folder.path]
    assert not folder.path.exists()
    assert (full.path / "series.nxs").exists()
    assert (full.path / "films" / "film.json").exists()
    assert (temporary / f"{PREFIX}20261128-120000").is_dir()


def test_one_whose_engine_still_goes_dark_is_left_for_later() -> None:
    used, folder = DemoFolder(), left_over()
    session = Session(address="127.0.0.1", port=1, authkey="00", pid=os.getpid(), ring="", microscope="")
    write_session(folder.session, session)
    assert remove_left_over() == []
    assert folder.session.exists()
    write_session(used.session, session)
    used.remove()
    assert used.session.exists()
    used.session.unlink()
    assert remove_left_over() == []     # this process lives, and the mark is its
    assert (used.path / LOCK).exists()
    folder.session.write_bytes(msgspec.json.encode({"pid": "?"}))       # damaged: nobody can be asked
    assert remove_left_over() == [folder.path]
