"""A recipe with a mistake in it is refused with one sentence: which key, which value, what is allowed."""

import tomllib

import pytest

from halidescope.acquisition.problems import BadFileError
from halidescope.acquisition.recipes import parse_recipe

MAP = 'kind = "raster-map"\nsample_power_uw = 5\n'
SERIES = 'kind = "time-series"\nsample_power_uw = 5\nexposure_s = 0.1\n'
ADAPTIVE = 'kind = "adaptive-map"\nsample_power_uw = 5\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'kind' is missing; allowed: time-series, raster-map, adaptive-map, dark-recovery, background, "
             "power-series, exposure-and-maps, sequence"),
        ('kind = "mpa"', "'kind' = 'mpa': allowed: time-series, raster-map, adaptive-map, dark-recovery, background, "
                         "power-series, exposure-and-maps, sequence"),
        (f"{MAP}steps_um = 4", "unknown key 'steps_um'"),
        ('kind = "raster-map"', "'sample_power_uw' is missing"),
        (f"{MAP}size_um = [200]", "'size_um' = [200]: needs 2 values or more"),
        (f"{MAP}size_um = 200", "'size_um' = 200: input should be a valid list"),
        (f'{MAP}order = "random"\nmotion = "lines"',
         "order = 'random' has no lines; motion = 'lines' needs serpentine or raster"),
        (f"{MAP}step_um = 1e-4",
         "4e+12 spectra asked, allowed up to 2,000,000 in one measurement; raise step_um or lower size_um"),
        (f"{MAP}step_um = 1e-300",
         "inf spectra asked, allowed up to 2,000,000 in one measurement; raise step_um or lower size_um"),
        (f"{SERIES}duration_s = 1e12",
         "1e+13 spectra asked, allowed up to 2,000,000 in one measurement; lower duration_s or raise interval_s"),
        (f"{ADAPTIVE}coarse_step_um = 1e-300\nfinest_step_um = 5e-301",
         "max_points = 1000 must hold the coarse grid, inf points"),
        (f"{ADAPTIVE}coarse_step_um = 16\nfinest_step_um = 0.015625",
         "finest_step_um = 0.015625 gives a grid of 1.51e+08 places, allowed up to 2e+07; raise it or lower size_um"),
        ('kind = "power-series"\npowers_uw = []\nduration_s = 5',
         "'powers_uw' = []: list should have at least 1 item, not 0"),
        ('kind = "power-series"\npowers_uw = [5, 6]\nduration_s = 1e6\nexposure_s = 0.1',
         "2e+07 spectra asked, allowed up to 2,000,000 in one measurement; lower duration_s or raise interval_s"),
        ('kind = "sequence"\n[[recipes]]\nkind = "background"\n[[recipes]]\nkind = "time-series"\nsample_power_uw = 1',
         "'recipes.number 2.duration_s' is missing"),
        ('kind = "sequence"\n[[recipes]]\nkind = "sequence"',
         "'recipes.number 1.kind' = 'sequence': allowed: time-series, raster-map, adaptive-map, dark-recovery, "
         "background, power-series, exposure-and-maps"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_sentence(text, sentence):
    with pytest.raises(BadFileError) as told:
        parse_recipe(tomllib.loads(text), source="recipe film.toml")
    assert str(told.value) == f"recipe film.toml: {sentence}"
