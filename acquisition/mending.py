"""Going on after a fault in mid-run, as :mod:`halidescope.acquisition.faults` says.

While something is mended the laser is dark and proven. Before the light comes back the instruments are those of before
(identities, wavelengths), exposure and power are set again and the stage stands where the next exposure will be.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from halidescope.acquisition.faults import SKIPPED, FaultClass, Remedy, Tries, class_of
from halidescope.acquisition.instruments import ROLES, Role, identity_of
from halidescope.acquisition.recipes import Point
from halidescope.acquisition.states import RunState
from halidescope.drivers.errors import InstrumentError, InterlockError, LaserFaultError, MoveError, WrongInstrumentError

if TYPE_CHECKING:
    from halidescope.acquisition.measurement import Measurement

FIRST_WAIT_S = 0.5     # real seconds before a first new connection; doubled before each further one
GO_ON, SKIP, STOP = "go on", "skip this point", "stop"

T = TypeVar("T")


class SkippedError(Exception):
    """A point that the policy gives up; the text is the reason that is kept with it."""


class Mender:
    """Repeats what a measurement does until it works or the policy has had enough of it.

    Parameters
    ----------
    measurement : Measurement
        Whose instruments, beam and journal these are.
    """

    def __init__(self, measurement: "Measurement[Any]") -> None:
        self._measurement = measurement
        self._engine = measurement.engine
        self._table = self._engine.microscope.faults
        self._identities = measurement.instruments.identities()
        self._wavelength_nm = measurement.instruments.spectrometer.wavelength_nm
        self._lost: dict[Role, float] = {}       # to be connected anew → real seconds to wait before
        self._dark_since_s: float | None = None  # while something is broken
        self._relight = False
        self._skips = 0                          # in a row

    def persist(self, action: Callable[[], T], what: str, *, at: Point | None = None, skippable: bool = False) -> T:
        """Do something until it works.

        Parameters
        ----------
        what : str
            Names it in events, e.g. ``point 12``.
        at : Point, optional
            Where the stage is to stand before light comes back; where it was sent last by default.
        skippable : bool
            Whether it may be given up; otherwise *skip* is *stop*.

        Raises
        ------
        SkippedError
            It was given up; the laser is dark.
        InstrumentError
            The policy stops, or the fault is none that a policy allows to go on after; the laser is dark.
        """
        tries = Tries(self._table)
        while True:
            try:
                self._mend(at)
                result = action()
            except InstrumentError as error:
                if not self._face(error, tries, what, skippable):
                    raise
            else:
                if skippable:
                    self._skips = 0
                return result

    # facing a fault

    def _face(self, error: InstrumentError, tries: Tries, what: str, skippable: bool) -> bool:
        """Do what the policy says; False if it stops."""
        measurement = self._measurement
        measurement.look()      # what was made dark from outside looks like a fault
        kind = class_of(error)
        if kind is None:
            return False
        remedy, words = tries.next(kind)
        if remedy is Remedy.RETRY and kind is FaultClass.REPLY:
            measurement.note(f"{what}: {error}; {words}", "warning")
            return True
        self._go_dark(error)
        if remedy is Remedy.ASK:
            remedy = self._ask(error, what, skippable)
            tries.forget()
        if remedy is Remedy.SKIP:
            self._skip(error, what, skippable)
        if remedy is Remedy.STOP or (remedy is Remedy.SKIP):
            return False
        if remedy is Remedy.RECONNECT:
            role = self._role(error)
            if role is not None:
                self._lost[role] = 2.0 * self._lost[role] if role in self._lost else FIRST_WAIT_S
        measurement.note(f"{what}: {error}; emission off and proven, {words}", "warning")
        return True

    def _go_dark(self, error: InstrumentError) -> None:
        """Emission off and proven, before anything is mended; raises NotDarkError."""
        measurement = self._measurement
        self._relight = self._relight or measurement.beam.on
        measurement.beam.darken()
        measurement.instruments.laser = measurement.beam.laser
        measurement.tell_doubt()
        if self._dark_since_s is None:
            self._dark_since_s = self._engine.clock.now_s()
        if isinstance(error, MoveError):
            with suppress(InstrumentError):     # it will be asked again
                measurement.stands_at(measurement.instruments.stage.position_um)

    def _skip(self, error: InstrumentError, what: str, skippable: bool) -> None:
        """Give the point up, unless too many were given up."""
        if not skippable:
            return
        self._skips += 1
        if self._skips > self._table.skips_in_a_row:
            self._measurement.note(
                f"{what}: {self._skips} points in a row would be left out, allowed {self._table.skips_in_a_row} "
                "(skips_in_a_row in the microscope file)", "error",
            )
            return
        raise SkippedError(f"{SKIPPED}{error}")

    def _ask(self, error: InstrumentError, what: str, skippable: bool) -> Remedy:
        """Have a person decide, dark; nobody there, or no answer in time, is a stop."""
        measurement, door = self._measurement, self._engine.door
        if not self._engine.can_ask:
            return Remedy.STOP
        choices = [GO_ON, SKIP, STOP] if skippable else [GO_ON, STOP]
        measurement.note(f"{what}: {error}; emission off and proven, waiting for an answer", "error")
        self._engine.publish(state=RunState.PAUSED)      # before the question: who sees it sees a run that waits
        door.put_question(f"{what}: {error}", choices)
        until = time.monotonic() + self._table.ask_within_s
        try:
            while (answer := door.answered) is None:
                if time.monotonic() > until:
                    measurement.note(f"nobody answered within {self._table.ask_within_s:g} s", "error")
                    return Remedy.STOP
                self._engine.expect(1.0)
                door.sleep(0.5)
                measurement.look()
        finally:
            door.drop_question()
        measurement.note(f"answer: {answer}")
        if answer == GO_ON and isinstance(error, InterlockError | LaserFaultError):
            measurement.beam.laser.clear_fault()      # a person has mended its cause
        self._engine.publish(state=RunState.RUNNING)
        return {GO_ON: Remedy.RETRY, SKIP: Remedy.SKIP, STOP: Remedy.STOP}[answer]

    def _role(self, error: InstrumentError) -> Role | None:
        instruments = self._measurement.instruments
        return next((role for role in ROLES if getattr(instruments, role).device == error.device), None)

    # mending

    def _mend(self, at: Point | None) -> None:
        """In the dark: instruments back, settings back, stage in place; then light again, if there was."""
        if self._dark_since_s is None:
            return
        measurement = self._measurement
        for role, wait_s in list(self._lost.items()):
            self._wait(wait_s)
            self._reconnect(role)
        measurement.restore(at)
        if self._relight:
            measurement.watch.require_ready()
            measurement.beam.relight()
            measurement.dark_time(self._engine.clock.now_s() - self._dark_since_s)
            measurement.note("light on again, settings restored in the dark")
        self._lost.clear()
        self._dark_since_s, self._relight = None, False

    def _wait(self, real_s: float) -> None:
        until = time.monotonic() + real_s
        while (left_s := until - time.monotonic()) > 0:
            self._engine.expect(left_s)
            self._engine.door.sleep(left_s)
            self._measurement.look()

    def _reconnect(self, role: Role) -> None:
        """A new connection to the same instrument; raises WrongInstrumentError if it is another."""
        measurement = self._measurement
        if role == "laser":
            measurement.beam.reconnect()
            measurement.instruments.laser = measurement.beam.laser
        else:
            with suppress(InstrumentError):     # its end is lost already
                getattr(measurement.instruments, role).close()
            setattr(measurement.instruments, role, self._engine.connection.connect_one(role))
        found = getattr(measurement.instruments, role)
        before, now = self._identities[role], identity_of(found)
        same = all(before[key] == now[key] for key in ("manufacturer", "model", "serial"))
        if role == "spectrometer":
            same = same and np.array_equal(found.wavelength_nm, self._wavelength_nm)
        if not same:
            raise WrongInstrumentError(
                found.device, f"{now['model']} {now['serial']} answers where {before['model']} {before['serial']} was "
                "before, or with another calibration; connect the former and resume",
            )
        measurement.note(f"{role}: connected anew, {now['model']} {now['serial']} as before")
