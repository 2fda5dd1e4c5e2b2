"""How much light every spot of a measurement has had, in a file beside its journal that outlives the process.

The journal knows the dose of a point at its last exposure's end. What came after it (the way to the next point, and the
light until somebody made it dark when the engine died) is here: a page of memory, mapped onto a file, that the ledger
writes as it books. The watchdog adds the light until its own proof of darkness.

A dose is the most that a spot can have had. Beside it stands how much of that is in doubt: light that the head may have
ended by itself after the last read-back that said it was lit.
"""

import mmap
import os
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from halidescope.acquisition.problems import ScanFileError

_MAGIC = 0x48444C50
# magic, layout, spots, spot under the beam, W/cm² there, since when, last read-back that said lit (UTC, s), came on
_HEADER = struct.Struct("<IIqqdddq")
_SPOT = struct.Struct("<ddddd")         # x, y in µm; dose, of it in doubt, of it not proven yet, in J/cm²
_LAYOUT = 2                             # 1: without doubt
_GROW = 4096                            # spots


class LitSpot(NamedTuple):
    """A spot that had light of its own: its peak dose is between ``dose - doubt`` and ``dose``, in J/cm²."""

    x_um: float
    y_um: float
    dose_j_cm2: float
    doubt_j_cm2: float = 0.0


@dataclass(frozen=True)
class PageContent:
    """What a page says.

    Attributes
    ----------
    spots : tuple of LitSpot
        Every spot that was lit; what no read-back has proven is in doubt.
    here : int
        Which of them was under the beam last, -1 if none.
    irradiance_w_cm2 : float
        Peak irradiance there; above 0 if nobody knows when the light went.
    since_utc_s : float
        Until when that light is in the dose, real time.
    unproven_j_cm2 : tuple of float
        How much of each spot's doubt the head, if it is found lit, takes away.
    proven_utc_s : float
        When a read-back said last that it was lit, real time.
    came_on : bool
        Whether a read-back has said that this light came on at all; of light that was ended without the engine: whether
        it was on until then.
    """

    spots: tuple[LitSpot, ...]
    here: int
    irradiance_w_cm2: float
    since_utc_s: float
    unproven_j_cm2: tuple[float, ...] = ()
    proven_utc_s: float = 0.0
    came_on: bool = True

    @property
    def in_doubt(self) -> bool:
        """Whether nobody knows until when the light was on."""
        return self.irradiance_w_cm2 > 0 or not self.came_on


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
        self._map = mmap.mmap(-1, 1)      # until there is one of the file
        try:
            content = read_page(path) if path.exists() else PageContent((), -1, 0.0, 0.0)
            self._file = path.open("r+b" if path.exists() else "w+b")
            self._count = len(content.spots)
            self._head = (
                content.here, content.irradiance_w_cm2, content.since_utc_s, content.proven_utc_s, content.came_on
            )
        except OSError as error:
            raise ScanFileError(f"{path}: cannot be written ({error}); check the disk") from error
        self._resize()

    def _resize(self) -> None:
        """Room for more spots, on the disk too: a map into a hole of a full disk would end this process."""
        size = _HEADER.size + _SPOT.size * (self._count // _GROW + 1) * _GROW
        try:
            there = self._file.seek(0, os.SEEK_END)
            if there < size:
                self._file.write(bytes(size - there))
                self._file.flush()
            grown = mmap.mmap(self._file.fileno(), size)
        except OSError as error:
            raise ScanFileError(f"{self.path}: cannot be written ({error}); check the disk") from error
        self._map.close()
        self._map = grown

    def add(self, x_um: float, y_um: float) -> int:
        """A new spot; its number."""
        if self._count and self._count % _GROW == 0:
            self._resize()
        number = self._count
        _SPOT.pack_into(self._map, _HEADER.size + _SPOT.size * number, x_um, y_um, 0.0, 0.0, 0.0)
        self._count += 1
        self._write_head()
        return number

    def put(self, number: int, spot: LitSpot, unproven_j_cm2: float = 0.0) -> None:
        """A spot: what is in doubt for good, and apart from it what the next read-back can prove."""
        _SPOT.pack_into(self._map, _HEADER.size + _SPOT.size * number, *spot, unproven_j_cm2)

    def under_beam(
        self, number: int, irradiance_w_cm2: float, at_s: float, *, proven_s: float, came_on: bool
    ) -> None:
        """The spot under the beam, the light that it gets, and since when: ``at_s`` of the engine's clock."""
        self._head = (number, irradiance_w_cm2, self._utc_s(at_s), self._utc_s(proven_s), came_on)
        self._write_head()

    def _write_head(self) -> None:
        _HEADER.pack_into(self._map, 0, _MAGIC, _LAYOUT, self._count, *self._head)

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
        magic, layout, count, here, irradiance, since_utc_s, proven_utc_s, came_on = _HEADER.unpack_from(data)
        if magic != _MAGIC or layout != _LAYOUT or not -1 <= here < count:
            raise ValueError("it is none, or of another version")
        rows = [_SPOT.unpack_from(data, _HEADER.size + _SPOT.size * number) for number in range(count)]
    except (struct.error, ValueError) as error:
        raise ScanFileError(f"{path}: no page of light that can be read ({error})") from error
    spots = tuple(LitSpot(x_um, y_um, dose, doubt + unproven) for x_um, y_um, dose, doubt, unproven in rows)
    unproven = tuple(row[4] for row in rows)
    return PageContent(spots, here, irradiance, since_utc_s, unproven, proven_utc_s, bool(came_on))


def merge_pages(path: Path, other: Path) -> None:
    """Take over into a closed page what another of the same film says; of a spot in both the greater dose counts.

    Raises
    ------
    ScanFileError
        A page cannot be read or written.
    """
    before = {(spot.x_um, spot.y_um): (number, spot) for number, spot in enumerate(read_page(path).spots)}
    with closing(LightPage(path, lambda at_s: at_s)) as page:
        for spot in read_page(other).spots:
            number, known = before.get((spot.x_um, spot.y_um), (None, spot))
            if number is None:
                page.put(page.add(spot.x_um, spot.y_um), spot)
            elif spot.dose_j_cm2 > known.dose_j_cm2:
                page.put(number, spot)


def end_light(path: Path, dark_utc_s: float, speed: float, *, found_lit: bool) -> str:
    """Book the light until it was made dark by somebody else than the engine; says how much, empty if there was none.

    Parameters
    ----------
    found_lit : bool
        Whether the head still emitted then. Otherwise the light went at an unknown time since the last read-back, and
        what was booked since is in doubt.

    Raises
    ------
    ScanFileError
        The page cannot be read or written.
    """
    content = read_page(path)
    if content.irradiance_w_cm2 <= 0:
        return ""
    here = content.spots[content.here]
    longer_s = max(0.0, dark_utc_s - content.since_utc_s) * speed
    more = content.irradiance_w_cm2 * longer_s
    proven = found_lit and content.came_on
    spots = [
        spot._replace(doubt_j_cm2=spot.doubt_j_cm2 - unproven) if proven else spot
        for spot, unproven in zip(content.spots, content.unproven_j_cm2, strict=True)
    ]
    spots[content.here] = spots[content.here]._replace(
        dose_j_cm2=here.dose_j_cm2 + more,
        doubt_j_cm2=spots[content.here].doubt_j_cm2 + (0.0 if proven else more),
    )
    doubt = sum(spot.doubt_j_cm2 for spot in spots) - sum(spot.doubt_j_cm2 for spot in content.spots) + sum(
        content.unproven_j_cm2
    )
    try:
        with path.open("r+b") as file:
            file.write(_HEADER.pack(
                _MAGIC, _LAYOUT, len(spots), content.here, 0.0, dark_utc_s, content.proven_utc_s, proven
            ))
            file.writelines(_SPOT.pack(*spot, 0.0) for spot in spots)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be written ({error}); check the disk") from error
    words = f"({here.x_um:.2f}, {here.y_um:.2f}) µm had light for {longer_s:.3g} s longer, {more:.4g} J/cm², booked"
    return words if proven else f"{words}; found dark, or never seen lit: {doubt:.4g} J/cm² of what is booked in doubt"
