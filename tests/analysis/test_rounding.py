"""One rule for value ± error, everywhere."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halidescope.analysis.rounding import plus_minus, rounded, with_interval


@pytest.mark.parametrize(("value", "se", "unit", "words"), [
    (0.021337, 0.00082, "", "0.0213 ± 0.0008"),
    (68.3, 1.2, "%", "68.3 ± 1.2 %"),
    (512.44, 0.097, "nm", "512.440 ± 0.097 nm"),
    (1234.5, 45.6, "", "1234 ± 46"),
    (1.69e18, 1.2e16, "cm⁻³", "(1.690 ± 0.012) × 10¹⁸ cm⁻³"),
    (3.9e-14, 1e-15, "m²/s", "(3.90 ± 0.10) × 10⁻¹⁴ m²/s"),
    (0.9996, 0.02, "", "1.000 ± 0.020"),
    (0.0, 2e-5, "", "(0.0 ± 2.0) × 10⁻⁵"),
])
def test_the_value_ends_where_the_error_ends(value, se, unit, words):
    assert plus_minus(value, se, unit) == words


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e9))
def test_what_is_printed_is_within_a_fifth_of_an_error(value, se):
    digits = rounded(value, se)
    scale = 10.0**digits.power
    assert abs(float(digits.value) * scale - value) <= 0.2 * se or digits.decimals == 0
    assert float(digits.error) * scale == pytest.approx(se, rel=0.2) or digits.decimals == 0
    assert digits.like(value) == digits.value


def test_without_an_error_it_says_so():
    for se in (None, 0.0, math.nan, math.inf):
        assert plus_minus(0.7, se) == "0.7 (no error)"
        if se is not None:
            with pytest.raises(ValueError, match="must be finite"):
                rounded(0.7, se)
    assert plus_minus(math.nan, 0.1) == "not determined"


@pytest.mark.parametrize(("value", "low", "high", "unit", "words"), [
    (0.02898, 0.02488, 0.03558, "1/s", "0.0290 (95 %: 0.0249 to 0.0356) 1/s"),
    (2.9e-4, 2.5e-4, None, "1/s", "[2.90 (95 %: above 2.50)] × 10⁻⁴ 1/s"),
    (0.4, None, 0.7, "", "0.40 (95 %: below 0.70)"),
    (0.4, None, None, "%", "0.4 % (no error)"),
    (math.nan, None, None, "%", "not determined"),
])
def test_an_interval_is_printed_where_one_error_cannot_say_it(value, low, high, unit, words):
    assert with_interval(value, low, high, unit) == words
