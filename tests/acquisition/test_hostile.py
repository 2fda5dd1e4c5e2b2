"""Files made to break programs: one sentence comes out, no crash, no code run, no more memory than the file is worth.

Thousands of damaged files are opened in a process of its own, whose memory is limited: HDF5 is C, and would take the
tests with it.
"""

import os
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

from halidescope.acquisition.convert import convert
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.listing import Listing, write_listing
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.storage import finish, open_scan

from .conftest import header, record

OPENER = """
import random, resource, sys
from pathlib import Path
from halidescope.acquisition.convert import convert
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.problems import ProblemError
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
whole, folder, first, last = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
path = folder / ("damaged" + "".join(Path(sys.argv[1]).suffixes))
read = refused = 0
for seed in range(first, last):
    rng = random.Random(seed)
    data = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
    if rng.random() < 0.2:
        del data[rng.randrange(len(data)):]
    if rng.random() < 0.2:
        at = rng.randrange(len(data))
        data[at:at + 8] = rng.getrandbits(64).to_bytes(8, "little")
    path.write_bytes(bytes(data))
    print(seed, flush=True)
    try:
        with open_any(path) as scan:
            scan.spectra, scan.counts_sum
        read += 1
    except ProblemError as error:
        assert len(str(error)) < 2000
        refused += 1
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print("end", read, refused, peak)
"""


@pytest.fixture
def finished(write_journal):
    out = write_journal(header(), list(range(12)))
    finish(out)
    return out


def open_damaged(whole: Path, folder: Path, first: int, last: int) -> tuple[int, int, int]:
    """Files read, files refused, and the process's peak memory in MB."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", OPENER, str(whole), str(folder), str(first), str(last)],
        capture_output=True, text=True, check=False, timeout=1000,
    )
    assert done.returncode == 0, f"seed {done.stdout.split()[-1:]}, code {done.returncode}: {done.stderr[-2000:]}"
    _, read, refused, peak = done.stdout.splitlines()[-1].split()
    return int(read), int(refused), int(peak)


@pytest.mark.skipif(os.name == "nt", reason="limits of memory are POSIX")
@pytest.mark.parametrize("kind", ["nxs", "journal"])
@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=[pytest.mark.slow, pytest.mark.timeout(1100)])])
def test_thousands_of_damaged_files_crash_nothing(finished, write_journal, tmp_path, kind, count):
    whole = finished
    if kind == "journal":
        finished.unlink()
        whole = journal_path(write_journal(header(), list(range(12))))
    folder = tmp_path / "damaged"
    folder.mkdir()
    read, refused, peak = open_damaged(whole, folder, 0, count)
    sys.stdout.write(f"{kind}: {read} read with what is whole, {refused} refused, at most {peak} MB\n")
    assert read + refused == count
    assert read > 0
    assert refused > 0
    assert peak < 1500


def test_a_flipped_bit_in_the_spectra_is_found_masked_and_told_the_rest_given(finished):
    with h5py.File(finished) as file:
        chunk = file["entry/data/intensity"].id.get_chunk_info(1)
    data = bytearray(finished.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 16
    finished.write_bytes(bytes(data))
    with open_scan(finished) as scan:
        assert scan.valid.all()
        spectra = scan.spectra
        bad = scan.found_damaged
        assert bad
        assert set(bad) <= {4, 5, 6, 7}              # the chunk is a line of the map
        assert not scan.valid.ravel()[list(bad)].any()
        assert not spectra.reshape(12, -1)[list(bad)].any()
        for point in set(range(12)) - set(bad):
            assert np.array_equal(spectra.reshape(12, -1)[point], record(point, point).counts)
    with open_scan(finished) as scan:
        assert not scan.spectrum(1, bad[0] - 4).any()
        assert scan.found_damaged == (bad[0],)
        assert scan.spectrum(0, 0).any()


def tamper(path: Path, change) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace(file: h5py.File, name: str, **dataset) -> None:
    del file[name]
    file.create_dataset(name, **dataset)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: replace(f, "entry/data/intensity", shape=(3, 4, 5), dtype="<u2"), "do not fit together"),
        (lambda f: replace(f, "entry/data/intensity", shape=(10**6, 10**6, 96), dtype="<u2", chunks=(1, 32, 96)),
         "claims .* GB|do not fit"),
        (lambda f: replace(f, "entry/halidescope/time_s", shape=(10**9,), dtype="<f8", chunks=(10**6,),
                           compression="gzip"), "holds 8000000000 bytes"),
        (lambda f: replace(f, "entry/halidescope/header", data=np.zeros(10**6)), "is no text"),
        (lambda f: replace(f, "entry/halidescope/header", data="{" * 100_000), "not a measurement"),
        (lambda f: replace(f, "entry/halidescope/missing_points", data='{"x": [[0, 1000000000000]]}'), None),
        (lambda f: f["entry/halidescope"].attrs.__setitem__("schema_version", np.zeros(8000, "i8")), "is no number"),
        (lambda f: f["entry/halidescope"].attrs.__setitem__("schema_version", 99), "newer than this program"),
    ],
)
def test_impossible_shapes_and_sizes_are_refused(finished, change, words):
    tamper(finished, change)
    if words is None:
        with open_scan(finished) as scan:
            assert len(scan.missing) <= 12
        return
    with pytest.raises(ScanFileError, match=words):
        open_scan(finished)


def test_links_that_lead_in_circles_or_elsewhere_are_not_followed(finished, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["intensity"] = np.zeros((3, 4, 96), "<u2")
    with h5py.File(finished, "r+") as file:
        file["entry/loop"] = file["entry"]
        file["entry/soft"] = h5py.SoftLink("/entry/soft")
    with open_scan(finished) as scan:
        assert scan.spectra.any()
    for link in (h5py.SoftLink("/entry/data/intensity"), h5py.ExternalLink(str(secret), "/intensity")):
        with h5py.File(finished, "r+") as file:
            del file["entry/data/intensity"]
            file["entry/data/intensity"] = link
        with pytest.raises(ScanFileError, match="a link to elsewhere"):
            open_scan(finished)


def test_a_bomb_of_zeros_is_not_unpacked(finished):
    """A chunk that unpacks to a thousand times its size is damage, and costs no memory."""
    with h5py.File(finished, "r+") as file:
        file["entry/data/intensity"].id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(200_000_000), 9))
    with open_scan(finished) as scan:
        assert scan.found_damaged == ()
        assert scan.spectra[1].any()
        assert set(scan.found_damaged) == {0, 1, 2, 3}


def test_a_list_leads_to_no_other_folder(tmp_path):
    out = tmp_path / "list.nxs"
    write_listing(out, Listing(kind="sequence", title="t", recipe={}, plan_hash="", planned=1,
                               parts={1: "../elsewhere.nxs"}, main=1))
    with pytest.raises(ScanFileError, match="leads out of its folder"):
        open_scan(out)


def test_a_pickle_in_a_hyperspy_file_is_never_opened(finished, tmp_path):
    convert(finished, tmp_path / "a.hspy")
    trap = b"cposix\nsystem\n(S'touch " + str(tmp_path / "sprung").encode() + b"'\ntR."
    with h5py.File(tmp_path / "a.hspy", "r+") as file:
        experiment = file["Experiments"][next(iter(file["Experiments"]))]
        experiment["metadata"].attrs["_bs_trap"] = np.void(trap)
        experiment["original_metadata"].create_dataset("_cloudpickle_trap", data=np.void(trap))
    with suppress(ScanFileError):
        open_any(tmp_path / "a.hspy").close()
    assert not (tmp_path / "sprung").exists()
