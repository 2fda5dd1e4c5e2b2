"""What a series' fit is said to be worth: in sentences for a reader, in plain values for a program."""

from halidescope.analysis.kinetics_intervals import CONSTANT, interval_note
from halidescope.analysis.series import SeriesResult


def notes_of(series: SeriesResult) -> list[str]:
    """Sentences that belong beside the numbers."""
    notes = []
    if series.kinetics.constant:
        notes.append(f"{CONSTANT}.")
    elif not series.kinetics.converged:
        notes.append("The biexponential fit did not converge: too little of the change is in this trace.")
    elif series.kinetics.one_exponential_suffices:
        notes.append("One exponential suffices: the average rate is its rate; k1 and k2 are not determined.")
    if told := interval_note(series.intervals):
        notes.append(f"{told}.")
    return [note[0].upper() + note[1:] for note in notes]


def said_of(series: SeriesResult) -> dict[str, object]:
    """Model choice, and whether the fit has settled."""
    return {
        "one_exponential_suffices": bool(series.kinetics.one_exponential_suffices),
        "share_is_constant": bool(series.kinetics.constant),
        "kinetics_converged": bool(series.kinetics.converged),
    }
