"""Coherent OBIS LX diode lasers: SCPI lines with a handshake.

With the handshake on, every command is answered by ``OK``, every query by its value and then ``OK``; an error is a line
``ERR`` and its number. Powers are watts on the wire and milliwatts of the head here. Sources: appendix C of the OBIS
LX/LS operator's manual as public drivers cite it, and the open Micro-Manager device adapter.
"""

import re
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.errors import RefusedError, WrongInstrumentError
from halidescope.drivers.instrument import LONGEST_TALK, WireInstrument, number, shown
from halidescope.drivers.laser import LaserHead
from halidescope.drivers.roles import Identity, LaserState

ERRORS = {
    -100: "unknown command or query",
    -102: "syntax error",
    -109: "parameter missing",
    -200: "execution error, usually because it is not allowed while emission is on",
    -203: "command is protected",
    -220: "invalid parameter",
    -221: "settings conflict",
    -241: "device unavailable",
    -310: "system error",
    -321: "out of memory",
    -350: "error queue overflow",
    -400: "query unavailable",
    500: "controller board fault",
    510: "I2C fault",
    520: "controller time-out",
    900: "controller board message time-out",
}
ERROR_LINE = re.compile(r"ERR\s*(-?\d+)", re.IGNORECASE)
EMITTING, CDRH_DELAY, WARMING_UP = 0x2, 0x10, 0x100    # bits of the status word
STATUS_FAULT = 0x1 | 0x20
FAULTS = {
    0x1: "base plate temperature",
    0x2: "diode temperature",
    0x4: "internal temperature",
    0x8: "supply voltage",
    0x10: "I2C",
    0x20: "diode over-current",
    0x40: "checksum",
    0x80: "checksum recovery",
    0x100: "buffer overflow",
    0x200: "warm-up limit",
    0x400: "TEC",
    0x800: "controller board",
    0x1000: "diode temperature limit",
    0x2000: "laser not ready",
    0x4000: "photodiode",
    0x8000: "fatal",
    0x10000: "start-up",
    0x20000: "watchdog",
    0x40000: "field calibration",
    0x100000: "over power",
    0x40000000: "controller checksum",
    0x80000000: "controller status",
}


def on_off(text: str) -> bool:
    """ON or OFF."""
    word = text.upper()
    if word not in ("ON", "OFF"):
        raise ValueError(f"{text!r} is neither ON nor OFF")
    return word == "ON"


def closed(text: str) -> bool:
    """ON or OK for a closed interlock, OFF for an open one."""
    return text.upper() == "OK" or on_off(text)


def watts(text: str) -> float:
    """A power in watts."""
    power_w = number(text)
    if not 0 <= power_w < 1e4:
        raise ValueError("no diode laser has such a power")
    return power_w


def word(text: str) -> int:
    """A word of 32 bits as up to 8 hexadecimal digits."""
    if not re.fullmatch(r"[0-9A-Fa-f]{1,8}", text):
        raise ValueError(f"{text!r} is no hexadecimal word")
    return int(text, 16)


def nanometres(text: str) -> float:
    """A wavelength in nm, with or without its unit."""
    return number(text.lower().removesuffix("nm").strip())


def celsius(text: str) -> float:
    """A temperature such as 25.0C."""
    if not text.upper().endswith("C"):
        raise ValueError(f"{text!r} is no temperature in degrees Celsius")
    return number(text[:-1].strip())


class ObisLX(LaserHead):
    """Coherent OBIS LX diode laser, directly over USB or RS-232, or the first one of an OBIS Remote.

    A CDRH head emits 5 s after it was switched on; :meth:`turn_on` waits for the light, and :attr:`state` says
    ``ARMING`` meanwhile.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    """

    model: ClassVar[str] = "coherent-obis-lx"
    terminations: ClassVar[tuple[str, str]] = ("\r\n", "\n")
    last_line: ClassVar[str] = "OK"

    def __init__(self, adapter: str | Adapter, name: str = "Coherent OBIS LX", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)
        self._idn = ""
        self._limits_mw: tuple[float, float] | None = None

    # --- who it is -------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Switch prompt off and handshake on, whatever they were, then ask who it is."""
        with self.transaction("*IDN?"):
            for command in ("SYST:COMM:PROM OFF", "SYST:COMM:HAND ON", "*IDN?"):
                self.write(command)
            lines: list[str] = []
            for _ in range(LONGEST_TALK):
                line = self.read().strip()
                if lines and line == "OK":
                    break
                # what the first two commands answer depends on how the head was left
                if line and line != "OK" and not ERROR_LINE.match(line):
                    lines.append(line)
        if not lines or "OBIS" not in lines[-1].upper():
            raise WrongInstrumentError(
                self.device, f"*IDN? is answered by {shown(' / '.join(lines), 100)}, which is no OBIS; check the model"
            )
        self._idn = lines[-1]
        return Identity(
            "Coherent", self.ask("SYST:INF:MOD?"), self.ask("SYST:INF:SNUM?"), self.ask("SYST:INF:FVER?")
        )

    def start(self) -> None:
        """Identify the head, make sure that it is dark, and have it hold its power constant (mode CWP)."""
        self._limits_mw = None
        super().start()
        if self.mode != "CWP":
            self.command("SOUR:AM:INT CWP")

    wavelength_nm = WireInstrument.measurement(
        "SYST:INF:WAV?", """Get the wavelength in nm, from the head itself.""", cast=nanometres
    )

    # --- the line --------------------------------------------------------------------------------------------------

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send a query and return its value; ``ERR`` raises RefusedError."""
        with self.transaction(command):
            self.write(command)
            answer: str = self.read().strip()
            self._refuse(command, answer)
            if (end := self.read().strip()) != "OK":
                self._refuse(command, end)
                raise self.bad_reply(command, f"{answer} / {end}", "a value and then OK")
            return answer

    def command(self, command: str) -> None:
        """Send a command; anything but ``OK`` raises RefusedError or BadReplyError."""
        with self.transaction(command):
            self.write(command)
            answer = self.read().strip()
            self._refuse(command, answer)
            if answer != "OK":
                raise self.bad_reply(command, answer, "'OK'")

    def _refuse(self, command: str, answer: str) -> None:
        if found := ERROR_LINE.match(answer):
            self._in_step = False    # whether an OK follows an error differs between heads
            code = int(found[1])
            raise RefusedError(
                self.device,
                f"refused {shown(command)}: {shown(answer)}, {ERRORS.get(code, 'not in the manual')}; check its state",
            )

    @property
    def landmark(self) -> tuple[str, str]:
        """Get the identification as the landmark: no other question is answered with it."""
        return "*IDN?", self._idn

    # --- what it shows ---------------------------------------------------------------------------------------------

    power_mw = WireInstrument.measurement(
        "SOUR:POW:LEV?",
        """Measure the power that the head emits now, in mW; 0 when dark.""",
        cast=watts,
        get_process=lambda power_w: power_w * 1e3,
    )
    power_setpoint_mw = WireInstrument.measurement(
        "SOUR:POW:LEV:IMM:AMPL?",
        """Get the head's power set-point in mW; it is kept while dark. :meth:`set_power` changes it.""",
        cast=watts,
        get_process=lambda power_w: power_w * 1e3,
    )
    switched_on = WireInstrument.measurement(
        "SOUR:AM:STAT?", """Get whether emission is switched on (bool).""", cast=on_off
    )
    interlock_closed = WireInstrument.measurement(
        "SYST:LOCK?", """Get whether the interlock loop is closed (bool), so that emission is possible.""", cast=closed
    )
    status_word = WireInstrument.measurement("SYST:STAT?", """Get the status word, a bit mask.""", cast=word)
    fault_word = WireInstrument.measurement("SYST:FAUL?", """Get the fault word, a bit mask, 0 for none.""", cast=word)
    mode = WireInstrument.measurement("SOUR:AM:SOUR?", """Get the mode, CWP for constant power.""", cast=str.upper)
    cdrh = WireInstrument.measurement("SYST:CDRH?", """Get whether light is delayed by 5 s (bool).""", cast=on_off)
    base_temperature_c = WireInstrument.measurement(
        "SOUR:TEMP:BAS?", """Measure the temperature of the base plate in °C.""", cast=celsius
    )

    @property
    def emission(self) -> bool:
        """Get whether the head emits or is about to: switched on, emitting, or in its CDRH delay."""
        with self.lock:
            return bool(self.switched_on or self.status_word & (EMITTING | CDRH_DELAY))

    @property
    def power_limits_mw(self) -> tuple[float, float]:
        """Get the lowest and highest set-point in mW, read once per connection."""
        if self._limits_mw is None:
            with self.lock:
                lowest, highest = self.values("SOUR:POW:LIM:LOW?", cast=watts), self.values("SOUR:POW:LIM:HIGH?")
            self._limits_mw = (round(lowest[0] * 1e3, 6), round(highest[0] * 1e3, 6))
        return self._limits_mw

    @property
    def fault(self) -> str | None:
        """Get the faults in words, or None."""
        latched = self.fault_word
        if not latched:
            return None
        words = [text for bit, text in FAULTS.items() if latched & bit]
        return f"fault {latched:08X}: {', '.join(words) or 'not in the manual'}"

    @property
    def state(self) -> LaserState:
        """Get what the head is doing; a fault counts as FAULT."""
        with self.lock:
            status = self.status_word
            if status & STATUS_FAULT or self.fault_word:
                return LaserState.FAULT
            if status & CDRH_DELAY:
                return LaserState.ARMING
            if status & EMITTING:
                return LaserState.ON
            return LaserState.WARMING if status & WARMING_UP else LaserState.OFF

    # --- what it does ----------------------------------------------------------------------------------------------

    def command_power(self, power_mw: float) -> tuple[float, float]:
        """Send the set-point in watts; heads show it in steps of 10 µW."""
        self.command(f"SOUR:POW:LEV:IMM:AMPL {power_mw * 1e-3:.6f}")
        return self.power_setpoint_mw, 0.01

    def clear_fault(self) -> None:
        """Clear the error queue and acknowledge faults, after a person has mended the cause; switches emission off."""
        self.command("SYST:ERR:CLE")
        self.command_off()

    def command_on(self) -> None:
        """Wake the cooler of the diode, then switch emission on."""
        self.command("SOUR:TEMP:APR ON")
        self.command("SOUR:AM:STAT ON")

    def command_off(self) -> None:
        """Switch emission off."""
        self.command("SOUR:AM:STAT OFF")
