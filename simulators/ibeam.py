"""A simulated Toptica iBeam smart 405 diode laser head: channels, emission, and what it tells about itself.

Sources: PyMeasure's, pylablib's and python-microscope's drivers and the Micro-Manager adapter, which quote the
manual. Channel 1 is the bias level, channel 2 the normal level; the light is the sum of the enabled channels. Not
stated there, so chosen here: an open interlock or a hot diode refuses ``laser on``, and a hot diode stays latched
until ``laser off`` or ``reset system`` finds it cold. The command language is in
:mod:`halidescope.simulators.ibeam_commands`.
"""

from dataclasses import dataclass

from halidescope.simulators.bench import Bench
from halidescope.simulators.emission import Emission
from halidescope.simulators.faults import FaultBoard

MODEL = "toptica-ibeam-smart"
MAX_POWER_MW = 100.0
LIGHT_UP_S = 0.01
THRESHOLD_MA, SLOPE_MW_PER_MA = 24.0, 1.4
MAX_CURRENT_MA = 120.0
BIAS, NORMAL = 1, 2


@dataclass
class PowerChannel:
    """One power level."""

    power_mw: float = 0.0
    enabled: bool = False


class IBeamHead:
    """State of the head; outlives connections. It remembers that channel 2 is enabled, and speaks as to a terminal.

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
        self.channels = {BIAS: PowerChannel(), NORMAL: PowerChannel(enabled=True)}
        self.external = False       # the trigger input gates channel 2; nothing is connected to it
        self.interlock_open = False
        self.overheated = False
        self.latched = False
        self.echo = self.prompt = True
        self.talk = "usual"

    @property
    def output_mw(self) -> float:
        """What the head emits once it is lit, in mW."""
        lit = [
            channel.power_mw for number, channel in self.channels.items()
            if channel.enabled and not (self.external and number == NORMAL)
        ]
        return min(sum(lit), MAX_POWER_MW)

    @property
    def current_ma(self) -> float:
        """Diode current now, in mA."""
        power = self.bench.head_mw
        return THRESHOLD_MA + power / SLOPE_MW_PER_MA if power else 0.0

    @property
    def diode_c(self) -> float:
        """Temperature of the diode in °C."""
        return 62.0 if self.overheated else 25.0

    def darken(self) -> None:
        """Stop emission at once, and forget a fault whose cause is gone."""
        self.emission.stop()
        self.latched = self.overheated

    def restart(self) -> None:
        """As after power-up."""
        self.darken()
        self.external = False
        self.echo = self.prompt = True
        self.talk = "usual"

    def set_interlock(self, is_open: bool) -> None:
        """Open or close the interlock loop; closing it does not bring the light back."""
        self.interlock_open = is_open
        if is_open:
            self.emission.stop()

    def set_overheated(self, overheated: bool) -> None:
        """Let the diode get too hot, or cool down."""
        self.overheated = overheated
        if overheated:
            self.latched = True
            self.emission.stop()
