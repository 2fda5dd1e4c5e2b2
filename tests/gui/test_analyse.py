"""Offline analysis from the command line: the same as online, with corrections, on files of ours and of others."""

import contextlib
import hashlib
import json
import shutil
import sqlite3
import threading
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from halidescope.acquisition.analysis_file import AnalysisFile, parse_analysis
from halidescope.acquisition.batch import analyse_scan, load_endmembers
from halidescope.acquisition.convert import convert
from halidescope.acquisition.findings import findings
from halidescope.acquisition.host import Host
from halidescope.acquisition.microscope import load_microscope
from halidescope.acquisition.pictures import figure_2, figure_4, figure_5, figure_7
from halidescope.acquisition.problems import BadFileError, ScanFileError
from halidescope.acquisition.replay import differences, replay
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.acquisition.stored_pictures import pictures_of
from halidescope.analysis.detector import Detector
from halidescope.analysis.flags import Flag
from halidescope.analysis.kinetics_intervals import QUANTITIES
from halidescope.analysis.series import analyse_series
from halidescope.gui.cli import run
from halidescope.gui.cli_analyse import gathered
from halidescope.gui.reanalysis import results_of
from halidescope.gui.simulated import SimulatorProcess
from tests.acquisition.vendor_files import write_sif, write_spe3


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Endmembers, a series with its online analysis, and a small map."""
    folder = tmp_path_factory.mktemp("analysed")
    with (
        SimulatorProcess(folder / "microscope.toml", speed=60.0, film=1.5, seed=5) as simulator,
        Host(load_microscope(folder / "microscope.toml")) as host,
    ):

        def measure(name: str, **recipe: object) -> None:
            sample = {"name": "film", "composition": 1.5}
            host.engine.door.start({"dark_spectra": 20, "sample": sample, **recipe}, str(folder / name))
            while not (status := host.engine.status()).state.ended:
                threading.Event().wait(0.005)
            assert status.state is RunState.FINISHED, status.reason

        simulator.ask({"mount": 0})
        measure("br-rich.nxs", kind="time-series", sample_power_uw=60, exposure_s=0.2, duration_s=8)
        simulator.ask({"mount": 1.5})
        field = {"kind": "raster-map", "origin_um": (150, 150), "size_um": (20, 20), "step_um": 10}
        measure("pristine.nxs", sample_power_uw=1, exposure_s=2, **field)
        named = {
            "references": [str(folder / "pristine.nxs"), str(folder / "br-rich.nxs")], "labels": ["pristine", "Br-rich"]
        }
        part = folder / "series.nxs.part"
        part.mkdir()        # the finished file cannot be written: its journal stays
        with pytest.raises(AssertionError, match="is safe in"):
            measure("series.nxs", kind="time-series", sample_power_uw=120, interval_s=1, duration_s=80, analysis=named)
        part.rmdir()
        convert(folder / "series.nxs.journal", folder / "series.nxs")
        field = {"kind": "raster-map", "origin_um": (84, 84), "size_um": (32, 32), "step_um": 4, "analysis": named}
        measure("map.nxs", sample_power_uw=5, **field)
    return folder


def test_offline_gives_what_was_computed_online(measured: Path) -> None:
    for name in ("series.nxs", "map.nxs"):
        with open_scan(measured / name) as scan:
            assert scan.results is not None
            assert scan.results.count == scan.valid.sum()
            again = replay(scan)
            assert again is not None
            assert differences(scan.results, again) <= 1e-12


def test_the_command_writes_numbers_page_arrays_and_where_they_come_from(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(measured / "series.nxs"), str(measured / "map.nxs")]
    assert run(["analyse", *files, "--out", str(tmp_path), "--json", "--jobs", "2"]) == 0
    series, field = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert json.loads((tmp_path / "series.nxs.json").read_text(encoding="utf-8")) == series
    assert max(series["online_differs_by"], field["online_differs_by"]) <= 1e-12
    assert series["wavelengths_in"] == "air"
    hashes = {Path(one["file"]).name: one["sha256"] for one in series["provenance"]["inputs"]}
    assert set(hashes) == {"series.nxs", "pristine.nxs", "br-rich.nxs"}
    assert hashes["series.nxs"] == hashlib.sha256((measured / "series.nxs").read_bytes()).hexdigest()
    assert series["provenance"]["settings"]["corrections"]["cosmic_rays"] == "report"
    assert series["provenance"]["versions"]["numpy"] == np.__version__
    assert 0.9 < series["median_reduced_chi2"] < 1.2
    assert series["one_exponential_suffices"] is series["online"]["one_exponential_suffices"]
    assert series["share_is_constant"] is False
    assert series["phi_low95"] < series["phi"] < series["phi_high95"]
    assert {series[f"{name}_interval"] for name in QUANTITIES} <= {"linear", "profile", "undetermined"}
    page = (tmp_path / "map.nxs.html").read_text(encoding="utf-8")
    assert "SIMULATED" in page
    assert "not volume fractions" in page
    assert page.count("<svg") == 3
    with h5py.File(tmp_path / "map.analysis.nxs") as stored, open_scan(measured / "map.nxs") as scan:
        kept = stored["run_1"]
        assert kept["numbers/halo_radius_um"][()] == field["halo_radius_um"]
        assert kept["data/peak"].attrs["units"] == "eV"
        np.testing.assert_array_equal(kept["measurement/data/intensity"][()], scan.spectra)     # by its absolute path
        found = analyse_scan(scan)
        assert found.unmixing is not None
        np.testing.assert_array_equal(kept["data/shares"][()], found.unmixing.shares)


def test_results_are_added_beside_the_raw_data_shown_and_published(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pristine.nxs", "br-rich.nxs", "series.nxs"):
        shutil.copyfile(measured / name, tmp_path / name)
    file = tmp_path / "series.nxs"
    assert run(["analyse", str(file), "--stored"]) == 0
    assert "no analysis stored" in capsys.readouterr().out
    for _ in range(2):
        assert run(["analyse", str(file), "--store", "--out", str(tmp_path)]) == 0      # one place, stored once
    assert {path.name for path in tmp_path.iterdir() if "analysis" in path.name} == {"series.analysis.nxs"}
    capsys.readouterr()
    # the results lie among the files, and are left out
    assert run(["analyse", *(str(path) for path in sorted(tmp_path.glob("series*.nxs"))), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert run(["analyse", str(file), "--stored", "--json"]) == 0
    stored = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["run"] for one in stored] == [1, 2]
    assert stored[1]["phi"] == found["phi"]
    assert stored[1]["phi_se"] == found["phi_se"]
    assert run(["analyse", str(file), "--stored"]) == 0
    assert "pristine, Br-rich" in capsys.readouterr().out
    assert run(["analyse", str(tmp_path / "series.analysis.nxs")]) == 1
    assert "give the measured file beside it" in capsys.readouterr().err
    assert run(["convert", str(tmp_path / "series.analysis.nxs"), "--run", "2", "--out", str(tmp_path / "a.csv")]) == 0
    assert "shares Br-rich" in (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert run(["convert", str(file), "--out", str(tmp_path / "series.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "series.zip") as archive:
        assert "series/series.analysis.nxs" in archive.namelist()
        assert "2 analyses" in archive.read("series/README.md").decode()


def test_an_analysis_file_says_what_is_done(measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "response.csv").write_text("nm,efficiency\n300,0.5\n550,0.5\n551,1\n900,1\n", encoding="utf-8")
    (tmp_path / "analysis.toml").write_text(
        f"""
        [references]
        files = ["{measured / 'pristine.nxs'}", "{measured / 'br-rich.nxs'}"]
        labels = ["made", "grown"]
        relative_yields = [2.0, 1.0]
        [corrections]
        medium = "vacuum"
        cosmic_rays = "replace"
        linearity = [1.0, -1e-7]
        linearity_valid_to = 65535
        response = "response.csv"
        [unmixing]
        shift = true
        [map]
        diffusion_time_s = 49.0
        """,
        encoding="utf-8",
    )
    command = ["analyse", str(measured / "map.nxs"), "--config", str(tmp_path / "analysis.toml"), "--json"]
    assert run([*command, "--out", str(tmp_path / "out")]) == 0
    corrected = json.loads(capsys.readouterr().out)
    with open_scan(measured / "map.nxs") as scan:
        plain = analyse_scan(scan).unmixing
    assert plain is not None
    assert corrected["endmembers"] == ["made", "grown"]
    assert corrected["wavelengths_in"] == "vacuum"
    assert any("non-linearity" in note for note in corrected["notes"])
    assert corrected["diffusivity_m2_s"] == pytest.approx(corrected["halo_diffusivity_m2_s"], rel=0.1)
    assert abs(corrected["made_shift_ev"]) < 1e-3
    with h5py.File(tmp_path / "out" / "map.analysis.nxs") as stored:
        data = stored["run_1/data"]
        # half the efficiency where the grown phase emits: a share s becomes 2 s / (1 + s)
        share = plain.shares[..., 1]
        np.testing.assert_allclose(data["shares"][..., 1], 2 * share / (1 + share), atol=3e-3)
        weighted, shares = data["weighted_shares"][()], data["shares"][()]
        np.testing.assert_allclose(weighted[..., 1], shares[..., 1] / (shares[..., 1] + shares[..., 0] / 2), rtol=1e-9)
        assert data["shift"].attrs["units"] == "eV"
    names = {Path(one["file"]).name for one in corrected["provenance"]["inputs"]}
    assert names == {"map.nxs", "pristine.nxs", "br-rich.nxs", "response.csv", "analysis.toml"}


@pytest.mark.parametrize(("text", "words"), [
    ("[references]\nextract = 2\n", "not measured"),
    ("[references]\ncompositions = [1.5, 0.0]\n", "model bands"),
])  # fmt: skip
def test_endmembers_that_were_not_measured_come_with_a_warning(measured: Path, text: str, words: str) -> None:
    with open_scan(measured / "series.nxs") as scan:
        found = analyse_scan(scan, settings=parse_analysis(text))
    assert any(words in note for note in found.notes)
    assert found.numbers["k1_per_s"].value == pytest.approx(0.03, rel=0.3)


def test_the_library_gives_the_measured_films(measured: Path) -> None:
    text = (
        f'[references]\ncompositions = [1.5, 0.0]\n[references.library]\n"1.5" = "{measured / "pristine.nxs"}"\n'
        f'"0" = "{measured / "br-rich.nxs"}"\n'
    )
    with open_scan(measured / "series.nxs") as scan:
        by_library, by_file = analyse_scan(scan, settings=parse_analysis(text)), analyse_scan(scan)
    assert by_library.numbers["phi"].value == pytest.approx(by_file.numbers["phi"].value, rel=1e-9)


def test_iodine_contents_outside_the_formula_are_flagged_not_clipped(measured: Path) -> None:
    with open_scan(measured / "map.nxs") as scan:
        found = analyse_scan(scan, settings=parse_analysis('[corrections]\nmedium = "vacuum"\n'))
        assert found.peaks is not None
        x = found.peaks.composition.x
        outside = (found.peaks.composition.flags & Flag.OUTSIDE) != 0
        assert np.isnan(x[outside]).all()
        assert x[0, 0] == pytest.approx(1.51, abs=0.01)
        assert np.nanmin(x) < 0.3


def test_figures_are_drawn_from_scans(measured: Path) -> None:
    with open_scan(measured / "series.nxs") as series, open_scan(measured / "map.nxs") as field:
        in_series, in_map = analyse_scan(series), analyse_scan(field)
        for figure in (figure_2(series, in_series), figure_4(field, in_map), figure_5(field, in_map),
                       figure_7((series, in_series))):  # fmt: skip
            labels = [text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel())]
            assert any("nm" in label for label in labels) or any("µm" in label for label in labels)
            figure.canvas.draw()
        with pytest.raises(ScanFileError, match="no kinetics"):
            figure_2(field, in_map)
        with pytest.raises(ScanFileError, match="no halo"):
            figure_4(series, in_series)


def test_stored_analyses_and_scans_without_one_are_drawn_the_same_way(measured: Path) -> None:
    for name, panels in (("series.nxs", ["time (s)"] * 2), ("map.nxs", ["x (µm)"] * 6)):
        with open_scan(measured / name) as scan:
            fresh = analyse_scan(scan)
            kept = pictures_of(scan, findings(scan, fresh, {"versions": {}}))
            labels = [axes.get_xlabel() for figure, _ in kept for axes in figure.axes]
            assert sum(label == panels[0] for label in labels) >= len(panels) - 1
            drawn = kept[0][0].axes[2 if name == "series.nxs" else 3]
            own = (figure_2 if name == "series.nxs" else figure_4)(scan, fresh).axes[2 if name == "series.nxs" else 3]
            for mine, theirs in zip(drawn.get_lines(), own.get_lines(), strict=True):
                np.testing.assert_allclose(mine.get_xydata(), theirs.get_xydata(), rtol=1e-3, atol=1e-3)
            for figure, words in (*kept, *pictures_of(scan, None)):
                assert words.endswith(".")
                figure.canvas.draw()


def test_a_dask_cluster_gives_the_same(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    distributed = pytest.importorskip("distributed")
    files = [str(measured / "series.nxs"), str(measured / "map.nxs")]
    assert run(["analyse", *files, "--json", "--jobs", "1"]) == 0
    here = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="tcp://"
    ) as cluster:
        assert run(["analyse", *files, "--json", "--scheduler", cluster.scheduler_address]) == 0
    there = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert there == here


def test_nobody_at_the_schedulers_address_is_said(
    measured: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("halidescope.acquisition.many.CONNECT_S", 0.5)
    assert run(["analyse", str(measured / "series.nxs"), "--scheduler", "tcp://127.0.0.1:9"]) == 1
    assert "no Dask scheduler at tcp://127.0.0.1:9" in capsys.readouterr().err


def test_a_plain_array_with_a_layout_is_analysed(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(measured / "series.nxs"), "--out", str(tmp_path / "series.npz")]) == 0
    capsys.readouterr()
    command = ["analyse", str(tmp_path / "series.npz"), "--json", "--references", str(measured / "pristine.nxs")]
    assert run([*command, str(measured / "br-rich.nxs")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert run(["analyse", str(measured / "series.nxs"), "--json"]) == 0
    assert found["phi"] == pytest.approx(json.loads(capsys.readouterr().out)["phi"], rel=1e-12)


@pytest.mark.parametrize(("given", "known"), [
    (["analyse", "f", "--references", "a", "b", "--out", "o"],
     ["analyse", "f", "--references", "a", "--references", "b", "--out", "o"]),
    (["analyse", "--references", "a", "--references", "b", "f"], None),
    (["analyse", "f", "--labels", "x", "y", "--json"], ["analyse", "f", "--labels", "x", "--labels", "y", "--json"]),
    (["run", "f", "--references", "a", "b"], None),
    ([], None),
])  # fmt: skip
def test_several_references_after_one_option(given: list[str], known: list[str] | None) -> None:
    assert gathered(given) == (given if known is None else known)


@pytest.mark.parametrize(("text", "words"), [
    ("[references]\nextract = 9", "less than or equal to 6"),
    ("[references]\nextract = 2\ncompositions = [0.0]", "one place"),
    ("[references]\nfiles = ['a']\nlabels = ['a', 'b']", "2 labels for 1"),
    ("[corrections]\ncosmic_rays = 'forget'", "cosmic_rays"),
    ("[colour]\nmap = 1", "unknown key 'colour'"),
    ("[map", "not valid TOML"),
])  # fmt: skip
def test_a_wrong_analysis_file_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(BadFileError, match=words) as caught:
        parse_analysis(text)
    assert "\n" not in str(caught.value)


def _as_spe(path: Path, scan: Scan) -> None:
    write_spe3(path, scan.spectra[:, None, :], scan.wavelength_nm, exposure_ms=200.0, starts_us=_microseconds(scan))


def _as_sif(path: Path, scan: Scan) -> None:
    pixel = np.arange(1, scan.wavelength_nm.size + 1)
    axis = np.polynomial.Polynomial.fit(pixel, scan.wavelength_nm, 3).convert().coef
    write_sif(path, scan.spectra[:, None, :], axis.tolist(), stamps_us=_microseconds(scan))


def _as_npy(path: Path, scan: Scan) -> None:
    np.save(path, scan.spectra)
    np.save(path.with_name("axis.npy"), scan.wavelength_nm)
    layout = f'[wavelength]\nfile = "axis.npy"\nunit = "nm"\n[[axes]]\nname = "time"\nunit = "s"\n' \
             f"values = {scan.time_s.tolist()}\n"
    path.with_name(f"{path.name}.toml").write_text(layout, encoding="utf-8")


def _as_csv(path: Path, scan: Scan) -> None:
    table = np.column_stack([np.r_[0.0, 1e3 * scan.time_s], np.vstack([scan.wavelength_nm, scan.spectra])])
    np.savetxt(path, table, fmt="%.17g", delimiter=";")
    path.with_name(f"{path.name}.toml").write_text(
        'delimiter = ";"\nleading = [{name = "time", unit = "ms"}]\n[wavelength]\nfirst = true\nunit = "nm"\n',
        encoding="utf-8",
    )


def _microseconds(scan: Scan) -> list[int]:
    return np.rint(1e6 * scan.time_s).astype(int).tolist()


FORMS = {"series.spe": (_as_spe, 1e-5), "series.sif": (_as_sif, 1e-5), "series.npy": (_as_npy, 1e-12),
         "series.csv": (_as_csv, 1e-9)}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_other_programs_files_and_plain_arrays_give_the_same_numbers(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write, tolerance = FORMS[name]
    members = load_endmembers([measured / "pristine.nxs", measured / "br-rich.nxs"])
    with open_scan(measured / "series.nxs") as scan:
        write(tmp_path / name, scan)
        channels = scan.wavelength_nm.size
        dark = np.full(channels, 1000.0)
        detector = Detector(dark=dark, dark_se=np.zeros(channels), read_noise=4.0, saturation=65535)
        # those two count from the beginning of their first exposure
        start = scan.time_s[0] - 0.1 if name.endswith(("spe", "sif")) else 0.0
        expected = analyse_series(
            scan.time_s - start, scan.spectra, members.spectra, references_se=members.spectra_se, detector=detector
        )
    (tmp_path / "analysis.toml").write_text(
        f"""
        [references]
        files = ["{measured / 'pristine.nxs'}", "{measured / 'br-rich.nxs'}"]
        [corrections]
        dark_counts = 1000.0
        electrons_per_count = 1.0
        read_noise_counts = 4.0
        saturation_counts = 65535.0
        normalise = ["exposure", "power"]
        exposure_s = 0.2
        sample_power_uw = 120.0
        """,
        encoding="utf-8",
    )
    command = ["analyse", "--config", str(tmp_path / "analysis.toml"), "--jobs", "1", "--json"]
    assert run([*command, str(tmp_path / name), "--out", str(tmp_path / "out")]) == 0
    found = json.loads(capsys.readouterr().out)
    for number in ("phi", "k1_per_s", "average_rate_per_s", "average_rate_per_s_se"):
        assert found[number] == pytest.approx(getattr(expected, number), rel=tolerance), number
    emission = expected.unmixing.amplitudes.sum(axis=-1).mean() / (0.2 * 120.0)
    assert found["mean_emission_counts_per_s_uw"] == pytest.approx(emission, rel=tolerance)
    assert found["provenance"]["settings"]["corrections"]["normalise"] == ["exposure", "power"]
    assert found["provenance"]["inputs"][0]["sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert "counts s⁻¹ µW⁻¹" in (tmp_path / "out" / f"{name}.html").read_text(encoding="utf-8")


def test_a_journal_that_was_cut_off_gives_what_its_finished_file_gives(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = shutil.copy(measured / "series.nxs.journal", tmp_path)
    with contextlib.closing(sqlite3.connect(journal)) as rows:      # as a kill leaves it
        rows.execute("DELETE FROM spectra WHERE point >= 30")
        rows.execute("DELETE FROM header WHERE key = 'ending'")
        rows.commit()
    assert run(["analyse", str(journal), "--json", "--jobs", "1"]) == 0
    cut = json.loads(capsys.readouterr().out)
    assert cut["spectra"] == 30
    assert run(["convert", str(journal), "--out", str(tmp_path / "whole.nxs")]) == 0
    capsys.readouterr()
    assert run(["analyse", str(tmp_path / "whole.nxs"), "--json", "--jobs", "1"]) == 0
    whole = json.loads(capsys.readouterr().out)
    for number in ("phi", "average_rate_per_s", "first_peak_ev", "median_reduced_chi2"):
        assert cut[number] == whole[number]


def test_powers_that_nobody_knows_are_said_not_taken_as_one(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_scan(measured / "series.nxs") as scan:
        _as_npy(tmp_path / "series.npy", scan)
    (tmp_path / "analysis.toml").write_text('[corrections]\nnormalise = ["power"]\n', encoding="utf-8")
    assert run(["analyse", str(tmp_path / "series.npy"), "--config", str(tmp_path / "analysis.toml")]) == 1
    assert "power of 80 of 80 spectra is not known" in capsys.readouterr().err


def test_views_show_counts_also_of_an_analysis_per_second_and_microwatt(measured: Path) -> None:
    asked = parse_analysis('[corrections]\nnormalise = ["exposure", "power"]\n')
    with open_scan(measured / "series.nxs") as scan:
        plain, per_light = (findings(scan, analyse_scan(scan, settings=one), {}) for one in (AnalysisFile(), asked))
        assert per_light.units["light"] == "s.uW"
        shown, again = (np.array(results_of(scan, run).amplitudes) for run in (plain, per_light))
    np.testing.assert_allclose(again, shown, rtol=1e-12)
    assert not np.allclose(plain.arrays["amplitudes"], per_light.arrays["amplitudes"])
