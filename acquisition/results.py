"""What the online analysis knows so far, as plain values that travel to the window and into the file.

Computed by :mod:`halidescope.acquisition.analyst` with :mod:`halidescope.analysis.online`; nothing is computed here,
so that engine, watchdog and window need not load what an analysis computes with.
"""

import math
from typing import TYPE_CHECKING

import msgspec

from halidescope.analysis.rounding import plus_minus, with_interval

if TYPE_CHECKING:
    from halidescope.analysis.series_numbers import SeriesNumbers


class Interval(msgspec.Struct, frozen=True):
    """95 % interval; None where the data set no limit. ``method`` is "linear", "profile" or "undetermined"."""

    low: float | None
    high: float | None
    method: str


class Number(msgspec.Struct, frozen=True):
    """A value with its standard error, in the unit of the field's name; ``se`` is None where none can be given.

    Where its ``interval`` is "profile", that is what is shown, and ``se`` is its half width over 1.96. A number that is
    "undetermined" has the value NaN.
    """

    value: float
    se: float | None = None
    interval: Interval | None = None

    def plain(self, name: str) -> dict[str, object]:
        """For JSON: ``name``, ``name_se`` and, of a number with an interval, ``name_low95`` and the like."""
        values: dict[str, object] = {name: finite(self.value), f"{name}_se": finite(self.se)}
        if self.interval is not None:
            values[f"{name}_low95"], values[f"{name}_high95"] = self.interval.low, self.interval.high
            values[f"{name}_interval"] = self.interval.method
        return values

    def words(self, unit: str = "", factor: float = 1.0) -> str:
        """Value with its error or interval, times ``factor``, as a person reads it."""
        if factor != 1.0:
            return self.scaled(factor).words(unit)
        if self.interval is None or self.interval.method != "profile":
            return plus_minus(self.value, self.se, unit)
        return with_interval(self.value, self.interval.low, self.interval.high, unit)

    def scaled(self, factor: float) -> "Number":
        """The same in a unit that is ``factor`` times smaller."""
        interval = self.interval
        if interval is not None:
            low, high = (None if end is None else factor * end for end in (interval.low, interval.high))
            interval = Interval(low, high, interval.method)
        return Number(factor * self.value, None if self.se is None else factor * self.se, interval)


def finite(value: float | None) -> float | None:
    """None for what is not a number or has no limit, as JSON knows it."""
    return float(value) if value is not None and math.isfinite(value) else None


def numbers_of(found: "SeriesNumbers") -> dict[str, Number]:
    """A series' numbers, each with its error and how its interval was found."""
    return {
        name: Number(
            getattr(found, name), finite(getattr(found, f"{name}_se")), Interval(finite(low), finite(high), method)
        )
        for name, (low, high, method) in found.intervals.items()
    }


class OnlineResults(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of the analysis of the running (or last) measurement.

    The per-spectrum lists hold the rows from ``first`` on, in the order of taking; a window asks for what it lacks.
    None stands for what could not be computed, e.g. the share of a saturated spectrum.
    Shares are shares of *emission*: carriers funnel to iodide-rich regions, so they are not volume fractions.
    """

    kind: str = ""                             # the recipe's kind
    labels: tuple[str, ...] = ()               # names of the endmembers; the last is the phase that grows
    reference_note: str = ""                   # where the endmembers come from, and a warning if they are models
    references: list[list[float]] = []         # (k, channels), each with unit area; sent only when first == 0
    count: int = 0                             # spectra analysed so far
    first: int = 0
    index: list[int] = []                      # of the point in the recipe (for a map: row × columns + column)
    time_s: list[float] = []                   # mid-exposure, since the light came on
    amplitudes: list[list[float | None]] = []         # (n, k), counts
    shares: list[list[float | None]] = []             # (n, k)
    shares_se: list[list[float | None]] = []          # (n, k)
    residual_rms: list[float | None] = []             # (n,), counts
    # time series only: biexponential fit of the growing share, 1 − (k01 e^(−k1 t) + k02 e^(−k2 t))
    # what is known of phi, average_rate_per_s, k1_per_s, k2_per_s, k01, k02
    numbers: dict[str, Number] = {}
    one_exponential_suffices: bool | None = None      # None: no fit yet
    share_is_constant: bool | None = None
    fit_time_s: list[float] = []
    fit_share: list[float | None] = []
    fit_low: list[float | None] = []                  # 95 % confidence band of the fitted curve
    fit_high: list[float | None] = []
    note: str = ""                             # what the reader of the numbers must know, e.g. why there is no fit yet
