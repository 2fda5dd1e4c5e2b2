"""Andor Solis SIF files: a text header whose lines depend on its version, then frames of 32-bit floats.

Andor publishes no specification; the layout is the one worked out by M. Leutenegger and in ``sif_parser`` (K. Fujii),
which the tests hold against this reader. That package is not used here: it comes without a wheel, needs pandas, and
waits for ever on a file that was cut off.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.importers.foreign import foreign_scan
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import to_nm
from halidescope.acquisition.scan import Scan

MAGIC = b"Andor Technology Multi-Channel File\n"
_MOST = 10_000_000       # frames, pixels: more is no measurement but a damaged number


def is_sif(_path: Path, start: bytes) -> bool:
    """The file's first line says so."""
    return start.startswith(MAGIC)


def read_sif(path: Path) -> Scan:
    """Frames as a series in time; raises ScanFileError with what is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    cursor = _Cursor(data)
    try:
        header = _header(cursor)
    except (EOFError, ValueError, IndexError, OverflowError, OSError) as error:
        raise ScanFileError(
            f"{path}: its SIF header cannot be read ({str(error) or 'it ends too early'}); the file is damaged, or of "
            "a version of Solis that is not known here: export it as text"
        ) from error
    return _scan(path, data, header)


class _Cursor:
    """Walks through bytes; raises EOFError beyond the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def line(self) -> bytes:
        """Up to the next line end, which is left out."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise EOFError("it ends too early")
        text, self.at = self.data[self.at : end], end + 1
        return text

    def word(self) -> bytes:
        """The next word; the one blank or line end behind it is taken too."""
        while self.at < len(self.data) and self.data[self.at] in b" \n":
            self.at += 1
        start = self.at
        while self.at < len(self.data) and self.data[self.at] not in b" \n":
            self.at += 1
        if self.at >= len(self.data):
            raise EOFError("it ends too early")
        self.at += 1
        return self.data[start : self.at - 1]

    def number(self) -> float:
        return float(self.word())

    def skip(self, words: int) -> None:
        for _ in range(words):
            self.word()

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if count < 0 or self.at + count > len(self.data):
            raise EOFError("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def text(self) -> bytes:
        """A text with its length before it, in a line of its own."""
        return self.take(int(self.line()))


def _header(at: _Cursor) -> dict:
    """Everything up to the frames; ``offset`` is where they begin."""
    at.take(len(MAGIC))
    at.line()                                # version of the container, and whether there is an image
    version = int(at.word())
    at.skip(3)
    began, temperature_c = at.number(), at.number()
    at.take(10)
    at.skip(1)
    exposure_s, cycle_s, accumulate_s, accumulations = at.number(), at.number(), at.number(), int(at.word())
    at.take(2)
    kinetic_s = at.number()
    at.line()                                # read-out speed, gain, gate and more
    detector = at.line().strip().decode("latin-1")
    at.skip(2)                               # pixels of the sensor
    name = at.text().decode("latin-1")
    at.take(2)
    at.word()
    user = at.text()
    at.take(1)
    at.word()
    at.take(8)
    at.skip(2)                               # shutter times
    spectrograph = _version_lines(at, version)
    if int(at.word()) == 65540:
        at.line()
    coefficients, older = at.line(), at.line()
    at.line()
    raman = at.line()
    for _ in range(3):
        at.line()
    axis, signal, rows = (at.text().decode("latin-1") for _ in range(3))
    at.skip(5)                               # version, corners of the image
    frames, parts = int(at.word()), int(at.word())
    at.skip(2)
    shape = (0, 0)
    if not (1 <= frames <= _MOST and 1 <= parts <= 1024):
        raise ValueError(f"{frames} frames of {parts} parts")
    for _ in range(parts):
        at.word()
        x0, y1, x1, y0, y_bin, x_bin = (int(word) for word in at.line().split()[:6])
        shape = ((1 + y1 - y0) // max(y_bin, 1), (1 + x1 - x0) // max(x_bin, 1))
    if not (1 <= shape[0] <= _MOST and 1 <= shape[1] <= _MOST):
        raise ValueError(f"frames of {shape[1]} × {shape[0]} pixels")
    while at.data[at.at : at.at + 1] in (b" ", b"\n") and at.at < len(at.data):
        at.at += 1
    stamps_us = [int(at.line()) for _ in range(frames)]
    _flags(at, version, frames)
    return {
        "version": version, "began": began, "temperature_c": temperature_c, "exposure_s": exposure_s,
        "cycle_s": cycle_s, "accumulate_s": accumulate_s, "accumulations": accumulations, "kinetic_s": kinetic_s,
        "detector": detector, "name": name, "user": user, "spectrograph": spectrograph,
        "coefficients": (coefficients, older), "raman": raman, "axis": axis, "signal": signal, "rows": rows,
        "frames": frames, "shape": (shape[0] * parts, shape[1]), "stamps_us": stamps_us, "offset": at.at,
    }


def _version_lines(at: _Cursor, version: int) -> str:
    """Lines that only some versions have; the spectrograph's name where it is among them."""
    if 65548 <= version <= 65557:
        count = 2
    elif version == 65558:
        count = 5
    elif version in (65559, 65564):
        count = 8
    elif version == 65565:
        count = 15
    elif version > 65565:
        count = 8
    else:
        count = 0
    for _ in range(count):
        at.line()
    if version in (65559, 65564):
        return at.line().split()[1].decode("latin-1")
    if version > 65565:
        name = at.line().split()[1].decode("latin-1")
        at.line()
        at.skip(8)                           # intensifier: gates, gain, delay
        for _ in range(8):
            at.line()
        return name
    return ""


def _flags(at: _Cursor, version: int, frames: int) -> None:
    """One or two lines between the time stamps and the frames that newer versions have."""
    before = at.at
    end = at.data.find(b"\n", at.at, at.at + 4)
    text = at.data[before:end] if end > 0 else b""
    if text == b"0":
        at.line()
    elif text == b"1" and version == 65567:
        at.line()
        for _ in range(frames):
            at.line()


def _scan(path: Path, data: bytes, header: dict) -> Scan:
    frames, (rows, columns) = header["frames"], header["shape"]
    if header["offset"] + 4 * frames * rows * columns > len(data):
        there = max(0, len(data) - header["offset"]) // (4 * rows * columns)
        raise ScanFileError(f"{path}: {frames} frames announced, {there} are there; the file was cut off")
    spectra = np.frombuffer(data, "<f4", frames * rows * columns, header["offset"]).reshape(frames, rows, columns)
    exposure_s = header["exposure_s"] if header["exposure_s"] > 0 else None
    stamps_s = np.array(header["stamps_us"], np.float64) * 1e-6
    if frames > 1 and not np.all(np.diff(stamps_s) > 0):       # versions without stamps: the kinetic cycle
        stamps_s = np.arange(frames) * header["kinetic_s"] if header["kinetic_s"] > 0 else np.full(frames, np.nan)
    time_s = stamps_s - stamps_s[0] + 0.5 * (exposure_s or 0.0)
    timed = frames > 1 and bool(np.all(np.isfinite(time_s)))
    axes = {"time": time_s} if timed else {"spectrum": np.arange(frames, dtype=np.float64)}
    if rows > 1:
        axes["row"] = np.arange(rows, dtype=np.float64)
    said = ("detector", "temperature_c", "cycle_s", "accumulations", "spectrograph", "axis", "signal", "version")
    known = {key: header[key] for key in said}
    return foreign_scan(
        source=str(path), form="Andor SIF", spectra=spectra if rows > 1 else spectra[:, 0],
        wavelength_nm=_wavelengths(path, header), axes=axes,
        time_s=np.repeat(time_s, rows).reshape(tuple(len(axis) for axis in axes.values())), exposure_s=exposure_s,
        started_at=_began(header["began"]), said=known,
        identities={"spectrometer": {"manufacturer": "Andor", "model": header["detector"]}},
    )


def _began(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds > 0 else ""
    except (OverflowError, OSError, ValueError):
        return ""          # not a time: the program's clock was not set


def _wavelengths(path: Path, header: dict) -> NDArray[np.float64]:
    """The polynomial of the pixel number, which Andor counts from 1."""
    width = header["shape"][1]
    sets = [_floats(text) for text in header["coefficients"]]
    user = re.findall(rb"Calibration data for frame \d+[: ]+([^\n]+)", header["user"])
    if user:
        frames = {tuple(_floats(text.replace(b",", b" ")) or ()) for text in user}
        if len(frames) > 1:
            raise ScanFileError(f"{path}: its frames have different calibrations; export them one by one from Solis")
        sets = [list(frames.pop())]
    coefficients = next((one for one in sets if one and len(one) >= 2 and any(one[1:])), None)
    if coefficients is None or header["axis"].lower().startswith("pixel"):
        raise ScanFileError(
            f"{path}: its axis is {header['axis'] or 'not named'!r}, no wavelength; calibrate in Solis, or declare it "
            f"in a layout file {path.name}.toml"
        )
    axis = np.polynomial.polynomial.polyval(np.arange(1, width + 1, dtype=np.float64), coefficients)
    kind = header["axis"].lower()
    if "raman" in kind or "wavenumber" in kind:
        laser = _floats(header["raman"])
        excitation_nm = laser[0] if laser and "raman" in kind else None
        return to_nm(axis, "1/cm", str(path), excitation_nm=excitation_nm)
    return to_nm(axis, "eV" if kind.startswith(("ev", "energy")) else "nm", str(path))


def _floats(text: bytes) -> list[float] | None:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return None
