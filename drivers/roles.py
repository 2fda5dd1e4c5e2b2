"""The three roles an instrument can play in a measurement, as small typed protocols.

The engine knows instruments only through these. A driver fulfils a role by having the members, not by inheriting.
Powers are those of the laser *head* in mW (what reaches the sample is the microscope's business), positions are the
controller's own coordinates in µm, exposures are in seconds. Every method waits a bounded time and raises an
:class:`~halidescope.drivers.errors.InstrumentError`; none returns a made-up value.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Identity:
    """Who an instrument says it is."""

    manufacturer: str
    model: str
    serial: str
    firmware: str


class LaserState(StrEnum):
    """What the laser head is doing."""

    OFF = "off"
    WARMING = "warming"
    WAITING_FOR_KEY = "waiting for key"
    ARMING = "arming delay"
    ON = "on"
    FAULT = "fault"


@dataclass(frozen=True)
class Spectrum:
    """One exposure as the spectrometer gave it.

    Attributes
    ----------
    counts : ndarray of uint16 or uint32, shape (pixels,)
        Raw counts, in the detector's own pixel order, nothing subtracted.
    exposure_s : float
        Exposure time in seconds of the microscope.
    saturated : bool
        True if any pixel reached the saturation level.
    """

    counts: NDArray[np.unsignedinteger]
    exposure_s: float
    saturated: bool


class Instrument(Protocol):
    """What every role has."""

    @property
    def device(self) -> str:
        """Role, model and resource, as error messages name it."""

    @property
    def identity(self) -> Identity:
        """Manufacturer, model, serial number and firmware, read when the connection was made."""

    def close(self) -> None:
        """Close the port. Safe to call twice."""


@runtime_checkable
class Laser(Instrument, Protocol):
    """A cw laser head. Emission is never on after construction."""

    @property
    def wavelength_nm(self) -> float:
        """Vacuum wavelength of the emission in nm."""

    @property
    def power_limits_mw(self) -> tuple[float, float]:
        """Lowest and highest set-point of the head in mW."""

    @property
    def power_setpoint_mw(self) -> float:
        """Set-point read back from the head, in mW."""

    @property
    def power_mw(self) -> float:
        """Power that the head measures now, in mW; 0 when dark."""

    @property
    def state(self) -> LaserState:
        """What the head is doing."""

    @property
    def emission(self) -> bool:
        """True if the head says that it emits, or is about to."""

    @property
    def interlock_closed(self) -> bool:
        """True if the interlock loop is closed, so that emission is possible."""

    @property
    def fault(self) -> str | None:
        """The latched fault in words, or None."""

    @property
    def found_emitting(self) -> bool:
        """True if the head emitted when it was connected; it was then switched off."""

    @property
    def lit_between_s(self) -> tuple[float, float] | None:
        """When light came at the last switch-on, as a bracket of real time: (still dark, lit).

        Two readings of ``time.perf_counter()``, in real seconds whatever the microscope's clock: the first was taken
        right before the last query that found the head dark was sent (or the switch-on itself, if none did), the second
        right after the first answer that showed light. The middle is the best guess of the instant, half the width its
        uncertainty. None before the first switch-on, and after one at zero power.
        """

    @property
    def dark_between_s(self) -> tuple[float, float] | None:
        """When light went, at the first switch-off after it was on, as a bracket of real time.

        Like :attr:`lit_between_s`; the first reading was taken right before the command was sent, the second right
        after it was answered. None if the head was not switched off since it was on, or was found dark.
        """

    def set_power(self, power_mw: float) -> None:
        """Set the head's power in mW and read the set-point back. Does not switch emission."""

    def turn_on(self) -> None:
        """Switch emission on and return when light is there; raises if interlock, key or a fault forbid it.

        The head must report emission and, if its set-point is above zero, measure power clearly above zero, because
        heads light up some tens of ms after they report it. Brings :attr:`lit_between_s` up to date.
        """

    def clear_fault(self) -> None:
        """Clear the latched fault, after a person has mended its cause; emission stays off."""

    def turn_off(self) -> None:
        """Switch emission off and verify it by reading back; raises NotDarkError if the head still emits."""


@runtime_checkable
class Stage(Instrument, Protocol):
    """A two-axis scanning stage."""

    @property
    def limits_um(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Travel of x and of y: ((x_min, x_max), (y_min, y_max)) in µm."""

    @property
    def position_um(self) -> tuple[float, float]:
        """Position read from the sensors, (x, y) in µm."""

    @property
    def tolerance_um(self) -> float:
        """Distance from the target at which a move still counts as arrived, in µm."""

    def move_to(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Move, wait until the controller says on target, read back and compare; returns the position read."""

    def stop(self) -> None:
        """Stop all axes now."""


@dataclass(frozen=True)
class Line:
    """A straight line that a stage runs along without stopping.

    Attributes
    ----------
    start_um, stop_um : tuple of float
        Both ends, (x, y) in µm.
    pixels : int
        Into how many equal pixels the line is divided; a stage with a trigger output gives one pulse a pixel.
    pixel_s : float
        Time for one pixel in seconds.
    """

    start_um: tuple[float, float]
    stop_um: tuple[float, float]
    pixels: int
    pixel_s: float

    def __post_init__(self) -> None:
        if self.start_um == self.stop_um:
            raise ValueError("the line has no length; choose a stop different from the start")
        if self.pixels < 1 or not 0 < self.pixel_s < float("inf"):
            raise ValueError(f"a line has at least one pixel of more than 0 s, not {self.pixels} of {self.pixel_s:g} s")

    @property
    def duration_s(self) -> float:
        """Time from start to stop in seconds."""
        return self.pixels * self.pixel_s


@runtime_checkable
class LineScanner(Stage, Protocol):
    """A stage that runs along lines without stopping. Optional: ask with ``isinstance``."""

    @property
    def line_trigger(self) -> bool:
        """True if the controller gives a pulse on its output at every pixel (or marks start and stop of the line)."""

    def start_line(self, line: Line) -> None:
        """Go to the line's start, begin to move along it, and return at once."""

    @property
    def line_running(self) -> bool:
        """True while the stage is on its way along the line."""

    def finish_line(self) -> tuple[float, float]:
        """Wait for the line's end, compare, and return the position read; raises MoveError."""

    def abandon_line(self) -> None:
        """Stop on the way along a line, and be ready for other moves; nothing happens if no line was begun."""


@runtime_checkable
class Spectrometer(Instrument, Protocol):
    """An array spectrometer."""

    @property
    def pixels(self) -> int:
        """Number of pixels in a spectrum."""

    @property
    def wavelength_nm(self) -> NDArray[np.float64]:
        """Wavelength of every pixel in nm, shape (pixels,), from the instrument's own coefficients."""

    @property
    def exposure_limits_s(self) -> tuple[float, float]:
        """Shortest and longest exposure in seconds."""

    @property
    def exposure_s(self) -> float:
        """Exposure that is set, in seconds."""

    @property
    def saturation_counts(self) -> int:
        """Counts at which a pixel is saturated."""

    def set_exposure(self, exposure_s: float) -> None:
        """Set the exposure in seconds; a first spectrum that cannot be trusted is taken and discarded here."""

    def acquire(self) -> Spectrum:
        """Expose once and return the spectrum; waits exposure plus transfer, no longer than a bounded margin."""

    def stream(self, count: int) -> Generator[Spectrum, None, None]:
        """Expose ``count`` times without a pause between; gives each spectrum as it comes, may be closed earlier."""


@runtime_checkable
class CooledSpectrometer(Spectrometer, Protocol):
    """A spectrometer with a cooled detector. Optional: ask with ``isinstance``."""

    @property
    def cooler_on(self) -> bool:
        """True if the detector is cooled."""

    @property
    def cooler_stable(self) -> bool:
        """True if the detector has reached the cooler's set-point and stays there."""

    @property
    def cooler_setpoint_c(self) -> float:
        """Temperature in °C to which the detector is cooled."""

    @property
    def temperature_c(self) -> float:
        """Temperature of the detector in °C."""
