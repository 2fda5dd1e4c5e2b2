"""In-process stand-ins for a laser that misbehaves in ways a wire cannot be told to."""

from dataclasses import dataclass, field

from halidescope.drivers.errors import ConnectionLostError, InterlockError, NotDarkError
from halidescope.drivers.roles import Identity, LaserState


@dataclass
class FakeLaser:
    """Fulfils the Laser role. ``stuck`` times to switch off are ignored, after ``lost`` nothing answers."""

    stuck: int = 0
    lost: bool = False
    interlock_closed: bool = True
    fault: str | None = None
    lying: bool = False                                   # turn_off says nothing, emission stays
    device: str = "laser fake (nowhere)"
    emission: bool = False
    wavelength_nm: float = 405.0
    power_limits_mw: tuple[float, float] = (0.0, 100.0)
    power_setpoint_mw: float = 0.0
    closed: bool = False
    found_emitting: bool = False
    lit_between_s: tuple[float, float] | None = None
    dark_between_s: tuple[float, float] | None = None
    calls: list[str] = field(default_factory=list)
    identity: Identity = field(default_factory=lambda: Identity("nobody", "fake", "1", "1"))

    @property
    def power_mw(self) -> float:
        return self.power_setpoint_mw if self.emission else 0.0

    @property
    def state(self) -> LaserState:
        return LaserState.ON if self.emission else LaserState.OFF

    def set_power(self, power_mw: float) -> None:
        self.calls.append(f"power {power_mw:g}")
        self.power_setpoint_mw = power_mw

    def turn_on(self) -> None:
        self.calls.append("on")
        if not self.interlock_closed:
            raise InterlockError(self.device, "interlock is open")
        self.emission = True

    def turn_off(self) -> None:
        self.calls.append("off")
        if self.lost:
            raise ConnectionLostError(self.device, "nobody answers")
        if self.stuck > 0:
            self.stuck -= 1
            raise NotDarkError(self.device, "still emits")
        if not self.lying:
            self.emission = False

    def close(self) -> None:
        self.closed = True
