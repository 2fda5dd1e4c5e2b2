"""Files made to break programs: one sentence comes out, no crash, no code run, no more memory than the file is worth.

Thousands of damaged files are opened in a process of its own, whose memory is limited: HDF5 is C, and would take the
tests with it.
"""

import os
import subprocess
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

from halidescope.acquisition.analysis_file import load_analysis
from halidescope.acquisition.convert import convert
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.listing import Listing, write_listing
from halidescope.acquisition.microscope import load_microscope
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.recipes import load_recipe
from halidescope.acquisition.results_file import store_results
from halidescope.acquisition.storage import finish, open_scan

from .conftest import analysed, header, record
from .test_importers import LABSPEC, OCEAN
from .vendor_files import write_delmic, write_hamamatsu, write_sif, write_spe2, write_spe3, write_trivista, write_wdf

SHARD, SHARDS = 400, 5                     # files of one kind are damaged in shards, so that each comes to an end
# sums over everything, or texts in which hardly a flip leaves sense
STRICT = ("npz", "tvf", "array.npy.toml", "table.csv", "microscope.toml", "recipe.toml", "analysis.toml")
QUICK = 8                                   # of every kind, in every run of the tests
GUARDED = ("hspy", "wdf", "tvf", "img", "h5")  # read in a process of their own each, which takes a second
MICROSCOPE = """
[laser]
model = "cobolt-06-mld"
resource = "TCPIP::127.0.0.1::40001::SOCKET"
sample_uw_per_head_mw = 4.0
max_sample_uw = 400.0
[stage]
model = "pi-e727"
resource = "TCPIP::127.0.0.1::40002::SOCKET"
[spectrometer]
model = "ocean-hdx"
resource = "TCPIP::127.0.0.1::40003::SOCKET"
[about]
extra = { grant = "X-1", nights = [1, 2, 3] }
"""
RECIPE = """
kind = "sequence"
[[recipes]]
kind = "raster-map"
sample_power_uw = 5.0
size_um = [20.0, 20.0]
step_um = 4.0
[recipes.sample]
name = "film 12"
composition = 1.5
[[recipes]]
kind = "time-series"
sample_power_uw = 60
duration_s = 10
"""
ANALYSIS = """
[references]
files = ["a.nxs", "b.nxs"]
labels = ["made", "grown"]
[references.library]
"1.5" = "c.nxs"
[map]
diffusion_time_s = 49.0
"""
LAYOUT = """
order = "serpentine"
exposure_s = 0.2
[wavelength]
unit = "eV"
start = 2.5
step = -0.01
[[axes]]
name = "y"
unit = "mm"
step = 0.004
number = 3
[[axes]]
name = "x"
unit = "um"
values = [0.0, 4.0]
"""
TABLE = "# x, y, counts\n" + "".join(f"{k % 3},{k // 3},{k}.5,{k + 1},{-k},1e{k}\n" for k in range(9))
TABLE_LAYOUT = """
leading = [{ name = "x", unit = "um" }, { name = "y", unit = "mm" }]
[wavelength]
unit = "nm"
values = [500, 501.5, 503, 505]
"""


@pytest.fixture
def finished(write_journal):
    out = write_journal(header(), list(range(12)))
    finish(out)
    return out


def write_whole(kind: str, folder: Path, write_journal) -> tuple[str, Path]:
    """A sound file of a kind, alone in ``folder`` but for what belongs to it; who reads it, and where it is."""
    frames = np.random.default_rng(1).integers(0, 60000, (5, 1, 40)).astype(np.uint16)
    texts = {
        "microscope.toml": MICROSCOPE, "recipe.toml": RECIPE, "analysis.toml": ANALYSIS,
        "ocean.txt": OCEAN + "500\t1\n501\t2\n",
        "labspec.txt": LABSPEC.format(unit="nm") + "500\t1\n501\t2\n", "table.csv": TABLE,
    }
    if kind in texts:
        path = folder / kind
        path.write_text(texts[kind], encoding="utf-8")
        if kind == "table.csv":
            path.with_name("table.csv.toml").write_text(TABLE_LAYOUT, encoding="utf-8")
        return (path.stem if path.suffix == ".toml" else "scan"), path
    if kind in ("array.npy", "array.npy.toml"):
        np.save(folder / "array.npy", np.arange(60.0).reshape(3, 2, 10))
        (folder / "array.npy.toml").write_text(LAYOUT, encoding="utf-8")
        return ("scan" if kind == "array.npy" else "layout"), folder / kind
    if kind == "spe3":
        write_spe3(folder / "a.spe", frames, 480.0 + np.arange(64), starts_us=[0, 1, 2, 3, 4])
        return "scan", folder / "a.spe"
    if kind == "spe2":
        write_spe2(folder / "a.spe", frames, [500.0, 2.0])
        return "scan", folder / "a.spe"
    if kind == "sif":
        write_sif(folder / "a.sif", frames.astype(np.float32), [700.0, 2.0])
        return "scan", folder / "a.sif"
    nm, twelve = np.linspace(500.0, 600.0, 16), np.arange(192.0).reshape(12, 16)
    if kind == "wdf":
        places = np.array([(2.0 * (k % 4), 5.0 * (k // 4)) for k in range(12)])
        write_wdf(folder / "a.wdf", twelve, nm, places_um=places, starts_s=np.arange(12.0), shape=(3, 4), flag=4)
    elif kind == "tvf":
        write_trivista(folder / "a.tvf", twelve, nm, stamps_s=np.arange(12.0), x=(0.0, 1.0, 4), y=(0.0, 1.0, 3))
    elif kind == "img":
        write_hamamatsu(folder / "a.img", twelve, nm, np.arange(12.0))
    elif kind == "h5":
        write_delmic(folder / "a.h5", twelve.reshape(3, 4, 16), nm, step_um=2.0, centre_um=(1.0, 2.0))
    if (folder / f"a.{kind}").exists():
        return "scan", folder / f"a.{kind}"
    measured = write_journal(header(), list(range(12)))
    if kind == "journal":
        return "scan", journal_path(measured).rename(folder / "a.nxs.journal")
    finish(measured)
    if kind == "results":
        with open_scan(measured) as scan:
            path = store_results(measured, analysed(scan), path=folder / "a.analysis.nxs")
        measured.unlink()
        return "results", path
    if kind == "list":
        measured.rename(folder / "list-1.nxs")
        write_listing(folder / "list.nxs", Listing(kind="sequence", title="t", recipe={}, plan_hash="", planned=1,
                                                   parts={1: "list-1.nxs"}, main=1))
        return "scan", folder / "list.nxs"
    if kind == "nxs":
        return "scan", measured.rename(folder / "a.nxs")
    convert(measured, folder / f"a.{kind}")
    measured.unlink()
    return "scan", folder / f"a.{kind}"


KINDS = (
    *GUARDED, "nxs", "journal", "list", "results", "csv", "npz", "array.npy", "array.npy.toml", "table.csv", "spe3",
    "spe2", "sif", "ocean.txt", "labspec.txt", "microscope.toml", "recipe.toml", "analysis.toml",
)


def open_damaged(folder: Path, write_journal, kinds: Sequence[str], first: int, last: int) -> None:
    """Open files of several kinds, damaged with every seed; fails if that ends in anything but scans and sentences."""
    jobs: list[str] = []
    for kind in kinds:
        (folder / kind).mkdir()
        reader, path = write_whole(kind, folder / kind, write_journal)
        jobs += [reader, str(path)]
    script = Path(__file__).with_name("open_damaged.py")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(script), str(first), str(last), *jobs], capture_output=True,
        text=True, check=False, timeout=110,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{lines[-1:]}, code {done.returncode}: {done.stderr[-2000:]}"
    counted = [line.split()[1:] for line in lines if line.startswith("end ")]
    for kind, (read, refused, peak_mb) in zip(kinds, counted, strict=True):
        sys.stdout.write(f"{kind} {first}: {read} read with what is whole, {refused} refused, at most {peak_mb} MB\n")
        assert int(read) + int(refused) == last - first
        assert int(refused) > 0
        assert int(read) > 0 or kind in STRICT
        assert int(peak_mb) < 1500


@pytest.mark.skipif(os.name == "nt", reason="limits of memory are POSIX")
def test_some_damaged_files_of_every_kind_crash_nothing(write_journal, tmp_path):
    open_damaged(tmp_path, write_journal, [kind for kind in KINDS if kind not in GUARDED], 0, QUICK)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="limits of memory are POSIX")
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_damaged_files_crash_nothing(write_journal, tmp_path, kind, shard):
    size = SHARD // 20 if kind in GUARDED else SHARD
    open_damaged(tmp_path, write_journal, [kind], shard * size, (shard + 1) * size)


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


@pytest.mark.parametrize("text", [
    "x = " + "[" * 5000, "a." * 1500 + "b = 1", "[laser.settings]\n" + "a." * 1500 + "b = 1", "x = 1" + "0" * 5000,
    'kind = "' + "k" * 100_000 + '"', "sample.a = " + "{a = " * 3000 + "1" + "}" * 3000, "\ufeffkind = 1", "a = '\x00'",
])  # fmt: skip
def test_toml_without_end_is_a_sentence(tmp_path, text):
    """Brackets and dots by the thousand, numbers of thousands of digits: nobody wrote that."""
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    path = tmp_path / "a.npy.toml"
    path.write_text(text, encoding="utf-8")
    for read in (load_microscope, load_recipe, load_analysis, lambda path: open_any(path.with_suffix(""))):
        with pytest.raises(BadFileError) as caught:
            read(path)
        assert len(str(caught.value)) < 1600
