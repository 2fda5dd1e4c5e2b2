"""What each GCS 2.0 command of the simulated E-727 does.

A table of small functions: arguments in, answer lines out (none for a command). Refusals are raised with their error
number and end up in the register that ``ERR?`` reads; the register keeps the last error. No bytes and no parsing here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from halidescope.simulators.bench import Bench
from halidescope.simulators.gcs_errors import GcsError, GcsRefusedError, number
from halidescope.simulators.motion import Axis

LONGEST_LINE = 2048
MOST_ARGUMENTS = 32
FASTEST_UM_S = 20000.0
SENSOR_NOISE_UM = 0.0005
SERVO_CYCLE_S = 50e-6
PORT = 50000


@dataclass(frozen=True)
class Parameter:
    """One entry of ``HPA?`` and ``SPA?``."""

    level: int
    kind: str
    group: str
    text: str
    attribute: str | None = None    # of the axis; None for a constant of the controller
    constant: float = 0.0


PARAMETERS: dict[int, Parameter] = {
    0x07000000: Parameter(1, "FLOAT", "Servo", "Range Limit min", "lower_um"),
    0x07000001: Parameter(1, "FLOAT", "Servo", "Range Limit max", "upper_um"),
    0x07000200: Parameter(0, "FLOAT", "Servo", "Servo Loop Slew-Rate", "velocity_um_s"),
    0x07000900: Parameter(0, "FLOAT", "Servo", "ON Target Tolerance", "window_um"),
    0x07000901: Parameter(0, "FLOAT", "Servo", "Settling Time", "settling_s"),
    0x0E000200: Parameter(3, "FLOAT", "System", "Servo Update Time", None, SERVO_CYCLE_S),
}


class Controller:
    """State of the controller; outlives connections. The servo is off after power-up.

    Parameters
    ----------
    bench : Bench
        The world; its axes ``1``, ``2`` (in the film's plane) and ``3`` (focus, without effect on the image).
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.axes: dict[str, Axis] = bench.axes
        self.error = GcsError.NONE
        self.level = 0
        self.overflown: set[str] = set()
        self.zeroed = dict.fromkeys(self.axes, True)
        self.commands: dict[str, Command] = dict(COMMANDS)
        self.moved: Callable[[list[str], float], None] = lambda names, now: None    # told of axes that have set out

    def moving_mask(self) -> int:
        """Bit 0 is axis 1; set while the axis is not on target."""
        now = self.bench.advance()
        return sum(
            1 << bit for bit, axis in enumerate(self.axes.values()) if axis.servo and not axis.on_target(now)
        )

    def generating(self, axis: Axis) -> bool:
        """True while a wave generator drives the axis."""
        return axis.path is not None and self.bench.advance() < axis.path.end_s

    def generating_mask(self) -> int:
        """Bit 0 is the generator of axis 1."""
        return sum(1 << bit for bit, axis in enumerate(self.axes.values()) if self.generating(axis))

    def stop(self, names: list[str]) -> None:
        """Hold the axes where they are; leaves error 10."""
        now = self.bench.advance()
        for name in names:
            self.axes[name].stop(now)
        self.bench.cancel_triggers(now)
        self.error = GcsError.STOPPED

    def stall(self, stalled: bool) -> None:
        """Let every axis get stuck where it is, or come loose again."""
        now = self.bench.advance()
        for axis in self.axes.values():
            axis.stall(stalled, now)

    def overflow(self) -> None:
        """Lose the closed loop of every axis, as when the amplifiers saturate; switching the servo on ends it."""
        now = self.bench.advance()
        for axis in self.axes.values():
            axis.stop(now)
            axis.servo = False
        self.overflown = set(self.axes)


@dataclass(frozen=True)
class Command:
    """One command or query."""

    run: Callable[[Controller, list[str]], list[str]]
    help: str


def axes_of(controller: Controller, arguments: list[str]) -> list[str]:
    """Named axes, or all of them."""
    for name in arguments:
        if name not in controller.axes:
            raise GcsRefusedError(GcsError.INVALID_AXIS)
    return arguments or list(controller.axes)


def pairs_of(controller: Controller, arguments: list[str]) -> list[tuple[str, str]]:
    """Arguments ``<axis> <value> …``."""
    if not arguments or len(arguments) % 2:
        raise GcsRefusedError(GcsError.PARAMETER_MISSING)
    pairs = list(zip(arguments[::2], arguments[1::2], strict=True))
    axes_of(controller, [name for name, _ in pairs])
    return pairs


def _fixed(*lines: str) -> Callable[[Controller, list[str]], list[str]]:
    return lambda controller, arguments: list(lines)


def _per_axis(read: Callable[[Controller, str, float], str]) -> Callable[[Controller, list[str]], list[str]]:
    def run(controller: Controller, arguments: list[str]) -> list[str]:
        now = controller.bench.advance()
        return [f"{name}={read(controller, name, now)}" for name in axes_of(controller, arguments)]
    return run


def _float(value: float) -> str:
    return f"{value:.8e}"


def _position(controller: Controller, name: str, now: float) -> str:
    return _float(controller.axes[name].position_um(now) + controller.bench.random.normal(0.0, SENSOR_NOISE_UM))


def _identify(controller: Controller, arguments: list[str]) -> list[str]:
    return ["(c)2013 Physik Instrumente(PI) Karlsruhe, E-727.3SDA, 0117020931, 13.21.00.09"]


def _list_axes(controller: Controller, arguments: list[str]) -> list[str]:
    if arguments and arguments != ["ALL"]:
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    return list(controller.axes)


def _read_error(controller: Controller, arguments: list[str]) -> list[str]:
    code, controller.error = controller.error, GcsError.NONE
    return [str(int(code))]


def _list_commands(controller: Controller, arguments: list[str]) -> list[str]:
    return [
        "The following commands are available:",
        *(f"{word} {command.help}" for word, command in controller.commands.items()),
        "end of help",
    ]


def _list_parameters(controller: Controller, arguments: list[str]) -> list[str]:
    return [
        "The following parameters are valid:",
        *(
            f"0x{number:08X}=\t{entry.level}\t1\t{entry.kind}\t{entry.group}\t{entry.text}"
            for number, entry in PARAMETERS.items()
        ),
        "end of help",
    ]


def _interface(controller: Controller, arguments: list[str]) -> list[str]:
    facts = {
        "RSBAUD": "115200", "IPADR": f"127.0.0.1:{PORT}", "IPSTART": "0", "IPMASK": "255.255.255.0",
        "MACADR": "0:21:A9:0:0:0",
    }
    for name in arguments:
        if name.upper() not in facts:
            raise GcsRefusedError(GcsError.UNKNOWN_PARAMETER)
    return [f"{name}={facts[name]}" for name in (word.upper() for word in arguments)] or [
        f"{name}={value}" for name, value in facts.items()
    ]


def _servo(controller: Controller, arguments: list[str]) -> list[str]:
    pairs = pairs_of(controller, arguments)
    if any(value not in ("0", "1") for _, value in pairs):
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    now = controller.bench.advance()
    for name, value in pairs:
        axis = controller.axes[name]
        if axis.servo != (value == "1"):
            axis.stop(now)      # closed or opened, the loop starts from where the axis is
            axis.servo = value == "1"
        if axis.servo:
            controller.overflown.discard(name)
    return []


def _move_to(controller: Controller, targets: dict[str, float]) -> list[str]:
    """All or nothing: one refused axis keeps the others from moving."""
    controller.bench.happened("move")
    for name, target in targets.items():
        axis = controller.axes[name]
        if not axis.servo:
            raise GcsRefusedError(GcsError.SERVO_OFF)
        if controller.generating(axis):
            raise GcsRefusedError(GcsError.GENERATOR_RUNNING)
        if not axis.lower_um <= target <= axis.upper_um:
            raise GcsRefusedError(GcsError.POSITION_OUT_OF_LIMITS)
    now = controller.bench.advance()
    for name, target in targets.items():
        controller.axes[name].move(target, now)
    controller.moved(list(targets), now)
    return []


def _move(controller: Controller, arguments: list[str]) -> list[str]:
    return _move_to(controller, {name: number(value) for name, value in pairs_of(controller, arguments)})


def _move_relative(controller: Controller, arguments: list[str]) -> list[str]:
    return _move_to(
        controller,
        {name: controller.axes[name].target_um + number(value) for name, value in pairs_of(controller, arguments)},
    )


def _auto_zero(controller: Controller, arguments: list[str]) -> list[str]:
    """The axis goes to the low end to find its sensor's zero."""
    pairs = pairs_of(controller, arguments) if arguments else [(name, "NaN") for name in controller.axes]
    now = controller.bench.advance()
    for name, _ in pairs:
        controller.axes[name].move(controller.axes[name].lower_um, now)
        controller.zeroed[name] = True
    return []


def _velocity(controller: Controller, arguments: list[str]) -> list[str]:
    wanted = [(name, number(value)) for name, value in pairs_of(controller, arguments)]
    if any(not 0.0 < value <= FASTEST_UM_S for _, value in wanted):
        raise GcsRefusedError(GcsError.VELOCITY_OUT_OF_LIMITS)
    now = controller.bench.advance()
    for name, value in wanted:
        controller.axes[name].change_velocity(value, now)
    return []


def _stop_all(controller: Controller, arguments: list[str]) -> list[str]:
    controller.stop(list(controller.axes))
    return []


def _halt(controller: Controller, arguments: list[str]) -> list[str]:
    controller.stop(axes_of(controller, arguments))
    return []


def _parameter_number(text: str) -> int:
    """PIPython sends decimal, people send hexadecimal."""
    try:
        number = int(text, 0)
    except ValueError:
        raise GcsRefusedError(GcsError.SYNTAX) from None
    if number not in PARAMETERS:
        raise GcsRefusedError(GcsError.UNKNOWN_PARAMETER)
    return number


def _read_parameters(controller: Controller, arguments: list[str]) -> list[str]:
    if len(arguments) % 2:
        raise GcsRefusedError(GcsError.PARAMETER_MISSING)
    asked = [(name, _parameter_number(text)) for name, text in zip(arguments[::2], arguments[1::2], strict=True)]
    axes_of(controller, [name for name, _ in asked])
    lines = []
    for name, parameter in asked or [(name, parameter) for name in controller.axes for parameter in PARAMETERS]:
        entry = PARAMETERS[parameter]
        value = entry.constant if entry.attribute is None else getattr(controller.axes[name], entry.attribute)
        lines.append(f"{name} 0x{parameter:X}={_float(value)}")
    return lines


def _write_parameters(controller: Controller, arguments: list[str]) -> list[str]:
    if not arguments or len(arguments) % 3:
        raise GcsRefusedError(GcsError.PARAMETER_MISSING)
    wanted = [
        (name, PARAMETERS[_parameter_number(text)], number(value))
        for name, text, value in zip(arguments[::3], arguments[1::3], arguments[2::3], strict=True)
    ]
    axes_of(controller, [name for name, _, _ in wanted])
    for _, entry, value in wanted:
        if entry.attribute is None or entry.level > controller.level:
            raise GcsRefusedError(GcsError.PARAMETER_PROTECTED)
        if entry.attribute not in ("lower_um", "upper_um") and value <= 0.0:
            raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    now = controller.bench.advance()
    for name, entry, value in wanted:
        axis = controller.axes[name]
        if entry.attribute == "velocity_um_s":
            axis.change_velocity(value, now)
        else:
            setattr(axis, str(entry.attribute), value)
    return []


def _command_level(controller: Controller, arguments: list[str]) -> list[str]:
    if not arguments:
        raise GcsRefusedError(GcsError.PARAMETER_MISSING)
    if arguments[0] not in ("0", "1"):
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    if arguments[0] == "1" and [word.lower() for word in arguments[1:]] != ["advanced"]:
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    controller.level = int(arguments[0])
    return []


COMMANDS: dict[str, Command] = {
    "*IDN?": Command(_identify, "Get Device Identification"),
    "IDN?": Command(_identify, "Get Device Identification"),
    "ATZ": Command(_auto_zero, "[{<AxisID> <LowVoltage>}] Set Automatic Zero Point Calibration"),
    "ATZ?": Command(_per_axis(lambda c, name, now: str(int(c.zeroed[name]))), "[{<AxisID>}] Get Auto Zero State"),
    "CCL": Command(_command_level, "<Level> [<PSWD>] Set Command Level"),
    "CCL?": Command(lambda c, arguments: [str(c.level)], "Get Command Level"),
    "CSV?": Command(_fixed("2.0"), "Get Current Syntax Version"),
    "ERR?": Command(_read_error, "Get Error Number"),
    "HLP?": Command(_list_commands, "Get List Of Available Commands"),
    "HLT": Command(_halt, "[{<AxisID>}] Halt Motion Smoothly"),
    "HPA?": Command(_list_parameters, "Get List Of Available Parameters"),
    "IFC?": Command(_interface, "[{<InterfacePam>}] Get Current Interface Parameters"),
    "MOV": Command(_move, "{<AxisID> <Position>} Set Target Position"),
    "MOV?": Command(
        _per_axis(lambda c, name, now: _float(c.axes[name].target_um)), "[{<AxisID>}] Get Target Position"
    ),
    "MVR": Command(_move_relative, "{<AxisID> <Distance>} Set Target Relative To Current Target"),
    "ONT?": Command(
        _per_axis(lambda c, name, now: str(int(c.axes[name].on_target(now)))), "[{<AxisID>}] Get On-Target State"
    ),
    "OVF?": Command(_per_axis(lambda c, name, now: str(int(name in c.overflown))), "[{<AxisID>}] Get Overflow State"),
    "POS?": Command(_per_axis(_position), "[{<AxisID>}] Get Real Position"),
    "SAI?": Command(_list_axes, "[ALL] Get List Of Current Axis Identifiers"),
    "SPA": Command(_write_parameters, "{<ItemID> <PamID> <PamValue>} Set Volatile Memory Parameters"),
    "SPA?": Command(_read_parameters, "[{<ItemID> <PamID>}] Get Volatile Memory Parameters"),
    "STP": Command(_stop_all, "Stop All Axes"),
    "SVO": Command(_servo, "{<AxisID> <ServoState>} Set Servo Mode"),
    "SVO?": Command(_per_axis(lambda c, name, now: str(int(c.axes[name].servo))), "[{<AxisID>}] Get Servo Mode"),
    "TMN?": Command(
        _per_axis(lambda c, name, now: _float(c.axes[name].lower_um)), "[{<AxisID>}] Get Minimum Commandable Position"
    ),
    "TMX?": Command(
        _per_axis(lambda c, name, now: _float(c.axes[name].upper_um)), "[{<AxisID>}] Get Maximum Commandable Position"
    ),
    "VEL": Command(_velocity, "{<AxisID> <Velocity>} Set Closed-Loop Velocity"),
    "VEL?": Command(
        _per_axis(lambda c, name, now: _float(c.axes[name].velocity_um_s)), "[{<AxisID>}] Get Closed-Loop Velocity"
    ),
}
