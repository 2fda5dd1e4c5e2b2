"""A measurement that was cut off: what is there of it, whether it may go on, and how far things have drifted since.

Nothing is measured here; :mod:`halidescope.acquisition.measurement` goes on where :class:`Past` ends.
"""

import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from halidescope.acquisition.dose import DoseLedger
from halidescope.acquisition.faults import SKIPPED
from halidescope.acquisition.journal import delete_journal, journal_path
from halidescope.acquisition.journal_reader import JournalReader
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.light_page import LightPage, LitSpot, PageContent, light_path, read_page
from halidescope.acquisition.nexus_file import NexusFile
from halidescope.acquisition.problems import RefusedRunError, ScanFileError
from halidescope.acquisition.records import DarkRecord, Flag, Header, SpectrumRecord
from halidescope.acquisition.recovery import bring_home
from halidescope.acquisition.slide import BANDS, bands, richest_line
from halidescope.acquisition.storage import compare
from halidescope.acquisition.vetting import vet

SCHEDULED = ("time-series", "dark-recovery")       # their points mean nothing at another time
IDENTITY = ("manufacturer", "model", "serial")     # a newer firmware is still the same instrument
RECENT = 64        # of the last spectra, the brightest becomes the reference


@dataclass(frozen=True)
class Past:
    """What is there of a measurement that was cut off.

    Attributes
    ----------
    header : Header
    records : tuple of SpectrumRecord
        Every whole spectrum, in the order of taking, its counts left out (empty).
    damaged : int
        Rows that are there but not whole; their points are measured again.
    rows : int
        Number of the next spectrum.
    repeats : int
        Number of the next repeated spectrum.
    darks : tuple of DarkRecord
    reference : SpectrumRecord or None
        A point to look at again, with its counts.
    lines : tuple of tuple of SpectrumRecord
        Of a map, on request: a short line along x and one along y to look at again, with their counts.
    lost : dict
        Point of a schedule → reason, where a fault cost it and its time is over; a map's are taken later instead.
    spots : tuple of LitSpot
        Every spot that was lit, the light until it was made dark included.
    lit_until_unknown : bool
        Light was on at the last of them, and nobody made it dark that could tell.
    in_doubt : tuple of SpectrumRecord
        Those after which no read-back said that it was lit, the head being found dark; their new flags say so.
    """

    header: Header
    records: tuple[SpectrumRecord, ...]
    damaged: int
    rows: int
    repeats: int
    darks: tuple[DarkRecord, ...]
    reference: SpectrumRecord | None
    lines: tuple[tuple[SpectrumRecord, ...], ...] = ()
    lost: dict[int, str] = field(default_factory=dict)
    spots: tuple[LitSpot, ...] = ()
    lit_until_unknown: bool = False
    in_doubt: tuple[SpectrumRecord, ...] = ()

    @property
    def done(self) -> frozenset[int]:
        """Points that are measured; where a map's spectrum may have had no light, its point is not."""
        void = Flag.LIGHT_IN_DOUBT if retakes(self.header.kind) else Flag.NONE
        return frozenset(record.index for record in self.records if not record.flags & void)

    def book(self, ledger: DoseLedger) -> None:
        """Tell a ledger of the light that these spots have had, as far as it does not know."""
        ledger.learn(self.spots)
        for record in self.records:
            ledger.book(record.x_commanded_um, record.y_commanded_um, record.dose_j_cm2)


def look_back(out: Path, line_points: int = 0) -> Past | None:
    """What is there of the measurement that is to become, or has partly become, the file ``out``.

    ``line_points`` is how many neighbours of a map are to be looked at again, along x and along y.

    None if there is nothing. A file that is finished has no journal; one that was aborted or failed is brought back
    into a journal, and replaced when that is complete; a journal that was rescued when its folder vanished is fetched.

    Raises
    ------
    ScanFileError
        What is there cannot be read.
    """
    journal = journal_path(out)
    bring_home(out)
    if out.exists() and not journal.exists():
        _bring_back(out)
    if not journal.exists():
        return None
    page = read_page(light_path(journal)) if light_path(journal).exists() else PageContent((), -1, 0.0, 0.0)
    with JournalReader(journal) as reader:
        places = reader.places()
        kept = [record for sequence in sorted(places.values()) if (record := reader.spectrum(sequence)) is not None]
        darks, _ = reader.dark()
        in_doubt = _in_doubt(kept, reader.header, page)
        kept = [in_doubt.get(record.sequence, record) for record in kept]
        sure = [record for record in kept if not record.flags & Flag.LIGHT_IN_DOUBT]
        return Past(
            header=reader.header,
            records=tuple(replace(record, counts=record.counts[:0]) for record in kept),
            damaged=len(places) - len(kept), rows=max(places.values(), default=-1) + 1,
            repeats=len(reader.repeats()), darks=tuple(darks), in_doubt=tuple(in_doubt.values()),
            reference=_choose(sure), lines=_lines(sure, reader.header, darks, line_points),
            lost={} if retakes(reader.header.kind) else {
                point: why for point, why in reader.missing().items() if why.startswith(SKIPPED) and point not in places
            },
            spots=page.spots, lit_until_unknown=page.irradiance_w_cm2 > 0,
        )


def finished_spectra(out: Path) -> int | None:
    """How many spectra the finished measurement ``out`` holds, None if it is not finished.

    One that lacks points after faults, and whose points have no schedule, is not.
    A journal that a kill left beside it is compared with it and removed.
    """
    if not out.exists():
        return None
    vet(out)
    file = NexusFile(out)
    file.close()
    if file.ending is None or file.ending.state != "finished":
        return None
    if retakes(file.header.kind) and any(why.startswith(SKIPPED) for why in file.missing.values()):
        return None
    if retakes(file.header.kind) and np.any(file.columns["flags"][file.columns["valid"]] & int(Flag.LIGHT_IN_DOUBT)):
        return None
    journal = journal_path(out)
    if journal.exists():
        with JournalReader(journal) as reader:
            if reader.ending is None or reader.ending.state != "finished":
                return None
            compare(reader, out)
        if not file.damaged:
            delete_journal(journal)
    return int(file.columns["valid"].sum())


def require_match(
    past: Past, out: Path, plan_hash: str, identities: dict[str, dict[str, str]], wavelength_nm: np.ndarray
) -> None:
    """Refuse to go on with another recipe or with other instruments; nothing has moved or lit up yet.

    Raises
    ------
    RefusedRunError
    """
    if past.header.plan_hash != plan_hash:
        raise RefusedRunError(
            f"{out}: was begun with another recipe, path transmission or waist (plan {past.header.plan_hash[:12]}, "
            f"now {plan_hash[:12]}); resume with the recipe and microscope file that it was begun with"
        )
    for role, now in identities.items():
        then = past.header.identities[role]
        if any(then[key] != now[key] for key in IDENTITY):
            raise RefusedRunError(
                f"{out}: was begun with {role} {_who(then)}, connected is {_who(now)}; connect the former, or start a "
                "new measurement"
            )
    axis = np.asarray(past.header.wavelength_nm)
    if axis.shape != wavelength_nm.shape or not np.array_equal(axis, wavelength_nm):
        raise RefusedRunError(
            f"{out}: was begun with another wavelength calibration ({axis.min():.3f} to {axis.max():.3f} nm, now "
            f"{wavelength_nm.min():.3f} to {wavelength_nm.max():.3f} nm); restore it, or start a new measurement"
        )


def _choose(records: list[SpectrumRecord]) -> SpectrumRecord | None:
    """The brightest of the last spectra; not the very last, whose spot was lit until somebody noticed the end."""
    recent = records[-RECENT:-1] or records
    usable = [record for record in recent if not record.flags & Flag.SATURATED] or recent
    return max(usable, key=lambda record: int(record.counts.sum(dtype=np.int64)), default=None)


def _lines(
    records: list[SpectrumRecord], header: Header, darks: list[DarkRecord], points: int
) -> tuple[tuple[SpectrumRecord, ...], ...]:
    """Along x and along y, the neighbours on a map's grid that differ most."""
    if points == 0 or header.kind != "raster-map" or not darks:
        return ()
    shape = (len(header.axes["y"]), len(header.axes["x"]))
    grid = np.full((*shape, BANDS), np.nan)
    found = bands(np.array([one.counts for one in records]), np.mean([dark.counts for dark in darks], axis=0))
    grid.reshape(-1, BANDS)[[one.index for one in records]] = found
    by_index = {one.index: one for one in records}
    along_x, along_y = richest_line(grid, points), richest_line(grid.swapaxes(0, 1), points)
    row, column = along_y % shape[0], along_y // shape[0]
    places = (along_x, row * shape[1] + column)
    return tuple(tuple(by_index[int(place)] for place in line) for line in places if len(line))


def _in_doubt(records: list[SpectrumRecord], header: Header, page: PageContent) -> dict[int, SpectrumRecord]:
    """By number, spectra that ended after the last read-back that said lit, if nobody knows until when it was."""
    if not page.in_doubt or header.light_on_utc_s is None:
        return {}
    proven_s = (page.proven_utc_s - header.light_on_utc_s) * header.speed
    return {
        one.sequence: replace(one, flags=one.flags | Flag.LIGHT_IN_DOUBT) for one in records
        if one.time_s + 0.5 * one.exposure_s > proven_s
    }


def retakes(kind: str) -> bool:
    """True if a point may be taken later than it was due."""
    return kind not in SCHEDULED


def _who(identity: dict[str, str]) -> str:
    return f"{identity['manufacturer']} {identity['model']} {identity['serial']}"


def _bring_back(out: Path) -> None:
    """Make a journal from an unfinished measurement's file, whole or not at all; the file stays."""
    journal = journal_path(out)
    part = journal.with_name(journal.name + ".part")
    delete_journal(part)      # of an earlier try that was cut off itself
    file = NexusFile(out)
    try:
        back = np.argsort(np.argsort(file.header.wavelength_nm, kind="stable"), kind="stable")
        writer = JournalWriter(part, file.header)
        try:
            header = file.header
            if header.light_on_s is not None and header.light_on_utc_s is not None:
                writer.set_light_on(header.light_on_s, header.light_on_se_s, header.light_on_utc_s)
            for k, counts in enumerate(file.dark_spectra):
                start_s, exposure_s = float(file.dark_start_s[k]), float(file.dark_exposure_s[k])
                writer.append_dark(DarkRecord(k, start_s, exposure_s, counts[back]))
            order = [(int(sequence), point) for point, sequence in enumerate(file.columns["sequence"].flat)]
            taken = [point for sequence, point in sorted(order) if sequence >= 0]
            for sequence, point in enumerate(taken):      # without gaps, where damaged rows were
                record = file.record(point)
                if record is not None:
                    writer.append(replace(record, sequence=sequence, counts=record.counts[back]))
            for repeat in file.repeats:
                writer.append_repeat(replace(repeat, counts=repeat.counts[back]))
            for event in file.events:
                writer.append_event(event)
            for why in {why for why in file.missing.values() if why.startswith(SKIPPED)}:
                writer.set_missing((point for point, reason in file.missing.items() if reason == why), why)
        finally:
            writer.close()
        page = LightPage(light_path(part), lambda at_s: at_s)
        try:
            for spot in file.light_spots:
                page.put(page.add(spot.x_um, spot.y_um), spot)
        finally:
            page.close()
    finally:
        file.close()
    try:
        os.replace(light_path(part), light_path(journal))
        os.replace(part, journal)
    except OSError as error:
        raise ScanFileError(f"journal {journal}: cannot be created ({error}); check the folder") from error


def schedule_shift_s(past: Past, due_s: dict[int, float | None]) -> float:
    """Dark time within a series' schedule up to its last spectrum; 0 if it has none."""
    if not past.records:
        return 0.0
    last = past.records[-1]
    due = due_s.get(last.index)
    return last.planned_s - due if due is not None and math.isfinite(last.planned_s) else 0.0
