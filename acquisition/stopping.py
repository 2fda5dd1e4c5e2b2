"""When a time series has seen enough: its share no longer changes, or its rate is known well enough.

Judged from the online analysis, which follows some tenths of a second behind; nothing is measured here.
"""

import math
from collections import deque

import numpy as np

from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.single_recipes import TimeSeries

FEWEST = 8     # spectra in which a plateau can be seen


def change_over(time_s: np.ndarray, share: np.ndarray, share_se: np.ndarray) -> tuple[float, float]:
    """Change of a share from the first to the last time, by a straight line, and its standard error.

    Parameters
    ----------
    time_s, share, share_se : ndarray, shape (n,)

    Weighted least squares; the error is scaled up by the scatter about the line where that is larger.
    """
    weight = 1.0 / share_se**2
    middle = np.average(time_s, weights=weight)
    spread = float((weight * (time_s - middle) ** 2).sum())
    slope = float((weight * (time_s - middle) * share).sum()) / spread
    rest = share - np.average(share, weights=weight) - slope * (time_s - middle)
    scatter = max(1.0, float((weight * rest**2).sum()) / max(1, len(time_s) - 2))
    duration_s = float(time_s[-1] - time_s[0])
    return slope * duration_s, math.sqrt(scatter / spread) * duration_s


class Stopping:
    """Looks at a series' online results and says when it has seen enough.

    Parameters
    ----------
    recipe : TimeSeries
    """

    def __init__(self, recipe: TimeSeries) -> None:
        self._recipe = recipe
        self._rows: deque[tuple[float, float, float]] = deque()     # time, share of the growing phase, its error
        self.seen = 0            # rows taken in

    @property
    def wanted(self) -> bool:
        """True if the recipe may end before its duration."""
        return self._recipe.stop_at_plateau is not None or self._recipe.stop_at_rate_error is not None

    def why(self, results: OnlineResults) -> str:
        """Why the series may end, empty if it shall go on; ``results`` hold the rows from :attr:`seen` on."""
        self._take_in(results)
        if results.count == 0 or not self._rows or self._rows[-1][0] < self._recipe.stop_not_before_s:
            return ""
        return self._plateau() or self._rate(results)

    def _take_in(self, results: OnlineResults) -> None:
        for time_s, share, share_se in zip(results.time_s, results.shares, results.shares_se, strict=True):
            self.seen += 1
            if share[-1] is not None and share_se[-1]:
                self._rows.append((time_s, share[-1], share_se[-1]))
        while self._too_old():
            self._rows.popleft()

    def _too_old(self) -> bool:
        """True if the window is covered without its oldest row."""
        return len(self._rows) > FEWEST and self._rows[1][0] <= self._rows[-1][0] - self._recipe.plateau_s

    def _plateau(self) -> str:
        limit = self._recipe.stop_at_plateau
        if limit is None or len(self._rows) < FEWEST:
            return ""
        time_s, share, share_se = np.array(self._rows).T
        if time_s[-1] - time_s[0] < self._recipe.plateau_s:
            return ""
        change, change_se = change_over(time_s, share, share_se)
        if abs(change) + 2.0 * change_se >= limit:
            return ""
        return (
            f"plateau: the share changed by {change:+.4f} ± {change_se:.4f} in {time_s[-1] - time_s[0]:.0f} s, less "
            f"than {limit:g}"
        )

    def _rate(self, results: OnlineResults) -> str:
        target = self._recipe.stop_at_rate_error
        rate = results.numbers.get("average_rate_per_s")
        if target is None or rate is None or rate.se is None or not rate.value > 0 or rate.se >= target * rate.value:
            return ""
        return f"the average rate is known to {rate.se / rate.value:.1%}, better than {target:.1%}"
