"""Measurements that were cut off: journals in a folder that no engine writes to any more, and what to do about each.

Reading only; nothing is changed here. No widgets.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.places import spool
from halidescope.acquisition.problems import ProblemError

SUFFIX = ".nxs.journal"
MOST = 5     # offered at once; more would bury the ways in


@dataclass(frozen=True)
class CutOff:
    """A measurement that ended without anybody writing its file.

    Attributes
    ----------
    journal, out : Path
        Its journal, and the file it would have become.
    title : str
        What it is, for people.
    done, total : int
        Spectra measured and planned.
    recipe : dict
        As plain values, for a new start.
    began_at : str
        ISO 8601.
    """

    journal: Path
    out: Path
    title: str
    done: int
    total: int
    recipe: dict[str, Any]
    began_at: str

    @property
    def sentence(self) -> str:
        """What there is, in one sentence."""
        return (
            f"{self.out.name} was cut off: {self.title}, begun {self.began_at[:16].replace('T', ' ')}, "
            f"{self.done} of {self.total} spectra are safe in its journal."
        )


def find_cut_off(folders: Iterable[Path], *, except_for: Iterable[Path] = ()) -> list[CutOff]:
    """What was cut off in these folders, the newest first; unreadable journals are left to whoever opens them.

    Parameters
    ----------
    except_for : iterable of Path
        Files of measurements that still run.
    """
    running = {path.absolute() for path in except_for}
    found = []
    # journals of network drives and of folders that vanished lie in the user's own spool
    for folder in dict.fromkeys(path.absolute() for path in (*folders, spool())):
        for journal in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
            one = _read(journal, journal.with_name(journal.name.removesuffix(".journal")))
            if one is not None and one.out not in running and not one.out.exists():
                found.append(one)
    return sorted(found, key=lambda one: one.began_at, reverse=True)[:MOST]


def _read(journal: Path, out: Path) -> CutOff | None:
    try:
        with JournalReader(journal) as reader:
            header, done = reader.header, len(reader.places())
            out = reader.destination or out
    except ProblemError:
        return None
    total = 1
    for size in header.shape:
        total *= size
    return CutOff(journal, out, header.title, done, total, dict(header.recipe), header.started_at)
