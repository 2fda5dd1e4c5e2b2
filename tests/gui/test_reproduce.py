"""The paper's numbers: what contradicts is marked, what is recovered is within its error."""

import html
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from halidescope.acquisition.results import Number
from halidescope.gui.cli import run
from halidescope.gui.reproduction import benchtop, rows
from halidescope.gui.reproduction.claims import Claim
from halidescope.gui.reproduction.evaluating import Evaluated
from halidescope.gui.reproduction.measuring import Measured
from halidescope.gui.reproduction.report import print_table, write_page


def claims_without_measurements() -> list[Claim]:
    simulation, inverted = rows.simulations(2)
    nothing = Evaluated(Measured(Path()))
    return [
        *rows.instrument(nothing), *rows.activation(nothing), *rows.diffusion(nothing), *rows.shifts(nothing),
        *rows.temperature(), *rows.carrier_numbers(), *rows.monte_carlo(simulation, inverted),
    ]  # fmt: skip


def test_contradictions_are_marked_and_agreements_are_not() -> None:
    found = {claim.quantity: claim for claim in claims_without_measurements()}
    marked = {name for name, claim in found.items() if claim.contradicts}
    assert {"D at 293 K", "D at 293 K, elsewhere", "diffusion length L_D", "E_g at the start"} <= marked
    assert not marked & {
        "peak irradiance at 10 µW", "peak irradiance at 160 µW", "Eₐ of ⟨k⟩, x = 1", "Eₐ of ⟨k⟩, x = 1.5",
        "Eₐ of ⟨k⟩, x = 2", "carrier density at 50 µW",
    }  # fmt: skip
    assert found["D at 293 K"].formula == pytest.approx(3.9e-14, rel=0.01)
    assert found["diffusion length L_D"].formula == pytest.approx(183, abs=1)
    assert found["E_g at the start"].formula == pytest.approx(2.283, abs=5e-4)
    assert found["carrier density at 50 µW"].formula == pytest.approx(1.69e18, rel=0.01)
    assert found["Eₐ of ⟨k⟩, x = 1"].formula == pytest.approx(248.7, abs=0.1)
    assert abs(found["change of E_g where E_I > E_Br"].recovered.value) < 0.06      # type: ignore[union-attr]


def test_table_and_page_hold_every_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims = claims_without_measurements()
    print_table(claims)
    said = capsys.readouterr().out
    write_page(tmp_path / "page.html", claims, [], [])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for claim in claims:
        assert claim.quantity in said
        assert html.escape(claim.quantity) in page
    assert said.count("[!]") == sum(claim.contradicts for claim in claims) + 1
    assert "SIMULATED" in page
    assert json.loads(json.dumps([claim.plain() for claim in claims]))[0]["unit"] == "W/cm²"


def test_a_claim_says_how_far_it_is_off() -> None:
    claim = Claim(
        section="s", quantity="q", stated=1.0, tolerance=0.1, formula=1.2, recovered=Number(1.1, 0.05), truth=1.2
    )
    assert claim.contradicts
    assert claim.deviation == pytest.approx(-2.0)
    assert not Claim(section="s", quantity="q", stated=1.0, tolerance=0.2, formula=1.2).contradicts
    assert Claim(section="s", quantity="q", vague=True).contradicts
    assert Claim(section="s", quantity="q", recovered=Number(1.0)).deviation is None


def test_a_claim_made_of_numpys_numbers_is_plain_json() -> None:
    one = np.float64(1.0)
    claim = Claim(
        section="s", quantity="q", stated=one, stated_se=one, tolerance=0.1, formula=one * 2,
        recovered=Number(one, one), truth=one,
    )  # fmt: skip
    said = json.loads(msgspec.json.encode(claim.plain()))
    assert (said["formula"], said["contradiction"], said["deviation_se"]) == (2.0, True, 0.0)


def test_benchtop_measurements_are_covered_by_their_errors() -> None:
    pulls = []
    for seed in range(40):
        exciton = benchtop.absorption_of(2.0, seed).exciton_ev
        mean, deviation = benchtop.edges_from_micrographs(seed)
        pulls.append([
            (exciton.value - 2.0) / exciton.se, (mean.value - 12.4) / mean.se, (deviation.value - 5.8) / deviation.se
        ])  # fmt: skip
    assert np.all(np.abs(np.mean(pulls, axis=0)) < [1.2, 0.7, 0.7])     # 0.06 meV of the edge is in the exciton
    assert np.all(np.std(pulls, axis=0) > 0.7)
    assert np.all(np.std(pulls, axis=0) < 1.4)


def test_a_folder_with_files_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "film-0.nxs").write_text("x", encoding="utf-8")
    assert run(["reproduce", "--out", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_whole_reproduction_recovers_the_simulated_films(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reproduce", "--out", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    deviations = [one["deviation_se"] for one in said["claims"] if one["deviation_se"] is not None]
    assert len(deviations) > 25
    assert np.max(np.abs(deviations)) < 5
    assert np.sqrt(np.mean(np.square(deviations))) < 1.8
    assert (tmp_path / "out" / "reproduce.html").stat().st_size > 100_000
    assert len(list((tmp_path / "out" / "figures").glob("*.png"))) >= 9
