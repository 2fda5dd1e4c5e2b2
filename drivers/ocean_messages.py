"""Message types of the Ocean Binary Protocol, and what differs between the spectrometers that speak it.

Sources: QE Pro data sheet 891-00000-000-05-201604 (pages 13, 21 to 29) and the message list of the manufacturer's open
C library.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np


class Message(IntEnum):
    """Message types that are used here."""

    FIRMWARE_REVISION = 0x00000090
    SERIAL_NUMBER = 0x00000100
    DEVICE_NAME = 0x00000E11
    ABORT = 0x00100000
    CLEAR_BUFFER = 0x00100830
    ACQUIRE = 0x00100902
    BUFFERED_SPECTRUM = 0x00100928
    CORRECTED_SPECTRUM = 0x00101000
    SATURATION_LEVEL = 0x001010A0
    EXPOSURE = 0x00110000
    EXPOSURE_MIN = 0x00110001
    EXPOSURE_MAX = 0x00110002
    EXPOSURE_STEP = 0x00110003
    SET_EXPOSURE = 0x00110010
    TRIGGER_MODE = 0x00110100
    SET_TRIGGER_MODE = 0x00110110
    PIXELS = 0x00110220
    AVERAGES = 0x00120000
    SET_AVERAGES = 0x00120010
    BOXCAR = 0x00121000
    SET_BOXCAR = 0x00121010
    WAVELENGTH_COUNT = 0x00180100
    WAVELENGTH_COEFFICIENT = 0x00180101
    NONLINEARITY_COUNT = 0x00181100
    NONLINEARITY_COEFFICIENT = 0x00181101
    TEMPERATURES = 0x00400002
    COOLER_ON = 0x00420000
    COOLER_SETPOINT = 0x00420001
    COOLER_STABLE = 0x00420003
    COOLER_TEMPERATURE = 0x00420004
    SET_COOLER_ON = 0x00420010
    SET_COOLER_SETPOINT = 0x00420011


@dataclass(frozen=True)
class OceanModel:
    """What differs between the spectrometers of the family.

    Attributes
    ----------
    name : str
        How the device names itself, at least in part; blanks, hyphens and case do not count.
    spectrum : Message
        The request that returns one spectrum.
    before : tuple of Message
        Commands without acknowledgement that must precede it.
    metadata_bytes : int
        Bytes in front of the counts.
    count_type : dtype
        NumPy type of one pixel on the wire.
    count_mask : int
        Bits of a pixel that are counts.
    triggers : mapping of str to int
        Trigger modes and their numbers; 0 exposes when it is asked to.
    """

    name: str
    spectrum: Message
    before: tuple[Message, ...] = ()
    metadata_bytes: int = 0
    count_type: np.dtype[Any] = np.dtype("<u2")    # noqa: RUF009 - a dtype cannot be changed
    count_mask: int = 0xFFFF
    triggers: Mapping[str, int] = field(default_factory=lambda: {"normal": 0})

    @property
    def before_next(self) -> tuple[Message, ...]:
        """Commands that must precede a request while another spectrum is on its way, which they must not end."""
        return tuple(each for each in self.before if each is Message.ACQUIRE)


HDX = OceanModel(
    "HDX", Message.CORRECTED_SPECTRUM, triggers={"normal": 0, "edge": 1, "level": 3, "disabled": 255}
)
STS = OceanModel(
    "STS", Message.CORRECTED_SPECTRUM, count_mask=0x3FFF, triggers={"normal": 0, "external": 1, "internal": 2}
)
QE_PRO = OceanModel(
    "QEPRO",
    Message.BUFFERED_SPECTRUM,
    before=(Message.ABORT, Message.CLEAR_BUFFER, Message.ACQUIRE),
    metadata_bytes=32,
    count_type=np.dtype("<u4"),
    count_mask=0x3FFFF,
    triggers={"normal": 0, "level": 1, "synchronous": 2, "edge": 3},
)
