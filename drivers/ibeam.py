"""Toptica iBeam smart diode lasers: words on a line, answered by an empty line, the answer and ``[OK]``.

An error is an answer line ``%SYS-<level>-<number>, text``; level I only informs. Channel 1 is the bias level, channel 2
the normal level; emission needs the laser driver and channel 2. Sources: the iBeam smart's open clients (PyMeasure,
pylablib, python-microscope), which cite its manual.
"""

import re
import time
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.errors import InterlockError, LaserFaultError, RefusedError, WrongInstrumentError
from halidescope.drivers.instrument import LONGEST_TALK, number, shown
from halidescope.drivers.laser import LaserHead
from halidescope.drivers.roles import Identity, LaserState

PROMPT = "CMD> "
ERROR_LINE = re.compile(r"%SYS-(?P<level>[WEF])[-: ]", re.IGNORECASE)
POWER_LINE = re.compile(r"PIC\s*=\s*(\d+(?:\.\d+)?)\s*uW")
TEMPERATURE_LINE = re.compile(r"TEMP\s*=\s*(-?\d+(?:\.\d+)?)\s*C")
LEVEL_LINE = re.compile(r"CH(\d)\s*,\s*PWR:\s*(\d+(?:\.\d+)?)\s*mW")
SATELLITE_LINE = re.compile(r"Pmax:\s*(\d+(?:\.\d+)?)\s*mW")
NORMAL_LEVEL = 2


def on_off(text: str) -> bool:
    """ON or OFF."""
    if text not in ("ON", "OFF"):
        raise ValueError(f"{text!r} is neither ON nor OFF")
    return text == "ON"


class IBeamSmart(LaserHead):
    """Toptica iBeam smart diode laser.

    The head tells neither its wavelength nor its interlock nor a fault register; it refuses to emit and says why. What
    the last refusal said stays in :attr:`interlock_closed` and :attr:`fault` until :meth:`clear_fault`.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    wavelength_nm : float
        Wavelength of the emission in nm, from the head's label.
    """

    model: ClassVar[str] = "toptica-ibeam-smart"
    terminations: ClassVar[tuple[str, str]] = ("\r\n", "\n")
    last_line: ClassVar[str] = "[OK]"

    def __init__(
        self, adapter: str | Adapter, name: str = "Toptica iBeam smart", *, wavelength_nm: float = 405.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        self._wavelength_nm = wavelength_nm
        self._serial_line = ""
        self._max_mw: float | None = None
        self._refusal = ""

    # --- who it is -------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Switch echo and prompt off and answers on, whatever they were, then ask for serial number and firmware."""
        with self.transaction("serial"):
            for command in ("echo off", "prompt off", "talk usual", "serial"):
                self.write(command)
            found = ""
            for _ in range(4 * LONGEST_TALK):    # lines that the first commands leave, echoes and prompts included
                line = self.read().strip().removeprefix(PROMPT).strip()
                if found and line == "[OK]":
                    break
                if line.startswith("SN:"):
                    found = line
        if not found:
            raise WrongInstrumentError(self.device, "no line with SN: came for `serial`; check resource and model")
        self._serial_line = found
        firmware = self.ask("version")
        return Identity("Toptica", "iBeam smart", found.removeprefix("SN:").strip(), firmware)

    def start(self) -> None:
        """Identify the head, make sure that it is dark, and take it off its external trigger."""
        self._max_mw = None
        self._refusal = ""
        super().start()
        self.command("disable external")

    @property
    def wavelength_nm(self) -> float:
        """Get the wavelength in nm that was given at construction."""
        return self._wavelength_nm

    # --- the line --------------------------------------------------------------------------------------------------

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send a line and return what is answered, its lines joined by line feeds; an error raises RefusedError."""
        with self.transaction(command):
            self.write(command)
            lines: list[str] = []
            end = time.monotonic() + LONGEST_TALK * self.timeout_s
            while (line := self.read().strip()) != self.last_line:
                if line.startswith(PROMPT.strip()):
                    raise self.bad_reply(command, line, "an answer without prompt; somebody else talks to the head")
                if line:
                    lines.append(line)
                if time.monotonic() > end:
                    raise self.bad_reply(command, line, "'[OK]' at the end")
        errors = [line for line in lines if ERROR_LINE.match(line)]
        if errors:
            raise RefusedError(self.device, f"refused {shown(command)}: {shown(errors[0], 100)}; mend what it says")
        return "\n".join(lines)

    def command(self, command: str) -> None:
        """Send a command; an answer other than ``[OK]`` and information raises."""
        answer = self.ask(command)
        if answer and not all(line.startswith("%SYS-I") for line in answer.split("\n")):
            raise self.bad_reply(command, answer, "'[OK]' alone")

    def _found(self, command: str, pattern: re.Pattern[str], wanted: str) -> float:
        """The number in the one line of the answer that ``pattern`` fits."""
        with self.lock:
            answer = self.ask(command)
            found = [match for line in answer.split("\n") if (match := pattern.fullmatch(line.strip()))]
            if len(found) != 1:
                raise self.bad_reply(command, answer, wanted)
            return number(found[0][1])

    def _switch(self, command: str) -> bool:
        with self.lock:
            answer = self.ask(command)
            try:
                return on_off(answer)
            except ValueError as error:
                raise self.bad_reply(command, answer, "ON or OFF") from error

    @property
    def landmark(self) -> tuple[str, str]:
        """Get the serial number's line as the landmark: no other question is answered with it."""
        return "serial", self._serial_line

    # --- what it shows ---------------------------------------------------------------------------------------------

    @property
    def emission(self) -> bool:
        """Get whether the laser driver is on (bool); with channel 2 disabled it emits at its bias level."""
        return self._switch("status laser")

    @property
    def channel_enabled(self) -> bool:
        """Get whether channel 2, the normal level, is enabled (bool)."""
        return self._switch(f"status channel {NORMAL_LEVEL}")

    @property
    def power_mw(self) -> float:
        """Measure the power that the head emits now, in mW; 0 when dark."""
        return self._found("show power", POWER_LINE, "a line like 'PIC  = 000250 uW'") / 1e3

    @property
    def power_setpoint_mw(self) -> float:
        """Get the set-point of channel 2 in mW; it is kept while dark. :meth:`set_power` changes it."""
        with self.lock:
            answer = self.ask("show level power")
            found = [LEVEL_LINE.fullmatch(line.strip()) for line in answer.split("\n")]
            levels = [number(match[2]) for match in found if match and int(match[1]) == NORMAL_LEVEL]
            if len(levels) != 1:
                raise self.bad_reply("show level power", answer, "a line like 'CH2, PWR: 0.250 mW'")
            return levels[0]

    @property
    def power_limits_mw(self) -> tuple[float, float]:
        """Get the lowest and highest set-point in mW, read once per connection."""
        if self._max_mw is None:
            self._max_mw = self._found("show satellite", SATELLITE_LINE, "a line like 'Pmax: 100.0 mW'")
        return 0.0, self._max_mw

    @property
    def temperature_c(self) -> float:
        """Measure the temperature of the diode in °C."""
        return self._found("show temperature", TEMPERATURE_LINE, "a line like 'TEMP = 25 C'")

    @property
    def interlock_closed(self) -> bool:
        """Get whether the interlock is closed as far as the head tells: it has no query, only refusals that name it."""
        return "interlock" not in self._refusal.lower()

    @property
    def fault(self) -> str | None:
        """Get what the head said when it last refused to emit, or None."""
        return self._refusal or None

    @property
    def state(self) -> LaserState:
        """Get what the head is doing; a refusal that was not cleared counts as FAULT."""
        with self.lock:
            if self.emission:
                return LaserState.ON
            return LaserState.FAULT if self.fault else LaserState.OFF

    # --- what it does ----------------------------------------------------------------------------------------------

    def command_power(self, power_mw: float) -> tuple[float, float]:
        """Send the set-point of channel 2 in whole µW, which is also how finely the head shows it."""
        self.command(f"channel {NORMAL_LEVEL} power {power_mw * 1e3:.0f} micro")
        return self.power_setpoint_mw, 1e-3

    def clear_fault(self) -> None:
        """Forget what the head said when it last refused to emit, after a person has mended the cause.

        Switches emission off, which is how a head takes note of it.
        """
        self.command_off()
        self._refusal = ""

    def command_on(self) -> None:
        """Enable the normal level, then switch the laser driver on; what a refusal says is kept."""
        try:
            self.command(f"enable {NORMAL_LEVEL}")
            self.command("laser on")
        except RefusedError as error:
            self._refusal = error.problem
            kind = LaserFaultError if self.interlock_closed else InterlockError
            raise kind(self.device, error.problem) from error

    def command_off(self) -> None:
        """Switch the laser driver off."""
        self.command("laser off")
