"""The same drivers over serial lines: pseudo-terminals, where there are any."""

import contextlib
import sys

import pytest

from halidescope.drivers.catalogue import MODELS, connect
from halidescope.drivers.cobolt import CoboltMLD
from halidescope.drivers.errors import ConnectionLostError
from halidescope.simulators.microscope import SimulatedMicroscope
from halidescope.simulators.models import MODELS as SIMULATED

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")

TIMEOUT_S = 10.0


@pytest.fixture
def served():
    """Serves one model on a pseudo-terminal."""
    with contextlib.ExitStack() as open_ones:

        def serve(role, model):
            name, _, variant = model.partition(" ")
            chosen = {"laser": None, "stage": None, "spectrometer": None, role: name}
            if variant:
                chosen[f"{role}_variant"] = variant
            simulated = SimulatedMicroscope(**chosen, speed=60.0, serial=True, control_port=None, seed=1)
            return open_ones.enter_context(simulated).devices[0]

        yield serve


def of(role):
    """Every model of a role and its variants."""
    return [
        f"{name} {variant}".strip()
        for name, entry in MODELS.items() if entry.role == role
        for variant in ("", *SIMULATED[name].variants)
    ]


def test_the_manufacturers_pause_is_kept_on_serial_lines_only(served, peer):
    device = served("laser", "cobolt-06-mld")
    laser = CoboltMLD(device.resource)
    assert laser.pause_s == 0.1
    laser.close()
    laser = CoboltMLD(peer(lambda data: b"OK").resource)
    assert laser.pause_s == 0.0
    laser.close()


@pytest.mark.parametrize("model", of("laser"))
def test_laser(served, model):
    device = served("laser", model)
    hurried = {"pause_s": 0.0} if model.startswith("cobolt") else {}
    laser = connect(device.model, device.resource, timeout_s=TIMEOUT_S, **hurried)
    laser.set_power(20.0)
    laser.turn_on()
    assert laser.emission
    assert laser.power_mw > 19.0
    laser.turn_off()
    assert laser.power_mw == 0
    laser.close()


@pytest.mark.parametrize("model", of("stage"))
def test_stage(served, model):
    device = served("stage", model)
    homing = {"home": True} if model.startswith("zaber") else {}
    stage = connect(device.model, device.resource, timeout_s=TIMEOUT_S, **homing)
    assert stage.move_to(30.0, 40.0) == pytest.approx((30.0, 40.0), abs=stage.tolerance_um)
    stage.close()


@pytest.mark.parametrize("model", of("spectrometer"))
def test_spectrometer(served, model):
    device = served("spectrometer", model)
    spectrometer = connect(device.model, device.resource, timeout_s=TIMEOUT_S)
    spectrometer.set_exposure(0.05)
    assert spectrometer.acquire().counts.shape == (spectrometer.pixels,)
    spectrometer.close()


def test_a_line_that_is_gone_is_lost():
    with SimulatedMicroscope(laser=None, spectrometer=None, speed=60.0, serial=True, control_port=None) as simulated:
        device = simulated.devices[0]
        stage = connect(device.model, device.resource, timeout_s=0.3)
    with pytest.raises(ConnectionLostError):
        _ = stage.position_um
    stage.close()
