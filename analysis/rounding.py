"""One rule for printing a value with its standard error: in windows, reports, figures and on the terminal.

The error keeps one digit, or two if that one would be a 1 or a 2 (which round by up to a third); the value ends where
the error ends. Small numbers are written as a power of ten.
"""

import math
from dataclasses import dataclass

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SMALLEST = -2     # decimal exponents below this, or above ``LARGEST``, become a power of ten
LARGEST = 5
FINEST = 0.01     # of what an interval's digits would be by its width
QUANTILE = 1.96   # standard errors to the ends of a 95 % interval


@dataclass(frozen=True)
class Rounded:
    """Digits of value and error before the common factor 10^``power``."""

    value: str
    error: str
    power: int
    decimals: int

    @property
    def factor(self) -> str:
        """The factor as words, `` × 10⁻⁴``; empty for 1."""
        return f" × 10{str(self.power).translate(RAISED)}" if self.power else ""

    def like(self, value: float) -> str:
        """Another value with the same digits and the same factor, such as the true value beside a measured one."""
        return f"{value / 10**self.power:.{self.decimals}f}"


def rounded(value: float, se: float) -> Rounded:
    """Round a finite ``value`` to its positive, finite standard error ``se``; ValueError for anything else.

    >>> rounded(0.00019913, 0.0000012)
    Rounded(value='1.991', error='0.012', power=-4, decimals=3)
    """
    if not (math.isfinite(value) and math.isfinite(se) and se > 0):
        raise ValueError(f"value {value} with standard error {se}: both must be finite and the error positive")
    leading = _exponent(se, 0)
    if round(se / 10.0**leading) <= 2:
        leading = _exponent(se, 1) - 1
    size = _exponent(max(abs(value), se), 3)
    power = size if size < SMALLEST or size > LARGEST else 0
    decimals = max(0, power - leading)
    scale = 10.0**power
    return Rounded(f"{value / scale:.{decimals}f}", f"{se / scale:.{decimals}f}", power, decimals)


def plus_minus(value: float, se: float | None, unit: str = "") -> str:
    """``0.680 ± 0.011 nm``; says so where there is no error, or no value."""
    tail = f" {unit}" if unit else ""
    if not math.isfinite(value):
        return "not determined"
    if se is None or not math.isfinite(se) or se <= 0:
        return f"{value:.4g}{tail} (no error)"
    digits = rounded(value, se)
    body = f"{digits.value} ± {digits.error}"
    return f"({body}){digits.factor}{tail}" if digits.power else f"{body}{tail}"


def with_interval(value: float, low: float | None, high: float | None, unit: str = "") -> str:
    """``0.0290 (95 %: 0.0249 to 0.0356) 1/s``: what ± one error cannot say; None is an end without limit.

    Rounded as if to the standard error that the nearer end stands for, finer where an end is so small that it would
    become 0.
    """
    ends_known = [end for end in (low, high) if end is not None and end != value]
    if not math.isfinite(value) or not ends_known:
        return plus_minus(value, None, unit)
    nearest = min(abs(value - end) for end in ends_known) / QUANTILE
    smallest = min([abs(end) / 5 for end in ends_known if end], default=nearest)
    digits = rounded(value, max(min(nearest, smallest), FINEST * nearest))
    if low is None or high is None:
        known, word = (high, "below") if low is None else (low, "above")
        ends = f"{word} {digits.like(float(known or 0.0))}"
    else:
        ends = f"{digits.like(low)} to {digits.like(high)}"
    tail = f" {unit}" if unit else ""
    body = f"{digits.value} (95 %: {ends})"
    return f"[{body}]{digits.factor}{tail}" if digits.power else f"{body}{tail}"


def scientific(value: float, digits: int = 3) -> str:
    """A number without an error, such as a stated or computed one: three digits, powers of ten where others are."""
    if not math.isfinite(value):
        return "not determined"
    power = _exponent(value, digits - 1) if value else 0
    if SMALLEST <= power <= LARGEST:
        return f"{value:.{digits}g}" if power < digits else f"{value:.0f}"
    return f"{value / 10.0**power:.{digits - 1}f} × 10{str(power).translate(RAISED)}"


def _exponent(value: float, digits: int) -> int:
    """Decimal exponent of a number once it is rounded to ``digits`` digits after the first."""
    return int(f"{value:.{digits}e}".split("e")[1])
