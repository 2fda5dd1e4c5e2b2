"""Which models can be simulated: model name to role, maker and usual connection.

A new model is a module with a device class and one entry here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from halidescope.simulators import asi_commands, cobolt, cobolt_12v, gcs, ibeam_commands, obis_commands, obp, zaber_wire
from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.wire import Device

ROLES = ("laser", "stage", "spectrometer")


@dataclass(frozen=True)
class Site:
    """Where a device is put: its world, the faults it can have, whether a laser has a key, its dialect."""

    bench: Bench
    faults: FaultBoard
    keyed: bool = False
    dialect: str = "5 V"


@dataclass(frozen=True)
class Model:
    """A model that can be simulated.

    ``baud`` is its speed on a serial line; ``settings`` are lines for the microscope file, what a driver must be told
    about it.
    """

    role: str
    make: Callable[[Site], Device]
    baud: int = 115200
    settings: tuple[str, ...] = ()


COBOLT_DIALECTS: dict[str, type[cobolt.CoboltHead]] = {"5 V": cobolt.CoboltHead, "12 V": cobolt_12v.Cobolt12vHead}


def _cobolt(site: Site) -> cobolt.CoboltHead:
    return COBOLT_DIALECTS[site.dialect](site.bench, site.faults, keyed=site.keyed)


MODELS: dict[str, Model] = {
    cobolt.MODEL: Model("laser", _cobolt),
    obis_commands.ObisLaser.model: Model(
        "laser", lambda site: obis_commands.ObisLaser(site.bench, site.faults)
    ),
    ibeam_commands.IBeamLaser.model: Model(
        "laser", lambda site: ibeam_commands.IBeamLaser(site.bench, site.faults)
    ),
    gcs.MODEL: Model("stage", lambda site: gcs.E727(site.bench, site.faults)),
    asi_commands.Ms2000.model: Model(
        "stage", lambda site: asi_commands.Ms2000(site.bench, site.faults), baud=9600
    ),
    zaber_wire.Zaber.model: Model(
        "stage", lambda site: zaber_wire.Zaber(site.bench, site.faults),
        settings=("home = true",),     # it powers up unreferenced, and nothing is in the way of homing
    ),
    obp.HDX.model: Model("spectrometer", lambda site: obp.OceanHdx(site.bench, site.faults)),
    obp.QE_PRO.model: Model("spectrometer", lambda site: obp.OceanQePro(site.bench, site.faults)),
    obp.STS.model: Model("spectrometer", lambda site: obp.OceanSts(site.bench, site.faults)),
}


def model_of(role: str, name: str) -> Model:
    """The model of that name; raises ValueError with the names there are."""
    allowed = [known for known, model in MODELS.items() if model.role == role]
    if name not in allowed:
        raise ValueError(f"no {role} of model {name!r} is simulated; choose one of {', '.join(allowed)}")
    return MODELS[name]
