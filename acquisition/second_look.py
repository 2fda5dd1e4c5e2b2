"""After a cut-off: points that have a spectrum are measured again, to tell how far stage and film drifted meanwhile.

One point tells whether they changed, and costs one exposure; a line of points, which a map's recipe can ask for, tells
how far the film slid. The spectra are kept beside the first ones. The fit is in :mod:`halidescope.acquisition.slide`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.records import SpectrumRecord
from halidescope.acquisition.resume import Past
from halidescope.acquisition.slide import FEWEST, bands, slide

if TYPE_CHECKING:
    from halidescope.acquisition.measurement import Measurement


def look_again(measurement: "Measurement[Any]", past: Past, dark: NDArray[np.float64]) -> None:
    """Lit: measure again what was chosen, and say what became of stage and film.

    Parameters
    ----------
    dark : ndarray, shape (pixels,)
        Mean dark spectrum in counts.
    """
    sequence = past.repeats
    if (then := past.reference) is not None:
        now = measurement.repeat(then, sequence)
        sequence += 1
        if now is not None:
            wavelength_nm = np.asarray(past.header.wavelength_nm)
            measurement.note(f"point {then.index} again: {drift_words(then, now, dark, wavelength_nm)}")
    for line in past.lines:
        pairs = []
        for one in line:
            measurement.look()
            again = measurement.repeat(one, sequence)
            sequence += 1
            if again is not None:
                pairs.append((one, again))
        if len(pairs) >= FEWEST:
            measurement.note(*slide_words(pairs, dark))


def slide_words(pairs: list[tuple[SpectrumRecord, SpectrumRecord]], dark: NDArray[np.float64]) -> tuple[str, str]:
    """How far the film slid along a line of points, as a sentence and its level."""
    first, last = pairs[0][0], pairs[-1][0]
    axis = "x" if first.y_commanded_um == last.y_commanded_um else "y"
    at_um = np.array([getattr(then, f"{axis}_commanded_um") for then, _ in pairs])
    then, now = (bands(np.array([pair[k].counts for pair in pairs]), dark) for k in (0, 1))
    found = slide(at_um, then, now)
    what = f"points {first.index} to {last.index} again, a line along {axis}"
    if found is None:
        return f"{what}: the film is too even there, or changed too much, to tell how far it slid", "info"
    certain = abs(found.distance_um) > 3.0 * found.se_um
    return (
        f"{what}: the film slid by {found.distance_um:+.2f} ± {found.se_um:.2f} µm from then (correlation "
        f"{found.correlation:.3f})" + ("; points before and after the cut-off are apart by that" if certain else "")
    ), "warning" if certain else "info"


def drift_words(
    then: SpectrumRecord, now: SpectrumRecord, dark: NDArray[np.float64], wavelength_nm: NDArray[np.float64]
) -> str:
    """How a point's second spectrum and position compare with its first, as a sentence with numbers.

    Parameters
    ----------
    dark : ndarray, shape (pixels,)
        Mean dark spectrum in counts.
    """
    first, second = then.counts - dark, now.counts - dark
    stage = f"stage reads ({now.x_um - then.x_um:+.3f}, {now.y_um - then.y_um:+.3f}) µm from then"
    if np.std(first) == 0 or np.std(second) == 0 or first.sum() <= 0 or second.sum() <= 0:
        return f"{stage}; too dark there to compare the spectra"
    correlation = float(np.corrcoef(first, second)[0, 1])
    shift_nm = _centroid(second, wavelength_nm) - _centroid(first, wavelength_nm)
    return (
        f"{stage}; the film is {float(second.sum() / first.sum()):.3f} times as bright, its emission's centroid "
        f"{shift_nm:+.2f} nm from then, correlation {correlation:.4f}"
    )


def _centroid(counts: NDArray[np.float64], wavelength_nm: NDArray[np.float64]) -> float:
    """Mean wavelength of what rises above a fifth of the maximum, where noise has no say."""
    weights = np.where(counts > 0.2 * counts.max(), counts, 0.0)
    return float((weights * wavelength_nm).sum() / weights.sum())
