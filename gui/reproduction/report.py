"""The reproduced numbers on a page, in a table on the terminal, and as JSON; with the paper's figures from the
scans."""

import io
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
from rich.console import Console
from rich.table import Table

from halidescope.acquisition.pictures import (
    figure_1b,
    figure_2,
    figure_3,
    figure_4,
    figure_5,
    figure_7,
    figure_9,
)
from halidescope.analysis.composition import HC_EV_NM
from halidescope.analysis.kmc.paper_figure import monte_carlo_figure
from halidescope.analysis.kmc.run import KmcResult
from halidescope.gui.report import Picture, svg
from halidescope.gui.reproduction import benchtop
from halidescope.gui.reproduction.claims import Claim
from halidescope.gui.reproduction.evaluating import Evaluated
from halidescope.gui.reproduction.rows import EXCITONS

HEADINGS = ("quantity", "stated", "formula", "recovered", "true (simulated film)", "deviation", "unit")
STATED_GAPS = ((0.0, 2.27), (500.0, 2.45))      # steps, eV
SOURCE = "T. R. da Cunha et al., ACS Appl. Mater. Interfaces 2025, 17, 14389, doi 10.1021/acsami.4c19234"


def pictures(found: Evaluated, simulation: KmcResult) -> list[Picture]:
    """The paper's figures, drawn from the simulated measurements."""
    drawn = [Picture(
        figure_1b(
            [(x, scan) for x, (scan, _) in found.films.items()],
            [(x, seen.wavelength_nm, seen.absorbance) for x, seen in (
                (x, benchtop.absorption_of(HC_EV_NM / nm, k)) for k, (x, (nm, _)) in enumerate(EXCITONS.items())
            )],
            medium="vacuum",
        ),
        "Figure 1b: luminescence of the films (simulated microscope) and absorption (simulated spectrophotometer).",
    )]  # fmt: skip
    for x, by_power in found.series.items():
        scan, analysis = by_power[max(by_power)]
        if x != 2.0:
            drawn.append(Picture(figure_2(scan, analysis), f"Figure 2: reconstruction, x = {x:g}."))
        if len(by_power) > 2:
            kelvin = [found.measured.laws[x][power]["temperature_k"] for power in by_power]
            drawn.append(Picture(
                figure_3(list(by_power.values()), kelvin, found.rates.get(x)),
                f"Figure 3: power series, x = {x:g}; temperatures are those of the simulated film.",
            ))  # fmt: skip
    if found.maps:
        scan, analysis = found.maps[max(found.maps)]
        drawn.append(Picture(figure_4(scan, analysis), f"Figure 4: map around the spot of {max(found.maps):g} µW."))
        drawn.append(Picture(figure_5(scan, analysis), "Figure 5: iodine content and diffusion profile."))
    if found.segregation is not None:
        drawn.append(Picture(figure_7(found.segregation, found.recovery), "Figure 7: segregation and recovery, x = 2."))
    drawn.append(Picture(
        monte_carlo_figure(simulation, stated=STATED_GAPS), "Figure 8: kinetic Monte Carlo in the paper's steps."
    ))  # fmt: skip
    drawn.append(Picture(figure_9(50.0), "Figure 9: temperature and carriers at 50 µW."))
    return drawn


def write_page(path: Path, claims: Sequence[Claim], drawn: Sequence[Picture], measured: Sequence[Path]) -> None:
    """One self-contained HTML page."""
    text = (files("halidescope.gui.reproduction") / "page.html").read_text(encoding="utf-8")
    sections: dict[str, list[dict[str, object]]] = {}
    for claim in claims:
        sections.setdefault(claim.section, []).append(
            {"name": claim.quantity, "words": claim.words(), "unit": claim.unit, "marked": claim.contradicts,
             "remark": claim.remark}
        )  # fmt: skip
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text).render(
        headings=HEADINGS, sections=sections, source=SOURCE, version=version("halidescope"),
        figures=[{"svg": svg(one.figure), "caption": one.caption} for one in drawn],
        files=[file.name for file in measured], marked=sum(claim.contradicts for claim in claims),
    )  # fmt: skip
    path.write_text(page, encoding="utf-8")


def write_pngs(folder: Path, drawn: Sequence[Picture]) -> None:
    """Every figure as a file of its own, for slides."""
    folder.mkdir(exist_ok=True)
    for one in drawn:
        name = one.caption.split(":")[0].lower().replace(" ", "-")
        target, k = folder / f"{name}.png", 2
        while target.exists():
            target, k = folder / f"{name}-{k}.png", k + 1
        buffer = io.BytesIO()
        one.figure.savefig(buffer, format="png", dpi=150)
        target.write_bytes(buffer.getvalue())


def print_table(claims: Sequence[Claim]) -> None:
    """The table on a terminal; [!] marks what does not agree or is not said."""
    console = Console(soft_wrap=False)
    width = None if console.is_terminal else 150
    console = Console(width=width)
    for section in dict.fromkeys(claim.section for claim in claims):
        table = Table(title=section, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for k, heading in enumerate(("", *HEADINGS)):
            table.add_column(heading, justify="left" if k in (0, 1, 7) else "right", overflow="fold")
        for claim in (one for one in claims if one.section == section):
            table.add_row("\\[!]" if claim.contradicts else "", claim.quantity, *claim.words(), claim.unit)
        console.print(table)
    marked = [claim for claim in claims if claim.contradicts]
    console.print(f"\\[!] {len(marked)} of {len(claims)} contradict each other, or the paper does not say enough:")
    for claim in marked:
        console.print(f"    {claim.quantity}: {claim.remark}", highlight=False)


def deviations(claims: Sequence[Claim]) -> np.ndarray:
    """All deviations of recovered from true values, in standard errors."""
    return np.array([claim.deviation for claim in claims if claim.deviation is not None])
