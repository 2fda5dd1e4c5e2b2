"""What the connected instruments are and allow, as plain values that travel to the window."""

from typing import TypeGuard

import msgspec

from halidescope.acquisition.instruments import Instruments
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.drivers.roles import CooledSpectrometer, LaserState, LineScanner, Spectrometer, Stage


class LaserFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The laser head. Powers of the head in mW, at the sample in µW (both limits in force: head and file)."""

    device: str
    identity: dict[str, str]
    wavelength_nm: float
    head_limits_mw: tuple[float, float]
    sample_limits_uw: tuple[float, float]
    state: str                        # off, warming, waiting for key, arming delay, on, fault
    waits_for_key: bool
    warming_up: bool
    interlock_closed: bool
    fault: str | None
    emission: bool


class StageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The stage; ``lines`` tells whether it can run along lines without stopping."""

    device: str
    identity: dict[str, str]
    travel_um: tuple[tuple[float, float], tuple[float, float]]
    tolerance_um: float
    position_um: tuple[float, float]
    lines: bool


class SpectrometerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The spectrometer; the detector's temperature and cooler only if it has one."""

    device: str
    identity: dict[str, str]
    pixels: int
    wavelength_nm: tuple[float, float]
    exposure_limits_s: tuple[float, float]
    saturation_counts: int
    cooler_on: bool | None = None
    cooler_stable: bool | None = None
    cooler_setpoint_c: float | None = None
    detector_temperature_c: float | None = None


class InstrumentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The instruments as they were when last asked: at connecting, and every second while idle."""

    connected: bool
    at: str = ""                      # ISO 8601, UTC
    simulated: bool = False
    waist_um: float = 1.0
    laser: LaserFacts | None = None
    stage: StageFacts | None = None
    spectrometer: SpectrometerFacts | None = None


def scans_lines(stage: Stage) -> TypeGuard[LineScanner]:
    """True if the stage can run along lines. Asks the class: ``isinstance`` would read every property on the wire."""
    return hasattr(type(stage), "start_line")


def is_cooled(spectrometer: Spectrometer) -> TypeGuard[CooledSpectrometer]:
    """True if the detector has a cooler. Asks the class, as :func:`scans_lines` does."""
    return hasattr(type(spectrometer), "cooler_stable")


def facts_of(instruments: Instruments, microscope: MicroscopeFile, at: str) -> InstrumentFacts:
    """Ask connected instruments for what they are; moves and lights nothing. Raises InstrumentError."""
    laser, stage, spectrometer = instruments.laser, instruments.stage, instruments.spectrometer
    identities, axis, state = instruments.identities(), spectrometer.wavelength_nm, laser.state
    lowest, highest = (microscope.sample_uw(head) for head in laser.power_limits_mw)
    cooled = spectrometer if is_cooled(spectrometer) else None
    return InstrumentFacts(
        connected=True, at=at, simulated=microscope.simulated, waist_um=microscope.optics.waist_um,
        laser=LaserFacts(
            device=laser.device, identity=identities["laser"], wavelength_nm=laser.wavelength_nm,
            head_limits_mw=laser.power_limits_mw,
            sample_limits_uw=(lowest, min(highest, microscope.laser.max_sample_uw)), state=state.value,
            waits_for_key=state is LaserState.WAITING_FOR_KEY, warming_up=state is LaserState.WARMING,
            interlock_closed=laser.interlock_closed, fault=laser.fault, emission=laser.emission,
        ),
        stage=StageFacts(
            device=stage.device, identity=identities["stage"], travel_um=stage.limits_um,
            tolerance_um=stage.tolerance_um, position_um=stage.position_um, lines=scans_lines(stage),
        ),
        spectrometer=SpectrometerFacts(
            device=spectrometer.device, identity=identities["spectrometer"], pixels=spectrometer.pixels,
            wavelength_nm=(float(axis.min()), float(axis.max())), exposure_limits_s=spectrometer.exposure_limits_s,
            saturation_counts=spectrometer.saturation_counts,
            cooler_on=cooled.cooler_on if cooled else None,
            cooler_stable=cooled.cooler_stable if cooled else None,
            cooler_setpoint_c=cooled.cooler_setpoint_c if cooled else None,
            detector_temperature_c=cooled.temperature_c if cooled else None,
        ),
    )
