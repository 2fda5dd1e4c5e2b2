"""From journal to finished file, and back into memory: :func:`finish` and :func:`open_scan`.

The journal's own format is in :mod:`halidescope.acquisition.journal`, the file's in
:mod:`halidescope.acquisition.nexus`.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.chunks import CubeReader
from halidescope.acquisition.contents import Contents, JournalContents, ScanContents
from halidescope.acquisition.joined import join
from halidescope.acquisition.journal import delete_journal, journal_path
from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.listing import Listing, read_listing
from halidescope.acquisition.nexus import write_nexus
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.places import on_network, spooled
from halidescope.acquisition.problems import RefusedRunError, ScanFileError
from halidescope.acquisition.records import Ending, Flag, Header
from halidescope.acquisition.scan import Scan, dark_of
from halidescope.acquisition.transport import metadata_of

MORE = (
    "planned_s", "start_s", "x_commanded_um", "y_commanded_um", "measured_power_uw", "sequence", "flags", "averaged",
)  # fmt: skip
JOURNAL_MARK = b"SQLite format 3"


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
    return finish_elsewhere(journal_path(out), out, overwrite=overwrite)


def finish_elsewhere(journal: Path, out: Path, *, overwrite: bool = False) -> list[int]:
    """As :func:`finish`, for a journal that need not lie where that of ``out`` would."""
    damaged = write_finished(journal, out, overwrite=overwrite)
    if not damaged:
        delete_journal(journal)
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
    if out.exists() and not overwrite:
        raise ScanFileError(f"{out}: exists and is not overwritten; the measurement is safe in {source}")
    try:
        local = spooled(part) if on_network(out.parent) else part
        with JournalReader(source) as journal:
            damaged = write_nexus(JournalContents(journal), local)
            _durable(local)
            compare(journal, local)
        if local != part:
            copy_compared(local, part)
            local.unlink()
        os.replace(part, out)
        _durable(out.parent)
    except (OSError, RuntimeError) as error:   # h5py reports a full disk as either
        _drop(part, local)
        raise ScanFileError(f"{out}: cannot be written ({_why(error)}); the measurement is safe in {source}") from error
    return damaged


def _why(error: OSError | RuntimeError) -> str:
    """The operating system's words, without HDF5's."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error).replace("\n", " ")


def _drop(*parts: Path) -> None:
    """Delete what is left of files that could not be written, as far as the disk lets us."""
    for path in parts:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def copy_compared(source: Path, target: Path) -> None:
    """Copy a file durably, and read it back; raises OSError if it cannot be, or differs."""
    shutil.copyfile(source, target)
    _durable(target)
    if file_hash(source) != file_hash(target):
        raise OSError(f"the copy {target} reads back differently")


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_scan(scan: Scan, out: Path) -> None:
    """Write a scan, wherever it comes from, as a finished file: durably, compared, whole or not at all.

    Raises
    ------
    RefusedRunError
        The file exists.
    ScanFileError
        It could not be written, or reads back differently.
    """
    if out.exists():
        raise RefusedRunError(f"output file {out} exists and is never overwritten; choose another name")
    part = out.with_name(out.name + ".part")
    contents = ScanContents(scan)
    try:
        write_nexus(contents, part)
        _durable(part)
        compare_contents(contents, part, f"the data are still in {scan.source}")
        os.replace(part, out)
        _durable(out.parent)
    except (OSError, RuntimeError) as error:
        raise ScanFileError(f"{out}: cannot be written ({_why(error)}); the data are still in {scan.source}") from error
    finally:
        part.unlink(missing_ok=True)


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
    compare_contents(JournalContents(journal), part, f"the measurement is safe in {journal.path}")


def compare_contents(contents: Contents, part: Path, safe: str) -> None:
    """Read a file back and hold every spectrum and number against what it was written from.

    Raises
    ------
    ScanFileError
        They differ; ``safe`` tells where the data still are.
    """
    file = NexusFile(part)
    try:
        if file.columns["valid"].shape != contents.shape:
            raise ScanFileError(f"{part}: its shape reads back differently; check the disk, {safe}")
        with CubeReader(file.intensity) as reader:
            for line, first, counts in contents.blocks():
                back, lost = reader.rows(line, first, len(counts))
                if lost or not np.array_equal(back, counts, equal_nan=counts.dtype.kind == "f"):
                    unlike = np.flatnonzero((back != counts).any(axis=1))
                    point = int(np.ravel_multi_index((*line, first), contents.shape)) + int((lost or unlike)[0])
                    raise ScanFileError(f"{part}: point {point} reads back differently; check the disk, {safe}")
        for name, column in contents.columns.items():
            read = file.columns.get(name)
            if read is None or not np.array_equal(read, column, equal_nan=column.dtype.kind == "f"):
                raise ScanFileError(f"{part}: {name} reads back differently; check the disk, {safe}")
    except (OSError, RuntimeError) as error:
        raise ScanFileError(f"{part}: cannot be read back ({error}); check the disk, {safe}") from error
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
    valid, spoiled = file.columns["valid"], set[int]()

    def read(point: tuple[int, ...] | None) -> NDArray:
        if point is not None:
            counts, whole = file.spectrum(point)
            lost = [] if whole else [int(np.ravel_multi_index(point, valid.shape, mode="wrap"))]
        else:
            counts, lost = file.spectra()
        for one in lost:
            if valid.flat[one]:
                valid.flat[one] = False
                spoiled.add(one)
        return counts

    exposure_s = float(file.dark_exposure_s[0]) if len(file.dark_exposure_s) else float("nan")
    scan = _scan(
        path, file.header, file.ending, file.columns, dark=dark_of(file.dark_spectra, exposure_s),
        events=file.events, results=file.results, wavelength_nm=file.wavelength_nm, saturated=file.saturated,
        damaged=file.damaged, missing=file.missing, repeats=file.repeats, read_spectra=read, release=file.close,
        read_sums=file.sums, stored_sum=file.counts_sum, spoiled=spoiled,
    )
    return scan if not file.damaged_columns else replace(
        scan, metadata={**scan.metadata, "damaged_columns": file.damaged_columns}
    )


def _from_journal(path: Path) -> Scan:
    with JournalReader(path) as journal:
        contents = JournalContents(journal)
        spectra = np.zeros((*contents.shape, len(contents.wavelength_nm)), journal.header.count_type)
        for line, first, counts in contents.blocks():
            spectra[line][first : first + len(counts)] = counts
        columns = contents.columns
        dark = np.array([one.counts for one in contents.darks], journal.header.count_type)
        return _scan(
            path, journal.header, journal.ending, columns,
            dark=dark_of(
                dark.reshape(-1, spectra.shape[-1]), contents.darks[0].exposure_s if contents.darks else float("nan")
            ),
            events=tuple(contents.events), results=contents.results, wavelength_nm=contents.wavelength_nm,
            saturated=(columns["flags"] & int(Flag.SATURATED)) != 0, damaged=tuple(contents.damaged),
            missing=contents.missing, repeats=tuple(contents.repeats),
            read_spectra=lambda point: spectra if point is None else spectra[point], release=lambda: None,
        )


def _scan(path: Path, header: Header, ending: Ending | None, columns: dict[str, NDArray], **rest: Any) -> Scan:
    shape = columns["valid"].shape
    more = {name: columns[name] for name in MORE if name in columns}
    if header.imported is not None or header.processing:
        del more["flags"]           # made of `saturated` when the file was written
    return Scan(
        source=str(path), kind=header.kind, valid=columns["valid"], time_s=columns["time_s"],
        time_se_s=columns["time_se_s"],
        position_um=np.stack([columns["x_um"], columns["y_um"]], axis=-1), exposure_s=columns["exposure_s"],
        sample_power_uw=columns["sample_power_uw"], dose_j_cm2=columns["dose_j_cm2"],
        axes={name: np.asarray(axis)[:size] for (name, axis), size in zip(header.axes.items(), shape, strict=True)},
        metadata=metadata_of(header, ending), more=more, **rest,
    )
