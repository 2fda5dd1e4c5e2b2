"""A whole simulated microscope: one world, its instruments on the wire, its control port and its microscope file."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from halidescope.simulators import cobolt
from halidescope.simulators.bench import Bench
from halidescope.simulators.clock import SimulationClock
from halidescope.simulators.control import ControlPort
from halidescope.simulators.faults import Delivery, FaultBoard
from halidescope.simulators.film import Film, film_law
from halidescope.simulators.models import ROLES, Site, model_of
from halidescope.simulators.optics import Optics
from halidescope.simulators.server import DeviceServer, ServedDevice
from halidescope.simulators.wire import KeySwitch

MAX_SAMPLE_UW = 400.0


class SimulatedMicroscope:
    """All servers of one simulated microscope, as a context manager.

    Parameters
    ----------
    laser, stage, spectrometer : str or None
        Model names; None leaves the instrument out.
    speed : float
        Microscope seconds per real second.
    composition : float
        x of the film under the objective: 0, 1, 1.5, 2 or 3.
    serial : bool
        Serve the instruments on pseudo-terminals instead of TCP (POSIX only).
    control_port : int or None
        Port of the control server, 0 for a free one, None for no control server.
    seed : int, optional
        Of all noise.
    keyed : bool
        The laser is a CDRH unit with a key switch (Cobolt only).
    laser_variant, stage_variant : str, optional
        Another instrument of the same model: "12 V" (Cobolt), "Tiger" (ASI), "two-axis" (Zaber).
    ports : mapping, optional
        Role → TCP port, where a client of before shall find the instrument again; 0 is a free one.

    Raises
    ------
    ValueError
        An unknown model or variant, a model of another role, a key switch for a laser without one, a film that is not
        simulated, or a speed that is not positive.
    OSError
        The control port is taken, or the system has no pseudo-terminals.
    """

    def __init__(
        self, *, laser: str | None = "cobolt-06-mld", stage: str | None = "pi-e727",
        spectrometer: str | None = "ocean-hdx", speed: float = 1.0, composition: float = 1.5, serial: bool = False,
        control_port: int | None = 0, seed: int | None = None, keyed: bool = False,
        laser_variant: str | None = None, stage_variant: str | None = None, ports: Mapping[str, int] | None = None,
    ) -> None:
        chosen = zip(ROLES, (laser, stage, spectrometer), (laser_variant, stage_variant, None), strict=True)
        self._models = {role: model_of(role, name, variant) for role, name, variant in chosen if name is not None}
        optics = Optics()
        film = Film(film_law(composition), waist_um=optics.waist_um)
        self.clock = SimulationClock(speed)
        self.bench = Bench(self.clock, film, optics=optics, seed=seed)
        self.faults = FaultBoard()
        self.bench.watchers.append(self.faults.happened)
        site = Site(self.bench, self.faults, keyed)
        instruments = {role: (model.make(site), model.baud) for role, model in self._models.items()}
        head, _ = instruments.get("laser", (None, 0))
        if keyed and not isinstance(head, KeySwitch):
            raise ValueError(f"a key switch is simulated for {cobolt.MODEL} only; leave out keyed")
        self._server = DeviceServer(self.clock, self._deliver)
        try:
            self.devices: tuple[ServedDevice, ...] = tuple(
                self._server.open_terminal(device, baud) if serial
                else self._server.listen(device, (ports or {}).get(device.role, 0))
                for device, baud in instruments.values()
            )
            self.control: ServedDevice | None = None
            if control_port is not None:
                turn_key = head.turn_key if isinstance(head, KeySwitch) and keyed else None
                self.control = self._server.listen(ControlPort(self.bench, self.faults, turn_key), control_port)
        except OSError:
            self._server.close()
            raise
        self._warm_up()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop all servers."""
        self._server.close()

    def microscope_toml(self) -> str:
        """The microscope file that finds these instruments; raises ValueError if one was left out."""
        resources = {device.role: device for device in self.devices}
        missing = [role for role in ROLES if role not in resources]
        if missing:
            raise ValueError(f"a microscope file needs all three instruments, and {', '.join(missing)} was left out")
        optics = self.bench.optics
        tables: dict[str, dict[str, float]] = {
            "laser": {"sample_uw_per_head_mw": optics.sample_uw_per_head_mw, "max_sample_uw": MAX_SAMPLE_UW},
            "stage": {}, "spectrometer": {"electrons_per_count": self.bench.detector.gain_electrons_per_count},
        }
        lines = []
        for role, extra in tables.items():
            device = resources[role]
            lines += [f"[{role}]", f'model = "{device.model}"', f'resource = "{device.resource}"']
            lines += [f"{name} = {value}" for name, value in extra.items()]
            if settings := self._models[role].settings:
                lines += ["", f"[{role}.settings]", *settings]
            lines.append("")
        lines += ["[optics]", f"waist_um = {optics.waist_um}", "", "[simulation]", f"speed = {self.clock.speed}", ""]
        return "\n".join(lines)

    def _deliver(self, role: str, reply: bytes) -> Delivery:
        if role == "control":
            return Delivery(reply)
        return self.faults.deliver(role, reply)

    def _warm_up(self) -> None:
        """Compile the film's kernels now: the first reply must not wait for it."""
        for law in (self.bench.film.law, film_law(2.0)):
            film = Film(law, travel_um=100.0)
            film.advance(1e-9, 50.0, 50.0, 1.0)
            film.at(50.0, 50.0)
