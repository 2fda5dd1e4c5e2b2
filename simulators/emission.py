"""A laser head's light as its state machine sees it: dark, about to be lit, or lit.

What the heads have in common; when emission is allowed, and how it is asked for, is in each head's own module.
"""

import math
from collections.abc import Callable

from halidescope.simulators.bench import Bench


class Emission:
    """Whether a head emits, and from when on.

    Parameters
    ----------
    bench : Bench
        The world that the head lights.
    output_mw : callable
        What the head would emit now with its present settings, in mW.
    """

    def __init__(self, bench: Bench, output_mw: Callable[[], float]) -> None:
        self._bench = bench
        self._output_mw = output_mw
        self._lit_s = math.inf      # when emission begins, or began
        self.on = False
        self.lit_for_s = 0.0        # of earlier emissions

    @property
    def lit(self) -> bool:
        """True once the delay after the command is over."""
        return self.on and self._bench.clock.now_s() >= self._lit_s

    @property
    def hours(self) -> float:
        """Hours of emission since the simulation began."""
        now = self._bench.clock.now_s()
        return (self.lit_for_s + (now - self._lit_s if self.lit else 0.0)) / 3600.0

    def start(self, delay_s: float) -> None:
        """Begin to emit after a delay; does nothing if emission is on already."""
        if not self.on:
            self.on = True
            self._lit_s = self._bench.clock.now_s() + delay_s
            self._bench.shine(self._output_mw(), after_s=delay_s)

    def stop(self) -> None:
        """Dark at once."""
        self.lit_for_s = self.hours * 3600.0
        self.on = False
        self._bench.shine(0.0)

    def follow(self) -> None:
        """Bring the light to changed settings, without shortening the delay."""
        if self.on:
            self._bench.shine(self._output_mw(), after_s=self._lit_s - self._bench.clock.now_s())

    def measured_mw(self) -> float:
        """What the head's own photodiode reads, in mW; 0 in the dark."""
        power = self._bench.head_mw
        return max(0.0, power * (1.0 + self._bench.random.normal(0.0, 1e-3))) if power else 0.0
