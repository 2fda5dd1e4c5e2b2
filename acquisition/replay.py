"""The online analysis of a measurement once more, from its file: the same code on the same counts, so the same
numbers."""


import msgspec
import numpy as np

from halidescope.acquisition.analyst import Analyst
from halidescope.acquisition.microscope import parse_microscope
from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.recipes import DarkRecovery, RasterMap, TimeSeries, parse_recipe
from halidescope.acquisition.records import Flag, SpectrumRecord
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.scan import Scan


def replay(scan: Scan) -> OnlineResults | None:
    """What the online analysis says of a whole scan of ours; None for scans of other programs.

    Channels ascend in wavelength here and need not in the detector, whose sums are then taken in another order: numbers
    agree with those of the measurement within rounding (1e-12), and bit for bit where the detector's channels ascend.

    Raises
    ------
    ProblemError
        A reference that the recipe names cannot be read.
    """
    recipe_text, microscope_text = scan.metadata.get("recipe"), scan.metadata.get("microscope")
    if not recipe_text or not microscope_text or scan.metadata.get("parts"):
        return None
    recipe = parse_recipe(dict(recipe_text), source=f"recipe of {scan.source}")
    if not isinstance(recipe, TimeSeries | RasterMap | DarkRecovery):
        return None
    microscope = parse_microscope(str(microscope_text), source=f"microscope of {scan.source}")
    analyst = Analyst(
        recipe, scan.wavelength_nm, scan.dark.spectra,
        saturation=float(scan.metadata["calibration"]["saturation_counts"]),
        gain=microscope.spectrometer.electrons_per_count,
    )  # fmt: skip
    flat = scan.spectra.reshape(-1, scan.spectra.shape[-1])
    time_s, time_se_s = scan.time_s.reshape(-1), scan.time_se_s.reshape(-1)
    places = np.flatnonzero(scan.valid.reshape(-1))
    taken = places[np.argsort(time_s[places], kind="stable")]
    analyst.add([_record(int(k), float(time_s[k]), float(time_se_s[k]), flat[k]) for k in taken])
    analyst.fit(thorough=True)
    return analyst.news()


def replay_or_why_not(scan: Scan) -> tuple[OnlineResults | None, str]:
    """:func:`replay`, or a sentence where it is not possible any more."""
    try:
        found = replay(scan)
    except ProblemError as error:
        return None, f"The online analysis could not be repeated: {error}."
    return found, ""


def differences(measured: OnlineResults, again: OnlineResults) -> float:
    """Largest relative difference between the shares and numbers of two online analyses; infinite if they differ in
    kind.

    Shares are compared absolutely: they are of order one.
    """
    if measured.count != again.count or set(measured.numbers) != set(again.numbers):
        return float("inf")
    worst = 0.0
    for name, number in measured.numbers.items():
        worst = max(worst, abs(again.numbers[name].value - number.value) / max(abs(number.value), 1e-300))
    rows = (
        dict(zip(results.index, results.shares, strict=True)) for results in (measured, again) if results.first == 0
    )
    one, other = rows
    if set(one) != set(other):
        return float("inf")
    for place, shares in one.items():
        for mine, theirs in zip(shares, other[place], strict=True):
            if (mine is None) != (theirs is None):
                return float("inf")
            if mine is not None and theirs is not None:
                worst = max(worst, abs(mine - theirs))
    return worst


def plain(results: OnlineResults) -> dict[str, object]:
    """For JSON, without the rows of single spectra."""
    kept = msgspec.structs.replace(
        results, references=[], index=[], time_s=[], amplitudes=[], shares=[], shares_se=[], residual_rms=[],
        fit_time_s=[], fit_share=[], fit_low=[], fit_high=[],
    )  # fmt: skip
    values: dict[str, object] = msgspec.to_builtins(kept)
    return {name: value for name, value in values.items() if value not in ([], "")}


def _record(index: int, time_s: float, time_se_s: float, counts: np.ndarray) -> SpectrumRecord:
    """A spectrum as the analyst takes it; what it does not look at is unknown here."""
    unknown = float("nan")
    return SpectrumRecord(
        index, index, unknown, unknown, time_s, time_se_s, unknown, unknown, unknown, unknown, unknown, unknown,
        unknown, unknown, Flag.NONE, counts,
    )  # fmt: skip
