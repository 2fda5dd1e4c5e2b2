"""What a measurement keeps: its journal, its page of light, its events, and the file that they become at the end.

When what is kept, :mod:`halidescope.acquisition.measurement` knows; how, the writers of journal, page and file.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from halidescope.acquisition.faults import SKIPPED
from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.journal_writer import JournalWriter
from halidescope.acquisition.light_page import LightPage, light_path
from halidescope.acquisition.plan import Plan
from halidescope.acquisition.problems import ScanFileError, unexpected
from halidescope.acquisition.records import Ending, Header
from halidescope.acquisition.resume import Past
from halidescope.acquisition.states import RunState
from halidescope.acquisition.storage import finish_elsewhere

if TYPE_CHECKING:
    from halidescope.acquisition.engine import Engine


class Keeper:
    """Keeps one measurement, in the engine's thread.

    Parameters
    ----------
    out : Path
        The file that it becomes.
    past : Past, optional
        What is there of it already.
    """

    def __init__(self, engine: "Engine", plan: Plan, out: Path, past: Past | None) -> None:
        self._engine, self._plan, self._out, self._past = engine, plan, out, past
        self._events = engine.events
        self._first_event = len(engine.events)
        self._noted: set[int] = set()            # events that are in the journal
        self._journal: JournalWriter | None = None
        self._page: LightPage | None = None
        self._analysed = False                   # the analyst follows
        self._reasons: dict[int, str] = {}       # of points left out

    @property
    def journal(self) -> JournalWriter:
        """The journal, once it is open."""
        assert self._journal is not None
        return self._journal

    # the beginning

    def open(self, header: Header) -> None:
        """Begin the journal, or go on with it, and with the page of every spot's light.

        Raises
        ------
        ScanFileError
            They cannot be written.
        """
        path = journal_path(self._out)
        if self._past is None:
            self._journal = JournalWriter(path, header, self._out)
        else:
            self._journal = JournalWriter.reopen(path)
        self._engine.guard.journal(path)
        self._page = LightPage(light_path(path), self._engine.clock.utc_s)
        if self._past is not None:
            self._past.book(self._engine.ledger)
        self._engine.ledger.keep(self._page, self._past.spots if self._past else ())
        self._write_events()
        self.note(f"{self._plan.title}: preparing")
        if self._past is not None:
            self._tell_past(self._past)

    def _tell_past(self, past: Past) -> None:
        """What is there already, what of it is in doubt, and what is lost."""
        if past.lit_until_unknown:
            self.note(
                "light was on when it was cut off, and nobody knows until when (the computer's power?); the dose at "
                "the last point is a lower bound", "warning",
            )
        for record in past.in_doubt:
            self.journal.amend(record)
        if past.in_doubt:
            self.note(f"{len(past.in_doubt)} spectra may have been taken without light; marked", "warning")
        for why in set(past.lost.values()):
            self.journal.set_missing((point for point, reason in past.lost.items() if reason == why), why)
        again = f", {past.damaged} damaged ones are taken again" if past.damaged else ""
        self.note(f"resumed: {len(past.done)} of {self._plan.spectra} points are there{again}", "warning")

    def reopen(self) -> None:
        """A journal that holds every point: only its file is missing. Raises ScanFileError."""
        self._journal = JournalWriter.reopen(journal_path(self._out))

    def analyse(self) -> None:
        """From now on the online analysis follows the journal."""
        self._engine.analyst.begin(journal_path(self._out))
        self._analysed = True

    # while it runs

    def note(self, text: str, level: str = "info") -> None:
        """An event, in the engine's list and in the journal."""
        event = self._events.note(text, level)
        if self._journal is not None:
            self._journal.append_event(event)
            self._noted.add(event.sequence)

    def _write_events(self) -> None:
        """Into the journal what was noted before there was one, and by other threads."""
        for event in self._events.since(self._first_event):
            if event.sequence not in self._noted:
                self.journal.append_event(event)
                self._noted.add(event.sequence)

    def leave_out(self, points: list[int], reason: str) -> None:
        """Register points that will not be measured, with the reason."""
        self._reasons |= dict.fromkeys(points, reason)
        self.journal.set_missing(points, reason)
        self.note(f"{len(points)} spectra left out: {reason}", "warning")

    # the end

    def finish(
        self, state: RunState, reason: str, *, done: int, rows: int, left: Iterable[int],
        tell_doubt: Callable[[], object],
    ) -> tuple[RunState, str]:
        """Dark is proven (or the attempt failed loudly): now the file, whatever happened before.

        Parameters
        ----------
        done, rows : int
            Points that have their spectrum, and spectra in the journal.
        left : iterable of int
            Points that nobody came to.
        tell_doubt : callable
            Has the last word about the light.

        Returns
        -------
        (RunState, str)
            How it ended after all, and why.
        """
        if state is not RunState.FINISHED:
            self._events.note(f"{state}: {reason}", "warning" if state is RunState.ABORTED else "error")
        if self._journal is None:
            return state, reason
        try:
            tell_doubt()
            self._close(state, reason, done, rows, left)
        except ScanFileError as error:
            state, reason = RunState.FAILED, self._worse(reason, str(error))
        except Exception as error:  # noqa: BLE001 - the journal is whole, and the engine goes on
            kept = f"{unexpected(error)}; {self._journal.path} is kept"
            state, reason = RunState.FAILED, self._worse(reason, kept)
        finally:
            self._let_go()
            self._engine.guard.journal(None)
        return state, reason

    def _worse(self, reason: str, problem: str) -> str:
        """The reason of an end that went wrong, too."""
        self._events.note(problem, "error")
        if problem in reason:       # the end may have come of it in the first place
            return reason
        return f"{reason}; {problem}" if reason else problem

    def _let_go(self) -> None:
        """The ledger's page has its last word, and goes where the journal went."""
        self._engine.ledger.keep(None)
        page, self._page = self._page, None
        if page is not None:
            with closing(page):
                page.follow(self.journal.path)

    def _close(self, state: RunState, reason: str, done: int, rows: int, left: Iterable[int]) -> None:
        """End the journal, and make the file of it."""
        analyst, beam, clock = self._engine.analyst, self._engine.beam, self._engine.clock
        assert beam is not None
        with closing(self.journal) as journal:
            if not self._analysed and rows:
                analyst.begin(journal_path(self._out))
            results = analyst.finish(rows)
            if done:
                journal.set_results(results)
            if state is not RunState.FINISHED:
                journal.set_missing(left, f"{state}: {reason}")
            if skipped := sum(reason.startswith(SKIPPED) for reason in self._reasons.values()):
                missing = f"{skipped} spectra are missing after faults, each with its reason"
                self.note(f"{missing}; --resume takes a map's", "warning")
            if beam.on:
                self.note("EMISSION COULD NOT BE PROVEN OFF", "error")
            else:
                self.note("emission proven off")
            self._write_events()
            journal.end(Ending(
                state=state.value, reason=reason, ended_at=clock.wall().isoformat(),
                dark_utc_s=None if beam.dark_at_s is None else clock.utc_s(beam.dark_at_s),
            ))
        self._let_go()
        damaged = finish_elsewhere(journal.path, self._out, overwrite=self._past is not None)
        if damaged:
            self._events.note(f"{len(damaged)} damaged rows are masked in {self._out}; its journal is kept", "warning")
        self._events.note(f"saved {self._out}")
