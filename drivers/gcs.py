"""Physik Instrumente controllers that speak GCS 2.0; here the E-727 with a P-545 nanopositioning stage.

Commands never answer; the error register tells, so every command is sent together with ``ERR?`` in one packet. An
answer of several lines has a blank before every line end but the last. Sources: E-727 user manual E727T0005 (pages in
the text) and PI's own Python client.
"""

import time
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.errors import LimitError, RefusedError, WrongInstrumentError
from halidescope.drivers.gcs_lines import SERVO_CYCLE_PARAMETER, distance_command, plan_wave, wave_commands
from halidescope.drivers.instrument import LONGEST_TALK, number, shown, whole
from halidescope.drivers.roles import Identity, Line
from halidescope.drivers.stage import TwoAxisStage

STOPPED_BY_COMMAND = 10
GENERATOR_RUNNING = b"\x09"
ERRORS = {
    1: "syntax error in the parameters",
    2: "unknown command",
    3: "command line too long",
    5: "servo is off, so it cannot move; reconnect to switch the servo on",
    7: "position outside the travel range",
    8: "velocity outside its limits",
    10: "stopped by command",
    15: "invalid axis",
    17: "parameter out of range",
    23: "illegal axis",
    24: "wrong number of parameters",
    26: "parameter missing",
    49: "move to a limit switch failed",
    54: "unknown parameter",
    63: "initialisation still running",
    67: "wave too long",
    73: "not allowed while the wave generator runs",
}


def parse_items(answer: str, items: tuple[str, ...]) -> list[float]:
    """Values of an answer like ``1=12.5 \\n2=100.0``, in the order of ``items``.

    Raises
    ------
    ValueError
        Another item, a missing one, or something that is not a finite number.
    """
    values: dict[str, float] = {}
    for line in answer.split("\n"):
        item, equals, text = line.strip().partition("=")
        if not equals or item.strip() in values:
            raise ValueError(f"{shown(line)} is not one item and its value")
        values[item.strip()] = number(text)
    if tuple(values) != items:
        raise ValueError(f"items {', '.join(values)} came instead of {', '.join(items)}")
    return [values[item] for item in items]


class PIE727(TwoAxisStage):
    """PI E-727 controller with a two-axis stage. Positions in µm; absolute sensors, so there is no referencing.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    axes : tuple of two str
        The controller's names of x and y.
    line_by : str
        How lines are run: ``"wave"`` by the wave generator, ``"distance"`` by a move at constant velocity. Either gives
        a pulse a pixel on ``line_output``.
    line_output : int
        Digital output for those pulses, 1 to 3.
    """

    model: ClassVar[str] = "pi-e727"
    line_trigger: ClassVar[bool] = True

    def __init__(
        self,
        adapter: str | Adapter,
        name: str = "PI E-727",
        *,
        axes: tuple[str, str] = ("1", "2"),
        line_by: str = "wave",
        line_output: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        if line_by not in ("wave", "distance"):
            raise ValueError(f"line_by = {line_by!r} is unknown; allowed: wave, distance")
        self.axes = axes
        self.line_by = line_by
        self.line_output = line_output
        self._generating = False
        self._idn = ""

    # --- who it is -------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask ``*IDN?``: copyright with maker, model, serial number, firmware, separated by commas."""
        answer = self.ask("*IDN?").strip()
        parts = [part.strip() for part in answer.split(",")]
        if len(parts) != 4 or not parts[1].startswith("E-727"):
            raise WrongInstrumentError(
                self.device, f"*IDN? is answered by {shown(answer, 100)}, which is no E-727; check resource and model"
            )
        self._idn = answer
        return Identity("Physik Instrumente", parts[1], parts[2], parts[3])

    def make_ready(self) -> None:
        """Clear the error register and switch the servo on; the stage keeps its place."""
        self.ask("ERR?")     # reading clears what an earlier client left
        self.switch_servo_on()

    # --- the line --------------------------------------------------------------------------------------------------

    def read(self, **kwargs: Any) -> str:
        """Read one answer, all of its lines, joined by line feeds."""
        end = time.monotonic() + LONGEST_TALK * self.timeout_s
        lines = [super().read(**kwargs)]
        while lines[-1].endswith(" "):
            if time.monotonic() > end:
                raise self.bad_reply("a query", lines[-1], "a last line, without a blank at its end")
            lines.append(super().read(**kwargs))
        return "\n".join(lines)

    def query(self, command: str) -> list[float]:
        """Values of both axes for a query such as ``POS?``."""
        request = f"{command} {' '.join(self.axes)}"
        with self.lock:
            answer = self.ask(request)
            try:
                return parse_items(answer, self.axes)
            except ValueError as error:
                raise self.bad_reply(request, answer, f"a number for each axis, {', '.join(self.axes)}") from error

    def _flags(self, command: str) -> list[bool]:
        with self.lock:
            values = self.query(command)
            if not set(values) <= {0.0, 1.0}:
                raise self.bad_reply(command, str(values), "0 or 1 for each axis")
            return [value == 1.0 for value in values]

    def command(self, command: str, *, allowed: frozenset[int] = frozenset()) -> None:
        """Send a command together with ``ERR?``; an error that is not in ``allowed`` raises RefusedError."""
        request = f"{command}\nERR?"
        with self.lock:
            answer = self.ask(request).strip()
            try:
                code = whole(answer)
            except ValueError as error:
                raise self.bad_reply(request, answer, "an error number") from error
        if code and code not in allowed:
            words = ERRORS.get(code, "not in the list of known errors; see the controller's manual")
            raise RefusedError(self.device, f"refused {shown(command)}: error {code}, {words}")

    @property
    def landmark(self) -> tuple[str, str]:
        """Get the identification as the landmark: no other question is answered with it."""
        return "*IDN?", self._idn

    # --- what it shows ---------------------------------------------------------------------------------------------

    def read_limits_um(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Ask for the travel of both axes."""
        (x_min, y_min), (x_max, y_max) = self.query("TMN?"), self.query("TMX?")
        return (x_min, x_max), (y_min, y_max)

    def read_velocity_um_s(self) -> tuple[float, float]:
        """Ask for the closed-loop velocities of both axes."""
        x, y = self.query("VEL?")
        return x, y

    @property
    def position_um(self) -> tuple[float, float]:
        """Measure the position with the sensors, (x, y) in µm."""
        x, y = self.query("POS?")
        return x, y

    @property
    def on_target(self) -> bool:
        """Get whether the controller says that both axes have settled in their windows (manual page 80)."""
        return all(self._flags("ONT?"))

    @property
    def moving(self) -> bool:
        """Get whether the wave generator runs or an axis has not settled yet."""
        if self._generating:
            if self.generator_running:
                return True
            self._generating = False
        return not self.on_target

    @property
    def generator_running(self) -> bool:
        """Get whether the wave generator of any axis runs (single byte 0x09)."""
        with self.transaction(GENERATOR_RUNNING):
            self.adapter.write_bytes(GENERATOR_RUNNING)
            answer = self.read().strip()
            try:
                return int(answer, 16) != 0
            except ValueError as error:
                raise self.bad_reply(GENERATOR_RUNNING, answer, "a hexadecimal mask") from error

    @property
    def servo_cycle_s(self) -> float:
        """Get the length of one servo cycle in seconds (manual page 108)."""
        request = f"SPA? {self.axes[0]} {SERVO_CYCLE_PARAMETER}"
        with self.lock:
            answer = self.ask(request).strip()
            item, _, text = answer.partition("=")
            try:
                axis, parameter = item.split()
                if axis != self.axes[0] or int(parameter, 0) != SERVO_CYCLE_PARAMETER or not number(text) > 0:
                    raise ValueError(item)
                return number(text)
            except ValueError as error:
                raise self.bad_reply(request, answer, "the servo cycle in seconds") from error

    @property
    def servo_on(self) -> bool:
        """Get whether the servo of both axes is on."""
        return all(self._flags("SVO?"))

    @property
    def overflow(self) -> bool:
        """Get whether the servo of any axis is saturated, as it is when something blocks the stage."""
        return any(self._flags("OVF?"))

    # --- what it does ----------------------------------------------------------------------------------------------

    def switch_servo_on(self) -> None:
        """Switch the servo of both axes on if it is off; the stage keeps its place."""
        if not self.servo_on:
            self.command("SVO " + " ".join(f"{axis} 1" for axis in self.axes))
            if not self.servo_on:
                raise RefusedError(self.device, "the servo stays off after SVO; check the stage's cable")

    def command_move(self, x_um: float, y_um: float) -> None:
        """Begin a move of both axes."""
        target = " ".join(f"{axis} {value:.6f}" for axis, value in zip(self.axes, (x_um, y_um), strict=True))
        self.command(f"MOV {target}")

    def command_velocity(self, x_um_s: float, y_um_s: float) -> None:
        """Set the closed-loop velocities."""
        wanted = " ".join(f"{axis} {value:.6f}" for axis, value in zip(self.axes, (x_um_s, y_um_s), strict=True))
        self.command(f"VEL {wanted}")

    def why_not(self) -> str:
        """A saturated servo means that something blocks the stage."""
        return "its servo is saturated, so something blocks it" if self.overflow else "check load and servo settings"

    def stop(self) -> None:
        """Stop all axes now."""
        self.command("STP", allowed=frozenset({STOPPED_BY_COMMAND}))

    def begin_line(self, line: Line) -> None:
        """Prepare the output, then start the wave generator or the move."""
        if self.line_by == "distance":
            self.command(distance_command(line, self.axes, self.line_output))
            super().begin_line(line)
            return
        try:
            wave = plan_wave(line, self.servo_cycle_s)
        except ValueError as error:
            raise LimitError(self.device, str(error)) from error
        for command in wave_commands(line, wave, self.axes, self.line_output):
            self.command(command)
        self.command("WGO " + " ".join(f"{axis} 1" for axis in self.axes))
        self._generating = True

    def end_line(self) -> None:
        """Stop the wave generator, if it still runs, and put the velocity back."""
        super().end_line()
        if self._generating:
            self._generating = False
            self.command("WGO " + " ".join(f"{axis} 0" for axis in self.axes), allowed=frozenset({STOPPED_BY_COMMAND}))
