"""The three instruments of a microscope file: connecting them; checking them without moving or lighting anything."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

from halidescope.acquisition.holding import Holding, InUseError
from halidescope.acquisition.microscope import LaserTable, MicroscopeFile, SpectrometerTable, StageTable
from halidescope.acquisition.problems import BadFileError
from halidescope.drivers import catalogue
from halidescope.drivers.errors import InstrumentError
from halidescope.drivers.roles import Instrument, Laser, Spectrometer, Stage

Role = Literal["laser", "stage", "spectrometer"]
SignOfLife = Callable[[], object]
ROLES: tuple[Role, ...] = ("laser", "stage", "spectrometer")
ANSWER_S = 1.5    # real seconds that an answer may take; shorter than what a watchdog takes for a hang


@dataclass
class Instruments:
    """The connected instruments of one microscope; whoever connected them closes them."""

    laser: Laser
    stage: Stage
    spectrometer: Spectrometer

    def identities(self) -> dict[str, dict[str, str]]:
        """Role → manufacturer, model, serial, firmware."""
        return {role: identity_of(getattr(self, role)) for role in ROLES}

    def close(self) -> None:
        """Close all three ports, also if one of them fails to; raises the first failure then."""
        failures = []
        for role in ROLES:
            try:
                getattr(self, role).close()
            except InstrumentError as error:
                failures.append(error)
        if failures:
            raise failures[0]


def identity_of(instrument: Instrument) -> dict[str, str]:
    """Manufacturer, model, serial, firmware."""
    who = instrument.identity
    return {"manufacturer": who.manufacturer, "model": who.model, "serial": who.serial, "firmware": who.firmware}


def connect_role(microscope: MicroscopeFile, role: Role, sign_of_life: SignOfLife | None = None) -> Any:
    """Connect one instrument of a microscope file.

    Parameters
    ----------
    sign_of_life : callable, optional
        Called before every request to it, from now on.

    Raises
    ------
    InstrumentError
        It does not answer, or is another model.
    BadFileError
        The file's model is unknown, or plays another role.
    """
    return connect_table(getattr(microscope, role), role, sign_of_life)


def connect_table(
    table: LaserTable | StageTable | SpectrometerTable, role: Role, sign_of_life: SignOfLife | None = None
) -> Any:
    """Connect one instrument by its table alone; raises as :func:`connect_role`."""
    settings: dict[str, Any] = dict(table.settings)
    try:
        return catalogue.connect(
            table.model, table.resource, role=role, timeout_s=ANSWER_S, sign_of_life=sign_of_life, **settings
        )
    except (catalogue.UnknownModelError, catalogue.SettingError) as error:
        raise BadFileError(f"microscope file: [{role}] {error}") from error


def connect(microscope: MicroscopeFile, one: Callable[[Role], Any] | None = None) -> Instruments:
    """Connect laser, stage and spectrometer; if one fails, those already connected are closed again.

    Parameters
    ----------
    one : callable, optional
        Connects the instrument of a role; :func:`connect_role` by default.

    Raises
    ------
    InstrumentError, BadFileError
        As :func:`connect_role`.
    """
    connected: dict[str, Any] = {}
    try:
        for role in ROLES:
            connected[role] = one(role) if one is not None else connect_role(microscope, role)
    except (InstrumentError, BadFileError):
        for instrument in connected.values():
            instrument.close()
        raise
    return Instruments(**connected)


def holding_of(microscope: MicroscopeFile) -> Holding:
    """The right to talk with the instruments of a microscope file, which one program has at a time."""
    return Holding(_named(getattr(microscope, role), role) for role in ROLES)


def _named(table: LaserTable | StageTable | SpectrometerTable, role: Role) -> tuple[str, str]:
    return f"{role} {table.model} ({table.resource})", table.resource


class DeviceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one instrument says of itself; ``problem`` is the sentence if it could not be asked."""

    role: str
    model: str
    resource: str
    ok: bool
    problem: str = ""
    identity: dict[str, str] = {}
    values: dict[str, Any] = {}


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of :func:`check`, ready for JSON (``msgspec.json.encode``)."""

    ok: bool
    simulated: bool
    devices: list[DeviceReport]

    @property
    def problems(self) -> list[str]:
        """One sentence per instrument that failed."""
        return [device.problem for device in self.devices if not device.ok]


def _laser_values(laser: Laser) -> dict[str, Any]:
    return {
        "wavelength_nm": laser.wavelength_nm, "power_limits_mw": laser.power_limits_mw,
        "power_setpoint_mw": laser.power_setpoint_mw, "state": laser.state.value, "emission": laser.emission,
        "interlock_closed": laser.interlock_closed, "fault": laser.fault,
    }


def _stage_values(stage: Stage) -> dict[str, Any]:
    return {"limits_um": stage.limits_um, "position_um": stage.position_um, "tolerance_um": stage.tolerance_um}


def _spectrometer_values(spectrometer: Spectrometer) -> dict[str, Any]:
    axis = spectrometer.wavelength_nm
    return {
        "pixels": spectrometer.pixels, "wavelength_nm": (float(axis.min()), float(axis.max())),
        "exposure_limits_s": spectrometer.exposure_limits_s, "exposure_s": spectrometer.exposure_s,
        "saturation_counts": spectrometer.saturation_counts,
    }


_READ: dict[str, Callable[[Any], dict[str, Any]]] = {
    "laser": _laser_values, "stage": _stage_values, "spectrometer": _spectrometer_values,
}


def check(microscope: MicroscopeFile) -> CheckReport:
    """Connect every instrument, read who it is, its limits and its state, and close it. Moves and lights nothing.

    An instrument that cannot be reached does not hide the others: its sentence is in the report.
    """
    devices = [check_table(getattr(microscope, role), role) for role in ROLES]
    return CheckReport(ok=all(device.ok for device in devices), simulated=microscope.simulated, devices=devices)


def check_table(table: LaserTable | StageTable | SpectrometerTable, role: Role) -> DeviceReport:
    """Connect one instrument, read who it is, its limits and its state, and close it. Moves and lights nothing."""
    try:
        with Holding([_named(table, role)]):
            instrument = cast(Instrument, connect_table(table, role))
            try:
                return DeviceReport(
                    role=role, model=table.model, resource=table.resource, ok=True, identity=identity_of(instrument),
                    values=_READ[role](instrument),
                )
            finally:
                instrument.close()
    except (InstrumentError, BadFileError, InUseError) as error:
        return DeviceReport(role=role, model=table.model, resource=table.resource, ok=False, problem=str(error))
