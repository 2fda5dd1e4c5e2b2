"""The page of one analysed file: numbers, the figures that its kind has, and where everything came from."""

from collections.abc import Mapping
from typing import Any

from halidescope.acquisition.batch import Analysis
from halidescope.acquisition.endmembers import TURNS_AT_X
from halidescope.acquisition.pictures import figure_2, figure_4, figure_5, figure_7
from halidescope.acquisition.results import Number
from halidescope.acquisition.scan import Scan
from halidescope.analysis.figures import spectra_figure
from halidescope.analysis.flags import Flag
from halidescope.analysis.halo import HaloResult
from halidescope.analysis.series import SeriesResult
from halidescope.gui.report import Picture, Report, Row, Section
from halidescope.gui.values import field_words

NAMES = {
    "phi": ("yield φ", "%", 100.0),
    "average_rate_per_s": ("average rate ⟨k⟩", "s⁻¹", 1.0),
    "k1_per_s": ("k₁", "s⁻¹", 1.0),
    "k2_per_s": ("k₂", "s⁻¹", 1.0),
    "halo_radius_um": ("halo radius (1/e)", "µm", 1.0),
    "diffusivity_m2_s": ("D, profile through the spot", "m²/s", 1.0),
    "halo_diffusivity_m2_s": ("D, whole halo", "m²/s", 1.0),
}


def analysis_page(
    scan: Scan, analysis: Analysis, origin: Mapping[str, Any], plain: Mapping[str, object]
) -> Report:
    """The report of one file; ``plain`` is what its JSON says."""
    again = plain.get("online_differs_by")
    notes = list(analysis.notes)
    if isinstance(again, float):
        how = f"within {again:.1e}" if again else "bit for bit"
        notes.append(f"The online analysis comes out of this file again {how}.")
    return Report(
        title=str(scan.metadata.get("title") or scan.source),
        subtitle=f"{plain['file']}: {analysis.spectra} spectra, wavelengths in {analysis.medium}.",
        simulated=scan.simulated,
        rows=[_row(name, number) for name, number in analysis.numbers.items()],
        sections=list(_sections(scan, analysis)),
        notes=notes,
        provenance=[
            *((f"{one['file']} ({one['bytes']} bytes)", f"sha256 {one['sha256']}") for one in origin["inputs"]),
            *((name, version) for name, version in origin["versions"].items()),
            ("settings", str(origin["settings"])),
        ],
        truths=False,
    )


def _row(name: str, number: Number) -> Row:
    label, unit, scale = NAMES.get(name, (*field_words(name), 1.0))
    se = float("nan") if number.se is None else scale * number.se
    return Row(label, scale * number.value, se, unit, shown=number.words(unit, scale))


def _sections(scan: Scan, analysis: Analysis) -> list[Section]:
    sections: list[Section] = []
    if isinstance(analysis.result, SeriesResult):
        sections.append(Section(
            "Time series",
            "Spectra of one spot under constant light, unmixed into the endmembers; the growing share is fitted with "
            "1 − (k₀₁ e^(−k₁ t) + k₀₂ e^(−k₂ t)).",
            [Picture(figure_2(scan, analysis), "Spectra against time, spectra at chosen times, shares of emission.")],
        ))  # fmt: skip
        x = scan.metadata.get("recipe", {}).get("sample", {}).get("composition") or 0.0
        if x >= TURNS_AT_X and analysis.peaks is not None:
            sections.append(Section(
                "Peak shift", "The peak of one Gaussian over the whole emission, against time.",
                [Picture(figure_7((scan, analysis)), "Spectra, shares, and the shift of the peak.")],
            ))  # fmt: skip
    elif isinstance(analysis.result, HaloResult):
        pictures = [Picture(
            figure_4(scan, analysis),
            "Share of the grown phase in the emission with the halo's 1/e radius, intensity, test of the residuals, "
            "profile along the dotted line, spectra at distances from the spot.",
        )]  # fmt: skip
        if analysis.peaks is not None and not analysis.result.halo.flags & Flag.NO_SIGNAL:
            pictures.append(Picture(
                figure_5(scan, analysis), "Iodine content from the peak energy of every pixel; diffusion profile."
            ))  # fmt: skip
        sections.append(Section("Map", "Grey pixels were not measured, or have no sound peak.", pictures))
    if analysis.endmembers is not None:
        shapes = [spectrum / spectrum.max() for spectrum in analysis.endmembers.spectra]
        sections.append(Section(
            "Endmembers", "; ".join(f"{one}: {where}" for one, where in zip(
                analysis.labels, analysis.endmembers.sources, strict=True
            )) + ".",
            [Picture(
                spectra_figure(analysis.endmembers.wavelength_nm, shapes, analysis.labels),
                "Endmembers of the unmixing, normalised to their maxima.",
            )],
        ))  # fmt: skip
    else:
        mean = scan.mean_spectrum()
        sections.append(Section(
            "Spectrum", "Mean of all valid spectra, dark subtracted.",
            [Picture(
                spectra_figure(scan.wavelength_nm, [mean.counts], ["mean"], ylabel="intensity (counts)"),
                "Mean spectrum.",
            )],
        ))  # fmt: skip
    return sections
