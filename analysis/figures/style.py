"""How figures look: colours and line styles of the phases, image maps, axes, which part of a spectrum is worth drawing.

Green is bromide-rich and solid, red is iodide-rich and dashed, so that the two are told apart without colours too.
Images use perceptually uniform maps.
"""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.composition import HC_EV_NM, RICHEST
from halidescope.analysis.rounding import plus_minus

BROMIDE_RICH = "#1a9850"
IODIDE_RICH = "#d73027"
BROMIDE_LINE, IODIDE_LINE = "-", "--"
IMAGE_MAP = "viridis"
INTENSITY_MAP = "magma"
MISSING = "0.6"
SMALL = "small"
BY_COMPOSITION = LinearSegmentedColormap.from_list("bromide to iodide", [BROMIDE_RICH, "#b8860b", IODIDE_RICH])
LINES = ("-", (0, (6, 1)), (0, (4, 1, 1, 1)), (0, (2, 1)), "--")


def composition_colour(x: float) -> tuple[float, float, float, float]:
    """Colour of iodine content x per formula unit, green at 0, red at 3."""
    return BY_COMPOSITION(float(np.clip(x / RICHEST, 0.0, 1.0)))


def shades(count: int) -> NDArray[np.float64]:
    """Colours for spectra in an order (time, distance, power), from the image map without its palest end."""
    return np.asarray(colormaps[IMAGE_MAP](np.linspace(0.0, 0.9, max(count, 1))))


def energy_on_top(axes: Axes) -> None:
    """A second axis in eV above one in nm (vacuum wavelengths)."""

    def turn(value: ArrayLike) -> NDArray[np.float64]:
        return HC_EV_NM / np.maximum(np.asarray(value, dtype=float), 1e-9)

    top = axes.secondary_xaxis("top", functions=(turn, turn))
    top.set_xlabel("photon energy (eV)")


def legend(axes: Axes, **options: Any) -> None:
    """A legend without a box, in small type."""
    axes.legend(frameon=False, fontsize=SMALL, **options)


def panel_letters(*axes: Axes) -> None:
    """(a), (b), … at the upper left, outside."""
    for letter, one in zip("abcdefgh", axes, strict=False):
        one.set_title(f"({letter}) {one.get_title()}".rstrip(), loc="left", fontsize="medium")
        one.set_title("", loc="center")


def note(axes: Axes, lines: list[str], where: str = "upper left") -> None:
    """A few words inside the axes, on a pale ground."""
    x = 0.03 if "left" in where else 0.97
    y, aligned = {"upper": (0.97, "top"), "center": (0.5, "center"), "lower": (0.03, "bottom")}[where.split()[0]]
    axes.text(
        x, y, "\n".join(lines), transform=axes.transAxes, fontsize=SMALL, ha="left" if "left" in where else "right",
        va=aligned, bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 2},
    )  # fmt: skip


def number(symbol: str, value: float, se: float | None, unit: str = "") -> str:
    """``φ = 0.68 ± 0.01``, by the house's rule for rounding."""
    return f"{symbol} = {plus_minus(value, se, unit)}"


def draw_map(
    figure: Figure,
    axes: Axes,
    x_um: ArrayLike,
    y_um: ArrayLike,
    values: NDArray[np.float64],
    label: str,
    *,
    colour_map: str = IMAGE_MAP,
    low: float | None = None,
    high: float | None = None,
) -> None:
    """One map with equal axes in µm and a colour bar; missing pixels stay grey."""
    axes.set_facecolor(MISSING)
    mesh = axes.pcolormesh(
        np.asarray(x_um, dtype=float), np.asarray(y_um, dtype=float), np.ma.masked_invalid(values), cmap=colour_map,
        shading="nearest", rasterized=True, vmin=low, vmax=high,
    )  # fmt: skip
    figure.colorbar(mesh, ax=axes, label=label)
    axes.set(xlabel="x (µm)", ylabel="y (µm)", aspect="equal")


def emitting_window(wavelength_nm: NDArray[np.float64], spectra: NDArray[np.float64], margin_nm: float = 15.0) -> slice:
    """The channels in which any spectrum rises above 2 % of the highest, with a margin: what is worth drawing."""
    rows = np.atleast_2d(spectra)
    envelope = np.max(rows, axis=0, initial=0.0, where=np.isfinite(rows))
    bright = np.flatnonzero(envelope > 0.02 * envelope.max())
    if bright.size == 0:
        return slice(0, len(wavelength_nm))
    low, high = wavelength_nm[bright[0]] - margin_nm, wavelength_nm[bright[-1]] + margin_nm
    return slice(int(np.searchsorted(wavelength_nm, low)), int(np.searchsorted(wavelength_nm, high)) + 1)


def evenly_changed(share: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Indices of spectra between which about the same part of the change happened, first and last included."""
    travelled = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(np.nan_to_num(np.maximum.accumulate(share)))))])
    if not travelled[-1] > 0:
        return np.unique(np.linspace(0, len(share) - 1, count).astype(np.intp))
    return np.unique(np.searchsorted(travelled, np.linspace(0.0, travelled[-1], count)).clip(0, len(share) - 1))
