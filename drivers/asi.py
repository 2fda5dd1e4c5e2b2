"""ASI stage controllers, MS-2000 and Tiger: lines answered by ``:A`` and data, or ``:N`` and an error number.

Positions are tenths of a micrometre on the wire, velocities mm/s, limits and scan ranges mm. Sources: the open
Micro-Manager device adapter and the asitiger client, which follow the manufacturer's MS-2000 programming manual.
"""

import re
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.errors import RefusedError, WrongInstrumentError
from halidescope.drivers.instrument import number, shown
from halidescope.drivers.roles import Identity, Line
from halidescope.drivers.stage import TwoAxisStage

HALTED = 21
ERRORS = {
    1: "unknown command",
    2: "unknown axis",
    3: "parameter missing",
    4: "value out of range",
    5: "operation failed, as it does while a motor is off; reconnect to switch the motors on",
    6: "undefined error",
    7: "no such card",
    21: "halted by command",
}
REFUSAL = re.compile(r":N\s*-\s*(\d+)")
UNITS_PER_UM = 10.0
MM = 1e-3    # of a µm


def parse_data(answer: str) -> str:
    """What stands behind ``:A``; some versions leave out the A in answers to axis questions.

    Raises
    ------
    ValueError
        The answer does not begin so.
    """
    text = answer.strip()
    if text.startswith(":A"):
        return text[2:].strip()
    if re.match(r":\s?[A-Z]=", text):
        return text[1:].strip()
    raise ValueError(f"{shown(answer)} does not begin with :A")


def parse_axis_values(answer: str, axes: tuple[str, str]) -> tuple[float, float]:
    """The values of an answer like ``:A X=1.500000 Y=2.0``.

    Raises
    ------
    ValueError
        Another axis, a missing one, or something that is not a finite number.
    """
    values: dict[str, float] = {}
    for item in parse_data(answer).split():
        axis, equals, text = item.partition("=")
        if not equals or axis in values:
            raise ValueError(f"{shown(item)} is not an axis and its value")
        values[axis] = number(text)
    if tuple(values) != axes:
        raise ValueError(f"axes {', '.join(values)} came instead of {', '.join(axes)}")
    return values[axes[0]], values[axes[1]]


def parse_position(answer: str) -> tuple[float, float]:
    """The two numbers of an answer like ``:A 2000.0 500.0``, in the controller's units."""
    x, y = (number(text) for text in parse_data(answer).split())
    return x, y


def card_of(build: str, axes: tuple[str, str]) -> str:
    """The address of the Tiger card that holds both axes, from the answer to ``BU X``.

    Raises
    ------
    ValueError
        The answer does not list axes and addresses, an axis is not there, or they are on two cards.
    """
    facts = {name.strip(): words.split() for name, _, words in (line.partition(":") for line in build.split("\r"))}
    names, addresses = facts.get("Motor Axes", []), facts.get("Axis Addr", [])
    if not names or len(names) != len(addresses):
        raise ValueError("no list of axes and their cards")
    found = dict(zip(names, addresses, strict=True))
    if missing := [axis for axis in axes if axis not in found]:
        raise ValueError(f"no axis {', '.join(missing)}; there are {', '.join(names)}")
    if found[axes[0]] != found[axes[1]]:
        raise ValueError(f"axes {axes[0]} and {axes[1]} on two cards, {found[axes[0]]} and {found[axes[1]]}")
    return found[axes[0]]


class ASIStage(TwoAxisStage):
    """ASI MS-2000 or Tiger controller with an XY stage.

    The controller has no serial number to ask for; identity is version and build. A Tiger is recognised by its build;
    commands that name no axis then carry the address of the stage's card.

    Parameters
    ----------
    adapter : str or Adapter
        VISA resource string, or any PyMeasure adapter. A Tiger talks at 115200 baud: ``asrl={"baud_rate": 115200}``.
    axes : tuple of two str
        The controller's names of x and y.
    tolerance_um : float
        Distance from the target at which a move still counts as arrived.
    """

    model: ClassVar[str] = "asi-ms2000"
    terminations: ClassVar[tuple[str, str]] = ("\r", "\n")
    serial_settings: ClassVar[dict[str, Any]] = {"baud_rate": 9600}
    line_trigger: ClassVar[bool] = True

    def __init__(
        self, adapter: str | Adapter, name: str = "ASI MS-2000", *, axes: tuple[str, str] = ("X", "Y"),
        tolerance_um: float = 0.5, **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, tolerance_um=tolerance_um, **kwargs)
        self.axes = axes
        self._version = ""
        self._card = ""     # in front of commands for a Tiger's card

    # --- who it is -------------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Ask for version and build."""
        answer = self.ask("V").strip()
        if not re.match(r":A .*(version|v\d)", answer, re.IGNORECASE):
            raise WrongInstrumentError(
                self.device, f"V is answered by {shown(answer, 100)}, which is no ASI controller; check the model"
            )
        self._version = answer
        build = self.ask("BU").strip().removeprefix(":A").strip()
        self._card = self._card_of_the_stage() if "TIGER" in build.upper() else ""
        firmware = answer[2:].strip().removeprefix("Version:").strip()
        return Identity("Applied Scientific Instrumentation", build or "MS-2000", "", firmware)

    def _card_of_the_stage(self) -> str:
        answer = self.ask("BU X")
        try:
            return card_of(answer, self.axes)
        except ValueError as error:
            raise WrongInstrumentError(
                self.device, f"the Tiger has {error}; give `axes` the names of two axes of one card"
            ) from error

    def make_ready(self) -> None:
        """Switch the motors of both axes on; the stage keeps its place."""
        self.command("MC " + " ".join(f"{axis}+" for axis in self.axes))

    # --- the line --------------------------------------------------------------------------------------------------

    def data(self, command: str, *, allowed: frozenset[int] = frozenset()) -> str:
        """Send a line and return what is answered; ``:N`` with an error that is not allowed raises RefusedError."""
        with self.lock:
            answer = self.ask(command).strip()
            found = REFUSAL.fullmatch(answer)
            if found is None or int(found[1]) in allowed:
                return answer
        words = ERRORS.get(int(found[1]), "not in the list of known errors; see the controller's manual")
        raise RefusedError(self.device, f"refused {shown(command)}: error {found[1]}, {words}")

    def command(self, command: str, *, allowed: frozenset[int] = frozenset()) -> None:
        """Send a command; anything but ``:A`` raises RefusedError or BadReplyError."""
        with self.lock:
            answer = self.data(command, allowed=allowed)
            if answer != ":A" and not REFUSAL.fullmatch(answer):
                raise self.bad_reply(command, answer, "':A'")

    def _per_axis(self, word: str) -> tuple[float, float]:
        command = f"{word} {' '.join(f'{axis}?' for axis in self.axes)}"
        with self.lock:
            answer = self.data(command)
            try:
                return parse_axis_values(answer, self.axes)
            except ValueError as error:
                raise self.bad_reply(command, answer, f"a number for each axis, {', '.join(self.axes)}") from error

    def _set(self, word: str, x: float, y: float, digits: int) -> None:
        items = " ".join(f"{axis}={value:.{digits}f}" for axis, value in zip(self.axes, (x, y), strict=True))
        self.command(f"{word} {items}")

    @property
    def landmark(self) -> tuple[str, str]:
        """Get the version as the landmark: no other question is answered with it."""
        return "V", self._version

    # --- what it shows ---------------------------------------------------------------------------------------------

    def read_limits_um(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Ask for the soft limits, which are in mm."""
        (x_min, y_min), (x_max, y_max) = self._per_axis("SL"), self._per_axis("SU")
        return (x_min / MM, x_max / MM), (y_min / MM, y_max / MM)

    def read_velocity_um_s(self) -> tuple[float, float]:
        """Ask for the velocities, which are in mm/s."""
        x, y = self._per_axis("S")
        return x / MM, y / MM

    @property
    def position_um(self) -> tuple[float, float]:
        """Measure the position, (x, y) in µm."""
        command = f"W {' '.join(self.axes)}"
        with self.lock:
            answer = self.data(command)
            try:
                x, y = parse_position(answer)
            except ValueError as error:
                raise self.bad_reply(command, answer, "':A' and two numbers") from error
        return x / UNITS_PER_UM, y / UNITS_PER_UM

    @property
    def moving(self) -> bool:
        """Get whether the controller says that it is busy."""
        with self.lock:
            answer = self.data("/").strip()
            if answer not in ("B", "N"):
                raise self.bad_reply("/", answer, "B or N")
            return answer == "B"

    # --- what it does ----------------------------------------------------------------------------------------------

    def command_move(self, x_um: float, y_um: float) -> None:
        """Begin a move of both axes."""
        self._set("M", x_um * UNITS_PER_UM, y_um * UNITS_PER_UM, 2)

    def command_velocity(self, x_um_s: float, y_um_s: float) -> None:
        """Set the velocities."""
        self._set("S", x_um_s * MM, y_um_s * MM, 6)

    def stop(self) -> None:
        """Stop all axes now; error 21, which interrupting a move leaves, is expected."""
        self.command("\\", allowed=frozenset({HALTED}))

    def begin_line(self, line: Line) -> None:
        """Run a line along x or y as a raster of one row, whose TTL output marks start and stop; others as a move."""
        fast = [index for index in (0, 1) if line.start_um[index] != line.stop_um[index]]
        if len(fast) != 1:
            super().begin_line(line)    # the scan runs along one axis
            return
        axis = fast[0]
        self._velocity_before = self.velocity_um_s
        speed = abs(line.stop_um[axis] - line.start_um[axis]) / line.duration_s
        now = self.velocity_um_s
        self.set_velocity(*(speed if index == axis else now[index] for index in (0, 1)))
        slow = 1 - axis
        card = self._card
        roles = " ".join(f"{self.axes[index]}={1 if index == axis else 2}" for index in (0, 1))
        self.command(f"{card}SCAN {roles} F=0")
        self.command(f"{card}SCANR X={line.start_um[axis] * MM:.5f} Y={line.stop_um[axis] * MM:.5f}")
        at = line.start_um[slow] * MM
        self.command(f"{card}SCANV X={at:.5f} Y={at:.5f} Z=1")
        self.command(f"{card}SCAN")
