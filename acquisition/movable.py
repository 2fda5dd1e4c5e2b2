"""What movable endmembers add to an analysis: how far they moved, and yield and rates from the shares they give."""

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.results import Number, numbers_of
from halidescope.acquisition.scan import Scan
from halidescope.analysis.kinetics import Biexponential
from halidescope.analysis.kinetics_intervals import reported_intervals
from halidescope.analysis.nuisance import NuisanceUnmixing
from halidescope.analysis.series_numbers import NAMES, SeriesNumbers, told
from halidescope.analysis.time_errors import fit_with_time_errors

Numbers = NDArray[np.float64]
FREE = NAMES[:4]     # yield and rates


def free_kinetics(
    found: NuisanceUnmixing, drawn: list[NuisanceUnmixing], scan: Scan, phi_time_s: float
) -> dict[str, Number]:
    """Yield and rates from the shares that movable endmembers give.

    ``drawn`` are unmixings with noisier endmembers (F + δ, F − δ, …): their scatter is the endmembers' part of the
    errors.
    """
    zero_se = float(scan.metadata.get("light_on_se_s") or 0.0)

    def kinetics(one: NuisanceUnmixing) -> tuple[Biexponential, tuple[Numbers, Numbers, Numbers]]:
        share, error = one.unmixing.shares[..., -1], one.unmixing.shares_se[..., -1]
        good = scan.valid & np.isfinite(scan.time_s) & one.unmixing.valid & (error > 0)
        times = scan.time_s[good]
        fit, used = fit_with_time_errors(
            times, share[good], rising=True, sigma=error[good], t_se=np.nan_to_num(scan.time_se_s[good])
        )
        return fit, (times, share[good], used)

    def values(fit: Biexponential) -> dict[str, float]:
        six = fit.share_at(phi_time_s).value, fit.average_rate, fit.k1, fit.k2, fit.k01, fit.k02
        return {name: float(value) for name, value in zip(NAMES, six, strict=True)}

    (fit, trace), others = kinetics(found), [values(kinetics(one)[0]) for one in drawn]
    # a later zero of time by δ makes k0i into k0i (1 − ki δ): yield and average rate move with it
    k, k0 = np.array([fit.k1, fit.k2]), np.array([fit.k01, fit.k02])
    moved = dict.fromkeys(NAMES, 0.0)
    if not fit.constant:
        moved["phi"] = float(k0 * k @ np.exp(-k * phi_time_s))
        if not fit.one_exponential_suffices:
            moved["average_rate_per_s"] = float((k - k0 @ k / k0.sum()) @ (k0 * k) / k0.sum())
    measured = values(fit)
    spread = {
        name: float(np.hypot(
            zero_se * moved[name], np.sqrt(np.mean([(one[name] - value) ** 2 for one in others])) if others else 0.0
        ))
        for name, value in measured.items()
    }  # fmt: skip
    errors = fit.share_at(phi_time_s).se, fit.average_rate_se, fit.k1_se, fit.k2_se, fit.k01_se, fit.k02_se
    total = np.hypot(errors, list(spread.values()))
    intervals = reported_intervals(*trace, fit, phi_time_s, systematic_se=spread)
    return {f"free_{name}": number for name, number in numbers_of(
        SeriesNumbers(**told(list(measured.values()), total, intervals), phi_time_s=phi_time_s, intervals=intervals)
    ).items() if name in FREE}


def moved_by(found: NuisanceUnmixing, valid: NDArray[np.bool_], labels: tuple[str, ...]) -> dict[str, Number]:
    """Weighted mean shift and broadening of every endmember over the scan."""
    numbers = {}
    for k, label in enumerate(labels):
        name = "".join(letter if letter.isalnum() else "_" for letter in label.lower())
        for word, values, errors in (
            ("shift_ev", found.shift_ev, found.shift_ev_se),
            ("broadening_ev2", found.broadening_ev2, found.broadening_ev2_se),
        ):
            good = valid & np.isfinite(values[..., k]) & (errors[..., k] > 0)
            if good.any():
                weights = errors[..., k][good] ** -2
                numbers[f"{name}_{word}"] = Number(
                    float(weights @ values[..., k][good] / weights.sum()), float(weights.sum() ** -0.5)
                )
    return numbers
