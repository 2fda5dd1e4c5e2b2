"""The OBIS driver, byte for byte, without a wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.test import expected_protocol

from halidescope.drivers.errors import (
    BadReplyError,
    InstrumentError,
    InterlockError,
    LaserFaultError,
    LimitError,
    NotDarkError,
    RefusedError,
    WrongInstrumentError,
)
from halidescope.drivers.obis import ObisLX
from halidescope.drivers.roles import LaserState

IDN = "Coherent, Inc - OBIS 405nm 100mW C - V1.0.1 - Dec 14 2012"


def query(question, value):
    return [(question, f"{value}\r"), (None, "OK\r")]


def opening(*answers):
    return [("SYST:COMM:PROM OFF", None), ("SYST:COMM:HAND ON", None), ("*IDN?", answers[0]),
            *[(None, answer) for answer in answers[1:]]]  # fmt: skip


NAMES = [
    *query("SYST:INF:MOD?", "OBIS 405-100 LX"), *query("SYST:INF:SNUM?", "A12345"), *query("SYST:INF:FVER?", "V1.0.1"),
]  # fmt: skip
IDENTITY = [*opening("OK", "OK", IDN, "OK"), *NAMES]
LIMITS = [*query("SOUR:POW:LIM:LOW?", "0.00100"), *query("SOUR:POW:LIM:HIGH?", "0.11000")]
OFF = [*query("SOUR:AM:STAT?", "OFF"), *query("SYST:STAT?", "00000004")]
PERMITTED = [*query("SYST:LOCK?", "ON"), *query("SYST:FAUL?", "00000000")]
ASKED = [*PERMITTED, *query("SOUR:POW:LEV:IMM:AMPL?", "0.02000")]
SWITCHED = [("SOUR:TEMP:APR ON", "OK"), ("SOUR:AM:STAT ON", "OK"), *query("SOUR:AM:STAT?", "ON")]
DARK = [("SOUR:AM:STAT OFF", "OK"), *OFF, *query("SOUR:POW:LEV?", "0.00000")]


@pytest.mark.parametrize("answers", [("OK", "OK", IDN, "OK"), ("OK", IDN, "OK"), ("ERR-100", "", "OK", IDN, "OK")])
def test_identity_however_the_head_was_left(answers):
    with expected_protocol(ObisLX, [*opening(*answers), *NAMES]) as laser:
        identity = laser.identity
        assert (identity.model, identity.serial, identity.firmware) == ("OBIS 405-100 LX", "A12345", "V1.0.1")


def test_another_instrument_is_refused():
    with (
        expected_protocol(ObisLX, opening("Some power supply", "OK")) as laser,
        pytest.raises(WrongInstrumentError, match="Some power supply"),
    ):
        laser.start()


def test_start_leaves_a_dark_head_in_constant_power():
    with expected_protocol(ObisLX, [*IDENTITY, *OFF, *LIMITS, *query("SOUR:AM:SOUR?", "CWP")]) as laser:
        laser.start()
        assert not laser.found_emitting


def test_start_switches_an_emitting_head_off_and_takes_it_off_its_external_input():
    pairs = [*IDENTITY, *query("SOUR:AM:STAT?", "ON"), *DARK, *LIMITS, *query("SOUR:AM:SOUR?", "DIGITAL")]
    with expected_protocol(ObisLX, [*pairs, ("SOUR:AM:INT CWP", "OK")]) as laser:
        laser.start()
        assert laser.found_emitting


@pytest.mark.parametrize(
    ("name", "pairs", "value"),
    [
        ("power_mw", query("SOUR:POW:LEV?", "0.01998"), 19.98),
        ("power_setpoint_mw", query("SOUR:POW:LEV:IMM:AMPL?", "0.02000"), 20.0),
        ("power_limits_mw", LIMITS, (1.0, 110.0)),
        ("wavelength_nm", query("SYST:INF:WAV?", "405"), 405.0),
        ("wavelength_nm", query("SYST:INF:WAV?", "405.0nm"), 405.0),
        ("interlock_closed", query("SYST:LOCK?", "ON"), True),
        ("interlock_closed", query("SYST:LOCK?", "OK"), True),
        ("interlock_closed", query("SYST:LOCK?", "OFF"), False),
        ("cdrh", query("SYST:CDRH?", "ON"), True),
        ("base_temperature_c", query("SOUR:TEMP:BAS?", "25.0C"), 25.0),
        ("status_word", query("SYST:STAT?", "80000012"), 0x80000012),
        ("fault", query("SYST:FAUL?", "00000000"), None),
        ("fault", query("SYST:FAUL?", "00000003"), "fault 00000003: base plate temperature, diode temperature"),
        ("emission", OFF, False),
        ("emission", query("SOUR:AM:STAT?", "ON"), True),
        ("emission", [*query("SOUR:AM:STAT?", "OFF"), *query("SYST:STAT?", "00000010")], True),
    ],
)
def test_every_property(name, pairs, value):
    with expected_protocol(ObisLX, pairs) as laser:
        found = getattr(laser, name)
        assert found == pytest.approx(value) if isinstance(value, float) else found == value


@pytest.mark.parametrize(
    ("status", "fault", "state"),
    [
        ("00000004", "00000000", LaserState.OFF),
        ("00000012", "00000000", LaserState.ARMING),
        ("00000006", "00000000", LaserState.ON),
        ("00000100", "00000000", LaserState.WARMING),
        ("00000004", "00000001", LaserState.FAULT),
    ],
)
def test_state(status, fault, state):
    with expected_protocol(ObisLX, [*query("SYST:STAT?", status), *query("SYST:FAUL?", fault)]) as laser:
        assert laser.state is state


def test_power_is_sent_in_watts_and_compared():
    sent = [("SOUR:POW:LEV:IMM:AMPL 0.020000", "OK")]
    with expected_protocol(ObisLX, [*LIMITS, *sent, *query("SOUR:POW:LEV:IMM:AMPL?", "0.02000")]) as laser:
        laser.set_power(20.0)
    with (
        expected_protocol(ObisLX, [*LIMITS, *sent, *query("SOUR:POW:LEV:IMM:AMPL?", "0.01000")]) as laser,
        pytest.raises(RefusedError, match="head says 10 mW"),
    ):
        laser.set_power(20.0)


@pytest.mark.parametrize("power_mw", [0.0, 0.99, 110.1, float("nan")])
def test_a_power_outside_the_limits_is_never_sent(power_mw):
    with expected_protocol(ObisLX, LIMITS) as laser, pytest.raises(LimitError, match="allowed 1 to 110 mW"):
        laser.set_power(power_mw)


def test_turn_on_waits_for_the_light_through_the_cdrh_delay():
    delay = [*query("SOUR:POW:LEV?", "0.00000"), *PERMITTED]
    pairs = [*ASKED, *SWITCHED, *LIMITS, *delay, *delay, *query("SOUR:POW:LEV?", "0.01990")]
    with expected_protocol(ObisLX, pairs) as laser:
        laser.turn_on()
        dark_at, lit_at = laser.lit_between_s
        assert dark_at < lit_at


def test_progress_is_told_while_waiting(monkeypatch):
    monkeypatch.setattr("halidescope.drivers.laser.PROGRESS_S", 0.0)
    told = []
    delay = [*query("SOUR:POW:LEV?", "0.00000"), *PERMITTED, *query("SYST:STAT?", "00000012")]
    pairs = [*ASKED, *SWITCHED, *LIMITS, *delay, *query("SYST:FAUL?", "00000000"), *query("SOUR:POW:LEV?", "0.0199")]
    with expected_protocol(ObisLX, pairs, progress=lambda state, waited_s: told.append((state, waited_s))) as laser:
        laser.turn_on()
    assert told[0][0] is LaserState.ARMING
    assert told[0][1] >= 0


def test_a_head_that_stays_dark_is_switched_off_again():
    pairs = [*ASKED, *SWITCHED, *LIMITS, *query("SOUR:POW:LEV?", "0.00000"), *PERMITTED, *DARK]
    with (
        expected_protocol(ObisLX, pairs, on_wait_s=-1.0) as laser,
        pytest.raises(RefusedError, match="no light is measured"),
    ):
        laser.turn_on()


def test_interlock_and_faults_forbid_emission():
    with expected_protocol(ObisLX, query("SYST:LOCK?", "OFF")) as laser, pytest.raises(InterlockError):
        laser.turn_on()
    with (
        expected_protocol(ObisLX, [*query("SYST:LOCK?", "ON"), *query("SYST:FAUL?", "00008000")]) as laser,
        pytest.raises(LaserFaultError, match="fatal"),
    ):
        laser.turn_on()


def test_turn_off_is_verified():
    with expected_protocol(ObisLX, [*DARK, *LIMITS]) as laser:
        laser.turn_off()
    emitting = [("SOUR:AM:STAT OFF", "OK"), *query("SOUR:AM:STAT?", "ON")]
    with expected_protocol(ObisLX, emitting, dark_wait_s=-1.0) as laser, pytest.raises(NotDarkError):
        laser.turn_off()


def test_clear_fault():
    """Errors are taken off the queue; switching off is how the head takes note that a fault's cause is gone."""
    with expected_protocol(ObisLX, [("SYST:ERR:CLE", "OK"), ("SOUR:AM:STAT OFF", "OK")]) as laser:
        laser.clear_fault()


def test_an_error_is_told_in_words_and_the_line_put_in_step():
    fence = [("*IDN?", "OK"), (None, IDN), (None, "OK")]
    pairs = [*IDENTITY, ("SYST:CDRH OFF", "ERR-203"), *fence, *query("SYST:CDRH?", "ON")]
    with expected_protocol(ObisLX, pairs) as laser:
        _ = laser.identity
        with pytest.raises(RefusedError, match=r"'SYST:CDRH OFF'.*command is protected"):
            laser.command("SYST:CDRH OFF")
        assert laser.cdrh is True


def test_a_value_without_its_ok_is_a_bad_reply():
    with (
        expected_protocol(ObisLX, [("SOUR:POW:LEV?", "0.0199"), (None, "0.0200")]) as laser,
        pytest.raises(BadReplyError, match="a value and then OK"),
    ):
        _ = laser.power_mw


LINE = st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=12)


@given(answer=LINE, end=LINE | st.just("OK"))
def test_any_word_is_an_error_or_32_bits(answer, end):
    with expected_protocol(ObisLX, [("SYST:STAT?", answer), (None, end)]) as laser:
        try:
            found = laser.status_word
        except InstrumentError:
            if answer.strip()[:3].upper() == "ERR":
                laser.adapter.read()
            return
        assert end.strip() == "OK"
        assert found == int(answer.strip(), 16)
        assert 0 <= found < 1 << 32


@given(answer=st.one_of(LINE, st.floats().map(str)))
def test_any_power_is_an_error_or_that_number(answer):
    with expected_protocol(ObisLX, [("SOUR:POW:LEV?", answer), (None, "OK")]) as laser:
        try:
            power_mw = laser.power_mw
        except InstrumentError:
            if answer.strip()[:3].upper() == "ERR":
                laser.adapter.read()
            return
        assert power_mw == float(answer) * 1e3
        assert 0 <= power_mw < float("inf")


def test_unprintable_lines_are_bad_replies():
    with (
        expected_protocol(ObisLX, [("SYST:STAT?", "\x0000000000")]) as laser,
        pytest.raises(BadReplyError, match="printable text"),
    ):
        _ = laser.status_word
