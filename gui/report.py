"""A measurement's report: one self-contained HTML page with numbers, errors and figures (SVG inside the page).

What it says is computed elsewhere; here it is only set.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Row:
    """One number of the report; ``truth`` only where the film is simulated."""

    name: str
    value: float
    se: float
    unit: str
    truth: float | None = None

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

    def write(self, path: Path) -> None:
        """Write the page."""
        text = (files("halidescope.gui") / "report.html").read_text(encoding="utf-8")
        page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
        path.write_text(
            page.render(
                title=self.title,
                subtitle=self.subtitle,
                simulated=self.simulated,
                rows=[_set(row) for row in self.rows],
                notes=self.notes,
                sections=[
                    {
                        "title": section.title,
                        "text": section.text,
                        "figures": [{"svg": _svg(p.figure), "caption": p.caption} for p in section.pictures],
                    }
                    for section in self.sections
                ],
                provenance=self.provenance,
            ),
            encoding="utf-8",
        )


def with_error(value: float, se: float) -> tuple[str, str]:
    """Value and error as a paper prints them: the error with two significant digits, the value to the same place.

    >>> with_error(0.021337, 0.00082)
    ('0.02134', '0.00082')
    """
    if not se > 0:
        return f"{value:.6g}", "–"
    digits = max(0, 1 - _exponent(se))
    return f"{value:.{digits}f}", f"{se:.{digits}f}"


def _exponent(value: float) -> int:
    return int(f"{value:.1e}".split("e")[1])


def _set(row: Row) -> dict[str, str]:
    value, error = with_error(row.value, row.se)
    digits = len(value.partition(".")[2])
    return {
        "name": row.name,
        "value": value,
        "error": error,
        "unit": row.unit,
        "truth": "–" if row.truth is None else f"{row.truth:.{digits}f}",
        "deviation": "–" if row.deviation is None else f"{row.deviation:+.1f} standard errors",
    }


def _svg(figure: Figure) -> str:
    """The figure as an SVG element, text kept as text so that the page can be searched."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "halidescope"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
