"""Physik Instrumente controllers that speak GCS 2.0; here the E-727 with a P-545 nanopositioning stage.

Commands never answer; the error register tells, so every command is sent together with ``ERR?`` in one packet. An
answer of several lines has a blank before every line end but the last. Sources: E-727 user manual E727T0005 (pages in
the text) and PI's own Python client.
"""

import math
import time
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.errors import LimitError, MoveError, RefusedError, WrongInstrumentError
from halidescope.drivers.instrument import LONGEST_TALK, WireInstrument, number, shown, whole
from halidescope.drivers.roles import Identity

STOPPED_BY_COMMAND = 10
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
POLL_S = 0.001


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


class PIE727(WireInstrument):
    """PI E-727 controller with a two-axis stage. Positions in µm; absolute sensors, so there is no referencing.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter.
    axes : tuple of two str
        The controller's names of x and y.
    tolerance_um : float
        Distance from the target at which a move still counts as arrived.
    settle_wait_s : float
        Added to the travel time before a move counts as failed.
    """

    role: ClassVar[str] = "stage"
    model: ClassVar[str] = "pi-e727"

    def __init__(
        self,
        adapter: str | Adapter,
        name: str = "PI E-727",
        *,
        axes: tuple[str, str] = ("1", "2"),
        tolerance_um: float = 0.1,
        settle_wait_s: float = 3.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        self.axes = axes
        self.settle_wait_s = settle_wait_s
        self._tolerance_um = tolerance_um
        self._idn = ""
        self._limits_um: tuple[tuple[float, float], tuple[float, float]] | None = None
        self._velocity_um_s: tuple[float, float] | None = None

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

    def start(self) -> None:
        """Identify the controller, clear its error register, switch the servo on, read travel and velocity."""
        super().start()
        self.ask("ERR?")     # reading clears what an earlier client left
        self.switch_servo_on()
        self._limits_um = None
        self._velocity_um_s = None
        _ = self.limits_um, self.velocity_um_s

    # --- the line --------------------------------------------------------------------------------------------------

    def read(self, **kwargs: Any) -> str:
        """Read one answer, all of its lines, joined by line feeds."""
        end = time.monotonic() + LONGEST_TALK * self.timeout_s
        lines = [self.adapter.read(**kwargs)]
        while lines[-1].endswith(" "):
            if time.monotonic() > end:
                raise self.bad_reply("a query", lines[-1], "a last line, without a blank at its end")
            lines.append(self.adapter.read(**kwargs))
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

    @property
    def limits_um(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Get the travel of x and of y in µm, ((x_min, x_max), (y_min, y_max)), read once per connection."""
        if self._limits_um is None:
            (x_min, y_min), (x_max, y_max) = self.query("TMN?"), self.query("TMX?")
            self._limits_um = ((x_min, x_max), (y_min, y_max))
        return self._limits_um

    @property
    def velocity_um_s(self) -> tuple[float, float]:
        """Get the closed-loop velocities of x and y in µm/s, read once per connection."""
        if self._velocity_um_s is None:
            x, y = self.query("VEL?")
            self._velocity_um_s = (x, y)
        return self._velocity_um_s

    @property
    def position_um(self) -> tuple[float, float]:
        """Measure the position with the sensors, (x, y) in µm."""
        x, y = self.query("POS?")
        return x, y

    @property
    def tolerance_um(self) -> float:
        """Get the distance from the target at which a move still counts as arrived, in µm."""
        return self._tolerance_um

    @property
    def on_target(self) -> bool:
        """Get whether the controller says that both axes have settled in their windows (manual page 80)."""
        return all(self._flags("ONT?"))

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

    def move_to(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Move, wait until the controller says on target, read back and compare.

        Returns
        -------
        tuple of float
            The position read, (x, y) in µm.

        Raises
        ------
        LimitError
            Outside the travel; nothing was sent.
        RefusedError
            The controller refused, for instance because its servo is off.
        MoveError
            The stage did not settle in time, or settled elsewhere.
        """
        self._check_limits(x_um, y_um)
        from_x, from_y = self.position_um
        target = " ".join(f"{axis} {value:.6f}" for axis, value in zip(self.axes, (x_um, y_um), strict=True))
        self.command(f"MOV {target}")
        end = time.monotonic() + self._longest_move_s(abs(x_um - from_x), abs(y_um - from_y))
        while not self.on_target:
            if time.monotonic() > end:
                self._give_up(x_um, y_um)
            time.sleep(POLL_S)
        x, y = self.position_um
        if math.hypot(x - x_um, y - y_um) > self._tolerance_um:
            raise MoveError(
                self.device,
                f"asked for ({x_um:.3f}, {y_um:.3f}) µm, stands at ({x:.3f}, {y:.3f}) µm, "
                f"allowed {self._tolerance_um:g} µm off; look whether something stopped or blocks it",
            )
        return x, y

    def _check_limits(self, x_um: float, y_um: float) -> None:
        for axis, value, (lowest, highest) in zip("xy", (x_um, y_um), self.limits_um, strict=True):
            if not lowest <= value <= highest:
                raise LimitError(
                    self.device,
                    f"{axis} = {value:.1f} µm asked, allowed {lowest:.1f} to {highest:.1f} µm; "
                    f"choose a position inside the travel",
                )

    def _longest_move_s(self, dx_um: float, dy_um: float) -> float:
        travel_s = [
            distance / velocity if velocity > 0 else 0.0
            for distance, velocity in zip((dx_um, dy_um), self.velocity_um_s, strict=True)
        ]
        return 1.5 * max(travel_s) + self.settle_wait_s

    def _give_up(self, x_um: float, y_um: float) -> None:
        """Stop and raise; called when the stage did not settle in time."""
        self.stop()
        x, y = self.position_um
        hint = "its servo is saturated, so something blocks it" if self.overflow else "check load and servo settings"
        raise MoveError(
            self.device,
            f"did not settle at ({x_um:.3f}, {y_um:.3f}) µm in time and was stopped at ({x:.3f}, {y:.3f}) µm; {hint}",
        )

    def stop(self) -> None:
        """Stop all axes now."""
        self.command("STP", allowed=frozenset({STOPPED_BY_COMMAND}))
