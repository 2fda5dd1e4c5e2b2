"""One number per measurement against power and temperature: the points of the trends view, and their line.

No widgets. The fit is :func:`halidescope.analysis.arrhenius.fit_arrhenius`; the temperature is that of the room plus
the rise by the laser in its steady closed form, :func:`halidescope.analysis.heat.half_space_rise`, unless a person
knows better.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halidescope.acquisition.importers import open_any
from halidescope.acquisition.listing import parts_in
from halidescope.acquisition.results import Number
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import open_scan
from halidescope.analysis.arrhenius import Arrhenius, fit_arrhenius
from halidescope.analysis.heat import half_space_rise
from halidescope.analysis.rounding import RAISED, scientific
from halidescope.gui.values import plus_minus

ROOM_K = 295.0
LOWERED = {raised: chr(digit) for digit, raised in RAISED.items()}      # ⁻¹³ to -13
ZERO_C_K = 273.15
OFF = 2.0        # times their errors: points further off the line say that it, or the errors, are not all there is


@dataclass
class TrendPoint:
    """One measurement.

    Attributes
    ----------
    source : str
        File.
    power_uw, waist_um : float
        At the sample; 1/e² radius.
    phi, rate_per_s : Number or None
        Final share and average rate.
    temperature_k : float or None
        As a person gave it; None: from the power.
    diffusivity_m2_s : Number or None
        As a person gave it, e.g. from a map's line profile.
    sample_k : float or None
        Of the film in the dark, as its file says; None: that of the room.
    excluded : bool
        Shown, but in no fit.
    saturated : bool
        Some of its spectra are, so that its share and rate are not to be trusted.
    """

    source: str
    power_uw: float
    waist_um: float
    phi: Number | None
    rate_per_s: Number | None
    temperature_k: float | None = None
    diffusivity_m2_s: Number | None = None
    sample_k: float | None = None
    excluded: bool = False
    saturated: bool = False

    def temperature(self, room_k: float) -> float:
        """In K."""
        if self.temperature_k is not None:
            return self.temperature_k
        dark_k = room_k if self.sample_k is None else self.sample_k
        return dark_k + float(half_space_rise(self.power_uw * 1e-6, self.waist_um * 1e-6))


def point_of(scan: Scan) -> TrendPoint | None:
    """The point of a time series with a fit, the newest that is stored beside it first; None for anything else."""
    if scan.kind != "time-series":
        return None
    found = [run.numbers for run in reversed(scan.stored_analyses())]
    found += [scan.results.numbers] if scan.results is not None else []
    numbers = next((numbers for numbers in found if "phi" in numbers), None)
    if numbers is None:
        return None
    return TrendPoint(
        **_conditions(scan.source, scan.metadata), phi=numbers["phi"],
        rate_per_s=numbers.get("average_rate_per_s"),      # a constant share has none
        saturated=bool(scan.saturated[scan.valid].any()),
    )


def diffusion_point(source: str, metadata: Mapping[str, Any], diffusivity_m2_s: Number) -> TrendPoint | None:
    """The point of a map with a diffusion fit; None if its file does not say with what light it was taken."""
    if "sample_power_uw" not in metadata["recipe"] or "waist_um" not in metadata["calibration"]:
        return None
    return TrendPoint(**_conditions(source, metadata), phi=None, rate_per_s=None, diffusivity_m2_s=diffusivity_m2_s)


def _conditions(source: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a point of any kind has of its file."""
    celsius = metadata["sample"].get("temperature_c")
    return {
        "source": source.removesuffix(".journal"), "sample_k": None if celsius is None else celsius + ZERO_C_K,
        "power_uw": float(metadata["recipe"]["sample_power_uw"]),
        "waist_um": float(metadata["calibration"]["waist_um"]),
    }


def positive(text: str) -> float:
    """A number above zero, as a person types it; ValueError for anything else."""
    value = float(text.strip().replace(",", "."))
    if not (math.isfinite(value) and value > 0):
        raise ValueError(text)
    return value


def typed_number(text: str) -> Number:
    """A number above zero with its error, if there is one, typed or as the table writes it.

    >>> typed_number("2e-13 ± 1e-14"), typed_number("(2.00 ± 0.10) × 10⁻¹³")
    (Number(value=2e-13, se=1e-14), Number(value=2e-13, se=1e-14))
    """
    body, _, power = text.replace("(no error)", "").partition("×")
    exponent = f"e{power.strip().removeprefix('10').translate(LOWERED)}" if power else ""
    value, _, error = body.strip().strip("()").partition("±")
    return Number(positive(value.strip() + exponent), positive(error.strip() + exponent) if error else None)


def read_points(paths: Sequence[Path]) -> tuple[list[TrendPoint], list[str]]:
    """Points of files and of the parts of lists of files; and the names of those that hold none. For a lane."""
    points, without = [], []
    for path in (part for given in paths for part in parts_in(given)):
        with open_any(path) as scan:
            point = point_of(scan)
        if point is None:
            without.append(path.name)
        else:
            points.append(point)
    return points, without


def finished_points(path: Path) -> tuple[list[TrendPoint], list[str]]:
    """The point of a series that has ended, if it was finished; its name if that has no fit. For a lane."""
    with open_scan(path) as scan:
        if scan.metadata["state"] != RunState.FINISHED:
            return [], []
        point = point_of(scan)
    return ([], [path.name]) if point is None else ([point], [])


def energy_words(line: Arrhenius) -> str:
    """The activation energy with its error, widened (and that said) where the points lie off the line."""
    off = math.sqrt(max(line.reduced_chi2, 1.0))
    energy = Number(1e3 * line.activation_energy_ev, 1e3 * off * line.activation_energy_ev_se)
    words = f"activation energy {plus_minus(energy, 'meV')}"
    if off > OFF:
        words += f" (points lie {scientific(off, 2)} times their errors off the line, which widens this one)"
    return words


def arrhenius_of(
    points: Sequence[TrendPoint], room_k: float, name: str = "rate_per_s"
) -> Arrhenius | str:
    """The Arrhenius line through a quantity of the points that are not excluded, or why there is none.

    A number whose 95 % interval is open has no weight and stays out.
    """
    used = [(one.temperature(room_k), number) for one in points
            if not one.excluded and (number := getattr(one, name)) is not None and number.value > 0
            and not (number.interval is not None and number.se is None)]
    if not used:
        return "no points"
    if len({temperature for temperature, _ in used}) < 2:
        return "it needs points at two temperatures at least"
    temperatures = np.array([temperature for temperature, _ in used])
    values = np.array([number.value for _, number in used])
    errors = [number.se for _, number in used]
    sigma = np.array(errors, dtype=float) if all(error is not None and error > 0 for error in errors) else None
    try:
        return fit_arrhenius(temperatures, values, sigma)
    except ValueError as error:
        return str(error)
