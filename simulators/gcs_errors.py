"""Error numbers of the simulated E-727, and how a command is refused with one.

Source: PIPython's list of GCS errors. The register that keeps them is the controller's.
"""

import math
from enum import IntEnum


class GcsError(IntEnum):
    """Error numbers of ``ERR?``."""

    NONE = 0
    SYNTAX = 1
    UNKNOWN_COMMAND = 2
    LINE_TOO_LONG = 3
    SERVO_OFF = 5
    POSITION_OUT_OF_LIMITS = 7
    VELOCITY_OUT_OF_LIMITS = 8
    STOPPED = 10
    INVALID_AXIS = 15
    PARAMETER_OUT_OF_RANGE = 17
    WRONG_NUMBER_OF_PARAMETERS = 24
    PARAMETER_MISSING = 26
    UNKNOWN_PARAMETER = 54
    PARAMETER_PROTECTED = 60
    WAVE_TOO_LARGE = 67
    GENERATOR_RUNNING = 73


class GcsRefusedError(Exception):
    """A command was refused with an error number."""

    def __init__(self, code: GcsError) -> None:
        super().__init__(code.name)
        self.code = code


def number(text: str) -> float:
    """A finite number; refused otherwise."""
    try:
        value = float(text)
    except ValueError:
        raise GcsRefusedError(GcsError.SYNTAX) from None
    if not math.isfinite(value):
        raise GcsRefusedError(GcsError.PARAMETER_OUT_OF_RANGE)
    return value
