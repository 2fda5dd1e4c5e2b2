"""What a film has had of light, kept over measurements, live views and engines: one small file a film.

A film is known by its name, at one stage; places are the stage's coordinates, so a film that was taken off and put
back is begun anew. While a measurement runs its own page of light (:mod:`halidescope.acquisition.light_page`) knows
best; the book remembers where that is, so that the light of one that was killed is not forgotten. Light outside
measurements has a page of the book's own.
"""

import hashlib
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from halidescope.acquisition.light_page import LightPage, LitSpot, light_path, read_page
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.problems import ScanFileError


class FilmRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The book's file: every spot that was lit, as of ``saved_at``, and the journals that may know of more."""

    name: str
    saved_at: str
    spots: list[LitSpot]
    journals: list[str]


def stage_of(microscope: MicroscopeFile) -> str:
    """Which stage; a simulated one is another with every start: its laser's address counts."""
    where = f"{microscope.stage.model} {microscope.stage.resource}"
    return f"{where} {microscope.laser.resource}" if microscope.simulated else where


class FilmBook:
    """The book of one film.

    Parameters
    ----------
    folder : Path
        Where the books are; made if it is not there.
    name : str
        Of the film; empty for one without a name.
    microscope : MicroscopeFile
        Whose stage the places belong to. A simulated one is another film with every start: its laser's address counts.
    """

    def __init__(self, folder: Path, name: str, microscope: MicroscopeFile) -> None:
        where = stage_of(microscope)
        plain = re.sub(r"[^\w-]+", "-", name).strip("-").lower()[:40] or "unnamed"
        digest = hashlib.sha256(f"{name}\n{where}".encode()).hexdigest()[:8]
        self.name = name
        self.path = folder / f"{plain}-{digest}.json"
        self.idle = self.path.with_suffix(".idle")      # stands for a journal where there is none

    def load(self) -> list[LitSpot]:
        """Every spot that is known to have had light; of one told of twice both, the larger counts.

        Raises
        ------
        ScanFileError
            What is there cannot be read.
        """
        spots: list[LitSpot] = []
        journals: list[Path] = [self.idle]
        if self.path.exists():
            try:
                record = msgspec.json.decode(self.path.read_bytes(), type=FilmRecord)
            except (OSError, msgspec.MsgspecError) as error:
                raise ScanFileError(
                    f"film book {self.path}: cannot be read ({error}); earlier light on this film is not known"
                ) from error
            spots += record.spots
            journals += [Path(journal) for journal in record.journals]
        for journal in journals:
            if (page := light_path(journal)).exists():
                spots += read_page(page).spots
        return spots

    def save(self, spots: list[LitSpot], journals: list[Path]) -> None:
        """Write the book, whole or not at all. Raises ScanFileError."""
        record = FilmRecord(
            name=self.name, saved_at=datetime.now(UTC).isoformat(), spots=spots, journals=[str(one) for one in journals]
        )
        part = self.path.with_name(self.path.name + ".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.json.encode(record))
            os.replace(part, self.path)
        except OSError as error:
            raise ScanFileError(f"film book {self.path}: cannot be written ({error.strerror}); make room") from error

    def set_aside(self) -> None:
        """The film was taken off: keep its book under another name, and begin anew."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        if self.path.exists():
            self.path.rename(self.path.with_suffix(f".{stamp}.json"))
        light_path(self.idle).unlink(missing_ok=True)


class Film:
    """The film under the objective, its book (if books are kept) and the page for light outside measurements.

    Parameters
    ----------
    folder : Path or None
        Of the books; None: the film is remembered as long as the engine lives.
    """

    def __init__(self, folder: Path | None, microscope: MicroscopeFile) -> None:
        self._folder, self._microscope = folder, microscope
        self._book: FilmBook | None = None
        self._page: LightPage | None = None
        self.name = ""

    @property
    def idle(self) -> Path | None:
        """What stands for a journal while none is written."""
        return self._book.idle if self._book is not None else None

    def change(self, name: str, *, anew: bool = False) -> list[LitSpot]:
        """Another film, or the same put back; gives the spots that had light before. Raises ScanFileError."""
        self.close()
        self.name = name
        if self._folder is None:
            return []
        self._book = FilmBook(self._folder, name, self._microscope)
        if anew:
            self._book.set_aside()
        return self._book.load()

    def rest(self, spots: list[LitSpot], utc_s: Callable[[float], float]) -> LightPage | None:
        """No measurement runs: save the spots, and give a fresh page for light until the next one."""
        self.close()
        if self._book is None:
            return None
        self._book.save(spots, [])
        light_path(self._book.idle).unlink(missing_ok=True)
        self._page = LightPage(light_path(self._book.idle), utc_s)
        return self._page

    def measuring(self, spots: list[LitSpot], journal: Path) -> None:
        """A measurement begins: save the spots, and remember where its light will be."""
        if self._book is not None:
            self._book.save(spots, [journal])

    def close(self) -> None:
        """Let go of the page; its file stays. Safe to call twice."""
        if self._page is not None:
            self._page.close()
            self._page = None
