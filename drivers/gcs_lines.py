"""Continuous lines with a GCS controller: by its wave generator, or by a move with the position-distance trigger.

Only the sequences of commands; the line protocol is in :mod:`halidescope.drivers.gcs`. Source: E-727 user manual
E727T0005, pages 69 to 81 (triggers) and 100 to 108 (wave generator).
"""

from dataclasses import dataclass

from halidescope.drivers.roles import Line

SERVO_CYCLE_PARAMETER = 0x0E000200
LONGEST_TABLE = 8192          # points that are used of a wave table
POINTS_PER_PIXEL = 10
TRIPLES_PER_COMMAND = 10      # a line holds at most 32 arguments (page 69)
GENERATOR_TRIGGER = 4         # values of parameter 3 of CTO (page 73)
DISTANCE_TRIGGER = 0


@dataclass(frozen=True)
class Wave:
    """A line as the wave generator runs it.

    Attributes
    ----------
    points : int
        Points of the table.
    cycles : int
        Servo cycles that each point lasts.
    pixel_starts : tuple of int
        Index of the first point of every pixel, counted from 1.
    """

    points: int
    cycles: int
    pixel_starts: tuple[int, ...]


def plan_wave(line: Line, servo_cycle_s: float) -> Wave:
    """Divide a line into table points of whole servo cycles.

    Raises
    ------
    ValueError
        A pixel is shorter than a servo cycle, or there are more pixels than a table holds; what is allowed is said.
    """
    if line.pixels > LONGEST_TABLE:
        raise ValueError(f"{line.pixels} pixels do not fit a wave table, allowed are {LONGEST_TABLE}; divide the line")
    per_pixel = max(1, min(POINTS_PER_PIXEL, LONGEST_TABLE // line.pixels, int(line.pixel_s / servo_cycle_s + 1e-9)))
    cycles = round(line.pixel_s / (per_pixel * servo_cycle_s))
    if cycles < 1:
        raise ValueError(
            f"a pixel of {line.pixel_s:g} s is shorter than a servo cycle of {servo_cycle_s:g} s; choose a longer one"
        )
    starts = tuple(1 + per_pixel * pixel for pixel in range(line.pixels))
    return Wave(per_pixel * line.pixels, cycles, starts)


def wave_commands(line: Line, wave: Wave, axes: tuple[str, str], output: int) -> list[str]:
    """The commands that prepare a line: one linear table an axis, one pulse a pixel on a digital output."""
    commands = ["TWC"]
    for table, (start, stop) in enumerate(zip(line.start_um, line.stop_um, strict=True), start=1):
        shape = f"{wave.points} {stop - start:.6f} {start:.6f} {wave.points} 0 0"
        commands += [f"WAV {table} X LIN {shape}", f"WSL {axes[table - 1]} {table}", f"WGC {axes[table - 1]} 1"]
    commands.append(f"WTR 0 {wave.cycles} 1")
    for first in range(0, line.pixels, TRIPLES_PER_COMMAND):
        some = wave.pixel_starts[first : first + TRIPLES_PER_COMMAND]
        commands.append("TWS " + " ".join(f"{output} {point} 1" for point in some))
    commands.append(f"CTO {output} 3 {GENERATOR_TRIGGER}")
    return commands


def distance_command(line: Line, axes: tuple[str, str], output: int) -> str:
    """The command that gives a pulse every pixel of the faster axis' way (pages 69 to 74)."""
    lengths = [abs(stop - start) for start, stop in zip(line.start_um, line.stop_um, strict=True)]
    fast = lengths.index(max(lengths))
    settings = (
        (2, axes[fast]), (3, DISTANCE_TRIGGER), (1, f"{lengths[fast] / line.pixels:.6f}"),
        (8, f"{line.start_um[fast]:.6f}"), (9, f"{line.stop_um[fast]:.6f}"),
    )  # fmt: skip
    return "CTO " + " ".join(f"{output} {parameter} {value}" for parameter, value in settings)
