"""Scans of a simulated spectrometer: when each is exposed, which wait for a trigger, and the QE Pro's buffer of them.

Source: QE Pro Data Sheet p13 for abort, clear, acquire, read. One scan follows the other; in the edge mode each begins
with the next rise of the trigger line, and a rise during an exposure is lost. Answers are in
:mod:`halidescope.simulators.obp`.
"""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halidescope.simulators.bench import Bench, Exposure
from halidescope.simulators.obp_codec import ObpError
from halidescope.simulators.obp_messages import ObpRefusedError, Settings

CAPACITY = 15_000
LEADS_S = (0.002, 0.0005)   # real seconds before an exposure's end, when the spectrum so far is worked out


@dataclass(eq=False)
class Scan:
    """One spectrum in the making; its exposures are averaged, and there are none while it waits for a trigger."""

    counter: int
    integration_us: int
    averages: int
    delay_s: float
    armed_s: float
    exposures: list[Exposure] = field(default_factory=list)
    total_counts: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))     # of the exposures read out
    read_out: int = 0
    developed: int = 0          # how often the present exposure's spectrum so far has been worked out

    @property
    def end_s(self) -> float | None:
        """When it is over; None while it waits for a trigger."""
        return self.exposures[-1].end_s if self.exposures else None


class Scanner:
    """Lays out the exposures of one spectrometer.

    Parameters
    ----------
    bench : Bench
        The world.
    settings : Settings
        Of the spectrometer; each scan takes those of its start.
    edge_mode : int
        The trigger mode in which scans wait for the trigger line.
    """

    def __init__(self, bench: Bench, settings: Settings, edge_mode: int) -> None:
        self._bench = bench
        self._settings = settings
        self._edge_mode = edge_mode
        self._counter = 0
        self._scans: list[Scan] = []        # started and not finished, in order
        self._buffer: deque[Scan] = deque()
        self._deaf_until_s = 0.0            # no trigger counts before the last exposure is over
        self.asked_s = bench.clock.now_s()  # when the last bytes came
        bench.watchers.append(self._watch)
        bench.scans_waiting = lambda: sum(scan.end_s is None for scan in self._scans)

    def start(self) -> Scan:
        """Begin a scan after those before it; refused in a trigger mode without anything connected to it.

        It begins when the request came, which is a little before it is understood.
        """
        settings, bench = self._settings, self._bench
        if settings.trigger_mode not in (0, self._edge_mode):
            raise ObpRefusedError(ObpError.NOT_READY)
        bench.happened("exposure")
        self._counter = (self._counter + 1) % 2**32
        scan = Scan(
            self._counter, settings.integration_us, settings.scans_to_average, settings.trigger_delay_us * 1e-6,
            self.asked_s,
        )
        if settings.trigger_mode == 0:
            self._expose(scan, max(scan.armed_s, self._busy_until_s()))
        self._scans.append(scan)
        self._catch_triggers()
        return scan

    def finish(self, scan: Scan) -> None:
        """The scan has been read out, or nobody wants it."""
        for exposure in scan.exposures:
            self._bench.discard(exposure)
        self._deaf_until_s = min(self._deaf_until_s, max(self._bench.clock.now_s(), self._busy_until_s(but=scan)))
        if scan in self._scans:
            self._scans.remove(scan)

    def next_step_s(self, scan: Scan) -> float | None:
        """When :meth:`keep_up` has something to do for a scan; None while it waits for a trigger."""
        if not scan.exposures:
            return None
        if scan.read_out == len(scan.exposures):
            return scan.end_s
        exposure = scan.exposures[scan.read_out]
        steps_s = (exposure.end_s - lead_s / self._bench.clock.real_s(1.0) for lead_s in LEADS_S[scan.developed:])
        return next((step_s for step_s in steps_s if step_s > exposure.start_s), exposure.end_s)

    def keep_up(self, scan: Scan, now_s: float) -> bool:
        """Read out the exposures that are over, begin the one that soon will be; True when the scan is complete.

        A spectrum holds all the light up to its exposure's end. What is left to do then is little, because most of the
        work is done shortly before: a detector's counts are on the line as soon as its exposure is over, too.
        """
        while scan.read_out < len(scan.exposures):
            exposure = scan.exposures[scan.read_out]
            if exposure.end_s <= now_s:
                scan.total_counts = scan.total_counts + self._bench.read_out(exposure)
                scan.read_out, scan.developed = scan.read_out + 1, 0
                continue
            step_s = self.next_step_s(scan)
            if step_s is not None and step_s <= now_s:
                self._bench.develop(exposure)
                scan.developed += 1
            return False
        return scan.end_s is not None

    def pulse(self, data: bytes) -> None:
        """A trigger by software: begins the exposure of the first scan that waits for one, if none is under way."""
        now = self._bench.clock.now_s()
        waiting = next((scan for scan in self._scans if scan.end_s is None), None)
        if waiting is not None and now >= self._deaf_until_s:
            self._expose(waiting, now)

    def take_buffered(self) -> Scan | None:
        """The oldest scan of the buffer, finished or not."""
        return self._buffer.popleft() if self._buffer else None

    def abort(self) -> None:
        """Forget the scans that are not over; those in the buffer stay."""
        now = self._bench.advance()
        for scan in [scan for scan in self._buffer if scan.end_s is None or scan.end_s > now]:
            self._buffer.remove(scan)
            self.finish(scan)

    def queries(self) -> dict[int, Callable[[bytes], bytes]]:
        """Messages about the buffer."""
        return {
            0x00100820: lambda request: struct.pack("<I", CAPACITY),
            0x00100822: lambda request: struct.pack("<I", CAPACITY),
            0x00100900: lambda request: struct.pack("<I", self._ready()),
            0x00100908: lambda request: struct.pack("<B", self._ready() == len(self._buffer)),
        }

    def commands(self) -> dict[int, Callable[[bytes], None]]:
        """Messages that change the buffer."""

        def clear(data: bytes) -> None:
            while self._buffer:
                self.finish(self._buffer.popleft())

        def acquire(data: bytes) -> None:
            if len(self._buffer) >= CAPACITY:
                raise ObpRefusedError(ObpError.NOT_READY)
            self._buffer.append(self.start())

        return {0x00100830: clear, 0x00100902: acquire}

    def _watch(self, event: str) -> None:
        if event == "trigger":
            self._catch_triggers()

    def _catch_triggers(self) -> None:
        """Expose the scans whose trigger is known by now."""
        for scan in self._scans:
            if scan.end_s is None:
                rise = self._bench.next_trigger_s(max(scan.armed_s, self._deaf_until_s))
                if rise is None:
                    return
                self._expose(scan, rise)

    def _expose(self, scan: Scan, start_s: float) -> None:
        start_s += scan.delay_s
        for _ in range(scan.averages):
            scan.exposures.append(self._bench.expose(scan.integration_us * 1e-6, start_s))
            start_s = scan.exposures[-1].end_s
        self._deaf_until_s = start_s

    def _busy_until_s(self, but: Scan | None = None) -> float:
        return max((scan.end_s for scan in self._scans if scan.end_s is not None and scan is not but), default=0.0)

    def _ready(self) -> int:
        now = self._bench.advance()
        return sum(scan.end_s is not None and scan.end_s <= now for scan in self._buffer)
