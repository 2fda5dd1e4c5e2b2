"""One measurement without a window: the same engine, in this process, with its watchdog and its door."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from halidescope.acquisition.host import Host
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.recipes import AnyRecipe
from halidescope.acquisition.records import Event
from halidescope.acquisition.results import OnlineResults
from halidescope.acquisition.states import RunState, Status

STATUS_S = 0.1     # real seconds between two calls of ``on_status``


@dataclass(frozen=True)
class Outcome:
    """How a measurement ended.

    Attributes
    ----------
    status : Status
        The last one; ``status.state`` is finished, aborted or failed, ``status.reason`` says why.
    file : Path
        The finished file; for a recipe of several measurements the list of their files.
    results : OnlineResults
    events : list of Event
    """

    status: Status
    file: Path
    results: OnlineResults
    events: list[Event]

    @property
    def spectra(self) -> int:
        """How many spectra its files hold, those of all parts together."""
        return self.status.done_before + self.status.done

    @property
    def ok(self) -> bool:
        """True if everything was measured and saved."""
        return self.status.state is RunState.FINISHED


def run_recipe(
    microscope: MicroscopeFile, recipe: AnyRecipe, out: Path, *, resume: bool = False,
    on_status: Callable[[Status], None] | None = None, abort: threading.Event | None = None,
    session: Path | None = None,
) -> Outcome:
    """Run one measurement to its end; whatever ends it, the laser is dark and the file readable on return.

    Parameters
    ----------
    resume : bool
        Complete what is there of ``out``, cut off or aborted.
    on_status : callable, optional
        Called in this thread some ten times a second, and at the end.
    abort : Event, optional
        Set it to end the measurement. Ctrl-C does the same.
    session : Path, optional
        Leave the address of the engine's door there, so that a window can watch.

    Raises
    ------
    RefusedRunError
        The measurement violates a limit, its file exists, or what is to be resumed does not fit to it; nothing was lit
        or moved.
    InstrumentError
        An instrument cannot be reached.
    """
    show = on_status if on_status is not None else _ignore
    with Host(microscope, session=session) as host:
        engine = host.engine
        engine.door.start(recipe.model_dump(mode="json"), str(out.absolute()), resume=resume)
        try:
            while not (status := engine.status()).state.ended and not host.ended.is_set():
                show(status)
                if abort is not None and abort.wait(STATUS_S):
                    _abort(host)
                elif abort is None:
                    host.ended.wait(STATUS_S)
        except KeyboardInterrupt:
            _abort(host)
        status = engine.status()
        show(status)
        return Outcome(status, out, engine.results(0), engine.events.since(0))


def _ignore(status: Status) -> None:
    """Nobody watches."""


def _abort(host: Host) -> None:
    """Abort if there is still something to abort, and wait for the file."""
    if host.engine.status().state.busy:
        host.engine.abort("aborted on request")
    while host.engine.status().state.busy and not host.ended.wait(0.02):
        pass
