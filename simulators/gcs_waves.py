"""Wave generator, trigger outputs and data recorder of the simulated E-727.

Source: PI E-727 User Manual E727T0005 (p69-81 triggers, p100-108 wave generator) and PIPython for argument orders and
the GCS array. Table points count from 1, and 0 is taken for the first one too. A generator sets its axis on the table's
first point at once; when its cycles are over the axis stays on the last. Commands become rises of the world's trigger
line; levels other than low and high are not simulated.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halidescope.simulators.gcs_commands import SENSOR_NOISE_UM, SERVO_CYCLE_S, Command, Controller, axes_of, pairs_of
from halidescope.simulators.gcs_errors import GcsError, GcsRefusedError, number
from halidescope.simulators.gcs_waveforms import (
    MOST_POINTS,
    MOST_RISES,
    TABLES,
    WavePath,
    distance_rises,
    gcs_array,
    known_names,
    point_index,
    segment_of,
    slice_of,
    whole_number,
)

LINES = ("1", "2", "3")
MOST_ROWS, MOST_CYCLES = 8192, 32_767
DISTANCE_MODE, GENERATOR_MODE = 0, 4
STEP, AXIS, MODE, START, STOP = 1, 2, 3, 8, 9       # parameters of CTO
CTO_PARAMETERS = range(1, 13)


@dataclass
class Waves:
    """What the wave generators, trigger outputs and the recorder are set to."""

    tables: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    table_of: dict[str, str] = field(default_factory=dict)          # axis to table, "0" is none
    cycles: dict[str, int] = field(default_factory=dict)
    offset_um: dict[str, float] = field(default_factory=dict)
    rate: int = 1
    interpolation: int = 0
    levels: dict[str, dict[int, int]] = field(default_factory=dict)     # line to point to level
    outputs: dict[str, dict[int, str]] = field(default_factory=lambda: {line: {MODE: "0"} for line in LINES})
    recorded: dict[str, tuple[str, str]] = field(default_factory=lambda: {"1": ("1", "2"), "2": ("2", "2")})
    record_rate: int = 1
    record_start_s: float | None = None
    paths: dict[str, WavePath] = field(default_factory=dict)        # of the last start


def wave_commands(controller: Controller) -> dict[str, Command]:
    """The commands, over a state of their own."""
    waves, bench = Waves(), controller.bench

    def refuse_while_running() -> None:
        if controller.generating_mask():
            raise GcsRefusedError(GcsError.GENERATOR_RUNNING)

    def define(_: Controller, arguments: list[str]) -> list[str]:
        if len(arguments) < 5:
            raise GcsRefusedError(GcsError.PARAMETER_MISSING)
        table, how, kind = arguments[0], arguments[1].upper(), arguments[2].upper()
        if table not in TABLES or how not in ("X", "&", "+"):
            raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
        refuse_while_running()
        values = [number(text) for text in arguments[3:]]
        before = waves.tables.get(table, np.zeros(0))
        if kind == "PNT":
            first, count = point_index(values[0]), whole_number(values[1], 1, MOST_POINTS)
            if count != len(values) - 2:
                raise GcsRefusedError(GcsError.WRONG_NUMBER_OF_PARAMETERS)
            segment = np.array(values[2:])
            if first > len(before) and how != "X":
                raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
            if how == "X":
                segment = np.concatenate([before[:first], segment, before[first + count:]])
        else:
            segment = segment_of(kind, values)
        if how == "&":
            segment = np.concatenate([before, segment])
        elif how == "+" and len(before):
            size = max(len(before), len(segment))
            segment = np.pad(before, (0, size - len(before))) + np.pad(segment, (0, size - len(segment)))
        if len(segment) > MOST_POINTS:
            raise GcsRefusedError(GcsError.WAVE_TOO_LARGE)
        waves.tables[table] = segment
        return []

    def clear(_: Controller, arguments: list[str]) -> list[str]:
        refuse_while_running()
        for table in known_names(arguments, TABLES) or TABLES:
            waves.tables.pop(table, None)
        return []

    def sizes(_: Controller, arguments: list[str]) -> list[str]:
        tables = known_names(arguments[::2], TABLES) or list(TABLES)
        return [f"{table} 1={len(waves.tables.get(table, ()))}" for table in tables]

    def per_axis(store: dict[str, object], read: Callable[[float], object]) -> Callable[..., list[str]]:
        def run(_: Controller, arguments: list[str]) -> list[str]:
            chosen = {name: read(number(value)) for name, value in pairs_of(controller, arguments)}
            refuse_while_running()
            store.update(chosen)
            return []
        return run

    def tell(store: dict[str, object], default: object) -> Callable[..., list[str]]:
        return lambda _, arguments: [f"{name}={store.get(name, default)}" for name in axes_of(controller, arguments)]

    def set_rate(_: Controller, arguments: list[str]) -> list[str]:
        if len(arguments) not in (2, 3):
            raise GcsRefusedError(GcsError.WRONG_NUMBER_OF_PARAMETERS)
        if arguments[0] not in ("0", *controller.axes):
            raise GcsRefusedError(GcsError.INVALID_AXIS)
        rate = whole_number(number(arguments[1]), 1, 2**31)
        interpolation = whole_number(number(arguments[2]), 0, 1) if len(arguments) > 2 else 0
        refuse_while_running()
        waves.rate, waves.interpolation = rate, interpolation
        return []

    def tell_rate(_: Controller, arguments: list[str]) -> list[str]:
        return [f"{name}={waves.rate} {waves.interpolation}" for name in arguments or controller.axes]

    def go(_: Controller, arguments: list[str]) -> list[str]:
        chosen = {name: whole_number(number(value), 0, 1) for name, value in pairs_of(controller, arguments)}
        now = bench.advance()
        starting = [name for name, run in chosen.items() if run]
        paths = {name: path_of(name, now) for name in starting}
        for name in chosen:
            if name not in paths and controller.generating(controller.axes[name]):
                controller.axes[name].stop(now)
                bench.cancel_triggers(now)
        if paths:
            bench.happened("move")
            waves.paths, waves.record_start_s = paths, now
            for name, path in paths.items():
                controller.axes[name].follow(path, now)
            bench.announce_triggers(rises_of(next(iter(paths.values()))))
        return []

    def path_of(name: str, now: float) -> WavePath:
        axis, table = controller.axes[name], waves.tables.get(waves.table_of.get(name, "0"))
        if not axis.servo:
            raise GcsRefusedError(GcsError.SERVO_OFF)
        if table is None or not len(table):
            raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
        values = table + waves.offset_um.get(name, 0.0)
        if values.min() < axis.lower_um or values.max() > axis.upper_um:
            raise GcsRefusedError(GcsError.POSITION_OUT_OF_LIMITS)
        return WavePath(now, values, waves.rate * SERVO_CYCLE_S, waves.cycles.get(name, 1))

    def rises_of(path: WavePath) -> list[float]:
        """When a generator's outputs go high: at each point that is high behind one that is not."""
        points = set()
        for line, levels in waves.levels.items():
            if waves.outputs[line].get(MODE) == str(GENERATOR_MODE):
                points |= {point for point, level in levels.items() if level == 1 and levels.get(point - 1) != 1}
        known = sorted(point for point in points if point < len(path.values_um))
        cycles = path.cycles or MOST_RISES
        rises = (
            path.start_s + (cycle * len(path.values_um) + point) * path.point_s
            for cycle in range(cycles) for point in known
        )
        return [rise for rise, _ in zip(rises, range(MOST_RISES), strict=False)]

    def set_triggers(_: Controller, arguments: list[str]) -> list[str]:
        if not arguments or len(arguments) % 3:
            raise GcsRefusedError(GcsError.PARAMETER_MISSING)
        lines = known_names(arguments[::3], LINES)
        points = [point_index(number(text)) for text in arguments[1::3]]
        levels = [whole_number(number(text), 0, 1) for text in arguments[2::3]]
        for line, point, level in zip(lines, points, levels, strict=True):
            waves.levels.setdefault(line, {})[point] = level
        return []

    def clear_triggers(_: Controller, arguments: list[str]) -> list[str]:
        waves.levels.clear()
        return []

    def set_output(_: Controller, arguments: list[str]) -> list[str]:
        if not arguments or len(arguments) % 3:
            raise GcsRefusedError(GcsError.PARAMETER_MISSING)
        lines = known_names(arguments[::3], LINES)
        parameters = [whole_number(number(text), 1, CTO_PARAMETERS[-1]) for text in arguments[1::3]]
        for value in arguments[2::3]:
            number(value)
        for line, parameter, value in zip(lines, parameters, arguments[2::3], strict=True):
            waves.outputs[line][parameter] = value
        return []

    def tell_outputs(_: Controller, arguments: list[str]) -> list[str]:
        return [
            f"{line} {parameter}={value}"
            for line in known_names(arguments[::2], LINES) or LINES
            for parameter, value in sorted(waves.outputs[line].items())
        ]

    def moved(names: list[str], now: float) -> None:
        """Announce the distance triggers of a move at constant velocity (manual p69-74)."""
        rises: list[float] = []
        for settings in waves.outputs.values():
            name, step = settings.get(AXIS), abs(float(settings.get(STEP, "0")))
            if settings.get(MODE) == str(DISTANCE_MODE) and name in names and step > 0.0:
                window = float(settings.get(START, "0")), float(settings.get(STOP, "0"))
                rises += distance_rises(controller.axes[name], now, step, window)
        if rises:
            bench.announce_triggers(sorted(rises))

    controller.moved = moved

    def record(_: Controller, arguments: list[str]) -> list[str]:
        if not arguments or len(arguments) % 3:
            raise GcsRefusedError(GcsError.PARAMETER_MISSING)
        tables = known_names(arguments[::3], TABLES)
        axes_of(controller, arguments[1::3])
        known_names(arguments[2::3], ("1", "2"))
        waves.recorded |= {
            table: (source, option)
            for table, source, option in zip(tables, arguments[1::3], arguments[2::3], strict=True)
        }
        return []

    def record_rate(_: Controller, arguments: list[str]) -> list[str]:
        if len(arguments) != 1:
            raise GcsRefusedError(GcsError.WRONG_NUMBER_OF_PARAMETERS)
        waves.record_rate = whole_number(number(arguments[0]), 1, 2**31)
        return []

    def read_record(_: Controller, arguments: list[str]) -> list[str]:
        first, count, tables = slice_of(arguments, list(waves.recorded))
        if waves.record_start_s is None:
            raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
        sample_s = waves.record_rate * SERVO_CYCLE_S
        ready = min(MOST_ROWS, int((bench.advance() - waves.record_start_s) / sample_s))
        times = waves.record_start_s + np.arange(first, max(first, min(first + count, ready))) * sample_s
        columns = {}
        for table in tables:
            source, option = waves.recorded[table]
            path, axis = waves.paths.get(source), controller.axes[source]
            way = axis.position_um if path is None else path.position_um
            values = np.array([way(time if path is None else min(time, path.last_s)) for time in times])
            noise = bench.random.normal(0.0, SENSOR_NOISE_UM, len(times)) if option == "2" else 0.0
            columns[f"{'Actual' if option == '2' else 'Target'} Position of axis {source}"] = values + noise
        return gcs_array(columns, sample_s)

    def read_table(_: Controller, arguments: list[str]) -> list[str]:
        first, count, tables = slice_of(arguments, [table for table in TABLES if table in waves.tables])
        if not tables or any(table not in waves.tables for table in tables):
            raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
        columns = {f"Wave Table {table}": waves.tables[table][first:first + count] for table in tables}
        if len({len(column) for column in columns.values()}) > 1:
            raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
        return gcs_array(columns, waves.rate * SERVO_CYCLE_S)

    def running(_: Controller, arguments: list[str]) -> list[str]:
        names = axes_of(controller, arguments)
        return [f"{name}={int(controller.generating(controller.axes[name]))}" for name in names]

    tables_of: dict[str, object] = waves.table_of       # type: ignore[assignment]
    cycles: dict[str, object] = waves.cycles            # type: ignore[assignment]
    offsets: dict[str, object] = waves.offset_um        # type: ignore[assignment]
    return {
        "CTO": Command(set_output, "{<TrigOutID> <CTOPam> <Value>} Set Configuration Of Trigger Output"),
        "CTO?": Command(tell_outputs, "[{<TrigOutID> <CTOPam>}] Get Configuration Of Trigger Output"),
        "DRC": Command(record, "{<RecTableID> <Source> <RecOption>} Set Data Recorder Configuration"),
        "DRR?": Command(read_record, "[<StartPoint> <NumberOfPoints> [{<RecTableID>}]] Get Recorded Data Values"),
        "GWD?": Command(read_table, "[<StartPoint> <NumberOfPoints> [{<WaveTableID>}]] Get Wave Table Data"),
        "RTR": Command(record_rate, "<RecordTableRate> Set Record Table Rate"),
        "RTR?": Command(lambda _, arguments: [str(waves.record_rate)], "Get Record Table Rate"),
        "TWC": Command(clear_triggers, "Clear All Wave Related Triggers"),
        "TWS": Command(set_triggers, "{<TrigOutID> <PointNumber> <Switch>} Set Trigger Line Action"),
        "WAV": Command(define, "<WaveTableID> <AppendWave> <WaveType> <WaveTypeParameters> Set Waveform Definition"),
        "WAV?": Command(sizes, "[{<WaveTableID> <WaveParameterID>}] Get Waveform Definition"),
        "WCL": Command(clear, "{<WaveTableID>} Clear Wave Table Data"),
        "WGC": Command(
            per_axis(cycles, lambda value: whole_number(value, 0, MOST_CYCLES)), "{<WaveGenID> <Cycles>} Set Cycles"
        ),
        "WGC?": Command(tell(cycles, 1), "[{<WaveGenID>}] Get Number Of Wave Generator Cycles"),
        "WGO": Command(go, "{<WaveGenID> <StartMode>} Set Wave Generator Start/Stop Mode"),
        "WGO?": Command(running, "[{<WaveGenID>}] Get Wave Generator Start/Stop Mode"),
        "WOS": Command(per_axis(offsets, float), "{<WaveGenID> <Offset>} Set Wave Generator Output Offset"),
        "WOS?": Command(tell(offsets, 0.0), "[{<WaveGenID>}] Get Wave Generator Output Offset"),
        "WSL": Command(
            per_axis(tables_of, lambda value: str(whole_number(value, 0, len(TABLES)))),
            "{<WaveGenID> <WaveTableID>} Set Connection Of Wave Table To Wave Generator",
        ),
        "WSL?": Command(tell(tables_of, "0"), "[{<WaveGenID>}] Get Connection Of Wave Table To Wave Generator"),
        "WTR": Command(set_rate, "{<WaveGenID> <WaveTableRate> <InterpolationType>} Set Wave Generator Table Rate"),
        "WTR?": Command(tell_rate, "[{<WaveGenID>}] Get Wave Generator Table Rate"),
    }
