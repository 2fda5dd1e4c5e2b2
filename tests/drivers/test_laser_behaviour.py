"""What every laser driver must do, over the wire."""

import time

import pytest

from halidescope.drivers.catalogue import MODELS
from halidescope.drivers.errors import ConnectionLostError, InterlockError, LaserFaultError, LimitError, RefusedError
from halidescope.drivers.roles import LaserState

from .conftest import HURRIED_S, LATE_S

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

    def test_a_fault_that_was_mended_and_cleared_is_over(self, laser, wire):
        light(laser, wire)
        wire.fault("laser-fault")
        until(lambda: not shines(wire))
        wire.mend()
        laser.clear_fault()
        assert laser.fault is None
        light(laser, wire)
        laser.turn_off()

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
        wire.fault("late-reply", delay_s=LATE_S)
        laser.adapter.timeout_s = HURRIED_S     # of this connection only, not of the one that is made after it
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
    """A unit with a key switch, in both dialects."""

    @pytest.fixture(params=[None, "12 V"], ids=["5 V", "12 V"])
    def models(self, request):
        return {
            "laser": "cobolt-06-mld", "stage": None, "spectrometer": None, "keyed": True, "laser_variant": request.param
        }

    def test_it_asks_for_the_key_and_ends_dark(self, wire):
        laser = wire.connect("laser", key_wait_s=0.05)
        laser.set_power(30.0)
        with pytest.raises(RefusedError, match="turn the key switch to OFF and then ON"):
            laser.turn_on()
        assert not laser.emission
        assert laser.state is LaserState.OFF
        assert laser.power_mw == 0
        assert not shines(wire)

    def test_it_lights_when_the_key_is_turned_off_and_on(self, wire):
        told = []

        def turn_the_key(state, waited_s):
            told.append((state, shines(wire)))
            wire.control(key="off" if len(told) == 1 else "on")

        laser = wire.connect("laser")
        laser.progress = turn_the_key
        laser.set_power(30.0)
        laser.turn_on()
        assert told == [(LaserState.WAITING_FOR_KEY, False)] * 2     # the edge alone brings light
        assert shines(wire)
        assert laser.state is LaserState.ON
        wire.control(key="off")
        until(lambda: not shines(wire))
        assert not laser.emission
        laser.turn_off()


class TestDelayedEmission:
    """A CDRH unit that emits five seconds after it was switched on."""

    @pytest.fixture
    def models(self):
        return {"laser": "coherent-obis-lx", "stage": None, "spectrometer": None, "speed": 10.0}

    def test_the_delay_is_awaited_with_progress(self, wire):
        told = []
        laser = wire.connect("laser")
        assert laser.cdrh
        laser.progress = lambda state, waited_s: told.append((state, shines(wire)))
        laser.set_power(30.0)
        before_s = wire.get("clock.now_s")
        laser.turn_on()
        assert wire.get("clock.now_s") - before_s >= 5.0
        assert shines(wire)
        assert laser.state is LaserState.ON
        assert told
        assert set(told) == {(LaserState.ARMING, False)}
        laser.turn_off()

    def test_switched_off_in_the_delay_it_never_lights(self, wire):
        laser = wire.connect("laser")
        laser.set_power(30.0)
        laser.command_on()
        assert laser.state is LaserState.ARMING
        assert laser.emission    # it is about to
        laser.turn_off()
        end_s = wire.get("clock.now_s") + 6.0
        while wire.get("clock.now_s") < end_s:
            assert not shines(wire)
