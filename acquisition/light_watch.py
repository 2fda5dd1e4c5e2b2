"""Does the light still shine as it should? Asked now and then, and at once when a spectrum has lost most of its light.

A head that goes dark by itself (interlock, fault, key) says so only when it is asked. Spectra taken between its last
word that it emits and the moment when it is found dark are in doubt: they are marked, and a map takes their points
again. How much of the dose is in doubt, the ledger knows (:mod:`halidescope.acquisition.dose`); what is done about the
fault itself is in :mod:`halidescope.acquisition.mending`.
"""

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.records import Flag, SpectrumRecord
from halidescope.acquisition.safety import BEAM_CHECK_S
from halidescope.drivers.errors import InterlockError, LaserFaultError

if TYPE_CHECKING:
    from halidescope.acquisition.measurement import Measurement

COLLAPSE = 0.5         # of the signal before: less than that, and the head is asked whether it still emits
FAINT = 10.0           # standard deviations; a fainter signal cannot collapse


class LightWatch:
    """Watches the light of one measurement, in the engine's thread.

    Attributes
    ----------
    measured_uw : float
        Power at the sample that the head's own meter told last, in µW; 0 before.
    """

    def __init__(self, measurement: "Measurement[Any]") -> None:
        self._measurement = measurement
        self.measured_uw = 0.0
        self._next_check = 0.0                      # time.monotonic()
        self._since: list[SpectrumRecord] = []      # kept since the head said that it emits
        self._signal = 0.0                          # of the last spectrum, counts above dark

    def check(self) -> None:
        """Now and then: does the laser still emit, and as much as it should; raises if it does not."""
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + BEAM_CHECK_S
        measurement, beam = self._measurement, self._measurement.beam
        measurement.engine.expect(0.0)
        if not beam.on:
            if beam.laser.emission:
                raise ProblemError(f"{beam.laser.device}: emits while it must be dark; check the laser's control")
            return
        try:
            beam.require_lit()
        except (InterlockError, LaserFaultError):
            self.lost()
            raise
        self._since.clear()
        table = measurement.engine.microscope.laser
        noted = abs(beam.power_drift) > table.power_drift_note
        self.measured_uw = beam.measure_power()
        drift = beam.power_drift
        if abs(drift) > table.power_drift_note and not noted:
            measurement.note(
                f"laser power drifts: {self.measured_uw:.4g} µW measured, set-point {beam.sample_power_uw:g} µW "
                f"({drift:+.1%})", "warning",
            )

    def soon(self) -> None:
        """Ask at the next opportunity."""
        self._next_check = 0.0

    def require_ready(self) -> None:
        """Raise if the head cannot light again; then it may have gone dark before it was made so."""
        try:
            self._measurement.beam.require_ready()
        except (InterlockError, LaserFaultError):
            self.lost()
            raise

    def saw(self, counts: NDArray[np.unsignedinteger], dark_counts: float) -> None:
        """A spectrum that came, and the sum of the mean dark: ask at once if most of the light before is missing."""
        total = float(counts.sum(dtype=np.uint64))
        signal = total - dark_counts
        if signal < COLLAPSE * self._signal and self._signal > FAINT * math.sqrt(total):
            self._ask()
        self._signal = signal

    def prove(self) -> None:
        """Ask now, if something was measured since the head said last that it emits; raises like :meth:`check`."""
        if self._since:
            self._ask()

    def _ask(self) -> None:
        self.soon()
        self.check()

    def dark(self, *, in_doubt: bool) -> None:
        """It was made dark, and had been on until then, or nobody knows."""
        if in_doubt:
            self.lost()
        self._since.clear()

    def kept(self, record: SpectrumRecord) -> None:
        """A spectrum that is in the journal."""
        if self._measurement.beam.on:
            self._since.append(record)

    def lost(self) -> None:
        """The head was found dark, or unable to light: what was measured since its last word is in doubt."""
        doubtful = [replace(record, flags=record.flags | Flag.LIGHT_IN_DOUBT) for record in self._since]
        self._since.clear()
        if not doubtful:
            return
        again = self._measurement.doubt(doubtful)
        self._measurement.note(
            "light: went by itself, nobody knows when since it was last seen; what was measured since then is marked"
            f"{' and taken again' if again else ''}: points {', '.join(str(record.index) for record in doubtful)}",
            "warning",
        )
