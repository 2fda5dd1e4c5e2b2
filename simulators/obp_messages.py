"""The messages of a simulated spectrometer that have nothing to do with exposures: what is asked for and what is set.

Source: QE Pro Data Sheet p21-29 and libseabreeze's OBPMessageTypes for numbers and data types. Data in, data out;
frames, acknowledgements and spectra are in :mod:`halidescope.simulators.obp`.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from halidescope.simulators.detector import Cooler
from halidescope.simulators.obp_codec import ObpError
from halidescope.simulators.ocean_models import LINEAR, OceanModel

LONGEST_DELAY_US = 10_000_000
LARGEST_BINNING = 3         # neighbours averaged: 2 to this power
LONGEST_TEXT = 15           # of alias and user strings
STRAY_LIGHT = (0.0, 0.0)    # coefficients: none
EVERY_NTH = 1               # kind of a partial spectrum; 2 is a band
LOWEST_C, HIGHEST_C = -40.0, 25.0       # set-points of a cooler
TEMPERATURES_C = (24.5, 31.0)                                # detector, electronics
DEFAULT_US = 100_000


class ObpRefusedError(Exception):
    """A message was refused with an error number."""

    def __init__(self, code: ObpError) -> None:
        super().__init__(code.name)
        self.code = code


@dataclass
class Settings:
    """What can be set."""

    integration_us: int = DEFAULT_US
    trigger_mode: int = 0
    trigger_delay_us: int = 0
    scans_to_average: int = 1
    boxcar: int = 0
    lamp: int = 0
    baud: int = 115200
    binning: int = 0
    partial: bytes = struct.pack("<HH", EVERY_NTH, 1)

    def restore(self) -> None:
        """As after a reset."""
        for setting in fields(self):
            setattr(self, setting.name, setting.default)


def smooth(counts: NDArray[np.float64], half_width: int) -> NDArray[np.float64]:
    """Boxcar average over ``2 half_width + 1`` pixels."""
    if half_width:
        padded = np.pad(counts, half_width, mode="edge")
        counts = np.convolve(padded, np.full(2 * half_width + 1, 1.0 / (2 * half_width + 1)), mode="valid")
    return counts


def binned(counts: NDArray[np.float64], binning: int) -> NDArray[np.float64]:
    """Means of ``2**binning`` neighbours; what is left at the end is dropped."""
    width = 2**binning
    whole = len(counts) // width * width
    return counts[:whole].reshape(-1, width).mean(axis=1)


def partial_pixels(mode: bytes, pixels: int) -> NDArray[np.int64]:
    """Pixels of a partial spectrum: every n-th (mode 1), or a band of start, interval and count (mode 2)."""
    kind, *numbers = struct.unpack(f"<{len(mode) // 2}H", mode) if mode and len(mode) % 2 == 0 else (0,)
    match kind, numbers:
        case 1, [interval] if interval > 0:
            return np.arange(0, pixels, interval)
        case 2, [start, interval, count] if interval > 0 and count > 0 and start + interval * (count - 1) < pixels:
            return start + interval * np.arange(count)
    raise ObpRefusedError(ObpError.PAYLOAD_INVALID)


def labels() -> tuple[dict[int, Callable[[bytes], bytes]], dict[int, Callable[[bytes], None]]]:
    """Alias and user strings: what is asked for and what is set."""
    alias, strings = [b""], [b"", b""]

    def check(text: bytes) -> bytes:
        if len(text) > LONGEST_TEXT or not text.isascii():
            raise ObpRefusedError(ObpError.PAYLOAD_INVALID)
        return text

    def index(data: bytes) -> int:
        if not data:
            raise ObpRefusedError(ObpError.PAYLOAD_LENGTH)
        if data[0] >= len(strings):
            raise ObpRefusedError(ObpError.NO_SUCH_INFORMATION)
        return data[0]

    def set_alias(data: bytes) -> None:
        alias[0] = check(data)

    def set_string(data: bytes) -> None:
        strings[index(data)] = check(data[1:])

    return (
        {
            0x00000200: lambda request: alias[0], 0x00000201: lambda request: bytes([len(alias[0])]),
            0x00000300: lambda request: bytes([len(strings)]),
            0x00000301: lambda request: struct.pack("<H", LONGEST_TEXT),
            0x00000302: lambda request: strings[index(request)],
        },
        {0x00000210: set_alias, 0x00000310: set_string},
    )


def queries(facts: OceanModel, settings: Settings) -> dict[int, Callable[[bytes], bytes]]:
    """Message number to what it answers."""

    def constant(data: bytes) -> Callable[[bytes], bytes]:
        return lambda request: data

    def value(form: str, read: Callable[[], float]) -> Callable[[bytes], bytes]:
        return lambda request: struct.pack(form, read())

    def indexed(values: tuple[float, ...]) -> Callable[[bytes], bytes]:
        def answer(request: bytes) -> bytes:
            index = _unpack("<B", request)
            if index >= len(values):
                raise ObpRefusedError(ObpError.NO_SUCH_INFORMATION)
            return struct.pack("<f", values[index])
        return answer

    detector = facts.detector
    dark = b"".join(struct.pack("<HH", *ends) for ends in facts.dark_pixels)
    multicast = {
        0xA80: b"\x01", 0xA81: bytes((239, 239, 239, 239)), 0xA82: struct.pack("<H", 57357), 0xA83: b"\x01"
    } if facts.networked else {}
    return {
        0x00000080: constant(struct.pack("<B", 1)),
        0x00000090: constant(struct.pack("<H", 0x0102)),
        0x00000100: constant(facts.serial_number),
        0x00000101: constant(struct.pack("<B", len(facts.serial_number))),
        0x00000800: value("<I", lambda: settings.baud),
        0x00000E00: constant(struct.pack("<H", 0x2457)),
        0x00000E01: constant(struct.pack("<H", facts.product_id)),
        0x00000E11: constant(facts.name),
        **{number: constant(data) for number, data in multicast.items()},
        0x00101010: constant(struct.pack("<I", facts.max_counts)),
        0x001010A0: constant(struct.pack("<I", detector.full_scale_counts)),
        0x001010A1: constant(struct.pack("<I", round(detector.offset_counts))),
        0x00110000: value("<I", lambda: settings.integration_us),
        0x00110001: constant(struct.pack("<I", facts.shortest_us)),
        0x00110002: constant(struct.pack("<I", facts.longest_us)),
        0x00110003: constant(struct.pack("<I", 1)),
        0x00110100: value("<B", lambda: settings.trigger_mode),
        0x00110220: constant(struct.pack("<H", detector.pixels)),
        0x00110221: constant(struct.pack("<HH", *facts.active_pixels)),
        0x00110222: constant(dark),
        0x00110223: constant(b""),
        0x00102000: lambda request: settings.partial,
        0x00110280: value("<B", lambda: settings.binning),
        0x00110281: constant(struct.pack("<B", LARGEST_BINNING)),
        0x00110400: value("<B", lambda: settings.lamp),
        0x00110500: value("<I", lambda: settings.trigger_delay_us),
        0x00120000: value("<H", lambda: settings.scans_to_average),
        0x00121000: value("<B", lambda: settings.boxcar),
        0x00180100: constant(struct.pack("<B", len(detector.wavelength_coefficients))),
        0x00180101: indexed(detector.wavelength_coefficients),
        0x00181100: constant(struct.pack("<B", len(LINEAR))),
        0x00181101: indexed(LINEAR),
        0x00183100: constant(struct.pack("<B", len(STRAY_LIGHT))),
        0x00183101: indexed(STRAY_LIGHT),
        0x00186000: constant(b""),
        0x001B0200: constant(struct.pack("<H", 25)),
        0x001B0300: constant(struct.pack("<H", 600)),
        0x001B0400: constant(b"HC1"),
        0x00400000: constant(struct.pack("<B", len(TEMPERATURES_C))),
        0x00400001: indexed(TEMPERATURES_C),
        0x00400002: constant(struct.pack(f"<{len(TEMPERATURES_C)}f", *TEMPERATURES_C)),
    }


def cooler_queries(cooler: Cooler) -> dict[int, Callable[[bytes], bytes]]:
    """What a cooled detector tells: enabled, set-point, stable, temperature."""
    return {
        0x00420000: lambda request: struct.pack("<B", cooler.enabled),
        0x00420001: lambda request: struct.pack("<f", cooler.setpoint_c),
        0x00420003: lambda request: struct.pack("<B", cooler.stable()),
        0x00420004: lambda request: struct.pack("<f", cooler.temperature_c()),
    }


def cooler_commands(cooler: Cooler) -> dict[int, Callable[[bytes], None]]:
    """What a cooler is told."""

    def enable(data: bytes) -> None:
        value = _unpack("<B", data)
        if value not in (0, 1):
            raise ObpRefusedError(ObpError.PAYLOAD_INVALID)
        cooler.change(enabled=bool(value))

    def aim(data: bytes) -> None:
        value = _unpack("<f", data)
        if not LOWEST_C <= value <= HIGHEST_C:
            raise ObpRefusedError(ObpError.PAYLOAD_INVALID)
        cooler.change(setpoint_c=value)

    return {0x00420010: enable, 0x00420011: aim}


def commands(facts: OceanModel, settings: Settings) -> dict[int, Callable[[bytes], None]]:
    """Message number to what it sets; refuses what the instrument does not allow."""

    def setter(attribute: str, form: str, allowed: Callable[[int], bool]) -> Callable[[bytes], None]:
        def act(data: bytes) -> None:
            value = _unpack(form, data)
            if not allowed(value):
                raise ObpRefusedError(ObpError.PAYLOAD_INVALID)
            setattr(settings, attribute, value)
        return act

    def restore(data: bytes) -> None:
        settings.restore()

    def save_baud(data: bytes) -> None:
        """The speed is kept over a restart, which a simulated line does not see."""

    def set_partial(data: bytes) -> None:
        partial_pixels(data, facts.detector.pixels)
        settings.partial = data

    return {
        0x00000000: restore,
        0x00000001: restore,
        0x00000810: setter("baud", "<I", lambda baud: baud in (9600, 19200, 38400, 57600, 115200)),
        0x000008F0: save_baud,
        0x00102010: set_partial,
        0x00110290: setter("binning", "<B", lambda binning: binning <= LARGEST_BINNING),
        0x00110010: setter("integration_us", "<I", lambda us: facts.shortest_us <= us <= facts.longest_us),
        0x00110110: setter("trigger_mode", "<B", lambda mode: mode in facts.trigger_modes),
        0x00110410: setter("lamp", "<B", lambda lamp: lamp in (0, 1)),
        0x00110510: setter("trigger_delay_us", "<I", lambda us: us <= LONGEST_DELAY_US),
        0x00120010: setter("scans_to_average", "<H", lambda scans: 1 <= scans <= 5000),
        0x00121010: setter("boxcar", "<B", lambda width: width <= 15),
    }


def _unpack(form: str, data: bytes) -> int:
    if len(data) != struct.calcsize(form):
        raise ObpRefusedError(ObpError.PAYLOAD_LENGTH)
    return struct.unpack(form, data)[0]
