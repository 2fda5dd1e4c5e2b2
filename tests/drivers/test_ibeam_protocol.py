"""The iBeam smart driver, byte for byte, without a wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.test import expected_protocol

from halidescope.drivers.errors import (
    BadReplyError,
    InstrumentError,
    InterlockError,
    LimitError,
    NotDarkError,
    RefusedError,
    WrongInstrumentError,
)
from halidescope.drivers.ibeam import IBeamSmart
from halidescope.drivers.roles import LaserState


def said(question, *lines):
    """A line and its answer: an empty line, the lines, [OK]."""
    return [(question, "\r"), *[(None, f"{line}\r") for line in lines], (None, "[OK]\r")]


def opening(*lines):
    first = [("echo off", None), ("prompt off", None), ("talk usual", None), ("serial", lines[0])]
    return [*first, *[(None, line) for line in lines[1:]]]


IDENTITY = [
    *opening("\r", "[OK]\r", "\r", "[OK]\r", "\r", "[OK]\r", "\r", "SN: iBEAM-00123\r", "[OK]\r"),
    *said("version", "iBPs-001A01-05"),
]
SATELLITE = said("show satellite", "Laser type: 405", "Pmax: 100.0 mW", "Imax: 120 mA")
SETPOINT = said("show level power", "CH1, PWR: 0.000 mW", "CH2, PWR: 20.000 mW")
SWITCHED = [*said("enable 2"), *said("laser on"), *said("status laser", "ON")]
DARK = [*said("laser off"), *said("status laser", "OFF"), *said("show power", "PIC  = 000000 uW  "), *SATELLITE]


def test_identity():
    with expected_protocol(IBeamSmart, IDENTITY) as laser:
        identity = laser.identity
        assert (identity.model, identity.serial, identity.firmware) == ("iBeam smart", "iBEAM-00123", "iBPs-001A01-05")
        assert laser.wavelength_nm == 405.0


def test_identity_of_a_head_that_echoed_and_prompted():
    lines = ("echo off", "\r", "CMD> \r", "CMD> \r", "[OK]\r", "\r", "[OK]\r", "\r", "SN: 7\r", "[OK]\r")
    with expected_protocol(IBeamSmart, [*opening(*lines), *said("version", "1")]) as laser:
        assert laser.identity.serial == "7"


def test_another_instrument_is_refused():
    with (
        expected_protocol(IBeamSmart, opening(*["?"] * 40)) as laser,
        pytest.raises(WrongInstrumentError, match="no line with SN:"),
    ):
        laser.start()


def test_start_makes_sure_of_darkness_and_of_continuous_emission():
    pairs = [*IDENTITY, *said("status laser", "ON"), *DARK, *said("disable external")]
    with expected_protocol(IBeamSmart, pairs) as laser:
        laser.start()
        assert laser.found_emitting


@pytest.mark.parametrize(
    ("name", "pairs", "value"),
    [
        ("power_mw", said("show power", "PIC  = 000250 uW  "), 0.25),
        ("power_setpoint_mw", SETPOINT, 20.0),
        ("power_limits_mw", SATELLITE, (0.0, 100.0)),
        ("temperature_c", said("show temperature", "TEMP = 25 C"), 25.0),
        ("emission", said("status laser", "ON"), True),
        ("emission", said("status laser", "OFF"), False),
        ("channel_enabled", said("status channel 2", "ON"), True),
        ("state", said("status laser", "ON"), LaserState.ON),
        ("state", said("status laser", "OFF"), LaserState.OFF),
        ("interlock_closed", [], True),
        ("fault", [], None),
    ],
)
def test_every_property(name, pairs, value):
    with expected_protocol(IBeamSmart, pairs) as laser:
        assert getattr(laser, name) == value


def test_power_is_sent_in_microwatts_and_compared():
    pairs = [*SATELLITE, *said("channel 2 power 20000 micro"), *SETPOINT]
    with expected_protocol(IBeamSmart, pairs) as laser:
        laser.set_power(20.0)
    pairs = [*SATELLITE, *said("channel 2 power 250 micro"), *SETPOINT]
    with expected_protocol(IBeamSmart, pairs) as laser, pytest.raises(RefusedError, match="head says 20 mW"):
        laser.set_power(0.25)


@pytest.mark.parametrize("power_mw", [-0.001, 100.1, float("nan")])
def test_a_power_outside_the_limits_is_never_sent(power_mw):
    with expected_protocol(IBeamSmart, SATELLITE) as laser, pytest.raises(LimitError, match="allowed 0 to 100 mW"):
        laser.set_power(power_mw)


def test_turn_on_waits_for_the_light():
    pairs = [*SETPOINT, *SWITCHED, *SATELLITE, *said("show power", "PIC  = 000000 uW  "),
             *said("show power", "PIC  = 019800 uW  ")]  # fmt: skip
    with expected_protocol(IBeamSmart, pairs) as laser:
        laser.turn_on()
        assert laser.lit_between_s[0] < laser.lit_between_s[1]


def test_a_refusal_to_emit_is_kept_until_it_is_cleared():
    refused = said("laser on", "%SYS-E-062, interlock is open")
    with expected_protocol(IBeamSmart, [*SETPOINT, *said("enable 2"), *refused, *DARK, *said("laser off")]) as laser:
        with pytest.raises(InterlockError, match="interlock is open"):
            laser.turn_on()
        assert laser.interlock_closed is False
        with pytest.raises(InterlockError):
            laser.turn_on()
        laser.clear_fault()
        assert laser.interlock_closed is True
        assert laser.fault is None


@pytest.mark.parametrize("level", "WEF")
def test_warnings_and_errors_are_refusals(level):
    with (
        expected_protocol(IBeamSmart, said("channel 9 power 1", f"%SYS-{level}-020, no such channel")) as laser,
        pytest.raises(RefusedError, match="no such channel"),
    ):
        laser.command("channel 9 power 1")


def test_information_is_none():
    with expected_protocol(IBeamSmart, said("laser off", "%SYS-I-077, scientific mode")) as laser:
        laser.command("laser off")


def test_turn_off_is_verified():
    with expected_protocol(IBeamSmart, DARK) as laser:
        laser.turn_off()
    pairs = [*said("laser off"), *said("status laser", "ON")]
    with expected_protocol(IBeamSmart, pairs, dark_wait_s=-1.0) as laser, pytest.raises(NotDarkError):
        laser.turn_off()


def test_after_a_bad_answer_everything_late_is_skipped():
    fence = [("serial", "19.8"), (None, "[OK]"), (None, ""), (None, "SN: iBEAM-00123"), (None, "[OK]")]
    pairs = [*IDENTITY, *said("status laser", "PIC = 1"), *fence, *said("status laser", "OFF")]
    with expected_protocol(IBeamSmart, pairs) as laser:
        _ = laser.identity
        with pytest.raises(BadReplyError, match="ON or OFF"):
            _ = laser.emission
        assert laser.emission is False


@given(st.lists(st.text(alphabet=st.sampled_from("CH2,PW: 0.5mWe-+"), max_size=18), max_size=3))
def test_any_level_table_is_an_error_or_a_power(lines):
    with expected_protocol(IBeamSmart, said("show level power", *lines)) as laser:
        try:
            assert 0 <= laser.power_setpoint_mw < float("inf")
        except InstrumentError:
            return
        assert sum(line.strip().startswith("CH2") for line in lines) >= 1


@given(st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=20))
def test_any_power_line_is_an_error_or_that_number(line):
    if line.strip() in ("[OK]",) or line.strip().startswith("CMD>"):
        return
    with expected_protocol(IBeamSmart, said("show power", line)) as laser:
        try:
            power_mw = laser.power_mw
        except InstrumentError:
            return
        assert line.strip().startswith("PIC")
        assert f"{power_mw * 1e3:g}".lstrip("0") in line
