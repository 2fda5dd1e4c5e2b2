"""Finding an exposure that fills the detector, with a stated budget of light.

Only the search is here: what a trial is, and what it costs, is told by the caller
(:mod:`halidescope.acquisition.measurement`).
"""

from collections.abc import Callable
from dataclasses import dataclass

MOST_TRIALS = 6
CLOSE = 1.15         # a trial this near to the target is good enough
FIRST = 0.1          # of the longest exposure
GROWTH = 10.0        # from one trial to the next at most: the film is not trusted to be linear farther than this
FAINT = 0.02         # of the target; below this a trial tells little
BACK_OFF = 5.0       # after a saturated trial


@dataclass(frozen=True)
class Trial:
    """One look: its exposure in s, the brightest pixel above the dark level in counts, and whether it was saturated."""

    exposure_s: float
    signal_counts: float
    saturated: bool


@dataclass(frozen=True)
class Found:
    """An exposure, and what led to it; ``complete`` is False if the budget ended the search before it was sure."""

    exposure_s: float
    trials: tuple[Trial, ...]
    complete: bool


def find_exposure(
    look: Callable[[float], Trial], affordable: Callable[[float], bool], *, target_counts: float, shortest_s: float,
    longest_s: float,
) -> Found:
    """The exposure at which the brightest pixel is ``target_counts`` above dark, between two limits.

    Parameters
    ----------
    look : callable
        Exposes once, in s.
    affordable : callable
        Whether one more look of so many seconds stays within the budget of light.
    """
    trials: list[Trial] = []
    exposure_s = max(shortest_s, FIRST * longest_s)
    while len(trials) < MOST_TRIALS and affordable(exposure_s):
        trial = look(exposure_s)
        trials.append(trial)
        if trial.saturated:
            if exposure_s <= shortest_s:
                break
            exposure_s = max(shortest_s, exposure_s / BACK_OFF)
            continue
        wanted_s = exposure_s * target_counts / max(trial.signal_counts, FAINT * target_counts / GROWTH)
        reached = min(max(wanted_s, shortest_s), longest_s)
        if trial.signal_counts > FAINT * target_counts and 1.0 / CLOSE < reached / exposure_s < CLOSE:
            return Found(reached, tuple(trials), True)
        if reached == exposure_s:      # at a limit: nothing more to be found
            return Found(reached, tuple(trials), True)
        exposure_s = min(reached, exposure_s * GROWTH)
    return Found(_best(trials, exposure_s, shortest_s), tuple(trials), False)


def _best(trials: list[Trial], next_s: float, shortest_s: float) -> float:
    """What the trials so far allow: never longer than was seen to be safe and is told by proportion."""
    if not trials:
        return shortest_s
    return next_s
