"""Verbs that measure or show: ``run``, ``demo``, ``view``, and the main window."""

import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from halidescope.acquisition.problems import ProblemError, RefusedRunError, RunEndedError
from halidescope.acquisition.states import Status
from halidescope.gui.cli_instruments import film_option
from halidescope.gui.terminal import StatusBar, say_json

if TYPE_CHECKING:  # drivers and fitters load only with the verb that needs them
    from halidescope.acquisition.microscope import MicroscopeFile
    from halidescope.acquisition.recipes import AnyRecipe


def has_display() -> bool:
    """True if a window can be shown to a person."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _need_qt() -> None:
    try:
        import qtpy.QtWidgets  # noqa: F401 - whichever Qt there is
    except ImportError as error:
        raise ProblemError(f'the window needs Qt ({error}); install it with: pip install "halidescope[gui]"') from error
    # without a display Qt ends the whole program; a platform that was asked for by name needs none
    if not has_display() and not os.environ.get("QT_QPA_PLATFORM"):
        raise ProblemError("there is no display for a window; measure with `halidescope run` or `demo --headless`")


def open_window() -> int:
    """Open the main window; the exit code."""
    _need_qt()
    from halidescope.gui.app import run_window

    return run_window()


def run(
    recipe: Path = typer.Argument(help="Recipe file (TOML)."),
    microscope: Path = typer.Option(..., help="Microscope file (TOML)."),
    out: Path = typer.Option(..., help="Measurement file to write (.nxs)."),
    resume: bool = typer.Option(
        False, "--resume", help="Complete FILE: a measurement of the same recipe that was cut off or aborted."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say duration, size, peak dose and violations; do nothing."),
    door: bool = typer.Option(
        False, "--door", help="Let a window or a script attach; what a fault policy asks then waits for an answer."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print progress and outcome as JSON lines."),
) -> None:
    """Run one measurement without a window. Ctrl-C aborts: dark first, then the file."""
    from halidescope.acquisition.client import free_session
    from halidescope.acquisition.microscope import load_microscope
    from halidescope.acquisition.plan import make_plan
    from halidescope.acquisition.recipes import load_recipe
    from halidescope.acquisition.run import run_recipe

    wanted, instruments = load_recipe(recipe), load_microscope(microscope)
    if dry_run:
        _say_plan(wanted, instruments, out, resume=resume, as_json=as_json)
        return
    if problems := make_plan(wanted, instruments, out, resume=resume).violations:
        raise RefusedRunError("; ".join(problems))

    abort = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: abort.set())
    with StatusBar() as bar:

        def show(status: Status) -> None:
            if as_json:
                say_json(status)
            else:
                bar.show(status)

        outcome = run_recipe(
            instruments, wanted, out, resume=resume, on_status=show, abort=abort,
            session=free_session() if door else None,
        )
    ended = outcome.status
    for event in outcome.events:
        if event.level == "warning" and not as_json:
            typer.echo(f"warning: {event.text}", err=True)
    if as_json:
        say_json({"state": ended.state, "reason": ended.reason, "file": str(outcome.file), "spectra": outcome.spectra})
    if not outcome.ok:
        where = f"{outcome.spectra} spectra are in {outcome.file}" if outcome.file.exists() else "nothing was measured"
        raise RunEndedError(f"{ended.state}: {ended.reason}; {where}")
    if not as_json:
        typer.echo(f"{ended.state}: {outcome.spectra} spectra in {outcome.file}")


def _say_plan(recipe: "AnyRecipe", microscope: "MicroscopeFile", out: Path, *, resume: bool, as_json: bool) -> None:
    """What the measurement would be; its limits are read from the instruments, which stay dark and still."""
    from halidescope.acquisition.endmembers import endmember_problems
    from halidescope.acquisition.instruments import connect, holding_of
    from halidescope.acquisition.plan import limits_of, make_plan

    with holding_of(microscope):
        instruments = connect(microscope)
        try:
            plan = make_plan(recipe, microscope, out, limits=limits_of(instruments), resume=resume)
            problems = plan.violations + endmember_problems(recipe, instruments.spectrometer.wavelength_nm)
        finally:
            instruments.close()
    if as_json:
        say_json(plan.summary())
    else:
        typer.echo(plan.title)
        typer.echo(f"  {'spectra':<18} {plan.spectra}")
        typer.echo(f"  {'duration':<18} {timedelta(seconds=round(plan.duration_s))}")
        typer.echo(f"  {'data':<18} {plan.bytes / 1e6:.1f} MB")
        typer.echo(f"  {'peak irradiance':<18} {plan.peak_irradiance_w_cm2:.4g} W/cm²")
        photons = plan.summary()["peak_photons_per_um2"]
        typer.echo(f"  {'peak dose':<18} {plan.peak_dose_j_cm2:.4g} J/cm², {photons:.3g} photons/µm²")
        altered = "not known (no rate in [change])" if plan.expected_change is None else f"{plan.expected_change:.2%}"
        typer.echo(f"  {'film that changes':<18} {altered}")
        for warning in plan.warnings:
            typer.echo(f"warning: {warning}", err=True)
    if problems:
        raise RefusedRunError("; ".join(problems))


def demo(
    headless: bool = typer.Option(False, "--headless", help="No window, even if there is a display."),
    out: Path | None = typer.Option(
        None, help="Folder for files and report (default: a new halidescope-demo-… folder)."
    ),
    speed: float = typer.Option(60.0, min=0.1, help="Microscope seconds per second."),
    film: float = typer.Option(1.5, callback=film_option, help="Composition x of the simulated CsPbBr(3-x)I(x) film."),
) -> None:
    """A simulated microscope: time series, then map, then analysis and report."""
    from halidescope.gui.demo import Demo, default_folder

    folder = out or default_folder()
    show = Demo(folder, speed=speed, film=film)
    if headless or not has_display():
        show.run_headless()
    else:
        _need_qt()
        show.run_in_window()
    typer.echo(f"report: {show.report}")
    typer.echo(f"numbers: {show.summary}")


def view(file: Path = typer.Argument(help="Measured file (.nxs or .nxs.journal).")) -> None:
    """Look at a measured file in the offline window."""
    _need_qt()
    from halidescope.gui.offline import view_file

    raise typer.Exit(view_file(file))


VERBS = (run, demo, view)
