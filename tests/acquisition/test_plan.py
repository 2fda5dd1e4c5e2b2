"""What a plan says before anything is lit."""

import math
from types import SimpleNamespace

import msgspec
import pytest

from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.plan import Limits, make_plan
from halidescope.acquisition.problems import BadFileError
from halidescope.acquisition.recipes import parse_recipe

from .test_safety import MICROSCOPE

LIMITS = Limits(
    laser="laser cobolt-06-mld (L)", head_mw=(0.0, 100.0), stage="stage pi-e727 (S)",
    travel_um=((0.0, 200.0), (0.0, 200.0)), spectrometer="spectrometer ocean-hdx (O)", exposure_s=(0.006, 10.0),
    pixels=2068,
)
SERIES = {"kind": "time-series", "sample_power_uw": 120.0, "duration_s": 500.0, "interval_s": 1.0}
MAP = {"kind": "raster-map", "sample_power_uw": 5.0}


def test_a_series_is_weighed():
    plan = make_plan(parse_recipe(SERIES), MICROSCOPE)
    assert plan.violations == []
    assert plan.spectra == 500
    assert plan.duration_s == pytest.approx(502.0)
    irradiance = 2 * 120e-6 / (math.pi * 1e-8)
    assert plan.peak_irradiance_w_cm2 == pytest.approx(irradiance)
    assert plan.peak_dose_j_cm2 == pytest.approx(500 * irradiance)
    assert plan.bytes == 510 * 2068 * 2
    assert msgspec.json.decode(msgspec.json.encode(plan.summary()))["plan_hash"] == plan.plan_hash


def test_a_measurement_is_not_given_another_formats_name(tmp_path):
    assert make_plan(parse_recipe(SERIES), MICROSCOPE, tmp_path / "scan.csv").violations == [
        f"output file {tmp_path / 'scan.csv'}: measurements are written as .nxs; name it so, and convert it afterwards"
    ]


def test_a_fine_map_gives_more_dose_than_its_single_spots():
    coarse = make_plan(parse_recipe({**MAP, "size_um": [8.0, 8.0]}), MICROSCOPE)
    fine = make_plan(parse_recipe({**MAP, "size_um": [8.0, 8.0], "step_um": 0.5}), MICROSCOPE)
    assert coarse.peak_dose_j_cm2 == pytest.approx(coarse.peak_irradiance_w_cm2 * 0.22)
    # many spots per waist: π w0²/2 of light per step²
    assert fine.peak_dose_j_cm2 / coarse.peak_dose_j_cm2 == pytest.approx(math.pi / 2 / 0.25, rel=0.01)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({**MAP, "origin_um": [12.0, 0.0]},
         "stage pi-e727 (S): x = 212.0 µm asked, allowed 0.0 to 200.0 µm; map 51 × 51 at 5 µW needs a smaller size_um "
         "or another origin_um"),
        ({**SERIES, "position_um": [100.0, -3.0]},
         "stage pi-e727 (S): y = -3.0 µm asked, allowed 0.0 to 200.0 µm; time series 500 s at 120 µW needs a "
         "position_um inside the travel"),
        ({**SERIES, "exposure_s": 11.0},
         "spectrometer ocean-hdx (O): exposure of 11 s asked, allowed 0.006 to 10 s; change exposure_s"),
        ({**SERIES, "sample_power_uw": 310.0},
         "sample power: 310 µW asked, allowed up to 300 µW (max_sample_uw in the microscope file); "
         "lower sample_power_uw"),
        ({**SERIES, "dose_cap_j_cm2": 1.0},
         "time series 500 s at 120 µW: one exposure gives 1528 J/cm², allowed up to 1 J/cm² (dose_cap_j_cm2), so not "
         "one spectrum could be taken; lower sample_power_uw or exposure_s"),
    ],
)
def test_violations_are_sentences(recipe, sentence):
    assert make_plan(parse_recipe(recipe), MICROSCOPE, limits=LIMITS).violations == [sentence]


def test_files_and_folders_are_judged(tmp_path, monkeypatch):
    recipe = parse_recipe(SERIES)
    out = tmp_path / "a.nxs"
    assert make_plan(recipe, MICROSCOPE, out).violations == []
    journal_path(out).touch()
    assert "earlier measurement" in make_plan(recipe, MICROSCOPE, out).violations[0]
    out.touch()
    assert "never overwritten" in make_plan(recipe, MICROSCOPE, out).violations[0]
    assert "does not exist" in make_plan(recipe, MICROSCOPE, tmp_path / "no" / "b.nxs").violations[0]
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=12_000_000))
    assert "16 MB needed, 12 MB free; make room" in make_plan(recipe, MICROSCOPE, tmp_path / "c.nxs").violations[0]


def test_the_hash_tells_measurements_apart_but_not_notes():
    recipe = parse_recipe(SERIES)
    assert make_plan(recipe, MICROSCOPE).plan_hash == make_plan(
        parse_recipe({**SERIES, "sample": {"notes": "x"}}), MICROSCOPE
    ).plan_hash
    assert make_plan(recipe, MICROSCOPE).plan_hash != make_plan(
        parse_recipe({**SERIES, "sample_power_uw": 119.0}), MICROSCOPE
    ).plan_hash
    again = {"drift_line_points": 12}      # decides what is looked at after a cut-off, not what is measured
    for recipe in (MAP, {"kind": "sequence", "recipes": [MAP]}):
        changed = {**recipe, **again} if recipe is MAP else {"kind": "sequence", "recipes": [{**MAP, **again}]}
        assert make_plan(parse_recipe(changed), MICROSCOPE).plan_hash == make_plan(
            parse_recipe(recipe), MICROSCOPE
        ).plan_hash
    with pytest.raises(BadFileError, match="3 points are no line; give 0, or 5 or more"):
        parse_recipe({**MAP, "drift_line_points": 3})
