"""Supported models: the name a microscope file gives, what role it plays, and the class that drives it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

from halidescope.drivers.asi import ASIStage
from halidescope.drivers.cobolt import CoboltMLD
from halidescope.drivers.gcs import PIE727
from halidescope.drivers.ibeam import IBeamSmart
from halidescope.drivers.instrument import WireInstrument
from halidescope.drivers.obis import ObisLX
from halidescope.drivers.ocean import OceanHDX
from halidescope.drivers.ocean_models import OceanQEPro, OceanSTS
from halidescope.drivers.roles import Laser, LineScanner, Spectrometer, Stage
from halidescope.drivers.zaber import ZaberStage


class UnknownModelError(ValueError):
    """A model that is not in the catalogue, or not of the role it is wanted for."""


class SettingError(ValueError):
    """A setting that a driver does not have, or a value that it cannot have; the sentence names what is allowed."""


@dataclass(frozen=True)
class Model:
    """One supported model.

    Attributes
    ----------
    role : str
        ``laser``, ``stage`` or ``spectrometer``.
    driver : type
        The class; it fulfils the role of the same name in :mod:`halidescope.drivers.roles`.
    description : str
        What it is, for people.
    """

    role: str
    driver: type[WireInstrument]
    description: str


if TYPE_CHECKING:    # a type checker sees here that every driver fulfils its role
    _lasers: tuple[type[Laser], ...] = (CoboltMLD, ObisLX, IBeamSmart)
    _stages: tuple[type[Stage], ...] = (PIE727, ASIStage, ZaberStage)
    _scanners: tuple[type[LineScanner], ...] = (PIE727, ASIStage, ZaberStage)
    _spectrometers: tuple[type[Spectrometer], ...] = (OceanHDX, OceanQEPro, OceanSTS)

MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "cobolt-06-mld": Model("laser", CoboltMLD, "Hübner Cobolt 06-MLD diode laser, 5 V and 12 V dialects"),
        "coherent-obis-lx": Model("laser", ObisLX, "Coherent OBIS LX diode laser, SCPI with handshake"),
        "toptica-ibeam-smart": Model("laser", IBeamSmart, "Toptica iBeam smart diode laser"),
        "pi-e727": Model("stage", PIE727, "PI E-727 controller with a P-545 nanopositioning stage, GCS 2.0"),
        "asi-ms2000": Model("stage", ASIStage, "ASI MS-2000 or Tiger controller with an XY stage"),
        "zaber-ascii": Model("stage", ZaberStage, "Zaber ASCII protocol, two axes on a chain or a two-axis controller"),
        "ocean-hdx": Model("spectrometer", OceanHDX, "Ocean HDX array spectrometer, Ocean Binary Protocol"),
        "ocean-qepro": Model("spectrometer", OceanQEPro, "Ocean QE Pro cooled spectrometer, Ocean Binary Protocol"),
        "ocean-sts": Model("spectrometer", OceanSTS, "Ocean STS array spectrometer, Ocean Binary Protocol"),
    }
)


def settings_of(driver: type[WireInstrument]) -> frozenset[str]:
    """Names of what a driver can be told: its keyword arguments, and ``asrl`` with options of a serial port."""
    named = {
        parameter.name
        for room in driver.__mro__ if issubclass(room, WireInstrument) and "__init__" in vars(room)
        for parameter in inspect.signature(vars(room)["__init__"]).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    return frozenset(named - {"timeout_s", "progress", "sign_of_life"} | {"asrl"})


def find(model: str, *, role: str | None = None) -> Model:
    """The catalogue's entry for a model.

    Raises
    ------
    UnknownModelError
        No such model, or it plays another role than ``role``.
    """
    allowed = [name for name, entry in MODELS.items() if role is None or entry.role == role]
    if model not in MODELS:
        raise UnknownModelError(f"model {model!r} is not supported; allowed: {', '.join(allowed)}")
    found = MODELS[model]
    if role is not None and found.role != role:
        raise UnknownModelError(f"model {model!r} is a {found.role}, not a {role}; allowed: {', '.join(allowed)}")
    return found


@overload
def connect(
    model: str, resource: str, *, role: Literal["laser"], timeout_s: float = ..., **settings: Any
) -> Laser: ...
@overload
def connect(
    model: str, resource: str, *, role: Literal["stage"], timeout_s: float = ..., **settings: Any
) -> Stage: ...
@overload
def connect(
    model: str, resource: str, *, role: Literal["spectrometer"], timeout_s: float = ..., **settings: Any
) -> Spectrometer: ...
@overload
def connect(
    model: str, resource: str, *, role: None = ..., timeout_s: float = ..., **settings: Any
) -> WireInstrument: ...
def connect(
    model: str, resource: str, *, role: str | None = None, timeout_s: float = 3.0,
    sign_of_life: Callable[[], object] | None = None, **settings: Any,
) -> Any:
    """Open, identify and bring into its safe state: laser dark, servo on, spectrometer in its plain state.

    Parameters
    ----------
    model : str
        A name in :data:`MODELS`.
    resource : str
        VISA resource string.
    role : str, optional
        Role that the model must play.
    timeout_s : float
        Longest wait for one answer in seconds.
    sign_of_life : callable, optional
        Called before every request, those made here included.
    **settings
        Handed on to the driver.

    Raises
    ------
    UnknownModelError
        The model is not supported or has another role.
    SettingError
        The driver has no such setting, or it cannot have that value.
    InstrumentError
        It does not answer, is another instrument, or cannot be made safe; the port is closed again.
    """
    driver = find(model, role=role).driver
    if unknown := settings.keys() - (allowed := settings_of(driver)):
        raise SettingError(f"{model} has no setting {sorted(unknown)[0]!r}; allowed: {', '.join(sorted(allowed))}")
    try:
        watched: dict[str, Any] = {} if sign_of_life is None else {"sign_of_life": sign_of_life}
        instrument = driver(resource, timeout_s=timeout_s, **watched, **settings)
    except (TypeError, ValueError) as error:
        raise SettingError(f"{model}: a setting cannot be used: {error}") from error
    try:
        instrument.start()
    except BaseException:
        instrument.close()
        raise
    return instrument

