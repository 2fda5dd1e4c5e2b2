"""How much light every spot of a measurement has had, in a file beside its journal that outlives the process.

The journal knows the dose of a point at its last exposure's end. What came after it (the way to the next point, and the
light until somebody made it dark when the engine died) is here: a page of memory, mapped onto a file, that the ledger
writes as it books. The watchdog adds the light until its own proof of darkness.
"""

import mmap
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from halidescope.acquisition.problems import ScanFileError

_MAGIC = 0x48444C50
_HEADER = struct.Struct("<IIqqdd")      # magic, layout, spots, spot under the beam, W/cm² there, since when (UTC, s)
_SPOT = struct.Struct("<ddd")           # x, y in µm, J/cm²
_LAYOUT = 1
_GROW = 4096                            # spots


@dataclass(frozen=True)
class PageContent:
    """What a page says.

    Attributes
    ----------
    spots : tuple of (x_um, y_um, dose_j_cm2)
        Own peak dose of every spot that was lit.
    here : int
        Which of them was under the beam last, -1 if none.
    irradiance_w_cm2 : float
        Peak irradiance there; above 0 if nobody knows when the light went.
    since_utc_s : float
        Until when that light is in the dose, real time.
    """

    spots: tuple[tuple[float, float, float], ...]
    here: int
    irradiance_w_cm2: float
    since_utc_s: float


def light_path(journal: Path) -> Path:
    """Where the page of a journal is."""
    return journal.with_name(journal.name + "-light")


class LightPage:
    """The one writer of a page; a ledger's lock protects it.

    Parameters
    ----------
    path : Path
        Made if it is not there; otherwise gone on with.
    utc_s : callable
        Real time of a reading of the engine's clock.

    Raises
    ------
    ScanFileError
        It cannot be written, or is no page.
    """

    def __init__(self, path: Path, utc_s: Callable[[float], float]) -> None:
        self._utc_s = utc_s
        self.path = path
        try:
            content = read_page(path) if path.exists() else PageContent((), -1, 0.0, 0.0)
            self._file = path.open("r+b" if path.exists() else "w+b")
            self._count = len(content.spots)
            self._resize()
        except OSError as error:
            raise ScanFileError(f"{path}: cannot be written ({error}); check the disk") from error

    def _resize(self) -> None:
        size = _HEADER.size + _SPOT.size * (self._count // _GROW + 1) * _GROW
        if self._file.seek(0, os.SEEK_END) < size:
            self._file.truncate(size)
        self._map = mmap.mmap(self._file.fileno(), size)

    def add(self, x_um: float, y_um: float) -> int:
        """A new spot; its number."""
        if self._count and self._count % _GROW == 0:
            self._map.close()
            self._resize()
        number = self._count
        _SPOT.pack_into(self._map, _HEADER.size + _SPOT.size * number, x_um, y_um, 0.0)
        self._count += 1
        return number

    def put(
        self, number: int, x_um: float, y_um: float, dose_j_cm2: float, irradiance_w_cm2: float, at_s: float
    ) -> None:
        """The spot under the beam, its dose until ``at_s`` of the engine's clock, and the light that it gets since."""
        _SPOT.pack_into(self._map, _HEADER.size + _SPOT.size * number, x_um, y_um, dose_j_cm2)
        _HEADER.pack_into(self._map, 0, _MAGIC, _LAYOUT, self._count, number, irradiance_w_cm2, self._utc_s(at_s))

    def follow(self, journal: Path) -> None:
        """Copy the page beside a journal that had to go elsewhere, its folder being gone; this page is closed after it.

        Raises
        ------
        ScanFileError
            The copy cannot be written.
        """
        if light_path(journal) == self.path:
            return
        try:
            light_path(journal).write_bytes(self._map[:])
        except OSError as error:
            raise ScanFileError(f"{light_path(journal)}: cannot be written ({error}); check the disk") from error

    def close(self) -> None:
        """Let go of the file, which stays. Safe to call twice."""
        self._map.close()
        self._file.close()


def read_page(path: Path) -> PageContent:
    """What a page says; nothing if it was not begun. Raises ScanFileError: unreadable or damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error.strerror}); check the disk") from error
    if not data.strip(b"\0"):
        return PageContent((), -1, 0.0, 0.0)
    try:
        magic, layout, count, here, irradiance, since_utc_s = _HEADER.unpack_from(data)
        if magic != _MAGIC or layout != _LAYOUT or not -1 <= here < count:
            raise ValueError("it is none, or of another version")
        spots = tuple(_SPOT.unpack_from(data, _HEADER.size + _SPOT.size * number) for number in range(count))
    except (struct.error, ValueError) as error:
        raise ScanFileError(f"{path}: no page of light that can be read ({error})") from error
    return PageContent(spots, here, irradiance, since_utc_s)


def end_light(path: Path, dark_utc_s: float, speed: float) -> str:
    """Book the light until it was made dark by somebody else than the engine; says how much, empty if there was none.

    Raises
    ------
    ScanFileError
        The page cannot be read or written.
    """
    content = read_page(path)
    if content.irradiance_w_cm2 <= 0:
        return ""
    x_um, y_um, dose = content.spots[content.here]
    longer_s = max(0.0, dark_utc_s - content.since_utc_s) * speed
    more = content.irradiance_w_cm2 * longer_s
    try:
        with path.open("r+b") as file:
            file.seek(_HEADER.size + _SPOT.size * content.here)
            file.write(_SPOT.pack(x_um, y_um, dose + more))
            file.seek(0)
            file.write(_HEADER.pack(_MAGIC, _LAYOUT, len(content.spots), content.here, 0.0, dark_utc_s))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be written ({error}); check the disk") from error
    return f"({x_um:.2f}, {y_um:.2f}) µm had light for {longer_s:.3g} s longer, {more:.4g} J/cm², booked"
