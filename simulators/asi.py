"""A simulated ASI MS-2000 controller with an XY stage: state, motion and the raster of its scan module.

Sources: Micro-Manager's ASIStage and ASITiger adapters, the asitiger client, and light-sheet scripts for SCAN. The
stage has 200 µm between its soft limits, like the film; a target beyond them is truncated to the limit, and a speed
beyond the motor's to what it can do. The command language is in :mod:`halidescope.simulators.asi_commands`.
"""

from dataclasses import dataclass, field

from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.motion import Axis, KnotPath

MODEL = "asi-ms2000"
SLOWEST_MM_S, FASTEST_MM_S = 0.001, 7.5
ENCODER_NOISE_UM = 0.003
FULL_RETRACE_PERCENT = 100.0


@dataclass
class ScanSettings:
    """What SCAN, SCANR and SCANV set; positions in µm of the stage's own coordinates."""

    roles: dict[str, int] = field(default_factory=lambda: {"X": 1, "Y": 2, "Z": 0})     # 1 fast, 2 slow, 0 unused
    serpentine: bool = False
    fast_um: tuple[float, float] = (0.0, 0.0)
    retrace_percent: float = 67.0
    slow_um: tuple[float, float] = (0.0, 0.0)
    lines: int = 1
    settle_ms: float = 1.0


class ScanRefusedError(Exception):
    """The raster that was set cannot be driven."""


class AsiController:
    """State of the controller; outlives connections. Motors are on after power-up.

    Parameters
    ----------
    bench : Bench
        The world; X and Y are its axes ``1`` and ``2``.
    faults : FaultBoard
        Jams the stage, or switches its motors off.
    """

    role = "stage"
    model = MODEL
    single_client = False

    def __init__(self, bench: Bench, faults: FaultBoard) -> None:
        self.bench = bench
        self.axes: dict[str, Axis] = {"X": bench.axes["1"], "Y": bench.axes["2"]}
        self.travel_um = {name: (axis.lower_um, axis.upper_um) for name, axis in self.axes.items()}
        self.origin_um = dict.fromkeys(self.axes, 0.0)      # of the coordinates, set with HERE
        self.home_um = dict.fromkeys(self.axes, 0.0)        # in the frame of the stage
        self.scan = ScanSettings()
        self.ttl_mode = 0
        for axis in self.axes.values():
            axis.servo = True
        faults.offer("stage-stall", self.stall)
        faults.offer("stage-servo-off", lambda begins: self.switch_motors(list(self.axes), False) if begins else None)

    def position_um(self, name: str) -> float:
        """Position as the encoder reads it, in the coordinates that HERE set."""
        noise = self.bench.random.normal(0.0, ENCODER_NOISE_UM)
        return self.axes[name].position_um(self.bench.advance()) - self.origin_um[name] + noise

    def moving(self, name: str) -> bool:
        """True until the axis has settled on its target; a jammed one never does."""
        axis = self.axes[name]
        return axis.servo and not axis.on_target(self.bench.advance())

    def move(self, targets_um: dict[str, float]) -> bool:
        """Head for targets in stage coordinates, truncated to the soft limits; False if a motor is off."""
        self.bench.happened("move")
        if not all(self.axes[name].servo for name in targets_um):
            return False
        now = self.bench.advance()
        for name, target in targets_um.items():
            axis = self.axes[name]
            axis.move(min(max(target, axis.lower_um), axis.upper_um), now)
        return True

    def halt(self) -> bool:
        """Stop all axes; True if that interrupted a move."""
        now = self.bench.advance()
        moving = [name for name in self.axes if self.moving(name)]
        for name in moving:
            self.axes[name].stop(now)
        self.bench.cancel_triggers(now)
        return bool(moving)

    def switch_motors(self, names: list[str], on: bool) -> None:
        """Switch motor drivers; an axis without one stays where it is."""
        now = self.bench.advance()
        for name in names:
            self.axes[name].stop(now)
            self.axes[name].servo = on

    def stall(self, stalled: bool) -> None:
        """Let every axis get stuck where it is, or come loose again."""
        now = self.bench.advance()
        for axis in self.axes.values():
            axis.stall(stalled, now)

    def start_scan(self) -> None:
        """Drive the raster: to its beginning, then line by line; the TTL output rises at the start of each line."""
        self.bench.happened("move")
        fast, slow = (self._scan_axis(role) for role in (1, 2))
        if fast is None or not fast.servo or (slow is not None and not slow.servo):
            raise ScanRefusedError
        ends = [(fast, self.scan.fast_um)] + ([(slow, self.scan.slow_um)] if slow else [])
        if any(not axis.lower_um <= end <= axis.upper_um for axis, both in ends for end in both):
            raise ScanRefusedError
        now = self.bench.advance()
        times, fast_way, slow_way, rises = self._raster(now, fast, slow)
        fast.follow(KnotPath(tuple(times), tuple(fast_way)), now)
        if slow is not None:
            slow.follow(KnotPath(tuple(times), tuple(slow_way)), now)
        self.bench.announce_triggers(rises)

    def _scan_axis(self, role: int) -> Axis | None:
        chosen = [self.axes[name] for name, own in self.scan.roles.items() if own == role and name in self.axes]
        return chosen[0] if len(chosen) == 1 else None

    def _raster(
        self, now: float, fast: Axis, slow: Axis | None
    ) -> tuple[list[float], list[float], list[float], list[float]]:
        """Knots of both axes and the moments when the TTL output rises."""
        scan, (start, stop) = self.scan, self.scan.fast_um
        first, last = scan.slow_um
        pitch = (last - first) / max(1, scan.lines - 1)
        slow_um_s = slow.velocity_um_s if slow is not None else 1.0
        here = slow.position_um(now) if slow is not None else 0.0
        times, fast_way, slow_way, rises = [now], [fast.position_um(now)], [here], []

        def go(fast_um: float, slow_um: float, share: float = 1.0) -> None:
            duration = max(
                abs(fast_um - fast_way[-1]) / (fast.velocity_um_s * share), abs(slow_um - slow_way[-1]) / slow_um_s
            )
            times.append(times[-1] + duration)
            fast_way.append(fast_um)
            slow_way.append(slow_um)

        go(start, first)
        for line in range(scan.lines):
            backwards = scan.serpentine and line % 2 == 1
            begin, end = (stop, start) if backwards else (start, stop)
            go(begin, first + line * pitch, scan.retrace_percent / FULL_RETRACE_PERCENT)
            times.append(times[-1] + scan.settle_ms * 1e-3)
            fast_way.append(begin)
            slow_way.append(slow_way[-1])
            rises.append(times[-1])
            go(end, slow_way[-1])
        return times, fast_way, slow_way, rises
