"""Scans that hold too little, or nothing: what can be said is said, the rest is flagged, and nothing is a traceback."""

import numpy as np
import pytest

from halidescope.acquisition.analysis_file import parse_analysis
from halidescope.acquisition.batch import Analysis, analyse_scan
from halidescope.acquisition.findings import findings
from halidescope.acquisition.importers import open_any
from halidescope.acquisition.stored_pictures import pictures_of

NM = np.linspace(470.0, 700.0, 116)
PRISTINE, GROWN = (np.exp(-0.5 * ((NM - centre) / 9.0) ** 2) for centre in (589.0, 512.3))
SETTINGS = parse_analysis("[corrections]\ndark_counts = 300\n[references]\ncompositions = [1.5, 0.0]\n")
SERIES = '[[axes]]\nname = "time"\nunit = "s"\nstart = 0.5\nstep = 8.0\nnumber = {}\n'
MAP = "".join(
    f'[[axes]]\nname = "{name}"\nunit = "um"\nstep = 4.0\nnumber = {{}}\n' for name in "yx"
)


def light(share: np.ndarray) -> np.ndarray:
    clean = 2000 * ((1 - share)[..., None] * PRISTINE + share[..., None] * GROWN)
    return np.random.default_rng(1).poisson(clean) + 300.0


@pytest.fixture
def analysed(tmp_path):
    """Analyse spectra of a shape, as another program's array."""

    def analyse(spectra: np.ndarray, settings=SETTINGS) -> Analysis:
        layout = SERIES if spectra.ndim == 2 else MAP
        np.save(tmp_path / "data.npy", spectra)
        (tmp_path / "data.npy.toml").write_text(
            f"[wavelength]\nunit = 'nm'\nstart = 470.0\nstep = 2.0\n{layout.format(*spectra.shape[:-1])}"
        )
        with open_any(tmp_path / "data.npy") as scan:
            found = analyse_scan(scan, settings=settings)
            for figure, _ in pictures_of(scan, findings(scan, found, {})):
                figure.canvas.draw()
        return found

    return analyse


@pytest.mark.parametrize("count", [1, 4])
def test_a_series_too_short_for_kinetics_has_shares_and_says_so(analysed, count):
    found = analysed(light(np.linspace(0.2, 0.5, count)))
    assert found.unmixing.shares[:, -1] == pytest.approx(np.linspace(0.2, 0.5, count), abs=0.05)
    assert f"No kinetics: {count} different times" in " ".join(found.notes)
    assert "phi" not in found.plain()


@pytest.mark.parametrize("value", [0.0, 300.0, np.nan])
def test_spectra_without_light_are_flagged(analysed, value):
    found = analysed(np.full((8, NM.size), value))
    assert not found.unmixing.valid.any()
    assert "8 of 8 spectra have no sound peak" in " ".join(found.notes)
    assert "(0 of 8 spectra have shares)" in " ".join(found.notes)


def test_a_map_without_a_halo_has_none(analysed):
    found = analysed(light(np.full((7, 7), 0.3)))
    plain = found.plain()
    assert [plain[f"halo_{name}"] for name in ("radius_um", "centre_x_um", "amplitude", "offset")] == [None] * 4
    assert "There is no halo" in " ".join(found.notes)


@pytest.mark.parametrize(("columns", "words"), [(4, "No diffusion profile: 4 good points"), (9, "")])
def test_a_map_too_narrow_for_a_profile_keeps_its_halo(analysed, columns, words):
    x, y = np.meshgrid(np.arange(columns) - (columns - 1) / 2, np.arange(9) - 4.0)
    settings = parse_analysis(
        "[corrections]\ndark_counts = 300\n[references]\ncompositions = [1.5, 0.0]\n[map]\ndiffusion_time_s = 50\n"
    )
    found = analysed(light(0.6 * np.exp(-(x**2 + y**2) / 4)), settings)
    assert found.numbers["halo_radius_um"].value == pytest.approx(8.0, rel=0.1)
    assert ("diffusivity_m2_s" in found.numbers) == (not words)
    assert words in " ".join(found.notes)


def test_one_line_of_a_map_has_no_halo(analysed):
    share = 0.6 * np.exp(-((np.arange(9) - 4.0) ** 2) / 4)
    found = analysed(light(share)[None])
    assert found.unmixing.shares[0, :, -1] == pytest.approx(share, abs=0.05)
    assert "all good pixels lie on one line" in " ".join(found.notes)


def test_a_full_scale_that_nobody_declared_is_left_out_and_said(analysed):
    spectra = light(np.full(6, 0.4))
    sound = analysed(spectra).unmixing.shares[:, -1]
    spectra[:, np.abs(NM - 589.0) < 4] = 65535
    found = analysed(spectra)
    assert found.unmixing.shares[:, -1] == pytest.approx(sound, abs=0.02)
    assert "65535 counts, a detector's full scale" in " ".join(found.notes)


def test_a_dark_above_the_light_is_flagged_at_the_peaks(analysed):
    settings = parse_analysis("[corrections]\ndark_counts = 5000\nread_noise_counts = 3\n")
    found = analysed(light(np.full(6, 0.0)), settings)
    assert found.peaks.peaks.flags.all()
    assert "6 of 6 spectra have no sound peak" in " ".join(found.notes)


def test_a_yield_beyond_the_series_is_said_to_be_extrapolated(analysed):
    share = 0.7 * (1 - np.exp(-0.02 * (0.5 + 8.0 * np.arange(40))))
    settings = parse_analysis(
        "[corrections]\ndark_counts = 300\n[references]\ncompositions = [1.5, 0.0]\n[kinetics]\nphi_time_s = 2000\n"
    )
    found = analysed(light(share), settings)
    assert "φ is extrapolated to 2000 s: the last spectrum is of 312 s" in " ".join(found.notes)
