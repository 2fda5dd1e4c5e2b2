"""What a file is and who reads it: :func:`open_any`.

A layout file beside the data (``DATA.toml``, see :mod:`~halidescope.acquisition.importers.declared`) comes first: a
person has said what the file is. Then our own formats, then the formats that have a mark of their own, then texts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from halidescope.acquisition.importers import declared, labspec_text, ocean_text, own_tables, rosetta, sif, spe
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.results_file import ENDING
from halidescope.acquisition.scan import Scan
from halidescope.acquisition.storage import JOURNAL_MARK, open_scan
from halidescope.acquisition.vetting import Holds, vet


@dataclass(frozen=True)
class Reader:
    """One format: its name, the endings that it usually has, whether a file is of it, and how it is read."""

    name: str
    endings: tuple[str, ...]
    knows: Callable[[Path, bytes], bool]
    read: Callable[[Path], Scan]


READERS = (
    Reader("Halidescope table", (".csv",), own_tables.is_csv, own_tables.read_csv),
    Reader("Halidescope arrays", (".npz",), own_tables.is_npz, own_tables.read_npz),
    Reader("Princeton LightField/WinSpec SPE", (".spe",), spe.is_spe, spe.read_spe),
    Reader("Andor Solis SIF", (".sif",), sif.is_sif, sif.read_sif),
    Reader("OceanView/SpectraSuite text", (".txt",), ocean_text.is_ocean, ocean_text.read_ocean),
    Reader("LabSpec text", (".txt",), labspec_text.is_labspec, labspec_text.read_labspec),
    Reader(rosetta.NAME, rosetta.ENDINGS, rosetta.is_known, rosetta.read_rosetta),
)
START = 4096      # bytes from which a format is told


def open_any(path: Path | str, *, part: int | None = None) -> Scan:
    """Open a measurement, a journal, or a saved scan of another instrument or program.

    Parameters
    ----------
    part : int, optional
        Of a list of several measurements, as in :func:`~halidescope.acquisition.storage.open_scan`.

    Raises
    ------
    ScanFileError
        The file cannot be read, or nobody knows its format; then it says what was tried and what is supported.
    """
    path = Path(path)
    if not path.exists() and journal_path(path).exists():
        return open_scan(path, part=part)
    try:
        if path.is_dir():
            start = b""
        else:
            with path.open("rb") as file:
                start = file.read(START)
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if declared.layout_path(path).exists():
        return declared.read_declared(path)
    if not path.is_dir():
        holds = vet(path)
        if holds is Holds.RESULTS:
            data = f"{path.name.removesuffix(ENDING)}.nxs"
            raise ScanFileError(
                f"{path}: holds results of analyses and no measurement; open {data}, which shows them too"
            )
        # what claims to be ours and is damaged, or empty, is told by the reader of ours
        if start.startswith(JOURNAL_MARK) or holds in (Holds.MEASUREMENT, Holds.LIST) or path.suffix == ".nxs":
            return open_scan(path, part=part)
    for reader in READERS:
        if reader.knows(path, start):
            return reader.read(path)
    if path.is_dir():
        raise ScanFileError(f"{path}: is a folder, not a measurement; give a file ({', '.join(supported())})")
    raise ScanFileError(
        f"{path}: unknown format; tried Halidescope journal and NeXus, "
        f"{', '.join(reader.name for reader in READERS)}; a CSV, text or NPY file is read with a layout file "
        f"{declared.layout_path(path).name} beside it (docs: files)"
    )


def supported() -> dict[str, tuple[str, ...]]:
    """Formats that can be opened, by name, with their usual endings."""
    own = {"Halidescope journal": (".nxs.journal",), "Halidescope NeXus": (".nxs",)}
    others = {reader.name: reader.endings for reader in READERS}
    return {**own, **others, "CSV, text or NPY with a layout file": (".csv", ".txt", ".npy")}
