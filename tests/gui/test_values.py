"""Numbers as a person reads them."""

import math

import pytest

from halidescope.acquisition.results import Number
from halidescope.gui.plots import tick_words
from halidescope.gui.trend_points import typed_number
from halidescope.gui.values import dose, duration, field_words, irradiance, plus_minus, size


@pytest.mark.parametrize(("value", "se", "unit", "words"), [
    (0.68, 0.011, "", "0.680 ± 0.011"),
    (0.0213, 0.0008, "1/s", "0.0213 ± 0.0008 1/s"),
    (0.0001991, 0.0000012, "1/s", "(1.991 ± 0.012) × 10⁻⁴ 1/s"),
    (512.43, 0.15, "nm", "512.43 ± 0.15 nm"),
    (1234.0, 56.0, "counts", "1234 ± 56 counts"),
    (0.0, 0.03, "", "0.00 ± 0.03"),
    (-0.5, 0.2, "%", "-0.50 ± 0.20 %"),
    (0.7, None, "", "0.7 (no error)"),
    (0.7, math.inf, "", "0.7 (no error)"),
    (math.nan, 0.1, "", "not determined"),
])
def test_value_and_error_have_the_same_digits(value: float, se: float | None, unit: str, words: str) -> None:
    assert plus_minus(Number(value, se), unit) == words


@pytest.mark.parametrize(("seconds", "words"), [
    (-1.0, "0.0 s"), (4.24, "4.2 s"), (59.6, "1:00"), (192.0, "3:12"), (3723.0, "1:02:03"),
])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_prefixes() -> None:
    assert irradiance(7639.4) == "7.64 kW/cm²"
    assert irradiance(0.0) == "0 W/cm²"
    assert irradiance(636.6) == "637 W/cm²"
    assert dose(3.82e6) == "3.82 MJ/cm²"
    assert dose(2.5e10) == "25000 MJ/cm²"
    assert dose(0.004) == "0.004 J/cm²"
    assert dose(2e-5) == "0.02 mJ/cm²"
    assert size(21e6) == "21 MB"
    assert size(12) == "12 bytes"


def test_field_names_carry_their_unit() -> None:
    assert field_words("sample_power_uw") == ("sample power", "µW")
    assert field_words("step_um") == ("step", "µm")
    assert field_words("dark_spectra") == ("dark spectra", "")
    assert field_words("order") == ("order", "")


@pytest.mark.parametrize(("values", "step", "words"), [
    ([0.0, 0.5, 1.0], 0.5, ["0.0", "0.5", "1.0"]),
    ([-0.0, 200.0, 400.0], 200.0, ["0", "200", "400"]),
    ([60000.0, 65000.0], 5000.0, ["60000", "65000"]),
    ([2.76e6, 2.762e6], 2e3, ["2.760×10⁶", "2.762×10⁶"]),
    ([0.0, 5e-5, 1e-4], 5e-5, ["0.0", "0.5×10⁻⁴", "1.0×10⁻⁴"]),
])
def test_numbers_of_an_axis_are_short(values: list[float], step: float, words: list[str]) -> None:
    assert tick_words(values, 1.0, step) == words


def test_what_is_typed_or_written_of_a_diffusivity_is_read() -> None:
    number = Number(2e-13, 1e-14)
    for text in ("2e-13 ± 1e-14", "2,0e-13±1e-14", plus_minus(number)):
        assert typed_number(text) == number
    assert typed_number("2e-13") == typed_number("2e-13 (no error)") == Number(2e-13, None)
    for text in ("", "much", "-1e-13", "2e-13 ± -1", "inf"):
        with pytest.raises(ValueError):  # noqa: PT011 - Python's own words, or ours, both only say that it is none
            typed_number(text)
