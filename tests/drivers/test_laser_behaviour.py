"""What every laser driver must do, over the wire."""

import time

import pytest

from halidescope.drivers.catalogue import MODELS, connect
from halidescope.drivers.errors import ConnectionLostError, InterlockError, LaserFaultError, LimitError, RefusedError
from halidescope.drivers.roles import LaserState
from halidescope.simulators.microscope import SimulatedMicroscope

TIMEOUT_S = 0.4


# what the head shows by itself differs, what the driver makes sure of does not
LATCHING = {"cobolt-06-mld"}             # an opened interlock stays a fault after it was closed
SILENT = {"toptica-ibeam-smart"}         # neither interlock nor faults can be asked for; refusals tell
LASERS = [name for name, entry in MODELS.items() if entry.role == "laser"]


@pytest.fixture(params=[*LASERS, "cobolt-06-mld 12 V"])
def models(request):
    laser, _, variant = request.param.partition(" ")
    return {"laser": laser, "stage": None, "spectrometer": None, "laser_variant": variant or None}


@pytest.fixture
def laser(wire):
    return wire.connect("laser")


def shines(wire):
    return wire.get("laser.emission")


def until(condition, bound=2000):
    """Wait for something that the simulated world does soon; each look is a round trip, so nothing sleeps."""
    for _ in range(bound):
        if condition():
            return
    pytest.fail("did not happen")


def light(laser, wire):
    """Really shining, in the simulated world."""
    laser.set_power(30.0)
    laser.turn_on()
    assert shines(wire)


class TestLaser:
    def test_names_itself(self, laser, wire):
        assert laser.device == f"laser {wire.devices['laser'].model} ({wire.devices['laser'].resource})"
        assert laser.identity.serial
        assert laser.wavelength_nm == pytest.approx(405, abs=5)

    def test_off_after_construction(self, laser, wire):
        assert not laser.emission
        assert laser.state is LaserState.OFF
        assert laser.power_mw == 0
        assert not shines(wire)

    def test_found_emitting_it_is_switched_off(self, laser, wire):
        light(laser, wire)
        laser.close()
        assert shines(wire)
        again = wire.connect("laser")
        assert again.found_emitting
        assert not shines(wire)

    def test_on_gives_the_power_that_was_set(self, laser, wire):
        laser.set_power(30.0)
        laser.turn_on()
        assert laser.emission
        assert laser.state is LaserState.ON
        assert laser.power_mw > 29.0
        assert wire.get("laser.power_mw") == pytest.approx(30.0, rel=0.05)
        laser.turn_off()
        assert not shines(wire)
        assert laser.power_mw == 0
        assert laser.power_setpoint_mw == pytest.approx(30.0)

    def test_on_returns_when_light_is_there_and_says_when_it_came(self, laser, wire):
        assert laser.lit_between_s is None
        laser.set_power(30.0)
        before = time.perf_counter()
        laser.turn_on()
        assert shines(wire)
        assert laser.power_mw > 29.0
        dark_at, lit_at = laser.lit_between_s
        assert before <= dark_at < lit_at <= time.perf_counter()
        laser.turn_off()

    def test_at_zero_power_no_light_is_waited_for(self, laser):
        if laser.power_limits_mw[0] > 0:
            pytest.skip("the head has no set-point of zero")
        laser.set_power(0.0)
        laser.turn_on()
        assert laser.emission
        assert laser.lit_between_s is None
        laser.turn_off()

    def test_power_does_not_switch_emission(self, laser, wire):
        laser.set_power(10.0)
        assert not shines(wire)

    def test_limits_refuse_before_sending(self, laser):
        lowest, highest = laser.power_limits_mw
        laser.set_power(highest)
        for power_mw in (highest * 1.01, lowest - 0.001, float("nan")):
            with pytest.raises(LimitError, match="allowed"):
                laser.set_power(power_mw)
        assert laser.power_setpoint_mw == highest

    def test_microwatts_at_the_sample_are_kept(self, laser):
        laser.set_power(1.25)
        assert laser.power_setpoint_mw == pytest.approx(1.25, abs=0.1)

    def test_open_interlock_forbids_light_until_cleared(self, laser, wire):
        wire.fault("interlock-open")
        assert laser.interlock_closed is (laser.model in SILENT)
        with pytest.raises(InterlockError, match=r"(?i)interlock"):
            laser.turn_on()
        assert laser.interlock_closed is False
        assert not shines(wire)
        wire.mend()
        if laser.model in LATCHING:
            assert laser.interlock_closed
            with pytest.raises(LaserFaultError, match="interlock"):
                laser.turn_on()
        laser.clear_fault()
        assert laser.interlock_closed
        light(laser, wire)
        laser.turn_off()

    def test_interlock_that_opens_in_the_light_ends_it(self, laser, wire):
        light(laser, wire)
        wire.fault("interlock-open")
        until(lambda: not shines(wire))
        assert not laser.emission
        assert laser.state is (LaserState.FAULT if laser.model in LATCHING else LaserState.OFF)
        if laser.model in LATCHING:
            assert "interlock" in laser.fault
        if laser.model not in SILENT:
            assert not laser.interlock_closed
        laser.turn_off()

    def test_fault_is_told_in_words(self, laser, wire):
        wire.fault("laser-fault")
        if laser.model in SILENT:
            with pytest.raises(LaserFaultError, match="temperature"):
                laser.turn_on()
        until(lambda: laser.fault is not None)
        assert "temperature" in laser.fault
        assert laser.state is LaserState.FAULT
        with pytest.raises(LaserFaultError, match="temperature"):
            laser.turn_on()
        assert not shines(wire)

    def test_unknown_command_is_refused(self, laser):
        with pytest.raises(RefusedError, match="frobnicate"):
            laser.command("frobnicate")
        assert laser.state is LaserState.OFF

    def test_dark_is_reached_though_the_line_drops(self, laser, wire):
        light(laser, wire)
        wire.fault("connection-drop")
        laser.turn_off()
        assert not shines(wire)
        assert not laser.emission

    def test_dark_is_reached_though_the_answers_are_late(self, laser, wire):
        light(laser, wire)
        wire.fault("late-reply", delay_s=0.6)
        laser.turn_off()
        assert not shines(wire)

    def test_dark_is_reached_though_the_answer_is_garbage(self, laser, wire):
        light(laser, wire)
        wire.fault("garbage-reply")
        laser.turn_off()
        assert not shines(wire)

    def test_reconnected_it_is_dark_and_has_its_power(self, laser, wire):
        light(laser, wire)
        laser.set_power(25.0)
        wire.fault("connection-drop")
        with pytest.raises(ConnectionLostError):
            _ = laser.power_mw
        wire.mend()
        laser.reconnect()
        assert not shines(wire)
        assert laser.power_setpoint_mw == pytest.approx(25.0)

    def test_leaving_the_context_is_dark(self, wire):
        with wire.connect("laser") as laser:
            light(laser, wire)
        assert not shines(wire)


class TestLaserWithAKey:
    """A unit with a key switch whose key nobody turns."""

    @pytest.mark.parametrize("variant", [None, "12 V"], ids=["5 V", "12 V"])
    def test_it_asks_for_the_key_and_ends_dark(self, variant):
        with SimulatedMicroscope(
            stage=None, spectrometer=None, speed=60.0, keyed=True, laser_variant=variant, control_port=None
        ) as simulated:
            device = simulated.devices[0]
            laser = connect(device.model, device.resource, timeout_s=TIMEOUT_S, key_wait_s=0.05)
            laser.set_power(30.0)
            with pytest.raises(RefusedError, match="turn the key switch to OFF and then ON"):
                laser.turn_on()
            assert not laser.emission
            assert laser.state is LaserState.OFF
            assert laser.power_mw == 0
            laser.close()
