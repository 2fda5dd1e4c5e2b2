"""The control port of a simulated microscope: the truth, and breaking things on purpose.

JSON lines, one object a line in and one out: ``{"value": …}``, ``{"ok": true}`` or ``{"error": "one sentence"}``. No
instrument has such a port; nothing that measures may use it.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.film import Film, film_law
from halidescope.simulators.wire import PromptSession, lines_of

LONGEST_LINE = 65536


class WrongRequestError(Exception):
    """A request that cannot be answered; the text is the answer's ``error``."""


class ControlPort:
    """The truth about one simulated microscope.

    Parameters
    ----------
    bench : Bench
        The world.
    faults : FaultBoard
        What can be broken.
    turn_key : callable, optional
        Turns the laser's key switch on (True) or off; None if there is none.
    """

    role = "control"
    model = "control"
    single_client = False

    def __init__(
        self, bench: Bench, faults: FaultBoard, turn_key: Callable[[bool], None] | None = None
    ) -> None:
        self.bench = bench
        self._faults = faults
        self._turn_key = turn_key
        self._getters: dict[str, Callable[[dict[str, Any]], Any]] = {
            "clock.now_s": lambda request: bench.advance(),
            "laser.emission": lambda request: bench.head_mw > 0.0,
            "laser.power_mw": lambda request: bench.head_mw,
            "stage.position_um": lambda request: list(bench.position_um()),
            "stage.triggers_s": lambda request: bench.triggers_s(),
            "spectrometer.scans_waiting": lambda request: bench.scans_waiting(),
            "spectrometer.exposures_s": lambda request: bench.exposures_s(),
            "film.composition": lambda request: bench.film.law.composition,
            "film.dose_j_cm2": lambda request: self._film_at(request)["dose_j_cm2"],
            "film.energy_j": lambda request: bench.advance() and bench.film.energy_j,
            "film.state": self._film_at,
            "film.law": self._law,
        }

    def session(self) -> "ControlSession":
        """A parser for a new connection."""
        return ControlSession(self)

    def answer(self, request: object) -> dict[str, Any]:
        """Do what a decoded request asks for."""
        if not isinstance(request, dict):
            raise WrongRequestError('a request is a JSON object, for example {"get": "laser.emission"}')
        verbs = {
            "get": self._get, "fault": self._fault, "clear": self._clear, "mount": self._mount, "key": self._key,
            "slip": self._slip,
        }
        named = [verb for verb in verbs if verb in request]
        if len(named) != 1:
            raise WrongRequestError(f"a request names exactly one of {', '.join(verbs)}")
        with self.bench.lock:
            return verbs[named[0]](request)

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["get"]
        if not isinstance(name, str) or name not in self._getters:
            raise WrongRequestError(f"nothing is called {name!r}; choose one of {', '.join(self._getters)}")
        return {"value": self._getters[name](request)}

    def _film_at(self, request: dict[str, Any]) -> dict[str, Any]:
        travel = self.bench.film.travel_um
        x, y = (_number(request, name, 0.0, travel, "µm") for name in ("x", "y"))
        self.bench.advance()
        state = self.bench.film.at(x, y)
        here = self.bench.optics.sample_uw(self.bench.head_mw)
        return {
            "share_converted": state.share_converted, "fast": state.fast, "slow": state.slow,
            "dose_j_cm2": state.dose_j_cm2, "temperature_k": self.bench.temperature_k(x, y), "power_uw": here,
        }

    def _law(self, request: dict[str, Any]) -> dict[str, Any]:
        power = _number(request, "power_uw", 0.0, 1e6, "µW")
        law = self.bench.film.law
        (k1, k2), (f1, f2) = law.rates_per_s(power), law.fractions
        return {
            "composition": law.composition, "k1_per_s": k1, "k2_per_s": k2, "f1": f1, "f2": f2,
            "average_rate_per_s": law.average_rate_per_s(power), "temperature_k": law.temperature_k(power),
            "diffusivity_m2_s": law.diffusivity_m2_s(power), "halo_radius_um": law.halo_radius_um(power),
            "excitation": law.excitation(power), "activation_energy_ev": law.activation_energy_ev,
            "return_rate_per_s": law.return_rate_per_s,
        }

    def _fault(self, request: dict[str, Any]) -> dict[str, Any]:
        after, role = request.get("after", 0), request.get("device")
        if not isinstance(after, int) or isinstance(after, bool) or after < 0:
            raise WrongRequestError(f"after is {after!r}; give a whole number of events, 0 or more")
        if role not in (None, "laser", "stage", "spectrometer"):
            raise WrongRequestError(f"device is {role!r}; give laser, stage or spectrometer")
        delay_s = _number(request, "delay_s", 0.0, 60.0, "s") if "delay_s" in request else None
        try:
            self._faults.inject(request["fault"], after, role=role, delay_s=delay_s)
        except ValueError as error:
            raise WrongRequestError(str(error)) from error
        return {"ok": True}

    def _clear(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["clear"] != "all":
            raise WrongRequestError(f'clear is {request["clear"]!r}; only "all" can be cleared')
        self._faults.clear()
        return {"ok": True}

    def _mount(self, request: dict[str, Any]) -> dict[str, Any]:
        composition = _number(request, "mount", 0.0, 3.0, "iodine per formula unit")
        try:
            law = film_law(composition)
        except ValueError as error:
            raise WrongRequestError(str(error)) from error
        self.bench.mount(Film(law, travel_um=self.bench.film.travel_um, waist_um=self.bench.film.waist_um))
        return {"ok": True}

    def _slip(self, request: dict[str, Any]) -> dict[str, Any]:
        travel = self.bench.film.travel_um
        match request["slip"]:
            case [x, y]:
                shift = {"x": x, "y": y}
                self.bench.slip(*(_number(shift, name, -travel, travel, "µm") for name in ("x", "y")))
            case other:
                raise WrongRequestError(f"slip is {other!r}; give how far the film slides along x and y, [x, y] in µm")
        return {"ok": True}

    def _key(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._turn_key is None:
            raise WrongRequestError("this microscope has no laser with a key switch")
        if request["key"] not in ("on", "off"):
            raise WrongRequestError(f'key is {request["key"]!r}; give "on" or "off"')
        self._turn_key(request["key"] == "on")
        return {"ok": True}


class ControlSession(PromptSession):
    """JSON lines in, JSON lines out."""

    def __init__(self, port: ControlPort) -> None:
        self._port = port
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they arrive."""
        self._buffer += data
        lines = lines_of(self._buffer, ends=b"\r\n", longest=LONGEST_LINE)
        return [self._reply(line) for line in lines if line.strip()]

    def _reply(self, line: bytes) -> bytes:
        try:
            answer = self._port.answer(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            answer = {"error": f"not a line of JSON: {error}"}
        except WrongRequestError as error:
            answer = {"error": str(error)}
        return msgspec.json.encode(answer) + b"\n"


def _number(request: dict[str, Any], name: str, lower: float, upper: float, unit: str) -> float:
    value = request.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not lower <= value <= upper:
        raise WrongRequestError(f"{name} is {value!r}; give a number from {lower:g} to {upper:g} {unit}")
    return float(value)
