"""What the online analysis knows so far, as plain values that travel to the window and into the file.

Computed by :mod:`halidescope.acquisition.analyst` with :mod:`halidescope.analysis.online`; nothing is computed here.
"""

import msgspec


class Number(msgspec.Struct, frozen=True):
    """A value with its standard error, in the unit of the field's name; ``se`` is None where none can be given."""

    value: float
    se: float | None = None


class Interval(msgspec.Struct, frozen=True):
    """95 % interval; None where the data set no limit. ``method`` is "linear", "profile" or "undetermined"."""

    low: float | None
    high: float | None
    method: str


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
    numbers: dict[str, Number] = {}            # phi, average_rate_per_s, k1_per_s, k2_per_s, k01, k02
    intervals: dict[str, Interval] = {}        # of the first four of these
    one_exponential_suffices: bool | None = None      # None: no fit yet
    share_is_constant: bool | None = None
    fit_time_s: list[float] = []
    fit_share: list[float | None] = []
    fit_low: list[float | None] = []                  # 95 % confidence band of the fitted curve
    fit_high: list[float | None] = []
    note: str = ""                             # what the reader of the numbers must know, e.g. why there is no fit yet
