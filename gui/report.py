"""A measurement's report: one self-contained HTML page with numbers, errors and figures (SVG inside the page).

What it says is computed elsewhere; here it is only set.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure

from halidescope.analysis.rounding import plus_minus, rounded


@dataclass(frozen=True)
class Row:
    """One number of the report; ``truth`` only where the film is simulated."""

    name: str
    value: float
    se: float
    unit: str
    truth: float | None = None
    shown: str = ""       # instead of value ± error, e.g. an interval

    @property
    def deviation(self) -> float | None:
        """Distance from the truth in standard errors."""
        if self.truth is None or not self.se > 0:
            return None
        return (self.value - self.truth) / self.se


@dataclass(frozen=True)
class Picture:
    """A figure with its caption."""

    figure: Figure
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading, a paragraph, figures."""

    title: str
    text: str
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Report:
    """All that a report says."""

    title: str
    subtitle: str
    simulated: bool
    rows: Sequence[Row]
    sections: Sequence[Section]
    notes: Sequence[str] = ()
    provenance: Sequence[tuple[str, str]] = field(default=())
    truths: bool = True     # a column for the true values of a simulated film

    def write(self, path: Path) -> None:
        """Write the page."""
        path.write_text(self.html(), encoding="utf-8")

    def html(self) -> str:
        """The page as text."""
        text = (files("halidescope.gui") / "report.html").read_text(encoding="utf-8")
        page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
        return page.render(
            title=self.title,
            subtitle=self.subtitle,
            simulated=self.simulated,
            truths=self.simulated and self.truths,
            rows=[_set(row) for row in self.rows],
            notes=self.notes,
            sections=[
                {
                    "title": section.title,
                    "text": section.text,
                    "figures": [{"svg": svg(p.figure), "caption": p.caption} for p in section.pictures],
                }
                for section in self.sections
            ],
            provenance=self.provenance,
        )


def _set(row: Row) -> dict[str, str]:
    """A row's words; the truth with as many digits as the value."""
    true = "–"
    if row.truth is not None:
        known = math.isfinite(row.value) and math.isfinite(row.se) and row.se > 0
        digits = rounded(row.value, row.se) if known else None
        true = f"{row.truth:.4g}" if digits is None else f"{digits.like(row.truth)}{digits.factor}"
        true = f"{true} {row.unit}".rstrip()
    return {
        "name": row.name,
        "shown": row.shown or plus_minus(row.value, row.se, row.unit),
        "truth": true,
        "deviation": "–" if row.deviation is None else f"{row.deviation:+.1f} standard errors",
    }


def svg(figure: Figure) -> str:
    """The figure as an SVG element, text kept as text so that the page can be searched."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "halidescope"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
