"""Which models can be simulated: model name to role, maker and usual connection.

A new model is a module with a device class and one entry here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from halidescope.simulators import (
    asi_commands,
    asi_tiger,
    cobolt,
    cobolt_12v,
    gcs,
    ibeam_commands,
    obis_commands,
    obp,
    zaber_wire,
)
from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.wire import Device

ROLES = ("laser", "stage", "spectrometer")


@dataclass(frozen=True)
class Site:
    """Where a device is put: its world, the faults it can have, whether a laser has a key."""

    bench: Bench
    faults: FaultBoard
    keyed: bool = False


@dataclass(frozen=True)
class Model:
    """A model that can be simulated.

    ``baud`` is its speed on a serial line; ``settings`` are lines for the microscope file, what a driver must be told
    about it. ``variants`` are other instruments of the same driver, by name.
    """

    role: str
    make: Callable[[Site], Device]
    baud: int = 115200
    settings: tuple[str, ...] = ()
    variants: Mapping[str, "Model"] = field(default_factory=dict)


HOMING = ("home = true",)     # a Zaber axis powers up unreferenced, and nothing is in the way of homing
MODELS: dict[str, Model] = {
    cobolt.MODEL: Model(
        "laser", lambda site: cobolt.CoboltHead(site.bench, site.faults, keyed=site.keyed),
        variants={"12 V": Model(
            "laser", lambda site: cobolt_12v.Cobolt12vHead(site.bench, site.faults, keyed=site.keyed)
        )},
    ),
    obis_commands.ObisLaser.model: Model(
        "laser", lambda site: obis_commands.ObisLaser(site.bench, site.faults)
    ),
    ibeam_commands.IBeamLaser.model: Model(
        "laser", lambda site: ibeam_commands.IBeamLaser(site.bench, site.faults)
    ),
    gcs.MODEL: Model("stage", lambda site: gcs.E727(site.bench, site.faults)),
    asi_commands.Ms2000.model: Model(
        "stage", lambda site: asi_commands.Ms2000(site.bench, site.faults), baud=9600,
        variants={"Tiger": Model(
            "stage", lambda site: asi_tiger.Tiger(site.bench, site.faults), settings=("asrl = { baud_rate = 115200 }",)
        )},
    ),
    zaber_wire.Zaber.model: Model(
        "stage", lambda site: zaber_wire.Zaber(site.bench, site.faults), settings=HOMING,
        variants={"two-axis": Model(
            "stage", lambda site: zaber_wire.Zaber(site.bench, site.faults, two_axis=True), settings=HOMING
        )},
    ),
    obp.HDX.model: Model("spectrometer", lambda site: obp.OceanHdx(site.bench, site.faults)),
    obp.QE_PRO.model: Model("spectrometer", lambda site: obp.OceanQePro(site.bench, site.faults)),
    obp.STS.model: Model("spectrometer", lambda site: obp.OceanSts(site.bench, site.faults)),
}


def model_of(role: str, name: str, variant: str | None = None) -> Model:
    """The model of that name, or one of its variants; raises ValueError with the names there are."""
    allowed = [known for known, model in MODELS.items() if model.role == role]
    if name not in allowed:
        raise ValueError(f"no {role} of model {name!r} is simulated; choose one of {', '.join(allowed)}")
    model = MODELS[name]
    if variant is None:
        return model
    if variant not in model.variants:
        known = f"choose {' or '.join(model.variants)}, or leave it out" if model.variants else "leave it out"
        raise ValueError(f"no variant {variant!r} of {name} is simulated; {known}")
    return model.variants[variant]
