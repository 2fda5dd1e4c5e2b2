"""The parts of a recipe one after another, dark between them, each a measurement with its own file.

A recipe that is one measurement is a chain of one, without a list file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from halidescope.acquisition.journal import journal_path
from halidescope.acquisition.kinds import make_measurement
from halidescope.acquisition.listing import Listing, write_listing
from halidescope.acquisition.plan import Plan, limits_of, plan_hash, plan_part
from halidescope.acquisition.problems import RefusedRunError, ScanFileError
from halidescope.acquisition.recipes import AnyRecipe, RasterMap, SingleRecipe, main_part, part_paths, parts_of
from halidescope.acquisition.resume import Past, finished_spectra, look_back, require_match
from halidescope.acquisition.states import RunState

if TYPE_CHECKING:
    from halidescope.acquisition.engine import Engine


@dataclass(frozen=True)
class Part:
    """One measurement of a recipe; ``past`` is what is there of it, ``finished`` how many spectra if that is all."""

    number: int
    recipe: SingleRecipe
    plan: Plan
    out: Path
    past: Past | None = None
    finished: int | None = None

    @property
    def done(self) -> int:
        """Spectra that are there."""
        return self.finished or (len(self.past.done) if self.past else 0)


class Chain:
    """A recipe on its way through the engine; made before anything moves or lights, run once.

    Parameters
    ----------
    engine : Engine
        With connected instruments.
    resume : bool
        Complete what is there of the recipe's files.

    Raises
    ------
    RefusedRunError
        There is nothing to complete; or it was begun with another recipe or other instruments; or a spot is not fresh.
    ScanFileError
        What is to be completed cannot be read.
    """

    def __init__(self, engine: "Engine", recipe: AnyRecipe, out: Path, *, resume: bool) -> None:
        assert engine.instruments is not None
        self._engine, self._recipe, self._out = engine, recipe, out
        limits = limits_of(engine.instruments)
        self.parts = [
            Part(number, part, plan_part(part, engine.microscope, limits), path)
            for number, (part, path) in enumerate(
                zip(parts_of(recipe), part_paths(out, recipe), strict=True), start=1
            )
        ]
        if resume:
            self._look_back()
        elif stale := [sentence for part in self.parts if (sentence := self._not_fresh(part))]:
            raise RefusedRunError(stale[0])

    def _look_back(self) -> None:
        """Find out what is there of every part."""
        instruments = self._engine.instruments
        assert instruments is not None
        seen = []
        whole = len(self.parts) == 1 or self._out.exists()      # finished files only, not even a journal to compare
        for part in self.parts:
            journal = journal_path(part.out).exists()
            finished = finished_spectra(part.out)
            whole = whole and finished is not None and not journal
            past = None
            if finished is None:
                past = look_back(part.out, part.recipe.drift_line_points if isinstance(part.recipe, RasterMap) else 0)
            if past is not None:
                require_match(
                    past, part.out, part.plan.plan_hash, instruments.identities(),
                    instruments.spectrometer.wavelength_nm,
                )
            seen.append(Part(part.number, part.recipe, part.plan, part.out, past, finished))
        self.parts = seen
        if whole:
            raise RefusedRunError(f"{self._out}: is finished already, nothing is left to resume")
        if all(part.finished is None and part.past is None for part in seen):
            raise RefusedRunError(f"{self._out}: nothing to resume, neither file nor journal is there; start it anew")

    def _not_fresh(self, part: Part) -> str:
        """Why a part that asks for fresh spots must not start; empty if it may."""
        if not part.recipe.require_fresh:
            return ""
        for point in part.plan.points:
            if (dose := self._engine.ledger.at(point.x_um, point.y_um)) > 0:
                return (
                    f"{part.plan.title}: the spot at ({point.x_um:g}, {point.y_um:g}) µm has had {dose:.4g} J/cm² in "
                    "this session, require_fresh allows none; go to another place or another film"
                )
        return ""

    def run(self, note: tuple[str, str]) -> tuple[RunState, str]:
        """Measure every part that is not finished; returns how it ended, and why.

        ``note`` is the text and level of an event that belongs into every part's file.
        """
        state, reason = RunState.FINISHED, ""
        before: Path | None = None
        for part in self.parts:
            self._engine.begin(part.plan, part.out, part.number, len(self.parts), part.done)
            if part.finished is None:
                if self._engine.door.abort_reason is not None:
                    state, reason = RunState.ABORTED, self._engine.door.abort_reason
                    break
                measurement = make_measurement(
                    self._engine, part.recipe, part.plan, part.out, past=part.past, before=before
                )
                measurement.note(*note)
                state, reason = measurement.run()
                if state is not RunState.FINISHED:
                    break
            before = part.out
        if len(self.parts) > 1:
            state, reason = self._list(state, reason)
        return state, reason

    def _list(self, state: RunState, reason: str) -> tuple[RunState, str]:
        """Write the list of the parts that are there."""
        there = {part.number: part.out.name for part in self.parts if part.out.exists()}
        if not there:
            return state, reason
        main = main_part(self._recipe) + 1
        listing = Listing(
            kind=self._recipe.kind, title=self._recipe.title, recipe=self._recipe.model_dump(mode="json"),
            plan_hash=plan_hash(self._recipe, self._engine.microscope), planned=len(self.parts), parts=there,
            main=main if main in there else max(there),
        )
        try:
            write_listing(self._out, listing)
        except ScanFileError as error:
            self._engine.events.note(str(error), "error")
            return RunState.FAILED, f"{reason}; {error}" if reason else str(error)
        self._engine.events.note(f"saved {self._out}: {len(there)} of {len(self.parts)} parts")
        return state, reason
