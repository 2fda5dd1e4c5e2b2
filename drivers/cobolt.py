"""Hübner Cobolt 06-MLD diode lasers; which of its two dialects a head speaks is found by asking.

Every command is one line and is answered by one line: ``OK``, a value, or a text that starts with ``Syntax error``.
Powers are milliwatts of the head here, whatever they are on the wire. Sources: Cobolt owner's manual D0105-A (pages in
the text), and the manufacturer's open clients (pycobolt, Micro-Manager device adapter).
"""

import re
import time
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.cobolt_dialects import FIVE_VOLT, dialect_of, positive
from halidescope.drivers.errors import RefusedError, WrongInstrumentError
from halidescope.drivers.instrument import WireInstrument, shown, switch, whole
from halidescope.drivers.laser import LaserHead
from halidescope.drivers.roles import Identity, LaserState

FAULTS = {1: "temperature out of range", 3: "interlock was opened", 4: "constant-power time-out"}   # manual p27
MODEL_CODE = re.compile(r"(?P<wavelength>\d{4})-06-(?P<version>\d{2})-(?P<power>\d{4})-(?P<configuration>\d{3,4})")
EMPTY_ANSWERS = 3      # queries repeated when the head answers an empty line, as seen in the field


def fault_number(text: str) -> int:
    """A fault number: 0, 1, 3 or 4."""
    fault = whole(text)
    if fault and fault not in FAULTS:
        raise ValueError(f"fault {fault} is not in the manual")
    return fault


def last_digit(text: str) -> float:
    """Value of one unit in the last digit of a decimal number: ``0.0500`` gives 0.0001."""
    mantissa, _, exponent = text.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return float(10.0 ** (int(exponent or 0) - decimals))


class CoboltMLD(LaserHead):
    """Cobolt 06-MLD diode laser, 5 V or 12 V dialect.

    A key switch is never bypassed: heads with a key are started by their own sequence, which asks for the key.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    pause_s : float, optional
        Rest between an answer and the next command. The manufacturer's client waits 0.1 s; by default that is kept on
        serial lines and left out on network sockets.
    key_wait_s : float
        How long :meth:`turn_on` waits for a person to turn the key.
    """

    model: ClassVar[str] = "cobolt-06-mld"
    terminations: ClassVar[tuple[str, str]] = ("\r", "\n")

    def __init__(
        self,
        adapter: str | Adapter,
        name: str = "Cobolt 06-MLD",
        *,
        pause_s: float | None = None,
        key_wait_s: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        self.pause_s = (0.1 if self._resource.upper().startswith("ASRL") else 0.0) if pause_s is None else pause_s
        self.key_wait_s = key_wait_s
        self.dialect = FIVE_VOLT
        self._model_code = ""
        self._limits_mw: tuple[float, float] | None = None
        self._quiet_until = 0.0

    # --- who it is -------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask for firmware, model code and serial number."""
        firmware, code, serial = self.ask("gfv?").strip(), self.ask("glm?").strip(), self.ask("sn?").strip()
        found = MODEL_CODE.fullmatch(code)
        self.dialect = dialect_of(firmware)
        if found is None or (self.dialect is FIVE_VOLT and found["version"] not in ("01", "03")):
            raise WrongInstrumentError(
                self.device,
                f"model code {shown(code)} is not one of a Cobolt 06-MLD (like 0405-06-01-0100-100); "
                f"check the resource, or give the right model",
            )
        self._model_code = code
        return Identity("Hübner Photonics", code, serial, firmware)

    def start(self) -> None:
        """Identify the head, read its limits anew, and make sure that it is dark."""
        self._limits_mw = None
        super().start()

    @property
    def wavelength_nm(self) -> float:
        """Get the wavelength in nm, from the head's model code."""
        code = MODEL_CODE.fullmatch(self.identity.model)
        if code is None:
            raise WrongInstrumentError(self.device, f"model code {shown(self.identity.model)} holds no wavelength")
        return float(code["wavelength"])

    # --- the line --------------------------------------------------------------------------------------------------

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send a query and return its answer; an empty answer is asked for again, a refusal raises RefusedError."""
        with self.lock:
            for _ in range(EMPTY_ANSWERS):
                answer = self._exchange(command)
                if answer.strip():
                    break
            else:
                raise self.bad_reply(command, answer, "a value; only empty lines came")
            if "error" in answer.lower():
                raise self._refused(command, answer)
            return answer

    def command(self, command: str) -> None:
        """Send a command; anything but ``OK`` raises RefusedError or BadReplyError."""
        with self.lock:
            answer = self._exchange(command)
            if answer.strip() == "OK":
                return
            if "error" in answer.lower():
                raise self._refused(command, answer)
            raise self.bad_reply(command, answer, "'OK'")

    def _exchange(self, command: str) -> str:
        with self.transaction(command):
            self.rest()
            self.write(command)
            answer: str = self.read()
            if answer.strip() == command:    # some heads echo the command first
                answer = self.read()
            self._quiet_until = time.monotonic() + self.pause_s
            return answer

    def rest(self) -> None:
        """Wait until the pause after the last answer is over."""
        if self.pause_s and (wait_s := self._quiet_until - time.monotonic()) > 0:
            time.sleep(wait_s)

    def _refused(self, command: str, answer: str) -> RefusedError:
        return RefusedError(
            self.device,
            f"refused {shown(command)}: {shown(answer.strip())}; state is shown by `{self.dialect.state}`",
        )

    @property
    def landmark(self) -> tuple[str, str]:
        """Get the model code as the landmark: no other question is answered with it."""
        return "glm?", self._model_code

    # --- what it shows ---------------------------------------------------------------------------------------------

    @property
    def power_mw(self) -> float:
        """Measure the power that the head emits now, in mW; 0 when dark."""
        return self._power(self.dialect.power) * self.dialect.mw

    @property
    def power_setpoint_mw(self) -> float:
        """Get the head's power set-point in mW; it is kept while dark. :meth:`set_power` changes it."""
        return self._power(self.dialect.setpoint) * self.dialect.mw

    @property
    def power_max_mw(self) -> float:
        """Get the head's highest power in mW."""
        return self._power(self.dialect.highest) * self.dialect.highest_mw

    def _power(self, query: str) -> float:
        power: float = self.values(query, cast=positive)[0]
        return power

    emission = WireInstrument.measurement("l?", """Get whether the head emits (bool).""", cast=switch)
    interlock_closed = WireInstrument.measurement(
        "ilk?",
        """Get whether the interlock loop is closed (bool), so that emission is possible.""",
        cast=switch,
        get_process=lambda is_open: not is_open,
    )
    @property
    def operating_state(self) -> LaserState:
        """Get the operating state (:class:`LaserState`), latched faults aside."""
        state: LaserState = self.values(self.dialect.state, cast=self.dialect.parse_state)[0]
        return state

    fault_number = WireInstrument.measurement(
        "f?", """Get the number of the latched fault, 0 for none (manual page 27).""", cast=fault_number
    )
    key_switch_present = WireInstrument.measurement(
        "gkses?", """Get whether the head has a key switch (bool).""", cast=switch
    )
    autostart = WireInstrument.measurement("@cobas?", """Get whether autostart is enabled (bool).""", cast=switch)
    hours = WireInstrument.measurement("hrs?", """Get the operating hours of the head.""")

    @property
    def power_limits_mw(self) -> tuple[float, float]:
        """Get the lowest and highest set-point in mW, read once per connection."""
        if self._limits_mw is None:
            self._limits_mw = (0.0, self.power_max_mw)
        return self._limits_mw

    @property
    def fault(self) -> str | None:
        """Get the latched fault in words, or None."""
        latched = self.fault_number
        return f"fault {latched}: {FAULTS[latched]}" if latched else None

    @property
    def state(self) -> LaserState:
        """Get what the head is doing; a latched fault counts as FAULT."""
        with self.lock:
            state = self.operating_state
            return LaserState.FAULT if state is not LaserState.ON and self.fault_number else state

    # --- what it does ----------------------------------------------------------------------------------------------

    def command_power(self, power_mw: float) -> tuple[float, float]:
        """Send the set-point; the head may keep it as finely as it shows it."""
        dialect = self.dialect
        self.command(f"{dialect.set_setpoint} {power_mw / dialect.mw:.{dialect.digits}f}")
        answer = self.ask(dialect.setpoint).strip()
        try:
            kept_mw, resolution_mw = positive(answer) * dialect.mw, last_digit(answer) * dialect.mw
        except (ValueError, OverflowError) as error:
            raise self.bad_reply(dialect.setpoint, answer, "a power that is a plain number") from error
        # heads show 0.1 mW; an answer with fewer digits is no licence for a coarser comparison
        return kept_mw, max(1e-3, min(resolution_mw, max(0.1, 0.002 * self.power_limits_mw[1])))

    def clear_fault(self) -> None:
        """Clear the latched fault, after a person has mended its cause. Emission stays off."""
        self.command(self.dialect.clear)

    def command_on(self) -> None:
        """Start a head with a key by its own sequence, any other one directly if its dialect can."""
        if not self.dialect.direct_on or self.key_switch_present:
            self.command("@cob1")
        else:
            if self.autostart:
                self.command("@cobas 0")
            self.command("l1")

    def command_off(self) -> None:
        """Stop emission, in every mode."""
        self.command("l0")

    def starting_up(self, waited_s: float) -> bool:
        """True while the head may still be dark; a key that nobody turns raises RefusedError."""
        if self.operating_state is not LaserState.WAITING_FOR_KEY:
            return super().starting_up(waited_s)
        if waited_s > self.key_wait_s:
            raise RefusedError(
                self.device,
                f"waited {self.key_wait_s:g} s for the key, now switched off again; "
                f"start once more and turn the key switch to OFF and then ON",
            )
        return True
