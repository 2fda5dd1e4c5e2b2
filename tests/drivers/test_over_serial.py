"""The same drivers over serial lines: pseudo-terminals, where there are any."""

import sys

import pytest

from halidescope.drivers.catalogue import connect
from halidescope.drivers.errors import ConnectionLostError
from halidescope.simulators.microscope import SimulatedMicroscope

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")

TIMEOUT_S = 1.0


@pytest.fixture
def serial_microscope():
    with SimulatedMicroscope(speed=60.0, serial=True, control_port=None, seed=1) as simulated:
        yield {device.role: device for device in simulated.devices}


def test_the_manufacturers_pause_is_kept_on_serial_lines_only(serial_microscope, peer):
    from halidescope.drivers.cobolt import CoboltMLD

    device = serial_microscope["laser"]
    laser = CoboltMLD(device.resource)
    assert laser.pause_s == 0.1
    laser.close()
    laser = CoboltMLD(peer(lambda data: b"OK").resource)
    assert laser.pause_s == 0.0
    laser.close()


def test_laser(serial_microscope):
    device = serial_microscope["laser"]
    laser = connect(device.model, device.resource, timeout_s=TIMEOUT_S, pause_s=0.0)
    laser.set_power(20.0)
    laser.turn_on()
    assert laser.emission
    laser.turn_off()
    assert laser.power_mw == 0
    laser.close()


def test_stage(serial_microscope):
    device = serial_microscope["stage"]
    stage = connect(device.model, device.resource, timeout_s=TIMEOUT_S)
    assert stage.move_to(30.0, 40.0) == pytest.approx((30.0, 40.0), abs=stage.tolerance_um)
    stage.close()


def test_spectrometer(serial_microscope):
    device = serial_microscope["spectrometer"]
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
