"""What the demo found: ``summary.json`` and ``report.html``, recovered numbers beside the film's true ones."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from halidescope.acquisition.batch import Analysis, Endmembers, analyse_scan, load_endmembers
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.storage import open_scan
from halidescope.analysis.figures import map_figure, spectra_figure, time_series_figure
from halidescope.analysis.halo import HaloResult
from halidescope.analysis.series import SeriesResult
from halidescope.gui.demo_kmc import DemoComparison, no_comparison
from halidescope.gui.report import Picture, Report, Row, Section


@dataclass(frozen=True)
class Truth:
    """The simulated film's own numbers, asked from the simulator after the exposure."""

    phi: float
    average_rate_per_s: float
    k1_per_s: float
    k2_per_s: float
    halo_radius_um: float
    temperature_k: float
    diffusivity_m2_s: float

    @classmethod
    def from_simulator(cls, state: object, law: object) -> "Truth":
        """From the control port's ``film.state`` at the spot and ``film.law`` at the exposure's power."""
        spot, laws = cast(dict[str, float], state), cast(dict[str, float], law)
        return cls(
            phi=spot["share_converted"],
            average_rate_per_s=laws["average_rate_per_s"],
            k1_per_s=laws["k1_per_s"],
            k2_per_s=laws["k2_per_s"],
            halo_radius_um=laws["halo_radius_um"],
            temperature_k=laws["temperature_k"],
            diffusivity_m2_s=laws["diffusivity_m2_s"],
        )


def write_results(
    folder: Path,
    *,
    series_file: Path,
    map_file: Path,
    references: tuple[Path, Path],
    labels: tuple[str, str],
    truth: Truth,
) -> None:
    """Analyse the demo's files and write summary and report."""
    endmembers = load_endmembers(references, labels)
    with open_scan(series_file) as series_scan, open_scan(map_file) as map_scan:
        series, field = analyse_scan(series_scan, endmembers), analyse_scan(map_scan, endmembers)
        files = [*references, series_file, map_file]
        composition = series_scan.metadata["sample"]["composition"]
        simulated = None
        if labels[1] == "Br-rich":
            simulated = DemoComparison.of_series(cast(SeriesResult, series.result), composition)
        summary = _summary(folder, series, field, truth, labels[1], files)
        summary["kmc"] = None if simulated is None else simulated.numbers()
        (folder / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
        told = no_comparison(labels[1]) if simulated is None else simulated.section()
        _report(series_scan, map_scan, series, field, endmembers, truth, files, told).write(folder / "report.html")


def _yield_name(label: str) -> str:
    return "phi_ps" if label == "I-rich" else "phi_pr"


def _summary(
    folder: Path, series: Analysis, field: Analysis, truth: Truth, label: str, files: Sequence[Path]
) -> dict[str, Any]:
    numbers = series.numbers | field.numbers
    numbers[_yield_name(label)] = numbers.pop("phi")
    true_values = asdict(truth)
    true_values[_yield_name(label)] = true_values.pop("phi")
    summary: dict[str, Any] = {"simulated": True}
    for name, number in numbers.items():
        summary |= number.plain(name)
    return summary | {
        "truth": true_values,
        "spectra": series.spectra + field.spectra,
        "files": [path.relative_to(folder).as_posix() for path in (*files, folder / "report.html")],
        "notes": sorted({*series.notes, *field.notes}),
        "version": version("halidescope"),
    }


def _report(
    series_scan: Scan,
    map_scan: Scan,
    series: Analysis,
    field: Analysis,
    endmembers: Endmembers,
    truth: Truth,
    files: Sequence[Path],
    simulation: Section,
) -> Report:
    kinetics, halo = cast(SeriesResult, series.result), cast(HaloResult, field.result)
    numbers = series.numbers | field.numbers

    def row(name: str, key: str, unit: str, true_value: float | None, scale: float = 1.0) -> Row:
        number = numbers[key]
        se = float("nan") if number.se is None else number.se * scale
        truth = None if true_value is None else true_value * scale
        return Row(name, number.value * scale, se, unit, truth, number.words(unit, scale))

    recipe = series_scan.metadata["recipe"]
    return Report(
        title=f"Halidescope demo: {series_scan.metadata['sample']['name']}",
        subtitle=(
            f"{recipe['duration_s']:g} s at {recipe['sample_power_uw']:g} µW on one spot, then a map of "
            f"{field.spectra} points at {map_scan.metadata['recipe']['sample_power_uw']:g} µW."
        ),
        simulated=series_scan.simulated,
        rows=[
            row(f"yield φ after {kinetics.phi_time_s:.0f} s", "phi", "%", truth.phi, 100),
            row("average rate ⟨k⟩", "average_rate_per_s", "s⁻¹", truth.average_rate_per_s),
            row("k₁", "k1_per_s", "s⁻¹", truth.k1_per_s),
            row("k₂", "k2_per_s", "s⁻¹", truth.k2_per_s),
            row("halo radius (1/e)", "halo_radius_um", "µm", truth.halo_radius_um),
            row("halo centre x", "halo_centre_x_um", "µm", None),
            row("halo centre y", "halo_centre_y_um", "µm", None),
        ],
        notes=sorted({*series.notes, *field.notes}),
        sections=[
            _series_section(series_scan, kinetics, endmembers),
            _map_section(map_scan, halo, endmembers),
            simulation,
            Section(
                "Endmembers",
                "Both were measured in this session: the pristine film on fresh spots under a weak probe, the other "
                "phase on a pure reference film. Their noise is part of every standard error above.",
                [
                    Picture(
                        spectra_figure(
                            endmembers.wavelength_nm,
                            [spectrum / spectrum.max() for spectrum in endmembers.spectra],
                            endmembers.labels,
                        ),
                        "Endmembers of the unmixing, normalised to their maxima.",
                    )
                ],
            ),
        ],
        provenance=[
            ("halidescope", version("halidescope")),
            *((path.name, f"{path.stat().st_size / 1e6:.1f} MB") for path in files),
            *((role, " ".join(who.values())) for role, who in series_scan.metadata["identities"].items()),
        ],
    )


def _series_section(scan: Scan, result: SeriesResult, endmembers: Endmembers) -> Section:
    at = result.time_s
    band = result.kinetics.band(at)
    spectra = scan.spectra[scan.valid] - scan.dark.mean
    figure = time_series_figure(
        scan.wavelength_nm,
        at,
        spectra,
        result.share,
        result.unmixing.shares_se[..., -1],
        labels=(endmembers.labels[0], endmembers.labels[-1]),
        fit=(result.kinetics.evaluate(at), band.low, band.high),
    )
    return Section(
        "Time series",
        "Spectra of one spot under constant light, unmixed into the endmembers; the growing share is fitted with "
        "1 − (k₀₁ e^(−k₁ t) + k₀₂ e^(−k₂ t)).",
        [
            Picture(
                figure, "Left: spectra against time. Middle: spectra at chosen times. Right: shares of the emission."
            )
        ],
    )


def _map_section(scan: Scan, result: HaloResult, endmembers: Endmembers) -> Section:
    share = np.where(scan.valid & result.unmixing.valid, result.unmixing.shares[..., -1], np.nan)
    spectra = np.where(scan.valid[..., None], scan.spectra - scan.dark.mean, np.nan)
    x = np.linspace(scan.axes["x"][0], scan.axes["x"][-1], 400)
    row = scan.axes["y"][np.argmin(np.abs(scan.axes["y"] - result.centre_um[1]))]
    figure = map_figure(
        scan.axes["x"],
        scan.axes["y"],
        scan.wavelength_nm,
        spectra,
        share,
        result.centre_um,
        result.radius_um,
        share_se=result.unmixing.shares_se[..., -1],
        label=endmembers.labels[-1],
        profile_fit=(x, result.halo.evaluate(x, np.full_like(x, row))),
    )
    return Section(
        "Map",
        "The field around the exposed spot, read with a probe too weak to change it. Grey pixels were not measured.",
        [
            Picture(
                figure,
                "Share of the grown phase with the halo's 1/e radius; intensity; profile along the dotted line; "
                "spectra at distances from the spot.",
            )
        ],
    )
