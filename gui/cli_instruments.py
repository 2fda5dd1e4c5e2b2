"""Verbs about instruments: ``simulate``, ``check``, ``devices``."""

import os
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from halidescope.acquisition.problems import RefusedRunError
from halidescope.gui.terminal import complain, say_json

if TYPE_CHECKING:  # drivers and simulators load only with the verb that needs them
    from halidescope.simulators.microscope import ServedDevice

NO_DEVICE = "none"
COMPOSITIONS = (0.0, 1.0, 1.5, 2.0, 3.0)


def film_option(value: float) -> float:
    """Check that there is such a simulated film."""
    if value not in COMPOSITIONS:
        raise typer.BadParameter(f"no film x = {value:g}; there are x = 0, 1, 1.5, 2, 3")
    return value


def simulate(
    laser: str = typer.Option("cobolt-06-mld", help="Laser model, or 'none'."),
    stage: str = typer.Option("pi-e727", help="Stage model, or 'none'."),
    spectrometer: str = typer.Option("ocean-hdx", help="Spectrometer model, or 'none'."),
    laser_variant: str | None = typer.Option(None, help="'12 V' for a Cobolt head of that dialect."),
    stage_variant: str | None = typer.Option(None, help="'Tiger' for an ASI, 'two-axis' for a Zaber controller."),
    keyed: bool = typer.Option(False, "--keyed", help="A Cobolt head with a key switch; the control port turns it."),
    serial: bool = typer.Option(False, "--serial", help="Serve pseudo-terminals instead of TCP ports (POSIX only)."),
    speed: float = typer.Option(1.0, min=0.001, help="Microscope seconds per second."),
    film: float = typer.Option(
        1.5, callback=film_option, help="Composition x of the CsPbBr(3-x)I(x) film: 0, 1, 1.5, 2 or 3."
    ),
    control: int | None = typer.Option(None, min=0, max=65535, help="Also serve the control port; 0 picks a free one."),
    seed: int | None = typer.Option(None, help="Seed of the noise, for repeatable spectra."),
    microscope_out: Path | None = typer.Option(None, help="Write the matching microscope file here."),
    until_stdin_ends: bool = typer.Option(
        False, "--until-stdin-ends", help="Also end when standard input ends, as it does with a parent that is killed."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object per device."),
) -> None:
    """Serve simulated instruments on the wire until interrupted (Ctrl-C)."""
    from halidescope.simulators.microscope import SimulatedMicroscope

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if until_stdin_ends:
        threading.Thread(target=_wait_for_parent, args=(stop,), name="halidescope-parent", daemon=True).start()

    def chosen(model: str) -> str | None:
        return None if model == NO_DEVICE else model

    try:
        microscope = SimulatedMicroscope(
            laser=chosen(laser),
            stage=chosen(stage),
            spectrometer=chosen(spectrometer),
            speed=speed,
            composition=film,
            serial=serial,
            control_port=control,
            seed=seed,
            laser_variant=laser_variant,
            stage_variant=stage_variant,
            keyed=keyed,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with microscope as simulated:
        if microscope_out is not None:
            if NO_DEVICE in (laser, stage, spectrometer):
                raise RefusedRunError("a microscope file needs a laser, a stage and a spectrometer: leave out 'none'")
            microscope_out.write_text(simulated.microscope_toml(), encoding="utf-8")
        devices = list(simulated.devices)
        if simulated.control is not None:
            devices.append(simulated.control)
        for device in devices:
            if as_json:
                say_json(_plain(device))
            else:
                typer.echo(f"{device.role:<13} {device.model:<20} {device.resource}")
        typer.echo("ready")
        # the flag is set by a signal; a bounded wait lets Windows deliver it
        while not stop.wait(0.2):
            continue


def _wait_for_parent(stop: threading.Event) -> None:
    """Set ``stop`` when standard input ends; past Python's buffer, whose lock a thread may not hold at the exit."""
    while os.read(0, 4096):
        continue
    stop.set()


def _plain(device: "ServedDevice") -> dict[str, object]:
    plain: dict[str, object] = {"role": device.role, "model": device.model, "resource": device.resource}
    if device.path is not None:
        return plain | {"path": device.path}
    return plain | {"host": device.host, "port": device.port}


def check(
    microscope: Path = typer.Argument(help="Microscope file (TOML)."),
    as_json: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Connect to a microscope's instruments and read what they are; moves nothing, lights nothing."""
    from halidescope.acquisition.instruments import check as check_instruments
    from halidescope.acquisition.microscope import load_microscope

    report = check_instruments(load_microscope(microscope))
    if as_json:
        say_json(report)
    else:
        for device in report.devices:
            if not device.ok:
                continue
            who = device.identity
            typer.echo(f"{device.role} {device.model} ({device.resource})")
            typer.echo(f"  {'identity':<20} {who['manufacturer']} {who['model']}, {who['serial']}, {who['firmware']}")
            for name, value in device.values.items():
                typer.echo(f"  {name:<20} {value}")
    for problem in report.problems:
        complain(problem)
    if not report.ok:
        raise typer.Exit(1)


def devices(
    host: list[str] = typer.Option(
        [], help="Also ask this host on the instruments' ports; briefly connects, so not while a stage is in use."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
) -> None:
    """List the supported models and the ports found, with a guess which model sits where."""
    from halidescope.drivers.catalogue import MODELS
    from halidescope.drivers.finder import network_candidates, serial_candidates

    models = [{"model": name, "role": model.role, "description": model.description} for name, model in MODELS.items()]
    ports = [*serial_candidates(), *network_candidates(host)]
    if as_json:
        say_json({"models": models, "ports": [asdict(port) for port in ports]})
        return
    typer.echo("Supported models")
    for model in models:
        typer.echo(f"  {model['model']:<20} {model['role']:<13} {model['description']}")
    typer.echo("Ports found" if ports else "No serial port found; give a network instrument's address with --host")
    for port in ports:
        typer.echo(f"  {port.resource:<32} {port.model or 'unknown':<20} {port.description}; {port.reason}")


VERBS = (simulate, check, devices)
