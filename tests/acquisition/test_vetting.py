"""HDF5 files are opened in another process first: what that dies of is a sentence here, and the next file is opened."""

import os
import signal
import threading
from contextlib import suppress

import h5py
import numpy as np
import pytest

from halidescope.acquisition import vetting
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.results_file import store_results
from halidescope.acquisition.storage import finish, open_scan
from halidescope.acquisition.vetting import Holds, vet

from .conftest import analysed, header
from .open_damaged import damaged
from .vendor_files import write_delmic


@pytest.fixture
def measured(write_journal):
    out = write_journal(header("time-series"), list(range(11)))
    finish(out)
    return out


def test_a_file_tells_what_it_holds(measured, tmp_path):
    with open_scan(measured) as scan:
        results = store_results(measured, analysed(scan))
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["numbers"] = np.arange(3)
        file["circle"] = file["/"]
    (tmp_path / "cut.nxs").write_bytes(measured.read_bytes()[:3000])
    (tmp_path / "text.nxs").write_text("nothing", encoding="utf-8")
    found = {name: vet(tmp_path / name) for name in ("foreign.h5", "cut.nxs", "text.nxs", "nowhere.nxs")}
    assert found == {"foreign.h5": Holds.OTHER, "cut.nxs": Holds.OTHER, "text.nxs": None, "nowhere.nxs": None}
    assert vet(measured) is Holds.MEASUREMENT
    assert vet(results) is Holds.RESULTS


def test_a_flipped_bit_that_makes_hdf5_crash_takes_nothing_with_it(measured, tmp_path):
    """h5py 3.16 dies of a segmentation fault on the label of a dimension; in another version it may be read."""
    pytest.importorskip("rsciio")
    cube = np.arange(12 * 16).reshape(3, 4, 16)
    write_delmic(tmp_path / "cube.h5", cube, np.linspace(500.0, 600.0, 16), step_um=2.0, centre_um=(1.0, 2.0))
    (tmp_path / "cube.h5").write_bytes(damaged((tmp_path / "cube.h5").read_bytes(), 62))
    with suppress(ScanFileError):
        open_any(tmp_path / "cube.h5").close()
    with open_any(measured) as scan:
        assert scan.valid.sum() == 11


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.parametrize("how", ["crashes", "comes to no end"])
def test_a_file_that_crashes_the_library_is_a_sentence_and_the_next_is_opened(measured, monkeypatch, how):
    vet(measured)
    process = vetting._vetter()._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)           # so that it is in the middle of the file when it dies
    if how == "crashes":
        def die() -> None:
            process.send_signal(signal.SIGSEGV)
            process.send_signal(signal.SIGCONT)

        threading.Timer(0.05, die).start()
    else:
        monkeypatch.setattr(vetting, "PATIENCE_S", 0.1)
    with pytest.raises(ScanFileError, match=r"scan\.nxs: the HDF5 library crashes"):
        open_any(measured)
    assert process.poll() is not None
    monkeypatch.undo()
    with open_any(measured) as scan:
        assert scan.valid.sum() == 11
