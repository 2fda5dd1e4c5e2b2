"""The verb ``reproduce``: the paper's numbers, stated, by formula, and recovered from simulated measurements."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from halidescope.gui.terminal import StatusBar, say_json

REPLICAS = 16     # of the Monte Carlo simulation


def reproduce(
    out: Path | None = typer.Option(None, help="New folder for measured files, reproduce.html and figures."),
    speed: float = typer.Option(60.0, min=1.0, max=1000.0, help="Seconds of the simulated microscope per second."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Set every number of the paper beside what its formulas give and what simulated measurements recover.

    Simulated films are measured with simulated instruments on real sockets, and analysed as a user's files are: some
    three minutes. Contradictions are marked [!] and never adjusted.
    """
    from halidescope.gui.reproduction.evaluating import evaluate
    from halidescope.gui.reproduction.measuring import Plan, measure_all
    from halidescope.gui.reproduction.report import pictures, print_table, write_page, write_pngs
    from halidescope.gui.reproduction.rows import all_claims, simulations

    def say(words: str) -> None:
        typer.echo(words, err=True)

    plan = Plan(speed=speed)
    with _folder(out) as folder, StatusBar() as bar:
        measured = measure_all(folder, plan, say, bar.show)
        found = evaluate(measured, plan.map_film, say)
        try:
            say("kinetic Monte Carlo")
            simulation, inverted = simulations(REPLICAS)
            claims = all_claims(found, simulation, inverted)
            if out is not None:
                drawn = pictures(found, simulation)
                write_page(out / "reproduce.html", claims, drawn, sorted(folder.glob("*.nxs")))
                write_pngs(out / "figures", drawn)
        finally:
            found.close()
    if as_json:
        say_json({
            "simulated": True, "claims": [claim.plain() for claim in claims],
            "contradictions": sum(claim.contradicts for claim in claims),
            "report": None if out is None else str(out / "reproduce.html"),
        })  # fmt: skip
        return
    print_table(claims)
    if out is not None:
        typer.echo(f"report: {out / 'reproduce.html'}")


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The person's folder, or one that goes away again."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="halidescope-reproduce-") as folder:
        yield Path(folder)


VERBS = (reproduce,)
