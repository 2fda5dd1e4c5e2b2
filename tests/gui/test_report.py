"""The report: numbers as a paper prints them, one self-contained page."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from halidescope.analysis.figures import spectra_figure
from halidescope.gui.report import Picture, Report, Row, Section


class _Links(HTMLParser):
    """Collects everything a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"src", "href", "xlink:href"} and value and not value.startswith(("#", "data:")):
                self.fetched.append(value)


def make_report(*, simulated: bool) -> Report:
    wavelength = np.linspace(400, 700, 300)
    bands = [np.exp(-(((wavelength - centre) / 10) ** 2)) for centre in (513, 590)]
    return Report(
        title="film <12>",
        subtitle="a test",
        simulated=simulated,
        rows=[Row("yield", 0.683, 0.012, "%", 0.70), Row("unknown", 1.0, 0.1, "nm")],
        sections=[
            Section("Endmembers", "Two bands.", [Picture(spectra_figure(wavelength, bands, ["a", "b"]), "Bands.")])
        ],
        notes=["Shares of the emission."],
        provenance=[("file", "time-series.nxs")],
    )


def test_a_simulated_report_says_so_at_every_figure_and_needs_no_other_file(tmp_path: Path) -> None:
    make_report(simulated=True).write(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    links = _Links()
    links.feed(page)
    assert links.fetched == []
    assert "SIMULATED" in page
    assert page.count("<strong>Simulated.</strong>") == 1
    assert "-1.4 standard errors" in page
    assert "film &lt;12&gt;" in page


def test_a_real_report_does_not_speak_of_simulation(tmp_path: Path) -> None:
    make_report(simulated=False).write(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "imulated" not in page
    assert "true value" not in page
