"""What the engine says of itself: its state and one status object, the same in window, file and log.

The engine's life::

    idle → preparing → running ⇄ paused → finishing → finished | aborted | failed(reason) → idle

``failed`` and ``aborted`` go through ``finishing`` too: dark first, then the file.
"""

from enum import StrEnum

import msgspec


class RunState(StrEnum):
    """Where the engine is in its life."""

    IDLE = "idle"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHING = "finishing"
    FINISHED = "finished"
    ABORTED = "aborted"
    FAILED = "failed"

    @property
    def busy(self) -> bool:
        """True while a measurement owns the instruments."""
        return self in (RunState.PREPARING, RunState.RUNNING, RunState.PAUSED, RunState.FINISHING)

    @property
    def ended(self) -> bool:
        """True when the last measurement is over, however it ended."""
        return self in (RunState.FINISHED, RunState.ABORTED, RunState.FAILED)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Something that only a person can decide; the laser is dark and the measurement waits."""

    id: int
    text: str
    choices: list[str]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the engine, complete: whoever holds this needs nothing else to say what goes on.

    Powers and doses are at the sample. ``position_um`` is read back from the stage. Times are microscope seconds.
    """

    state: RunState = RunState.IDLE
    reason: str = ""                        # why it failed or was aborted, a sentence
    run: int = 0                            # counts the engine's measurements; the ring's spectra carry it too
    measurement: str = ""                   # what runs, for people: "map 51 × 51", "time series 500 s"
    kind: str = ""                          # the recipe's kind
    file: str = ""                          # where the data end up
    done: int = 0                           # spectra acquired
    total: int = 0                          # spectra planned, 0 if open-ended
    part: int = 1                           # which part of its recipe runs; state, file, done and total are this part's
    parts: int = 1                          # how many parts the recipe has
    done_before: int = 0                    # spectra acquired in the parts before
    elapsed_s: float = 0.0
    remaining_s: float | None = None
    emission: bool = False
    laser_state: str = ""
    interlock_closed: bool | None = None    # None: not known
    sample_power_uw: float = 0.0            # at the sample now, 0 when dark
    irradiance_w_cm2: float = 0.0           # peak, of that power
    position_um: tuple[float, float] | None = None
    dose_j_cm2: float = 0.0                 # peak dose at the present spot, accumulated
    simulated: bool = False
    speed: float = 1.0
    connected: bool = False                 # to all three instruments
    live: bool = False                      # a live view shows spectra, outside any measurement
    live_dose_j_cm2: float = 0.0            # peak dose that this live view has given
    live_remaining_s: float | None = None   # until it ends by itself, by time or by dose
    dose_here_j_cm2: float = 0.0            # peak dose under the beam, of the whole session, as of this moment
    photons_here_per_um2: float = 0.0       # the same light counted in photons
    film: str = ""                          # name of the film under the objective
    commander: str = ""                     # who has the command; empty: nobody
    question: Question | None = None        # waits for an answer
    queue_waiting: int = 0                  # measurements that wait in the queue
    queue_held: bool = False                # the next one does not begin by itself
    queue_reason: str = ""                  # why not
    queue_item: int | None = None           # which measurement of the queue runs
    events: int = 0                         # how many events so far; ask the engine for their texts
