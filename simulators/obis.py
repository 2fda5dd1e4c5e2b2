"""A simulated Coherent OBIS 405 LX laser head: its state, its CDRH delay, its status and fault words.

Sources: the OBIS LX/LS Operator's Manual's command tables as quoted by public drivers (python-microscope, qudi,
Micro-Manager), and the ISIS emulator of the OBIS remote for the bits of the status and fault words. Not stated there,
so chosen here: a fault stays latched until ``SOUR:AM:STAT OFF`` or ``*RST`` finds its cause gone. The command language
is in :mod:`halidescope.simulators.obis_commands`.
"""

from collections import deque
from enum import IntEnum, IntFlag, StrEnum

from halidescope.simulators.bench import Bench
from halidescope.simulators.emission import Emission
from halidescope.simulators.faults import FaultBoard

MODEL = "coherent-obis-lx"
RATED_MW = 100.0
LOWEST_MW, HIGHEST_MW = 1.0, 110.0
CDRH_DELAY_S = 5.0
COOL_DOWN_S = 1.0           # after the temperature control is switched on
THRESHOLD_A, SLOPE_MW_PER_A = 0.030, 1250.0
LONGEST_QUEUE = 20


class Status(IntFlag):
    """Bits of ``SYST:STAT?``."""

    LASER_FAULT = 0x1
    EMISSION = 0x2
    READY = 0x4
    STANDBY = 0x8
    CDRH_DELAY = 0x10
    ERROR = 0x40
    WARM_UP = 0x100
    EXTERNAL = 0x400
    INTERLOCK = 0x04000000


class Fault(IntFlag):
    """Bits of ``SYST:FAUL?``."""

    NONE = 0x0
    DIODE_TEMPERATURE = 0x2


class ObisError(IntEnum):
    """Error numbers."""

    UNKNOWN_COMMAND = -100
    SYNTAX = -102
    PARAMETER_MISSING = -109
    EXECUTION = -200
    INVALID_PARAMETER = -220
    SETTINGS_CONFLICT = -221
    DEVICE_UNAVAILABLE = -241
    QUEUE_OVERFLOW = -350


class ObisRefusedError(Exception):
    """A line was refused with an error number."""

    def __init__(self, code: ObisError) -> None:
        super().__init__(code.name)
        self.code = code


class Source(StrEnum):
    """Answer of ``SOUR:AM:SOUR?``."""

    CONSTANT_POWER = "CWP"
    CONSTANT_CURRENT = "CWC"
    DIGITAL = "DIGITAL"
    ANALOG = "ANALOG"
    MIXED = "MIXED"
    DIGITAL_SAFE = "DIGSO"
    MIXED_SAFE = "MIXSO"


class ObisHead:
    """State of the head; outlives connections.

    Parameters
    ----------
    bench : Bench
        The world that the head lights.
    faults : FaultBoard
        Opens the interlock or overheats the diode on demand.
    """

    role = "laser"
    model = MODEL
    single_client = False

    def __init__(self, bench: Bench, faults: FaultBoard) -> None:
        self.bench = bench
        faults.offer("interlock-open", self.set_interlock)
        faults.offer("laser-fault", self.set_overheated)
        self.emission = Emission(bench, lambda: self.output_mw)
        self.setpoint_mw = LOWEST_MW
        self.source = Source.CONSTANT_POWER
        self.handshake = True
        self.prompt = False
        self.autostart = False      # factory setting
        self.cdrh = True
        self.cooled = True          # the temperature control; OFF is the sleep mode
        self.interlock_open = False
        self.overheated = False
        self.fault = Fault.NONE
        self.cycles = 17            # of the supply
        self.errors: deque[ObisError] = deque()
        self._cold_s = 0.0          # when the diode is at its temperature

    @property
    def output_mw(self) -> float:
        """What the head emits once it is lit, in mW; nothing is connected to the modulation inputs."""
        return self.setpoint_mw if self.source in (Source.CONSTANT_POWER, Source.CONSTANT_CURRENT) else 0.0

    @property
    def status(self) -> Status:
        """The status word."""
        emission, warming = self.emission, self.cooled and self.bench.clock.now_s() < self._cold_s
        bits = {
            Status.LASER_FAULT: self.fault is not Fault.NONE,
            Status.EMISSION: emission.lit,
            Status.READY: self.cooled and not warming and self.fault is Fault.NONE,
            Status.STANDBY: not self.cooled,
            Status.CDRH_DELAY: emission.on and not emission.lit and self.cdrh,
            Status.ERROR: bool(self.errors),
            Status.WARM_UP: warming,
            Status.EXTERNAL: self.source not in (Source.CONSTANT_POWER, Source.CONSTANT_CURRENT),
            Status.INTERLOCK: self.interlock_open,
        }
        word = Status(0)
        for bit, is_set in bits.items():
            if is_set:
                word |= bit
        return word

    @property
    def current_a(self) -> float:
        """Diode current now, in A."""
        power = self.bench.head_mw
        return THRESHOLD_A + power / SLOPE_MW_PER_A if power else 0.0

    def light(self) -> None:
        """Start emission; with CDRH on the light comes 5 s later."""
        if self.interlock_open or self.fault is not Fault.NONE:
            raise ObisRefusedError(ObisError.EXECUTION)
        if not self.cooled:
            raise ObisRefusedError(ObisError.SETTINGS_CONFLICT)
        cooling_s = max(0.0, self._cold_s - self.bench.clock.now_s())
        self.emission.start(max(CDRH_DELAY_S if self.cdrh else 0.0, cooling_s))

    def darken(self) -> None:
        """Stop emission at once, and forget a fault whose cause is gone."""
        self.emission.stop()
        self.fault = Fault.DIODE_TEMPERATURE if self.overheated else Fault.NONE

    def cool(self, cooled: bool) -> None:
        """Switch the temperature control; without it there is no emission."""
        if cooled and not self.cooled:
            self._cold_s = self.bench.clock.now_s() + COOL_DOWN_S
        self.cooled = cooled
        if not cooled:
            self.emission.stop()

    def restart(self) -> None:
        """A warm boot: dark, then emission by itself if autostart is on."""
        self.darken()
        self.errors.clear()
        self.source, self.cooled = Source.CONSTANT_POWER, True
        self.cycles += 1
        if self.autostart and not self.interlock_open and self.fault is Fault.NONE:
            self.light()

    def remember(self, error: ObisError) -> None:
        """Put an error into the queue; a full queue keeps its first errors and ends with an overflow."""
        if len(self.errors) < LONGEST_QUEUE:
            self.errors.append(error)
        else:
            self.errors[-1] = ObisError.QUEUE_OVERFLOW

    def set_interlock(self, is_open: bool) -> None:
        """Open or close the interlock loop; closing it does not bring the light back."""
        self.interlock_open = is_open
        if is_open:
            self.emission.stop()

    def set_overheated(self, overheated: bool) -> None:
        """Let the diode get too hot, or cool down."""
        self.overheated = overheated
        if overheated:
            self.fault = Fault.DIODE_TEMPERATURE
            self.emission.stop()
