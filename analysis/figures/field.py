"""Figure 4 and Figure 5: the hyperspectral map around an exposed spot, its composition, and what spread."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import ArrayLike, NDArray

from halidescope.analysis.diffusion import Profile
from halidescope.analysis.figures import style


@dataclass(frozen=True)
class RadialProfile:
    """Mean over rings around the spot with standard errors, (n,) each; NaN errors where a ring has one pixel."""

    radius_um: NDArray[np.float64]
    value: NDArray[np.float64]
    value_se: NDArray[np.float64]


def map_figure(
    x_um: ArrayLike,
    y_um: ArrayLike,
    wavelength_nm: ArrayLike,
    spectra: ArrayLike,
    share: ArrayLike,
    centre_um: tuple[float, float],
    radius_um: float,
    *,
    share_se: ArrayLike | None = None,
    label: str = "Br-rich",
    profile_fit: tuple[ArrayLike, ArrayLike] | None = None,
    whiteness: ArrayLike | None = None,
    unit: str = "counts",
) -> Figure:
    """Figure 4: share of the grown phase, intensity, the profile through the exposed spot, spectra across it.

    Parameters
    ----------
    x_um, y_um : array_like, shape (nx,), (ny,)
    wavelength_nm : array_like, shape (channels,)
    spectra : array_like, shape (ny, nx, channels)
        Dark-subtracted counts; NaN where nothing was measured.
    share : array_like, shape (ny, nx)
        NaN where nothing was measured.
    centre_um : tuple of float
        Centre of the exposed spot; the profile runs along x through it.
    radius_um : float
        1/e radius of the halo, drawn as a circle; NaN if it is not known.
    share_se : array_like, shape (ny, nx), optional
        Standard errors of the shares, drawn on the profile.
    label : str
        Name of the grown phase.
    profile_fit : tuple of array_like, optional
        Positions in µm and fitted shares along the profile.
    whiteness : array_like, shape (ny, nx), optional
        Standard deviations of the residuals above white noise: where endmembers do not fit. A fifth panel.
    unit : str
        Of the spectra.
    """
    x, y = np.asarray(x_um, dtype=float), np.asarray(y_um, dtype=float)
    cube = np.asarray(spectra, dtype=float)
    grown = np.ma.masked_invalid(np.asarray(share, dtype=float))
    columns = 2 if whiteness is None else 3
    figure = Figure(figsize=(5.4 * columns, 8.4), layout="constrained")
    panels = figure.subplots(2, columns)
    (left, middle), (profile, lines) = panels[0, :2], panels[1, :2]
    style.draw_map(figure, left, x, y, 100 * grown, f"{label} share of the emission (%)")
    left.set_title("linear unmixing")
    style.draw_map(figure, middle, x, y, cube.sum(axis=-1), f"intensity ({unit})", colour_map=style.INTENSITY_MAP)
    middle.set_title("intensity")
    row = int(np.argmin(np.abs(y - centre_um[1])))
    left.axhline(y[row], color="white", lw=0.6, ls=":")
    if np.isfinite(radius_um):
        left.add_patch(Circle(centre_um, radius_um, fill=False, color="white", lw=0.8))

    error = None if share_se is None else 100 * np.asarray(share_se, dtype=float)[row]
    profile.errorbar(
        x, 100 * grown[row], error, fmt="o", ms=3, lw=0.7, color=style.BROMIDE_RICH, label=f"y = {y[row]:g} µm"
    )
    if profile_fit is not None:
        at, fitted = (np.asarray(part, dtype=float) for part in profile_fit)
        profile.plot(at, 100 * fitted, color="black", lw=1.2, label="Gaussian halo")
    profile.set(xlabel="x (µm)", ylabel=f"{label} share of the emission (%)", title="profile through the spot")
    style.legend(profile)

    wavelength = np.asarray(wavelength_nm, dtype=float)
    start = int(np.argmin(np.abs(x - centre_um[0])))
    places = style.evenly_changed(-np.ma.filled(grown[row], 0.0)[start:], 5) + start
    seen = style.emitting_window(wavelength, cube[row, places])
    for column, shade in zip(places, style.shades(len(places))[::-1], strict=True):
        lines.plot(
            wavelength[seen], cube[row, column, seen], color=shade, lw=1,
            label=f"{abs(x[column] - centre_um[0]):.0f} µm",
        )  # fmt: skip
    lines.set(xlabel="wavelength (nm)", ylabel=f"intensity ({unit})", title="spectra at distances from the spot")
    style.legend(lines)
    if whiteness is not None:
        test, rest = panels[0, 2], panels[1, 2]
        z = np.asarray(whiteness, dtype=float)
        style.draw_map(figure, test, x, y, z, "residual above white noise (standard deviations)")
        test.set_title("do the endmembers fit?")
        known = z[np.isfinite(z)]
        rest.hist(known, bins=40, color="0.4")
        rest.axvline(6.0, color="black", lw=0.8, ls=":", label="flagged above")
        rest.set(xlabel="residual above white noise (standard deviations)", ylabel="pixels", title="all pixels")
        style.legend(rest)
        style.panel_letters(left, middle, test, profile, lines, rest)
    else:
        style.panel_letters(left, middle, profile, lines)
    return figure


def composition_figure(
    x_um: ArrayLike,
    y_um: ArrayLike,
    iodine: ArrayLike,
    iodine_se: ArrayLike,
    centre_um: tuple[float, float],
    *,
    flagged: ArrayLike | None = None,
    film_x: float | None = None,
    radial: RadialProfile | None = None,
    profile: Profile | None = None,
    profile_points: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    unit: str = "counts",
) -> Figure:
    """Figure 5: iodine content of every pixel from its peak energy, the line through the spot, and the diffusion
    profile.

    Parameters
    ----------
    x_um, y_um : array_like, shape (nx,), (ny,)
    iodine, iodine_se : array_like, shape (ny, nx)
        x of CsPbBr(3-x)I(x) with standard errors; NaN where a peak energy belongs to no composition.
    flagged : array_like of bool, shape (ny, nx), optional
        Pixels whose energy lies outside [0, 3]: marked, never clipped.
    centre_um : tuple of float
        The exposed spot.
    film_x : float, optional
        Composition of the film as made, a dotted line.
    radial : RadialProfile, optional
        Mean iodine content over rings.
    profile : Profile, optional
        Fit of the paper's equation 1 to the line through the spot.
    profile_points : tuple of (x_um, intensity, intensity_se), optional
        What ``profile`` was fitted to.
    unit : str
        Of that intensity.
    """
    x, y = np.asarray(x_um, dtype=float), np.asarray(y_um, dtype=float)
    content, error = np.asarray(iodine, dtype=float), np.asarray(iodine_se, dtype=float)
    figure = Figure(figsize=(14.5, 4.2), layout="constrained")
    left, line, spread = figure.subplots(1, 3)
    style.draw_map(figure, left, x, y, content, "iodine x in CsPbBr(3−x)I(x)", colour_map="cividis")
    left.set_title("composition from the peak energy")
    row = int(np.argmin(np.abs(y - centre_um[1])))
    left.axhline(y[row], color="white", lw=0.6, ls=":")
    if flagged is not None and np.any(flagged):
        rows, columns = np.nonzero(np.asarray(flagged))
        left.plot(x[columns], y[rows], "x", ms=3, color="white", mew=0.7)
        left.set_xlabel("x (µm)      × outside 0 … 3, not clipped")
    line.errorbar(x, content[row], error[row], fmt="o", ms=3, lw=0.7, color="black", label=f"y = {y[row]:g} µm")
    if radial is not None:
        for side in (-1, 1):
            line.errorbar(
                centre_um[0] + side * radial.radius_um, radial.value, np.nan_to_num(radial.value_se), fmt="-", lw=1,
                color="0.5", elinewidth=0.7, label="mean over rings" if side > 0 else None,
            )  # fmt: skip
        line.set_xlim(x.min(), x.max())
    if film_x is not None:
        line.axhline(film_x, color=style.IODIDE_RICH, ls=":", lw=1, label=f"film as made, x = {film_x:g}")
    line.set(xlabel="x (µm)", ylabel="iodine per formula unit", title="line through the spot")
    style.legend(line)
    if profile_points is not None:
        at, intensity, intensity_se = (np.asarray(part, dtype=float) for part in profile_points)
        spread.errorbar(
            at, intensity, intensity_se, fmt="o", ms=3, lw=0.7, color=style.BROMIDE_RICH, label="emission"
        )
    if profile is not None:
        fine = np.linspace(x.min(), x.max(), 400)
        spread.plot(fine, profile.evaluate(fine), color="black", lw=1.2, label="equation 1")
        words = [
            style.number("D", profile.diffusivity_m2_s, profile.diffusivity_m2_s_se, "m²/s"),
            style.number("√(4Dt)", profile.width_um, profile.width_um_se, "µm"),
        ]
        style.note(spread, words, "upper left")
        spread.set_ylim(top=1.3 * float(np.nanmax(profile.evaluate(fine))))
    spread.set(xlabel="x (µm)", ylabel=f"intensity ({unit})", title="profile of the grown phase")
    style.legend(spread, loc="upper right")
    style.panel_letters(left, line, spread)
    return figure
