"""From journal to finished file, and back into memory: :func:`finish` and :func:`open_scan`.

The journal's own format is in :mod:`halidescope.acquisition.journal`, the file's in
:mod:`halidescope.acquisition.nexus`.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.joined import join
from halidescope.acquisition.journal import JournalReader, delete_journal, journal_path
from halidescope.acquisition.listing import Listing, read_listing
from halidescope.acquisition.nexus import COLUMNS, NexusFile, kept_shape, write_nexus
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.records import Ending, Flag, Header
from halidescope.acquisition.scan import Scan, dark_of
from halidescope.acquisition.transport import metadata_of

MORE = ("planned_s", "start_s", "x_commanded_um", "y_commanded_um", "measured_power_uw", "sequence", "flags")
JOURNAL_MARK, HDF5_MARK = b"SQLite format 3", b"\x89HDF"


def finish(out: Path, *, overwrite: bool = False) -> list[int]:
    """Make the finished file ``out`` from its closed journal, compare the two, and only then delete the journal.

    Parameters
    ----------
    overwrite : bool
        ``out`` may exist: it is an earlier state of the same measurement, replaced whole or not at all.

    Returns
    -------
    list of int
        Points whose journal rows were damaged. If there are any, the journal is kept.

    Raises
    ------
    ScanFileError
        The file could not be written, or reads back differently. The journal is kept.
    """
    damaged = write_finished(journal_path(out), out, overwrite=overwrite)
    if not damaged:
        delete_journal(journal_path(out))
    return damaged


def write_finished(source: Path, out: Path, *, overwrite: bool = False) -> list[int]:
    """Write the finished file ``out`` from the journal ``source``, durably and compared; the journal stays.

    Returns
    -------
    list of int
        Points whose journal rows are damaged; they are masked in the file.

    Raises
    ------
    ScanFileError
        The file exists, could not be written, or reads back differently.
    """
    part = out.with_name(out.name + ".part")
    try:
        with JournalReader(source) as journal:
            damaged = write_nexus(journal, part)
            _durable(part)
            compare(journal, part)
        if out.exists() and not overwrite:
            raise ScanFileError(f"{out}: exists and is not overwritten; the measurement is safe in {source}")
        os.replace(part, out)
        _durable(out.parent)
    except (OSError, RuntimeError) as error:   # h5py reports a full disk as either
        raise ScanFileError(f"{out}: cannot be written ({error}); the measurement is safe in {source}") from error
    return damaged


def _durable(path: Path) -> None:
    """Force a file or a folder to the disk; Windows knows no folders here and needs none."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def compare(journal: JournalReader, part: Path) -> None:
    """Read a file back and hold every spectrum and number against its journal; raises ScanFileError if they differ."""
    file = NexusFile(part)
    try:
        order = np.argsort(journal.header.wavelength_nm, kind="stable")
        shape = file.intensity.shape[:-1]
        row: tuple[Any, NDArray] = (None, np.empty(0))
        for point, sequence in sorted(journal.places().items()):
            record = journal.spectrum(sequence)
            place = tuple(int(index) for index in np.unravel_index(point, shape))
            if record is None:
                same = not file.columns["valid"][place]
            else:
                line = place[0] if len(place) > 1 else place[0] // 64
                if row[0] != line:
                    row = line, file.intensity[line if len(place) > 1 else slice(line * 64, line * 64 + 64)]
                counts = row[1][place[1] if len(place) > 1 else place[0] % 64]
                same = bool(file.columns["valid"][place]) and np.array_equal(counts, record.counts[order]) and all(
                    np.array_equal(file.columns[name][place], getattr(record, name), equal_nan=True) for name in COLUMNS
                )
            if not same:
                raise ScanFileError(
                    f"{part}: point {point} reads back differently; check the disk, "
                    f"the measurement is safe in {journal.path}"
                )
    finally:
        file.close()


def open_scan(path: Path | str, *, part: int | None = None) -> Scan:
    """Open a measurement: finished (``.nxs``), or a journal (``.nxs.journal``) that still grows or was cut off.

    If ``path`` does not exist but its journal does, the journal is opened. Of a list of several measurements, ``part``
    (1, 2, …) is opened; without it a power series is opened as a whole (:mod:`halidescope.acquisition.joined`), and of
    another list its main part: the exposure between two maps, the recovery after light, the first of a sequence.

    Raises
    ------
    ScanFileError
        The file is missing, not a measurement of ours, damaged, or from a newer version; or it has no such part.
    """
    path = Path(path)
    if not path.exists() and journal_path(path).exists():
        path = journal_path(path)
    try:
        with path.open("rb") as file:
            magic = file.read(16)
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if magic.startswith(JOURNAL_MARK):
        return _from_journal(path)
    listing = read_listing(path)
    return _from_nexus(path) if listing is None else _from_list(path, listing, part)


def is_ours(path: Path, start: bytes) -> bool:
    """Whether a file that begins so is a journal, or a NeXus file or list that Halidescope wrote (or seems to have)."""
    if start.startswith(JOURNAL_MARK):
        return True
    if not start.startswith(HDF5_MARK):
        return path.suffix == ".nxs"
    try:
        with h5py.File(path, "r") as file:
            return "entry/halidescope" in file or "halidescope/list" in file or path.suffix == ".nxs"
    except (OSError, KeyError, RuntimeError):
        return path.suffix == ".nxs"      # damaged: whoever opens it says how


def _from_list(path: Path, listing: Listing, part: int | None) -> Scan:
    files = listing.paths(path)
    if part is None and listing.kind == "power-series":
        return join([_from_nexus(one) for one in files.values()], listing, str(path))
    chosen = listing.main if part is None else part
    if chosen not in files:
        raise ScanFileError(f"{path}: has no part {chosen}; it has {', '.join(map(str, files))} of {listing.planned}")
    return _from_nexus(files[chosen])


def _from_nexus(path: Path) -> Scan:
    file = NexusFile(path)

    def read(point: tuple[int, ...] | None) -> NDArray[np.unsignedinteger]:
        try:
            return file.intensity[()] if point is None else file.intensity[point]
        except (OSError, ValueError, RuntimeError) as error:
            raise ScanFileError(f"{path}: spectra cannot be read ({error})") from error

    exposure_s = float(file.dark_exposure_s[0]) if len(file.dark_exposure_s) else float("nan")
    return _scan(
        path, file.header, file.ending, file.columns, dark=dark_of(file.dark_spectra, exposure_s), events=file.events,
        results=file.results, wavelength_nm=file.wavelength_nm, saturated=file.saturated, damaged=file.damaged,
        missing=file.missing, repeats=file.repeats,
        read_spectra=read, release=file.close,
    )


def _from_journal(path: Path) -> Scan:
    with JournalReader(path) as journal:
        header = journal.header
        places = journal.places()
        shape = kept_shape(journal, places)
        order = np.argsort(header.wavelength_nm, kind="stable")
        spectra = np.zeros((*shape, len(order)), header.count_type)
        columns: dict[str, NDArray] = {name: np.full(shape, np.nan) for name in COLUMNS}
        columns["valid"] = np.zeros(shape, bool)
        columns["sequence"] = np.full(shape, -1, np.int64)
        columns["flags"] = flags = np.zeros(shape, np.int64)
        damaged = []
        for point, sequence in places.items():
            record = journal.spectrum(sequence)
            if record is None:
                damaged.append(point)
                continue
            place = np.unravel_index(point, shape)
            spectra[place] = record.counts[order]
            columns["valid"][place] = True
            columns["sequence"][place], flags[place] = record.sequence, record.flags
            for name in COLUMNS:
                columns[name][place] = getattr(record, name)
        darks, _ = journal.dark()
        dark = np.array([one.counts[order] for one in darks], header.count_type).reshape(-1, len(order))
        return _scan(
            path, header, journal.ending, columns, dark=dark_of(dark, darks[0].exposure_s if darks else float("nan")),
            events=tuple(journal.events()), results=journal.results,
            wavelength_nm=np.asarray(header.wavelength_nm)[order], saturated=(flags & int(Flag.SATURATED)) != 0,
            damaged=tuple(damaged), missing=journal.missing(),
            repeats=tuple(replace(one, counts=one.counts[order]) for one in journal.repeats()),
            read_spectra=lambda point: spectra if point is None else spectra[point], release=lambda: None,
        )


def _scan(path: Path, header: Header, ending: Ending | None, columns: dict[str, NDArray], **rest: Any) -> Scan:
    shape = columns["valid"].shape
    more = {name: columns[name] for name in MORE if name in columns}
    return Scan(
        source=str(path), kind=header.kind, valid=columns["valid"], time_s=columns["time_s"],
        time_se_s=columns["time_se_s"],
        position_um=np.stack([columns["x_um"], columns["y_um"]], axis=-1), exposure_s=columns["exposure_s"],
        sample_power_uw=columns["sample_power_uw"], dose_j_cm2=columns["dose_j_cm2"],
        axes={name: np.asarray(axis)[:size] for (name, axis), size in zip(header.axes.items(), shape, strict=True)},
        metadata=metadata_of(header, ending), more=more, **rest,
    )
